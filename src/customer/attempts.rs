//! What became of the latest attempts for one visitor, so that a page with fifty parts does not try fifty times, and
//! so that a session which dies at once is not opened for ever.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::sync::Cache;

use super::CustomerFailed;
use crate::clock::Timestamp;
use crate::ids::SessionHash;

/// Visitors whose attempts are remembered at most.
const VISITORS: u64 = 100_000;
/// Longer than any pause and [`WINDOW`].
const REMEMBERED: Duration = Duration::from_secs(600);
/// No more than this many are opened for one visitor...
const OPENINGS: usize = 6;
/// ... in this time.
const WINDOW: Duration = Duration::from_secs(60);
/// No more than this many passwords and mails are asked about for one visitor in that time.
const CLAIMS: usize = 10;

/// The attempts of all visitors. Room for them is made for the first: most portals of many have none for long.
#[derive(Debug)]
pub(super) struct AllAttempts(LazyLock<Cache<SessionHash, Arc<Attempts>>>);

/// The attempts for one visitor.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<Past>);

#[derive(Debug, Default)]
struct Past {
    failures: u64,
    failed: Option<(CustomerFailed, Timestamp)>,
    opened: VecDeque<Timestamp>,
    claims: VecDeque<Timestamp>,
}

/// How many attempts had failed when somebody began to wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Since(u64);

impl Default for AllAttempts {
    fn default() -> Self {
        Self(LazyLock::new(|| Cache::builder().max_capacity(VISITORS).time_to_idle(REMEMBERED).build()))
    }
}

impl AllAttempts {
    pub fn of(&self, visitor: &SessionHash) -> Arc<Attempts> {
        self.0.get_with(*visitor, Arc::default)
    }
}

impl Attempts {
    pub fn since(&self) -> Since {
        Since(self.past().failures)
    }

    /// Why there should be no attempt now: one has failed since then, or not long ago, or too many were made.
    pub fn objection(&self, since: Since, now: Timestamp) -> Option<CustomerFailed> {
        let mut past = self.past();
        if let Some((failed, until)) = &past.failed
            && (past.failures > since.0 || now < *until)
        {
            return Some(failed.clone());
        }
        while past.opened.front().is_some_and(|at| now.since(*at) > WINDOW) {
            past.opened.pop_front();
        }
        (past.opened.len() >= OPENINGS).then_some(CustomerFailed::KeepsDying)
    }

    pub fn failed(&self, failure: &CustomerFailed, now: Timestamp) {
        let mut past = self.past();
        past.failures = past.failures.saturating_add(1);
        past.failed = Some((failure.clone(), now.after(failure.pause())));
    }

    pub fn opened(&self, now: Timestamp) {
        let mut past = self.past();
        past.failed = None;
        past.opened.push_back(now);
    }

    /// Notes that the visitor gives a password or asks for a mail.
    ///
    /// # Errors
    /// From when on they may, when not now.
    pub fn claimed(&self, now: Timestamp) -> Result<(), Timestamp> {
        let mut past = self.past();
        while past.claims.front().is_some_and(|at| now.since(*at) > WINDOW) {
            past.claims.pop_front();
        }
        match past.claims.front().filter(|_| past.claims.len() >= CLAIMS) {
            Some(first) => Err(first.after(WINDOW)),
            None => {
                past.claims.push_back(now);
                Ok(())
            }
        }
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BrokerFailed, UpstreamFailed};
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000);

    fn timed_out() -> CustomerFailed {
        CustomerFailed::Broker(BrokerFailed::Upstream(UpstreamFailed::TimedOut))
    }

    #[test]
    fn who_waited_shares_the_failure_and_who_comes_later_tries_again() {
        let attempts = Attempts::default();
        let waited = attempts.since();
        assert_eq!(attempts.objection(waited, NOW), None);
        attempts.failed(&timed_out(), NOW);
        let much_later = NOW.after(Duration::from_secs(30));
        assert_eq!(attempts.objection(waited, much_later), Some(timed_out()));
        assert_eq!(attempts.objection(attempts.since(), NOW), Some(timed_out()));
        assert_eq!(attempts.objection(attempts.since(), much_later), None);
    }

    #[test]
    fn what_dies_at_once_is_not_opened_for_ever() {
        let attempts = Attempts::default();
        for _ in 0..OPENINGS {
            assert_eq!(attempts.objection(attempts.since(), NOW), None);
            attempts.opened(NOW);
        }
        assert_eq!(attempts.objection(attempts.since(), NOW), Some(CustomerFailed::KeepsDying));
        assert_eq!(attempts.objection(attempts.since(), NOW.after(WINDOW * 2)), None);
    }

    #[test]
    fn nobody_tries_passwords_without_end() {
        let attempts = Attempts::default();
        for _ in 0..CLAIMS {
            assert_eq!(attempts.claimed(NOW), Ok(()));
        }
        assert_eq!(attempts.claimed(NOW), Err(NOW.after(WINDOW)));
        assert_eq!(attempts.claimed(NOW.after(WINDOW * 2)), Ok(()));
    }
}
