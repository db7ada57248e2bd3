//! When a browser goes its way anew although the session that it has still serves: seldom, and ever more seldom when
//! nothing comes of it, so that nobody is sent round in circles.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::sync::Cache;

use crate::clock::Timestamp;
use crate::ids::SessionHash;

/// Visitors that are remembered at most.
const VISITORS: u64 = 10_000;
/// Between the first attempt and the second; each further one doubles it.
const PAUSE: Duration = Duration::from_secs(60);
/// The longest pause is the first one doubled so often: 32 minutes.
const DOUBLED: u32 = 5;
/// Longer than any pause.
const REMEMBERED: Duration = Duration::from_secs(60 * 60);

/// The attempts of all visitors.
pub(super) struct Ahead(Cache<SessionHash, Arc<Mutex<Past>>>);

/// The attempts of one visitor to replace one customer session.
#[derive(Default)]
struct Past {
    generation: u64,
    times: u32,
    not_before: Option<Timestamp>,
}

impl Default for Ahead {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(VISITORS).time_to_idle(REMEMBERED).build())
    }
}

impl Ahead {
    /// Whether this visitor's browser goes now, to replace the customer session of that generation. Who is told so has made the
    /// attempt: of several windows, one goes.
    pub fn begins(&self, visitor: &SessionHash, generation: u64, now: Timestamp) -> bool {
        let past = self.0.get_with(*visitor, Arc::default);
        let mut past = past.lock().unwrap_or_else(PoisonError::into_inner);
        if past.generation != generation {
            *past = Past { generation, ..Past::default() };
        }
        if past.not_before.is_some_and(|not_before| now < not_before) {
            return false;
        }
        let pause = PAUSE.saturating_mul(1 << past.times.min(DOUBLED));
        past.times = past.times.saturating_add(1);
        past.not_before = Some(now.after(pause));
        true
    }
}

impl fmt::Debug for Ahead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ahead({})", self.0.entry_count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SessionId;
    use crate::random::Random;

    #[test]
    fn attempts_become_rare_and_begin_anew_with_the_next_session() {
        let ahead = Ahead::default();
        let somebody = || SessionId::generate(&Random::default()).unwrap().hash();
        let (ana, ben) = (somebody(), somebody());
        let minute = |number: i64| Timestamp::from_seconds(number * 60);
        let mut attempts = Vec::new();
        for number in 0..120 {
            if ahead.begins(&ana, 1, minute(number)) {
                attempts.push(number);
                assert!(!ahead.begins(&ana, 1, minute(number)), "another window stays where it is");
            }
        }
        assert_eq!(attempts, [0, 1, 3, 7, 15, 31, 63, 95]);
        assert!(ahead.begins(&ben, 1, minute(96)));
        assert!(ahead.begins(&ana, 2, minute(96)) && !ahead.begins(&ana, 2, minute(96)));
    }
}
