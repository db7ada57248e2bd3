//! How the site says no: the platform's JSON, the service desk's JSON, a page, or a way to the login.

use axum::response::{Html, IntoResponse, Response};
use http::{HeaderName, StatusCode, header};
use serde_json::json;

use super::html::escape;
use crate::random::NoRandomness;

/// An answer that is not what was asked for.
#[derive(Debug)]
pub enum Problem {
    /// `{errorMessages: [..], errors: {}}`, as `/rest/api/2` answers.
    Platform(StatusCode, String),
    /// `{errorMessages: [], errors: {field: ..}}`.
    Field(&'static str, String),
    /// `{errorMessage, i18nErrorMessage}`, as `/rest/servicedeskapi` answers.
    Desk(StatusCode, &'static str, String),
    /// A page.
    Page(StatusCode, String),
    /// JSON of another kind.
    Json(StatusCode, serde_json::Value),
    /// Plain text with a header.
    Plain(StatusCode, &'static str, Option<(&'static str, String)>),
    /// A redirect to an absolute URL.
    Found(String),
}

impl Problem {
    pub fn page(status: StatusCode, sentence: &str) -> Self {
        Self::Page(status, sentence.to_owned())
    }

    pub fn not_found(what: &str) -> Self {
        Self::Desk(StatusCode::NOT_FOUND, "sd.error.notfound", format!("{what} does not exist."))
    }

    pub fn bad(sentence: &str) -> Self {
        Self::Desk(StatusCode::BAD_REQUEST, "sd.error.invalid", sentence.to_owned())
    }

    pub fn xsrf() -> Self {
        Self::Plain(StatusCode::FORBIDDEN, "XSRF check failed", None)
    }
}

impl From<NoRandomness> for Problem {
    fn from(error: NoRandomness) -> Self {
        Self::Page(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        match self {
            Self::Platform(status, message) => {
                (status, axum::Json(json!({"errorMessages": [message], "errors": {}}))).into_response()
            }
            Self::Field(field, message) => {
                let body = json!({"errorMessages": [], "errors": {field: message}});
                (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
            }
            Self::Desk(status, key, message) => {
                let body = json!({"errorMessage": message, "i18nErrorMessage": {"i18nKey": key, "parameters": []}});
                (status, axum::Json(body)).into_response()
            }
            Self::Page(status, sentence) => {
                let title = status.canonical_reason().unwrap_or("Error");
                let body = format!("<!DOCTYPE html><title>{title}</title><h1>{title}</h1><p>{}</p>", escape(&sentence));
                (status, Html(body)).into_response()
            }
            Self::Json(status, body) => (status, axum::Json(body)).into_response(),
            Self::Plain(status, text, extra) => {
                let mut response = (status, text).into_response();
                if let Some((name, value)) = extra
                    && let Ok(value) = value.parse()
                {
                    response.headers_mut().insert(HeaderName::from_static(name), value);
                }
                response
            }
            Self::Found(location) => found(&location),
        }
    }
}

/// 302 to that URL.
pub fn found(location: &str) -> Response {
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
}
