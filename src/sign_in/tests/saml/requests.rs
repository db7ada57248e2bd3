//! What the provider is asked.

use super::*;
use crate::saml::authn_request::{Comparison, RequestedAcs};
use crate::saml::keys::VerificationKeys;
use crate::saml::metadata::Binding;
use crate::saml::signature::verify_all;

#[tokio::test]
async fn the_request_says_who_asks_and_where_to_answer() {
    let world = World::with(|saml| {
        saml.our_entity_id = None;
        saml.request.name_id_format = Some("urn:oasis:names:tc:SAML:2.0:nameid-format:persistent".into());
        saml.request.authn_contexts = vec!["urn:mfa".into()];
        saml.request.comparison = Comparison::Minimum;
    });
    let sent = world.browser().ask("/portal/7").await;
    assert_eq!(sent.request.head.destination.as_deref(), Some("https://idp.example/sso/Redirect"));
    assert_eq!(sent.request.head.issuer, "https://portal.example/.vestibule/saml/idp/metadata");
    assert_eq!(sent.request.acs, RequestedAcs::Url(test_signer::ACS.to_owned()));
    assert_eq!(sent.request.authn_contexts, ["urn:mfa"]);
    assert!(!sent.request.force_authn && !sent.request.is_passive);
    assert!(sent.request.name_id_format.unwrap().ends_with("persistent"));
}

#[tokio::test]
async fn a73_relay_state_is_opaque_random_and_short() {
    let world = World::start();
    let mut browser = world.browser();
    let (one, two) = (browser.ask("/secret/path").await, browser.ask("/secret/path").await);
    assert_ne!(one.relay_state, two.relay_state);
    assert_ne!(one.id, two.id);
    for sent in [one, two] {
        assert!(sent.relay_state.len() <= 80 && !sent.relay_state.contains("secret"), "{}", sent.relay_state);
    }
}

#[tokio::test]
async fn c1_the_cookie_for_posted_answers_is_given_with_every_sign_in() {
    let world = World::start();
    let mut browser = world.browser();
    browser.ask("/").await;
    let first = browser.key.clone();
    browser.ask("/").await;
    assert_eq!(browser.key, first, "the same browser keeps its key");
}

#[tokio::test]
async fn a_request_by_form_is_signed_in_itself() {
    let world = World::with(|saml| {
        saml.keys = own_keys();
        saml.request.binding = Some(Binding::Post);
        saml.request.acs_index = Some(3);
        saml.request.force_authn = true;
    });
    let started = world.sign_in.start(world.at(), &name("idp"), next("/"), Ties::default(), None).await.unwrap();
    assert!(!format!("{started:?}").contains("SAMLRequest"));
    let Departure::Post(form) = started.departure else { panic!("it goes by a form") };
    assert_eq!((form.action.as_str(), form.field), ("https://idp.example/sso/POST", "SAMLRequest"));
    let (sent, text) = sent_by_post(&form);
    assert!(sent.request.force_authn);
    assert_eq!(sent.request.acs, RequestedAcs::Index(3));
    let xml = Xml::parse(text.as_bytes(), XmlLimits::MESSAGE).unwrap();
    let keys = VerificationKeys::from_certificates(&[test_keys::other(Kind::Rsa2048).certificate]).unwrap();
    let signatures = verify_all(&xml, &[xml.root()], &keys, SignaturePolicy::default()).unwrap();
    assert!(signatures.iter().any(|signature| signature.signs(xml.root())));
}

#[tokio::test]
async fn portals_of_one_entity_ask_by_their_own_index() {
    let here = HostName::parse("portal.example").unwrap();
    let world = World::with(|saml| {
        saml.our_entity_id = Some("urn:acme:portals".into());
        saml.request.acs_indexes = [(here, 5), (HostName::parse("second.example").unwrap(), 6)].into();
    });
    let sent = world.browser().ask("/").await;
    assert_eq!(sent.request.acs, RequestedAcs::Index(5));
    assert_eq!(sent.request.head.issuer, "urn:acme:portals");
}

#[tokio::test]
async fn a_request_by_redirect_is_signed_beside_the_message() {
    let world = World::with(|saml| saml.keys = own_keys());
    let started = world.sign_in.start(world.at(), &name("idp"), next("/"), Ties::default(), None).await.unwrap();
    let query = location(started).query().unwrap().to_owned();
    let (signed, signature) = query.split_once("&Signature=").unwrap();
    assert!(signed.ends_with("SigAlg=http%3A%2F%2Fwww.w3.org%2F2001%2F04%2Fxmldsig-more%23rsa-sha256"), "{signed}");
    let signature = percent_encoding::percent_decode_str(signature).decode_utf8().unwrap();
    let (_, certificate) = x509_parser::parse_x509_certificate(&test_keys::other(Kind::Rsa2048).certificate)
        .map(|(rest, certificate)| (rest, certificate.public_key().subject_public_key.data.to_vec()))
        .unwrap();
    let key = ring::signature::UnparsedPublicKey::new(&ring::signature::RSA_PKCS1_2048_8192_SHA256, certificate);
    key.verify(signed.as_bytes(), &STANDARD.decode(signature.as_bytes()).unwrap()).unwrap();
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_by_name() {
    let clock = Clock::manual(NOW);
    let (key, wants) = (test_keys::one(Kind::Rsa2048), r#"WantAuthnRequestsSigned="true""#);
    let start = async |metadata: &str, binding, path: Option<&str>| {
        let world = World::described(once(&clock), clock.clone(), metadata, |provider| {
            let Protocol::Saml(saml) = &mut provider.protocol else { panic!("it speaks SAML") };
            saml.request.binding = binding;
            if let Some(path) = path {
                saml.metadata.from = MetadataFrom::File(path.into());
            }
        });
        let started = world.sign_in.start(world.at(), &name("idp"), next("/"), Ties::default(), None).await;
        started.map(|_| ()).map_err(|failed| failed.reason())
    };
    let both = ["Redirect", "POST"];
    assert_eq!(start(&metadata(IDP, &key, "", &both), None, None).await, Ok(()));
    assert_eq!(start(&metadata(IDP, &key, wants, &both), None, None).await, Err("saml_no_signing_key"));
    let redirect_only = metadata(IDP, &key, "", &["Redirect"]);
    assert_eq!(start(&redirect_only, Some(Binding::Post), None).await, Err("saml_binding_not_offered"));
    let missing = start(&redirect_only, None, Some("/nowhere/idp.xml")).await;
    assert!(missing.unwrap_err().starts_with("saml_metadata"));
}

#[tokio::test]
async fn whoever_wants_to_be_somebody_else_is_asked_again() {
    let world = World::start();
    let started = world.sign_in.start_again(world.at(), &name("idp"), next("/"), Ties::default()).await.unwrap();
    assert!(sent_by_redirect(&location(started)).request.force_authn);
}
