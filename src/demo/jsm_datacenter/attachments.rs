//! Files: up in two steps (temporary, then attached), and down again.

use axum::Json;
use axum::extract::{Path, Query, State as Shared};
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::JsmDataCenter;
use super::guard::{Caller, JsonBody, SignedIn};
use super::html::percent;
use super::paging::{PageQuery, page};
use super::problem::Problem;
use super::requests::{Attachment, date_json};
use super::service_desk::visible_desk;
use super::state::State;
use crate::clock::Timestamp;
use crate::demo::jsm::upload::{TemporaryFile, WholeForm, file_of};

impl State {
    /// Attaches temporary files of that person to their request.
    pub(super) fn attach(
        &mut self,
        key: &str,
        owner: &str,
        ids: &[String],
        now: Timestamp,
    ) -> Result<Vec<u64>, Problem> {
        self.request_for(key, owner)?;
        let theirs = |id: &String| self.temporary.get(id).is_some_and(|file| file.owner == owner);
        if !ids.iter().all(theirs) {
            return Err(Problem::bad("A temporary attachment does not exist."));
        }
        let mut attached = Vec::new();
        for file in ids.iter().filter_map(|id| self.temporary.remove(id)).collect::<Vec<_>>() {
            attached.push(self.attach_file(key, file, now));
        }
        Ok(attached)
    }

    pub(super) fn attach_file(&mut self, key: &str, file: TemporaryFile, now: Timestamp) -> u64 {
        let id = self.fresh_id();
        let TemporaryFile { owner, name, media_type, bytes } = file;
        let attachment = Attachment { request: key.to_owned(), author: owner, name, media_type, bytes, created: now };
        self.attachments.insert(id, attachment);
        if let Some(request) = self.requests.iter_mut().find(|request| request.key == key) {
            request.attachments.push(id);
        }
        id
    }

    pub(super) fn attachment_url(&self, id: u64, attachment: &Attachment) -> String {
        self.url(&format!("/secure/attachment/{id}/{}", percent(&attachment.name)))
    }

    fn attachment_json(&self, id: u64, attachment: &Attachment) -> Value {
        json!({
            "filename": attachment.name, "size": attachment.bytes.len(), "mimeType": attachment.media_type,
            "author": self.person_json(&attachment.author), "created": date_json(attachment.created),
            "_links": {
                "self": self.url(&format!("/rest/api/2/attachment/{id}")),
                "content": self.attachment_url(id, attachment),
            },
        })
    }
}

/// `POST /rest/servicedeskapi/servicedesk/{id}/attachTemporaryFile`: the guard has seen `X-Atlassian-Token`.
pub(super) async fn attach_temporary_file(
    Shared(jsm): Shared<JsmDataCenter>,
    Caller(username): Caller,
    Path(id): Path<String>,
    WholeForm(mut form): WholeForm,
) -> Result<(StatusCode, Json<Value>), Problem> {
    visible_desk(&jsm.state(), &id, &username)?;
    let mut shown = Vec::new();
    let unreadable = |_| Problem::bad("The upload could not be read.");
    while let Some(field) = form.next_field().await.map_err(unreadable)? {
        if field.name() != Some("file") {
            continue;
        }
        if let Some(file) = file_of(field, &username).await? {
            let temporary = format!("temp{}", jsm.random().token()?);
            shown.push(json!({"temporaryAttachmentId": temporary, "fileName": file.name}));
            jsm.state().temporary.insert(temporary, file);
        }
    }
    match shown.is_empty() {
        true => Err(Problem::bad("There is no part named file.")),
        false => Ok((StatusCode::CREATED, Json(json!({"temporaryAttachments": shown})))),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewAttachments {
    temporary_attachment_ids: Vec<String>,
    additional_comment: Option<AdditionalComment>,
}

#[derive(Deserialize)]
struct AdditionalComment {
    body: Option<String>,
}

/// `POST /rest/servicedeskapi/request/{key}/attachment`.
pub(super) async fn attach(
    Shared(jsm): Shared<JsmDataCenter>,
    Caller(username): Caller,
    Path(key): Path<String>,
    JsonBody(new): JsonBody<NewAttachments>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let now = jsm.now();
    let mut state = jsm.state();
    let attached = state.attach(&key, &username, &new.temporary_attachment_ids, now)?;
    let comment = new.additional_comment.and_then(|comment| comment.body).filter(|body| !body.trim().is_empty());
    let comment = comment.map(|body| state.say(&key, &username, &body, now)).transpose()?;
    let comment = comment.map(|comment| state.comment_json(&key, &comment));
    let files = attached.iter().filter_map(|id| Some(state.attachment_json(*id, state.attachments.get(id)?)));
    let files: Vec<Value> = files.collect();
    let path = format!("/rest/servicedeskapi/request/{}/attachment", percent(&key));
    let shown = page(&state, &path, &PageQuery::default(), &files)?;
    let mut answer = json!({"attachments": shown});
    if let (Some(comment), Some(fields)) = (comment, answer.as_object_mut()) {
        fields.insert("comment".to_owned(), comment);
    }
    Ok((StatusCode::CREATED, Json(answer)))
}

/// `GET /rest/servicedeskapi/request/{key}/attachment`.
pub(super) async fn list(
    Shared(jsm): Shared<JsmDataCenter>,
    Caller(username): Caller,
    Path(key): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    let ids = &state.request_for(&key, &username)?.attachments;
    let all: Vec<Value> =
        ids.iter().filter_map(|id| Some(state.attachment_json(*id, state.attachments.get(id)?))).collect();
    Ok(Json(page(&state, &format!("/rest/servicedeskapi/request/{}/attachment", percent(&key)), &query, &all)?))
}

/// `GET /secure/attachment/{id}/{name}`.
pub(super) async fn download(
    Shared(jsm): Shared<JsmDataCenter>,
    who: SignedIn,
    Path((id, name)): Path<(u64, String)>,
) -> Result<Response, Problem> {
    let state = jsm.state();
    let missing = || Problem::page(StatusCode::NOT_FOUND, "This attachment does not exist.");
    let attachment = state.attachments.get(&id).filter(|found| found.name == name).ok_or_else(missing)?;
    state.request_for(&attachment.request, &who.username).map_err(|_| missing())?;
    let disposition = format!("attachment; filename*=UTF-8''{}", percent(&attachment.name));
    let headers = [
        (header::CONTENT_TYPE, attachment.media_type.clone()),
        (header::CONTENT_DISPOSITION, disposition),
        (header::CACHE_CONTROL, "private, no-store".to_owned()),
    ];
    Ok((headers, attachment.bytes.clone()).into_response())
}
