//! Things that are kept for a while: pending requests, codes, tokens, assertion ids.

use std::collections::HashMap;

use crate::clock::Timestamp;

/// Values by key, each with its end. What has ended is not found, and is swept away now and then.
pub(super) struct Expiring<T> {
    values: HashMap<String, (Timestamp, T)>,
    sweep_at: usize,
}

impl<T> Default for Expiring<T> {
    fn default() -> Self {
        Self { values: HashMap::new(), sweep_at: 1024 }
    }
}

impl<T> Expiring<T> {
    /// Keeps `value` until `end`. False when the key is taken.
    pub(super) fn insert(&mut self, key: String, value: T, end: Timestamp, now: Timestamp) -> bool {
        if self.get(&key, now).is_some() {
            return false;
        }
        if self.values.len() >= self.sweep_at {
            self.values.retain(|_, (end, _)| *end > now);
            self.sweep_at = self.values.len().saturating_mul(2).max(1024);
        }
        self.values.insert(key, (end, value));
        true
    }

    pub(super) fn get(&self, key: &str, now: Timestamp) -> Option<&T> {
        self.values.get(key).filter(|(end, _)| *end > now).map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, key: &str, now: Timestamp) -> Option<&mut T> {
        self.values.get_mut(key).filter(|(end, _)| *end > now).map(|(_, value)| value)
    }

    pub(super) fn take(&mut self, key: &str, now: Timestamp) -> Option<T> {
        self.values.remove(key).filter(|(end, _)| *end > now).map(|(_, value)| value)
    }

    /// All that have not ended.
    pub(super) fn live_mut(&mut self, now: Timestamp) -> impl Iterator<Item = &mut T> {
        self.values.values_mut().filter(move |(end, _)| *end > now).map(|(_, value)| value)
    }

    /// How many have not ended.
    pub(super) fn count(&self, now: Timestamp) -> usize {
        self.values.values().filter(|(end, _)| *end > now).count()
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.values.retain(|_, (_, value)| keep(value));
    }
}
