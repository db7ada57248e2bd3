//! Sends an answer of our own, and reads the small bodies of our own endpoints.

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::{BError, ErrorType, OrErr, Result};
use zeroize::Zeroize as _;

use super::context::RequestCtx;
use crate::clock;
use crate::refusal::{Reason, Refusal};
use crate::reply::Reply;

/// Names the exchange, on every answer.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The most that a form of ours is long, in bytes.
const LONGEST_FORM: usize = 16 * 1024;

/// How long the rest of a request body is read after its answer, so that the visitor gets to see the answer.
pub const DRAIN_TIME: Duration = Duration::from_secs(5);

/// The value of [`REQUEST_ID`]. No other answer has it: it is not to stand in the table of fields that HTTP/2 keeps for a connection, where
/// it would take the place of those that come again (RFC 7541, section 6.2.3).
pub fn request_id(ctx: &RequestCtx) -> Result<HeaderValue> {
    let value = HeaderValue::from_str(ctx.exchange.request_id().as_str());
    let mut value = value.or_err(ErrorType::InvalidHTTPHeader, "a value of ours")?;
    value.set_sensitive(true);
    Ok(value)
}

/// Whether something of the answer itself has gone out; early hints and the word to go on are none of it.
pub fn has_begun(http: &ServerSession) -> bool {
    let head = http.response_written();
    head.is_some_and(|head| !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS)
}

/// Sends `reply` as the whole answer.
///
/// # Errors
/// When the visitor is gone.
pub async fn send(session: &mut ServerSession, reply: Reply, ctx: &RequestCtx) -> Result<()> {
    let head_only = session.req_header().method == Method::HEAD;
    let (status, headers, body) = reply.into_parts();
    let mut head = ResponseHeader::build(status, Some(headers.len().saturating_add(2)))?;
    for (name, value) in &headers {
        head.append_header(name.clone(), value.clone())?;
    }
    head.insert_header(REQUEST_ID, request_id(ctx)?)?;
    head.insert_header(header::STRICT_TRANSPORT_SECURITY, ctx.gateway.hsts.clone())?;
    session.set_total_drain_timeout(Some(DRAIN_TIME));
    // The head of the request came before the end was near: the answer says that the connection ends with it.
    if ctx.gateway.ending.has_begun() {
        session.set_keepalive(None);
    }
    let body = if head_only { Bytes::new() } else { body };
    session.write_response_header(Box::new(head)).await.map_err(|error| error.into_down())?;
    session.write_response_body(body, true).await.map_err(|error| error.into_down())
}

/// Tells a visitor who waits for it to send the body now (RFC 9110, section 10.1.1). Only for requests that may go on:
/// a refused upload is not even sent.
///
/// # Errors
/// When the visitor is gone.
pub async fn invite_body(session: &mut ServerSession) -> Result<()> {
    let waits = session.req_header().headers.contains_key(header::EXPECT);
    if waits { session.write_continue_response().await.map_err(|error| error.into_down()) } else { Ok(()) }
}

/// The fields of a form that was posted to an endpoint of ours; each may come once. Wiped when dropped: one may be a
/// password.
#[derive(Default)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Reads the request body as `application/x-www-form-urlencoded`, the whole of it within `time`.
    ///
    /// # Errors
    /// When it is of another type, too long, too slow, or the visitor is gone.
    pub async fn read(session: &mut ServerSession, time: Duration) -> Result<Self, Refusal> {
        if !is_form(session) && session.req_header().headers.contains_key(header::CONTENT_TYPE) {
            return Err(Refusal::with_detail(Reason::NoSuchEndpoint, "the form is of another type"));
        }
        Self::read_up_to(session, time, LONGEST_FORM).await
    }

    /// Reads the request body as a form of at most `longest` bytes, whatever it says that it is, within `time`.
    ///
    /// # Errors
    /// When it is too long, too slow, or the visitor is gone.
    pub async fn read_up_to(session: &mut ServerSession, time: Duration, longest: usize) -> Result<Self, Refusal> {
        let mut body = read_body(session, time, longest).await?;
        let form = Self(url::form_urlencoded::parse(&body).into_owned().collect());
        body.as_mut().zeroize();
        Ok(form)
    }

    /// How often the field of that name is there.
    pub fn count(&self, name: &str) -> usize {
        self.0.iter().filter(|(found, _)| found == name).count()
    }

    /// The field of that name; `None` when it is missing, empty, or there twice.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str());
        let value = values.next().filter(|value| !value.is_empty())?;
        values.next().is_none().then_some(value)
    }
}

impl Drop for Form {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|(_, value)| value.zeroize());
    }
}

/// The names, and no value.
impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Whether the request says that its body is `application/x-www-form-urlencoded`, and says it once.
pub fn is_form(session: &ServerSession) -> bool {
    is_of_type(session, "application/x-www-form-urlencoded")
}

/// Whether the request says that its body is of that media type, and says it once.
pub fn is_of_type(session: &ServerSession, media_type: &str) -> bool {
    let mut types = session.req_header().headers.get_all(header::CONTENT_TYPE).iter();
    let named = types.next().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = named.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case(media_type) && types.next().is_none()
}

/// Reads the whole request body, of at most `longest` bytes, within `time`.
///
/// # Errors
/// When it is too long, too slow, or the visitor is gone.
pub async fn read_body(session: &mut ServerSession, time: Duration, longest: usize) -> Result<BytesMut, Refusal> {
    let slow = |_| Refusal::with_detail(Reason::VisitorGone, "the form took too long");
    tokio::time::timeout_at(clock::deadline(time), read_to_end(session, longest)).await.map_err(slow)?
}

async fn read_to_end(session: &mut ServerSession, longest: usize) -> Result<BytesMut, Refusal> {
    let gone = |error: BError| Refusal::with_detail(Reason::VisitorGone, error.etype().as_str());
    invite_body(session).await.map_err(gone)?;
    let mut body = BytesMut::new();
    while let Some(chunk) = session.read_request_body().await.map_err(gone)? {
        body.extend_from_slice(&chunk);
        if body.len() > longest {
            return Err(Reason::BodyTooLarge.into());
        }
    }
    Ok(body)
}
