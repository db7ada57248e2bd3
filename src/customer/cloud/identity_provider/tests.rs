use super::*;
use crate::portal::HostName;
use crate::saml::authn_request::{Acs, AuthnRequest, Comparison, NameIdPolicy};
use crate::saml::binding::{post, redirect};
use crate::saml::keys::VerificationKeys;
use crate::saml::metadata::{self, IndexedEndpoint, Reading, ServiceProvider};
use crate::saml::names::NAMEID_TRANSIENT;
use crate::saml::response::{self, Expected, InResponseTo};
use crate::saml::signing_key::SigningKey;
use crate::saml::test_keys::{self, Kind};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const SITE: &str = "https://auth.atlassian.com/saml/1";
const ACS: &str = "https://auth.atlassian.com/login/callback?connection=saml-1";
const SIGN_ON: &str = "https://support.acme.com/.vestibule/cloud/sign-on";

fn site() -> ServiceProvider {
    let consumer = |index, location: &str| IndexedEndpoint {
        index,
        is_default: index == 0,
        endpoint: Endpoint { binding: Binding::Post, location: location.into(), response_location: None },
    };
    ServiceProvider {
        entity_id: SITE.into(),
        signing_certificates: Vec::new(),
        encryption_certificates: Vec::new(),
        consumers: vec![consumer(0, ACS), consumer(3, "https://auth.atlassian.com/other")],
        logout: Vec::new(),
        signs_requests: false,
        wants_signed_assertions: true,
        name_id_formats: Vec::new(),
        validity: Validity::default(),
    }
}

fn role(change: impl FnOnce(&mut IdentityProviderSettings)) -> SiteIdentityProvider {
    let mut settings = IdentityProviderSettings {
        keys: [test_keys::one(Kind::Rsa2048).signing_key()].into(),
        our_entity_id: None,
        site: site(),
        site_keys: None,
    };
    change(&mut settings);
    let origin = PublicOrigin::new(&HostName::parse("support.acme.com").unwrap(), 443);
    SiteIdentityProvider::new(&settings, &origin, Random::default())
}

fn request() -> AuthnRequest<'static> {
    AuthnRequest {
        id: "_request",
        issue_instant: NOW,
        destination: SIGN_ON,
        issuer: SITE,
        acs: Acs::Url(ACS),
        force_authn: false,
        is_passive: false,
        name_id_policy: Some(NameIdPolicy { format: Some(NAMEID_EMAIL), allow_create: false }),
        authn_contexts: &[],
        comparison: Comparison::Exact,
    }
}

/// As it arrives by redirect.
fn arrived(request: &AuthnRequest<'_>, key: Option<&SigningKey>) -> Arrived {
    let url = redirect::url(SIGN_ON, Direction::Request, &request.to_element(), Some("relay"), key).unwrap();
    redirect::read(url.split_once('?').unwrap().1).unwrap()
}

#[test]
fn the_sites_request_gets_an_answer_that_only_the_site_can_use() {
    let role = role(|_| {});
    let asked = role.asked(arrived(&request(), None), NOW).unwrap();
    let address = EmailAddress::parse("ana@acme.com").unwrap();
    let form = role.answer(asked, &address, NOW).unwrap();
    assert_eq!((form.action.as_str(), form.field), (ACS, "SAMLResponse"));
    assert_eq!(form.relay_state.as_deref(), Some("relay"));
    let keys = VerificationKeys::from_certificates(&[test_keys::one(Kind::Rsa2048).certificate]).unwrap();
    let asked = InResponseTo::Request("_request");
    let expected = |now| Expected::new(role.entity_id(), &keys, SITE, ACS, asked, now);
    let message = form.message.as_bytes();
    let verified = response::verify(message, &expected(NOW)).unwrap();
    assert_eq!(verified.name_id.value, "ana@acme.com");
    assert_eq!(verified.name_id.format.as_deref(), Some(NAMEID_EMAIL));
    response::verify(message, &expected(NOW.after(LIFETIME).after(Expected::SKEW))).unwrap_err();
    for wrong in [
        Expected::new(role.entity_id(), &keys, "https://other", ACS, asked, NOW),
        Expected::new(role.entity_id(), &keys, SITE, "https://other", asked, NOW),
        Expected::new("https://other", &keys, SITE, ACS, asked, NOW),
        Expected::new(role.entity_id(), &keys, SITE, ACS, InResponseTo::Request("_other"), NOW),
        Expected::new(role.entity_id(), &keys, SITE, ACS, InResponseTo::Unsolicited, NOW),
    ] {
        response::verify(message, &wrong).unwrap_err();
    }
}

#[test]
fn no_two_answers_are_alike() {
    let role = role(|_| {});
    let address = EmailAddress::parse("ana@acme.com").unwrap();
    let answer = || role.answer(role.asked(arrived(&request(), None), NOW).unwrap(), &address, NOW).unwrap();
    assert_ne!(answer().message, answer().message);
}

#[test]
fn whoever_is_not_the_site_or_wants_more_is_refused() {
    type Change = fn(&mut AuthnRequest<'static>);
    let rows: [(&str, Change); 9] = [
        ("which is not the configured site", |request| request.issuer = "https://evil.example"),
        ("at an address that is not configured", |request| request.acs = Acs::Url("https://evil.example/acs")),
        ("at an address that is not configured", |request| request.acs = Acs::Url("https://auth.atlassian.com/login")),
        ("at an address that is not configured", |request| request.acs = Acs::Index(7)),
        ("NameID of the format", |request| {
            request.name_id_policy = Some(NameIdPolicy { format: Some(NAMEID_TRANSIENT), allow_create: false });
        }),
        ("Destination", |request| request.destination = "https://other.example/.vestibule/cloud/sign-on"),
        ("IssueInstant", |request| request.issue_instant = NOW.before(Duration::from_secs(3600))),
        ("IssueInstant", |request| request.issue_instant = NOW.after(Duration::from_secs(3600))),
        ("ID", |request| request.id = "1 2"),
    ];
    let role = role(|_| {});
    for (told, change) in rows {
        let mut request = request();
        change(&mut request);
        let why = role.asked(arrived(&request, None), NOW).unwrap_err().to_string();
        assert!(why.contains(told) || told == "Destination" || told == "IssueInstant", "{told}: {why}");
    }
    for acs in [Acs::Index(0), Acs::Index(3)] {
        role.asked(arrived(&AuthnRequest { acs, ..request() }, None), NOW).unwrap();
    }
    let response = post::PostForm::new(SIGN_ON, Direction::Response, &request().to_element(), None);
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(response.fields()).finish();
    assert_eq!(role.asked(post::read(body.as_bytes()).unwrap(), NOW).unwrap_err(), NotTheSite::Response);
}

#[test]
fn where_the_site_has_keys_its_requests_are_held_against_them() {
    let (key, other) = (test_keys::one(Kind::P256), test_keys::other(Kind::P256));
    let with_keys = |signs: bool| {
        role(|settings| {
            settings.site_keys =
                Some(VerificationKeys::from_certificates(std::slice::from_ref(&key.certificate)).unwrap().into());
            settings.site.signs_requests = signs;
        })
    };
    for signs in [true, false] {
        let role = with_keys(signs);
        role.asked(arrived(&request(), Some(&key.signing_key())), NOW).unwrap();
        role.asked(arrived(&request(), Some(&other.signing_key())), NOW).unwrap_err();
        assert_eq!(role.asked(arrived(&request(), None), NOW).is_ok(), !signs);
    }
}

#[test]
fn our_metadata_says_what_an_administrator_needs() {
    let next = test_keys::other(Kind::Rsa2048).signing_key();
    let role = role(|settings| settings.keys = [test_keys::one(Kind::Rsa2048).signing_key(), next].into());
    let written = role.metadata().unwrap();
    let read = metadata::identity_provider(written.as_bytes(), &Reading { entity_id: None, now: NOW }).unwrap();
    assert_eq!(read.entity_id, "https://support.acme.com/.vestibule/cloud/metadata");
    assert_eq!(read.sign_on_by(Binding::Redirect).unwrap().location, SIGN_ON);
    assert_eq!(read.sign_on_by(Binding::Post).unwrap().location, SIGN_ON);
    let ones = [test_keys::one(Kind::Rsa2048), test_keys::other(Kind::Rsa2048)];
    assert_eq!(read.signing_certificates, ones.map(|made| made.certificate));
}
