//! WebSockets (RFC 6455): the handshake by the same rules as any request, then octets both ways.
//!
//! Not Pingora's own loop: in 0.9.1 that takes the end of the handshake's empty body for the end of the tunnel whenever the
//! upstream's 101 is read first, and it may offer HTTP/2 to the upstream, which knows no upgrade. A loop of our own also
//! sees the session: a tunnel lasts no longer than the session that opened it.

use std::time::Duration;

use http::StatusCode;
use http::header::{self, HeaderValue};
use pingora::http::ResponseHeader;
use pingora::protocols::ALPN;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v1::client::HttpSession;
use pingora::{Error, ErrorType, Result};
use tokio::time::{Instant, MissedTickBehavior};

use super::context::{Repeat, RequestCtx, Stage};
use super::in_force::InForce;
use super::{Gateway, answer, at_node, upstream_request, upstream_response};
use crate::clock;
use crate::policy::{self, Decision};
use crate::reply::Reply;
use crate::session::LiveSession;
use crate::telemetry::Outcome;

/// How often an open tunnel looks whether its session's time is over. A sign-out closes it at once.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What the upstream says to a handshake.
enum Shaken {
    /// It switches protocols.
    Open(Box<HttpSession>, Box<ResponseHeader>),
    /// It does not.
    Refused(StatusCode),
}

/// Why a tunnel was closed.
#[derive(Clone, Copy, Debug)]
enum Closed {
    ByVisitor,
    ByUpstream,
    Idle,
    SessionEnded,
    NoLongerPermitted,
}

impl Gateway {
    /// Answers a permitted handshake, and stays until the tunnel is closed.
    ///
    /// # Errors
    /// What makes an error page, where nothing of an answer has gone out.
    pub(super) async fn tunnel(
        &self,
        http: &mut ServerSession,
        ctx: &mut RequestCtx,
        in_force: &InForce,
    ) -> Result<()> {
        let reply = match self.shake_hands(http, ctx).await? {
            Shaken::Open(upstream, head) => return self.stay_open(http, *upstream, head, ctx, in_force).await,
            // A browser tells its script no more than that it failed.
            Shaken::Refused(status) => {
                ctx.exchange.ends(Outcome::Forwarded, status);
                Reply::empty(status)
            }
        };
        if let Some(forwarding) = ctx.forwarding() {
            forwarding.at = None;
        }
        http.set_keepalive(None);
        answer::send(http, reply, ctx).await
    }

    /// Sends the handshake on; once more when the customer session turns out to be dead.
    async fn shake_hands(&self, http: &mut ServerSession, ctx: &mut RequestCtx) -> Result<Shaken> {
        loop {
            let mut upstream = self.connect(ctx).await?;
            let limit = ctx.site.as_ref().map(|site| site.settings.limits.upstream_response);
            (upstream.read_timeout, upstream.write_timeout) = (limit, limit);
            let mut request = http.req_header().clone();
            upstream_request::prepare(http.req_header(), &mut request, ctx)?;
            upstream.write_request_header(Box::new(request)).await.map_err(|error| error.into_up())?;
            let head = loop {
                tokio::select! {
                    biased;
                    came = upstream.read_response() => came.map_err(|error| error.into_up())?,
                    // Nothing comes before the answer: what does is the end.
                    left = http.read_body_or_idle(true) => {
                        return Err(left.err().unwrap_or_else(|| Error::new(ErrorType::ConnectionClosed)).into_down());
                    }
                };
                let head = upstream.resp_header().ok_or_else(|| Error::new_up(ErrorType::ReadError))?;
                if !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS {
                    break head.clone();
                }
            };
            if let Some(forwarding) = ctx.forwarding() {
                forwarding.note_answer();
            }
            if let Err(error) = self.watch_customer_session(http, &head, ctx).await {
                match ctx.forwarding() {
                    Some(forwarding) if forwarding.repeat == Repeat::Due => forwarding.repeat = Repeat::Done,
                    _ => return Err(error),
                }
                continue;
            }
            return match head.status {
                StatusCode::SWITCHING_PROTOCOLS if upstream.was_upgraded() && is_websocket(&head) => {
                    Ok(Shaken::Open(Box::new(upstream), Box::new(head)))
                }
                // Switched, but to something that nobody asked for.
                StatusCode::SWITCHING_PROTOCOLS => Err(Error::new_up(ErrorType::InvalidHTTPHeader)),
                status => Ok(Shaken::Refused(status)),
            };
        }
    }

    /// A connection of its own: to the next node when one does not answer.
    async fn connect(&self, ctx: &mut RequestCtx) -> Result<HttpSession> {
        loop {
            self.take_node(ctx).await?;
            let mut peer = at_node::peer(ctx)?;
            peer.options.alpn = ALPN::H1;
            let error = match self.connections.open(&peer).await {
                Ok(upstream) => return Ok(upstream),
                Err(error) => error,
            };
            let again = match (&ctx.site, &mut ctx.stage) {
                (Some(site), Stage::Forwarding(forwarding)) => at_node::not_connected(&error, site, forwarding),
                _ => false,
            };
            if !again {
                return Err(error.into_up());
            }
        }
    }

    async fn stay_open(
        &self,
        http: &mut ServerSession,
        mut upstream: HttpSession,
        mut head: Box<ResponseHeader>,
        ctx: &mut RequestCtx,
        in_force: &InForce,
    ) -> Result<()> {
        upstream_response::prepare(http.req_header(), &mut head, ctx)?;
        head.insert_header(header::CONNECTION, HeaderValue::from_static("Upgrade"))?;
        head.insert_header(header::UPGRADE, HeaderValue::from_static("websocket"))?;
        let idle_time = ctx.site.as_ref().map_or(Duration::ZERO, |site| site.settings.limits.websocket_idle);
        let session = ctx.forwarding().and_then(|forwarding| forwarding.permit.session().cloned());
        http.write_response_header(head).await.map_err(|error| error.into_down())?;
        // The tunnel has an idle time of its own, for both sides together.
        http.set_read_timeout(None);
        (upstream.read_timeout, upstream.write_timeout) = (None, Some(idle_time));
        upstream.maybe_upgrade_body_writer();
        let mut idle_until = clock::deadline(idle_time);
        let mut replacements = in_force.replacements();
        let mut look_again = tokio::time::interval(LOOK_AGAIN);
        look_again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let closed = loop {
            tokio::select! {
                read = http.read_request_body() => {
                    let Ok(Some(octets)) = read else { break Closed::ByVisitor };
                    if let Some(session) = &session {
                        session.is_used(self.clock.now());
                    }
                    tokio::select! {
                        biased;
                        () = ended(session.as_deref()) => break Closed::SessionEnded,
                        written = upstream.write_body(&octets) => if written.is_err() {
                            break Closed::ByUpstream;
                        }
                    }
                    idle_until = clock::deadline(idle_time);
                }
                read = upstream.read_body_bytes() => {
                    let Ok(Some(octets)) = read else { break Closed::ByUpstream };
                    tokio::select! {
                        biased;
                        () = ended(session.as_deref()) => break Closed::SessionEnded,
                        written = http.write_response_body(octets, false) => if written.is_err() {
                            break Closed::ByVisitor;
                        }
                    }
                    idle_until = clock::deadline(idle_time);
                }
                () = ended(session.as_deref()) => break Closed::SessionEnded,
                _ = look_again.tick() => {
                    if session.as_ref().is_some_and(|session| session.is_over(self.clock.now())) {
                        break Closed::SessionEnded;
                    }
                    if !is_still_permitted(ctx, in_force) {
                        break Closed::NoLongerPermitted;
                    }
                }
                Ok(()) = replacements.changed() => {
                    if !is_still_permitted(ctx, in_force) {
                        break Closed::NoLongerPermitted;
                    }
                }
                () = until(idle_until) => break Closed::Idle,
            }
        };
        tracing::debug!(request = %ctx.exchange.request_id(), ?closed, "a tunnel was closed");
        upstream.shutdown().await;
        Ok(())
    }
}

/// Whether the handshake would go on now as well, to the same upstream. If so, the tunnel is from now on one of the
/// configuration in force, and what it was opened under can go.
fn is_still_permitted(ctx: &mut RequestCtx, in_force: &InForce) -> bool {
    let now = in_force.now();
    let circumstances = Gateway::circumstances(ctx, now.clock.now());
    let (Some(before), Stage::Forwarding(forwarding)) = (&ctx.site, &mut ctx.stage) else { return false };
    let request = &forwarding.request;
    let Some(site) = now.sites.get(request.host()).cloned() else { return false };
    if site.upstream.origin() != before.upstream.origin() || site.hands_over_to().is_some() {
        return false;
    }
    let demand = site.rules.demand(request.decoded_path());
    let session = forwarding.permit.session().cloned();
    let Decision::Forward(permit) = policy::decide(request, demand, session, &site.admission, &circumstances) else {
        return false;
    };
    forwarding.permit = permit;
    ctx.site = Some(site);
    ctx.gateway = now;
    true
}

fn is_websocket(head: &ResponseHeader) -> bool {
    head.headers.get(header::UPGRADE).is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Waits for the end of the session; without one, for ever.
async fn ended(session: Option<&LiveSession>) {
    match session {
        Some(session) => session.ended().await,
        None => std::future::pending().await,
    }
}

async fn until(deadline: Instant) {
    tokio::time::sleep_until(deadline).await;
}
