//! An operator tests sign-ins on the admin listener; and what identity providers learn of the gateway.

use vestibule::clock::Clock;
use vestibule::saml::metadata::{self, Reading};

use super::provider::Sent;
use super::{answer, start_with};
use crate::child::outcome;
use crate::harness::{TestGateway, location, navigate, set_cookies};

fn operator() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// What the admin listener shows at a path.
async fn shown(gateway: &TestGateway, path: &str) -> String {
    let admin = gateway.app.admin_address().unwrap();
    let page = operator().get(format!("http://{admin}{path}")).send().await.unwrap();
    assert_eq!(page.headers()["cache-control"], "no-store");
    page.text().await.unwrap()
}

/// Prepares a test sign-in; gives where its result is shown, and the link that begins it.
async fn prepare(gateway: &TestGateway, provider: &str) -> (String, String) {
    let admin = format!("http://{}", gateway.app.admin_address().unwrap());
    let form = operator().post(format!("{admin}/test-sign-in")).header("origin", &admin);
    let prepared = form.form(&[("portal", "localhost"), ("provider", provider)]).send().await.unwrap();
    assert_eq!(prepared.status(), 303);
    let place = location(&prepared);
    let page = shown(gateway, &place).await;
    let tickets = format!("{}/.vestibule/test-sign-in/", gateway.origin());
    let link = page.split("href=\"").find(|part| part.starts_with(&tickets)).unwrap();
    (place, link.split('"').next().unwrap().to_owned())
}

/// A browser that walked a test is told that it is over, and has no session.
async fn is_over(gateway: &TestGateway, client: &reqwest::Client, returned: reqwest::Response) {
    assert_eq!(location(&returned), "/.vestibule/test-sign-in/over");
    assert!(!set_cookies(&returned).iter().any(|cookie| cookie.starts_with("__Host-vestibule=")));
    let over = navigate(client, &format!("{}/.vestibule/test-sign-in/over", gateway.origin())).await;
    assert!(over.text().await.unwrap().contains("You were not signed in"));
    let private = navigate(client, &format!("{}/private", gateway.origin())).await;
    assert!(
        !private.text().await.unwrap().contains(" /private"),
        "nobody is signed in, and nothing comes from the portal"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_what_a_saml_provider_sends_and_nobody_is_signed_in() {
    let (gateway, provider, recorder) = start_with("", "acme, globex").await;
    assert!(shown(&gateway, "/test-sign-in").await.contains("value=\"globex\""));
    for (email, heading, told) in [
        ("cleo@globex.com", "This person would be signed in", "PasswordProtectedTransport"),
        ("<b>mallory</b>@evil.test", "This sign-in would be refused", "email_missing"),
        ("mallory@evil.test", "This sign-in would be refused", "email_outside_domains"),
    ] {
        let (place, link) = prepare(&gateway, "globex").await;
        let client = gateway.client();
        let sent = Sent::by_redirect(&location(&navigate(&client, &link).await));
        assert!(shown(&gateway, &place).await.contains("under way"));
        assert_eq!(navigate(&gateway.client(), &link).await.status(), 404, "the link works once");
        let returned = answer(&gateway, &client, &provider.response(&sent, email), &sent).await;
        is_over(&gateway, &client, returned).await;
        let result = shown(&gateway, &place).await;
        assert!(result.contains(heading) && result.contains(told), "{email}: {result}");
        assert!(result.contains("Response and Assertion"), "{result}");
        assert!(!result.contains("<b>"), "{result}");
    }
    assert!(!gateway.metrics().contains("vestibule_sign_ins_total{provider=\"globex\""), "a test is no sign-in");
    assert!(!gateway.metrics().contains("vestibule_session_changes_total{change=\"opened\"}"));
    assert_eq!(recorder.requests().len(), 0, "nothing reaches the portal");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_response_is_explained_to_the_operator_alone() {
    let (gateway, provider, _recorder) = start_with("", "globex").await;
    let (place, link) = prepare(&gateway, "globex").await;
    let client = gateway.client();
    let sent = Sent::by_redirect(&location(&navigate(&client, &link).await));
    let foreign = Sent { issuer: "https://other.example".into(), ..sent.clone() };
    let returned = answer(&gateway, &client, &provider.response(&foreign, "cleo@globex.com"), &sent).await;
    is_over(&gateway, &client, returned).await;
    let result = shown(&gateway, &place).await;
    assert!(result.contains("saml_audience") && result.contains("not verified"), "{result}");
    // Once more, as by the browser's back button: over, and nothing begins.
    let again = answer(&gateway, &client, &provider.response(&sent, "cleo@globex.com"), &sent).await;
    is_over(&gateway, &client, again).await;
    assert_eq!(shown(&gateway, &place).await, result);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_by_openid_connect_is_tested_the_same_way() {
    let (gateway, _provider, _recorder) = start_with("", "acme, globex").await;
    let (place, link) = prepare(&gateway, "acme").await;
    let client = gateway.client();
    let there = location(&navigate(&client, &link).await);
    let back = location(&navigate(&client, &format!("{there}&login_hint=mallory")).await);
    is_over(&gateway, &client, navigate(&client, &back).await).await;
    let result = shown(&gateway, &place).await;
    // The provider speaks for evil.test, and the portal does not admit it.
    assert!(result.contains("This person would not be admitted") && result.contains("not_admitted_domain"), "{result}");
    assert!(result.contains("mallory@evil.test") && result.contains("<dt>email_verified</dt>"), "{result}");
    assert!(!result.contains("nonce"), "{result}");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_is_signed_in_stays_so_while_a_test_is_walked() {
    let (gateway, provider, _recorder) = start_with("", "globex").await;
    let client = gateway.client();
    let sent = Sent::by_redirect(&location(&navigate(&client, &format!("{}/private", gateway.origin())).await));
    answer(&gateway, &client, &provider.response(&sent, "cleo@globex.com"), &sent).await;
    let (_, link) = prepare(&gateway, "globex").await;
    let sent = Sent::by_redirect(&location(&navigate(&client, &link).await));
    let returned = answer(&gateway, &client, &provider.response(&sent, "dora@globex.com"), &sent).await;
    assert_eq!(location(&returned), "/.vestibule/test-sign-in/over");
    let page = navigate(&client, &format!("{}/private", gateway.origin())).await;
    assert_eq!(page.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_side_shows_no_test_and_the_admin_side_asks_for_its_own_address() {
    let (gateway, _provider, _recorder) = start_with("", "globex").await;
    let (place, _) = prepare(&gateway, "globex").await;
    for path in [place.as_str(), "/test-sign-in"] {
        let public = navigate(&gateway.client(), &format!("{}{path}", gateway.origin())).await;
        assert_eq!(public.status(), 303, "a page of the portal like any other, for which one has to sign in");
    }
    let id = place.rsplit('/').next().unwrap();
    let odd = navigate(&gateway.client(), &format!("{}/.vestibule/test-sign-in/{id}", gateway.origin())).await;
    assert_eq!(odd.status(), 404, "the name of a result begins nothing");
    let admin = gateway.app.admin_address().unwrap();
    let request = operator().get(format!("http://{admin}{place}")).header("host", "rebound.evil.test");
    assert_eq!(request.send().await.unwrap().status(), 421);
}

#[tokio::test(flavor = "multi_thread")]
async fn a75_providers_read_our_metadata_at_its_address() {
    let (gateway, _provider, _recorder) = start_with("      sign_metadata: false\n", "acme, globex").await;
    let address = format!("{}/.vestibule/saml/globex/metadata", gateway.origin());
    let answer = gateway.client().get(&address).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/samlmetadata+xml");
    let document = answer.bytes().await.unwrap();
    let reading = Reading { entity_id: None, now: Clock::System.now() };
    let read = metadata::service_provider(&document, &reading).unwrap();
    assert_eq!(read.entity_id, address);
    let acs = &read.default_consumer().unwrap().endpoint.location;
    assert_eq!(*acs, format!("{}/.vestibule/saml/globex/acs", gateway.origin()));
    for nobody in ["acme", "other", "globex/x"] {
        let path = format!("{}/.vestibule/saml/{nobody}/metadata", gateway.origin());
        assert_eq!(gateway.client().get(path).send().await.unwrap().status(), 404, "{nobody}");
    }
    let (_, link) = prepare(&gateway, "globex").await;
    assert_eq!(navigate(&gateway.client(), &link).await.status(), 303, "its metadata was read by now");
    let metrics = gateway.metrics();
    assert!(metrics.contains("vestibule_saml_metadata_confirmed_timestamp_seconds{provider=\"globex\"}"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a75_vestibule_metadata_prints_what_is_served() {
    let (gateway, _provider, _recorder) = start_with("", "acme, globex").await;
    let address = format!("{}/.vestibule/saml/globex/metadata", gateway.origin());
    let served = gateway.client().get(&address).send().await.unwrap().text().await.unwrap();
    let config = gateway.folder.path().join("gateway.yaml");
    let print = async |more: &[&str]| {
        let arguments = [&["metadata", "--config", config.to_str().unwrap()], more].concat();
        outcome(&arguments).await
    };
    // The file asks for any free port.
    let here = |printed: String| printed.replace("https://localhost:0/", &format!("{}/", gateway.origin()));
    for more in [&[][..], &["--portal", "localhost"], &["--portal", "localhost", "--provider", "globex"]] {
        let (code, printed, said) = print(more).await;
        assert_eq!((code, said.as_str()), (0, ""));
        assert_eq!(here(printed), served);
    }
    let (code, printed, said) = print(&["--provider", "acme"]).await;
    assert_eq!((code, printed.as_str()), (1, ""));
    assert!(said.contains("--portal localhost --provider globex"), "{said}");
}
