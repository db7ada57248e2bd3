//! Rounds: sign-ins that ended well and were followed by another. Somebody whose browser loses the session each time goes
//! round and round; nobody else does.
//!
//! Counted by the cookies that tie sign-ins to a browser, each of which is of one portal. Tabs whose sign-ins end one after the
//! other, with none beginning between, are one round.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::SignIn;
use super::bounded::Bounded;
use super::browser::{BrowserHash, BrowserKey, Ties};
use crate::clock::Timestamp;

/// So many in [`WINDOW`], and the next one does not begin.
const MOST: usize = 3;
/// The time in which rounds are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// Browsers that are remembered.
const BROWSERS: usize = 100_000;

#[derive(Clone, Debug, Default)]
struct Rounds {
    ended: VecDeque<Timestamp>,
    /// Whether another sign-in began after the last one ended.
    goes_on: bool,
}

/// The rounds of all browsers.
pub(super) struct AllRounds {
    browsers: Mutex<Bounded<BrowserHash, Rounds>>,
}

impl Default for AllRounds {
    fn default() -> Self {
        Self { browsers: Mutex::new(Bounded::new(BROWSERS, usize::MAX, WINDOW)) }
    }
}

impl AllRounds {
    /// Notes that a sign-in of that browser begins: false when it has gone round too often.
    fn begins(&self, browser: BrowserHash, now: Timestamp) -> bool {
        let mut browsers = self.browsers();
        let Some(rounds) = browsers.get_mut(&browser, now) else { return true };
        rounds.goes_on = true;
        rounds.ended.retain(|ended| now.since(*ended) < WINDOW);
        rounds.ended.len() < MOST
    }

    /// Notes that a sign-in of that browser ended well.
    fn ended(&self, browser: BrowserHash, now: Timestamp) {
        let mut browsers = self.browsers();
        let mut rounds = browsers.get(&browser, now).cloned().unwrap_or_default();
        if rounds.ended.is_empty() || rounds.goes_on {
            rounds.ended.push_back(now);
            rounds.ended.truncate(MOST);
            rounds.goes_on = false;
            browsers.insert(browser, rounds, 0, now);
        }
    }

    fn forget(&self, browser: BrowserHash) {
        self.browsers().remove(&browser);
    }

    /// The table is sound after every single statement, so a panic elsewhere does not spoil it.
    fn browsers(&self) -> MutexGuard<'_, Bounded<BrowserHash, Rounds>> {
        self.browsers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn browsers(ties: Ties<'_>) -> impl Iterator<Item = BrowserHash> {
    [ties.sign_in, ties.posted].into_iter().flatten().filter_map(BrowserKey::parse).map(|key| key.hash())
}

impl SignIn {
    /// Notes that a sign-in begins in that browser. False when three in a minute ended well and came to nothing.
    pub fn may_begin(&self, ties: Ties<'_>) -> bool {
        let (now, mut may) = (self.clock.now(), true);
        for browser in browsers(ties) {
            may &= self.rounds.begins(browser, now); // each is noted
        }
        may
    }

    /// Notes that a session was opened in that browser.
    pub fn ended_well(&self, ties: Ties<'_>) {
        browsers(ties).for_each(|browser| self.rounds.ended(browser, self.clock.now()));
    }

    /// The person has a say: they signed out, or want to try once more.
    pub fn begin_anew(&self, ties: Ties<'_>) {
        browsers(ties).for_each(|browser| self.rounds.forget(browser));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn browser() -> BrowserHash {
        BrowserKey::generate(&Random::default()).unwrap().hash()
    }

    #[test]
    fn three_rounds_in_a_minute_and_no_fourth() {
        let (all, mine) = (AllRounds::default(), browser());
        for round in 0..3 {
            assert!(all.begins(mine, at(round * 10)), "round {round}");
            all.ended(mine, at(round * 10 + 5));
        }
        assert!(!all.begins(mine, at(30)));
        assert!(!all.begins(mine, at(64)), "the first ended at 5, the last at 25, which is what the table knows");
        assert!(all.begins(mine, at(86)));
        assert!(all.begins(browser(), at(30)), "another browser");
        all.ended(mine, at(86));
        assert!(all.begins(mine, at(87)));
    }

    #[test]
    fn tabs_that_end_together_are_one_round() {
        let (all, mine) = (AllRounds::default(), browser());
        for round in 0..3 {
            for _ in 0..10 {
                assert!(all.begins(mine, at(round)));
            }
            for _ in 0..10 {
                all.ended(mine, at(round));
            }
        }
        assert!(!all.begins(mine, at(3)), "three times ten");
        all.forget(mine);
        assert!(all.begins(mine, at(3)));
    }

    #[test]
    fn who_never_gets_through_a_sign_in_goes_no_round() {
        let (all, mine) = (AllRounds::default(), browser());
        assert!((0..100).all(|n| all.begins(mine, at(n / 10))));
    }
}
