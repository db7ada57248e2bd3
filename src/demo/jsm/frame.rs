//! What stands around every page of a portal. Absolute URLs stand in links, in the inline state (escaped) and in scripts.

use axum::response::{Html, IntoResponse as _, Response};
use http::header;
use serde_json::{Value, json};

use super::html::{escape, js_string, json_in_script, percent};
use super::problem::Problem;

/// The site and the visitor that a page is made for.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The site's URL without a slash at the end.
    pub base_url: String,
    /// The token against cross-site requests of this visitor.
    pub xsrf: String,
    /// The visitor's name, if they are signed in.
    pub user: Option<String>,
    /// Lines of the site's own kind, for the end of the head.
    pub head: String,
}

impl Frame {
    /// The absolute URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    /// A whole page around `body`; `state` goes into the page's state, beside what every page tells its script.
    pub fn page(&self, title: &str, state: Value, body: &str) -> String {
        let mut told = json!({
            "baseUrl": self.base_url, "xsrfToken": self.xsrf, "modelsUrl": self.url("/rest/servicedesk/1/customer/models"),
            "user": self.user,
        });
        if let (Some(told), Value::Object(more)) = (told.as_object_mut(), state) {
            told.extend(more);
        }
        let url = |path: &str| escape(&self.url(path));
        let account = match &self.user {
            Some(name) => format!(
                "<nav><a href=\"{}\">My requests</a><span class=\"who\">{}</span><a class=\"leave\" href=\"{}?atl_token={}\">Log out</a></nav>",
                url("/servicedesk/customer/user/requests"),
                escape(name),
                url("/servicedesk/customer/user/logout"),
                percent(&self.xsrf),
            ),
            None => format!("<nav><a href=\"{}\">Log in</a></nav>", url("/servicedesk/customer/user/login")),
        };
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title} - Help Center</title>\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta id=\"atlassian-token\" name=\"atlassian-token\" content=\"{token}\">\
             <base href=\"{home}\"><link rel=\"stylesheet\" href=\"{css}\">{head}</head>\n\
             <body><header><a class=\"brand\" href=\"{portals}\"><img src=\"{logo}\" alt=\"\" width=\"28\" height=\"28\">Help Center</a>{account}</header>\n\
             <main>{body}</main>\n\
             <footer><a href=\"{article}\">How to write a good request</a><span id=\"connection\" role=\"status\"></span></footer>\n\
             <script type=\"application/json\" id=\"jsm-state\">{told}</script>\n\
             <script>window.AJS = {{contextPath: \"\", baseUrl: {base}}};</script>\n\
             <script src=\"{js}\"></script></body></html>\n",
            title = escape(title),
            token = escape(&self.xsrf),
            head = self.head,
            home = url("/"),
            css = url("/s/portal/1/portal.css"),
            portals = url("/servicedesk/customer/portals"),
            logo = url("/rest/servicedesk/1/customer/viewport-resources/portal-logo/1"),
            article = url("/servicedesk/customer/kb/view/1"),
            told = json_in_script(&told),
            base = js_string(&self.base_url),
            js = url("/s/portal/1/portal.js"),
        )
    }
}

/// A page that is for one person's eyes.
pub fn private(page: String) -> Response {
    ([(header::CACHE_CONTROL, "no-cache, no-store, must-revalidate")], Html(page)).into_response()
}

/// Tells a desk's "does not exist" as a page.
pub fn as_page(problem: Problem) -> Problem {
    match problem {
        Problem::Desk(status, _, sentence) => Problem::Page(status, sentence),
        other => other,
    }
}
