//! One identity provider, by whatever protocol.

use std::sync::Arc;

use super::oidc::RelyingParty;
use super::once::OnceOnly;
use super::outcome::UnusableProvider;
use super::saml::{ServiceProvider, Workers};
use super::settings::{Protocol, ProviderSettings};
use crate::clock::Clock;
use crate::email::SpeaksFor;
use crate::http_client::HttpClient;
use crate::ids::ProviderName;
use crate::random::Random;

/// One identity provider.
pub struct Provider {
    settings: ProviderSettings,
    pub(super) spoken: Spoken,
}

/// The protocol that it speaks, and us on the other side of it.
#[expect(clippy::large_enum_variant, reason = "there are as many as providers in the configuration")]
pub(super) enum Spoken {
    Oidc(RelyingParty),
    Saml(ServiceProvider),
}

impl Provider {
    pub(super) fn new(
        settings: ProviderSettings,
        once: &Arc<dyn OnceOnly>,
        workers: &Workers,
        http: &HttpClient,
        clock: &Clock,
        random: &Random,
    ) -> Result<Self, UnusableProvider> {
        let ProviderSettings { name, speaks_for, protocol, .. } = settings.clone();
        let (http, clock, random) = (http.clone(), clock.clone(), random.clone());
        let spoken = match protocol {
            Protocol::Oidc(oidc) => {
                let ours = RelyingParty::new(name.clone(), oidc, speaks_for.clone(), http, clock, random);
                Spoken::Oidc(ours.map_err(|unusable| UnusableProvider::ClientKey(name.clone(), unusable))?)
            }
            Protocol::Saml(saml) => {
                let (once, workers) = (Arc::clone(once), workers.clone());
                let ours = ServiceProvider::new(name.clone(), saml, speaks_for.clone(), once, workers, http, clock);
                Spoken::Saml(ours.map_err(|refused| UnusableProvider::MetadataCertificate(name.clone(), refused))?)
            }
        };
        Ok(Self { settings, spoken })
    }

    /// What the operator wrote.
    pub fn settings(&self) -> &ProviderSettings {
        &self.settings
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &ProviderName {
        &self.settings.name
    }

    /// What people read on the sign-in page.
    pub fn label(&self) -> &str {
        &self.settings.label
    }

    /// The domains that it may speak for.
    pub fn speaks_for(&self) -> &SpeaksFor {
        &self.settings.speaks_for
    }

    /// Us as its service provider, when it speaks SAML.
    pub fn service_provider(&self) -> Option<&ServiceProvider> {
        match &self.spoken {
            Spoken::Oidc(_) => None,
            Spoken::Saml(ours) => Some(ours),
        }
    }
}
