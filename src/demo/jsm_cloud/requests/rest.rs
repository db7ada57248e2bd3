//! Requests and their comments over REST.

use axum::Json;
use axum::extract::{Path, State as Shared};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{CustomerRequest, Draft, status_json};
use crate::demo::jsm::html::{escape, percent};
use crate::demo::jsm::paging::{self, Wanted};
use crate::demo::jsm::problem::Problem;
use crate::demo::jsm_cloud::JsmCloud;
use crate::demo::jsm_cloud::accounts::{AccountType, Role, looks_like_email};
use crate::demo::jsm_cloud::desks::{Paging, desk_json, request_type_json};
use crate::demo::jsm_cloud::extract::{Caller, JsonBody, Params, flag};
use crate::demo::jsm_cloud::state::State;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in super::super) struct Find {
    search_term: Option<String>,
    request_ownership: Option<String>,
    request_status: Option<String>,
    #[serde(rename = "approvalStatus")]
    _approval_status: Option<String>,
    organization_id: Option<u64>,
    service_desk_id: Option<String>,
    request_type_id: Option<String>,
    expand: Option<String>,
    start: Option<String>,
    limit: Option<String>,
}

impl Find {
    fn owns(&self, state: &State, account_id: &str, request: &CustomerRequest) -> Result<bool, Problem> {
        let reporter = request.reporter == account_id;
        let participant = request.participants.contains(account_id);
        let shared = |id: &u64| {
            let member = state.organizations.get(id).is_some_and(|one| one.members.contains(account_id));
            member && self.organization_id.is_none_or(|wanted| *id == wanted)
        };
        let shared = request.organizations.iter().any(shared);
        Ok(match self.request_ownership.as_deref() {
            None if self.organization_id.is_some() => shared,
            None | Some("OWNED_REQUESTS") => reporter,
            Some("PARTICIPATED_REQUESTS") => participant,
            Some("ORGANIZATION" | "ALL_ORGANIZATIONS") => shared,
            Some("ALL_REQUESTS") => reporter || participant || shared,
            Some("APPROVER") => false,
            Some(_) => return Err(Problem::bad("requestOwnership is not one of the known values.")),
        })
    }

    fn finds(&self, request: &CustomerRequest) -> Result<bool, Problem> {
        let open = match self.request_status.as_deref() {
            None | Some("OPEN_REQUESTS" | "ALL_REQUESTS") => true,
            Some("CLOSED_REQUESTS") => false,
            Some(_) => return Err(Problem::bad("requestStatus is not one of the known values.")),
        };
        let text = self.search_term.as_deref().unwrap_or_default().to_lowercase();
        let holds = request.summary.to_lowercase().contains(&text) || request.key.to_lowercase() == text;
        let desk = self.service_desk_id.as_ref().is_none_or(|id| *id == request.desk);
        let kind = self.request_type_id.as_ref().is_none_or(|id| *id == request.request_type);
        Ok(open && holds && desk && kind)
    }
}

/// The request with what `expand` asks for.
fn expanded(state: &State, caller: &Caller, request: &CustomerRequest, expand: Option<&str>) -> Result<Value, Problem> {
    let base = &caller.base;
    let mut shown = state.request_json(base, request);
    let Some(fields) = shown.as_object_mut() else { return Ok(shown) };
    let path = format!("/rest/servicedeskapi/request/{}", request.key);
    let list = |end: &str, all: Vec<Value>| paging::page(base, &format!("{path}/{end}"), Wanted::default(), &all);
    let desk = state.desks.iter().find(|desk| desk.id == request.desk);
    for part in expand.unwrap_or_default().split(',').map(str::trim) {
        let (name, value) = match part {
            "participant" => {
                let people = request.participants.iter().map(|id| state.person_json(base, id)).collect();
                ("participants", list("participant", people)?)
            }
            "status" => ("status", list("status", vec![status_json(request)])?),
            "sla" => ("sla", list("sla", Vec::new())?),
            "serviceDesk" => ("serviceDesk", desk.map_or(Value::Null, |desk| desk_json(base, desk))),
            "requestType" => {
                let kind = desk.and_then(|desk| Some((desk, desk.request_type(&request.request_type)?)));
                ("requestType", kind.map_or(Value::Null, |(desk, kind)| request_type_json(base, desk, kind)))
            }
            "attachment" => ("attachments", list("attachment", state.attachments_json(base, request))?),
            "comment" => {
                let visible = request.comments.iter().filter(|said| said.public || caller.role >= Role::Agent);
                let said = visible.map(|said| state.comment_json(base, &request.key, said)).collect();
                ("comments", list("comment", said)?)
            }
            "action" => {
                let may = json!({"allowed": true});
                let actions = ["addAttachment", "addComment", "addParticipant", "removeParticipant"];
                ("actions", actions.into_iter().map(|action| (action.to_owned(), may.clone())).collect())
            }
            _ => continue,
        };
        fields.insert(name.to_owned(), value);
    }
    Ok(shown)
}

/// `GET /rest/servicedeskapi/request`.
pub(in super::super) async fn list(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    Params(find): Params<Find>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    let mut all = Vec::new();
    for request in state.requests.iter().rev() {
        if find.finds(request)? && find.owns(&state, &caller.account, request)? {
            all.push(expanded(&state, &caller, request, find.expand.as_deref())?);
        }
    }
    let organization = find.organization_id.map(|id| id.to_string());
    let given = [
        ("searchTerm", find.search_term.as_deref()),
        ("requestOwnership", find.request_ownership.as_deref()),
        ("requestStatus", find.request_status.as_deref()),
        ("organizationId", organization.as_deref()),
        ("serviceDeskId", find.service_desk_id.as_deref()),
        ("requestTypeId", find.request_type_id.as_deref()),
        ("expand", find.expand.as_deref()),
    ];
    let others: Vec<(&str, &str)> = given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let wanted = Wanted { start: find.start.as_deref(), limit: find.limit.as_deref(), others: &others };
    Ok(Json(paging::page(&caller.base, "/rest/servicedeskapi/request", wanted, &all)?))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in super::super) struct NewRequest {
    service_desk_id: String,
    request_type_id: String,
    request_field_values: Map<String, Value>,
    #[serde(default)]
    request_participants: Vec<String>,
    raise_on_behalf_of: Option<String>,
    #[serde(rename = "channel")]
    _channel: Option<String>,
    #[serde(rename = "form")]
    _form: Option<Value>,
    #[serde(rename = "isAdfRequest")]
    _is_adf_request: Option<bool>,
}

/// Whose request it becomes: the caller's, or for an agent anybody's, who may be named by id or by address.
fn reporter(jsm: &JsmCloud, state: &mut State, caller: &Caller, whom: Option<&str>) -> Result<String, Problem> {
    let Some(whom) = whom else { return Ok(caller.account.clone()) };
    if caller.role < Role::Agent {
        return Err(Problem::bad("You do not have permission to raise requests on behalf of others."));
    }
    if state.account(whom).is_some() {
        return Ok(whom.to_owned());
    }
    if let Some(known) = state.customer(whom) {
        return Ok(known.account_id.clone());
    }
    if !looks_like_email(whom) {
        return Err(Problem::bad("There is no such person to raise the request on behalf of."));
    }
    Ok(state.make_account(jsm.random(), AccountType::Customer, whom, whom, jsm.now())?)
}

/// `POST /rest/servicedeskapi/request`.
pub(in super::super) async fn create(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    JsonBody(new): JsonBody<NewRequest>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let now = jsm.now();
    let mut state = jsm.state();
    let field = |name: &str| new.request_field_values.get(name).and_then(Value::as_str).unwrap_or_default();
    if let Some(unknown) =
        new.request_field_values.keys().find(|name| !["summary", "description"].contains(&name.as_str()))
    {
        return Err(Problem::bad(&format!("The field '{unknown}' is not on the form of this request type.")));
    }
    if let Some(unknown) = new.request_participants.iter().find(|id| state.account(id).is_none()) {
        return Err(Problem::bad(&format!("There is no account with the id '{unknown}'.")));
    }
    let draft = Draft {
        desk: &new.service_desk_id,
        request_type: &new.request_type_id,
        summary: field("summary"),
        description: field("description"),
    };
    let account_id = reporter(&jsm, &mut state, &caller, new.raise_on_behalf_of.as_deref())?;
    let key = state.raise(&account_id, &draft, now)?;
    state.request_for_mut(&key, &account_id)?.participants.extend(new.request_participants);
    let request = state.request_for(&key, &account_id)?;
    Ok((StatusCode::CREATED, Json(state.request_json(&caller.base, request))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Expand {
    expand: Option<String>,
}

/// `GET /rest/servicedeskapi/request/{key}`.
pub(in super::super) async fn one(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    Path(key): Path<String>,
    Params(query): Params<Expand>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    let request = state.request_for(&key, &caller.account)?;
    Ok(Json(expanded(&state, &caller, request, query.expand.as_deref())?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct FindComments {
    #[serde(default, deserialize_with = "flag")]
    public: Option<bool>,
    #[serde(default, deserialize_with = "flag")]
    internal: Option<bool>,
    expand: Option<String>,
    start: Option<String>,
    limit: Option<String>,
}

/// `GET /rest/servicedeskapi/request/{key}/comment`: internal ones for agents alone.
pub(in super::super) async fn comments(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    Path(key): Path<String>,
    Params(find): Params<FindComments>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    let request = state.request_for(&key, &caller.account)?;
    let staff = caller.role >= Role::Agent;
    let (public, internal) = (find.public.unwrap_or(true), staff && find.internal.unwrap_or(true));
    let visible = request.comments.iter().filter(|said| if said.public { public } else { internal });
    let rendered = find.expand.as_deref().unwrap_or_default().split(',').any(|part| part == "renderedBody");
    let shown = visible.map(|said| {
        let mut shown = state.comment_json(&caller.base, &request.key, said);
        if let Some(fields) = shown.as_object_mut().filter(|_| rendered) {
            fields.insert("renderedBody".to_owned(), json!({"html": format!("<p>{}</p>", escape(&said.body))}));
        }
        shown
    });
    let all: Vec<Value> = shown.collect();
    let path = format!("/rest/servicedeskapi/request/{}/comment", percent(&request.key));
    let wanted = Wanted { start: find.start.as_deref(), limit: find.limit.as_deref(), others: &[] };
    Ok(Json(paging::page(&caller.base, &path, wanted, &all)?))
}

/// `GET /rest/servicedeskapi/request/{key}/comment/{id}`.
pub(in super::super) async fn comment(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    Path((key, id)): Path<(String, u64)>,
    _: Params<Expand>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    let request = state.request_for(&key, &caller.account)?;
    let visible = |said: &&super::Comment| said.id == id && (said.public || caller.role >= Role::Agent);
    let said = request.comments.iter().find(visible).ok_or_else(|| Problem::not_found("The comment"))?;
    Ok(Json(state.comment_json(&caller.base, &request.key, said)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct NewComment {
    body: String,
    public: Option<bool>,
}

/// `POST /rest/servicedeskapi/request/{key}/comment`.
pub(in super::super) async fn add_comment(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    Path(key): Path<String>,
    JsonBody(new): JsonBody<NewComment>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let now = jsm.now();
    let mut state = jsm.state();
    let said = state.say(&key, &caller.account, &new.body, new.public.unwrap_or(true), now)?;
    Ok((StatusCode::CREATED, Json(state.comment_json(&caller.base, &key, &said))))
}

/// `GET /rest/servicedeskapi/request/{key}/status`.
pub(in super::super) async fn statuses(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    Path(key): Path<String>,
    Params(paging): Params<Paging>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    let request = state.request_for(&key, &caller.account)?;
    let path = format!("/rest/servicedeskapi/request/{}/status", percent(&request.key));
    Ok(Json(paging::page(&caller.base, &path, paging.wanted(&[]), &[status_json(request)])?))
}
