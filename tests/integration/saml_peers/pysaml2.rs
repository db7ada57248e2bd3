//! pysaml2, scripted: answers that are odd and right, answers that are false, each to a request of the gateway that pysaml2
//! has verified. The scripts are in `tests/peers/pysaml2`.

use std::path::{Path, PathBuf};

use regex::Regex;
use serde_json::{Value, json};
use tokio::process::Command;

use super::gateway::{Provider, SIGNED_IN, SamlGateway};
use super::keys::Pair;
use super::visitor::Visitor;
use crate::node::{Script, target};

/// Where requests go: nobody listens there, for the test reads them itself.
const SSO: &str = "http://127.0.0.1:9/sso";
const ENTITY_ID: &str = "http://127.0.0.1:9/idp";

/// The provider, in a process of its own.
pub struct Pysaml2 {
    script: Script,
    pub folder: tempfile::TempDir,
}

impl Pysaml2 {
    pub async fn start() -> Self {
        let python = target().join("python/bin/python");
        assert!(python.is_file(), "there is no {}: run scripts/python-packages, or scripts/test", python.display());
        let folder = tempfile::tempdir().unwrap();
        for (name, pair) in
            [("idp", Pair::rsa()), ("other", Pair::rsa()), ("p256", Pair::p256()), ("p384", Pair::p384())]
        {
            pair.write(folder.path(), name);
        }
        let settings = json!({"folder": folder.path(), "entity_id": ENTITY_ID, "sso": SSO}).to_string();
        let mut command = Command::new(python);
        command.args(["-W", "ignore", "-B"]).arg(scripts().join("provider.py")).arg(settings);
        let mut script = Script::run("pysaml2", command);
        println!("pysaml2 {}", script.answer().await["value"].as_str().unwrap());
        Self { script, folder }
    }

    /// What it answers to a command.
    pub async fn ask(&mut self, command: Value) -> Result<Value, String> {
        self.script.tell(&command).await;
        let mut answer = self.script.answer().await;
        match answer.get("error") {
            Some(error) => Err(error.to_string()),
            None => Ok(answer["value"].take()),
        }
    }

    async fn told(&mut self, command: Value) -> Value {
        self.ask(command.clone()).await.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// A file with its metadata.
    pub async fn metadata(&mut self) -> PathBuf {
        let text = self.told(json!({"do": "metadata"})).await;
        let file = self.folder.path().join("idp.xml");
        std::fs::write(&file, text.as_str().unwrap()).unwrap();
        file
    }

    /// Takes the gateway's metadata.
    pub async fn know(&mut self, metadata: &str) {
        let file = self.folder.path().join("service-provider.xml");
        std::fs::write(&file, metadata).unwrap();
        self.told(json!({"do": "know", "metadata": file})).await;
    }

    /// Verifies the request that `visitor` was sent to [`SSO`] with, and gives its ID.
    pub async fn request_id(&mut self, visitor: &Visitor) -> String {
        assert!(visitor.at.as_str().starts_with(SSO), "{}: {}", visitor.at, visitor.page);
        let of =
            |name: &str| visitor.at.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value.into_owned());
        let read = json!({
            "do": "read_request",
            "binding": "redirect",
            "message": of("SAMLRequest"),
            "relay_state": of("RelayState"),
            "sig_alg": of("SigAlg"),
            "signature": of("Signature"),
        });
        let request = self.told(read).await;
        assert_eq!(request["destination"], SSO);
        request["id"].as_str().unwrap().to_owned()
    }

    pub async fn stop(self) {
        self.script.stop().await;
    }
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/pysaml2")
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_answers_of_pysaml2_are_believed_and_false_ones_are_not() {
    let mut peer = Pysaml2::start().await;
    let metadata = peer.metadata().await;
    let gateway = SamlGateway::start(&[Provider { name: "py", metadata: metadata.to_str().unwrap(), lines: "" }]).await;
    peer.know(&gateway.metadata("py").await).await;
    let cases = peer.told(json!({"do": "cases"})).await.as_array().unwrap().clone();
    assert!(cases.len() > 100, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let (name, honest) = (case["name"].as_str().unwrap(), case["honest"].as_bool().unwrap());
        let mut visitor = gateway.visitor().stopping_at(SSO);
        visitor.open(&format!("{}/private", gateway.origin())).await;
        let request_id = peer.request_id(&visitor).await;
        let relay_state = visitor.at.query_pairs().find(|(name, _)| name == "RelayState").unwrap().1.into_owned();
        let answer = json!({
            "do": "answer",
            "case": name,
            "request_id": request_id,
            "acs": gateway.acs("py"),
            "service_provider": gateway.entity_id("py"),
        });
        let answer = peer.told(answer).await;
        let before = reasons(&gateway);
        let fields = [("SAMLResponse", answer.as_str().unwrap()), ("RelayState", relay_state.as_str())];
        visitor.post_from(SSO, &gateway.acs("py"), &fields).await;
        let believed = visitor.page == SIGNED_IN;
        let why: Vec<String> = reasons(&gateway).into_iter().filter(|line| !before.contains(line)).collect();
        println!(
            "{name:<60} {}",
            if believed { "believed".to_owned() } else { format!("{} {}", visitor.status, why.join(" ")) }
        );
        let saml = why.iter().any(|line| line.contains("result=\"saml_"));
        if believed != honest || saml == honest {
            wrong.push(format!("{name}: {} {}", visitor.status, why.join(" ")));
        }
        if !believed {
            visitor.open(&format!("{}/private", gateway.origin())).await;
            assert!(visitor.at.as_str().starts_with(SSO), "{name} left a session: {} {}", visitor.at, visitor.page);
        }
    }
    peer.stop().await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The gateway's counts of how sign-ins ended, one line for each.
fn reasons(gateway: &SamlGateway) -> Vec<String> {
    let line = Regex::new(r#"(?m)^vestibule_sign_ins_total\{(.*)\} (\d+)"#).unwrap();
    line.captures_iter(&gateway.metrics()).map(|found| format!("{} {}", &found[1], &found[2])).collect()
}
