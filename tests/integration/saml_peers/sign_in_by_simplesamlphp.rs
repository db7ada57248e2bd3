//! Whole sign-ins by SimpleSAMLphp, in all the ways that it signs, encrypts and names people; and two instances mixed up.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::gateway::{Provider, SIGNED_IN, SamlGateway};
use super::simplesamlphp::{SimpleSamlPhp, names_by, with};
use super::visitor::{Form, Visitor};

const PERSISTENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent";
const EMAIL: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress";
const UNSPECIFIED: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified";

/// Starts a sign-in and proves to be Ana; the answer is then in the form that the page would send by itself.
async fn ana_at_the_provider(gateway: &SamlGateway, peer: &SimpleSamlPhp, visitor: &mut Visitor) {
    visitor.open(&format!("{}/private", gateway.origin())).await;
    assert!(visitor.at.as_str().starts_with(&peer.base), "{}: {}", visitor.at, visitor.page);
    visitor.submit(&[("username", "ana"), ("password", "ana")]).await;
    assert!(visitor.form().field("SAMLResponse").is_some(), "{}", visitor.page);
}

#[tokio::test(flavor = "multi_thread")]
async fn simplesamlphp_signs_people_in_however_it_signs_encrypts_and_names() {
    let peer = SimpleSamlPhp::start("A").await;
    let gateway = SamlGateway::start(&[Provider { name: "a", metadata: &peer.metadata(), lines: "" }]).await;
    // What our metadata wants signed goes before what the instance was told to sign.
    peer.know(&gateway.metadata("a").await.replace(r#" WantAssertionsSigned="true""#, ""));
    let named = |more: Value| with(with(names_by("uid", PERSISTENT), json!({"validate.authnrequest": true})), more);
    let encrypted = |more: Value| named(with(json!({"assertion.encryption": true}), more));
    let sha =
        |bits: u16| json!({"signature.algorithm": format!("http://www.w3.org/2001/04/xmldsig-more#rsa-sha{bits}")});
    let sha1 = json!({"signature.algorithm": "http://www.w3.org/2000/09/xmldsig#rsa-sha1"});
    let no_response = json!({"saml20.sign.response": false});
    let no_assertion = json!({"saml20.sign.assertion": false});
    let uri = json!({"attributes.NameFormat": "urn:oasis:names:tc:SAML:2.0:attrname-format:uri"});
    // What it is told, how many signatures are then to be seen from outside, and whether that is believed.
    for (what, idp, signatures, believed) in [
        ("both signed", named(json!({})), 2, true),
        ("Response signed", named(no_assertion.clone()), 1, true),
        ("Assertion signed", named(no_response.clone()), 1, true),
        ("signed with SHA-384", named(sha(384)), 2, true),
        ("signed with SHA-512", named(sha(512)), 2, true),
        ("encrypted, both signed", encrypted(json!({})), 1, true),
        ("encrypted, Assertion signed", encrypted(no_response.clone()), 0, true),
        ("encrypted, Response signed", encrypted(no_assertion.clone()), 1, true),
        ("an encrypted NameID", named(json!({"nameid.encryption": true})), 2, true),
        ("an e-mail address as NameID", names_by("mail", EMAIL), 2, true),
        ("a NameID of no declared format", names_by("uid", UNSPECIFIED), 2, true),
        ("attributes named by URI", named(uri), 2, true),
        ("a NameID for one session, its default", json!({}), 2, false),
        ("signed with SHA-1", named(sha1), 2, false),
        ("nothing signed", named(with(no_response.clone(), no_assertion.clone())), 0, false),
        ("encrypted, nothing signed", encrypted(with(no_response, no_assertion)), 0, false),
    ] {
        peer.set(&idp);
        let mut visitor = gateway.visitor();
        ana_at_the_provider(&gateway, &peer, &mut visitor).await;
        let answer = BASE64_STANDARD.decode(visitor.form().field("SAMLResponse").unwrap()).unwrap();
        let seen = String::from_utf8(answer).unwrap().matches("<ds:SignatureValue").count();
        visitor.submit(&[]).await;
        println!("{what}: {} at {}", visitor.status, visitor.at);
        assert_eq!(seen, signatures, "{what}");
        assert_eq!(visitor.page == SIGNED_IN, believed, "{what}: {} {}", visitor.at, visitor.page);
        visitor.open(&format!("{}/private/again", gateway.origin())).await;
        assert_eq!(visitor.page == SIGNED_IN, believed, "{what}: the session at {} {}", visitor.at, visitor.page);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn simplesamlphp_takes_requests_by_post_and_asks_again_when_told_to() {
    let peer = SimpleSamlPhp::start("A").await;
    let post = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST";
    peer.set(&with(
        names_by("uid", PERSISTENT),
        json!({"SingleSignOnServiceBinding": [post], "validate.authnrequest": true}),
    ));
    let lines = "      binding: post\n      force_authn: true\n";
    let gateway = SamlGateway::start(&[Provider { name: "a", metadata: &peer.metadata(), lines }]).await;
    peer.know(&gateway.metadata("a").await);
    let mut visitor = gateway.visitor();
    for _ in 0..2 {
        visitor.open(&format!("{}/private", gateway.origin())).await;
        if visitor.page == SIGNED_IN {
            visitor = visitor_who_stays_at_the_provider(&gateway, visitor).await;
        }
        assert!(visitor.form().field("SAMLRequest").is_some(), "{}", visitor.page);
        visitor.submit(&[]).await;
        visitor.submit(&[("username", "ana"), ("password", "ana")]).await;
        visitor.submit(&[]).await;
        assert_eq!(visitor.page, SIGNED_IN, "{}", visitor.at);
    }
}

/// Signs out here alone, and begins anew: the provider still knows the visitor, and has to ask nevertheless.
async fn visitor_who_stays_at_the_provider(gateway: &SamlGateway, mut visitor: Visitor) -> Visitor {
    visitor.open(&format!("{}/.vestibule/sign-out", gateway.origin())).await;
    visitor.submit(&[]).await;
    visitor.open(&format!("{}/private", gateway.origin())).await;
    visitor
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_simplesamlphp_signs_is_believed_by_its_certificate_alone() {
    let (peer, other) = (SimpleSamlPhp::start("A").await, SimpleSamlPhp::start("B").await);
    for (certificate, believed) in [(peer.certificate(), true), (other.certificate(), false)] {
        let lines = format!("      metadata_certificate: {{ file: \"{}\" }}\n", certificate.display());
        let gateway = SamlGateway::start(&[Provider { name: "a", metadata: &peer.metadata(), lines: &lines }]).await;
        let mut visitor = gateway.visitor();
        visitor.open(&format!("{}/private", gateway.origin())).await;
        assert_eq!(visitor.at.as_str().starts_with(&peer.base), believed, "{}: {}", visitor.at, visitor.page);
        assert_eq!(visitor.status == 503, !believed, "{}", visitor.page);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a57_an_answer_of_one_simplesamlphp_is_refused_for_the_sign_in_at_another() {
    let (a, b) = (SimpleSamlPhp::start("A").await, SimpleSamlPhp::start("B").await);
    let (a_metadata, b_metadata) = (a.metadata(), b.metadata());
    let provider = |name, metadata| Provider { name, metadata, lines: "" };
    let gateway = SamlGateway::start(&[provider("a", &a_metadata), provider("b", &b_metadata)]).await;
    for (peer, name) in [(&a, "a"), (&b, "b")] {
        peer.set(&names_by("uid", PERSISTENT));
        peer.know(&gateway.metadata(name).await);
    }
    // In one browser, a sign-in at each, both of them waiting.
    let mut visitor = gateway.visitor();
    let from_a = answered(&gateway, &a, "a", &mut visitor).await;
    let from_b = answered(&gateway, &b, "b", &mut visitor).await;
    let send_to = |answer: &Form, provider: &str, relay_state: &Form| {
        let mut form = answer.clone();
        form.action = url::Url::parse(&gateway.acs(provider)).unwrap();
        let relay_state = relay_state.field("RelayState").unwrap().to_owned();
        form.fields
            .iter_mut()
            .filter(|(name, _)| name == "RelayState")
            .for_each(|(_, value)| value.clone_from(&relay_state));
        form
    };
    for (what, form) in [
        ("A's answer at B's address, for the sign-in at B", send_to(&from_a, "b", &from_b)),
        ("A's answer at B's address, for the sign-in at A", send_to(&from_a, "b", &from_a)),
        ("A's answer at A's address, for the sign-in at B", send_to(&from_a, "a", &from_b)),
    ] {
        visitor.send(&form).await;
        println!("{what}: {}", visitor.status);
        // The sign-in at B is spent by the first attempt: after that, the visitor is asked to begin anew.
        assert_ne!(visitor.page, SIGNED_IN, "{what}");
        assert!(visitor.at.as_str().starts_with(&gateway.origin()), "{what}: {}", visitor.at);
        visitor.open(&format!("{}/private", gateway.origin())).await;
        assert_ne!(visitor.page, SIGNED_IN, "{what}");
    }
    // Where each belongs it is believed, if the attempts before have not spent the sign-in.
    let mut visitor = gateway.visitor();
    let from_b = answered(&gateway, &b, "b", &mut visitor).await;
    visitor.send(&from_b).await;
    assert_eq!(visitor.page, SIGNED_IN, "{} {}", visitor.status, visitor.at);
    // And once only.
    let mut again = gateway.visitor();
    again.send(&from_b).await;
    assert_ne!(again.page, SIGNED_IN, "{}", again.at);
    again.open(&format!("{}/private", gateway.origin())).await;
    assert_ne!(again.page, SIGNED_IN, "{}", again.at);
}

/// Chooses `name` on the gateway's page and proves to be Ana; gives the form with the answer.
async fn answered(gateway: &SamlGateway, peer: &SimpleSamlPhp, name: &str, visitor: &mut Visitor) -> Form {
    visitor.open(&format!("{}/private", gateway.origin())).await;
    visitor.submit(&[("provider", name)]).await;
    visitor.go_on().await;
    assert!(visitor.at.as_str().starts_with(&peer.base), "{}: {}", visitor.at, visitor.page);
    if visitor.page.contains("name=\"username\"") {
        visitor.submit(&[("username", "ana"), ("password", "ana")]).await;
    }
    let form = visitor.form();
    assert!(form.field("SAMLResponse").is_some(), "{}", visitor.page);
    form
}
