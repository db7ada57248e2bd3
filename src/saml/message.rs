//! What all protocol messages have in common: id, version, time, destination, issuer (SAML Core 3.2.1, 3.2.2).

use std::time::Duration;

use super::names::{NAMEID_ENTITY, SAML, SAMLP};
use super::signature::SignatureRefused;
use super::write::Element;
use super::xml::{Node, ShapeRefused, XmlRefused};
use super::{instant, message_id};
use crate::clock::Timestamp;

/// How old a request or an answer may be, beside the clocks' difference.
const AGE: Duration = Duration::from_secs(5 * 60);

/// A request, or an answer to one of ours, that is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageRefused {
    /// It is not the strict XML that is read.
    #[error(transparent)]
    Xml(#[from] XmlRefused),
    /// An element is missing, twice there, or holds markup.
    #[error(transparent)]
    Shape(#[from] ShapeRefused),
    /// It cannot be told what was sent: no message or two, a parameter twice or under a disguise, a signature by halves.
    #[error("there is not exactly one message, with each of its parameters once")]
    Parameters,
    /// It is not what its binding makes of a message.
    #[error("the message is not in the encoding of its binding")]
    Encoding,
    /// Two elements claim one ID.
    #[error("two elements of the message have the same ID, so that a signature could mean either")]
    DuplicateId,
    /// It is no SOAP envelope with one message in it.
    #[error("it is not an envelope of SOAP 1.1 with one message in its body")]
    Soap,
    /// It is a message of another kind.
    #[error("the message is no {0}")]
    NotA(&'static str),
    /// An attribute is missing or says what it must not say.
    #[error("the attribute {0} is missing or is not what it has to be")]
    Attribute(&'static str),
    /// The Issuer has another format than `entity`, or is empty.
    #[error("the Issuer is not the entity id of a provider")]
    Issuer,
    /// Somebody else sent it.
    #[error("the Issuer is another provider than the one that is configured")]
    IssuerOfAnother,
    /// It was sent to another address.
    #[error("the Destination is not the address that the message came to")]
    Destination,
    /// It was made too long ago or lies in the future.
    #[error("the IssueInstant is too old or lies in the future; compare the clocks of both sides")]
    IssueInstant,
    /// It may be used no more.
    #[error("NotOnOrAfter of the request has passed; compare the clocks of both sides")]
    Expired,
    /// It answers another message than ours.
    #[error("InResponseTo is not the id of the request that was sent")]
    InResponseTo,
    /// It is not signed, and has to be.
    #[error("the message is not signed; let the provider sign its requests and answers")]
    Unsigned,
    /// Its signature is not good under any key of the provider.
    #[error(
        "the signature is not one of the provider's keys over this message; compare its certificate with its metadata"
    )]
    Signature,
    /// The algorithm of its signature is not among those that are trusted.
    #[error("the algorithm of the signature is not accepted; let the provider sign with RSA-SHA256")]
    Algorithm,
    /// What it names cannot be decrypted.
    #[error("the encrypted NameID cannot be decrypted with our keys")]
    Decryption,
    /// The NameID names nobody.
    #[error("the NameID is empty, too long or holds control characters")]
    NameId,
}

impl MessageRefused {
    /// The label for logs and metrics, of a closed set.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Xml(_) => "logout_xml",
            Self::Parameters => "logout_parameters",
            Self::Encoding => "logout_encoding",
            Self::DuplicateId => "logout_duplicate_id",
            Self::Soap | Self::Shape(_) | Self::Attribute(_) => "logout_malformed",
            Self::NotA(_) => "logout_wrong_message",
            Self::Issuer | Self::IssuerOfAnother => "logout_issuer",
            Self::Destination => "logout_destination",
            Self::IssueInstant => "logout_issue_instant",
            Self::Expired => "logout_expired",
            Self::InResponseTo => "logout_in_response_to",
            Self::Unsigned => "logout_unsigned",
            Self::Signature => "logout_signature_invalid",
            Self::Algorithm => "logout_weak_algorithm",
            Self::Decryption => "logout_decryption_failed",
            Self::NameId => "logout_name_id",
        }
    }
}

impl From<SignatureRefused> for MessageRefused {
    fn from(refused: SignatureRefused) -> Self {
        match refused {
            SignatureRefused::WeakAlgorithm(_) => Self::Algorithm,
            SignatureRefused::Shape(_) | SignatureRefused::Invalid => Self::Signature,
        }
    }
}

/// The head of a message that is written.
pub(super) struct Head<'a> {
    pub(super) id: &'a str,
    pub(super) issue_instant: Timestamp,
    pub(super) destination: Option<&'a str>,
    pub(super) issuer: &'a str,
    pub(super) in_response_to: Option<&'a str>,
}

impl Head<'_> {
    /// A message of that name, so far with its Issuer alone.
    pub(super) fn to_element(&self, name: &'static str) -> Element {
        Element::new(name)
            .attribute("xmlns:samlp", SAMLP)
            .attribute("xmlns:saml", SAML)
            .attribute("ID", self.id)
            .maybe("InResponseTo", self.in_response_to)
            .attribute("Version", "2.0")
            .attribute("IssueInstant", instant::write(self.issue_instant))
            .maybe("Destination", self.destination)
            .child(Element::new("saml:Issuer").text(self.issuer))
    }
}

/// The head of a message that was received. Nothing of it is proven by having been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedHead {
    /// The message's id.
    pub id: String,
    /// When it was made.
    pub issue_instant: Timestamp,
    /// The address that it was sent to.
    pub destination: Option<String>,
    /// The entity id of the sender.
    pub issuer: String,
    /// The request that it answers.
    pub in_response_to: Option<String>,
}

impl ReceivedHead {
    /// Reads the head of the message `local`.
    ///
    /// # Errors
    /// When it is another message, or anything of its head is missing or odd.
    pub(super) fn read(root: Node<'_, '_>, local: &'static str) -> Result<Self, MessageRefused> {
        if !root.is(SAMLP, local) {
            return Err(MessageRefused::NotA(local));
        }
        if root.attribute("Version") != Some("2.0") {
            return Err(MessageRefused::Attribute("Version"));
        }
        let id = root.attribute("ID").filter(|id| message_id::is_plain(id));
        let issue_instant = root.attribute("IssueInstant").and_then(instant::parse);
        let issuer = root.one(SAML, "Issuer")?;
        let odd_format = issuer.attribute("Format").is_some_and(|format| format != NAMEID_ENTITY);
        let entity_id = issuer.simple_text("Issuer")?;
        if odd_format || entity_id.is_empty() || entity_id.len() > 1024 {
            return Err(MessageRefused::Issuer);
        }
        Ok(Self {
            id: id.ok_or(MessageRefused::Attribute("ID"))?.to_owned(),
            issue_instant: issue_instant.ok_or(MessageRefused::Attribute("IssueInstant"))?,
            destination: root.attribute("Destination").map(str::to_owned),
            issuer: entity_id,
            in_response_to: root.attribute("InResponseTo").map(str::to_owned),
        })
    }

    /// Holds issuer, address and time against what they have to be. A message that names an address must name ours, byte
    /// for byte, and a signed one must name one (SAML Bindings 3.4.5.2, 3.5.5.2).
    ///
    /// # Errors
    /// Names the first that is wrong.
    pub(super) fn check(&self, expected: &ExpectedHead<'_>) -> Result<(), MessageRefused> {
        if expected.issuer.is_some_and(|issuer| issuer != self.issuer) {
            return Err(MessageRefused::IssuerOfAnother);
        }
        match self.destination.as_deref() {
            Some(destination) if destination == expected.destination => {}
            None if !expected.signed => {}
            _ => return Err(MessageRefused::Destination),
        }
        let oldest = expected.now.before(AGE).before(expected.skew);
        if self.issue_instant < oldest || self.issue_instant > expected.now.after(expected.skew) {
            return Err(MessageRefused::IssueInstant);
        }
        Ok(())
    }
}

impl ReceivedHead {
    /// Until when a message with this head would be believed again: so long a replay has to be remembered.
    pub fn believed_until(&self, skew: Duration) -> Timestamp {
        self.issue_instant.after(AGE).after(skew)
    }
}

/// What the head of a received message has to say.
pub(super) struct ExpectedHead<'a> {
    pub(super) issuer: Option<&'a str>,
    pub(super) destination: &'a str,
    pub(super) signed: bool,
    pub(super) now: Timestamp,
    pub(super) skew: Duration,
}

/// Reads an `xs:boolean` attribute; absent is `false`.
pub(super) fn boolean(node: Node<'_, '_>, name: &'static str) -> Result<bool, MessageRefused> {
    match node.attribute(name) {
        None | Some("false" | "0") => Ok(false),
        Some("true" | "1") => Ok(true),
        Some(_) => Err(MessageRefused::Attribute(name)),
    }
}
