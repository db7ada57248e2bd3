//! From a verified response to a person: the account, and which e-mail address is believed.
//!
//! The account is (entity id, NameID with format and qualifiers, or the mapped attribute). An e-mail address decides which
//! customer somebody becomes. SAML has no `email_verified`: a provider vouches for the addresses of its own
//! `email_domains`, and for no other. Without them an address counts only where the operator says so.

use super::rejected::SamlSignInRejected;
use crate::clock::Timestamp;
use crate::email::{EmailAddress, EmailDomain};
use crate::ids::ProviderName;
use crate::saml::mapping::Mapping;
use crate::saml::response::VerifiedResponse;
use crate::sign_in::claims::Claims;
use crate::sign_in::identity::Established;
use crate::sign_in::settings::EmailTrust;

/// How a provider's responses are read.
pub(super) struct Reading<'a> {
    pub(super) provider: &'a ProviderName,
    pub(super) mapping: &'a Mapping,
    pub(super) email_trust: EmailTrust,
    pub(super) email_domains: &'a [EmailDomain],
}

impl Reading<'_> {
    /// Who `response` is about.
    pub(super) fn establish(
        &self,
        response: &VerifiedResponse,
        now: Timestamp,
    ) -> Result<Established, SamlSignInRejected> {
        let mapped = self.mapping.apply(response)?;
        let email_verified = self.is_believed(mapped.email.as_ref())?;
        let mut claims = Claims::default();
        for (claim, values) in mapped.claims {
            claims.add(&claim, values);
        }
        let names: Vec<&str> = response.attributes.iter().map(|attribute| attribute.name.as_str()).collect();
        for name in names {
            let values: Vec<String> = response.attributes.values(name).map(str::to_owned).collect();
            if !values.iter().any(|value| value.chars().any(char::is_control)) {
                claims.add(name, values);
            }
        }
        Ok(Established {
            provider: self.provider.clone(),
            issuer: response.issuer.clone(),
            subject: mapped.subject,
            email: mapped.email,
            email_verified,
            display_name: mapped.display_name,
            groups: mapped.groups,
            claims: claims.into_map(),
            authenticated_at: response.authn_instant.min(now),
            acr: response.authn_context.clone(),
            provider_session: response.session_indexes.first().cloned(),
            not_after: response.session_not_on_or_after,
        })
    }

    /// Whether the provider may vouch for that address.
    fn is_believed(&self, email: Option<&EmailAddress>) -> Result<bool, SamlSignInRejected> {
        if self.email_domains.is_empty() {
            return Ok(email.is_some() && self.email_trust == EmailTrust::DangerouslyAlways);
        }
        let email = email.ok_or(SamlSignInRejected::EmailMissing)?;
        if self.email_domains.iter().any(|domain| domain.holds(email)) {
            return Ok(true);
        }
        let domain = EmailDomain::parse(email.domain()).map_err(|_| SamlSignInRejected::EmailMissing)?;
        Err(SamlSignInRejected::EmailOutsideDomains(domain))
    }
}
