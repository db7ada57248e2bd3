//! What the upstream gets to see of a request: the visitor's own fields that matter, and ours in place of the rest.
//!
//! Runs again when a request is sent again, from the same visitor's head, with the same result.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Version, request};
use pingora::http::RequestHeader;
use pingora::{ErrorType, OrErr, Result};

use super::answer::REQUEST_ID;
use super::client_addr::FORWARDED_FOR;
use super::coding::Accepted;
use super::context::{Range, Repeat, RequestCtx, Stage};
use super::header_hygiene::stays_behind;
use super::rewrite::{self, FieldRewriter, Notation};
use super::rewriting::Rewriting;
use super::site::Site;
use super::{answer_plan, login_fields, set_cookie};
use crate::clock::Stopwatch;
use crate::portal::{CanonicalRequest, media_type};
use crate::session::CustomerSession;
use crate::session::cookie::{self, Forwardable};

const XSRF_CHECK: HeaderName = HeaderName::from_static("x-atlassian-token");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Makes `request`, which starts as a copy of the visitor's head, fit for the upstream.
///
/// # Errors
/// When there is no permit, or a value of ours is no header value; neither can happen.
pub fn prepare(visitor: &RequestHeader, request: &mut RequestHeader, ctx: &mut RequestCtx) -> Result<()> {
    let (Some(site), Stage::Forwarding(forwarding)) = (&ctx.site, &mut ctx.stage) else {
        return Err(pingora::Error::new(ErrorType::HTTPStatus(500)));
    };
    if let Some(again) = &mut forwarding.sent_again {
        // With its head all of it is given, where there is no more.
        again.given = again.body.is_empty();
        replace_head(request, &again.head)?;
    }
    let visitor = forwarding.sent_again.as_ref().map_or(visitor, |again| &again.head);
    forwarding.waiting = Some(Stopwatch::start());
    forwarding.received = 0;
    let websocket = forwarding.request.is_websocket();
    let mut head = request::Parts::from(std::mem::replace(request, nothing()));
    let headers = &mut head.headers;
    drop_fields(headers, websocket);
    if let Some(name) = site.customers.identity_header() {
        headers.remove(name);
    }
    headers.insert(header::HOST, site.upstream.authority().clone());
    let customer_session = forwarding.customer_session.as_deref();
    let is_theirs = |name: &str| site.customers.keeps_back(name, customer_session);
    if let Some(cookies) = cookies(visitor, forwarding.request.path(), customer_session, is_theirs) {
        headers.insert(header::COOKIE, cookies);
    }
    if let Some((name, value)) = customer_session.and_then(CustomerSession::assertion_header) {
        headers.insert(name.clone(), value.clone());
    }
    forwarding.form = site.rules.jsm().and_then(|_| login_fields::watch(&visitor.headers));
    rewrite_source(visitor, headers, site)?;
    forwarding.request_body = None;
    if let Some(notation) = notation_of_body(visitor, &site.rewriting).filter(|_| !websocket) {
        // The rewritten body's length is known at its end only.
        headers.remove(header::CONTENT_LENGTH);
        if head.version != Version::HTTP_2 {
            head.version = Version::HTTP_11;
            headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        let names = site.rewriting.request_fields.clone();
        let to_upstream = Arc::clone(&site.rewriting.to_upstream);
        forwarding.request_body = Some(FieldRewriter::new(notation, names, to_upstream));
    }
    let sent_late = forwarding.repeat != Repeat::No || forwarding.has_moved;
    if forwarding.sent_again.is_some() || sent_late && !forwarding.request.is_safe() {
        // The form's XSRF token belongs to the customer session that died, or to the one before the sign-in. That the request comes from the portal's own
        // page was checked at the door (`same_origin`), which is all that the token would show.
        headers.insert(XSRF_CHECK, HeaderValue::from_static("no-check"));
    }
    restore_conditions(headers, &site.rewriting, forwarding.range)?;
    let accepted = if websocket { Accepted::default() } else { Accepted::read(&visitor.headers) };
    headers.insert(header::ACCEPT_ENCODING, accepted.to_upstream());
    if let Some(client) = ctx.exchange.client_text() {
        headers.insert(FORWARDED_FOR, value(client.as_bytes())?);
    }
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static("https"));
    headers.insert(REQUEST_ID, value(ctx.exchange.request_id().as_str().as_bytes())?);
    *request = RequestHeader::from(head);
    request.set_raw_path(target(&forwarding.request, &site.rewriting).as_bytes())
}

/// Stands where a head was taken out. A head that is taken out and put back loses the second map in which Pingora keeps
/// how each name was spelled: names mean the same in any case (RFC 9110, section 5.1), and every change costs double with it.
pub fn nothing() -> RequestHeader {
    RequestHeader::from(Request::new(()).into_parts().0)
}

fn value(bytes: &[u8]) -> Result<HeaderValue> {
    HeaderValue::from_bytes(bytes).or_err(ErrorType::InvalidHTTPHeader, "a value of ours")
}

/// The kept head in place of the visitor's own, of which Pingora has made `request`.
fn replace_head(request: &mut RequestHeader, head: &RequestHeader) -> Result<()> {
    request.set_method(head.method.clone());
    let names: Vec<HeaderName> = request.headers.keys().cloned().collect();
    for name in names {
        request.remove_header(&name);
    }
    for (name, value) in &head.headers {
        request.append_header(name.clone(), value.clone())?;
    }
    Ok(())
}

/// How a body is written that may have fields with addresses of the portal, as its pages know them; the upstream knows its
/// own only.
fn notation_of_body(visitor: &RequestHeader, rewriting: &Rewriting) -> Option<Notation> {
    let headers = &visitor.headers;
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let some = headers.contains_key(header::TRANSFER_ENCODING)
        || text(header::CONTENT_LENGTH).is_some_and(|length| length.trim().parse() != Ok(0_u64));
    if !some || headers.contains_key(header::CONTENT_ENCODING) || rewriting.request_fields.is_empty() {
        return None;
    }
    let content_type = text(header::CONTENT_TYPE)?;
    if !media_type::is_ascii_compatible(content_type) || answer_plan::no_transform(headers) {
        return None;
    }
    match media_type::essence(content_type).to_ascii_lowercase() {
        form if form == "application/x-www-form-urlencoded" => Some(Notation::Form),
        json if json == "application/json" || json.ends_with("+json") => Some(Notation::Json),
        _ => None,
    }
}

/// Tags of ours become the upstream's own again. Of what is sent rewritten no part is asked for, nor are several parts of
/// anything at once: whether a part of a part is rewritten could not be told.
fn restore_conditions(headers: &mut HeaderMap, rewriting: &Rewriting, range: Range) -> Result<()> {
    for name in [header::IF_NONE_MATCH, header::IF_MATCH] {
        let values: Vec<HeaderValue> = headers.get_all(&name).iter().cloned().collect();
        let taken = |value: &HeaderValue| value.to_str().ok().and_then(|list| rewriting.mark.take_all(list));
        let restored: Vec<Option<String>> = values.iter().map(taken).collect();
        if restored.iter().all(Option::is_none) {
            continue;
        }
        headers.remove(&name);
        for (sent, restored) in values.into_iter().zip(restored) {
            headers.append(name.clone(), restored.map_or(Ok(sent), |restored| value(restored.as_bytes()))?);
        }
    }
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let of_ours = text(header::IF_RANGE).is_some_and(|tag| rewriting.mark.take(tag).is_some());
    let several = text(header::RANGE).is_some_and(|range| range.contains(','));
    if of_ours || several || range != Range::AsAsked {
        headers.remove(header::RANGE);
        headers.remove(header::IF_RANGE);
    }
    Ok(())
}

/// The target, with addresses in its fields made the upstream's.
fn target(request: &CanonicalRequest, rewriting: &Rewriting) -> String {
    let changed =
        request.query().and_then(|query| rewrite::query(query, &rewriting.request_fields, &rewriting.to_upstream));
    changed.map_or_else(|| request.target(), |query| format!("{}?{query}", request.path()))
}

/// Rewrites the next part of the request's body; nothing at the `end` ends it.
pub fn rewrite_body(body: &mut Option<Bytes>, end: bool, ctx: &mut RequestCtx) {
    let Some(rewriter) = ctx.forwarding().and_then(|forwarding| forwarding.request_body.as_mut()) else { return };
    let end = end || body.is_none();
    let out = rewriter.push(body.take().unwrap_or_default(), end);
    // An empty part at the end would be taken for a second end.
    *body = (!out.is_empty() || !end).then_some(out);
}

/// A WebSocket handshake keeps what makes it one.
fn drop_fields(headers: &mut HeaderMap, websocket: bool) {
    let dropped: Vec<HeaderName> = headers
        .keys()
        .filter(|name| {
            let upgrade = matches!(**name, header::CONNECTION | header::UPGRADE);
            let ours_in_its_place = matches!(**name, header::HOST | header::ACCEPT_ENCODING);
            !ours_in_its_place && (stays_behind(name.as_str()) || (upgrade && !websocket))
        })
        .cloned()
        .collect();
    for name in dropped {
        headers.remove(name);
    }
}

/// The customer session's cookies first, then the visitor's, without ours and without any by which the upstream would
/// know somebody (`is_theirs`), with a customer session or without one: the browser never got such a cookie from us, so
/// that somebody has planted it (security case C12).
fn cookies(
    visitor: &RequestHeader,
    path: &str,
    customer_session: Option<&CustomerSession>,
    is_theirs: impl Fn(&str) -> bool,
) -> Option<HeaderValue> {
    let injected = customer_session.and_then(|session| session.cookie_header(path));
    let own = match cookie::forwardable(&visitor.headers) {
        Forwardable::Untouched => visitor.headers.get(header::COOKIE).cloned(),
        Forwardable::Joined(value) => Some(value),
        Forwardable::Nothing => None,
    };
    let own = own.and_then(|own| set_cookie::without(&own, is_theirs));
    let mut value = match (injected, own) {
        (None, None) => return None,
        (Some(one), None) | (None, Some(one)) => one,
        (Some(injected), Some(own)) => {
            HeaderValue::from_bytes(&[injected.as_bytes(), b"; ", own.as_bytes()].concat()).ok()?
        }
    };
    value.set_sensitive(true);
    Some(value)
}

/// `Origin` and `Referer` tell the upstream its own address, as its XSRF checks want; foreign ones are not passed on.
fn rewrite_source(visitor: &RequestHeader, headers: &mut HeaderMap, site: &Site) -> Result<()> {
    for name in [header::ORIGIN, header::REFERER] {
        let source = visitor.headers.get(&name).map(HeaderValue::as_bytes);
        if let Some(rewritten) = source.and_then(|source| site.rewriting.to_upstream.address(source)) {
            headers.insert(name, value(&rewritten)?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c12_planted_sessions_of_the_upstream_stay_behind() {
        let mut visitor = RequestHeader::build("GET", b"/", None).unwrap();
        visitor
            .append_header(header::COOKIE, "a=1; JSESSIONID=planted; seraph.rememberme.cookie=planted; b=2")
            .unwrap();
        let is_theirs = |name: &str| matches!(name, "JSESSIONID" | "seraph.rememberme.cookie");
        let sent = cookies(&visitor, "/", None, is_theirs).unwrap();
        assert_eq!(sent.to_str().unwrap(), "a=1; b=2");
        assert!(sent.is_sensitive());
        visitor.insert_header(header::COOKIE, "JSESSIONID=planted").unwrap();
        assert_eq!(cookies(&visitor, "/", None, is_theirs), None);
    }
}
