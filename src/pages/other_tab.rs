//! Pages that notice when the visitor has signed in in another tab, and go on by themselves: the one that waits for it, and
//! those that lead to a provider. The script is one constant text, allowed by its hash; where to go on stands beside it.

use std::sync::LazyLock;

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use ring::digest::{SHA256, digest};

use super::{FormTargets, Frame, LocalHref, Site, render};
use crate::reply::{self, Reply};

/// Asks every two seconds, while somebody looks at the page, and at once when they come back to it.
///
/// A page that leads to a provider leaves a note in its tab. The tab that then gets the page that waits, because somebody has
/// loaded it again or gone back, finds that it is the one that is waited for, and goes on.
const SCRIPT: &str = "(({next,here})=>{const look=async()=>{if(document.hidden)return;try{\
const answer=await fetch('/.vestibule/session',{cache:'no-store'});if((await answer.json()).signed_in)location.replace(next)}\
catch{}};setInterval(look,2000);addEventListener('visibilitychange',look);addEventListener('pageshow',look);\
try{const note='vestibule-sign-in',now=Date.now();if(!here)sessionStorage.setItem(note,now);\
else if(now-sessionStorage.getItem(note)<15000)location.replace(here)}catch{}})\
(document.currentScript.dataset)";

#[derive(Template)]
#[template(
    source = "<script data-next=\"{{ next }}\"{% if let Some(here) = here %} data-here=\"{{ here }}\"{% endif %}>{{ script|safe }}</script>",
    ext = "html"
)]
struct Watch<'a> {
    next: &'a str,
    here: Option<&'a str>,
    script: &'static str,
}

/// The script for a page that leads to a provider, from which the visitor goes on to `next` once they are signed in; nothing
/// without one.
pub(super) fn watch(next: Option<&LocalHref>) -> String {
    next.map(|next| script(next, None)).unwrap_or_default()
}

fn script(next: &LocalHref, here: Option<&LocalHref>) -> String {
    let tag = Watch { next: next.as_str(), here: here.map(LocalHref::as_str), script: SCRIPT };
    tag.render().unwrap_or_default()
}

static SOURCES: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(digest(&SHA256, SCRIPT.as_bytes()));
    format!("; script-src 'sha256-{hash}'; connect-src 'self'")
});

/// Lets a page run the script.
pub(super) fn with_watch(reply: Reply) -> Reply {
    let policy = reply.headers().get(CONTENT_SECURITY_POLICY).and_then(|policy| policy.to_str().ok());
    let policy = format!("{}{}", policy.unwrap_or(reply::CONTENT_SECURITY_POLICY), *SOURCES);
    match HeaderValue::try_from(policy) {
        Ok(policy) => reply.with_header(CONTENT_SECURITY_POLICY, policy),
        Err(_) => reply, // the links work without
    }
}

#[derive(Template)]
#[template(path = "waits_for_tab.html")]
struct WaitsForTab<'a> {
    frame: Frame<'a>,
    here: &'a LocalHref,
    watch: String,
}

/// Another tab is on its way to sign in: waits for it and goes on to `next`; or signs in `here`, if the visitor would rather.
pub fn waits_for_tab(site: &Site<'_>, next: &LocalHref, here: &LocalHref) -> Reply {
    let page =
        WaitsForTab { frame: Frame::of(site, |texts| texts.other_tab.title), here, watch: script(next, Some(here)) };
    with_watch(render(StatusCode::OK, &page, &FormTargets::ours()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::Language;

    #[test]
    fn the_one_script_may_run_and_where_to_go_on_is_escaped() {
        let site = Site { name: Some("support.acme.com"), language: Language::English, look: None };
        let next = LocalHref::parse("/a?x='1'&y=%22%3E").unwrap();
        let reply = waits_for_tab(&site, &next, &next);
        let policy = reply.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        let html = String::from_utf8(reply.body().to_vec()).unwrap();
        assert!(
            html.contains(
                "<script data-next=\"/a?x=&#39;1&#39;&#38;y=%22%3E\" data-here=\"/a?x=&#39;1&#39;&#38;y=%22%3E\">"
            ),
            "{html}"
        );
        let script =
            html.split_once("<script").unwrap().1.split_once('>').unwrap().1.split_once("</script>").unwrap().0;
        let hash = STANDARD.encode(digest(&SHA256, script.as_bytes()));
        assert!(policy.ends_with(&format!("script-src 'sha256-{hash}'; connect-src 'self'")), "{policy}");
        assert_eq!(watch(None), "");
    }
}
