//! What we say of ourselves to identity providers: our metadata as a service provider (SAML Metadata 2.4.4).
//!
//! Made from the same settings that sign-in uses. Each portal is a service provider of its own, unless the operator gave all
//! of them one entity id: then one document lists the addresses of all.

use std::fmt;

use super::paths;
use crate::ids::ProviderName;
use crate::portal::{HostName, PublicOrigin};
use crate::random::{NoRandomness, Random};
use crate::saml::message_id;
use crate::saml::metadata::{Binding, Endpoint, IndexedEndpoint, ServiceProvider, Validity};
use crate::saml::signing_key::NotSigned;
use crate::sign_in::At;
use crate::sign_in::settings::{Protocol, ProviderSettings, SamlSettings};

/// A portal, and who signs people in there.
#[derive(Clone, Debug)]
pub struct SignInPortal {
    /// Its host.
    pub host: HostName,
    /// What the browser calls it.
    pub origin: PublicOrigin,
    /// Its providers.
    pub providers: Vec<ProviderName>,
}

/// Our metadata, at each portal and for each SAML provider.
pub struct OwnMetadata {
    providers: Vec<(ProviderName, SamlSettings)>,
    portals: Vec<SignInPortal>,
    random: Random,
}

/// The document could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum NotPublished {
    /// The key does not sign.
    #[error(transparent)]
    NotSigned(#[from] NotSigned),
    /// The system has no randomness to give.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl OwnMetadata {
    /// The metadata of `portals`, in their order.
    pub fn new(providers: &[ProviderSettings], portals: Vec<SignInPortal>, random: Random) -> Self {
        let saml = |settings: &ProviderSettings| match &settings.protocol {
            Protocol::Saml(saml) => Some((settings.name.clone(), saml.clone())),
            Protocol::Oidc(_) => None,
        };
        Self { providers: providers.iter().filter_map(saml).collect(), portals, random }
    }

    /// Every portal with every SAML provider that signs people in there.
    pub fn all(&self) -> impl Iterator<Item = (&HostName, &ProviderName)> {
        self.portals.iter().flat_map(|portal| {
            let names = self.providers.iter().map(|(name, _)| name);
            names.filter(|name| portal.providers.contains(name)).map(|name| (&portal.host, name))
        })
    }

    /// The document for `provider` at `portal`, signed where the settings say so; `None` when that provider does not sign
    /// anybody in there by SAML.
    pub fn document(&self, portal: &HostName, provider: &ProviderName) -> Option<Result<String, NotPublished>> {
        let (name, settings) = self.providers.iter().find(|(name, _)| name == provider)?;
        let portal = self.portals.iter().find(|one| one.host == *portal && one.providers.contains(name))?;
        Some(self.written(name, settings, portal))
    }

    fn written(
        &self,
        name: &ProviderName,
        settings: &SamlSettings,
        portal: &SignInPortal,
    ) -> Result<String, NotPublished> {
        let id = message_id::generate(&self.random)?;
        let key = settings.keys.signing().filter(|_| settings.sign_metadata);
        Ok(self.description(name, settings, portal).to_document(&id, key)?)
    }

    fn description(&self, name: &ProviderName, settings: &SamlSettings, portal: &SignInPortal) -> ServiceProvider {
        let shared = settings.our_entity_id.is_some();
        let at_same_entity = |one: &&SignInPortal| match shared {
            true => one.providers.contains(name),
            false => one.host == portal.host,
        };
        let portals: Vec<&SignInPortal> = self.portals.iter().filter(at_same_entity).collect();
        let mut free =
            (0..=u16::MAX).filter(|index| !settings.request.acs_indexes.values().any(|taken| taken == index));
        let indexes = portals.iter().map(|portal| settings.request.acs_index_at(&portal.host).or_else(|| free.next()));
        let consumers = indexes.zip(&portals).enumerate().filter_map(|(number, (index, portal))| {
            let endpoint = endpoint(Binding::Post, paths::acs(portal.at(), name));
            Some(IndexedEndpoint { index: index?, is_default: number == 0, endpoint })
        });
        ServiceProvider {
            entity_id: paths::entity_id(settings, portal.at(), name),
            signing_certificates: settings.keys.signing_certificates().map(<[u8]>::to_vec).collect(),
            encryption_certificates: settings.keys.encryption_certificates().to_vec(),
            consumers: consumers.collect(),
            // What is sent there has to be answered, and answers have to be signed.
            logout: match portals.first().filter(|_| settings.keys.signing().is_some()) {
                Some(first) => {
                    let slo = |binding| endpoint(binding, paths::slo(first.at(), name));
                    [Binding::Redirect, Binding::Post, Binding::Soap].map(slo).to_vec()
                }
                None => Vec::new(),
            },
            signs_requests: settings.keys.signing().is_some(),
            wants_signed_assertions: true,
            name_id_formats: settings.request.name_id_format.iter().cloned().collect(),
            validity: Validity::default(),
        }
    }
}

impl SignInPortal {
    fn at(&self) -> At<'_> {
        At { portal: &self.host, origin: &self.origin }
    }
}

impl fmt::Debug for OwnMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all()).finish()
    }
}

fn endpoint(binding: Binding, location: String) -> Endpoint {
    Endpoint { binding, location, response_location: None }
}

#[cfg(test)]
mod tests;
