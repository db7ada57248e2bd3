//! A gateway whose providers speak SAML, before an upstream that needs to know nobody.

use std::path::Path;

use vestibule::app::App;
use vestibule::clock::Clock;
use vestibule::config;
use vestibule::random::Random;

use super::keys::Pair;
use super::visitor::Visitor;
use crate::child::certificate;
use crate::harness::KEY;
use crate::recorder::{Answer, Recorder};

/// What the upstream answers everywhere.
pub const SIGNED_IN: &str = "you are signed in";

/// The gateway, in this process.
pub struct SamlGateway {
    pub app: App,
    /// Its own SAML key.
    pub keys: Pair,
    pub folder: tempfile::TempDir,
    _upstream: Recorder,
    authority: String,
}

/// A provider as `gateway.yaml` names it: its name, where its metadata is, and more lines below `saml`, indented by six.
pub struct Provider<'a> {
    pub name: &'a str,
    pub metadata: &'a str,
    pub lines: &'a str,
}

impl SamlGateway {
    /// Starts it. All providers are offered when there are several.
    pub async fn start(providers: &[Provider<'_>]) -> Self {
        Self::with_key(Pair::rsa(), providers).await
    }

    /// The same, with a SAML key of that kind.
    pub async fn with_key(keys: Pair, providers: &[Provider<'_>]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        keys.write(folder.path(), "saml");
        let (site, _) = certificate(folder.path(), "site");
        let answer =
            Answer::new(|_, _| crate::recorder::http(200, "Content-Type: text/plain\r\n", SIGNED_IN.as_bytes()));
        let upstream = Recorder::start(answer).await;
        let names: Vec<&str> = providers.iter().map(|provider| provider.name).collect();
        let text = format!(
            "version: 1\n\
             listen: {{ https: \"127.0.0.1:0\", admin: \"127.0.0.1:0\" }}\n\
             tls: {{ certificates: [ {{ cert: site.pem, key: site.key }} ] }}\n\
             keys: [ {KEY} ]\n\
             session: {{ store: {{ embedded: {{ path: sessions.redb }} }} }}\n\
             identity_providers:\n{providers}\
             portals:\n  - host: localhost\n    upstream: \"http://{upstream}\"\n    \
             sign_in: {{ providers: [{names}]{choose} }}\n    customer_session: none\n",
            providers = identity_providers(providers),
            upstream = upstream.address,
            names = names.join(", "),
            choose = if names.len() > 1 { ", choose: list" } else { "" },
        );
        let checked = parse(&text, folder.path());
        let app = App::start(checked, Clock::System, Random::default()).await.unwrap();
        let authority = std::fs::read_to_string(site).unwrap();
        Self { app, keys, folder, authority, _upstream: upstream }
    }

    /// `https://localhost:PORT`.
    pub fn origin(&self) -> String {
        format!("https://localhost:{}", self.app.https_address().port())
    }

    /// Somebody with a browser of their own.
    pub fn visitor(&self) -> Visitor {
        Visitor::new(&self.authority)
    }

    /// The address that a provider's answers go to.
    pub fn acs(&self, provider: &str) -> String {
        format!("{}/.vestibule/saml/{provider}/acs", self.origin())
    }

    /// The gateway's entity id at a provider.
    pub fn entity_id(&self, provider: &str) -> String {
        format!("{}/.vestibule/saml/{provider}/metadata", self.origin())
    }

    /// The metadata that it publishes for a provider.
    pub async fn metadata(&self, provider: &str) -> String {
        let mut visitor = self.visitor();
        visitor.open(&self.entity_id(provider)).await;
        assert_eq!(visitor.status, 200, "{}", visitor.page);
        visitor.page
    }

    pub fn metrics(&self) -> String {
        String::from_utf8(self.app.metrics().encode().unwrap()).unwrap()
    }
}

/// Below `identity_providers` in `gateway.yaml`, with the gateway's key at each. A single one speaks for `acme.example`; of
/// several, what each says of addresses is believed, for a domain that one lists is that one's alone.
pub fn identity_providers(providers: &[Provider<'_>]) -> String {
    let one = |Provider { name, metadata, lines }: &Provider<'_>| {
        let (trust, domains) = match providers.len() {
            1 => ("", "    email_domains: [acme.example]\n"),
            _ => ("      email_is_verified: dangerously_always\n", ""),
        };
        format!(
            "  {name}:\n    saml:\n      metadata: \"{metadata}\"\n      \
             signing_key: {{ file: saml.key }}\n      certificate: {{ file: saml.crt }}\n{lines}{trust}    \
             label: \"{name}\"\n{domains}"
        )
    };
    providers.iter().map(one).collect()
}

/// Reads a configuration that has to be right.
pub fn parse(text: &str, folder: &Path) -> config::Config {
    config::parse(text, folder, &config::ProcessEnvironment).unwrap_or_else(|faults| panic!("{faults}\n{text}"))
}
