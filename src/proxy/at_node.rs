//! The node that a request goes to, and what becomes of the request when that node fails it.
//!
//! A request that was not sent at all may go to another node, whatever it is. One that was sent, and broke off before anything
//! of an answer came, is sent again only when it is safe and has no body (RFC 9110, section 9.2.1): never anything twice that
//! changes something.

use std::net::SocketAddr;

use http::Method;
use pingora::protocols::http::ServerSession;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, Result};

use super::context::{Forwarding, Range, Repeat, RequestCtx, Stage};
use super::site::Site;
use super::{Gateway, answer};
use crate::customer::DeathSign;
use crate::nodes::{Choice, Failure, NoTurn, Node, Nodes};
use crate::policy::Visitor;
use crate::refusal::Reason;

impl Gateway {
    /// As [`Gateway::take_node`]; where there is none, the request does not count.
    pub(super) async fn take_node_for_attempt(&self, ctx: &mut RequestCtx) -> Result<()> {
        let taken = self.take_node(ctx).await;
        if taken.is_err() {
            self.take_back_count(ctx).await; // in this attempt nothing was sent, and in those before nothing was taken
        }
        taken
    }

    /// Takes a place at the node for this attempt, and gives back that of the attempt before. Where that is not the node that
    /// knows the person's customer session, one is opened first where requests go.
    pub(super) async fn take_node(&self, ctx: &mut RequestCtx) -> Result<()> {
        // Without a permit there is no upstream.
        let (Some(site), Stage::Forwarding(forwarding)) = (&ctx.site, &mut ctx.stage) else {
            return Err(Error::new(ErrorType::HTTPStatus(500)));
        };
        forwarding.at = None;
        forwarding.is_answered = false;
        if let Some(again) = &mut forwarding.sent_again {
            again.given = false;
        }
        take(site, forwarding).await?;
        if is_stranger(site, forwarding) {
            forwarding.at = None;
            Box::pin(self.follow(site, forwarding)).await?;
            take(site, forwarding).await?;
            if is_stranger(site, forwarding) {
                return Err(Error::explain(ErrorType::ConnectNoRoute, "no node knows the customer").into_up());
            }
        }
        let Some(at) = &forwarding.at else { return Err(Error::new(ErrorType::HTTPStatus(500))) };
        if site.upstream.nodes().are_told_apart() {
            ctx.exchange.at_node(at.node().address());
        }
        Ok(())
    }

    /// Opens a customer session where the person's requests go now.
    async fn follow(&self, site: &Site, forwarding: &mut Forwarding) -> Result<()> {
        let (Some(used), Visitor::SignedIn(session)) = (&forwarding.customer_session, forwarding.permit.visitor())
        else {
            return Ok(());
        };
        match site.customers.reopen(session, used.generation(), DeathSign::OtherNode, self.clock.now()).await {
            Ok(fresh) => {
                forwarding.customer_session = Some(fresh);
                forwarding.has_moved = true;
                Ok(())
            }
            Err(failed) => {
                forwarding.refusal = Some(super::refuse::customer_refusal(&failed));
                Err(Error::explain(ErrorType::InternalError, "no customer session at another node").into_up())
            }
        }
    }
}

/// How to connect to the node that was taken.
///
/// # Errors
/// When none was.
pub(super) fn peer(ctx: &RequestCtx) -> Result<Box<HttpPeer>> {
    match (&ctx.site, &ctx.stage) {
        (Some(site), Stage::Forwarding(forwarding)) => forwarding.at.as_ref().map(|at| site.upstream.peer(at.node())),
        _ => None,
    }
    .ok_or_else(|| Error::new(ErrorType::HTTPStatus(500)))
}

async fn take(site: &Site, forwarding: &mut Forwarding) -> Result<()> {
    match site.upstream.nodes().take(choice(forwarding), &forwarding.tried).await {
        Ok(at) => {
            forwarding.at = Some(at);
            Ok(())
        }
        Err(NoTurn::NoneLeft) => Err(Error::new(ErrorType::ConnectNoRoute).into_up()),
        Err(NoTurn::Full) => {
            forwarding.refusal = Some(Reason::UpstreamBusy.into());
            Err(Error::explain(ErrorType::ConnectError, "the node has no place").into_up())
        }
    }
}

/// Whether the customer session means nobody at the node that was taken.
pub(super) fn is_stranger(site: &Site, forwarding: &Forwarding) -> bool {
    let Some(used) = forwarding.customer_session.as_ref().filter(|_| site.upstream.nodes().are_told_apart()) else {
        return false;
    };
    is_elsewhere(forwarding) && !site.customers.outlives_its_node(used)
}

/// Whose request it is.
pub(super) fn choice(forwarding: &Forwarding) -> Choice {
    match forwarding.permit.visitor() {
        Visitor::SignedIn(session) => Choice::Person {
            affinity: session.affinity(),
            at: forwarding.customer_session.as_ref().and_then(|held| held.node()),
        },
        Visitor::Anonymous => Choice::Anybody,
    }
}

/// No connection was made. Whether the request, of which nothing was sent, goes to another node.
pub(super) fn not_connected(error: &Error, site: &Site, forwarding: &mut Forwarding) -> bool {
    let Some(at) = forwarding.at.take() else { return false };
    // That we have no socket left says nothing of the node.
    if !matches!(error.etype(), ErrorType::BindError | ErrorType::SocketError) {
        at.node().failed(Failure::Connect);
    }
    goes_elsewhere(at.node(), site, forwarding, Sent::Nothing)
}

/// It went wrong after there was a connection. Whether the request is sent again; one that is sent otherwise then is marked so.
pub(super) fn goes_again(error: &mut Error, http: &mut ServerSession, ctx: &mut RequestCtx, was_kept: bool) -> bool {
    let (Some(site), Stage::Forwarding(forwarding)) = (&ctx.site, &mut ctx.stage) else { return false };
    if forwarding.repeat == Repeat::Due {
        forwarding.repeat = Repeat::Done;
        true
    } else if forwarding.range == Range::Due {
        forwarding.range = Range::Dropped;
        true
    } else {
        forwarding.refusal.is_none() && broken(error, http, site, forwarding, was_kept)
    }
}

/// The connection broke. Whether the request is sent again: to another node, or once more to the same by another connection
/// when it met a kept one that the node was just closing (RFC 9112, section 9.3.1).
fn broken(
    error: &mut Error,
    http: &mut ServerSession,
    site: &Site,
    forwarding: &mut Forwarding,
    was_kept: bool,
) -> bool {
    let answered = forwarding.is_answered || answer::has_begun(http);
    let timed_out = matches!(error.etype(), ErrorType::ReadTimedout | ErrorType::WriteTimedout);
    let broke = matches!(
        error.etype(),
        ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed | ErrorType::H2Error
    );
    if *error.esource() == ErrorSource::Downstream || answered {
        return false;
    }
    // Whoever sends a body makes the answer late, and perhaps the connection break, by what they leave out. One that is
    // announced and does not come is no empty one, in HTTP/2 either.
    let bodyless = forwarding.sent_again.is_none() && http.is_body_empty();
    // What breaks one node after the other says more of the request than of the nodes.
    if bodyless && forwarding.tried.is_empty() && (timed_out || (broke && !was_kept)) {
        let failure = if timed_out { Failure::Timeout } else { Failure::Broken };
        if let Some(at) = &forwarding.at {
            at.node().failed(failure);
        }
    }
    let whole = !http.retry_buffer_truncated();
    let safe = matches!(*forwarding.request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !(whole && safe && bodyless) {
        return false;
    }
    error.retry.decide_reuse(was_kept);
    if error.retry() && !(forwarding.was_kept_waiting && has_others(site, forwarding)) {
        forwarding.was_kept_waiting = true;
        if let Some(at) = &forwarding.at {
            at.node().retried();
        }
        return true;
    }
    // Who waits for a slow answer would only wait twice.
    match forwarding.at.take() {
        Some(at) if broke => goes_elsewhere(at.node(), site, forwarding, Sent::Something),
        _ => false,
    }
}

fn has_others(site: &Site, forwarding: &Forwarding) -> bool {
    let Some(at) = &forwarding.at else { return false };
    let mut tried = forwarding.tried.clone();
    tried.push(at.node().address());
    site.upstream.nodes().has_others(&tried)
}

/// How much of the request a node was given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    Nothing,
    Something,
}

/// Whether there is a node for another attempt; if so, it is not one of those that failed. The addresses of one server are all
/// tried as long as nothing was sent.
fn goes_elsewhere(node: &Node, site: &Site, forwarding: &mut Forwarding, sent: Sent) -> bool {
    forwarding.tried.push(node.address());
    let nodes = site.upstream.nodes();
    let all = sent == Sent::Nothing && !nodes.are_told_apart();
    let again = (all || forwarding.tried.len() <= nodes.retries()) && nodes.has_others(&forwarding.tried);
    if again {
        node.retried();
    }
    again
}

/// The node that an answer has come from, when it is another one than the customer session's.
fn is_elsewhere(forwarding: &Forwarding) -> bool {
    let answers: Option<SocketAddr> = forwarding.at.as_ref().map(|at| at.node().address());
    let knows = forwarding.customer_session.as_ref().and_then(|held| held.node());
    knows.is_some() && answers != knows
}

/// The node that has answered, where what it knows the others need not.
pub(super) fn node_that_knows(nodes: &Nodes, forwarding: &Forwarding) -> Option<SocketAddr> {
    forwarding.at.as_ref().filter(|_| nodes.are_told_apart()).map(|at| at.node().address())
}
