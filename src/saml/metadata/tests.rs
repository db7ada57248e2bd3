use std::time::Duration;

use super::*;
use crate::saml::test_keys::{self, Kind};

const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);
const SSO: &str = r#"<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://idp.example/sso"/>"#;

fn key(purpose: &str, kind: Kind) -> String {
    let certificate = STANDARD.encode(test_keys::one(kind).certificate);
    let (start, end) = certificate.split_at(70);
    format!(
        "<md:KeyDescriptor {purpose}><ds:KeyInfo xmlns:ds='http://www.w3.org/2000/09/xmldsig#'><ds:X509Data><ds:X509Certificate>\n {start}\r\n{end}\n</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"
    )
}

fn idp(id: &str, attributes: &str, inside: &str) -> String {
    format!(
        r#"<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{id}" {attributes}><md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:1.1:protocol urn:oasis:names:tc:SAML:2.0:protocol">{inside}</md:IDPSSODescriptor></md:EntityDescriptor>"#
    )
}

fn federation(attributes: &str, entities: &[String]) -> String {
    let entities = entities.concat();
    format!(
        r#"<md:EntitiesDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" {attributes}>{entities}</md:EntitiesDescriptor>"#
    )
}

fn read(text: &str) -> Result<IdentityProvider, MetadataRefused> {
    identity_provider(text.as_bytes(), &Reading { entity_id: None, now: NOW })
}

fn read_as(text: &str, id: &str) -> Result<IdentityProvider, MetadataRefused> {
    identity_provider(text.as_bytes(), &Reading { entity_id: Some(id), now: NOW })
}

#[test]
fn what_a_provider_says_of_itself_is_read() {
    let inside = format!(
        r#"{}{}<md:SingleLogoutService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="https://idp.example/slo" ResponseLocation="https://idp.example/slo/done"/>
        <md:SingleLogoutService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Artifact" Location="http://idp.example/artifact"/>
        <md:NameIDFormat>
          urn:oasis:names:tc:SAML:2.0:nameid-format:persistent </md:NameIDFormat>{SSO}
        <md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="https://idp.example/sso/post"/>"#,
        key("use='signing'", Kind::Rsa2048),
        key("use='signing'", Kind::P256),
    );
    let text = idp("https://idp.example", "cacheDuration='PT6H' validUntil='2100-01-01T00:00:00Z'", &inside);
    let text = text.replace("<md:IDPSSODescriptor", "<md:IDPSSODescriptor WantAuthnRequestsSigned='1'");
    let provider = read(&text).unwrap();
    assert_eq!(provider.entity_id, "https://idp.example");
    assert_eq!(provider.signing_certificates.len(), 2, "both keys of a rollover");
    assert_eq!(provider.sign_on_by(Binding::Redirect).unwrap().location, "https://idp.example/sso");
    assert_eq!(provider.sign_on_by(Binding::Post).unwrap().location, "https://idp.example/sso/post");
    assert_eq!(provider.logout_by(Binding::Redirect), None);
    assert_eq!(provider.logout_by(Binding::Post).unwrap().for_responses(), "https://idp.example/slo/done");
    assert_eq!(provider.name_id_formats, ["urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"]);
    assert!(provider.wants_signed_requests);
    assert_eq!(provider.validity.cache_duration, Some(Duration::from_secs(6 * 3600)));
}

#[test]
fn s1_metadata_without_a_signing_key_is_refused() {
    assert_eq!(read(&idp("i", "", SSO)), Err(MetadataRefused::NoSigningKey));
    let encryption_only = format!("{}{SSO}", key("use='encryption'", Kind::Rsa2048));
    assert_eq!(read(&idp("i", "", &encryption_only)), Err(MetadataRefused::NoSigningKey));
    let key_name = "<md:KeyDescriptor><ds:KeyInfo xmlns:ds='http://www.w3.org/2000/09/xmldsig#'><ds:KeyName>k</ds:KeyName></ds:KeyInfo></md:KeyDescriptor>";
    assert_eq!(read(&idp("i", "", &format!("{key_name}{SSO}"))), Err(MetadataRefused::NoSigningKey));
    let empty = "<md:KeyDescriptor><ds:KeyInfo xmlns:ds='http://www.w3.org/2000/09/xmldsig#'><ds:X509Data><ds:X509Certificate/></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>";
    assert_eq!(read(&idp("i", "", &format!("{empty}{SSO}"))), Err(MetadataRefused::Certificate));
}

#[test]
fn s2_a_key_without_a_use_signs_beside_those_that_say_so() {
    let count =
        |keys: &[String]| read(&idp("i", "", &format!("{}{SSO}", keys.concat()))).unwrap().signing_certificates.len();
    assert_eq!(count(&[key("", Kind::Rsa2048)]), 1);
    assert_eq!(count(&[key("use='signing'", Kind::Rsa2048), key("", Kind::P256)]), 2);
    assert_eq!(count(&[key("use='encryption'", Kind::Rsa2048), key("", Kind::P256)]), 1);
    assert_eq!(count(&[key("use='signing'", Kind::Rsa2048), key("", Kind::Rsa2048)]), 1, "one key, said twice");
}

#[test]
fn a74_metadata_that_has_expired_is_refused() {
    let inside = format!("{}{SSO}", key("", Kind::P256));
    let past = "validUntil='2020-01-01T00:00:00Z'";
    assert!(matches!(read(&idp("i", past, &inside)), Err(MetadataRefused::Expired(_))));
    let group = federation(past, &[idp("i", "validUntil='2100-01-01T00:00:00Z'", &inside)]);
    assert!(matches!(read(&group), Err(MetadataRefused::Expired(_))), "a group's end is that of all in it");
    let role = idp("i", "", &inside).replace("<md:IDPSSODescriptor", &format!("<md:IDPSSODescriptor {past}"));
    assert!(matches!(read(&role), Err(MetadataRefused::Expired(_))));
    let odd = idp("i", "validUntil='soon'", &inside);
    assert_eq!(read(&odd), Err(MetadataRefused::Attribute("validUntil")));
    let fixture = std::fs::read(fixture("tests__data__metadata__expired_metadata_settings1.xml")).unwrap();
    let reading = Reading { entity_id: None, now: NOW };
    assert!(matches!(service_provider(&fixture, &reading), Err(MetadataRefused::Expired(_))));
    let then = Reading { now: crate::saml::instant::parse("2014-02-20T00:00:00Z").unwrap(), ..reading };
    assert!(!matches!(service_provider(&fixture, &then), Err(MetadataRefused::Expired(_))), "its addresses are http");
}

fn fixture(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/saml/python3-saml").join(name)
}

#[test]
fn a74_one_entity_is_picked_out_of_a_federation() {
    let inside = format!("{}{SSO}", key("", Kind::P256));
    let sp = idp("sp", "", "").replace("IDPSSODescriptor", "SPSSODescriptor");
    let entities = [idp("a", "", &inside), federation("", &[idp("b", "", &inside), sp])];
    let text = federation("", &entities);
    assert_eq!(read_as(&text, "b").unwrap().entity_id, "b");
    assert_eq!(read(&text), Err(MetadataRefused::SeveralEntities(2)));
    assert_eq!(read_as(&text, "c"), Err(MetadataRefused::NoSuchEntity("c".to_owned())));
    assert_eq!(read_as(&text, "sp"), Err(MetadataRefused::NoRole("IDPSSODescriptor")));
    assert_eq!(read_as(&idp("a", "", &inside), "b"), Err(MetadataRefused::NoSuchEntity("b".to_owned())));

    let twice = federation("", &[idp("a", "", &inside), federation("", &[idp("a", "", &inside)])]);
    assert_eq!(read_as(&twice, "a"), Err(MetadataRefused::EntityTwice("a".to_owned())));
    let role = format!(
        "{inside}</md:IDPSSODescriptor><md:IDPSSODescriptor protocolSupportEnumeration='urn:oasis:names:tc:SAML:2.0:protocol'>{inside}"
    );
    assert_eq!(read(&idp("a", "", &role)), Err(MetadataRefused::EntityTwice("a".to_owned())));
    let hidden = federation("", &[format!("<md:Extensions>{}</md:Extensions>", idp("a", "", &inside))]);
    assert_eq!(read_as(&hidden, "a"), Err(MetadataRefused::NoSuchEntity("a".to_owned())));
}

#[test]
fn a74_addresses_that_are_not_https_are_refused_by_name() {
    for bad in ["http://idp.example/sso", "javascript:alert(1)//"] {
        let inside = format!("{}{}", key("", Kind::P256), SSO.replace("https://idp.example/sso", bad));
        let refused = MetadataRefused::Location("SingleSignOnService", LocationRefused::NotHttps);
        assert_eq!(read(&idp("i", "", &inside)), Err(refused), "{bad}");
        let logout = SSO.replace("https://idp.example/sso", bad).replace("SingleSignOn", "SingleLogout");
        let refused = MetadataRefused::Location("SingleLogoutService", LocationRefused::NotHttps);
        assert_eq!(read(&idp("i", "", &format!("{}{SSO}{logout}", key("", Kind::P256)))), Err(refused), "{bad}");
    }
    let nowhere = key("", Kind::P256);
    assert_eq!(read(&idp("i", "", &nowhere)), Err(MetadataRefused::NoSignOnLocation));
}

#[test]
fn a38_other_documents_are_no_metadata() {
    for text in ["<a/>", "<html><body/></html>", "<samlp:Response xmlns:samlp='urn:oasis:names:tc:SAML:2.0:protocol'/>"]
    {
        assert_eq!(read(text), Err(MetadataRefused::NotMetadata), "{text}");
    }
    assert!(matches!(read("{\"json\":1}"), Err(MetadataRefused::Xml(_))));
    assert!(matches!(read("<!DOCTYPE a><a/>"), Err(MetadataRefused::Xml(_))));
    let saml_1 = idp("i", "", "").replace("SAML:2.0:protocol", "SAML:1.0:protocol");
    assert_eq!(read(&saml_1), Err(MetadataRefused::NoRole("IDPSSODescriptor")));
    let inside = format!("{}{SSO}", key("", Kind::P256));
    assert_eq!(read(&idp("", "", &inside)), Err(MetadataRefused::EntityId));
}
