//! Customers over REST: made, invited, found, added to desks, taken out, and locked out.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Path, State as Shared};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::JsmCloud;
use super::accounts::{AccountType, desk_user, looks_like_email};
use super::counters::count;
use super::desks::{desk_mut, find_desk};
use super::extract::{Admin, Caller, JsonBody, OptIn, Params, Staff, flag};
use super::mail;
use super::problem::Problem;
use super::state::State;
use crate::clock::Timestamp;
use crate::demo::jsm::paging::{self, Wanted};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewCustomer {
    email: Option<String>,
    display_name: Option<String>,
    /// The name of old; both mean the same.
    full_name: Option<String>,
}

impl NewCustomer {
    fn read(self) -> Result<(String, String), Problem> {
        let email = self.email.filter(|email| looks_like_email(email));
        let email = email.ok_or_else(|| Problem::bad("The e-mail address is not valid."))?;
        let name = self.display_name.or(self.full_name).filter(|name| !name.trim().is_empty());
        Ok((email, name.ok_or_else(|| Problem::bad("The display name must not be empty."))?))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Strict {
    #[serde(default, deserialize_with = "flag")]
    strict_conflict_status_code: Option<bool>,
}

impl Strict {
    fn exists(&self) -> Problem {
        let strict = self.strict_conflict_status_code == Some(true);
        let status = if strict { StatusCode::CONFLICT } else { StatusCode::BAD_REQUEST };
        let sentence = "An account already exists for this email address.".to_owned();
        Problem::Desk(status, "sd.customer.already.exists", sentence)
    }
}

/// Whether the site knows an account of that address, of whatever kind. One that is elsewhere it does not know.
fn is_taken(state: &State, email: &str) -> bool {
    state.accounts.iter().any(|account| account.email.eq_ignore_ascii_case(email))
}

/// `POST /rest/servicedeskapi/customer`: no mail is sent, and there is no password.
pub(super) async fn create(
    Shared(jsm): Shared<JsmCloud>,
    Admin(caller): Admin,
    Params(strict): Params<Strict>,
    JsonBody(new): JsonBody<NewCustomer>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let (email, name) = new.read()?;
    let now = jsm.now();
    let mut state = jsm.state();
    if is_taken(&state, &email) {
        return Err(strict.exists());
    }
    let id = state.make_account(jsm.random(), AccountType::Customer, &email, &name, now)?;
    count(&mut state.counters.customers_created, email.to_lowercase());
    shown(&state, &caller, &id)
}

fn shown(state: &State, caller: &Caller, id: &str) -> Result<(StatusCode, Json<Value>), Problem> {
    let made = state.account(id).ok_or_else(|| Problem::not_found("The customer"))?;
    Ok((StatusCode::CREATED, Json(desk_user(&caller.base, made))))
}

/// `POST /rest/servicedeskapi/servicedesk/{id}/customer/invite`: makes the account if there is none, and sends the mail.
pub(super) async fn invite(
    Shared(jsm): Shared<JsmCloud>,
    Admin(caller): Admin,
    _: OptIn,
    Path(desk): Path<String>,
    Params(strict): Params<Strict>,
    JsonBody(new): JsonBody<NewCustomer>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let (email, name) = new.read()?;
    let now = jsm.now();
    let mut state = jsm.state();
    let desk = find_desk(&state, &desk)?.id;
    let customer = state.customer(&email).is_some();
    let strictly = strict.strict_conflict_status_code == Some(true);
    if (customer && strictly) || (!customer && is_taken(&state, &email)) {
        return Err(strict.exists());
    }
    let id = mail::invite(&mut state, jsm.random(), desk, &email, &name, now)?;
    shown(&state, &caller, &id)
}

/// `PUT /rest/servicedeskapi/customer/user/{accountId}/revoke-portal-only-access`: ends the sessions too.
pub(super) async fn revoke(
    Shared(jsm): Shared<JsmCloud>,
    _: Admin,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let mut state = jsm.state();
    let account = state.account_mut(&id).filter(|account| account.account_type == AccountType::Customer);
    account.ok_or_else(|| Problem::not_found("The customer"))?.portal_access = false;
    state.end_all_sessions(&id);
    for desk in &mut state.desks {
        desk.members.remove(&id);
    }
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Find {
    #[serde(default)]
    query: String,
    start: Option<String>,
    limit: Option<String>,
}

/// `GET /rest/servicedeskapi/servicedesk/{id}/customer`: those of this desk alone, which are fewer than the site has.
pub(super) async fn list(
    Shared(jsm): Shared<JsmCloud>,
    Staff(caller): Staff,
    _: OptIn,
    Path(id): Path<String>,
    Params(find): Params<Find>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    let desk = find_desk(&state, &id)?;
    let in_organization = |account: &str| {
        let linked = desk.organizations.iter().filter_map(|id| state.organizations.get(id));
        linked.into_iter().any(|organization| organization.members.contains(account))
    };
    let found = state.search_accounts(&find.query, jsm.now());
    let theirs =
        found.filter(|account| desk.members.contains(&account.account_id) || in_organization(&account.account_id));
    let all: Vec<Value> = theirs.map(|account| desk_user(&caller.base, account)).collect();
    let path = format!("/rest/servicedeskapi/servicedesk/{}/customer", desk.id);
    let others = [("query", find.query.as_str())];
    let others = if find.query.is_empty() { &[][..] } else { &others[..] };
    let wanted = Wanted { start: find.start.as_deref(), limit: find.limit.as_deref(), others };
    Ok(Json(paging::page(&caller.base, &path, wanted, &all)?))
}

/// `{accountIds}`. User names are of the past: naming somebody by one is refused.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct People {
    #[serde(default)]
    account_ids: Vec<String>,
    #[serde(default)]
    usernames: Vec<String>,
}

/// Those who are known, and the answer: 400 if anybody is unknown, though the known ones are dealt with.
pub(super) fn known_and_unknown(
    state: &State,
    people: &People,
    now: Timestamp,
) -> Result<(BTreeSet<String>, Result<(), Problem>), Problem> {
    if !people.usernames.is_empty() {
        return Err(Problem::bad("Users are identified by accountIds, and not by usernames."));
    }
    if people.account_ids.is_empty() {
        return Err(Problem::bad("No account ids were given."));
    }
    let settle = state.switches.settle_after;
    let is_known = |id: &&String| state.account(id).is_some_and(|account| account.created.after(settle) <= now);
    let (known, unknown): (Vec<&String>, Vec<&String>) = people.account_ids.iter().partition(is_known);
    let outcome = match unknown.first() {
        None => Ok(()),
        Some(id) => {
            let sentence = format!("There is no account with the id '{id}'.");
            Err(Problem::Desk(StatusCode::BAD_REQUEST, "sd.customer.unknown", sentence))
        }
    };
    Ok((known.into_iter().cloned().collect(), outcome))
}

/// `POST /rest/servicedeskapi/servicedesk/{id}/customer`.
pub(super) async fn add(
    Shared(jsm): Shared<JsmCloud>,
    _: Staff,
    Path(id): Path<String>,
    JsonBody(people): JsonBody<People>,
) -> Result<StatusCode, Problem> {
    let now = jsm.now();
    let mut state = jsm.state();
    find_desk(&state, &id)?;
    let (known, outcome) = known_and_unknown(&state, &people, now)?;
    desk_mut(&mut state, &id)?.members.extend(known);
    outcome.map(|()| StatusCode::NO_CONTENT)
}

/// `DELETE /rest/servicedeskapi/servicedesk/{id}/customer`.
pub(super) async fn remove(
    Shared(jsm): Shared<JsmCloud>,
    _: Staff,
    _: OptIn,
    Path(id): Path<String>,
    JsonBody(people): JsonBody<People>,
) -> Result<StatusCode, Problem> {
    let now = jsm.now();
    let mut state = jsm.state();
    if find_desk(&state, &id)?.open {
        return Err(Problem::bad("Customers cannot be removed from a desk that is open to everybody."));
    }
    let (known, outcome) = known_and_unknown(&state, &people, now)?;
    desk_mut(&mut state, &id)?.members.retain(|member| !known.contains(member));
    outcome.map(|()| StatusCode::NO_CONTENT)
}

impl JsmCloud {
    /// Whether that account was added to the desk as a customer.
    pub fn is_member(&self, desk: &str, account_id: &str) -> bool {
        find_desk(&self.state(), desk).is_ok_and(|found| found.members.contains(account_id))
    }
}
