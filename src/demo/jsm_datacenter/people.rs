//! Accounts over REST, and where a customer can look for others.

use axum::Json;
use axum::extract::{Path, Query, State as Shared};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::accounts::{AGENTS, Directory, User};
use super::counters::count;
use super::guard::{Admin, Caller, JsonBody};
use super::problem::Problem;
use super::{JsmDataCenter, service_desk};
use crate::secret::Secret;

/// `?username=&expand=`.
#[derive(Deserialize)]
pub(super) struct UserQuery {
    username: Option<String>,
    #[serde(default)]
    expand: String,
}

impl UserQuery {
    fn username(&self) -> Result<&str, Problem> {
        self.username.as_deref().filter(|name| !name.is_empty()).ok_or_else(|| {
            Problem::Platform(StatusCode::BAD_REQUEST, "The username query parameter was not provided".to_owned())
        })
    }
}

fn no_user(username: &str) -> Problem {
    Problem::Platform(StatusCode::NOT_FOUND, format!("The user named '{username}' does not exist"))
}

/// `GET /rest/api/2/myself`.
pub(super) async fn myself(
    Shared(jsm): Shared<JsmDataCenter>,
    Caller(username): Caller,
    Query(query): Query<UserQuery>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    let user = state.user(&username).ok_or_else(|| no_user(&username))?;
    Ok(Json(state.platform_user(user, &query.expand)))
}

/// `GET /rest/api/2/user`.
pub(super) async fn user(
    Shared(jsm): Shared<JsmDataCenter>,
    Caller(_): Caller,
    Query(query): Query<UserQuery>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    let username = query.username()?;
    let user = state.user(username).ok_or_else(|| no_user(username))?;
    Ok(Json(state.platform_user(user, &query.expand)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SearchQuery {
    username: Option<String>,
    start_at: Option<usize>,
    max_results: Option<usize>,
    include_inactive: Option<bool>,
}

/// `GET /rest/api/2/user/search`: any signed-in person may search, as on the real site.
pub(super) async fn search(
    Shared(jsm): Shared<JsmDataCenter>,
    Caller(_): Caller,
    Query(query): Query<SearchQuery>,
) -> Result<Json<Value>, Problem> {
    let text = query.username.filter(|text| !text.is_empty()).ok_or_else(|| {
        Problem::Platform(StatusCode::BAD_REQUEST, "The username query parameter was not provided".to_owned())
    })?;
    let inactive = query.include_inactive.unwrap_or(false);
    let state = jsm.state();
    let found = state.search_users(&text).filter(|user| user.active || inactive);
    let page = found.skip(query.start_at.unwrap_or(0)).take(query.max_results.unwrap_or(50).min(1000));
    Ok(Json(page.map(|user| state.platform_user(user, "")).collect()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewUser {
    name: Option<String>,
    password: Option<String>,
    email_address: Option<String>,
    display_name: Option<String>,
    application_keys: Option<Vec<String>>,
}

pub(super) fn looks_like_email(text: &str) -> bool {
    let parts = text.split_once('@');
    let plain = !text.chars().any(|c| c.is_whitespace() || c.is_control());
    plain && parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'))
}

/// `POST /rest/api/2/user`: without `applicationKeys` the account gets the usual licence.
pub(super) async fn create(
    Shared(jsm): Shared<JsmDataCenter>,
    _: Admin,
    JsonBody(new): JsonBody<NewUser>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let given = |value: Option<String>| value.filter(|text| !text.trim().is_empty());
    let name = given(new.name).ok_or(Problem::Field("username", "You must specify a username.".to_owned()))?;
    let email = given(new.email_address).filter(|email| looks_like_email(email));
    let email = email.ok_or(Problem::Field("email", "You must specify a valid email address.".to_owned()))?;
    let display_name = given(new.display_name);
    let display_name = display_name.ok_or(Problem::Field("fullname", "You must specify a full name.".to_owned()))?;
    let mut state = jsm.state();
    if state.user(&name).is_some() {
        return Err(Problem::Field("username", "A user with that username already exists.".to_owned()));
    }
    let mut user = User::customer(&email, &display_name);
    user.username.clone_from(&name);
    user.password = given(new.password).map(Secret::generated);
    if new.application_keys.is_none_or(|keys| !keys.is_empty()) {
        user.groups.insert(AGENTS.to_owned());
    }
    state.add_user(user);
    count(&mut state.counters.customers_created, email.to_lowercase());
    let made = state.user(&name).ok_or_else(|| no_user(&name))?;
    Ok((StatusCode::CREATED, Json(state.platform_user(made, "groups,applicationRoles"))))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserChange {
    email_address: Option<String>,
    display_name: Option<String>,
}

fn writable<'a>(state: &'a mut super::state::State, username: &str) -> Result<&'a mut User, Problem> {
    let user = state.user_mut(username).ok_or_else(|| no_user(username))?;
    match user.directory {
        Directory::Internal => Ok(user),
        Directory::ReadOnly => {
            let sentence = "The user's directory is read-only, so the user cannot be changed.".to_owned();
            Err(Problem::Platform(StatusCode::FORBIDDEN, sentence))
        }
    }
}

/// `PUT /rest/api/2/user`.
pub(super) async fn update(
    Shared(jsm): Shared<JsmDataCenter>,
    _: Admin,
    Query(query): Query<UserQuery>,
    JsonBody(change): JsonBody<UserChange>,
) -> Result<Json<Value>, Problem> {
    let username = query.username()?;
    if change.email_address.as_deref().is_some_and(|email| !looks_like_email(email)) {
        return Err(Problem::Field("email", "You must specify a valid email address.".to_owned()));
    }
    let mut state = jsm.state();
    let user = writable(&mut state, username)?;
    if let Some(email) = change.email_address {
        user.email = email;
    }
    if let Some(name) = change.display_name.filter(|name| !name.trim().is_empty()) {
        user.display_name = name;
    }
    let user = state.user(username).ok_or_else(|| no_user(username))?;
    Ok(Json(state.platform_user(user, "")))
}

#[derive(Deserialize)]
pub(super) struct NewPassword {
    password: Option<String>,
}

/// `PUT /rest/api/2/user/password`: sessions that are open stay open.
pub(super) async fn set_password(
    Shared(jsm): Shared<JsmDataCenter>,
    _: Admin,
    Query(query): Query<UserQuery>,
    JsonBody(new): JsonBody<NewPassword>,
) -> Result<StatusCode, Problem> {
    let username = query.username()?;
    let password = new.password.filter(|password| !password.is_empty());
    let password = password.ok_or(Problem::Field("password", "You must specify a password.".to_owned()))?;
    let mut state = jsm.state();
    writable(&mut state, username)?.password = Some(Secret::generated(password));
    count(&mut state.counters.password_sets, username.to_lowercase());
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /rest/api/2/user/session/{username}`.
pub(super) async fn end_sessions(
    Shared(jsm): Shared<JsmDataCenter>,
    _: Admin,
    Path(username): Path<String>,
) -> Result<StatusCode, Problem> {
    let mut state = jsm.state();
    state.user(&username).ok_or_else(|| no_user(&username))?;
    state.end_all_sessions(&username);
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
pub(super) struct PortalSearch {
    #[serde(default)]
    query: String,
}

/// `GET /rest/servicedesk/1/customer/portal/{id}/user-search`: through which a customer can list everybody.
pub(super) async fn portal_user_search(
    Shared(jsm): Shared<JsmDataCenter>,
    Caller(username): Caller,
    Path(id): Path<String>,
    Query(search): Query<PortalSearch>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    service_desk::visible_desk(&state, &id, &username)?;
    let found = state
        .search_users(&search.query)
        .filter(|user| user.active)
        .take(50)
        .map(|user| json!({"id": user.username, "displayName": user.display_name, "emailAddress": user.email}));
    Ok(Json(found.collect()))
}
