//! What every call passes first: counters, faults, who is calling, and the checks against cross-site requests.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request, State as Shared};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde::de::DeserializeOwned;

use super::JsmDataCenter;
use super::counters::count;
use super::html::percent;
use super::login::{Denial, PasswordFor};
use super::problem::Problem;
use super::sessions::{CookieJar, REMEMBER, SESSION, XSRF, cookies};

/// Who is calling, and by what.
#[derive(Clone, Debug, Default)]
pub(super) struct Visitor {
    /// The user name; `None` for a stranger.
    pub(super) username: Option<String>,
    /// The session's id, if the call came by one.
    pub(super) session: Option<String>,
    /// The token that forms of this session have to send.
    pub(super) xsrf: String,
    /// The token that the browser's cookie carries.
    cookie_xsrf: Option<String>,
    no_check: bool,
    jar: CookieJar,
}

impl Visitor {
    /// Checks a form's `atl_token`: the session's, and the same as in the cookie; or the header that says not to check.
    pub(super) fn check_token(&self, atl_token: Option<&str>) -> Result<(), Problem> {
        let matches = atl_token.is_some_and(|token| token == self.xsrf && self.cookie_xsrf.as_deref() == Some(token));
        if self.no_check || matches { Ok(()) } else { Err(Problem::xsrf()) }
    }
}

/// Middleware of every route.
pub(super) async fn guard(
    Shared((jsm, route)): Shared<(JsmDataCenter, &'static str)>,
    mut request: Request,
    next: Next,
) -> Response {
    count(&mut jsm.state().counters.calls, (request.method().to_string(), route));
    jsm.tell();
    if let Some(failure) = jsm.shared.days.suffer(request.uri().path()).await {
        return failure;
    }
    let admitted = identify(&jsm, request.headers(), wants_page(request.uri().path()))
        .and_then(|visitor| check_origin(&jsm, &request).map(|()| visitor));
    let visitor = match admitted {
        Ok(visitor) => visitor,
        Err(problem) => return problem.into_response(),
    };
    request.extensions_mut().insert(visitor.clone());
    let mut response = next.run(request).await;
    let name = visitor.username.as_deref().map_or_else(|| "anonymous".to_owned(), percent);
    let headers = response.headers_mut();
    if !headers.contains_key(header::SET_COOKIE) {
        visitor.jar.write(headers); // a login or logout of this very call has the last word on cookies
    }
    let mut tell = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    tell("x-ausername", &name);
    tell("x-content-type-options", "nosniff");
    tell("content-security-policy", &format!("frame-ancestors 'self' {}", jsm.base_url()));
    jsm.tell();
    response
}

/// Pages give strangers a session of their own.
fn wants_page(path: &str) -> bool {
    path.starts_with("/servicedesk/") || path == "/login.jsp"
}

fn identify(jsm: &JsmDataCenter, headers: &HeaderMap, page: bool) -> Result<Visitor, Problem> {
    let mut visitor = Visitor {
        cookie_xsrf: cookies(headers, XSRF).next().map(str::to_owned),
        no_check: headers.get("x-atlassian-token").is_some_and(|value| value == "no-check" || value == "nocheck"),
        ..Visitor::default()
    };
    let presented = cookies(headers, SESSION).next();
    let now = jsm.now();
    let live =
        presented.and_then(|id| jsm.state().use_session(id, headers, jsm.node, now).map(|session| (id, session)));
    let told = jsm.told_by_token(headers)?;
    let live = live.filter(|(_, session)| told.is_none() || session.username == told);
    if let Some(authorization) = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()) {
        if presented.is_some() && live.is_none() {
            return Err(unauthorized()); // a stale cookie spoils the token beside it
        }
        visitor.username = Some(by_authorization(jsm, authorization)?);
        return Ok(visitor);
    }
    let mut state = jsm.state();
    if let Some((id, session)) = live.filter(|(_, session)| session.username.is_some() || page) {
        visitor.session = Some(id.to_owned());
        visitor.username = session.username;
        visitor.xsrf = session.xsrf;
        if visitor.username.is_some() {
            if page && visitor.cookie_xsrf.as_ref() != Some(&visitor.xsrf) {
                // A page gives its token to a browser that lost it, or never saw the login.
                visitor.jar.set(state.is_secure(), XSRF, &visitor.xsrf, "");
            }
            return Ok(visitor);
        }
    }
    let remembered = cookies(headers, REMEMBER).next().filter(|_| state.switches.remember_me);
    let remembered = remembered.and_then(|cookie| state.remembered.get(cookie).cloned());
    let remembered = told.or(remembered).filter(|who| state.user(who).is_some_and(|user| user.active));
    if remembered.is_some() || (page && visitor.session.is_none()) {
        let (id, session, jar) = state.open_session(remembered.as_deref(), jsm.random(), (jsm.node, now))?;
        visitor.username = session.username;
        visitor.session = Some(id);
        visitor.xsrf = session.xsrf;
        visitor.jar = jar;
    }
    Ok(visitor)
}

pub(super) fn unauthorized() -> Problem {
    let challenge = ("www-authenticate", "OAuth realm=\"jsm\"".to_owned());
    Problem::Plain(StatusCode::UNAUTHORIZED, "Client must be authenticated to access this resource.", Some(challenge))
}

fn by_authorization(jsm: &JsmDataCenter, authorization: &str) -> Result<String, Problem> {
    let (scheme, credentials) = authorization.split_once(' ').ok_or_else(unauthorized)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        let state = jsm.state();
        let owner = state.tokens.get(credentials.trim()).and_then(|username| state.user(username));
        return owner.filter(|user| user.active).map(|user| user.username.clone()).ok_or_else(unauthorized);
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(unauthorized());
    }
    if !jsm.state().switches.basic_auth {
        let text = "Basic Authentication has been disabled on this instance.";
        return Err(Problem::Plain(StatusCode::FORBIDDEN, text, None));
    }
    let decoded = STANDARD.decode(credentials.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let (username, password) = decoded.as_deref().and_then(|text| text.split_once(':')).ok_or_else(unauthorized)?;
    jsm.check_password(username, password, PasswordFor::Call).map_err(|denial| match denial {
        Denial::Captcha => {
            let reason = format!("CAPTCHA_CHALLENGE; login-url={}", jsm.state().url("/login.jsp"));
            Problem::Plain(StatusCode::FORBIDDEN, "CAPTCHA required", Some(("x-authentication-denied-reason", reason)))
        }
        Denial::SecondStep | Denial::Wrong => Problem::Plain(
            StatusCode::UNAUTHORIZED,
            "Basic Authentication Failure - Reason : AUTHENTICATED_FAILED",
            Some(("x-seraph-loginreason", "AUTHENTICATED_FAILED".to_owned())),
        ),
    })
}

/// What looks like a browser has to come from this site; other clients may not post forms to REST unless they say
/// `X-Atlassian-Token: no-check`.
fn check_origin(jsm: &JsmDataCenter, request: &Request) -> Result<(), Problem> {
    if [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method()) {
        return Ok(());
    }
    let header = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    let rest = request.uri().path().starts_with("/rest/");
    let kind = header(header::CONTENT_TYPE).unwrap_or("application/json").to_ascii_lowercase();
    let form_like = ["multipart/form-data", "application/x-www-form-urlencoded", "text/plain"];
    let no_check = request.headers().get("x-atlassian-token").is_some_and(|value| value == "no-check");
    if rest && !no_check && form_like.iter().any(|form| kind.starts_with(form)) {
        return Err(Problem::xsrf());
    }
    if !header(header::USER_AGENT).is_some_and(|agent| agent.contains("Mozilla/")) {
        return Ok(());
    }
    let base = origin_of(&jsm.base_url());
    let same = match (header(header::ORIGIN), header(header::REFERER)) {
        (Some(origin), _) => Some(origin.to_owned()) == base,
        (None, Some(referer)) => origin_of(referer) == base,
        (None, None) => false,
    };
    if same { Ok(()) } else { Err(Problem::xsrf()) }
}

fn origin_of(url: &str) -> Option<String> {
    let origin = url::Url::parse(url).ok()?.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}

fn visitor_of(parts: &Parts) -> Visitor {
    parts.extensions.get::<Visitor>().cloned().unwrap_or_default()
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(visitor_of(parts))
    }
}

/// Somebody who opens a page with a session; others are sent to the login.
pub(super) struct SignedIn {
    pub(super) username: String,
    pub(super) visitor: Visitor,
}

impl FromRequestParts<JsmDataCenter> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, jsm: &JsmDataCenter) -> Result<Self, Problem> {
        let visitor = visitor_of(parts);
        match visitor.username.clone() {
            Some(username) => Ok(Self { username, visitor }),
            None => {
                let wanted = parts.uri.path_and_query().map_or("/", |wanted| wanted.as_str());
                let login = format!("/servicedesk/customer/user/login?destination={}", percent(wanted));
                Err(Problem::Found(jsm.state().url(&login)))
            }
        }
    }
}

/// Somebody who calls REST, by a session or by credentials; others get 401.
pub(super) struct Caller(pub(super) String);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let sentence = "You are not authenticated. Authentication required to perform this operation.";
        let platform = parts.uri.path().starts_with("/rest/api/");
        visitor_of(parts).username.map(Self).ok_or_else(|| match platform {
            true => Problem::Platform(StatusCode::UNAUTHORIZED, sentence.to_owned()),
            false => Problem::Desk(StatusCode::UNAUTHORIZED, "sd.error.unauthenticated", sentence.to_owned()),
        })
    }
}

/// An administrator who calls REST.
pub(super) struct Admin;

impl FromRequestParts<JsmDataCenter> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, jsm: &JsmDataCenter) -> Result<Self, Problem> {
        let Caller(username) = Caller::from_request_parts(parts, jsm).await?;
        if jsm.state().user(&username).is_some_and(super::User::is_admin) {
            return Ok(Self);
        }
        let sentence = "You do not have permission to perform this operation.".to_owned();
        Err(match parts.uri.path().starts_with("/rest/api/") {
            true => Problem::Platform(StatusCode::FORBIDDEN, sentence),
            false => Problem::Desk(StatusCode::FORBIDDEN, "sd.error.forbidden", sentence),
        })
    }
}

/// The header that experimental calls ask for.
pub(super) struct OptIn;

impl<S: Sync> FromRequestParts<S> for OptIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let said = parts.headers.get("x-experimentalapi").is_some_and(|value| value == "opt-in" || value == "true");
        let sentence = "This API is experimental. Send the header X-ExperimentalApi: opt-in to use it.";
        said.then_some(Self)
            .ok_or_else(|| Problem::Desk(StatusCode::PRECONDITION_FAILED, "sd.error.experimental", sentence.to_owned()))
    }
}

/// A JSON body.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind =
            request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !kind.to_ascii_lowercase().starts_with("application/json") {
            return Err(Problem::Plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported Media Type", None));
        }
        let desk = request.uri().path().starts_with("/rest/servicedeskapi/");
        let unreadable = |status| {
            let sentence = "The request body could not be read.".to_owned();
            match desk {
                true => Problem::Desk(status, "sd.error.payload", sentence),
                false => Problem::Platform(status, sentence),
            }
        };
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|_| unreadable(StatusCode::PAYLOAD_TOO_LARGE))?;
        serde_json::from_slice(&body).map(Self).map_err(|_| unreadable(StatusCode::BAD_REQUEST))
    }
}
