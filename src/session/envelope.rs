//! A secret text under a data key of its own, for records that outlive sessions.
//!
//! The record around it is sealed by the configured keys; what is in the envelope, by its data key alone, and for one place
//! (AES-256-GCM, with the place authenticated). So the configured keys change without any of these secrets being opened,
//! and a record that is read says nothing before somebody opens the envelope, by the name of whom it is for.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::sealed::NotSealed;
use crate::random::Random;
use crate::secret::Secret;

/// What the authenticated place begins with.
const CONTEXT: &[u8] = b"vestibule envelope 1";

/// A secret under a data key of its own, which lies beside it: to be kept in a sealed record only.
#[derive(Clone)]
pub struct Envelope {
    key: Zeroizing<[u8; 32]>,
    nonce: [u8; NONCE_LEN],
    sealed: Vec<u8>,
}

impl Envelope {
    /// Seals `secret` for that place, under a fresh data key.
    ///
    /// # Errors
    /// Without randomness.
    pub fn seal(secret: &Secret, place: &[&str], random: &Random) -> Result<Self, NotSealed> {
        let key = Zeroizing::new(random.bytes::<32>().map_err(|_| NotSealed::NoRandomness)?);
        let nonce = random.bytes().map_err(|_| NotSealed::NoRandomness)?;
        let mut body = Zeroizing::new(secret.reveal().as_bytes().to_vec());
        let tag = cipher(&key)
            .ok_or(NotSealed::Cipher)?
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), bound_to(place), &mut body)
            .map_err(|_| NotSealed::Cipher)?;
        let mut sealed = Vec::with_capacity(body.len().saturating_add(tag.as_ref().len()));
        sealed.extend_from_slice(&body);
        sealed.extend_from_slice(tag.as_ref());
        Ok(Self { key, nonce, sealed })
    }

    /// The secret, for the place that it was sealed for, and for no other.
    pub fn open(&self, place: &[&str]) -> Option<Secret> {
        let mut body = Zeroizing::new(self.sealed.clone());
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        let plain = cipher(&self.key)?.open_in_place(nonce, bound_to(place), &mut body).ok()?;
        std::str::from_utf8(plain).ok().map(Secret::generated)
    }
}

fn cipher(key: &[u8; 32]) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, key).ok().map(LessSafeKey::new)
}

/// The parts of a place, so that no two lists of parts spell the same bytes.
fn bound_to(place: &[&str]) -> Aad<Vec<u8>> {
    let mut bound = CONTEXT.to_vec();
    for part in place {
        bound.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bound.extend_from_slice(part.as_bytes());
    }
    Aad::from(bound)
}

/// `key | nonce | ciphertext and tag`, in base64: on its way into a record and out of it.
impl Serialize for Envelope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.sealed.len().saturating_add(64)));
        bytes.extend_from_slice(self.key.as_ref());
        bytes.extend_from_slice(&self.nonce);
        bytes.extend_from_slice(&self.sealed);
        serializer.serialize_str(&Zeroizing::new(STANDARD_NO_PAD.encode(&*bytes)))
    }
}

impl<'de> Deserialize<'de> for Envelope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let read = || {
            let bytes = Zeroizing::new(STANDARD_NO_PAD.decode(text.as_bytes()).ok()?);
            let (key, rest) = bytes.split_first_chunk::<32>()?;
            let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
            Some(Self { key: Zeroizing::new(*key), nonce: *nonce, sealed: sealed.to_vec() })
        };
        read().ok_or_else(|| serde::de::Error::custom("not an envelope"))
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Envelope(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: [&str; 3] = ["https://acme.test/", "support.acme.com", "qm:1:2"];

    fn sealed() -> Envelope {
        Envelope::seal(&Secret::generated("hunter2"), &PLACE, &Random::default()).unwrap()
    }

    #[test]
    fn it_opens_for_its_place_alone() {
        let sealed = sealed();
        assert_eq!(sealed.open(&PLACE).unwrap().reveal(), "hunter2");
        for other in [
            &["https://acme.test/", "support.acme.com", "qm:1:3"][..],
            &["https://acme.test/", "other.acme.com", "qm:1:2"],
            &["https://evil.test/", "support.acme.com", "qm:1:2"],
            &["https://acme.test/", "support.acme.comqm:1:2"],
            &["https://acme.test/support.acme.com", "", "qm:1:2"],
            &[],
        ] {
            assert!(sealed.open(other).is_none(), "{other:?}");
        }
    }

    #[test]
    fn c5_a_changed_envelope_does_not_open() {
        let text: String = serde_json::from_value(serde_json::to_value(sealed()).unwrap()).unwrap();
        let bytes = STANDARD_NO_PAD.decode(text).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let read: Envelope = serde_json::from_value(STANDARD_NO_PAD.encode(changed).into()).unwrap();
            assert!(read.open(&PLACE).is_none(), "byte {at}");
        }
        for short in ["", "AAAA", "not base64"] {
            assert!(serde_json::from_value::<Envelope>(short.into()).is_err(), "{short}");
        }
    }

    #[test]
    fn it_reads_back_differs_each_time_and_shows_nothing() {
        let (one, two) = (sealed(), sealed());
        assert_ne!(one.sealed, two.sealed);
        assert_ne!(one.key, two.key, "a data key of its own");
        let read: Envelope = serde_json::from_str(&serde_json::to_string(&one).unwrap()).unwrap();
        assert_eq!(read.open(&PLACE).unwrap().reveal(), "hunter2");
        assert_eq!(format!("{one:?}"), "Envelope(..)");
    }
}
