//! Signing keys: made when first needed, published as JWKs, replaced on demand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use openidconnect::PrivateSigningKey as _;
use openidconnect::core::{CoreJwsSigningAlgorithm, CoreRsaPrivateSigningKey};
use serde_json::{Map, Value, json};

use super::modes::Mode;
use crate::random::{NoRandomness, Random};
use crate::sign_in::settings::SigningAlgorithm;

/// A key could not be made or used.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyFault {
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    #[error("a key of {0} could not be made")]
    NotMade(&'static str),
    #[error("a key did not sign: {0}")]
    NotSigned(#[from] jsonwebtoken::errors::Error),
}

/// A key pair, and how it is published.
pub(super) struct SigningKey {
    algorithm: SigningAlgorithm,
    kid: String,
    private: EncodingKey,
    pkcs8: Vec<u8>,
    /// SubjectPublicKeyInfo, where an attack needs it (RSA).
    public_der: Vec<u8>,
    jwk: Map<String, Value>,
}

/// The `Algorithm` of the signing library.
pub(super) fn jws(algorithm: SigningAlgorithm) -> Algorithm {
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

/// PKCS #8, version 1, of an Ed25519 key, up to its 32 bytes of seed (RFC 8410, section 7).
const ED25519_PKCS8: [u8; 16] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";

impl SigningKey {
    fn generate(algorithm: SigningAlgorithm, random: &Random) -> Result<Self, KeyFault> {
        let not_made = || KeyFault::NotMade(algorithm.name());
        let (private, pkcs8, public_der) = match algorithm {
            SigningAlgorithm::Es256 | SigningAlgorithm::Es384 => {
                let curve = match algorithm {
                    SigningAlgorithm::Es256 => &ring::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
                    _ => &ring::signature::ECDSA_P384_SHA384_FIXED_SIGNING,
                };
                let system = ring::rand::SystemRandom::new();
                let pkcs8 = ring::signature::EcdsaKeyPair::generate_pkcs8(curve, &system).map_err(|_| not_made())?;
                (EncodingKey::from_ec_der(pkcs8.as_ref()), pkcs8.as_ref().to_vec(), Vec::new())
            }
            SigningAlgorithm::EdDsa => {
                let pkcs8 = [ED25519_PKCS8.as_slice(), &random.bytes::<32>()?].concat();
                (EncodingKey::from_ed_der(&pkcs8), pkcs8, Vec::new())
            }
            _ => {
                let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).map_err(|_| not_made())?;
                let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).map_err(|_| not_made())?.as_ref().to_vec();
                let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).map_err(|_| not_made())?;
                (EncodingKey::from_rsa_pem(pem("PRIVATE KEY", &pkcs8).as_bytes())?, pkcs8, public.as_ref().to_vec())
            }
        };
        let published = serde_json::to_value(Jwk::from_encoding_key(&private, jws(algorithm))?);
        let Ok(Value::Object(mut jwk)) = published else { return Err(not_made()) };
        let kid = URL_SAFE_NO_PAD.encode(random.bytes::<9>()?);
        jwk.insert("use".to_owned(), json!("sig"));
        jwk.insert("alg".to_owned(), json!(algorithm.name()));
        jwk.insert("kid".to_owned(), json!(kid));
        Ok(Self { algorithm, kid, private, pkcs8, public_der, jwk })
    }

    pub(super) fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }

    pub(super) fn kid(&self) -> &str {
        &self.kid
    }

    /// The public key as it is published, with `kid`, `use` and `alg`.
    pub(super) fn jwk(&self) -> &Map<String, Value> {
        &self.jwk
    }

    /// The public key as PEM, for RSA.
    pub(super) fn public_pem(&self) -> String {
        pem("PUBLIC KEY", &self.public_der)
    }

    /// The signature over `message`, as base64url.
    pub(super) fn sign(&self, message: &str, algorithm: SigningAlgorithm) -> Result<String, KeyFault> {
        Ok(jsonwebtoken::crypto::sign(message.as_bytes(), &self.private, jws(algorithm))?)
    }

    /// Whether `signature` (base64url) is one of ours over `message`.
    pub(super) fn made(&self, signature: &str, message: &str) -> bool {
        serde_json::from_value::<Jwk>(Value::Object(self.jwk.clone()))
            .ok()
            .and_then(|jwk| DecodingKey::from_jwk(&jwk).ok())
            .and_then(|key| jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key, jws(self.algorithm)).ok())
            .unwrap_or(false)
    }

    /// A certificate that the key signed for itself: DER as base64, as in `x5c`.
    pub(super) fn certificate(&self) -> Option<String> {
        let pair = rcgen::KeyPair::try_from(self.pkcs8.as_slice()).ok()?;
        let certificate =
            rcgen::CertificateParams::new(vec!["stranger.test".to_owned()]).ok()?.self_signed(&pair).ok()?;
        Some(STANDARD.encode(certificate.der()))
    }
}

/// RFC 7468.
fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// Signs as HS256 with any key, as base64url.
pub(super) fn sign_hs256(message: &str, key: &[u8]) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key);
    URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, message.as_bytes()))
}

/// Whose keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    /// The provider: what an honest key set holds.
    Provider,
    /// Somebody whose keys nobody should trust.
    Stranger,
    /// One mode, which changes its keys without disturbing others.
    Mode(Mode),
}

/// All keys: by owner and algorithm, the first one signs.
#[derive(Default)]
pub(super) struct Keys(Mutex<Rings>);

type Rings = HashMap<(Owner, SigningAlgorithm), Vec<Arc<SigningKey>>>;

impl Keys {
    /// The owner's keys, the signing one first; at least `count`, made now if need be.
    pub(super) fn ring(
        &self,
        owner: Owner,
        algorithm: SigningAlgorithm,
        count: usize,
        random: &Random,
    ) -> Result<Vec<Arc<SigningKey>>, KeyFault> {
        let mut rings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = rings.entry((owner, algorithm)).or_default();
        while ring.len() < count.max(1) {
            ring.push(Arc::new(SigningKey::generate(algorithm, random)?));
        }
        Ok(ring.clone())
    }

    /// The owner's signing key.
    pub(super) fn signing(
        &self,
        owner: Owner,
        algorithm: SigningAlgorithm,
        random: &Random,
    ) -> Result<Arc<SigningKey>, KeyFault> {
        self.ring(owner, algorithm, 1, random)?.into_iter().next().ok_or(KeyFault::NotMade(algorithm.name()))
    }

    /// Puts a new key in front; the one before it stays published, and older ones go.
    pub(super) fn rotate(&self, owner: Owner, algorithm: SigningAlgorithm, random: &Random) -> Result<(), KeyFault> {
        let key = Arc::new(SigningKey::generate(algorithm, random)?);
        let mut rings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = rings.entry((owner, algorithm)).or_default();
        ring.insert(0, key);
        ring.truncate(2);
        Ok(())
    }

    /// Keeps only the signing key.
    pub(super) fn retire(&self, owner: Owner, algorithm: SigningAlgorithm) {
        let mut rings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ring) = rings.get_mut(&(owner, algorithm)) {
            ring.truncate(1);
        }
    }
}

/// An RSA key of 512 bits (PKCS #1): no secret, since anybody can factor it.
const SHORT_KEY: [&str; 7] = [
    "MIIBPAIBAAJBAJugdk60phdzWHRvTb91lgN0k94p1crYLZRBWA+msRyaT+WJfPFC",
    "9Qi0p1efAPnAzdNV0YY7CgO8DZe8ZbFHJ2UCAwEAAQJBAJoETPGJkNKmgcUBnmU7",
    "3tHenrSAnKfaGAmgPaGHq8KMXfOHYzfV58p2iEKhxJxUQDugrQZPulvs1rWU8UIi",
    "6+ECIQDOn38FpkGqw3aRI0ISsooIiNfUXdF6litqcmteGVVPzQIhAMDRMBsV79N1",
    "rNhit3yDQrRJpdjpkqBbryc2JeOq2635AiARvMtwtrcIa8Mv7nDrnfwPg3/TsUIc",
    "XevYNX5WE6KpOQIhAKDOlaExRWeFD5cTlVV5nyr+9RsXiZrFfClmpmjeeQH5AiEA",
    "x6YQT+4SjyXfdXWlYFrBAFkpTDkolJ4SKB/bHPh1KYs=",
];

/// Its modulus, in hexadecimal digits.
const SHORT_MODULUS: &str = "9BA0764EB4A6177358746F4DBF7596037493DE29D5CAD82D9441580FA6B11C9A4FE5897CF142F508B4A7579F00F9C0CDD355D1863B0A03BC0D97BC65B1472765";

/// Signs RS256 with the key of 512 bits.
pub(super) fn sign_with_short_key(message: &str) -> Result<String, KeyFault> {
    let label = "RSA PRIVATE KEY";
    let pem = format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", SHORT_KEY.join("\n"));
    let key = CoreRsaPrivateSigningKey::from_pem(&pem, None).map_err(|_| KeyFault::NotMade("512 bits"))?;
    let signature = key
        .sign(&CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256, message.as_bytes())
        .map_err(|_| KeyFault::NotMade("512 bits"))?;
    Ok(URL_SAFE_NO_PAD.encode(signature))
}

/// The public key of 512 bits under the id `kid`.
pub(super) fn short_jwk(kid: &str) -> Value {
    let modulus: Vec<u8> = SHORT_MODULUS
        .as_bytes()
        .chunks(2)
        .filter_map(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok())
        .collect();
    json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": URL_SAFE_NO_PAD.encode(modulus), "e": "AQAB" })
}
