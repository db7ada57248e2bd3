//! What apps keep beside an organization: JSON under a key.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State as Shared};
use http::StatusCode;
use serde_json::{Value, json};

use super::JsmCloud;
use super::extract::Staff;
use super::html::percent;
use super::organizations::find_mut;
use super::problem::Problem;

/// The longest value, in bytes.
const LONGEST_VALUE: usize = 32 * 1024;
/// The longest key, in characters.
const LONGEST_KEY: usize = 255;

/// `GET /rest/servicedeskapi/organization/{id}/property`.
pub(super) async fn keys(
    Shared(jsm): Shared<JsmCloud>,
    Staff(caller): Staff,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let mut state = jsm.state();
    let organization = find_mut(&mut state, &id)?;
    let shown = organization.properties.keys().map(|key| {
        let link = format!("{}/rest/servicedeskapi/organization/{id}/property/{}", caller.base, percent(key));
        json!({"self": link, "key": key})
    });
    Ok(Json(json!({"keys": shown.collect::<Vec<_>>()})))
}

fn missing() -> Problem {
    Problem::not_found("The property")
}

/// `GET /rest/servicedeskapi/organization/{id}/property/{key}`.
pub(super) async fn get(
    Shared(jsm): Shared<JsmCloud>,
    _: Staff,
    Path((id, key)): Path<(String, String)>,
) -> Result<Json<Value>, Problem> {
    let mut state = jsm.state();
    let value = find_mut(&mut state, &id)?.properties.get(&key).cloned().ok_or_else(missing)?;
    Ok(Json(json!({"key": key, "value": value})))
}

/// `PUT /rest/servicedeskapi/organization/{id}/property/{key}`.
pub(super) async fn put(
    Shared(jsm): Shared<JsmCloud>,
    _: Staff,
    Path((id, key)): Path<(String, String)>,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    if key.chars().count() > LONGEST_KEY || body.is_empty() || body.len() > LONGEST_VALUE {
        return Err(Problem::bad("A key has at most 255 characters, and a value 1 to 32768 bytes."));
    }
    let value = serde_json::from_slice(&body).map_err(|_| Problem::bad("The value is not JSON."))?;
    let mut state = jsm.state();
    let before = find_mut(&mut state, &id)?.properties.insert(key, value);
    Ok(if before.is_some() { StatusCode::OK } else { StatusCode::CREATED })
}

/// `DELETE /rest/servicedeskapi/organization/{id}/property/{key}`.
pub(super) async fn delete(
    Shared(jsm): Shared<JsmCloud>,
    _: Staff,
    Path((id, key)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let mut state = jsm.state();
    find_mut(&mut state, &id)?.properties.remove(&key).map(|_| StatusCode::NO_CONTENT).ok_or_else(missing)
}
