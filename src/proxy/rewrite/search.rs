//! Finds where one of several texts may be, at the speed of the processor's vector instructions.
//!
//! What is searched for is a short window of each text, chosen so that it is rare elsewhere; whoever asks looks closer.
//! Windows of host names come in each mix of upper and lower case.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, Input, MatchKind, Span, packed};

/// The longest window, in bytes: what the vector search compares at once.
const WINDOW: usize = 4;

/// A text to search for.
#[derive(Clone, Debug)]
pub(super) struct Needle {
    /// The text.
    pub text: Vec<u8>,
    /// Whether upper and lower case are the same.
    pub ignores_case: bool,
}

/// Where a needle may be: its number, and where it would begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub needle: usize,
    pub begin: usize,
}

/// The search for several needles.
#[derive(Clone, Debug)]
pub(super) struct Search {
    engine: Engine,
    /// For each pattern of the engine, whose window it is: the needle, and how far into it.
    owners: Vec<Vec<(usize, usize)>>,
}

#[derive(Clone, Debug)]
enum Engine {
    Nothing,
    Vector(packed::Searcher),
    Automaton(AhoCorasick),
}

impl Search {
    /// Prepares the search. An empty needle is never found.
    ///
    /// # Errors
    /// When there are more needles than the search supports.
    pub(super) fn new(needles: &[Needle]) -> Result<Self, aho_corasick::BuildError> {
        // Windows of one length, so that no window hides another.
        let shortest = needles.iter().map(|needle| needle.text.len()).filter(|length| *length > 0).min().unwrap_or(0);
        let length = shortest.min(WINDOW);
        let mut windows: BTreeMap<Vec<u8>, Vec<(usize, usize)>> = BTreeMap::new();
        for (number, needle) in needles.iter().enumerate() {
            let Some((offset, window)) = rarest(&needle.text, length) else { continue };
            let spellings = if needle.ignores_case { cases(window) } else { vec![window.to_vec()] };
            for spelling in spellings {
                windows.entry(spelling).or_default().push((number, offset));
            }
        }
        let patterns: Vec<&Vec<u8>> = windows.keys().collect();
        let engine = if patterns.is_empty() {
            Engine::Nothing
        } else if let Some(searcher) = packed::Searcher::new(&patterns) {
            Engine::Vector(searcher)
        } else {
            Engine::Automaton(AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(&patterns)?)
        };
        Ok(Self { engine, owners: windows.into_values().collect() })
    }

    /// Every place where a needle may be, in the order of the windows.
    pub(super) fn candidates<'s>(&'s self, text: &'s [u8]) -> impl Iterator<Item = Candidate> + 's {
        let mut from = 0_usize;
        let hits = std::iter::from_fn(move || {
            let (pattern, at) = self.next(text, from)?;
            from = at.saturating_add(1); // windows may overlap
            Some((self.owners.get(pattern)?, at))
        });
        hits.flat_map(|(owners, at)| {
            owners.iter().filter_map(move |(needle, offset)| {
                Some(Candidate { needle: *needle, begin: at.checked_sub(*offset)? })
            })
        })
    }

    fn next(&self, text: &[u8], from: usize) -> Option<(usize, usize)> {
        if from >= text.len() {
            return None;
        }
        let span = Span { start: from, end: text.len() };
        let found = match &self.engine {
            Engine::Nothing => None,
            Engine::Vector(searcher) => searcher.find_in(text, span),
            Engine::Automaton(automaton) => automaton.find(Input::new(text).span(span)),
        };
        found.map(|found| (found.pattern().as_usize(), found.start()))
    }
}

/// The window of a text that is least often found elsewhere, and how far into the text it is.
fn rarest(text: &[u8], length: usize) -> Option<(usize, &[u8])> {
    if length == 0 {
        return None;
    }
    text.windows(length).enumerate().min_by_key(|(_, window)| window.iter().map(|byte| commonness(*byte)).sum::<u32>())
}

/// How common a byte is in web pages, roughly.
fn commonness(byte: u8) -> u32 {
    match byte.to_ascii_lowercase() {
        b'e' | b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' => 9,
        b'l' | b'd' | b'h' | b'c' | b'u' | b'm' | b'f' | b'p' | b'g' | b'/' | b'"' | b' ' => 7,
        b'w' | b'y' | b'b' | b'v' | b'k' | b':' | b'=' | b'<' | b'>' | b'\\' => 5,
        b'.' | b'-' | b'0'..=b'9' => 4,
        b'x' | b'j' | b'q' | b'z' => 2,
        _ => 3,
    }
}

/// Every mix of upper and lower case.
fn cases(window: &[u8]) -> Vec<Vec<u8>> {
    let mut all = vec![Vec::new()];
    for byte in window {
        let (lower, upper) = (byte.to_ascii_lowercase(), byte.to_ascii_uppercase());
        let mut next = Vec::new();
        for begun in all {
            next.push([begun.as_slice(), &[lower]].concat());
            if upper != lower {
                next.push([begun.as_slice(), &[upper]].concat());
            }
        }
        all = next;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(needles: &[(&str, bool)], text: &str) -> Vec<(usize, usize)> {
        let needles: Vec<Needle> = needles
            .iter()
            .map(|(text, ignores_case)| Needle { text: text.as_bytes().to_vec(), ignores_case: *ignores_case })
            .collect();
        let search = Search::new(&needles).unwrap();
        search.candidates(text.as_bytes()).map(|candidate| (candidate.needle, candidate.begin)).collect()
    }

    #[test]
    fn windows_that_overlap_are_all_found() {
        assert_eq!(found(&[("aaaab", true)], "aaaaaab"), [(0, 2)]);
        assert_eq!(found(&[("aaaa", false), ("aaab", false)], "aaaab"), [(0, 0), (1, 1)]);
        assert_eq!(found(&[("jsm.internal", true)], "x JSM.Internal y"), [(0, 2)]);
        assert_eq!(found(&[("jsm.internal", false)], "x JSM.Internal y"), []);
        assert_eq!(found(&[("same", false), ("same", false)], "same"), [(0, 0), (1, 0)]);
        assert_eq!(found(&[("", false)], "x"), []);
        assert_eq!(found(&[("a", true), ("longer.text", true)], "a A"), [(0, 0), (0, 2)]);
    }

    #[test]
    fn more_needles_than_vectors_hold_are_found_all_the_same() {
        let names: Vec<String> = (0..200).map(|n| format!("host-{n:03}.example")).collect();
        let needles: Vec<(&str, bool)> = names.iter().map(|name| (name.as_str(), true)).collect();
        let text = names.concat();
        let found = found(&needles, &text);
        for (number, name) in names.iter().enumerate() {
            assert!(found.contains(&(number, text.find(name.as_str()).unwrap())), "{name}");
        }
    }
}
