use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

use super::*;

pub(in crate::sign_in::oidc) const NOW: i64 = 1_800_000_000;

pub(in crate::sign_in::oidc) struct Signer {
    key: EncodingKey,
    pub(in crate::sign_in::oidc) keys: KeySet,
}

impl Signer {
    pub(in crate::sign_in::oidc) fn new() -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let point = rcgen::PublicKeyData::der_bytes(&pair).to_vec();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..65]));
        let set = json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "k1", "x": x, "y": y}]});
        let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
        Self { key, keys: KeySet::parse(set.to_string().as_bytes()).unwrap() }
    }

    pub(in crate::sign_in::oidc) fn sign(&self, header: &Value, claims: &str) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let message = format!("{}.{}", encode(&header.to_string()), encode(claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, Algorithm::ES256).unwrap();
        format!("{message}.{signature}")
    }

    pub(in crate::sign_in::oidc) fn token(&self, claims: &Value) -> String {
        self.sign(&json!({"alg": "ES256", "kid": "k1"}), &claims.to_string())
    }
}

fn expectations() -> Expectations<'static> {
    Expectations {
        issuer: "https://idp.example",
        client_id: "portal",
        algorithms: &[SigningAlgorithm::Es256],
        nonce: "the-nonce",
        access_token: None,
        code: None,
        max_age: None,
        skew: Duration::from_secs(60),
    }
}

fn claims(changes: Value) -> Value {
    let mut claims = json!({
        "iss": "https://idp.example",
        "aud": "portal",
        "sub": "ana",
        "exp": NOW + 300,
        "iat": NOW,
        "nonce": "the-nonce",
    });
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn outcome(result: Result<VerifiedClaims, IdTokenRejected>) -> &'static str {
    result.map_or_else(|rejected| rejected.reason(), |_| "believed")
}

pub(in crate::sign_in::oidc) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(NOW * 1000 + millis)
}

#[test]
fn b6_b7_b8_b9_b10_claims() {
    let signer = Signer::new();
    let long = "x".repeat(256);
    let far = 1_u64 << 53;
    for (changes, expected) in [
        (json!({}), "believed"),
        (json!({"iss": null}), "id_token_wrong_issuer"),
        (json!({"iss": "https://idp.example/"}), "id_token_wrong_issuer"),
        (json!({"iss": "https://IDP.example"}), "id_token_wrong_issuer"),
        (json!({"iss": ["https://idp.example"]}), "id_token_claim_invalid"),
        (json!({"aud": null}), "id_token_claim_missing"),
        (json!({"aud": "other"}), "id_token_wrong_audience"),
        (json!({"aud": 1}), "id_token_wrong_audience"),
        (json!({"aud": []}), "id_token_wrong_audience"),
        (json!({"aud": ["portal"]}), "believed"),
        (json!({"aud": ["portal", "other"]}), "id_token_wrong_audience"),
        (json!({"aud": ["portal", "other"], "azp": "portal"}), "id_token_wrong_audience"),
        (json!({"azp": "portal"}), "believed"),
        (json!({"azp": "other"}), "id_token_wrong_party"),
        (json!({"azp": 1}), "id_token_claim_invalid"),
        (json!({"nonce": null}), "id_token_claim_missing"),
        (json!({"nonce": "other"}), "id_token_wrong_nonce"),
        (json!({"nonce": 1}), "id_token_claim_invalid"),
        (json!({"sub": null}), "id_token_claim_missing"),
        (json!({"sub": ""}), "id_token_claim_invalid"),
        (json!({"sub": " "}), "id_token_claim_invalid"),
        (json!({"sub": long}), "id_token_claim_invalid"),
        (json!({"sub": &long[1..]}), "believed"),
        (json!({"sub": "änne"}), "id_token_claim_invalid"),
        (json!({"sub": "a\u{0}"}), "id_token_claim_invalid"),
        (json!({"sub": 7}), "id_token_claim_invalid"),
        (json!({"exp": null}), "id_token_claim_missing"),
        (json!({"exp": format!("{}", NOW + 300)}), "id_token_claim_invalid"),
        (json!({"exp": far}), "id_token_claim_invalid"),
        (json!({"exp": u64::MAX}), "id_token_claim_invalid"),
        (json!({"exp": 1e300}), "id_token_claim_invalid"),
        (json!({"exp": -1}), "id_token_claim_invalid"),
        (json!({"exp": i64::MIN}), "id_token_claim_invalid"),
        (json!({"exp": NOW as f64 + 0.5}), "believed"),
        (json!({"exp": true}), "id_token_claim_invalid"),
        (json!({"iat": null}), "id_token_claim_missing"),
        (json!({"iat": NOW - 366 * 86_400}), "id_token_issued_long_ago"),
        (json!({"iat": -5}), "id_token_claim_invalid"),
        (json!({"nbf": "soon"}), "id_token_claim_invalid"),
        (json!({"auth_time": "noon"}), "id_token_claim_invalid"),
        (json!({"auth_time": NOW + 61}), "id_token_claim_invalid"),
        (json!({"auth_time": NOW - 86_400}), "believed"),
    ] {
        let result = verify(&signer.token(&claims(changes.clone())), &signer.keys, &expectations(), at(0));
        assert_eq!(outcome(result), expected, "{changes}");
    }
}

#[test]
fn b8_boundaries_are_exact() {
    let signer = Signer::new();
    for (changes, now, expected) in [
        // exp: up to, and not at, exp + skew.
        (json!({"exp": NOW}), 59_999, "believed"),
        (json!({"exp": NOW}), 60_000, "id_token_expired"),
        // nbf: from nbf - skew.
        (json!({"nbf": NOW + 60}), 0, "believed"),
        (json!({"nbf": NOW + 60}), -1, "id_token_not_yet_valid"),
        // iat: from iat - skew to iat + 1 h + skew.
        (json!({"iat": NOW + 60}), 0, "believed"),
        (json!({"iat": NOW + 60}), -1, "id_token_issued_in_future"),
        (json!({"iat": NOW - 3660}), 0, "believed"),
        (json!({"iat": NOW - 3660}), 1, "id_token_issued_long_ago"),
    ] {
        let result = verify(&signer.token(&claims(changes.clone())), &signer.keys, &expectations(), at(now));
        assert_eq!(outcome(result), expected, "{changes} at {now} ms");
    }
    // More skew than a minute cannot be had; less can.
    for (skew, now, expected) in [
        (3600, 59_999, "believed"),
        (3600, 60_000, "id_token_expired"),
        (0, -1, "believed"),
        (0, 0, "id_token_expired"),
    ] {
        let expect = Expectations { skew: Duration::from_secs(skew), ..expectations() };
        let result =
            verify(&signer.token(&claims(json!({"exp": NOW, "iat": NOW - 9}))), &signer.keys, &expect, at(now));
        assert_eq!(outcome(result), expected, "skew {skew} at {now} ms");
    }
}

#[test]
fn b8_max_age_is_checked_when_it_was_asked_for() {
    let signer = Signer::new();
    let expect = Expectations { max_age: Some(Duration::from_secs(600)), ..expectations() };
    for (changes, now, expected) in [
        (json!({}), 0, "id_token_claim_missing"),
        (json!({"auth_time": NOW - 600}), 60_000, "believed"),
        (json!({"auth_time": NOW - 600}), 60_001, "id_token_authenticated_too_long_ago"),
    ] {
        let result = verify(&signer.token(&claims(changes.clone())), &signer.keys, &expect, at(now));
        assert_eq!(outcome(result), expected, "{changes} at {now} ms");
    }
}

#[test]
fn b11_hashes_fit_when_they_are_there() {
    let signer = Signer::new();
    let half = |text: &str| URL_SAFE_NO_PAD.encode(&digest(&SHA256, text.as_bytes()).as_ref()[..16]);
    let expect = Expectations { access_token: Some("token"), code: Some("code"), ..expectations() };
    for (changes, expected) in [
        (json!({}), "believed"),
        (json!({"at_hash": half("token"), "c_hash": half("code")}), "believed"),
        (json!({"at_hash": half("other")}), "id_token_wrong_hash"),
        (json!({"c_hash": half("other")}), "id_token_wrong_hash"),
        (json!({"at_hash": ""}), "id_token_wrong_hash"),
        (json!({"at_hash": 1}), "id_token_claim_invalid"),
    ] {
        let result = verify(&signer.token(&claims(changes.clone())), &signer.keys, &expect, at(0));
        assert_eq!(outcome(result), expected, "{changes}");
    }
}

#[test]
fn b1_b2_b4_b31_b32_headers() {
    let signer = Signer::new();
    for (header, expected) in [
        (json!({"alg": "ES256", "kid": "k1", "typ": "JWT"}), "believed"),
        (json!({"alg": "ES256", "kid": "k1", "typ": "application/jwt"}), "believed"),
        (json!({"alg": "ES256", "typ": "jwt"}), "believed"),
        (json!({"alg": "ES256", "kid": "k1", "typ": "at+jwt"}), "id_token_wrong_type"),
        (json!({"alg": "ES256", "kid": "k1", "typ": "application/at+JWT"}), "id_token_wrong_type"),
        (json!({"alg": "ES256", "kid": "k1", "typ": "logout+jwt"}), "id_token_wrong_type"),
        (json!({"alg": "ES256", "kid": "k1", "typ": 1}), "id_token_malformed"),
        (json!({"alg": "none", "kid": "k1"}), "id_token_algorithm_not_allowed"),
        (json!({"alg": "nOnE"}), "id_token_algorithm_not_allowed"),
        (json!({"alg": "HS256"}), "id_token_algorithm_not_allowed"),
        (json!({"alg": "es256", "kid": "k1"}), "id_token_algorithm_not_allowed"),
        (json!({"alg": "ES384", "kid": "k1"}), "id_token_algorithm_not_allowed"),
        (json!({"alg": ["ES256"], "kid": "k1"}), "id_token_algorithm_not_allowed"),
        (json!({"kid": "k1"}), "id_token_algorithm_not_allowed"),
        (json!({"alg": "ES256", "kid": "k2"}), "id_token_unknown_key"),
        (json!({"alg": "ES256", "kid": "../../dev/null"}), "id_token_unknown_key"),
        (json!({"alg": "ES256", "kid": 1}), "id_token_malformed"),
        (json!({"alg": "ES256", "kid": "k1", "crit": ["exp"]}), "id_token_malformed"),
        (json!({"alg": "ES256", "kid": "k1", "crit": []}), "id_token_malformed"),
        (json!({"alg": "ES256", "kid": "k1", "b64": false}), "id_token_malformed"),
        (json!({"alg": "ES256", "kid": "k1", "zip": "DEF"}), "id_token_malformed"),
        (json!({"alg": "ES256", "kid": "k1", "cty": "JWT"}), "id_token_malformed"),
        (json!({"alg": "ES256", "kid": "k1", "jku": "https://evil.test/jwks"}), "believed"),
    ] {
        let token = signer.sign(&header, &claims(json!({})).to_string());
        assert_eq!(outcome(verify(&token, &signer.keys, &expectations(), at(0))), expected, "{header}");
    }
}

#[test]
fn b3_b31_forms_and_signatures() {
    let (signer, stranger) = (Signer::new(), Signer::new());
    let good = signer.token(&claims(json!({})));
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    let mut flipped = URL_SAFE_NO_PAD.decode(signature).unwrap();
    flipped[7] ^= 1;
    let flipped = URL_SAFE_NO_PAD.encode(flipped);
    let zeros = URL_SAFE_NO_PAD.encode([0; 64]);
    let other = signer.token(&claims(json!({"sub": "bob"})));
    let other_signature = other.rsplit_once('.').unwrap().1;
    let twice = claims(json!({})).to_string().replace("\"sub\":\"ana\"", "\"sub\":\"ana\",\"sub\":\"bob\"");
    let marked = format!("\u{feff}{}", claims(json!({})));
    let signed = |claims: &str| signer.sign(&json!({"alg": "ES256"}), claims);
    for (token, expected) in [
        (good.clone(), "believed"),
        (String::new(), "id_token_malformed"),
        ("..".to_owned(), "id_token_malformed"),
        (format!("{message}."), "id_token_bad_signature"),
        (message.to_owned(), "id_token_malformed"),
        (format!("{good}.x"), "id_token_malformed"),
        (format!("{good}.x.y"), "id_token_malformed"),
        (format!("{message}.{signature}=="), "id_token_malformed"),
        (format!("{header}=.{payload}.{signature}"), "id_token_malformed"),
        (format!(" {good}"), "id_token_malformed"),
        (format!("{message}.{flipped}"), "id_token_bad_signature"),
        (format!("{message}.{zeros}"), "id_token_bad_signature"),
        (format!("{message}.{other_signature}"), "id_token_bad_signature"),
        (stranger.token(&claims(json!({}))), "id_token_bad_signature"),
        (signed(&twice), "id_token_malformed"),
        (signed(&marked), "id_token_malformed"),
        (signed("[]"), "id_token_malformed"),
        (signed("7"), "id_token_malformed"),
        (signed(""), "id_token_malformed"),
    ] {
        let result = verify(&token, &signer.keys, &expectations(), at(0));
        assert_eq!(outcome(result), expected, "{token:.80}");
    }
    assert_eq!(outcome(verify(&good, &KeySet::default(), &expectations(), at(0))), "id_token_unknown_key");
}

#[test]
fn the_library_that_signs_agrees_on_the_form() {
    let signer = Signer::new();
    let token = jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims(json!({})), &signer.key).unwrap();
    let verified = verify(&token, &signer.keys, &expectations(), at(0)).unwrap();
    assert_eq!((verified.subject.as_str(), verified.authenticated_at), ("ana", None));
}

proptest::proptest! {
    #[test]
    fn whatever_comes_nothing_panics(token in "[A-Za-z0-9_.=-]{0,200}", claims in "\\PC{0,80}") {
        let signer_keys = KeySet::default();
        let _ = verify(&token, &signer_keys, &expectations(), at(0));
        let encoded = URL_SAFE_NO_PAD.encode(&claims);
        let _ = verify(&format!("{encoded}.{encoded}.{encoded}"), &signer_keys, &expectations(), at(0));
        let _ = KeySet::parse(claims.as_bytes());
    }
}
