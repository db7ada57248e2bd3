//! When one customer made their latest requests.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::portal::settings::Creations;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MINUTE: Duration = Duration::from_secs(60);

/// The moments of the last day, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Window(Vec<Timestamp>);

/// Which limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `limits.requests_per_customer_per_day`.
    Day,
    /// `limits.requests_per_customer_per_minute`.
    Minute,
}

impl Window {
    /// Adds a moment.
    ///
    /// # Errors
    /// Which limit is reached, and when it will not be any more.
    pub(super) fn add(&mut self, now: Timestamp, limits: &Creations) -> Result<(), (Limit, Timestamp)> {
        self.forget(now);
        for (most, span, limit) in [(limits.per_day, DAY, Limit::Day), (limits.per_minute, MINUTE, Limit::Minute)] {
            let Some(most) = most.and_then(|most| usize::try_from(most).ok()) else { continue };
            // With so many in the span, the next has to wait for the oldest of those to leave it.
            let oldest = self.0.len().checked_sub(most).and_then(|at| self.0.get(at));
            if let Some(until) = oldest.map(|oldest| oldest.after(span)).filter(|until| now < *until) {
                return Err((limit, until));
            }
        }
        // In order even when the clock jumps back.
        self.0.push(self.0.last().map_or(now, |last| now.max(*last)));
        Ok(())
    }

    /// Takes away one of that moment, or of the moment that stands for it.
    pub(super) fn take_back(&mut self, moment: Timestamp) {
        if let Some(at) = self.0.iter().rposition(|at| *at >= moment) {
            self.0.remove(at);
        }
    }

    /// Leaves out what is older than any limit.
    pub(super) fn forget(&mut self, now: Timestamp) {
        self.0.retain(|moment| now.since(*moment) < DAY);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn any_day_and_any_minute_count() {
        let limits = Creations { per_day: Some(4), per_minute: Some(2) };
        let mut window = Window::default();
        assert_eq!(window.add(at(0), &limits), Ok(()));
        assert_eq!(window.add(at(30), &limits), Ok(()));
        assert_eq!(window.add(at(59), &limits), Err((Limit::Minute, at(60))));
        assert_eq!(window.add(at(60), &limits), Ok(()));
        assert_eq!(window.add(at(70), &limits), Err((Limit::Minute, at(90))));
        assert_eq!(window.add(at(90), &limits), Ok(()));
        assert_eq!(window.add(at(1000), &limits), Err((Limit::Day, at(86_400))));
        window.take_back(at(60));
        assert_eq!(window.add(at(1000), &limits), Ok(()));
        assert_eq!(window.add(at(86_399), &limits), Err((Limit::Day, at(86_400))));
        assert_eq!(window.add(at(86_400), &limits), Ok(()));
        window.forget(at(400_000));
        assert!(window.is_empty());
    }

    #[test]
    fn no_limit_is_none_and_an_odd_clock_opens_nothing() {
        let mut window = Window::default();
        for n in 0..1000 {
            assert_eq!(window.add(at(n), &Creations::default()), Ok(()));
        }
        let one = Creations { per_day: Some(1), per_minute: None };
        let mut window = Window::default();
        assert_eq!(window.add(at(1000), &one), Ok(()));
        assert_eq!(window.add(at(500), &one), Err((Limit::Day, at(87_400))));
    }
}
