//! Customers' requests: whose they are, who else sees them, and what is said. Who does not see a request does not learn that
//! it exists.

mod rest;

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::{Value, json};

pub(super) use self::rest::{add_comment, comment, comments, create, list, one, statuses};
use super::JsmCloud;
use super::accounts::{Role, desk_user};
use super::desks::{desk_mut, visible_desk};
use super::html::{escape, percent};
use super::problem::Problem;
use super::state::State;
use crate::clock::Timestamp;

const LONGEST_SUMMARY: usize = 255;
/// What every request is when it was raised.
pub(super) const STATUS: &str = "Waiting for support";

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
    /// The account id of who raised it.
    pub reporter: String,
    /// The account ids of who takes part.
    pub participants: BTreeSet<String>,
    /// The organizations that it is shared with.
    pub organizations: BTreeSet<u64>,
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
    /// The account id of who said it.
    pub author: String,
    /// The text.
    pub body: String,
    /// Whether customers see it.
    pub public: bool,
    /// When it was said.
    pub created: Timestamp,
}

/// A file that belongs to a request.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// The key of the request.
    pub request: String,
    /// The account id of who sent it.
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
    pub(super) fn raise(&mut self, account_id: &str, draft: &Draft<'_>, now: Timestamp) -> Result<String, Problem> {
        let desk = visible_desk(self, draft.desk, account_id)?;
        if desk.request_type(draft.request_type).is_none() {
            return Err(Problem::bad("The request type does not exist at this desk."));
        }
        let summary = draft.summary.trim();
        if summary.is_empty() || summary.chars().count() > LONGEST_SUMMARY || summary.contains(['\n', '\r']) {
            return Err(Problem::bad("The summary has to be one line of at most 255 characters."));
        }
        let (desk_id, linked) = (desk.id.to_owned(), desk.organizations.clone());
        let belongs = |id: &u64| self.organizations.get(id).is_some_and(|one| one.members.contains(account_id));
        let theirs: BTreeSet<u64> = linked.into_iter().filter(belongs).collect();
        let shares = self.switches.share_with_organization && theirs.len() == 1;
        let key = desk_mut(self, &desk_id)?.next_key();
        let id = self.fresh_id();
        self.requests.push(CustomerRequest {
            key: key.clone(),
            id,
            desk: desk_id,
            request_type: draft.request_type.to_owned(),
            reporter: account_id.to_owned(),
            participants: BTreeSet::new(),
            organizations: if shares { theirs } else { BTreeSet::new() },
            summary: summary.to_owned(),
            description: draft.description.to_owned(),
            created: now,
            comments: Vec::new(),
            attachments: Vec::new(),
        });
        Ok(key)
    }

    pub(super) fn is_staff(&self, account_id: &str) -> bool {
        self.account(account_id).is_some_and(|account| account.role >= Role::Agent)
    }

    /// Whether this person may see the request.
    pub(super) fn sees(&self, account_id: &str, request: &CustomerRequest) -> bool {
        let member = |id: &u64| self.organizations.get(id).is_some_and(|one| one.members.contains(account_id));
        request.reporter == account_id
            || request.participants.contains(account_id)
            || request.organizations.iter().any(member)
            || self.is_staff(account_id)
    }

    /// The request of that key or number, if this person may see it.
    pub(super) fn request_for(&self, key: &str, account_id: &str) -> Result<&CustomerRequest, Problem> {
        let found = self.requests.iter().find(|request| request.key == key || request.id.to_string() == key);
        found.filter(|request| self.sees(account_id, request)).ok_or_else(|| Problem::not_found("The request"))
    }

    /// The same, to be changed.
    pub(super) fn request_for_mut(&mut self, key: &str, account_id: &str) -> Result<&mut CustomerRequest, Problem> {
        let id = self.request_for(key, account_id)?.id;
        let found = self.requests.iter_mut().find(|request| request.id == id);
        found.ok_or_else(|| Problem::not_found("The request"))
    }

    pub(super) fn say(
        &mut self,
        key: &str,
        account_id: &str,
        text: &str,
        public: bool,
        now: Timestamp,
    ) -> Result<Comment, Problem> {
        self.request_for(key, account_id)?;
        if text.trim().is_empty() {
            return Err(Problem::bad("The comment is empty."));
        }
        if !public && !self.is_staff(account_id) {
            return Err(Problem::bad("Customers can only add public comments."));
        }
        let id = self.fresh_id();
        let comment = Comment { id, author: account_id.to_owned(), body: text.to_owned(), public, created: now };
        self.request_for_mut(key, account_id)?.comments.push(comment.clone());
        Ok(comment)
    }

    pub(super) fn person_json(&self, base: &str, account_id: &str) -> Value {
        self.account(account_id).map_or(Value::Null, |account| desk_user(base, account))
    }

    pub(super) fn portal_url(&self, request: &CustomerRequest) -> String {
        self.url(&format!("/servicedesk/customer/portal/{}/{}", request.desk, request.key))
    }

    pub(super) fn request_json(&self, base: &str, request: &CustomerRequest) -> Value {
        json!({
            "_expands": ["participant", "status", "sla", "requestType", "serviceDesk", "attachment", "action", "comment"],
            "issueId": request.id.to_string(), "issueKey": request.key, "requestTypeId": request.request_type,
            "serviceDeskId": request.desk, "createdDate": date_json(request.created),
            "reporter": self.person_json(base, &request.reporter),
            "requestFieldValues": [
                {"fieldId": "summary", "label": "Summary", "value": request.summary},
                {"fieldId": "description", "label": "Description", "value": request.description,
                 "renderedValue": {"html": format!("<p>{}</p>", escape(&request.description))}},
            ],
            "currentStatus": status_json(request),
            "_links": {
                "self": format!("{base}/rest/servicedeskapi/request/{}", request.id),
                "jiraRest": format!("{base}/rest/api/2/issue/{}", request.id),
                "web": self.portal_url(request), "agent": self.url(&format!("/browse/{}", request.key)),
            },
        })
    }

    pub(super) fn comment_json(&self, base: &str, key: &str, comment: &Comment) -> Value {
        let link = format!("{base}/rest/servicedeskapi/request/{}/comment/{}", percent(key), comment.id);
        json!({
            "_expands": ["attachment", "renderedBody"], "id": comment.id.to_string(), "body": comment.body,
            "public": comment.public, "author": self.person_json(base, &comment.author),
            "created": date_json(comment.created), "_links": {"self": link},
        })
    }
}

fn status_json(request: &CustomerRequest) -> Value {
    json!({"status": STATUS, "statusCategory": "NEW", "statusDate": date_json(request.created)})
}

/// A date in the four ways of `/rest/servicedeskapi`.
pub(super) fn date_json(at: Timestamp) -> Value {
    let written = |format: &str| at.to_chrono().map(|time| time.format(format).to_string()).unwrap_or_default();
    json!({
        "iso8601": written("%Y-%m-%dT%H:%M:%S+0000"), "jira": written("%Y-%m-%dT%H:%M:%S%.3f+0000"),
        "friendly": written("%d/%b/%y %-I:%M %p"), "epochMillis": at.millis(),
    })
}

impl JsmCloud {
    /// The requests that this customer raised, oldest first.
    pub fn requests_of(&self, email: &str) -> Vec<CustomerRequest> {
        let state = self.state();
        let Some(id) = state.customer(email).map(|account| account.account_id.clone()) else { return Vec::new() };
        state.requests.iter().filter(|request| request.reporter == id).cloned().collect()
    }

    /// An attachment by its number.
    pub fn attachment(&self, id: u64) -> Option<Attachment> {
        self.state().attachments.get(&id).cloned()
    }

    /// Raises a request on a customer's behalf, without a call: for tests of lists. The key, unless it is refused.
    pub fn add_request(&self, email: &str, desk: &str, request_type: &str, summary: &str) -> Option<String> {
        let now = self.now();
        let mut state = self.state();
        let id = state.customer(email)?.account_id.clone();
        state.raise(&id, &Draft { desk, request_type, summary, description: "" }, now).ok()
    }
}
