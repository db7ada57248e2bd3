//! The demo's second identity provider, which speaks SAML, and the gateway's side of it.

use std::io;
use std::path::Path;

use super::{WorldFailed, absolute, any_port};
use crate::clock::Clock;
use crate::demo::saml_provider::{ProviderKey, SamlProvider, Settings};
use crate::demo::server::Server;
use crate::random::Random;
use crate::saml::metadata::{Binding, Endpoint, IndexedEndpoint, ServiceProvider, Validity};

/// The name of the SAML provider in the demo's configuration.
pub const SAML_PROVIDER: &str = "globex";

/// Under this name the gateway's own key for SAML is kept.
const OUR_KEY: &str = "saml-gateway";

/// The provider, before the gateway is there.
pub(super) struct SamlSide {
    pub(super) provider: SamlProvider,
    pub(super) server: Server,
    ours: ProviderKey,
}

impl SamlSide {
    /// Starts the provider. Its key and the gateway's are kept with the certificates.
    pub(super) async fn start(
        settings: Settings,
        certificates: &Path,
        clock: Clock,
        random: Random,
    ) -> Result<Self, WorldFailed> {
        let key = ProviderKey::load_or_generate(certificates, "saml-provider")?;
        let ours = ProviderKey::load_or_generate(certificates, OUR_KEY)?;
        let provider = SamlProvider::new(settings, key, clock, random);
        let server = Server::start(provider.router(), any_port(), None, None).await?;
        provider.set_address(&format!("http://localhost:{}", server.addr().port()));
        Ok(Self { provider, server, ours })
    }

    /// What the gateway's configuration says of it, below `identity_providers`.
    pub(super) fn configuration(&self, certificates: &Path) -> io::Result<String> {
        let (metadata, folder) = (self.provider.entity_id(), absolute(certificates)?);
        Ok(format!(
            r#"  {SAML_PROVIDER}:
    saml:
      metadata: "{metadata}"
      signing_key: {{ file: "{folder}/{OUR_KEY}.key" }}
      certificate: {{ file: "{folder}/{OUR_KEY}.pem" }}
      sign_out_at_provider: true
    label: "Globex"
    email_domains: [globex.com]
"#
        ))
    }

    /// Tells the provider of the gateway, which is at `origin`.
    pub(super) fn introduce(&self, origin: &str) {
        let at = |binding, path: &str| Endpoint {
            binding,
            location: format!("{origin}/.vestibule/saml/{SAML_PROVIDER}/{path}"),
            response_location: None,
        };
        let certificate = self.ours.signing().certificate().to_vec();
        self.provider.register(ServiceProvider {
            entity_id: format!("{origin}/.vestibule/saml/{SAML_PROVIDER}/metadata"),
            signing_certificates: vec![certificate.clone()],
            encryption_certificates: vec![certificate],
            consumers: vec![IndexedEndpoint { index: 0, is_default: true, endpoint: at(Binding::Post, "acs") }],
            logout: vec![at(Binding::Redirect, "slo"), at(Binding::Post, "slo")],
            signs_requests: true,
            wants_signed_assertions: true,
            name_id_formats: Vec::new(),
            validity: Validity::default(),
        });
    }
}
