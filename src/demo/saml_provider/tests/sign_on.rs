//! Single sign-on, honest and strict.

use super::*;
use crate::saml::authn_request::NameIdPolicy;
use crate::saml::binding::redirect;
use crate::saml::names::{NAMEID_EMAIL, NAMEID_PERSISTENT, NAMEID_TRANSIENT};
use crate::saml::response::Signed;

fn automatic() -> Settings {
    Settings::default().approve_automatically("gina")
}

#[tokio::test]
async fn signs_in_by_both_bindings_whatever_it_signs_and_encrypts() {
    for signed in [Signed::Response, Signed::Assertion, Signed::Both] {
        for encrypts in [false, true] {
            let world = World::start(Settings { signed, encrypts, ..automatic() }).await;
            for (id, binding) in [("_1", Binding::Redirect), ("_2", Binding::Post)] {
                let answer = world.take(world.request(id, binding, |_| {})).await;
                assert_eq!((answer.action().as_str(), answer.field("RelayState").as_str()), (ACS, "state"));
                let read = world.verify(&answer, InResponseTo::Request(id)).unwrap();
                assert_eq!((read.signed, read.encrypted), (signed, encrypts));
                assert_eq!(read.name_id.value, "gina");
                assert_eq!(read.attributes.values("urn:oid:0.9.2342.19200300.100.1.3").next(), Some("gina@globex.com"));
                assert_eq!(read.attributes.values("urn:oid:1.3.6.1.4.1.5923.1.5.1.1").next(), Some("customers"));
            }
            assert_eq!(world.provider.signed_in(), 1, "the second sign-in uses the session of the first");
        }
    }
}

#[tokio::test]
async fn a_person_chooses_on_the_page_or_cancels() {
    let world = World::start(Settings::default()).await;
    let page = world.take(world.request("_1", Binding::Redirect, |_| {})).await;
    assert!(page.text.contains("Gina Gomes") && page.text.contains(SP));
    let handle = page.field("handle");
    let answer = world.post("decide", &[("handle", &handle), ("person", "gina")]).await;
    assert_eq!(world.verify(&answer, InResponseTo::Request("_1")).unwrap().name_id.value, "gina");
    world.post("decide", &[("handle", &handle), ("person", "gina")]).await.is_refused("used before");

    let page = world.take(world.request("_2", Binding::Redirect, |request| request.force_authn = true)).await;
    let answer = world.post("decide", &[("handle", &page.field("handle")), ("cancel", "yes")]).await;
    let refused = world.verify(&answer, InResponseTo::Request("_2")).unwrap_err();
    assert_eq!(refused.reason(), "saml_status");

    let page = world.take(world.request("_3", Binding::Redirect, |request| request.force_authn = true)).await;
    let form = [("handle", page.field("handle")), ("person", "gina".to_owned())];
    let elsewhere =
        world.http.post(world.provider.location("decide")).header("sec-fetch-site", "cross-site").form(&form);
    assert_eq!(elsewhere.send().await.unwrap().status().as_u16(), 403);
}

#[tokio::test]
async fn names_are_of_the_kind_that_is_asked_for() {
    let world = World::start(automatic()).await;
    for (id, format, value) in [
        ("_1", NAMEID_PERSISTENT, Some("gina")),
        ("_2", NAMEID_EMAIL, Some("gina@globex.com")),
        ("_3", NAMEID_TRANSIENT, None),
    ] {
        let policy = Some(NameIdPolicy { format: Some(format), allow_create: true });
        let answer = world.take(world.request(id, Binding::Redirect, |request| request.name_id_policy = policy)).await;
        let read = world.verify(&answer, InResponseTo::Request(id)).unwrap();
        assert_eq!(read.name_id.format.as_deref(), Some(format));
        assert!(value.is_none_or(|value| read.name_id.value == value));
    }
    let policy = Some(NameIdPolicy { format: Some("urn:x"), allow_create: true });
    let answer = world.take(world.request("_4", Binding::Redirect, |request| request.name_id_policy = policy)).await;
    let refused = world.verify(&answer, InResponseTo::Request("_4")).unwrap_err().to_string();
    assert!(refused.contains("InvalidNameIDPolicy"), "{refused}");
}

#[tokio::test]
async fn what_cannot_be_done_is_said_in_an_answer() {
    let world = World::start(Settings::default()).await;
    let contexts = ["urn:oasis:names:tc:SAML:2.0:ac:classes:X509".to_owned()];
    let answer = world.take(world.request("_1", Binding::Redirect, |request| request.is_passive = true)).await;
    let refused = world.verify(&answer, InResponseTo::Request("_1")).unwrap_err().to_string();
    assert!(refused.contains("NoPassive"), "{refused}");
    let outgoing = {
        let location = world.description.sign_on_by(Binding::Redirect).unwrap().location.clone();
        let request = AuthnRequest {
            id: "_2",
            issue_instant: world.clock.now(),
            destination: &location,
            issuer: SP,
            acs: Acs::Index(0),
            force_authn: false,
            is_passive: false,
            name_id_policy: None,
            authn_contexts: &contexts,
            comparison: Comparison::Exact,
        };
        let key = test_keys::other(Kind::Rsa2048).signing_key();
        Outgoing::sign(Binding::Redirect, &location, Direction::Request, request.to_element(), None, &key).unwrap()
    };
    let answer = world.take(outgoing).await;
    let refused = world.verify(&answer, InResponseTo::Request("_2")).unwrap_err().to_string();
    assert!(refused.contains("NoAuthnContext"), "{refused}");
}

#[tokio::test]
async fn it_begins_by_itself_when_told() {
    let world = World::start(automatic()).await;
    let answer = world.get(&format!("start?to={SP}&RelayState=/requests")).await;
    assert_eq!((answer.action().as_str(), answer.field("RelayState").as_str()), (ACS, "/requests"));
    let read = world.verify(&answer, InResponseTo::Unsolicited).unwrap();
    assert_eq!(read.in_response_to, None);
    world.get("start?to=https://evil.test").await.is_refused("No service provider");
    world.get("start").await.is_refused("No service provider");
}

#[tokio::test]
async fn only_registered_service_providers_with_their_own_signature_are_served() {
    let world = World::start(automatic()).await;
    let take = async |outgoing| world.take(outgoing).await;
    take(world.request("_1", Binding::Redirect, |request| request.issuer = "https://evil.test"))
        .await
        .is_refused("not known");
    take(world.request("_2", Binding::Redirect, |request| request.acs = Acs::Url("https://evil.test/acs")))
        .await
        .is_refused("not registered");
    take(world.request("_3", Binding::Post, |request| request.acs = Acs::Index(9))).await.is_refused("not registered");
    take(world.request("_4", Binding::Post, |request| request.destination = "https://evil.test"))
        .await
        .is_refused("Destination");
    let old = world.clock.now().before(Duration::from_secs(3600));
    take(world.request("_5", Binding::Post, |request| request.issue_instant = old)).await.is_refused("IssueInstant");

    let good = world.request("_6", Binding::Redirect, |_| {});
    assert_eq!(take(good.clone()).await.status, 200);
    take(good.clone()).await.is_refused("used before");
    let Outgoing::Redirect(address) = good else { panic!() };
    let forged = address.replace("RelayState=state", "RelayState=other");
    take(Outgoing::Redirect(forged)).await.is_refused("signature");
    let bare = address.split("&SigAlg=").next().unwrap().to_owned();
    take(Outgoing::Redirect(bare)).await.is_refused("not signed");
    take(Outgoing::Redirect(address.replace("SAMLRequest=", "SAMLResponse="))).await.is_refused("requests");
    take(Outgoing::Redirect(world.provider.location("sso"))).await.is_refused("exactly one message");
}

#[tokio::test]
async fn who_does_not_sign_is_served_unsigned_unless_the_provider_wants_it() {
    for (wants_signed_requests, served) in [(false, true), (true, false)] {
        let world = World::start(Settings { wants_signed_requests, ..automatic() }).await;
        world.provider.register(service_provider(SP, false));
        let location = &world.description.sign_on_by(Binding::Redirect).unwrap().location;
        let request = AuthnRequest {
            id: "_1",
            issue_instant: world.clock.now(),
            destination: location,
            issuer: SP,
            acs: Acs::Url(ACS),
            force_authn: false,
            is_passive: false,
            name_id_policy: None,
            authn_contexts: &[],
            comparison: Comparison::Exact,
        };
        let address = redirect::url(location, Direction::Request, &request.to_element(), None, None).unwrap();
        let answer = world.take(Outgoing::Redirect(address)).await;
        if served {
            assert_eq!(world.verify(&answer, InResponseTo::Request("_1")).unwrap().name_id.value, "gina");
        } else {
            answer.is_refused("not signed");
        }
    }
}

#[tokio::test]
async fn tests_can_make_it_lie() {
    let world = World::start(automatic()).await;
    world.provider.alter_next_response(|parts| parts.audience = "https://other.test".into());
    let answer = world.take(world.request("_1", Binding::Redirect, |_| {})).await;
    assert_eq!(world.verify(&answer, InResponseTo::Request("_1")).unwrap_err().reason(), "saml_audience");
    world.provider.alter_next_message(|text| text.replace("gina@globex.com", "eve@globex.com"));
    let answer = world.take(world.request("_2", Binding::Redirect, |_| {})).await;
    assert_eq!(world.verify(&answer, InResponseTo::Request("_2")).unwrap_err().reason(), "saml_signature_invalid");
    let answer = world.take(world.request("_3", Binding::Redirect, |_| {})).await;
    assert!(world.verify(&answer, InResponseTo::Request("_3")).is_ok());
}
