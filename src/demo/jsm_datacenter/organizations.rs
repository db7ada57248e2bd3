//! Organizations: groups of customers that desks are opened to.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Path, Query, State as Shared};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::JsmDataCenter;
use super::guard::{Admin, JsonBody};
use super::paging::{PageQuery, page};
use super::problem::Problem;
use super::service_desk::{Usernames, desk_mut, known_and_unknown};
use super::state::State;

const LONGEST_NAME: usize = 200;

/// An organization.
#[derive(Clone, Debug)]
pub(super) struct Organization {
    pub(super) name: String,
    /// Lower-case user names.
    pub(super) members: BTreeSet<String>,
}

impl State {
    fn organization_json(&self, id: u64, organization: &Organization) -> Value {
        let link = self.url(&format!("/rest/servicedeskapi/organization/{id}"));
        json!({"id": id.to_string(), "name": organization.name, "_links": {"self": link}})
    }
}

fn find(state: &State, id: &str) -> Result<u64, Problem> {
    let found = id.parse::<u64>().ok().filter(|id| state.organizations.contains_key(id));
    found.ok_or_else(|| Problem::not_found("The organization"))
}

/// `GET /rest/servicedeskapi/organization`.
pub(super) async fn list(
    Shared(jsm): Shared<JsmDataCenter>,
    _: Admin,
    Query(query): Query<PageQuery>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    let all: Vec<Value> = state.organizations.iter().map(|(id, one)| state.organization_json(*id, one)).collect();
    Ok(Json(page(&state, "/rest/servicedeskapi/organization", &query, &all)?))
}

#[derive(Deserialize)]
pub(super) struct NewOrganization {
    name: String,
}

/// `POST /rest/servicedeskapi/organization`: gives the one of that name if there is one.
pub(super) async fn create(
    Shared(jsm): Shared<JsmDataCenter>,
    _: Admin,
    JsonBody(new): JsonBody<NewOrganization>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let name = new.name.trim();
    if name.is_empty() || name.chars().count() > LONGEST_NAME {
        return Err(Problem::bad("The name of an organization has 1 to 200 characters."));
    }
    let mut state = jsm.state();
    if let Some((id, known)) = state.organizations.iter().find(|(_, known)| known.name == name) {
        return Ok((StatusCode::CREATED, Json(state.organization_json(*id, known))));
    }
    let id = state.fresh_id();
    let made = Organization { name: name.to_owned(), members: BTreeSet::new() };
    let shown = state.organization_json(id, &made);
    state.organizations.insert(id, made);
    Ok((StatusCode::CREATED, Json(shown)))
}

/// `GET /rest/servicedeskapi/organization/{id}`.
pub(super) async fn one(
    Shared(jsm): Shared<JsmDataCenter>,
    _: Admin,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    let id = find(&state, &id)?;
    let found = state.organizations.get(&id).ok_or_else(|| Problem::not_found("The organization"))?;
    Ok(Json(state.organization_json(id, found)))
}

/// `DELETE /rest/servicedeskapi/organization/{id}`.
pub(super) async fn delete(
    Shared(jsm): Shared<JsmDataCenter>,
    _: Admin,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let mut state = jsm.state();
    let id = find(&state, &id)?;
    state.organizations.remove(&id);
    for desk in &mut state.desks {
        desk.organizations.remove(&id);
    }
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /rest/servicedeskapi/organization/{id}/user`.
pub(super) async fn users(
    Shared(jsm): Shared<JsmDataCenter>,
    _: Admin,
    Path(id): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    let id = find(&state, &id)?;
    let members = state.organizations.get(&id).map(|found| &found.members).into_iter().flatten();
    let all: Vec<Value> = members.filter_map(|name| state.user(name)).map(|user| state.desk_user(user)).collect();
    Ok(Json(page(&state, &format!("/rest/servicedeskapi/organization/{id}/user"), &query, &all)?))
}

/// `POST /rest/servicedeskapi/organization/{id}/user`.
pub(super) async fn add_users(
    Shared(jsm): Shared<JsmDataCenter>,
    _: Admin,
    Path(id): Path<String>,
    JsonBody(people): JsonBody<Usernames>,
) -> Result<StatusCode, Problem> {
    let mut state = jsm.state();
    let id = find(&state, &id)?;
    let (known, outcome) = known_and_unknown(&state, &people)?;
    if let Some(organization) = state.organizations.get_mut(&id) {
        organization.members.extend(known);
    }
    outcome.map(|()| StatusCode::NO_CONTENT)
}

/// `DELETE /rest/servicedeskapi/organization/{id}/user`.
pub(super) async fn remove_users(
    Shared(jsm): Shared<JsmDataCenter>,
    _: Admin,
    Path(id): Path<String>,
    JsonBody(people): JsonBody<Usernames>,
) -> Result<StatusCode, Problem> {
    let mut state = jsm.state();
    let id = find(&state, &id)?;
    let (known, outcome) = known_and_unknown(&state, &people)?;
    if let Some(organization) = state.organizations.get_mut(&id) {
        organization.members.retain(|member| !known.contains(member));
    }
    outcome.map(|()| StatusCode::NO_CONTENT)
}

/// `GET /rest/servicedeskapi/servicedesk/{id}/organization`.
pub(super) async fn of_desk(
    Shared(jsm): Shared<JsmDataCenter>,
    _: Admin,
    Path(id): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Value>, Problem> {
    let mut state = jsm.state();
    let linked = desk_mut(&mut state, &id)?.organizations.clone();
    let found = linked.iter().filter_map(|id| state.organizations.get(id).map(|one| state.organization_json(*id, one)));
    let all: Vec<Value> = found.collect();
    Ok(Json(page(&state, &format!("/rest/servicedeskapi/servicedesk/{id}/organization"), &query, &all)?))
}

/// `{organizationId}`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrganizationLink {
    organization_id: u64,
}

impl OrganizationLink {
    fn find(&self, state: &State) -> Result<u64, Problem> {
        find(state, &self.organization_id.to_string())
    }
}

/// `POST /rest/servicedeskapi/servicedesk/{id}/organization`.
pub(super) async fn link(
    Shared(jsm): Shared<JsmDataCenter>,
    _: Admin,
    Path(id): Path<String>,
    JsonBody(link): JsonBody<OrganizationLink>,
) -> Result<StatusCode, Problem> {
    let mut state = jsm.state();
    let organization = link.find(&state)?;
    desk_mut(&mut state, &id)?.organizations.insert(organization);
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /rest/servicedeskapi/servicedesk/{id}/organization`.
pub(super) async fn unlink(
    Shared(jsm): Shared<JsmDataCenter>,
    _: Admin,
    Path(id): Path<String>,
    JsonBody(link): JsonBody<OrganizationLink>,
) -> Result<StatusCode, Problem> {
    let mut state = jsm.state();
    let organization = link.find(&state)?;
    desk_mut(&mut state, &id)?.organizations.remove(&organization);
    Ok(StatusCode::NO_CONTENT)
}
