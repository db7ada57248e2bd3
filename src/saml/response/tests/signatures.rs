//! What a signature may hold (L1 to L13, A18 to A38): every message here would do harm, or be believed wrongly, if its
//! signature were not looked at before it is verified.

use std::net::TcpListener;

use bergshamra_c14n::C14nMode;

use super::{accepted, refused, refused_as, verify};
use crate::saml::base64;
use crate::saml::keys::{KeyRefused, VerificationKeys};
use crate::saml::names::{C14N, DS, ENVELOPED, EXC_C14N, RSA_SHA1, SAML, SAMLP, SHA1};
use crate::saml::test_keys::{self, Kind};
use crate::saml::test_signer::{EVIL, GOOD, Message, Signing, attribute, conditions, sign};

/// The usual message, its Assertion signed in this way.
fn signed(how: &Signing) -> String {
    let message = Message::default();
    how.sign(&message.response(&message.assertion()), "_assertion")
}

/// The usual message with its `Reference` pointed elsewhere after it was signed: the digest no longer matters.
fn pointing_at(uri: &str) -> String {
    signed(&Signing::default()).replacen(
        r##"<ds:Reference URI="#_assertion">"##,
        &format!(r#"<ds:Reference URI="{uri}">"#),
        1,
    )
}

#[test]
fn s1_no_key_no_start() {
    assert_eq!(VerificationKeys::from_certificates(&[]).unwrap_err(), KeyRefused::NoCertificate);
    let junk = vec![b"junk".to_vec()];
    assert_eq!(VerificationKeys::from_certificates(&junk).unwrap_err(), KeyRefused::UnreadableCertificate);
    let some = [b"junk".to_vec(), test_keys::one(Kind::P256).certificate];
    let keys = VerificationKeys::from_certificates(&some).unwrap();
    assert_eq!((keys.count(), keys.refused()), (1, &[KeyRefused::UnreadableCertificate][..]));
}

#[test]
fn l1_l2_l3_l4_l7_references_to_elsewhere_are_never_followed() {
    let canary = TcpListener::bind("127.0.0.1:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let address = canary.local_addr().unwrap();
    for uri in [
        &format!("http://{address}/x"),
        "file:///etc/hostname",
        "file:///dev/zero",
        "/dev/zero",
        "Cargo.toml",
        "",
        "#",
        "#xpointer(/)",
        "#xpointer(//*[local-name()='X'])",
        "#xpointer(id('_assertion'))",
        "cid:x",
        "#_response",
        "#_assertion ",
        " #_assertion",
    ] {
        refused(&pointing_at(uri), "saml_signature_shape");
    }
    let without = signed(&Signing::default()).replacen(r##" URI="#_assertion""##, "", 1);
    refused(&without, "saml_signature_shape");
    assert!(canary.accept().is_err(), "somebody called");
}

#[test]
fn l5_objects_and_manifests_are_refused() {
    for object in [
        "<ds:Object/>",
        r#"<ds:Object><ds:Manifest><ds:Reference URI="http://127.0.0.1:1/x"/></ds:Manifest></ds:Object>"#,
    ] {
        refused(&signed(&Signing { object: object.into(), ..Signing::default() }), "saml_signature_shape");
    }
}

#[test]
fn l6_a32_other_transforms_are_refused() {
    let transform = |algorithm: &str| format!(r#"<ds:Transform Algorithm="{algorithm}"/>"#);
    let (enveloped, exclusive) = (transform(ENVELOPED), transform(EXC_C14N));
    let xslt = r#"<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"><xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0"/></ds:Transform>"#;
    let xpath = r#"<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><ds:XPath>not(ancestor::x)</ds:XPath></ds:Transform>"#;
    let list = [
        String::new(),
        exclusive.clone(),
        format!("{exclusive}{enveloped}"),
        format!("{enveloped}{enveloped}"),
        format!("{enveloped}{enveloped}{exclusive}"),
        format!("{enveloped}{exclusive}{exclusive}"),
        format!("{enveloped}{}", exclusive.repeat(100)),
        format!("{enveloped}{xslt}"),
        format!("{xslt}{exclusive}"),
        format!("{enveloped}{xpath}"),
        format!("{enveloped}{}", transform("http://www.w3.org/2002/06/xmldsig-filter2")),
        format!("{enveloped}{}", transform("http://www.w3.org/2000/09/xmldsig#base64")),
        format!("{enveloped}{}", transform("http://www.w3.org/2002/07/decrypt#XML")),
        format!("{enveloped}{}", transform("http://www.w3.org/2006/12/xml-c14n11")),
        format!("{enveloped}<x/>"),
        format!("{enveloped}text{exclusive}"),
        enveloped.replace("/>", "><x/></ds:Transform>"),
        enveloped.replace("Algorithm", "xmlns:x='urn:x' x:Algorithm"),
        format!("{enveloped}{}", exclusive.replace("/>", "><x/></ds:Transform>")),
    ];
    for transforms in list {
        let transforms = format!("<ds:Transforms>{transforms}</ds:Transforms>");
        refused(&signed(&Signing { transforms, ..Signing::default() }), "saml_signature_shape");
    }
    refused(&signed(&Signing { transforms: String::new(), ..Signing::default() }), "saml_signature_shape");
}

#[test]
fn a35_too_many_prefixes_are_refused() {
    let list = |count: usize| (0..count).map(|number| format!("p{number} ")).collect::<String>();
    let transforms = |count: usize| {
        format!(
            r#"<ds:Transforms><ds:Transform Algorithm="{ENVELOPED}"/><ds:Transform Algorithm="{EXC_C14N}"><ec:InclusiveNamespaces xmlns:ec="{EXC_C14N}" PrefixList="{}"/></ds:Transform></ds:Transforms>"#,
            list(count)
        )
    };
    let prefixes = (0..16).map(|number| format!("p{number}")).collect();
    assert_eq!(accepted(&signed(&Signing { transforms: transforms(16), prefixes, ..Signing::default() })), GOOD);
    refused(&signed(&Signing { transforms: transforms(17), ..Signing::default() }), "saml_signature_shape");
}

#[test]
fn l13_a31_a33_weak_algorithms_are_refused() {
    let method = |algorithm: &str, inside: &str| {
        format!(r#"<ds:SignatureMethod Algorithm="{algorithm}">{inside}</ds:SignatureMethod>"#)
    };
    for algorithm in [
        RSA_SHA1,
        "http://www.w3.org/2000/09/xmldsig#dsa-sha1",
        "http://www.w3.org/2001/04/xmldsig-more#rsa-md5",
        "http://www.w3.org/2000/09/xmldsig#hmac-sha1",
        "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256",
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1",
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha224",
        "http://www.w3.org/2007/05/xmldsig-more#rsa-pss",
        "",
        " http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
    ] {
        let how = Signing { method: method(algorithm, ""), ..Signing::default() };
        refused(&signed(&how), "saml_weak_algorithm");
    }
    let hmac = "http://www.w3.org/2000/09/xmldsig#hmac-sha1";
    for length in [0, 1, 8] {
        let inside = format!("<ds:HMACOutputLength>{length}</ds:HMACOutputLength>");
        refused(&signed(&Signing { method: method(hmac, &inside), ..Signing::default() }), "saml_weak_algorithm");
    }
    let strong = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
    let how = Signing { method: method(strong, "<ds:HMACOutputLength>8</ds:HMACOutputLength>"), ..Signing::default() };
    refused(&signed(&how), "saml_signature_shape");
    for digest_method in [SHA1, "http://www.w3.org/2001/04/xmldsig-more#md5"] {
        let good = signed(&Signing::default());
        let weak = good.replacen("http://www.w3.org/2001/04/xmlenc#sha256", digest_method, 1);
        refused(&weak, "saml_weak_algorithm");
    }
    // The legacy policy believes SHA-1 and nothing else that is weak.
    let how = Signing { digest_method: SHA1.into(), ..Signing::default() };
    refused(&signed(&how), "saml_weak_algorithm");
    let legacy = |expected: &mut super::Expected<'_>| expected.policy.legacy_sha1 = true;
    assert!(super::verify_as(&signed(&how), legacy).is_ok());
    refused_as(&signed(&Signing { method: method(hmac, ""), ..Signing::default() }), "saml_weak_algorithm", legacy);
}

#[test]
fn a33_ecdsa_signatures_of_zeros_are_refused() {
    let keys = VerificationKeys::from_certificates(&[test_keys::one(Kind::P256).certificate]).unwrap();
    let how = Signing {
        kind: Kind::P256,
        method: r#"<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"/>"#.into(),
        ..Signing::default()
    };
    let good = signed(&how);
    let (from, to) = (good.find("<ds:SignatureValue>").unwrap() + 19, good.find("</ds:SignatureValue>").unwrap());
    for value in [vec![0; 64], vec![0x30, 6, 2, 1, 0, 2, 1, 0], vec![0; 1], vec![0xff; 64], vec![1; 10_000]] {
        let text = format!("{}{}{}", &good[..from], base64::encode(&value), &good[to..]);
        let expected = crate::saml::test_signer::expected(&keys, &[]);
        let rejected = crate::saml::response::verify_xml(text.as_bytes(), &expected).unwrap_err();
        assert_eq!(rejected.reason(), "saml_signature_invalid");
    }
}

#[test]
fn a18_messages_without_a_real_signature_are_refused() {
    let message = Message::default();
    let unsigned = message.response(&message.assertion());
    refused(&unsigned, "saml_unsigned");
    let good = message.assertion_signed();
    let (from, to) = (good.find("<ds:Signature ").unwrap(), good.find("</ds:Signature>").unwrap());
    let emptied = format!(r#"{}<ds:Signature xmlns:ds="{DS}">{}"#, &good[..from], &good[to..]);
    refused(&emptied, "saml_signature_shape");
    refused(
        &good.replace("ds:Signature ", "ds:signature ").replace("/ds:Signature>", "/ds:signature>"),
        "saml_unsigned",
    );
    refused(&good.replace(&format!(r#"xmlns:ds="{DS}""#), r#"xmlns:ds="urn:other""#), "saml_unsigned");
    refused(&good.replace("SignatureValue", "Value"), "saml_signature_shape");
    let value = good.find("<ds:SignatureValue>").unwrap() + 19;
    let end = good.find("</ds:SignatureValue>").unwrap();
    refused(&format!("{}{}", &good[..value], &good[end..]), "saml_signature_shape");
}

#[test]
fn a19_duplicate_ids_are_refused() {
    let message = Message::default();
    for (name, spelling) in [
        ("ID", "_assertion"),
        ("Id", "_assertion"),
        ("id", "_assertion"),
        ("xml:id", "_assertion"),
        ("ID", "&#x5f;assertion"),
        ("x:ID", "_assertion"),
        ("AssertionID", "_assertion"),
    ] {
        let extensions = format!(r#"<samlp:Extensions><x xmlns:x="urn:x" {name}="{spelling}"/></samlp:Extensions>"#);
        let text = Message { extensions, ..message.clone() }.assertion_signed();
        refused(&text, "saml_duplicate_id");
    }
    // On one element, and ones that are shaped like something else.
    let twice = Message {
        assertion_attributes: format!(r#"{} xml:id="_assertion""#, message.assertion_attributes),
        ..message.clone()
    };
    refused(&twice.assertion_signed(), "saml_duplicate_id");
    for id in ["element(/1/3)", "\u{a0}_assertion", " _assertion"] {
        let odd = Message { assertion_id: id.to_owned(), ..message.clone() };
        let text = odd.assertion_signed();
        // The honest provider may name it so; nobody else's element is meant by it.
        assert_eq!(verify(&text).map(|response| response.name_id.value).unwrap_or(GOOD.to_owned()), GOOD);
        refused(&text.replace(GOOD, EVIL), "saml_signature_invalid");
    }
}

#[test]
fn a20_attributes_and_elements_of_other_namespaces_are_not_taken() {
    let message = Message::default();
    let polluted = message.response(&message.assertion()).replacen(
        r#" ID="_assertion""#,
        r#" xmlns:x="urn:x" x:ID="_evil" x:Version="1" ID="_assertion""#,
        1,
    );
    // The library takes the first attribute of that local name, we only the plain one: they differ, so nobody is believed.
    refused(&sign(&polluted, "_assertion"), "saml_signature_invalid");
    let foreign = Message {
        name_id: format!(r#"<x:NameID xmlns:x="urn:x">{EVIL}</x:NameID><saml:NameID>{GOOD}</saml:NameID>"#),
        ..message.clone()
    };
    assert_eq!(accepted(&foreign.assertion_signed()), GOOD);
    let rebound =
        Message { name_id: format!(r#"<saml:NameID xmlns:saml="urn:x">{EVIL}</saml:NameID>"#), ..message.clone() };
    refused(&rebound.assertion_signed(), "saml_name_id");
    let good = message.assertion_signed();
    for (from, to) in [
        (r##"URI="#_assertion""##, r##"xmlns:x="urn:x" x:URI="#_evil" URI="#_assertion""##),
        (r##"URI="#_assertion""##, r##"xmlns:x="urn:x" x:URI="#_assertion" URI="#_evil""##),
        ("<ds:DigestMethod ", r#"<ds:DigestMethod xmlns:x="urn:x" x:Algorithm="y" "#),
        ("<ds:SignatureMethod ", r#"<ds:SignatureMethod xmlns:x="urn:x" x:Algorithm="y" "#),
    ] {
        refused(&good.replacen(from, to, 1), "saml_signature_shape");
    }
    for broken in [
        good.replacen("<saml:Issuer>", r#"<saml:Issuer xmlns:xml="urn:x">"#, 1),
        good.replacen("<saml:Issuer>", r#"<saml:Issuer xmlns:xmlns="urn:x">"#, 1),
        good.replacen("<saml:Issuer>", r#"<saml:Issuer xmlns:y="">"#, 1),
    ] {
        refused(&broken, "saml_xml");
    }
    refused(&good.replacen(&format!(r#"xmlns:samlp="{SAMLP}""#), r#"xmlns:samlp="urn:x""#, 1), "saml_not_a_response");
}

#[test]
fn a21_more_than_one_reference_is_refused() {
    let message = Message::default();
    let extra = r##"<ds:Reference URI="#_response"><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue>AAAA</ds:DigestValue></ds:Reference>"##;
    refused(&signed(&Signing { extra_references: extra.into(), ..Signing::default() }), "saml_signature_shape");
    let good = message.assertion_signed();
    let info = &good[good.find("<ds:SignedInfo>").unwrap()..good.find("<ds:SignatureValue>").unwrap()];
    for inside in
        [format!("<ds:KeyInfo>{info}</ds:KeyInfo>"), info.to_owned(), format!("<ds:Object>{info}</ds:Object>")]
    {
        let text = good.replacen(info, "", 1).replacen("</ds:Signature>", &format!("{inside}</ds:Signature>"), 1);
        refused(&text, "saml_signature_shape");
    }
    refused(&good.replacen(info, &format!("{info}{info}"), 1), "saml_signature_shape");
}

#[test]
fn a22_digest_values_hold_text_only() {
    let good = Message::default().assertion_signed();
    for (element, inside) in [
        ("DigestValue", "<!--x-->"),
        ("DigestValue", "<?x?>"),
        ("DigestValue", "<x/>"),
        ("DigestValue", "AAAA<!--x-->"),
        ("SignatureValue", "<!--x-->"),
        ("SignatureValue", "<x/>"),
    ] {
        let text = good.replacen(&format!("<ds:{element}>"), &format!("<ds:{element}>{inside}"), 1);
        refused(&text, "saml_signature_shape");
    }
    let second = "</ds:DigestValue><ds:DigestValue>AAAA</ds:DigestValue>";
    refused(&good.replacen("</ds:DigestValue>", second, 1), "saml_signature_shape");
    // White space around base64 changes nothing but the octets of SignedInfo.
    let spaced = good.replacen("<ds:SignatureValue>", "<ds:SignatureValue>\n  ", 1);
    assert_eq!(accepted(&spaced), GOOD);
    refused(&good.replacen("<ds:DigestValue>", "<ds:DigestValue>\n", 1), "saml_signature_invalid");
}

#[test]
fn a23_a24_comments_never_cut_a_value() {
    let cut = format!("{EVIL}<!--x-->.evil.test");
    let whole = format!("{EVIL}.evil.test");
    for signed_part in [Message::assertion_signed, Message::response_signed] {
        // Comments are not hashed: added after signing, they change nothing that is read.
        let message = Message { name_id: format!("<saml:NameID>{whole}</saml:NameID>"), ..Message::default() };
        let text = signed_part(&message).replace(&whole, &cut);
        assert_eq!(accepted(&text), whole, "the whole value, or none");
        let audience = conditions(&crate::saml::test_signer::audience("https://portal.example/saml"));
        let text = signed_part(&Message { conditions: audience, ..Message::default() });
        assert_eq!(accepted(&text.replace("<saml:Audience>", "<saml:Audience><!-- -->")), GOOD);
        // A processing instruction is hashed.
        refused(
            &text.replace(&format!("<saml:NameID>{GOOD}"), &format!("<saml:NameID><?x?>{GOOD}")),
            "saml_signature_invalid",
        );
        // CDATA is hashed as the text that it is, and read as that.
        let cdata = text.replace(GOOD, &format!("<![CDATA[{GOOD}]]>"));
        assert_eq!(accepted(&cdata), GOOD);
        // The provider itself signs one.
        let message =
            Message { name_id: format!("<saml:NameID>{EVIL}<?x?>.evil.test</saml:NameID>"), ..Message::default() };
        refused(&signed_part(&message), "saml_malformed");
        let message =
            Message { attributes: attribute("mail", &[&format!("{EVIL}<x/>.evil.test")]), ..Message::default() };
        refused(&signed_part(&message), "saml_malformed");
        let message = Message { name_id: "<saml:NameID>a&amp;b</saml:NameID>".into(), ..Message::default() };
        assert_eq!(accepted(&signed_part(&message)), "a&b");
    }
}

#[test]
fn a25_canonicalisation_with_comments_is_refused_unless_comments_cannot_count() {
    let with_comments = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315#WithComments";
    for c14n in
        [with_comments, "http://www.w3.org/2006/12/xml-c14n11", "http://www.w3.org/2006/12/xml-c14n11#WithComments"]
    {
        let good = signed(&Signing::default());
        let text = good.replacen(
            &format!(r#"<ds:CanonicalizationMethod Algorithm="{EXC_C14N}"/>"#),
            &format!(r#"<ds:CanonicalizationMethod Algorithm="{c14n}"/>"#),
            1,
        );
        refused(&text, "saml_signature_shape");
    }
}

#[test]
fn a26_l12_void_canonicalisation_is_refused() {
    let empty = base64::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"").as_ref());
    let message = Message {
        assertion_attributes: format!(r#"xmlns:v="1" {}"#, Message::default().assertion_attributes),
        ..Message::default()
    };
    // A relative namespace URI: canonicalised like any other, or refused; never to nothing.
    let text = message.assertion_signed();
    let (from, to) = (text.find("<ds:DigestValue>").unwrap() + 16, text.find("</ds:DigestValue>").unwrap());
    refused(&format!("{}{empty}{}", &text[..from], &text[to..]), "saml_signature_invalid");
    refused(&text.replace(GOOD, EVIL), "saml_signature_invalid");
}

#[test]
fn a27_a_signature_over_something_constant_is_refused() {
    let message = Message::default();
    let golden = sign(&format!(r#"<x xmlns:saml="{SAML}" ID="_assertion"></x>"#), "_assertion");
    let signature = &golden[golden.find("<ds:Signature").unwrap()..golden.find("</x>").unwrap()];
    let text = message.response(&message.assertion().replace("<saml:Subject>", &format!("{signature}<saml:Subject>")));
    refused(&text, "saml_signature_invalid");
}

#[test]
fn a28_l9_l10_documents_that_parsers_disagree_on_are_refused() {
    let good = Message::default().assertion_signed();
    let evil = good.replace(GOOD, EVIL);
    for text in [
        format!("<!DOCTYPE x [<!ATTLIST x a CDATA '>'>]>{evil}"),
        format!("<!DOCTYPE x SYSTEM \"http://127.0.0.1:1/\">{good}"),
        format!("<!DOCTYPE samlp:Response [<!ENTITY e \"{EVIL}\">]>{}", good.replace(GOOD, "&e;")),
        format!("<?xml version=\"1.0\" encoding=\"UTF-7\"?>{good}"),
        format!("<?xml version=\"1.0\" encoding=\"UTF-16\"?>{good}"),
        format!("<?xml version=\"1.1\"?>{good}"),
        good.replace(GOOD, "a\u{0}b"),
        good.replace(GOOD, "a&#0;b"),
        good.replace(GOOD, "]]>"),
        good.replace(GOOD, "&undeclared;"),
        good[..good.len() / 2].to_owned(),
    ] {
        refused(&text, "saml_xml");
    }
    let mut octets = good.clone().into_bytes();
    octets.extend_from_slice(b"\xff");
    let (keys, none) = (crate::saml::test_signer::keys(), []);
    let expected = crate::saml::test_signer::expected(&keys, &none);
    assert_eq!(crate::saml::response::verify_xml(&octets, &expected).unwrap_err().reason(), "saml_xml");
}

#[test]
fn a29_nothing_is_read_from_around_what_was_signed() {
    let good = Message::default().assertion_signed();
    refused(&good.replace(GOOD, EVIL), "saml_signature_invalid");
    // What the unsigned Response says around it is not part of what is believed.
    let renamed = good.replace(r#"ID="_response""#, r#"ID="_anything""#);
    assert_eq!(verify(&renamed).unwrap().assertion_id, "_assertion");
}

#[test]
fn a30_keys_in_the_message_decide_nothing() {
    let own = base64::encode(&test_keys::other(Kind::Rsa2048).certificate);
    let honest = base64::encode(&test_keys::one(Kind::Rsa2048).certificate);
    let certificate =
        |text: &str| format!("<ds:X509Data><ds:X509Certificate>{text}</ds:X509Certificate></ds:X509Data>");
    for inside in [
        certificate(&own),
        certificate(&honest),
        format!("{}{}", certificate(&honest), certificate(&own)),
        "<ds:KeyName>attacker</ds:KeyName>".to_owned(),
        "<ds:KeyValue><ds:RSAKeyValue><ds:Modulus>AQAB</ds:Modulus><ds:Exponent>AQAB</ds:Exponent></ds:RSAKeyValue></ds:KeyValue>".to_owned(),
    ] {
        let key_info = format!("<ds:KeyInfo>{inside}</ds:KeyInfo>");
        let how = Signing { key_info, other_key: true, ..Signing::default() };
        refused(&signed(&how), "saml_signature_invalid");
    }
    for uri in ["file:///dev/zero", "http://127.0.0.1:1/", "#_assertion"] {
        let key_info = format!(r#"<ds:KeyInfo><ds:RetrievalMethod URI="{uri}"/></ds:KeyInfo>"#);
        refused(&signed(&Signing { key_info, ..Signing::default() }), "saml_signature_shape");
    }
}

#[test]
fn a34_base64_with_junk_is_refused() {
    let good = Message::default().assertion_signed();
    let at = good.find("<ds:SignatureValue>").unwrap() + 19;
    for junk in ["!", "%", "-", "&#xa0;", "="] {
        refused(&format!("{}{junk}{}", &good[..at], &good[at..]), "saml_signature_shape");
    }
}

#[test]
fn a38_other_documents_are_refused() {
    let assertion = sign(&Message::default().assertion(), "_assertion");
    refused(&assertion, "saml_not_a_response");
    for root in ["AuthnRequest", "LogoutResponse", "ArtifactResponse", "Extensions"] {
        refused(&format!(r#"<samlp:{root} xmlns:samlp="{SAMLP}">{assertion}</samlp:{root}>"#), "saml_not_a_response");
    }
    for junk in [
        "<html><body/></html>",
        r#"<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata"/>"#,
        "<Response/>",
    ] {
        refused(junk, "saml_not_a_response");
    }
    for junk in ["", " ", "{\"a\":1}", "null", "\u{feff}", "<", "<?xml"] {
        refused(junk, "saml_xml");
    }
    let message = Message::default();
    let typed = message.response(&message.assertion()).replacen(
        "<saml:Subject>",
        r#"<saml:Subject xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:nil="true" xsi:type="saml:Evil">"#,
        1,
    );
    assert_eq!(accepted(&sign(&typed, "_assertion")), GOOD);
    refused(&message.response(""), "saml_assertion_count");
    let encrypted_nothing = r#"<saml:EncryptedAssertion/>"#;
    refused(&message.response(encrypted_nothing), "saml_encryption_malformed");
}

#[test]
fn inclusive_canonicalisation_keeps_namespaces_of_the_frame() {
    let message = Message::default();
    let transforms = format!(
        r#"<ds:Transforms><ds:Transform Algorithm="{ENVELOPED}"/><ds:Transform Algorithm="{C14N}"/></ds:Transforms>"#
    );
    let how = Signing { transforms, mode: C14nMode::Inclusive, ..Signing::default() };
    let text = how.sign(&message.response(&message.assertion()), "_assertion");
    assert_eq!(accepted(&text), GOOD);
    refused(
        &text.replacen("<samlp:Response ", r#"<samlp:Response xmlns:more="urn:more" "#, 1),
        "saml_signature_invalid",
    );
}
