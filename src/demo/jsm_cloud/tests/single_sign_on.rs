use base64::engine::general_purpose::STANDARD;
use reqwest::header::LOCATION;
use url::Url;

use super::*;
use crate::saml::binding::redirect::inflate;
use crate::saml::metadata::{self, Reading};
use crate::saml::test_keys::{self, Kind};
use crate::saml::test_signer::{ACS, IDP, Message, NOW, REQUEST, SP};

const SIGN_ON: &str = "https://idp.example/sign-on";

/// A site that knows an identity provider, and lets people in through it alone.
async fn site() -> Site {
    let site = Site::start_at(NOW).await;
    let certificate = test_keys::one(Kind::Rsa2048).certificate;
    site.jsm.configure_single_sign_on_by_hand(IDP, SIGN_ON, &[certificate]).unwrap();
    site.jsm.switch(|switches| switches.password_login = false);
    site
}

/// An exchange that has reached the identity provider.
struct Asked {
    request: String,
    relay_state: String,
    browser: String,
}

async fn ask(site: &Site, path: &str) -> Asked {
    let stopped = site.get(path).send().await.unwrap();
    let login = stopped.headers()[LOCATION].to_str().unwrap().to_owned();
    let start = site.client.get(login).send().await.unwrap().headers()[LOCATION].to_str().unwrap().to_owned();
    assert!(start.starts_with(&format!("{}/saml/", site.beside)), "{start}");
    let sent = site.client.get(start).send().await.unwrap();
    let address = Url::parse(sent.headers()[LOCATION].to_str().unwrap()).unwrap();
    assert!(address.as_str().starts_with(SIGN_ON));
    let value = |name: &str| address.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
    let message = inflate(&STANDARD.decode(value("SAMLRequest")).unwrap()).unwrap();
    let message = String::from_utf8(message).unwrap();
    assert!(message.contains(&site.jsm.saml_acs()), "{message}");
    let request = message.split(" ID=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    Asked { request, relay_state: value("RelayState"), browser: cookies_of(&sent).line }
}

/// An honest answer about that address, to be changed.
fn message(site: &Site, asked: &Asked, email: &str) -> Message {
    let fit = |text: &str| {
        text.replace(ACS, &site.jsm.saml_acs()).replace(SP, &site.jsm.saml_entity_id()).replace(REQUEST, &asked.request)
    };
    let usual = Message::default();
    Message {
        assertion_id: format!("_{}", asked.request),
        response_attributes: fit(&usual.response_attributes),
        confirmation: fit(&usual.confirmation),
        conditions: fit(&usual.conditions),
        name_id: format!(
            "<saml:NameID Format=\"urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress\">{email}</saml:NameID>"
        ),
        ..usual
    }
}

async fn answer(site: &Site, asked: &Asked, xml: &str, browser: &str) -> Response {
    let form = [("SAMLResponse", STANDARD.encode(xml)), ("RelayState", asked.relay_state.clone())];
    let call = site.client.post(site.jsm.saml_acs()).header("origin", "https://idp.example").header(COOKIE, browser);
    call.form(&form).send().await.unwrap()
}

#[tokio::test]
async fn the_exchange_opens_a_session_where_the_customer_wanted_to_go() {
    let site = site().await;
    let asked = ask(&site, "/servicedesk/customer/portal/1").await;
    let consumed = answer(&site, &asked, &message(&site, &asked, CARLA).assertion_signed(), &asked.browser).await;
    assert_eq!(consumed.status(), StatusCode::FOUND, "{:?}", site.jsm.last_saml_refusal());
    let back = consumed.headers()[LOCATION].to_str().unwrap().to_owned();
    assert!(back.starts_with(&site.base));
    let opened = site.client.get(&back).send().await.unwrap();
    assert_eq!(opened.headers()[LOCATION], site.url("/servicedesk/customer/portal/1"));
    let cookies = cookies_of(&opened);
    assert_eq!(claims_of(&cookies.token)["sub"], site.id_of(CARLA));
    assert!(site.opens(&cookies).await);
    assert_eq!(status_of(site.client.get(&back)).await, 403, "the way back is good once");
}

#[tokio::test]
async fn what_was_not_asked_for_is_refused() {
    let site = site().await;
    let refused = async |email: &str, change: &dyn Fn(&mut Message), browser: Option<&str>| {
        let asked = ask(&site, "/servicedesk/customer/portal/1").await;
        let mut message = message(&site, &asked, email);
        change(&mut message);
        let browser = browser.unwrap_or(&asked.browser).to_owned();
        let status = answer(&site, &asked, &message.assertion_signed(), &browser).await.status();
        assert_eq!(status, StatusCode::FORBIDDEN);
        site.jsm.last_saml_refusal().unwrap()
    };
    assert!(refused("nobody@example.com", &|_| {}, None).await.contains("no such customer"));
    assert!(refused("left.person@example.com", &|_| {}, None).await.contains("may not open"));
    assert!(refused("carla", &|_| {}, None).await.contains("not an e-mail address"));
    assert!(refused(CARLA, &|_| {}, Some("auth.saml.state=other")).await.contains("another browser"));
    let audience = |message: &mut Message| message.conditions = message.conditions.replace("/saml/", "/other/");
    refused(CARLA, &audience, None).await;
    let unasked = |message: &mut Message| message.confirmation = message.confirmation.replace("InResponseTo", "X");
    refused(CARLA, &unasked, None).await;

    let asked = ask(&site, "/servicedesk/customer/portal/1").await;
    let xml = message(&site, &asked, CARLA).assertion_signed();
    assert_eq!(answer(&site, &asked, &xml, &asked.browser).await.status(), StatusCode::FOUND);
    assert_eq!(answer(&site, &asked, &xml, &asked.browser).await.status(), StatusCode::FORBIDDEN, "a replay");
    assert_eq!(site.jsm.logins(CARLA), 0);
}

#[tokio::test]
async fn people_with_an_atlassian_account_are_sent_there() {
    let site = site().await;
    let asked = ask(&site, "/servicedesk/customer/portal/1").await;
    let sent =
        answer(&site, &asked, &message(&site, &asked, "twin@example.com").assertion_signed(), &asked.browser).await;
    assert!(sent.headers()[LOCATION].to_str().unwrap().starts_with("https://id.atlassian.com/login?"));
}

#[tokio::test]
async fn the_login_page_offers_what_the_site_has() {
    let site = site().await;
    let page = async || site.get("/servicedesk/customer/user/login").send().await.unwrap();
    assert_eq!(page().await.status(), StatusCode::FOUND, "single sign-on alone");
    site.jsm.switch(|switches| switches.single_sign_on_by_script = true);
    let by_script = page().await.text().await.unwrap();
    assert!(by_script.contains("\"singleSignOn\":\"https:") && !by_script.contains("id=\"login\""));
    site.jsm.switch(|switches| switches.password_login = true);
    let both = page().await.text().await.unwrap();
    assert!(both.contains("id=\"login\"") && both.contains("id=\"single-sign-on\""));
    site.jsm.switch(|switches| switches.single_sign_on = false);
    assert!(!page().await.text().await.unwrap().contains("id=\"single-sign-on\""));
    assert_eq!(status_of(site.client.get(site.jsm.saml_acs().replace("/acs", "/login"))).await, 404);
}

#[tokio::test]
async fn the_sites_own_metadata_says_what_it_is() {
    let site = site().await;
    let written = site.jsm.saml_metadata();
    let reading = Reading { entity_id: None, now: NOW };
    let read = metadata::service_provider(written.as_bytes(), &reading).unwrap();
    assert_eq!(read.entity_id, site.jsm.saml_entity_id());
    assert_eq!(read.default_consumer().unwrap().endpoint.location, site.jsm.saml_acs());
}
