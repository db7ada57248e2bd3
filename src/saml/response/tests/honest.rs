//! Messages that have to be believed, in the shapes that providers send.

use bergshamra_c14n::C14nMode;

use super::{accepted, refused, verify, verify_as};
use crate::saml::base64;
use crate::saml::keys::VerificationKeys;
use crate::saml::names::{
    AES128_CBC, AES128_GCM, AES192_CBC, AES192_GCM, AES256_CBC, AES256_GCM, C14N, ECDSA_SHA256, ECDSA_SHA384,
    ENVELOPED, EXC_C14N, EXC_C14N_WITH_COMMENTS, SHA1, SHA256, SHA384, SHA512,
};
use crate::saml::response::{self, Signed};
use crate::saml::signing_key::SignatureAlgorithm;
use crate::saml::test_keys::{self, Kind};
use crate::saml::test_signer::{self, Encryption, GOOD, Message, NOW, Signing, at, attribute, sign};

#[test]
fn either_part_or_both_may_be_signed() {
    let message = Message::default();
    for (text, signed) in [
        (message.response_signed(), Signed::Response),
        (message.assertion_signed(), Signed::Assertion),
        (message.both_signed(), Signed::Both),
    ] {
        let response = verify(&text).unwrap();
        assert_eq!((response.name_id.value.as_str(), response.signed), (GOOD, signed));
        assert_eq!((response.response_id.as_str(), response.assertion_id.as_str()), ("_response", "_assertion"));
        assert_eq!(response.session_indexes, ["_session"]);
        assert_eq!(response.authn_instant, NOW);
        assert_eq!(response.not_on_or_after.seconds(), NOW.seconds() + 300 + 60);
        assert!(!response.encrypted && !response.one_time_use);
    }
}

#[test]
fn s18_the_form_field_may_have_line_breaks() {
    let (keys, none) = (test_signer::keys(), []);
    let expected = test_signer::expected(&keys, &none);
    let field = base64::encode(Message::default().both_signed().as_bytes());
    let broken: String =
        field.as_bytes().chunks(76).map(|line| format!("{}\r\n", String::from_utf8_lossy(line))).collect();
    assert!(response::verify(broken.as_bytes(), &expected).is_ok());
    assert_eq!(response::verify(b"no base64!", &expected).unwrap_err().reason(), "saml_not_base64");
    let large = vec![b'A'; expected.largest_message + 1];
    assert_eq!(response::verify(&large, &expected).unwrap_err().reason(), "saml_too_large");
    let peeked = response::peek(broken.as_bytes(), 1 << 18).unwrap();
    assert_eq!(peeked.issuer.as_deref(), Some(test_signer::IDP));
    assert_eq!(peeked.in_response_to.as_deref(), Some(test_signer::REQUEST));
}

#[test]
fn all_strong_algorithms_are_believed() {
    let message = Message::default();
    let rsa = test_keys::one(Kind::Rsa2048);
    for algorithm in SignatureAlgorithm::RSA {
        let element = sign_by_product(&message, &rsa.signing_key().with_algorithm(algorithm).unwrap());
        assert_eq!(accepted(&element), GOOD, "{algorithm:?}");
    }
    for (kind, method, digest) in [(Kind::P256, ECDSA_SHA256, SHA256), (Kind::P384, ECDSA_SHA384, SHA384)] {
        let how = Signing {
            kind,
            method: format!(r#"<ds:SignatureMethod Algorithm="{method}"/>"#),
            digest_method: digest.into(),
            ..Signing::default()
        };
        let text = how.sign(&message.response(&message.assertion()), "_response");
        let keys = VerificationKeys::from_certificates(&[test_keys::one(kind).certificate]).unwrap();
        let none = [];
        assert!(response::verify_xml(text.as_bytes(), &test_signer::expected(&keys, &none)).is_ok(), "{method}");
    }
}

/// The assertion signed with an algorithm of the product's own signing key.
fn sign_by_product(message: &Message, key: &crate::saml::signing_key::SigningKey) -> String {
    let text = message.response(&message.assertion());
    let how = Signing {
        method: format!(r#"<ds:SignatureMethod Algorithm="{}"/>"#, key.algorithm().uri()),
        digest_method: key.algorithm().digest_uri().into(),
        ..Signing::default()
    };
    how.sign_with(&text, "_response", key)
}

#[test]
fn both_keys_work_while_a_provider_changes_them() {
    let certificates = [test_keys::other(Kind::Rsa2048).certificate, test_keys::one(Kind::Rsa2048).certificate];
    let keys = VerificationKeys::from_certificates(&certificates).unwrap();
    let text = Message::default().both_signed();
    assert!(response::verify_xml(text.as_bytes(), &test_signer::expected(&keys, &[])).is_ok());
    let only_other = VerificationKeys::from_certificates(&certificates[..1]).unwrap();
    let refused = response::verify_xml(text.as_bytes(), &test_signer::expected(&only_other, &[])).unwrap_err();
    assert_eq!(refused.reason(), "saml_signature_invalid");
}

#[test]
fn the_usual_canonicalisations_are_believed() {
    let message = Message::default();
    let transforms =
        |c14n: &str| format!(r#"<ds:Transforms><ds:Transform Algorithm="{ENVELOPED}"/>{c14n}</ds:Transforms>"#);
    let prefixed = format!(
        r#"<ds:Transform Algorithm="{EXC_C14N}"><ec:InclusiveNamespaces xmlns:ec="{EXC_C14N}" PrefixList="xs  samlp"/></ds:Transform>"#
    );
    let inclusive = format!(r#"<ds:Transform Algorithm="{C14N}"/>"#);
    let commented = format!(r#"<ds:Transform Algorithm="{EXC_C14N_WITH_COMMENTS}"/>"#);
    for (transforms, mode, prefixes) in [
        (transforms(""), C14nMode::Inclusive, vec![]),
        (transforms(&inclusive), C14nMode::Inclusive, vec![]),
        (transforms(&prefixed), C14nMode::Exclusive, vec!["xs".to_owned(), "samlp".to_owned()]),
        (transforms(&commented), C14nMode::Exclusive, vec![]),
    ] {
        let how = Signing { transforms: transforms.clone(), mode, prefixes, ..Signing::default() };
        assert_eq!(accepted(&how.sign(&message.response(&message.assertion()), "_response")), GOOD, "{transforms}");
        assert_eq!(accepted(&how.sign(&message.response(&message.assertion()), "_assertion")), GOOD, "{transforms}");
    }
    let how = Signing { c14n: format!(r#"<ds:CanonicalizationMethod Algorithm="{C14N}"/>"#), ..Signing::default() };
    assert_eq!(accepted(&how.sign(&message.response(&message.assertion()), "_assertion")), GOOD);
}

#[test]
fn pretty_printed_messages_are_believed() {
    let message = Message::default();
    let text = message.response(&message.assertion()).replace("><", ">\n  <");
    assert_eq!(accepted(&sign(&sign(&text, "_assertion"), "_response")), GOOD);
    let declared = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}", message.both_signed());
    assert_eq!(accepted(&declared), GOOD);
}

#[test]
fn all_usual_encryptions_are_read() {
    let message = Message::default();
    for cipher in [AES128_CBC, AES192_CBC, AES256_CBC, AES128_GCM, AES192_GCM, AES256_GCM] {
        let how = Encryption { cipher: cipher.into(), ..Encryption::default() };
        let response = verify(&message.encrypted(&how)).unwrap();
        assert!(response.encrypted && response.name_id.value == GOOD, "{cipher}");
    }
    for how in [
        Encryption { digest: Some(SHA1), ..Encryption::default() },
        Encryption { beside: true, ..Encryption::default() },
        Encryption { label: Some(b"label".to_vec()), ..Encryption::default() },
        Encryption { copies: 4, ..Encryption::default() },
        Encryption::oaep_11_default(),
        Encryption::oaep_11(SHA1, None),
        Encryption::oaep_11(SHA256, Some("http://www.w3.org/2009/xmlenc11#mgf1sha256")),
        Encryption::oaep_11(SHA384, Some("http://www.w3.org/2009/xmlenc11#mgf1sha384")),
        Encryption::oaep_11(SHA512, Some("http://www.w3.org/2009/xmlenc11#mgf1sha512")),
    ] {
        assert_eq!(accepted(&message.encrypted(&how)), GOOD, "{how:?}");
    }
}

#[test]
fn encryption_and_signatures_combine() {
    let (message, how) = (Message::default(), Encryption::default());
    let unsigned_inside = how.encrypt("EncryptedAssertion", &message.assertion());
    let signed_inside = how.encrypt("EncryptedAssertion", &sign(&message.assertion(), "_assertion"));
    for (inside, outside, signed) in [
        (&unsigned_inside, true, Signed::Response),
        (&signed_inside, true, Signed::Both),
        (&signed_inside, false, Signed::Assertion),
    ] {
        let text = message.response(inside);
        let text = if outside { sign(&text, "_response") } else { text };
        assert_eq!(verify(&text).unwrap().signed, signed);
    }
    refused(&message.response(&unsigned_inside), "saml_unsigned");
}

#[test]
fn a_fragment_may_lean_on_prefixes_around_it() {
    let message = Message::default();
    let bare = message.assertion().replacen(r#" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion""#, "", 1);
    let how = Encryption::default();
    let text = sign(&message.response(&how.encrypt("EncryptedAssertion", &bare)), "_response");
    assert_eq!(accepted(&text), GOOD);
    // As pysaml2 does: the EncryptedData gives the prefix another meaning, and is gone when the fragment stands there.
    let encrypted = how.encrypt("EncryptedAssertion", &bare);
    let encrypted = encrypted.replace("<xenc:EncryptedData ", r#"<xenc:EncryptedData xmlns:saml="urn:x" "#);
    assert_eq!(accepted(&sign(&message.response(&encrypted), "_response")), GOOD);
    let declared = format!("<?xml version=\"1.0\"?>\n{}", message.assertion());
    let text = sign(&message.response(&how.encrypt("EncryptedAssertion", &declared)), "_response");
    assert_eq!(accepted(&text), GOOD);
}

#[test]
fn a68_an_encrypted_name_id_is_read() {
    let how = Encryption::default();
    let name_id = format!(r#"<saml:NameID xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion">{GOOD}</saml:NameID>"#);
    let message = Message { name_id: how.encrypt("EncryptedID", &name_id), ..Message::default() };
    assert_eq!(accepted(&message.assertion_signed()), GOOD);
    let junk = Message { name_id: how.encrypt("EncryptedID", "<x/>"), ..Message::default() };
    refused(&junk.assertion_signed(), "saml_decryption_failed");
    assert_eq!(accepted(&message.encrypted(&how)), GOOD);
}

#[test]
fn s17_attributes_of_all_kinds_are_read() {
    let attributes = format!(
        r#"{}<saml:AttributeStatement xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xs="http://www.w3.org/2001/XMLSchema"><saml:Attribute Name="urn:oid:1.3.6.1.4.1.5923.1.1.1.10" FriendlyName="eduPersonTargetedID"><saml:AttributeValue><saml:NameID NameQualifier="q">opaque</saml:NameID></saml:AttributeValue></saml:Attribute><saml:Attribute Name="nothing"><saml:AttributeValue xsi:nil="true"/></saml:Attribute><saml:Attribute Name="typed"><saml:AttributeValue xsi:type="xs:string"> a &amp; b </saml:AttributeValue></saml:Attribute><saml:Attribute Name="email"><saml:AttributeValue>third@acme.example</saml:AttributeValue></saml:Attribute></saml:AttributeStatement>"#,
        attribute("email", &["first@acme.example", "second@acme.example"])
    );
    let response = verify(&Message { attributes, ..Message::default() }.response_signed()).unwrap();
    let values = |name: &str| response.attributes.values(name).collect::<Vec<_>>();
    assert_eq!(values("email"), ["first@acme.example", "second@acme.example", "third@acme.example"]);
    assert_eq!(values("urn:oid:1.3.6.1.4.1.5923.1.1.1.10"), ["opaque"]);
    assert_eq!(values("typed"), [" a & b "]);
    assert!(values("nothing").is_empty() && response.attributes.contains("nothing"));
    assert!(values("eduPersonTargetedID").is_empty(), "a FriendlyName is looked up by nobody");
}

#[test]
fn key_info_is_never_asked() {
    let other = base64::encode(&test_keys::other(Kind::Rsa2048).certificate);
    let key_info = format!(
        "<ds:KeyInfo><ds:KeyName>whoever</ds:KeyName><ds:X509Data><ds:X509Certificate>{other}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"
    );
    let how = Signing { key_info, ..Signing::default() };
    let message = Message::default();
    assert_eq!(accepted(&how.sign(&message.response(&message.assertion()), "_assertion")), GOOD);
}

#[test]
fn what_a_provider_began_needs_its_switch() {
    let message = Message {
        response_attributes: format!(r#"Version="2.0" IssueInstant="{}" Destination="{}""#, at(0), test_signer::ACS),
        confirmation: test_signer::confirmation(&format!(
            r#"Recipient="{}" NotOnOrAfter="{}""#,
            test_signer::ACS,
            at(300)
        )),
        ..Message::default()
    };
    let text = message.both_signed();
    refused(&text, "saml_in_response_to");
    let response = verify_as(&text, |expected| expected.in_response_to = response::InResponseTo::Unsolicited).unwrap();
    assert_eq!(response.in_response_to, None);
}
