use http::HeaderValue;

use super::*;
use crate::clock::{Clock, Timestamp};
use crate::random::Random;
use crate::sign_in::trial::Report;

const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);
const FORM: &[u8] = b"portal=support.acme.com&provider=adfs";

fn pages() -> (TestSignIns, Arc<Trials>) {
    let trials = Arc::new(Trials::new(Clock::manual(NOW), Random::default()));
    let host = HostName::parse("support.acme.com").unwrap();
    let origin = PublicOrigin::new(&host, 8443);
    let providers = vec![(ProviderName::parse("adfs").unwrap(), "Acme <staff>".to_owned())];
    (TestSignIns::new(Arc::clone(&trials), vec![TestedPortal { host, origin, providers }]), trials)
}

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}

fn html(reply: &Reply) -> &str {
    std::str::from_utf8(reply.body()).unwrap()
}

#[test]
fn an_operator_gets_a_link_and_then_the_result() {
    let (pages, trials) = pages();
    let here = headers(&[("host", "127.0.0.1:9090"), ("origin", "http://127.0.0.1:9090")]);
    let get = |path: &str| pages.answer(&Method::GET, path, &here, b"");
    let choose = get(TEST_SIGN_IN);
    assert_eq!(choose.status(), 200);
    assert!(html(&choose).contains("Acme &#60;staff&#62;") && html(&choose).contains("value=\"adfs\""));

    let prepared = pages.answer(&Method::POST, TEST_SIGN_IN, &here, FORM);
    assert_eq!(prepared.status(), 303);
    let place = prepared.headers()["location"].to_str().unwrap().to_owned();
    let waits = get(&place);
    let link = html(&waits).split("href=\"").find(|part| part.starts_with("https://support")).unwrap();
    let ticket = link.split('"').next().unwrap().strip_prefix("https://support.acme.com:8443/.vestibule/test-sign-in/");
    let host = HostName::parse("support.acme.com").unwrap();
    let (trial, provider) = trials.redeem(ticket.unwrap(), &host).unwrap();
    assert_eq!(provider.as_str(), "adfs");
    let under_way = get(&place);
    assert!(html(&under_way).contains("http-equiv=\"refresh\"") && !html(&under_way).contains(ticket.unwrap()));

    trials.end(trial, Report::refused(NOW, Vec::new(), "saml_audience", "Meant for <somebody> else.".into()), |_| None);
    let ended = get(&place);
    assert!(html(&ended).contains("This sign-in would be refused") && html(&ended).contains("saml_audience"));
    assert!(html(&ended).contains("Meant for &#60;somebody&#62; else.") && !html(&ended).contains("refresh"));
}

#[test]
fn only_addresses_that_no_other_site_can_have_are_served() {
    let (pages, _) = pages();
    for (host, served) in [
        ("127.0.0.1:9090", true),
        ("10.1.2.3", true),
        ("[::1]:9090", true),
        ("localhost:19090", true),
        ("rebound.evil.test", false),
        ("localhost.evil.test:9090", false),
        ("127.0.0.1.evil.test", false),
        ("user@127.0.0.1", false),
        ("127.0.0.1/x", false),
        ("", false),
    ] {
        let reply = pages.answer(&Method::GET, TEST_SIGN_IN, &headers(&[("host", host)]), b"");
        assert_eq!(reply.status().as_u16(), if served { 200 } else { 421 }, "{host}");
    }
    let none = pages.answer(&Method::GET, TEST_SIGN_IN, &headers(&[]), b"");
    let two = pages.answer(&Method::GET, TEST_SIGN_IN, &headers(&[("host", "127.0.0.1"), ("host", "10.0.0.1")]), b"");
    assert_eq!((none.status().as_u16(), two.status().as_u16()), (421, 421));
}

#[test]
fn c8_no_other_site_prepares_a_test_sign_in() {
    let (pages, _) = pages();
    for (fields, status) in [
        (&[("origin", "http://127.0.0.1:9090")][..], 303),
        (&[("sec-fetch-site", "same-origin")], 303),
        (&[], 303),
        (&[("origin", "https://evil.test")], 403),
        (&[("origin", "null")], 403),
        (&[("origin", "http://127.0.0.1:9091")], 403),
        (&[("sec-fetch-site", "cross-site")], 403),
    ] {
        let mut all = headers(fields);
        all.insert("host", HeaderValue::from_static("127.0.0.1:9090"));
        assert_eq!(pages.answer(&Method::POST, TEST_SIGN_IN, &all, FORM).status(), status, "{fields:?}");
    }
}

#[test]
fn odd_requests_get_no_test_sign_in() {
    let (pages, _) = pages();
    let here = headers(&[("host", "127.0.0.1:9090")]);
    let foreign: [&[u8]; 5] = [
        b"",
        b"portal=support.acme.com",
        b"portal=other.acme.com&provider=adfs",
        b"portal=support.acme.com&provider=okta",
        b"portal=support.acme.com&provider=adfs&provider=adfs",
    ];
    for form in foreign {
        assert_eq!(pages.answer(&Method::POST, TEST_SIGN_IN, &here, form).status(), 400);
    }
    for path in ["/test-sign-in/", "/test-sign-in/x", "/test-sign-in/../metrics"] {
        assert_eq!(pages.answer(&Method::GET, path, &here, b"").status(), 404, "{path}");
    }
    assert_eq!(pages.answer(&Method::DELETE, TEST_SIGN_IN, &here, b"").status(), 405);
    assert!(TestSignIns::owns("/test-sign-in") && TestSignIns::owns("/test-sign-in/x"));
    assert!(!TestSignIns::owns("/test-sign-ins") && !TestSignIns::owns("/metrics"));
}
