//! The path of a request: the [`door`], where it is decided and from where most are served, and Pingora's hooks for those that are handed
//! on; each a list of steps. Parsing, deciding and rewriting live elsewhere.
//!
//! An exchange is served by one [`Gateway`], made of one configuration, from its beginning to its end: see [`in_force`].
//!
//! Pingora calls `upstream_peer` and `upstream_request_filter` again when it sends a request again: the first chooses among
//! the nodes that have not failed it, the second gives the same when asked twice. What may call JSM or an identity provider
//! happens at the door, before a connection to the upstream is taken; the exceptions are customer sessions that are
//! opened anew on the way, because an answer shows one to be dead or because the request goes to another node than knows it.

mod admit;
mod answer;
pub mod answer_body;
mod answer_plan;
mod at_node;
mod client_addr;
pub mod coding;
pub mod connections;
mod context;
pub mod door;
mod endpoints;
pub mod entity_tag;
pub mod groups;
mod hand_over;
pub mod header_hygiene;
pub mod in_force;
mod in_page;
mod kept;
mod login_fields;
mod native_page;
mod published_keys;
mod refuse;
mod relay;
mod response_fields;
pub mod rewrite;
pub mod rewriting;
mod same_origin;
mod set_cookie;
pub mod site;
mod source_list;
mod tunnel;
mod upstream;
mod upstream_request;
mod upstream_response;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::http::ServerSession;
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};

use crate::clock::Clock;
use crate::ids::RequestId;
use crate::listener::settings::{CertificateHosts, EdgeLimits};
use crate::pages::Wants;
use crate::portal::HostName;
use crate::random::Random;
use crate::refusal::{Reason, Refusal};
use crate::session::Sessions;
use crate::sign_in::SignIn;
use crate::sign_in::saml::OwnMetadata;
use crate::sign_in::trial::Trials;
use crate::telemetry::{Exchange, Metrics, Outcome};
use connections::Connections;
use context::{RequestCtx, Stage};
use door::Ending;
use groups::Groups;
use in_force::InForce;
use site::Site;

/// The gateway of one configuration: what every exchange needs.
pub struct Gateway {
    /// Portals by host name.
    pub sites: HashMap<HostName, Arc<Site>>,
    /// Portals by their other names, which lead to them.
    pub aliases: HashMap<HostName, Arc<Site>>,
    /// Portals that share sign-ins.
    pub groups: Groups,
    /// The ways to sign in.
    pub sign_in: Arc<SignIn>,
    /// What identity providers learn of us.
    pub own_metadata: OwnMetadata,
    /// Sign-ins that operators test.
    pub trials: Arc<Trials>,
    /// Who is signed in.
    pub sessions: Sessions,
    /// The upstream's side of what is relayed, and of WebSockets.
    pub connections: Arc<Connections>,
    /// Whether the process is about to end.
    pub ending: Ending,
    /// What is counted.
    pub metrics: Metrics,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Sizes and times of the public side.
    pub limits: EdgeLimits,
    /// The hosts that are served on connections with a visitor's certificate alone.
    pub certificate_hosts: Option<CertificateHosts>,
    /// For how long browsers stay with https (RFC 6797, section 6.1): on every answer.
    pub hsts: HeaderValue,
    /// Where `now` comes from.
    pub clock: Clock,
    /// Where random bits come from.
    pub random: Random,
}

#[async_trait]
impl ProxyHttp for InForce {
    type CTX = RequestCtx;

    /// None: answers go on in the coding in which they come, or in the one that rewriting gives them. Pingora's own compression
    /// would stand by for each request otherwise.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    fn new_ctx(&self) -> RequestCtx {
        door::handed_on().unwrap_or_else(|| self.begin())
    }

    /// It was decided at the door, and its head was read once more.
    async fn request_filter(&self, http: &mut Session, ctx: &mut RequestCtx) -> Result<bool> {
        if ctx.forwarding().is_none() {
            return Err(Error::new(ErrorType::HTTPStatus(500)));
        }
        admit::forget_spelling(http.as_downstream_mut());
        Ok(false)
    }

    async fn upstream_peer(&self, _http: &mut Session, ctx: &mut RequestCtx) -> Result<Box<HttpPeer>> {
        let gateway = Arc::clone(&ctx.gateway);
        gateway.take_node_for_attempt(ctx).await?;
        at_node::peer(ctx)
    }

    async fn upstream_request_filter(
        &self,
        http: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut RequestCtx,
    ) -> Result<()> {
        upstream_request::prepare(http.req_header(), request, ctx)
    }

    async fn request_body_filter(
        &self,
        _http: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut RequestCtx,
    ) -> Result<()> {
        let limit = ctx.site.as_ref().map_or(0, |site| site.settings.limits.body);
        let Some(forwarding) = ctx.forwarding() else { return Ok(()) };
        if let Some(again) = &mut forwarding.sent_again {
            again.in_place_of(body, end);
        }
        if let (Some(form), Some(part)) = (&mut forwarding.form, body.as_ref())
            && form.sees(part)
        {
            forwarding.refusal = Some(Refusal::with_detail(Reason::PathClosed, login_fields::DETAIL));
            return Err(Error::new(ErrorType::HTTPStatus(403)).into_down());
        }
        let length = body.as_ref().map_or(0, Bytes::len);
        forwarding.received = forwarding.received.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        if forwarding.received > limit {
            forwarding.refusal = Some(Reason::BodyTooLarge.into());
            return Err(Error::new(ErrorType::HTTPStatus(413)).into_down());
        }
        upstream_request::rewrite_body(body, end, ctx);
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        http: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut RequestCtx,
    ) -> Result<()> {
        let gateway = Arc::clone(&ctx.gateway);
        gateway.answer_has_come(http.as_downstream_mut(), response, ctx).await
    }

    async fn response_filter(
        &self,
        http: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut RequestCtx,
    ) -> Result<()> {
        upstream_response::hand_out(http.as_downstream_mut(), response, ctx)
    }

    fn response_body_filter(
        &self,
        _http: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut RequestCtx,
    ) -> Result<Option<Duration>> {
        upstream_response::rewrite_body(body, end, ctx)?;
        Ok(None)
    }

    async fn response_trailer_filter(
        &self,
        _http: &mut Session,
        trailers: &mut HeaderMap,
        ctx: &mut RequestCtx,
    ) -> Result<Option<Bytes>> {
        upstream_response::end_body(trailers, ctx)
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        http: &mut Session,
        mut error: Box<Error>,
        ctx: &mut RequestCtx,
        client_reused: bool,
    ) -> Box<Error> {
        let again = at_node::goes_again(&mut error, http.as_downstream_mut(), ctx, client_reused);
        error.set_retry(again);
        error
    }

    fn fail_to_connect(
        &self,
        _http: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut RequestCtx,
        mut error: Box<Error>,
    ) -> Box<Error> {
        let again = match (&ctx.site, &mut ctx.stage) {
            (Some(site), Stage::Forwarding(forwarding)) => at_node::not_connected(&error, site, forwarding),
            _ => false,
        };
        error.set_retry(again);
        error
    }

    async fn fail_to_proxy(&self, http: &mut Session, error: &Error, ctx: &mut RequestCtx) -> FailToProxy {
        let gateway = Arc::clone(&ctx.gateway);
        let error_code = gateway.fail(http.as_downstream_mut(), error, ctx).await;
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    async fn logging(&self, http: &mut Session, _error: Option<&Error>, ctx: &mut RequestCtx) {
        note_transferred(http.as_downstream(), ctx);
    }

    /// The exchange tells it all, and without the query.
    fn suppress_error_log(&self, _http: &Session, _ctx: &RequestCtx, _error: &Error) -> bool {
        true
    }

    fn request_summary(&self, _http: &Session, ctx: &RequestCtx) -> String {
        ctx.exchange.request_id().to_string()
    }
}

/// How much of the bodies has come and gone.
fn note_transferred(http: &ServerSession, ctx: &mut RequestCtx) {
    let count = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
    ctx.exchange.transferred(count(http.body_bytes_read()), count(http.body_bytes_sent()));
}

impl InForce {
    /// An exchange begins: the head of its request has been read.
    fn begin(&self) -> RequestCtx {
        let gateway = self.now();
        let request_id = RequestId::generate(&gateway.random).unwrap_or(RequestId::none());
        RequestCtx {
            exchange: Exchange::begin(&gateway.metrics, request_id, &gateway.clock),
            gateway,
            wants: Wants::Page,
            certificate: None,
            site: None,
            walk_to: None,
            kept_at: None,
            wanted: None,
            stage: Stage::Undecided,
        }
    }
}

impl Gateway {
    /// Ends an exchange that went wrong: by an error page, if the visitor has seen nothing yet. Gives the status of it, and 0 where the
    /// visitor was not told. The connection ends with it.
    async fn fail(&self, http: &mut ServerSession, error: &Error, ctx: &mut RequestCtx) -> u16 {
        let mut refusal = refuse::refusal_for(error, ctx);
        let reason = refusal.reason();
        if let Err(lost) = self.put_kept_back(ctx).await {
            refusal = lost;
        }
        if let Some(forwarding) = ctx.forwarding() {
            forwarding.at = None; // the page that follows needs no place at the upstream
        }
        let nothing_made =
            [Reason::UpstreamUnreachable, Reason::UpstreamBusy, Reason::BodyTooLarge, Reason::PathClosed];
        if nothing_made.contains(&reason) {
            self.take_back_count(ctx).await; // the upstream cannot have made anything of it
        }
        let reply = self.refuse(&refusal, ctx);
        let status = reply.status().as_u16();
        if answer::has_begun(http) || refuse::visitor_is_gone(error) {
            ctx.exchange.ends(Outcome::Abandoned, reply.status());
            return 0;
        }
        http.set_keepalive(None);
        if let Err(error) = answer::send(http, reply, ctx).await {
            tracing::debug!(%error, "the visitor was gone before the answer");
            return 0;
        }
        // The end of a page is an end. Of what was broken off it is not, and TLS must not say so.
        if let ServerSession::H1(http1) = http {
            http1.shutdown().await;
        }
        status
    }

    /// Turns a "no" into its record and its answer.
    fn refuse(&self, refusal: &Refusal, ctx: &mut RequestCtx) -> crate::reply::Reply {
        if let Some(way) = endpoints::cloud_walk::instead_of(refusal, ctx) {
            let reply = crate::reply::Reply::see_other(&way);
            ctx.exchange.ends(Outcome::Answered, reply.status());
            return reply;
        }
        refuse::record(refusal, &mut ctx.exchange);
        refuse::reply(refusal, ctx)
    }
}
