//! The door: where each request of a visitor comes in and is decided, and from where most are served to the end.
//!
//! Pingora's proxy makes a future of 7.5 KB for each request, moves it twice, and a session of its own around that of HTTP, for what it may all
//! come to. Few requests come to it. So the door stands before it, an application of its own: it reads the head, decides, answers
//! or relays, and hands on to the proxy what needs that: a body that goes up, an upstream by TLS, what has to be sent again.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use http::Method;
use pingora::apps::{HttpPersistentSettings, HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;
use pingora::{Error, ErrorType, Result};

use super::admit::Verdict;
use super::context::{RequestCtx, Stage};
use super::in_force::InForce;
use super::{answer, client_addr, note_transferred};
use crate::listener::head_guard;

/// Idle connections that Pingora keeps to all upstreams together.
const KEPT_UPSTREAM_CONNECTIONS: usize = 512;

tokio::task_local! {
    /// The exchange that the proxy goes on with.
    static HANDED_ON: Cell<Option<RequestCtx>>;
}

/// What the proxy goes on with in this task, once.
pub(super) fn handed_on() -> Option<RequestCtx> {
    HANDED_ON.try_with(Cell::take).ok().flatten()
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Served {
    /// It is answered.
    Answered,
    /// It is for Pingora's proxy. The visitor has seen nothing of an answer, but perhaps early hints or the word to go on.
    NotHere,
}

/// Whether the process is about to end: the answers say then that their connection ends with them.
#[derive(Clone, Debug, Default)]
pub struct Ending(Arc<AtomicBool>);

impl Ending {
    fn begins(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it is.
    pub fn has_begun(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// What listens to visitors hands its connections to this.
pub struct Door {
    in_force: InForce,
    proxy: Arc<HttpProxy<InForce>>,
    options: HttpServerOptions,
}

impl Door {
    /// The door of what is in force. An HTTP/2 connection that nothing happens on is closed after `idle_time`.
    pub fn new(in_force: InForce, idle_time: Duration) -> Self {
        let conf = ServerConf { upstream_keepalive_pool_size: KEPT_UPSTREAM_CONNECTIONS, ..ServerConf::default() };
        let mut proxy = HttpProxy::new(in_force.clone(), Arc::new(conf));
        proxy.handle_init_modules();
        let mut options = HttpServerOptions::default();
        options.h2_idle_timeout = Some(idle_time);
        Self { in_force, proxy: Arc::new(proxy), options }
    }

    /// Decides, then answers, or sends on what can be sent on from here. What is certain not to be handed on keeps nothing of what was `read`.
    async fn serve(&self, http: &mut ServerSession, read: &mut BytesMut, ctx: &mut RequestCtx) -> Result<Served> {
        let gateway = Arc::clone(&ctx.gateway);
        http.set_read_timeout(Some(gateway.limits.idle_time));
        http.set_write_timeout(Some(gateway.limits.idle_time));
        http.set_total_drain_timeout(Some(answer::DRAIN_TIME));
        let peer = http.client_addr().and_then(|address| address.as_inet()).map(SocketAddr::ip);
        let headers = &http.req_header().headers;
        let client = peer.map(|peer| client_addr::client_address(peer, headers, &gateway.trusted_proxies));
        ctx.exchange.from_client(client);
        let reply = match gateway.admit(http, ctx).await {
            Ok(Verdict::Forward(forwarding)) if forwarding.request.is_websocket() => {
                *read = BytesMut::new();
                ctx.stage = Stage::Forwarding(forwarding);
                Box::pin(gateway.tunnel(http, ctx, &self.in_force)).await?;
                return Ok(Served::Answered);
            }
            Ok(Verdict::Forward(forwarding)) => {
                // First, so that what was taken for it is put back when the visitor is gone.
                ctx.stage = Stage::Forwarding(forwarding);
                if let Err(gone) = answer::invite_body(http).await {
                    gateway.take_back_count(ctx).await;
                    return Err(gone);
                }
                return gateway.relay(http, ctx).await;
            }
            Ok(Verdict::Reply(outcome, reply)) => {
                ctx.exchange.ends(outcome, reply.status());
                reply
            }
            Err(refusal) => gateway.refuse(&refusal, ctx),
        };
        Box::pin(answer::send(http, reply, ctx)).await?;
        Ok(Served::Answered)
    }

    /// Has Pingora's proxy go on with what was decided. It begins with reading the head: by HTTP/1 from `read`, all that has been read.
    async fn hand_on(
        &self,
        mut http: ServerSession,
        read: BytesMut,
        mut ctx: RequestCtx,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        if let Some(http1) = http.as_http1() {
            // What was decided goes with this head and no other, and with all of its body.
            if !read.starts_with(&http1.get_headers_raw_bytes()) || http.body_bytes_read() != 0 {
                let lost = Error::explain(ErrorType::InternalError, "the head was not kept");
                self.fail(&mut http, &lost, &mut ctx).await;
                return None;
            }
            http.set_pipelined_prefix(read);
        }
        let going_on = async {
            let stream = self.proxy.process_new_http(http, shutdown).await;
            if let Some(mut left) = handed_on() {
                tracing::error!(request = %left.exchange.request_id(), "Pingora's proxy did not take a request");
                let gateway = Arc::clone(&left.gateway);
                let _ = gateway.put_kept_back(&mut left).await;
                gateway.take_back_count(&mut left).await;
            }
            stream
        };
        HANDED_ON.scope(Cell::new(Some(ctx)), going_on).await
    }

    async fn fail(&self, http: &mut ServerSession, error: &Error, ctx: &mut RequestCtx) {
        let gateway = Arc::clone(&ctx.gateway);
        gateway.fail(http, error, ctx).await;
        note_transferred(http, ctx);
    }
}

#[async_trait]
impl HttpServerApp for Door {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let mut http = Box::new(session);
        if !has_request(&mut http).await {
            return None;
        }
        let mut read = head_guard::head_is_complete();
        if *shutdown.borrow() {
            http.set_keepalive(None);
        }
        let mut ctx = self.in_force.begin();
        match self.serve(&mut http, &mut read, &mut ctx).await {
            Ok(Served::Answered) => {
                note_transferred(&http, &mut ctx);
                drop(ctx);
                let settings = HttpPersistentSettings::for_session(&http);
                let stream = http.finish().await.ok().flatten()?;
                Some(ReusedHttpStream::from_reusable_stream(stream, settings))
            }
            Ok(Served::NotHere) => Box::pin(self.hand_on(*http, read, ctx, shutdown)).await,
            Err(error) => {
                Box::pin(self.fail(&mut http, &error, &mut ctx)).await;
                None
            }
        }
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }

    async fn http_cleanup(&self) {
        self.in_force.now().ending.begins();
        self.proxy.http_cleanup().await;
    }
}

/// Reads the head of the next request. Where there is none, or none that can be read, that is told and the connection ends.
async fn has_request(http: &mut ServerSession) -> bool {
    let status = match http.read_request().await {
        Ok(true) if http.req_header().method != Method::CONNECT => return true,
        Ok(true) => 405,
        Ok(false) => return false,
        Err(error) if *error.etype() == ErrorType::InvalidHTTPHeader => 400,
        Err(error) => {
            tracing::debug!(%error, "the visitor was gone before the request");
            http.shutdown().await;
            return false;
        }
    };
    if let Err(error) = http.respond_error(status).await {
        tracing::debug!(%error, "the visitor was gone before the answer");
    }
    http.shutdown().await;
    false
}
