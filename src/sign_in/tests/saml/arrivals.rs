//! What the assertion consumer service takes, and what it does not.

use super::*;
use crate::saml::names::AES256_CBC;
use crate::saml::test_signer::{ACS, Encryption, GOOD, at, audience, conditions};

#[tokio::test]
async fn a_visitor_signs_in_and_goes_where_they_wanted_to() {
    let world = World::with(|saml| saml.keys = own_keys());
    type Sign = fn(&Message) -> String;
    let shapes: [(&str, Sign); 4] = [
        ("response", Message::response_signed),
        ("assertion", Message::assertion_signed),
        ("both", Message::both_signed),
        ("encrypted", |message| message.encrypted(&Encryption::default())),
    ];
    for (number, (shape, sign)) in shapes.into_iter().enumerate() {
        let mut browser = world.browser();
        let sent = browser.ask("/portal/7?a=b").await;
        let message = Message { assertion_id: format!("_assertion-{number}"), ..answer(&sent.id) };
        let callback = browser.post(&sign(&message), Some(&sent.relay_state)).await;
        let Callback::SignedIn { identity, hint, next, before, .. } = callback else { panic!("{shape}: {callback:?}") };
        assert_eq!(next.as_str(), "/portal/7?a=b");
        assert_eq!((identity.provider().as_str(), identity.issuer()), ("idp", IDP));
        assert!(identity.subject().ends_with(&format!("|{GOOD}")), "{}", identity.subject());
        assert_eq!((identity.provider_session(), identity.authenticated_at()), (Some("_session"), NOW));
        let SignOutHint::Saml(session) = hint else { panic!("it is SAML") };
        assert_eq!(
            (session.name_id.value.as_str(), &session.session_indexes[..]),
            (GOOD, &["_session".to_owned()][..])
        );
        assert!(before.is_none());
    }
}

#[tokio::test]
async fn tabs_of_one_browser_do_not_disturb_each_other() {
    let world = World::start();
    let mut browser = world.browser();
    let tabs = [browser.ask("/a").await, browser.ask("/b").await, browser.ask("/c").await];
    for (number, (sent, path)) in tabs.iter().zip(["/a", "/b", "/c"]).enumerate().rev() {
        let message = Message { assertion_id: format!("_{number}"), ..answer(&sent.id) };
        let callback = browser.post(&message.response_signed(), Some(&sent.relay_state)).await;
        assert_eq!(told(&callback), ("signed_in", path));
    }
}

#[tokio::test]
async fn the_session_that_was_there_before_is_told() {
    let world = World::start();
    let session = crate::ids::SessionId::generate(&Random::default()).unwrap().hash();
    let ties = Ties { session: Some(session), ..Ties::default() };
    let started = world.sign_in.start(world.at(), &name("idp"), next("/"), ties, None).await.unwrap();
    let Some(TieCookie::Posted(key)) = &started.cookie else { panic!("no cookie") };
    let browser = Browser { world: &world, key: Some(key.clone()), client: None };
    let sent = sent_by_redirect(&location(started));
    let callback = browser.post(&answer(&sent.id).response_signed(), Some(&sent.relay_state)).await;
    assert!(matches!(callback, Callback::SignedIn { before: Some(before), .. } if before == session));
}

/// Each row changes an honest message, and has its reason at the live service, too.
#[tokio::test]
async fn a40_to_a56_what_is_not_exactly_for_us_is_refused() {
    let world = World::start();
    type Change = fn(&str) -> Message;
    let rows: &[(&str, &str, Change)] = &[
        ("a40 another address", "saml_destination", |id| Message {
            response_attributes: answer(id).response_attributes.replace("/acs", "/acs/"),
            ..answer(id)
        }),
        ("a40 no Destination on what is signed", "saml_destination", |id| Message {
            response_attributes: answer(id).response_attributes.replace(&format!(r#"Destination="{ACS}""#), ""),
            ..answer(id)
        }),
        ("a41 another Recipient", "saml_recipient", |id| Message {
            confirmation: answer(id).confirmation.replace("portal.example", "evil.test"),
            ..answer(id)
        }),
        ("a42 NotBefore in the confirmation", "saml_confirmation", |id| Message {
            confirmation: answer(id)
                .confirmation
                .replace("NotOnOrAfter", &format!(r#"NotBefore="{}" NotOnOrAfter"#, at(-9))),
            ..answer(id)
        }),
        ("a43 over", "saml_expired", |id| Message {
            conditions: format!(r#"<saml:Conditions NotOnOrAfter="{}">{}</saml:Conditions>"#, at(-60), audience(SP)),
            ..answer(id)
        }),
        ("a43 not yet", "saml_not_yet_valid", |id| Message {
            conditions: format!(r#"<saml:Conditions NotBefore="{}">{}</saml:Conditions>"#, at(61), audience(SP)),
            ..answer(id)
        }),
        ("a44 nobody's", "saml_audience", |id| Message { conditions: conditions(""), ..answer(id) }),
        ("a44 somebody else's", "saml_audience", |id| Message {
            conditions: conditions(&audience("https://portal.example/saml/")),
            ..answer(id)
        }),
        ("a45 ours and another's", "saml_audience", |id| Message {
            conditions: conditions(&(audience(SP) + &audience("https://evil.test"))),
            ..answer(id)
        }),
        ("a47 an unknown condition", "saml_unknown_condition", |id| Message {
            conditions: conditions(&(audience(SP) + r#"<x:Moon xmlns:x="urn:x"/>"#)),
            ..answer(id)
        }),
        ("a48 an hour old", "saml_issue_instant", |id| Message {
            response_attributes: answer(id).response_attributes.replace(&at(0), &at(-3600)),
            ..answer(id)
        }),
        ("a55 no statement", "saml_no_authn_statement", |id| Message { statement: String::new(), ..answer(id) }),
        ("a56 a failure", "saml_status", |id| Message {
            status: answer(id).status.replace("Success", "Responder"),
            ..answer(id)
        }),
        ("a60 nobody", "saml_name_id", |id| Message { name_id: String::new(), ..answer(id) }),
        ("a60 white space", "saml_name_id", |id| Message {
            name_id: "<saml:NameID> </saml:NameID>".into(),
            ..answer(id)
        }),
    ];
    for (row, reason, change) in rows {
        assert_eq!(world.outcome(|id| change(id).response_signed()).await, *reason, "{row}");
    }
    assert_eq!(world.outcome(|id| answer(id).response_signed()).await, "signed_in");
}

#[tokio::test]
async fn a49_a_response_answers_the_request_that_waits_and_no_other() {
    let world = World::start();
    let mut browser = world.browser();
    let (mine, second) = (browser.ask("/mine").await, browser.ask("/second").await);
    // That of another tab under this RelayState, and an unknown one.
    let callback = browser.post(&answer(&second.id).response_signed(), Some(&mine.relay_state)).await;
    assert_eq!(told(&callback), ("saml_in_response_to", "/mine"));
    assert_eq!(
        told(&browser.post(&answer(&mine.id).response_signed(), Some(&mine.relay_state)).await),
        ("stale", "/mine"),
        "it is used up"
    );
    let callback = browser.post(&answer("_unknown").response_signed(), Some(&second.relay_state)).await;
    assert_eq!(told(&callback), ("saml_in_response_to", "/second"));
    // Both places have to say it, and the same.
    for (row, change) in [
        (
            "in the Response alone",
            (|id: &str| Message { confirmation: unasked().confirmation, ..answer(id) }) as fn(&str) -> Message,
        ),
        ("in the confirmation alone", |id| Message {
            response_attributes: unasked().response_attributes,
            ..answer(id)
        }),
        ("another in the confirmation", |id| Message { confirmation: answer("_other").confirmation, ..answer(id) }),
    ] {
        assert_eq!(world.outcome(|id| change(id).response_signed()).await, "saml_in_response_to", "{row}");
    }
}

#[tokio::test]
async fn a49_a_response_is_for_the_browser_portal_and_moment_that_asked() {
    let world = World::start();
    let (mut attacker, mut victim, stranger) = (world.browser(), world.browser(), world.browser());
    let sent = attacker.ask("/attack").await;
    victim.ask("/mine").await;
    let message = answer(&sent.id).response_signed();
    // The victim's browser has a cookie of its own, a stranger's has none.
    assert_ne!(told(&victim.post(&message, Some(&sent.relay_state)).await).0, "signed_in");
    assert_eq!(told(&stranger.post(&message, Some(&sent.relay_state)).await).0, "no_cookie");
    // At another portal.
    let (host, response) = (HostName::parse("second.example").unwrap(), STANDARD.encode(&message));
    let origin = PublicOrigin::new(&host, 443);
    let posted = PostedResponse { response, relay_state: Some(sent.relay_state.clone()), client: None };
    let elsewhere = At { portal: &host, origin: &origin };
    let callback = world.sign_in.consume(elsewhere, &name("idp"), posted, attacker.key.as_deref()).await;
    assert_eq!(told(&callback).0, "stale");
    // None of that has used it up.
    assert_eq!(told(&attacker.post(&message, Some(&sent.relay_state)).await), ("signed_in", "/attack"));
    // Too late.
    let late = attacker.ask("/late").await;
    world.clock.advance(Duration::from_secs(15 * 60));
    assert_eq!(told(&attacker.post(&answer(&late.id).response_signed(), Some(&late.relay_state)).await).0, "stale");
}

#[tokio::test]
async fn a57_providers_are_not_mixed_up() {
    let world = World::start();
    let mut browser = world.browser();
    // A request to the one, answered at the address of the other.
    let sent = browser.ask("/a").await;
    let message = answer(&sent.id).response_signed();
    let callback = browser.post_at("other", &message, Some(&sent.relay_state)).await;
    assert_eq!(told(&callback), ("saml_mixed_up", "/a"));
    assert_eq!(told(&browser.post(&message, Some(&sent.relay_state)).await).0, "stale", "it is used up");
    // What the other provider signs about a request to this one: honest about itself, or under this one's name.
    let signing = test_signer::Signing { other_key: true, ..Default::default() };
    let issuer = |text: &str| format!("<saml:Issuer>{text}</saml:Issuer>");
    for who in [OTHER, IDP] {
        let outcome = world.outcome(|id| {
            let message = Message { response_issuer: issuer(who), assertion_issuer: issuer(who), ..answer(id) };
            signing.sign(&message.response(&message.assertion()), &message.response_id)
        });
        assert_eq!(outcome.await, "saml_signature_invalid", "{who}");
    }
    // This one's signature under the other's name.
    let outcome = world.outcome(|id| Message { assertion_issuer: issuer(OTHER), ..answer(id) }.response_signed());
    assert_eq!(outcome.await, "saml_issuer");
    let outcome = world.outcome(|id| Message { response_issuer: issuer(OTHER), ..answer(id) }.assertion_signed());
    assert_eq!(outcome.await, "saml_issuer");
}

#[tokio::test]
async fn a59_s7_a_provider_begins_only_where_it_may() {
    let world = World::start();
    let browser = world.browser();
    for relay_state in
        [None, Some("https://evil.test/"), Some("//evil.test"), Some("javascript:alert(1)"), Some("/portal")]
    {
        let callback = browser.post(&unasked().response_signed(), relay_state).await;
        assert_eq!(told(&callback), ("saml_unsolicited", "/"), "{relay_state:?}");
    }
    let world = World::with(|saml| saml.unsolicited = Unsolicited::DangerouslyTaken);
    let browser = world.browser();
    // S7: what names a request is no unsolicited response, wherever it names it.
    let named = Message { response_attributes: answer("_x").response_attributes, ..unasked() };
    assert_eq!(told(&browser.post(&named.response_signed(), None).await).0, "saml_in_response_to");
    let named = Message { confirmation: answer("_x").confirmation, ..unasked() };
    assert_eq!(told(&browser.post(&named.response_signed(), None).await).0, "saml_in_response_to");
    let sent = world.browser().ask("/a").await;
    assert_eq!(told(&browser.post(&answer(&sent.id).response_signed(), None).await).0, "saml_in_response_to");
    // A73: wherever its RelayState points, the visitor goes to the start.
    let callback = browser.post(&unasked().response_signed(), Some("https://evil.test/")).await;
    assert_eq!(told(&callback), ("signed_in", "/"));
    // A RelayState of ours that nobody knows is an old sign-in, not the provider's beginning.
    let mut browser = world.browser();
    browser.ask("/").await;
    let unknown = "A".repeat(43);
    assert_eq!(told(&browser.post(&unasked().response_signed(), Some(&unknown)).await).0, "stale");
}

#[tokio::test]
async fn a73_a_relay_state_that_is_not_ours_leads_nowhere() {
    let world = World::start();
    let mut browser = world.browser();
    let sent = browser.ask("/a").await;
    let long = "a".repeat(100_000);
    for wrong in ["", "x", "\r\nSet-Cookie: a=b", "<script>", &format!("{}é", sent.relay_state), &long] {
        let callback = browser.post(&answer(&sent.id).response_signed(), Some(wrong)).await;
        assert_eq!(told(&callback), ("saml_unsolicited", "/"), "{wrong:?}");
    }
    let callback = browser.post(&answer(&sent.id).response_signed(), Some(&sent.relay_state)).await;
    assert_eq!(told(&callback), ("signed_in", "/a"));
}

#[tokio::test]
async fn a53_an_old_sign_in_is_asked_for_anew_and_must_then_be_new() {
    let world = World::with(|saml| saml.max_age = Some(Duration::from_secs(600)));
    let old = |id: &str| {
        let message = answer(id);
        let statement = message.statement.replace(&at(0), &at(-3600));
        Message { statement, ..message }.response_signed()
    };
    let callback = world.answered(old).await;
    assert_eq!(told(&callback), ("too_old", "/a"));
    let started = world.sign_in.start_again(world.at(), &name("idp"), next("/a"), Ties::default()).await.unwrap();
    let Some(TieCookie::Posted(key)) = &started.cookie else { panic!("no cookie") };
    let browser = Browser { world: &world, key: Some(key.clone()), client: None };
    let sent = sent_by_redirect(&location(started));
    assert_eq!(told(&browser.post(&old(&sent.id), Some(&sent.relay_state)).await).0, "saml_stale_authentication");
}

#[tokio::test]
async fn a53_only_the_ways_to_sign_in_that_were_asked_for_will_do() {
    let world = World::with(|saml| saml.request.authn_contexts = vec!["urn:mfa".into()]);
    assert_eq!(world.outcome(|id| answer(id).response_signed()).await, "saml_authn_context");
    let mfa = |id: &str| {
        let message = answer(id);
        let statement =
            message.statement.replace("urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport", "urn:mfa");
        Message { statement, ..message }.response_signed()
    };
    let Callback::SignedIn { identity, .. } = world.answered(mfa).await else { panic!("refused") };
    assert_eq!(identity.acr(), Some("urn:mfa"));
}

#[tokio::test]
async fn a54_the_provider_says_when_our_session_ends() {
    let world = World::start();
    let callback = world.answered(|id| {
        let message = answer(id);
        let statement =
            message.statement.replace("SessionIndex", &format!(r#"SessionNotOnOrAfter="{}" SessionIndex"#, at(900)));
        Message { statement, ..message }.response_signed()
    });
    let Callback::SignedIn { identity, .. } = callback.await else { panic!("refused") };
    assert_eq!(identity.not_after(), Some(NOW.after(Duration::from_secs(900))));
}

#[tokio::test]
async fn a62_a63_what_is_encrypted_is_not_signed_by_that() {
    let world = World::with(|saml| saml.keys = own_keys());
    let unsigned = |id: &str| {
        let message = answer(id);
        message.response(&Encryption::default().encrypt("EncryptedAssertion", &message.assertion()))
    };
    assert_eq!(world.outcome(unsigned).await, "saml_unsigned");
    let by_another = |id: &str| {
        let (message, signing) = (answer(id), test_signer::Signing { other_key: true, ..Default::default() });
        let signed = signing.sign(&message.assertion(), &message.assertion_id);
        message.response(&Encryption::default().encrypt("EncryptedAssertion", &signed))
    };
    assert_eq!(world.outcome(by_another).await, "saml_signature_invalid");
    let without_a_key = World::start();
    let encrypted = |id: &str| answer(id).encrypted(&Encryption::default());
    assert_eq!(without_a_key.outcome(encrypted).await, "saml_no_decryption_key");
}

#[tokio::test]
async fn a64_trying_cipher_texts_out_is_stopped_while_others_sign_in() {
    let world = World::with(|saml| saml.keys = own_keys());
    let cbc = || Encryption { cipher: AES256_CBC.into(), ..Encryption::default() };
    let broken = |id: &str| {
        let how = cbc();
        answer(id).response(&how.envelope("EncryptedAssertion", &[7; 64], &how.encrypted_key(&[1; 32])))
    };
    let mut outcomes = Vec::new();
    for _ in 0..10 {
        outcomes.push(world.outcome(broken).await);
    }
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "saml_decryption_failed").count(), 5);
    assert_eq!(outcomes.last().unwrap(), "saml_decryption_paused");
    // From elsewhere, and where altering the cipher text tells nothing.
    let elsewhere = Some([203, 0, 113, 9].into());
    assert_eq!(told(&world.answered_from(elsewhere, |id| answer(id).encrypted(&cbc())).await).0, "signed_in");
    assert_eq!(world.outcome(|id| answer(id).encrypted(&cbc())).await, "saml_decryption_paused");
    assert_eq!(world.outcome(|id| answer(id).encrypted(&Encryption::default())).await, "signed_in");
    // A Response that is signed around it is decrypted all the same, and so is what is not encrypted.
    let covered = world.outcome(|id| {
        let message = Message { assertion_id: "_c".into(), ..answer(id) };
        let inside = cbc().encrypt("EncryptedAssertion", &message.assertion());
        test_signer::sign(&message.response(&inside), &message.response_id)
    });
    assert_eq!(covered.await, "signed_in");
    assert_eq!(world.outcome(|id| answer(id).response_signed()).await, "signed_in");
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(world.outcome(broken).await, "saml_decryption_failed");
}

#[tokio::test]
async fn sha_1_counts_only_where_the_operator_says_so() {
    let sha1 = |id: &str| {
        let method = r#"<ds:SignatureMethod Algorithm="http://www.w3.org/2000/09/xmldsig#rsa-sha1"/>"#;
        let signing = test_signer::Signing { method: method.into(), ..Default::default() };
        signing.sign(&answer(id).response(&answer(id).assertion()), "_response")
    };
    assert_eq!(World::start().outcome(sha1).await, "saml_weak_algorithm");
    let believing = World::with(|saml| saml.signatures = SignaturePolicy { legacy_sha1: true });
    // The test signs with SHA-256 under the name of SHA-1: it gets as far as the signature itself.
    assert_eq!(believing.outcome(sha1).await, "saml_signature_invalid");
}

#[tokio::test]
async fn a76_what_is_too_large_or_no_message_is_refused() {
    let world = World::with(|saml| saml.largest_response = 16 * 1024);
    assert_eq!(world.outcome(|id| answer(id).response_signed() + &" ".repeat(16 * 1024)).await, "saml_too_large");
    for (message, reason) in [("", "saml_xml"), ("<a/>", "saml_not_a_response"), ("{}", "saml_xml")] {
        assert_eq!(world.outcome(|_| message.to_owned()).await, reason, "{message}");
    }
    let mut browser = world.browser();
    let sent = browser.ask("/").await;
    let posted = PostedResponse { response: "%%%".into(), relay_state: Some(sent.relay_state), client: None };
    let callback = world.sign_in.consume(world.at(), &name("idp"), posted, browser.key.as_deref()).await;
    assert_eq!(told(&callback).0, "saml_not_base64");
}

#[tokio::test]
async fn keys_that_the_metadata_no_longer_has_are_no_longer_believed() {
    let world = World::start();
    assert_eq!(world.outcome(|id| answer(id).response_signed()).await, "signed_in");
    let next = metadata(IDP, &test_keys::other(Kind::Rsa2048), "", &["Redirect"]);
    std::fs::write(world.folder.path().join("idp.xml"), next).unwrap();
    world.clock.advance(Duration::from_secs(3600));
    let old = |id: &str| {
        let text = answer(id).response_signed();
        assert!(text.contains(id));
        text
    };
    assert_eq!(world.outcome(old).await, "saml_signature_invalid");
}
