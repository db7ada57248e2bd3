//! Who somebody is taken for.

use super::*;
use crate::email::{EmailDomain, SpeaksFor};
use crate::saml::mapping::SubjectFrom;
use crate::saml::names::SAML;
use crate::saml::test_signer::{Encryption, attribute};

fn with_attributes(id: &str, attributes: &[(&str, &[&str])]) -> String {
    let attributes = attributes.iter().map(|(name, values)| attribute(name, values)).collect();
    Message { attributes, ..answer(id) }.response_signed()
}

async fn identity(world: &World, message: impl FnOnce(&str) -> String) -> VerifiedIdentity {
    match world.answered(message).await {
        Callback::SignedIn { identity, .. } => identity,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn attributes_become_email_name_groups_and_claims() {
    let world = World::with(|saml| {
        saml.mapping.groups = Some("memberOf".into());
        saml.mapping.claims.insert("team".into(), "department".into());
        saml.email_trust = EmailTrust::DangerouslyAlways;
    });
    let who = identity(&world, |id| {
        let email = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress";
        let all: [(&str, &[&str]); 4] = [
            (email, &["ana@acme.com"]),
            ("displayName", &["Ana"]),
            ("memberOf", &["vip", "staff"]),
            ("department", &["support"]),
        ];
        with_attributes(id, &all)
    });
    let who = who.await;
    assert_eq!(who.email().unwrap().as_str(), "ana@acme.com");
    assert!(who.email_verified());
    assert_eq!((who.display_name(), who.groups()), ("Ana", &["vip".to_owned(), "staff".to_owned()][..]));
    assert_eq!(who.claims()["team"], ["support"]);
    assert_eq!(who.claims()["department"], ["support"]);
    assert_eq!(who.claims()["memberOf"], ["vip", "staff"]);
}

#[tokio::test]
async fn a_provider_vouches_for_its_own_domains_alone() {
    let domain = EmailDomain::parse("acme.com").unwrap();
    let of = |email: &'static str| move |id: &str| with_attributes(id, &[("mail", &[email])]);
    let world = World::all(|provider| provider.speaks_for = SpeaksFor::new(&[domain], []));
    let who = identity(&world, of("ana@acme.com")).await;
    assert!(who.email_verified());
    assert_eq!(world.outcome(of("ana@evil.test")).await, "email_outside_domains");
    assert_eq!(world.outcome(of("ana@acme.com@evil.test")).await, "email_missing");
    assert_eq!(
        world
            .outcome(|id| Message { name_id: "<saml:NameID>ana</saml:NameID>".into(), ..answer(id) }.response_signed())
            .await,
        "email_missing"
    );
    // Without domains of its own, an address is only claimed.
    let who = identity(&World::start(), of("ana@acme.com")).await;
    assert!(who.email().is_some() && !who.email_verified());
    let trusting = World::with(|saml| saml.email_trust = EmailTrust::DangerouslyAlways);
    assert!(identity(&trusting, of("ana@acme.com")).await.email_verified());
    let nameless =
        |id: &str| Message { name_id: "<saml:NameID>ana</saml:NameID>".into(), ..answer(id) }.response_signed();
    assert!(!identity(&trusting, nameless).await.email_verified(), "there is none");
}

#[tokio::test]
async fn a58_without_domains_of_its_own_a_provider_does_not_vouch_for_those_of_others() {
    let acme = [EmailDomain::parse("acme.com").unwrap()];
    let world = World::all(|provider| provider.speaks_for = SpeaksFor::new(&[], &acme));
    let of = |email: &'static str| move |id: &str| with_attributes(id, &[("mail", &[email])]);
    assert_eq!(world.outcome(of("ana@acme.com")).await, "email_outside_domains");
    assert!(identity(&world, of("ana@any.example")).await.email().is_some());
}

#[tokio::test]
async fn a58_accounts_belong_to_their_provider_and_to_the_whole_name_id() {
    let world = World::start();
    let of = |attributes: &'static str| {
        move |id: &str| {
            let name_id = format!("<saml:NameID {attributes}>ana</saml:NameID>");
            Message { name_id, ..answer(id) }.response_signed()
        }
    };
    let mut accounts = std::collections::BTreeSet::new();
    for attributes in ["", r#"Format="urn:x""#, r#"NameQualifier="q""#, r#"SPNameQualifier="q""#] {
        accounts.insert(identity(&World::start(), of(attributes)).await.subject().to_owned());
    }
    assert_eq!(accounts.len(), 4);
    // The same NameID by another provider.
    let mut browser = world.browser();
    let sent = browser.ask_at("other", "/").await;
    let issuer = format!("<saml:Issuer>{OTHER}</saml:Issuer>");
    let message = Message { response_issuer: issuer.clone(), assertion_issuer: issuer, ..answer(&sent.id) };
    let to_other = |text: &str| text.replace("/saml/idp/acs", "/saml/other/acs");
    let message = Message {
        response_attributes: to_other(&message.response_attributes),
        confirmation: to_other(&message.confirmation),
        name_id: "<saml:NameID>ana</saml:NameID>".into(),
        ..message
    };
    let signing = test_signer::Signing { other_key: true, ..Default::default() };
    let signed = signing.sign(&message.response(&message.assertion()), &message.response_id);
    let callback = browser.post_at("other", &signed, Some(&sent.relay_state)).await;
    let Callback::SignedIn { identity, .. } = callback else { panic!("{callback:?}") };
    assert!(accounts.contains(identity.subject()), "the same subject");
    assert_eq!(identity.issuer(), OTHER, "of another issuer");
}

#[tokio::test]
async fn a60_a_name_for_one_session_is_no_account_unless_an_attribute_is() {
    let transient = |id: &str| {
        let format = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient";
        let name_id = format!(r#"<saml:NameID Format="{format}">_x</saml:NameID>"#);
        Message { name_id, attributes: attribute("uid", &["ana"]), ..answer(id) }.response_signed()
    };
    assert_eq!(World::start().outcome(transient).await, "saml_subject");
    let world = World::with(|saml| saml.mapping.subject = SubjectFrom::Attribute("uid".into()));
    let callback = world.answered(transient).await;
    let Callback::SignedIn { identity, hint, .. } = callback else { panic!("{callback:?}") };
    assert_eq!(identity.subject(), "attribute|uid|ana");
    // Logout names the NameID all the same.
    assert!(hint.name_id().unwrap().ends_with("|_x"));
}

#[tokio::test]
async fn a61_what_could_do_harm_in_a_header_is_left_out_whole() {
    let world = World::start();
    let who = identity(&world, |id| {
        let all: [(&str, &[&str]); 3] =
            [("odd", &["a&#13;&#10;b", "c"]), ("good", &["x"]), ("displayName", &["A&#10;B"])];
        with_attributes(id, &all)
    });
    let who = who.await;
    assert_eq!(who.claims().keys().collect::<Vec<_>>(), ["good"]);
    assert_ne!(who.display_name(), "A\nB");
}

#[tokio::test]
async fn a68_an_encrypted_name_id_is_the_same_account() {
    let world = World::with(|saml| saml.keys = own_keys());
    let plain = identity(&world, |id| answer(id).response_signed()).await;
    let hidden = identity(&world, |id| {
        let name_id = answer(id).name_id.replacen("<saml:NameID", &format!("<saml:NameID xmlns:saml=\"{SAML}\""), 1);
        let message = Message { name_id: Encryption::default().encrypt("EncryptedID", &name_id), ..answer(id) };
        message.both_signed()
    });
    assert_eq!(hidden.await.subject(), plain.subject());
}
