//! When a certificate is renewed, and when an order that failed is tried again. Pure: time and chance are arguments.

use std::time::Duration;

use super::problem::OrderFailed;
use crate::clock::Timestamp;

/// Chance: from 0 to 1, in 65 536 steps. Spreads what many gateways, or many certificates of one, do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chance(pub u16);

impl Chance {
    /// That part of `whole`.
    pub fn of(self, whole: Duration) -> Duration {
        let millis = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX);
        let part = u128::from(millis).saturating_mul(u128::from(self.0)) / 65_536;
        Duration::from_millis(u64::try_from(part).unwrap_or(u64::MAX))
    }
}

/// When a certificate is renewed: at two thirds of its life and up to a twenty-fourth of it later; or `before` its end and
/// up to as much earlier, where that is set and leaves half of its life.
pub fn renew_at(begins: Timestamp, ends: Timestamp, before: Option<Duration>, chance: Chance) -> Timestamp {
    let life = ends.since(begins);
    let spread = chance.of(part(life, 24));
    match before {
        None => begins.after(part(life, 3).saturating_mul(2)).after(spread),
        Some(before) => ends.before(before.min(part(life, 2))).before(spread),
    }
}

/// When a certificate that was issued `now` is renewed, if `planned` says when: never before half of what is left of its life is
/// over, whatever a clock or a setting says. Else one that is due at once would be ordered again and again.
pub fn not_at_once(planned: Timestamp, now: Timestamp, ends: Timestamp) -> Timestamp {
    planned.max(now.after(part(ends.since(now), 2)))
}

/// When a certificate is renewed that the authority suggests a time for (RFC 9773, section 4.2): at any moment of that time,
/// but never so late that a few failures would cost the certificate.
pub fn renew_within(
    (start, end): (Timestamp, Timestamp),
    (begins, ends): (Timestamp, Timestamp),
    chance: Chance,
) -> Timestamp {
    let latest = ends.before(part(ends.since(begins), 10));
    start.after(chance.of(end.since(start))).min(latest)
}

/// How long to wait after an order has failed for the `failures`th time in a row. What the authority asks for is granted.
pub fn pause(failed: &OrderFailed, failures: u32, chance: Chance) -> Duration {
    let (first, last) = match failed {
        OrderFailed::RateLimited { .. } => (hours(1), hours(12)),
        // Authorities count failed challenges, and shut out who has too many in an hour.
        OrderFailed::Challenge { .. } => (minutes(10), hours(12)),
        failed if failed.needs_the_operator() => (hours(1), hours(24)),
        _ => (minutes(1), hours(1)),
    };
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1).min(16)).unwrap_or(u32::MAX);
    let pause = first.saturating_mul(doubled).min(last);
    let asked = failed.retry_after().unwrap_or_default();
    pause.max(asked).saturating_add(chance.of(part(pause, 8)))
}

/// One of that many parts.
fn part(whole: Duration, parts: u32) -> Duration {
    whole.checked_div(parts).unwrap_or_default()
}

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes.saturating_mul(60))
}

const fn hours(hours: u64) -> Duration {
    minutes(hours.saturating_mul(60))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acme::settings::ChallengeKind;

    const DAY: u64 = 24 * 3600;
    const NEVER: Chance = Chance(0);
    const ALWAYS: Chance = Chance(u16::MAX);

    fn day(day: u64) -> Timestamp {
        Timestamp::from_seconds(i64::try_from(day * DAY).unwrap())
    }

    #[test]
    fn renewal_is_at_two_thirds_of_the_life_and_a_little_later() {
        assert_eq!(renew_at(day(0), day(90), None, NEVER), day(60));
        let late = renew_at(day(0), day(90), None, ALWAYS);
        assert!(late > day(63) && late < day(64), "{late}");
        assert_eq!(renew_at(day(0), day(6), None, NEVER), day(4), "short-lived ones, too");
    }

    #[test]
    fn a_time_before_the_end_counts_where_it_is_set() {
        assert_eq!(renew_at(day(0), day(90), Some(hours(24 * 14)), NEVER), day(76));
        assert!(renew_at(day(0), day(90), Some(hours(24 * 14)), ALWAYS) > day(72));
        assert_eq!(renew_at(day(0), day(6), Some(hours(24 * 14)), NEVER), day(3), "never at once again");
    }

    #[test]
    fn a_certificate_that_is_half_over_when_it_comes_is_not_renewed_at_once() {
        assert_eq!(not_at_once(day(60), day(0), day(90)), day(60));
        assert_eq!(not_at_once(day(60), day(70), day(90)), day(80), "the authority's clock, or ours, is wrong");
        assert_eq!(not_at_once(day(60), day(95), day(90)), day(95));
    }

    #[test]
    fn what_the_authority_suggests_is_taken_but_not_too_late() {
        assert_eq!(renew_within((day(50), day(52)), (day(0), day(90)), NEVER), day(50));
        let within = renew_within((day(50), day(52)), (day(0), day(90)), ALWAYS);
        assert!(within > day(51) && within < day(52));
        assert_eq!(renew_within((day(89), day(90)), (day(0), day(90)), ALWAYS), day(81));
        assert_eq!(
            renew_within((day(52), day(50)), (day(0), day(90)), ALWAYS),
            day(52),
            "a time that ends before it begins"
        );
    }

    #[test]
    fn pauses_grow_and_grant_what_is_asked_for() {
        let slow = OrderFailed::Slow;
        let pauses: Vec<u64> = [1, 2, 3, 7, 40].map(|n| pause(&slow, n, NEVER).as_secs() / 60).to_vec();
        assert_eq!(pauses, [1, 2, 4, 60, 60]);
        let challenge = OrderFailed::Challenge { kind: ChallengeKind::Http01, what: String::new() };
        let pauses: Vec<u64> = [1, 2, 3, 40].map(|n| pause(&challenge, n, NEVER).as_secs() / 60).to_vec();
        assert_eq!(pauses, [10, 20, 40, 720]);
        let limited = |after| OrderFailed::RateLimited { what: String::new(), retry_after: after };
        assert_eq!(pause(&limited(None), 1, NEVER), hours(1));
        assert_eq!(pause(&limited(Some(hours(30))), 1, NEVER), hours(30));
        assert_eq!(pause(&OrderFailed::Terms(String::new()), 1, NEVER), hours(1));
        assert!(pause(&slow, 1, ALWAYS) > Duration::from_secs(67) && pause(&slow, 1, ALWAYS) < Duration::from_secs(68));
    }
}
