//! What an identity provider says of itself.

use super::endpoint::{Binding, Endpoint, endpoints};
use super::entity::Entity;
use super::refused::MetadataRefused;
use super::validity::Validity;

/// An identity provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityProvider {
    /// Its entity id: the Issuer of all that it sends.
    pub entity_id: String,
    /// The certificates whose keys sign, in DER; at least one. Several while it rolls over.
    pub signing_certificates: Vec<Vec<u8>>,
    /// Where people are sent to sign in, by HTTP-Redirect and HTTP-POST; at least one.
    pub sign_on: Vec<Endpoint>,
    /// Where it takes logout messages.
    pub logout: Vec<Endpoint>,
    /// Whether it takes signed AuthnRequests only.
    pub wants_signed_requests: bool,
    /// The formats of NameID that it can give.
    pub name_id_formats: Vec<String>,
    /// How long all this may be used.
    pub validity: Validity,
}

impl IdentityProvider {
    pub(super) fn read(entity: &Entity<'_, '_>) -> Result<Self, MetadataRefused> {
        let role = entity.role;
        let signing_certificates = entity.certificates("signing")?;
        if signing_certificates.is_empty() {
            return Err(MetadataRefused::NoSigningKey);
        }
        let mut sign_on = endpoints(role, "SingleSignOnService")?;
        sign_on.retain(|endpoint| endpoint.binding != Binding::Soap);
        if sign_on.is_empty() {
            return Err(MetadataRefused::NoSignOnLocation);
        }
        Ok(Self {
            entity_id: entity.id.clone(),
            signing_certificates,
            sign_on,
            logout: endpoints(role, "SingleLogoutService")?,
            wants_signed_requests: super::boolean(role, "WantAuthnRequestsSigned")?,
            name_id_formats: entity.name_id_formats()?,
            validity: entity.validity,
        })
    }

    /// Where to send people to sign in by `binding`.
    pub fn sign_on_by(&self, binding: Binding) -> Option<&Endpoint> {
        self.sign_on.iter().find(|endpoint| endpoint.binding == binding)
    }

    /// Where to send logout messages by `binding`.
    pub fn logout_by(&self, binding: Binding) -> Option<&Endpoint> {
        self.logout.iter().find(|endpoint| endpoint.binding == binding)
    }
}
