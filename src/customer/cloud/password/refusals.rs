//! Tells a password that was changed from a site that refuses everybody: a fault there must not cost all customers the
//! passwords that they have given.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;

/// So many customers in a row, with nobody let in between...
const CUSTOMERS: usize = 5;
/// ... in this time are no coincidence.
const WINDOW: Duration = Duration::from_secs(600);
/// How long logins rest then.
const PAUSE: Duration = Duration::from_secs(60);

/// Whose kept passwords were refused since somebody was let in.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<BTreeMap<String, Timestamp>>);

impl Refusals {
    /// Notes that a kept password was refused. For how long logins rest, when it is not the password.
    pub fn note(&self, account: &str, now: Timestamp) -> Option<Duration> {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refused.retain(|_, at| now.since(*at) < WINDOW);
        if refused.len() >= CUSTOMERS && !refused.contains_key(account) {
            return Some(PAUSE);
        }
        refused.insert(account.to_owned(), now);
        None
    }

    /// Somebody was let in.
    pub fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000);

    #[test]
    fn a_few_changed_passwords_are_no_fault_and_many_in_a_row_are() {
        let refusals = Refusals::default();
        for n in 0..CUSTOMERS {
            assert_eq!(refusals.note(&n.to_string(), NOW), None);
        }
        assert_eq!(refusals.note("another", NOW), Some(PAUSE));
        refusals.forget();
        assert_eq!(refusals.note("another", NOW), None, "somebody was let in");
        for n in 0..100 {
            let now = NOW.after(WINDOW.saturating_mul(n));
            assert_eq!(refusals.note(&n.to_string(), now), None, "one now and then");
        }
    }
}
