//! What a service provider says of itself: for the side that is its identity provider.

use super::endpoint::{Binding, Endpoint, IndexedEndpoint, endpoints, indexed_endpoints};
use super::entity::Entity;
use super::refused::MetadataRefused;
use super::validity::Validity;

/// A service provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceProvider {
    /// Its entity id: the audience of what is sent to it.
    pub entity_id: String,
    /// The certificates whose keys sign its requests, in DER.
    pub signing_certificates: Vec<Vec<u8>>,
    /// The certificates whose keys decrypt, in DER.
    pub encryption_certificates: Vec<Vec<u8>>,
    /// Where it takes responses by HTTP-POST; at least one.
    pub consumers: Vec<IndexedEndpoint>,
    /// Where it takes logout messages.
    pub logout: Vec<Endpoint>,
    /// Whether its requests are always signed.
    pub signs_requests: bool,
    /// Whether it takes signed assertions only.
    pub wants_signed_assertions: bool,
    /// The formats of NameID that it would like.
    pub name_id_formats: Vec<String>,
    /// How long all this may be used.
    pub validity: Validity,
}

impl ServiceProvider {
    pub(super) fn read(entity: &Entity<'_, '_>) -> Result<Self, MetadataRefused> {
        let role = entity.role;
        let mut consumers = indexed_endpoints(role, "AssertionConsumerService")?;
        consumers.retain(|consumer| consumer.endpoint.binding == Binding::Post);
        if consumers.is_empty() {
            return Err(MetadataRefused::NoConsumerLocation);
        }
        Ok(Self {
            entity_id: entity.id.clone(),
            signing_certificates: entity.certificates("signing")?,
            encryption_certificates: entity.certificates("encryption")?,
            consumers,
            logout: endpoints(role, "SingleLogoutService")?,
            signs_requests: super::boolean(role, "AuthnRequestsSigned")?,
            wants_signed_assertions: super::boolean(role, "WantAssertionsSigned")?,
            name_id_formats: entity.name_id_formats()?,
            validity: entity.validity,
        })
    }

    /// The address that is meant when a request names none: the default, or else the first (SAML Metadata 2.2.3).
    pub fn default_consumer(&self) -> Option<&IndexedEndpoint> {
        self.consumers.iter().find(|consumer| consumer.is_default).or_else(|| self.consumers.first())
    }

    /// Where to send logout messages by `binding`.
    pub fn logout_by(&self, binding: Binding) -> Option<&Endpoint> {
        self.logout.iter().find(|endpoint| endpoint.binding == binding)
    }
}
