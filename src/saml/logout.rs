//! Single logout (SAML Core 3.7, SAML Profiles 4.4): the request that ends somebody's sessions, and how it ended.
//!
//! What is read here was proven by its binding before ([`Proven`](super::binding::Proven)). Does not remember: the caller keeps
//! the id of a request until [`ReceivedHead::believed_until`](super::message::ReceivedHead::believed_until), and the id of its
//! own request until the answer comes.

mod received;
#[cfg(test)]
mod tests;

pub use self::received::{ExpectedLogout, ReceivedLogoutRequest, ReceivedLogoutResponse};

use super::encryption::{NotSealed, seal};
use super::instant;
use super::keys::EncryptionKey;
use super::message::Head;
use super::name_id::NameId;
use super::status::Status;
use super::write::Element;
use crate::clock::Timestamp;
use crate::random::Random;

/// A LogoutRequest as we send it.
#[derive(Clone, Copy, Debug)]
pub struct LogoutRequest<'a> {
    /// Its id, from [`message_id::generate`](super::message_id::generate).
    pub id: &'a str,
    /// Now.
    pub issue_instant: Timestamp,
    /// The address that it is sent to.
    pub destination: &'a str,
    /// Our entity id.
    pub issuer: &'a str,
    /// Whose sessions end: the very NameID of the assertion that began them.
    pub name_id: &'a NameId,
    /// Which ones; all of them when there are none.
    pub session_indexes: &'a [String],
    /// Until when it may be carried out.
    pub not_on_or_after: Option<Timestamp>,
    /// Why, as one of the two URIs of SAML Core 3.7.3.
    pub reason: Option<&'a str>,
}

impl LogoutRequest<'_> {
    /// The message, to be signed by its binding.
    pub fn to_element(&self) -> Element {
        self.about(self.name_id.to_element())
    }

    /// The message with the name encrypted: neither the browser nor its history learns it.
    ///
    /// # Errors
    /// When the key does not encrypt, or there is no randomness.
    pub fn to_encrypted_element(&self, to: &EncryptionKey, random: &Random) -> Result<Element, NotSealed> {
        Ok(self.about(seal("saml:EncryptedID", &self.name_id.to_element(), to, random)?))
    }

    fn about(&self, name: Element) -> Element {
        let indexes = self.session_indexes.iter().map(|index| Element::new("samlp:SessionIndex").text(index));
        Head {
            id: self.id,
            issue_instant: self.issue_instant,
            destination: Some(self.destination),
            issuer: self.issuer,
            in_response_to: None,
        }
        .to_element("samlp:LogoutRequest")
        .maybe("NotOnOrAfter", self.not_on_or_after.map(instant::write))
        .maybe("Reason", self.reason)
        .child(name)
        .children(indexes)
    }
}

/// A LogoutResponse as we send it.
#[derive(Clone, Copy, Debug)]
pub struct LogoutResponse<'a> {
    /// Its id, from [`message_id::generate`](super::message_id::generate).
    pub id: &'a str,
    /// Now.
    pub issue_instant: Timestamp,
    /// The address that it is sent to; none in answer to a request by SOAP.
    pub destination: Option<&'a str>,
    /// Our entity id.
    pub issuer: &'a str,
    /// The id of the request.
    pub in_response_to: &'a str,
    /// How it ended.
    pub status: Status<'a>,
}

impl LogoutResponse<'_> {
    /// The message, to be signed by its binding.
    pub fn to_element(&self) -> Element {
        Head {
            id: self.id,
            issue_instant: self.issue_instant,
            destination: self.destination,
            issuer: self.issuer,
            in_response_to: Some(self.in_response_to),
        }
        .to_element("samlp:LogoutResponse")
        .child(self.status.to_element())
    }
}
