//! Path patterns of rules: literal segments, `*` for one segment, `**` at the end for any rest.

use std::fmt;

/// A pattern such as `/servicedesk/customer/kb/**`. Matched against the decoded path of a canonical request, without
/// regard to a trailing slash, case-sensitively.
#[derive(Clone, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
    /// The path up to the first segment that is not literal, without the slash at either end.
    start: String,
    /// The segments from there on.
    segments: Vec<Segment>,
    open: bool,
}

#[derive(Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Any,
}

impl Segment {
    fn as_str(&self) -> &str {
        match self {
            Self::Literal(text) => text,
            Self::Any => "*",
        }
    }
}

/// The text is not a path pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// It has to name a path from the root.
    #[error("a path pattern starts with \"/\"")]
    NotAbsolute,
    /// `**` in the middle would be ambiguous.
    #[error("\"**\" may stand only as the last segment")]
    OpenInTheMiddle,
    /// `ab*` would promise what is not there.
    #[error("\"*\" stands for a whole segment")]
    PartOfASegment,
    /// A query, a fragment or an empty, dotted or escaped segment can never match.
    #[error(
        "a segment holds no \"?\", \"#\", \"%\", \";\", \"\\\" and is not empty, \".\" or \"..\": it would never match"
    )]
    NeverMatches,
}

impl PathPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When it could not mean what its writer thinks.
    pub fn parse(raw: &str) -> Result<Self, InvalidPattern> {
        let rest = raw.strip_prefix('/').ok_or(InvalidPattern::NotAbsolute)?;
        let (rest, open) = match rest.strip_suffix("**") {
            Some("") => ("", true),
            Some(before) => (before.strip_suffix('/').ok_or(InvalidPattern::PartOfASegment)?, true),
            None => (rest.strip_suffix('/').unwrap_or(rest), false),
        };
        let mut segments = Vec::new();
        for segment in rest.split('/').filter(|_| !rest.is_empty()) {
            segments.push(match segment {
                "*" => Segment::Any,
                "**" => return Err(InvalidPattern::OpenInTheMiddle),
                "" | "." | ".." => return Err(InvalidPattern::NeverMatches),
                text if text.contains('*') => return Err(InvalidPattern::PartOfASegment),
                text if text.contains(['?', '#', '%', ';', '\\']) || text.chars().any(char::is_control) => {
                    return Err(InvalidPattern::NeverMatches);
                }
                text => Segment::Literal(text.to_owned()),
            });
        }
        let literal = |segment: &Segment| matches!(segment, Segment::Literal(_));
        let after = segments.split_off(segments.iter().take_while(|segment| literal(segment)).count());
        let start = segments.iter().map(Segment::as_str).collect::<Vec<_>>().join("/");
        Ok(Self { text: raw.to_owned(), start, segments: after, open })
    }

    /// Whether the decoded, dot-free `path` (starting with `/`) matches.
    pub fn matches(&self, path: &str) -> bool {
        let path = path.strip_prefix('/').unwrap_or(path);
        let path = path.strip_suffix('/').unwrap_or(path);
        // Most patterns are none of this path's: one comparison says so.
        let Some(rest) = path.strip_prefix(self.start.as_str()) else { return false };
        let rest = match rest.strip_prefix('/') {
            _ if rest.is_empty() => None,
            _ if self.start.is_empty() => Some(rest),
            Some(rest) => Some(rest),
            None => return false,
        };
        let mut found = rest.into_iter().flat_map(|rest| rest.split('/'));
        for segment in &self.segments {
            let Some(piece) = found.next() else { return false };
            match segment {
                Segment::Any if piece.is_empty() => return false,
                Segment::Literal(text) if text != piece => return false,
                Segment::Any | Segment::Literal(_) => {}
            }
        }
        self.open || found.next().is_none()
    }
}

impl fmt::Debug for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_segments() {
        for (pattern, path, expected) in [
            ("/kb/**", "/kb", true),
            ("/kb/**", "/kb/", true),
            ("/kb/**", "/kb/view/7", true),
            ("/kb/**", "/kbx", false),
            ("/kb/**", "/kb//", true),
            ("/kb", "/kb//", false),
            ("/kb/*", "/kb//", false),
            ("/kb/*", "/kb/", false),
            ("/kb/*/x", "/kb/7/x/", true),
            ("/kb/view", "/kb/viewer", false),
            ("/kb/view", "/kb/view", true),
            ("/*/view", "/kb/view", true),
            ("/*", "/", false),
            ("/*", "/kb", true),
            ("/kb/**", "/", false),
            ("/kb", "/kb/", true),
            ("/kb", "/kb/view", false),
            ("/kb", "/KB", false),
            ("/portal/*/create", "/portal/7/create", true),
            ("/portal/*/create", "/portal//create", false),
            ("/portal/*/create", "/portal/7/8/create", false),
            ("/", "/", true),
            ("/", "/a", false),
            ("/**", "/", true),
            ("/**", "/a/b", true),
        ] {
            assert_eq!(PathPattern::parse(pattern).unwrap().matches(path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn patterns_that_could_mislead_are_refused() {
        for (pattern, expected) in [
            ("kb/**", InvalidPattern::NotAbsolute),
            ("", InvalidPattern::NotAbsolute),
            ("/a/**/b", InvalidPattern::OpenInTheMiddle),
            ("/a**", InvalidPattern::PartOfASegment),
            ("/a*b", InvalidPattern::PartOfASegment),
            ("/a?x=1", InvalidPattern::NeverMatches),
            ("/a/../b", InvalidPattern::NeverMatches),
            ("/a//b", InvalidPattern::NeverMatches),
            ("/a%20b", InvalidPattern::NeverMatches),
        ] {
            assert_eq!(PathPattern::parse(pattern).unwrap_err(), expected, "{pattern}");
        }
    }
}
