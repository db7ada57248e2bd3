//! The upstream cookies that make JSM see a customer, and the token that does where it takes one. Held for the session,
//! sealed in its record, never shown to the browser, never logged. The broker opens and renews them; this is the value alone.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use cookie::Cookie;
use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::secret::Secret;

/// One upstream cookie that belongs to a customer session.
#[derive(Clone)]
pub struct UpstreamCookie {
    /// The cookie's name.
    pub name: String,
    /// Its value, a bearer secret.
    pub value: Secret,
    /// The path below which the upstream wants it; `/` for everywhere.
    pub path: String,
}

/// What a `Set-Cookie` of the upstream asks for.
#[derive(Debug)]
pub enum SetCookie {
    /// To hold this cookie, until then if it says so.
    Hold(UpstreamCookie, Option<Timestamp>),
    /// To forget the cookie of that name and path.
    Forget {
        /// The cookie's name.
        name: String,
        /// The path, when one is told.
        path: Option<String>,
    },
}

impl SetCookie {
    /// Reads one `Set-Cookie` value (RFC 6265, 5.2). `None` when it is none, or holds what no `Cookie` header may carry.
    pub fn parse(value: &HeaderValue, now: Timestamp) -> Option<Self> {
        let cookie = Cookie::parse(value.to_str().ok()?).ok()?;
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() && b != b';' && b != b',');
        if cookie.name().is_empty() || !plain(cookie.name()) || !cookie.value().bytes().all(|b| b.is_ascii_graphic()) {
            return None;
        }
        let (name, path) = (cookie.name().to_owned(), cookie.path().filter(|path| path.starts_with('/')));
        let path = path.map(str::to_owned);
        // Max-Age is stronger than Expires (RFC 6265, 5.3).
        let expires = match (cookie.max_age(), cookie.expires_datetime()) {
            (Some(age), _) => Some(now.after(age.try_into().unwrap_or_default())),
            (None, Some(at)) => Some(Timestamp::from_seconds(at.unix_timestamp())),
            (None, None) => None,
        };
        if cookie.value().is_empty() || expires.is_some_and(|at| at <= now) {
            return Some(Self::Forget { name, path });
        }
        let value = Secret::generated(cookie.value());
        Some(Self::Hold(UpstreamCookie { name, value, path: path.unwrap_or_else(|| "/".to_owned()) }, expires))
    }
}

/// The most cookies that one customer session takes over from the upstream.
const MOST_COOKIES: usize = 16;

/// A signed token that tells the upstream who the visitor is, and where it goes in a request. It lives in memory alone: what
/// is written of a customer session leaves it out.
#[derive(Clone)]
pub struct Assertion {
    /// The header field, ready to be sent, when the token goes in one.
    pub header: Option<(HeaderName, HeaderValue)>,
    /// The cookie's name and value, when the token goes in one.
    pub cookie: Option<(String, Secret)>,
}

/// The upstream cookies of one customer, as the upstream gave them at one moment. A new sign-in there, or a renewed
/// cookie, is a new value with a higher generation.
#[derive(Clone)]
pub struct CustomerSession {
    generation: u64,
    customer: String,
    cookies: Vec<UpstreamCookie>,
    opened: Timestamp,
    expires: Option<Timestamp>,
    assertion: Option<Arc<Assertion>>,
    /// The whole `Cookie` header, when no cookie is for a part of the site only.
    everywhere: Option<HeaderValue>,
    /// The site that it is of.
    site: Option<Arc<str>>,
    /// The node of the site that knows it, where one does and the others do not.
    node: Option<SocketAddr>,
}

impl CustomerSession {
    /// The session of `customer` (user name or account id), opened at `opened`, over at `expires` if that is known.
    pub fn new(
        generation: u64,
        customer: impl Into<String>,
        mut cookies: Vec<UpstreamCookie>,
        opened: Timestamp,
        expires: Option<Timestamp>,
    ) -> Self {
        // Longer paths stand first (RFC 6265, 5.4).
        cookies.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let everywhere = ready(&cookies, None);
        let customer = customer.into();
        Self { generation, customer, cookies, opened, expires, assertion: None, everywhere, site: None, node: None }
    }

    /// The same with a token beside the cookies. Its end is that of the customer session.
    #[must_use]
    pub fn with_assertion(self, assertion: Option<Arc<Assertion>>) -> Self {
        let everywhere = ready(&self.cookies, assertion.as_deref());
        Self { assertion, everywhere, ..self }
    }

    /// The same under another generation.
    #[must_use]
    pub fn of_generation(self, generation: u64) -> Self {
        Self { generation, ..self }
    }

    /// The same, of that site: it is sent to no other.
    #[must_use]
    pub fn of_site(self, site: Option<Arc<str>>) -> Self {
        Self { site, ..self }
    }

    /// The site that it is of.
    pub fn site(&self) -> Option<&Arc<str>> {
        self.site.as_ref()
    }

    /// The same, at that node of the site.
    #[must_use]
    pub fn at_node(self, node: Option<SocketAddr>) -> Self {
        Self { node, ..self }
    }

    /// The node of the site that knows it, where one does and the others do not.
    pub fn node(&self) -> Option<SocketAddr> {
        self.node
    }

    /// Counts the customer sessions of one session upwards: what is newer wins.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whom JSM sees: user name or account id.
    pub fn customer(&self) -> &str {
        &self.customer
    }

    /// The cookies, longer paths first.
    pub fn cookies(&self) -> &[UpstreamCookie] {
        &self.cookies
    }

    /// When it was opened.
    pub fn opened(&self) -> Timestamp {
        self.opened
    }

    /// When it is over, as far as the upstream has told.
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// The `Cookie` header for a request to `path`, marked sensitive. Costs nothing when all cookies are for `/`.
    pub fn cookie_header(&self, path: &str) -> Option<HeaderValue> {
        match &self.everywhere {
            Some(whole) => Some(whole.clone()),
            None => {
                header(self.cookies.iter().filter(|cookie| path_matches(path, &cookie.path)), self.assertion.as_deref())
            }
        }
    }

    /// The header field with the token, marked sensitive, when there is one.
    pub fn assertion_header(&self) -> Option<&(HeaderName, HeaderValue)> {
        self.assertion.as_ref()?.header.as_ref()
    }

    /// Whether a cookie of that name is held, so that the browser's must not reach the upstream beside it.
    pub fn holds(&self, name: &str) -> bool {
        self.cookies.iter().any(|cookie| cookie.name == name) || self.asserts_by(name)
    }

    /// Whether the token goes in a cookie of that name, which is never the upstream's to set.
    fn asserts_by(&self, name: &str) -> bool {
        self.assertion.as_ref().and_then(|assertion| assertion.cookie.as_ref()).is_some_and(|(ours, _)| ours == name)
    }

    /// Takes over what the upstream says about the cookies that are held, and about those that it `adopts` by their name: a
    /// new value of the next generation when something changed, `None` when nothing did. Other cookies are the browser's.
    pub fn absorb<'a>(
        &self,
        set_cookies: impl IntoIterator<Item = &'a HeaderValue>,
        adopts: impl Fn(&str) -> bool,
        now: Timestamp,
    ) -> Option<Self> {
        let mut said = set_cookies.into_iter().filter_map(|value| SetCookie::parse(value, now)).peekable();
        said.peek()?; // most answers say nothing
        let mut cookies = self.cookies.clone();
        let mut changed = false;
        for asked in said {
            match asked {
                SetCookie::Hold(new, _) => {
                    let more = cookies.len() < MOST_COOKIES && adopts(&new.name) && !self.asserts_by(&new.name);
                    let held = |old: &&mut UpstreamCookie| old.name == new.name && old.path == new.path;
                    match cookies.iter_mut().find(held) {
                        Some(old) if old.value.reveal() == new.value.reveal() => {}
                        Some(old) => {
                            *old = new;
                            changed = true;
                        }
                        None if more => {
                            cookies.push(new);
                            changed = true;
                        }
                        None => {}
                    }
                }
                SetCookie::Forget { name, path } => {
                    let before = cookies.len();
                    let path = path.as_deref().unwrap_or("/");
                    cookies.retain(|cookie| cookie.name != name || cookie.path != path);
                    changed |= cookies.len() != before;
                }
            }
        }
        let next = self.generation.saturating_add(1);
        changed.then(|| {
            let renewed = Self::new(next, self.customer.clone(), cookies, self.opened, self.expires);
            renewed.with_assertion(self.assertion.clone()).of_site(self.site.clone()).at_node(self.node)
        })
    }

    /// What is written into the record. A token is not: whoever reads it back has a customer session that is over, with the
    /// cookies that are good still.
    pub(super) fn text(&self) -> CustomerSessionText<'_> {
        CustomerSessionText {
            generation: self.generation,
            customer: Cow::Borrowed(&self.customer),
            cookies: self
                .cookies
                .iter()
                .map(|cookie| CookieText {
                    name: Cow::Borrowed(&cookie.name),
                    value: Cow::Borrowed(cookie.value.reveal()),
                    path: Cow::Borrowed(&cookie.path),
                })
                .collect(),
            opened: self.opened,
            expires: if self.assertion.is_some() { Some(self.opened) } else { self.expires },
            site: self.site.as_deref().map(Cow::Borrowed),
            node: self.node,
        }
    }

    /// Reads what [`CustomerSession::text`] wrote.
    pub(super) fn from_text(text: CustomerSessionText<'_>) -> Self {
        let cookies = text.cookies.into_iter().map(|cookie| UpstreamCookie {
            name: cookie.name.into_owned(),
            value: Secret::generated(cookie.value.into_owned()),
            path: cookie.path.into_owned(),
        });
        let site = text.site.map(Arc::from);
        let session = Self::new(text.generation, text.customer, cookies.collect(), text.opened, text.expires);
        session.of_site(site).at_node(text.node)
    }
}

/// The names, and no value.
impl fmt::Debug for CustomerSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomerSession")
            .field("generation", &self.generation)
            .field("customer", &self.customer)
            .field("cookies", &self.cookies)
            .field("opened", &self.opened)
            .field("expires", &self.expires)
            .field("token", &self.assertion.is_some())
            .field("node", &self.node)
            .finish()
    }
}

/// Where it goes, and not what it says.
impl fmt::Debug for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = self.header.as_ref().map(|(name, _)| name);
        let cookie = self.cookie.as_ref().map(|(name, _)| name);
        f.debug_struct("Assertion").field("header", &header).field("cookie", &cookie).finish()
    }
}

impl fmt::Debug for UpstreamCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=..; Path={}", self.name, self.path)
    }
}

/// A customer session with its values in clear: exists only on the way into and out of the sealed record.
#[derive(Serialize, Deserialize)]
pub(super) struct CustomerSessionText<'a> {
    generation: u64,
    customer: Cow<'a, str>,
    cookies: Vec<CookieText<'a>>,
    opened: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    site: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<SocketAddr>,
}

#[derive(Serialize, Deserialize)]
struct CookieText<'a> {
    name: Cow<'a, str>,
    value: Cow<'a, str>,
    path: Cow<'a, str>,
}

/// The header for every path, when there is one for all of them.
fn ready(cookies: &[UpstreamCookie], assertion: Option<&Assertion>) -> Option<HeaderValue> {
    cookies.iter().all(|cookie| cookie.path == "/").then(|| header(cookies.iter(), assertion)).flatten()
}

fn header<'a>(cookies: impl Iterator<Item = &'a UpstreamCookie>, assertion: Option<&Assertion>) -> Option<HeaderValue> {
    let mut text = zeroize::Zeroizing::new(String::new());
    let cookies = cookies.map(|cookie| (&cookie.name, &cookie.value));
    let asserted = assertion.and_then(|assertion| assertion.cookie.as_ref()).map(|(name, value)| (name, value));
    for (name, value) in cookies.chain(asserted) {
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(name);
        text.push('=');
        text.push_str(value.reveal());
    }
    if text.is_empty() {
        return None;
    }
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// RFC 6265, 5.1.4.
fn path_matches(request: &str, cookie: &str) -> bool {
    match request.strip_prefix(cookie) {
        Some(rest) => rest.is_empty() || cookie.ends_with('/') || rest.starts_with('/'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000);

    fn cookie(name: &str, value: &str, path: &str) -> UpstreamCookie {
        UpstreamCookie { name: name.into(), value: Secret::generated(value), path: path.into() }
    }

    fn session(cookies: Vec<UpstreamCookie>) -> CustomerSession {
        CustomerSession::new(7, "ana@acme.com", cookies, NOW, None)
    }

    fn absorbed(session: &CustomerSession, set_cookies: &[&str]) -> Option<CustomerSession> {
        let values: Vec<HeaderValue> = set_cookies.iter().map(|value| HeaderValue::from_str(value).unwrap()).collect();
        session.absorb(&values, |name| name == "adopted", NOW)
    }

    #[test]
    fn the_header_is_ready_and_sensitive() {
        let session = session(vec![cookie("JSESSIONID", "abc", "/"), cookie("seraph", "d%3Ae", "/")]);
        let header = session.cookie_header("/any").unwrap();
        assert_eq!(header, "JSESSIONID=abc; seraph=d%3Ae");
        assert!(header.is_sensitive());
    }

    #[test]
    fn cookies_go_only_below_their_path() {
        let session = session(vec![cookie("a", "1", "/"), cookie("b", "2", "/servicedesk")]);
        assert_eq!(session.cookie_header("/servicedesk/customer").unwrap(), "b=2; a=1");
        assert_eq!(session.cookie_header("/servicedesk").unwrap(), "b=2; a=1");
        assert_eq!(session.cookie_header("/servicedesks").unwrap(), "a=1");
    }

    #[test]
    fn only_held_cookies_are_absorbed() {
        let session = session(vec![cookie("JSESSIONID", "abc", "/"), cookie("xsrf", "x", "/")]);
        assert!(absorbed(&session, &["theme=dark; Path=/", "JSESSIONID=abc; Path=/; HttpOnly"]).is_none());
        assert!(absorbed(&session, &["JSESSIONID=other; Path=/elsewhere", "", "="]).is_none());
        let next = absorbed(&session, &["JSESSIONID=new; Path=/; Secure", "theme=dark"]).unwrap();
        assert_eq!(next.generation(), 8);
        assert_eq!(next.cookie_header("/").unwrap(), "JSESSIONID=new; xsrf=x");
    }

    fn asserted(session: CustomerSession) -> CustomerSession {
        let header = (HeaderName::from_static("x-token"), HeaderValue::from_static("top.secret.token"));
        let cookie = ("Token".to_owned(), Secret::generated("top.secret.token"));
        session.with_assertion(Some(Arc::new(Assertion { header: Some(header), cookie: Some(cookie) })))
    }

    #[test]
    fn a_token_goes_beside_the_cookies_and_stays_when_they_change() {
        let asserted = asserted(session(Vec::new()));
        assert_eq!(asserted.cookie_header("/").unwrap(), "Token=top.secret.token");
        assert!(asserted.holds("Token") && asserted.cookie_header("/").unwrap().is_sensitive());
        assert!(absorbed(&asserted, &["Token=planted; Path=/", "adapted=1"]).is_none(), "never the upstream's to set");
        let next = absorbed(&asserted, &["adopted=1; Path=/jira; HttpOnly"]).unwrap().of_generation(11);
        assert_eq!((next.generation(), next.assertion_header().is_some()), (11, true));
        assert_eq!(next.cookie_header("/jira/x").unwrap(), "adopted=1; Token=top.secret.token");
        assert_eq!(next.cookie_header("/").unwrap(), "Token=top.secret.token");
        let many: Vec<String> = (0..40).map(|n| format!("adopted=1; Path=/{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(absorbed(&asserted, &many).unwrap().cookies().len(), MOST_COOKIES);
    }

    #[test]
    fn a_token_is_not_written_and_what_is_read_back_is_over() {
        let asserted = asserted(session(vec![cookie("JSESSIONID", "abc", "/")]));
        let text = serde_json::to_string(&asserted.text()).unwrap();
        assert!(!text.contains("top.secret.token") && !format!("{asserted:?}").contains("top.secret.token"), "{text}");
        let back = CustomerSession::from_text(serde_json::from_str(&text).unwrap());
        assert_eq!((back.expires(), back.assertion_header().is_none()), (Some(NOW), true));
        assert_eq!(back.cookie_header("/").unwrap(), "JSESSIONID=abc");
    }

    #[test]
    fn forgotten_cookies_go() {
        let session = session(vec![cookie("JSESSIONID", "abc", "/"), cookie("xsrf", "x", "/")]);
        for gone in
            ["xsrf=; Path=/", "xsrf=x; Max-Age=0; Path=/", "xsrf=x; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT"]
        {
            assert_eq!(absorbed(&session, &[gone]).unwrap().cookie_header("/").unwrap(), "JSESSIONID=abc", "{gone}");
        }
    }

    #[test]
    fn set_cookie_tells_when_it_ends() {
        let parse = |text: &str| SetCookie::parse(&HeaderValue::from_str(text).unwrap(), NOW);
        let Some(SetCookie::Hold(held, Some(until))) = parse("a=b; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT")
        else {
            panic!("held");
        };
        assert_eq!((held.value.reveal(), held.path.as_str(), until), ("b", "/", Timestamp::from_seconds(1_060)));
        assert!(parse("no equals sign").is_none());
    }

    #[test]
    fn debug_shows_no_value() {
        let shown = format!("{:?}", session(vec![cookie("JSESSIONID", "top-secret", "/")]));
        assert!(shown.contains("JSESSIONID") && !shown.contains("top-secret"), "{shown}");
    }

    #[test]
    fn the_text_reads_back() {
        let session = session(vec![cookie("a", "1", "/"), cookie("b", "2", "/x")]);
        let text = serde_json::to_string(&session.text()).unwrap();
        let back = CustomerSession::from_text(serde_json::from_str(&text).unwrap());
        assert_eq!(back.cookie_header("/x"), session.cookie_header("/x"));
        assert_eq!((back.generation(), back.customer()), (7, "ana@acme.com"));
    }
}
