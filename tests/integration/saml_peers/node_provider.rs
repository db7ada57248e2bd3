//! Whole sign-ins by npm `samlp`, the provider inside Auth0. Its script is in `tests/browser`.

use serde_json::{Value, json};

use super::gateway::{Provider, SIGNED_IN, SamlGateway};
use super::keys::Pair;
use crate::node::Script;

#[tokio::test(flavor = "multi_thread")]
async fn samlp_signs_people_in_signed_and_encrypted() {
    let mut script = Script::start("saml_provider.mjs", &[], &[]);
    let base = script.answer().await["base"].as_str().unwrap().to_owned();
    let keys = Pair::rsa();
    script.tell(&json!({"key": keys.key, "certificate": keys.certificate})).await;
    assert_eq!(script.answer().await, json!({"ready": true}));
    let metadata = format!("{base}/metadata");
    let redirect = Provider { name: "redirect", metadata: &metadata, lines: "" };
    let post = Provider { name: "post", metadata: &metadata, lines: "      binding: post\n" };
    let gateway = SamlGateway::start(&[redirect, post]).await;
    let gcm = |bits: u16| format!("http://www.w3.org/2009/xmlenc11#aes{bits}-gcm");
    let nothing = Value::Null;
    let ours = json!(gateway.keys.certificate);
    for (sign, encrypt_for, cipher) in [
        ("both", &nothing, None),
        ("response", &nothing, None),
        ("assertion", &nothing, None),
        ("both", &ours, Some(gcm(256))),
        ("response", &ours, Some(gcm(256))),
        ("assertion", &ours, Some(gcm(128))),
    ] {
        for name in ["redirect", "post"] {
            let settings = json!({
                "service_provider": {"entity_id": gateway.entity_id(name), "acs": gateway.acs(name)},
                "people": {"ana": {"email": "ana@acme.example", "name": "Ana Almeida"}},
                "sign": sign,
                "encrypt_for": encrypt_for,
                "cipher": cipher,
            });
            script.tell(&settings).await;
            assert_eq!(script.answer().await, json!({"ready": true}));
            let mut visitor = gateway.visitor();
            visitor.open(&format!("{}/private", gateway.origin())).await;
            visitor.submit(&[("provider", name)]).await;
            if name == "post" {
                // The page in between holds the request as a form.
                visitor.submit(&[]).await;
            } else {
                visitor.go_on().await;
            }
            assert!(visitor.at.as_str().starts_with(&base), "{}: {}", visitor.at, visitor.page);
            visitor.submit(&[("login", "ana"), ("password", "any")]).await;
            visitor.submit(&[]).await;
            assert_eq!(visitor.page, SIGNED_IN, "{sign} {cipher:?} {name}: {} {}", visitor.status, visitor.at);
        }
    }
    script.stop().await;
}
