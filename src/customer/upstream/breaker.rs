//! Stops calling a site that does not answer: calls that fail at once cost less than calls that time out, for the site
//! and for those who wait. After a rest one call is let through to see.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So many calls in a row have to fail before calls rest.
const FAILURES: u32 = 10;
/// How long they rest at first; doubles.
const FIRST_REST: Duration = Duration::from_secs(1);
/// How long they rest at most.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// Whether calls may be made now.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    rests: u32,
    until: Option<Instant>,
}

/// The leave to make one call. Dropped without a word, it counts as neither.
#[derive(Debug)]
pub(super) struct Leave<'a> {
    breaker: &'a Breaker,
    /// The rests that there had been when it was given: what was under way when a rest began says nothing of its end.
    rests: u32,
}

impl Breaker {
    /// Lets a call be made, or tells how long calls rest.
    pub fn admit(&self, now: Instant) -> Result<Leave<'_>, Duration> {
        let mut state = self.state();
        match state.until {
            Some(until) if now < until => return Err(until.saturating_duration_since(now)),
            // One sees, the others wait for how it goes.
            Some(_) => state.until = now.checked_add(FIRST_REST),
            None => {}
        }
        Ok(Leave { breaker: self, rests: state.rests })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leave<'_> {
    /// There was an answer, whatever it says.
    pub fn answered(self) {
        let mut state = self.breaker.state();
        if state.until.is_some() {
            tracing::info!("the upstream answers calls again");
        }
        *state = State::default();
    }

    /// There was none, or one that says that the site is broken.
    pub fn failed(self, now: Instant) {
        let mut state = self.breaker.state();
        if state.rests != self.rests {
            return;
        }
        state.failures = state.failures.saturating_add(1);
        if state.failures >= FAILURES {
            let rest = FIRST_REST.saturating_mul(2_u32.saturating_pow(state.rests)).min(LONGEST_REST);
            if state.rests == 0 {
                tracing::warn!("the upstream answers no calls: they rest, and one now and then is made to see");
            }
            state.rests = state.rests.saturating_add(1);
            state.until = now.checked_add(rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::deadline;

    fn later(seconds: u64) -> Instant {
        deadline(Duration::from_secs(1_000_000)) + Duration::from_secs(seconds)
    }

    #[test]
    fn calls_rest_after_many_failures_and_one_sees_whether_it_is_over() {
        let (breaker, start) = (Breaker::default(), later(0));
        let after = |seconds| start + Duration::from_secs(seconds);
        for _ in 0..FAILURES {
            breaker.admit(start).unwrap().failed(start);
        }
        assert_eq!(breaker.admit(start).unwrap_err(), FIRST_REST);
        let seeing = breaker.admit(after(1)).unwrap();
        assert!(breaker.admit(after(1)).is_err(), "one sees, the others wait");
        seeing.failed(after(1));
        assert!(breaker.admit(after(2)).is_err(), "the second rest is longer");
        breaker.admit(after(3)).unwrap().answered();
        breaker.admit(after(3)).unwrap().answered();
    }

    #[test]
    fn an_answer_now_and_then_is_enough() {
        let (breaker, now) = (Breaker::default(), later(0));
        for _ in 0..100 {
            for _ in 1..FAILURES {
                breaker.admit(now).unwrap().failed(now);
            }
            breaker.admit(now).unwrap().answered();
        }
    }

    #[test]
    fn calls_that_were_under_way_make_no_rest_longer() {
        let (breaker, now) = (Breaker::default(), later(0));
        let under_way: Vec<_> = (0..100).map(|_| breaker.admit(now).unwrap()).collect();
        for call in under_way {
            call.failed(now);
        }
        assert!(breaker.admit(now + FIRST_REST).is_ok());
    }
}
