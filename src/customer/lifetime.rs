//! How far a customer session is through its life. Pure.

use crate::clock::Timestamp;
use crate::session::CustomerSession;

/// How far a customer session is through its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// Use it.
    Fresh,
    /// Use it, and open the next: 80 % of its life are over.
    Old,
    /// Do not use it.
    Over,
}

impl Age {
    /// The age of `session` at `now`. One without an end stays fresh until an answer shows its death.
    pub fn of(session: &CustomerSession, now: Timestamp) -> Self {
        let Some(end) = session.expires() else { return Self::Fresh };
        // What was kept without its token ends as it opens (`CustomerSession::text`): it is over before that moment, too, for a
        // request that came before another process wrote it down.
        if now >= end || end <= session.opened() {
            return Self::Over;
        }
        let life = end.since(session.opened());
        let left = life.checked_div(5).unwrap_or_default();
        if now >= end.before(left) { Self::Old } else { Self::Fresh }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_has_three_ages() {
        let at = Timestamp::from_seconds;
        let session = CustomerSession::new(1, "ana", Vec::new(), at(1_000), Some(at(1_100)));
        for (now, age) in [
            (900, Age::Fresh),
            (1_000, Age::Fresh),
            (1_079, Age::Fresh),
            (1_080, Age::Old),
            (1_099, Age::Old),
            (1_100, Age::Over),
            (9_999, Age::Over),
        ] {
            assert_eq!(Age::of(&session, at(now)), age, "{now}");
        }
        let without_token = CustomerSession::new(1, "ana", Vec::new(), at(1_000), Some(at(1_000)));
        for now in [900, 1_000, 1_001] {
            assert_eq!(Age::of(&without_token, at(now)), Age::Over, "{now}");
        }
        let endless = CustomerSession::new(1, "ana", Vec::new(), at(1_000), None);
        assert_eq!(Age::of(&endless, at(i64::MAX / 2000)), Age::Fresh);
    }
}
