//! The pages of the identity providers: readable on a phone, in the dark, with a keyboard and without scripts.

use askama::Template;
use axum::response::{Html, IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use url::Url;

use super::openid_provider::Person;
use crate::saml::binding::post::PostForm;

/// The frame of every page. `nonce` lets the style through the content security policy.
#[derive(Template)]
#[template(
    ext = "html",
    source = r##"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ title }} - Demo identity provider</title>
<style nonce="{{ nonce }}">
:root { --back: #eef1f6; --card: #fff; --text: #1b2333; --soft: #55607a; --line: #c9d0de; --accent: #2b50c8; --hover: #f3f6ff; }
@media (prefers-color-scheme: dark) {
  :root { --back: #10141d; --card: #1a202d; --text: #e9edf6; --soft: #a5b0c8; --line: #3a455c; --accent: #8fabff; --hover: #232c3f; }
}
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem;
  background: var(--back); color: var(--text); font: 1rem/1.5 system-ui, sans-serif; }
main { width: 100%; max-width: 26rem; padding: 1.75rem 1.5rem; background: var(--card);
  border: 1px solid var(--line); border-radius: 1rem; overflow-wrap: anywhere; }
.mark { margin: 0 0 .75rem; color: var(--soft); font-size: .875rem; }
h1 { margin: 0 0 .5rem; font-size: 1.5rem; line-height: 1.25; }
p { margin: 0 0 1.25rem; color: var(--soft); }
form { display: grid; gap: .75rem; }
button { width: 100%; min-height: 3rem; padding: .75rem 1rem; border: 1px solid var(--line); border-radius: .75rem;
  background: transparent; color: inherit; font: inherit; text-align: start; cursor: pointer; }
button:hover { background: var(--hover); border-color: var(--accent); }
button:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
button.chosen { border: 2px solid var(--accent); }
button.plain { border-color: transparent; color: var(--accent); text-align: center; }
.name { display: block; font-weight: 600; }
.more { display: block; color: var(--soft); font-size: .875rem; }
</style>
</head>
<body>
<main>
<p class="mark">Demo identity provider</p>
<h1>{{ title }}</h1>
<p>{{ text }}</p>
{% if let Some(form) = form %}
<form method="post" action="{{ form.action }}">
{% for (name, value) in form.hidden %}<input type="hidden" name="{{ name }}" value="{{ value }}">
{% endfor %}
{% for choice in form.choices %}
<button name="{{ choice.name }}" value="{{ choice.value }}" class="{{ choice.class }}"{% if choice.focus %} autofocus{% endif %}>
<span class="name">{{ choice.label }}</span>
{% for line in choice.lines %}<span class="more">{{ line }}</span>
{% endfor %}
</button>
{% endfor %}
</form>
{% if form.posts_itself %}<script nonce="{{ nonce }}">document.forms[0].submit();</script>
{% endif %}
{% endif %}
</main>
</body>
</html>
"##
)]
struct Page<'a> {
    title: &'a str,
    text: &'a str,
    nonce: &'a str,
    form: Option<Form<'a>>,
}

struct Form<'a> {
    action: &'a str,
    hidden: Vec<(&'a str, &'a str)>,
    choices: Vec<Choice<'a>>,
    posts_itself: bool,
}

struct Choice<'a> {
    name: &'a str,
    value: &'a str,
    label: &'a str,
    lines: Vec<&'a str>,
    class: &'a str,
    focus: bool,
}

/// The sign-in page.
pub(super) fn choose(
    people: &[Person],
    hinted: Option<&Person>,
    client_id: &str,
    action: &str,
    handle: &str,
    redirect_uri: &str,
    nonce: &str,
) -> Response {
    let mut choices: Vec<Choice<'_>> = people
        .iter()
        .map(|person| {
            let chosen = hinted.is_some_and(|hinted| hinted.subject == person.subject);
            let lines = [person.email.as_deref().unwrap_or_default(), person.note.as_str()];
            Choice {
                name: "person",
                value: &person.subject,
                label: &person.name,
                lines: lines.into_iter().filter(|line| !line.is_empty()).collect(),
                class: if chosen { "chosen" } else { "" },
                focus: chosen,
            }
        })
        .collect();
    choices.push(Choice {
        name: "cancel",
        value: "yes",
        label: "Cancel",
        lines: Vec::new(),
        class: "plain",
        focus: false,
    });
    let text =
        format!("Who do you want to be for {client_id}? This provider is for demonstrations and asks for no password.");
    let page = Page {
        title: "Sign in",
        text: &text,
        nonce,
        form: Some(Form { action, hidden: vec![("handle", handle)], choices, posts_itself: false }),
    };
    // Browsers hold a form to the policy through its redirects, so the application's origin belongs in it.
    let origin = Url::parse(redirect_uri).map(|url| url.origin().ascii_serialization()).unwrap_or_default();
    render(StatusCode::OK, &page, &origin)
}

/// Asks whether to sign out. `targets` are the origins that the answer may lead through: browsers hold a form to the policy
/// through its redirects.
pub(super) fn ask_sign_out(action: &str, handle: &str, nonce: &str, targets: &str) -> Response {
    let choice =
        Choice { name: "sign_out", value: "yes", label: "Sign out", lines: Vec::new(), class: "", focus: false };
    let page = Page {
        title: "Sign out?",
        text: "This ends your session with the demo identity provider.",
        nonce,
        form: Some(Form { action, hidden: vec![("handle", handle)], choices: vec![choice], posts_itself: false }),
    };
    render(StatusCode::OK, &page, targets)
}

/// An answer that the browser is to post (OAuth 2.0 Form Post Response Mode), here with a button.
pub(super) fn form_post(action: &str, answer: &[(&str, String)]) -> Response {
    let hidden = answer.iter().map(|(name, value)| (*name, value.as_str())).collect();
    posted(action, hidden, "form", false)
}

/// A message that the browser posts by itself (SAML Bindings 3.5); without scripts there is a button.
pub(super) fn post_message(form: &PostForm, nonce: &str) -> Response {
    posted(&form.action, form.fields().collect(), nonce, true)
}

fn posted(action: &str, hidden: Vec<(&str, &str)>, nonce: &str, posts_itself: bool) -> Response {
    let choice = Choice { name: "go", value: "on", label: "Continue", lines: Vec::new(), class: "", focus: false };
    let page = Page {
        title: "Continue",
        text: "Back to the application.",
        nonce,
        form: Some(Form { action, hidden, choices: vec![choice], posts_itself }),
    };
    let origin = Url::parse(action).map(|url| url.origin().ascii_serialization()).unwrap_or_default();
    render(StatusCode::OK, &page, &origin)
}

/// Something is wrong, and the application cannot be told.
pub(super) fn problem(status: StatusCode, text: &str) -> Response {
    render(status, &Page { title: "This did not work", text, nonce: "problem", form: None }, "")
}

/// A plain message.
pub(super) fn note(text: &str) -> Response {
    render(StatusCode::OK, &Page { title: "Done", text, nonce: "note", form: None }, "")
}

fn render(status: StatusCode, page: &Page<'_>, form_target: &str) -> Response {
    let Ok(html) = page.render() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let scripts = match &page.form {
        Some(form) if form.posts_itself => format!(" script-src 'nonce-{}';", page.nonce),
        _ => String::new(),
    };
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{}';{scripts} form-action 'self' {form_target}; base-uri 'none'; frame-ancestors 'none'",
        page.nonce
    );
    let mut response = (status, Html(html)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}
