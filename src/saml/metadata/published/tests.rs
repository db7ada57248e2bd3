use std::process::Command;
use std::time::Duration;

use super::*;
use crate::clock::Timestamp;
use crate::saml::keys::VerificationKeys;
use crate::saml::metadata::{self, Binding, Reading};
use crate::saml::names::{NAMEID_EMAIL, NAMEID_PERSISTENT};
use crate::saml::response::verify_xml;
use crate::saml::test_keys::{self, Kind};
use crate::saml::test_signer::{self, Encryption, Message};
use crate::saml::xml::{Xml, XmlLimits};

const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);
const ID: &str = "_0123456789abcdef0123456789abcdef01234567";

fn at(binding: Binding, location: &str) -> Endpoint {
    Endpoint { binding, location: location.to_owned(), response_location: None }
}

/// A service provider in the middle of a change of its key, with two portals, and an entity id that has to be escaped.
fn service_provider() -> ServiceProvider {
    let consumer = |index, host: &str| IndexedEndpoint {
        index,
        is_default: index == 0,
        endpoint: at(Binding::Post, &format!("https://{host}/.vestibule/saml/idp/acs")),
    };
    ServiceProvider {
        entity_id: "https://portal.example/?a=\"b\"&c=<d>".to_owned(),
        signing_certificates: vec![
            test_keys::one(Kind::Rsa2048).certificate,
            test_keys::other(Kind::Rsa2048).certificate,
            test_keys::one(Kind::P384).certificate,
        ],
        encryption_certificates: vec![
            test_keys::one(Kind::Rsa2048).certificate,
            test_keys::other(Kind::Rsa2048).certificate,
        ],
        consumers: vec![consumer(0, "portal.example"), consumer(7, "help.example")],
        logout: [Binding::Redirect, Binding::Post, Binding::Soap]
            .map(|binding| at(binding, "https://portal.example/.vestibule/saml/idp/slo"))
            .to_vec(),
        signs_requests: true,
        wants_signed_assertions: true,
        name_id_formats: vec![NAMEID_PERSISTENT.to_owned(), NAMEID_EMAIL.to_owned()],
        validity: Validity {
            valid_until: Some(NOW.after(Duration::from_secs(86_400))),
            cache_duration: Some(Duration::from_secs(3_600)),
        },
    }
}

fn identity_provider() -> IdentityProvider {
    IdentityProvider {
        entity_id: "https://idp.example/metadata".to_owned(),
        signing_certificates: vec![test_keys::one(Kind::Rsa2048).certificate],
        sign_on: vec![
            at(Binding::Redirect, "https://idp.example/sso?tenant=a&b='c'"),
            at(Binding::Post, "https://idp.example/sso"),
        ],
        logout: vec![Endpoint {
            response_location: Some("https://idp.example/slo/done".to_owned()),
            ..at(Binding::Redirect, "https://idp.example/slo")
        }],
        wants_signed_requests: true,
        name_id_formats: vec![NAMEID_PERSISTENT.to_owned()],
        validity: Validity::default(),
    }
}

fn signed_by_each() -> [Option<SigningKey>; 3] {
    [None, Some(test_keys::one(Kind::Rsa2048).signing_key()), Some(test_keys::one(Kind::P384).signing_key())]
}

/// What the schema of the standard says, through PHP's libxml2.
fn fits_the_schema(document: &str) -> bool {
    const SCHEMA: &str = "/usr/share/simplesamlphp/schemas/saml-schema-metadata-2.0.xsd";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metadata.xml");
    std::fs::write(&path, document).unwrap();
    let program =
        "$d = new DOMDocument; exit($d->load($argv[1], LIBXML_NONET) && $d->schemaValidate($argv[2]) ? 0 : 1);";
    let output = Command::new("php").args(["-r", program]).arg(&path).arg(SCHEMA).output();
    let output = output.expect("the tests need the program php");
    if !output.status.success() {
        eprintln!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    output.status.success()
}

#[test]
fn a75_what_is_written_is_read_as_it_was() {
    let reading = Reading { entity_id: None, now: NOW };
    for key in signed_by_each() {
        let ours = service_provider();
        let document = ours.to_document(ID, key.as_ref()).unwrap();
        assert_eq!(metadata::service_provider(document.as_bytes(), &reading).unwrap(), ours);
        let theirs = identity_provider();
        let document = theirs.to_document(ID, key.as_ref()).unwrap();
        assert_eq!(metadata::identity_provider(document.as_bytes(), &reading).unwrap(), theirs);
    }
}

#[test]
fn a75_what_is_written_fits_the_schema_of_the_standard() {
    for key in signed_by_each() {
        for document in
            [service_provider().to_document(ID, key.as_ref()), identity_provider().to_document(ID, key.as_ref())]
        {
            let document = document.unwrap();
            assert!(fits_the_schema(&document), "{document}");
        }
    }
    let misplaced = identity_provider().to_document(ID, None).unwrap().replace(" entityID=", " entityId=");
    assert!(!fits_the_schema(&misplaced), "the schema is really looked at");
}

#[test]
fn a75_each_key_says_what_it_is_for() {
    let text = service_provider().to_document(ID, None).unwrap();
    let xml = Xml::parse(text.as_bytes(), XmlLimits::METADATA).unwrap();
    let role = xml.root().one(MD, "SPSSODescriptor").unwrap();
    let uses: Vec<_> = role.all(MD, "KeyDescriptor").map(|key| key.attribute("use").unwrap()).collect();
    assert_eq!(uses, ["signing", "signing", "signing", "encryption", "encryption"]);
    for key in role.all(MD, "KeyDescriptor") {
        let methods = key.all(MD, "EncryptionMethod").count();
        assert_eq!(methods > 0, key.attribute("use") == Some("encryption"));
    }
    assert_eq!(role.attribute("WantAssertionsSigned"), Some("true"));
    assert_eq!(role.attribute("AuthnRequestsSigned"), Some("true"));
    let indexes: Vec<_> =
        role.all(MD, "AssertionConsumerService").map(|at| (at.attribute("index"), at.attribute("isDefault"))).collect();
    assert_eq!(indexes, [(Some("0"), Some("true")), (Some("7"), None)]);
}

#[test]
fn s5_a75_whatever_is_published_is_decrypted_in_every_combination() {
    let message = Message::default();
    let tries = CIPHERS.iter().flat_map(|cipher| KEY_TRANSPORTS.iter().map(move |transport| (cipher, transport)));
    let (keys, decryption_keys) = (test_signer::keys(), test_signer::decryption_keys());
    let expected = test_signer::expected(&keys, &decryption_keys);
    let mut count = 0;
    for (cipher, transport) in tries {
        let how =
            Encryption { cipher: (*cipher).to_owned(), transport: (*transport).to_owned(), ..Encryption::default() };
        let verified = verify_xml(message.encrypted(&how).as_bytes(), &expected);
        assert!(verified.is_ok(), "{cipher} {transport}: {verified:?}");
        count += 1;
    }
    assert_eq!(count, 12, "six ciphers, two ways to carry their keys");
}

#[test]
fn a75_xmlsec1_and_samael_verify_and_read_what_is_signed() {
    use crate::saml::test_xmlsec::xmlsec1_verifies;
    use samael::crypto::{CertificateDer, Crypto, CryptoProvider as _};
    for kind in [Kind::Rsa2048, Kind::P256] {
        let made = test_keys::one(kind);
        let document = service_provider().to_document(ID, Some(&made.signing_key())).unwrap();
        let id_of = "urn:oasis:names:tc:SAML:2.0:metadata:EntityDescriptor";
        assert!(xmlsec1_verifies(&document, id_of, &made.certificate_pem), "{kind:?}: {document}");
        let changed = document.replace("help.example", "evil.example");
        assert!(!xmlsec1_verifies(&changed, id_of, &made.certificate_pem), "{kind:?}");
    }
    let made = test_keys::one(Kind::Rsa2048);
    let document = service_provider().to_document(ID, Some(&made.signing_key())).unwrap();
    Crypto::verify_signed_xml(document.as_bytes(), &CertificateDer::from(made.certificate.clone()), Some("ID"))
        .unwrap();
    let extracted = samael::idp::sp_extractor::SPMetadataExtractor::try_from_xml(&document).unwrap();
    assert_eq!(extracted.issuer().unwrap(), service_provider().entity_id);
    assert_eq!(extracted.acs().unwrap().url, "https://portal.example/.vestibule/saml/idp/acs");
    assert_eq!(extracted.verification_cert().unwrap().der_data(), made.certificate);
    let document = identity_provider().to_document(ID, None).unwrap();
    let read: samael::metadata::EntityDescriptor = document.parse().unwrap();
    let peer = samael::service_provider::ServiceProvider { idp_metadata: read, ..Default::default() };
    assert_eq!(
        peer.sso_binding_location(Binding::Redirect.uri()).as_deref(),
        Some("https://idp.example/sso?tenant=a&b='c'")
    );
    let certificates: Vec<_> =
        peer.idp_signing_certs().unwrap().unwrap().iter().map(|one| one.der_data().to_vec()).collect();
    assert_eq!(certificates, [made.certificate]);
}

#[test]
fn a75_two_of_our_keys_at_once_verify_and_the_first_signs() {
    let [first, second] = [test_keys::one(Kind::Rsa2048), test_keys::other(Kind::Rsa2048)];
    let document = service_provider().to_document(ID, Some(&first.signing_key())).unwrap();
    let read = metadata::service_provider(document.as_bytes(), &Reading { entity_id: None, now: NOW }).unwrap();
    assert!(read.signing_certificates.contains(&first.certificate));
    assert!(read.signing_certificates.contains(&second.certificate));
    assert_eq!(read.encryption_certificates, [first.certificate, second.certificate]);
    assert_eq!(VerificationKeys::from_certificates(&read.signing_certificates).unwrap().count(), 3);
}
