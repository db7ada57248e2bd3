//! Counts what did not decrypt. Whoever tries cipher texts out to learn what they hold needs thousands of tries (security
//! case A64), and gets a handful a minute.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;

/// Failures within [`WINDOW`] after which nothing unsigned is decrypted.
const MOST: u32 = 30;
/// The time in which failures are counted.
const WINDOW: Duration = Duration::from_secs(60);

/// The failures of one provider.
#[derive(Debug, Default)]
pub(super) struct FailedDecryptions(Mutex<Option<Counted>>);

#[derive(Clone, Copy, Debug)]
struct Counted {
    since: Timestamp,
    failures: u32,
}

impl FailedDecryptions {
    /// Whether what is not signed may be decrypted now.
    pub(super) fn may_try(&self, now: Timestamp) -> bool {
        self.current(now).is_none_or(|counted| counted.failures < MOST)
    }

    /// Counts a failure.
    pub(super) fn failed(&self, now: Timestamp) {
        let counted = self.current(now).unwrap_or(Counted { since: now, failures: 0 });
        *self.lock() = Some(Counted { failures: counted.failures.saturating_add(1), ..counted });
    }

    fn current(&self, now: Timestamp) -> Option<Counted> {
        self.lock().filter(|counted| now.since(counted.since) < WINDOW)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Counted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a64_failures_pause_decryption_for_the_rest_of_a_minute() {
        let (failed, at) = (FailedDecryptions::default(), Timestamp::from_seconds);
        for _ in 0..MOST {
            assert!(failed.may_try(at(10)));
            failed.failed(at(10));
        }
        assert!(!failed.may_try(at(10)) && !failed.may_try(at(69)));
        assert!(failed.may_try(at(70)));
        failed.failed(at(70));
        assert!(failed.may_try(at(71)), "the count begins anew");
    }
}
