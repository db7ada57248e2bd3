//! An ID token of the usual size, verified.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use ring::signature::KeyPair as _;
use serde_json::{Value, json};
use vestibule::clock::Timestamp;
use vestibule::sign_in::oidc::id_token::{Expectations, VerifiedClaims, verify};
use vestibule::sign_in::oidc::keys::KeySet;
use vestibule::sign_in::settings::SigningAlgorithm;

const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);
const ISSUER: &str = "https://idp.example";

/// A token with the keys that verify it.
pub struct Token {
    text: String,
    keys: KeySet,
}

impl Token {
    /// Signed anew.
    pub fn new(algorithm: &str) -> Self {
        let (key, jwk, algorithm) = if algorithm == "RS256" { rsa() } else { ec() };
        let now = NOW.seconds();
        let claims = json!({
            "iss": ISSUER, "aud": "vestibule", "sub": "00u1a2b3c4d5e6f7g8h9", "nonce": "n-0S6_WzA2Mj",
            "iat": now - 5, "exp": now + 300, "auth_time": now - 60, "email": "ana@acme.example", "email_verified": true,
            "name": "Ana Alvarez", "groups": (0..20).map(|number| format!("group-{number}")).collect::<Vec<_>>(),
        });
        let mut header = Header::new(algorithm);
        header.kid = Some("k1".into());
        let keys = KeySet::parse(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap();
        Self { text: encode(&header, &claims, &key).unwrap(), keys }
    }

    /// Signature, times, audience and nonce.
    pub fn verify(&self) -> VerifiedClaims {
        let expect = Expectations {
            issuer: ISSUER,
            client_id: "vestibule",
            algorithms: &SigningAlgorithm::ALL,
            nonce: "n-0S6_WzA2Mj",
            access_token: None,
            code: None,
            max_age: None,
            skew: Duration::from_secs(30),
        };
        verify(&self.text, &self.keys, &expect, NOW).unwrap()
    }
}

fn rsa() -> (EncodingKey, Value, Algorithm) {
    use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let pair = rcgen::KeyPair::try_from(der.as_ref()).unwrap();
    let components = ring::signature::RsaKeyPair::from_pkcs8(der.as_ref()).unwrap();
    let public = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(components.public_key());
    let jwk =
        json!({"kty": "RSA", "kid": "k1", "use": "sig", "n": BASE64.encode(public.n), "e": BASE64.encode(public.e)});
    (EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).unwrap(), jwk, Algorithm::RS256)
}

fn ec() -> (EncodingKey, Value, Algorithm) {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let point = pair.public_key_raw();
    let (x, y) = (BASE64.encode(&point[1..33]), BASE64.encode(&point[33..]));
    let jwk = json!({"kty": "EC", "kid": "k1", "use": "sig", "crv": "P-256", "x": x, "y": y});
    (EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap(), jwk, Algorithm::ES256)
}
