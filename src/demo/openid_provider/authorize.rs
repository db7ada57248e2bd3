//! The authorization endpoint and the form of its page (OpenID Connect Core 3.1.2).

mod request;
mod response;

use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode, header};

use self::request::{AuthorizationRequest, Refused};
use self::response::{hostile_error, set};
use super::keys::Owner;
use super::modes::Mode;
use super::parameters::Parameters;
use super::settings::Approval;
use super::token::CodeGrant;
use super::{Fault, OpenIdProvider, Person, Realm, pages};
use crate::clock::Timestamp;

/// How long the page may lie open.
const PAGE_LIFETIME: Duration = Duration::from_secs(1800);
/// How long a person stays signed in at the provider.
const SESSION_LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// The cookie of the provider's own session.
pub(super) const SESSION_COOKIE: &str = "openid_provider_session";

/// A request whose page is open. Its key is the one-time handle in the form.
pub(super) struct Pending(AuthorizationRequest);

/// Somebody who is signed in at the provider. Its key is the cookie's value.
#[derive(Clone, Debug)]
pub(super) struct ProviderSession {
    pub(super) subject: String,
    pub(super) auth_time: Timestamp,
    pub(super) sid: String,
}

/// GET `/authorize`.
pub(super) async fn start(
    State(provider): State<OpenIdProvider>,
    Extension(realm): Extension<Realm>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    begin(&provider, realm, query.unwrap_or_default().as_bytes(), &headers)
}

/// POST `/authorize` (OpenID Connect Core 3.1.2.1: both methods).
pub(super) async fn start_posted(
    State(provider): State<OpenIdProvider>,
    Extension(realm): Extension<Realm>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Fault> {
    begin(&provider, realm, &body, &headers)
}

fn begin(provider: &OpenIdProvider, realm: Realm, raw: &[u8], headers: &HeaderMap) -> Result<Response, Fault> {
    let request = match AuthorizationRequest::read(raw, realm, |id| provider.client(id)) {
        Ok(request) => request,
        Err(Refused::Here(why)) => return Ok(pages::problem(StatusCode::BAD_REQUEST, why)),
        Err(Refused::Back(way_back, error, why)) => return Ok(way_back.error(error, why)),
    };
    if request.realm.mode == Some(Mode::KeyRotation) {
        provider.keys().rotate(
            Owner::Mode(Mode::KeyRotation),
            provider.algorithm(request.realm.mode),
            provider.random(),
        )?;
    }
    let hinted = provider.settings().people.iter().find(|person| {
        request
            .login_hint
            .as_deref()
            .is_some_and(|hint| hint == person.subject || Some(hint) == person.email.as_deref())
    });
    if request.asks("none") {
        let session = session(provider, headers).filter(|session| fresh_enough(session, &request, provider.now()));
        let session = session.filter(|session| hinted.is_none_or(|person| person.subject == session.subject));
        return match session {
            Some(session) => approve(provider, &request, &session),
            None => Ok(request.way_back().error("login_required", "nobody is signed in here")),
        };
    }
    let decided = match &provider.settings().approval {
        Approval::ByPage => None,
        Approval::ByLoginHint => hinted,
        Approval::Automatic(subject) => hinted.or_else(|| provider.person(subject)),
    };
    match decided {
        Some(person) => sign_in(provider, &request, person, headers),
        None => show_page(provider, request, hinted),
    }
}

fn show_page(
    provider: &OpenIdProvider,
    request: AuthorizationRequest,
    hinted: Option<&Person>,
) -> Result<Response, Fault> {
    let handle = provider.random().token()?;
    let nonce = provider.random().token()?;
    let action = format!("{}/decide", request.realm.issuer);
    let page = pages::choose(
        &provider.settings().people,
        hinted,
        &request.client_id,
        &action,
        &handle,
        &request.redirect_uri,
        &nonce,
    );
    let now = provider.now();
    provider.state().pending.insert(handle, Pending(request), now.after(PAGE_LIFETIME), now);
    Ok(page)
}

/// POST `/decide`: what the person chose on the page. The handle is unguessable and good for one use, so that no other site
/// can send this form; a browser that says where it comes from has to come from here.
pub(super) async fn decide(
    State(provider): State<OpenIdProvider>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Fault> {
    let site = headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
    if site.is_some_and(|site| site != "same-origin" && site != "none") {
        return Ok(pages::problem(StatusCode::FORBIDDEN, "This form was sent by another site."));
    }
    let form = Parameters::parse(&body).unwrap_or_default();
    let now = provider.now();
    let pending = form.get("handle").and_then(|handle| provider.state().pending.take(handle, now));
    let Some(Pending(request)) = pending else {
        return Ok(pages::problem(StatusCode::BAD_REQUEST, "This page was used before, or lay open for too long."));
    };
    match form.get("person").and_then(|subject| provider.person(subject)) {
        Some(person) => sign_in(&provider, &request, person, &headers),
        None => Ok(request.way_back().error("access_denied", "the person cancelled")),
    }
}

/// The provider's session of the browser that asks.
pub(super) fn session(provider: &OpenIdProvider, headers: &HeaderMap) -> Option<ProviderSession> {
    let cookie = session_cookie(headers)?;
    provider.state().sessions.get(&cookie, provider.now()).cloned()
}

/// The value of the session cookie.
pub(super) fn session_cookie(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == SESSION_COOKIE)
        .map(|(_, value)| value.to_owned())
}

fn fresh_enough(session: &ProviderSession, request: &AuthorizationRequest, now: Timestamp) -> bool {
    request.max_age.is_none_or(|seconds| now.since(session.auth_time) <= Duration::from_secs(seconds))
}

/// The person has proved who they are: a session at the provider, and a code for the client.
fn sign_in(
    provider: &OpenIdProvider,
    request: &AuthorizationRequest,
    person: &Person,
    headers: &HeaderMap,
) -> Result<Response, Fault> {
    let now = provider.now();
    let known = session(provider, headers).filter(|session| {
        session.subject == person.subject && !request.asks("login") && fresh_enough(session, request, now)
    });
    if let Some(session) = known {
        return approve(provider, request, &session);
    }
    let session = ProviderSession { subject: person.subject.clone(), auth_time: now, sid: provider.random().token()? };
    let cookie = provider.random().token()?;
    let mut response = approve(provider, request, &session)?;
    provider.state().sessions.insert(cookie.clone(), session, now.after(SESSION_LIFETIME), now);
    let secure = if request.realm.issuer.starts_with("https:") { "; Secure" } else { "" };
    set(
        &mut response,
        header::SET_COOKIE,
        &format!("{SESSION_COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Lax{secure}"),
    );
    Ok(response)
}

fn approve(
    provider: &OpenIdProvider,
    request: &AuthorizationRequest,
    session: &ProviderSession,
) -> Result<Response, Fault> {
    let mode = request.realm.mode;
    let way_back = request.way_back();
    if let Some((error, description)) = mode.and_then(hostile_error) {
        return Ok(way_back.error(error, description));
    }
    let mut code = provider.random().token()?;
    if mode == Some(Mode::CodeHuge) {
        code.push_str(&"c".repeat(100_000));
    }
    let grant = CodeGrant {
        client_id: request.client_id.clone(),
        redirect_uri: request.redirect_uri.clone(),
        challenge: request.challenge.clone(),
        nonce: request.nonce.clone(),
        scopes: request.scopes.clone(),
        acr: request.acr.clone(),
        session: session.clone(),
        realm: request.realm.clone(),
        used: false,
    };
    let now = provider.now();
    provider.state().codes.insert(code.clone(), grant, now.after(provider.settings().code_lifetime), now);
    Ok(way_back.code(code))
}
