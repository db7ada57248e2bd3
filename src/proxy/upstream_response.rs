//! What the visitor gets to see of an answer, and what the answer tells about the customer session.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode, Version, response};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::ServerSession;
use pingora::{Error, ErrorType, Result};

use super::Gateway;
use super::answer::REQUEST_ID;
use super::context::{Forwarding, Range, Repeat, RequestCtx, Stage};
use super::site::Site;
use super::{answer, answer_plan, at_node, in_page, response_fields, set_cookie};
use crate::clock::Stopwatch;
use crate::customer::{AnswerHead, CustomerFailed, DeathSign, Verdict};
use crate::policy::Visitor;
use crate::portal::media_type;
use crate::refusal::{Reason, Refusal};
use crate::telemetry::{Outcome, Step};

/// Whether the field of an answer is not the upstream's to set here (security cases C13 and C26), or tells too much.
fn is_kept_back(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "alt-svc"
            | "clear-site-data"
            | "public-key-pins"
            | "expect-ct"
            | "x-ausername"
            | "x-asessionid"
            | "x-seraph-loginreason"
            | "x-accel-redirect"
            | "server"
            | "x-powered-by"
    )
}

impl Gateway {
    /// What the head of an answer tells: of its node, the customer session, the request's count, and whether it is of use.
    ///
    /// # Errors
    /// When it is not what goes to the visitor.
    pub(super) async fn answer_has_come(
        &self,
        http: &mut ServerSession,
        response: &ResponseHeader,
        ctx: &mut RequestCtx,
    ) -> Result<()> {
        if let Some(forwarding) = ctx.forwarding() {
            forwarding.note_answer();
        }
        let watched = self.watch_customer_session(http, response, ctx).await;
        self.settle_count(response.status, watched.is_ok(), ctx).await;
        watched?;
        want_the_whole(http.req_header(), response, ctx)
    }

    /// Looks whether the answer shows that the customer session had died; then opens a new one, and has the request
    /// sent again if nothing of it is lost, and only once.
    pub(super) async fn watch_customer_session(
        &self,
        http: &mut ServerSession,
        response: &ResponseHeader,
        ctx: &mut RequestCtx,
    ) -> Result<()> {
        if response.status.is_informational() {
            return Ok(());
        }
        let (Some(site), Stage::Forwarding(forwarding)) = (ctx.site.clone(), &mut ctx.stage) else {
            return Err(Error::new(ErrorType::HTTPStatus(500)));
        };
        if let Some(waiting) = forwarding.waiting.filter(|_| forwarding.repeat == Repeat::No) {
            ctx.exchange.took(Step::Upstream, waiting.elapsed());
        }
        let Visitor::SignedIn(session) = forwarding.permit.visitor() else { return Ok(()) };
        let Some(used) = forwarding.customer_session.clone() else { return Ok(()) };
        let asked = forwarding.sent_again.as_ref().map_or(http.req_header(), |again| &again.head);
        let answer = AnswerHead {
            status: response.status,
            headers: &response.headers,
            request_wanted_json: wants_json(&asked.headers),
        };
        let is_stranger = at_node::is_stranger(&site, forwarding);
        let sign = match site.customers.judge(&used, &answer, &self.clock) {
            Verdict::Alive => return Ok(()),
            // A stranger's session is not kept in place of the customer's.
            Verdict::Renewed(_) if is_stranger => return Ok(()),
            Verdict::Renewed(renewed) => {
                let renewed = match at_node::node_that_knows(site.upstream.nodes(), forwarding) {
                    Some(node) => renewed.at_node(Some(node)),
                    None => renewed,
                };
                Box::pin(site.customers.keep(session, renewed)).await;
                return Ok(());
            }
            // A fresh session met the same answer: then it is what the upstream means to say.
            Verdict::Dead(_) if forwarding.repeat != Repeat::No => return Ok(()),
            // The node that knows it is not asked: it says nothing of this one.
            Verdict::Dead(_) if is_stranger => DeathSign::OtherNode,
            Verdict::Dead(sign) => sign,
        };
        let watch = Stopwatch::start();
        let reopened = Box::pin(site.customers.reopen(session, used.generation(), sign, self.clock.now())).await;
        ctx.exchange.took(Step::CustomerSession, watch.elapsed());
        let host = site.settings.host.as_str();
        match reopened {
            // It was not dead after all.
            Ok(same) if same.generation() == used.generation() => return Ok(()),
            Ok(fresh) => {
                forwarding.customer_session = Some(fresh);
                // The upstream took nothing of a request without a session, so that sending it again is safe as long
                // as its whole body is still at hand.
                if http.retry_buffer_truncated() {
                    self.metrics.repeated(host, "not_sent");
                    forwarding.refusal = Some(Reason::NotSent.into());
                } else {
                    self.metrics.repeated(host, "repeated");
                    forwarding.repeat = Repeat::Due;
                }
            }
            Err(failed) => {
                // Of these it is not known whether the session was dead.
                let unknown = matches!(failed, CustomerFailed::SessionEnded | CustomerFailed::Interrupted);
                if sign.is_certain() || !unknown {
                    nothing_was_taken(forwarding);
                }
                forwarding.refusal = Some(super::refuse::customer_refusal(&failed));
            }
        }
        Err(Error::explain(ErrorType::InternalError, "the customer session had died").into_up())
    }
}

/// A kept form waits on when the upstream knew no session for it.
fn nothing_was_taken(forwarding: &mut Forwarding) {
    if let Some(again) = &mut forwarding.sent_again {
        again.given = false;
    }
}

impl Gateway {
    /// A request that the upstream did not take does not count against the customer's limits; one whose answer nobody
    /// waited for does.
    pub(super) async fn settle_count(&self, status: StatusCode, goes_on: bool, ctx: &mut RequestCtx) {
        let Some(forwarding) = ctx.forwarding() else { return };
        if status.is_informational() || forwarding.repeat == Repeat::Due {
            return;
        }
        if goes_on && !status.is_client_error() && !status.is_server_error() {
            forwarding.counted = None;
        } else {
            self.take_back_count(ctx).await;
        }
    }

    /// Nothing was made of the request.
    pub(super) async fn take_back_count(&self, ctx: &mut RequestCtx) {
        let Some(counted) = ctx.forwarding().and_then(|forwarding| forwarding.counted.take()) else { return };
        let Some(creations) = ctx.site.as_ref().and_then(|site| site.creations.as_ref()) else { return };
        if let Err(error) = Box::pin(creations.take_back(&counted)).await {
            tracing::warn!(%error, "a request that was not made counts all the same, after a restart");
        }
    }
}

/// Makes the head of an answer fit for the visitor and for their connection.
///
/// # Errors
/// As [`prepare`].
pub fn hand_out(http: &mut ServerSession, response: &mut ResponseHeader, ctx: &mut RequestCtx) -> Result<()> {
    prepare(http.req_header(), response, ctx)?;
    // HTTP/1.0 knows no chunks (RFC 9112, section 6.1): there, the end of the connection ends the body.
    if http.req_header().version == Version::HTTP_10 && response.remove_header(&header::TRANSFER_ENCODING).is_some() {
        http.set_keepalive(None);
    }
    // Its head came before the end was near: the answer says that the connection ends with it.
    if ctx.gateway.ending.has_begun() {
        http.set_keepalive(None);
    }
    Ok(())
}

/// Makes the head of an answer fit for the visitor, and decides whether its body is rewritten.
pub fn prepare(visitor: &RequestHeader, response: &mut ResponseHeader, ctx: &mut RequestCtx) -> Result<()> {
    let (request_id, hsts) = (answer::request_id(ctx)?, ctx.gateway.hsts.clone());
    let (Some(site), Stage::Forwarding(forwarding)) = (&ctx.site, &mut ctx.stage) else {
        return Err(Error::new(ErrorType::HTTPStatus(500)));
    };
    let phrase = response.get_reason_phrase().filter(|phrase| Some(*phrase) != response.status.canonical_reason());
    let phrase = phrase.map(str::to_owned);
    let mut head = response::Parts::from(std::mem::replace(response, nothing()));
    let kept_back: Vec<HeaderName> = head.headers.keys().filter(|name| is_kept_back(name)).cloned().collect();
    for name in kept_back {
        head.headers.remove(name);
    }
    keep_cookies_back(site, forwarding, &mut head.headers);
    response_fields::rewrite(&mut head.headers, &site.rewriting);
    if !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS {
        ctx.exchange.ends(Outcome::Forwarded, head.status);
        keep_pages_private(forwarding, &mut head.headers);
        forwarding.body = match answer_plan::decide(visitor, &mut head, &site.rewriting)? {
            Some(body) => {
                let person = forwarding.person_mark.as_deref();
                Some(match in_page::for_document(visitor, &mut head.headers, site, person)? {
                    Some(insert) => body.inserting(insert),
                    None => body,
                })
            }
            None => None,
        };
        head.headers.insert(REQUEST_ID, request_id);
        // In place of what the upstream says of its own host.
        head.headers.insert(header::STRICT_TRANSPORT_SECURITY, hsts);
    }
    *response = ResponseHeader::from(head);
    if phrase.is_some() {
        response.set_reason_phrase(phrase.as_deref())?;
    }
    Ok(())
}

/// Stands where a head was taken out: see `upstream_request::nothing`.
fn nothing() -> ResponseHeader {
    ResponseHeader::from(Response::new(()).into_parts().0)
}

/// Cookies of the customer session stay here; others go on, for this host alone (security case C13).
fn keep_cookies_back(site: &Site, forwarding: &Forwarding, headers: &mut HeaderMap) {
    let set: Vec<HeaderValue> = headers.get_all(header::SET_COOKIE).iter().cloned().collect();
    if set.is_empty() {
        return;
    }
    headers.remove(header::SET_COOKIE);
    let used = forwarding.customer_session.as_deref();
    let passes =
        |value: &&HeaderValue| set_cookie::name(value).is_some_and(|name| !site.customers.keeps_back(name, used));
    for value in set.iter().filter(passes).filter_map(set_cookie::for_this_host) {
        headers.append(header::SET_COOKIE, value);
    }
}

/// HTML of a signed-in visitor is kept by nobody (security case E6).
fn keep_pages_private(forwarding: &Forwarding, headers: &mut HeaderMap) {
    let content_type = text(headers, &header::CONTENT_TYPE).unwrap_or_default();
    let html = media_type::essence(content_type).eq_ignore_ascii_case("text/html");
    if html && forwarding.permit.session().is_some() {
        // What the upstream says about changing the page stays said: rewriting asks for it afterwards.
        let fixed = answer_plan::no_transform(headers);
        let value = if fixed { "private, no-store, no-transform" } else { "private, no-store" };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(value));
    }
}

/// A part of something that is only ever sent rewritten is no use: the request is sent again, for the whole (RFC 9110, section
/// 14.2 leaves that to us).
fn want_the_whole(visitor: &RequestHeader, response: &ResponseHeader, ctx: &mut RequestCtx) -> Result<()> {
    let (Some(site), Stage::Forwarding(forwarding)) = (&ctx.site, &mut ctx.stage) else {
        return Err(Error::new(ErrorType::HTTPStatus(500)));
    };
    let asked = forwarding.range == Range::AsAsked && visitor.method.is_safe();
    if asked && answer_plan::is_useless_part(response, &site.rewriting) {
        forwarding.range = Range::Due;
        return Err(Error::explain(ErrorType::InternalError, "a part is no use").into_up());
    }
    Ok(())
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Rewrites the next chunk of a body.
///
/// # Errors
/// When it cannot be decoded: then the rest of it is not sent, so that nobody takes it for whole.
pub fn rewrite_body(body: &mut Option<Bytes>, end: bool, ctx: &mut RequestCtx) -> Result<()> {
    let Some(forwarding) = ctx.forwarding() else { return Ok(()) };
    let Some(rewriter) = &mut forwarding.body else { return Ok(()) };
    let out = rewriter.push(body.take().unwrap_or_default(), end).map_err(|failed| {
        forwarding.refusal = Some(Refusal::with_detail(Reason::UpstreamBroken, failed.to_string()));
        Error::explain(ErrorType::InternalError, "the body cannot be rewritten").into_up()
    })?;
    *body = (!out.is_empty() || end).then_some(out);
    Ok(())
}

/// What is left of a body that ends with trailers. The trailers themselves stay here: no browser reads them, and they
/// pass none of the rules for fields.
///
/// # Errors
/// As [`rewrite_body`].
pub fn end_body(trailers: &mut HeaderMap, ctx: &mut RequestCtx) -> Result<Option<Bytes>> {
    trailers.clear();
    let mut rest = None;
    rewrite_body(&mut rest, true, ctx)?;
    Ok(rest.filter(|rest| !rest.is_empty()))
}

/// Whether a script asked, and for JSON: an HTML page in answer to that is a login page.
fn wants_json(headers: &HeaderMap) -> bool {
    let accept = text(headers, &header::ACCEPT).unwrap_or_default();
    accept.contains("json") && !accept.contains("text/html")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_upstream_may_not_set_stays_here_however_it_is_spelled() {
        for name in [
            "Alt-Svc",
            "Clear-Site-Data",
            "Public-Key-Pins",
            "Expect-CT",
            "X-AUSERNAME",
            "X-ASESSIONID",
            "X-Accel-Redirect",
        ] {
            assert!(is_kept_back(&HeaderName::try_from(name).unwrap()), "{name}");
        }
        for (name, kept_back) in
            [("Server", true), ("X-Powered-By", true), ("Content-Type", false), ("X-Server", false)]
        {
            assert_eq!(is_kept_back(&HeaderName::try_from(name).unwrap()), kept_back, "{name}");
        }
    }
}
