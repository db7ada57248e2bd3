//! Every page at once: what holds for all of them, and copies to look at in a browser.

use std::fs;
use std::path::Path;

use http::HeaderMap;
use url::Url;

use super::*;
use crate::clock::Timestamp;
use crate::ids::{ProviderName, RequestId};
use crate::random::Random;
use crate::refusal::Later;

const SCRIPT: &str = "<script>alert('&\"</script>";

/// What callers hand over as text.
#[derive(Clone, Copy)]
struct Given<'a> {
    name: Option<&'a str>,
    label: &'a str,
    email: &'a str,
    contact: &'a str,
    token: &'a str,
}

const USUAL: Given<'_> = Given {
    name: Some("support.acme.com"),
    label: "Acme staff",
    email: "ana.maria.lopez@acme.example",
    contact: "Acme Service Desk, Monday to Friday\nhelp@acme.example, +49 30 1234567",
    token: "ZXhhbXBsZQ",
};

/// Every page, made of what is `given`.
fn all_pages(given: Given<'_>) -> Vec<(String, Reply)> {
    let Given { name, label, email, contact, token } = given;
    let site = Site { name, language: Language::English, look: None };
    let idp = Url::parse("https://login.acme.test/authorize").unwrap();
    let targets = FormTargets::with([&idp]);
    let providers = ["acme-okta", "partner-adfs", "contractors"].map(|name| ProviderName::parse(name).unwrap());
    let labels = [label, "Partners of Acme", "Contractors and temporary staff of the Acme group, all countries"];
    let choices: Vec<_> = providers.iter().zip(labels).map(|(provider, label)| Choice { provider, label }).collect();
    let again = LocalHref::parse("/.vestibule/sign-in?a=1&b=2").unwrap();
    let destination = Url::parse("https://login.acme.test/authorize?client_id=portal&state=x%22%3E").unwrap();

    let mut pages = vec![
        ("choose_provider".to_owned(), choose_provider(&site, &choices, token, &targets, None)),
        ("ask_email".to_owned(), ask_email(&site, token, "", None, &targets, None)),
        (
            "ask_email_invalid".to_owned(),
            ask_email(&site, token, email, Some(EmailProblem::NotAnAddress), &targets, None),
        ),
        (
            "ask_email_unknown".to_owned(),
            ask_email(&site, token, email, Some(EmailProblem::NoProvider), &targets, None),
        ),
        ("go_on".to_owned(), go_on(&site, &destination)),
        ("hand_over".to_owned(), hand_over(&site, &destination)),
        ("sign_out".to_owned(), sign_out(&site, Some(email), &[("token", token)], &targets)),
        ("sign_out_plain".to_owned(), sign_out(&site, None, &[], &targets)),
        ("signed_out".to_owned(), signed_out(&site, ProviderSession::Ended, &again)),
        ("signed_out_partly".to_owned(), signed_out(&site, ProviderSession::EndedPartly, &again)),
        ("signed_out_here".to_owned(), signed_out(&site, ProviderSession::MayContinue, &again)),
    ];
    pages.push(("tried".to_owned(), tried(&site)));
    pages.push(("kept_form_waits".to_owned(), kept_form_waits(&site, token, Timestamp::from_seconds(60))));
    let at = Timestamp::from_seconds(60);
    let kept = KeptPage { address: token, handle: token, at, until: at, by_itself: false };
    pages.push(("kept_form_asks".to_owned(), send_kept_form(&site, &kept)));
    let later = Later::new(Timestamp::from_seconds(60), Timestamp::from_seconds(0));
    for (page, stale, said) in [
        ("claim", false, ClaimSaid::Nothing),
        ("claim_stale", true, ClaimSaid::Nothing),
        ("claim_mailed", false, ClaimSaid::Mailed),
        ("claim_not_mailed", false, ClaimSaid::NotMailed),
        ("claim_too_many_mails", false, ClaimSaid::TooManyMails(later)),
        ("claim_wrong", false, ClaimSaid::Wrong),
        ("claim_too_many_tries", true, ClaimSaid::TooManyTries(later)),
        ("claim_no_password", false, ClaimSaid::NoPassword),
    ] {
        pages.push((page.to_owned(), claim_password(&site, &Claim { email, stale, next: token, said })));
    }
    for (number, &explanation) in Explanation::ALL.iter().enumerate() {
        let form = Form { action: again.clone(), fields: vec![("token", token.to_owned())], targets: targets.clone() };
        let notice = Notice {
            status: StatusCode::BAD_GATEWAY,
            explanation,
            contact: (number % 3 == 0).then_some(contact),
            later: (number % 5 == 0).then(|| Later::new(Timestamp::from_seconds(60), Timestamp::from_seconds(0))),
            request_id: RequestId::generate(&Random::default()).unwrap(),
            actions: Actions {
                retry: (number % 2 == 1).then_some(Retry::ThisPage),
                another_account: (number % 3 == 0).then_some(form),
                the_site: None,
                password: number % 7 == 0,
                sign_in_beside: number % 7 == 1,
                start: number % 4 != 0,
            },
        };
        pages.push((format!("refusal_{explanation:?}"), refusal(&site, &notice)));
    }
    let form = Form { action: again.clone(), fields: vec![("token", token.to_owned())], targets: targets.clone() };
    let notice = Notice {
        status: StatusCode::FORBIDDEN,
        explanation: Explanation::AccountIsAtlassian,
        contact: None,
        later: None,
        request_id: RequestId::generate(&Random::default()).unwrap(),
        actions: Actions { the_site: SiteLink::to(&destination), another_account: Some(form), ..Actions::default() },
    };
    pages.push(("refusal_with_the_site".to_owned(), refusal(&site, &notice)));
    pages
}

fn html(reply: &Reply) -> &str {
    std::str::from_utf8(reply.body()).unwrap()
}

fn header<'a>(reply: &'a Reply, name: &str) -> &'a str {
    reply.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[test]
fn e8_no_text_becomes_markup() {
    let given = Given { name: Some(SCRIPT), label: SCRIPT, email: SCRIPT, contact: SCRIPT, token: SCRIPT };
    for (page, reply) in all_pages(given) {
        let html = html(&reply);
        assert!(!html.contains("<script"), "{page}");
        assert!(!html.contains("alert('"), "{page}: a quote got through");
        assert!(html.contains("&#60;script&#62;alert(&#39;&#38;&#34;"), "{page}");
    }
}

#[test]
fn e8_every_page_has_a_strict_policy_and_is_not_kept() {
    for (page, reply) in all_pages(USUAL) {
        let policy = header(&reply, "content-security-policy");
        for directive in [
            "default-src 'none';",
            "style-src 'self';",
            "img-src 'self';",
            "form-action 'self'",
            "frame-ancestors 'none';",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(directive), "{page}: {directive}");
        }
        assert!(!policy.contains("unsafe"), "{page}");
        assert_eq!(header(&reply, "cache-control"), "no-store", "{page}");
        assert_eq!(header(&reply, "x-frame-options"), "DENY", "{page}");
        assert_eq!(header(&reply, "content-type"), "text/html; charset=utf-8", "{page}");
        assert_eq!(header(&reply, "content-length"), reply.body().len().to_string(), "{page}");
    }
}

#[test]
fn e8_pages_carry_no_script_no_inline_style_and_nothing_from_elsewhere() {
    for (page, reply) in all_pages(USUAL) {
        let html = html(&reply);
        for never in ["<script", "<style", " style=", " onload", " onclick", "javascript:", "<iframe", "<img", "<base"]
        {
            assert!(!html.contains(never), "{page}: {never}");
        }
        let mut addresses = html.split(['"', ';']).filter(|part| part.contains("://"));
        let stray = addresses.find(|a| {
            !["go_on", "hand_over", "refusal_with_the_site"].contains(&page.as_str())
                || !a.starts_with("url=https://login.acme.test/") && !a.starts_with("https://login.acme.test/")
        });
        assert_eq!(stray, None, "{page}");
        assert!(html.contains("<html lang=\"en\">"), "{page}");
        assert_eq!(html.matches("<h1>").count(), 1, "{page}");
        assert_eq!(html.matches("<main").count(), 1, "{page}");
    }
}

#[test]
fn no_link_to_the_site_is_a_script() {
    for (place, is_link) in [("https://acme.test/a", true), ("javascript:alert(1)", false), ("data:text/html,x", false)]
    {
        assert_eq!(SiteLink::to(&Url::parse(place).unwrap()).is_some(), is_link, "{place}");
    }
}

#[test]
fn the_provider_is_named_where_a_form_may_lead_there() {
    for (page, reply) in all_pages(Given { name: None, ..USUAL }) {
        let has_form = html(&reply).contains("<form") && !page.starts_with("claim") && !page.starts_with("kept"); // a form that ends here
        let named = header(&reply, "content-security-policy").contains("form-action 'self' https://login.acme.test;");
        assert_eq!(named, has_form, "{page}");
    }
}

#[test]
fn an_unknown_host_is_not_repeated() {
    let site = Site { name: None, language: Language::English, look: None };
    let notice = Notice {
        status: StatusCode::MISDIRECTED_REQUEST,
        explanation: Explanation::UnknownHost,
        contact: None,
        later: None,
        request_id: RequestId::none(),
        actions: Actions::default(),
    };
    let reply = refusal(&site, &notice);
    assert_eq!(reply.status(), 421);
    assert!(html(&reply).contains("<title>There is no portal here</title>"));
    assert!(html(&reply).contains("<code>00000000000000000000000000000000</code>"));
    assert!(!html(&reply).contains("class=\"actions\""));
}

#[test]
fn a_wrong_email_address_can_be_mended() {
    let site = Site { name: Some("support.acme.com"), language: Language::English, look: None };
    let reply = ask_email(&site, "t", "ana@acme", Some(EmailProblem::NotAnAddress), &FormTargets::ours(), None);
    assert_eq!(reply.status(), 422);
    assert!(html(&reply).contains("value=\"ana@acme\""));
    assert!(html(&reply).contains("role=\"alert\""));
    assert!(html(&reply).contains("aria-invalid=\"true\""));
}

#[test]
fn going_on_never_runs_a_script() {
    let site = Site { name: None, language: Language::English, look: None };
    for destination in ["javascript:alert(1)", "data:text/html,x", "vbscript:x"] {
        let reply = go_on(&site, &Url::parse(destination).unwrap());
        assert!(html(&reply).contains("content=\"0;url=/\""), "{destination}");
        assert!(!html(&reply).contains(destination), "{destination}");
    }
    let reply = go_on(&site, &Url::parse("https://login.acme.test/a?x=1&y=\"'>").unwrap());
    assert!(
        html(&reply).contains("content=\"0;url=https://login.acme.test/a?x=1&#38;y=%22%27%3E\""),
        "{}",
        html(&reply)
    );
}

/// Leaves a copy of every page in `target/pages`, with stylesheet and icon beside it, to be looked at in a browser.
#[test]
fn pages_are_left_to_be_looked_at() {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/target").into());
    let folder = Path::new(&target).join("pages");
    fs::create_dir_all(&folder).unwrap();
    for path in [assets::stylesheet_path(), assets::icon_path()] {
        let body = asset(path, &HeaderMap::new()).unwrap().into_parts().2;
        fs::write(folder.join(path.strip_prefix(ASSETS).unwrap()), body).unwrap();
    }
    for (page, reply) in all_pages(USUAL) {
        let html = html(&reply).replace(ASSETS, "");
        fs::write(folder.join(format!("{page}.html")), html).unwrap();
    }
}
