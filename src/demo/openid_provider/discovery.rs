//! The discovery document (OpenID Connect Discovery 1.0, RFC 8414) and the key set.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde_json::{Map, Value, json};

use super::hostile_answer::Spoiled;
use super::keys::{Owner, short_jwk};
use super::modes::Mode;
use super::settings::KeyIds;
use super::{Fault, OpenIdProvider, Realm};
use crate::sign_in::settings::SigningAlgorithm;

/// The key that the mode with the symmetric key signs with, and publishes.
pub(super) const SYMMETRIC_KEY: &[u8] = b"a symmetric key of thirty-two by";

/// GET `/.well-known/openid-configuration`.
pub(super) async fn metadata(State(provider): State<OpenIdProvider>, Extension(realm): Extension<Realm>) -> Response {
    let mut document = honest_metadata(&realm.issuer, provider.algorithm(realm.mode));
    if let Some(mode) = realm.mode {
        alter_metadata(mode, &realm.issuer, &mut document);
    }
    let document = Value::Object(document);
    match Spoiled::discovery(realm.mode) {
        Some(spoiled) => spoiled.answer(&realm, &document).await,
        None => Json(document).into_response(),
    }
}

fn honest_metadata(issuer: &str, algorithm: SigningAlgorithm) -> Map<String, Value> {
    let at = |path: &str| json!(format!("{issuer}/{path}"));
    let assertion_algorithms: Vec<&str> = SigningAlgorithm::ALL.iter().map(|algorithm| algorithm.name()).collect();
    [
        ("issuer", json!(issuer)),
        ("authorization_endpoint", at("authorize")),
        ("token_endpoint", at("token")),
        ("userinfo_endpoint", at("userinfo")),
        ("end_session_endpoint", at("end-session")),
        ("jwks_uri", at("jwks")),
        ("response_types_supported", json!(["code"])),
        ("response_modes_supported", json!(["query"])),
        ("grant_types_supported", json!(["authorization_code"])),
        ("subject_types_supported", json!(["public"])),
        ("id_token_signing_alg_values_supported", json!([algorithm.name()])),
        ("scopes_supported", json!(["openid", "email", "profile", "groups"])),
        (
            "claims_supported",
            json!(["sub", "iss", "auth_time", "acr", "sid", "email", "email_verified", "name", "groups"]),
        ),
        ("acr_values_supported", json!(["1", "2"])),
        (
            "token_endpoint_auth_methods_supported",
            json!(["client_secret_basic", "client_secret_post", "private_key_jwt"]),
        ),
        ("token_endpoint_auth_signing_alg_values_supported", json!(assertion_algorithms)),
        ("code_challenge_methods_supported", json!(["S256"])),
        ("authorization_response_iss_parameter_supported", json!(true)),
        ("request_parameter_supported", json!(false)),
        ("request_uri_parameter_supported", json!(false)),
        ("claims_parameter_supported", json!(false)),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

fn alter_metadata(mode: Mode, issuer: &str, document: &mut Map<String, Value>) {
    let mut set = |name: &str, value: Value| document.insert(name.to_owned(), value);
    match mode {
        Mode::DiscoveryIssuerMismatch | Mode::Fapi2DiscoveryIssuerMismatch => {
            set("issuer", json!("https://stranger.test"));
        }
        Mode::DiscoveryIssuerTrailingSlash => {
            set("issuer", json!(format!("{issuer}/")));
        }
        Mode::TokenEndpointLinkLocal => {
            set("token_endpoint", json!("http://169.254.169.254/latest/token"));
        }
        Mode::TokenEndpointFile => {
            set("token_endpoint", json!("file:///etc/hostname"));
        }
        Mode::JwksUriLinkLocal => {
            set("jwks_uri", json!("http://169.254.169.254/latest/jwks"));
        }
        Mode::AuthorizationEndpointScript => {
            set("authorization_endpoint", json!("javascript:alert(1)"));
        }
        Mode::AuthorizationEndpointPlainHttp => {
            set("authorization_endpoint", json!("http://stranger.test/authorize"));
        }
        Mode::ClientSecretBasic => {
            set("token_endpoint_auth_methods_supported", json!(["client_secret_basic"]));
        }
        Mode::MtlsEndpointAliases => {
            let elsewhere = format!("{issuer}/elsewhere");
            set("mtls_endpoint_aliases", json!({ "token_endpoint": elsewhere, "userinfo_endpoint": elsewhere }));
        }
        Mode::JwksUriMissing => {
            document.remove("jwks_uri");
        }
        Mode::TokenEndpointMissing => {
            document.remove("token_endpoint");
        }
        Mode::PkceMethodsMissing => {
            document.remove("code_challenge_methods_supported");
        }
        _ => {}
    }
}

/// GET `/jwks`.
pub(super) async fn key_set(
    State(provider): State<OpenIdProvider>,
    Extension(realm): Extension<Realm>,
) -> Result<Response, Fault> {
    let keys = json!({ "keys": published_keys(&provider, realm.mode)? });
    Ok(match Spoiled::key_set(realm.mode) {
        Some(spoiled) => spoiled.answer(&realm, &keys).await,
        None => Json(keys).into_response(),
    })
}

/// Whose keys sign in `mode`.
pub(super) fn owner(mode: Option<Mode>) -> Owner {
    match mode {
        Some(
            mode @ (Mode::KidAbsentSingleJwks
            | Mode::KidAbsentMultipleJwks
            | Mode::KeyRotation
            | Mode::KeyRotationJustBeforeSigning),
        ) => Owner::Mode(mode),
        _ => Owner::Provider,
    }
}

fn published_keys(provider: &OpenIdProvider, mode: Option<Mode>) -> Result<Vec<Value>, Fault> {
    let (keys, random, algorithm) = (provider.keys(), provider.random(), provider.algorithm(mode));
    let count = if mode == Some(Mode::KidAbsentMultipleJwks) { 2 } else { 1 };
    let mut published: Vec<Map<String, Value>> =
        keys.ring(owner(mode), algorithm, count, random)?.iter().map(|key| key.jwk().clone()).collect();
    let kids_absent = matches!(mode, Some(Mode::KidAbsentSingleJwks | Mode::KidAbsentMultipleJwks));
    if kids_absent || provider.settings().key_ids == KeyIds::Absent {
        for key in &mut published {
            key.remove("kid");
        }
    }
    let kid = keys.signing(owner(mode), algorithm, random)?.kid().to_owned();
    let mut published: Vec<Value> = published.into_iter().map(Value::Object).collect();
    let stranger = || keys.signing(Owner::Stranger, algorithm, random);
    match mode {
        Some(Mode::KidAbsentMultipleJwks) => published.reverse(),
        Some(Mode::KidDuplicate) => {
            let mut other = stranger()?.jwk().clone();
            other.insert("kid".to_owned(), json!(kid));
            published.insert(0, Value::Object(other));
        }
        Some(Mode::JwksEmpty) => published.clear(),
        Some(Mode::JwksOct) => published = vec![symmetric_jwk(&kid)],
        Some(Mode::JwksOctBeside) => {
            published.insert(0, symmetric_jwk("symmetric"));
            published.push(json!({ "kty": "LATTICE", "alg": "ML-DSA-999", "kid": "future", "pub": "AAAA" }));
        }
        Some(Mode::JwksRsa512) => published = vec![short_jwk(&kid)],
        Some(Mode::JwksUseEnc) => each(&mut published, |key| {
            key.insert("use".to_owned(), json!("enc"));
        }),
        Some(Mode::JwksKeyOps) => each(&mut published, |key| {
            key.remove("use");
            key.insert("key_ops".to_owned(), json!(["encrypt", "wrapKey"]));
        }),
        Some(Mode::Es256Unregistered) => {
            let other = keys.signing(Owner::Provider, SigningAlgorithm::Es256, random)?;
            published.push(Value::Object(other.jwk().clone()));
        }
        _ => {}
    }
    Ok(published)
}

fn symmetric_jwk(kid: &str) -> Value {
    use base64::Engine as _;
    let key = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(SYMMETRIC_KEY);
    json!({ "kty": "oct", "use": "sig", "alg": "HS256", "kid": kid, "k": key })
}

fn each(keys: &mut [Value], change: impl Fn(&mut Map<String, Value>)) {
    keys.iter_mut().filter_map(Value::as_object_mut).for_each(change);
}
