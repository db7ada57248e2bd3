//! An origin, and where a text speaks of it: `scheme://host[:port]`, the same for WebSockets, or `//host[:port]`.
//!
//! What merely begins like the origin is another one: `https://jsm.internal.evil.test`, `https://jsm.internal:8444` when
//! the port is the default one, `https://jsm.internal@evil.test`. Both borders are looked at in every spelling.

use std::fmt;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::spelling::{self, BEYOND_ASCII, LONGEST, Read};

/// A scheme, a host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: Scheme,
    port: u16,
    port_digits: String,
    /// As it stands in a text, and as it stands percent-encoded where that is something else: for IPv6 addresses.
    hosts: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// The scheme's own name, and that of WebSockets.
    fn names(self) -> [&'static str; 2] {
        match self {
            Self::Http => ["http", "ws"],
            Self::Https => ["https", "wss"],
        }
    }
}

/// The text is no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an origin is a scheme, a host and perhaps a port, such as https://jira.acme.internal")]
pub struct InvalidOrigin;

impl Origin {
    /// Reads `http[s]://host[:port]`, with nothing behind it.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn parse(text: &str) -> Result<Self, InvalidOrigin> {
        let url = Url::parse(text).map_err(|_| InvalidOrigin)?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let nobody = url.username().is_empty() && url.password().is_none();
        if !bare || !nobody { Err(InvalidOrigin) } else { Self::of(&url) }
    }

    /// The origin of an address.
    ///
    /// # Errors
    /// When it is neither http nor https.
    pub fn of(url: &Url) -> Result<Self, InvalidOrigin> {
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(InvalidOrigin),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(InvalidOrigin)?.to_ascii_lowercase();
        let encoded = utf8_percent_encode(&host, NON_ALPHANUMERIC).to_string().replace("%2E", ".").replace("%2D", "-");
        let hosts = if encoded == host { vec![host] } else { vec![host, encoded] };
        let port = url.port().unwrap_or(scheme.default_port());
        Ok(Self { scheme, port, port_digits: port.to_string(), hosts })
    }

    /// Whether a browser reaches it encrypted.
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::Https
    }

    /// The host name, in lower case.
    pub fn host(&self) -> &str {
        self.hosts.first().map_or("", String::as_str)
    }

    /// The port in digits.
    pub fn port_digits(&self) -> &str {
        &self.port_digits
    }

    /// Whether the port is that of the scheme.
    pub fn has_default_port(&self) -> bool {
        self.written_port().is_none()
    }

    /// `host[:port]`, without the default port.
    pub fn authority(&self) -> String {
        self.written_port().map_or_else(|| self.host().to_owned(), |port| format!("{}:{port}", self.host()))
    }

    /// The port in digits; `None` for the default one.
    fn written_port(&self) -> Option<&str> {
        (self.port != self.scheme.default_port()).then_some(&self.port_digits)
    }

    /// The host as it stands in a text, and as it stands percent-encoded where that is something else.
    pub(super) fn hosts(&self) -> &[String] {
        &self.hosts
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [name, _] = self.scheme.names();
        write!(f, "{name}://{}", self.authority())
    }
}

/// An origin as it is found in a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mention<'t> {
    /// Where it begins in the text.
    pub begin: usize,
    /// Where it ends, port included.
    pub end: usize,
    /// Which of the scheme's names is written, and the colon behind it; `None` for an address without a scheme.
    scheme: Option<(usize, &'t [u8])>,
    /// Both slashes.
    slashes: &'t [u8],
}

/// The rest of a host that is looked at: a colon, five digits, and two more characters that would go on with it.
const BEHIND: usize = LONGEST + 5 + 2 * LONGEST;

/// The longest way to come to a host: `https`, a colon, two slashes.
const BEFORE: usize = 5 + 3 * LONGEST;

impl Origin {
    /// The longest mention of it with what has to be known behind it, in bytes.
    pub(super) fn longest_mention(&self) -> usize {
        let host = self.hosts.iter().map(String::len).max().unwrap_or(0);
        BEFORE.saturating_add(host).saturating_add(BEHIND)
    }

    /// The mention whose host stands at `host..host_end`, when it is one and all of it is known. What stands before the
    /// text is `before`; after its `end` nothing follows.
    pub(super) fn mention_at<'t>(
        &self,
        before: &[u8],
        text: &'t [u8],
        host: usize,
        host_end: usize,
        end: bool,
    ) -> Option<Mention<'t>> {
        let Border::Ends(port) = self.after_host(text.get(host_end..)?, end) else { return None };
        let end = host_end.checked_add(port)?;
        let second = spelling::begin_of_last(text.get(..host)?, b'/')?;
        let slash = text.get(second..host)?;
        let first = second.checked_sub(slash.len())?;
        if !text.get(first..second)?.eq_ignore_ascii_case(slash) {
            return None;
        }
        let slashes = text.get(first..host)?;
        let leading = text.get(..first)?;
        if let Some(colon) = spelling::begin_of_last(leading, b':') {
            let names = self.scheme.names();
            let (index, name) = names.iter().enumerate().find(|(_, name)| ends_with(leading, colon, name))?;
            let begin = colon.checked_sub(name.len())?;
            return Some(Mention { begin, end, scheme: Some((index, text.get(colon..first)?)), slashes });
        }
        begins_address(before, leading).then_some(Mention { begin: first, end, scheme: None, slashes })
    }

    /// Writes this origin in place of one that was found, in the same spelling.
    pub(super) fn write(&self, mention: &Mention<'_>, out: &mut Vec<u8>) {
        if let Some((index, colon)) = mention.scheme {
            out.extend_from_slice(self.scheme.names().get(index).copied().unwrap_or_default().as_bytes());
            out.extend_from_slice(colon);
        }
        out.extend_from_slice(mention.slashes);
        let percent = mention.slashes.first() == Some(&b'%');
        let host = if percent { self.hosts.last() } else { self.hosts.first() };
        out.extend_from_slice(host.map(String::as_bytes).unwrap_or_default());
        if let Some(port) = self.written_port() {
            let colon = match mention.scheme {
                Some((_, colon)) => colon,
                None if percent => b"%3A",
                None => b":",
            };
            out.extend_from_slice(colon);
            out.extend_from_slice(port.as_bytes());
        }
    }

    /// Whether `text`, which goes on, may be the beginning of a mention that is not decided yet.
    pub(super) fn may_begin(&self, text: &[u8]) -> bool {
        let first = text.first().copied().unwrap_or_default();
        if matches!(first, b'/' | b'\\' | b'%' | b'&') {
            return self.slashes_may_begin(text);
        }
        self.scheme.names().iter().any(|name| match after_prefix(text, name.as_bytes()) {
            Prefix::Whole(rest) => match spelling::begins_with(rest, b':') {
                Some(Some(colon)) => self.slashes_may_begin(rest.get(colon..).unwrap_or_default()),
                Some(None) => true,
                None => false,
            },
            Prefix::Cut => true,
            Prefix::Not => false,
        })
    }

    fn slashes_may_begin(&self, text: &[u8]) -> bool {
        let slash = match spelling::begins_with(text, b'/') {
            Some(Some(length)) => text.get(..length).unwrap_or_default(),
            Some(None) => return true,
            None => return false,
        };
        let rest = text.get(slash.len()..).unwrap_or_default();
        match after_prefix(rest, slash) {
            Prefix::Cut => true,
            Prefix::Not => false,
            Prefix::Whole(rest) => self.hosts.iter().any(|host| match after_prefix(rest, host.as_bytes()) {
                Prefix::Whole(rest) => self.after_host(rest, false) == Border::Unknown,
                Prefix::Cut => true,
                Prefix::Not => false,
            }),
        }
    }

    /// Looks at what follows the host.
    fn after_host(&self, rest: &[u8], end: bool) -> Border {
        match spelling::begins_with(rest, b':') {
            Some(Some(colon)) => {
                let behind = rest.get(colon..).unwrap_or_default();
                // One digit more than a port has tells that it is none.
                let digits = behind.iter().take(6).take_while(|byte| byte.is_ascii_digit()).count();
                let port = behind.get(..digits).unwrap_or_default();
                if behind.is_empty() && !end {
                    return Border::Unknown;
                }
                if digits == 0 {
                    // "see https://jsm.internal: there", but not "https://jsm.internal:password@".
                    return self.without_port(host_goes_on(behind, end, true));
                }
                if digits == behind.len() && digits < 6 && !end {
                    return Border::Unknown;
                }
                if port != self.port_digits.as_bytes() {
                    return Border::GoesOn;
                }
                match host_goes_on(behind.get(digits..).unwrap_or_default(), end, false) {
                    Some(true) => Border::GoesOn,
                    Some(false) => Border::Ends(colon.saturating_add(digits)),
                    None => Border::Unknown,
                }
            }
            Some(None) if !end => Border::Unknown,
            _ => self.without_port(host_goes_on(rest, end, false)),
        }
    }

    fn without_port(&self, goes_on: Option<bool>) -> Border {
        match goes_on {
            _ if self.written_port().is_some() => Border::GoesOn,
            Some(true) => Border::GoesOn,
            Some(false) => Border::Ends(0),
            None => Border::Unknown,
        }
    }
}

/// What follows a host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Border {
    /// The origin ends, after so many bytes of port.
    Ends(usize),
    /// It is another origin.
    GoesOn,
    /// The text ends too early to say.
    Unknown,
}

/// Whether a host name, or what stands before an `@`, goes on with this text. `None`: it ends too early to say.
fn host_goes_on(rest: &[u8], end: bool, after_colon: bool) -> Option<bool> {
    let goes_on = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'@' | BEYOND_ASCII) || !c.is_ascii();
    match spelling::read(rest) {
        Read::Char(b'.', length) if !after_colon => match spelling::read(rest.get(length..).unwrap_or_default()) {
            Read::Char(next, _) => Some(goes_on(next)),
            Read::More | Read::Nothing => end.then_some(false),
        },
        Read::Char(b':', _) if after_colon => Some(true),
        Read::Char(next, _) => Some(goes_on(next)),
        Read::More | Read::Nothing => end.then_some(false),
    }
}

fn ends_with(text: &[u8], end: usize, name: &str) -> bool {
    let begin = end.checked_sub(name.len());
    begin.and_then(|begin| text.get(begin..end)).is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()))
}

/// So much before an address without a scheme is looked at.
pub(super) const LOOK_BEHIND: usize = LONGEST;

/// Whether an address without a scheme may begin behind `leading`, before which stands `before`: two slashes within a path
/// or behind another scheme do not begin one.
fn begins_address(before: &[u8], leading: &[u8]) -> bool {
    let near = leading.get(leading.len().saturating_sub(LOOK_BEHIND)..).unwrap_or_default();
    let missing = LOOK_BEHIND.saturating_sub(near.len());
    let earlier = before.get(before.len().saturating_sub(missing)..).unwrap_or_default();
    let near = [earlier, near].concat();
    let Some(last) = near.last() else { return true };
    let opens = |c: u8| c.is_ascii_whitespace() || b"\"'`(=,;>[{|".contains(&c);
    // An escape counts for what it stands for: `%3D`, `\u0022`.
    opens(*last) || (0x20..0x7f).any(|c: u8| c != *last && opens(c) && spelling::begin_of_last(&near, c).is_some())
}

enum Prefix<'t> {
    Whole(&'t [u8]),
    Cut,
    Not,
}

/// What follows `prefix`, whatever its case; or whether the text ends within it.
fn after_prefix<'t>(text: &'t [u8], prefix: &[u8]) -> Prefix<'t> {
    let length = text.len().min(prefix.len());
    let same = text.get(..length).zip(prefix.get(..length)).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b));
    match (same, length == prefix.len()) {
        (false, _) => Prefix::Not,
        (true, false) => Prefix::Cut,
        (true, true) => Prefix::Whole(text.get(length..).unwrap_or_default()),
    }
}
