//! UserInfo (OpenID Connect Core 5.3, RFC 6750).

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value, json};

use super::hostile_answer::Spoiled;
use super::keys::Owner;
use super::modes::Mode;
use super::parameters::Parameters;
use super::token::AccessGrant;
use super::{Fault, OpenIdProvider, Realm, discovery, hostile_signature, id_token};

/// GET `/userinfo`.
pub(super) async fn tell(
    State(provider): State<OpenIdProvider>,
    Extension(realm): Extension<Realm>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    answer(&provider, &realm, bearer(&headers)).await
}

/// POST `/userinfo`: the token is in the header or in the form.
pub(super) async fn tell_posted(
    State(provider): State<OpenIdProvider>,
    Extension(realm): Extension<Realm>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Fault> {
    let form = Parameters::parse(&body).unwrap_or_default();
    let in_form = form.get("access_token").filter(|_| realm.mode != Some(Mode::UserInfoBearerHeader));
    answer(&provider, &realm, bearer(&headers).or(in_form)).await
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(token)
}

async fn answer(provider: &OpenIdProvider, realm: &Realm, token: Option<&str>) -> Result<Response, Fault> {
    let now = provider.now();
    let access = token.and_then(|token| provider.state().access.get(token, now).cloned());
    let Some(access) = access.filter(|access| access.realm.issuer == realm.issuer) else {
        let challenge = match token {
            Some(_) => "Bearer error=\"invalid_token\"",
            None => "Bearer",
        };
        return Ok((StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response());
    };
    let mode = access.realm.mode;
    let mut claims =
        provider.person(&access.subject).map(|person| person.claims_for(&access.scopes)).unwrap_or_default();
    claims.insert("sub".to_owned(), json!(access.subject));
    match mode {
        Some(Mode::UserInfoInvalidSub) => {
            claims.insert("sub".to_owned(), json!("somebody-else"));
        }
        Some(Mode::UserInfoSubMissing) => {
            claims.remove("sub");
        }
        Some(Mode::UserInfoEmailVerifiedString) => {
            claims.insert("email_verified".to_owned(), json!("false"));
        }
        _ => {}
    }
    if let Some(jwt) = signed(provider, &access, &claims)? {
        return Ok(([(header::CONTENT_TYPE, "application/jwt")], jwt).into_response());
    }
    let claims = Value::Object(claims);
    Ok(match Spoiled::userinfo(mode) {
        Some(spoiled) => spoiled.answer(&access.realm, &claims).await,
        None => ([(header::CACHE_CONTROL, "no-store")], Json(claims)).into_response(),
    })
}

/// The answer as a JWT, in the modes that send one.
fn signed(
    provider: &OpenIdProvider,
    access: &AccessGrant,
    claims: &Map<String, Value>,
) -> Result<Option<String>, Fault> {
    let mode = access.realm.mode;
    let owner = match mode {
        Some(Mode::UserInfoSigned | Mode::UserInfoSignedNone | Mode::UserInfoSignedWrongAud) => discovery::owner(mode),
        Some(Mode::UserInfoSignedStranger) => Owner::Stranger,
        _ => return Ok(None),
    };
    let audience =
        if mode == Some(Mode::UserInfoSignedWrongAud) { "another-client" } else { access.client_id.as_str() };
    let mut claims = claims.clone();
    claims.insert("iss".to_owned(), json!(access.realm.issuer));
    claims.insert("aud".to_owned(), json!(audience));
    if mode == Some(Mode::UserInfoSignedNone) {
        return Ok(Some(hostile_signature::unsigned(&claims)));
    }
    let algorithm = provider.algorithm(mode);
    let honest = provider.keys().signing(Owner::Provider, algorithm, provider.random())?;
    let key = provider.keys().signing(owner, algorithm, provider.random())?;
    let header: Map<String, Value> =
        [("alg".to_owned(), json!(algorithm.name())), ("kid".to_owned(), json!(honest.kid()))].into_iter().collect();
    Ok(Some(id_token::signed(&key, &header, &claims)?))
}
