//! An AuthnRequest as an identity provider receives it.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::saml::message::{ExpectedHead, MessageRefused, ReceivedHead, boolean};
use crate::saml::names::{HTTP_POST, SAML, SAMLP};
use crate::saml::xml::Xml;

/// The most ways to sign in that a request may list.
const MOST_CONTEXTS: usize = 32;

/// An AuthnRequest that was read. Whether its sender signed it, the binding says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedAuthnRequest {
    /// Id, time, destination, issuer.
    pub head: ReceivedHead,
    /// Where the sender wants the response. It has to be one of the sender's registered addresses.
    pub acs: RequestedAcs,
    /// Whether the person has to prove anew who they are.
    pub force_authn: bool,
    /// Whether nobody may be shown a page.
    pub is_passive: bool,
    /// The format of NameID that is asked for.
    pub name_id_format: Option<String>,
    /// The ways to sign in that are good enough.
    pub authn_contexts: Vec<String>,
}

/// Where a sender wants the response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestedAcs {
    /// At the default address.
    Default,
    /// At this address.
    Url(String),
    /// At the address with this index.
    Index(u16),
}

impl ReceivedAuthnRequest {
    /// Reads a request. Nothing of it is checked against anything.
    ///
    /// # Errors
    /// When it is not an AuthnRequest, or anything in it is odd.
    pub fn read(xml: &Xml<'_>) -> Result<Self, MessageRefused> {
        let root = xml.root();
        let head = ReceivedHead::read(root, "AuthnRequest")?;
        if root.attribute("ProtocolBinding").is_some_and(|binding| binding != HTTP_POST) {
            return Err(MessageRefused::Attribute("ProtocolBinding"));
        }
        let index = root.attribute("AssertionConsumerServiceIndex");
        let acs = match (root.attribute("AssertionConsumerServiceURL"), index) {
            (None, None) => RequestedAcs::Default,
            (Some(url), None) => RequestedAcs::Url(url.to_owned()),
            (None, Some(index)) => RequestedAcs::Index(
                index.parse().map_err(|_| MessageRefused::Attribute("AssertionConsumerServiceIndex"))?,
            ),
            (Some(_), Some(_)) => return Err(MessageRefused::Attribute("AssertionConsumerServiceURL")),
        };
        let policy = root.maybe(SAMLP, "NameIDPolicy")?;
        let mut authn_contexts = Vec::new();
        if let Some(requested) = root.maybe(SAMLP, "RequestedAuthnContext")? {
            for class in requested.all(SAML, "AuthnContextClassRef").take(MOST_CONTEXTS) {
                authn_contexts.push(class.simple_text("AuthnContextClassRef")?);
            }
        }
        Ok(Self {
            head,
            acs,
            force_authn: boolean(root, "ForceAuthn")?,
            is_passive: boolean(root, "IsPassive")?,
            name_id_format: policy.and_then(|policy| policy.attribute("Format")).map(str::to_owned),
            authn_contexts,
        })
    }

    /// Checks that it came to the right address, in time.
    ///
    /// # Errors
    /// When its destination is another than `location`, or its time is not now.
    pub fn check(&self, location: &str, signed: bool, now: Timestamp, skew: Duration) -> Result<(), MessageRefused> {
        self.head.check(&ExpectedHead { issuer: None, destination: location, signed, now, skew })
    }
}
