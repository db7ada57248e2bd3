//! Our cookies: what a browser presents, what it is told to keep, and what of its cookies the upstream may see.
//!
//! Trusts nothing in a `Cookie` header. A session cookie counts only when exactly one is presented, under its exact
//! name, in its exact shape: of two, one was planted by somebody else (a sibling domain, a path), and which one cannot
//! be told (RFC 6265, 8.6).

use std::fmt;
use std::time::Duration;

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use crate::ids::{SessionHash, SessionId, read_token};
use crate::random::{NoRandomness, Random};
use crate::secret::Secret;

/// The cookie of the session.
pub const SESSION_COOKIE: &str = "__Host-vestibule";
/// The cookie that binds sign-ins under way to the browser that began them.
pub const SIGN_IN_COOKIE: &str = "__Host-vestibule-sign-in";

/// The cookie that binds sign-ins under way to the browser when the answer is posted by another site, as SAML has it.
pub const POSTED_SIGN_IN_COOKIE: &str = "__Host-vestibule-posted-sign-in";

/// The cookie that names a browser at the home of a group of portals: its sessions end together.
pub const GROUP_COOKIE: &str = "__Host-vestibule-group";

/// The cookie by which a browser is known in which somebody has signed in before.
pub const KNOWN_BROWSER_COOKIE: &str = "__Host-vestibule-browser";

/// The longest value that is looked at, in characters: ours has 140.
const LONGEST_KNOWN: usize = 512;

/// `__Host-` makes browsers insist on `Secure`, `Path=/` and no `Domain`; `Lax` lets a link from elsewhere arrive signed
/// in, and no foreign form.
const ATTRIBUTES: &str = "; Path=/; Secure; HttpOnly; SameSite=Lax";
/// Browsers send it along with what another site posts, too. It opens nothing: it only lets a browser go on with a sign-in
/// that it began itself (security case C1).
const POSTED_ATTRIBUTES: &str = "; Path=/; Secure; HttpOnly; SameSite=None";

/// Names a browser in which sign-ins are under way: 256 random bits, 43 characters of base64url.
#[derive(Clone)]
pub struct SignInKey(Secret);

impl SignInKey {
    /// A new key.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn generate(random: &Random) -> Result<Self, NoRandomness> {
        Ok(Self(Secret::generated(random.token()?)))
    }

    /// Reads a cookie value: exactly 256 bits in their one canonical spelling.
    pub fn parse(value: &str) -> Option<Self> {
        read_token(value).map(|_| Self(Secret::generated(value)))
    }

    /// The cookie value.
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }

    /// What this process may know the browser by.
    pub fn hash(&self) -> SessionHash {
        let mut hash = [0; 32];
        hash.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, self.reveal().as_bytes()).as_ref());
        SessionHash::from_bytes(hash)
    }
}

/// Compares in constant time.
impl PartialEq for SignInKey {
    fn eq(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.reveal().as_bytes(), other.reveal().as_bytes()).into()
    }
}

impl Eq for SignInKey {}

impl fmt::Debug for SignInKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignInKey(..)")
    }
}

/// What a browser presents under one of our names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presented<T> {
    /// Nothing.
    None,
    /// One value of the right shape. Not yet known to mean anything.
    One(T),
    /// Several, of which none may be believed: clear the cookie.
    Ambiguous,
    /// One of a shape that we never made: clear the cookie.
    Malformed,
}

impl<T> Presented<T> {
    /// The value, when there is exactly one and it is well-formed.
    pub fn one(&self) -> Option<&T> {
        match self {
            Self::One(value) => Some(value),
            Self::None | Self::Ambiguous | Self::Malformed => None,
        }
    }

    /// Whether the browser holds something that should be cleared.
    pub fn is_unsound(&self) -> bool {
        matches!(self, Self::Ambiguous | Self::Malformed)
    }

    fn add(&mut self, value: Option<T>) {
        *self = match (&*self, value) {
            (Self::None, Some(value)) => Self::One(value),
            (Self::None, None) => Self::Malformed,
            (Self::One(_) | Self::Ambiguous | Self::Malformed, _) => Self::Ambiguous,
        };
    }
}

/// Our cookies in a request.
#[derive(Clone, Debug)]
pub struct PresentedCookies {
    /// The session's.
    pub session: Presented<SessionId>,
    /// The one that binds sign-ins under way.
    pub sign_in: Presented<SignInKey>,
    /// Its sister, for answers that another site posts.
    pub posted_sign_in: Presented<SignInKey>,
    /// The one that names the browser among those of a group.
    pub group: Presented<SignInKey>,
}

impl PresentedCookies {
    /// None at all.
    pub const fn none() -> Self {
        Self {
            session: Presented::None,
            sign_in: Presented::None,
            posted_sign_in: Presented::None,
            group: Presented::None,
        }
    }

    /// Of all, the one that another site's post may bring, and no other.
    pub fn read_posted(headers: &HeaderMap) -> Self {
        Self { posted_sign_in: Self::read(headers).posted_sign_in, ..Self::none() }
    }

    /// Reads all `Cookie` headers: HTTP/2 may split them (RFC 9113, 8.2.3).
    pub fn read(headers: &HeaderMap) -> Self {
        let mut presented = Self::none();
        for pair in headers.get_all(COOKIE).iter().flat_map(|value| pairs(value.as_bytes())) {
            let Some((name, value)) = split(pair) else { continue };
            let text = || std::str::from_utf8(value).ok();
            if name == SESSION_COOKIE.as_bytes() {
                presented.session.add(text().and_then(SessionId::parse));
            } else if name == SIGN_IN_COOKIE.as_bytes() {
                presented.sign_in.add(text().and_then(SignInKey::parse));
            } else if name == POSTED_SIGN_IN_COOKIE.as_bytes() {
                presented.posted_sign_in.add(text().and_then(SignInKey::parse));
            } else if name == GROUP_COOKIE.as_bytes() {
                presented.group.add(text().and_then(SignInKey::parse));
            }
        }
        presented
    }
}

/// The cookie of a known browser, when exactly one is there. What it is worth is for [`super::Sessions::known_browser`] to say.
pub fn known_browser(headers: &HeaderMap) -> Option<Secret> {
    let mut found = Presented::None;
    for pair in headers.get_all(COOKIE).iter().flat_map(|value| pairs(value.as_bytes())) {
        let Some((name, value)) = split(pair) else { continue };
        if name == KNOWN_BROWSER_COOKIE.as_bytes() {
            let text = std::str::from_utf8(value).ok().filter(|text| text.len() <= LONGEST_KNOWN);
            found.add(text.map(Secret::generated));
        }
    }
    found.one().cloned()
}

/// What of a request's cookies may go on to the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forwardable {
    /// The headers as they are: there is at most one, and nothing of ours in it.
    Untouched,
    /// This one header in place of all: everything but ours, in order, joined as HTTP/1.1 wants it. Marked sensitive.
    Joined(HeaderValue),
    /// No cookie header: nothing is left.
    Nothing,
}

/// Takes our cookies out of a request: every name that begins like ours in any case, so that no upstream that reads
/// names more loosely than we do ever sees one.
pub fn forwardable(headers: &HeaderMap) -> Forwardable {
    let all = headers.get_all(COOKIE);
    let mut values = all.iter();
    let (first, several) = (values.next(), values.next().is_some());
    if !several && !first.into_iter().flat_map(|value| pairs(value.as_bytes())).any(is_ours) {
        return Forwardable::Untouched;
    }
    let mut joined = Vec::new();
    for pair in all.iter().flat_map(|value| pairs(value.as_bytes())).filter(|pair| !is_ours(pair)) {
        if joined.is_empty() {
            joined.reserve(all.iter().map(|value| value.len().saturating_add(2)).sum());
        } else {
            joined.extend_from_slice(b"; ");
        }
        joined.extend_from_slice(pair);
    }
    if joined.is_empty() {
        return Forwardable::Nothing;
    }
    match HeaderValue::try_from(joined) {
        Ok(mut value) => {
            value.set_sensitive(true);
            Forwardable::Joined(value)
        }
        Err(_) => Forwardable::Nothing,
    }
}

/// `Set-Cookie` that gives the browser its session. Without an age: closing the browser ends it there.
pub fn set_session(id: &SessionId) -> HeaderValue {
    set(SESSION_COOKIE, &id.reveal(), None)
}

/// `Set-Cookie` that takes the session from the browser.
pub fn clear_session() -> HeaderValue {
    set(SESSION_COOKIE, "", Some(Duration::ZERO))
}

/// `Set-Cookie` that binds sign-ins to the browser for `max_age`.
pub fn set_sign_in(key: &SignInKey, max_age: Duration) -> HeaderValue {
    set(SIGN_IN_COOKIE, key.reveal(), Some(max_age))
}

/// `Set-Cookie` that binds sign-ins whose answer is posted to the browser for `max_age`.
pub fn set_posted_sign_in(key: &SignInKey, max_age: Duration) -> HeaderValue {
    with_attributes(POSTED_SIGN_IN_COOKIE, key.reveal(), POSTED_ATTRIBUTES, Some(max_age))
}

/// `Set-Cookie` that names the browser among those of a group for `max_age`.
pub fn set_group(key: &SignInKey, max_age: Duration) -> HeaderValue {
    set(GROUP_COOKIE, key.reveal(), Some(max_age))
}

/// `Set-Cookie` that takes the sign-in cookie from the browser.
pub fn clear_sign_in() -> HeaderValue {
    set(SIGN_IN_COOKIE, "", Some(Duration::ZERO))
}

/// `Set-Cookie` by which a browser is known. Without an age, as the session's: both go when the browser is closed.
pub fn set_known_browser(value: &Secret) -> HeaderValue {
    set(KNOWN_BROWSER_COOKIE, value.reveal(), None)
}

/// `Set-Cookie` by which a browser is known no more.
pub fn clear_known_browser() -> HeaderValue {
    set(KNOWN_BROWSER_COOKIE, "", Some(Duration::ZERO))
}

fn set(name: &str, value: &str, max_age: Option<Duration>) -> HeaderValue {
    with_attributes(name, value, ATTRIBUTES, max_age)
}

fn with_attributes(name: &str, value: &str, attributes: &str, max_age: Option<Duration>) -> HeaderValue {
    let age = max_age.map(|age| format!("; Max-Age={}", age.as_secs())).unwrap_or_default();
    let text = format!("{name}={value}{attributes}{age}");
    // Names, base64url and attributes are plain ASCII; were they not, a value that says nothing would be right.
    let mut value = HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

/// The `name=value` pieces of one header, without the white space around them, and no empty ones.
/// What stands between semicolons. A search by vector instructions: a visitor's cookies are read more than once.
struct Pieces<'h>(Option<&'h [u8]>);

impl<'h> Iterator for Pieces<'h> {
    type Item = &'h [u8];

    fn next(&mut self) -> Option<&'h [u8]> {
        let rest = self.0.take()?;
        match memchr::memchr(b';', rest).and_then(|end| rest.split_at_checked(end)) {
            Some((piece, after)) => {
                self.0 = after.get(1..);
                Some(piece)
            }
            None => Some(rest),
        }
    }
}

fn pairs(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    Pieces(Some(header)).map(trimmed).filter(|pair| !pair.is_empty())
}

/// A piece without `=` is a nameless cookie (RFC 6265bis), and so is one that begins with `=`: neither is ours.
fn split(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b'=', pair)?;
    Some((pair.get(..at)?, pair.get(at.saturating_add(1)..)?))
}

fn is_ours(pair: &[u8]) -> bool {
    let start = pair.iter().position(|&b| b != b'=' && b != b' ' && b != b'\t').unwrap_or(pair.len());
    let name = pair.get(start..).unwrap_or_default();
    name.get(..SESSION_COOKIE.len()).is_some_and(|head| head.eq_ignore_ascii_case(SESSION_COOKIE.as_bytes()))
}

fn trimmed(mut piece: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = piece {
        piece = rest;
    }
    piece
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(COOKIE, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    fn id() -> SessionId {
        SessionId::generate(&Random::default()).unwrap()
    }

    fn session_in(value: &str) -> Presented<SessionId> {
        PresentedCookies::read(&headers(&[value.as_bytes()])).session
    }

    fn forwarded(values: &[&str]) -> Option<String> {
        let values: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
        match forwardable(&headers(&values)) {
            Forwardable::Untouched => Some(values.first().map(|v| String::from_utf8_lossy(v).into_owned())?),
            Forwardable::Joined(value) => {
                assert!(value.is_sensitive(), "it would be shown by whoever shows a head");
                Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
            }
            Forwardable::Nothing => None,
        }
    }

    #[test]
    fn c1_set_cookie_is_host_bound() {
        let id = id();
        let value = set_session(&id);
        assert_eq!(value, format!("__Host-vestibule={}; Path=/; Secure; HttpOnly; SameSite=Lax", id.reveal()).as_str());
        assert!(value.is_sensitive());
        let key = SignInKey::generate(&Random::default()).unwrap();
        let posted = set_posted_sign_in(&key, Duration::from_secs(900));
        let expected = format!(
            "__Host-vestibule-posted-sign-in={}; Path=/; Secure; HttpOnly; SameSite=None; Max-Age=900",
            key.reveal()
        );
        assert_eq!(posted, expected.as_str());
        assert!(posted.is_sensitive());
        assert_eq!(clear_session(), "__Host-vestibule=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0");

        let key = SignInKey::generate(&Random::default()).unwrap();
        let bound = format!("__Host-vestibule-sign-in={}; Path=/; Secure; HttpOnly; SameSite=Lax", key.reveal());
        assert_eq!(set_sign_in(&key, Duration::from_secs(600)), format!("{bound}; Max-Age=600").as_str());
        assert_eq!(clear_sign_in(), "__Host-vestibule-sign-in=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0");
        for value in [set_session(&id), clear_session(), set_sign_in(&key, Duration::ZERO), clear_sign_in()] {
            assert!(!value.to_str().unwrap().to_ascii_lowercase().contains("domain"));
        }
    }

    #[test]
    fn one_cookie_is_read_wherever_it_stands() {
        let id = id();
        let ours = format!("__Host-vestibule={}", id.reveal());
        for line in [ours.clone(), format!("a=b; {ours}"), format!("{ours};c=d"), format!("a;;  {ours}\t; =; e")] {
            assert_eq!(session_in(&line), Presented::One(id.clone()), "{line}");
        }
        let crumbs = PresentedCookies::read(&headers(&[b"a=b", ours.as_bytes(), b"c=d"]));
        assert_eq!(crumbs.session, Presented::One(id));
        assert_eq!(crumbs.sign_in, Presented::None);
    }

    #[test]
    fn both_of_our_cookies_are_told_apart() {
        let (id, key) = (id(), SignInKey::generate(&Random::default()).unwrap());
        let line = format!("__Host-vestibule-sign-in={}; __Host-vestibule={}", key.reveal(), id.reveal());
        let presented = PresentedCookies::read(&headers(&[line.as_bytes()]));
        assert_eq!(presented.session, Presented::One(id));
        assert_eq!(presented.sign_in, Presented::One(key));
    }

    #[test]
    fn c1_what_another_site_posts_brings_one_cookie_alone() {
        let (id, key) = (id(), SignInKey::generate(&Random::default()).unwrap());
        let line = format!(
            "__Host-vestibule={}; __Host-vestibule-sign-in={1}; __Host-vestibule-posted-sign-in={1}",
            id.reveal(),
            key.reveal()
        );
        let presented = PresentedCookies::read_posted(&headers(&[line.as_bytes()]));
        assert_eq!((presented.session, presented.sign_in), (Presented::None, Presented::None));
        assert_eq!(presented.posted_sign_in, Presented::One(key));
        let Forwardable::Nothing = forwardable(&headers(&[line.as_bytes()])) else { panic!("all of them are ours") };
    }

    #[test]
    fn c3_two_cookies_with_our_name() {
        let (one, two) = (format!("__Host-vestibule={}", id().reveal()), format!("__Host-vestibule={}", id().reveal()));
        let lines = [
            format!("{one}; {two}"),
            format!("{two}; {one}"),
            format!("{one}; {one}"),
            format!("{one}; __Host-vestibule=junk"),
            format!("__Host-vestibule=; {one}"),
            format!("{one}; {two}; {one}"),
        ];
        for line in lines {
            assert_eq!(session_in(&line), Presented::Ambiguous, "{line}");
            assert!(session_in(&line).is_unsound());
        }
        let split = PresentedCookies::read(&headers(&[one.as_bytes(), two.as_bytes()]));
        assert_eq!(split.session, Presented::Ambiguous);
    }

    #[test]
    fn c3_look_alikes_are_not_ours() {
        let value = id().reveal();
        for name in ["vestibule", "__host-vestibule", "__HOST-VESTIBULE", "__Host-vestibulE", "__Host-vestibule2"] {
            assert_eq!(session_in(&format!("{name}={value}")), Presented::None, "{name}");
        }
        let crowd: Vec<String> = (0..180).map(|n| format!("c{n}=v")).collect();
        let id = id();
        let line = format!("{}; __Host-vestibule={}", crowd.join("; "), id.reveal());
        assert_eq!(session_in(&line), Presented::One(id));
    }

    #[test]
    fn c4_odd_cookies_are_no_session() {
        let good = id().reveal();
        let rows: [(String, Presented<SessionId>); 13] = [
            (format!("__Host-vestibule=\"{good}\""), Presented::Malformed),
            (format!("$Version=1; __Host-vestibule={good}; $Path=/"), Presented::One(SessionId::parse(&good).unwrap())),
            ("a=b;;c".to_owned(), Presented::None),
            ("=value".to_owned(), Presented::None),
            (format!("=__Host-vestibule={good}"), Presented::None),
            (format!("x=\"a; __Host-vestibule={good}\""), Presented::Malformed),
            (format!("__Host-vestibule=\t{good}"), Presented::Malformed),
            (format!("__Host-vestibule ={good}"), Presented::None),
            (format!("__Host-vestibule={good}é"), Presented::Malformed),
            (format!("__Host-vestibule={}", "A".repeat(16 * 1024)), Presented::Malformed),
            ("__Host-vestibule=not base64!".to_owned(), Presented::Malformed),
            ("__Host-vestibule".to_owned(), Presented::None),
            ("__Host-vestibule=".to_owned(), Presented::Malformed),
        ];
        for (line, expected) in rows {
            assert_eq!(session_in(&line), expected, "{line}");
        }
        let raw = PresentedCookies::read(&headers(&[b"\xff\xfe=\x80; __Host-vestibule=\xff"]));
        assert_eq!(raw.session, Presented::Malformed);
    }

    #[test]
    fn c12_only_our_cookies_are_taken_out() {
        let rows: [(&[&str], Option<&str>); 12] = [
            (&["a=b; c=d"], Some("a=b; c=d")),
            (&["a=b;c=d"], Some("a=b;c=d")), // nothing of ours: not even the spelling changes
            (&["a=1; __Host-vestibule=x; b=2"], Some("a=1; b=2")),
            (&["__Host-vestibule=x"], None),
            (&["a=1", "__Host-vestibule=x; b=2", "__Host-vestibule-sign-in=y", "c=\"3\""], Some("a=1; b=2; c=\"3\"")),
            (&["b=2", "a=1"], Some("b=2; a=1")),
            (&["__HOST-Vestibule=x; a=1; __host-vestibule-other=z"], Some("a=1")),
            (&["=__Host-vestibule=x; a=1"], Some("a=1")),
            (&["= __Host-vestibule=x; a=1; __Host-vestibule"], Some("a=1")),
            (&["__Host-vestibule =x; a=1"], Some("a=1")),
            (&["__Host-other=x; vestibule=y"], Some("__Host-other=x; vestibule=y")),
            (&["__Host-vestibule=x;;;", ""], None),
        ];
        for (given, expected) in rows {
            assert_eq!(forwarded(given).as_deref(), expected, "{given:?}");
        }
        assert_eq!(forwardable(&HeaderMap::new()), Forwardable::Untouched);
        assert_eq!(forwardable(&headers(&[b"\xff=\xfe"])), Forwardable::Untouched);
    }

    /// What a field may hold, and what cookies are made of more often than the rest.
    fn octets() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
        use proptest::strategy::Just;
        let octet =
            proptest::prop_oneof![0x20_u8..=0x7e, 0x80_u8..=0xff, proptest::sample::select(b";= \t\",".to_vec()),];
        let part = proptest::prop_oneof![
            proptest::collection::vec(octet, 0..20),
            Just(b"; __Host-vestibule".to_vec()),
            Just(b";__Host-vestibule-x=".to_vec()),
            Just(b"__host-VESTIBULE=".to_vec()),
        ];
        proptest::strategy::Strategy::prop_map(proptest::collection::vec(part, 0..5), |parts| parts.concat())
    }

    proptest::proptest! {
        #[test]
        fn c4_no_header_panics_and_none_of_ours_gets_through(raw in octets(), tail in octets()) {
            let joined = [raw.as_slice(), b"; __Host-vestibule=", tail.as_slice()].concat();
            let mut headers = HeaderMap::new();
            headers.append(COOKIE, HeaderValue::from_bytes(&joined).unwrap());
            let _ = PresentedCookies::read(&headers);
            if let Forwardable::Joined(left) = forwardable(&headers) {
                assert!(!pairs(left.as_bytes()).any(is_ours));
            } else {
                assert_ne!(forwardable(&headers), Forwardable::Untouched);
            }
        }
    }
}
