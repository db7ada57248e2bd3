//! The portal's pages. Absolute URLs of the site stand in links, in the inline state, in scripts and in queries.

use axum::extract::{Form, Path, Request, State as Shared};
use axum::response::{Html, IntoResponse as _, Response};
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::JsmCloud;
use super::desks::{portal_json, visible_desk, visible_desks};
use super::extract::{Params, SignedIn};
use super::guard::Visitor;
use super::html::{escape, percent, script_state};
use super::problem::{Problem, found};
use super::requests::{CustomerRequest, Draft, STATUS};
use super::state::State;
use crate::demo::jsm::frame::{Frame, as_page, private};
use crate::demo::jsm::request_form::NewRequest;
use crate::demo::jsm::views;

/// What stands around every page, in this site's own way.
pub(super) fn frame(jsm: &JsmCloud, visitor: &Visitor) -> Frame {
    let site = jsm.state();
    let user = visitor.account.as_deref().and_then(|id| site.account(id)).map(|account| account.display_name.clone());
    let told = json!({
        "cloudId": site.cloud_id, "baseUrl": site.base_url, "xsrfToken": visitor.xsrf,
        "portals": site.url("/servicedesk/customer/portals"), "loggedIn": visitor.account.is_some(),
    });
    let log_in = site.url(&format!(
        "/servicedesk/customer/user/login?destination={}",
        percent(&site.url("/servicedesk/customer/portals"))
    ));
    let head = format!(
        "<meta name=\"ajs-base-url\" content=\"{base}\"><link rel=\"alternate\" href=\"{log_in}\">\
         <style>.brand::before {{ background: url({base}/s/portal/1/brand.svg) }}</style>\
         <script>window.__PORTAL_STATE__ = JSON.parse(\"{told}\");</script>",
        base = escape(&site.base_url),
        log_in = escape(&log_in),
        told = script_state(&told),
    );
    Frame { base_url: site.base_url.clone(), xsrf: visitor.xsrf.clone(), user, head }
}

/// `GET /` and `/servicedesk/customer`.
pub(super) async fn to_portals(Shared(jsm): Shared<JsmCloud>) -> Response {
    found(&jsm.state().url("/servicedesk/customer/portals"))
}

/// `GET /browse/{key}`: an absolute redirect to the request.
pub(super) async fn browse(
    Shared(jsm): Shared<JsmCloud>,
    who: SignedIn,
    Path(key): Path<String>,
) -> Result<Response, Problem> {
    let state = jsm.state();
    let request = state.request_for(&key, &who.account).map_err(as_page)?;
    Ok(found(&state.portal_url(request)))
}

/// `GET /servicedesk/customer/portals`.
pub(super) async fn portals(Shared(jsm): Shared<JsmCloud>, who: SignedIn) -> Response {
    let (body, told) = {
        let state = jsm.state();
        let desks = visible_desks(&state, &who.account);
        let told: Vec<Value> = desks.iter().map(|desk| portal_json(&state, desk)).collect();
        (views::portals(|path| state.url(path), desks.into_iter()), told)
    };
    private(frame(&jsm, &who.visitor).page("Portals", json!({"page": "portals", "portals": told}), &body))
}

/// `GET /servicedesk/customer/portal/{id}`.
pub(super) async fn portal(
    Shared(jsm): Shared<JsmCloud>,
    who: SignedIn,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (title, told, body) = {
        let state = jsm.state();
        let desk = visible_desk(&state, &id, &who.account).map_err(as_page)?;
        let told = json!({"page": "portal", "portal": portal_json(&state, desk)});
        (desk.name, told, views::portal(|path| state.url(path), desk))
    };
    Ok(private(frame(&jsm, &who.visitor).page(title, told, &body)))
}

/// `GET /servicedesk/customer/portal/{id}/create/{type}`.
pub(super) async fn create_form(
    Shared(jsm): Shared<JsmCloud>,
    who: SignedIn,
    Path((id, kind)): Path<(String, String)>,
) -> Result<Response, Problem> {
    form(&jsm, &who, &id, &kind, &NewRequest::default(), "")
}

fn form(
    jsm: &JsmCloud,
    who: &SignedIn,
    id: &str,
    kind: &str,
    filled: &NewRequest,
    wrong: &str,
) -> Result<Response, Problem> {
    let (name, action, told) = {
        let state = jsm.state();
        let desk = visible_desk(&state, id, &who.account).map_err(as_page)?;
        let missing = || Problem::page(StatusCode::NOT_FOUND, "This request type does not exist.");
        let found = desk.request_type(kind).ok_or_else(missing)?;
        let upload = state.url(&format!("/rest/servicedeskapi/servicedesk/{id}/attachTemporaryFile"));
        let action = state.url(&format!("/servicedesk/customer/portal/{id}/create/{kind}"));
        (found.name, action, json!({"page": "create", "uploadUrl": upload}))
    };
    let body = views::request_form(name, &action, &who.visitor.xsrf, filled, wrong);
    Ok(private(frame(jsm, &who.visitor).page(name, told, &body)))
}

/// `POST /servicedesk/customer/portal/{id}/create/{type}`: a redirect to the request; JSON for scripts.
pub(super) async fn create(
    Shared(jsm): Shared<JsmCloud>,
    who: SignedIn,
    Path((id, kind)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let wants_json = accept.starts_with("application/json");
    let mut new = NewRequest::read(request, &who.account).await.map_err(as_page)?;
    who.visitor.check_token(new.atl_token.as_deref())?;
    match raise(&jsm, &who.account, &id, &kind, &mut new) {
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
    jsm: &JsmCloud,
    account_id: &str,
    desk: &str,
    kind: &str,
    new: &mut NewRequest,
) -> Result<(String, String), Problem> {
    let now = jsm.now();
    let mut state = jsm.state();
    let draft = Draft { desk, request_type: kind, summary: &new.summary, description: &new.description };
    state.check_temporary(account_id, &new.temporary)?;
    let key = state.raise(account_id, &draft, now)?;
    state.attach(&key, account_id, &new.temporary, now)?;
    for file in std::mem::take(&mut new.files) {
        state.attach_file(&key, file, now)?;
    }
    let url = state.portal_url(state.request_for(&key, account_id)?);
    Ok((key, url))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Whose {
    /// `me`, `all`, or `org-` and the number of an organization.
    reporter: Option<String>,
}

/// `GET /servicedesk/customer/user/requests?reporter=`: one's own, or those of an organization that one is in.
pub(super) async fn my_requests(
    Shared(jsm): Shared<JsmCloud>,
    who: SignedIn,
    Params(whose): Params<Whose>,
) -> Response {
    let body = {
        let state = jsm.state();
        let whose = whose.reporter.as_deref().unwrap_or("me");
        let organization = whose.strip_prefix("org-").and_then(|id| id.parse::<u64>().ok());
        let belongs = |id: &u64| state.organizations.get(id).is_some_and(|one| one.members.contains(&who.account));
        let wanted = |request: &&CustomerRequest| match (whose, organization) {
            (_, Some(id)) => request.organizations.contains(&id) && belongs(&id),
            ("all", None) => {
                let shared = request.organizations.iter().any(belongs);
                request.reporter == who.account || request.participants.contains(&who.account) || shared
            }
            _ => request.reporter == who.account,
        };
        let rows = state.requests.iter().rev().filter(wanted).map(|request| views::Row {
            link: state.portal_url(request),
            key: &request.key,
            summary: &request.summary,
            status: STATUS,
        });
        let title = organization.filter(belongs).and_then(|id| state.organizations.get(&id));
        let title = title.map_or("My requests", |organization| organization.name.as_str());
        format!("{}{}", views::requests(title, rows), choices(&state, &who.account))
    };
    private(frame(&jsm, &who.visitor).page("My requests", json!({"page": "requests"}), &body))
}

/// Links to the requests of each organization that this person is in.
fn choices(state: &State, account_id: &str) -> String {
    let theirs = state.organizations.iter().filter(|(_, one)| one.members.contains(account_id));
    let links: String = theirs
        .map(|(id, one)| {
            let link = state.url(&format!("/servicedesk/customer/user/requests?reporter=org-{id}"));
            format!("<li><a href=\"{}\">{}</a></li>", escape(&link), escape(&one.name))
        })
        .collect();
    match links.as_str() {
        "" => String::new(),
        links => {
            format!("<section class=\"card\"><h2>Organizations</h2><ul id=\"organizations\">{links}</ul></section>")
        }
    }
}

fn view<'a>(state: &'a State, request: &'a CustomerRequest) -> views::RequestView<'a> {
    let file = |id: &u64| {
        let file = state.attachments.get(id)?;
        Some(views::FileLine { link: state.attachment_url(*id, file), name: &file.name, size: file.bytes.len() })
    };
    let name = |author: &'a str| state.account(author).map_or(author, |account| account.display_name.as_str());
    let shared = request.organizations.iter().filter_map(|id| state.organizations.get(id));
    let shared: String = shared.map(|one| format!("<li>{}</li>", escape(&one.name))).collect();
    let said = request.comments.iter().filter(|said| said.public);
    views::RequestView {
        portal_link: state.url(&format!("/servicedesk/customer/portal/{}", request.desk)),
        comment_action: format!("{}/comment", state.portal_url(request)),
        key: &request.key,
        summary: &request.summary,
        description: &request.description,
        files: request.attachments.iter().filter_map(file).collect(),
        comments: said.map(|said| (name(&said.author), said.body.as_str())).collect(),
        more: if shared.is_empty() {
            String::new()
        } else {
            format!("<p>Shared with</p><ul id=\"shared-with\">{shared}</ul>")
        },
    }
}

/// `GET /servicedesk/customer/portal/{id}/{key}`.
pub(super) async fn request(
    Shared(jsm): Shared<JsmCloud>,
    who: SignedIn,
    Path((id, key)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let (title, told, body) = {
        let state = jsm.state();
        let request = state.request_for(&key, &who.account).map_err(as_page)?;
        if request.desk != id {
            return Err(as_page(Problem::not_found("The request")));
        }
        let rest = state.url(&format!("/rest/servicedeskapi/request/{}", percent(&request.key)));
        let body = views::request(&view(&state, request), &who.visitor.xsrf);
        let upload = state.url(&format!("/rest/servicedeskapi/servicedesk/{}/attachTemporaryFile", request.desk));
        let told = json!({
            "page": "request", "uploadUrl": upload, "commentUrl": format!("{rest}/comment"),
            "attachmentUrl": format!("{rest}/attachment"), "request": state.request_json(&state.base_url, request),
        });
        (request.key.clone(), told, body)
    };
    Ok(private(frame(&jsm, &who.visitor).page(&title, told, &body)))
}

#[derive(Deserialize)]
pub(super) struct NewComment {
    comment: String,
    atl_token: Option<String>,
}

/// `POST /servicedesk/customer/portal/{id}/{key}/comment`.
pub(super) async fn comment(
    Shared(jsm): Shared<JsmCloud>,
    who: SignedIn,
    Path((_, key)): Path<(String, String)>,
    Form(new): Form<NewComment>,
) -> Result<Response, Problem> {
    who.visitor.check_token(new.atl_token.as_deref())?;
    let now = jsm.now();
    let mut state = jsm.state();
    state.say(&key, &who.account, &new.comment, true, now).map_err(as_page)?;
    let request = state.request_for(&key, &who.account).map_err(as_page)?;
    Ok(found(&state.portal_url(request)))
}

/// `GET /servicedesk/customer/kb/view/{number}`: open to everybody.
pub(super) async fn article(
    Shared(jsm): Shared<JsmCloud>,
    visitor: Visitor,
    Path(number): Path<String>,
) -> Result<Html<String>, Problem> {
    let missing = || Problem::page(StatusCode::NOT_FOUND, "This article does not exist.");
    let (title, text) = views::article(&number).ok_or_else(missing)?;
    let body = format!("<article class=\"card\"><h1>{title}</h1><p>{text}</p></article>");
    Ok(Html(frame(&jsm, &visitor).page(title, json!({"page": "article"}), &body)))
}
