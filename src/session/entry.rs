//! The index part: what may be known of a session without the visitor's cookie.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::family::Family;
use crate::clock::Timestamp;
use crate::email::EmailAddress;
use crate::ids::{ProviderName, SessionHash};
use crate::portal::host::HostName;

/// What operators and sign-out by the provider may know of a session. Opened with the configured keys alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEntry {
    /// The session's name in the store and in logs. Not written: it is what the part is stored by and sealed for.
    #[serde(skip, default = "elsewhere")]
    pub hash: SessionHash,
    /// The identity provider that spoke for the person.
    pub provider: ProviderName,
    /// OpenID Connect `iss`, or the SAML entity id.
    pub issuer: String,
    /// OpenID Connect `sub`, or the SAML NameID.
    pub subject: String,
    /// The person's e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailAddress>,
    /// The provider's own session (`sid`, SessionIndex).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_session: Option<String>,
    /// Further sessions of the provider that it hangs on: SAML may name several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_provider_sessions: Vec<String>,
    /// The SAML NameID with its format and qualifiers ([`NameId::account_key`](crate::saml::name_id::NameId::account_key)):
    /// what a logout request names, whatever attribute names the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_id: Option<String>,
    /// The sessions of one browser at the portals of a group, where it is one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<Family>,
    /// The portal that the session is for.
    pub portal: HostName,
    /// When the person signed in.
    pub opened: Timestamp,
    /// When the session was last used, as far as it was written: up to a minute late.
    pub last_seen: Timestamp,
    /// The address that the person signed in from.
    pub client: IpAddr,
}

/// Stands for a hash until whoever reads the entry puts it in.
fn elsewhere() -> SessionHash {
    SessionHash::from_bytes([0; 32])
}

impl SessionEntry {
    /// The selectors that find this session; each becomes a blind tag in the store.
    pub(super) fn selectors(&self) -> impl Iterator<Item = Selector> {
        let by_session =
            self.provider_session.clone().map(|sid| Selector::ProviderSession { issuer: self.issuer.clone(), sid });
        let by_subject = Selector::Subject { issuer: self.issuer.clone(), subject: self.subject.clone() };
        let by_name_id = self.name_id.clone().map(|name_id| Selector::NameId { issuer: self.issuer.clone(), name_id });
        let by_family = self.family.clone().map(Selector::Family);
        std::iter::once(by_subject).chain(by_session).chain(by_name_id).chain(by_family)
    }

    /// All sessions of the provider that it hangs on.
    pub fn provider_sessions(&self) -> impl Iterator<Item = &str> {
        self.provider_session.iter().chain(&self.more_provider_sessions).map(String::as_str)
    }

    /// Whether `selector` means this session.
    pub fn matches(&self, selector: &Selector) -> bool {
        match selector {
            Selector::ProviderSession { issuer, sid } => {
                *issuer == self.issuer && Some(sid) == self.provider_session.as_ref()
            }
            Selector::Subject { issuer, subject } => *issuer == self.issuer && *subject == self.subject,
            Selector::NameId { issuer, name_id } => *issuer == self.issuer && Some(name_id) == self.name_id.as_ref(),
            Selector::Family(family) => Some(family) == self.family.as_ref(),
            Selector::Hash(hash) => *hash == self.hash,
        }
    }
}

/// Which sessions to end.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Selector {
    /// Those that hang on one session at the provider (OpenID Connect Back-Channel Logout `sid`, SAML SessionIndex).
    ProviderSession {
        /// OpenID Connect `iss`, or the SAML entity id.
        issuer: String,
        /// The provider's session.
        sid: String,
    },
    /// All sessions of one person.
    Subject {
        /// OpenID Connect `iss`, or the SAML entity id.
        issuer: String,
        /// OpenID Connect `sub`, or the SAML NameID.
        subject: String,
    },
    /// All sessions of one SAML NameID.
    NameId {
        /// The SAML entity id.
        issuer: String,
        /// The NameID with its format and qualifiers.
        name_id: String,
    },
    /// All sessions of one family.
    Family(Family),
    /// One session.
    Hash(SessionHash),
}

/// Sessions as the store tells them.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Those that could be read; not in order.
    pub sessions: Vec<SessionEntry>,
    /// How many more were met that no configured key opens.
    pub unreadable: usize,
}
