//! The cookies of one login, until they are a customer session.

use std::time::Duration;

use http::HeaderValue;

use super::XSRF_COOKIE;
use crate::clock::Timestamp;
use crate::http_client::Answer;
use crate::secret::Secret;
use crate::session::customer_session::SetCookie;
use crate::session::{CustomerSession, UpstreamCookie};

/// The cookies of one login. What the login sets is the session's, with the balancer's node affinity; only the XSRF
/// token is the browser's.
#[derive(Debug, Default)]
pub struct Jar {
    cookies: Vec<(UpstreamCookie, Option<Timestamp>)>,
}

impl Jar {
    /// Takes over what an answer sets and forgets.
    pub fn take(&mut self, answer: &Answer, now: Timestamp) {
        for asked in answer.set_cookies().filter_map(|value: &HeaderValue| SetCookie::parse(value, now)) {
            match asked {
                SetCookie::Hold(cookie, _) if cookie.name == XSRF_COOKIE => {}
                SetCookie::Hold(cookie, until) => {
                    self.cookies.retain(|(held, _)| held.name != cookie.name || held.path != cookie.path);
                    self.cookies.push((cookie, until));
                }
                SetCookie::Forget { name, path } => {
                    let path = path.as_deref().unwrap_or("/");
                    self.cookies.retain(|(held, _)| held.name != name || held.path != path);
                }
            }
        }
    }

    /// Adds a cookie that an answer's body names, unless its headers had it.
    pub fn add(&mut self, name: &str, value: &str, path: &str) {
        let plain =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b';' && b != b',');
        if self.holds(name) || !plain(name) || name.contains('=') || !plain(value) {
            return;
        }
        let cookie = UpstreamCookie { name: name.to_owned(), value: Secret::generated(value), path: path.to_owned() };
        self.cookies.push((cookie, None));
    }

    /// The `Cookie` header for a request to `path`.
    pub fn header(&self, path: &str) -> Option<HeaderValue> {
        let cookies = self.cookies.iter().map(|(cookie, _)| cookie.clone()).collect();
        CustomerSession::new(0, "", cookies, Timestamp::from_millis(0), None).cookie_header(path)
    }

    /// Whether there is a cookie of a name that fits.
    pub fn holds_any(&self, fits: impl Fn(&str) -> bool) -> bool {
        self.cookies.iter().any(|(cookie, _)| fits(&cookie.name))
    }

    /// The value of a cookie of that name.
    pub fn value(&self, name: &str) -> Option<&Secret> {
        self.cookies.iter().find(|(cookie, _)| cookie.name == name).map(|(cookie, _)| &cookie.value)
    }

    /// Whether there is a cookie of that name.
    pub fn holds(&self, name: &str) -> bool {
        self.cookies.iter().any(|(cookie, _)| cookie.name == name)
    }

    /// The session of these cookies. It is over with the first cookie that is, and after `max_age` at the latest.
    pub fn into_session(
        self,
        generation: u64,
        customer: &str,
        opened: Timestamp,
        max_age: Duration,
    ) -> CustomerSession {
        let end = self.cookies.iter().filter_map(|(_, until)| *until).fold(opened.after(max_age), Timestamp::min);
        let cookies = self.cookies.into_iter().map(|(cookie, _)| cookie).collect();
        CustomerSession::new(generation, customer, cookies, opened, Some(end))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000);
    const HOUR: Duration = Duration::from_secs(3600);

    fn jar(set_cookies: &[&'static str]) -> Jar {
        let mut headers = HeaderMap::new();
        for value in set_cookies {
            headers.append("set-cookie", HeaderValue::from_static(value));
        }
        let mut jar = Jar::default();
        jar.take(&Answer { status: StatusCode::OK, headers, body: Default::default() }, NOW);
        jar
    }

    #[test]
    fn the_xsrf_token_is_left_to_the_browser_and_the_balancers_cookie_is_kept() {
        let jar = jar(&["JSESSIONID=a; Path=/; HttpOnly", "atlassian.xsrf.token=x_lin; Path=/", "ROUTEID=.2; Path=/"]);
        let session = jar.into_session(3, "ana", NOW, HOUR);
        assert_eq!(session.cookie_header("/").unwrap(), "JSESSIONID=a; ROUTEID=.2");
        assert_eq!(session.expires(), Some(NOW.after(HOUR)));
    }

    #[test]
    fn the_last_value_counts_and_the_first_end() {
        let jar = jar(&["JSESSIONID=a", "JSESSIONID=b", "seraph.rememberme.cookie=c; Max-Age=60", "gone=; Max-Age=0"]);
        let session = jar.into_session(1, "ana", NOW, HOUR);
        assert_eq!(session.cookie_header("/").unwrap(), "JSESSIONID=b; seraph.rememberme.cookie=c");
        assert_eq!(session.expires(), Some(Timestamp::from_seconds(1_060)));
    }

    #[test]
    fn a_cookie_from_the_body_is_not_trusted_to_be_plain() {
        let mut jar = Jar::default();
        for (name, value) in [("a", "b;c"), ("a=b", "c"), ("", "c"), ("a", "x\r\ny"), ("a", "")] {
            jar.add(name, value, "/");
        }
        assert!(jar.cookies.is_empty());
        jar.add("JSESSIONID", "1", "/");
        assert!(jar.holds("JSESSIONID"));
    }
}
