//! What the portal's scripts ask for: models, people to share with, GraphQL, forms, assets.

use axum::Json;
use axum::extract::{Path, State as Shared};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::JsmCloud;
use super::accounts::desk_user;
use super::desks::{portal_json, visible_desk, visible_desks};
use super::extract::{Caller, JsonBody, Params};
use super::guard::Visitor;
use super::problem::Problem;

#[derive(Deserialize)]
pub(super) struct Models {
    models: Vec<String>,
    #[serde(default)]
    options: Value,
    context: Context,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    client_base_path: String,
}

/// `POST /rest/servicedesk/1/customer/models`: answers the models that were asked for, in one object.
pub(super) async fn models(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    visitor: Visitor,
    JsonBody(asked): JsonBody<Models>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    // The page was opened under this site's own name, or something between page and site lost the name.
    if asked.context.client_base_path != state.url("/servicedesk/customer") {
        return Err(Problem::bad("context.clientBasePath is not the base path of this site."));
    }
    let option = |name: &str| asked.options.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut answer = Map::new();
    answer.insert("xsrfToken".to_owned(), visitor.xsrf.into());
    for model in &asked.models {
        let value = match model.as_str() {
            "user" => {
                let mut shown = state.account(&caller.account).map_or(Value::Null, |one| desk_user(&caller.base, one));
                if let Some(fields) = shown.as_object_mut() {
                    let requests = state.url("/servicedesk/customer/user/requests");
                    fields.insert("requestsUrl".to_owned(), requests.into());
                }
                shown
            }
            "sharedPortal" | "portals" => {
                let desks = visible_desks(&state, &caller.account);
                desks.into_iter().map(|desk| portal_json(&state, desk)).collect::<Vec<_>>().into()
            }
            "portal" => portal_json(&state, visible_desk(&state, option("portalId"), &caller.account)?),
            "organisations" => {
                let theirs = state.organizations.iter().filter(|(_, one)| one.members.contains(&caller.account));
                theirs.map(|(id, one)| json!({"id": id, "name": one.name})).collect::<Vec<_>>().into()
            }
            "myRequests" => {
                let own = state.requests.iter().rev().filter(|request| request.reporter == caller.account);
                own.take(50).map(|request| state.request_json(&caller.base, request)).collect::<Vec<_>>().into()
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

#[derive(Deserialize)]
pub(super) struct PortalSearch {
    #[serde(default)]
    query: String,
}

/// `GET /rest/servicedesk/1/customer/portal/{id}/user-search`: through which a customer can list everybody.
pub(super) async fn user_search(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    Path(id): Path<String>,
    Params(search): Params<PortalSearch>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    visible_desk(&state, &id, &caller.account)?;
    let found = state.search_accounts(&search.query, jsm.now()).filter(|account| account.active);
    let shown = found.take(50).map(
        |account| json!({"id": account.account_id, "displayName": account.display_name, "emailAddress": account.email}),
    );
    Ok(Json(shown.collect()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GraphQuery {
    query: String,
    #[serde(default, rename = "variables")]
    _variables: Value,
    #[serde(default, rename = "operationName")]
    _operation_name: Value,
}

/// `POST /gateway/api/graphql`: knows whose site it is and who asks; tells of every other question that it cannot answer.
pub(super) async fn graphql(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    JsonBody(asked): JsonBody<GraphQuery>,
) -> Json<Value> {
    let state = jsm.state();
    let name = state.account(&caller.account).map(|account| account.display_name.clone());
    let data = if asked.query.contains("tenantContexts") {
        json!({"tenantContexts": [{"cloudId": state.cloud_id, "hostName": state.host(), "activationId": state.saml.connection}]})
    } else if asked.query.contains("me") {
        json!({"me": {"user": {"accountId": caller.account, "name": name, "picture": state.url("/s/avatar.png")}}})
    } else {
        let errors =
            json!([{"message": "Validation error: the field is undefined", "extensions": {"statusCode": 400}}]);
        return Json(json!({"data": null, "errors": errors}));
    };
    Json(json!({"data": data}))
}

/// `GET /gateway/api/proforma/portal/cloudid/{cloudId}/portal/{id}/requesttype/{type}/form`: no request type has a form.
pub(super) async fn form(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    Path((cloud_id, id, kind)): Path<(String, String, String)>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    let desk = visible_desk(&state, &id, &caller.account).ok().filter(|_| cloud_id == state.cloud_id);
    let known = desk.and_then(|desk| desk.request_type(&kind)).is_some();
    let status = StatusCode::NOT_FOUND;
    let (code, title) = match known {
        true => ("FORM_NOT_FOUND", "There is no form for this request type."),
        false => ("NOT_FOUND", "The portal or request type does not exist."),
    };
    Err(Problem::Json(status, json!({"errors": [{"status": 404, "code": code, "title": title}]})))
}

/// `POST /rest/servicedesk/cmdb/1/customer/portal/{id}/autocomplete`: the site has no assets.
pub(super) async fn assets(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    visible_desk(&jsm.state(), &id, &caller.account)?;
    Ok(Json(json!({"values": [], "total": 0})))
}
