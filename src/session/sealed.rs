//! Sealed bytes: `version | key id | nonce | ciphertext and tag`, by AES-256-GCM. The version, the key id, the kind and
//! the session's hash are authenticated too, so that no sealed part opens in another place than its own.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::ids::SessionHash;
use crate::random::Random;

/// The only version there is.
const VERSION: u8 = 1;
/// Version and key id.
const HEAD: usize = 5;

/// Which configured key has sealed: told in clear, derived from the key, reveals nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyId(pub [u8; 4]);

/// What a sealed part is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The session's secrets.
    Record = 1,
    /// What lets a session be found without its id.
    Index = 2,
    /// What outlives sessions.
    Lasting = 3,
    /// What a known browser holds.
    Browser = 4,
    /// What is known of a form that a known browser has sent.
    Form = 5,
    /// The body of one.
    FormBody = 6,
}

/// Bytes that say nothing without their key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed(#[serde(with = "octets")] Vec<u8>);

/// As one string of octets, not as a list of numbers.
mod octets {
    use serde::{Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(octets: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(octets)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        struct Octets;
        impl de::Visitor<'_> for Octets {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("octets")
            }

            fn visit_bytes<E: de::Error>(self, octets: &[u8]) -> Result<Vec<u8>, E> {
                Ok(octets.to_vec())
            }

            fn visit_byte_buf<E: de::Error>(self, octets: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(octets)
            }
        }
        from.deserialize_byte_buf(Octets)
    }
}

impl Sealed {
    /// Bytes from a store: nothing is known of them until they are opened.
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key that has sealed these bytes, if they are what they seem.
    pub(super) fn key_id(&self) -> Option<KeyId> {
        match *self.0.first_chunk::<HEAD>()? {
            [VERSION, a, b, c, d] => Some(KeyId([a, b, c, d])),
            _ => None,
        }
    }
}

/// Sealing did not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum NotSealed {
    /// For want of a nonce.
    #[error("the system gave no random bytes")]
    NoRandomness,
    /// The content did not become JSON.
    #[error("the session does not become JSON")]
    NoJson,
    /// The cipher refused, as it does for more than 64 GiB.
    #[error("the cipher refused")]
    Cipher,
}

/// The key of one part of one session.
pub(super) struct SealingKey {
    id: KeyId,
    key: Zeroizing<[u8; 32]>,
}

impl SealingKey {
    pub const fn new(id: KeyId, key: Zeroizing<[u8; 32]>) -> Self {
        Self { id, key }
    }

    /// Seals `plain` for the session with this hash.
    pub fn seal(&self, kind: Kind, hash: &SessionHash, plain: &[u8], random: &Random) -> Result<Sealed, NotSealed> {
        let nonce: [u8; NONCE_LEN] = random.bytes().map_err(|_| NotSealed::NoRandomness)?;
        let room = plain.len().saturating_add(HEAD).saturating_add(NONCE_LEN).saturating_add(AES_256_GCM.tag_len());
        let mut sealed = Vec::with_capacity(room);
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.id.0);
        sealed.extend_from_slice(&nonce);
        let mut body = Zeroizing::new(plain.to_vec());
        let tag = self
            .cipher()
            .ok_or(NotSealed::Cipher)?
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), self.bound_to(kind, hash), &mut body)
            .map_err(|_| NotSealed::Cipher)?;
        sealed.extend_from_slice(&body);
        sealed.extend_from_slice(tag.as_ref());
        Ok(Sealed(sealed))
    }

    /// Opens what [`SealingKey::seal`] has made of the same kind for the same session, and nothing else.
    pub fn open(&self, kind: Kind, hash: &SessionHash, sealed: &Sealed) -> Option<Zeroizing<Vec<u8>>> {
        if sealed.key_id()? != self.id {
            return None;
        }
        let (nonce, body) = sealed.0.get(HEAD..)?.split_first_chunk::<NONCE_LEN>()?;
        let mut body = Zeroizing::new(body.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.cipher()?.open_in_place(nonce, self.bound_to(kind, hash), &mut body).ok()?.len();
        body.truncate(length);
        Some(body)
    }

    fn cipher(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&AES_256_GCM, self.key.as_ref()).ok().map(LessSafeKey::new)
    }

    fn bound_to(&self, kind: Kind, hash: &SessionHash) -> Aad<Vec<u8>> {
        let mut bound = Vec::with_capacity(64);
        bound.extend_from_slice(b"vestibule session");
        bound.push(VERSION);
        bound.extend_from_slice(&self.id.0);
        bound.push(kind as u8);
        bound.extend_from_slice(hash.as_bytes());
        Aad::from(bound)
    }

    /// Whether both are the same key, for the tests of derivation.
    #[cfg(test)]
    pub fn same_as(&self, other: &Self) -> bool {
        self.id == other.id && self.key == other.key
    }
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealingKey({:?})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: u8, byte: u8) -> SealingKey {
        SealingKey::new(KeyId([id; 4]), Zeroizing::new([byte; 32]))
    }

    fn hash(byte: u8) -> SessionHash {
        SessionHash::from_bytes([byte; 32])
    }

    #[test]
    fn c5_what_was_tampered_with_does_not_open() {
        let sealed = key(1, 1).seal(Kind::Record, &hash(1), b"secret", &Random::default()).unwrap();
        assert_eq!(key(1, 1).open(Kind::Record, &hash(1), &sealed).unwrap().as_slice(), b"secret");
        for at in 0..sealed.0.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = sealed.0.clone();
                bytes[at] ^= flip;
                assert!(key(1, 1).open(Kind::Record, &hash(1), &Sealed(bytes)).is_none(), "byte {at}");
            }
        }
        for length in 0..sealed.0.len() {
            let short = Sealed(sealed.0[..length].to_vec());
            assert!(key(1, 1).open(Kind::Record, &hash(1), &short).is_none(), "{length} bytes");
        }
        for version in [0, 2, 255] {
            let mut bytes = sealed.0.clone();
            bytes[0] = version;
            assert!(Sealed(bytes).key_id().is_none(), "version {version}");
        }
    }

    #[test]
    fn c5_what_was_swapped_does_not_open() {
        let sealed = key(1, 1).seal(Kind::Record, &hash(1), b"secret", &Random::default()).unwrap();
        assert!(key(1, 1).open(Kind::Record, &hash(2), &sealed).is_none(), "another session's");
        assert!(key(1, 1).open(Kind::Index, &hash(1), &sealed).is_none(), "another kind");
        assert!(key(1, 2).open(Kind::Record, &hash(1), &sealed).is_none(), "another deployment's key of the same id");
        assert!(key(2, 1).open(Kind::Record, &hash(1), &sealed).is_none(), "another key id");
    }

    #[test]
    fn sealing_twice_differs_and_shows_nothing() {
        let plain = [0x41; 64];
        let random = Random::default();
        let once = key(1, 1).seal(Kind::Index, &hash(1), &plain, &random).unwrap();
        let twice = key(1, 1).seal(Kind::Index, &hash(1), &plain, &random).unwrap();
        assert_ne!(once, twice);
        assert!(!once.as_bytes().windows(4).any(|window| window == [0x41; 4]));
    }
}
