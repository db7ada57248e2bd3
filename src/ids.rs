//! Names and numbers that must not be mistaken for each other.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::random::{NoRandomness, Random};

/// Names one exchange in answers, pages and logs: 128 random bits, shown as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(Hexadecimal<32>);

impl RequestId {
    /// A new id.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn generate(random: &Random) -> Result<Self, NoRandomness> {
        Ok(Self(Hexadecimal::of(&random.name_bytes::<16>()?)))
    }

    /// The id that stands for "none could be made".
    pub const fn none() -> Self {
        Self(Hexadecimal([b'0'; 32]))
    }

    /// As it is shown.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A number by which something goes to one place of several: the same for the same name, on every machine and in every version.
/// No secret, and no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Affinity(u64);

impl Affinity {
    /// That of a name in several parts: FNV-1a over them, and then mixed, since similar names are the rule.
    pub fn of(parts: &[&str]) -> Self {
        const PRIME: u64 = 0x0000_0100_0000_01b3;
        // No part of a name holds this octet in UTF-8: it ends each of them.
        const END: u8 = 0xff;
        let octets = parts.iter().flat_map(|part| part.bytes().chain(std::iter::once(END)));
        let hash = octets.fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(PRIME));
        Self(mixed(hash))
    }

    /// How much this one wants to go to `place`: of several places, to the one with the highest weight. Each place that goes
    /// leaves the order of the others as it is (rendezvous hashing).
    pub fn weight_at(self, place: Self) -> u64 {
        mixed(self.0 ^ place.0)
    }
}

/// The finalizer of SplitMix64: each bit of the input changes half of those of the output.
const fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// So many hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Hexadecimal<const DIGITS: usize>([u8; DIGITS]);

impl<const DIGITS: usize> Hexadecimal<DIGITS> {
    /// Of the first of these octets; zeros where there are too few.
    fn of(octets: &[u8]) -> Self {
        const DIGIT: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'0'; DIGITS];
        for (place, digit) in text.iter_mut().enumerate() {
            let octet = octets.get(place >> 1).copied().unwrap_or_default();
            let nibble = if place & 1 == 0 { octet >> 4 } else { octet & 0xf };
            *digit = DIGIT.get(usize::from(nibble)).copied().unwrap_or(b'0');
        }
        Self(text)
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Reads 256 bits in their one canonical spelling: 43 characters of base64url without padding. What is not that costs nothing.
pub fn read_token(text: &str) -> Option<[u8; 32]> {
    // The decoder wants room for whole groups of four characters.
    let mut room = [0; 33];
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut room).ok()?;
    room.get(..length)?.try_into().ok()
}

/// The visitor's session id as the cookie carries it: 256 random bits. A bearer secret: only its
/// [`SessionHash`] is stored or told.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct SessionId([u8; 32]);

impl SessionId {
    /// A new id.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn generate(random: &Random) -> Result<Self, NoRandomness> {
        Ok(Self(random.bytes()?))
    }

    /// Reads a cookie value: exactly 43 characters of base64url without padding, in its one canonical spelling.
    pub fn parse(value: &str) -> Option<Self> {
        Some(Self(read_token(value)?))
    }

    /// The cookie value.
    pub fn reveal(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// The raw bits, for deriving keys.
    pub fn reveal_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What stores and logs may know of this id.
    pub fn hash(&self) -> SessionHash {
        let digest = ring::digest::digest(&ring::digest::SHA256, &self.0);
        let mut hash = [0; 32];
        hash.copy_from_slice(digest.as_ref());
        SessionHash(hash)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(..)")
    }
}

/// SHA-256 of a [`SessionId`]: the key of the session store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionHash([u8; 32]);

impl SessionHash {
    /// The hash as stored.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to store it by.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The first 16 hexadecimal digits: enough to tell sessions apart in a log.
impl fmt::Display for SessionHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Hexadecimal::<16>::of(&self.0).as_str())
    }
}

impl fmt::Debug for SessionHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionHash({self})")
    }
}

/// The name of an identity provider in `gateway.yaml`: lower-case letters, digits, `-` and `_`, at most 64.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProviderName(Arc<str>);

/// The text is not a provider name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a provider's name is made of 1 to 64 lower-case letters, digits, \"-\" and \"_\"")]
pub struct InvalidProviderName;

impl ProviderName {
    /// Checks a name.
    ///
    /// # Errors
    /// When it holds anything but lower-case letters, digits, `-` and `_`, or is empty or longer than 64.
    pub fn parse(raw: &str) -> Result<Self, InvalidProviderName> {
        let plain = raw.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
        (plain && (1..=64).contains(&raw.len())).then(|| Self(raw.into())).ok_or(InvalidProviderName)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c9_session_ids_are_unique_and_long() {
        let random = Random::default();
        let ids: std::collections::HashSet<String> =
            (0..100_000).map(|_| SessionId::generate(&random).unwrap().reveal()).collect();
        assert_eq!(ids.len(), 100_000);
        assert!(ids.iter().all(|id| id.len() == 43));
    }

    #[test]
    fn a_session_id_has_one_spelling() {
        let id = SessionId::generate(&Random::default()).unwrap();
        assert!(SessionId::parse(&id.reveal()).unwrap() == id);
        for wrong in ["", "a", &format!("{}=", id.reveal()), &format!(" {}", id.reveal()), &"A".repeat(44)] {
            assert!(SessionId::parse(wrong).is_none(), "{wrong:?}");
        }
        // The last character carries 4 bits of the id and 2 bits that must be zero.
        assert!(SessionId::parse(&format!("{}B", "A".repeat(42))).is_none());
    }

    #[test]
    fn ids_are_shown_as_hexadecimal_digits() {
        let octets: [u8; 16] = std::array::from_fn(|place| u8::try_from(place * 17).unwrap());
        assert_eq!(Hexadecimal::<32>::of(&octets).as_str(), "00112233445566778899aabbccddeeff");
        assert_eq!(SessionHash([0x0f; 32]).to_string(), "0f".repeat(8));
    }

    #[test]
    fn debug_hides_the_session_id() {
        let id = SessionId::generate(&Random::default()).unwrap();
        assert_eq!(format!("{id:?}"), "SessionId(..)");
    }

    #[test]
    fn provider_names_are_plain() {
        assert!(ProviderName::parse("acme-okta_2").is_ok());
        for wrong in ["", "Acme", "a b", "a/b", "ä", &"a".repeat(65)] {
            assert!(ProviderName::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
