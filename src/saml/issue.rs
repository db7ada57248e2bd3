//! An identity provider's answer to an AuthnRequest (SAML Core 3.3.3, SAML Profiles 4.1.4.2), or one that nobody asked for.
//!
//! For where Vestibule is the identity provider: to Atlassian, and in the demo. Always one assertion about one person for
//! one service provider, valid for a short while, and always signed.

mod assertion;

use std::time::Duration;

use super::encryption::{NotSealed, seal};
use super::keys::EncryptionKey;
use super::message::Head;
use super::name_id::NameId;
use super::response::{Attribute, Signed};
use super::sign::sign;
use super::signing_key::{NotSigned, SigningKey};
use super::status::Status;
use super::write::Element;
use crate::clock::Timestamp;
use crate::random::Random;

/// What is said, about whom, to whom.
#[derive(Clone, Copy, Debug)]
pub struct Issue<'a> {
    /// The Response around it.
    pub envelope: Envelope<'a>,
    /// The id of the assertion, from [`message_id::generate`](super::message_id::generate).
    pub assertion_id: &'a str,
    /// The entity id of the service provider.
    pub audience: &'a str,
    /// How long the assertion may be used, from now on.
    pub lifetime: Duration,
    /// Who.
    pub name_id: &'a NameId,
    /// How and when they signed in.
    pub authn: Authn<'a>,
    /// What else is known of them.
    pub attributes: &'a [Attribute],
}

/// The Response itself, whatever it holds.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// Its id, from [`message_id::generate`](super::message_id::generate).
    pub id: &'a str,
    /// Now.
    pub issue_instant: Timestamp,
    /// The entity id of the identity provider.
    pub issuer: &'a str,
    /// The address of the service provider that it is posted to.
    pub acs: &'a str,
    /// The request that it answers; none when nobody asked.
    pub in_response_to: Option<&'a str>,
}

/// How and when somebody signed in at the identity provider.
#[derive(Clone, Copy, Debug)]
pub struct Authn<'a> {
    /// When.
    pub instant: Timestamp,
    /// How: a class of authentication context.
    pub context: &'a str,
    /// The provider's session, for single logout.
    pub session_index: Option<&'a str>,
    /// When the service provider has to end its own session.
    pub session_not_on_or_after: Option<Timestamp>,
}

/// How a response is protected.
#[derive(Clone, Copy, Debug)]
pub struct Protection<'a> {
    /// The key that signs.
    pub key: &'a SigningKey,
    /// What it signs.
    pub signed: Signed,
    /// The key of the service provider, when the assertion is encrypted to it.
    pub encrypted_to: Option<&'a EncryptionKey>,
}

/// No answer could be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotIssued {
    /// The key does not sign.
    #[error(transparent)]
    NotSigned(#[from] NotSigned),
    /// The assertion could not be encrypted.
    #[error(transparent)]
    NotSealed(#[from] NotSealed),
}

impl Issue<'_> {
    /// The Response, to be sent by HTTP-POST. The assertion is signed before it is encrypted, the Response last.
    ///
    /// # Errors
    /// When a key does not do what it should, or there is no randomness.
    pub fn response(&self, how: &Protection<'_>, random: &Random) -> Result<Element, NotIssued> {
        let mut assertion = self.assertion();
        if how.signed != Signed::Response {
            assertion = sign(assertion, how.key)?;
        }
        let inside = match how.encrypted_to {
            Some(key) => seal("saml:EncryptedAssertion", &assertion, key, random)?,
            None => assertion,
        };
        let response = self.envelope.to_element(Status::SUCCESS).child(inside);
        Ok(if how.signed == Signed::Assertion { response } else { sign(response, how.key)? })
    }
}

impl Envelope<'_> {
    /// The signed Response that says that nobody was signed in, and why (SAML Core 3.2.2.2).
    ///
    /// # Errors
    /// When the key does not sign.
    pub fn refusal(&self, status: Status<'_>, key: &SigningKey) -> Result<Element, NotSigned> {
        sign(self.to_element(status), key)
    }

    fn to_element(self, status: Status<'_>) -> Element {
        Head {
            id: self.id,
            issue_instant: self.issue_instant,
            destination: Some(self.acs),
            issuer: self.issuer,
            in_response_to: self.in_response_to,
        }
        .to_element("samlp:Response")
        .child(status.to_element())
    }
}

#[cfg(test)]
mod tests;
