//! The provider's public keys (JWK Set, RFC 7517): which of them may verify what.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

use super::super::settings::SigningAlgorithm;
use super::strict_json;

/// Keys read from one set at most: a provider has a handful, and each costs a signature check when a token names none.
const MOST: usize = 32;

/// The usable keys of a set. Others are left out: private and symmetric ones, those for encryption, RSA below 2048
/// bits (or above 4096, which nobody needs and everybody would wait for), unknown types and curves.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    id: Option<String>,
    kind: Kind,
    /// The one algorithm that it is for, if it says one.
    pinned: Option<SigningAlgorithm>,
    public: PublicKey,
}

/// A key that verifies.
pub(super) struct PublicKey(DecodingKey);

impl PublicKey {
    /// Whether the owner of this key has made `signature`, in base64url, of `signed`.
    pub(super) fn has_signed(&self, signed: &[u8], signature: &str, algorithm: SigningAlgorithm) -> bool {
        // An error is a signature or a key that cannot be.
        jsonwebtoken::crypto::verify(signature, signed, &self.0, in_the_librarys_words(algorithm)).unwrap_or(false)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey(..)")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl KeySet {
    /// Reads a set; keys that are not usable are left out.
    ///
    /// # Errors
    /// When it is not a JSON object with an array `keys`.
    pub fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let mut set = strict_json::object(bytes).map_err(|_| "not a JSON object")?;
        let Some(Value::Array(keys)) = set.remove("keys") else { return Err("no array \"keys\"") };
        Ok(Self { keys: keys.into_iter().filter_map(Key::read).take(MOST).collect() })
    }

    /// The keys that may have made a signature by `algorithm`: those named `id`, or all when the token names none.
    pub(super) fn candidates<'a>(
        &'a self,
        id: Option<&'a str>,
        algorithm: SigningAlgorithm,
    ) -> impl Iterator<Item = &'a PublicKey> {
        let wanted = kind(algorithm);
        self.keys.iter().filter_map(move |key| {
            let named = id.is_none_or(|id| key.id.as_deref() == Some(id));
            let meant = key.pinned.is_none_or(|of_key| of_key == algorithm);
            (named && meant && key.kind == wanted).then_some(&key.public)
        })
    }

    /// How many keys are usable.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl Key {
    fn read(jwk: Value) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let kind = match (text("kty")?, text("crv")) {
            ("RSA", _) => Kind::Rsa,
            ("EC", Some("P-256")) => Kind::P256,
            ("EC", Some("P-384")) => Kind::P384,
            ("OKP", Some("Ed25519")) => Kind::Ed25519,
            _ => return None,
        };
        let for_signatures = jwk.get("use").is_none_or(|usage| usage == "sig");
        let for_verifying = match jwk.get("key_ops") {
            None => true,
            Some(Value::Array(operations)) => operations.iter().any(|operation| operation == "verify"),
            Some(_) => false,
        };
        let private = jwk.get("d").is_some() || jwk.get("k").is_some();
        let long_enough = kind != Kind::Rsa || text("n").and_then(bits).is_some_and(|n| (2048..=4096).contains(&n));
        if !for_signatures || !for_verifying || private || !long_enough {
            return None;
        }
        let id = match jwk.get("kid") {
            None => None,
            Some(Value::String(id)) => Some(id.clone()),
            Some(_) => return None,
        };
        let pinned = match jwk.get("alg") {
            None => None,
            Some(Value::String(name)) => Some(SigningAlgorithm::parse(name)?),
            Some(_) => return None,
        };
        let public = match kind {
            Kind::Rsa => DecodingKey::from_rsa_raw_components(&number(text("n")?)?, &number(text("e")?)?),
            Kind::P256 => on_curve(text("x")?, text("y")?, 32)?,
            Kind::P384 => on_curve(text("x")?, text("y")?, 48)?,
            Kind::Ed25519 => {
                let x = text("x").filter(|x| octets(x).is_some_and(|x| x.len() == 32))?;
                DecodingKey::from_ed_components(x).ok()?
            }
        };
        Some(Self { id, kind, pinned, public: PublicKey(public) })
    }
}

fn octets(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// A number without the zeros before it (RFC 7518, section 2, `Base64urlUInt`).
fn number(text: &str) -> Option<Vec<u8>> {
    let octets = octets(text)?;
    let first = octets.iter().position(|octet| *octet != 0)?;
    octets.get(first..).map(<[u8]>::to_vec)
}

/// Both coordinates have the length of the curve (RFC 7518, section 6.2.1). Whether the point is on it is looked at when a
/// signature is.
fn on_curve(x: &str, y: &str, length: usize) -> Option<DecodingKey> {
    let whole = [x, y].iter().all(|text| octets(text).is_some_and(|octets| octets.len() == length));
    whole.then(|| DecodingKey::from_ec_components(x, y).ok()).flatten()
}

/// The length of a base64url number in bits.
fn bits(number: &str) -> Option<usize> {
    let bytes = URL_SAFE_NO_PAD.decode(number).ok()?;
    let significant = bytes.iter().position(|byte| *byte != 0)?;
    let first = bytes.get(significant)?;
    let rest = bytes.len().checked_sub(significant)?.checked_sub(1)?.checked_mul(8)?;
    let of_first = usize::try_from(u8::BITS.checked_sub(first.leading_zeros())?).ok()?;
    rest.checked_add(of_first)
}

fn kind(algorithm: SigningAlgorithm) -> Kind {
    use SigningAlgorithm::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
    match algorithm {
        Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512 => Kind::Rsa,
        Es256 => Kind::P256,
        Es384 => Kind::P384,
        EdDsa => Kind::Ed25519,
    }
}

fn in_the_librarys_words(algorithm: SigningAlgorithm) -> Algorithm {
    match algorithm {
        SigningAlgorithm::Rs256 => Algorithm::RS256,
        SigningAlgorithm::Rs384 => Algorithm::RS384,
        SigningAlgorithm::Rs512 => Algorithm::RS512,
        SigningAlgorithm::Ps256 => Algorithm::PS256,
        SigningAlgorithm::Ps384 => Algorithm::PS384,
        SigningAlgorithm::Ps512 => Algorithm::PS512,
        SigningAlgorithm::Es256 => Algorithm::ES256,
        SigningAlgorithm::Es384 => Algorithm::ES384,
        SigningAlgorithm::EdDsa => Algorithm::EdDSA,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn modulus(bits: usize) -> String {
        let mut bytes = vec![0xff; bits.div_ceil(8)];
        bytes[0] >>= (8 - bits % 8) % 8;
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn usable(jwk: &Value) -> bool {
        !KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes()).unwrap().is_empty()
    }

    #[test]
    fn b5_only_public_signature_keys_of_a_fair_size_are_used() {
        let coordinate = URL_SAFE_NO_PAD.encode([7; 32]);
        let rsa = |bits| json!({"kty": "RSA", "e": "AQAB", "n": modulus(bits)});
        let with = |name: &str, value: Value| {
            let mut key = rsa(2048);
            key[name] = value;
            key
        };
        for (jwk, expected) in [
            (rsa(512), false),
            (rsa(2047), false),
            (rsa(2048), true),
            (rsa(4096), true),
            (rsa(4097), false),
            (json!({"kty": "RSA", "e": "AQAB", "n": format!("AA{}", &modulus(2040)[..338])}), false),
            (json!({"kty": "RSA", "e": "AQAB"}), false),
            (json!({"kty": "RSA", "e": "AQAB", "n": 7}), false),
            (with("use", json!("sig")), true),
            (with("use", json!("enc")), false),
            (with("use", json!(7)), false),
            (with("key_ops", json!(["verify"])), true),
            (with("key_ops", json!(["encrypt"])), false),
            (with("key_ops", json!("verify")), false),
            (with("d", json!("AQAB")), false),
            (with("alg", json!("RS256")), true),
            (with("alg", json!("RSA-OAEP")), false),
            (with("kid", json!("k")), true),
            (with("kid", json!(7)), false),
            (with("x5c", json!(["AAAA"])), true),
            (json!({"kty": "oct", "k": "AAAA"}), false),
            (json!({"kty": "EC", "crv": "P-256", "x": coordinate, "y": coordinate}), true),
            (json!({"kty": "EC", "crv": "P-521", "x": coordinate, "y": coordinate}), false),
            (json!({"kty": "EC", "crv": "secp256k1", "x": coordinate, "y": coordinate}), false),
            (json!({"kty": "OKP", "crv": "Ed25519", "x": coordinate}), true),
            (json!({"kty": "OKP", "crv": "X25519", "x": coordinate}), false),
            (json!({"kty": "AKP", "alg": "ML-DSA-44"}), false),
            (json!({"crv": "P-256"}), false),
            (json!([]), false),
            (json!(null), false),
        ] {
            assert_eq!(usable(&jwk), expected, "{jwk}");
        }
    }

    #[test]
    fn b4_a_key_is_chosen_by_name_type_and_algorithm() {
        let set = json!({"keys": [
            {"kty": "RSA", "e": "AQAB", "n": modulus(2048), "kid": "a", "alg": "RS256"},
            {"kty": "RSA", "e": "AQAB", "n": modulus(2048), "kid": "a"},
            {"kty": "RSA", "e": "AQAB", "n": modulus(2048)},
        ]});
        let set = KeySet::parse(set.to_string().as_bytes()).unwrap();
        for (id, algorithm, expected) in [
            (Some("a"), SigningAlgorithm::Rs256, 2),
            (Some("a"), SigningAlgorithm::Ps256, 1),
            (Some("b"), SigningAlgorithm::Rs256, 0),
            (Some("a"), SigningAlgorithm::Es256, 0),
            (None, SigningAlgorithm::Rs256, 3),
            (None, SigningAlgorithm::EdDsa, 0),
        ] {
            assert_eq!(set.candidates(id, algorithm).count(), expected, "{id:?} {algorithm:?}");
        }
    }

    #[test]
    fn b5_sets_are_objects_with_an_array_and_bounded() {
        for wrong in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, "<html>"] {
            assert!(KeySet::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
        let many = vec![json!({"kty": "RSA", "e": "AQAB", "n": modulus(2048)}); 100];
        assert_eq!(KeySet::parse(json!({"keys": many}).to_string().as_bytes()).unwrap().len(), MOST);
    }
}
