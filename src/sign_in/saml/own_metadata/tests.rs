//! A75: what we publish, for one portal and for several, and while our key changes.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::clock::Timestamp;
use crate::email::SpeaksFor;
use crate::saml::keys::{DecryptionKey, VerificationKeys};
use crate::saml::mapping::Mapping;
use crate::saml::metadata::{self, Reading, signed_octets};
use crate::saml::names::NAMEID_PERSISTENT;
use crate::saml::response::{Expected, verify_xml};
use crate::saml::test_keys::{self, Kind, Made};
use crate::saml::test_signer::{self, Encryption, Message};
use crate::secret::Secret;
use crate::sign_in::saml::OwnKeys;
use crate::sign_in::saml::metadata_source::{MetadataFrom, MetadataSettings};
use crate::sign_in::settings::{EmailTrust, RequestSettings, Unsolicited};

const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);

fn decrypts(made: &Made) -> DecryptionKey {
    DecryptionKey::from_pem(&Secret::generated(made.key_pem.clone())).unwrap()
}

fn own_keys(keys: &[&Made]) -> OwnKeys {
    OwnKeys::new(
        keys.iter().map(|made| made.signing_key()).collect(),
        keys.iter().map(|made| decrypts(made)).collect(),
        keys.iter().map(|made| made.certificate.clone()).collect(),
    )
}

fn settings(keys: &[&Made]) -> SamlSettings {
    SamlSettings {
        metadata: MetadataSettings {
            from: MetadataFrom::File("idp.xml".into()),
            signed_by: Vec::new(),
            entity_id: None,
            refresh: Duration::from_secs(3_600),
        },
        our_entity_id: None,
        keys: Arc::new(own_keys(keys)),
        sign_metadata: false,
        request: RequestSettings { name_id_format: Some(NAMEID_PERSISTENT.into()), ..RequestSettings::default() },
        mapping: Mapping::default(),
        email_trust: EmailTrust::AsClaimed,
        clock_skew: Duration::from_secs(60),
        max_age: None,
        signatures: Default::default(),
        unsolicited: Unsolicited::Refused,
        largest_response: Expected::LARGEST_MESSAGE,
        sign_out_at_provider: false,
    }
}

fn name(name: &str) -> ProviderName {
    ProviderName::parse(name).unwrap()
}

fn host(name: &str) -> HostName {
    HostName::parse(name).unwrap()
}

fn portal(of: &str, providers: &[&str]) -> SignInPortal {
    let origin = PublicOrigin::new(&host(of), 443);
    SignInPortal { host: host(of), origin, providers: providers.iter().map(|one| name(one)).collect() }
}

fn own(settings: SamlSettings) -> OwnMetadata {
    let provider = ProviderSettings {
        name: name("adfs"),
        label: "Staff".into(),
        speaks_for: SpeaksFor::default(),
        protocol: Protocol::Saml(settings),
    };
    let portals =
        vec![portal("a.example", &["adfs"]), portal("b.example", &["okta", "adfs"]), portal("c.example", &["okta"])];
    OwnMetadata::new(&[provider], portals, Random::default())
}

fn document(own: &OwnMetadata, portal: &str) -> String {
    own.document(&host(portal), &name("adfs")).unwrap().unwrap()
}

fn read(document: &str) -> ServiceProvider {
    metadata::service_provider(document.as_bytes(), &Reading { entity_id: None, now: NOW }).unwrap()
}

fn consumers(read: &ServiceProvider) -> Vec<(u16, &str)> {
    read.consumers.iter().map(|one| (one.index, one.endpoint.location.as_str())).collect()
}

#[test]
fn a75_each_portal_is_a_service_provider_of_its_own() {
    let key = test_keys::one(Kind::Rsa2048);
    let own = own(settings(&[&key]));
    let read = read(&document(&own, "b.example"));
    assert_eq!(read.entity_id, "https://b.example/.vestibule/saml/adfs/metadata");
    assert_eq!(consumers(&read), [(0, "https://b.example/.vestibule/saml/adfs/acs")]);
    assert!(read.signs_requests && read.wants_signed_assertions);
    assert_eq!(read.name_id_formats, [NAMEID_PERSISTENT]);
    let pairs: Vec<_> = own.all().map(|(portal, provider)| (portal.as_str(), provider.as_str())).collect();
    assert_eq!(pairs, [("a.example", "adfs"), ("b.example", "adfs")]);
    assert!(own.document(&host("c.example"), &name("adfs")).is_none(), "it signs nobody in there");
    assert!(own.document(&host("a.example"), &name("okta")).is_none(), "it speaks no SAML");
    assert!(own.document(&host("z.example"), &name("adfs")).is_none());
}

#[test]
fn a75_portals_of_one_entity_are_told_in_one_document() {
    let mut settings = settings(&[]);
    settings.our_entity_id = Some("urn:acme:portals".into());
    let own = own(settings);
    let (a, b) = (document(&own, "a.example"), document(&own, "b.example"));
    assert_eq!(a, b);
    let read = read(&a);
    assert_eq!(read.entity_id, "urn:acme:portals");
    let both = ["https://a.example/.vestibule/saml/adfs/acs", "https://b.example/.vestibule/saml/adfs/acs"];
    assert_eq!(consumers(&read), [(0, both[0]), (1, both[1])]);
    assert_eq!(read.default_consumer().unwrap().index, 0);
    assert!(!read.signs_requests && read.signing_certificates.is_empty());
}

#[test]
fn a75_the_index_of_the_settings_is_the_one_that_is_told() {
    let mut settings = settings(&[]);
    settings.request.acs_index = Some(7);
    let read = read(&document(&own(settings), "a.example"));
    assert_eq!(consumers(&read), [(7, "https://a.example/.vestibule/saml/adfs/acs")]);
}

#[test]
fn a75_portals_of_one_entity_have_the_indexes_of_the_settings() {
    let mut settings = settings(&[]);
    settings.our_entity_id = Some("urn:acme:portals".into());
    settings.request.acs_indexes = [(host("b.example"), 0)].into();
    let read = read(&document(&own(settings), "a.example"));
    let both = ["https://a.example/.vestibule/saml/adfs/acs", "https://b.example/.vestibule/saml/adfs/acs"];
    assert_eq!(consumers(&read), [(1, both[0]), (0, both[1])], "who has none gets one that is free");
    assert_eq!(read.default_consumer().unwrap().index, 1);
}

#[test]
fn a75_it_is_signed_where_the_settings_say_so() {
    let key = test_keys::one(Kind::Rsa2048);
    let trusted = VerificationKeys::from_certificates(std::slice::from_ref(&key.certificate)).unwrap();
    let mut settings = settings(&[&key]);
    assert!(signed_octets(document(&own(settings.clone()), "a.example").as_bytes(), &trusted).is_err());
    settings.sign_metadata = true;
    let own = own(settings);
    let signed = document(&own, "a.example");
    let octets = signed_octets(signed.as_bytes(), &trusted).unwrap();
    assert_eq!(read(std::str::from_utf8(&octets).unwrap()), read(&signed));
    assert_ne!(signed, document(&own, "a.example"), "a fresh id each time");
}

/// Before, during and after a change of our key: whoever has read our metadata at any time can reach us.
#[test]
fn a75_our_key_changes_without_a_gap() {
    let [old, new] = [test_keys::one(Kind::Rsa2048), test_keys::other(Kind::Rsa2048)];
    let keys = test_signer::keys();
    let at = |changing: &[&Made]| read(&document(&own(settings(changing)), "a.example"));
    let opens = |changing: &[&Made], message: &str| {
        let decryption: Vec<_> = changing.iter().map(|made| decrypts(made)).collect();
        verify_xml(message.as_bytes(), &test_signer::expected(&keys, &decryption)).is_ok()
    };
    // `to_other` is the attacker's key in other tests: here it is the one that leaves.
    let to_old = Message::default().encrypted(&Encryption { to_other: true, ..Encryption::default() });
    let to_new = Message::default().encrypted(&Encryption::default());
    let steps: [(&[&Made], &Made, [bool; 2]); 4] = [
        (&[&old], &old, [true, false]),
        (&[&old, &new], &old, [true, true]),
        (&[&new, &old], &new, [true, true]),
        (&[&new], &new, [false, true]),
    ];
    for (step, (changing, signs, decrypted)) in steps.into_iter().enumerate() {
        let told = at(changing);
        let certificates: Vec<_> = changing.iter().map(|made| made.certificate.clone()).collect();
        assert_eq!(told.signing_certificates, certificates, "step {step}");
        assert_eq!(told.encryption_certificates, certificates, "step {step}");
        assert_eq!(own_keys(changing).signing().unwrap().certificate(), signs.certificate, "step {step}");
        assert_eq!([opens(changing, &to_old), opens(changing, &to_new)], decrypted, "step {step}");
    }
}
