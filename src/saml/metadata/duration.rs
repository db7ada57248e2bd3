//! `xs:duration`, as cacheDuration has it (SAML Metadata 2.3.1).

use std::time::Duration;

/// Reads a duration. A year counts as 365 days and a month as 30: what is cached need not be exact. Saturates. `None` for
/// what is negative or no duration.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let rest = text.trim().strip_prefix('P')?;
    let (date, time) = match rest.split_once('T') {
        Some((_, "")) => return None,
        Some((date, time)) => (date, time),
        None => (rest, ""),
    };
    if date.is_empty() && time.is_empty() {
        return None;
    }
    let days = parts(date, &[('Y', 365 * 86_400), ('M', 30 * 86_400), ('D', 86_400)])?;
    Some(days.saturating_add(parts(time, &[('H', 3_600), ('M', 60), ('S', 1)])?))
}

/// Reads numbers with their designators, which have to come in order. Fractions of a second are cut off.
fn parts(text: &str, designators: &[(char, u64)]) -> Option<Duration> {
    let (mut rest, mut sum) = (text, Duration::ZERO);
    for &(designator, seconds) in designators {
        let Some((number, after)) = rest.split_once(designator) else { continue };
        let whole = match number.split_once('.') {
            Some((whole, fraction)) if seconds == 1 && is_number(fraction) => whole,
            Some(_) => return None,
            None => number,
        };
        if !is_number(whole) {
            return None;
        }
        let count = whole.parse().unwrap_or(u64::MAX);
        sum = sum.saturating_add(Duration::from_secs(seconds.saturating_mul(count)));
        rest = after;
    }
    rest.is_empty().then_some(sum)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, seconds) in [
            ("PT1H", 3_600),
            ("P1D", 86_400),
            ("P0Y0M7DT0H0M0.000S", 604_800),
            ("PT1421926751S", 1_421_926_751),
            ("P1Y2M3DT4H5M6.7S", 365 * 86_400 + 63 * 86_400 + 4 * 3_600 + 5 * 60 + 6),
            ("PT0S", 0),
        ] {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        assert!(parse("P99999999999999999999999Y").is_some_and(|long| long > Duration::from_secs(1 << 40)));
    }

    #[test]
    fn what_is_no_duration_is_none() {
        for text in ["", "P", "PT", "1H", "-PT1H", "PT1", "PTH", "P1H", "PT1S1H", "PT1.5H", "PT1.S", "P1DT", "PT 1S"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
