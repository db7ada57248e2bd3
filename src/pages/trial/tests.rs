//! The operator's pages, with what strangers may make a provider say.

use std::fs;
use std::path::Path;

use super::*;
use crate::clock::Timestamp;
use crate::ids::ProviderName;
use crate::pages::ASSETS;
use crate::portal::HostName;
use crate::sign_in::VerifiedIdentity;
use crate::sign_in::trial::{Ended, Fact, Report};

const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);
const SCRIPT: &str = "<script>alert('&\"</script>";
const SENTENCE: &str =
    "The assertion is meant for https://portal.acme.com/saml and not for us; enter our entity id at the provider.";

/// Every page, with `said` wherever a provider's words are shown.
fn all_pages(said: &str, sentence: &str) -> Vec<(&'static str, Reply)> {
    let provider = ProviderName::parse("partner-adfs").unwrap();
    let providers = vec![(provider.to_string(), said.to_owned()), ("acme-okta".to_owned(), "Acme staff".to_owned())];
    let portals = ["support.acme.com", "partners.acme.com"].map(str::to_owned);
    let choices = portals.map(|portal| TrialChoice { portal, providers: providers.clone() });
    let portal = HostName::parse("support.acme.com").unwrap();
    let of = |state| Trial { portal: portal.clone(), provider: provider.clone(), state };
    let fact = |name: &str, value: &str| Fact { name: name.to_owned(), values: vec![value.to_owned()] };
    let message = vec![
        fact("Issuer", "http://adfs.acme.example/adfs/services/trust"),
        fact("Signed", "Response and Assertion"),
        fact("NameID", said),
        fact("AuthnContextClassRef", "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"),
    ];
    let attributes = vec![
        fact("http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress", "ana.maria.lopez@acme.example"),
        Fact { name: "http://schemas.xmlsoap.org/claims/Group".into(), values: vec!["staff".into(), said.into()] },
        Fact { name: said.to_owned(), values: Vec::new() },
    ];
    let identity = VerifiedIdentity::for_test("partner-adfs", said, "ana.maria.lopez@acme.example");
    let good = Report { ended: NOW, message: message.clone(), attributes, outcome: Ok(Box::new(identity)) };
    let refused = Report::refused(NOW, message, "saml_audience", sentence.to_owned());
    let not_admitted = Refused { reason: "not_admitted_domain", sentence: sentence.to_owned() };
    let begin_at = "https://support.acme.com/.vestibule/test-sign-in/";
    let ended = |report: &Report, not_admitted: Option<&Refused>| {
        TrialState::Ended(Ended { report: report.clone(), not_admitted: not_admitted.cloned() }.into())
    };
    let show = |state| trial(&of(state), begin_at);
    vec![
        ("trial_prepare", prepare_trial(&choices)),
        (
            "trial_prepared",
            show(TrialState::Prepared { ticket: "kZlq0jXo8w3hYb1vTnRcU5mEsGfQpDaLi2W7xB9yKtM".to_owned() }),
        ),
        ("trial_under_way", show(TrialState::UnderWay { since: NOW })),
        ("trial_admitted", show(ended(&good, None))),
        ("trial_not_admitted", show(ended(&good, Some(&not_admitted)))),
        ("trial_refused", show(ended(&refused, None))),
        ("trial_gone", trial_gone()),
    ]
}

fn html(reply: &Reply) -> &str {
    std::str::from_utf8(reply.body()).unwrap()
}

#[test]
fn e8_nothing_that_a_provider_says_becomes_markup() {
    for (page, reply) in all_pages(SCRIPT, SCRIPT) {
        let html = html(&reply);
        assert!(!html.contains("<script") && !html.contains("alert('"), "{page}");
        let shows_it = !matches!(page, "trial_prepared" | "trial_under_way" | "trial_gone");
        assert_eq!(html.contains("&#60;script&#62;alert(&#39;&#38;&#34;"), shows_it, "{page}");
    }
}

#[test]
fn the_operators_pages_load_nothing_from_elsewhere_and_are_not_kept() {
    for (page, reply) in all_pages("staff", SENTENCE) {
        let policy = reply.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none';") && policy.contains("frame-ancestors 'none'"), "{page}");
        assert_eq!(reply.headers()["cache-control"], "no-store", "{page}");
        let leads = |attribute: &str| {
            html(&reply).split(attribute).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
        };
        let places: Vec<String> =
            ["href=\"", "src=\"", "action=\""].iter().flat_map(|a| -> Vec<String> { leads(a) }).collect();
        let tickets = "https://support.acme.com/.vestibule/test-sign-in/";
        let ours = |place: &String| place.starts_with('/') || page == "trial_prepared" && place.starts_with(tickets);
        assert!(places.iter().all(ours), "{page}: {places:?}");
        assert_eq!(html(&reply).matches("<h1>").count(), 1, "{page}");
    }
}

#[test]
fn a_page_that_waits_looks_again_and_one_that_shows_does_not() {
    for (page, reply) in all_pages("staff", SENTENCE) {
        let waits = matches!(page, "trial_prepared" | "trial_under_way");
        assert_eq!(html(&reply).contains("http-equiv=\"refresh\""), waits, "{page}");
    }
}

/// Leaves a copy of every page in `target/pages`, to be looked at in a browser.
#[test]
fn the_operators_pages_are_left_to_be_looked_at() {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/target").into());
    let folder = Path::new(&target).join("pages");
    fs::create_dir_all(&folder).unwrap();
    for (page, reply) in all_pages("staff", SENTENCE) {
        fs::write(folder.join(format!("{page}.html")), html(&reply).replace(ASSETS, "")).unwrap();
    }
}
