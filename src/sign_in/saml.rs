//! SAML 2.0, Web Browser SSO profile (SAML Profiles 4.1): we are the service provider.
//!
//! Owns our side of one identity provider: what it is asked, and how its responses are taken. Trusts what its keys, from
//! its metadata, have signed, and of that only what answers a request of ours, or what an operator lets it say unasked.
//! Refuses an assertion that was used before. The XML and its signatures are the business of [`crate::saml`].

mod arrival;
mod decryptions;
mod logout;
pub mod metadata_source;
mod own_keys;
mod own_metadata;
mod paths;
mod person;
mod rejected;
mod request;
mod workers;

use std::sync::Arc;

pub(super) use self::arrival::Answers;
pub use self::arrival::PostedResponse;
use self::decryptions::FailedDecryptions;
pub(super) use self::logout::Believed;
pub use self::logout::{AtProvider, LogoutAnswer, LogoutRejected, Named, TheirLogout};
use self::metadata_source::MetadataSource;
pub use self::own_keys::OwnKeys;
pub use self::own_metadata::{NotPublished, OwnMetadata, SignInPortal};
pub use self::rejected::{SamlSignInRejected, SamlStartFailed};
pub(super) use self::request::AuthnAsked;
pub(super) use self::workers::Workers;
use super::once::OnceOnly;
use super::outcome::At;
use super::settings::SamlSettings;
use crate::clock::Clock;
use crate::email::SpeaksFor;
use crate::http_client::HttpClient;
use crate::ids::ProviderName;
use crate::saml::keys::KeyRefused;

/// Us, as the service provider of one SAML identity provider.
pub struct ServiceProvider {
    name: ProviderName,
    settings: Arc<SamlSettings>,
    speaks_for: SpeaksFor,
    metadata: Arc<MetadataSource>,
    once: Arc<dyn OnceOnly>,
    workers: Workers,
    decryptions: FailedDecryptions,
    clock: Clock,
}

impl ServiceProvider {
    pub(super) fn new(
        name: ProviderName,
        settings: SamlSettings,
        speaks_for: SpeaksFor,
        once: Arc<dyn OnceOnly>,
        workers: Workers,
        http: HttpClient,
        clock: Clock,
    ) -> Result<Self, KeyRefused> {
        let metadata = Arc::new(MetadataSource::new(settings.metadata.clone(), http, clock.clone())?);
        let (settings, decryptions) = (Arc::new(settings), FailedDecryptions::default());
        Ok(Self { name, settings, speaks_for, metadata, once, workers, decryptions, clock })
    }

    /// What the operator wrote.
    pub fn settings(&self) -> &SamlSettings {
        &self.settings
    }

    /// Where the provider's metadata comes from.
    pub fn metadata(&self) -> &Arc<MetadataSource> {
        &self.metadata
    }

    /// Our entity id at that portal.
    pub fn entity_id(&self, at: At<'_>) -> String {
        paths::entity_id(&self.settings, at, &self.name)
    }

    /// The assertion consumer service of that portal.
    pub fn acs(&self, at: At<'_>) -> String {
        paths::acs(at, &self.name)
    }

    /// Whether every request asks for a new proof of who somebody is.
    pub(super) fn always_forces(&self) -> bool {
        self.settings.request.force_authn
    }
}
