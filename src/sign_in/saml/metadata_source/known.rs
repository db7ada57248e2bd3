//! From octets to a provider that is believed.

use super::MetadataFault;
use crate::clock::Timestamp;
use crate::saml::keys::{KeyRefused, VerificationKeys};
use crate::saml::metadata::{self, IdentityProvider, Reading, points_to_this_machine, signed_octets};

/// An identity provider, as its metadata describes it.
#[derive(Debug)]
pub struct KnownProvider {
    /// What it says of itself.
    pub description: IdentityProvider,
    /// The keys that it signs with.
    pub keys: VerificationKeys,
}

/// What is demanded of metadata.
#[derive(Debug)]
pub(super) struct Trust {
    signed_by: Option<VerificationKeys>,
    entity_id: Option<String>,
    /// Whether it comes from another machine.
    from_elsewhere: bool,
}

impl Trust {
    pub(super) fn new(
        signed_by: &[Vec<u8>],
        entity_id: Option<String>,
        from_elsewhere: bool,
    ) -> Result<Self, KeyRefused> {
        let signed_by = match signed_by {
            [] => None,
            certificates => Some(VerificationKeys::from_certificates(certificates)?),
        };
        Ok(Self { signed_by, entity_id, from_elsewhere })
    }

    /// Reads a provider. `before` is the entity id that it had.
    pub(super) fn read(
        &self,
        octets: &[u8],
        before: Option<&str>,
        now: Timestamp,
    ) -> Result<KnownProvider, MetadataFault> {
        let reading = Reading { entity_id: self.entity_id.as_deref(), now };
        let description = match &self.signed_by {
            Some(keys) => metadata::identity_provider(&signed_octets(octets, keys)?, &reading)?,
            None => metadata::identity_provider(octets, &reading)?,
        };
        if let Some(before) = before.filter(|before| *before != description.entity_id) {
            let (before, found) = (before.to_owned(), description.entity_id);
            return Err(MetadataFault::EntityChanged { before, found });
        }
        if self.from_elsewhere {
            self.refuse_addresses_here(&description)?;
        }
        let keys = VerificationKeys::from_certificates(&description.signing_certificates)?;
        for refused in keys.refused() {
            tracing::warn!(provider = description.entity_id, %refused, "a key in SAML metadata is not used");
        }
        Ok(KnownProvider { description, keys })
    }

    fn refuse_addresses_here(&self, description: &IdentityProvider) -> Result<(), MetadataFault> {
        for (what, endpoints) in
            [("SingleSignOnService", &description.sign_on), ("SingleLogoutService", &description.logout)]
        {
            let mut addresses =
                endpoints.iter().flat_map(|at| [Some(at.location.as_str()), at.response_location.as_deref()]);
            if addresses.any(|address| address.is_some_and(points_to_this_machine)) {
                return Err(MetadataFault::PointsHere(what));
            }
        }
        Ok(())
    }
}
