//! The script in the portal's own pages, as a tag, and the small window's last page.

use std::sync::LazyLock;

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use ring::digest::{SHA256, digest};

use super::texts::InPageTexts;
use super::{FormTargets, Frame, Language, Site, assets, render};
use crate::reply::{self, Reply};

/// The script, as pages and their policies name it.
#[derive(Debug)]
pub struct InPageScript {
    /// Its path.
    pub path: &'static str,
    /// `sha256-…`.
    pub digest: String,
    /// The same as a source in a policy.
    pub source: String,
}

static SCRIPT: LazyLock<InPageScript> = LazyLock::new(|| {
    let (path, body) = assets::in_page_script();
    let digest = format!("sha256-{}", STANDARD.encode(digest(&SHA256, body)));
    InPageScript { path, source: format!("'{digest}'"), digest }
});

/// The script.
pub fn in_page_script() -> &'static InPageScript {
    &SCRIPT
}

#[derive(Template)]
#[template(path = "in_page_tag.html")]
struct Tag<'a> {
    script: &'static InPageScript,
    person: &'a str,
    by_digest: bool,
    says: &'static InPageTexts,
}

/// The tag for a page of `person`, an opaque mark; empty for nobody.
pub fn in_page_tag(language: Language, person: &str, by_digest: bool) -> Option<String> {
    let tag = Tag { script: in_page_script(), person, by_digest, says: &language.texts().in_page };
    tag.render().ok().map(|tag| tag.trim().to_owned())
}

/// Tells the page that the visitor is back, and closes the small window.
const SAY_SO: &str =
    "new BroadcastChannel('vestibule').postMessage({person:document.currentScript.dataset.person});close()";

/// What the small window's last page may do besides what every page may.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(digest(&SHA256, SAY_SO.as_bytes()));
    format!("{}; script-src 'sha256-{hash}'", reply::CONTENT_SECURITY_POLICY)
});

#[derive(Template)]
#[template(path = "signed_in.html")]
struct SignedIn<'a> {
    frame: Frame<'a>,
    person: &'a str,
    script: &'static str,
}

/// The last page of the small window: it tells the page behind it who has signed in, by an opaque mark, and closes.
pub fn signed_in(site: &Site<'_>, person: &str) -> Reply {
    let page = SignedIn { frame: Frame::of(site, |texts| texts.in_page.back_title), person, script: SAY_SO };
    let reply = render(StatusCode::OK, &page, &FormTargets::ours());
    match HeaderValue::try_from(POLICY.as_str()) {
        Ok(policy) => reply.with_header(CONTENT_SECURITY_POLICY, policy),
        Err(_) => reply, // the page behind finds out by itself
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_the_tag_is_escaped() {
        let tag = in_page_tag(Language::English, "\"><script>", true).unwrap();
        assert!(tag.starts_with("<script src=\"/.vestibule/assets/in-page-") && tag.ends_with("></script>"), "{tag}");
        assert!(tag.contains("data-person=\"&#34;&#62;&#60;script&#62;\""), "{tag}");
        assert_eq!((tag.matches("<script").count(), tag.lines().count()), (1, 1), "{tag}");
        assert!(
            tag.contains("integrity=\"sha256-")
                && !in_page_tag(Language::English, "", false).unwrap().contains("integrity")
        );
    }
}
