//! Which bodies carry addresses: by their content type, and by how their characters are encoded.

/// The content types whose bodies are rewritten when the operator names none. An entry that begins with `+` means every
/// type with that suffix (RFC 6838, section 4.2.8).
pub const REWRITTEN: [&str; 12] = [
    "text/html",
    "application/xhtml+xml",
    "application/json",
    "+json",
    "text/javascript",
    "application/javascript",
    "application/x-javascript",
    "application/ecmascript",
    "text/css",
    "text/xml",
    "application/xml",
    "+xml",
];

/// A content type that the operator names: `text/html`, or `+json` for all types with that suffix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaPattern(String);

/// The text is no content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a content type is written like text/html, or +json for every type with that suffix")]
pub struct InvalidMediaPattern;

impl MediaPattern {
    /// Reads a pattern; upper case is folded.
    ///
    /// # Errors
    /// When it is neither `type/subtype` nor `+suffix`; parameters and `*` have no place here.
    pub fn parse(text: &str) -> Result<Self, InvalidMediaPattern> {
        // RFC 9110, section 5.6.2, without the characters that nobody registers.
        let token = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
        };
        let sound = match text.strip_prefix('+') {
            Some(suffix) => token(suffix) && !suffix.contains('+'),
            None => text.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype)),
        };
        sound.then(|| Self(text.to_ascii_lowercase())).ok_or(InvalidMediaPattern)
    }

    /// The types that are rewritten without a setting.
    pub fn usual() -> Vec<Self> {
        REWRITTEN.iter().map(|text| Self((*text).to_owned())).collect()
    }

    /// The pattern as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether bodies of that content type, parameters and all, are meant.
    pub fn matches(&self, content_type: &str) -> bool {
        self.matches_essence(essence(content_type))
    }

    /// The same of a content type without parameters.
    pub fn matches_essence(&self, essence: &str) -> bool {
        if self.0.starts_with('+') {
            let from = essence.len().checked_sub(self.0.len());
            return from.and_then(|from| essence.get(from..)).is_some_and(|end| end.eq_ignore_ascii_case(&self.0));
        }
        essence.eq_ignore_ascii_case(&self.0)
    }
}

/// `type/subtype`, without parameters.
pub fn essence(content_type: &str) -> &str {
    let end = memchr::memchr(b';', content_type.as_bytes()).unwrap_or(content_type.len());
    content_type.get(..end).unwrap_or_default().trim()
}

/// Whether the characters of ASCII stand as single bytes in such a body. In UTF-16 and its like they do not, and nothing
/// is looked for there.
pub fn is_ascii_compatible(content_type: &str) -> bool {
    let charset = content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches(['"', '\'']).to_ascii_lowercase())
    });
    charset.is_none_or(|charset| {
        !["utf-16", "utf16", "utf-32", "utf32", "utf-7", "ucs-", "ucs2", "iso-10646", "unicode", "csunicode", "ibm037"]
            .iter()
            .any(|wide| charset.starts_with(wide))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_with_addresses() {
        let usual = MediaPattern::usual();
        for (content_type, expected) in [
            ("text/html; charset=UTF-8", true),
            ("application/json", true),
            ("application/problem+json", true),
            ("Text/JavaScript", true),
            ("text/css", true),
            ("image/svg+xml", true),
            ("application/xml;charset=utf-8", true),
            ("image/png", false),
            ("text/plain", false),
            ("text/event-stream", false),
            ("application/octet-stream", false),
            ("+json", true),
            ("json", false),
            ("", false),
        ] {
            assert_eq!(usual.iter().any(|pattern| pattern.matches(content_type)), expected, "{content_type}");
        }
        for pattern in REWRITTEN {
            assert!(MediaPattern::parse(pattern).is_ok(), "{pattern}");
        }
        for wrong in ["", "html", "text/", "/html", "text/*", "text/html; charset=utf-8", "+", "+a+b", "a b/c"] {
            assert_eq!(MediaPattern::parse(wrong), Err(InvalidMediaPattern), "{wrong}");
        }
    }

    #[test]
    fn wide_characters_are_not_looked_through() {
        for (content_type, expected) in [
            ("text/html", true),
            ("text/html; charset=utf-8", true),
            ("text/html; charset=\"ISO-8859-1\"", true),
            ("text/html; charset=Shift_JIS", true),
            ("text/html; charset=UTF-16LE", false),
            ("text/html; boundary=x; Charset = \"utf-16\"", false),
            ("text/xml;charset=utf-32be", false),
        ] {
            assert_eq!(is_ascii_compatible(content_type), expected, "{content_type}");
        }
    }
}
