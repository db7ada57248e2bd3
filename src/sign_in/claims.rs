//! What is kept of the many things that a provider may say of a person.
//!
//! Conditions are decided by these values, so half a value is another value: a claim that is too much is left out whole,
//! and a condition that needs it then lets nobody in.

use std::collections::BTreeMap;

/// Claims of one person.
const MOST_CLAIMS: usize = 100;
/// Values of one claim.
const MOST_VALUES: usize = 1000;
/// Bytes of a claim's name.
const LONGEST_NAME: usize = 256;
/// Bytes of one value.
const LONGEST_VALUE: usize = 1024;
/// Bytes of all names and values of one person: they are kept with the session.
const MOST_BYTES: usize = 32 * 1024;

/// The claims or attributes of one person, as they are collected.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    kept: BTreeMap<String, Vec<String>>,
    bytes: usize,
}

impl Claims {
    /// Keeps a claim with all its values, or nothing of it: when it is too long, has too many values, is there already,
    /// or when there is no more room.
    pub fn add(&mut self, name: &str, values: Vec<String>) {
        let bytes = values.iter().map(String::len).fold(name.len(), usize::saturating_add);
        let bytes = bytes.saturating_add(self.bytes);
        let fits = (1..=LONGEST_NAME).contains(&name.len())
            && values.len() <= MOST_VALUES
            && values.iter().all(|value| value.len() <= LONGEST_VALUE)
            && self.kept.len() < MOST_CLAIMS
            && bytes <= MOST_BYTES
            && !self.kept.contains_key(name);
        if fits {
            self.bytes = bytes;
            self.kept.insert(name.to_owned(), values);
        }
    }

    /// What was kept.
    pub fn into_map(self) -> BTreeMap<String, Vec<String>> {
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_left_out_whole() {
        let mut claims = Claims::default();
        for (name, values) in [
            ("ok", vec!["a".to_owned(), "b".to_owned()]),
            ("", vec!["a".to_owned()]),
            (&"n".repeat(257), vec!["a".to_owned()]),
            ("long", vec!["a".to_owned(), "x".repeat(1025)]),
            ("many", vec!["a".to_owned(); 1001]),
            ("ok", vec!["again".to_owned()]),
            ("big", vec!["x".repeat(1024); 40]),
            ("none", vec![]),
        ] {
            claims.add(name, values);
        }
        let kept = claims.into_map();
        assert_eq!(kept.keys().collect::<Vec<_>>(), ["none", "ok"]);
        assert_eq!(kept["ok"], ["a", "b"]);
    }

    #[test]
    fn the_number_and_the_size_of_all_claims_are_bounded() {
        let mut claims = Claims::default();
        (0..500).for_each(|n| claims.add(&format!("claim-{n:03}"), vec!["x".into()]));
        assert_eq!(claims.into_map().len(), 100);
        let mut claims = Claims::default();
        (0..500).for_each(|n| claims.add(&format!("claim-{n:03}"), vec!["x".repeat(1000)]));
        assert_eq!(claims.into_map().len(), 32);
    }
}
