//! Answers of the authorization endpoint (RFC 6749 sections 4.1.2 and 4.1.2.1, RFC 9207), and what modes make of them.

use axum::response::{IntoResponse as _, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::super::modes::Mode;
use super::super::pages;
use super::super::parameters::encode;

/// Where answers go.
#[derive(Clone, Debug)]
pub(super) struct Return {
    pub(super) redirect_uri: String,
    pub(super) state: Option<String>,
    pub(super) issuer: String,
    pub(super) mode: Option<Mode>,
}

impl Return {
    /// RFC 6749, section 4.1.2.1.
    pub(super) fn error(&self, error: &str, description: &str) -> Response {
        let mut answer = vec![("error", error.to_owned())];
        if !description.is_empty() {
            answer.push(("error_description", description.to_owned()));
        }
        self.send(answer)
    }

    pub(super) fn code(&self, code: String) -> Response {
        self.send(vec![("code", code)])
    }

    fn send(&self, mut answer: Vec<(&str, String)>) -> Response {
        if let Some(state) = &self.state {
            answer.push(("state", state.clone()));
        }
        // RFC 9207: errors carry it, too.
        answer.push(("iss", self.issuer.clone()));
        if let Some(mode) = self.mode {
            alter_answer(mode, &mut answer);
        }
        let encoded = encode(&answer);
        let location = match self.mode {
            Some(Mode::ResponseFormPost | Mode::FormPostError) => return pages::form_post(&self.redirect_uri, &answer),
            Some(Mode::ResponseFragment) => format!("{}#{encoded}", self.redirect_uri),
            _ => {
                let joint = if self.redirect_uri.contains('?') { '&' } else { '?' };
                format!("{}{joint}{encoded}", self.redirect_uri)
            }
        };
        let mut response = StatusCode::SEE_OTHER.into_response();
        set(&mut response, header::LOCATION, &location);
        set(&mut response, header::CACHE_CONTROL, "no-store");
        set(&mut response, header::REFERRER_POLICY, "no-referrer");
        response
    }
}

/// Errors that a mode answers with, though the person agreed.
pub(super) fn hostile_error(mode: Mode) -> Option<(&'static str, &'static str)> {
    match mode {
        Mode::FormPostError | Mode::ErrorWrongState => Some(("access_denied", "the person cancelled")),
        Mode::ErrorScript => Some(("access_denied", "\"><script>alert(document.domain)</script>")),
        Mode::ErrorUnknown => Some(("no_such_error", "")),
        _ => None,
    }
}

fn alter_answer(mode: Mode, answer: &mut Vec<(&str, String)>) {
    let mut replace = |name: &str, value: &str| {
        if let Some((_, old)) = answer.iter_mut().find(|(known, _)| *known == name) {
            value.clone_into(old);
        }
    };
    match mode {
        Mode::InvalidAuthorizationResponseIss => replace("iss", "https://stranger.test"),
        Mode::InvalidState | Mode::ErrorWrongState => replace("state", "somebody-elses-state"),
        Mode::RemoveAuthorizationResponseIss => answer.retain(|(name, _)| *name != "iss"),
        Mode::MissingState => answer.retain(|(name, _)| *name != "state"),
        Mode::CodeMissing => answer.retain(|(name, _)| *name != "code"),
        Mode::IssDuplicate => answer.push(("iss", "https://stranger.test".to_owned())),
        Mode::CodeTwice => answer.push(("code", "another-code".to_owned())),
        Mode::CodeAndError => answer.push(("error", "access_denied".to_owned())),
        _ => {}
    }
}

pub(super) fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().append(name, value);
    }
}
