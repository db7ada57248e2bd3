//! Organizations over REST: groups of customers that desks are opened to.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::{Path, State as Shared};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::JsmCloud;
use super::accounts::{Role, desk_user, uuid};
use super::customers::{People, known_and_unknown};
use super::desks::{Paging, desk_mut, find_desk};
use super::extract::{Admin, Caller, JsonBody, Params, Staff};
use super::problem::Problem;
use super::requests::date_json;
use super::state::State;
use crate::clock::Timestamp;
use crate::demo::jsm::paging::{self, Wanted};

const LONGEST_NAME: usize = 200;

/// An organization.
#[derive(Clone, Debug)]
pub(super) struct Organization {
    pub(super) name: String,
    uuid: String,
    created: Timestamp,
    /// Whether a directory of the company says who belongs to it; then nobody else may.
    scim_managed: bool,
    /// Account ids.
    pub(super) members: BTreeSet<String>,
    pub(super) properties: BTreeMap<String, Value>,
}

impl Organization {
    pub(super) fn json(&self, base: &str, id: u64) -> Value {
        json!({
            "id": id.to_string(), "name": self.name, "uuid": self.uuid, "scimManaged": self.scim_managed,
            "created": date_json(self.created),
            "_links": {"self": format!("{base}/rest/servicedeskapi/organization/{id}")},
        })
    }
}

fn missing() -> Problem {
    Problem::not_found("The organization")
}

pub(super) fn find(state: &State, id: &str) -> Result<u64, Problem> {
    id.parse::<u64>().ok().filter(|id| state.organizations.contains_key(id)).ok_or_else(missing)
}

pub(super) fn find_mut<'a>(state: &'a mut State, id: &str) -> Result<&'a mut Organization, Problem> {
    let id = find(state, id)?;
    state.organizations.get_mut(&id).ok_or_else(missing)
}

fn managed_elsewhere() -> Problem {
    let sentence = "The organization is managed by a directory and cannot be changed here.".to_owned();
    Problem::Desk(StatusCode::FORBIDDEN, "sd.organization.scim.managed", sentence)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Find {
    start: Option<String>,
    limit: Option<String>,
    account_id: Option<String>,
}

impl Find {
    fn page(&self, caller: &Caller, path: &str, all: &[Value]) -> Result<Json<Value>, Problem> {
        let others: Vec<(&str, &str)> = self.account_id.as_deref().map(|id| ("accountId", id)).into_iter().collect();
        let wanted = Wanted { start: self.start.as_deref(), limit: self.limit.as_deref(), others: &others };
        Ok(Json(paging::page(&caller.base, path, wanted, all)?))
    }

    fn finds(&self, caller: &Caller, organization: &Organization) -> bool {
        let asked = self.account_id.as_ref().is_none_or(|id| organization.members.contains(id));
        // A customer sees their own alone.
        asked && (caller.role >= Role::Agent || organization.members.contains(&caller.account))
    }
}

/// `GET /rest/servicedeskapi/organization`.
pub(super) async fn list(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    Params(query): Params<Find>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    let found = state.organizations.iter().filter(|(_, one)| query.finds(&caller, one));
    let all: Vec<Value> = found.map(|(id, one)| one.json(&caller.base, *id)).collect();
    query.page(&caller, "/rest/servicedeskapi/organization", &all)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewOrganization {
    name: String,
}

impl State {
    /// The organization of that name, made if there is none.
    fn organization_named(&mut self, jsm: &JsmCloud, name: &str, scim_managed: bool) -> Result<u64, Problem> {
        if let Some((id, _)) = self.organizations.iter().find(|(_, known)| known.name == name) {
            return Ok(*id);
        }
        let id = self.fresh_id();
        let made = Organization {
            name: name.to_owned(),
            uuid: uuid(jsm.random())?,
            created: jsm.now(),
            scim_managed,
            members: BTreeSet::new(),
            properties: BTreeMap::new(),
        };
        self.organizations.insert(id, made);
        Ok(id)
    }
}

/// `POST /rest/servicedeskapi/organization`: gives the one of that name if there is one.
pub(super) async fn create(
    Shared(jsm): Shared<JsmCloud>,
    Staff(caller): Staff,
    JsonBody(new): JsonBody<NewOrganization>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let name = new.name.trim();
    if name.is_empty() || name.chars().count() > LONGEST_NAME {
        return Err(Problem::bad("The name of an organization has 1 to 200 characters."));
    }
    let mut state = jsm.state();
    let id = state.organization_named(&jsm, name, false)?;
    let made = state.organizations.get(&id).ok_or_else(missing)?;
    Ok((StatusCode::CREATED, Json(made.json(&caller.base, id))))
}

/// `GET /rest/servicedeskapi/organization/{id}`.
pub(super) async fn one(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    let id = find(&state, &id)?;
    let found = state.organizations.get(&id).ok_or_else(missing)?;
    if caller.role < Role::Agent && !found.members.contains(&caller.account) {
        return Err(missing());
    }
    Ok(Json(found.json(&caller.base, id)))
}

/// `DELETE /rest/servicedeskapi/organization/{id}`.
pub(super) async fn delete(
    Shared(jsm): Shared<JsmCloud>,
    _: Admin,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let mut state = jsm.state();
    if find_mut(&mut state, &id)?.scim_managed {
        return Err(managed_elsewhere());
    }
    let id = find(&state, &id)?;
    state.organizations.remove(&id);
    for desk in &mut state.desks {
        desk.organizations.remove(&id);
    }
    for request in &mut state.requests {
        request.organizations.remove(&id);
    }
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /rest/servicedeskapi/organization/{id}/user`.
pub(super) async fn users(
    Shared(jsm): Shared<JsmCloud>,
    Staff(caller): Staff,
    Path(id): Path<String>,
    Params(query): Params<Paging>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    let id = find(&state, &id)?;
    let members = state.organizations.get(&id).map(|found| &found.members).into_iter().flatten();
    let accounts = members.filter_map(|member| state.account(member));
    let all: Vec<Value> = accounts.map(|account| desk_user(&caller.base, account)).collect();
    let path = format!("/rest/servicedeskapi/organization/{id}/user");
    Ok(Json(paging::page(&caller.base, &path, query.wanted(&[]), &all)?))
}

/// `POST /rest/servicedeskapi/organization/{id}/user`.
pub(super) async fn add_users(
    Shared(jsm): Shared<JsmCloud>,
    _: Staff,
    Path(id): Path<String>,
    JsonBody(people): JsonBody<People>,
) -> Result<StatusCode, Problem> {
    change_members(&jsm, &id, &people, |members, known| members.extend(known))
}

/// `DELETE /rest/servicedeskapi/organization/{id}/user`.
pub(super) async fn remove_users(
    Shared(jsm): Shared<JsmCloud>,
    _: Staff,
    Path(id): Path<String>,
    JsonBody(people): JsonBody<People>,
) -> Result<StatusCode, Problem> {
    change_members(&jsm, &id, &people, |members, known| members.retain(|member| !known.contains(member)))
}

fn change_members(
    jsm: &JsmCloud,
    id: &str,
    people: &People,
    change: impl FnOnce(&mut BTreeSet<String>, BTreeSet<String>),
) -> Result<StatusCode, Problem> {
    let now = jsm.now();
    let mut state = jsm.state();
    if find_mut(&mut state, id)?.scim_managed {
        return Err(managed_elsewhere());
    }
    let (known, outcome) = known_and_unknown(&state, people, now)?;
    change(&mut find_mut(&mut state, id)?.members, known);
    outcome.map(|()| StatusCode::NO_CONTENT)
}

/// `GET /rest/servicedeskapi/servicedesk/{id}/organization`.
pub(super) async fn of_desk(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    Path(id): Path<String>,
    Params(query): Params<Find>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    let desk = find_desk(&state, &id)?;
    let linked = desk.organizations.iter().filter_map(|id| Some((id, state.organizations.get(id)?)));
    let found = linked.filter(|(_, one)| query.finds(&caller, one));
    let all: Vec<Value> = found.map(|(id, one)| one.json(&caller.base, *id)).collect();
    query.page(&caller, &format!("/rest/servicedeskapi/servicedesk/{}/organization", desk.id), &all)
}

/// `{organizationId}`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct OrganizationLink {
    organization_id: u64,
    #[serde(rename = "serviceDeskId")]
    _service_desk_id: Option<Value>,
}

impl OrganizationLink {
    fn find(&self, state: &State) -> Result<u64, Problem> {
        find(state, &self.organization_id.to_string())
    }
}

/// `POST /rest/servicedeskapi/servicedesk/{id}/organization`.
pub(super) async fn link(
    Shared(jsm): Shared<JsmCloud>,
    _: Staff,
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
    Shared(jsm): Shared<JsmCloud>,
    _: Staff,
    Path(id): Path<String>,
    JsonBody(link): JsonBody<OrganizationLink>,
) -> Result<StatusCode, Problem> {
    let mut state = jsm.state();
    let organization = link.find(&state)?;
    desk_mut(&mut state, &id)?.organizations.remove(&organization);
    Ok(StatusCode::NO_CONTENT)
}

impl JsmCloud {
    /// The names of the organizations that this account is in.
    pub fn organizations_of(&self, account_id: &str) -> Vec<String> {
        let state = self.state();
        let theirs = state.organizations.values().filter(|one| one.members.contains(account_id));
        theirs.map(|one| one.name.clone()).collect()
    }

    /// The names of all organizations.
    pub fn organizations(&self) -> Vec<String> {
        self.state().organizations.values().map(|one| one.name.clone()).collect()
    }

    /// Makes an organization with these members, linked to that desk, without a call; whether it could be made.
    pub fn add_organization(&self, name: &str, desk: &str, members: &[&str]) -> bool {
        self.furnish_organization(name, desk, members, false)
    }

    /// The same, managed by a company's directory (SCIM): its members cannot be changed by calls.
    pub fn add_scim_organization(&self, name: &str, desk: &str, members: &[&str]) -> bool {
        self.furnish_organization(name, desk, members, true)
    }

    fn furnish_organization(&self, name: &str, desk: &str, members: &[&str], scim_managed: bool) -> bool {
        let mut state = self.state();
        let Ok(id) = state.organization_named(self, name, scim_managed) else { return false };
        if let Some(organization) = state.organizations.get_mut(&id) {
            organization.members.extend(members.iter().map(|member| (*member).to_owned()));
        }
        desk_mut(&mut state, desk).map(|desk| desk.organizations.insert(id)).is_ok()
    }
}
