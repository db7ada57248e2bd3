//! What the provider is told at sign-out, so that it knows whose session ends.

use serde::{Deserialize, Serialize};

use crate::saml::name_id::NameId;
use crate::secret::Secret;

/// What the provider is told at sign-out.
#[derive(Clone, Debug)]
pub enum SignOutHint {
    /// The ID token: `id_token_hint` (RP-Initiated Logout 1.0).
    IdToken(Secret),
    /// What a LogoutRequest names (SAML Core 3.7.1).
    Saml(SamlSession),
}

/// A session at a SAML identity provider, in its own words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SamlSession {
    /// Who, letter by letter.
    pub name_id: NameId,
    /// Which of their sessions; none when the provider did not say.
    pub session_indexes: Vec<String>,
}

impl SignOutHint {
    /// The NameID with its format and qualifiers, as one text.
    pub fn name_id(&self) -> Option<String> {
        match self {
            Self::IdToken(_) => None,
            Self::Saml(session) => Some(session.name_id.account_key()),
        }
    }
}
