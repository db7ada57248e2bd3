//! How often what happened, for tests that must know that something happened exactly once.

use std::collections::BTreeMap;

use super::JsmDataCenter;

/// Counts since the start.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) customers_created: BTreeMap<String, u64>,
    pub(super) password_sets: BTreeMap<String, u64>,
    pub(super) logins: BTreeMap<String, u64>,
    pub(super) calls: BTreeMap<(String, &'static str), u64>,
}

/// One more of that kind.
pub(super) fn count<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K) {
    let so_far = counts.entry(key).or_default();
    *so_far = so_far.saturating_add(1);
}

impl JsmDataCenter {
    /// How many customer accounts were created for that e-mail address.
    pub fn customers_created(&self, email: &str) -> u64 {
        self.state().counters.customers_created.get(&email.to_lowercase()).copied().unwrap_or(0)
    }

    /// How often an administrator set that person's password.
    pub fn password_sets(&self, username: &str) -> u64 {
        self.state().counters.password_sets.get(&username.to_lowercase()).copied().unwrap_or(0)
    }

    /// How often that person signed in with a password, by whatever way.
    pub fn logins(&self, username: &str) -> u64 {
        self.state().counters.logins.get(&username.to_lowercase()).copied().unwrap_or(0)
    }

    /// How many calls came by that method to that route, such as `/rest/servicedeskapi/request/{key}`.
    pub fn calls(&self, method: &str, route: &str) -> u64 {
        let state = self.state();
        state.counters.calls.iter().filter(|((m, r), _)| m == method && *r == route).map(|(_, count)| *count).sum()
    }

    /// How many calls came in all.
    pub fn all_calls(&self) -> u64 {
        self.state().counters.calls.values().fold(0, |sum, count| sum.saturating_add(*count))
    }
}
