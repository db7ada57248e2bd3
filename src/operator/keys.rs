//! The proof that an order comes from somebody who has the configured keys: an HMAC of what is ordered, and when.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::{hkdf, hmac};
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::random::Random;
use crate::secret::Secret;

/// What the header begins with.
const SCHEME: &str = "Vestibule-Operator ";
/// How long an order may be under way. Orders can be carried out twice without harm.
const ON_THE_WAY: Duration = Duration::from_secs(60);

/// What is derived from the configured keys for orders: the first proves, all are believed.
#[derive(Clone)]
pub struct OperatorKeys(Vec<OperatorKey>);

#[derive(Clone)]
struct OperatorKey {
    proves: hmac::Key,
    seals: LessSafeKey,
}

impl OperatorKeys {
    /// Derives what is needed (HKDF-SHA256, RFC 5869).
    pub fn new(secrets: &[Secret]) -> Self {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"vestibule operator keys 1");
        let derive = |secret: &Secret| {
            let key = salt.extract(secret.reveal().as_bytes());
            let proves = key.expand(&[b"orders"], hmac::HMAC_SHA256).ok().map(hmac::Key::from)?;
            let seals = key.expand(&[b"what orders bring"], &AES_256_GCM).ok().map(UnboundKey::from)?;
            Some(OperatorKey { proves, seals: LessSafeKey::new(seals) })
        };
        Self(secrets.iter().filter_map(derive).collect())
    }

    /// The `Authorization` of a `POST` to `target`; `None` without a key.
    pub fn authorization(&self, target: &str, now: Timestamp) -> Option<String> {
        let tag = hmac::sign(&self.0.first()?.proves, &ordered(target, now.seconds()));
        Some(format!("{SCHEME}{}.{}", now.seconds(), URL_SAFE_NO_PAD.encode(tag)))
    }

    /// Whether `authorization` proves an order of this very thing, made just now.
    pub fn believe(&self, authorization: &str, target: &str, now: Timestamp) -> bool {
        let Some((seconds, tag)) = authorization.strip_prefix(SCHEME).and_then(|rest| rest.split_once('.')) else {
            return false;
        };
        let (Ok(seconds), Ok(tag)) = (seconds.parse::<i64>(), URL_SAFE_NO_PAD.decode(tag)) else { return false };
        let made = Timestamp::from_seconds(seconds);
        let recent = now.since(made) <= ON_THE_WAY && made.since(now) <= ON_THE_WAY;
        recent && self.0.iter().any(|key| hmac::verify(&key.proves, &ordered(target, seconds), &tag).is_ok())
    }
}

impl OperatorKeys {
    /// Tells texts apart without telling anything of them to who has no key: 16 hexadecimal digits. Empty without a key.
    pub fn fingerprint(&self, text: &[u8]) -> String {
        let Some(first) = self.0.first() else { return String::new() };
        let tag = hmac::sign(&first.proves, &[b"TEXT\n", text].concat());
        tag.as_ref().iter().take(8).map(|octet| format!("{octet:02x}")).collect()
    }

    /// Seals what an order to `target` brings along: passwords go over this machine's loopback. `None` without a key or
    /// randomness.
    pub fn seal(&self, target: &str, plain: &[u8], random: &Random) -> Option<Vec<u8>> {
        let nonce: [u8; NONCE_LEN] = random.bytes().ok()?;
        let mut body = Zeroizing::new(Vec::with_capacity(plain.len()));
        body.extend_from_slice(plain);
        let for_this = Aad::from(target.as_bytes());
        let seals = &self.0.first()?.seals;
        let tag = seals.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), for_this, &mut body).ok()?;
        Some([&nonce[..], &body, tag.as_ref()].concat())
    }

    /// Opens what [`OperatorKeys::seal`] has sealed for the same target.
    pub fn open(&self, target: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>()?;
        self.0.iter().find_map(|key| {
            let mut body = Zeroizing::new(body.to_vec());
            let (nonce, for_this) = (Nonce::assume_unique_for_key(*nonce), Aad::from(target.as_bytes()));
            let length = key.seals.open_in_place(nonce, for_this, &mut body).ok()?.len();
            body.truncate(length);
            Some(body)
        })
    }
}

impl fmt::Debug for OperatorKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OperatorKeys({})", self.0.len())
    }
}

fn ordered(target: &str, seconds: i64) -> Vec<u8> {
    format!("POST\n{target}\n{seconds}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

    fn keys(names: &[&str]) -> OperatorKeys {
        OperatorKeys::new(&names.iter().map(|name| Secret::generated(name.repeat(43))).collect::<Vec<_>>())
    }

    #[test]
    fn only_who_has_a_key_is_believed_and_only_now_and_for_this() {
        let proof = keys(&["a"]).authorization("/customers/sync?dry_run=true", NOW).unwrap();
        let believe = |keys: &OperatorKeys, target: &str, seconds: i64| {
            keys.believe(&proof, target, Timestamp::from_seconds(seconds))
        };
        assert!(believe(&keys(&["a"]), "/customers/sync?dry_run=true", 1_000_000));
        assert!(believe(&keys(&["b", "a"]), "/customers/sync?dry_run=true", 1_000_050), "an older key");
        assert!(!believe(&keys(&["b"]), "/customers/sync?dry_run=true", 1_000_000));
        assert!(!believe(&keys(&[]), "/customers/sync?dry_run=true", 1_000_000));
        assert!(!believe(&keys(&["a"]), "/customers/sync?dry_run=false", 1_000_000));
        for late in [999_900, 1_000_061, i64::MAX, i64::MIN] {
            assert!(!believe(&keys(&["a"]), "/customers/sync?dry_run=true", late), "{late}");
        }
    }

    #[test]
    fn what_an_order_brings_is_for_that_order_and_these_keys_alone() {
        let target = "/customers/import?prove=true";
        let sealed = keys(&["a"]).seal(target, b"hunter2", &Random::default()).unwrap();
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
        let open = |keys: &OperatorKeys, target: &str| keys.open(target, &sealed).map(|plain| plain.to_vec());
        assert_eq!(open(&keys(&["b", "a"]), target).unwrap(), b"hunter2");
        assert_eq!(open(&keys(&["b"]), target), None);
        assert_eq!(open(&keys(&["a"]), "/customers/import?prove=false"), None);
        for cut in 0..sealed.len() {
            assert!(keys(&["a"]).open(target, &sealed[..cut]).is_none());
        }
    }

    #[test]
    fn nothing_else_is_believed() {
        let keys = keys(&["a"]);
        let proof = keys.authorization("/x", NOW).unwrap();
        for wrong in [
            "",
            "Bearer x",
            "Vestibule-Operator ",
            "Vestibule-Operator 1000000",
            "Vestibule-Operator 1000000.",
            "Vestibule-Operator x.y",
        ] {
            assert!(!keys.believe(wrong, "/x", NOW), "{wrong}");
        }
        let mut tampered = proof.into_bytes();
        let last = tampered.len() - 3;
        tampered[last] ^= 1;
        assert!(!keys.believe(&String::from_utf8(tampered).unwrap(), "/x", NOW));
    }
}
