//! A map that strangers may fill: bounded in entries and in bytes, the oldest goes first, everything expires.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use crate::clock::Timestamp;

/// Keys with values that were put in at some time. Not a cache: reading does not renew.
pub(super) struct Bounded<K, V> {
    held: HashMap<K, Held<V>>,
    /// In the order of insertion; numbers tell an entry from a later one of the same key.
    order: VecDeque<(K, u64)>,
    next_number: u64,
    bytes: usize,
    max_entries: usize,
    max_bytes: usize,
    lifetime: Duration,
}

struct Held<V> {
    value: V,
    number: u64,
    bytes: usize,
    since: Timestamp,
}

impl<K: Hash + Eq + Clone, V> Bounded<K, V> {
    pub(super) fn new(max_entries: usize, max_bytes: usize, lifetime: Duration) -> Self {
        let (held, order) = (HashMap::new(), VecDeque::new());
        Self { held, order, next_number: 0, bytes: 0, max_entries, max_bytes, lifetime }
    }

    /// Puts `value` in, replacing one of that key, and hands out what had to leave.
    pub(super) fn insert(&mut self, key: K, value: V, bytes: usize, now: Timestamp) -> Vec<(K, V)> {
        let number = self.next_number;
        self.next_number = self.next_number.wrapping_add(1);
        let replaced = self.held.insert(key.clone(), Held { value, number, bytes, since: now });
        self.bytes = self.bytes.saturating_add(bytes).saturating_sub(replaced.map_or(0, |old| old.bytes));
        self.order.push_back((key, number));
        let mut gone = Vec::new();
        while self.held.len() > self.max_entries || self.bytes > self.max_bytes || self.oldest_is_over(now) {
            let Some((key, number)) = self.order.pop_front() else { break };
            if self.held.get(&key).is_some_and(|held| held.number == number) {
                gone.extend(self.remove(&key).map(|value| (key, value)));
            }
        }
        // Removed keys stay in the order until they reach its front: bound that too.
        if self.order.len() > self.max_entries.saturating_mul(2).saturating_add(16) {
            let held = &self.held;
            self.order.retain(|(key, number)| held.get(key).is_some_and(|held| held.number == *number));
        }
        gone
    }

    pub(super) fn get(&self, key: &K, now: Timestamp) -> Option<&V> {
        self.held.get(key).filter(|held| now.since(held.since) < self.lifetime).map(|held| &held.value)
    }

    pub(super) fn get_mut(&mut self, key: &K, now: Timestamp) -> Option<&mut V> {
        let lifetime = self.lifetime;
        self.held.get_mut(key).filter(|held| now.since(held.since) < lifetime).map(|held| &mut held.value)
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let held = self.held.remove(key)?;
        self.bytes = self.bytes.saturating_sub(held.bytes);
        Some(held.value)
    }

    /// What is held, the oldest first, with the time at which it was put in.
    pub(super) fn in_order(&self) -> impl Iterator<Item = (&K, &V, Timestamp)> {
        self.order.iter().filter_map(|(key, number)| {
            let held = self.held.get(key).filter(|held| held.number == *number)?;
            Some((key, &held.value, held.since))
        })
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    fn oldest_is_over(&self, now: Timestamp) -> bool {
        // A front that was removed or replaced is dropped on the way.
        self.order.front().is_some_and(|(key, number)| {
            let held = self.held.get(key).filter(|held| held.number == *number);
            held.is_none_or(|held| now.since(held.since) >= self.lifetime)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn c10_the_oldest_goes_first_by_count_and_by_size() {
        let mut map = Bounded::new(3, 100, Duration::from_secs(60));
        for key in 0..3 {
            assert!(map.insert(key, (), 10, at(0)).is_empty());
        }
        assert_eq!(map.insert(3, (), 10, at(0)), [(0, ())]);
        assert_eq!(map.insert(4, (), 85, at(0)), [(1, ()), (2, ())]);
        assert_eq!((map.len(), map.bytes), (2, 95));
    }

    #[test]
    fn expired_entries_are_invisible_and_leave() {
        let mut map = Bounded::new(10, 1000, Duration::from_secs(60));
        map.insert("a", (), 1, at(0));
        assert!(map.get(&"a", at(59)).is_some());
        assert!(map.get(&"a", at(60)).is_none() && map.get_mut(&"a", at(60)).is_none());
        assert_eq!(map.insert("b", (), 1, at(60)), [("a", ())]);
        assert_eq!(map.len(), 1);
    }

    #[test]
    fn replaced_and_removed_entries_leave_no_trace() {
        let mut map = Bounded::new(4, 1000, Duration::from_secs(60));
        for round in 0..1000 {
            map.insert(round % 2, round, 7, at(0));
            if round % 3 == 0 {
                map.remove(&(round % 2));
            }
        }
        assert!(map.order.len() <= 25, "{}", map.order.len());
        assert_eq!(map.bytes, map.len() * 7);
        assert_eq!(map.in_order().collect::<Vec<_>>(), [(&0, &998, at(0))]);
    }
}
