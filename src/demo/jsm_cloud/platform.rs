//! `/rest/api`, versions 2 and 3: people, and what the site is.

use axum::Json;
use axum::extract::{Path, State as Shared};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::JsmCloud;
use super::accounts::{Role, platform_user};
use super::extract::{Caller, Params};
use super::guard::Visitor;
use super::problem::Problem;

/// `GET /_edge/tenant_info`: open to everybody.
pub(super) async fn tenant_info(Shared(jsm): Shared<JsmCloud>) -> Json<Value> {
    Json(json!({"cloudId": jsm.cloud_id()}))
}

/// `GET /rest/api/{version}/serverInfo`: open to everybody.
pub(super) async fn server_info(Shared(jsm): Shared<JsmCloud>, visitor: Visitor) -> Json<Value> {
    Json(json!({
        "baseUrl": visitor.base, "displayUrl": jsm.base_url(), "version": "1001.0.0-SNAPSHOT",
        "versionNumbers": [1001, 0, 0], "deploymentType": "Cloud", "buildNumber": 100_300,
        "buildDate": "2026-11-01T00:00:00.000+0000", "serverTime": jsm.now().to_string(), "serverTitle": "Help Center",
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Expand {
    #[serde(rename = "expand")]
    _expand: Option<String>,
}

fn known_version(version: &str) -> Result<(), Problem> {
    match version {
        "2" | "3" | "latest" => Ok(()),
        _ => Err(Problem::Platform(StatusCode::NOT_FOUND, "There is no such version of the API.".to_owned())),
    }
}

fn no_user() -> Problem {
    Problem::Platform(StatusCode::NOT_FOUND, "The user does not exist.".to_owned())
}

/// `GET /rest/api/{version}/myself`.
pub(super) async fn myself(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    Path(version): Path<String>,
    _: Params<Expand>,
) -> Result<Json<Value>, Problem> {
    known_version(&version)?;
    let state = jsm.state();
    let account = state.account(&caller.account).ok_or_else(no_user)?;
    Ok(Json(platform_user(&caller.base, &version, account, true)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Permissions {
    permissions: Option<String>,
    #[serde(rename = "projectKey")]
    _project_key: Option<String>,
}

/// `GET /rest/api/{version}/mypermissions`: the permissions have to be named.
pub(super) async fn my_permissions(caller: Caller, Params(query): Params<Permissions>) -> Result<Json<Value>, Problem> {
    let missing = "The permissions query parameter is required.";
    let named = query.permissions.ok_or_else(|| Problem::Platform(StatusCode::BAD_REQUEST, missing.to_owned()))?;
    let mut shown = serde_json::Map::new();
    for key in named.split(',') {
        let has = match key {
            "ADMINISTER" | "SYSTEM_ADMIN" | "ADMINISTER_PROJECTS" => caller.role == Role::Administrator,
            "BROWSE_PROJECTS" | "CREATE_ISSUES" | "ADD_COMMENTS" => true,
            "USER_PICKER" | "SERVICEDESK_AGENT" => caller.role >= Role::Agent,
            _ => {
                let sentence = format!("Unrecognized permission: {key}");
                return Err(Problem::Platform(StatusCode::BAD_REQUEST, sentence));
            }
        };
        shown.insert(key.to_owned(), json!({"id": "0", "key": key, "name": key, "havePermission": has}));
    }
    Ok(Json(json!({"permissions": shown})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Who {
    account_id: Option<String>,
    #[serde(rename = "expand")]
    _expand: Option<String>,
}

/// `GET /rest/api/{version}/user`.
pub(super) async fn user(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    Path(version): Path<String>,
    Params(who): Params<Who>,
) -> Result<Json<Value>, Problem> {
    known_version(&version)?;
    let missing = "The query parameter accountId is required.";
    let id = who.account_id.ok_or_else(|| Problem::Platform(StatusCode::BAD_REQUEST, missing.to_owned()))?;
    let state = jsm.state();
    let account = state.account(&id).ok_or_else(no_user)?;
    let with_email = caller.role >= Role::Agent || caller.account == id;
    Ok(Json(platform_user(&caller.base, &version, account, with_email)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Search {
    query: Option<String>,
    account_id: Option<String>,
    start_at: Option<usize>,
    max_results: Option<usize>,
}

/// `GET /rest/api/{version}/user/search`: everybody who is signed in may search; addresses are for agents alone.
pub(super) async fn search(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    Path(version): Path<String>,
    Params(search): Params<Search>,
) -> Result<Json<Value>, Problem> {
    known_version(&version)?;
    if search.query.is_none() && search.account_id.is_none() {
        let sentence = "One of the query parameters query and accountId is required.".to_owned();
        return Err(Problem::Platform(StatusCode::BAD_REQUEST, sentence));
    }
    let state = jsm.state();
    let found = state.search_accounts(search.query.as_deref().unwrap_or_default(), jsm.now());
    let found = found.filter(|account| search.account_id.as_ref().is_none_or(|id| *id == account.account_id));
    let page = found.skip(search.start_at.unwrap_or(0)).take(search.max_results.unwrap_or(50).min(1000));
    let with_email = caller.role >= Role::Agent;
    Ok(Json(page.map(|account| platform_user(&caller.base, &version, account, with_email)).collect()))
}
