//! Files: up in two steps (temporary, then attached), and down again.

use axum::Json;
use axum::extract::{Path, State as Shared};
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::JsmCloud;
use super::desks::{Paging, visible_desk};
use super::extract::{Caller, JsonBody, Params};
use super::html::percent;
use super::problem::Problem;
use super::requests::{Attachment, CustomerRequest, date_json};
use super::state::State;
use crate::clock::Timestamp;
use crate::demo::jsm::paging;
use crate::demo::jsm::upload::{TemporaryFile, WholeForm, file_of};

impl State {
    fn owns_all(&self, owner: &str, ids: &[String]) -> bool {
        ids.iter().all(|id| self.temporary.get(id).is_some_and(|file| file.owner == owner))
    }

    /// Refuses the ids of files that are not this person's.
    pub(super) fn check_temporary(&self, owner: &str, ids: &[String]) -> Result<(), Problem> {
        match self.owns_all(owner, ids) {
            true => Ok(()),
            false => Err(Problem::bad("A temporary attachment does not exist.")),
        }
    }

    /// Attaches temporary files of that person to a request that they see.
    pub(super) fn attach(
        &mut self,
        key: &str,
        owner: &str,
        ids: &[String],
        now: Timestamp,
    ) -> Result<Vec<u64>, Problem> {
        self.check_temporary(owner, ids)?;
        let mut attached = Vec::new();
        for file in ids.iter().filter_map(|id| self.temporary.remove(id)).collect::<Vec<_>>() {
            attached.push(self.attach_file(key, file, now)?);
        }
        Ok(attached)
    }

    pub(super) fn attach_file(&mut self, key: &str, file: TemporaryFile, now: Timestamp) -> Result<u64, Problem> {
        let id = self.fresh_id();
        let TemporaryFile { owner, name, media_type, bytes } = file;
        let request = self.request_for_mut(key, &owner)?;
        request.attachments.push(id);
        let request = request.key.clone();
        self.attachments.insert(id, Attachment { request, author: owner, name, media_type, bytes, created: now });
        Ok(id)
    }

    fn attachment_json(&self, base: &str, id: u64, file: &Attachment) -> Value {
        let path = format!("/rest/servicedeskapi/request/{}/attachment/{id}", percent(&file.request));
        json!({
            "filename": file.name, "size": file.bytes.len(), "mimeType": file.media_type,
            "author": self.person_json(base, &file.author), "created": date_json(file.created),
            "_links": {
                "self": format!("{base}{path}"), "jiraRest": format!("{base}/rest/api/2/attachment/{id}"),
                "content": format!("{base}{path}"), "thumbnail": format!("{base}{path}/thumbnail"),
            },
        })
    }

    pub(super) fn attachments_json(&self, base: &str, request: &CustomerRequest) -> Vec<Value> {
        let files = request.attachments.iter().filter_map(|id| Some((id, self.attachments.get(id)?)));
        files.map(|(id, file)| self.attachment_json(base, *id, file)).collect()
    }

    /// Where the portal's pages say that a file is.
    pub(super) fn attachment_url(&self, id: u64, file: &Attachment) -> String {
        self.url(&format!("/rest/servicedeskapi/request/{}/attachment/{id}", percent(&file.request)))
    }
}

/// `POST /rest/servicedeskapi/servicedesk/{id}/attachTemporaryFile`: the guard has seen `X-Atlassian-Token`.
pub(super) async fn attach_temporary_file(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    Path(id): Path<String>,
    WholeForm(mut form): WholeForm,
) -> Result<(StatusCode, Json<Value>), Problem> {
    visible_desk(&jsm.state(), &id, &caller.account)?;
    let mut shown = Vec::new();
    let unreadable = |_| Problem::bad("The upload could not be read.");
    while let Some(field) = form.next_field().await.map_err(unreadable)? {
        if field.name() != Some("file") {
            return Err(Problem::bad("The parts of the upload have to be named file."));
        }
        if let Some(file) = file_of(field, &caller.account).await? {
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
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewAttachments {
    temporary_attachment_ids: Vec<String>,
    additional_comment: Option<AdditionalComment>,
    public: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdditionalComment {
    body: Option<String>,
}

/// `POST /rest/servicedeskapi/request/{key}/attachment`.
pub(super) async fn attach(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    Path(key): Path<String>,
    JsonBody(new): JsonBody<NewAttachments>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let now = jsm.now();
    let mut state = jsm.state();
    if new.temporary_attachment_ids.is_empty() {
        return Err(Problem::bad("No temporary attachments were given."));
    }
    let attached = state.attach(&key, &caller.account, &new.temporary_attachment_ids, now)?;
    let text = new.additional_comment.and_then(|said| said.body).filter(|body| !body.trim().is_empty());
    let public = new.public.unwrap_or(true);
    let said = text.map(|body| state.say(&key, &caller.account, &body, public, now)).transpose()?;
    let files = attached.iter().filter_map(|id| Some((id, state.attachments.get(id)?)));
    let files: Vec<Value> = files.map(|(id, file)| state.attachment_json(&caller.base, *id, file)).collect();
    let path = format!("/rest/servicedeskapi/request/{}/attachment", percent(&key));
    let mut shown = json!({"attachments": paging::page(&caller.base, &path, paging::Wanted::default(), &files)?});
    if let (Some(said), Some(fields)) = (said, shown.as_object_mut()) {
        fields.insert("comment".to_owned(), state.comment_json(&caller.base, &key, &said));
    }
    Ok((StatusCode::CREATED, Json(shown)))
}

/// `GET /rest/servicedeskapi/request/{key}/attachment`.
pub(super) async fn list(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    Path(key): Path<String>,
    Params(wanted): Params<Paging>,
) -> Result<Json<Value>, Problem> {
    let state = jsm.state();
    let request = state.request_for(&key, &caller.account)?;
    let all = state.attachments_json(&caller.base, request);
    let path = format!("/rest/servicedeskapi/request/{}/attachment", percent(&request.key));
    Ok(Json(paging::page(&caller.base, &path, wanted.wanted(&[]), &all)?))
}

/// `GET /rest/servicedeskapi/request/{key}/attachment/{id}`: the file itself.
pub(super) async fn download(
    Shared(jsm): Shared<JsmCloud>,
    caller: Caller,
    Path((key, id)): Path<(String, u64)>,
) -> Result<Response, Problem> {
    let state = jsm.state();
    let request = state.request_for(&key, &caller.account)?;
    let missing = || Problem::not_found("The attachment");
    let file = state.attachments.get(&id).filter(|file| file.request == request.key).ok_or_else(missing)?;
    let headers = [
        (header::CONTENT_TYPE, file.media_type.clone()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename*=UTF-8''{}", percent(&file.name))),
        (header::CACHE_CONTROL, "private, no-store".to_owned()),
    ];
    Ok((headers, file.bytes.clone()).into_response())
}
