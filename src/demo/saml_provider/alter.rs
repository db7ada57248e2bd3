//! What tests change in what the provider says.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::saml::name_id::NameId;
use crate::saml::response::{Attribute, Signed};

/// What a response says. Each is what it should be, until a test changes it.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the words of SAML")]
pub struct ResponseParts {
    pub response_id: String,
    pub assertion_id: String,
    pub issue_instant: Timestamp,
    pub issuer: String,
    pub audience: String,
    /// Destination and Recipient.
    pub acs: String,
    pub in_response_to: Option<String>,
    pub lifetime: Duration,
    pub name_id: NameId,
    pub authn_instant: Timestamp,
    pub authn_context: String,
    pub session_index: Option<String>,
    pub session_not_on_or_after: Option<Timestamp>,
    pub attributes: Vec<Attribute>,
    pub signed: Signed,
    /// Whether the assertion is encrypted, when there is a key for it.
    pub encrypted: bool,
}

type AlterParts = Box<dyn FnOnce(&mut ResponseParts) + Send>;
type AlterText = Box<dyn FnOnce(String) -> String + Send>;

/// The changes that wait for their message.
#[derive(Default)]
pub(super) struct Alterations {
    pub(super) parts: VecDeque<AlterParts>,
    pub(super) text: VecDeque<AlterText>,
}
