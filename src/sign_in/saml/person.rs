//! From a verified response to a person: the account, and which e-mail address is believed.
//!
//! The account is (entity id, NameID with format and qualifiers, or the mapped attribute). An e-mail address decides which
//! customer somebody becomes. SAML has no `email_verified`: a provider vouches for the addresses of its own
//! `email_domains`, and for no other. Without them an address counts only where the operator says so, and never one of a
//! domain that another provider lists.

use std::collections::BTreeMap;

use super::rejected::SamlSignInRejected;
use crate::clock::Timestamp;
use crate::email::{EmailAddress, EmailDomain, SpeaksFor};
use crate::ids::ProviderName;
use crate::saml::mapping::Mapping;
use crate::saml::response::{Attributes, VerifiedResponse};
use crate::sign_in::claims::Claims;
use crate::sign_in::identity::Established;
use crate::sign_in::settings::EmailTrust;

/// How a provider's responses are read.
pub(super) struct Reading<'a> {
    pub(super) provider: &'a ProviderName,
    pub(super) mapping: &'a Mapping,
    pub(super) email_trust: EmailTrust,
    pub(super) speaks_for: &'a SpeaksFor,
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
        Ok(Established {
            provider: self.provider.clone(),
            issuer: response.issuer.clone(),
            subject: mapped.subject,
            email: mapped.email,
            email_verified,
            display_name: mapped.display_name,
            groups: mapped.groups,
            claims: claims(mapped.claims, &response.attributes),
            authenticated_at: response.authn_instant.min(now),
            acr: response.authn_context.clone(),
            provider_session: response.session_indexes.first().cloned(),
            not_after: response.session_not_on_or_after,
        })
    }

    /// Whether the provider may vouch for that address.
    fn is_believed(&self, email: Option<&EmailAddress>) -> Result<bool, SamlSignInRejected> {
        let is_open = self.speaks_for.is_open();
        let email = match email {
            None if is_open => return Ok(false),
            email => email.ok_or(SamlSignInRejected::EmailMissing)?,
        };
        if self.speaks_for.includes(email) {
            return Ok(!is_open || self.email_trust == EmailTrust::DangerouslyAlways);
        }
        let domain = EmailDomain::parse(email.domain()).map_err(|_| SamlSignInRejected::EmailMissing)?;
        Err(SamlSignInRejected::EmailOutsideDomains(domain))
    }
}

/// The configured claims, and all attributes under their own names. Each whole or not at all: what holds control characters
/// could do harm in a header.
fn claims(configured: BTreeMap<String, Vec<String>>, attributes: &Attributes) -> BTreeMap<String, Vec<String>> {
    let mut claims = Claims::default();
    for (claim, values) in configured {
        claims.add(&claim, values);
    }
    // Attributes of one name are one.
    let mut named: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for attribute in attributes.iter() {
        named.entry(&attribute.name).or_default().extend(attribute.values.iter().cloned());
    }
    for (name, values) in named {
        let odd = |text: &str| text.chars().any(char::is_control);
        if !odd(name) && !values.iter().any(|value| odd(value)) {
            claims.add(name, values);
        }
    }
    claims.into_map()
}
