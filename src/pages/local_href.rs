//! Links that stay on the portal.

use std::fmt;

use serde::Serialize;
use url::Url;

/// A link to a place on the same host: a path, perhaps with a query, never another site and never a script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct LocalHref(String);

/// The text is not a path on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a local link starts with one slash and stays on its host")]
pub struct InvalidLocalHref;

impl LocalHref {
    /// The portal's start page.
    pub fn start() -> Self {
        Self("/".to_owned())
    }

    /// Reads a path with an optional query.
    ///
    /// # Errors
    /// When it does not start with exactly one slash, holds a backslash or anything outside visible ASCII, or when a
    /// browser's URL parser (WHATWG) would leave the host.
    pub fn parse(raw: &str) -> Result<Self, InvalidLocalHref> {
        let rooted = raw.starts_with('/') && !raw.starts_with("//");
        let plain = raw.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
        (rooted && plain && stays(raw)).then(|| Self(raw.to_owned())).ok_or(InvalidLocalHref)
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a browser that follows `raw` stays on its host, and a second look at the result would not leave it either.
fn stays(raw: &str) -> bool {
    let Ok(base) = Url::parse("https://portal.invalid/") else { return false };
    base.join(raw).is_ok_and(|there| there.origin() == base.origin() && !there.path().starts_with("//"))
}

impl fmt::Display for LocalHref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_on_the_host() {
        for good in ["/", "/reports/7?x=1&y=%20", "/@evil.test", "/%5cevil.test", "/a#b"] {
            assert_eq!(LocalHref::parse(good).unwrap().as_str(), good);
        }
        for wrong in [
            "",
            "null",
            "reports",
            "//evil.test",
            "///evil.test",
            "/\\evil.test",
            "\\/evil.test",
            "/.//evil.test",
            "/..//evil.test",
            "/./\\evil.test",
            "/\t/evil.test",
            "/\n/evil.test",
            "https://evil.test",
            " /",
            "javascript:alert(1)",
            "data:text/html,x",
            "/a b",
            "/é",
        ] {
            assert_eq!(LocalHref::parse(wrong), Err(InvalidLocalHref), "{wrong:?}");
        }
    }
}
