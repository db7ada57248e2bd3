//! Logout messages as they are received.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::saml::encryption::{Decryptor, Opened};
use crate::saml::instant;
use crate::saml::keys::DecryptionKey;
use crate::saml::message::{ExpectedHead, MessageRefused, ReceivedHead};
use crate::saml::metadata::Binding;
use crate::saml::name_id::NameId;
use crate::saml::names::{SAML, SAMLP};
use crate::saml::status::ReceivedStatus;
use crate::saml::xml::{Node, ShapeRefused, Xml};

/// The most sessions that one request may name.
const MOST_INDEXES: usize = 256;
/// The longest index of a session, in octets.
const LONGEST_INDEX: usize = 1024;

/// What a logout message has to be. All of it is ours.
#[derive(Clone, Copy, Debug)]
pub struct ExpectedLogout<'a> {
    /// The entity id of the sender.
    pub issuer: &'a str,
    /// The address that it arrived at.
    pub destination: &'a str,
    /// How it arrived. By SOAP, nobody could have carried it elsewhere, and it need not say where it was sent to.
    pub binding: Binding,
    /// Now.
    pub now: Timestamp,
    /// By how much clocks may differ.
    pub skew: Duration,
}

impl<'a> ExpectedLogout<'a> {
    fn head(&self) -> ExpectedHead<'a> {
        let Self { issuer, destination, binding, now, skew } = *self;
        ExpectedHead { issuer: Some(issuer), destination, signed: binding != Binding::Soap, now, skew }
    }
}

/// A LogoutRequest that its sender vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedLogoutRequest {
    /// Id, time, destination, issuer.
    pub head: ReceivedHead,
    /// Whose sessions are to end.
    pub name_id: NameId,
    /// Which ones; all of theirs when there are none.
    pub session_indexes: Vec<String>,
}

impl ReceivedLogoutRequest {
    /// Reads a proven request and holds it against what is expected.
    ///
    /// # Errors
    /// Names the first thing that is wrong.
    pub fn read(
        xml: &Xml<'_>,
        decryption_keys: &[DecryptionKey],
        expected: &ExpectedLogout<'_>,
    ) -> Result<Self, MessageRefused> {
        let root = xml.root();
        let head = ReceivedHead::read(root, "LogoutRequest")?;
        head.check(&expected.head())?;
        if let Some(end) = root.attribute("NotOnOrAfter") {
            let end = instant::parse(end).ok_or(MessageRefused::Attribute("NotOnOrAfter"))?;
            if expected.now >= end.after(expected.skew) {
                return Err(MessageRefused::Expired);
            }
        }
        Ok(Self { head, name_id: name_id(root, decryption_keys)?, session_indexes: session_indexes(root)? })
    }
}

impl ReceivedLogoutRequest {
    /// The id of a proven request that this sender did send to just this address, whatever else is wrong with it: its time,
    /// or whom it names.
    pub fn id_if_sent_to_us(xml: &Xml<'_>, expected: &ExpectedLogout<'_>) -> Option<String> {
        let head = ReceivedHead::read(xml.root(), "LogoutRequest").ok()?;
        let at_its_time = ExpectedHead { now: head.issue_instant, ..expected.head() };
        head.check(&at_its_time).ok()?;
        Some(head.id)
    }
}

/// A LogoutResponse that its sender vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedLogoutResponse {
    /// Id, time, destination, issuer, and what it answers.
    pub head: ReceivedHead,
    /// How our request ended.
    pub status: ReceivedStatus,
}

impl ReceivedLogoutResponse {
    /// Reads a proven response and holds it against what is expected: that it answers `request`, too.
    ///
    /// # Errors
    /// Names the first thing that is wrong.
    pub fn read(xml: &Xml<'_>, request: &str, expected: &ExpectedLogout<'_>) -> Result<Self, MessageRefused> {
        let root = xml.root();
        let head = ReceivedHead::read(root, "LogoutResponse")?;
        head.check(&expected.head())?;
        if head.in_response_to.as_deref() != Some(request) {
            return Err(MessageRefused::InResponseTo);
        }
        Ok(Self { head, status: ReceivedStatus::read(root)? })
    }
}

/// Exactly one name, in the clear or encrypted to us.
fn name_id(request: Node<'_, '_>, decryption_keys: &[DecryptionKey]) -> Result<NameId, MessageRefused> {
    if request.maybe(SAML, "BaseID")?.is_some() {
        return Err(MessageRefused::NameId);
    }
    let read = |node| NameId::read(node).map_err(|_| MessageRefused::NameId);
    match (request.maybe(SAML, "NameID")?, request.maybe(SAML, "EncryptedID")?) {
        (Some(clear), None) => read(clear),
        (None, Some(encrypted)) => {
            let failed = |_| MessageRefused::Decryption;
            let opened = Decryptor::new(decryption_keys).open(encrypted).map_err(failed)?;
            let xml = opened.xml().map_err(failed)?;
            read(Opened::element(&xml, SAML, "NameID").map_err(failed)?)
        }
        (None, None) => Err(ShapeRefused::Missing("NameID").into()),
        (Some(_), Some(_)) => Err(ShapeRefused::Repeated("NameID").into()),
    }
}

/// The sessions that are named. One that cannot be read refuses the request: passed over, none would be left, and none
/// means all.
fn session_indexes(request: Node<'_, '_>) -> Result<Vec<String>, MessageRefused> {
    let mut indexes = Vec::new();
    for node in request.all(SAMLP, "SessionIndex") {
        let index = node.simple_text("SessionIndex")?;
        if index.trim().is_empty() || index.len() > LONGEST_INDEX || indexes.len() >= MOST_INDEXES {
            return Err(MessageRefused::Attribute("SessionIndex"));
        }
        indexes.push(index);
    }
    // Named, but not in the namespace of the protocol: it is not to be taken for all sessions.
    let misplaced =
        request.children().any(|node| node.local_name() == "SessionIndex" && !node.is(SAMLP, "SessionIndex"));
    if misplaced { Err(MessageRefused::Attribute("SessionIndex")) } else { Ok(indexes) }
}
