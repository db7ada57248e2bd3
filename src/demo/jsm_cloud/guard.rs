//! What every call passes first: counters, limits, faults, who is calling, and the checks against cross-site requests.

use axum::extract::{Request, State as Shared};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::json;

use super::JsmCloud;
use super::counters::{UnderWay, count};
use super::credentials::{Bearer, MANAGE_CUSTOMERS, READ_REQUESTS, READ_USERS, Through, WRITE_REQUESTS};
use super::problem::Problem;
use super::sessions::{CookieJar, Token, XSRF, cookies, xsrf_token};

/// What a route belongs to: whether tokens open it, and with which scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Area {
    /// REST for everybody.
    Open,
    /// REST on desks and requests.
    Requests,
    /// REST on customers and organizations.
    Customers,
    /// REST on people.
    People,
    /// Pages, and what their scripts call.
    Portal,
    /// Pages that strangers may open: login, sign-up, articles.
    Visitors,
    /// What other sites have browsers post to: the identity provider's answers.
    Inbound,
}

impl Area {
    fn is_rest(self) -> bool {
        !matches!(self, Self::Portal | Self::Visitors | Self::Inbound)
    }

    /// The scope that a call of that method needs, as the API's description says.
    pub(super) fn scope(self, method: &Method) -> Option<&'static str> {
        match self {
            Self::Open | Self::Portal | Self::Visitors | Self::Inbound => None,
            Self::Requests if method == Method::GET => Some(READ_REQUESTS),
            Self::Requests => Some(WRITE_REQUESTS),
            Self::Customers => Some(MANAGE_CUSTOMERS),
            Self::People => Some(READ_USERS),
        }
    }
}

/// A route as the guard sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    pub(super) path: &'static str,
    pub(super) area: Area,
}

/// Who is calling, and by what.
#[derive(Clone, Debug, Default)]
pub(super) struct Visitor {
    /// The account; `None` for a stranger.
    pub(super) account: Option<String>,
    /// The id of the session, if the call came by one.
    pub(super) session: Option<String>,
    /// The token that forms of this visitor have to send.
    pub(super) xsrf: String,
    /// The site as this caller sees it, without a slash at the end.
    pub(super) base: String,
    cookie_xsrf: Option<String>,
    no_check: bool,
    jar: CookieJar,
}

impl Visitor {
    /// Checks a form's token: the visitor's own, and the same as in the cookie; or the header that says not to check.
    pub(super) fn check_token(&self, atl_token: Option<&str>) -> Result<(), Problem> {
        let matches = atl_token.is_some_and(|token| token == self.xsrf && self.cookie_xsrf.as_deref() == Some(token));
        if self.no_check || matches { Ok(()) } else { Err(Problem::xsrf()) }
    }
}

/// Middleware of every route.
pub(super) async fn guard(
    Shared((jsm, route)): Shared<(JsmCloud, Route)>,
    mut request: Request,
    next: Next,
) -> Response {
    let through = request.extensions().get::<Through>().copied().unwrap_or_default();
    count(&mut jsm.state().counters.calls, (request.method().to_string(), route.path));
    jsm.shared.days.tell();
    let by_token = request.headers().contains_key(header::AUTHORIZATION);
    let _under_way = by_token.then(|| UnderWay::begin(&jsm));
    let standing = if route.area.is_rest() { jsm.state().count_call(jsm.now()) } else { None };
    if let Some(refusal) = standing.and_then(|standing| standing.refusal()) {
        let limited = &mut jsm.state().counters.limited;
        *limited = limited.saturating_add(1);
        return refusal;
    }
    if let Some(failure) = jsm.shared.days.suffer(request.uri().path()).await {
        return failure;
    }
    let admitted = identify(&jsm, route, through, &request);
    let admitted = admitted.and_then(|visitor| check_origin(&jsm, route, &request).map(|()| visitor));
    let visitor = match admitted {
        Ok(visitor) => visitor,
        Err(problem) => return problem.into_response(),
    };
    request.extensions_mut().insert(visitor.clone());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if !headers.contains_key(header::SET_COOKIE) {
        visitor.jar.write(headers); // a login or logout of this very call has the last word on cookies
    }
    if let Some(standing) = standing {
        standing.write(headers);
    }
    decorate(&jsm, headers);
    jsm.shared.days.tell();
    response
}

/// Headers that name the site, as the real one's do.
fn decorate(jsm: &JsmCloud, headers: &mut HeaderMap) {
    let base = jsm.base_url();
    let mut tell = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    tell("server", "AtlassianEdge");
    tell("x-content-type-options", "nosniff");
    tell("strict-transport-security", "max-age=63072000; preload");
    let policy = format!(
        "default-src 'self' {base}; script-src 'self' 'unsafe-inline' {base}; style-src 'self' 'unsafe-inline' {base}; \
         img-src 'self' data: {base}; connect-src 'self' {base}; form-action 'self' {base}; \
         frame-ancestors 'self' {base}; report-uri {base}/gateway/api/csp-report"
    );
    tell("content-security-policy", &policy);
    tell("link", &format!("<{base}/s/portal/1/portal.css>; rel=preload; as=style"));
}

fn scope_does_not_match() -> Problem {
    let body = json!({"code": 401, "message": "Unauthorized; scope does not match"});
    Problem::Json(StatusCode::UNAUTHORIZED, body)
}

fn identify(jsm: &JsmCloud, route: Route, through: Through, request: &Request) -> Result<Visitor, Problem> {
    let headers = request.headers();
    let mut visitor = Visitor {
        cookie_xsrf: cookies(headers, XSRF).next().map(str::to_owned),
        no_check: headers.get("x-atlassian-token").is_some_and(|value| value == "no-check" || value == "nocheck"),
        base: jsm.seen_through(through),
        ..Visitor::default()
    };
    if let Some(authorization) = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()) {
        let bearer: Bearer = jsm.authorize(authorization, through)?;
        if route.area.scope(request.method()).is_some_and(|scope| !bearer.may(scope)) {
            return Err(scope_does_not_match());
        }
        visitor.account = Some(bearer.account_id).filter(|_| route.area.is_rest());
        return Ok(visitor);
    }
    if through == Through::ApiHost {
        let body = json!({"code": 401, "message": "Unauthorized"});
        return Err(Problem::Json(StatusCode::UNAUTHORIZED, body));
    }
    match jsm.session_of(headers) {
        Some((id, session)) => {
            visitor.account = Some(session.account_id);
            visitor.session = Some(id);
            visitor.xsrf = session.xsrf;
        }
        None => {
            let kept = visitor.cookie_xsrf.clone().filter(|token| token.ends_with("_lout"));
            visitor.xsrf = match kept {
                Some(token) => token,
                None => xsrf_token(jsm.random(), Token::LoggedOut)?,
            };
        }
    }
    if !route.area.is_rest() && visitor.cookie_xsrf.as_ref() != Some(&visitor.xsrf) {
        visitor.jar.set(XSRF, &visitor.xsrf, "");
    }
    Ok(visitor)
}

/// What looks like a browser has to come from this site. Other clients may not come from elsewhere, nor post forms to REST,
/// unless they say `X-Atlassian-Token: no-check`.
fn check_origin(jsm: &JsmCloud, route: Route, request: &Request) -> Result<(), Problem> {
    if [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method()) || route.area == Area::Inbound {
        return Ok(());
    }
    let header = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    let no_check = request.headers().get("x-atlassian-token").is_some_and(|value| value == "no-check");
    let kind = header(header::CONTENT_TYPE).unwrap_or("application/json").to_ascii_lowercase();
    let form_like = ["multipart/form-data", "application/x-www-form-urlencoded", "text/plain"];
    let rest = request.uri().path().starts_with("/rest/");
    if rest && !no_check && form_like.iter().any(|form| kind.starts_with(form)) {
        return Err(Problem::xsrf());
    }
    let base = origin_of(&jsm.base_url());
    let (origin, referer) = (header(header::ORIGIN), header(header::REFERER));
    let same = match (origin, referer) {
        (Some(origin), _) => Some(Some(origin.to_owned()) == base),
        (None, Some(referer)) => Some(origin_of(referer) == base),
        (None, None) => None,
    };
    let browser = header(header::USER_AGENT).is_some_and(|agent| agent.contains("Mozilla/"));
    let good = if browser { same == Some(true) } else { no_check || same != Some(false) };
    if good { Ok(()) } else { Err(Problem::xsrf()) }
}

fn origin_of(url: &str) -> Option<String> {
    let origin = url::Url::parse(url).ok()?.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}
