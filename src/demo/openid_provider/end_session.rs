//! Sign-out that the relying party starts (OpenID Connect RP-Initiated Logout 1.0).

use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode, header};
use serde_json::Value;

use super::authorize::{SESSION_COOKIE, session_cookie};
use super::client::Jwt;
use super::parameters::{Parameters, encode};
use super::{Client, Fault, OpenIdProvider, Realm, discovery, pages};

/// How long the question may lie open.
const PAGE_LIFETIME: Duration = Duration::from_secs(600);

/// Whom an `id_token_hint` names.
struct Hint {
    client: Client,
    sid: String,
}

/// GET `/end-session`.
pub(super) async fn start(
    State(provider): State<OpenIdProvider>,
    Extension(realm): Extension<Realm>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    begin(&provider, &realm, query.unwrap_or_default().as_bytes(), &headers)
}

/// POST `/end-session`.
pub(super) async fn start_posted(
    State(provider): State<OpenIdProvider>,
    Extension(realm): Extension<Realm>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Fault> {
    begin(&provider, &realm, &body, &headers)
}

fn begin(provider: &OpenIdProvider, realm: &Realm, raw: &[u8], headers: &HeaderMap) -> Result<Response, Fault> {
    let Ok(sent) = Parameters::parse(raw) else {
        return Ok(pages::problem(StatusCode::BAD_REQUEST, "A parameter came twice."));
    };
    let Some(hint) = sent.get("id_token_hint") else {
        // Without a hint any page could send the person here, so the person is asked.
        return ask(provider, realm);
    };
    let hint = read_hint(provider, realm, hint)?;
    let Some(hint) = hint.filter(|hint| sent.get("client_id").is_none_or(|id| id == hint.client.id)) else {
        return Ok(pages::problem(StatusCode::BAD_REQUEST, "The sign-out request does not fit this provider."));
    };
    let Some(target) = sent.get("post_logout_redirect_uri") else {
        end(provider, &hint.sid, headers);
        return Ok(forget(pages::note("You are signed out.")));
    };
    if !hint.client.post_logout_redirect_uris.iter().any(|known| known == target) {
        return Ok(pages::problem(
            StatusCode::BAD_REQUEST,
            "The application's return address is not the registered one.",
        ));
    }
    end(provider, &hint.sid, headers);
    let location = match sent.get("state") {
        Some(state) => {
            let joint = if target.contains('?') { '&' } else { '?' };
            format!("{target}{joint}{}", encode(&[("state", state.to_owned())]))
        }
        None => target.to_owned(),
    };
    Ok(forget((StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()))
}

/// Accepts an ID token of ours, expired or not (section 2: the provider should).
fn read_hint(provider: &OpenIdProvider, realm: &Realm, token: &str) -> Result<Option<Hint>, Fault> {
    let Some(jwt) = Jwt::read(token) else { return Ok(None) };
    let ring =
        provider.keys().ring(discovery::owner(realm.mode), provider.algorithm(realm.mode), 1, provider.random())?;
    if !ring.iter().any(|key| key.made(jwt.signature, jwt.message)) {
        return Ok(None);
    }
    let text = |name: &str| jwt.claims.get(name).and_then(Value::as_str);
    let ours = text("iss") == Some(realm.issuer.as_str()) && jwt.header.contains_key("alg");
    let client = text("aud").filter(|_| ours).and_then(|id| provider.client(id));
    Ok(client.zip(text("sid")).map(|(client, sid)| Hint { client, sid: sid.to_owned() }))
}

fn ask(provider: &OpenIdProvider, realm: &Realm) -> Result<Response, Fault> {
    let (handle, nonce) = (provider.random().token()?, provider.random().token()?);
    let now = provider.now();
    provider.state().sign_outs.insert(handle.clone(), (), now.after(PAGE_LIFETIME), now);
    Ok(pages::ask_sign_out(&format!("{}/end-session/confirm", realm.issuer), &handle, &nonce, ""))
}

/// POST `/end-session/confirm`: the person agreed.
pub(super) async fn confirm(State(provider): State<OpenIdProvider>, headers: HeaderMap, body: Bytes) -> Response {
    let form = Parameters::parse(&body).unwrap_or_default();
    let now = provider.now();
    if form.get("handle").and_then(|handle| provider.state().sign_outs.take(handle, now)).is_none() {
        return pages::problem(StatusCode::BAD_REQUEST, "This page was used before, or lay open for too long.");
    }
    end(&provider, "", &headers);
    forget(pages::note("You are signed out."))
}

/// Ends the session that the hint names, and the browser's own.
fn end(provider: &OpenIdProvider, sid: &str, headers: &HeaderMap) {
    let now = provider.now();
    let mut state = provider.state();
    state.sessions.retain(|session| session.sid != sid);
    if let Some(cookie) = session_cookie(headers) {
        state.sessions.take(&cookie, now);
    }
}

fn forget(mut response: Response) -> Response {
    let cookie = format!("{SESSION_COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    if let Ok(cookie) = http::HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}
