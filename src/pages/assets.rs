//! The stylesheet, the icon and the script for the portal's own pages: part of the program, and named by their content.

use std::sync::LazyLock;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};

use crate::reply::Reply;

/// The folder of the assets.
pub const ASSETS: &str = "/.vestibule/assets/";

struct Asset {
    prefix: &'static str,
    suffix: &'static str,
    content_type: HeaderValue,
    body: &'static [u8],
    hash: String,
    path: String,
}

static STYLESHEET: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("page-", ".css", "text/css; charset=utf-8", include_bytes!("../../templates/page.css"))
});

static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("mark-", ".svg", "image/svg+xml", include_bytes!("../../templates/mark.svg")));

static IN_PAGE: LazyLock<Asset> = LazyLock::new(|| {
    let body = include_bytes!("../../templates/in_page.js");
    Asset::new("in-page-", ".js", "text/javascript; charset=utf-8", body)
});

/// The script for the portal's own pages: its path, and its bytes.
pub(super) fn in_page_script() -> (&'static str, &'static [u8]) {
    (&IN_PAGE.path, IN_PAGE.body)
}

/// The path of the stylesheet.
pub(super) fn stylesheet_path() -> &'static str {
    &STYLESHEET.path
}

/// The path of the icon. Without one, browsers would ask for `/favicon.ico`, and so start a sign-in.
pub(super) fn icon_path() -> &'static str {
    &ICON.path
}

/// The asset at `path`, if there is one.
///
/// Takes the request's headers for `If-None-Match`. A name from another release of this program gets this release's
/// content, not to be kept: while several gateways are updated one by one, no page goes without its style.
pub fn asset(path: &str, headers: &HeaderMap) -> Option<Reply> {
    let name = path.strip_prefix(ASSETS)?;
    [&*STYLESHEET, &*ICON, &*IN_PAGE].into_iter().find_map(|asset| asset.reply(name, headers))
}

impl Asset {
    fn new(prefix: &'static str, suffix: &'static str, content_type: &'static str, body: &'static [u8]) -> Self {
        let hash = hash(body);
        let path = format!("{ASSETS}{prefix}{hash}{suffix}");
        Self { prefix, suffix, content_type: HeaderValue::from_static(content_type), body, hash, path }
    }

    fn reply(&self, name: &str, headers: &HeaderMap) -> Option<Reply> {
        let hash = name.strip_prefix(self.prefix)?.strip_suffix(self.suffix)?;
        let etag = HeaderValue::try_from(format!("\"{}\"", self.hash)).ok()?;
        if hash == self.hash {
            let reply = || Reply::asset(self.content_type.clone(), Bytes::from_static(self.body), etag.clone());
            return Some(if is_known(headers, &etag) { Reply::asset_unchanged(etag) } else { reply() });
        }
        let plausible = hash.len() == self.hash.len() && hash.bytes().all(|b| b.is_ascii_hexdigit());
        plausible.then(|| {
            Reply::asset(self.content_type.clone(), Bytes::from_static(self.body), etag)
                .with_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
        })
    }
}

/// Sixteen hexadecimal digits that tell one content from another.
pub(super) fn hash(body: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, body);
    digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Whether the browser has what `etag` names.
pub(super) fn is_known(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    headers.get_all(header::IF_NONE_MATCH).iter().any(|value| lists(value, etag))
}

/// Whether `If-None-Match` names `etag`; weak comparison (RFC 9110 13.1.2).
fn lists(value: &HeaderValue, etag: &HeaderValue) -> bool {
    let mut tags = value.as_bytes().split(|b| *b == b',').map(<[u8]>::trim_ascii);
    tags.any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str, if_none_match: Option<&str>) -> Option<Reply> {
        let mut headers = HeaderMap::new();
        if let Some(value) = if_none_match {
            headers.insert(header::IF_NONE_MATCH, value.parse().unwrap());
        }
        asset(path, &headers)
    }

    #[test]
    fn assets_are_kept_for_ever_under_their_own_name() {
        for (path, content_type) in [(stylesheet_path(), "text/css; charset=utf-8"), (icon_path(), "image/svg+xml")] {
            let reply = get(path, None).unwrap();
            assert_eq!(reply.status(), 200);
            assert_eq!(reply.headers()["content-type"], content_type);
            assert_eq!(reply.headers()["cache-control"], "public, max-age=31536000, immutable");
            assert_eq!(reply.headers()["x-content-type-options"], "nosniff");
            assert_eq!(reply.headers()["content-length"], reply.body().len().to_string());

            let etag = reply.headers()["etag"].to_str().unwrap();
            for known in [etag.to_owned(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".to_owned()] {
                let again = get(path, Some(&known)).unwrap();
                assert_eq!(again.status(), 304, "{known}");
                assert!(again.body().is_empty());
            }
            assert_eq!(get(path, Some("\"x\"")).unwrap().status(), 200);
        }
    }

    #[test]
    fn another_release_gets_a_style_that_is_not_kept() {
        let reply = get("/.vestibule/assets/page-0123456789abcdef.css", Some("*")).unwrap();
        assert_eq!(reply.status(), 200);
        assert_eq!(reply.headers()["cache-control"], "no-store");
    }

    #[test]
    fn there_is_nothing_else() {
        for path in [
            "/",
            "/.vestibule/assets/",
            "/.vestibule/assets/page.css",
            "/.vestibule/assets/page-.css",
            "/.vestibule/assets/page-x123456789abcdef.css",
            "/.vestibule/assets/../page-0123456789abcdef.css",
            "/.vestibule/assets/page-0123456789abcdef.css/",
            "/.VESTIBULE/assets/page-0123456789abcdef.css",
            "/.vestibule/assets/page-é123456789abcde.css",
        ] {
            assert!(get(path, None).is_none(), "{path}");
        }
    }
}
