//! How often what happened, and how much at once, for tests that must know that something happened exactly once.

use std::collections::BTreeMap;

use super::JsmCloud;

/// Counts since the start.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) customers_created: BTreeMap<String, u64>,
    pub(super) logins: BTreeMap<String, u64>,
    pub(super) calls: BTreeMap<(String, &'static str), u64>,
    pub(super) limited: u64,
    at_once: usize,
    most_at_once: usize,
}

/// One more of that kind.
pub(super) fn count<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K) {
    let so_far = counts.entry(key).or_default();
    *so_far = so_far.saturating_add(1);
}

/// One call by an API token, from its beginning to its end.
pub(super) struct UnderWay(JsmCloud);

impl UnderWay {
    pub(super) fn begin(jsm: &JsmCloud) -> Self {
        let counters = &mut jsm.state().counters;
        counters.at_once = counters.at_once.saturating_add(1);
        counters.most_at_once = counters.most_at_once.max(counters.at_once);
        Self(jsm.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let counters = &mut self.0.state().counters;
        counters.at_once = counters.at_once.saturating_sub(1);
    }
}

impl JsmCloud {
    /// How many customer accounts were created for that e-mail address.
    pub fn customers_created(&self, email: &str) -> u64 {
        self.state().counters.customers_created.get(&email.to_lowercase()).copied().unwrap_or(0)
    }

    /// How often that person signed in, by whatever way.
    pub fn logins(&self, email: &str) -> u64 {
        self.state().counters.logins.get(&email.to_lowercase()).copied().unwrap_or(0)
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

    /// How many calls were answered 429.
    pub fn limited_calls(&self) -> u64 {
        self.state().counters.limited
    }

    /// How many calls by API tokens were under way at once, at the most.
    pub fn most_at_once(&self) -> usize {
        self.state().counters.most_at_once
    }
}
