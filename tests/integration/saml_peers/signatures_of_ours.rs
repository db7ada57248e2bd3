//! What we sign, verified by others: the program `xmlsec1`, and pysaml2, which is shown that it would notice a change.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::gateway::{Provider, SamlGateway};
use super::keys::Pair;
use super::pysaml2::Pysaml2;

/// Whether `xmlsec1` verifies the signature of a document by that certificate.
async fn xmlsec1_verifies(folder: &Path, text: &str, element: &str, certificate: &Path) -> bool {
    let file = folder.join("signed.xml");
    std::fs::write(&file, text).unwrap();
    let output = tokio::process::Command::new("xmlsec1")
        .arg("--verify")
        .arg("--pubkey-cert-pem")
        .arg(certificate)
        .args(["--id-attr:ID", element])
        .arg(&file)
        .output()
        .await
        .unwrap_or_else(|error| panic!("there is no xmlsec1 ({error}): run scripts/install-packages test"));
    println!("{}", String::from_utf8_lossy(&output.stderr));
    output.status.success()
}

/// A gateway with that key, and with one provider that is pysaml2.
async fn with_pysaml2(keys: Pair, lines: &str) -> (SamlGateway, Pysaml2, PathBuf) {
    let mut peer = Pysaml2::start().await;
    let metadata = peer.metadata().await;
    let gateway =
        SamlGateway::with_key(keys, &[Provider { name: "py", metadata: metadata.to_str().unwrap(), lines }]).await;
    peer.know(&gateway.metadata("py").await).await;
    let certificate = gateway.folder.path().join("saml.crt");
    (gateway, peer, certificate)
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_by_post_verify_at_xmlsec1_and_pysaml2() {
    for keys in [Pair::rsa(), Pair::p256(), Pair::p384()] {
        a_request_by_post_verifies(keys).await;
    }
}

async fn a_request_by_post_verifies(keys: Pair) {
    let lines = "      binding: post\n      force_authn: true\n";
    let (gateway, mut peer, certificate) = with_pysaml2(keys, lines).await;
    let mut visitor = gateway.visitor();
    visitor.open(&format!("{}/private", gateway.origin())).await;
    let form = visitor.form();
    let message = form.field("SAMLRequest").unwrap().to_owned();
    let text = String::from_utf8(BASE64_STANDARD.decode(&message).unwrap()).unwrap();
    let element = "urn:oasis:names:tc:SAML:2.0:protocol:AuthnRequest";
    assert!(xmlsec1_verifies(gateway.folder.path(), &text, element, &certificate).await, "{text}");
    let changed = text.replace("ForceAuthn=\"true\"", "ForceAuthn=\"false\"");
    assert_ne!(changed, text);
    assert!(!xmlsec1_verifies(gateway.folder.path(), &changed, element, &certificate).await);

    let read = |message: &str| json!({"do": "read_request", "binding": "post", "message": message});
    let request = peer.ask(read(&message)).await.unwrap();
    assert_eq!(request["issuer"], gateway.entity_id("py"));
    assert_eq!(request["acs"], gateway.acs("py"));
    assert_eq!(request["destination"], form.action.as_str());
    assert_eq!(request["force_authn"], "true");
    let refused = peer.ask(read(&BASE64_STANDARD.encode(changed))).await;
    assert!(refused.is_err(), "{refused:?}");
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_by_redirect_verify_at_pysaml2() {
    let (gateway, mut peer, _) = with_pysaml2(Pair::rsa(), "").await;
    let mut visitor = gateway.visitor().stopping_at("http://127.0.0.1:9/");
    visitor.open(&format!("{}/private", gateway.origin())).await;
    peer.request_id(&visitor).await;
    let of =
        |name: &str| visitor.at.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value.into_owned());
    let read = |relay_state: Option<String>| -> Value {
        json!({
            "do": "read_request",
            "binding": "redirect",
            "message": of("SAMLRequest"),
            "relay_state": relay_state,
            "sig_alg": of("SigAlg"),
            "signature": of("Signature"),
        })
    };
    assert!(peer.ask(read(of("RelayState"))).await.is_ok());
    let refused = peer.ask(read(Some("another".to_owned()))).await;
    assert!(refused.is_err(), "the RelayState is not signed: {refused:?}");
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_metadata_verifies_at_xmlsec1_and_pysaml2() {
    for keys in [Pair::rsa(), Pair::p384()] {
        let (gateway, mut peer, certificate) = with_pysaml2(keys, "      sign_metadata: true\n").await;
        let text = gateway.metadata("py").await;
        let element = "urn:oasis:names:tc:SAML:2.0:metadata:EntityDescriptor";
        let folder = gateway.folder.path();
        assert!(xmlsec1_verifies(folder, &text, element, &certificate).await, "{text}");
        let changed = text.replace("/.vestibule/saml/py/acs", "/.vestibule/saml/py/elsewhere");
        assert_ne!(changed, text);
        assert!(!xmlsec1_verifies(folder, &changed, element, &certificate).await);

        let file = folder.join("ours.xml");
        let read = json!({"do": "verify_metadata", "metadata": file, "certificate": certificate});
        std::fs::write(&file, text).unwrap();
        assert_eq!(peer.ask(read.clone()).await.unwrap(), json!([gateway.entity_id("py")]));
        std::fs::write(&file, changed).unwrap();
        let refused = peer.ask(read).await;
        assert!(refused.is_err(), "{refused:?}");
        peer.stop().await;
    }
}
