//! An answer of our own: what the gateway says instead of forwarding.
//!
//! Owns the headers that every such answer carries: nothing of it is cached, framed, sniffed or told to other sites
//! (RFC 9111 5.2.2.5, Content Security Policy Level 3, Fetch). Trusts nobody with a raw header value: what comes as text is
//! percent-encoded, so that no answer can be split. Knows no connection: the edges send it.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;

/// What a page of ours may do: show our own stylesheet and icon, and send forms to us.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                                           frame-ancestors 'none'; base-uri 'none'";

/// Kept for a year and never asked for again: the path changes with the content (RFC 8246).
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// What a `Location` may not carry as it is. `%` stays, since locations come encoded; the backslash goes, since browsers
/// read it as a slash. `utf8_percent_encode` encodes everything outside ASCII by itself.
const NOT_IN_LOCATION: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');

/// An answer of our own: status, headers and the whole body.
#[derive(Clone, Debug)]
#[must_use = "a reply does nothing until it is sent"]
pub struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Reply {
    /// "See there, with GET": 303, so that a form's content never goes along (RFC 9110 15.4.4, RFC 9700 4.12).
    ///
    /// Whatever may not stand in a header is percent-encoded. Whether `location` is a good place to send anybody is for
    /// the caller to know.
    pub fn see_other(location: &str) -> Self {
        let encoded = utf8_percent_encode(location, NOT_IN_LOCATION).to_string();
        let mut reply = Self::empty(StatusCode::SEE_OTHER);
        // Visible ASCII only, so the start page is never needed; it is where a fault would do no harm.
        let location = HeaderValue::try_from(encoded).unwrap_or(HeaderValue::from_static("/"));
        reply.headers.insert(header::LOCATION, location);
        reply
    }

    /// "It is there, for good": 301, which everybody knows, for reading; 308, which keeps method and body (RFC 9110 15.4.9),
    /// for the rest. `location` as for [`Reply::see_other`].
    pub fn moved(location: &str, reads: bool) -> Self {
        let status = if reads { StatusCode::MOVED_PERMANENTLY } else { StatusCode::PERMANENT_REDIRECT };
        Self { status, ..Self::see_other(location) }
    }

    /// An HTML page.
    pub fn page(status: StatusCode, html: String) -> Self {
        Self::with_body(status, HeaderValue::from_static("text/html; charset=utf-8"), html.into())
    }

    /// A JSON document. One that cannot be written down becomes a 500 that says no more.
    pub fn json(status: StatusCode, value: &impl Serialize) -> Self {
        let json = HeaderValue::from_static("application/json");
        match serde_json::to_vec(value) {
            Ok(body) => Self::with_body(status, json, body.into()),
            Err(_) => {
                Self::with_body(StatusCode::INTERNAL_SERVER_ERROR, json, Bytes::from_static(br#"{"error":"internal"}"#))
            }
        }
    }

    /// Plain text.
    pub fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Self::with_body(status, HeaderValue::from_static("text/plain; charset=utf-8"), text.into().into())
    }

    /// What another server has answered, passed on: its media type and body, and none of its other headers.
    pub fn passed_on(status: StatusCode, media_type: HeaderValue, body: Bytes) -> Self {
        Self::with_body(status, media_type, body)
    }

    /// No body at all.
    pub fn empty(status: StatusCode) -> Self {
        let mut headers = every_reply();
        // RFC 9110 8.6: no Content-Length in a 1xx or 204; one in a 304 would speak of another body.
        let silent = status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if !silent {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(0_u64));
        }
        Self { status, headers, body: Bytes::new() }
    }

    /// A file of ours whose path changes with its content: the one thing that may be kept.
    pub fn asset(content_type: HeaderValue, body: Bytes, etag: HeaderValue) -> Self {
        Self::with_body(StatusCode::OK, content_type, body)
            .with_header(header::CACHE_CONTROL, IMMUTABLE)
            .with_header(header::ETAG, etag)
    }

    /// "You have it already": 304, for an [`Reply::asset`] that the browser still holds (RFC 9110 15.4.5).
    pub fn asset_unchanged(etag: HeaderValue) -> Self {
        Self::empty(StatusCode::NOT_MODIFIED)
            .with_header(header::CACHE_CONTROL, IMMUTABLE)
            .with_header(header::ETAG, etag)
    }

    /// Adds a `Set-Cookie`; those that are there already stay.
    pub fn with_cookie(mut self, set_cookie: HeaderValue) -> Self {
        self.headers.append(header::SET_COOKIE, set_cookie);
        self
    }

    /// Sets a header, in place of one of the same name.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The answer to `HEAD`: the same headers, `Content-Length` included, and no body (RFC 9110 9.3.2).
    pub fn without_body(mut self) -> Self {
        self.body = Bytes::new();
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Status, headers and body, for sending.
    pub fn into_parts(self) -> (StatusCode, HeaderMap, Bytes) {
        (self.status, self.headers, self.body)
    }

    fn with_body(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Self {
        let mut headers = every_reply();
        headers.insert(header::CONTENT_TYPE, content_type);
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        Self { status, headers, body }
    }
}

impl From<Reply> for Response<Bytes> {
    fn from(reply: Reply) -> Self {
        let mut response = Self::new(reply.body);
        *response.status_mut() = reply.status;
        *response.headers_mut() = reply.headers;
        response
    }
}

/// The headers that no reply goes without.
fn every_reply() -> HeaderMap {
    HeaderMap::from_iter([
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        // Not `no-referrer`: browsers then send our own forms with `Origin: null` (Fetch, "append a request Origin header").
        (header::REFERRER_POLICY, HeaderValue::from_static("strict-origin")),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_kinds() -> Vec<(&'static str, Reply)> {
        vec![
            ("see other", Reply::see_other("/reports/7")),
            ("page", Reply::page(StatusCode::OK, "<p>é</p>".into())),
            ("json", Reply::json(StatusCode::FORBIDDEN, &serde_json::json!({"error": "blocked"}))),
            ("text", Reply::text(StatusCode::NOT_FOUND, "no")),
            ("empty", Reply::empty(StatusCode::OK)),
        ]
    }

    fn header<'a>(reply: &'a Reply, name: &str) -> &'a str {
        reply.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[test]
    fn e6_e8_every_reply_is_kept_nowhere_and_framed_nowhere() {
        for (kind, reply) in all_kinds() {
            assert_eq!(header(&reply, "cache-control"), "no-store", "{kind}");
            assert_eq!(header(&reply, "x-content-type-options"), "nosniff", "{kind}");
            assert_eq!(header(&reply, "referrer-policy"), "strict-origin", "{kind}");
            assert_eq!(header(&reply, "x-frame-options"), "DENY", "{kind}");
            assert_eq!(header(&reply, "content-security-policy"), CONTENT_SECURITY_POLICY, "{kind}");
            assert_eq!(header(&reply, "content-length"), reply.body().len().to_string(), "{kind}");
        }
    }

    #[test]
    fn e2_no_location_splits_the_answer() {
        for (raw, sent) in [
            ("/reports/7?x=%0d%0a#top", "/reports/7?x=%0d%0a#top"),
            ("/a\r\nSet-Cookie: x=y", "/a%0D%0ASet-Cookie:%20x=y"),
            ("/a\nb\rc\0d\te\x7f", "/a%0Ab%0Dc%00d%09e%7F"),
            ("/嘊嘍Set-Cookie:x", "/%E5%98%8A%E5%98%8DSet-Cookie:x"),
            ("/é", "/%C3%A9"),
            ("/\\evil.test", "/%5Cevil.test"),
            ("https://[::1]:8443/a?b={c}", "https://[::1]:8443/a?b=%7Bc%7D"),
            ("", ""),
        ] {
            let reply = Reply::see_other(raw);
            assert_eq!(reply.status(), StatusCode::SEE_OTHER);
            assert_eq!(header(&reply, "location"), sent, "{raw:?}");
            assert!(reply.headers().values().all(|value| value.as_bytes().iter().all(|b| (0x20..0x7f).contains(b))));
        }
    }

    proptest::proptest! {
        #[test]
        fn e2_any_location_is_visible_ascii(raw in ".*") {
            let reply = Reply::see_other(&raw);
            proptest::prop_assert!(header(&reply, "location").bytes().all(|b| b.is_ascii_graphic()));
        }
    }

    #[test]
    fn cookies_add_up_and_other_headers_replace() {
        let reply = Reply::see_other("/")
            .with_cookie(HeaderValue::from_static("a=1"))
            .with_cookie(HeaderValue::from_static("b=2"))
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("5"))
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("7"));
        let cookies: Vec<_> = reply.headers().get_all(header::SET_COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1", "b=2"]);
        assert_eq!(header(&reply, "retry-after"), "7");
        assert_eq!(reply.headers().get_all(header::RETRY_AFTER).iter().count(), 1);
    }

    #[test]
    fn head_keeps_the_length() {
        let reply = Reply::text(StatusCode::OK, "four").without_body();
        assert!(reply.body().is_empty());
        assert_eq!(header(&reply, "content-length"), "4");
    }

    #[test]
    fn d5_a_304_promises_no_body() {
        let reply = Reply::asset_unchanged(HeaderValue::from_static("\"x\""));
        assert!(!reply.headers().contains_key(header::CONTENT_LENGTH));
        assert!(!Reply::empty(StatusCode::NO_CONTENT).headers().contains_key(header::CONTENT_LENGTH));
    }

    #[test]
    fn what_cannot_be_written_as_json_says_nothing() {
        let impossible = std::collections::HashMap::from([((1, 2), 3)]);
        let reply = Reply::json(StatusCode::OK, &impossible);
        assert_eq!(reply.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(reply.body(), &Bytes::from_static(br#"{"error":"internal"}"#));
    }
}
