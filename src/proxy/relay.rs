//! The relay: how a request without a body and its answer go when nothing is out of the ordinary, which is how most go.
//!
//! Pingora serves each request by two tasks, one for each side, with a channel between them, so that a body can go up while the
//! answer comes down. Where there is no body, one loop does: it sends the head, and hands on what comes. Heads and bodies are
//! read, written and framed by Pingora's own sessions of HTTP/1.1 and HTTP/2, and pass the same steps as everything else does.
//!
//! Whatever goes wrong before the visitor has seen anything is Pingora's proxy's to put right, if it can be: the request is handed on
//! as if it came anew, with what was learned of its nodes.

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Method, StatusCode, Version};
use pingora::http::ResponseHeader;
use pingora::protocols::http::HttpTask;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v1::client::HttpSession;
use pingora::{Error, ErrorType, Result};

use super::context::{RequestCtx, Stage};
use super::door::Served;
use super::{Gateway, at_node, upstream_request, upstream_response};

impl Gateway {
    /// Sends a permitted request to its node and its answer to the visitor, if it is one of those that are relayed.
    ///
    /// # Errors
    /// As from Pingora's proxy: what makes an error page, or, once something of an answer has gone out, breaks it off.
    pub(super) async fn relay(&self, http: &mut ServerSession, ctx: &mut RequestCtx) -> Result<Served> {
        if !is_relayed(http, ctx) {
            return Ok(Served::NotHere);
        }
        self.take_node_for_attempt(ctx).await?;
        let (Some(site), Stage::Forwarding(forwarding)) = (&ctx.site, &mut ctx.stage) else {
            return Err(Error::new(ErrorType::HTTPStatus(500)));
        };
        let Some(node) = forwarding.at.as_ref().map(|at| at.node()) else {
            return Err(Error::new(ErrorType::HTTPStatus(500)));
        };
        let (address, limits) = (node.address(), site.settings.limits);
        let mut upstream = self.connections.take(address);
        let was_kept = upstream.is_some();
        if !was_kept {
            upstream = match Box::pin(self.connections.open(&site.upstream.peer(node))).await {
                Ok(opened) => Some(opened),
                Err(error) if at_node::not_connected(&error, site, forwarding) => return Ok(Served::NotHere),
                Err(error) => return Err(error.into_up()),
            };
        }
        let Some(connection) = &mut upstream else { return Err(Error::new(ErrorType::HTTPStatus(500))) };
        connection.read_timeout = Some(limits.upstream_response);
        connection.write_timeout = Some(limits.upstream_response);
        let last = match self.exchange(http, connection, ctx).await {
            Ok(last) => last,
            Err(mut error) => match at_node::goes_again(&mut error, http, ctx, was_kept) {
                true => return Ok(Served::NotHere),
                false => return Err(error),
            },
        };
        // Before the visitor has seen the end, whose next request may be the one that takes it.
        if let Some(answered) = upstream.take() {
            self.connections.keep(address, answered, limits.upstream_idle);
        }
        http.response_duplex_vec(vec![last]).await?;
        http.finish_body().await.map_err(|error| error.into_down())?;
        Ok(Served::Answered)
    }

    /// The request goes up, and what comes of it down, until all of it has come. Gives the last of it, which has not gone down.
    async fn exchange(
        &self,
        http: &mut ServerSession,
        upstream: &mut HttpSession,
        ctx: &mut RequestCtx,
    ) -> Result<HttpTask> {
        let mut request = Box::new(http.req_header().clone());
        request.set_version(Version::HTTP_11);
        upstream_request::prepare(http.req_header(), &mut request, ctx)?;
        // Whatever was said of a body's length, there is none.
        request.remove_header(&CONTENT_LENGTH);
        request.remove_header(&TRANSFER_ENCODING);
        upstream.write_request_header(request).await.map_err(|error| error.into_up())?;
        upstream.finish_body().await.map_err(|error| error.into_up())?;
        loop {
            let came = tokio::select! {
                biased;
                came = upstream.read_response_task() => came.map_err(|error| error.into_up())?,
                // Nothing more is to come from the visitor of this request: what can is the end.
                left = http.read_body_or_idle(true) => {
                    return Err(left.err().unwrap_or_else(|| Error::new(ErrorType::ConnectionClosed)).into_down());
                }
            };
            let (task, is_last) = match came {
                HttpTask::Header(mut head, is_last) => {
                    let goes_on = head.status.is_informational();
                    if head.status == StatusCode::SWITCHING_PROTOCOLS {
                        return Err(Error::explain(ErrorType::InvalidHTTPHeader, "switched unasked").into_up());
                    }
                    self.answer_has_come(http, &head, ctx).await?;
                    frame(http, &mut head, is_last)?;
                    upstream_response::hand_out(http, &mut head, ctx)?;
                    (HttpTask::Header(head, is_last), is_last && !goes_on)
                }
                HttpTask::Body(mut body, is_last) => {
                    upstream_response::rewrite_body(&mut body, is_last, ctx)?;
                    (HttpTask::Body(body, is_last), is_last)
                }
                HttpTask::Done => (HttpTask::Done, true),
                HttpTask::Failed(error) => return Err(error.into_up()),
                HttpTask::UpgradedBody(..) | HttpTask::Trailer(_) => return Err(Error::new_up(ErrorType::ReadError)),
            };
            if is_last {
                return Ok(task);
            }
            http.response_duplex_vec(vec![task]).await?;
        }
    }
}

/// Whether the request has no body and changes nothing, so that nothing is lost when it has to be sent again, and goes by
/// HTTP/1.1: what is spoken by TLS is agreed upon with each connection, and Pingora knows what was.
fn is_relayed(http: &mut ServerSession, ctx: &RequestCtx) -> bool {
    let (Some(site), Stage::Forwarding(forwarding)) = (&ctx.site, &ctx.stage) else { return false };
    if !site.upstream.is_plain() {
        return false;
    }
    let reads = matches!(*forwarding.request.method(), Method::GET | Method::HEAD);
    reads && forwarding.sent_again.is_none() && http.is_body_empty()
}

/// A body whose length nothing tells goes on in chunks, so that the visitor's connection outlives it (RFC 9112, section 6.3).
fn frame(http: &ServerSession, head: &mut ResponseHeader, is_last: bool) -> Result<()> {
    let bodyless = is_last
        || head.status.is_informational()
        || http.req_header().method == Method::HEAD
        || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let framed = head.headers.contains_key(TRANSFER_ENCODING) || head.headers.contains_key(CONTENT_LENGTH);
    if !bodyless && !framed {
        head.set_version(Version::HTTP_11);
        head.insert_header(TRANSFER_ENCODING, "chunked")?;
    }
    Ok(())
}
