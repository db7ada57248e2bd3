//! `cloud_saml`: the whole walk, against the look-alike's own single sign-on.

use super::visits::{CARLA, CHEN, HOUR, Visits, site_settings};
use super::*;
use crate::customer::cloud::identity_provider::SiteIdentityProvider;
use crate::demo::jsm_cloud::{Fault, FaultKind};
use crate::portal::PublicOrigin;
use crate::portal::settings::{CloudSamlSettings, IdentityProviderSettings, Walk};
use crate::saml::metadata::{Reading, service_provider};
use crate::saml::test_keys::{self, Kind, Made};

const LOGIN: &str = "/servicedesk/customer/user/login";

fn provider(stage: &Stage, keys: &[Made]) -> IdentityProviderSettings {
    let reading = Reading { entity_id: None, now: NOW };
    IdentityProviderSettings {
        keys: keys.iter().map(Made::signing_key).collect(),
        our_entity_id: None,
        site: service_provider(stage.jsm.saml_metadata().as_bytes(), &reading).unwrap(),
        site_keys: None,
    }
}

fn role(provider: &IdentityProviderSettings) -> SiteIdentityProvider {
    let origin = PublicOrigin::new(&HostName::parse("support.acme.com").unwrap(), 443);
    SiteIdentityProvider::new(provider, &origin, Random::default())
}

/// What the site's administrators were given.
fn set_up(stage: &Stage, provider: &IdentityProviderSettings) {
    stage.jsm.configure_single_sign_on(role(provider).metadata().unwrap().as_bytes()).unwrap();
    stage.jsm.switch(|switches| switches.password_login = false);
}

fn visits(stage: Stage, provider: IdentityProviderSettings) -> Visits {
    visits_from(stage, provider, None)
}

fn visits_from(stage: Stage, provider: IdentityProviderSettings, start: Option<String>) -> Visits {
    let role = Arc::new(role(&provider));
    let site = site_settings(stage.settings());
    let settings =
        CloudSamlSettings { site, identity_provider: provider, start, walk: Walk::Gateway, hosts: Vec::new() };
    let login = Arc::new(SingleSignOn::new(&settings, role));
    Visits::new(stage, login)
}

async fn ready() -> Visits {
    let stage = Stage::start().await;
    let provider = provider(&stage, &[test_keys::one(Kind::Rsa2048)]);
    set_up(&stage, &provider);
    visits(stage, provider)
}

#[tokio::test]
async fn a_customer_is_signed_on_without_a_password() {
    let visits = ready().await;
    for (passwords, script) in [(false, false), (false, true), (true, true)] {
        visits.stage.jsm.switch(|switches| {
            (switches.password_login, switches.single_sign_on_by_script) = (passwords, script);
        });
        let session = visits.ensure(&visits.visitor(CARLA).await).await.unwrap();
        assert_eq!(session.customer(), visits.stage.id(CARLA), "{passwords} {script}");
        assert_eq!(session.cookies().len(), 1, "the site's alone: {session:?}");
        assert_eq!(visits.get("/servicedesk/customer/portals", &session).await.status, 200);
        assert_eq!(session.expires(), Some(NOW.after(HOUR * 8)));
    }
    assert_eq!(visits.stage.jsm.last_saml_refusal(), None);
}

#[tokio::test]
async fn a_new_customer_is_made_and_signed_on() {
    let visits = ready().await;
    let session = visits.ensure(&visits.visitor(ANA).await).await.unwrap();
    assert_eq!(session.customer(), visits.stage.id(ANA));
    assert_eq!((visits.stage.jsm.customers_created(ANA), visits.stage.jsm.logins(ANA)), (1, 1));
}

#[tokio::test]
async fn fifty_requests_at_once_cost_one_sign_on() {
    let visits = ready().await;
    let carla = visits.visitor(CARLA).await;
    let gate = visits.stage.jsm.hold(LOGIN);
    let requests: Vec<_> = (0..50)
        .map(|_| {
            let (customers, carla, now) = (visits.customers.clone(), Arc::clone(&carla), NOW);
            tokio::spawn(async move { customers.ensure(&carla, now).await.unwrap().unwrap().generation() })
        })
        .collect();
    visits.stage.jsm.wait_for(|jsm| (jsm.held() == 1).then_some(())).await;
    gate.open();
    for request in requests {
        assert_eq!(request.await.unwrap(), 1);
    }
    assert_eq!(visits.stage.jsm.logins(CARLA), 1);
}

#[tokio::test]
async fn where_the_login_page_leads_nowhere_a_sign_on_begins_elsewhere() {
    let stage = Stage::start().await;
    let provider = provider(&stage, &[test_keys::one(Kind::Rsa2048)]);
    set_up(&stage, &provider);
    stage.jsm.set_faults(vec![Fault::always(LOGIN, FaultKind::HtmlInPlaceOfJson)]);
    let start = stage.jsm.saml_acs().replace("/acs", "/login?hint={email}");
    let visits = visits_from(stage, provider, Some(start));
    visits.ensure(&visits.visitor(CARLA).await).await.unwrap();
}

#[tokio::test]
async fn whoever_keeps_their_account_is_signed_on_by_its_address() {
    let visits = ready().await;
    visits.ensure(&visits.visitor_called("carla", CARLA).await).await.unwrap();
    let married = visits.visitor_called("carla", "carla.other@example.com").await;
    assert_eq!(visits.ensure(&married).await.unwrap().customer(), visits.stage.id(CARLA));
}

#[tokio::test]
async fn keys_roll_over_without_an_interruption() {
    let (old, new) = (test_keys::one(Kind::Rsa2048), test_keys::other(Kind::Rsa2048));
    let stage = Stage::start().await;
    let both = provider(&stage, &[old.clone(), new.clone()]);
    set_up(&stage, &both);
    let described = role(&both).metadata().unwrap();
    assert_eq!(described.matches("<md:KeyDescriptor use=\"signing\">").count(), 2, "{described}");
    let visits = visits(stage, both);
    visits.ensure(&visits.visitor(CARLA).await).await.unwrap();
    let turned = provider(&visits.stage, &[new, old]);
    let visits = super::saml::visits(visits.stage, turned);
    visits.ensure(&visits.visitor(CARLA).await).await.unwrap();
}

#[tokio::test]
async fn bad_days_have_their_reasons() {
    let status = |status, retry| FaultKind::Status(status, retry);
    for (path, kind, reason) in [
        (LOGIN, FaultKind::FirewallBlock, "login_blocked"),
        (LOGIN, FaultKind::FirewallChallenge, "login_blocked"),
        ("/saml/", FaultKind::FirewallChallenge, "login_blocked"),
        (LOGIN, FaultKind::HtmlInPlaceOfJson, "html_instead_of_json"),
        (LOGIN, status(404, None), "single_sign_on_off"),
        (LOGIN, status(500, None), "upstream_failing"),
        (LOGIN, status(429, Some(3600)), "rate_limited"),
        ("/saml/", status(429, Some(3600)), "rate_limited"),
        (LOGIN, FaultKind::DropConnection, "upstream_unreachable"),
        ("/jsd-login/v1/saml/complete", status(403, None), "sign_on_refused"),
        ("/rest/servicedeskapi/servicedesk", status(401, None), "upstream_unexpected"),
    ] {
        let visits = ready().await;
        let carla = visits.visitor(CARLA).await;
        // The directory is through before.
        visits.ensure(&visits.visitor_called(CARLA, CARLA).await).await.unwrap();
        visits.stage.jsm.set_faults(vec![Fault::always(path, kind.clone())]);
        assert_eq!(visits.ensure(&carla).await.unwrap_err().reason(), reason, "{path} {kind:?}");
    }
}

#[tokio::test]
async fn a_site_that_does_not_lead_to_us_and_people_it_does_not_let_in_have_their_reasons() {
    let visits = ready().await;
    visits.stage.jsm.switch(|switches| (switches.single_sign_on, switches.password_login) = (false, true));
    assert_eq!(visits.reason(CARLA).await, "single_sign_on_off");
    visits.stage.jsm.switch(|switches| (switches.single_sign_on, switches.password_login) = (true, false));
    visits.stage.jsm.add_atlassian_account_elsewhere(CHEN);
    assert_eq!(visits.reason(CHEN).await, "atlassian_account");
    let other = test_keys::other(Kind::Rsa2048).certificate;
    let ours = "https://support.acme.com/.vestibule/cloud/metadata";
    let sign_on = "https://support.acme.com/.vestibule/cloud/sign-on";
    visits.stage.jsm.configure_single_sign_on_by_hand(ours, sign_on, &[other]).unwrap();
    assert_eq!(visits.reason(CARLA).await, "sign_on_refused", "a certificate that is not ours");
    assert!(visits.stage.jsm.last_saml_refusal().is_some());
    let elsewhere = "https://idp.example/sign-on";
    visits.stage.jsm.configure_single_sign_on_by_hand(ours, elsewhere, &[]).unwrap_err();
    let key = test_keys::one(Kind::Rsa2048).certificate;
    visits.stage.jsm.configure_single_sign_on_by_hand(ours, elsewhere, &[key]).unwrap();
    assert_eq!(visits.reason(CARLA).await, "login_led_elsewhere");
    assert_eq!(visits.stage.jsm.logins(CARLA), 0);
}

#[tokio::test]
async fn logins_rest_when_the_firewall_blocks_them() {
    let visits = ready().await;
    visits.stage.jsm.set_faults(vec![Fault::always(LOGIN, FaultKind::FirewallBlock)]);
    for email in [CARLA, CHEN, "cleo@example.com"] {
        assert_eq!(visits.reason(email).await, "login_blocked");
    }
    let calls = visits.stage.jsm.calls("GET", LOGIN);
    assert_eq!(visits.reason(CARLA).await, "logins_paused");
    assert_eq!(visits.stage.jsm.calls("GET", LOGIN), calls);
    visits.stage.jsm.set_faults(Vec::new());
    visits.stage.clock.advance(Duration::from_secs(31));
    visits.ensure(&visits.visitor(CARLA).await).await.unwrap();
}

#[tokio::test]
async fn only_the_configured_site_is_answered_and_only_at_its_own_address() {
    let stage = Stage::start().await;
    let good = provider(&stage, &[test_keys::one(Kind::Rsa2048)]);
    set_up(&stage, &good);
    let mut another = good.clone();
    another.site.entity_id = "https://auth.atlassian.com/saml/another".into();
    let mut elsewhere = good;
    elsewhere.site.consumers[0].endpoint.location.push_str("/other");
    let mut visits = visits(stage, another);
    assert_eq!(visits.reason(CARLA).await, "sign_on_request_refused");
    visits = super::saml::visits(visits.stage, elsewhere);
    assert_eq!(visits.reason(CARLA).await, "sign_on_request_refused");
    assert_eq!((visits.stage.jsm.logins(CARLA), visits.stage.jsm.last_saml_refusal()), (0, None));
}
