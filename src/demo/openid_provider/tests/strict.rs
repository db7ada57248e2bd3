//! What the honest provider refuses.

use std::collections::HashMap;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

use super::*;

#[tokio::test]
async fn authorization_requests_are_checked() {
    let world = World::start(quick()).await;
    let issuer = world.provider.issuer();
    for changes in [
        [("client_id", "nobody")],
        [("client_id", "")],
        [("redirect_uri", "")],
        [("redirect_uri", "https://portal.test/callback/")],
        [("redirect_uri", "https://portal.test/callback?x=1")],
        [("redirect_uri", "https://PORTAL.test/callback")],
    ] {
        assert_eq!(world.authorize(&issuer, &changes).await.status(), 400, "{changes:?}");
    }
    for (changes, error) in [
        ([("response_type", "token")], "unsupported_response_type"),
        ([("response_type", "")], "invalid_request"),
        ([("response_mode", "form_post")], "invalid_request"),
        ([("scope", "email")], "invalid_scope"),
        ([("code_challenge", "")], "invalid_request"),
        ([("code_challenge", "short")], "invalid_request"),
        ([("code_challenge_method", "plain")], "invalid_request"),
        ([("code_challenge_method", "")], "invalid_request"),
        ([("prompt", "none login")], "invalid_request"),
        ([("max_age", "-1")], "invalid_request"),
        ([("request", "e30.e30.")], "request_not_supported"),
        ([("request_uri", "https://evil.test/")], "request_uri_not_supported"),
        ([("login_hint", "mode:no-such-mode")], "invalid_request"),
    ] {
        let back = location(&world.authorize(&issuer, &changes).await);
        assert!(back.as_str().starts_with(CALLBACK), "{back}");
        assert_eq!(parameter(&back, "error").as_deref(), Some(error), "{changes:?}");
        assert_eq!(parameter(&back, "state").as_deref(), Some("the-state"), "{changes:?}");
        assert_eq!(parameter(&back, "code"), None, "{changes:?}");
    }
    let mut twice = authorization_url(&issuer, &[]);
    twice.query_pairs_mut().append_pair("state", "another");
    assert_eq!(world.http.get(twice).send().await.unwrap().status(), 400);
}

async fn error_of(answer: reqwest::Response) -> String {
    assert!(answer.status().is_client_error(), "{answer:?}");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    answer.json::<serde_json::Value>().await.unwrap()["error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn codes_are_bound_and_used_once() {
    let world = World::start(quick()).await;
    world.provider.register(Client { id: "other".to_owned(), ..client() });
    let issuer = world.provider.issuer();
    let code = async || parameter(&location(&world.authorize(&issuer, &[]).await), "code").unwrap();
    let long = "v".repeat(129);
    for changes in [
        [("code_verifier", "")],
        [("code_verifier", "another-verifier-of-enough-characters-for-it-x")],
        [("code_verifier", long.as_str())],
        [("redirect_uri", "")],
        [("redirect_uri", "https://portal.test/other")],
    ] {
        let code = code().await;
        assert_eq!(error_of(world.redeem(&issuer, &code, &changes).await).await, "invalid_grant", "{changes:?}");
        let again = world.redeem(&issuer, &code, &[]).await;
        assert_eq!(error_of(again).await, "invalid_grant", "a failed attempt uses the code up: {changes:?}");
    }
    assert_eq!(error_of(world.redeem(&issuer, "guessed", &[]).await).await, "invalid_grant");
    let first = code().await;
    let stolen = [("client_id", "other"), ("client_secret", SECRET)];
    assert_eq!(error_of(world.redeem(&issuer, &first, &stolen).await).await, "invalid_grant");
    let unsupported = [("grant_type", "password")];
    assert_eq!(error_of(world.redeem(&issuer, &first, &unsupported).await).await, "unsupported_grant_type");
    let elsewhere = world.provider.issuer_of(Mode::Honest);
    assert_eq!(error_of(world.redeem(&elsewhere, &first, &[]).await).await, "invalid_grant");

    let token: serde_json::Value = world.redeem(&issuer, &first, &[]).await.json().await.unwrap();
    let userinfo = async || {
        let token = token["access_token"].as_str().unwrap();
        world.http.get(world.url("/userinfo")).bearer_auth(token).send().await.unwrap().status()
    };
    assert_eq!(userinfo().await, 200);
    assert_eq!(error_of(world.redeem(&issuer, &first, &[]).await).await, "invalid_grant");
    assert_eq!(userinfo().await, 401, "a code that comes back ends the access token");

    let late = code().await;
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(error_of(world.redeem(&issuer, &late, &[]).await).await, "invalid_grant");
    assert_eq!(world.http.get(world.url("/userinfo")).send().await.unwrap().headers()["www-authenticate"], "Bearer");
}

#[tokio::test]
async fn b20_clients_prove_who_they_are() {
    let world = World::start(quick()).await;
    let issuer = world.provider.issuer();
    let code = async || parameter(&location(&world.authorize(&issuer, &[]).await), "code").unwrap();
    let posted = [("client_id", "portal"), ("client_secret", SECRET)];
    assert_eq!(world.redeem(&issuer, &code().await, &posted).await.status(), 200);
    for wrong in [
        vec![("client_id", "portal"), ("client_secret", "wrong")],
        vec![("client_id", "nobody"), ("client_secret", SECRET)],
        vec![("client_id", "other")],
    ] {
        assert_eq!(error_of(world.redeem(&issuer, &code().await, &wrong).await).await, "invalid_client", "{wrong:?}");
    }
    let both = world.http.post(world.url("/token")).basic_auth("portal", Some("x")).form(&posted).send().await.unwrap();
    assert_eq!(error_of(both).await, "invalid_request");
    let json = world.http.post(world.url("/token")).json(&json!({})).send().await.unwrap();
    assert_eq!(error_of(json).await, "invalid_request");
    // Basic without form-encoding: the `%2` of the secret is then no escape.
    let raw =
        world.http.post(world.url("/token")).basic_auth("portal", Some(SECRET)).form(&HashMap::from([("code", "x")]));
    assert_eq!(error_of(raw.send().await.unwrap()).await, "invalid_client");
}

#[tokio::test]
async fn private_key_jwt_is_checked_and_not_replayed() {
    let world = World::start(quick()).await;
    let issuer = world.provider.issuer();
    let keys = keys::Keys::default();
    let key = keys.signing(keys::Owner::Provider, SigningAlgorithm::Es256, &Random::default()).unwrap();
    let jwks: JwkSet = serde_json::from_value(json!({ "keys": [key.jwk()] })).unwrap();
    let (id, authentication) = ("keyed".to_owned(), ClientAuthentication::PrivateKeyJwt(jwks));
    world.provider.register(Client { id, authentication, ..client() });

    let now = world.clock.now().seconds();
    let right = json!({ "iss": "keyed", "sub": "keyed", "aud": issuer, "iat": now, "exp": now + 60, "jti": "1" });
    let assertion = |changes: serde_json::Value| {
        let mut claims = right.as_object().unwrap().clone();
        claims.extend(changes.as_object().unwrap().clone());
        claims.retain(|_, value| !value.is_null());
        let header = json!({ "alg": "ES256", "kid": key.kid() });
        id_token::signed(&key, header.as_object().unwrap(), &claims).unwrap()
    };
    let redeem = async |assertion: &str| {
        let back = location(&world.authorize(&issuer, &[("client_id", "keyed")]).await);
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let shown = [("client_assertion", assertion), ("client_assertion_type", kind)];
        world.redeem(&issuer, &parameter(&back, "code").unwrap(), &shown).await
    };
    assert_eq!(redeem(&assertion(json!({}))).await.status(), 200);
    for (what, wrong) in [
        ("replayed", assertion(json!({}))),
        ("iss", assertion(json!({ "iss": "portal", "jti": "2" }))),
        ("aud", assertion(json!({ "aud": "https://other.test", "jti": "2" }))),
        ("expired", assertion(json!({ "exp": now, "jti": "2" }))),
        ("too long", assertion(json!({ "exp": now + 3600, "jti": "2" }))),
        ("no exp", assertion(json!({ "exp": null, "jti": "2" }))),
        ("no jti", assertion(json!({ "jti": null }))),
        ("unsigned", hostile_signature::unsigned(right.as_object().unwrap())),
        ("HS256", {
            let key = EncodingKey::from_secret(b"guess");
            jsonwebtoken::encode(&Header::new(Algorithm::HS256), &right, &key).unwrap()
        }),
    ] {
        assert_eq!(error_of(redeem(&wrong).await).await, "invalid_client", "{what}");
    }
    let several = assertion(json!({ "aud": ["https://other.test", world.url("/token")], "jti": "3" }));
    assert_eq!(redeem(&several).await.status(), 200);
}
