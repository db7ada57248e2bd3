//! Calls out to other servers: bounded in time and size, never redirected, never wiser than the caller.
//!
//! Owns the connection pool. Trusts the given certificate authorities and nothing that an answer says: a redirect is an
//! answer like any other (3xx), cookies are not kept, no proxy is taken from the environment unless told, and bodies
//! come as they are: we ask for no compression and refuse a compressed answer, so that nothing can unpack beyond its
//! limit. Plain `http` is spoken on loopback only.

mod message;
mod one_server;
mod trust;

use std::error::Error as _;
use std::io;
use std::time::Duration;

use bytes::BytesMut;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderValue};
use rustls_pki_types::CertificateDer;
use url::{Host, Url};

pub use self::message::{Answer, Call};
pub use self::one_server::OneServer;
use crate::clock::deadline;

/// Settings of a client.
#[derive(Clone, Debug)]
pub struct HttpClientSettings {
    /// Whom to trust.
    pub roots: Roots,
    /// To reach the server, TCP and TLS together.
    pub connect_timeout: Duration,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
    /// Idle connections kept for each server at most.
    pub idle_per_host: usize,
    /// How to get out of the house.
    pub way_out: WayOut,
    /// Where all calls go, whatever host they name.
    pub one_server: Option<OneServer>,
}

impl Default for HttpClientSettings {
    fn default() -> Self {
        Self {
            roots: Roots::System,
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(30),
            idle_per_host: 16,
            way_out: WayOut::Direct,
            one_server: None,
        }
    }
}

/// The certificate authorities that a server's certificate is checked against.
#[derive(Clone, Debug)]
pub enum Roots {
    /// Those of the operating system.
    System,
    /// Those of the operating system, and these (DER).
    SystemAnd(Vec<CertificateDer<'static>>),
    /// These (DER) alone.
    Only(Vec<CertificateDer<'static>>),
}

/// How calls leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WayOut {
    /// Straight to the server, whatever the environment says.
    Direct,
    /// Through the proxy that `HTTPS_PROXY` and `NO_PROXY` name.
    EnvironmentProxy,
}

/// The client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum NoHttpClient {
    /// A certificate authority is unreadable.
    #[error("the client for calls out cannot be made")]
    Tls(#[source] rustls::Error),
    /// Not one of the system's certificate authorities can be read.
    #[error("the client for calls out cannot be made: none of the system's certificate authorities can be read")]
    NoAuthority,
    /// Something else.
    #[error("the client for calls out cannot be made")]
    Client(#[source] reqwest::Error),
}

/// Makes calls. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct HttpClient {
    inner: reqwest::Client,
    one_server: Option<OneServer>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallFailed {
    /// We would not send it: not `https`, not loopback, or with a user name in the URL.
    #[error("calls go to https only (http on loopback), without a user in the URL")]
    NotAllowed,
    /// No connection: name, route, refused.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// A connection, but not to whom we meant: the certificate, the handshake or a record is wrong.
    #[error("no trustworthy TLS connection: {0}")]
    Tls(String),
    /// It took longer than the limit.
    #[error("no complete answer within {0:?}")]
    TimedOut(Duration),
    /// The answer's body is longer than the limit.
    #[error("the answer is longer than {0} bytes")]
    TooLarge(usize),
    /// The answer is compressed although we asked for none.
    #[error("the answer is compressed, which was not asked for")]
    Compressed,
    /// The exchange broke off, or was not HTTP.
    #[error("the exchange broke off: {0}")]
    Broken(String),
}

impl CallFailed {
    /// The label for metrics, of a closed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotAllowed => "not_allowed",
            Self::Unreachable(_) => "unreachable",
            Self::Tls(_) => "tls",
            Self::TimedOut(_) => "timed_out",
            Self::TooLarge(_) => "too_large",
            Self::Compressed => "compressed",
            Self::Broken(_) => "broken",
        }
    }

    /// Whether the request certainly never reached the server, so that it may be sent again whatever it was.
    pub fn never_sent(&self) -> bool {
        matches!(self, Self::NotAllowed | Self::Unreachable(_))
    }
}

impl HttpClient {
    /// Makes a client.
    ///
    /// # Errors
    /// When a certificate is unreadable, or all of the system's are and it is to be trusted.
    pub fn new(settings: HttpClientSettings) -> Result<Self, NoHttpClient> {
        let mut builder = reqwest::Client::builder()
            .use_preconfigured_tls(trust::client_config(settings.roots, settings.one_server.is_some())?)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            .connect_timeout(settings.connect_timeout)
            .pool_idle_timeout(settings.idle_timeout)
            .pool_max_idle_per_host(settings.idle_per_host)
            .user_agent(concat!("vestibule/", env!("CARGO_PKG_VERSION")));
        if settings.way_out == WayOut::Direct {
            builder = builder.no_proxy();
        }
        if let Some(server) = settings.one_server {
            // `Host` is ours to say in HTTP/1.1 alone: see `OneServer::lead`.
            builder = builder.http1_only().dns_resolver(std::sync::Arc::new(server));
        }
        Ok(Self { inner: builder.build().map_err(NoHttpClient::Client)?, one_server: settings.one_server })
    }

    /// Makes one call and reads the whole answer. Any status is an answer, redirects too.
    ///
    /// # Errors
    /// When there is no complete answer within the limits.
    pub async fn send(&self, call: Call) -> Result<Answer, CallFailed> {
        let call = match self.one_server {
            Some(server) => server.lead(call)?,
            None if allowed(&call.url) => call,
            None => return Err(CallFailed::NotAllowed),
        };
        let time_limit = call.time_limit;
        match tokio::time::timeout_at(deadline(time_limit), self.exchange(call)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(CallFailed::TimedOut(time_limit)),
        }
    }

    async fn exchange(&self, call: Call) -> Result<Answer, CallFailed> {
        let Call { method, url, mut headers, body, time_limit, size_limit } = call;
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let fault = |error: reqwest::Error| classify(error, time_limit);

        let mut request = self.inner.request(method, url).headers(headers);
        if !body.is_empty() {
            request = request.body(body);
        }
        let mut response = request.send().await.map_err(fault)?;

        if response.headers().get_all(CONTENT_ENCODING).iter().any(|encoding| encoding != "identity") {
            return Err(CallFailed::Compressed);
        }
        if response.content_length().is_some_and(|length| usize::try_from(length).map_or(true, |l| l > size_limit)) {
            return Err(CallFailed::TooLarge(size_limit));
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(fault)? {
            if body.len().saturating_add(chunk.len()) > size_limit {
                return Err(CallFailed::TooLarge(size_limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status: response.status(), headers: std::mem::take(response.headers_mut()), body: body.freeze() })
    }
}

/// `https` anywhere, `http` on loopback; never a user or password in the URL.
pub fn allowed(url: &Url) -> bool {
    let plain_user = url.username().is_empty() && url.password().is_none();
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    plain_user && (url.scheme() == "https" && url.has_host() || url.scheme() == "http" && loopback)
}

fn classify(error: reqwest::Error, time_limit: Duration) -> CallFailed {
    // The URL may carry secrets in its query.
    let error = error.without_url();
    let mut deepest = error.to_string();
    let mut cause = error.source();
    while let Some(current) = cause {
        deepest = current.to_string();
        if let Some(tls) = tls_error(current) {
            return CallFailed::Tls(tls.to_string());
        }
        cause = current.source();
    }
    if error.is_connect() {
        CallFailed::Unreachable(deepest)
    } else if error.is_timeout() {
        CallFailed::TimedOut(time_limit)
    } else {
        CallFailed::Broken(deepest)
    }
}

/// The TLS error in `error`; an I/O error does not name what it wraps as its source, so look into it.
fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let mut current = error;
    loop {
        if let Some(tls) = current.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        current = current.downcast_ref::<io::Error>()?.get_ref()?;
    }
}

#[cfg(test)]
mod tests;
