//! The gateway as the one SAML identity provider of a Cloud site: what it says of itself, whom it answers, and how.
//!
//! Trusts the site's entity id and addresses from the settings or from metadata that the operator gave, never from a request.
//! Refuses a request of anybody else, or one that wants the answer elsewhere. One answer for each request, about one person,
//! signed, and good for a short while.

use std::fmt;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::email::EmailAddress;
use crate::portal::PublicOrigin;
use crate::portal::settings::IdentityProviderSettings;
use crate::random::{NoRandomness, Random};
use crate::saml::authn_request::{ReceivedAuthnRequest, RequestedAcs};
use crate::saml::binding::post::PostForm;
use crate::saml::binding::{Arrived, Direction};
use crate::saml::issue::{Authn, Envelope, Issue, NotIssued, Protection};
use crate::saml::message::MessageRefused;
use crate::saml::message_id;
use crate::saml::metadata::{Binding, Endpoint, IdentityProvider, Validity};
use crate::saml::name_id::NameId;
use crate::saml::names::{AUTHN_UNSPECIFIED, NAMEID_EMAIL, NAMEID_UNSPECIFIED};
use crate::saml::response::Signed;
use crate::saml::signature::SignaturePolicy;
use crate::saml::signing_key::{NotSigned, SigningKey};

/// How long an answer is good: it is on its way for the length of one page.
const LIFETIME: Duration = Duration::from_secs(120);
/// The most that the site's clock and ours may differ.
const SKEW: Duration = Duration::from_secs(120);

/// The gateway as the identity provider of one site, at one portal.
pub struct SiteIdentityProvider {
    settings: IdentityProviderSettings,
    entity_id: String,
    sign_on: String,
    random: Random,
}

/// What the site has asked, judged to be the site's own. It is answered once.
#[derive(Debug)]
pub struct Asked {
    id: String,
    acs: String,
    relay_state: Option<String>,
}

/// What asks is not the site, or wants what it may not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTheSite {
    /// The message is no good request.
    #[error("the request is refused: {0}")]
    Message(#[from] MessageRefused),
    /// It is a response.
    #[error("a response came where a request belongs")]
    Response,
    /// It is of somebody else.
    #[error("the request is of {0:?}, which is not the configured site")]
    Issuer(String),
    /// It wants the answer at an address that is not the site's.
    #[error("the request wants the answer at an address that is not configured: {0}")]
    Consumer(String),
    /// It wants people to be named otherwise than by their e-mail address.
    #[error("the request asks for a NameID of the format {0:?}")]
    NameIdFormat(String),
}

/// No answer could be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each says itself what it is")]
pub enum NotAnswered {
    #[error(transparent)]
    NotIssued(#[from] NotIssued),
    #[error(transparent)]
    NotSigned(#[from] NotSigned),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    #[error("there is no key to sign with, or no address to answer to")]
    Unconfigured,
}

impl SiteIdentityProvider {
    /// The identity provider that `settings` describe, at the portal of that origin.
    pub fn new(settings: &IdentityProviderSettings, origin: &PublicOrigin, random: Random) -> Self {
        let below = |path: &str| format!("{origin}/.vestibule/cloud/{path}");
        let entity_id = settings.our_entity_id.clone().unwrap_or_else(|| below("metadata"));
        Self { settings: settings.clone(), entity_id, sign_on: below("sign-on"), random }
    }

    /// Our entity id.
    pub fn entity_id(&self) -> &str {
        &self.entity_id
    }

    /// Where the site sends people to sign on.
    pub fn sign_on(&self) -> &str {
        &self.sign_on
    }

    /// The certificates that our answers may verify with, in DER; the present one first.
    pub fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.settings.keys.iter().map(SigningKey::certificate)
    }

    /// Where the site takes answers.
    pub fn consumers(&self) -> impl Iterator<Item = &str> {
        self.settings.site.consumers.iter().map(|consumer| consumer.endpoint.location.as_str())
    }

    /// What we say of ourselves: our metadata as an identity provider.
    ///
    /// # Errors
    /// When the key does not sign, or there is no randomness.
    pub fn metadata(&self) -> Result<String, NotAnswered> {
        let sign_on = |binding| Endpoint { binding, location: self.sign_on.clone(), response_location: None };
        let described = IdentityProvider {
            entity_id: self.entity_id.clone(),
            signing_certificates: self.certificates().map(<[u8]>::to_vec).collect(),
            sign_on: [Binding::Redirect, Binding::Post].map(sign_on).to_vec(),
            logout: Vec::new(),
            wants_signed_requests: self.settings.site.signs_requests,
            name_id_formats: vec![NAMEID_EMAIL.to_owned()],
            validity: Validity::default(),
        };
        Ok(described.to_document(&message_id::generate(&self.random)?, None)?)
    }

    /// Reads what has arrived at our sign-on address.
    ///
    /// # Errors
    /// When it is not a request of the site, for an answer at the site, that we can give.
    pub fn asked(&self, mut arrived: Arrived, now: Timestamp) -> Result<Asked, NotTheSite> {
        if arrived.direction != Direction::Request {
            return Err(NotTheSite::Response);
        }
        let relay_state = arrived.relay_state.take();
        let signed = arrived.is_signed();
        let request = match &self.settings.site_keys {
            Some(keys) if signed || self.settings.site.signs_requests => {
                let proven = arrived.verify(keys, SignaturePolicy { legacy_sha1: false })?;
                ReceivedAuthnRequest::read(&proven.xml()?)?
            }
            // Nothing is believed of it but its id, and that is worth something at the site's own addresses alone.
            _ => ReceivedAuthnRequest::read(&arrived.unproven()?)?,
        };
        request.check(&self.sign_on, signed, now, SKEW)?;
        let site = &self.settings.site;
        if request.head.issuer != site.entity_id {
            return Err(NotTheSite::Issuer(request.head.issuer));
        }
        let consumer = match &request.acs {
            RequestedAcs::Default => site.default_consumer(),
            RequestedAcs::Url(url) => site.consumers.iter().find(|consumer| consumer.endpoint.location == *url),
            RequestedAcs::Index(index) => site.consumers.iter().find(|consumer| consumer.index == *index),
        };
        let Some(consumer) = consumer else { return Err(NotTheSite::Consumer(format!("{:?}", request.acs))) };
        match request.name_id_format {
            Some(format) if ![NAMEID_EMAIL, NAMEID_UNSPECIFIED].contains(&format.as_str()) => {
                Err(NotTheSite::NameIdFormat(format))
            }
            _ => Ok(Asked { id: request.head.id, acs: consumer.endpoint.for_responses().to_owned(), relay_state }),
        }
    }

    /// The answer: who is at that address signs on. A request is answered once, because it is used up.
    ///
    /// # Errors
    /// When the key does not sign, or there is no randomness.
    pub fn answer(&self, asked: Asked, address: &EmailAddress, now: Timestamp) -> Result<PostForm, NotAnswered> {
        let Asked { id: request, acs, relay_state } = asked;
        let key = self.settings.keys.first().ok_or(NotAnswered::Unconfigured)?;
        let (id, assertion_id) = (message_id::generate(&self.random)?, message_id::generate(&self.random)?);
        let name_id = NameId {
            value: address.as_str().to_owned(),
            format: Some(NAMEID_EMAIL.to_owned()),
            name_qualifier: None,
            sp_name_qualifier: None,
        };
        let issue = Issue {
            envelope: Envelope {
                id: &id,
                issue_instant: now,
                issuer: &self.entity_id,
                acs: &acs,
                in_response_to: Some(&request),
            },
            assertion_id: &assertion_id,
            audience: &self.settings.site.entity_id,
            lifetime: LIFETIME,
            name_id: &name_id,
            authn: Authn {
                instant: now,
                context: AUTHN_UNSPECIFIED,
                session_index: None,
                session_not_on_or_after: None,
            },
            attributes: &[],
        };
        let protection = Protection { key, signed: Signed::Both, encrypted_to: None };
        let response = issue.response(&protection, &self.random)?;
        Ok(PostForm::new(&acs, Direction::Response, &response, relay_state.as_deref()))
    }
}

impl fmt::Debug for SiteIdentityProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SiteIdentityProvider({} of {})", self.entity_id, self.settings.site.entity_id)
    }
}

#[cfg(test)]
mod tests;
