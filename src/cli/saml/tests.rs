use std::path::Path;

use clap::Parser as _;

use super::*;
use crate::cli::{Arguments, Command, SamlCommand};
use crate::saml::base64;
use crate::saml::names::{DS, MD};
use crate::saml::test_keys::{self, Kind};
use crate::saml::test_signer::{ACS, Encryption, GOOD, IDP, Message, SP, attribute};

/// A folder with the provider's metadata and our key.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let certificate = base64::encode(&test_keys::one(Kind::Rsa2048).certificate);
    std::fs::write(folder.path().join("metadata.xml"), entity(IDP, &certificate)).unwrap();
    std::fs::write(folder.path().join("key.pem"), test_keys::other(Kind::Rsa2048).key_pem).unwrap();
    folder
}

fn entity(id: &str, certificate: &str) -> String {
    format!(
        r#"<md:EntityDescriptor xmlns:md="{MD}" entityID="{id}"><md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"><md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="{DS}"><ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor><md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://idp.example/sso"/></md:IDPSSODescriptor></md:EntityDescriptor>"#
    )
}

/// What is said of a response with these options more.
fn verdict(folder: &Path, response: &[u8], more: &[&str]) -> Result<Value, Refused> {
    std::fs::write(folder.join("response"), response).unwrap();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (metadata, response) = (path("metadata.xml"), path("response"));
    let mut words = vec!["vestibule", "saml", "verify", "--metadata", &metadata, "--entity-id", SP, "--acs", ACS];
    words.extend(if more.contains(&"--now") { &[][..] } else { &["--now", "2026-01-01T12:00:00Z"] });
    words.extend(more);
    words.push(&response);
    let Command::Saml { command: SamlCommand::Verify(arguments) } = Arguments::try_parse_from(words).unwrap().command
    else {
        panic!("another command");
    };
    judge(&arguments)
}

fn reason(verdict: Result<Value, Refused>) -> &'static str {
    let refused = verdict.unwrap_err();
    assert!(refused.sentence.ends_with('.'), "{}", refused.sentence);
    refused.reason
}

#[test]
fn an_honest_response_is_told_as_it_is_mapped() {
    let folder = folder();
    let message =
        Message { attributes: attribute("email", &["ana@acme.example", "b@acme.example"]), ..Message::default() };
    let text = message.both_signed();
    let field = base64::encode(text.as_bytes());
    for (response, more) in [
        (text.as_bytes(), &[][..]),
        (field.as_bytes(), &[]),
        (text.as_bytes(), &["--request-id", "_request-1"]),
        (text.as_bytes(), &["--now", "2026-01-01T13:00:00+01:00"]),
    ] {
        let told = verdict(folder.path(), response, more).unwrap_or_else(|refused| panic!("{}", refused.sentence));
        assert_eq!(told["accepted"], true);
        assert_eq!(told["subject"]["name_id"], GOOD);
        assert_eq!(told["subject"]["format"], Value::Null);
        assert_eq!(told["email"], "ana@acme.example");
        assert_eq!(told["claims"]["email"], json!(["ana@acme.example", "b@acme.example"]));
        assert_eq!(told["signed"], "both");
    }
    assert_eq!(reason(verdict(folder.path(), text.as_bytes(), &["--request-id", "_other"])), "saml_in_response_to");
    assert_eq!(
        reason(verdict(folder.path(), text.as_bytes(), &["--now", "2026-01-02T12:00:00Z"])),
        "saml_issue_instant"
    );
    assert_eq!(reason(verdict(folder.path(), text.as_bytes(), &["--now", "yesterday"])), "arguments");
}

#[test]
fn encryption_needs_the_key() {
    let folder = folder();
    let text = Message::default().encrypted(&Encryption::default());
    let key = folder.path().join("key.pem").to_str().unwrap().to_owned();
    assert_eq!(verdict(folder.path(), text.as_bytes(), &["--key", &key]).ok().unwrap()["encrypted"], true);
    assert_eq!(reason(verdict(folder.path(), text.as_bytes(), &[])), "saml_no_decryption_key");
    assert_eq!(reason(verdict(folder.path(), text.as_bytes(), &["--key", "/nowhere"])), "key_unreadable");
    std::fs::write(&key, "no key").unwrap();
    assert_eq!(reason(verdict(folder.path(), text.as_bytes(), &["--key", &key])), "key");
}

#[test]
fn the_issuer_is_found_in_a_federation() {
    let folder = folder();
    let certificate = base64::encode(&test_keys::one(Kind::Rsa2048).certificate);
    let several = format!(
        r#"<md:EntitiesDescriptor xmlns:md="{MD}">{}{}</md:EntitiesDescriptor>"#,
        entity("https://other.example", &certificate),
        entity(IDP, &certificate)
    );
    std::fs::write(folder.path().join("metadata.xml"), several).unwrap();
    let text = Message::default().both_signed();
    assert!(verdict(folder.path(), text.as_bytes(), &[]).is_ok());
    let stranger =
        Message { response_issuer: "<saml:Issuer>https://evil.test</saml:Issuer>".into(), ..Message::default() };
    assert_eq!(reason(verdict(folder.path(), stranger.both_signed().as_bytes(), &[])), "metadata");
}

#[test]
fn whatever_cannot_be_read_is_a_reason() {
    let folder = folder();
    let good = Message::default().both_signed();
    for (response, reason_of) in [
        (&b""[..], "saml_xml"),
        (b"\xff\xfe", "saml_not_base64"),
        (b"<", "saml_xml"),
        (b"PHg+", "saml_xml"),
        (&[b'A'; 600 * 1024], "saml_too_large"),
    ] {
        assert_eq!(
            reason(verdict(folder.path(), response, &[])),
            reason_of,
            "{:?}",
            &response[..response.len().min(9)]
        );
    }
    for metadata in ["", "<x/>", "<md:EntityDescriptor/>", "junk"] {
        std::fs::write(folder.path().join("metadata.xml"), metadata).unwrap();
        assert_eq!(reason(verdict(folder.path(), good.as_bytes(), &[])), "metadata", "{metadata}");
    }
    std::fs::write(folder.path().join("metadata.xml"), entity(IDP, "AAAA")).unwrap();
    assert_eq!(reason(verdict(folder.path(), good.as_bytes(), &[])), "metadata");
    std::fs::remove_file(folder.path().join("metadata.xml")).unwrap();
    assert_eq!(reason(verdict(folder.path(), good.as_bytes(), &[])), "metadata_unreadable");
    std::fs::create_dir(folder.path().join("metadata.xml")).unwrap();
    assert_eq!(reason(verdict(folder.path(), good.as_bytes(), &[])), "metadata_unreadable");
}
