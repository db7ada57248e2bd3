//! Who else takes part in a request.

use axum::Json;
use axum::extract::{Path, State as Shared};
use serde_json::Value;

use super::JsmCloud;
use super::customers::{People, known_and_unknown};
use super::desks::Paging;
use super::extract::{Caller, JsonBody, Params};
use super::html::percent;
use super::problem::Problem;
use crate::demo::jsm::paging;

fn page(jsm: &JsmCloud, caller: &Caller, key: &str, wanted: &Paging) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    let request = state.request_for(key, &caller.account)?;
    let all: Vec<Value> = request.participants.iter().map(|id| state.person_json(&caller.base, id)).collect();
    let path = format!("/rest/servicedeskapi/request/{}/participant", percent(&request.key));
    Ok(Json(paging::page(&caller.base, &path, wanted.wanted(&[]), &all)?))
}

/// `GET /rest/servicedeskapi/request/{key}/participant`.
pub(super) async fn list(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    Path(key): Path<String>,
    Params(wanted): Params<Paging>,
) -> Result<Json<Value>, Problem> {
    page(&jsm, &caller, &key, &wanted)
}

/// `POST /rest/servicedeskapi/request/{key}/participant`.
pub(super) async fn add(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    Path(key): Path<String>,
    JsonBody(people): JsonBody<People>,
) -> Result<Json<Value>, Problem> {
    let now = jsm.now();
    {
        let mut state = jsm.state();
        let (known, outcome) = known_and_unknown(&state, &people, now)?;
        outcome?;
        state.request_for_mut(&key, &caller.account)?.participants.extend(known);
    }
    page(&jsm, &caller, &key, &Paging::default())
}

/// `DELETE /rest/servicedeskapi/request/{key}/participant`.
pub(super) async fn remove(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    Path(key): Path<String>,
    JsonBody(people): JsonBody<People>,
) -> Result<Json<Value>, Problem> {
    let now = jsm.now();
    {
        let mut state = jsm.state();
        let (known, outcome) = known_and_unknown(&state, &people, now)?;
        outcome?;
        let request = state.request_for_mut(&key, &caller.account)?;
        request.participants.retain(|participant| !known.contains(participant));
    }
    page(&jsm, &caller, &key, &Paging::default())
}
