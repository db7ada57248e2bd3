//! Ids of messages and assertions (SAML Core 1.3.4).

use std::fmt::Write as _;

use crate::random::{NoRandomness, Random};

/// A new id: 160 random bits. It starts with an underscore, because an `xs:ID` may not start with a digit.
///
/// # Errors
/// When the system has no randomness to give.
pub fn generate(random: &Random) -> Result<String, NoRandomness> {
    let mut id = String::from("_");
    for byte in random.bytes::<20>()? {
        let _ = write!(id, "{byte:02x}"); // writing to a string cannot fail
    }
    Ok(id)
}

/// Whether a text can be an id: 1 to 256 characters of an `xs:ID` without a colon. Ids of strangers are kept and shown, so
/// what is odd is refused.
pub fn is_plain(id: &str) -> bool {
    let starts = id.bytes().next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    starts && id.len() <= 256 && id.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn s12_ids_have_128_random_bits_and_more() {
        let random = Random::default();
        let ids: HashSet<String> = (0..10_000).map(|_| generate(&random).unwrap()).collect();
        assert_eq!(ids.len(), 10_000);
        assert!(ids.iter().all(|id| id.len() == 41 && is_plain(id)));
    }

    #[test]
    fn odd_ids_are_told() {
        for odd in ["", "1a", " a", "a b", "a\"", "element(/1/3)", "ä", "a:b", &"a".repeat(257)] {
            assert!(!is_plain(odd), "{odd}");
        }
    }
}
