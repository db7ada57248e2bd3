//! The rest of `/rest/api/2`: what the server is, and groups.

use axum::Json;
use axum::extract::{Query, State as Shared};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::JsmDataCenter;
use super::guard::{Admin, JsonBody};
use super::html::percent;
use super::problem::Problem;

/// `GET /rest/api/2/serverInfo`: open to everybody.
pub(super) async fn server_info(Shared(jsm): Shared<JsmDataCenter>) -> Json<Value> {
    Json(json!({
        "baseUrl": jsm.base_url(), "version": "10.3.5", "versionNumbers": [10, 3, 5], "deploymentType": "Server",
        "buildNumber": 10_030_005, "serverTime": jsm.now().to_string(), "serverTitle": "Help Center",
    }))
}

/// `GET /status`: what load balancers ask.
pub(super) async fn status(Shared(jsm): Shared<JsmDataCenter>) -> (StatusCode, Json<Value>) {
    match jsm.is_starting() {
        true => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "state": "STARTING" }))),
        false => (StatusCode::OK, Json(json!({ "state": "RUNNING" }))),
    }
}

/// `{name}`, of a group or of a person.
#[derive(Deserialize)]
pub(super) struct Named {
    name: String,
}

/// `POST /rest/api/2/group`.
pub(super) async fn create_group(
    Shared(jsm): Shared<JsmDataCenter>,
    _: Admin,
    JsonBody(new): JsonBody<Named>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    if new.name.trim().is_empty() {
        return Err(Problem::Platform(StatusCode::BAD_REQUEST, "The group name was not provided.".to_owned()));
    }
    let mut state = jsm.state();
    if !state.groups.insert(new.name.clone()) {
        let sentence = "A group or user with this name already exists.".to_owned();
        return Err(Problem::Platform(StatusCode::BAD_REQUEST, sentence));
    }
    let link = state.url(&format!("/rest/api/2/group?groupname={}", percent(&new.name)));
    Ok((StatusCode::CREATED, Json(json!({"name": new.name, "self": link}))))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GroupQuery {
    #[serde(default)]
    groupname: String,
    #[serde(default)]
    include_inactive_users: bool,
    start_at: Option<usize>,
    max_results: Option<usize>,
}

fn no_group(name: &str) -> Problem {
    Problem::Platform(StatusCode::NOT_FOUND, format!("The group named '{name}' does not exist"))
}

/// `POST /rest/api/2/group/user`.
pub(super) async fn join_group(
    Shared(jsm): Shared<JsmDataCenter>,
    _: Admin,
    Query(query): Query<GroupQuery>,
    JsonBody(person): JsonBody<Named>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let mut state = jsm.state();
    if !state.groups.contains(&query.groupname) {
        return Err(no_group(&query.groupname));
    }
    let no_user = || Problem::Platform(StatusCode::NOT_FOUND, format!("User '{}' does not exist.", person.name));
    let user = state.user_mut(&person.name).ok_or_else(no_user)?;
    if !user.groups.insert(query.groupname.clone()) {
        let sentence = "The user is already a member of the group.".to_owned();
        return Err(Problem::Platform(StatusCode::BAD_REQUEST, sentence));
    }
    let link = state.url(&format!("/rest/api/2/group?groupname={}", percent(&query.groupname)));
    Ok((StatusCode::CREATED, Json(json!({"name": query.groupname, "self": link}))))
}

/// `GET /rest/api/2/group/member`.
pub(super) async fn group_members(
    Shared(jsm): Shared<JsmDataCenter>,
    _: Admin,
    Query(query): Query<GroupQuery>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    if !state.groups.contains(&query.groupname) {
        return Err(no_group(&query.groupname));
    }
    let members: Vec<Value> = state
        .users
        .values()
        .filter(|user| user.groups.contains(&query.groupname) && (user.active || query.include_inactive_users))
        .map(|user| state.platform_user(user, ""))
        .collect();
    let start = query.start_at.unwrap_or(0);
    let limit = query.max_results.unwrap_or(50).clamp(1, 50);
    let values: Vec<&Value> = members.iter().skip(start).take(limit).collect();
    let next = start.saturating_add(values.len());
    let link = |start: usize| {
        let name = percent(&query.groupname);
        state.url(&format!("/rest/api/2/group/member?groupname={name}&startAt={start}&maxResults={limit}"))
    };
    let is_last = next >= members.len();
    Ok(Json(json!({
        "self": link(start), "nextPage": (!is_last).then(|| link(next)), "maxResults": limit, "startAt": start,
        "total": members.len(), "isLast": is_last, "values": values,
    })))
}
