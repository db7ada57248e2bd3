use serde_json::json;

use super::super::id_token::tests::{NOW, Signer, at};
use super::*;

fn expectations() -> Expectations<'static> {
    Expectations {
        issuer: "https://idp.example",
        client_id: "portal",
        algorithms: &[SigningAlgorithm::Es256],
        skew: Duration::from_secs(60),
    }
}

fn claims(changes: &Value) -> Value {
    let mut claims = json!({
        "iss": "https://idp.example",
        "aud": "portal",
        "iat": NOW,
        "exp": NOW + 120,
        "jti": "bWJq",
        "sub": "ana",
        "sid": "08a5019c",
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    for (name, value) in changes.as_object().unwrap() {
        if value == "absent" {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn outcome(result: Result<TokenLogout, IdTokenRejected>) -> &'static str {
    result.map_or_else(|rejected| rejected.reason(), |_| "believed")
}

#[test]
fn b41_b42_b43_b53_only_a_signed_logout_token_is_believed() {
    let (signer, other) = (Signer::new(), Signer::new());
    let good = claims(&json!({})).to_string();
    let sign = |header: Value| signer.sign(&header, &good);
    let logout = json!({"alg": "ES256", "kid": "k1", "typ": "logout+jwt"});
    let id_token = json!({
        "iss": "https://idp.example", "aud": "portal", "sub": "ana", "exp": NOW + 300, "iat": NOW, "nonce": "n", "jti": "x",
    });
    let [header, payload, _] =
        signer.token(&claims(&json!({}))).split('.').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
    for (token, expected) in [
        (sign(logout.clone()), "believed"),
        (sign(json!({"alg": "ES256", "kid": "k1", "typ": "application/logout+JWT"})), "believed"),
        (sign(json!({"alg": "ES256", "kid": "k1", "typ": "JWT"})), "believed"),
        (sign(json!({"alg": "ES256", "kid": "k1"})), "believed"),
        (sign(json!({"alg": "ES256", "kid": "k1", "typ": "at+jwt"})), "id_token_wrong_type"),
        (sign(json!({"alg": "ES256", "kid": "k1", "typ": "id_token+jwt"})), "id_token_wrong_type"),
        (sign(json!({"alg": "none"})), "id_token_algorithm_not_allowed"),
        (sign(json!({"alg": "HS256", "kid": "k1"})), "id_token_algorithm_not_allowed"),
        (sign(json!({"alg": "RS256", "kid": "k1"})), "id_token_algorithm_not_allowed"),
        (sign(json!({"alg": "ES256", "kid": "k2"})), "id_token_unknown_key"),
        (other.sign(&logout, &good), "id_token_bad_signature"),
        (format!("{header}.{payload}."), "id_token_bad_signature"),
        (format!("{header}.{payload}"), "id_token_malformed"),
        (String::new(), "id_token_malformed"),
        (signer.token(&id_token), "id_token_claim_missing"),
    ] {
        assert_eq!(outcome(verify(&token, &signer.keys, &expectations(), at(0))), expected, "{token}");
    }
}

#[test]
fn b44_to_b52_claims() {
    let signer = Signer::new();
    let event = "http://schemas.openid.net/event/backchannel-logout";
    for (changes, expected) in [
        (json!({}), "believed"),
        (json!({"iss": "https://evil.example"}), "id_token_wrong_issuer"),
        (json!({"iss": "absent"}), "id_token_wrong_issuer"),
        (json!({"aud": "other"}), "id_token_wrong_audience"),
        (json!({"aud": ["portal", "other"]}), "id_token_wrong_audience"),
        (json!({"aud": "absent"}), "id_token_claim_missing"),
        (json!({"events": "absent"}), "id_token_claim_missing"),
        (json!({"events": event}), "id_token_claim_invalid"),
        (json!({"events": {}}), "id_token_claim_invalid"),
        (json!({"events": {"http://schemas.openid.net/event/other": {}}}), "id_token_claim_invalid"),
        (json!({"events": {event: true}}), "id_token_claim_invalid"),
        (json!({"events": {event: []}}), "id_token_claim_invalid"),
        (json!({"events": {event: {}, "https://more.example": {}}}), "believed"),
        (json!({"nonce": "n"}), "id_token_claim_invalid"),
        (json!({"nonce": null}), "id_token_claim_invalid"),
        (json!({"sub": "absent"}), "believed"),
        (json!({"sid": "absent"}), "believed"),
        (json!({"sub": "absent", "sid": "absent"}), "id_token_claim_missing"),
        (json!({"sub": ""}), "id_token_claim_invalid"),
        (json!({"sid": 7}), "id_token_claim_invalid"),
        (json!({"sid": "x".repeat(256)}), "id_token_claim_invalid"),
        (json!({"jti": "absent"}), "id_token_claim_missing"),
        (json!({"jti": ""}), "id_token_claim_invalid"),
        (json!({"iat": "absent"}), "id_token_claim_missing"),
        (json!({"iat": NOW - 300 - 60}), "believed"),
        (json!({"iat": NOW - 300 - 61}), "id_token_issued_long_ago"),
        (json!({"iat": NOW + 60}), "believed"),
        (json!({"iat": NOW + 61}), "id_token_issued_in_future"),
        (json!({"exp": "absent"}), "believed"),
        (json!({"exp": NOW - 59}), "believed"),
        (json!({"exp": NOW - 60}), "id_token_expired"),
    ] {
        let token = signer.token(&claims(&changes));
        assert_eq!(outcome(verify(&token, &signer.keys, &expectations(), at(0))), expected, "{changes}");
    }
    let said = verify(&signer.token(&claims(&json!({"sub": "absent"}))), &signer.keys, &expectations(), at(0)).unwrap();
    assert_eq!((said.subject, said.session.as_deref(), said.token_id.as_str()), (None, Some("08a5019c"), "bWJq"));
}
