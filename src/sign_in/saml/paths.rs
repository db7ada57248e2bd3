//! Where we are, and what we are called, at one portal for one provider. Always from the configuration, never from a
//! request.

use crate::ids::ProviderName;
use crate::sign_in::At;
use crate::sign_in::settings::SamlSettings;

/// Our entity id. Unless the operator gave one, each portal is a service provider of its own, named after the address of its
/// metadata.
pub(super) fn entity_id(settings: &SamlSettings, at: At<'_>, provider: &ProviderName) -> String {
    settings.our_entity_id.clone().unwrap_or_else(|| metadata(at, provider))
}

/// Where our metadata is.
pub(super) fn metadata(at: At<'_>, provider: &ProviderName) -> String {
    format!("{}/.vestibule/saml/{provider}/metadata", at.origin)
}

/// The single logout service.
pub(super) fn slo(at: At<'_>, provider: &ProviderName) -> String {
    format!("{}/.vestibule/saml/{provider}/slo", at.origin)
}

/// The assertion consumer service.
pub(super) fn acs(at: At<'_>, provider: &ProviderName) -> String {
    format!("{}/.vestibule/saml/{provider}/acs", at.origin)
}
