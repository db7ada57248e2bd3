//! The portal's pages. Absolute URLs stand in links, in the inline state (escaped) and in scripts, as on the real site.

use axum::extract::{Form, Path, Request, State as Shared};
use axum::response::{Html, IntoResponse as _, Response};
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::JsmDataCenter;
use super::guard::{SignedIn, Visitor};
use super::html::percent;
use super::problem::{Problem, found};
use super::requests::{CustomerRequest, Draft};
use super::service_desk::{visible_desk, visible_desks};
use super::state::State;
use crate::demo::jsm::frame::{Frame, as_page, private};
use crate::demo::jsm::request_form::NewRequest;
use crate::demo::jsm::views;

/// A whole page around `body`; `state` goes into the page's state, beside what every page tells its script.
pub(super) fn layout(jsm: &JsmDataCenter, visitor: &Visitor, title: &str, state: Value, body: &str) -> String {
    let frame = {
        let site = jsm.state();
        let user = visitor.username.as_deref().and_then(|username| site.user(username));
        let user = user.map(|user| user.display_name.clone());
        Frame { base_url: site.base_url.clone(), xsrf: visitor.xsrf.clone(), user, head: String::new() }
    };
    frame.page(title, state, body)
}

/// `GET /` and `/servicedesk/customer`.
pub(super) async fn to_portals(Shared(jsm): Shared<JsmDataCenter>) -> Response {
    found(&jsm.state().url("/servicedesk/customer/portals"))
}

/// `GET /browse/{key}`: an absolute redirect to the request.
pub(super) async fn browse(
    Shared(jsm): Shared<JsmDataCenter>,
    who: SignedIn,
    Path(key): Path<String>,
) -> Result<Response, Problem> {
    let state = jsm.state();
    let request = state.request_for(&key, &who.username).map_err(as_page)?;
    Ok(found(&state.portal_url(request)))
}

/// `GET /servicedesk/customer/portals`.
pub(super) async fn portals(Shared(jsm): Shared<JsmDataCenter>, who: SignedIn) -> Response {
    let body = {
        let state = jsm.state();
        views::portals(|path| state.url(path), visible_desks(&state, &who.username).into_iter())
    };
    private(layout(&jsm, &who.visitor, "Portals", json!({"page": "portals"}), &body))
}

/// `GET /servicedesk/customer/portal/{id}`.
pub(super) async fn portal(
    Shared(jsm): Shared<JsmDataCenter>,
    who: SignedIn,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (title, state_json, body) = {
        let state = jsm.state();
        let desk = visible_desk(&state, &id, &who.username).map_err(as_page)?;
        let body = views::portal(|path| state.url(path), desk);
        (desk.name, json!({"page": "portal", "portal": desk.portal_json(&state)}), body)
    };
    Ok(private(layout(&jsm, &who.visitor, title, state_json, &body)))
}

/// `GET /servicedesk/customer/portal/{id}/create/{type}`.
pub(super) async fn create_form(
    Shared(jsm): Shared<JsmDataCenter>,
    who: SignedIn,
    Path((id, kind)): Path<(String, String)>,
) -> Result<Response, Problem> {
    form(&jsm, &who, &id, &kind, &NewRequest::default(), "")
}

fn form(
    jsm: &JsmDataCenter,
    who: &SignedIn,
    id: &str,
    kind: &str,
    filled: &NewRequest,
    trouble: &str,
) -> Result<Response, Problem> {
    let (name, action, upload) = {
        let state = jsm.state();
        let desk = visible_desk(&state, id, &who.username).map_err(as_page)?;
        let found = desk.request_type(kind);
        let found = found.ok_or_else(|| Problem::page(StatusCode::NOT_FOUND, "This request type does not exist."))?;
        let upload = state.url(&format!("/rest/servicedeskapi/servicedesk/{id}/attachTemporaryFile"));
        (found.name, state.url(&format!("/servicedesk/customer/portal/{id}/create/{kind}")), upload)
    };
    let body = views::request_form(name, &action, &who.visitor.xsrf, filled, trouble);
    let state = json!({"page": "create", "uploadUrl": upload});
    Ok(private(layout(jsm, &who.visitor, name, state, &body)))
}

/// `POST /servicedesk/customer/portal/{id}/create/{type}`: a redirect to the request; JSON for scripts.
pub(super) async fn create(
    Shared(jsm): Shared<JsmDataCenter>,
    who: SignedIn,
    Path((id, kind)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let wants_json = accept.starts_with("application/json");
    let mut new = NewRequest::read(request, &who.username).await.map_err(as_page)?;
    who.visitor.check_token(new.atl_token.as_deref())?;
    match raise(&jsm, &who.username, &id, &kind, &mut new) {
        Ok((key, url)) if wants_json => Ok(axum::Json(json!({"issue": {"key": key, "url": url}})).into_response()),
        Ok((_, url)) => Ok(found(&url)),
        Err(Problem::Desk(StatusCode::BAD_REQUEST, _, sentence)) if !wants_json => {
            let mut page = form(&jsm, &who, &id, &kind, &new, &sentence)?;
            *page.status_mut() = StatusCode::BAD_REQUEST;
            Ok(page)
        }
        Err(problem) if wants_json => Err(problem),
        Err(problem) => Err(as_page(problem)),
    }
}

fn raise(
    jsm: &JsmDataCenter,
    username: &str,
    desk: &str,
    kind: &str,
    new: &mut NewRequest,
) -> Result<(String, String), Problem> {
    let now = jsm.now();
    let mut state = jsm.state();
    let draft = Draft { desk, request_type: kind, summary: &new.summary, description: &new.description };
    let theirs = |id: &String| state.temporary.get(id).is_some_and(|file| file.owner == username);
    if !new.temporary.iter().all(theirs) {
        return Err(Problem::bad("An uploaded file is gone. Attach it again."));
    }
    let key = state.raise(username, &draft, now)?;
    state.attach(&key, username, &new.temporary, now)?;
    for file in std::mem::take(&mut new.files) {
        state.attach_file(&key, file, now);
    }
    let url = state.portal_url(state.request_for(&key, username)?);
    Ok((key, url))
}

/// `GET /servicedesk/customer/user/requests`.
pub(super) async fn my_requests(Shared(jsm): Shared<JsmDataCenter>, who: SignedIn) -> Response {
    let body = {
        let state = jsm.state();
        let own = state.requests.iter().rev().filter(|request| request.reporter == who.username);
        let rows = own.map(|request| views::Row {
            link: state.portal_url(request),
            key: &request.key,
            summary: &request.summary,
            status: "Waiting for support",
        });
        views::requests("My requests", rows)
    };
    private(layout(&jsm, &who.visitor, "My requests", json!({"page": "requests"}), &body))
}

fn view<'a>(state: &'a State, request: &'a CustomerRequest) -> views::RequestView<'a> {
    let file = |id: &u64| {
        let file = state.attachments.get(id)?;
        Some(views::FileLine { link: state.attachment_url(*id, file), name: &file.name, size: file.bytes.len() })
    };
    let name = |author: &'a str| state.user(author).map_or(author, |user| user.display_name.as_str());
    views::RequestView {
        portal_link: state.url(&format!("/servicedesk/customer/portal/{}", request.desk)),
        comment_action: format!("{}/comment", state.portal_url(request)),
        key: &request.key,
        summary: &request.summary,
        description: &request.description,
        files: request.attachments.iter().filter_map(file).collect(),
        comments: request.comments.iter().map(|said| (name(&said.author), said.body.as_str())).collect(),
        more: String::new(),
    }
}

/// `GET /servicedesk/customer/portal/{id}/{key}`.
pub(super) async fn request(
    Shared(jsm): Shared<JsmDataCenter>,
    who: SignedIn,
    Path((id, key)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let (title, state_json, body) = {
        let state = jsm.state();
        let request = state.request_for(&key, &who.username).map_err(as_page)?;
        if request.desk != id {
            return Err(as_page(Problem::not_found("The request")));
        }
        let rest = state.url(&format!("/rest/servicedeskapi/request/{}", percent(&key)));
        let body = views::request(&view(&state, request), &who.visitor.xsrf);
        let upload = format!("/rest/servicedeskapi/servicedesk/{}/attachTemporaryFile", request.desk);
        let told = json!({
            "page": "request", "uploadUrl": state.url(&upload), "commentUrl": format!("{rest}/comment"),
            "attachmentUrl": format!("{rest}/attachment"), "request": state.request_json(request),
        });
        (request.key.clone(), told, body)
    };
    Ok(private(layout(&jsm, &who.visitor, &title, state_json, &body)))
}

#[derive(Deserialize)]
pub(super) struct NewComment {
    comment: String,
    atl_token: Option<String>,
}

/// `POST /servicedesk/customer/portal/{id}/{key}/comment`.
pub(super) async fn comment(
    Shared(jsm): Shared<JsmDataCenter>,
    who: SignedIn,
    Path((_, key)): Path<(String, String)>,
    Form(new): Form<NewComment>,
) -> Result<Response, Problem> {
    who.visitor.check_token(new.atl_token.as_deref())?;
    let now = jsm.now();
    let mut state = jsm.state();
    state.say(&key, &who.username, &new.comment, now).map_err(as_page)?;
    let request = state.request_for(&key, &who.username).map_err(as_page)?;
    Ok(found(&state.portal_url(request)))
}

/// `GET /servicedesk/customer/kb/view/{number}`: open to everybody.
pub(super) async fn article(
    Shared(jsm): Shared<JsmDataCenter>,
    visitor: Visitor,
    Path(number): Path<String>,
) -> Result<Html<String>, Problem> {
    let missing = || Problem::page(StatusCode::NOT_FOUND, "This article does not exist.");
    let (title, text) = views::article(&number).ok_or_else(missing)?;
    let body = format!("<article class=\"card\"><h1>{title}</h1><p>{text}</p></article>");
    Ok(Html(layout(&jsm, &visitor, title, json!({"page": "article"}), &body)))
}
