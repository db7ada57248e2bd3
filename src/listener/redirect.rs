//! The plain HTTP listener: answers nothing but the way to https, and only for names that are ours; and the challenges of
//! certificate authorities that are out.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, LOCATION};
use http::{Method, Response, StatusCode};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;

use super::head_guard;
use crate::acme::{Answers, http_01_token};
use crate::portal::{CanonicalRequest, HostName, PublicOrigin};

/// Where each host is to be found by https.
pub type Origins = HashMap<HostName, PublicOrigin>;

/// Redirects to https.
#[derive(Debug)]
pub struct RedirectToHttps {
    origins: Arc<ArcSwap<Origins>>,
    answers: Answers,
}

/// What is answered.
enum Said {
    /// The way to https.
    Elsewhere(StatusCode, String),
    /// What proves that the host is ours (RFC 8555, section 8.3).
    KeyAuthorization(String),
}

impl RedirectToHttps {
    /// Redirects the hosts that are in `origins` at the time, and no others. What `answers` has is answered here.
    pub fn new(origins: Arc<ArcSwap<Origins>>, answers: Answers) -> Self {
        Self { origins, answers }
    }

    /// 308 keeps method and body, so a form that was posted to the wrong scheme is not lost; 301 is what old clients
    /// know for GET.
    fn answer(&self, session: &ServerSession) -> Result<Said, StatusCode> {
        let header = session.req_header();
        let request = CanonicalRequest::read(crate::portal::request::Parts {
            method: &header.method,
            version: header.version,
            target: header.raw_path(),
            authority: None,
            headers: &header.headers,
        })
        .map_err(|_| StatusCode::BAD_REQUEST)?;
        let origins = self.origins.load();
        let origin = origins.get(request.host()).ok_or(StatusCode::NOT_FOUND)?;
        if let Some(token) = http_01_token(request.path())
            && *request.method() == Method::GET
            && let Some(key_authorization) = self.answers.http_01(request.host(), token)
        {
            return Ok(Said::KeyAuthorization(key_authorization));
        }
        let get = matches!(*request.method(), Method::GET | Method::HEAD);
        let status = if get { StatusCode::MOVED_PERMANENTLY } else { StatusCode::PERMANENT_REDIRECT };
        Ok(Said::Elsewhere(status, format!("{origin}{}", request.target())))
    }
}

#[async_trait]
impl ServeHttp for RedirectToHttps {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        head_guard::head_is_complete();
        // The body is not read, so the connection cannot be used again.
        session.set_keepalive(None);
        let builder = Response::builder().header(CONNECTION, "close").header(CACHE_CONTROL, "no-store");
        let (builder, body) = match self.answer(session) {
            Ok(Said::Elsewhere(status, location)) => (builder.status(status).header(LOCATION, location), Vec::new()),
            Ok(Said::KeyAuthorization(text)) => {
                (builder.header(CONTENT_TYPE, "application/octet-stream"), text.into_bytes())
            }
            Err(status) => (builder.status(status), Vec::new()),
        };
        let builder = builder.header(CONTENT_LENGTH, body.len());
        builder.body(body).unwrap_or_else(|_| {
            let host = session.req_header().headers.get(HOST);
            tracing::warn!(?host, "a redirect could not be written");
            let mut response = Response::new(Vec::new());
            *response.status_mut() = StatusCode::BAD_REQUEST;
            response
        })
    }
}
