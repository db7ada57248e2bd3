//! The portal's pages. Absolute URLs stand in links, in the inline state (escaped) and in scripts, as on the real site.

use axum::extract::{Form, FromRequest as _, Multipart, Path, Request, State as Shared};
use axum::response::{Html, IntoResponse as _, Response};
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::JsmDataCenter;
use super::attachments::file_of;
use super::guard::{SignedIn, Visitor};
use super::html::{escape, js_string, json_in_script, percent};
use super::problem::{Problem, found};
use super::requests::{CustomerRequest, Draft};
use super::service_desk::{visible_desk, visible_desks};
use super::state::{State, TemporaryFile};

/// A whole page around `body`; `state` goes into the page's state, beside what every page tells its script.
pub(super) fn layout(jsm: &JsmDataCenter, visitor: &Visitor, title: &str, state: Value, body: &str) -> String {
    let site = jsm.state();
    let name =
        visitor.username.as_deref().and_then(|username| site.user(username)).map(|user| user.display_name.clone());
    let mut told = json!({
        "baseUrl": site.base_url, "xsrfToken": visitor.xsrf, "modelsUrl": site.url("/rest/servicedesk/1/customer/models"),
        "user": name,
    });
    if let (Some(told), Value::Object(more)) = (told.as_object_mut(), state) {
        told.extend(more);
    }
    let url = |path: &str| escape(&site.url(path));
    let account = match &name {
        Some(name) => format!(
            "<nav><a href=\"{}\">My requests</a><span class=\"who\">{}</span><a class=\"leave\" href=\"{}?atl_token={}\">Log out</a></nav>",
            url("/servicedesk/customer/user/requests"),
            escape(name),
            url("/servicedesk/customer/user/logout"),
            percent(&visitor.xsrf),
        ),
        None => format!("<nav><a href=\"{}\">Log in</a></nav>", url("/servicedesk/customer/user/login")),
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title} - Help Center</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta id=\"atlassian-token\" name=\"atlassian-token\" content=\"{token}\">\
         <base href=\"{home}\"><link rel=\"stylesheet\" href=\"{css}\"></head>\n\
         <body><header><a class=\"brand\" href=\"{portals}\"><img src=\"{logo}\" alt=\"\" width=\"28\" height=\"28\">Help Center</a>{account}</header>\n\
         <main>{body}</main>\n\
         <footer><a href=\"{article}\">How to write a good request</a><span id=\"connection\" role=\"status\"></span></footer>\n\
         <script type=\"application/json\" id=\"jsm-state\">{told}</script>\n\
         <script>window.AJS = {{contextPath: \"\", baseUrl: {base}}};</script>\n\
         <script src=\"{js}\"></script></body></html>\n",
        title = escape(title),
        token = escape(&visitor.xsrf),
        home = url("/"),
        css = url("/s/portal/1/portal.css"),
        portals = url("/servicedesk/customer/portals"),
        logo = url("/rest/servicedesk/1/customer/viewport-resources/portal-logo/1"),
        article = url("/servicedesk/customer/kb/view/1"),
        told = json_in_script(&told),
        base = js_string(&site.base_url),
        js = url("/s/portal/1/portal.js"),
    )
}

/// A page that is for one person's eyes.
fn private(page: String) -> Response {
    ([(header::CACHE_CONTROL, "no-cache, no-store, must-revalidate")], Html(page)).into_response()
}

/// Tells a desk's "does not exist" as a page.
fn as_page(problem: Problem) -> Problem {
    match problem {
        Problem::Desk(status, _, sentence) => Problem::Page(status, sentence),
        other => other,
    }
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
    let cards: String = {
        let state = jsm.state();
        let card = |desk: &super::service_desk::Desk| {
            let link = state.url(&format!("/servicedesk/customer/portal/{}", desk.id));
            let (name, about) = (escape(desk.name), escape(desk.description));
            format!("<a class=\"card\" href=\"{}\"><h2>{name}</h2><p>{about}</p></a>", escape(&link))
        };
        visible_desks(&state, &who.username).into_iter().map(card).collect()
    };
    let body = format!("<h1>How can we help?</h1><div class=\"cards\">{cards}</div>");
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
        let card = |kind: &super::service_desk::RequestType| {
            let link = state.url(&format!("/servicedesk/customer/portal/{}/create/{}", desk.id, kind.id));
            let (name, about) = (escape(kind.name), escape(kind.description));
            format!("<a class=\"card\" href=\"{}\"><h2>{name}</h2><p>{about}</p></a>", escape(&link))
        };
        let cards: String = desk.request_types.iter().map(card).collect();
        let (name, about) = (escape(desk.name), escape(desk.description));
        let body = format!("<h1>{name}</h1><p class=\"lead\">{about}</p><div class=\"cards\">{cards}</div>");
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
        let found = desk.request_types.iter().find(|known| known.id == kind);
        let found = found.ok_or_else(|| Problem::page(StatusCode::NOT_FOUND, "This request type does not exist."))?;
        let upload = state.url(&format!("/rest/servicedeskapi/servicedesk/{id}/attachTemporaryFile"));
        (found.name, state.url(&format!("/servicedesk/customer/portal/{id}/create/{kind}")), upload)
    };
    let trouble = match trouble {
        "" => String::new(),
        sentence => format!("<p class=\"trouble\" role=\"alert\">{}</p>", escape(sentence)),
    };
    let body = format!(
        "<form class=\"card\" id=\"create-request\" method=\"post\" enctype=\"multipart/form-data\" action=\"{action}\">\
         <h1>{name}</h1>{trouble}<input type=\"hidden\" name=\"atl_token\" value=\"{token}\">\
         <label>Summary<input name=\"summary\" maxlength=\"255\" value=\"{summary}\" required></label>\
         <label>Description<textarea name=\"description\" rows=\"6\">{description}</textarea></label>\
         <label>Attachments<input type=\"file\" name=\"attachment\" id=\"attachment\" multiple></label>\
         <ul id=\"uploads\" class=\"uploads\" aria-live=\"polite\"></ul><button>Send</button></form>",
        action = escape(&action),
        name = escape(name),
        token = escape(&who.visitor.xsrf),
        summary = escape(&filled.summary),
        description = escape(&filled.description),
    );
    let state = json!({"page": "create", "uploadUrl": upload});
    Ok(private(layout(jsm, &who.visitor, name, state, &body)))
}

/// What the form sends.
#[derive(Default)]
struct NewRequest {
    summary: String,
    description: String,
    atl_token: Option<String>,
    temporary: Vec<String>,
    files: Vec<TemporaryFile>,
}

impl NewRequest {
    fn take(&mut self, name: &str, value: String) {
        match name {
            "summary" => self.summary = value,
            "description" => self.description = value,
            "atl_token" => self.atl_token = Some(value),
            "temporaryAttachmentId" => self.temporary.push(value),
            _ => {}
        }
    }

    async fn read(request: Request, owner: &str) -> Result<Self, Problem> {
        let kind =
            request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let unreadable = || Problem::page(StatusCode::BAD_REQUEST, "The form could not be read.");
        let mut new = Self::default();
        if !kind.to_ascii_lowercase().starts_with("multipart/form-data") {
            let Form(pairs) =
                Form::<Vec<(String, String)>>::from_request(request, &()).await.map_err(|_| unreadable())?;
            for (name, value) in pairs {
                new.take(&name, value);
            }
            return Ok(new);
        }
        let mut form = Multipart::from_request(request, &()).await.map_err(|_| unreadable())?;
        while let Some(field) = form.next_field().await.map_err(|_| unreadable())? {
            let name = field.name().unwrap_or_default().to_owned();
            match name.as_str() {
                "attachment" => new.files.extend(file_of(field, owner).await?),
                _ => new.take(&name, field.text().await.map_err(|_| unreadable())?),
            }
        }
        Ok(new)
    }
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
    let rows: String = {
        let state = jsm.state();
        let own = state.requests.iter().rev().filter(|request| request.reporter == who.username);
        own.map(|request| {
            format!(
                "<li><a href=\"{}\"><span class=\"key\">{}</span> {}</a><span class=\"status\">Waiting for support</span></li>",
                escape(&state.portal_url(request)),
                escape(&request.key),
                escape(&request.summary)
            )
        })
        .collect()
    };
    let list = match rows.as_str() {
        "" => "<p class=\"lead\">You have raised no request yet.</p>".to_owned(),
        rows => format!("<ul class=\"requests\" id=\"requests\">{rows}</ul>"),
    };
    let body = format!("<h1>My requests</h1>{list}");
    private(layout(&jsm, &who.visitor, "My requests", json!({"page": "requests"}), &body))
}

fn conversation(state: &State, request: &CustomerRequest) -> String {
    let said = request.comments.iter().map(|comment| {
        let author = state.user(&comment.author).map_or(comment.author.as_str(), |user| user.display_name.as_str());
        format!("<li class=\"comment\"><b>{}</b><p>{}</p></li>", escape(author), escape(&comment.body))
    });
    said.collect()
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
        let files: String = request
            .attachments
            .iter()
            .filter_map(|id| {
                let file = state.attachments.get(id)?;
                let link = escape(&state.attachment_url(*id, file));
                Some(format!(
                    "<li><a href=\"{link}\">{}</a> <small>{} bytes</small></li>",
                    escape(&file.name),
                    file.bytes.len()
                ))
            })
            .collect();
        let body = format!(
            "<p class=\"crumbs\"><a href=\"{portal}\">Portal</a> / <span class=\"key\">{key}</span></p>\
             <h1>{summary}</h1><section class=\"card\"><p class=\"description\">{description}</p>\
             <h2>Attachments</h2><ul id=\"attachments\" class=\"uploads\">{files}</ul>\
             <label>Add a file<input type=\"file\" id=\"attachment\" multiple></label>\
             <ul id=\"uploads\" class=\"uploads\" aria-live=\"polite\"></ul></section>\
             <section class=\"card\"><h2>Activity</h2><ul id=\"comments\" class=\"comments\">{comments}</ul>\
             <form id=\"comment-form\" method=\"post\" action=\"{action}\">\
             <input type=\"hidden\" name=\"atl_token\" value=\"{token}\">\
             <label>Comment<textarea name=\"comment\" rows=\"3\" required></textarea></label><button>Add</button></form></section>",
            portal = escape(&state.url(&format!("/servicedesk/customer/portal/{}", request.desk))),
            key = escape(&request.key),
            summary = escape(&request.summary),
            description = escape(&request.description),
            comments = conversation(&state, request),
            action = escape(&format!("{}/comment", state.portal_url(request))),
            token = escape(&who.visitor.xsrf),
        );
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
    let (title, text) = match number.as_str() {
        "1" => ("How to write a good request", "Say what you did, what you expected, and what happened instead."),
        "2" => ("Where to find an order number", "It stands at the top of the order's e-mail."),
        _ => return Err(Problem::page(StatusCode::NOT_FOUND, "This article does not exist.")),
    };
    let body = format!("<article class=\"card\"><h1>{title}</h1><p>{text}</p></article>");
    Ok(Html(layout(&jsm, &visitor, title, json!({"page": "article"}), &body)))
}
