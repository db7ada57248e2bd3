//! The authorization endpoint and the form of its page (OpenID Connect Core 3.1.2, RFC 7636, RFC 9207).

use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::keys::Owner;
use super::modes::{Mode, Reach};
use super::parameters::{Parameters, encode};
use super::settings::Approval;
use super::token::CodeGrant;
use super::{Client, Fault, OpenIdProvider, Person, Realm, pages};
use crate::clock::Timestamp;

/// How long the page may lie open.
const PAGE_LIFETIME: Duration = Duration::from_secs(1800);
/// How long a person stays signed in at the provider.
const SESSION_LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// The cookie of the provider's own session.
pub(super) const SESSION_COOKIE: &str = "openid_provider_session";

/// An authorization request that was found right.
#[derive(Clone, Debug)]
pub(super) struct AuthorizationRequest {
    realm: Realm,
    client_id: String,
    redirect_uri: String,
    state: Option<String>,
    nonce: Option<String>,
    scopes: Vec<String>,
    challenge: String,
    prompts: Vec<String>,
    max_age: Option<u64>,
    acr: String,
    login_hint: Option<String>,
}

/// A request whose page is open. Its key is the one-time handle in the form.
pub(super) struct Pending(AuthorizationRequest);

/// Somebody who is signed in at the provider. Its key is the cookie's value.
#[derive(Clone, Debug)]
pub(super) struct ProviderSession {
    pub(super) subject: String,
    pub(super) auth_time: Timestamp,
    pub(super) sid: String,
}

/// Why a request is not answered with a code.
enum Refused {
    /// Told to the person: the client or its redirect URI is not known, so nothing may be sent there.
    Here(&'static str),
    /// Told to the client.
    Back(Box<Return>, &'static str, &'static str),
}

/// Where answers go.
#[derive(Clone, Debug)]
struct Return {
    redirect_uri: String,
    state: Option<String>,
    issuer: String,
    mode: Option<Mode>,
}

impl AuthorizationRequest {
    fn way_back(&self) -> Return {
        Return {
            redirect_uri: self.redirect_uri.clone(),
            state: self.state.clone(),
            issuer: self.realm.issuer.clone(),
            mode: self.realm.mode,
        }
    }

    fn read(raw: &[u8], mut realm: Realm, find: impl Fn(&str) -> Option<Client>) -> Result<Self, Refused> {
        let sent = Parameters::parse(raw).map_err(|_| Refused::Here("A parameter came twice."))?;
        let client =
            sent.get("client_id").and_then(find).ok_or(Refused::Here("This application is not known here."))?;
        let redirect_uri = sent
            .get("redirect_uri")
            .filter(|uri| client.redirect_uris.iter().any(|known| known == uri))
            .ok_or(Refused::Here("The application's return address is not the registered one."))?
            .to_owned();
        let state = sent.get("state").map(str::to_owned);
        let mut login_hint = sent.get("login_hint").map(str::to_owned);
        // `mode:NAME`, or `mode:NAME/PERSON`.
        let asked =
            login_hint.as_deref().and_then(|hint| hint.strip_prefix("mode:")).map(|rest| match rest.split_once('/') {
                Some((name, person)) => (Mode::parse(name), Some(person.to_owned())),
                None => (Mode::parse(rest), None),
            });
        let unknown_mode = match asked {
            Some((Some(mode), person)) if mode.reach() == Reach::Request => {
                realm.mode = Some(mode);
                login_hint = person;
                false
            }
            Some(_) => true,
            None => false,
        };
        let back = Return {
            redirect_uri: redirect_uri.clone(),
            state: state.clone(),
            issuer: realm.issuer.clone(),
            mode: None,
        };
        let refuse = |error: &'static str, why: &'static str| Refused::Back(Box::new(back.clone()), error, why);
        if unknown_mode {
            return Err(refuse("invalid_request", "login_hint names no mode that one request can ask for"));
        }
        if sent.get("request").is_some() {
            return Err(refuse("request_not_supported", "request objects are not taken"));
        }
        if sent.get("request_uri").is_some() {
            return Err(refuse("request_uri_not_supported", "request objects are not fetched"));
        }
        match sent.get("response_type") {
            Some("code") => {}
            Some(_) => return Err(refuse("unsupported_response_type", "only response_type=code")),
            None => return Err(refuse("invalid_request", "response_type is missing")),
        }
        if sent.get("response_mode").is_some_and(|mode| mode != "query") {
            return Err(refuse("invalid_request", "only response_mode=query"));
        }
        let scopes: Vec<String> = sent.get("scope").unwrap_or_default().split(' ').map(str::to_owned).collect();
        if !scopes.iter().any(|scope| scope == "openid") {
            return Err(refuse("invalid_scope", "scope has to hold openid"));
        }
        if sent.get("code_challenge_method") != Some("S256") {
            return Err(refuse("invalid_request", "PKCE with S256 is required"));
        }
        let challenge = sent.get("code_challenge").unwrap_or_default().to_owned();
        if challenge.len() != 43 || !challenge.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            return Err(refuse("invalid_request", "code_challenge is not a SHA-256 in base64url"));
        }
        let prompts: Vec<String> =
            sent.get("prompt").map(|all| all.split(' ').map(str::to_owned).collect()).unwrap_or_default();
        if prompts.len() > 1 && prompts.iter().any(|prompt| prompt == "none") {
            return Err(refuse("invalid_request", "prompt=none stands alone"));
        }
        let max_age = match sent.get("max_age").map(str::parse::<u64>) {
            None => None,
            Some(Ok(seconds)) => Some(seconds),
            Some(Err(_)) => return Err(refuse("invalid_request", "max_age is not a number of seconds")),
        };
        let acr = sent.get("acr_values").and_then(|all| all.split(' ').next()).unwrap_or("1").to_owned();
        Ok(Self {
            realm,
            client_id: client.id,
            redirect_uri,
            state,
            nonce: sent.get("nonce").map(str::to_owned),
            scopes,
            challenge,
            prompts,
            max_age,
            acr,
            login_hint,
        })
    }

    fn asks(&self, prompt: &str) -> bool {
        self.prompts.iter().any(|one| one == prompt)
    }
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

/// Errors that a mode answers with, though the person agreed.
fn hostile_error(mode: Mode) -> Option<(&'static str, &'static str)> {
    match mode {
        Mode::FormPostError | Mode::ErrorWrongState => Some(("access_denied", "the person cancelled")),
        Mode::ErrorScript => Some(("access_denied", "\"><script>alert(document.domain)</script>")),
        Mode::ErrorUnknown => Some(("no_such_error", "")),
        _ => None,
    }
}

impl Return {
    /// RFC 6749, section 4.1.2.1.
    fn error(&self, error: &str, description: &str) -> Response {
        let mut answer = vec![("error", error.to_owned())];
        if !description.is_empty() {
            answer.push(("error_description", description.to_owned()));
        }
        self.send(answer)
    }

    fn code(&self, code: String) -> Response {
        self.send(vec![("code", code)])
    }

    fn send(&self, mut answer: Vec<(&str, String)>) -> Response {
        if let Some(state) = &self.state {
            answer.push(("state", state.clone()));
        }
        // RFC 9207: errors carry it, too.
        answer.push(("iss", self.issuer.clone()));
        if let Some(mode) = self.mode {
            alter_answer(mode, &mut answer);
        }
        let encoded = encode(&answer);
        let location = match self.mode {
            Some(Mode::ResponseFormPost | Mode::FormPostError) => return pages::form_post(&self.redirect_uri, &answer),
            Some(Mode::ResponseFragment) => format!("{}#{encoded}", self.redirect_uri),
            _ => {
                let joint = if self.redirect_uri.contains('?') { '&' } else { '?' };
                format!("{}{joint}{encoded}", self.redirect_uri)
            }
        };
        let mut response = StatusCode::SEE_OTHER.into_response();
        set(&mut response, header::LOCATION, &location);
        set(&mut response, header::CACHE_CONTROL, "no-store");
        set(&mut response, header::REFERRER_POLICY, "no-referrer");
        response
    }
}

fn alter_answer(mode: Mode, answer: &mut Vec<(&str, String)>) {
    let mut replace = |name: &str, value: &str| {
        if let Some((_, old)) = answer.iter_mut().find(|(known, _)| *known == name) {
            value.clone_into(old);
        }
    };
    match mode {
        Mode::InvalidAuthorizationResponseIss => replace("iss", "https://stranger.test"),
        Mode::InvalidState | Mode::ErrorWrongState => replace("state", "somebody-elses-state"),
        Mode::RemoveAuthorizationResponseIss => answer.retain(|(name, _)| *name != "iss"),
        Mode::MissingState => answer.retain(|(name, _)| *name != "state"),
        Mode::CodeMissing => answer.retain(|(name, _)| *name != "code"),
        Mode::IssDuplicate => answer.push(("iss", "https://stranger.test".to_owned())),
        Mode::CodeTwice => answer.push(("code", "another-code".to_owned())),
        Mode::CodeAndError => answer.push(("error", "access_denied".to_owned())),
        _ => {}
    }
}

fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().append(name, value);
    }
}
