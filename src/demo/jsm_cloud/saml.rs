//! Single sign-on for portal-only customers (Guard): one SAML identity provider per site. The site is the service provider.
//!
//! Answers are held against what the site asked and what its administrators configured, by the project's own verifier; a
//! browser that did not ask is refused, and so is an answer that was used before. The way leads over the host beside the site,
//! and comes back to the site with a code that is good once.

mod exchange;

use std::collections::{HashMap, HashSet};
use std::fmt;

pub(super) use self::exchange::{complete, consume, start};
use super::JsmCloud;
use super::state::State;
use crate::clock::Timestamp;
use crate::saml::keys::{KeyRefused, VerificationKeys};
use crate::saml::metadata::{self, Binding, IdentityProvider, MetadataRefused, Reading};
use crate::saml::names::{HTTP_POST, MD, NAMEID_EMAIL, SAMLP};
use crate::saml::write::Element;

/// What the site knows of single sign-on.
pub(super) struct Saml {
    /// The name of the connection, in the site's entity id and addresses.
    pub(super) connection: String,
    pub(super) provider: Option<Provider>,
    /// By the id of the request that was sent.
    pending: HashMap<String, Pending>,
    /// Codes that lead back to the site: whose, and where to.
    codes: HashMap<String, Arrived>,
    used_assertions: HashSet<String>,
    /// Why the last answer was refused.
    last_refusal: Option<String>,
}

/// The identity provider that the administrators configured.
pub(super) struct Provider {
    entity_id: String,
    sign_on: String,
    keys: std::sync::Arc<VerificationKeys>,
}

/// A request that was sent and not answered yet.
struct Pending {
    destination: String,
    /// The cookie of the browser that asked.
    browser: String,
    relay_state: String,
    expires: Timestamp,
}

/// Somebody who was signed in and comes back to the site.
struct Arrived {
    account_id: String,
    destination: String,
    expires: Timestamp,
}

impl Saml {
    pub(super) fn new(connection: String) -> Self {
        Self {
            connection,
            provider: None,
            pending: HashMap::new(),
            codes: HashMap::new(),
            used_assertions: HashSet::new(),
            last_refusal: None,
        }
    }
}

/// An identity provider that cannot be configured.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each says itself what it is")]
pub enum ProviderRefused {
    #[error(transparent)]
    Metadata(#[from] MetadataRefused),
    #[error(transparent)]
    Key(#[from] KeyRefused),
    #[error("the identity provider has no single sign-on address for HTTP-Redirect")]
    NoRedirect,
}

impl State {
    fn saml_url(&self, end: &str) -> String {
        self.beside(&format!("/saml/{}{end}", self.saml.connection))
    }
}

impl JsmCloud {
    /// Configures the site's one identity provider by its metadata, and switches single sign-on on.
    ///
    /// # Errors
    /// When the metadata describes no provider that can be used.
    pub fn configure_single_sign_on(&self, metadata: &[u8]) -> Result<(), ProviderRefused> {
        let reading = Reading { entity_id: None, now: self.now() };
        let described: IdentityProvider = metadata::identity_provider(metadata, &reading)?;
        let redirect = described.sign_on_by(Binding::Redirect).ok_or(ProviderRefused::NoRedirect)?.location.clone();
        self.configure_single_sign_on_by_hand(&described.entity_id, &redirect, &described.signing_certificates)
    }

    /// As an administrator does who types entity id, sign-on address and certificate (DER) instead.
    ///
    /// # Errors
    /// When no certificate can be used.
    pub fn configure_single_sign_on_by_hand(
        &self,
        entity_id: &str,
        sign_on: &str,
        certificates: &[Vec<u8>],
    ) -> Result<(), ProviderRefused> {
        let keys = VerificationKeys::from_certificates(certificates)?.into();
        let mut state = self.state();
        state.saml.provider = Some(Provider { entity_id: entity_id.to_owned(), sign_on: sign_on.to_owned(), keys });
        state.switches.single_sign_on = true;
        Ok(())
    }

    /// The site's own entity id: the audience of what it believes.
    pub fn saml_entity_id(&self) -> String {
        self.state().saml_url("")
    }

    /// Where the site takes answers.
    pub fn saml_acs(&self) -> String {
        self.state().saml_url("/acs")
    }

    /// The site's metadata as a service provider.
    pub fn saml_metadata(&self) -> String {
        let consumer = Element::new("md:AssertionConsumerService")
            .attribute("Binding", HTTP_POST)
            .attribute("Location", self.saml_acs())
            .attribute("index", "0")
            .attribute("isDefault", "true");
        let role = Element::new("md:SPSSODescriptor")
            .attribute("protocolSupportEnumeration", SAMLP)
            .attribute("AuthnRequestsSigned", "false")
            .attribute("WantAssertionsSigned", "true")
            .child(Element::new("md:NameIDFormat").text(NAMEID_EMAIL))
            .child(consumer);
        let entity = Element::new("md:EntityDescriptor")
            .attribute("xmlns:md", MD)
            .attribute("entityID", self.saml_entity_id())
            .child(role);
        entity.to_xml()
    }

    /// Why the last answer of the identity provider was refused.
    pub fn last_saml_refusal(&self) -> Option<String> {
        self.state().saml.last_refusal.clone()
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Provider({})", self.entity_id)
    }
}
