//! Desks over REST: what there is, and what can be asked for.

use axum::Json;
use axum::extract::{Path, State as Shared};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::JsmCloud;
use super::accounts::Role;
use super::extract::{Caller, OptIn, Params};
use super::problem::Problem;
use super::state::State;
use crate::demo::jsm::desk::{Desk, RequestType};
use crate::demo::jsm::paging::{self, Wanted};
use crate::demo::jsm::views::ARTICLES;

/// `?start=&limit=`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Paging {
    start: Option<String>,
    limit: Option<String>,
}

impl Paging {
    pub(super) fn wanted<'a>(&'a self, others: &'a [(&'a str, &'a str)]) -> Wanted<'a> {
        Wanted { start: self.start.as_deref(), limit: self.limit.as_deref(), others }
    }
}

/// Whether the desk lets that person in.
fn lets_in(state: &State, desk: &Desk, account_id: &str) -> bool {
    let staff = state.account(account_id).is_some_and(|account| account.role >= Role::Agent);
    let belongs = |id: &u64| state.organizations.get(id).is_some_and(|one| one.members.contains(account_id));
    desk.open || staff || desk.members.contains(account_id) || desk.organizations.iter().any(belongs)
}

/// The desks that this person may see.
pub(super) fn visible_desks<'a>(state: &'a State, account_id: &str) -> Vec<&'a Desk> {
    state.desks.iter().filter(|desk| lets_in(state, desk, account_id)).collect()
}

/// The desk of that number or project key, if this person may see it.
pub(super) fn visible_desk<'a>(state: &'a State, id: &str, account_id: &str) -> Result<&'a Desk, Problem> {
    find_desk(state, id).ok().filter(|desk| lets_in(state, desk, account_id)).ok_or_else(missing)
}

/// The desk of that number or project key.
pub(super) fn find_desk<'a>(state: &'a State, id: &str) -> Result<&'a Desk, Problem> {
    state.desks.iter().find(|desk| desk.id == id || desk.key == id).ok_or_else(missing)
}

pub(super) fn desk_mut<'a>(state: &'a mut State, id: &str) -> Result<&'a mut Desk, Problem> {
    state.desks.iter_mut().find(|desk| desk.id == id || desk.key == id).ok_or_else(missing)
}

fn missing() -> Problem {
    Problem::not_found("The service desk")
}

pub(super) fn desk_json(base: &str, desk: &Desk) -> Value {
    json!({
        "id": desk.id, "projectId": format!("100{}", desk.id), "projectName": desk.name, "projectKey": desk.key,
        "_links": {"self": format!("{base}/rest/servicedeskapi/servicedesk/{}", desk.id)},
    })
}

/// The portal of a desk, as the page's own scripts see it.
pub(super) fn portal_json(state: &State, desk: &Desk) -> Value {
    json!({
        "id": desk.id, "serviceDeskId": desk.id, "name": desk.name, "description": desk.description,
        "projectKey": desk.key, "portalUrl": state.url(&format!("/servicedesk/customer/portal/{}", desk.id)),
        "logoUrl": state.url(&format!("/rest/servicedesk/1/customer/viewport-resources/portal-logo/{}", desk.id)),
    })
}

pub(super) fn request_type_json(base: &str, desk: &Desk, kind: &RequestType) -> Value {
    let icon = format!("{base}/rest/servicedesk/1/customer/viewport-resources/portal-logo/{}", kind.id);
    json!({
        "id": kind.id, "name": kind.name, "description": kind.description, "helpText": "",
        "issueTypeId": "10001", "serviceDeskId": desk.id, "groupIds": ["1"],
        "icon": {"id": kind.id, "_links": {"iconUrls": {"48x48": icon, "24x24": icon, "16x16": icon, "32x32": icon}}},
        "_links": {"self": format!("{base}/rest/servicedeskapi/servicedesk/{}/requesttype/{}", desk.id, kind.id)},
    })
}

/// `GET /rest/servicedeskapi/info`: open to everybody.
pub(super) async fn info(Shared(jsm): Shared<JsmCloud>, visitor: super::guard::Visitor) -> Json<Value> {
    let built = super::requests::date_json(jsm.now());
    Json(json!({
        "version": "1001.0.0-SNAPSHOT", "platformVersion": "1001.0.0-SNAPSHOT", "isLicensedForUse": true,
        "buildChangeSet": "0f1e2d3c", "buildDate": built,
        "_links": {"self": format!("{}/rest/servicedeskapi/info", visitor.base)},
    }))
}

/// `GET /rest/servicedeskapi/servicedesk`.
pub(super) async fn list(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    Params(paging): Params<Paging>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    let all: Vec<Value> =
        visible_desks(&state, &caller.account).into_iter().map(|desk| desk_json(&caller.base, desk)).collect();
    Ok(Json(paging::page(&caller.base, "/rest/servicedeskapi/servicedesk", paging.wanted(&[]), &all)?))
}

/// `GET /rest/servicedeskapi/servicedesk/{id}`.
pub(super) async fn one(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(desk_json(&caller.base, visible_desk(&jsm.state(), &id, &caller.account)?)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RequestTypeQuery {
    group_id: Option<String>,
    #[serde(rename = "expand")]
    _expand: Option<String>,
    search_query: Option<String>,
    service_desk_id: Option<String>,
    start: Option<String>,
    limit: Option<String>,
}

impl RequestTypeQuery {
    fn paging(&self) -> Paging {
        Paging { start: self.start.clone(), limit: self.limit.clone() }
    }

    fn finds(&self, kind: &RequestType) -> bool {
        let text = self.search_query.as_deref().unwrap_or_default().to_lowercase();
        let group = self.group_id.as_deref().is_none_or(|group| group == "1");
        group && (kind.name.to_lowercase().contains(&text) || kind.description.to_lowercase().contains(&text))
    }
}

/// `GET /rest/servicedeskapi/servicedesk/{id}/requesttype`.
pub(super) async fn request_types(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    Path(id): Path<String>,
    Params(query): Params<RequestTypeQuery>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    let desk = visible_desk(&state, &id, &caller.account)?;
    let kinds = desk.request_types.iter().filter(|kind| query.finds(kind));
    let all: Vec<Value> = kinds.map(|kind| request_type_json(&caller.base, desk, kind)).collect();
    let path = format!("/rest/servicedeskapi/servicedesk/{}/requesttype", desk.id);
    Ok(Json(paging::page(&caller.base, &path, query.paging().wanted(&[]), &all)?))
}

/// `GET /rest/servicedeskapi/requesttype`: of every desk.
pub(super) async fn all_request_types(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    _: OptIn,
    Params(query): Params<RequestTypeQuery>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    let wanted = |desk: &&Desk| query.service_desk_id.as_deref().is_none_or(|id| desk.id == id);
    let desks = visible_desks(&state, &caller.account).into_iter().filter(wanted);
    let kinds = desks.flat_map(|desk| desk.request_types.iter().map(move |kind| (desk, kind)));
    let kinds = kinds.filter(|(_, kind)| query.finds(kind));
    let all: Vec<Value> = kinds.map(|(desk, kind)| request_type_json(&caller.base, desk, kind)).collect();
    Ok(Json(paging::page(&caller.base, "/rest/servicedeskapi/requesttype", query.paging().wanted(&[]), &all)?))
}

fn kind_of<'a>(desk: &'a Desk, kind: &str) -> Result<&'a RequestType, Problem> {
    desk.request_type(kind).ok_or_else(|| Problem::not_found("The request type"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expand {
    #[serde(rename = "expand")]
    _expand: Option<String>,
}

/// `GET /rest/servicedeskapi/servicedesk/{id}/requesttype/{type}`.
pub(super) async fn request_type(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    Path((id, kind)): Path<(String, String)>,
    _: Params<Expand>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    let desk = visible_desk(&state, &id, &caller.account)?;
    Ok(Json(request_type_json(&caller.base, desk, kind_of(desk, &kind)?)))
}

/// `GET /rest/servicedeskapi/servicedesk/{id}/requesttype/{type}/field`.
pub(super) async fn fields(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    Path((id, kind)): Path<(String, String)>,
    _: Params<Expand>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    kind_of(visible_desk(&state, &id, &caller.account)?, &kind)?;
    let field = |id: &str, name: &str, required: bool| {
        json!({
            "fieldId": id, "name": name, "description": "", "required": required, "defaultValues": [],
            "validValues": [], "presetValues": [], "visible": true, "jiraSchema": {"type": "string", "system": id},
        })
    };
    Ok(Json(json!({
        "requestTypeFields": [field("summary", "Summary", true), field("description", "Description", false)],
        "canRaiseOnBehalfOf": caller.role >= Role::Agent, "canAddRequestParticipants": true,
    })))
}

/// `GET /rest/servicedeskapi/servicedesk/{id}/requesttypegroup`.
pub(super) async fn groups(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    Path(id): Path<String>,
    Params(paging): Params<Paging>,
) -> Result<Json<Value>, Problem> {
    let id = visible_desk(&jsm.state(), &id, &caller.account)?.id;
    let path = format!("/rest/servicedeskapi/servicedesk/{id}/requesttypegroup");
    Ok(Json(paging::page(&caller.base, &path, paging.wanted(&[]), &[json!({"id": "1", "name": "General"})])?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ArticleQuery {
    #[serde(default)]
    query: String,
    #[serde(rename = "highlight")]
    _highlight: Option<bool>,
    start: Option<String>,
    limit: Option<String>,
    #[serde(rename = "cursor")]
    _cursor: Option<String>,
    #[serde(rename = "prev")]
    _prev: Option<bool>,
}

/// `GET /rest/servicedeskapi/knowledgebase/article`.
pub(super) async fn articles(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    _: OptIn,
    Params(query): Params<ArticleQuery>,
) -> Result<Json<Value>, Problem> {
    found_articles(&jsm, &caller, "/rest/servicedeskapi/knowledgebase/article", &query)
}

/// `GET /rest/servicedeskapi/servicedesk/{id}/knowledgebase/article`.
pub(super) async fn desk_articles(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    _: OptIn,
    Path(id): Path<String>,
    Params(query): Params<ArticleQuery>,
) -> Result<Json<Value>, Problem> {
    let id = visible_desk(&jsm.state(), &id, &caller.account)?.id;
    found_articles(&jsm, &caller, &format!("/rest/servicedeskapi/servicedesk/{id}/knowledgebase/article"), &query)
}

fn found_articles(jsm: &JsmCloud, caller: &Caller, path: &str, query: &ArticleQuery) -> Result<Json<Value>, Problem> {
    if query.query.trim().is_empty() {
        return Err(Problem::Desk(StatusCode::BAD_REQUEST, "sd.kb.query", "The query must not be empty.".to_owned()));
    }
    let state = jsm.state();
    let needle = query.query.to_lowercase();
    let holds = |text: &str| text.to_lowercase().contains(&needle);
    let found = ARTICLES.into_iter().filter(|(_, title, text)| holds(title) || holds(text));
    let shown = found.map(|(number, title, text)| {
        json!({
            "title": title, "excerpt": text, "source": {"type": "confluence"},
            "content": {"iframeSrc": state.url(&format!("/servicedesk/customer/kb/view/{number}"))},
        })
    });
    let all: Vec<Value> = shown.collect();
    let others = [("query", query.query.as_str())];
    let wanted = Wanted { start: query.start.as_deref(), limit: query.limit.as_deref(), others: &others };
    Ok(Json(paging::page(&caller.base, path, wanted, &all)?))
}
