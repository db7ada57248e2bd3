//! The configured keys, and what is derived from them.
//!
//! Every key is HKDF-SHA256 (RFC 5869) of a configured secret. Index parts and tags need the configured secret alone;
//! a record's key needs the session id as well, which only the visitor's browser has.

use ring::hmac;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::entry::Selector;
use super::sealed::{KeyId, SealingKey};
use super::store::{Shelf, Tag};
use crate::ids::{SessionHash, SessionId};
use crate::secret::Secret;

/// What is wrong with the configured keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum InvalidKeys {
    /// None is configured.
    #[error("no session key is configured; make one with `vestibule keys new`")]
    None,
    /// One could be guessed.
    #[error("session key {number} is shorter than {MIN_LENGTH} characters; make one with `vestibule keys new`")]
    Short {
        /// Which one, counted from 1.
        number: usize,
    },
}

/// 32 characters carry 128 bits even when they are hexadecimal.
const MIN_LENGTH: usize = 32;

/// The configured keys: the first seals, all open.
pub(super) struct KeyRing {
    first: RingKey,
    older: Vec<RingKey>,
}

impl KeyRing {
    /// Derives what is needed of `secrets`.
    pub fn new(secrets: &[Secret]) -> Result<Self, InvalidKeys> {
        for (at, secret) in secrets.iter().enumerate() {
            if secret.reveal().len() < MIN_LENGTH {
                return Err(InvalidKeys::Short { number: at.saturating_add(1) });
            }
        }
        let (first, older) = secrets.split_first().ok_or(InvalidKeys::None)?;
        Ok(Self { first: RingKey::new(first), older: older.iter().map(RingKey::new).collect() })
    }

    /// The key that seals.
    pub const fn first(&self) -> &RingKey {
        &self.first
    }

    /// All keys with that id: one, unless two ids are equal by chance.
    pub fn with_id(&self, id: KeyId) -> impl Iterator<Item = &RingKey> {
        self.all().filter(move |key| key.id == id)
    }

    /// The tags under which sessions that match `selector` may be stored: one for each key.
    pub fn tags(&self, selector: &Selector) -> Vec<Tag> {
        self.all().filter_map(|key| key.tag(selector)).collect()
    }

    /// All keys, the one that seals first.
    pub fn all(&self) -> impl Iterator<Item = &RingKey> {
        std::iter::once(&self.first).chain(&self.older)
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.all().map(|key| key.id)).finish()
    }
}

/// What is derived from one configured secret.
pub(super) struct RingKey {
    id: KeyId,
    record: Zeroizing<[u8; 32]>,
    index: Zeroizing<[u8; 32]>,
    tag: hmac::Key,
}

impl RingKey {
    fn new(secret: &Secret) -> Self {
        let root = extract(b"vestibule session keys 1", secret.reveal().as_bytes());
        let [a, b, c, d, ..] = *expand(&root, &[b"key id"]);
        Self {
            id: KeyId([a, b, c, d]),
            record: expand(&root, &[b"records"]),
            index: expand(&root, &[b"index"]),
            tag: hmac::Key::new(hmac::HMAC_SHA256, expand(&root, &[b"tags"]).as_ref()),
        }
    }

    /// The key of one session's record: nobody has it without the session id.
    pub fn record_key(&self, id: &SessionId) -> SealingKey {
        let key = extract(self.record.as_ref(), id.reveal_bytes());
        SealingKey::new(self.id, expand(&key, &[b"record"]))
    }

    /// The key of one session's index part. One key for each session, so that random nonces never come near their limit.
    pub fn index_key(&self, hash: &SessionHash) -> SealingKey {
        SealingKey::new(self.id, expand(&self.index, &[b"index part", hash.as_bytes()]))
    }

    /// The key of the cookies by which browsers are known.
    pub fn browser_key(&self) -> SealingKey {
        SealingKey::new(self.id, expand(&self.index, &[b"known browser"]))
    }

    /// The key of one kept form: nobody has it without the browser's own key.
    pub fn form_key(&self, browser: &[u8; 32], handle: &str) -> SealingKey {
        let key = extract(self.record.as_ref(), browser);
        SealingKey::new(self.id, expand(&key, &[b"kept form", handle.as_bytes()]))
    }

    /// Tells what belongs together, such as the forms of one browser, without saying of whom.
    pub fn group_tag(&self, parts: &[&[u8]]) -> Tag {
        let mut context = hmac::Context::with_key(&self.tag);
        context.update(&[0x7f]); // no kind of selector and no shelf
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut tag = [0; 32];
        tag.copy_from_slice(context.sign().as_ref());
        Tag::from_bytes(tag)
    }

    /// The key's id.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// Where a record that outlives sessions stands: on that shelf, under that name.
    pub fn lasting_tag(&self, shelf: Shelf, name: &[&str]) -> Tag {
        let mut context = hmac::Context::with_key(&self.tag);
        context.update(&[0x80 | shelf as u8]); // no kind of selector has this bit
        for part in name {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut tag = [0; 32];
        tag.copy_from_slice(context.sign().as_ref());
        Tag::from_bytes(tag)
    }

    /// The key of one record that outlives sessions.
    pub fn lasting_key(&self, shelf: Shelf, tag: &Tag) -> SealingKey {
        SealingKey::new(self.id, expand(&self.index, &[b"lasting record", &[shelf as u8], tag.as_bytes()]))
    }

    /// The tag of what `selector` names; none for a hash, which needs no tag.
    pub fn tag(&self, selector: &Selector) -> Option<Tag> {
        let none = String::new();
        let (kind, issuer, value) = match selector {
            Selector::ProviderSession { issuer, sid } => (1_u8, issuer, sid.as_str()),
            Selector::Subject { issuer, subject } => (2, issuer, subject.as_str()),
            Selector::NameId { issuer, name_id } => (3, issuer, name_id.as_str()),
            Selector::Family(family) => (4, &none, family.as_str()),
            Selector::Hash(_) => return None,
        };
        let mut context = hmac::Context::with_key(&self.tag);
        context.update(&[kind]);
        context.update(&(issuer.len() as u64).to_be_bytes()); // so that no two pairs spell the same bytes
        context.update(issuer.as_bytes());
        context.update(value.as_bytes());
        let mut tag = [0; 32];
        tag.copy_from_slice(context.sign().as_ref());
        Some(Tag::from_bytes(tag))
    }
}

/// HKDF-Extract (RFC 5869, 2.2).
fn extract(salt: &[u8], secret: &[u8]) -> Zeroizing<[u8; 32]> {
    copied(&hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, salt), secret))
}

/// HKDF-Expand (RFC 5869, 2.3) to 32 bytes, which is one block: HMAC(key, info | 1).
fn expand(key: &[u8; 32], info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in info {
        context.update(part);
    }
    context.update(&[1]);
    copied(&context.sign())
}

fn copied(tag: &hmac::Tag) -> Zeroizing<[u8; 32]> {
    let mut bytes = Zeroizing::new([0; 32]);
    bytes.copy_from_slice(tag.as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn key(letter: &str) -> Secret {
        Secret::generated(letter.repeat(43))
    }

    #[test]
    fn derivation_is_hkdf() {
        use ring::hkdf;
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, b"salt").extract(b"secret");
        let mut expected = [0; 32];
        prk.expand(&[b"in", b"fo"], hkdf::HKDF_SHA256).unwrap().fill(&mut expected).unwrap();
        assert_eq!(*expand(&extract(b"salt", b"secret"), &[b"in", b"fo"]), expected);
    }

    #[test]
    fn weak_keys_are_refused() {
        assert_eq!(KeyRing::new(&[]).unwrap_err(), InvalidKeys::None);
        let weak = [key("a"), Secret::generated("hunter2")];
        assert_eq!(KeyRing::new(&weak).unwrap_err(), InvalidKeys::Short { number: 2 });
    }

    #[test]
    fn tags_tell_kinds_issuers_and_keys_apart() {
        let ring = KeyRing::new(&[key("a"), key("b")]).unwrap();
        let subject =
            |issuer: &str, subject: &str| Selector::Subject { issuer: issuer.into(), subject: subject.into() };
        let sid = Selector::ProviderSession { issuer: "https://a".into(), sid: "1".into() };
        let mut all: Vec<Tag> = [subject("https://a", "1"), subject("https://", "a1"), subject("https://a", "2"), sid]
            .iter()
            .flat_map(|selector| ring.tags(selector))
            .collect();
        assert_eq!(all.len(), 8);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 8);
    }

    #[test]
    fn a_records_key_needs_both_the_id_and_the_secret() {
        let (random, ring) = (Random::default(), KeyRing::new(&[key("a"), key("b")]).unwrap());
        let (one, two) = (SessionId::generate(&random).unwrap(), SessionId::generate(&random).unwrap());
        let older = ring.all().nth(1).unwrap();
        assert!(ring.first().record_key(&one).same_as(&ring.first().record_key(&one)));
        assert!(!ring.first().record_key(&one).same_as(&ring.first().record_key(&two)));
        assert!(!ring.first().record_key(&one).same_as(&older.record_key(&one)));
    }
}
