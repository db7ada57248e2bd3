//! Logouts that providers have told of lately (security case B57). A sign-in that was under way at that moment must not open,
//! afterwards, what the provider has ended already.
//!
//! In memory alone, as the sign-ins under way are: a restart ends both, and a handover hands over both.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use serde::{Deserialize, Serialize};

use super::entry::{Selector, SessionEntry};
use crate::clock::Timestamp;
use crate::ids::ProviderName;
use crate::portal::host::HostName;
use crate::sign_in::pending;

/// Longer than a sign-in may take, with the time to redeem what came of it.
const REMEMBERED: Duration = pending::LIFETIME.saturating_add(Duration::from_secs(5 * 60));
/// Selectors that are remembered at most. Nobody but a configured provider fills it, with what it has signed.
const MOST: u64 = 20_000;
/// Logouts by one selector that are remembered at most.
const MOST_OF_ONE: usize = 16;

/// Which of the sessions that its selectors find a logout means: those of which all is true that is said here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogoutScope {
    /// Its provider.
    pub provider: Option<ProviderName>,
    /// Its person, as the provider names them.
    pub subject: Option<String>,
    /// At one of these portals.
    pub portals: Option<Vec<HostName>>,
    /// It hangs on one of these sessions of the provider; on any, when there are none.
    pub provider_sessions: Vec<String>,
}

impl LogoutScope {
    /// All that the selectors find.
    pub fn all() -> Self {
        Self::default()
    }

    /// Whether the logout means this session.
    pub fn means(&self, session: &SessionEntry) -> bool {
        let Self { provider, subject, portals, provider_sessions } = self;
        provider.as_ref().is_none_or(|provider| *provider == session.provider)
            && subject.as_ref().is_none_or(|subject| *subject == session.subject)
            && portals.as_ref().is_none_or(|portals| portals.contains(&session.portal))
            && (provider_sessions.is_empty()
                || session.provider_sessions().any(|session| provider_sessions.iter().any(|one| one == session)))
    }
}

/// A logout that a provider has told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldLogout {
    pub(super) selectors: Vec<Selector>,
    pub(super) scope: LogoutScope,
    pub(super) at: Timestamp,
}

/// The logouts.
pub(super) struct RecentLogouts(Cache<Selector, Arc<Vec<Arc<ToldLogout>>>>);

impl Default for RecentLogouts {
    fn default() -> Self {
        let oldest_first = EvictionPolicy::lru();
        Self(Cache::builder().max_capacity(MOST).eviction_policy(oldest_first).time_to_live(REMEMBERED).build())
    }
}

impl RecentLogouts {
    /// A provider has told of this one. To be noted before sessions are looked for, so that one that is just being opened is
    /// found there or refused here.
    pub fn note(&self, logout: ToldLogout) {
        let logout = Arc::new(logout);
        for selector in &logout.selectors {
            self.0.entry_by_ref(selector).and_upsert_with(|before| {
                let mut told = before.map(|before| before.into_value().to_vec()).unwrap_or_default();
                if told.len() >= MOST_OF_ONE {
                    told.remove(0);
                }
                told.push(Arc::clone(&logout));
                Arc::new(told)
            });
        }
    }

    /// All of them, the oldest first.
    pub fn all(&self) -> Vec<ToldLogout> {
        let mut told: Vec<Arc<ToldLogout>> = self.0.iter().flat_map(|(_, told)| told.to_vec()).collect();
        // One that was told by several selectors is found by each.
        told.sort_by_key(|told| Arc::as_ptr(told).addr());
        told.dedup_by(|one, other| Arc::ptr_eq(one, other));
        let mut all: Vec<ToldLogout> = told.iter().map(|told| (**told).clone()).collect();
        all.sort_by_key(|told| told.at);
        all
    }

    /// Whether one of them, told since `begun`, means this session.
    pub fn mean(&self, session: &SessionEntry, begun: Timestamp) -> bool {
        let told = session.selectors().filter_map(|selector| self.0.get(&selector));
        told.into_iter().any(|told| told.iter().any(|told| told.at >= begun && told.scope.means(session)))
    }
}

impl fmt::Debug for RecentLogouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecentLogouts({})", self.0.entry_count())
    }
}
