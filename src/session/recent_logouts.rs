//! Logouts that providers have told of lately (security case B57). A sign-in that was under way at that moment must not open,
//! afterwards, what the provider has ended already.
//!
//! In memory alone, as the sign-ins under way are: a restart ends both.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::entry::{Selector, SessionEntry};
use crate::clock::Timestamp;
use crate::sign_in::pending;

/// Longer than a sign-in may take, with the time to redeem what came of it.
const REMEMBERED: Duration = pending::LIFETIME.saturating_add(Duration::from_secs(5 * 60));
/// Selectors that are remembered at most. Nobody but a configured provider fills it, with what it has signed.
const MOST: u64 = 20_000;
/// Logouts by one selector that are remembered at most.
const MOST_OF_ONE: usize = 16;

/// Whether a session is one of those that a logout means.
pub(super) type Meant = Arc<dyn Fn(&SessionEntry) -> bool + Send + Sync>;

/// The logouts.
pub(super) struct RecentLogouts(Cache<Selector, Arc<Vec<Told>>>);

#[derive(Clone)]
struct Told {
    at: Timestamp,
    meant: Meant,
}

impl Default for RecentLogouts {
    fn default() -> Self {
        let oldest_first = EvictionPolicy::lru();
        Self(Cache::builder().max_capacity(MOST).eviction_policy(oldest_first).time_to_live(REMEMBERED).build())
    }
}

impl RecentLogouts {
    /// A provider has told of this one. To be noted before sessions are looked for, so that one that is just being opened is
    /// found there or refused here.
    pub fn note(&self, selectors: &[Selector], meant: &Meant, at: Timestamp) {
        for selector in selectors {
            self.0.entry_by_ref(selector).and_upsert_with(|before| {
                let mut told = before.map(|before| before.into_value().to_vec()).unwrap_or_default();
                if told.len() >= MOST_OF_ONE {
                    told.remove(0);
                }
                told.push(Told { at, meant: Arc::clone(meant) });
                Arc::new(told)
            });
        }
    }

    /// Whether one of them, told since `begun`, means this session.
    pub fn mean(&self, session: &SessionEntry, begun: Timestamp) -> bool {
        let told = session.selectors().filter_map(|selector| self.0.get(&selector));
        told.into_iter().any(|told| told.iter().any(|told| told.at >= begun && (told.meant)(session)))
    }
}

impl fmt::Debug for RecentLogouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecentLogouts({})", self.0.entry_count())
    }
}
