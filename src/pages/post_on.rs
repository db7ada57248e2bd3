//! The page that posts a form to a provider (SAML Bindings 3.5): a page of ours with a script.
//!
//! The script is one constant line, and the page's policy allows that very line by its hash, so that no other can run. A
//! browser without scripts shows the button.

use std::sync::LazyLock;

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use ring::digest::{SHA256, digest};
use url::Url;

use super::{FormTargets, Frame, Site, render};
use crate::reply::{self, Reply};

/// Presses the button.
pub(super) const SCRIPT: &str = "document.forms[0].submit()";

/// What the page may do besides what every page may. The form may end at any site: a provider may send the browser on to
/// another one to sign in, and browsers hold that redirect against this page's policy.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(digest(&SHA256, SCRIPT.as_bytes()));
    let form = "form-action 'self' https: http://127.0.0.1:* http://localhost:*;";
    format!("{}; script-src 'sha256-{hash}'", reply::CONTENT_SECURITY_POLICY.replace("form-action 'self';", form))
});

#[derive(Template)]
#[template(path = "post_on.html")]
struct PostOn<'a> {
    frame: Frame<'a>,
    destination: &'a str,
    fields: &'a [(&'a str, &'a str)],
    script: &'static str,
}

/// Posts `fields` to `destination`, from a page that does so by itself.
pub fn post_on(site: &Site<'_>, destination: &Url, fields: &[(&str, &str)]) -> Reply {
    let web = matches!(destination.scheme(), "http" | "https"); // never a script
    let destination = if web { destination.as_str() } else { "/" };
    let page = PostOn { frame: Frame::of(site, |t| t.go_on.title), destination, fields, script: SCRIPT };
    with_script(render(StatusCode::OK, &page, &FormTargets::ours()))
}

/// Lets a page run the script, and its forms end anywhere.
pub(super) fn with_script(reply: Reply) -> Reply {
    match HeaderValue::try_from(POLICY.as_str()) {
        Ok(policy) => reply.with_header(CONTENT_SECURITY_POLICY, policy),
        Err(_) => reply, // the button works under the strictest policy, too
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::Language;

    fn page(destination: &str, fields: &[(&str, &str)]) -> (String, String) {
        let site = Site { name: Some("support.acme.com"), language: Language::English, look: None };
        let reply = post_on(&site, &Url::parse(destination).unwrap(), fields);
        let policy = reply.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        assert_eq!(reply.headers()["cache-control"], "no-store");
        (String::from_utf8(reply.body().to_vec()).unwrap(), policy)
    }

    #[test]
    fn a77_what_is_posted_is_escaped_and_one_script_may_run() {
        let evil = "\"><script>alert(1)</script>";
        let (html, policy) =
            page("https://idp.test/sso?a=1&b=\"><script>", &[("SAMLRequest", "PHg+"), ("RelayState", evil)]);
        assert_eq!(html.matches("<script>").count(), 1, "{html}");
        assert!(html.contains(r#"action="https://idp.test/sso?a=1&#38;b=%22%3E%3Cscript%3E""#), "{html}");
        assert!(html.contains(r#"name="RelayState" value="&#34;&#62;&#60;script&#62;alert(1)"#), "{html}");
        let script = html.split("<script>").nth(1).unwrap().split("</script>").next().unwrap();
        let hash = STANDARD.encode(digest(&SHA256, script.as_bytes()));
        assert!(policy.ends_with(&format!("script-src 'sha256-{hash}'")), "{policy}");
        assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
    }

    #[test]
    fn a77_a_form_goes_to_a_site_alone() {
        assert!(page("javascript:alert(1)", &[]).0.contains("action=\"/\""));
    }
}
