//! What an identity provider has proved about a visitor. Only a protocol verifier below `sign_in` can make one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::email::EmailAddress;
use crate::ids::{Affinity, ProviderName};

/// A person, as a protocol verifier has established them. The account is (issuer, subject); the e-mail is an attribute.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VerifiedIdentity(Established);

/// What a verifier hands over; only code below `sign_in` can turn it into a [`VerifiedIdentity`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Established {
    /// The identity provider that spoke.
    pub provider: ProviderName,
    /// OpenID Connect `iss`, or the SAML entity id.
    pub issuer: String,
    /// OpenID Connect `sub`, or the SAML NameID.
    pub subject: String,
    /// The e-mail address, when there is one and it is well-formed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailAddress>,
    /// Whether the provider vouches for the address.
    pub email_verified: bool,
    /// The name to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Group names.
    pub groups: Vec<String>,
    /// What else the provider says of the person: each claim or attribute with its values, whole or not at all
    /// ([`Claims`](super::claims::Claims)). Sessions that were written before there were claims have none.
    #[serde(default)]
    pub claims: BTreeMap<String, Vec<String>>,
    /// When the person proved who they are (`auth_time`), else when the provider's answer was verified.
    pub authenticated_at: Timestamp,
    /// How they proved it (`acr`, AuthnContextClassRef).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// The provider's own session (`sid`, SessionIndex).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_session: Option<String>,
    /// When the provider wants the session to end (SessionNotOnOrAfter).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
}

impl VerifiedIdentity {
    /// Vouches for `established`.
    pub(in crate::sign_in) fn vouch(established: Established) -> Self {
        Self(established)
    }

    /// An identity out of thin air, for the tests of later steps.
    #[cfg(test)]
    pub(crate) fn for_test(provider: &str, subject: &str, email: &str) -> Self {
        Self::vouch(Established {
            provider: ProviderName::parse(provider).unwrap(),
            issuer: format!("https://{provider}.example"),
            subject: subject.to_owned(),
            email: EmailAddress::parse(email).ok(),
            email_verified: true,
            display_name: Some(subject.to_owned()),
            groups: Vec::new(),
            claims: BTreeMap::new(),
            authenticated_at: Timestamp::from_seconds(0),
            acr: None,
            provider_session: Some(format!("sid-{subject}")),
            not_after: None,
        })
    }

    /// The identity provider that spoke.
    pub fn provider(&self) -> &ProviderName {
        &self.0.provider
    }

    /// OpenID Connect `iss`, or the SAML entity id.
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// OpenID Connect `sub`, or the SAML NameID.
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// Tells people apart, so that each is served at one place.
    pub fn affinity(&self) -> Affinity {
        Affinity::of(&[&self.0.issuer, &self.0.subject])
    }

    /// The e-mail address, when there is one and it is well-formed.
    pub fn email(&self) -> Option<&EmailAddress> {
        self.0.email.as_ref()
    }

    /// Whether the provider vouches for the address.
    pub fn email_verified(&self) -> bool {
        self.0.email_verified
    }

    /// The name to show: the provider's, else the e-mail address, else the subject.
    pub fn display_name(&self) -> &str {
        self.0.display_name.as_deref().or(self.0.email.as_ref().map(EmailAddress::as_str)).unwrap_or(&self.0.subject)
    }

    /// The name that the provider tells; `None` when it tells none.
    pub fn told_display_name(&self) -> Option<&str> {
        self.0.display_name.as_deref()
    }

    /// Group names.
    pub fn groups(&self) -> &[String] {
        &self.0.groups
    }

    /// What else the provider says of the person: each claim or attribute with its values.
    pub fn claims(&self) -> &BTreeMap<String, Vec<String>> {
        &self.0.claims
    }

    /// When the person proved who they are.
    pub fn authenticated_at(&self) -> Timestamp {
        self.0.authenticated_at
    }

    /// How they proved it (`acr`, AuthnContextClassRef).
    pub fn acr(&self) -> Option<&str> {
        self.0.acr.as_deref()
    }

    /// The provider's own session (`sid`, SessionIndex).
    pub fn provider_session(&self) -> Option<&str> {
        self.0.provider_session.as_deref()
    }

    /// When the provider wants the session to end.
    pub fn not_after(&self) -> Option<Timestamp> {
        self.0.not_after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_before_there_were_claims_is_still_read() {
        let who = VerifiedIdentity::for_test("okta", "1", "ana@acme.com");
        let mut written = serde_json::to_value(&who).unwrap();
        assert!(written.as_object_mut().unwrap().remove("claims").is_some());
        let read: VerifiedIdentity = serde_json::from_value(written).unwrap();
        assert_eq!((read.subject(), read.claims().len()), ("1", 0));
    }
}
