//! Turns the upstream's own address into the public one, in headers and, streaming, in bodies.
//!
//! A body is never held back whole: what is kept between two chunks is as long as the longest spelling of the address.

use aho_corasick::{AhoCorasick, MatchKind};
use bytes::{Bytes, BytesMut};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Replaces one origin by another, in each spelling that web pages use.
#[derive(Clone, Debug)]
pub struct OriginRewriter {
    from: String,
    to: String,
    finder: AhoCorasick,
    replacements: Vec<Bytes>,
    longest: usize,
}

/// The rewriter could not be built: the origins are longer than the search supports.
#[derive(Debug, thiserror::Error)]
#[error("the addresses cannot be rewritten: {0}")]
pub struct RewriterFailed(#[from] aho_corasick::BuildError);

/// How far behind a match it must be known that the host name ends there.
const LOOK_AHEAD: usize = 2;

impl OriginRewriter {
    /// Replaces `from` (`scheme://host[:port]`) by `to`.
    ///
    /// # Errors
    /// When the search cannot be built.
    pub fn new(from: &str, to: &str) -> Result<Self, RewriterFailed> {
        let mut patterns = Vec::new();
        let mut replacements = Vec::new();
        let escapes: [fn(&str) -> String; 4] = [
            str::to_owned,
            |text| text.replace('/', "\\/"),
            |text| text.replace('/', "\\u002F"),
            |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string().replace("%2E", ".").replace("%2D", "-"),
        ];
        for escape in escapes {
            patterns.push(escape(from));
            replacements.push(Bytes::from(escape(to)));
        }
        let longest = patterns.iter().map(String::len).max().unwrap_or(0);
        let finder = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::LeftmostLongest)
            .build(&patterns)?;
        Ok(Self { from: from.to_owned(), to: to.to_owned(), finder, replacements, longest })
    }

    /// Rewrites an address that stands at the start of a header value: `Location`, `Origin`, `Referer`.
    /// `None` when it is another address.
    pub fn address(&self, value: &str) -> Option<String> {
        let rest = value.get(self.from.len()..)?;
        let same = value.get(..self.from.len())?.eq_ignore_ascii_case(&self.from);
        (same && ends_host(rest.as_bytes())).then(|| format!("{}{rest}", self.to))
    }

    /// Starts to rewrite a body.
    pub fn body(&self) -> BodyRewriter {
        BodyRewriter { held: BytesMut::new() }
    }

    /// Rewrites a text at once.
    pub fn text(&self, text: &[u8]) -> Bytes {
        self.body().push(self, text, true)
    }
}

/// Whether what follows a host name does not go on with it: `.example` and `:8080` would make it another host.
fn ends_host(rest: &[u8]) -> bool {
    match rest {
        [b'.' | b':', next, ..] => !next.is_ascii_alphanumeric(),
        [b'%', b'3', ..] => rest.get(2).is_none_or(|c| !matches!(c, b'A' | b'a')),
        [next, ..] => !next.is_ascii_alphanumeric() && *next != b'-' && *next != b'@',
        [] => true,
    }
}

/// The part of a body that is still to be decided about.
#[derive(Debug)]
pub struct BodyRewriter {
    held: BytesMut,
}

impl BodyRewriter {
    /// Takes the next chunk and gives what is decided. At the `end` nothing is held back.
    pub fn push(&mut self, rewriter: &OriginRewriter, chunk: &[u8], end: bool) -> Bytes {
        self.held.extend_from_slice(chunk);
        let text = &self.held[..];
        // A match that begins before this point is complete, and so is what follows it.
        let reserve = if end { 0 } else { rewriter.longest.saturating_add(LOOK_AHEAD) };
        let decided = text.len().saturating_sub(reserve);
        let mut out = BytesMut::with_capacity(text.len());
        let mut done = 0;
        for found in rewriter.finder.find_iter(text) {
            if found.start() >= decided {
                break;
            }
            let replacement = rewriter.replacements.get(found.pattern().as_usize());
            let (Some(replacement), true) = (replacement, ends_host(text.get(found.end()..).unwrap_or_default()))
            else {
                continue;
            };
            out.extend_from_slice(text.get(done..found.start()).unwrap_or_default());
            out.extend_from_slice(replacement);
            done = found.end();
        }
        let decided = decided.max(done);
        out.extend_from_slice(text.get(done..decided).unwrap_or_default());
        let _ = self.held.split_to(decided);
        out.freeze()
    }
}

/// Whether bodies of that content type carry addresses: HTML, JSON, JavaScript.
pub fn carries_addresses(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(
        essence.as_str(),
        "text/html" | "application/xhtml+xml" | "application/json" | "text/javascript" | "application/javascript"
    ) || essence.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewriter() -> OriginRewriter {
        OriginRewriter::new("https://jsm.internal:8444", "https://support.acme.com").unwrap()
    }

    #[test]
    fn every_spelling_is_rewritten() {
        for (from, to) in [
            ("<a href=\"https://jsm.internal:8444/x\">", "<a href=\"https://support.acme.com/x\">"),
            (r#"{"u":"https:\/\/jsm.internal:8444\/x"}"#, r#"{"u":"https:\/\/support.acme.com\/x"}"#),
            (r"'https:\u002F\u002Fjsm.internal:8444\u002Fx'", r"'https:\u002F\u002Fsupport.acme.com\u002Fx'"),
            ("?continue=https%3A%2F%2Fjsm.internal%3A8444%2Fx", "?continue=https%3A%2F%2Fsupport.acme.com%2Fx"),
            ("HTTPS://JSM.internal:8444", "https://support.acme.com"),
            ("see https://jsm.internal:8444.", "see https://support.acme.com."),
        ] {
            assert_eq!(rewriter().text(from.as_bytes()), to, "{from}");
        }
    }

    #[test]
    fn another_host_is_left_alone() {
        for text in [
            "https://jsm.internal:84440/x",
            "https://jsm.internal:8444.evil.test/",
            "https://jsm.internal:8444@evil.test/",
            "https://jsm.internal/x",
            "http://jsm.internal:8444/x",
        ] {
            assert_eq!(rewriter().text(text.as_bytes()), text);
        }
        let plain = OriginRewriter::new("https://jsm.internal", "https://p").unwrap();
        for text in ["https://jsm.internal:8444", "https://jsm.internal.evil.test", "https%3A%2F%2Fjsm.internal%3A8444"]
        {
            assert_eq!(plain.text(text.as_bytes()), text);
            assert_eq!(plain.address(text), None);
        }
        assert_eq!(plain.address("https://JSM.internal/a").as_deref(), Some("https://p/a"));
    }

    #[test]
    fn any_chunking_gives_the_same() {
        let rewriter = rewriter();
        let text = br#"a https://jsm.internal:8444/1 https:\/\/jsm.internal:8444\/2 https://jsm.internal:8444.x https://jsm.internal:8444"#;
        let whole = rewriter.text(text);
        for first in 0..text.len() {
            for second in first..text.len() {
                let mut body = rewriter.body();
                let mut out = Vec::new();
                for (chunk, end) in [(&text[..first], false), (&text[first..second], false), (&text[second..], true)] {
                    out.extend_from_slice(&body.push(&rewriter, chunk, end));
                }
                assert_eq!(out, whole, "{first} {second}");
            }
        }
    }

    #[test]
    fn little_is_held_back() {
        let rewriter = rewriter();
        let mut body = rewriter.body();
        let out = body.push(&rewriter, &[b'x'; 10_000], false);
        assert!(out.len() > 9_900, "{}", out.len());
    }

    #[test]
    fn types_with_addresses() {
        for (content_type, expected) in [
            ("text/html; charset=UTF-8", true),
            ("application/json", true),
            ("application/problem+json", true),
            ("Text/JavaScript", true),
            ("image/png", false),
            ("application/octet-stream", false),
            ("", false),
        ] {
            assert_eq!(carries_addresses(content_type), expected, "{content_type}");
        }
    }
}
