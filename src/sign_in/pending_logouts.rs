//! Logouts that providers were asked for and have not answered: bounded, and tied to the browser that went there. Only what
//! the page after signing out says hangs on them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::bounded::Bounded;
use super::browser::{BrowserHash, sha256};
use crate::clock::Timestamp;
use crate::ids::ProviderName;
use crate::portal::HostName;

/// How long a provider may take.
pub const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// How many are held at once.
const MOST: usize = 50_000;
/// Octets that they may take, as far as they differ in size.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// Who went where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PendingLogout {
    pub(super) provider: ProviderName,
    pub(super) portal: HostName,
    pub(super) browser: BrowserHash,
}

/// All of them, by the hash of the request's id.
pub(super) struct PendingLogouts(Mutex<Bounded<[u8; 32], PendingLogout>>);

impl Default for PendingLogouts {
    fn default() -> Self {
        Self(Mutex::new(Bounded::new(MOST, MOST_BYTES, LIFETIME)))
    }
}

impl PendingLogouts {
    /// Waits for the answer to `request`.
    pub(super) fn hold(&self, request: &str, pending: PendingLogout, now: Timestamp) {
        let bytes = pending.provider.as_str().len().saturating_add(pending.portal.as_str().len());
        self.table().insert(sha256(request), pending, bytes, now);
    }

    /// Whether just this was waited for. It is waited for no more then.
    pub(super) fn take(&self, request: &str, came: &PendingLogout, now: Timestamp) -> bool {
        let mut table = self.table();
        let key = sha256(request);
        let found = table.get(&key, now).is_some_and(|pending| pending == came);
        found && table.remove(&key).is_some()
    }

    fn table(&self) -> MutexGuard<'_, Bounded<[u8; 32], PendingLogout>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::browser::BrowserKey;
    use super::*;
    use crate::random::Random;

    #[test]
    fn a70_an_answer_is_taken_once_from_the_browser_that_went_there() {
        let (logouts, now) = (PendingLogouts::default(), Timestamp::from_seconds(1_000));
        let browser = || BrowserKey::generate(&Random::default()).unwrap().hash();
        let pending = PendingLogout {
            provider: ProviderName::parse("acme").unwrap(),
            portal: HostName::parse("support.acme.com").unwrap(),
            browser: browser(),
        };
        logouts.hold("_1", pending.clone(), now);
        let other_browser = PendingLogout { browser: browser(), ..pending.clone() };
        let other_portal = PendingLogout { portal: HostName::parse("other.acme.com").unwrap(), ..pending.clone() };
        let other_provider = PendingLogout { provider: ProviderName::parse("globex").unwrap(), ..pending.clone() };
        for came in [other_browser, other_portal, other_provider] {
            assert!(!logouts.take("_1", &came, now));
        }
        assert!(!logouts.take("_2", &pending, now));
        assert!(logouts.take("_1", &pending, now));
        assert!(!logouts.take("_1", &pending, now), "the second time there is nothing");
        logouts.hold("_1", pending.clone(), now);
        assert!(!logouts.take("_1", &pending, now.after(LIFETIME)));
    }
}
