//! `vestibule saml verify` as a process: one JSON object and exit code 0 or 1, whatever it is given.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use crate::child::{outcome, vestibule};

const ACS: &str = "http://localhost:8080/v1/_saml_callback";
const NOW: &str = "2016-07-25T23:21:00Z";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/saml/gosaml2").join(name)
}

/// Metadata around the certificate of a fixture.
fn metadata(folder: &Path) -> String {
    let pem = std::fs::read_to_string(fixture("providertests__testdata__okta_cert.pem")).unwrap();
    let certificate: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let path = folder.join("metadata.xml");
    let text = format!(
        r#"<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="http://www.okta.com/exk659aytfMeNI49v0h7"><IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"><KeyDescriptor><KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data><X509Certificate>{certificate}</X509Certificate></X509Data></KeyInfo></KeyDescriptor><SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://idp.example/sso"/></IDPSSODescriptor></EntityDescriptor>"#
    );
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn verdicts_are_one_object_and_one_of_two_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let metadata = metadata(folder.path());
    let response = fixture("providertests__testdata__okta_response.xml").to_str().unwrap().to_owned();
    let options = ["saml", "verify", "--metadata", &metadata, "--entity-id", "\"123\"", "--acs", ACS, "--now", NOW];
    let with = |more: &[&str]| [&options[..], more].concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
    for (arguments, code, reason) in [
        (with(&[&response]), 0, ""),
        (with(&["--legacy-sha1", &response]), 0, ""),
        (with(&["--request-id", "_other", &response]), 1, "saml_in_response_to"),
        (with(&["--key", "/nowhere", &response]), 1, "key_unreadable"),
        (with(&["/nowhere"]), 1, "response_unreadable"),
        (with(&["/"]), 1, "response_unreadable"),
        (with(&["/dev/zero"]), 1, "saml_too_large"),
        (with(&[]), 1, "arguments"),
        (with(&[&response, "--unknown"]), 1, "arguments"),
        (with(&[&response, &response]), 1, "arguments"),
        (vec!["saml".into(), "verify".into()], 1, "arguments"),
    ] {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (exit, said, errors) = outcome(&words).await;
        let told: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said} {errors}"));
        assert_eq!((exit, told["accepted"].as_bool()), (code, Some(code == 0)), "{words:?} {told}");
        assert_eq!(errors, "", "{words:?}");
        if code == 0 {
            assert_eq!(told["subject"]["name_id"], "russellhaering");
        } else {
            assert_eq!(told["rejected"]["reason"], reason, "{words:?}");
            assert!(told["rejected"]["sentence"].as_str().is_some_and(|sentence| !sentence.is_empty()));
        }
    }
    assert_eq!(outcome(&["saml", "verify", "--help"]).await.0, 0);
}

#[tokio::test]
async fn standard_input_is_read_and_may_end_early() {
    let folder = tempfile::tempdir().unwrap();
    let metadata = metadata(folder.path());
    let response = std::fs::read(fixture("providertests__testdata__okta_response.xml")).unwrap();
    for (input, code) in [(&response[..], 0), (&response[..response.len() / 2], 1), (b"", 1), (b"\xff\x00", 1)] {
        let mut child = vestibule(&[
            "saml",
            "verify",
            "--metadata",
            &metadata,
            "--entity-id",
            "\"123\"",
            "--acs",
            ACS,
            "--now",
            NOW,
            "-",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input).await.unwrap();
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        assert_eq!(output.status.code(), Some(code));
        assert!(serde_json::from_slice::<Value>(&output.stdout).unwrap().is_object());
    }
}
