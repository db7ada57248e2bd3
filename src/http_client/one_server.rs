//! All calls of a client go to one server, by whatever name the site is known: `Host` and the certificate are the site's.

use std::net::SocketAddr;

use http::header::{HOST, HeaderValue};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::{Call, CallFailed};

/// The server that calls go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OneServer {
    /// Where it is.
    pub address: SocketAddr,
    /// Whether TLS is spoken there. Without it, the address has to be of this machine.
    pub tls: bool,
}

impl OneServer {
    /// The call, on its way to this server: it still names its own host, in `Host` and to TLS. A URL with a port of its own
    /// would win over the address's.
    pub(super) fn lead(self, mut call: Call) -> Result<Call, CallFailed> {
        let named = matches!(call.url.host(), Some(Host::Domain(_)));
        let plain_user = call.url.username().is_empty() && call.url.password().is_none();
        if !named || !plain_user || !(self.tls || self.address.ip().is_loopback()) {
            return Err(CallFailed::NotAllowed);
        }
        let host = HeaderValue::from_str(&authority(&call.url)).map_err(|_| CallFailed::NotAllowed)?;
        call.headers.insert(HOST, host);
        let scheme = if self.tls { "https" } else { "http" };
        call.url.set_scheme(scheme).map_err(|()| CallFailed::NotAllowed)?;
        call.url.set_port(None).map_err(|()| CallFailed::NotAllowed)?;
        Ok(call)
    }
}

/// `host[:port]`, as the URL has it.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Every name leads to it.
impl Resolve for OneServer {
    fn resolve(&self, _name: Name) -> Resolving {
        let addresses: Addrs = Box::new(std::iter::once(self.address));
        Box::pin(std::future::ready(Ok(addresses)))
    }
}
