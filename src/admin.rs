//! The second listener: metrics, health and test sign-ins, for the operator's network only, and orders of operators who
//! prove that they have the configured keys.

pub mod test_sign_in;
pub mod upstreams;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{Method, Response, StatusCode};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use serde::Serialize;

use self::test_sign_in::{LONGEST_FORM, TestSignIns};
use self::upstreams::{UpstreamStanding, Upstreams};
use crate::acme::Waits;
use crate::clock::{self, Clock};
use crate::listener::head_guard;
use crate::operator::{
    ImportRow, InForceNow, LARGEST, Operator, OperatorKeys, Order, ProcessNow, RELOAD, RunningGateway, UPGRADE,
    read_rows,
};
use crate::pages;
use crate::reply::Reply;
use crate::session::Sessions;
use crate::telemetry::Metrics;

/// Whether the gateway should get new visitors.
#[derive(Clone)]
pub struct Readiness {
    draining: Arc<AtomicBool>,
    sessions: Sessions,
    certificates: Waits,
}

impl Readiness {
    /// Ready, as long as `sessions` can be written. That certificates are waited for is told, and no reason to send nobody:
    /// the authority would not get here either. So is that upstreams are out: whoever comes gets a page that says so, from here
    /// alone.
    pub fn new(sessions: Sessions, certificates: Waits) -> Self {
        Self { draining: Arc::new(AtomicBool::new(false)), sessions, certificates }
    }

    /// No new visitors from now on.
    pub fn is_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// "ready", or why not.
    fn check(&self, upstreams: &Upstreams) -> (StatusCode, String) {
        if self.draining.load(Ordering::Acquire) {
            return (StatusCode::SERVICE_UNAVAILABLE, "draining\n".into());
        }
        match self.sessions.health() {
            Ok(()) => {
                let (waits, out) = (self.certificates.sentences(), upstreams.sentences());
                let told = waits.iter().chain(&out);
                (StatusCode::OK, told.fold("ready\n".to_owned(), |told, one| format!("{told}{one}\n")))
            }
            Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("session store: {error}\n")),
        }
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness").field("draining", &self.draining).finish_non_exhaustive()
    }
}

/// What depends on the configuration in force.
#[derive(Debug)]
pub struct AdminSide {
    /// Test sign-ins at its portals.
    pub test_sign_ins: TestSignIns,
    /// Carries orders out for their customers.
    pub operator: Operator,
    /// How their upstreams stand.
    pub upstreams: Upstreams,
}

/// Whom to believe orders, and who carries out those to the gateway itself.
pub struct Orders {
    keys: OperatorKeys,
    running: Weak<dyn RunningGateway>,
    clock: Clock,
}

impl fmt::Debug for Orders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Orders").field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl Orders {
    /// Has carried out what is proved by `keys`.
    pub fn new(keys: OperatorKeys, running: Weak<dyn RunningGateway>, clock: Clock) -> Self {
        Self { keys, running, clock }
    }

    /// Answers an order. What comes along with it is read only from somebody who is believed.
    async fn answer(
        &self,
        target: &str,
        authorization: &str,
        http: &mut ServerSession,
        operator: &Operator,
    ) -> (StatusCode, &'static str, Vec<u8>) {
        // Who proves nothing learns nothing either, not even which orders there are.
        if !self.keys.believe(authorization, target, self.clock.now()) {
            return (StatusCode::FORBIDDEN, JSON, Vec::new());
        }
        if [RELOAD, UPGRADE].contains(&target) {
            let Some(running) = self.running.upgrade() else {
                return (StatusCode::SERVICE_UNAVAILABLE, JSON, Vec::new());
            };
            if target == UPGRADE {
                tracing::info!("an operator's order to have a new process take over");
                return json(&running.upgrade().await);
            }
            tracing::info!("an operator's order to read the configuration again");
            return json(&running.reload().await);
        }
        let Some(order) = Order::read(target) else { return (StatusCode::NOT_FOUND, JSON, Vec::new()) };
        tracing::info!(?order, "an operator's order");
        let rows = match self.rows(&order, target, http).await {
            Ok(rows) => rows,
            Err(status) => return (status, JSON, Vec::new()),
        };
        json(&operator.carry_out(&order, &rows).await)
    }

    /// What is in force, what is waited for, and how the upstreams stand.
    fn status(&self, certificates: &Waits, upstreams: &Upstreams) -> (StatusCode, &'static str, Vec<u8>) {
        match self.running.upgrade() {
            Some(running) => json(&Status {
                version: env!("CARGO_PKG_VERSION"),
                process: running.process(),
                configuration: running.standing(),
                certificates: certificates.sentences(),
                upstreams: upstreams.standing(),
            }),
            None => (StatusCode::SERVICE_UNAVAILABLE, JSON, Vec::new()),
        }
    }
}

/// What `/status` tells.
#[derive(Serialize)]
struct Status {
    version: &'static str,
    process: ProcessNow,
    configuration: InForceNow,
    /// What each host waits for whose certificate is ordered.
    certificates: Arc<Vec<String>>,
    upstreams: Vec<UpstreamStanding>,
}

const JSON: &str = "application/json";

fn json(answer: &impl Serialize) -> (StatusCode, &'static str, Vec<u8>) {
    match serde_json::to_vec(answer) {
        Ok(body) => (StatusCode::OK, JSON, body),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, JSON, Vec::new()),
    }
}

impl Orders {
    /// The rows that come along with an import, sealed with the operator's keys.
    async fn rows(&self, order: &Order, target: &str, http: &mut ServerSession) -> Result<Vec<ImportRow>, StatusCode> {
        if !order.brings_rows() {
            return Ok(Vec::new());
        }
        let sealed = read_body(http, LARGEST.saturating_add(SEALING)).await.ok_or(StatusCode::PAYLOAD_TOO_LARGE)?;
        let plain = self.keys.open(target, &sealed).ok_or(StatusCode::BAD_REQUEST)?;
        let text = std::str::from_utf8(&plain).map_err(|_| StatusCode::BAD_REQUEST)?;
        read_rows(text).map_err(|_| StatusCode::BAD_REQUEST)
    }
}

/// What sealing adds, in bytes, and more.
const SEALING: usize = 64;

/// How long a form may take to arrive.
const FORM_TIME: Duration = Duration::from_secs(10);

/// Answers `/metrics`, `/healthz`, `/readyz`, `/status` and `/test-sign-in`, and carries out orders below `/customers/`,
/// `/configuration/` and `/process/`.
#[derive(Debug)]
pub struct Admin {
    metrics: Metrics,
    readiness: Readiness,
    side: Arc<ArcSwap<AdminSide>>,
    orders: Orders,
}

impl Admin {
    /// Tells about `metrics` and `readiness`, and takes `orders`. What depends on the configuration is that of `side`, as it
    /// is at the time.
    pub fn new(metrics: Metrics, readiness: Readiness, side: Arc<ArcSwap<AdminSide>>, orders: Orders) -> Self {
        Self { metrics, readiness, side, orders }
    }

    /// A page of the test sign-ins, or what they are shown with.
    async fn page(&self, session: &mut ServerSession) -> Option<Reply> {
        let path = session.req_header().uri.path().to_owned();
        if TestSignIns::owns(&path) {
            let method = session.req_header().method.clone();
            let form = match method {
                Method::POST => match read_form(session).await {
                    Some(form) => form,
                    None => return Some(Reply::text(StatusCode::BAD_REQUEST, "The form is too long or too slow.\n")),
                },
                _ => Vec::new(),
            };
            let side = self.side.load_full();
            return Some(side.test_sign_ins.answer(&method, &path, &session.req_header().headers, &form));
        }
        let get = matches!(session.req_header().method, Method::GET | Method::HEAD);
        pages::asset(&path, &session.req_header().headers).filter(|_| get)
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
                let (status, text) = self.readiness.check(&self.side.load().upstreams);
                (status, TEXT, text.into_bytes())
            }
            _ => (StatusCode::NOT_FOUND, TEXT, b"/metrics /healthz /readyz /status /test-sign-in\n".to_vec()),
        }
    }
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        head_guard::head_is_complete();
        let head_only = session.req_header().method == Method::HEAD;
        if let Some(reply) = self.page(session).await {
            let reply = if head_only { reply.without_body() } else { reply };
            return Response::<Bytes>::from(reply).map(|body| body.to_vec());
        }
        let header = session.req_header();
        let (status, content_type, body) = match header.uri.path_and_query() {
            Some(target) if header.method == Method::POST && is_order(target.path()) => {
                let authorization = header.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
                let (target, authorization) = (target.to_string(), authorization.unwrap_or_default().to_owned());
                let side = self.side.load_full();
                self.orders.answer(&target, &authorization, session, &side.operator).await
            }
            Some(target) if target == "/status" && matches!(header.method, Method::GET | Method::HEAD) => {
                self.orders.status(&self.readiness.certificates, &self.side.load().upstreams)
            }
            _ => self.answer(&header.method, header.uri.path()),
        };
        let response = Response::builder()
            .status(status)
            .header(CONTENT_TYPE, content_type)
            .header(CONTENT_LENGTH, body.len())
            .header(CACHE_CONTROL, "no-store")
            .body(if head_only { Vec::new() } else { body });
        response.unwrap_or_else(|_| Response::new(Vec::new()))
    }
}

fn is_order(path: &str) -> bool {
    ["/customers/", "/configuration/", "/process/"].iter().any(|below| path.starts_with(below))
}

/// A small body, the whole of it in time.
async fn read_form(session: &mut ServerSession) -> Option<Vec<u8>> {
    read_body(session, LONGEST_FORM).await
}

/// A body of at most `longest` bytes, the whole of it in time.
async fn read_body(session: &mut ServerSession, longest: usize) -> Option<Vec<u8>> {
    let read = async {
        let mut form = Vec::new();
        while let Some(chunk) = session.read_request_body().await.ok()? {
            form.extend_from_slice(&chunk);
            if form.len() > longest {
                return None;
            }
        }
        Some(form)
    };
    tokio::time::timeout_at(clock::deadline(FORM_TIME), read).await.ok().flatten()
}
