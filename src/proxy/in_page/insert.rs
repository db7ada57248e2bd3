//! Puts a text at the start of a document's head while the document passes. What stands before it is read by the rules of
//! HTML's tokenizer (WHATWG HTML, 13.2.5): white space, comments, the doctype, `<html>`, `<head>`. The text goes after `<head>`,
//! or before whatever else comes first. Once it is in, nothing is looked at any more.

use bytes::{Bytes, BytesMut};

/// More than that before the head, and the document passes as it is. In bytes.
const LONGEST_START: usize = 64 * 1024;

/// A document on its way.
#[derive(Debug)]
pub struct Insert {
    text: Bytes,
    /// What was read so far, until the place is found.
    held: Option<BytesMut>,
}

/// Where the text goes, as far as the start of a document is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    At(usize),
    NotYet,
}

impl Insert {
    /// Starts with a document.
    pub fn new(text: Bytes) -> Self {
        Self { text, held: Some(BytesMut::new()) }
    }

    /// Takes the next chunk and gives what is decided. At the `end` nothing is held back.
    pub fn push(&mut self, chunk: Bytes, end: bool) -> Bytes {
        let Some(held) = &mut self.held else { return chunk };
        held.extend_from_slice(&chunk);
        match place(held) {
            Place::At(at) => {
                let mut whole = std::mem::take(held);
                let rest = whole.split_off(at.min(whole.len()));
                whole.extend_from_slice(&self.text);
                whole.unsplit(rest);
                self.held = None;
                whole.freeze()
            }
            // A document without a single tag has no script to be before.
            Place::NotYet if end || held.len() > LONGEST_START => {
                let whole = std::mem::take(held);
                self.held = None;
                whole.freeze()
            }
            Place::NotYet => Bytes::new(),
        }
    }
}

fn place(start: &[u8]) -> Place {
    let mut at = if start.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    loop {
        let rest = start.get(at..).unwrap_or_default();
        let Some(&first) = rest.first() else { return Place::NotYet };
        let length = match (first, rest.get(1)) {
            (b' ' | b'\t' | b'\n' | b'\r' | 0x0c, _) => Some(1),
            (b'<', None) => None,
            (b'<', Some(b'!')) if b"--".starts_with(rest.get(2..rest.len().min(4)).unwrap_or_default()) => {
                comment(rest)
            }
            (b'<', Some(b'!' | b'?')) => bogus_comment(rest),
            (b'<', Some(letter)) if letter.is_ascii_alphabetic() => match name(rest) {
                None => None,
                Some(name) if name.eq_ignore_ascii_case(b"html") => tag(rest),
                Some(name) if name.eq_ignore_ascii_case(b"head") => {
                    return tag(rest).map_or(Place::NotYet, |length| Place::At(at.saturating_add(length)));
                }
                Some(_) => return Place::At(at),
            },
            // Text, or an end tag: the head has begun, and ended.
            _ => return Place::At(at),
        };
        match length {
            Some(length) => at = at.saturating_add(length),
            None => return Place::NotYet,
        }
    }
}

/// The length of a comment; none when it has not ended yet.
fn comment(rest: &[u8]) -> Option<usize> {
    let inside = rest.get(4..)?;
    for (abrupt, length) in [(&b">"[..], 5), (b"->", 6)] {
        if inside.starts_with(abrupt) {
            return Some(length);
        }
    }
    let ends = |end: &'static [u8]| {
        inside.windows(end.len()).position(|window| window == end).map(|at| at.saturating_add(end.len()))
    };
    [ends(b"-->"), ends(b"--!>")].into_iter().flatten().min().map(|length| length.saturating_add(4))
}

/// The length of a doctype, or of what browsers take for a comment.
fn bogus_comment(rest: &[u8]) -> Option<usize> {
    rest.iter().position(|byte| *byte == b'>').map(|at| at.saturating_add(1))
}

/// The name of a tag; none when it may go on.
fn name(rest: &[u8]) -> Option<&[u8]> {
    let end = rest.iter().skip(1).position(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c | b'/' | b'>'))?;
    rest.get(1..end.saturating_add(1))
}

/// The length of a tag; none when it has not ended yet. A `>` in a quoted value ends nothing.
fn tag(rest: &[u8]) -> Option<usize> {
    let (mut quote, mut before_value) = (None, false);
    for (at, &byte) in rest.iter().enumerate() {
        match quote {
            Some(open) if byte == open => quote = None,
            Some(_) => {}
            None if byte == b'>' => return Some(at.saturating_add(1)),
            None if before_value && matches!(byte, b'"' | b'\'') => (quote, before_value) = (Some(byte), false),
            None if byte == b'=' => before_value = true,
            None if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c) => before_value = false,
            None => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(document: &str) -> String {
        let mut insert = Insert::new(Bytes::from_static(b"[S]"));
        String::from_utf8(insert.push(Bytes::copy_from_slice(document.as_bytes()), true).to_vec()).unwrap()
    }

    #[test]
    fn it_goes_before_everything_else_in_the_head() {
        for expected in [
            "<!DOCTYPE html>\n<html lang=\"en\"><head>[S]<meta charset=\"utf-8\"></head>",
            "<HTML><HEAD>[S]<title>x</title>",
            "<html><head\n data-x=\"a>b\" data-y='>' z=a>[S]<script>",
            "\u{feff}<!-- <head> --><!----><!--> <html><!-- - -- --><head>[S]",
            "<!-- a --!><?xml version=\"1.0\"?><head/>[S]<title>",
            "[S]<header><head>",
            "<html>[S]<body><head>",
            "<!doctype html>[S]<script>1</script><head>",
            "[S]text <head>",
            "[S]</html>",
            "[S]<title>a</title>",
        ] {
            assert_eq!(whole(&expected.replace("[S]", "")), expected);
        }
        for nothing in ["", "<!-- never ends <head>", "<!doctype html>\n\n", "<html x=\"> <head>", "<"] {
            assert_eq!(whole(nothing), nothing);
        }
        let long = format!("<!--{}--><head>", "x".repeat(LONGEST_START));
        assert_eq!(whole(&long), long.replace("<head>", "<head>[S]"), "in one chunk it is found");
        let mut insert = Insert::new(Bytes::from_static(b"[S]"));
        let first = insert.push(Bytes::from(vec![b' '; LONGEST_START + 1]), false);
        assert_eq!(first.len(), LONGEST_START + 1, "memory is bounded");
        assert_eq!(insert.push(Bytes::from_static(b"<head>"), true), "<head>");
    }

    proptest! {
        #[test]
        fn any_chunking_gives_what_the_whole_gives(
            pieces in proptest::collection::vec("(<!DOCTYPE html>|<html a='>'>|<head x=\">\">|<!--|-->|<!-->|[ \n<>a-c='\"/!?-]|<body>){0,3}", 0..8)
        ) {
            let document: String = pieces.concat();
            let mut insert = Insert::new(Bytes::from_static(b"[S]"));
            let mut out = Vec::new();
            for piece in &pieces {
                out.extend_from_slice(&insert.push(Bytes::copy_from_slice(piece.as_bytes()), false));
            }
            out.extend_from_slice(&insert.push(Bytes::new(), true));
            prop_assert_eq!(String::from_utf8(out).unwrap(), whole(&document));
        }
    }
}
