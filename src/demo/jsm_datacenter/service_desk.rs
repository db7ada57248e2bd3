//! Desks, their portals and their customers.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Path, Query, State as Shared};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::JsmDataCenter;
use super::accounts::User;
use super::counters::count;
use super::guard::{Admin, Caller, JsonBody, OptIn};
use super::paging::{PageQuery, page};
use super::people::looks_like_email;
use super::problem::Problem;
use super::state::State;
use crate::demo::jsm::desk::Desk;

impl Desk {
    fn lets_in(&self, state: &State, user: &User) -> bool {
        let name = user.username.to_lowercase();
        let belongs = |id: &u64| state.organizations.get(id).is_some_and(|one| one.members.contains(&name));
        self.open || user.is_licensed() || self.members.contains(&name) || self.organizations.iter().any(belongs)
    }

    fn json(&self, state: &State) -> Value {
        let link = state.url(&format!("/rest/servicedeskapi/servicedesk/{}", self.id));
        json!({
            "id": self.id, "projectId": format!("100{}", self.id), "projectName": self.name, "projectKey": self.key,
            "_links": {"self": link},
        })
    }

    pub(super) fn portal_json(&self, state: &State) -> Value {
        let logo = state.url(&format!("/rest/servicedesk/1/customer/viewport-resources/portal-logo/{}", self.id));
        json!({
            "id": self.id, "serviceDeskId": self.id, "name": self.name, "description": self.description,
            "projectKey": self.key, "_links": {
                "self": state.url(&format!("/rest/servicedeskapi/portals/{}", self.id)),
                "portal": state.url(&format!("/servicedesk/customer/portal/{}", self.id)),
                "serviceDesk": state.url(&format!("/rest/servicedeskapi/servicedesk/{}", self.id)),
                "logo": logo,
            },
        })
    }
}

/// The desks that this person may see.
pub(super) fn visible_desks<'a>(state: &'a State, username: &str) -> Vec<&'a Desk> {
    let Some(user) = state.user(username) else { return Vec::new() };
    state.desks.iter().filter(|desk| desk.lets_in(state, user)).collect()
}

/// The desk of that number, if this person may see it.
pub(super) fn visible_desk<'a>(state: &'a State, id: &str, username: &str) -> Result<&'a Desk, Problem> {
    let found = visible_desks(state, username).into_iter().find(|desk| desk.id == id);
    found.ok_or_else(|| Problem::not_found("The service desk"))
}

pub(super) fn desk_mut<'a>(state: &'a mut State, id: &str) -> Result<&'a mut Desk, Problem> {
    state.desks.iter_mut().find(|desk| desk.id == id).ok_or_else(|| Problem::not_found("The service desk"))
}

/// `GET /rest/servicedeskapi/info`: open to everybody.
pub(super) async fn info(Shared(jsm): Shared<JsmDataCenter>) -> Json<Value> {
    Json(json!({
        "version": "10.3.5", "platformVersion": "10.3.5", "isLicensedForUse": true, "buildChangeSet": "0f1e2d3c",
        "_links": {"self": jsm.state().url("/rest/servicedeskapi/info")},
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewCustomer {
    email: Option<String>,
    full_name: Option<String>,
}

/// `POST /rest/servicedeskapi/customer`: the user name becomes the e-mail address; no mail is sent.
pub(super) async fn create_customer(
    Shared(jsm): Shared<JsmDataCenter>,
    _: Admin,
    _: OptIn,
    JsonBody(new): JsonBody<NewCustomer>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let email = new.email.filter(|email| looks_like_email(email));
    let email = email.ok_or_else(|| Problem::bad("The e-mail address is not valid."))?;
    let name = new.full_name.filter(|name| !name.trim().is_empty());
    let name = name.ok_or_else(|| Problem::bad("The full name must not be empty."))?;
    let mut state = jsm.state();
    let taken =
        state.user(&email).is_some() || state.users.values().any(|user| user.email.eq_ignore_ascii_case(&email));
    if taken {
        let sentence = "An account already exists for this email address.".to_owned();
        return Err(Problem::Desk(StatusCode::BAD_REQUEST, "sd.customer.already.exists", sentence));
    }
    state.add_user(User::customer(&email, &name));
    count(&mut state.counters.customers_created, email.to_lowercase());
    let made = state.user(&email).ok_or_else(|| Problem::not_found("The customer"))?;
    Ok((StatusCode::CREATED, Json(state.desk_user(made))))
}

/// `GET /rest/servicedeskapi/servicedesk`.
pub(super) async fn desks(
    Shared(jsm): Shared<JsmDataCenter>,
    Caller(username): Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    let all: Vec<Value> = visible_desks(&state, &username).into_iter().map(|desk| desk.json(&state)).collect();
    Ok(Json(page(&state, "/rest/servicedeskapi/servicedesk", &query, &all)?))
}

/// `GET /rest/servicedeskapi/servicedesk/{id}`.
pub(super) async fn desk(
    Shared(jsm): Shared<JsmDataCenter>,
    Caller(username): Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    Ok(Json(visible_desk(&state, &id, &username)?.json(&state)))
}

/// `GET /rest/servicedeskapi/servicedesk/{id}/requesttype`.
pub(super) async fn request_types(
    Shared(jsm): Shared<JsmDataCenter>,
    Caller(username): Caller,
    Path(id): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    let desk = visible_desk(&state, &id, &username)?;
    let path = format!("/rest/servicedeskapi/servicedesk/{id}/requesttype");
    let kinds = desk.request_types.iter().map(|kind| {
        json!({
            "id": kind.id, "name": kind.name, "description": kind.description, "serviceDeskId": desk.id,
            "_links": {"self": state.url(&format!("{path}/{}", kind.id))},
        })
    });
    let all: Vec<Value> = kinds.collect();
    Ok(Json(page(&state, &path, &query, &all)?))
}

/// `{usernames}`.
#[derive(Deserialize)]
pub(super) struct Usernames {
    usernames: Vec<String>,
}

/// The known ones in lower case, and the answer: 400 if any is unknown, though the known ones are dealt with.
pub(super) fn known_and_unknown(
    state: &State,
    people: &Usernames,
) -> Result<(BTreeSet<String>, Result<(), Problem>), Problem> {
    if people.usernames.is_empty() {
        return Err(Problem::bad("No user names were given."));
    }
    let (known, unknown): (Vec<&String>, Vec<&String>) =
        people.usernames.iter().partition(|name| state.user(name).is_some());
    let outcome = match unknown.first() {
        None => Ok(()),
        Some(name) => Err(Problem::Desk(
            StatusCode::BAD_REQUEST,
            "sd.customer.unknown",
            format!("There is no user named '{name}'."),
        )),
    };
    Ok((known.into_iter().map(|name| name.to_lowercase()).collect(), outcome))
}

/// `GET /rest/servicedeskapi/servicedesk/{id}/customer`.
pub(super) async fn customers(
    Shared(jsm): Shared<JsmDataCenter>,
    _: Admin,
    _: OptIn,
    Path(id): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Value>, Problem> {
    let mut state = jsm.state();
    let members = desk_mut(&mut state, &id)?.members.clone();
    let needle = query.query.as_deref().unwrap_or_default().to_lowercase();
    let fits = |user: &&User| {
        user.email.to_lowercase().contains(&needle) || user.display_name.to_lowercase().contains(&needle)
    };
    let found = members.iter().filter_map(|name| state.user(name)).filter(fits);
    let all: Vec<Value> = found.map(|user| state.desk_user(user)).collect();
    Ok(Json(page(&state, &format!("/rest/servicedeskapi/servicedesk/{id}/customer"), &query, &all)?))
}

/// `POST /rest/servicedeskapi/servicedesk/{id}/customer`.
pub(super) async fn add_customers(
    Shared(jsm): Shared<JsmDataCenter>,
    _: Admin,
    Path(id): Path<String>,
    JsonBody(people): JsonBody<Usernames>,
) -> Result<StatusCode, Problem> {
    let mut state = jsm.state();
    desk_mut(&mut state, &id)?;
    let (known, outcome) = known_and_unknown(&state, &people)?;
    desk_mut(&mut state, &id)?.members.extend(known);
    outcome.map(|()| StatusCode::NO_CONTENT)
}

/// `DELETE /rest/servicedeskapi/servicedesk/{id}/customer`.
pub(super) async fn remove_customers(
    Shared(jsm): Shared<JsmDataCenter>,
    _: Admin,
    _: OptIn,
    Path(id): Path<String>,
    JsonBody(people): JsonBody<Usernames>,
) -> Result<StatusCode, Problem> {
    let mut state = jsm.state();
    if desk_mut(&mut state, &id)?.open {
        return Err(Problem::bad("Customers cannot be removed from a desk that is open to everybody."));
    }
    let (known, outcome) = known_and_unknown(&state, &people)?;
    desk_mut(&mut state, &id)?.members.retain(|member| !known.contains(member));
    outcome.map(|()| StatusCode::NO_CONTENT)
}

/// `GET /rest/servicedeskapi/portals`.
pub(super) async fn portals(
    Shared(jsm): Shared<JsmDataCenter>,
    Caller(username): Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    let all: Vec<Value> = visible_desks(&state, &username).into_iter().map(|desk| desk.portal_json(&state)).collect();
    Ok(Json(page(&state, "/rest/servicedeskapi/portals", &query, &all)?))
}

/// `GET /rest/servicedeskapi/portals/{id}`.
pub(super) async fn portal(
    Shared(jsm): Shared<JsmDataCenter>,
    Caller(username): Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    Ok(Json(visible_desk(&state, &id, &username)?.portal_json(&state)))
}

/// `GET /rest/servicedeskapi/portals/project/{key}`.
pub(super) async fn portal_of_project(
    Shared(jsm): Shared<JsmDataCenter>,
    Caller(username): Caller,
    Path(key): Path<String>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    let found = visible_desks(&state, &username).into_iter().find(|desk| desk.key == key);
    Ok(Json(found.ok_or_else(|| Problem::not_found("The portal"))?.portal_json(&state)))
}

impl JsmDataCenter {
    /// Whether that person was added to the desk as a customer.
    pub fn is_member(&self, desk: &str, username: &str) -> bool {
        let name = username.to_lowercase();
        self.state().desks.iter().any(|found| found.id == desk && found.members.contains(&name))
    }

    /// The names of the organizations that this person is in.
    pub fn organizations_of(&self, username: &str) -> Vec<String> {
        let name = username.to_lowercase();
        let state = self.state();
        let theirs = state.organizations.values().filter(|one| one.members.contains(&name));
        theirs.map(|one| one.name.clone()).collect()
    }
}
