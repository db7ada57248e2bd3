//! WebSockets (RFC 6455): the handshake by the same rules as any request, then octets both ways.
//!
//! Not Pingora's own loop: in 0.9.1 that takes the end of the handshake's empty body for the end of the tunnel whenever the
//! upstream's 101 is read first, and it may offer HTTP/2 to the upstream, which knows no upgrade. A loop of our own also
//! sees the session: a tunnel lasts no longer than the session that opened it.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
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

/// How long the end of a tunnel towards the upstream may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// What the upstream says to a handshake.
enum Shaken {
    /// It switches protocols.
    Open(Box<HttpSession>, Box<ResponseHeader>),
    /// It does not.
    Refused(StatusCode),
}

/// What came through a tunnel; nothing at the end of that side.
enum Piece {
    Up(Option<Bytes>),
    Down(Option<Bytes>),
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
            let limit = ctx.site.as_ref().map_or(Duration::ZERO, |site| site.settings.limits.upstream_response);
            (upstream.read_timeout, upstream.write_timeout) = (Some(limit), Some(limit));
            // For all that comes before the answer as well: early hints would hold a place for ever.
            let mut answer_is_due = pin!(until(clock::deadline(limit)));
            let mut request = http.req_header().clone();
            upstream_request::prepare(http.req_header(), &mut request, ctx)?;
            upstream.write_request_header(Box::new(request)).await.map_err(|error| error.into_up())?;
            let head = loop {
                tokio::select! {
                    biased;
                    // First, or whoever never stops to hint would not let it be looked at.
                    () = &mut answer_is_due => return Err(Error::new_up(ErrorType::ReadTimedout)),
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
        let request_id = ctx.exchange.request_id();
        let mut over = pin!(self.over(session.as_deref(), ctx, in_force));
        let mut idle_until = clock::deadline(idle_time);
        // First of all, and beside each write, whether it may go on: who reads nothing does not put the end off.
        let closed = loop {
            let piece = async {
                tokio::select! {
                    up = http.read_request_body() => Piece::Up(up.ok().flatten()),
                    down = upstream.read_body_bytes() => Piece::Down(down.ok().flatten()),
                }
            };
            let piece = tokio::select! {
                biased;
                closed = &mut over => break closed,
                piece = piece => piece,
                () = until(idle_until) => break Closed::Idle,
            };
            let writing = async {
                match piece {
                    Piece::Up(None) => Err(Closed::ByVisitor),
                    Piece::Down(None) => Err(Closed::ByUpstream),
                    Piece::Up(Some(octets)) => {
                        if let Some(session) = &session {
                            session.is_used(self.clock.now());
                        }
                        upstream.write_body(&octets).await.map(drop).map_err(|_| Closed::ByUpstream)
                    }
                    Piece::Down(Some(octets)) => {
                        http.write_response_body(octets, false).await.map_err(|_| Closed::ByVisitor)
                    }
                }
            };
            tokio::select! {
                biased;
                closed = &mut over => break closed,
                written = writing => if let Err(closed) = written {
                    break closed;
                }
            }
            idle_until = clock::deadline(idle_time);
        };
        tracing::debug!(request = %request_id, ?closed, "a tunnel was closed");
        // By TLS this sends what is still there, and who reads nothing takes nothing.
        let _ = tokio::time::timeout_at(clock::deadline(GOODBYE), upstream.shutdown()).await;
        Ok(())
    }

    /// Waits until nothing may go through a tunnel any more.
    async fn over(&self, session: Option<&LiveSession>, ctx: &mut RequestCtx, in_force: &InForce) -> Closed {
        let mut replacements = in_force.replacements();
        let mut look_again = tokio::time::interval(LOOK_AGAIN);
        look_again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = ended(session) => return Closed::SessionEnded,
                _ = look_again.tick() => {
                    if session.is_some_and(|session| session.is_over(self.clock.now())) {
                        return Closed::SessionEnded;
                    }
                    if !is_still_permitted(ctx, in_force) {
                        return Closed::NoLongerPermitted;
                    }
                }
                Ok(()) = replacements.changed() => {
                    if !is_still_permitted(ctx, in_force) {
                        return Closed::NoLongerPermitted;
                    }
                }
            }
        }
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
