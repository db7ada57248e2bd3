//! The proof that an order comes from somebody who has the configured keys: an HMAC of what is ordered, and when.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{hkdf, hmac};

use crate::clock::Timestamp;
use crate::secret::Secret;

/// What the header begins with.
const SCHEME: &str = "Vestibule-Operator ";
/// How long an order may be under way. Orders can be carried out twice without harm.
const ON_THE_WAY: Duration = Duration::from_secs(60);

/// What is derived from the configured keys for orders: the first proves, all are believed.
#[derive(Clone, Debug)]
pub struct OperatorKeys(Vec<hmac::Key>);

impl OperatorKeys {
    /// Derives what is needed (HKDF-SHA256, RFC 5869).
    pub fn new(secrets: &[Secret]) -> Self {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"vestibule operator keys 1");
        let derive = |secret: &Secret| {
            let key = salt.extract(secret.reveal().as_bytes());
            key.expand(&[b"orders"], hmac::HMAC_SHA256).ok().map(hmac::Key::from)
        };
        Self(secrets.iter().filter_map(derive).collect())
    }

    /// The `Authorization` of a `POST` to `target`; `None` without a key.
    pub fn authorization(&self, target: &str, now: Timestamp) -> Option<String> {
        let tag = hmac::sign(self.0.first()?, &ordered(target, now.seconds()));
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
        recent && self.0.iter().any(|key| hmac::verify(key, &ordered(target, seconds), &tag).is_ok())
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
