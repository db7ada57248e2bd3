//! A call and its answer.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use url::Url;

/// One call. `Debug` shows the method and where it goes, never the query, the headers or the body.
#[derive(Clone)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// Where to: `https`, or `http` on loopback.
    pub url: Url,
    /// Headers, sent as they are.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
    /// From the start of the call to the last byte of the answer.
    pub time_limit: Duration,
    /// Bytes of the answer's body.
    pub size_limit: usize,
}

/// The answer to a call: whatever its status is. `Debug` shows the status and the size.
#[derive(Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Call {
    /// A call without a body; 10 s and 1 MiB at most.
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            time_limit: Duration::from_secs(10),
            size_limit: 1024 * 1024,
        }
    }

    /// A `GET`.
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// A `POST` of `body`.
    pub fn post(url: Url, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self::new(Method::POST, url).with_body(content_type, body)
    }

    /// With `body` of that media type.
    #[must_use]
    pub fn with_body(mut self, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.with_header(CONTENT_TYPE, HeaderValue::from_static(content_type))
    }

    /// With a header; replaces one of that name.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// With `Accept`.
    #[must_use]
    pub fn accepting(self, media_type: &'static str) -> Self {
        self.with_header(ACCEPT, HeaderValue::from_static(media_type))
    }

    /// With an `Authorization` value that is a secret. A value that cannot stand in a header is left out, and the
    /// server will refuse the call.
    #[must_use]
    pub fn authorized(mut self, value: &str) -> Self {
        if let Ok(mut value) = HeaderValue::from_str(value) {
            value.set_sensitive(true);
            self.headers.insert(AUTHORIZATION, value);
        }
        self
    }

    /// Within other limits: the time of the whole call, and the bytes of the answer's body.
    #[must_use]
    pub fn within(mut self, time_limit: Duration, size_limit: usize) -> Self {
        self.time_limit = time_limit;
        self.size_limit = size_limit;
        self
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = self.url.origin().ascii_serialization();
        write!(f, "Call({} {origin}{}, {} bytes)", self.method, self.url.path(), self.body.len())
    }
}

impl Answer {
    /// Every `Set-Cookie`, in order, as received.
    pub fn set_cookies(&self) -> impl Iterator<Item = &HeaderValue> {
        self.headers.get_all(SET_COOKIE).iter()
    }

    /// The media type without its parameters, in lower case; empty when there is none.
    pub fn media_type(&self) -> String {
        let value = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// The body as JSON, whatever the media type says.
    ///
    /// # Errors
    /// When it is not JSON of that shape. The error tells the place, not the content.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({}, {} bytes)", self.status.as_u16(), self.body.len())
    }
}
