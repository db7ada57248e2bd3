//! The ways in by password, and out. What these endpoints answer besides cookies is not documented by anybody, so nothing
//! may depend on it.

use axum::Json;
use axum::extract::State as Shared;
use axum::response::{Html, IntoResponse as _, Response};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::JsmCloud;
use super::extract::{JsonBody, Params};
use super::guard::Visitor;
use super::html::{escape, percent};
use super::pages::frame;
use super::problem::{Problem, found};
use super::sessions::CookieJar;
use super::state::Captcha;
use crate::random::NoRandomness;

const FAILURES_BEFORE_CAPTCHA: u32 = 3;

/// Why nobody was signed in.
pub(super) enum Denied {
    /// Wrong, or no such customer; also who may not open the portal.
    Wrong,
    Captcha,
    /// The administrators allow no passwords.
    NoPasswords,
    /// Signs in at Atlassian's own pages: their URL.
    Atlassian(String),
    Broken(Problem),
}

impl From<NoRandomness> for Denied {
    fn from(error: NoRandomness) -> Self {
        Self::Broken(error.into())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Credentials {
    email: String,
    password: String,
}

impl JsmCloud {
    /// Where somebody with an Atlassian account has to go.
    pub(super) fn atlassian_login(&self) -> String {
        let state = self.state();
        let back = percent(&state.url("/servicedesk/customer/portals"));
        format!("{}?application=jira&continue={back}", state.switches.atlassian_login)
    }

    fn sign_in(&self, credentials: &Credentials, headers: &HeaderMap) -> Result<CookieJar, Denied> {
        let id = {
            let mut state = self.state();
            if !state.switches.password_login {
                return Err(Denied::NoPasswords);
            }
            let captcha = state.switches.captcha;
            if captcha == Captcha::Always {
                return Err(Denied::Captcha);
            }
            if state.has_atlassian_account(&credentials.email) {
                drop(state);
                return Err(Denied::Atlassian(self.atlassian_login()));
            }
            let id = state.customer(&credentials.email).map(|account| account.account_id.clone());
            let account = id.and_then(|id| state.account_mut(&id)).ok_or(Denied::Wrong)?;
            if captcha == Captcha::AfterThreeFailures && account.failed_logins >= FAILURES_BEFORE_CAPTCHA {
                return Err(Denied::Captcha); // even with the right password
            }
            if !account.may_open_portal() || !account.has_password(&credentials.password) {
                account.failed_logins = account.failed_logins.saturating_add(1);
                return Err(Denied::Wrong);
            }
            account.failed_logins = 0;
            account.account_id.clone()
        };
        Ok(self.open_session(&id, headers)?)
    }

    /// Clears failed logins, as setting a new password does for somebody who meets the CAPTCHA.
    pub fn clear_captcha(&self, email: &str) -> bool {
        let id = self.customer(email).map(|account| account.account_id);
        id.is_some_and(|id| self.change_account(&id, |account| account.failed_logins = 0))
    }
}

fn denied(denied: Denied) -> Response {
    let (status, key) = match denied {
        Denied::Wrong => (StatusCode::UNAUTHORIZED, "INVALID_CREDENTIALS"),
        Denied::Captcha => (StatusCode::FORBIDDEN, "CAPTCHA_REQUIRED"),
        Denied::NoPasswords => (StatusCode::FORBIDDEN, "PASSWORD_LOGIN_DISABLED"),
        Denied::Atlassian(location) => return found(&location),
        Denied::Broken(problem) => return problem.into_response(),
    };
    (status, Json(json!({"errorKey": key}))).into_response()
}

fn gone(jsm: &JsmCloud) -> Problem {
    let status = StatusCode::from_u16(jsm.state().switches.gone).unwrap_or(StatusCode::NOT_FOUND);
    Problem::page(status, "This page does not exist.")
}

/// `POST /jsd-login/v1/authentication/authenticate`.
pub(super) async fn first(
    Shared(jsm): Shared<JsmCloud>,
    headers: HeaderMap,
    JsonBody(credentials): JsonBody<Credentials>,
) -> Result<Response, Problem> {
    if !jsm.state().switches.login_v1 {
        return Err(gone(&jsm));
    }
    Ok(match jsm.sign_in(&credentials, &headers) {
        Ok(jar) => {
            let mut response = Json(json!({"success": true})).into_response();
            jar.write(response.headers_mut());
            response
        }
        Err(why) => denied(why),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Continue {
    #[serde(rename = "continue")]
    url: String,
}

/// `POST /jsd-login-v2/v2/customer/login/authenticate?continue=`: goes on within this site alone.
pub(super) async fn second(
    Shared(jsm): Shared<JsmCloud>,
    Params(go_on): Params<Continue>,
    headers: HeaderMap,
    JsonBody(credentials): JsonBody<Credentials>,
) -> Result<Response, Problem> {
    if !jsm.state().switches.login_v2 {
        return Err(gone(&jsm));
    }
    if !go_on.url.starts_with(&jsm.state().url("/")) {
        return Err(Problem::bad("The URL to continue at is not one of this site."));
    }
    Ok(match jsm.sign_in(&credentials, &headers) {
        Ok(jar) => {
            let mut response = Json(json!({"redirectUrl": go_on.url})).into_response();
            jar.write(response.headers_mut());
            response
        }
        Err(why) => denied(why),
    })
}

#[derive(Deserialize)]
pub(super) struct Destination {
    destination: Option<String>,
}

/// The absolute URL on this site that `destination` means; the portals for anything else.
pub(super) fn inside(jsm: &JsmCloud, destination: &str) -> String {
    let state = jsm.state();
    let home = state.url("/");
    if destination.starts_with(&home) {
        return destination.to_owned();
    }
    let local = destination.starts_with('/') && !destination.starts_with("//") && !destination.contains('\\');
    state.url(if local { destination } else { "/servicedesk/customer/portals" })
}

/// `GET /servicedesk/customer/user/login`: the form, or the way to the identity provider, or both.
pub(super) async fn page(
    Shared(jsm): Shared<JsmCloud>,
    visitor: Visitor,
    Params(query): Params<Destination>,
) -> Response {
    let destination = inside(&jsm, query.destination.as_deref().unwrap_or_default());
    if visitor.account.is_some() {
        return found(&destination);
    }
    let (passwords, single, script, start) = {
        let state = jsm.state();
        let start =
            state.beside(&format!("/saml/{}/login?destination={}", state.saml.connection, percent(&destination)));
        let single = state.switches.single_sign_on && state.saml.provider.is_some();
        (state.switches.password_login, single, state.switches.single_sign_on_by_script, start)
    };
    if single && !passwords && !script {
        return found(&start);
    }
    let form = match passwords {
        true => format!(
            "<form id=\"login\" data-url=\"{url}\" data-destination=\"{destination}\">\
             <label>E-mail<input name=\"email\" type=\"email\" autocomplete=\"username\" required></label>\
             <label>Password<input name=\"password\" type=\"password\" autocomplete=\"current-password\" required></label>\
             <p class=\"trouble\" role=\"alert\" hidden></p><button>Log in</button></form>",
            url = escape(&jsm.state().url("/jsd-login/v1/authentication/authenticate")),
            destination = escape(&destination),
        ),
        false => String::new(),
    };
    let link = match single {
        true => format!("<p><a id=\"single-sign-on\" href=\"{}\">Continue with single sign-on</a></p>", escape(&start)),
        false => String::new(),
    };
    let goes_by_itself = single && !passwords;
    let body = format!("<div class=\"card narrow\"><h1>Log in to the help center</h1>{form}{link}</div>");
    let state = json!({"page": "login", "singleSignOn": goes_by_itself.then_some(start)});
    Html(frame(&jsm, &visitor).page("Log in", state, &body)).into_response()
}

#[derive(Deserialize)]
pub(super) struct AtlToken {
    atl_token: Option<String>,
}

/// `/servicedesk/customer/user/logout`: with the token, so that no other site can log a customer out.
pub(super) async fn logout(
    Shared(jsm): Shared<JsmCloud>,
    visitor: Visitor,
    Params(query): Params<AtlToken>,
) -> Result<Response, Problem> {
    if visitor.account.is_some() {
        visitor.check_token(query.atl_token.as_deref())?;
    }
    let mut state = jsm.state();
    if let Some(id) = &visitor.session {
        state.sessions.remove(id);
    }
    let mut response = found(&state.url("/servicedesk/customer/user/login?logout=true"));
    state.forget(jsm.random())?.write(response.headers_mut());
    Ok(response)
}
