//! Customers' requests and their comments. Who did not raise a request does not learn that it exists.

use axum::Json;
use axum::extract::{Path, Query, State as Shared};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::JsmDataCenter;
use super::guard::{Caller, JsonBody};
use super::html::percent;
use super::paging::{PageQuery, page};
use super::problem::Problem;
use super::service_desk::{desk_mut, visible_desk};
use super::state::State;
use crate::clock::Timestamp;

const LONGEST_SUMMARY: usize = 255;

/// One request of a customer.
#[derive(Clone, Debug)]
pub struct CustomerRequest {
    /// Such as `HELP-1`.
    pub key: String,
    /// Jira's number of the issue.
    pub id: u64,
    /// The desk, and portal, that it was raised at.
    pub desk: String,
    /// The kind of request.
    pub request_type: String,
    /// The user name of who raised it.
    pub reporter: String,
    /// The organization that it is shared with: the one that its reporter belongs to at this desk, if there is just one.
    pub organization: Option<u64>,
    /// One line.
    pub summary: String,
    /// The rest.
    pub description: String,
    /// When it was raised.
    pub created: Timestamp,
    /// What was said since, oldest first.
    pub comments: Vec<Comment>,
    /// The numbers of the attachments.
    pub attachments: Vec<u64>,
}

/// What somebody said to a request.
#[derive(Clone, Debug)]
pub struct Comment {
    /// Its number.
    pub id: u64,
    /// The user name of who said it.
    pub author: String,
    /// The text.
    pub body: String,
    /// When it was said.
    pub created: Timestamp,
}

/// A file that belongs to a request.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// The key of the request.
    pub request: String,
    /// The user name of who sent it.
    pub author: String,
    /// The name of the file.
    pub name: String,
    /// Its media type, as its sender said.
    pub media_type: String,
    /// The file.
    pub bytes: Bytes,
    /// When it was attached.
    pub created: Timestamp,
}

/// What is needed to raise a request.
pub(super) struct Draft<'a> {
    pub(super) desk: &'a str,
    pub(super) request_type: &'a str,
    pub(super) summary: &'a str,
    pub(super) description: &'a str,
}

impl State {
    /// Raises a request for that person; its key.
    pub(super) fn raise(&mut self, username: &str, draft: &Draft<'_>, now: Timestamp) -> Result<String, Problem> {
        let desk = visible_desk(self, draft.desk, username)?;
        if desk.request_type(draft.request_type).is_none() {
            return Err(Problem::bad("The request type does not exist at this desk."));
        }
        let summary = draft.summary.trim();
        if summary.is_empty() || summary.chars().count() > LONGEST_SUMMARY || summary.contains(['\n', '\r']) {
            return Err(Problem::bad("The summary has to be one line of at most 255 characters."));
        }
        let name = username.to_lowercase();
        let belongs = |id: &&u64| self.organizations.get(id).is_some_and(|one| one.members.contains(&name));
        let mut theirs = desk.organizations.iter().filter(belongs).copied();
        let organization = theirs.next().filter(|_| theirs.next().is_none());
        let desk = desk_mut(self, draft.desk)?;
        let key = desk.next_key();
        let id = self.fresh_id();
        self.requests.push(CustomerRequest {
            key: key.clone(),
            id,
            desk: draft.desk.to_owned(),
            request_type: draft.request_type.to_owned(),
            reporter: username.to_owned(),
            organization,
            summary: summary.to_owned(),
            description: draft.description.to_owned(),
            created: now,
            comments: Vec::new(),
            attachments: Vec::new(),
        });
        Ok(key)
    }

    /// Whether a request is shared with an organization that this person is in.
    fn is_shared_with(&self, request: &CustomerRequest, username: &str) -> bool {
        let organization = request.organization.and_then(|id| self.organizations.get(&id));
        organization.is_some_and(|one| one.members.contains(&username.to_lowercase()))
    }

    /// The request of that key, if this person may see it: their own, their organization's, or any for an agent.
    pub(super) fn request_for(&self, key: &str, username: &str) -> Result<&CustomerRequest, Problem> {
        let agent = self.user(username).is_some_and(super::User::is_licensed);
        let theirs =
            |request: &CustomerRequest| agent || request.reporter == username || self.is_shared_with(request, username);
        let found = self.requests.iter().find(|request| request.key == key && theirs(request));
        found.ok_or_else(|| Problem::not_found("The request"))
    }

    pub(super) fn say(&mut self, key: &str, username: &str, text: &str, now: Timestamp) -> Result<Comment, Problem> {
        self.request_for(key, username)?;
        if text.trim().is_empty() {
            return Err(Problem::bad("The comment is empty."));
        }
        let id = self.fresh_id();
        let comment = Comment { id, author: username.to_owned(), body: text.to_owned(), created: now };
        if let Some(request) = self.requests.iter_mut().find(|request| request.key == key) {
            request.comments.push(comment.clone());
        }
        Ok(comment)
    }

    pub(super) fn person_json(&self, username: &str) -> Value {
        self.user(username).map_or(Value::Null, |user| self.desk_user(user))
    }

    pub(super) fn portal_url(&self, request: &CustomerRequest) -> String {
        self.url(&format!("/servicedesk/customer/portal/{}/{}", request.desk, request.key))
    }

    pub(super) fn request_json(&self, request: &CustomerRequest) -> Value {
        let created = date_json(request.created);
        json!({
            "issueId": request.id.to_string(), "issueKey": request.key, "requestTypeId": request.request_type,
            "serviceDeskId": request.desk, "createdDate": created, "reporter": self.person_json(&request.reporter),
            "requestFieldValues": [
                {"fieldId": "summary", "label": "Summary", "value": request.summary},
                {"fieldId": "description", "label": "Description", "value": request.description},
            ],
            "currentStatus": {"status": "Waiting for support", "statusDate": created},
            "_links": {
                "self": self.url(&format!("/rest/servicedeskapi/request/{}", request.id)),
                "jiraRest": self.url(&format!("/rest/api/2/issue/{}", request.id)),
                "web": self.portal_url(request),
            },
        })
    }

    pub(super) fn comment_json(&self, key: &str, comment: &Comment) -> Value {
        let link = self.url(&format!("/rest/servicedeskapi/request/{}/comment/{}", percent(key), comment.id));
        json!({
            "id": comment.id.to_string(), "body": comment.body, "public": true,
            "author": self.person_json(&comment.author), "created": date_json(comment.created),
            "_links": {"self": link},
        })
    }
}

/// A date in the four ways of `/rest/servicedeskapi`.
pub(super) fn date_json(at: Timestamp) -> Value {
    let written = at.to_string();
    json!({"iso8601": written, "jira": written, "friendly": written, "epochMillis": at.millis()})
}

/// Whose requests are listed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ownership {
    request_ownership: Option<String>,
}

/// `GET /rest/servicedeskapi/request`.
pub(super) async fn list(
    Shared(jsm): Shared<JsmDataCenter>,
    Caller(username): Caller,
    Query(query): Query<PageQuery>,
    Query(whose): Query<Ownership>,
) -> Result<Json<Value>, Problem> {
    let (own, shared) = match whose.request_ownership.as_deref() {
        None | Some("OWNED_REQUESTS") => (true, false),
        Some("ORGANIZATION") => (false, true),
        Some("ALL_REQUESTS") => (true, true),
        Some("PARTICIPATED_REQUESTS") => (false, false),
        Some(_) => return Err(Problem::bad("requestOwnership is not one of the known values.")),
    };
    let state = jsm.state();
    let theirs =
        state.requests.iter().rev().filter(|request| {
            own && request.reporter == username || shared && state.is_shared_with(request, &username)
        });
    let all: Vec<Value> = theirs.map(|request| state.request_json(request)).collect();
    Ok(Json(page(&state, "/rest/servicedeskapi/request", &query, &all)?))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewRequest {
    service_desk_id: String,
    request_type_id: String,
    request_field_values: Fields,
}

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    summary: String,
    #[serde(default)]
    description: String,
}

/// `POST /rest/servicedeskapi/request`.
pub(super) async fn create(
    Shared(jsm): Shared<JsmDataCenter>,
    Caller(username): Caller,
    JsonBody(new): JsonBody<NewRequest>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let now = jsm.now();
    let mut state = jsm.state();
    let fields = &new.request_field_values;
    let draft = Draft {
        desk: &new.service_desk_id,
        request_type: &new.request_type_id,
        summary: &fields.summary,
        description: &fields.description,
    };
    let key = state.raise(&username, &draft, now)?;
    let request = state.request_for(&key, &username)?;
    Ok((StatusCode::CREATED, Json(state.request_json(request))))
}

/// `GET /rest/servicedeskapi/request/{key}`.
pub(super) async fn one(
    Shared(jsm): Shared<JsmDataCenter>,
    Caller(username): Caller,
    Path(key): Path<String>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    Ok(Json(state.request_json(state.request_for(&key, &username)?)))
}

/// `GET /rest/servicedeskapi/request/{key}/comment`.
pub(super) async fn comments(
    Shared(jsm): Shared<JsmDataCenter>,
    Caller(username): Caller,
    Path(key): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    let request = state.request_for(&key, &username)?;
    let all: Vec<Value> = request.comments.iter().map(|comment| state.comment_json(&key, comment)).collect();
    Ok(Json(page(&state, &format!("/rest/servicedeskapi/request/{}/comment", percent(&key)), &query, &all)?))
}

#[derive(Deserialize)]
pub(super) struct NewComment {
    body: String,
}

/// `POST /rest/servicedeskapi/request/{key}/comment`.
pub(super) async fn add_comment(
    Shared(jsm): Shared<JsmDataCenter>,
    Caller(username): Caller,
    Path(key): Path<String>,
    JsonBody(new): JsonBody<NewComment>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let now = jsm.now();
    let mut state = jsm.state();
    let comment = state.say(&key, &username, &new.body, now)?;
    Ok((StatusCode::CREATED, Json(state.comment_json(&key, &comment))))
}

impl JsmDataCenter {
    /// The requests that this person raised, oldest first.
    pub fn requests_of(&self, username: &str) -> Vec<CustomerRequest> {
        let state = self.state();
        state.requests.iter().filter(|request| request.reporter.eq_ignore_ascii_case(username)).cloned().collect()
    }

    /// An attachment by its number.
    pub fn attachment(&self, id: u64) -> Option<Attachment> {
        self.state().attachments.get(&id).cloned()
    }

    /// Raises a request on somebody's behalf, without a call: for tests of lists. The key, unless it is refused.
    pub fn add_request(&self, username: &str, desk: &str, request_type: &str, summary: &str) -> Option<String> {
        let now = self.now();
        self.state().raise(username, &Draft { desk, request_type, summary, description: "" }, now).ok()
    }
}
