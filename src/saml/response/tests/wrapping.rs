//! Signature wrapping (A1 to A17): an honest signed element, moved to where it is not read, and the attacker's where it is.
//! Each message is freshly signed, and holds the honest element and its signature octet by octet; that they verify alone is
//! proved first, for else the test would be empty.

use super::{accepted, refused, verify};
use crate::saml::names::{DS, SAML, SAMLP};
use crate::saml::rejected::SamlRejected;
use crate::saml::signature::{SignaturePolicy, verify_all};
use crate::saml::test_signer::{self, EVIL, Encryption, GOOD, Message, Signing, insert_at, sign};
use crate::saml::xml::{Xml, XmlLimits};

/// An honest signed element in its parts.
struct Honest {
    /// With its signature.
    whole: String,
    /// Without.
    bare: String,
    /// The signature.
    signature: String,
}

impl Honest {
    fn new(bare: String, id: &str) -> Self {
        let whole = sign(&bare, id);
        let at = insert_at(&bare, id);
        let signature = whole[at..at + whole.len() - bare.len()].to_owned();
        let honest = Self { whole, bare, signature };
        honest.verifies_alone(&honest.whole);
        honest
    }

    fn assertion() -> Self {
        Self::new(Message::default().assertion(), "_assertion")
    }

    fn response() -> Self {
        let message = Message::default();
        Self::new(message.response(&message.assertion()), "_response")
    }

    /// The signature with something inside, at its end.
    fn signature_around(&self, inside: &str) -> String {
        self.signature.replace("</ds:Signature>", &format!("{inside}</ds:Signature>"))
    }

    /// Proves that the element and its signature are in `message` unchanged, and verify when put together again.
    #[track_caller]
    fn verifies_alone(&self, message: &str) {
        let end = self.signature.find("</ds:SignatureValue>").unwrap();
        assert!(message.contains(&self.bare) || message.contains(&self.whole), "the honest element is not in it");
        assert!(message.contains(&self.signature[..end]), "its signature is not in it");
        let xml = Xml::parse(self.whole.as_bytes(), XmlLimits::MESSAGE).unwrap();
        let keys = test_signer::keys();
        let places: Vec<_> = std::iter::once(xml.root()).chain(xml.root().all(SAML, "Assertion")).collect();
        let signatures = verify_all(&xml, &places, &keys, SignaturePolicy::default()).unwrap();
        assert!(signatures.iter().any(|signature| signature.signs(xml.root())));
    }
}

/// The attacker's copy: another NameID and other IDs.
fn evil() -> Message {
    Message {
        response_id: "_evil-response".into(),
        assertion_id: "_evil".into(),
        name_id: format!("<saml:NameID>{EVIL}</saml:NameID>"),
        ..Message::default()
    }
}

/// `text` with the signature put where one belongs in the element with that ID.
fn with_signature(text: &str, id: &str, signature: &str) -> String {
    let mut text = text.to_owned();
    text.insert_str(insert_at(&text, id), signature);
    text
}

/// `inside` as the last child of the element that `text` is.
fn append(text: &str, inside: &str) -> String {
    let end = text.rfind("</").unwrap();
    format!("{}{inside}{}", &text[..end], &text[end..])
}

/// Demands that every message is refused for its shape, and that the honest part of each verifies alone.
#[track_caller]
fn all_refused(honest: &Honest, messages: &[String]) {
    for message in messages {
        honest.verifies_alone(message);
        match verify(message) {
            Ok(response) => panic!("believed {:?}\n{message}", response.name_id.value),
            Err(
                SamlRejected::Assertions(_)
                | SamlRejected::Signature(_)
                | SamlRejected::DuplicateId
                | SamlRejected::Unsigned
                | SamlRejected::Xml(_)
                | SamlRejected::NotAResponse(_),
            ) => {}
            Err(other) => panic!("refused for another reason: {other}\n{message}"),
        }
    }
}

/// The eight shapes of "On Breaking SAML" for an honest Response and its evil copy.
fn response_wrappings(honest: &Honest) -> Vec<String> {
    let outer = evil().response(&evil().assertion());
    let object = honest.signature_around(&format!("<ds:Object>{}</ds:Object>", honest.bare));
    vec![
        with_signature(&outer, "_evil-response", &honest.signature_around(&honest.bare)), // XSW1
        with_signature(&outer, "_evil-response", &format!("{}{}", honest.bare, honest.signature)), // XSW2
        with_signature(&outer, "_evil-response", &object),
        append(&outer, &honest.whole),
        append(&with_signature(&outer, "_evil-response", &honest.signature), &honest.bare),
        outer
            .replace("<samlp:Status>", &format!("<samlp:Extensions>{}</samlp:Extensions><samlp:Status>", honest.whole)),
    ]
}

/// The same for an honest Assertion.
fn assertion_wrappings(honest: &Honest) -> Vec<String> {
    let (frame, copy) = (Message::default(), evil().assertion());
    let signed_copy = |signature: &str| with_signature(&copy, "_evil", signature);
    let object = honest.signature_around(&format!("<ds:Object>{}</ds:Object>", honest.bare));
    vec![
        frame.response(&format!("{copy}{}", honest.whole)), // XSW3
        frame.response(&append(&copy, &honest.whole)),      // XSW4
        frame.response(&format!("{}{}", signed_copy(&honest.signature), honest.bare)), // XSW5
        frame.response(&signed_copy(&honest.signature_around(&honest.bare))), // XSW6
        frame.response(&honest.whole).replace(
            "<samlp:Status>",
            &format!("<samlp:Extensions>{copy}</samlp:Extensions><samlp:Status>"), // XSW7
        ),
        frame.response(&signed_copy(&object)), // XSW8
    ]
}

/// All of these shapes with names, for other implementations.
pub(super) fn all() -> Vec<(String, String)> {
    let (responses, assertions) = (response_wrappings(&Honest::response()), assertion_wrappings(&Honest::assertion()));
    let numbered = |what: &'static str, texts: Vec<String>| {
        texts.into_iter().enumerate().map(move |(at, text)| (format!("{what} wrapped, shape {}", at + 1), text))
    };
    numbered("Response", responses).chain(numbered("Assertion", assertions)).collect()
}

#[test]
fn a1_a2_wrapped_responses_are_refused() {
    let honest = Honest::response();
    assert_eq!(accepted(&honest.whole), GOOD);
    all_refused(&honest, &response_wrappings(&honest));
}

#[test]
fn a3_to_a8_wrapped_assertions_are_refused() {
    let honest = Honest::assertion();
    assert_eq!(accepted(&Message::default().response(&honest.whole)), GOOD);
    all_refused(&honest, &assertion_wrappings(&honest));
}

#[test]
fn a7_an_evil_copy_with_the_same_id_is_refused() {
    let honest = Honest::assertion();
    let copy = Message { assertion_id: "_assertion".into(), ..evil() }.assertion();
    let frame = Message::default();
    let messages = ["samlp:Extensions", "samlp:StatusDetail", "x"].map(|wrapper| {
        Message { extensions: format!("<{wrapper}>{copy}</{wrapper}>"), ..frame.clone() }.response(&honest.whole)
    });
    all_refused(&honest, &messages);
    all_refused(&honest, &[frame.response(&format!("{copy}{}", honest.whole))]);
}

#[test]
fn a9_a_second_signed_info_is_refused() {
    let honest = Honest::assertion();
    let end = honest.signature.find("<ds:SignatureValue>").unwrap();
    let start = honest.signature.find("<ds:SignedInfo>").unwrap();
    let fake = honest.signature[start..end].replace("#_assertion", "#_evil");
    for signature in [
        format!("{}{fake}{}", &honest.signature[..start], &honest.signature[start..]),
        format!("{}{fake}{}", &honest.signature[..end], &honest.signature[end..]),
        honest.signature_around(&fake),
        honest.signature_around(&format!("<ds:KeyInfo>{fake}</ds:KeyInfo>")),
    ] {
        let copy = with_signature(&evil().assertion(), "_evil", &signature);
        let message = Message { after: format!("<wrapper>{}</wrapper>", honest.bare), ..Message::default() };
        let text = message.response(&copy);
        assert!(text.contains(&honest.bare));
        refused(&text, "saml_assertion_count");
        let alone = Message::default().response(&copy);
        refused(&alone, "saml_signature_shape");
    }
}

#[test]
fn a10_one_good_signature_beside_a_bad_one_is_refused() {
    let message = Message::default();
    let honest = Honest::assertion();
    let signed_twice = sign(&message.response(&honest.whole), "_response");
    assert_eq!(accepted(&signed_twice), GOOD);
    // The Response changed, the Assertion not; and the other way round.
    let response_broken = signed_twice.replacen(r#"InResponseTo="_request-1""#, r#"InResponseTo="_request-1" a="""#, 1);
    refused(&response_broken, "saml_signature_invalid");
    refused(&signed_twice.replace(GOOD, EVIL), "saml_signature_invalid");
    for wrapped in assertion_wrappings(&honest) {
        honest.verifies_alone(&wrapped);
        let signature = &signed_twice[insert_at(&message.response(&honest.whole), "_response")..];
        let signature = &signature[..signature.find("</ds:Signature>").unwrap() + "</ds:Signature>".len()];
        // Two good signatures that were made for another frame, one of them left out, or freshly by another key.
        let text = with_signature(&wrapped, "_response", signature);
        assert!(verify(&text).is_err(), "{text}");
        let by_other = Signing { other_key: true, ..Signing::default() }.sign(&wrapped, "_response");
        assert!(verify(&by_other).is_err(), "{by_other}");
    }
    let whole = Honest::new(message.response(&honest.whole), "_response");
    all_refused(&whole, &response_wrappings(&whole));
}

#[test]
fn a11_evil_copies_anywhere_else_are_refused() {
    let honest = Honest::assertion();
    let (frame, copy) = (Message::default(), evil().assertion());
    let detail = format!("<samlp:StatusDetail>{copy}</samlp:StatusDetail></samlp:Status>");
    let encrypted =
        format!(r#"<xenc:EncryptedData xmlns:xenc="http://www.w3.org/2001/04/xmlenc#">{copy}</xenc:EncryptedData>"#);
    all_refused(
        &honest,
        &[
            frame.response(&format!("{}{copy}", honest.whole)),
            frame.response(&format!("{copy}{}{copy}", honest.whole)),
            frame.response(&honest.whole).replace("</samlp:Status>", &detail),
            Message { after: encrypted, ..frame.clone() }.response(&honest.whole),
            Message { after: format!("<x:Assertion xmlns:x='urn:x'>{copy}</x:Assertion>"), ..frame.clone() }
                .response(&honest.whole),
        ],
    );
    // The honest one hidden in the evil one, which nobody signed.
    let data = |inside: &str| {
        test_signer::confirmation("").replace(
            "/></saml:SubjectConfirmation>",
            &format!(">{inside}</saml:SubjectConfirmationData></saml:SubjectConfirmation>"),
        )
    };
    for message in [
        Message { advice: format!("<saml:Advice>{}</saml:Advice>", honest.whole), ..evil() },
        Message { confirmation: data(&honest.whole), ..evil() },
        Message { attributes: test_signer::attribute("a", &[&honest.whole]), ..evil() },
    ] {
        all_refused(&honest, &[frame.response(&message.assertion())]);
    }
    // A provider that signs an assertion inside another one is refused too, in this version.
    let advice = format!("<saml:Advice>{copy}</saml:Advice>");
    refused(&Message { advice, ..frame }.response_signed(), "saml_assertion_count");
}

#[test]
fn a12_evil_and_honest_one_of_them_encrypted_are_refused() {
    let honest = Honest::assertion();
    let (frame, copy, how) = (Message::default(), evil().assertion(), Encryption::default());
    let hidden = how.encrypt("EncryptedAssertion", &honest.whole);
    assert_eq!(accepted(&frame.response(&hidden)), GOOD);
    for text in [
        frame.response(&format!("{copy}{hidden}")),
        frame.response(&format!("{hidden}{copy}")),
        frame.response(&format!("{}{}", honest.whole, how.encrypt("EncryptedAssertion", &copy))),
        frame.response(&format!("{}{}", how.encrypt("EncryptedAssertion", &copy), honest.whole)),
        frame.response(&format!("{hidden}{}", how.encrypt("EncryptedAssertion", &copy))),
    ] {
        refused(&text, "saml_assertion_count");
    }
    refused(&frame.response(&how.encrypt("EncryptedAssertion", &copy)), "saml_unsigned");
    let both = format!("{copy}{}", honest.whole);
    refused(&frame.response(&how.encrypt("EncryptedAssertion", &both)), "saml_decryption_failed");
    refused(&frame.response(&how.encrypt("EncryptedAssertion", &append(&copy, &honest.whole))), "saml_assertion_count");
}

#[test]
fn a13_a_signature_over_something_else_than_its_parent_is_refused() {
    let message = Message::default();
    let honest = Honest::assertion();
    // The Assertion's signature hung below the Response, and a fresh one of the Response below the Assertion.
    let misplaced = with_signature(&message.response(&honest.bare), "_response", &honest.signature);
    all_refused(&honest, &[misplaced]);
    let text = message.response(&message.assertion());
    let signed = Signing { uri: Some("#_response".into()), ..Signing::default() }.sign(&text, "_assertion");
    refused(&signed, "saml_signature_shape");
    let signed = Signing { uri: Some("#_assertion".into()), ..Signing::default() }.sign(&text, "_response");
    refused(&signed, "saml_signature_shape");
    // Below the Subject, the Status, or the Issuer.
    for place in ["<saml:Subject>", "<samlp:Status>"] {
        let moved = message.response(&honest.bare).replacen(place, &format!("{place}{}", honest.signature), 1);
        refused(&moved, "saml_signature_shape");
    }
}

#[test]
fn a14_a_response_in_a_response_is_refused() {
    let honest = Honest::response();
    let outer = |inside: &str| evil().response(inside);
    let inside = append(&honest.bare, &outer(&evil().assertion()));
    all_refused(&honest, &[outer(&honest.whole), outer(&format!("{}{}", honest.whole, evil().assertion()))]);
    refused(&with_signature(&inside, "_response", &honest.signature), "saml_assertion_count");
    // The honest one inside an unsigned one: the assertion is not a child of what is read.
    refused(&outer(&honest.whole), "saml_assertion_count");
    // An honest frame whose own signature would hold, with another response inside it.
    let nested =
        Message { extensions: format!("<samlp:Extensions>{}</samlp:Extensions>", outer("")), ..Message::default() };
    assert_eq!(accepted(&nested.response_signed()), GOOD, "the outer one is signed as a whole and alone is read");
}

#[test]
fn a15_digests_and_signatures_elsewhere_are_refused() {
    let honest = Honest::assertion();
    let detail = |inside: &str| {
        let status = format!("<samlp:StatusDetail>{inside}</samlp:StatusDetail></samlp:Status>");
        Message::default().status.replace("</samlp:Status>", &status)
    };
    let message = Message { status: detail(&honest.signature), ..Message::default() };
    all_refused(&honest, &[message.response(&honest.bare), message.response(&honest.whole)]);
    let digest = format!(r#"<ds:DigestValue xmlns:ds="{DS}">AAAA</ds:DigestValue>"#);
    // A stray digest is nobody's: the honest assertion is believed as it was signed.
    let message = Message { status: detail(&digest), ..Message::default() };
    assert_eq!(accepted(&message.response(&honest.whole)), GOOD);
    refused(&message.response(&honest.whole).replace(GOOD, EVIL), "saml_signature_invalid");
}

#[test]
fn a16_other_things_that_the_provider_signed_are_refused() {
    let evil = evil().assertion();
    let metadata = r#"<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" ID="_o"><md:IDPSSODescriptor/></md:EntityDescriptor>"#.to_owned();
    let logout = format!(
        r#"<samlp:LogoutRequest xmlns:samlp="{SAMLP}" xmlns:saml="{SAML}" ID="_o"><saml:NameID>{GOOD}</saml:NameID></samlp:LogoutRequest>"#
    );
    let authn =
        format!(r#"<samlp:AuthnRequest xmlns:samlp="{SAMLP}" ID="_o"/>"#).replace("/>", "></samlp:AuthnRequest>");
    for bare in [metadata, logout, authn] {
        let honest = Honest::new(bare, "_o");
        let frame = Message { response_id: "_o2".into(), ..Message::default() };
        let inside = Message { extensions: honest.whole.clone(), ..frame.clone() }.response(&evil);
        let around = with_signature(&frame.response(&evil), "_o2", &honest.signature_around(&honest.bare));
        let beside = append(&with_signature(&frame.response(&evil), "_o2", &honest.signature), &honest.bare);
        let in_assertion = frame.response(&with_signature(&append(&evil, &honest.bare), "_evil", &honest.signature));
        all_refused(&honest, &[inside, around, beside, in_assertion, honest.whole.clone()]);
    }
}

#[test]
fn a17_more_than_one_root_is_refused() {
    let honest = Honest::response();
    let evil = evil().response(&evil().assertion());
    for text in [
        format!("{}{evil}", honest.whole),
        format!("{evil}{}", honest.whole),
        format!("{}text", honest.whole),
        format!("{}<x/>", honest.whole),
        format!("<x/>{}", honest.whole),
        format!("{}</samlp:Response>", honest.whole),
    ] {
        honest.verifies_alone(&text);
        refused(&text, "saml_xml");
    }
}
