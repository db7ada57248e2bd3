//! SimpleSAMLphp (Debian's) as an identity provider, served by PHP's own server. Its settings are in `tests/peers`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::keys::Pair;
use crate::child::free_addresses;
use crate::harness::eventually;

const WWW: &str = "/usr/share/simplesamlphp/www";

/// An instance, which ends with the test.
pub struct SimpleSamlPhp {
    /// Its address, without a slash at the end.
    pub base: String,
    name: &'static str,
    folder: tempfile::TempDir,
    server: Child,
}

impl Drop for SimpleSamlPhp {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        if std::thread::panicking() {
            println!("SimpleSAMLphp {} says:\n{}", self.name, self.log());
        }
    }
}

impl SimpleSamlPhp {
    /// Starts it, with a key of its own. Ana, Ben and Gus have accounts there, with their names as passwords.
    pub async fn start(name: &'static str) -> Self {
        for needed in [&format!("{WWW}/module.php"), "/usr/bin/php"] {
            assert!(Path::new(needed).is_file(), "there is no {needed}: run scripts/install-packages test");
        }
        let folder = tempfile::tempdir().unwrap();
        for inside in ["sessions", "temp"] {
            std::fs::create_dir(folder.path().join(inside)).unwrap();
        }
        Pair::rsa().write(folder.path(), "idp");
        let [address] = free_addresses();
        let log = std::fs::File::create(folder.path().join("php.log")).unwrap();
        let server = Command::new("php")
            .args(["-S", &address.to_string(), "-t", WWW])
            .env("SIMPLESAMLPHP_CONFIG_DIR", configuration())
            .env("PEER", folder.path().join("peer.json"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let peer = Self { base: format!("http://{address}"), name, folder, server };
        peer.set(&json!({}));
        eventually("PHP serves", || std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok())
            .await;
        peer
    }

    /// From now on it goes by these settings of `saml20-idp-hosted`, beside the usual ones.
    pub fn set(&self, idp: &Value) {
        let person = |login: &str, name: &str, email: &str| {
            let attributes =
                json!({"uid": [login], "mail": [email], "displayName": [name], "groups": ["staff", "support"]});
            json!({"password": login, "attributes": attributes})
        };
        let settings = json!({
            "base": self.base,
            "name": self.name,
            "folder": self.folder.path(),
            "people": {
                "ana": person("ana", "Ana Almeida", "ana@acme.example"),
                "ben": person("ben", "Ben Brand", "ben@acme.example"),
                "gus": person("gus", "Gus Grant", "gus@elsewhere.example"),
            },
            "idp": idp,
        });
        // Whole or not at all: a request may be reading it.
        let (next, file) = (self.folder.path().join("next.json"), self.folder.path().join("peer.json"));
        std::fs::write(&next, settings.to_string()).unwrap();
        std::fs::rename(next, file).unwrap();
    }

    /// Takes the service provider's metadata.
    pub fn know(&self, metadata: &str) {
        std::fs::write(self.folder.path().join("service-provider.xml"), metadata).unwrap();
    }

    /// Where its metadata is, which is its entity id too.
    pub fn metadata(&self) -> String {
        format!("{}/saml2/idp/metadata.php", self.base)
    }

    /// The file with its certificate, whose key signs its metadata too.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("idp.crt")
    }

    /// What it wrote into its logs.
    pub fn log(&self) -> String {
        ["simplesamlphp.log", "php.log"]
            .map(|name| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default())
            .concat()
    }
}

/// Settings that make it name people by an attribute: for good, where it would give a new name each time.
pub fn names_by(attribute: &str, format: &str) -> Value {
    json!({
        "authproc": {"3": {"class": "saml:AttributeNameID", "attribute": attribute, "Format": format}},
        "NameIDFormat": format,
    })
}

/// `names_by` and `more`.
pub fn with(mut names: Value, more: Value) -> Value {
    let (Value::Object(names_object), Value::Object(more)) = (&mut names, more) else { panic!("two objects") };
    names_object.extend(more);
    names
}

fn configuration() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/simplesamlphp")
}
