//! The ways in, and out: the REST session, the portal's legacy form, and the login of the two-step era.

use axum::Json;
use axum::extract::{Form, Query, State as Shared};
use axum::response::{Html, IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::JsmDataCenter;
use super::counters::count;
use super::guard::{JsonBody, Visitor};
use super::html::{escape, js_string, json_in_script};
use super::pages::layout;
use super::problem::{Problem, found};
use super::sessions::{CookieJar, SESSION};
use super::state::Captcha;

/// Why a password did not open anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denial {
    Wrong,
    Captcha,
    SecondStep,
}

/// What a password is checked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PasswordFor {
    /// One call by Basic authentication.
    Call,
    /// A session of its own.
    Session,
}

/// An opened session.
struct Opened {
    id: String,
    jar: CookieJar,
}

const FAILURES_BEFORE_CAPTCHA: u32 = 3;

impl JsmDataCenter {
    /// Checks a password and keeps the counts by which the CAPTCHA comes; the user name as the site writes it.
    pub(super) fn check_password(
        &self,
        username: &str,
        password: &str,
        purpose: PasswordFor,
    ) -> Result<String, Denial> {
        let now = self.now();
        let mut state = self.state();
        let (captcha, second_step) = (state.switches.captcha, state.switches.two_step_enforced);
        let Some(user) = state.user_mut(username) else {
            return Err(if captcha == Captcha::Always { Denial::Captcha } else { Denial::Wrong });
        };
        let challenged = match captcha {
            Captcha::Off => false,
            Captcha::AfterThreeFailures => user.failed_logins >= FAILURES_BEFORE_CAPTCHA,
            Captcha::Always => purpose == PasswordFor::Session,
        };
        if challenged {
            return Err(Denial::Captcha); // even with the right password
        }
        if !user.active || !user.has_password(password) {
            user.failed_logins = user.failed_logins.saturating_add(1);
            user.last_failure = Some(now);
            return Err(Denial::Wrong);
        }
        if purpose == PasswordFor::Session && second_step {
            return Err(Denial::SecondStep);
        }
        user.failed_logins = 0;
        let name = user.username.clone();
        if purpose == PasswordFor::Session {
            user.login_count = user.login_count.saturating_add(1);
            user.last_login = Some(now);
            count(&mut state.counters.logins, name.to_lowercase());
        }
        Ok(name)
    }

    /// Checks a password and opens a session under a new id.
    fn sign_in(&self, visitor: &Visitor, credentials: &Credentials, remember: bool) -> Result<Opened, SignInFailed> {
        let name = self.check_password(&credentials.username, &credentials.password, PasswordFor::Session)?;
        let now = self.now();
        let mut state = self.state();
        if let Some(before) = &visitor.session {
            state.sessions.remove(before);
        }
        let (id, _, mut jar) = state.open_session(Some(&name), self.random(), (self.node, now))?;
        if remember {
            state.remember(&name, self.random(), &mut jar)?;
        }
        Ok(Opened { id, jar })
    }
}

enum SignInFailed {
    Denied(Denial),
    Broken(Problem),
}

impl From<Denial> for SignInFailed {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

impl From<crate::random::NoRandomness> for SignInFailed {
    fn from(error: crate::random::NoRandomness) -> Self {
        Self::Broken(error.into())
    }
}

#[derive(Deserialize)]
pub(super) struct Credentials {
    username: String,
    password: String,
}

/// `POST /rest/auth/1/session`.
pub(super) async fn rest_session(
    Shared(jsm): Shared<JsmDataCenter>,
    visitor: Visitor,
    JsonBody(credentials): JsonBody<Credentials>,
) -> Result<Response, Problem> {
    if !jsm.state().switches.rest_session {
        return Err(Problem::page(StatusCode::NOT_FOUND, "This page does not exist."));
    }
    let before = jsm.user(&credentials.username);
    match jsm.sign_in(&visitor, &credentials, false) {
        Ok(opened) => {
            let info = before.map(|user| {
                json!({
                    "failedLoginCount": user.failed_logins, "loginCount": user.login_count,
                    "lastFailedLoginTime": user.last_failure.map(|at| at.to_string()),
                    "previousLoginTime": user.last_login.map(|at| at.to_string()),
                })
            });
            let body = json!({"session": {"name": SESSION, "value": opened.id}, "loginInfo": info});
            let mut response = with_reason(Json(body).into_response(), "OK");
            opened.jar.write(response.headers_mut());
            Ok(response)
        }
        Err(SignInFailed::Broken(problem)) => Err(problem),
        Err(SignInFailed::Denied(denial)) => Ok(denied(&jsm, denial)),
    }
}

fn denied(jsm: &JsmDataCenter, denial: Denial) -> Response {
    let (status, reason, sentence) = match denial {
        Denial::Wrong => (StatusCode::UNAUTHORIZED, "AUTHENTICATED_FAILED", "Login failed"),
        Denial::Captcha => (StatusCode::FORBIDDEN, "AUTHENTICATION_DENIED", "Login denied: a CAPTCHA has to be solved"),
        Denial::SecondStep => (StatusCode::FORBIDDEN, "AUTHENTICATION_DENIED", "Two-step verification is required"),
    };
    let problem = Problem::Platform(status, sentence.to_owned()).into_response();
    let mut response = with_reason(problem, reason);
    if denial == Denial::Captcha {
        let challenge = format!("CAPTCHA_CHALLENGE; login-url={}", jsm.state().url("/login.jsp"));
        insert(response.headers_mut(), "x-authentication-denied-reason", &challenge);
    }
    response
}

fn with_reason(mut response: Response, reason: &str) -> Response {
    insert(response.headers_mut(), "x-seraph-loginreason", reason);
    response
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// `GET /rest/auth/1/session`.
pub(super) async fn who(Shared(jsm): Shared<JsmDataCenter>, visitor: Visitor) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    let user = visitor
        .username
        .as_deref()
        .and_then(|username| state.user(username))
        .ok_or_else(|| Problem::Platform(StatusCode::UNAUTHORIZED, "You are not authenticated.".to_owned()))?;
    Ok(Json(json!({
        "self": state.url("/rest/api/latest/user?username=") + &super::html::percent(&user.username),
        "name": user.username,
        "loginInfo": {"failedLoginCount": user.failed_logins, "loginCount": user.login_count},
    })))
}

/// `DELETE /rest/auth/1/session`.
pub(super) async fn end_session(
    Shared(jsm): Shared<JsmDataCenter>,
    visitor: Visitor,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if visitor.username.is_none() {
        return Err(Problem::Platform(StatusCode::UNAUTHORIZED, "You are not authenticated.".to_owned()));
    }
    let jar = jsm.state().end_session(visitor.session.as_deref(), &headers);
    let mut response = StatusCode::NO_CONTENT.into_response();
    jar.write(response.headers_mut());
    Ok(response)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TwoStep {
    #[serde(flatten)]
    credentials: Credentials,
    #[serde(default)]
    remember_me: Value,
    #[serde(default)]
    target_url: String,
}

/// `POST /rest/tsv/1.0/authenticate`.
pub(super) async fn two_step(
    Shared(jsm): Shared<JsmDataCenter>,
    visitor: Visitor,
    JsonBody(login): JsonBody<TwoStep>,
) -> Result<Response, Problem> {
    if !jsm.state().switches.two_step_login {
        return Err(Problem::page(StatusCode::NOT_FOUND, "This page does not exist."));
    }
    let remember = login.remember_me == true || login.remember_me == "true";
    match jsm.sign_in(&visitor, &login.credentials, remember) {
        Ok(opened) => {
            let target = inside(&login.target_url);
            let body =
                json!({"authenticated": true, "secondStepRequired": false, "redirectUrl": jsm.state().url(target)});
            let mut response = with_reason(Json(body).into_response(), "OK");
            opened.jar.write(response.headers_mut());
            Ok(response)
        }
        Err(SignInFailed::Broken(problem)) => Err(problem),
        // The password is right, and a code is asked for: no session yet.
        Err(SignInFailed::Denied(Denial::SecondStep)) => {
            Ok(Json(json!({"authenticated": false, "secondStepRequired": true})).into_response())
        }
        Err(SignInFailed::Denied(denial)) => Ok(denied(&jsm, denial)),
    }
}

/// Only a path of this site is a place to go to after the login.
fn inside(target: &str) -> &str {
    let local = target.starts_with('/') && !target.starts_with("//") && !target.contains('\\');
    if local { target } else { "/servicedesk/customer/portals" }
}

/// `GET /login.jsp`: its text tells which era of login the site lives in.
pub(super) async fn jira_login_page(Shared(jsm): Shared<JsmDataCenter>, visitor: Visitor) -> Html<String> {
    let (legacy, action) = {
        let state = jsm.state();
        (state.switches.legacy_form, escape(&state.url("/servicedesk/customer/user/login")))
    };
    let remember = match legacy {
        true => {
            "<label><input type=\"checkbox\" name=\"os_cookie\" id=\"login-form-remember-me\" value=\"true\"> Remember me</label>"
        }
        false => "<p>This site asks for a second step after the password.</p>",
    };
    let token = escape(&visitor.xsrf);
    Html(layout(
        &jsm,
        &visitor,
        "Log in",
        json!({"page": "login"}),
        &format!(
            "<form class=\"card narrow\" method=\"post\" action=\"{action}\"><h1>Log in to Jira</h1>\
         <input type=\"hidden\" name=\"atl_token\" value=\"{token}\">\
         <label>User name<input name=\"os_username\" autocomplete=\"username\"></label>\
         <label>Password<input name=\"os_password\" type=\"password\" autocomplete=\"current-password\"></label>\
         {remember}<button>Log in</button></form>"
        ),
    ))
}

#[derive(Deserialize)]
pub(super) struct Destination {
    destination: Option<String>,
}

/// `GET /servicedesk/customer/user/login`.
pub(super) async fn login_page(
    Shared(jsm): Shared<JsmDataCenter>,
    visitor: Visitor,
    Query(query): Query<Destination>,
) -> Response {
    let destination = query.destination.unwrap_or_default();
    if visitor.username.is_some() {
        return found(&jsm.state().url(inside(&destination)));
    }
    login_form(&jsm, &visitor, &destination, "").into_response()
}

fn login_form(jsm: &JsmDataCenter, visitor: &Visitor, destination: &str, trouble: &str) -> Html<String> {
    let action = escape(&jsm.state().url("/servicedesk/customer/user/login"));
    let (token, destination) = (escape(&visitor.xsrf), escape(inside(destination)));
    let trouble = match trouble {
        "" => String::new(),
        sentence => format!("<p class=\"trouble\" role=\"alert\">{}</p>", escape(sentence)),
    };
    let state = json!({"page": "login", "loginSucceeded": false, "captchaRequired": trouble.contains("CAPTCHA")});
    Html(layout(
        jsm,
        visitor,
        "Log in",
        state,
        &format!(
            "<form class=\"card narrow\" method=\"post\" action=\"{action}\"><h1>Log in to the help center</h1>{trouble}\
         <input type=\"hidden\" name=\"atl_token\" value=\"{token}\">\
         <input type=\"hidden\" name=\"destination\" value=\"{destination}\">\
         <label>E-mail<input name=\"os_username\" autocomplete=\"username\" required></label>\
         <label>Password<input name=\"os_password\" type=\"password\" autocomplete=\"current-password\" required></label>\
         <label class=\"tick\"><input type=\"checkbox\" name=\"os_cookie\" value=\"true\"> Keep me logged in</label>\
         <button>Log in</button></form>"
        ),
    ))
}

#[derive(Deserialize)]
pub(super) struct LegacyLogin {
    os_username: String,
    os_password: String,
    #[serde(default)]
    os_cookie: String,
    atl_token: Option<String>,
    #[serde(default)]
    destination: String,
}

/// `POST /servicedesk/customer/user/login`: always 200; the page's state says whether it succeeded.
pub(super) async fn legacy_form(
    Shared(jsm): Shared<JsmDataCenter>,
    visitor: Visitor,
    Form(login): Form<LegacyLogin>,
) -> Result<Response, Problem> {
    if !jsm.state().switches.legacy_form {
        return Err(Problem::page(StatusCode::NOT_FOUND, "This page does not exist."));
    }
    visitor.check_token(login.atl_token.as_deref())?;
    let credentials = Credentials { username: login.os_username, password: login.os_password };
    match jsm.sign_in(&visitor, &credentials, login.os_cookie == "true") {
        Ok(opened) => {
            let target = jsm.state().url(inside(&login.destination));
            let state = json_in_script(&json!({"loginSucceeded": true, "redirectUrl": target}));
            let page = format!(
                "<!DOCTYPE html><title>Welcome</title><script type=\"application/json\">{state}</script>\
                 <script>location.replace({});</script><p><a href=\"{}\">Go on</a></p>",
                js_string(&target),
                escape(&target)
            );
            let mut response = with_reason(Html(page).into_response(), "OK");
            opened.jar.write(response.headers_mut());
            Ok(response)
        }
        Err(SignInFailed::Broken(problem)) => Err(problem),
        Err(SignInFailed::Denied(denial)) => {
            let (reason, sentence) = match denial {
                Denial::Wrong => ("AUTHENTICATED_FAILED", "The e-mail or the password is wrong."),
                Denial::Captcha => ("AUTHENTICATION_DENIED", "Too many failures: a CAPTCHA has to be solved first."),
                Denial::SecondStep => ("AUTHENTICATION_DENIED", "Two-step verification is required."),
            };
            let form = login_form(&jsm, &visitor, &login.destination, sentence).into_response();
            let mut response = with_reason(form, reason);
            if denial == Denial::Captcha {
                insert(response.headers_mut(), "x-authentication-denied-reason", "CAPTCHA_CHALLENGE");
            }
            Ok(response)
        }
    }
}

#[derive(Deserialize)]
pub(super) struct AtlToken {
    atl_token: Option<String>,
}

/// `/servicedesk/customer/user/logout`: with the token, so that no other site can log a customer out.
pub(super) async fn logout(
    Shared(jsm): Shared<JsmDataCenter>,
    visitor: Visitor,
    Query(query): Query<AtlToken>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if visitor.username.is_some() {
        visitor.check_token(query.atl_token.as_deref())?;
    }
    let mut state = jsm.state();
    let jar = state.end_session(visitor.session.as_deref(), &headers);
    let mut response = found(&state.url("/servicedesk/customer/user/login?logout=true"));
    jar.write(response.headers_mut());
    Ok(response)
}
