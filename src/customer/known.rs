//! Whom the directory has found in order, for brokers that open new sessions so often that it cannot be asked each time.

use std::sync::LazyLock;
use std::time::Duration;

use moka::sync::Cache;

use super::Customer;
use crate::clock::Timestamp;
use crate::ids::SessionHash;

/// Visitors who are remembered at most.
const VISITORS: u64 = 100_000;
/// Who asks for nothing for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(12 * 3600);

/// The customers of visitors, each by their session: who signs in again is looked at again.
pub(super) struct KnownCustomers {
    found: LazyLock<Cache<SessionHash, (Customer, Timestamp)>>,
    fresh_for: Duration,
}

impl KnownCustomers {
    /// Each is known for so long.
    pub fn for_so_long(fresh_for: Duration) -> Self {
        let cache = || Cache::builder().max_capacity(VISITORS).time_to_idle(FORGOTTEN).build();
        Self { found: LazyLock::new(cache), fresh_for }
    }

    /// The visitor's customer, found in order not long ago.
    pub fn fresh(&self, visitor: &SessionHash, now: Timestamp) -> Option<Customer> {
        let (customer, at) = self.found.get(visitor)?;
        (now.since(at) < self.fresh_for).then_some(customer)
    }

    /// The visitor's customer, however long ago.
    pub fn any(&self, visitor: &SessionHash) -> Option<Customer> {
        self.found.get(visitor).map(|(customer, _)| customer)
    }

    /// Remembers what the directory says now.
    pub fn learn(&self, visitor: &SessionHash, customer: &Customer, now: Timestamp) {
        self.found.insert(*visitor, (customer.clone(), now));
    }
}
