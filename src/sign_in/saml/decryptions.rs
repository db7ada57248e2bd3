//! Counts what did not decrypt. Whoever tries altered cipher texts of AES-CBC out to learn what they hold needs thousands of
//! tries (security case A64), and gets a handful a minute. Most of that counts by address, so that nobody can stop the
//! sign-ins of others so easily.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::sync::Cache;

use crate::clock::Timestamp;
use crate::limits::attempts::of_one_visitor;

/// Failures within [`WINDOW`] after which nothing unsigned from that address is decrypted.
const MOST_OF_ONE: u32 = 5;
/// Failures within [`WINDOW`] after which nothing unsigned is decrypted, whoever sends it.
const MOST: u32 = 300;
/// The time in which failures are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered. Within the window there cannot be more of them that have failed.
const REMEMBERED: u64 = 1024;

/// The failures of one provider.
pub(super) struct FailedDecryptions {
    all: Mutex<Option<Counted>>,
    by_address: Cache<Option<IpAddr>, Counted>,
}

#[derive(Clone, Copy, Debug)]
struct Counted {
    since: Timestamp,
    failures: u32,
}

impl Default for FailedDecryptions {
    fn default() -> Self {
        Self { all: Mutex::default(), by_address: Cache::new(REMEMBERED) }
    }
}

impl FailedDecryptions {
    /// Whether what is not signed and comes from `client` may be decrypted now. Those whose address is not known share one.
    pub(super) fn may_try(&self, client: Option<IpAddr>, now: Timestamp) -> bool {
        let theirs = self.by_address.get(&client.map(of_one_visitor));
        Counted::within(theirs, now).failures < MOST_OF_ONE && Counted::within(*self.lock(), now).failures < MOST
    }

    /// Counts a failure.
    pub(super) fn failed(&self, client: Option<IpAddr>, now: Timestamp) {
        let one_more = |before| Counted::within(before, now).and_one();
        let entry = self.by_address.entry(client.map(of_one_visitor));
        entry.and_upsert_with(|before| one_more(before.map(moka::Entry::into_value)));
        let mut all = self.lock();
        *all = Some(one_more(*all));
    }

    fn lock(&self) -> MutexGuard<'_, Option<Counted>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    /// What counts of `before`.
    fn within(before: Option<Self>, now: Timestamp) -> Self {
        before.filter(|counted| now.since(counted.since) < WINDOW).unwrap_or(Self { since: now, failures: 0 })
    }

    fn and_one(self) -> Self {
        Self { failures: self.failures.saturating_add(1), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(n: u32) -> Option<IpAddr> {
        Some(IpAddr::from(n.to_be_bytes()))
    }

    #[test]
    fn a64_failures_pause_decryption_for_the_rest_of_a_minute() {
        let (failed, at) = (FailedDecryptions::default(), Timestamp::from_seconds);
        for _ in 0..MOST_OF_ONE {
            assert!(failed.may_try(client(1), at(10)));
            failed.failed(client(1), at(10));
        }
        assert!(!failed.may_try(client(1), at(10)) && !failed.may_try(client(1), at(69)));
        assert!(failed.may_try(client(2), at(69)) && failed.may_try(None, at(69)), "others are not held up");
        assert!(failed.may_try(client(1), at(70)));
        failed.failed(client(1), at(70));
        assert!(failed.may_try(client(1), at(71)), "the count begins anew");
    }

    #[test]
    fn a64_many_addresses_are_paused_together() {
        let (failed, at) = (FailedDecryptions::default(), Timestamp::from_seconds);
        for n in 0..MOST {
            assert!(failed.may_try(client(n), at(10)), "{n}");
            failed.failed(client(n), at(10));
        }
        assert!(!failed.may_try(client(MOST), at(69)));
        assert!(failed.may_try(client(MOST), at(70)));
    }

    #[test]
    fn a64_one_visitor_has_a_whole_64_of_ipv6() {
        let (failed, at) = (FailedDecryptions::default(), Timestamp::from_seconds(10));
        for n in 0..MOST_OF_ONE {
            failed.failed(format!("2001:db8::{n}").parse().ok(), at);
        }
        assert!(!failed.may_try("2001:db8::ffff".parse().ok(), at));
        assert!(failed.may_try("2001:db8:0:1::1".parse().ok(), at));
    }
}
