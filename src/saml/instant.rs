//! Times in SAML: `xs:dateTime` in UTC (SAML Core 1.3.3).

use crate::clock::Timestamp;

/// Reads a time. It must be UTC (`Z`, or an offset of zero): SAML Core 1.3.3 allows no other, and a time without a zone
/// could mean any. Fractions are cut to milliseconds. `None` for anything else, leap seconds and years beyond four digits
/// included.
pub fn parse(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.split_once('T')?;
    let time =
        rest.strip_suffix('Z').or_else(|| rest.strip_suffix("+00:00")).or_else(|| rest.strip_suffix("-00:00"))?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let (time, fraction) = match time.split_once('.') {
        Some((_, "")) => return None,
        Some((time, fraction)) => (time, fraction),
        None => (time, ""),
    };
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let millis = millis(fraction)?;
    let date = chrono::NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    let at = date.and_hms_milli_opt(hour, minute, second, millis)?;
    Some(Timestamp::from_millis(at.and_utc().timestamp_millis()))
}

/// Writes a time, to the second, as every provider can read it.
pub fn write(at: Timestamp) -> String {
    match Timestamp::from_seconds(at.seconds()).to_chrono() {
        Some(time) => time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        None => String::new(), // beyond the year 262142: no reader takes it
    }
}

fn numbers<const N: usize>(text: &str, separator: char, widths: [usize; N]) -> Option<[u32; N]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; N];
    for (number, width) in numbers.iter_mut().zip(widths) {
        let part = parts.next()?;
        if part.len() != width || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

fn millis(fraction: &str) -> Option<u32> {
    if fraction.len() > 30 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_to_the_millisecond() {
        assert_eq!(parse("1970-01-01T00:00:01Z"), Some(Timestamp::from_millis(1_000)));
        assert_eq!(parse("1970-01-01T00:00:01.5Z"), Some(Timestamp::from_millis(1_500)));
        assert_eq!(parse("1970-01-01T00:00:01.0019999Z"), Some(Timestamp::from_millis(1_001)));
        assert_eq!(parse("2017-08-30T23:14:41+00:00"), parse("2017-08-30T23:14:41Z"));
        assert_eq!(parse("1969-12-31T23:59:59.999Z"), Some(Timestamp::from_millis(-1)));
    }

    #[test]
    fn a43_odd_times_are_refused_without_a_panic() {
        for odd in [
            "",
            "Z",
            "T",
            "2020-01-01",
            "2020-01-01T00:00:00",
            "2020-01-01T00:00:00+01:00",
            "2020-01-01T00:00:60Z",
            "2020-02-30T00:00:00Z",
            "2020-01-01T24:00:00Z",
            "2020-01-01T00:00:00.Z",
            "+262142-12-31T00:00:00Z",
            "-262143-01-01T00:00:00Z",
            "12020-01-01T00:00:00Z",
            "2020-1-1T00:00:00Z",
            " 2020-01-01T00:00:00Z",
            "2020-01-01T00:00:00Z ",
            "2020-01-01t00:00:00z",
            "2020-01-01T00:00:00ZZ",
            "２０20-01-01T00:00:00Z",
            "2020-01-01T-1:00:00Z",
            "2020-01-01T00:00:00.1e3Z",
        ] {
            assert_eq!(parse(odd), None, "{odd}");
        }
        for far in ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"] {
            let _ = parse(far).unwrap().after(std::time::Duration::MAX);
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        let at = Timestamp::from_seconds(1_504_134_881);
        assert_eq!(write(at), "2017-08-30T23:14:41Z");
        assert_eq!(parse(&write(at)), Some(at));
    }
}
