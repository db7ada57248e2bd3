//! What we issue, as three readers see it: our own verifier, `samael`, and the program `xmlsec1`.

use samael::metadata::EntityDescriptor;
use samael::service_provider::ServiceProvider;

use super::*;
use crate::saml::keys::VerificationKeys;
use crate::saml::names::PASSWORD_PROTECTED_TRANSPORT;
use crate::saml::names::{MD, NAMEID_PERSISTENT, STATUS_AUTHN_FAILED, STATUS_RESPONDER};
use crate::saml::rejected::SamlRejected;
use crate::saml::response::{self, InResponseTo, VerifiedResponse};
use crate::saml::test_keys::{self, Kind};
use crate::saml::test_signer::{ACS, GOOD, IDP, NOW, REQUEST, SP, decryption_keys, expected};
use crate::saml::test_xmlsec::{xmlsec1_decrypts, xmlsec1_verifies};
use crate::saml::{base64, instant};

const RESPONSE: &str = "urn:oasis:names:tc:SAML:2.0:protocol:Response";
const ASSERTION: &str = "urn:oasis:names:tc:SAML:2.0:assertion:Assertion";
/// A value that would break out of whatever is put together by hand.
const ODD: &str = "\"><saml:Attribute Name='x'/>&amp; <!-- ' \u{e9}\n";

fn name_id() -> NameId {
    NameId {
        value: GOOD.into(),
        format: Some(NAMEID_PERSISTENT.into()),
        name_qualifier: Some(IDP.into()),
        sp_name_qualifier: Some(SP.into()),
    }
}

fn attributes() -> Vec<Attribute> {
    let attribute = |name: &str, values: &[&str]| Attribute {
        name: name.into(),
        name_format: Some("urn:oasis:names:tc:SAML:2.0:attrname-format:uri".into()),
        friendly_name: None,
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    };
    vec![attribute("email", &[GOOD]), attribute("groups", &["customers", ODD])]
}

fn envelope() -> Envelope<'static> {
    Envelope { id: "_response", issue_instant: NOW, issuer: IDP, acs: ACS, in_response_to: Some(REQUEST) }
}

fn issue<'a>(name_id: &'a NameId, attributes: &'a [Attribute]) -> Issue<'a> {
    Issue {
        envelope: envelope(),
        assertion_id: "_assertion",
        audience: SP,
        lifetime: Duration::from_secs(300),
        name_id,
        authn: Authn {
            instant: NOW,
            context: PASSWORD_PROTECTED_TRANSPORT,
            session_index: Some("_session"),
            session_not_on_or_after: Some(NOW.after(Duration::from_secs(3600))),
        },
        attributes,
    }
}

fn encryption_key() -> EncryptionKey {
    EncryptionKey::from_certificate(&test_keys::other(Kind::Rsa2048).certificate).unwrap()
}

fn verified(text: &str, kind: Kind, asked: InResponseTo<'_>) -> Result<VerifiedResponse, SamlRejected> {
    let keys = VerificationKeys::from_certificates(&[test_keys::one(kind).certificate]).unwrap();
    let decryption_keys = decryption_keys();
    let expected = response::Expected { in_response_to: asked, ..expected(&keys, &decryption_keys) };
    response::verify_xml(text.as_bytes(), &expected)
}

#[test]
fn our_own_verifier_believes_everything_that_was_said() {
    let (name_id, attributes, to) = (name_id(), attributes(), encryption_key());
    for kind in [Kind::Rsa2048, Kind::P256, Kind::P384] {
        let key = test_keys::one(kind).signing_key();
        for signed in [Signed::Response, Signed::Assertion, Signed::Both] {
            for encrypted_to in [None, Some(&to)] {
                let how = Protection { key: &key, signed, encrypted_to };
                let text = issue(&name_id, &attributes).response(&how, &Random::default()).unwrap().to_xml();
                let read = verified(&text, kind, InResponseTo::Request(REQUEST)).unwrap();
                assert_eq!((read.signed, read.encrypted), (signed, encrypted_to.is_some()));
                assert_eq!(read.name_id, name_id);
                assert_eq!((read.response_id.as_str(), read.assertion_id.as_str()), ("_response", "_assertion"));
                assert_eq!(read.session_indexes, ["_session"]);
                assert_eq!(read.authn_context.as_deref(), Some(PASSWORD_PROTECTED_TRANSPORT));
                assert_eq!(read.session_not_on_or_after, Some(NOW.after(Duration::from_secs(3600))));
                assert_eq!(read.attributes.iter().cloned().collect::<Vec<_>>(), attributes);
                assert_eq!(text.contains(GOOD), encrypted_to.is_none());
            }
        }
    }
}

#[test]
fn nobody_has_to_ask() {
    let (name_id, key) = (name_id(), test_keys::one(Kind::Rsa2048).signing_key());
    let unasked = Issue {
        envelope: Envelope { in_response_to: None, ..envelope() },
        authn: Authn { session_index: None, session_not_on_or_after: None, ..issue(&name_id, &[]).authn },
        ..issue(&name_id, &[])
    };
    let how = Protection { key: &key, signed: Signed::Both, encrypted_to: None };
    let text = unasked.response(&how, &Random::default()).unwrap().to_xml();
    assert!(!text.contains("InResponseTo") && !text.contains("AttributeStatement"));
    let read = verified(&text, Kind::Rsa2048, InResponseTo::Unsolicited).unwrap();
    assert_eq!((read.session_indexes, read.session_not_on_or_after), (Vec::new(), None));
    assert!(verified(&text, Kind::Rsa2048, InResponseTo::Request(REQUEST)).is_err());
}

#[test]
fn it_is_for_one_reader_one_address_and_a_short_while() {
    let (name_id, key) = (name_id(), test_keys::one(Kind::Rsa2048).signing_key());
    let how = Protection { key: &key, signed: Signed::Both, encrypted_to: None };
    let text = issue(&name_id, &[]).response(&how, &Random::default()).unwrap().to_xml();
    let keys = VerificationKeys::from_certificates(&[test_keys::one(Kind::Rsa2048).certificate]).unwrap();
    let refused = |change: fn(&mut response::Expected<'_>)| {
        let mut expected = response::Expected { skew: Duration::ZERO, ..expected(&keys, &[]) };
        change(&mut expected);
        response::verify_xml(text.as_bytes(), &expected).map_err(|rejected| rejected.reason())
    };
    assert_eq!(refused(|_| {}).map(|read| read.name_id.value), Ok(GOOD.to_owned()));
    assert_eq!(refused(|expected| expected.service_provider = "https://other.example").unwrap_err(), "saml_audience");
    assert_eq!(refused(|expected| expected.acs = "https://other.example/acs").unwrap_err(), "saml_destination");
    assert_eq!(
        refused(|expected| expected.in_response_to = InResponseTo::Request("_2")).unwrap_err(),
        "saml_in_response_to"
    );
    assert!(refused(|expected| expected.now = NOW.after(Duration::from_millis(299_999))).is_ok());
    assert_eq!(refused(|expected| expected.now = NOW.after(Duration::from_secs(300))).unwrap_err(), "saml_expired");
    assert_eq!(
        refused(|expected| expected.now = NOW.before(Duration::from_secs(61))).unwrap_err(),
        "saml_not_yet_valid"
    );
}

#[test]
fn xmlsec1_verifies_and_decrypts_what_is_issued() {
    let (name_id, attributes, to) = (name_id(), attributes(), encryption_key());
    for kind in [Kind::Rsa2048, Kind::P256, Kind::P384] {
        let (made, other) = (test_keys::one(kind), test_keys::other(kind));
        let key = made.signing_key();
        for (signed, elements) in
            [(Signed::Response, &[RESPONSE][..]), (Signed::Assertion, &[ASSERTION]), (Signed::Both, &[RESPONSE])]
        {
            let how = Protection { key: &key, signed, encrypted_to: None };
            let text = issue(&name_id, &attributes).response(&how, &Random::default()).unwrap().to_xml();
            for element in elements {
                assert!(xmlsec1_verifies(&text, element, &made.certificate_pem), "{kind:?} {signed:?}: {text}");
                assert!(!xmlsec1_verifies(&text, element, &other.certificate_pem), "{kind:?} {signed:?}");
                let changed = text.replace(GOOD, "eve@acme.example");
                assert!(!xmlsec1_verifies(&changed, element, &made.certificate_pem), "{kind:?} {signed:?}");
            }
        }
        let how = Protection { key: &key, signed: Signed::Assertion, encrypted_to: Some(&to) };
        let text = issue(&name_id, &attributes).response(&how, &Random::default()).unwrap().to_xml();
        assert_eq!(xmlsec1_decrypts(&text, &made.key_pem), None);
        let opened = xmlsec1_decrypts(&text, &test_keys::other(Kind::Rsa2048).key_pem).unwrap();
        assert!(opened.contains(GOOD), "{opened}");
        assert!(xmlsec1_verifies(&opened, ASSERTION, &made.certificate_pem), "{opened}");
    }
}

#[test]
fn samael_believes_what_is_issued() {
    // Its clock cannot be set, and it takes one signature only.
    let (name_id, attributes, made) = (name_id(), attributes(), test_keys::one(Kind::Rsa2048));
    let key = made.signing_key();
    let now = crate::clock::Clock::System.now();
    let metadata = format!(
        r#"<md:EntityDescriptor xmlns:md="{MD}" entityID="{IDP}"><md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"><md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data><ds:X509Certificate>{}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor><md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://idp.example/sso"/></md:IDPSSODescriptor></md:EntityDescriptor>"#,
        base64::encode(&made.certificate)
    );
    let provider = ServiceProvider {
        entity_id: Some(SP.into()),
        acs_url: Some(ACS.into()),
        idp_metadata: metadata.parse::<EntityDescriptor>().unwrap(),
        ..ServiceProvider::default()
    };
    for signed in [Signed::Response, Signed::Assertion] {
        let how = Protection { key: &key, signed, encrypted_to: None };
        let current = Issue {
            envelope: Envelope { issue_instant: now, ..envelope() },
            authn: Authn { instant: now, session_not_on_or_after: None, ..issue(&name_id, &attributes).authn },
            ..issue(&name_id, &attributes)
        };
        let text = current.response(&how, &Random::default()).unwrap().to_xml();
        let believed = provider.parse_xml_response(&text, Some(&[REQUEST])).unwrap();
        assert_eq!(believed.subject.unwrap().name_id.unwrap().value, GOOD);
        let statement = &believed.authn_statements.unwrap()[0];
        assert_eq!(statement.session_index.as_deref(), Some("_session"));
        let changed = text.replace(GOOD, "eve@acme.example");
        assert!(provider.parse_xml_response(&changed, Some(&[REQUEST])).is_err());
        assert!(provider.parse_xml_response(&text, Some(&["_2"])).is_err());
    }
}

#[test]
fn a_refusal_is_signed_and_says_why() {
    let key = test_keys::one(Kind::Rsa2048).signing_key();
    let status = Status { message: Some(ODD), ..Status::of(STATUS_RESPONDER, Some(STATUS_AUTHN_FAILED)) };
    let text = envelope().refusal(status, &key).unwrap().to_xml();
    assert!(xmlsec1_verifies(&text, RESPONSE, &test_keys::one(Kind::Rsa2048).certificate_pem));
    assert!(text.contains(STATUS_AUTHN_FAILED) && text.contains(&instant::write(NOW)));
    assert!(verified(&text, Kind::Rsa2048, InResponseTo::Request(REQUEST)).is_err());
}

#[test]
fn nothing_is_encrypted_to_a_key_that_cannot_or_should_not() {
    use crate::saml::keys::KeyRefused;
    let refused = EncryptionKey::from_certificate(&test_keys::one(Kind::P256).certificate).unwrap_err();
    assert_eq!(refused, KeyRefused::CannotEncrypt);
    assert_eq!(EncryptionKey::from_certificate(b"x").unwrap_err(), KeyRefused::UnreadableCertificate);
    assert!(format!("{:?}", encryption_key()).contains("2048 bits"));
}
