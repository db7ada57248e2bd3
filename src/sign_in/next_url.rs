//! Where the visitor wanted to go. Trusts nothing: a next URL comes from a stranger's request, and a wrong one would
//! make us the first step of somebody else's phishing (open redirect).

use std::fmt;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use url::Url;

use super::browser::is_token;

/// Below it stand the pages about kept forms, by handle.
pub const KEPT_FORMS: &str = "/.vestibule/kept/";

/// The last page of the small window in which a visitor signs in beside a page of the portal.
pub const SIGNED_IN: &str = "/.vestibule/signed-in";

/// A path, perhaps with a query, on the host it was asked on; never one of our own pages, but where this module
/// makes it. At most 4 KiB.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NextUrl(Arc<str>);

/// The text is not a path on this host that somebody may be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a plain path on this host")]
pub struct InvalidNextUrl;

impl NextUrl {
    /// The longest that is kept, in bytes.
    pub const MAX: usize = 4096;

    /// Reads a request target. On an error the caller falls back to [`NextUrl::root`].
    ///
    /// # Errors
    /// When a browser could read it as another host, when it means something else to another parser (dot segments,
    /// encoded slashes, controls, `;` parameters), or when it is one of our own pages.
    pub fn parse(raw: &str) -> Result<Self, InvalidNextUrl> {
        let printable = raw.bytes().all(|byte| (0x21..=0x7e).contains(&byte) && byte != b'\\' && byte != b'#');
        if !printable || raw.len() > Self::MAX {
            return Err(InvalidNextUrl);
        }
        let path = raw.split('?').next().unwrap_or_default();
        if !path.starts_with('/') || path.starts_with("//") || !plain_path(path) {
            return Err(InvalidNextUrl);
        }
        // The rules above are ours; what counts is what a browser makes of it (WHATWG URL).
        let here = Url::parse("https://our.test").map_err(|_| InvalidNextUrl)?;
        let there = here.join(raw).map_err(|_| InvalidNextUrl)?;
        let same = there.origin() == here.origin() && there.username().is_empty() && there.password().is_none();
        same.then(|| Self(raw.into())).ok_or(InvalidNextUrl)
    }

    /// Where a browser goes that has walked a test sign-in.
    pub(in crate::sign_in) fn after_trial() -> Self {
        Self(super::trial::OVER.into())
    }

    /// Back to the home of a group, in the middle of a round.
    pub(in crate::sign_in) fn of_round(target: &str) -> Self {
        Self(target.into())
    }

    /// The page about a kept form: `path` is [`KEPT_FORMS`] and a handle, and nothing else.
    pub fn kept_form(path: &str) -> Option<Self> {
        path.strip_prefix(KEPT_FORMS).is_some_and(is_token).then(|| Self(path.into()))
    }

    /// The last page of the small window in which a visitor signs in beside a page of the portal.
    pub fn signed_in() -> Self {
        Self(SIGNED_IN.into())
    }

    /// `/`.
    pub fn root() -> Self {
        Self("/".into())
    }

    /// The path and the query.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether every parser agrees on the segments of `path`, and none of them leads to our own pages.
fn plain_path(path: &str) -> bool {
    let escapes = path.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    let slashes = |text: &[u8]| text.iter().filter(|byte| **byte == b'/').count();
    let odd = decoded.iter().any(|byte| *byte < 0x20 || matches!(byte, 0x7f | b'\\' | b';'));
    let dots = decoded.split(|byte| *byte == b'/').any(|segment| matches!(segment, b"." | b".."));
    let first = decoded.split(|byte| *byte == b'/').nth(1).unwrap_or_default();
    let ours = first.eq_ignore_ascii_case(b".vestibule");
    escapes && !odd && !dots && !ours && slashes(&decoded) == slashes(path.as_bytes())
}

impl Default for NextUrl {
    fn default() -> Self {
        Self::root()
    }
}

impl fmt::Display for NextUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The path alone: a query may carry what is nobody's business.
impl fmt::Debug for NextUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NextUrl({})", self.0.split('?').next().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Section 3.6 of the cases.
    #[test]
    fn b25_open_redirects_are_refused() {
        let nested = (0..50).fold("/".to_owned(), |inner, _| format!("/.vestibule/sign-in?next={inner}"));
        let long = format!("/{}", "a".repeat(10 * 1024));
        for wrong in [
            "//evil.test",
            "///evil.test",
            "////evil.test",
            "/\\evil.test",
            "\\/evil.test",
            "\\\\evil.test",
            "/\\/evil.test",
            "/%5cevil.test",
            "/%2fevil.test",
            "/%2f%2fevil.test",
            "%2f%2fevil.test",
            "/%09/evil.test",
            "/\t/evil.test",
            "/\n/evil.test",
            "/%0d/evil.test",
            "/%0d%0aSet-Cookie:x",
            "/嘊嘍x",
            "/.//evil.test",
            "/..//evil.test",
            "/./\\evil.test",
            "/%2e%2e//evil.test",
            "https:evil.test",
            "https:/evil.test",
            "https:///evil.test",
            "https://evil.test",
            "https:\\\\evil.test",
            "HTTPS://evil.test",
            " https://evil.test",
            "\x01https://evil.test",
            "https://our.test@evil.test",
            "https://our.test:443@evil.test",
            "https://our.test\\@evil.test",
            "https://evil.test#our.test",
            "https://evil.test?our.test",
            "https://evil.test\\.our.test",
            "https://our.test.evil.test",
            "https://evilour.test",
            "https://our.test%00.evil.test",
            "https://our.test%2eevil.test",
            "https://our。test",
            "https://ｅvil.test",
            "https://[::1]",
            "https://2130706433",
            "http://our.test",
            "https://our.test",
            "https://our.test:8443",
            "javascript:alert(1)",
            "java%0ascript:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "//our.test/..//evil.test",
            "?rd=//evil.test",
            "/path;@evil.test",
            "/a%3b/b",
            "/a b",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%00",
            "/a#b",
            "",
            "null",
            &nested,
            &long,
            "/.vestibule",
            "/.vestibule/",
            "/.vestibule/sign-out",
            "/.VESTIBULE/sign-out",
            "/%2evestibule/sign-out",
            "/.vestibul%65/sign-out",
            "/.vestibule?x",
            "/x/../.vestibule/sign-out",
        ] {
            assert_eq!(NextUrl::parse(wrong), Err(InvalidNextUrl), "{wrong:?}");
        }
    }

    #[test]
    fn b25_paths_on_this_host_are_kept_as_they_are() {
        for right in [
            "/",
            "/servicedesk/customer/portal/7?group=12&q=a%20b%2F..%2F",
            "/@evil.test",
            "/redirect?u=https://evil.test",
            "/a//b",
            "/caf%C3%A9",
            "/x/.vestibule/y",
            "/.vestibules",
            "/?x=/.vestibule/sign-out",
            "/a:b",
        ] {
            assert_eq!(NextUrl::parse(right).unwrap().as_str(), right);
        }
        assert!(NextUrl::parse(&format!("/{}", "a".repeat(NextUrl::MAX - 1))).is_ok());
        assert!(NextUrl::parse(&format!("/{}", "a".repeat(NextUrl::MAX))).is_err());
    }

    #[test]
    fn debug_leaves_out_the_query() {
        assert_eq!(format!("{:?}", NextUrl::parse("/a?token=1").unwrap()), "NextUrl(/a)");
    }

    fn stays_here(raw: &str) -> Result<(), TestCaseError> {
        if let Ok(next) = NextUrl::parse(raw) {
            let here: Url = "https://our.test/deep/page?x".parse().unwrap();
            let there = here.join(next.as_str()).unwrap();
            prop_assert_eq!(there.origin(), here.origin());
            prop_assert!(there.username().is_empty() && there.password().is_none());
            prop_assert!(!there.path().to_ascii_lowercase().starts_with("/.vestibule/"));
            prop_assert!(!there.path().starts_with("//"));
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn whatever_parses_stays_on_this_host(raw in "\\PC{0,60}") {
            stays_here(&raw)?;
        }

        #[test]
        fn whatever_parses_stays_on_this_host_nastily(
            raw in "[/\\\\.%25cfe@:?#;hVvestibul\t\n\r]{0,24}",
        ) {
            stays_here(&format!("/{raw}"))?;
        }
    }
}
