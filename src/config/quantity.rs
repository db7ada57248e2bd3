//! Durations such as `1h30m` and sizes such as `64MiB`.

use std::time::Duration;

/// The text is not a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidDuration {
    #[error("a duration has a unit")]
    NoUnit,
    #[error("a duration is made of numbers with the units d, h, m, s and ms, the larger first")]
    Malformed,
    #[error("this is longer than can be counted")]
    TooLong,
}

/// The text is not a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidSize {
    #[error("a size has a unit")]
    NoUnit,
    #[error("a size is a number with the unit B, KiB, MiB or GiB")]
    Malformed,
    #[error("this is larger than can be counted")]
    TooLarge,
}

/// The text is not a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a rate is a whole number, a \"/\" and s, min or h")]
pub(super) struct InvalidRate;

/// The units of rates, in seconds.
const SPANS: [(&str, u64); 3] = [("s", 1), ("min", 60), ("h", 3600)];

/// The units of time, the larger first, in milliseconds.
const TIMES: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
/// The units of size, the larger first, in bytes.
const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Reads a duration: `30m`, `500ms`, `1h30m`. Each unit at most once, the larger first, no spaces, no fractions.
pub(super) fn duration(text: &str) -> Result<Duration, InvalidDuration> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(InvalidDuration::NoUnit);
    }
    let mut units = TIMES.iter();
    let (mut rest, mut sum) = (text, 0_u64);
    while !rest.is_empty() {
        let (number, behind) = split(rest, |c| c.is_ascii_digit());
        let (unit, behind) = split(behind, |c| !c.is_ascii_digit());
        let (_, times) = units.find(|(name, _)| *name == unit).ok_or(InvalidDuration::Malformed)?;
        if number.is_empty() {
            return Err(InvalidDuration::Malformed);
        }
        let number: u64 = number.parse().map_err(|_| InvalidDuration::TooLong)?;
        let part = number.checked_mul(*times).ok_or(InvalidDuration::TooLong)?;
        sum = sum.checked_add(part).ok_or(InvalidDuration::TooLong)?;
        rest = behind;
    }
    if text.is_empty() { Err(InvalidDuration::Malformed) } else { Ok(Duration::from_millis(sum)) }
}

/// Reads a size: `64MiB`. No spaces, no fractions, and no `MB`, which means one thing to a disk and another to memory.
pub(super) fn size(text: &str) -> Result<u64, InvalidSize> {
    let (number, unit) = split(text, |c| c.is_ascii_digit());
    if number.is_empty() {
        return Err(InvalidSize::Malformed);
    }
    if unit.is_empty() {
        return Err(InvalidSize::NoUnit);
    }
    let (_, times) = SIZES.iter().find(|(name, _)| *name == unit).ok_or(InvalidSize::Malformed)?;
    let number: u64 = number.parse().map_err(|_| InvalidSize::TooLarge)?;
    number.checked_mul(*times).ok_or(InvalidSize::TooLarge)
}

/// Reads a rate: `20/min`. No spaces, no fractions.
pub(super) fn rate(text: &str) -> Result<(u32, Duration), InvalidRate> {
    let (times, unit) = text.split_once('/').ok_or(InvalidRate)?;
    let (_, seconds) = SPANS.iter().find(|(name, _)| *name == unit).ok_or(InvalidRate)?;
    let digits = !times.is_empty() && times.bytes().all(|b| b.is_ascii_digit());
    let times = digits.then(|| times.parse().ok()).flatten().ok_or(InvalidRate)?;
    Ok((times, Duration::from_secs(*seconds)))
}

/// A rate as an operator writes it.
pub(super) fn show_rate(times: u32, per: Duration) -> String {
    let unit = SPANS.iter().find(|(_, seconds)| *seconds == per.as_secs()).map_or("s", |(name, _)| name);
    format!("{times}/{unit}")
}

/// A duration as an operator writes it.
pub(super) fn show_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, times) in TIMES {
        let count = rest.checked_div(times).unwrap_or(0);
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
            rest = rest.saturating_sub(count.saturating_mul(times));
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// A size as an operator writes it: the largest unit that leaves no rest.
pub(super) fn show_size(size: u64) -> String {
    let whole = SIZES.iter().find(|(_, times)| size > 0 && size.checked_rem(*times) == Some(0));
    let (unit, times) = whole.unwrap_or(&("B", 1));
    format!("{}{unit}", size.checked_div(*times).unwrap_or(0))
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, millis) in [
            ("30m", 1_800_000),
            ("12h", 43_200_000),
            ("500ms", 500),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for (text, error) in [
            ("30", InvalidDuration::NoUnit),
            ("", InvalidDuration::Malformed),
            ("m", InvalidDuration::Malformed),
            ("30 m", InvalidDuration::Malformed),
            ("1.5h", InvalidDuration::Malformed),
            ("-1h", InvalidDuration::Malformed),
            ("30m1h", InvalidDuration::Malformed),
            ("1h1h", InvalidDuration::Malformed),
            ("1h30", InvalidDuration::Malformed),
            ("1H", InvalidDuration::Malformed),
            ("٣m", InvalidDuration::Malformed),
            ("99999999999999999999d", InvalidDuration::TooLong),
            ("999999999999999d", InvalidDuration::TooLong),
        ] {
            assert_eq!(duration(text), Err(error), "{text}");
        }
    }

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [("64MiB", 64 << 20), ("32KiB", 32 << 10), ("1GiB", 1 << 30), ("100B", 100)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for (text, error) in [
            ("64", InvalidSize::NoUnit),
            ("", InvalidSize::Malformed),
            ("MiB", InvalidSize::Malformed),
            ("64MB", InvalidSize::Malformed),
            ("64 MiB", InvalidSize::Malformed),
            ("99999999999GiB", InvalidSize::TooLarge),
        ] {
            assert_eq!(size(text), Err(error), "{text}");
        }
    }

    #[test]
    fn rates_are_read() {
        for (text, times, seconds) in [("20/min", 20, 60), ("1/s", 1, 1), ("500/h", 500, 3600), ("0/s", 0, 1)] {
            assert_eq!(rate(text), Ok((times, Duration::from_secs(seconds))), "{text}");
            assert_eq!(show_rate(times, Duration::from_secs(seconds)), text);
        }
        for text in ["", "20", "/min", "20/", "20/m", "20 / min", "-1/s", "+1/s", "1.5/s", "99999999999/s", "20/min/s"]
        {
            assert_eq!(rate(text), Err(InvalidRate), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_shown_is_read_again(millis in 0_u64..u64::MAX / 2, bytes: u64) {
            let time = Duration::from_millis(millis);
            proptest::prop_assert_eq!(duration(&show_duration(time)), Ok(time));
            proptest::prop_assert_eq!(size(&show_size(bytes)), Ok(bytes));
        }
    }
}
