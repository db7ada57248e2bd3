//! The second listener: metrics and health, for the operator's network only.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{Method, Response, StatusCode};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;

use crate::listener::head_guard;
use crate::session::Sessions;
use crate::telemetry::Metrics;

/// Whether the gateway should get new visitors.
#[derive(Clone)]
pub struct Readiness {
    draining: Arc<AtomicBool>,
    sessions: Sessions,
}

impl Readiness {
    /// Ready, as long as `sessions` can be written.
    pub fn new(sessions: Sessions) -> Self {
        Self { draining: Arc::new(AtomicBool::new(false)), sessions }
    }

    /// No new visitors from now on.
    pub fn is_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// "ready", or why not.
    fn check(&self) -> (StatusCode, String) {
        if self.draining.load(Ordering::Acquire) {
            return (StatusCode::SERVICE_UNAVAILABLE, "draining\n".into());
        }
        match self.sessions.health() {
            Ok(()) => (StatusCode::OK, "ready\n".into()),
            Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("session store: {error}\n")),
        }
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness").field("draining", &self.draining).finish_non_exhaustive()
    }
}

/// Answers `/metrics`, `/healthz` and `/readyz`.
#[derive(Debug)]
pub struct Admin {
    metrics: Metrics,
    readiness: Readiness,
}

impl Admin {
    /// Tells about `metrics` and `readiness`.
    pub fn new(metrics: Metrics, readiness: Readiness) -> Self {
        Self { metrics, readiness }
    }

    fn answer(&self, method: &Method, path: &str) -> (StatusCode, &'static str, Vec<u8>) {
        const TEXT: &str = "text/plain; charset=utf-8";
        if !matches!(*method, Method::GET | Method::HEAD) {
            return (StatusCode::METHOD_NOT_ALLOWED, TEXT, Vec::new());
        }
        match path {
            "/metrics" => match self.metrics.encode() {
                Ok(text) => (StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text),
                Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, TEXT, error.to_string().into_bytes()),
            },
            "/healthz" => (StatusCode::OK, TEXT, b"alive\n".to_vec()),
            "/readyz" => {
                let (status, text) = self.readiness.check();
                (status, TEXT, text.into_bytes())
            }
            _ => (StatusCode::NOT_FOUND, TEXT, b"/metrics /healthz /readyz\n".to_vec()),
        }
    }
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        head_guard::head_is_complete();
        let header = session.req_header();
        let head_only = header.method == Method::HEAD;
        let (status, content_type, body) = self.answer(&header.method, header.uri.path());
        let response = Response::builder()
            .status(status)
            .header(CONTENT_TYPE, content_type)
            .header(CONTENT_LENGTH, body.len())
            .header(CACHE_CONTROL, "no-store")
            .body(if head_only { Vec::new() } else { body });
        response.unwrap_or_else(|_| Response::new(Vec::new()))
    }
}
