//! What is written of a session: the plain content of the two sealed parts, as JSON. What is absent is not written: octets
//! decide how many sessions lie on a page.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::customer_session::{CustomerSession, CustomerSessionText};
use super::entry::SessionEntry;
use super::family::Family;
use super::sealed::NotSealed;
use crate::clock::Timestamp;
use crate::ids::SessionHash;
use crate::portal::host::HostName;
use crate::secret::Secret;
use crate::sign_in::{SamlSession, SignOutHint, VerifiedIdentity};

/// The secrets of a session, which only its cookie opens.
pub(super) struct Record {
    pub identity: VerifiedIdentity,
    pub hint: Option<SignOutHint>,
    pub portal: HostName,
    pub client: IpAddr,
    pub opened: Timestamp,
    pub family: Option<Family>,
    pub customer_session: Option<CustomerSession>,
}

#[derive(Serialize)]
struct RecordText<'a> {
    identity: &'a VerifiedIdentity,
    #[serde(flatten)]
    hint: HintText<'a>,
    portal: &'a HostName,
    client: IpAddr,
    opened: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    family: Option<&'a Family>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_session: Option<CustomerSessionText<'a>>,
}

#[derive(Deserialize)]
struct ReadRecord {
    identity: VerifiedIdentity,
    #[serde(flatten)]
    hint: HintText<'static>,
    portal: HostName,
    client: IpAddr,
    opened: Timestamp,
    #[serde(default)]
    family: Option<Family>,
    #[serde(default)]
    customer_session: Option<CustomerSessionText<'static>>,
}

/// What the provider is told at sign-out, in the form in which it is written: one of both, or none.
#[derive(Default, Serialize, Deserialize)]
struct HintText<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id_token: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    saml: Option<Cow<'a, SamlSession>>,
}

impl<'a> HintText<'a> {
    fn of(hint: Option<&'a SignOutHint>) -> Self {
        match hint {
            Some(SignOutHint::IdToken(token)) => Self { id_token: Some(token.reveal().into()), saml: None },
            Some(SignOutHint::Saml(session)) => Self { id_token: None, saml: Some(Cow::Borrowed(session)) },
            None => Self::default(),
        }
    }

    fn into_hint(self) -> Option<SignOutHint> {
        let token = self.id_token.map(|token| SignOutHint::IdToken(Secret::generated(token)));
        token.or(self.saml.map(|session| SignOutHint::Saml(session.into_owned())))
    }
}

/// A session's lasting parts, to be written together with a customer session.
pub(super) struct RecordParts<'a> {
    pub identity: &'a VerifiedIdentity,
    pub hint: Option<&'a SignOutHint>,
    pub portal: &'a HostName,
    pub client: IpAddr,
    pub opened: Timestamp,
    pub family: Option<&'a Family>,
}

impl RecordParts<'_> {
    /// The plain bytes to seal. Wiped when dropped.
    pub fn plain(&self, customer_session: Option<&CustomerSession>) -> Result<Zeroizing<Vec<u8>>, NotSealed> {
        plain(&RecordText {
            identity: self.identity,
            hint: HintText::of(self.hint),
            portal: self.portal,
            client: self.client,
            opened: self.opened,
            family: self.family,
            customer_session: customer_session.map(CustomerSession::text),
        })
    }
}

impl Record {
    /// Reads what [`RecordParts::plain`] wrote.
    pub fn read(plain: &[u8]) -> Option<Self> {
        let read: ReadRecord = serde_json::from_slice(plain).ok()?;
        Some(Self {
            identity: read.identity,
            hint: read.hint.into_hint(),
            portal: read.portal,
            client: read.client,
            opened: read.opened,
            family: read.family,
            customer_session: read.customer_session.map(CustomerSession::from_text),
        })
    }
}

impl SessionEntry {
    /// The plain bytes to seal.
    pub(super) fn plain(&self) -> Result<Zeroizing<Vec<u8>>, NotSealed> {
        plain(self)
    }

    /// Reads what [`SessionEntry::plain`] wrote of the session with that hash.
    pub(super) fn read(plain: &[u8], hash: &SessionHash) -> Option<Self> {
        let read: Self = serde_json::from_slice(plain).ok()?;
        Some(Self { hash: *hash, ..read })
    }
}

fn plain(value: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, NotSealed> {
    let mut plain = Zeroizing::new(Vec::with_capacity(4096)); // one buffer: growing would leave copies behind
    serde_json::to_writer(&mut *plain, value).map_err(|_| NotSealed::NoJson)?;
    Ok(plain)
}
