//! What Data Center's answers mean. Tolerant of fields that are added, strict about those that decide.

use http::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

pub(super) use super::super::upstream::answers::{message, says, says_basic_auth_is_off, understood, wants_captcha};
use crate::http_client::Answer;

/// Somebody with a user name.
#[derive(Debug, Deserialize)]
pub(super) struct Named {
    pub name: String,
}

/// A user as a search finds them.
#[derive(Debug, Deserialize)]
pub(super) struct FoundUser {
    pub name: String,
    /// Missing or empty where the site hides addresses.
    #[serde(rename = "emailAddress")]
    pub email: Option<String>,
}

/// A user with everything that decides whether they are a mere customer (`expand=groups,applicationRoles`).
#[derive(Debug, Deserialize)]
pub(super) struct User {
    pub name: String,
    #[serde(rename = "emailAddress")]
    pub email: Option<String>,
    #[serde(rename = "displayName")]
    pub display_name: Option<String>,
    pub active: bool,
    #[serde(default)]
    pub deleted: bool,
    pub groups: Expanded,
    #[serde(rename = "applicationRoles")]
    pub application_roles: Expanded,
}

/// A list that is only there when it was asked to be expanded; `size` is always told.
#[derive(Debug, Deserialize)]
pub(super) struct Expanded {
    size: usize,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Debug, Deserialize)]
struct Item {
    name: Option<String>,
    key: Option<String>,
}

impl Expanded {
    /// Whether everything that is counted was told.
    pub fn is_whole(&self) -> bool {
        self.items.len() >= self.size
    }

    pub fn is_empty(&self) -> bool {
        self.size == 0 && self.items.is_empty()
    }

    /// The names, or the keys of what has no name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.items.iter().filter_map(|item| item.name.as_deref().or(item.key.as_deref()))
    }
}

/// Whether the permissions hold a right to administer; `None` when the answer tells no permissions.
pub(super) fn may_administer(answer: &Answer) -> Option<bool> {
    let body: Value = answer.status.is_success().then(|| answer.json().ok()).flatten()?;
    let permissions = body.get("permissions")?.as_object()?;
    let has = |key: &str| permissions.get(key).and_then(|one| one.get("havePermission")) == Some(&Value::Bool(true));
    Some(has("ADMINISTER") || has("SYSTEM_ADMIN"))
}

/// Whether an answer asks for a second step. What it looks like is not documented, so a flag, a reason, or a redirect
/// that speaks of one counts; identifiers do not, for a random one can spell anything.
pub(super) fn wants_second_step(answer: &Answer) -> bool {
    const WORDS: [&str; 7] = ["2sv", "2fa", "totp", "twostep", "two_step", "secondfactor", "secondstep"];
    const REASONS: [&str; 8] = ["error", "code", "reason", "message", "status", "state", "step", "type"];
    let speaks = |text: &str| {
        let text = text.to_ascii_lowercase().replace(['-', ' '], "");
        WORDS.iter().any(|word| text.contains(word))
    };
    let gives_a_reason = |key: &str| {
        let key = key.to_ascii_lowercase();
        REASONS.iter().any(|reason| key.contains(reason))
    };
    let location = answer.headers.get("location").and_then(|location| location.to_str().ok()).unwrap_or_default();
    let page = answer.media_type() == "text/html" && {
        let text = String::from_utf8_lossy(&answer.body).to_ascii_lowercase();
        ["two-step verification", "two-factor", "verification code"].iter().any(|words| text.contains(words))
    };
    page || speaks(location.split(['?', ';', '#']).next().unwrap_or_default())
        || answer.json::<Value>().is_ok_and(|body| {
            says("", &body, &|key, value| match value {
                Value::Bool(true) => speaks(key),
                Value::String(text) => gives_a_reason(key) && speaks(text),
                _ => false,
            })
        })
}

/// What Seraph, which guards Jira's logins, says about this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seraph {
    /// `AUTHENTICATED_FAILED`: the password is wrong.
    Failed,
    /// `AUTHENTICATION_DENIED`: the password was not looked at; failed logins of before are the usual reason.
    Denied,
    /// Anything else, or nothing.
    Other,
}

pub(super) fn seraph(headers: &HeaderMap) -> Seraph {
    match headers.get("x-seraph-loginreason").map(|reason| reason.as_bytes()) {
        Some(b"AUTHENTICATED_FAILED") => Seraph::Failed,
        Some(b"AUTHENTICATION_DENIED") => Seraph::Denied,
        _ => Seraph::Other,
    }
}

/// What the portal's form answers, in JSON or amid the script of a page: whether the login succeeded.
pub(super) fn login_succeeded(answer: &Answer) -> Option<bool> {
    let body = String::from_utf8_lossy(&answer.body);
    let (_, after) = body.split_once("\"loginSucceeded\"")?;
    let value = after.trim_start().strip_prefix(':')?.trim_start();
    match () {
        () if value.starts_with("true") => Some(true),
        () if value.starts_with("false") => Some(false),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn answer(status: u16, body: &'static str) -> Answer {
        Answer { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body: body.into() }
    }

    #[test]
    fn a_second_step_is_seen_and_an_ordinary_answer_is_not_one() {
        assert!(wants_second_step(&answer(200, r#"{"twoStepRequired":true}"#)));
        assert!(wants_second_step(&answer(401, r#"{"error":{"code":"TOTP_CODE_REQUIRED"}}"#)));
        assert!(!wants_second_step(&answer(200, r#"{"success":true,"targetUrl":"/2sv"}"#)));
        assert!(wants_second_step(&answer(403, r#"{"errorMessages":["Two-step verification is required"]}"#)));
        let spelled_by_chance = r#"{"session":{"name":"JSESSIONID","value":"12FA2SV"}}"#;
        assert!(!wants_second_step(&answer(200, spelled_by_chance)));
    }

    #[test]
    fn the_forms_verdict_is_read_in_json_and_in_a_page() {
        assert_eq!(login_succeeded(&answer(200, r#"{"loginSucceeded":true}"#)), Some(true));
        assert_eq!(login_succeeded(&answer(200, r#"<script>{"a":1, "loginSucceeded" : false}</script>"#)), Some(false));
        assert_eq!(login_succeeded(&answer(200, "<title>Log in</title>")), None);
    }

    #[test]
    fn an_unexpanded_list_is_not_whole() {
        let list: Expanded = serde_json::from_str(r#"{"size":3,"items":[]}"#).unwrap();
        assert!(!list.is_whole() && !list.is_empty());
        let list: Expanded = serde_json::from_str(r#"{"size":0,"items":[]}"#).unwrap();
        assert!(list.is_whole() && list.is_empty());
    }
}
