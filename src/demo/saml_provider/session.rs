//! Who is signed in at the provider, and at which service providers by it.

use std::time::Duration;

use http::{HeaderMap, header};

use super::SamlProvider;
use crate::clock::Timestamp;
use crate::saml::name_id::NameId;

/// How long a person stays signed in at the provider.
pub(super) const LIFETIME: Duration = Duration::from_secs(12 * 3600);
const COOKIE: &str = "saml_provider_session";

/// Somebody who is signed in at the provider. Its key is the cookie's value.
#[derive(Clone, Debug)]
pub(super) struct ProviderSession {
    pub(super) subject: String,
    pub(super) authn_instant: Timestamp,
    /// The SessionIndex.
    pub(super) index: String,
    /// Where they were signed in by this session.
    pub(super) participants: Vec<Participant>,
}

/// A service provider that knows somebody by a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Participant {
    pub(super) entity_id: String,
    pub(super) name_id: NameId,
    pub(super) index: String,
}

impl SamlProvider {
    /// The session of the browser that asks.
    pub(super) fn session(&self, headers: &HeaderMap) -> Option<ProviderSession> {
        let cookie = cookie(headers)?;
        self.state().sessions.get(&cookie, self.now()).cloned()
    }

    /// Ends the browser's session, and tells whose it was.
    pub(super) fn end_session(&self, headers: &HeaderMap) -> Option<ProviderSession> {
        let cookie = cookie(headers)?;
        let now = self.now();
        self.state().sessions.take(&cookie, now)
    }

    /// Ends the sessions that a service provider names: by the name it was given, and by index where it names any.
    pub(super) fn end_named(&self, entity_id: &str, name_id: &NameId, indexes: &[String]) -> Vec<ProviderSession> {
        let named = |session: &ProviderSession| {
            session.participants.iter().any(|participant| {
                let index = indexes.is_empty() || indexes.contains(&participant.index);
                participant.entity_id == entity_id && participant.name_id == *name_id && index
            })
        };
        let mut ended = Vec::new();
        self.state().sessions.retain(|session| {
            let ends = named(session);
            if ends {
                ended.push(session.clone());
            }
            !ends
        });
        ended
    }
}

/// The cookie of a session, to be set. `secure` where the provider is served by TLS.
pub(super) fn set_cookie(value: &str, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Lax{secure}")
}

/// The value of the session cookie.
pub(super) fn cookie(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value.to_owned())
}
