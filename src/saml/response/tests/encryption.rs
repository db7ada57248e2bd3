//! Encryption under attack (A62 to A68, S4 to S6): it is no proof, it tells nothing, and it costs little.

use std::collections::BTreeSet;

use super::{accepted, refused, refused_as, verify};
use crate::saml::encryption::Decryptor;
use crate::saml::names::{AES128_CBC, AES256_CBC, AES256_GCM, RSA_OAEP_11, SHA1, SHA256};
use crate::saml::test_signer::{self, EVIL, Encryption, GOOD, Message, Signing, sign};
use crate::saml::xml::{Xml, XmlLimits};

fn signed_assertion() -> String {
    sign(&Message::default().assertion(), "_assertion")
}

/// A response around an encrypted thing, itself unsigned.
fn around(encrypted: &str) -> String {
    Message::default().response(encrypted)
}

#[test]
fn a62_s4_encryption_is_no_proof() {
    let message = Message { name_id: format!("<saml:NameID>{EVIL}</saml:NameID>"), ..Message::default() };
    let how = Encryption::default();
    refused(&around(&how.encrypt("EncryptedAssertion", &message.assertion())), "saml_unsigned");
    let by_other = Signing { other_key: true, ..Signing::default() }.sign(&message.assertion(), "_assertion");
    refused(&around(&how.encrypt("EncryptedAssertion", &by_other)), "saml_signature_invalid");
}

#[test]
fn a63_the_signature_inside_is_judged_like_one_outside() {
    let (how, message) = (Encryption::default(), Message::default());
    let changed = signed_assertion().replace(GOOD, EVIL);
    refused(&around(&how.encrypt("EncryptedAssertion", &changed)), "saml_signature_invalid");
    let covered = sign(&around(&how.encrypt("EncryptedAssertion", &changed)), "_response");
    refused(&covered, "saml_signature_invalid");
    let elsewhere =
        Signing { uri: Some("#_other".into()), ..Signing::default() }.sign(&message.assertion(), "_assertion");
    refused(&around(&how.encrypt("EncryptedAssertion", &elsewhere)), "saml_signature_shape");
    let twice = how.encrypt("EncryptedAssertion", &signed_assertion()).repeat(2);
    refused(&around(&twice), "saml_assertion_count");
    let nested = message.assertion().replace(
        "</saml:Subject>",
        &format!("</saml:Subject><saml:Advice>{}</saml:Advice>", signed_assertion().replace("_assertion", "_inner")),
    );
    refused(&around(&how.encrypt("EncryptedAssertion", &nested)), "saml_assertion_count");
    let in_itself = how.encrypt("EncryptedAssertion", &how.encrypt("EncryptedAssertion", &signed_assertion()));
    refused(&around(&in_itself), "saml_decryption_failed");
}

#[test]
fn a64_all_failures_of_cbc_are_one() {
    let how = Encryption { cipher: AES128_CBC.into(), ..Encryption::default() };
    let cipher = bergshamra_crypto::cipher::from_uri(AES128_CBC).unwrap();
    let content_key = [7; 16];
    let key = how.encrypted_key(&content_key);
    let good = cipher.encrypt(&content_key, signed_assertion().as_bytes()).unwrap();
    assert_eq!(accepted(&around(&how.envelope("EncryptedAssertion", &good, &key))), GOOD);
    let mut variants: Vec<Vec<u8>> = Vec::new();
    // The octet that decides about the padding, in all its values; every block; every length.
    let decides = good.len() - 17;
    for value in 1..=255_u8 {
        let mut variant = good.clone();
        variant[decides] ^= value;
        variants.push(variant);
    }
    for block in 0..16 {
        let mut variant = good.clone();
        variant[block * 16] ^= 1;
        variants.push(variant);
    }
    variants
        .extend([0, 1, 15, 16, 17, 31, 32, 48, good.len() - 16, good.len() - 1].map(|length| good[..length].to_vec()));
    let mut seen = BTreeSet::new();
    for variant in variants {
        let text = around(&how.envelope("EncryptedAssertion", &variant, &key));
        match verify(&text) {
            // Some change only octets in the padding, which mean nothing: then it is the honest message.
            Ok(response) => assert_eq!(response.name_id.value, GOOD),
            Err(rejected) => {
                seen.insert((rejected.reason(), rejected.sentence()));
            }
        }
    }
    seen.retain(|(reason, _)| *reason != "saml_signature_invalid");
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen.first().unwrap().0, "saml_decryption_failed");
}

#[test]
fn a64_a_wrong_key_takes_the_same_steps() {
    // A wrong key of our own is followed by a decryption under a key of no meaning: one operation, one answer.
    let (keys, text) = (test_signer::decryption_keys(), Message::default());
    for (how, reason) in [
        (Encryption { to_other: true, ..Encryption::default() }, Some("saml_decryption_failed")),
        (Encryption::default(), None),
    ] {
        let message = text.encrypted(&how);
        let xml = Xml::parse(message.as_bytes(), XmlLimits::MESSAGE).unwrap();
        let encrypted = xml.elements().find(|node| node.local_name() == "EncryptedAssertion").unwrap();
        let decryptor = Decryptor::new(&keys);
        assert_eq!(decryptor.open(encrypted).err().map(|error| error.reason()), reason);
        assert_eq!(decryptor.operations(), 1);
    }
}

#[test]
fn s6_short_and_senseless_ciphertexts_are_refused_without_a_panic() {
    for cipher in [AES256_CBC, AES256_GCM] {
        let how = Encryption { cipher: cipher.into(), ..Encryption::default() };
        let (key, algorithm) = ([3; 32], bergshamra_crypto::cipher::from_uri(cipher).unwrap());
        for length in [0, 1, 11, 12, 15, 16, 17, 27, 28, 31, 32, 33] {
            let text = around(&how.envelope("EncryptedAssertion", &vec![0; length], &how.encrypted_key(&key)));
            refused(&text, "saml_decryption_failed");
        }
        for plaintext in [
            "",
            " ",
            "no markup",
            "<",
            "<x/>",
            "<saml:Assertion",
            "</opened>",
            "</opened><opened>",
            "\u{0}",
            "<a/><b/>",
        ] {
            let data = algorithm.encrypt(&key, plaintext.as_bytes()).unwrap();
            let text = around(&how.envelope("EncryptedAssertion", &data, &how.encrypted_key(&key)));
            refused(&text, "saml_decryption_failed");
        }
        let data = algorithm.encrypt(&key, b"\xff\xfe").unwrap();
        refused(
            &around(&how.envelope("EncryptedAssertion", &data, &how.encrypted_key(&key))),
            "saml_decryption_failed",
        );
    }
}

#[test]
fn a65_s6_other_key_transports_are_refused_before_any_key_is_used() {
    for transport in [
        "http://www.w3.org/2001/04/xmlenc#rsa-1_5",
        "http://www.w3.org/2001/04/xmlenc#kw-aes128",
        "http://www.w3.org/2009/xmlenc11#ECDH-ES",
        "",
    ] {
        let how = Encryption { transport: transport.into(), ..Encryption::default() };
        for encrypted_key in [vec![0; 256], vec![1; 255], Vec::new()] {
            refused(
                &around(&how.envelope("EncryptedAssertion", &[0; 64], &encrypted_key)),
                "saml_encryption_unsupported",
            );
        }
    }
    for cipher in ["http://www.w3.org/2001/04/xmlenc#tripledes-cbc", "urn:x", ""] {
        let how = Encryption { cipher: cipher.into(), ..Encryption::default() };
        refused(&around(&how.envelope("EncryptedAssertion", &[0; 64], &[0; 256])), "saml_encryption_unsupported");
    }
}

#[test]
fn a66_oaep_parameters_are_those_of_the_message() {
    let text = |how: &Encryption| around(&how.envelope("EncryptedAssertion", &[0; 64], &[0; 256]));
    // MGF1 is with SHA-1 unless something else is named, whatever the digest: mixed ones are refused by name.
    for how in [
        Encryption::oaep_11(SHA256, None),
        Encryption { digest: Some(SHA256), ..Encryption::default() },
        Encryption::oaep_11(SHA1, Some("http://www.w3.org/2009/xmlenc11#mgf1sha256")),
    ] {
        let rejected = verify(&text(&how)).unwrap_err();
        assert_eq!(rejected.reason(), "saml_encryption_unsupported");
        assert!(rejected.sentence().contains("mask generation"), "{rejected}");
    }
    refused(
        &text(&Encryption::oaep_11("http://www.w3.org/2001/04/xmldsig-more#md5", None)),
        "saml_encryption_unsupported",
    );
    refused(&text(&Encryption::oaep_11(SHA1, Some("urn:x"))), "saml_encryption_unsupported");
    let mgf = Encryption { mgf: Some("http://www.w3.org/2009/xmlenc11#mgf1sha1"), ..Encryption::default() };
    refused(&text(&mgf), "saml_encryption_malformed");
    let good = Message::default().encrypted(&Encryption { label: Some(b"a".to_vec()), ..Encryption::default() });
    refused(&good.replace("<xenc:OAEPparams>YQ==", "<xenc:OAEPparams>Yg=="), "saml_decryption_failed");
    refused(&good.replace("<xenc:OAEPparams>YQ==", "<xenc:OAEPparams>!"), "saml_encryption_malformed");
    let wrong =
        Message::default().encrypted(&Encryption::oaep_11(SHA256, Some("http://www.w3.org/2009/xmlenc11#mgf1sha256")));
    let wrong = wrong.replacen(SHA256, SHA1, 1).replacen("mgf1sha256", "mgf1sha1", 1);
    assert!(wrong.contains(RSA_OAEP_11));
    refused(&wrong, "saml_decryption_failed");
}

#[test]
fn a67_structures_that_are_not_encryption_are_refused() {
    let how = Encryption::default();
    // A key of 128 bits for AES-256.
    refused(
        &around(&how.envelope("EncryptedAssertion", &[0; 64], &how.encrypted_key(&[0; 16]))),
        "saml_decryption_failed",
    );
    let good = Message::default().encrypted(&how);
    for (from, to) in [
        ("<xenc:CipherValue>", r#"<xenc:CipherReference URI="http://127.0.0.1:1/"/><xenc:CipherValue>"#),
        ("<ds:KeyInfo>", r#"<ds:KeyInfo><ds:RetrievalMethod URI="http://127.0.0.1:1/"/>"#),
        ("<ds:KeyInfo>", r#"<ds:KeyInfo><ds:RetrievalMethod URI="file:///dev/zero"/>"#),
        ("<ds:KeyInfo>", "<ds:KeyInfo/><ds:KeyInfo>"),
        ("<xenc:CipherValue>", "<xenc:CipherValue>!"),
        ("<xenc:CipherValue>", "<xenc:CipherValue><x/>"),
        ("<xenc:CipherValue>", "<xenc:CipherValue/><xenc:CipherValue>"),
    ] {
        let text = good.replacen(from, to, 1);
        let rejected = verify(&text).map(|response| response.name_id.value);
        match rejected {
            Ok(name) => assert!(from == "<xenc:CipherValue>" && to.contains("Reference") && name == GOOD),
            Err(rejected) => assert_eq!(rejected.reason(), "saml_encryption_malformed", "{to}"),
        }
    }
    let reference = |text: &str| {
        let (from, to) = (text.rfind("<xenc:CipherValue>").unwrap(), text.rfind("</xenc:CipherValue>").unwrap());
        format!(r#"{}<xenc:CipherReference URI="http://127.0.0.1:1/"/>{}"#, &text[..from], &text[to + 19..])
    };
    refused(&reference(&good), "saml_encryption_malformed");
    for copies in [0, 5, 50] {
        refused(
            &Message::default().encrypted(&Encryption { copies, ..Encryption::default() }),
            "saml_encryption_malformed",
        );
    }
    refused_as(&good, "saml_no_decryption_key", |expected| expected.decryption_keys = &[]);
}

#[test]
fn a67_one_message_costs_a_bounded_number_of_key_operations() {
    let keys: Vec<_> = (0..8).flat_map(|_| test_signer::decryption_keys()).collect();
    let how = Encryption { copies: 4, to_other: true, ..Encryption::default() };
    let text = around(&how.encrypt("EncryptedAssertion", "<x/>"));
    let xml = Xml::parse(text.as_bytes(), XmlLimits::MESSAGE).unwrap();
    let encrypted = xml.elements().find(|node| node.local_name() == "EncryptedAssertion").unwrap();
    let decryptor = Decryptor::new(&keys);
    for _ in 0..3 {
        assert!(decryptor.open(encrypted).is_err());
    }
    assert_eq!(decryptor.operations(), 16);
}

#[test]
fn a68_plaintexts_are_parsed_as_strictly_as_messages() {
    let how = Encryption::default();
    let good = signed_assertion();
    for plaintext in [
        format!("<!DOCTYPE x [<!ENTITY e 'x'>]>{good}"),
        format!("{good}{}", good.replace("_assertion", "_other")),
        format!("text{good}"),
        format!("<!-- -->{good}"),
        format!("<?xml version=\"1.0\" encoding=\"UTF-16\"?{good}"),
        "<a>".repeat(100) + &"</a>".repeat(100),
        format!("<a {}/>", (0..300).map(|number| format!("a{number}='1' ")).collect::<String>()),
        format!("<saml:Response>{good}</saml:Response>"),
    ] {
        refused(&around(&how.encrypt("EncryptedAssertion", &plaintext)), "saml_decryption_failed");
    }
    let large = format!("{good}{}", " ".repeat(300 * 1024));
    refused(&around(&how.encrypt("EncryptedAssertion", &large)), "saml_too_large");
}
