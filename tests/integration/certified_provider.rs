//! Sign-ins with a certified OpenID provider (npm `oidc-provider`): what a provider that we did not write makes of us.

use std::path::Path;

use regex::Regex;
use serde_json::{Value, json};
use vestibule::clock::Clock;
use vestibule::demo::world::{CLIENT_ID, PROVIDER, ProviderChoice, World, WorldSettings};
use vestibule::random::Random;

use crate::harness::{location, navigate};
use crate::node::Script;

const DEEP_LINK: &str = "/servicedesk/customer/portal/1";

/// The gateway's password at the provider: characters that `client_secret_basic` has to encode (RFC 6749, 2.3.1).
pub const CLIENT_SECRET: &str = "a secret: 50% of it+more/&=, in 40 characters or so";

/// The provider, in a process of its own.
pub struct CertifiedProvider {
    /// Its issuer.
    pub issuer: String,
    script: Script,
}

impl CertifiedProvider {
    /// Starts it. It answers 503 until it is [opened](Self::open).
    pub async fn start() -> Self {
        let mut script = Script::start("provider.mjs", &[], &[]);
        let issuer = script.answer().await["issuer"].as_str().unwrap().to_owned();
        Self { issuer, script }
    }

    /// Registers the gateway of `world`, with `more` client metadata.
    pub async fn open(&mut self, world: &World, more: Value, claims_in_userinfo: bool) {
        let origin = world.origin();
        let mut client = json!({
            "client_id": CLIENT_ID,
            "redirect_uris": [format!("{origin}/.vestibule/oidc/{PROVIDER}/callback")],
            "post_logout_redirect_uris": [format!("{origin}/.vestibule/signed-out")],
        });
        client.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let people = json!({
            "ana": {"email": "ana@acme.example", "name": "Ana Almeida"},
            "gus": {"email": "gus@elsewhere.example", "name": "Gus Grant"},
            "bob": {"email": "bob@acme.example", "name": "Bob Brand"},
        });
        let settings = json!({"client": client, "people": people, "claims_in_userinfo": claims_in_userinfo});
        self.script.tell(&settings).await;
        assert_eq!(self.script.answer().await, json!({"ready": true}));
    }

    /// From now on it breaks off every call to exchange a code.
    pub async fn break_off_exchanges(&mut self) {
        self.script.tell(&json!({"token_endpoint": "down"})).await;
        assert_eq!(self.script.answer().await, json!({"down": true}));
    }

    /// Stops it as a power cut does.
    pub async fn kill(self) {
        self.script.kill().await;
    }

    /// Stops it.
    pub async fn stop(self) {
        self.script.stop().await;
    }
}

/// A gateway that signs people in at `issuer`; `oidc_lines` are indented by six blanks.
pub async fn world(folder: &Path, issuer: &str, oidc_lines: &str) -> World {
    let settings = WorldSettings {
        port: 0,
        admin_port: 0,
        certificates: folder.join("certificates"),
        state: folder.join("state"),
        provider: ProviderChoice::External { issuer: issuer.to_owned(), oidc_lines: oidc_lines.to_owned() },
        saml: None,
        portal_lines: String::new(),
        datacenter_lines: String::new(),
        cloud_lines: String::new(),
        recorded: 64 * 1024 * 1024,
        clock: Clock::System,
    };
    World::start(settings, Random::default()).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Signs Ana in without a browser, and shows that the portal knows her.
async fn ana_signs_in(world: &World) {
    let client = reqwest::Client::builder()
        .no_proxy()
        .cookie_store(true)
        .redirect(reqwest::redirect::Policy::none())
        .add_root_certificate(reqwest::Certificate::from_pem(world.authority_pem.as_bytes()).unwrap())
        .build()
        .unwrap();
    let deep_link = format!("{}{DEEP_LINK}", world.origin());
    let action = Regex::new(r#"<form autocomplete="off" action="([^"]+)""#).unwrap();
    let mut answer = navigate(&client, &deep_link).await;
    let login: &[(&str, &str)] = &[("prompt", "login"), ("login", "ana"), ("password", "any")];
    let mut forms = [login, &[("prompt", "consent")]].into_iter();
    let mut at = deep_link.clone();
    // Login form, consent form, and the redirects around them.
    for _ in 0..12 {
        if answer.status().is_redirection() {
            at = url::Url::parse(&at).unwrap().join(&location(&answer)).unwrap().into();
            answer = navigate(&client, &at).await;
            continue;
        }
        let status = answer.status();
        let page = answer.text().await.unwrap();
        assert_eq!(status, 200, "{at}: {page}");
        if at == deep_link {
            assert!(page.contains("Ana Almeida"), "{page}");
            return;
        }
        let form = forms.next().unwrap_or_else(|| panic!("a third form at {at}: {page}"));
        let target = action.captures(&page).unwrap_or_else(|| panic!("no form at {at}: {page}"))[1].to_owned();
        answer = client.post(&target).form(&form).send().await.unwrap();
        at = target;
    }
    panic!("no end; now at {at}");
}

/// One way to be a client, and one to sign and tell.
async fn signs_in_with(oidc_lines: &str, client: Value, claims_in_userinfo: bool) {
    let folder = tempfile::tempdir().unwrap();
    let mut provider = CertifiedProvider::start().await;
    let world = world(folder.path(), &provider.issuer, oidc_lines).await;
    provider.open(&world, client, claims_in_userinfo).await;
    ana_signs_in(&world).await;
    let recorder = world.recorder.clone().unwrap();
    assert!(!recorder.saw(CLIENT_SECRET.as_bytes()), "the secret is for the provider alone");
    world.stop().await;
    provider.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn es256_client_secret_basic_and_claims_in_userinfo() {
    let client = json!({"client_secret": CLIENT_SECRET, "id_token_signed_response_alg": "ES256"});
    signs_in_with(&format!("      client_secret: \"{CLIENT_SECRET}\"\n"), client, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ps256_and_client_secret_post() {
    let lines = format!("      client_secret: \"{CLIENT_SECRET}\"\n      client_authentication: client_secret_post\n");
    let client = json!({
        "client_secret": CLIENT_SECRET,
        "token_endpoint_auth_method": "client_secret_post",
        "id_token_signed_response_alg": "PS256",
    });
    signs_in_with(&lines, client, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eddsa_private_key_jwt_and_claims_in_userinfo() {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("client.key");
    std::fs::write(&file, key.serialize_pem()).unwrap();
    let lines = format!("      private_key_jwt: {{ file: \"{}\" }}\n      key_id: ours\n", file.display());
    // An uncompressed point (SEC 1, 2.3.3): 4, then x and y of 32 bytes each.
    let point = key.public_key_raw();
    let coordinate = |bytes: &[u8]| base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, bytes);
    let (x, y) = (coordinate(&point[1..33]), coordinate(&point[33..65]));
    let client = json!({
        "token_endpoint_auth_method": "private_key_jwt",
        "id_token_signed_response_alg": "EdDSA",
        "jwks": {"keys": [{"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "ours", "use": "sig", "alg": "ES256"}]},
    });
    signs_in_with(&lines, client, true).await;
}
