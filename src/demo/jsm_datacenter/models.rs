//! `POST /rest/servicedesk/1/customer/models`: what the portal's scripts ask for, and by which they raise requests.

use axum::Json;
use axum::extract::State as Shared;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::JsmDataCenter;
use super::guard::{Caller, JsonBody, Visitor};
use super::problem::Problem;
use super::requests::Draft;
use super::service_desk::{visible_desk, visible_desks};
use super::state::State;

#[derive(Deserialize)]
pub(super) struct Models {
    models: Vec<String>,
    #[serde(default)]
    options: Options,
    context: Context,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    portal_id: Option<String>,
    create_request: Option<CreateRequest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateRequest {
    portal_id: String,
    request_type_id: String,
    summary: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    temporary_attachment_ids: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    client_base_path: String,
}

/// Answers the models that were asked for, in one object.
pub(super) async fn models(
    Shared(jsm): Shared<JsmDataCenter>,
    Caller(username): Caller,
    visitor: Visitor,
    JsonBody(asked): JsonBody<Models>,
) -> Result<Json<Value>, Problem> {
    let now = jsm.now();
    let mut state = jsm.state();
    // The page was opened under this site's own name, or something between page and site lost the name.
    if asked.context.client_base_path != state.url("/servicedesk/customer") {
        return Err(Problem::bad("context.clientBasePath is not the base path of this site."));
    }
    let mut answer = Map::new();
    answer.insert("xsrfToken".to_owned(), visitor.xsrf.into());
    for model in &asked.models {
        let value = match model.as_str() {
            "user" => user(&state, &username),
            "portals" => visible_desks(&state, &username)
                .into_iter()
                .map(|desk| desk.portal_json(&state))
                .collect::<Vec<_>>()
                .into(),
            "portal" => {
                let id = asked.options.portal_id.as_deref().unwrap_or_default();
                visible_desk(&state, id, &username)?.portal_json(&state)
            }
            "myRequests" => {
                let own = state.requests.iter().rev().filter(|request| request.reporter == username);
                own.take(50).map(|request| state.request_json(request)).collect::<Vec<_>>().into()
            }
            "createRequest" => {
                let wanted = asked.options.create_request.as_ref();
                let wanted = wanted.ok_or_else(|| Problem::bad("options.createRequest is missing."))?;
                create(&mut state, &username, wanted, now)?
            }
            unknown => {
                let sentence = format!("There is no model named '{unknown}'.");
                return Err(Problem::Desk(StatusCode::BAD_REQUEST, "sd.models.unknown", sentence));
            }
        };
        answer.insert(model.clone(), value);
    }
    Ok(Json(answer.into()))
}

fn user(state: &State, username: &str) -> Value {
    let requests = state.url("/servicedesk/customer/user/requests");
    let mut shown = state.person_json(username);
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("requestsUrl".to_owned(), requests.into());
    }
    shown
}

fn create(
    state: &mut State,
    username: &str,
    wanted: &CreateRequest,
    now: crate::clock::Timestamp,
) -> Result<Value, Problem> {
    let theirs = |id: &String| state.temporary.get(id).is_some_and(|file| file.owner == username);
    if !wanted.temporary_attachment_ids.iter().all(theirs) {
        return Err(Problem::bad("A temporary attachment does not exist."));
    }
    let draft = Draft {
        desk: &wanted.portal_id,
        request_type: &wanted.request_type_id,
        summary: &wanted.summary,
        description: &wanted.description,
    };
    let key = state.raise(username, &draft, now)?;
    state.attach(&key, username, &wanted.temporary_attachment_ids, now)?;
    let request = state.request_for(&key, username)?;
    Ok(json!({"issue": {"key": key, "url": state.portal_url(request)}, "request": state.request_json(request)}))
}
