//! Tabs that expire together: of the tabs of one browser, one goes to the provider, and the others wait for it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::SignIn;
use super::bounded::Bounded;
use crate::ids::SessionHash;

/// A tab that asks within this time after another one has left waits. A browser that restores its tabs loads them together;
/// a person who goes back and clicks again is not kept waiting.
const TOGETHER: Duration = Duration::from_secs(10);
/// Browsers that are remembered.
const BROWSERS: usize = 100_000;

/// The browsers of which a tab has just left.
pub(super) struct Departures(Mutex<Bounded<SessionHash, ()>>);

impl Default for Departures {
    fn default() -> Self {
        Self(Mutex::new(Bounded::new(BROWSERS, usize::MAX, TOGETHER)))
    }
}

impl SignIn {
    /// Whether a tab of the known browser of that hash is the one that goes to the provider: true for the first, and for
    /// those that ask later than ten seconds after it.
    pub fn goes_first(&self, browser: SessionHash) -> bool {
        let now = self.clock.now();
        let mut left = self.departures.0.lock().unwrap_or_else(PoisonError::into_inner);
        if left.get(&browser, now).is_some() {
            return false;
        }
        left.insert(browser, (), 0, now);
        true
    }

    /// The tab is back, or did not get away: whoever asks next goes first.
    pub fn is_back(&self, browser: SessionHash) {
        self.departures.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&browser);
    }
}
