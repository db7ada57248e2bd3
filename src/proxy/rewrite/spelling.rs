//! One character of an address in the spellings that web pages use: as it is, escaped by JSON and JavaScript (`\/`,
//! `\u002F`, `\x2F`, with a backslash more for each text within a text), percent-encoded once or within another
//! address (`%2F`, `%252F`), and as a character reference of HTML (`&#x2F;`, `&#47;`).
//!
//! Every spelling has a longest form, so that whoever reads a stream knows how much to wait for.

/// So many backslashes in a row are read: three texts within each other.
const MOST_BACKSLASHES: usize = 7;

/// So often an address is encoded within an address.
const MOST_PERCENTS: usize = 3;

/// Stands for every character beyond ASCII: none of them ends a host name for sure.
pub(super) const BEYOND_ASCII: u8 = 0xff;

/// What stands at the beginning of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// This character, in so many bytes.
    Char(u8, usize),
    /// The text ends before that is clear.
    More,
    /// Nothing: the text is empty.
    Nothing,
}

/// Reads one character, decoded.
pub(super) fn read(text: &[u8]) -> Read {
    match text.first() {
        None => Read::Nothing,
        Some(b'\\') => backslash(text),
        Some(b'%') => percent(text),
        Some(b'&') => reference(text),
        Some(other) => Read::Char(*other, 1),
    }
}

/// Whether `text` begins with `wanted` in any spelling: in how many bytes. `Some(None)`: it ends too early to say.
pub(super) fn begins_with(text: &[u8], wanted: u8) -> Option<Option<usize>> {
    match read(text) {
        Read::Char(found, length) if found == wanted => Some(Some(length)),
        Read::Char(..) => None,
        Read::More | Read::Nothing => Some(None),
    }
}

/// Where the character that ends `text` begins, if it is `wanted` in any spelling.
pub(super) fn begin_of_last(text: &[u8], wanted: u8) -> Option<usize> {
    let last = *text.last()?;
    if last == wanted {
        let before = text.len().checked_sub(1)?;
        // A slash may be escaped by itself; a colon never is.
        let slashes = if wanted == b'/' { backslashes_before(text, before) } else { 0 };
        return before.checked_sub(slashes);
    }
    // Only what ends like an escape is looked at more closely, and an escape is what `read` says that it is.
    if last != b';' && !last.is_ascii_hexdigit() {
        return None;
    }
    let introduces = |byte: &u8| matches!(byte, b'\\' | b'%' | b'&');
    let window = text.len().saturating_sub(LONGEST);
    let near = text.get(window..)?;
    let mut begin = near.iter().rposition(introduces)?;
    loop {
        let whole = near.get(begin..)?;
        if read(whole) == Read::Char(wanted, whole.len()) && !goes_back(near, begin) {
            return window.checked_add(begin);
        }
        begin = near.get(..begin)?.iter().rposition(introduces)?;
    }
}

/// The longest spelling of one character, in bytes: `\\\\\\\u002F`.
pub(super) const LONGEST: usize = MOST_BACKSLASHES + 5;

/// Whether the escape at `begin` has more in front of it that belongs to it.
fn goes_back(text: &[u8], begin: usize) -> bool {
    text.get(begin) == Some(&b'\\') && begin.checked_sub(1).and_then(|before| text.get(before)) == Some(&b'\\')
}

fn backslashes_before(text: &[u8], end: usize) -> usize {
    let before = text.get(..end).unwrap_or_default();
    before.iter().rev().take(MOST_BACKSLASHES).take_while(|byte| **byte == b'\\').count()
}

fn backslash(text: &[u8]) -> Read {
    let run = text.iter().take(MOST_BACKSLASHES).take_while(|byte| **byte == b'\\').count();
    let rest = text.get(run..).unwrap_or_default();
    let escape = |digits: usize| {
        let begin = run.saturating_add(1);
        let Some(hex) = rest.get(1..digits.saturating_add(1)) else {
            let so_far = rest.get(1..).unwrap_or_default();
            return if so_far.iter().all(u8::is_ascii_hexdigit) { Read::More } else { Read::Char(b'\\', 1) };
        };
        number(hex, 16).map_or(Read::Char(b'\\', 1), |c| Read::Char(c, begin.saturating_add(digits)))
    };
    match rest.first() {
        None if run < MOST_BACKSLASHES => Read::More,
        Some(b'/') => Read::Char(b'/', run.saturating_add(1)),
        Some(b'u') => escape(4),
        Some(b'x') => escape(2),
        _ => Read::Char(b'\\', 1),
    }
}

fn percent(text: &[u8]) -> Read {
    let mut begin = 1_usize;
    for level in 0..MOST_PERCENTS {
        let Some(hex) = text.get(begin..begin.saturating_add(2)) else {
            let so_far = text.get(begin..).unwrap_or_default();
            return if so_far.iter().all(u8::is_ascii_hexdigit) { Read::More } else { Read::Char(b'%', 1) };
        };
        if hex == b"25" && level.saturating_add(1) < MOST_PERCENTS {
            begin = begin.saturating_add(2);
            continue;
        }
        return number(hex, 16).map_or(Read::Char(b'%', 1), |c| Read::Char(c, begin.saturating_add(2)));
    }
    Read::Char(b'%', 1)
}

fn reference(text: &[u8]) -> Read {
    let (begin, radix, most) = match text {
        [b'&'] | [b'&', b'#'] => return Read::More,
        [b'&', b'#', b'x' | b'X', ..] => (3_usize, 16, 4_usize),
        [b'&', b'#', ..] => (2, 10, 4),
        _ => return Read::Char(b'&', 1),
    };
    let rest = text.get(begin..).unwrap_or_default();
    let digits = rest.iter().take(most).take_while(|byte| char::from(**byte).is_digit(radix)).count();
    match rest.get(digits) {
        None => Read::More,
        Some(b';') => {
            let number = number(rest.get(..digits).unwrap_or_default(), radix);
            number.map_or(Read::Char(b'&', 1), |c| Read::Char(c, begin.saturating_add(digits).saturating_add(1)))
        }
        Some(_) => Read::Char(b'&', 1),
    }
}

fn number(digits: &[u8], radix: u32) -> Option<u8> {
    if digits.is_empty() || !digits.iter().all(|digit| char::from(*digit).is_digit(radix)) {
        return None;
    }
    let value = u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()?;
    Some(u8::try_from(value).ok().filter(u8::is_ascii).unwrap_or(BEYOND_ASCII))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLASHES: [&str; 12] =
        ["/", "\\/", "\\\\/", "\\\\\\/", "\\u002F", "\\u002f", "\\\\u002F", "\\x2f", "%2F", "%252f", "&#x2F;", "&#47;"];

    #[test]
    fn each_spelling_is_read_from_both_ends() {
        for spelling in SLASHES {
            let text = spelling.as_bytes();
            assert_eq!(read(text), Read::Char(b'/', text.len()), "{spelling}");
            let within = format!("=\"{spelling}");
            assert_eq!(begin_of_last(within.as_bytes(), b'/'), Some(2), "{spelling}");
            assert_eq!(begin_of_last(within.as_bytes(), b':'), None, "{spelling}");
            for end in 1..text.len() {
                assert_eq!(read(&text[..end]), Read::More, "{spelling} {end}");
            }
            assert!(text.len() <= LONGEST);
        }
        for spelling in [":", "\\u003A", "%3a", "%253A", "&#58;"] {
            assert_eq!(read(spelling.as_bytes()), Read::Char(b':', spelling.len()), "{spelling}");
            assert_eq!(begin_of_last(spelling.as_bytes(), b':'), Some(0), "{spelling}");
        }
    }

    #[test]
    fn what_is_no_escape_is_itself() {
        for (text, expected) in [
            ("", Read::Nothing),
            ("a", Read::Char(b'a', 1)),
            ("%zz", Read::Char(b'%', 1)),
            ("% ", Read::Char(b'%', 1)),
            ("\\\"", Read::Char(b'\\', 1)),
            ("\\ug", Read::Char(b'\\', 1)),
            ("&amp;", Read::Char(b'&', 1)),
            ("&#;", Read::Char(b'&', 1)),
            ("%C3%A9", Read::Char(BEYOND_ASCII, 3)),
            ("\\u3002", Read::Char(BEYOND_ASCII, 6)),
            ("\\\\\\\\\\\\\\\\/", Read::Char(b'\\', 1)),
        ] {
            assert_eq!(read(text.as_bytes()), expected, "{text}");
        }
    }
}
