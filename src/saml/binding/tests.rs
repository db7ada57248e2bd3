//! A72 and its kin: what arrives in a query, in a form or in an envelope, and what of it is proven.

use std::process::Command;

use super::*;
use crate::saml::base64;
use crate::saml::keys::VerificationKeys;
use crate::saml::message::MessageRefused;
use crate::saml::metadata::Binding;
use crate::saml::names::{ECDSA_SHA256, RSA_PSS_SHA256, RSA_SHA1, RSA_SHA256, SAML, SAMLP};
use crate::saml::signature::SignaturePolicy;
use crate::saml::test_keys::{self, Kind};
use crate::saml::test_signer::{Signing, sign};
use crate::saml::write::Element;

const ISSUER: &str = "https://idp.example/metadata";
const SLO: &str = "https://portal.example/.vestibule/saml/idp/slo";
const STRICT: SignaturePolicy = SignaturePolicy { legacy_sha1: false };

fn message() -> Element {
    Element::new("samlp:LogoutRequest")
        .attribute("xmlns:samlp", SAMLP)
        .attribute("xmlns:saml", SAML)
        .attribute("ID", "_1")
        .child(Element::new("saml:Issuer").text(ISSUER))
}

fn keys(kind: Kind) -> VerificationKeys {
    VerificationKeys::from_certificates(&[test_keys::one(kind).certificate]).unwrap()
}

/// The query that our own side writes.
fn query(relay_state: Option<&str>) -> String {
    let key = test_keys::one(Kind::Rsa2048).signing_key();
    let url = redirect::url(SLO, Direction::Request, &message(), relay_state, Some(&key)).unwrap();
    url.split_once('?').unwrap().1.to_owned()
}

fn proven(query: &str) -> Result<Proven, MessageRefused> {
    redirect::read(query)?.verify(&keys(Kind::Rsa2048), STRICT)
}

/// The parameters of a query, as they stand.
fn parts(query: &str) -> Vec<(&str, &str)> {
    query.split('&').map(|pair| pair.split_once('=').unwrap()).collect()
}

/// A query of raw values, signed over just these octets by the program `openssl`, which knows nothing of ours.
fn signed_by_openssl(unsigned: &str, kind: Kind, digest: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (key, text) = (folder.path().join("key.pem"), folder.path().join("text"));
    std::fs::write(&key, test_keys::one(kind).key_pem).unwrap();
    std::fs::write(&text, unsigned).unwrap();
    let output = Command::new("openssl").args(["dgst", digest, "-sign"]).arg(&key).arg(&text).output().unwrap();
    assert!(output.status.success());
    format!("{unsigned}&Signature={}", escaped(&base64::encode(&output.stdout)))
}

fn escaped(value: &str) -> String {
    percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// The message as the value of its parameter.
fn value() -> String {
    let query = query(None);
    parts(&query)[0].1.to_owned()
}

#[test]
fn what_we_send_is_read_on_the_other_side() {
    for relay_state in [None, Some("a&b=c d+e/\u{e9}%")] {
        let query = query(relay_state);
        let arrived = redirect::read(&query).unwrap();
        assert_eq!((arrived.direction, arrived.relay_state.as_deref()), (Direction::Request, relay_state));
        assert_eq!(arrived.claimed_issuer().unwrap(), ISSUER);
        assert!(arrived.is_signed());
        let proven = arrived.verify(&keys(Kind::Rsa2048), STRICT).unwrap();
        assert_eq!(proven.xml().unwrap().text(), message().to_xml());
    }
    for kind in [Kind::Rsa2048, Kind::P256, Kind::P384] {
        let key = test_keys::one(kind).signing_key();
        let Outgoing::Redirect(url) =
            Outgoing::sign(Binding::Redirect, SLO, Direction::Response, message(), Some("x"), &key).unwrap()
        else {
            panic!()
        };
        let arrived = redirect::read(url.split_once('?').unwrap().1).unwrap();
        assert_eq!(arrived.direction, Direction::Response);
        arrived.verify(&keys(kind), STRICT).unwrap();
        let Outgoing::Post(form) =
            Outgoing::sign(Binding::Post, SLO, Direction::Request, message(), Some("a&b"), &key).unwrap()
        else {
            panic!()
        };
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form.fields()).finish();
        let arrived = post::read(body.as_bytes()).unwrap();
        assert_eq!((arrived.direction, arrived.relay_state.as_deref()), (Direction::Request, Some("a&b")));
        assert!(arrived.is_signed() && arrived.claimed_issuer().unwrap() == ISSUER);
        let proven = arrived.verify(&keys(kind), STRICT).unwrap();
        assert!(proven.xml().unwrap().root().is(SAMLP, "LogoutRequest"));
    }
}

#[test]
fn a72_parameters_may_stand_in_any_order_and_among_others() {
    let query = query(Some("state"));
    let mut parts = query.split('&').collect::<Vec<_>>();
    parts.reverse();
    assert!(proven(&parts.join("&")).is_ok());
    parts.rotate_left(1);
    parts.insert(1, "tenant=a");
    parts.insert(3, "");
    assert!(proven(&parts.join("&")).is_ok());
}

#[test]
fn a72_there_is_exactly_one_message_and_everything_once() {
    let good = query(Some("state"));
    let message = value();
    for more in [
        format!("SAMLResponse={message}"),
        format!("SAMLRequest={message}"),
        "SAMLResponse=".to_owned(),
        "SAMLRequest".to_owned(),
        format!("SAMLRequest[]={message}"),
        format!("SAMLRequest%5B%5D={message}"),
        format!("%53AMLRequest={message}"),
        format!("samlrequest={message}"),
        format!("SAMLRequest%00={message}"),
        format!("+SAMLRequest={message}"),
        "RelayState=state".to_owned(),
        "RelayState=other".to_owned(),
        "Relay%53tate=other".to_owned(),
        format!("SigAlg={}", escaped(RSA_SHA256)),
        "Signature=AAAA".to_owned(),
        "signature=AAAA".to_owned(),
        "SAMLEncoding=x".to_owned(),
    ] {
        for text in [format!("{good}&{more}"), format!("{more}&{good}")] {
            let refused = proven(&text).unwrap_err();
            assert!(matches!(refused, MessageRefused::Parameters | MessageRefused::Encoding), "{more}: {refused:?}");
        }
    }
    for odd in ["", "&", "=", "RelayState=x", "SAMLRequest", "SAMLRequest=", "SAMLRequest[]=x"] {
        assert!(proven(odd).is_err(), "{odd}");
    }
    let encoding = escaped(crate::saml::names::DEFLATE);
    assert!(proven(&format!("{good}&SAMLEncoding={encoding}")).is_ok());
    assert_eq!(proven(&format!("{good};x=y")).unwrap_err(), MessageRefused::Encoding);
    assert!(proven(&good.replace('&', ";")).is_err());
}

#[test]
fn a72_s13_a_signature_by_halves_is_refused_without_a_panic() {
    let good = query(None);
    let without = |name: &str| {
        let kept: Vec<&str> = good.split('&').filter(|pair| !pair.starts_with(name)).collect();
        kept.join("&")
    };
    assert_eq!(proven(&without("SigAlg=")).unwrap_err(), MessageRefused::Parameters);
    assert_eq!(proven(&without("Signature=")).unwrap_err(), MessageRefused::Parameters);
    let neither = without("Sig").split("&Signature").next().unwrap().to_owned();
    assert_eq!(proven(&neither).unwrap_err(), MessageRefused::Unsigned);
    for odd in ["", "!", "%", "%2", "%zz", "AAAA", "%FF"] {
        let text = format!("{}&Signature={odd}", without("Signature="));
        assert!(proven(&text).is_err(), "{odd}");
    }
}

#[test]
fn a72_only_strong_algorithms_are_believed() {
    let message = value();
    let signed = |algorithm: &str, digest: &str| {
        signed_by_openssl(&format!("SAMLRequest={message}&SigAlg={}", escaped(algorithm)), Kind::Rsa2048, digest)
    };
    assert!(proven(&signed(RSA_SHA256, "-sha256")).is_ok());
    for algorithm in [
        "",
        "none",
        "http://www.w3.org/2000/09/xmldsig#hmac-sha1",
        "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256",
        "http://www.w3.org/2001/04/xmldsig-more#rsa-md5",
        "http://www.w3.org/2000/09/xmldsig#dsa-sha1",
        " http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
        RSA_SHA1,
    ] {
        assert_eq!(proven(&signed(algorithm, "-sha1")).unwrap_err(), MessageRefused::Algorithm, "{algorithm}");
    }
    // S13: here a library panicked. The signature is a good one, of another algorithm.
    for algorithm in [RSA_PSS_SHA256, ECDSA_SHA256] {
        assert_eq!(proven(&signed(algorithm, "-sha256")).unwrap_err(), MessageRefused::Signature, "{algorithm}");
    }
    let legacy = SignaturePolicy { legacy_sha1: true };
    let arrived = redirect::read(&signed(RSA_SHA1, "-sha1")).unwrap();
    assert!(arrived.verify(&keys(Kind::Rsa2048), legacy).is_ok());
}

#[test]
fn a72_relay_state_and_direction_are_signed() {
    let (with, without) = (query(Some("state")), query(None));
    for text in [
        format!("{without}&RelayState=added"),
        format!("{without}&RelayState="),
        with.replace("RelayState=state", "RelayState=other"),
        with.replace("RelayState=state", "RelayState="),
        with.replace("&RelayState=state", ""),
        with.replace("SAMLRequest=", "SAMLResponse="),
    ] {
        assert_eq!(proven(&text).unwrap_err(), MessageRefused::Signature, "{text}");
    }
    let empty = format!("SAMLRequest={}&RelayState=&SigAlg={}", value(), escaped(RSA_SHA256));
    assert!(proven(&signed_by_openssl(&empty, Kind::Rsa2048, "-sha256")).is_ok(), "some send it empty, and sign that");
    let long = query(Some(&"x".repeat(5_000)));
    assert_eq!(proven(&long).unwrap_err(), MessageRefused::Parameters);
}

#[test]
fn a72_s14_the_octets_of_the_query_count_whatever_way_they_are_escaped() {
    let message = value();
    let base64_text = percent_encoding::percent_decode_str(&message).decode_utf8().unwrap().into_owned();
    let lower = message.replace("%2B", "%2b").replace("%2F", "%2f").replace("%3D", "%3d");
    let algorithm = escaped(RSA_SHA256).replace("%3A", "%3a").replace("%2F", "%2f");
    let everything: String = base64_text.bytes().map(|octet| format!("%{octet:02x}")).collect();
    for (message, algorithm) in [
        (lower.as_str(), algorithm.as_str()),
        (&everything, &algorithm),
        (&base64_text, RSA_SHA256.split('#').next().map(|_| &*algorithm).unwrap()),
    ] {
        let unsigned = format!("SAMLRequest={message}&RelayState=a+b%2fc&SigAlg={algorithm}");
        let text = signed_by_openssl(&unsigned, Kind::Rsa2048, "-sha256");
        assert_eq!(redirect::read(&text).unwrap().relay_state.as_deref(), Some("a b/c"));
        assert!(proven(&text).is_ok(), "{text}");
        let otherwise = text.replace("%2fc", "%2Fc");
        assert_eq!(proven(&otherwise).unwrap_err(), MessageRefused::Signature, "other octets than were signed");
    }
}

#[test]
fn a72_ecdsa_comes_in_two_forms() {
    let message = value();
    for (kind, algorithm, digest) in [
        (Kind::P256, ECDSA_SHA256, "-sha256"),
        (Kind::P384, crate::saml::names::ECDSA_SHA384, "-sha384"),
        (Kind::P384, ECDSA_SHA256, "-sha256"),
    ] {
        let unsigned = format!("SAMLRequest={message}&SigAlg={}", escaped(algorithm));
        let der = signed_by_openssl(&unsigned, kind, digest);
        assert!(redirect::read(&der).unwrap().verify(&keys(kind), STRICT).is_ok(), "{algorithm}");
        let changed = der.replacen("SAMLRequest=", "RelayState=x&SAMLRequest=", 1);
        assert_eq!(
            redirect::read(&changed).unwrap().verify(&keys(kind), STRICT).unwrap_err(),
            MessageRefused::Signature
        );
        let other = VerificationKeys::from_certificates(&[test_keys::other(kind).certificate]).unwrap();
        assert_eq!(redirect::read(&der).unwrap().verify(&other, STRICT).unwrap_err(), MessageRefused::Signature);
    }
}

#[test]
fn a72_the_other_key_of_a_rollover_is_good_and_a_strangers_is_not() {
    let certificates = [test_keys::other(Kind::Rsa2048).certificate, test_keys::one(Kind::Rsa2048).certificate];
    let both = VerificationKeys::from_certificates(&certificates).unwrap();
    assert!(redirect::read(&query(None)).unwrap().verify(&both, STRICT).is_ok());
    let stranger = VerificationKeys::from_certificates(&certificates[..1]).unwrap();
    assert_eq!(redirect::read(&query(None)).unwrap().verify(&stranger, STRICT).unwrap_err(), MessageRefused::Signature);
}

#[test]
fn a37_a_bomb_in_a_query_is_refused_and_so_is_a_long_query() {
    use std::io::Write as _;
    let mut bomb = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&vec![b' '; 20 * 1024 * 1024]).unwrap();
    let text = format!("SAMLRequest={}", escaped(&base64::encode(&bomb.finish().unwrap())));
    assert_eq!(redirect::read(&text).unwrap_err(), MessageRefused::Encoding);
    assert_eq!(
        redirect::read(&format!("SAMLRequest={}", "A".repeat(100_000))).unwrap_err(),
        MessageRefused::Parameters
    );
}

#[test]
fn a72_mutilated_queries_are_refused_without_a_panic() {
    let good = query(Some("state"));
    let mut seed = 7_u64;
    for _ in 0..20_000 {
        let mut octets = good.clone().into_bytes();
        for _ in 0..3 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = usize::try_from(seed >> 33).unwrap() % octets.len().max(1);
            match (seed >> 8) % 3 {
                _ if octets.is_empty() => {}
                0 => octets[at] = b"%&=+;[\0/A"[usize::try_from(seed >> 12).unwrap() % 9],
                1 => drop(octets.remove(at)),
                _ => octets.truncate(at.max(1)),
            }
        }
        if let Ok(text) = String::from_utf8(octets)
            && text != good
            && let Ok(arrived) = redirect::read(&text)
        {
            let _ = arrived.claimed_issuer();
        }
    }
}

/// The form field of that message.
fn form(text: &str) -> String {
    format!("SAMLRequest={}", escaped(&base64::encode(text.as_bytes())))
}

fn posted(form: &str) -> Result<Proven, MessageRefused> {
    post::read(form.as_bytes())?.verify(&keys(Kind::Rsa2048), STRICT)
}

#[test]
fn a76_a_form_has_one_message_and_each_field_once() {
    let good = form(&sign(&message().to_xml(), "_1"));
    assert!(posted(&good).is_ok());
    assert!(posted(&format!("{good}&RelayState=x&other=1&other=2")).is_ok());
    for more in ["SAMLResponse=x", "SAMLRequest=x", "SAMLRequest=", "%53AMLRequest=x", "RelayState=1&RelayState=1"] {
        assert_eq!(posted(&format!("{good}&{more}")).unwrap_err(), MessageRefused::Parameters, "{more}");
    }
    for odd in ["", "RelayState=x", "SAMLRequest[]=x"] {
        assert_eq!(posted(odd).unwrap_err(), MessageRefused::Parameters, "{odd}");
    }
    assert_eq!(posted("SAMLRequest=!").unwrap_err(), MessageRefused::Encoding);
    assert!(matches!(posted("SAMLRequest=").unwrap_err(), MessageRefused::Xml(_)));
}

#[test]
fn a69_a_posted_message_is_vetted_like_a_response() {
    let text = message().to_xml();
    let good = sign(&text, "_1");
    assert_eq!(posted(&form(&text)).unwrap_err(), MessageRefused::Unsigned);
    let stranger = Signing { other_key: true, ..Signing::default() }.sign(&text, "_1");
    assert_eq!(posted(&form(&stranger)).unwrap_err(), MessageRefused::Signature);
    assert_eq!(posted(&form(&good.replace("idp.example", "idp.evil"))).unwrap_err(), MessageRefused::Signature);

    // Wrapping: the signed message lies inside of another that nobody signed.
    let evil = text.replace("_1", "_2").replace("</samlp:LogoutRequest>", "");
    let wrapped = format!("{evil}<samlp:Extensions>{good}</samlp:Extensions></samlp:LogoutRequest>");
    assert_eq!(posted(&form(&wrapped)).unwrap_err(), MessageRefused::Signature);
    let twins =
        format!("{}<samlp:Extensions>{good}</samlp:Extensions></samlp:LogoutRequest>", evil.replace("_2", "_1"));
    assert_eq!(posted(&form(&twins)).unwrap_err(), MessageRefused::DuplicateId);
    // The signature of the inner one moved out, and refers to it still.
    let from = good.find("<ds:Signature").unwrap();
    let to = good.find("</ds:Signature>").unwrap() + "</ds:Signature>".len();
    let moved = format!(
        "{evil}{}<samlp:Extensions>{}{}</samlp:Extensions></samlp:LogoutRequest>",
        &good[from..to],
        &good[..from],
        &good[to..]
    );
    assert_eq!(posted(&form(&moved)).unwrap_err(), MessageRefused::Signature);
    let transformed = Signing {
        transforms:
            r#"<ds:Transforms><ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"/></ds:Transforms>"#
                .into(),
        ..Signing::default()
    }
    .sign(&text, "_1");
    assert_eq!(posted(&form(&transformed)).unwrap_err(), MessageRefused::Signature);
    for junk in ["<!DOCTYPE x>", "<!-- -->"] {
        let read = posted(&form(&format!("{junk}{good}")));
        assert_eq!(read.is_ok(), junk.starts_with("<!--"), "{junk}");
    }
}

#[test]
fn an_envelope_of_soap_holds_one_message_and_nothing_to_understand() {
    let key = test_keys::one(Kind::Rsa2048).signing_key();
    let good = soap::envelope(crate::saml::sign::sign(message(), &key).unwrap());
    let arrived = soap::read(good.clone().into_bytes()).unwrap();
    assert_eq!(arrived.claimed_issuer().unwrap(), ISSUER);
    assert!(arrived.is_signed() && arrived.unproven().is_err());
    let proven = arrived.verify(&keys(Kind::Rsa2048), STRICT).unwrap();
    assert!(proven.xml().unwrap().root().is(SAMLP, "LogoutRequest"));

    let unsigned = soap::read(soap::envelope(message()).into_bytes()).unwrap();
    assert_eq!(unsigned.verify(&keys(Kind::Rsa2048), STRICT).unwrap_err(), MessageRefused::Unsigned);
    let header = |inside: &str| good.replace("<soap:Body>", &format!("<soap:Header>{inside}</soap:Header><soap:Body>"));
    assert!(soap::read(header("<a xmlns='urn:x'/>").into_bytes()).is_ok());
    for odd in [
        header("<a xmlns='urn:x' soap:mustUnderstand='1'/>"),
        good.replace("<soap:Body>", "<soap:Body>x"),
        good.replace("<soap:Body>", "<soap:Body><x/>"),
        good.replace("</soap:Envelope>", "<soap:Body/></soap:Envelope>"),
        soap::envelope(Element::new("x")).replace("<x/>", ""),
        message().to_xml(),
        good.replace("schemas.xmlsoap.org/soap/envelope/", "www.w3.org/2003/05/soap-envelope"),
    ] {
        assert_eq!(soap::read(odd.clone().into_bytes()).unwrap_err(), MessageRefused::Soap, "{odd}");
    }
}
