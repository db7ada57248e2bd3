use std::time::Duration;

use super::*;
use crate::saml::sign::sign;
use crate::saml::signing_key::SignatureAlgorithm;
use crate::saml::test_keys::{self, Kind};
use crate::saml::test_xmlsec::xmlsec1_verifies;
use crate::saml::xml::{Xml, XmlLimits};

const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);
const SSO: &str = "https://idp.example/sso?tenant=a&b=\"c\"";
const ACS: &str = "https://portal.example/.vestibule/saml/idp/acs";

fn request<'a>() -> AuthnRequest<'a> {
    AuthnRequest {
        id: "_0123456789abcdef0123456789abcdef01234567",
        issue_instant: NOW,
        destination: SSO,
        issuer: "https://portal.example/sp",
        acs: Acs::Url(ACS),
        force_authn: false,
        is_passive: false,
        name_id_policy: None,
        authn_contexts: &[],
        comparison: Comparison::Exact,
    }
}

fn read(element: &Element) -> Result<ReceivedAuthnRequest, crate::saml::message::MessageRefused> {
    let text = element.to_xml();
    ReceivedAuthnRequest::read(&Xml::parse(text.as_bytes(), XmlLimits::MESSAGE).unwrap())
}

#[test]
fn what_is_asked_for_is_read_on_the_other_side() {
    let contexts = ["urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport".to_owned()];
    let request = AuthnRequest {
        force_authn: true,
        name_id_policy: Some(NameIdPolicy { format: Some(crate::saml::names::NAMEID_PERSISTENT), allow_create: true }),
        authn_contexts: &contexts,
        comparison: Comparison::Minimum,
        ..request()
    };
    let read_back = read(&request.to_element()).unwrap();
    assert_eq!(read_back.acs, RequestedAcs::Url(ACS.to_owned()));
    assert_eq!(read_back.head.destination.as_deref(), Some(SSO));
    assert_eq!(read_back.head.issuer, "https://portal.example/sp");
    assert_eq!(read_back.name_id_format.as_deref(), Some(crate::saml::names::NAMEID_PERSISTENT));
    assert_eq!(read_back.authn_contexts, contexts);
    assert!(read_back.force_authn && !read_back.is_passive);
    assert!(request.to_element().to_xml().contains("Comparison=\"minimum\""));

    let by_index = AuthnRequest { acs: Acs::Index(3), ..self::request() };
    assert_eq!(read(&by_index.to_element()).unwrap().acs, RequestedAcs::Index(3));
    assert!(!by_index.to_element().to_xml().contains("ProtocolBinding"));
}

#[test]
fn a_request_has_to_come_to_the_right_address_in_time() {
    let read_back = read(&request().to_element()).unwrap();
    let skew = Duration::from_secs(60);
    assert_eq!(read_back.check(SSO, true, NOW, skew), Ok(()));
    let refused = |location, now: Timestamp| read_back.check(location, true, now, skew).unwrap_err();
    use crate::saml::message::MessageRefused;
    assert_eq!(refused("https://idp.example/sso/", NOW), MessageRefused::Destination);
    assert_eq!(refused(SSO, NOW.before(Duration::from_secs(61))), MessageRefused::IssueInstant);
    assert_eq!(refused(SSO, NOW.after(Duration::from_secs(361))), MessageRefused::IssueInstant);
    assert_eq!(read_back.check(SSO, true, NOW.after(Duration::from_secs(360)), skew), Ok(()));
}

#[test]
fn xmlsec1_verifies_what_is_signed() {
    for kind in [Kind::Rsa2048, Kind::P256, Kind::P384] {
        let made = test_keys::one(kind);
        let algorithms: &[Option<SignatureAlgorithm>] = match kind {
            // xmlsec1 1.2.37 does not know RSA-PSS.
            Kind::Rsa2048 => &[
                Some(SignatureAlgorithm::RsaSha256),
                Some(SignatureAlgorithm::RsaSha384),
                Some(SignatureAlgorithm::RsaSha512),
            ],
            _ => &[None],
        };
        for algorithm in algorithms {
            let key = made.signing_key();
            let key = match algorithm {
                Some(algorithm) => key.with_algorithm(*algorithm).unwrap(),
                None => key,
            };
            let signed = sign(request().to_element(), &key).unwrap().to_xml();
            let id_of = "urn:oasis:names:tc:SAML:2.0:protocol:AuthnRequest";
            assert!(xmlsec1_verifies(&signed, id_of, &made.certificate_pem), "{algorithm:?}: {signed}");
            let other = test_keys::other(kind);
            assert!(!xmlsec1_verifies(&signed, id_of, &other.certificate_pem), "{algorithm:?}");
            let changed = signed.replace("portal.example/sp", "portal.example/sq");
            assert!(!xmlsec1_verifies(&changed, id_of, &made.certificate_pem), "{algorithm:?}");
        }
    }
}

#[test]
fn samael_verifies_what_is_signed_and_reads_the_request() {
    use samael::crypto::{Crypto, CryptoProvider as _};
    let made = test_keys::one(Kind::Rsa2048);
    let signed = sign(request().to_element(), &made.signing_key()).unwrap().to_xml();
    let parsed: samael::schema::AuthnRequest = signed.parse().unwrap();
    assert_eq!(parsed.assertion_consumer_service_url.as_deref(), Some(ACS));
    assert_eq!(parsed.destination.as_deref(), Some(SSO));
    let certificate = samael::crypto::CertificateDer::from(made.certificate.clone());
    Crypto::verify_signed_xml(signed.as_bytes(), &certificate, Some("ID")).unwrap();
    let changed = signed.replace("portal.example/sp", "portal.example/sq");
    assert!(Crypto::verify_signed_xml(changed.as_bytes(), &certificate, Some("ID")).is_err());
}
