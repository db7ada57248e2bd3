//! The JSM site behind a portal: its addresses, looked up again in the background, and how a connection to it is made.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::HeaderValue;
use pingora::protocols::ALPN;
use pingora::upstreams::peer::HttpPeer;
use pingora::utils::tls::{WrappedX509, parse_x509};
use url::Url;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::clock::{Clock, Timestamp};
use crate::portal::settings::{PortalLimits, UpstreamSettings};

/// How long looked-up addresses are used before they are looked up again.
const ADDRESSES_LAST: Duration = Duration::from_secs(30);

/// How long a look-up may take while a request waits for it.
const LOOK_UP_TIME: Duration = Duration::from_secs(5);

/// The upstream's settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamUnusable {
    /// The address has no host or one that is no header value.
    #[error("the upstream {0} has no usable host")]
    Host(Url),
    /// A certificate authority that is no X.509 certificate.
    #[error("{0} holds something that is no X.509 certificate")]
    Authority(String),
}

/// The upstream cannot be found in DNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name of the upstream cannot be resolved")]
pub struct NoAddress;

/// The JSM site behind a portal.
#[derive(Debug)]
pub struct Upstream {
    host: String,
    port: u16,
    tls: bool,
    authority: HeaderValue,
    origin: String,
    limits: PortalLimits,
    authorities: Option<Arc<[WrappedX509]>>,
    /// Tells connections apart that were verified by other authorities: none is used for another.
    verified_by: u64,
    addresses: ArcSwapOption<Addresses>,
    looking_up: AtomicBool,
    next: AtomicUsize,
    clock: Clock,
}

#[derive(Debug)]
struct Addresses {
    found: Vec<SocketAddr>,
    at: Timestamp,
}

impl Upstream {
    /// Prepares connections to the site that `settings` name. Nothing is looked up yet.
    ///
    /// # Errors
    /// When the address or a certificate authority cannot be used.
    pub fn new(settings: &UpstreamSettings, limits: PortalLimits, clock: Clock) -> Result<Self, UpstreamUnusable> {
        let url = &settings.url;
        let unusable = || UpstreamUnusable::Host(url.clone());
        let host = url.host_str().ok_or_else(unusable)?;
        let port = url.port_or_known_default().ok_or_else(unusable)?;
        let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let authorities = match &settings.ca {
            None => None,
            Some(ca) => {
                let sound = ca.certificates.iter().all(|der| X509Certificate::from_der(der).is_ok());
                if !sound {
                    return Err(UpstreamUnusable::Authority(ca.path.clone()));
                }
                let wrap = |der: &rustls_pki_types::CertificateDer<'_>| WrappedX509::new(der.to_vec(), parse_x509);
                Some(ca.certificates.iter().map(wrap).collect::<Vec<_>>().into())
            }
        };
        let verified_by = settings.ca.as_ref().map_or(0, |ca| {
            let ders: Vec<&[u8]> = ca.certificates.iter().map(|der| der.as_ref()).collect();
            let digest = ring::digest::digest(&ring::digest::SHA256, &ders.concat());
            digest.as_ref().first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
        });
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            tls: url.scheme() == "https",
            origin: format!("{}://{authority}", url.scheme()),
            authority: HeaderValue::from_str(&authority).map_err(|_| unusable())?,
            limits,
            authorities,
            verified_by,
            addresses: ArcSwapOption::empty(),
            looking_up: AtomicBool::new(false),
            next: AtomicUsize::new(0),
            clock,
        })
    }

    /// `host[:port]`, for `Host`.
    pub fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// `scheme://host[:port]`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Makes sure that there is an address to connect to. Looks up at once when there is none, in the background when
    /// what is known is old.
    ///
    /// # Errors
    /// When the name has never been resolved and is not now.
    pub async fn make_ready(self: &Arc<Self>) -> Result<(), NoAddress> {
        let now = self.clock.now();
        let known = self.addresses.load();
        match known.as_ref() {
            Some(known) if now.since(known.at) < ADDRESSES_LAST => Ok(()),
            Some(_) => {
                if !self.looking_up.swap(true, Ordering::AcqRel) {
                    let this = Arc::clone(self);
                    tokio::spawn(async move {
                        let _ = this.look_up().await;
                        this.looking_up.store(false, Ordering::Release);
                    });
                }
                Ok(())
            }
            None => self.look_up().await,
        }
    }

    /// Keeps the old addresses when the look-up fails.
    async fn look_up(&self) -> Result<(), NoAddress> {
        let look_up = tokio::net::lookup_host((self.host.as_str(), self.port));
        let found: Vec<SocketAddr> = match tokio::time::timeout(LOOK_UP_TIME, look_up).await {
            Ok(Ok(found)) => found.collect(),
            Ok(Err(error)) => {
                tracing::warn!(host = self.host, %error, "the upstream's name could not be resolved");
                Vec::new()
            }
            Err(_) => {
                tracing::warn!(host = self.host, "resolving the upstream's name took too long");
                Vec::new()
            }
        };
        if found.is_empty() {
            return Err(NoAddress);
        }
        self.addresses.store(Some(Arc::new(Addresses { found, at: self.clock.now() })));
        Ok(())
    }

    /// Where to connect now.
    ///
    /// # Errors
    /// When [`Self::make_ready`] has not succeeded.
    pub fn peer(&self) -> Result<Box<HttpPeer>, NoAddress> {
        let known = self.addresses.load();
        let found = known.as_ref().map(|known| known.found.as_slice()).unwrap_or_default();
        let turn = self.next.load(Ordering::Relaxed).checked_rem(found.len()).ok_or(NoAddress)?;
        let address = *found.get(turn).ok_or(NoAddress)?;
        let mut peer = HttpPeer::new(address, self.tls, if self.tls { self.host.clone() } else { String::new() });
        peer.options.connection_timeout = Some(self.limits.upstream_connect);
        peer.options.total_connection_timeout = Some(self.limits.upstream_connect.saturating_mul(2));
        peer.options.read_timeout = Some(self.limits.upstream_response);
        peer.options.write_timeout = Some(self.limits.upstream_response);
        peer.options.idle_timeout = Some(self.limits.upstream_idle);
        peer.options.alpn = if self.tls { ALPN::H2H1 } else { ALPN::H1 };
        peer.options.ca = self.authorities.clone();
        peer.group_key = self.verified_by;
        Ok(Box::new(peer))
    }

    /// The address `failed` did not answer: the next connection goes to the one after it. Whether there is one that was
    /// not among the `tried` already.
    pub fn has_another(&self, failed: SocketAddr, tried: usize) -> bool {
        let known = self.addresses.load();
        let found = known.as_ref().map(|known| known.found.as_slice()).unwrap_or_default();
        let next = self.next.load(Ordering::Relaxed);
        // Of many requests that fail at once, one moves on.
        if next.checked_rem(found.len()).and_then(|turn| found.get(turn)) == Some(&failed) {
            let after = next.wrapping_add(1);
            let _ = self.next.compare_exchange(next, after, Ordering::Relaxed, Ordering::Relaxed);
        }
        tried < found.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(url: &str) -> Arc<Upstream> {
        let settings = UpstreamSettings { url: Url::parse(url).unwrap(), ca: None };
        Arc::new(Upstream::new(&settings, PortalLimits::default(), Clock::default()).unwrap())
    }

    #[tokio::test]
    async fn addresses_are_looked_up_when_they_are_needed() {
        let local = upstream("http://127.0.0.1:8080/jira");
        assert_eq!(local.peer().err(), Some(NoAddress));
        local.make_ready().await.unwrap();
        assert_eq!(local.peer().unwrap()._address.to_string(), "127.0.0.1:8080");
        assert_eq!(
            (local.origin(), local.authority()),
            ("http://127.0.0.1:8080", &HeaderValue::from_static("127.0.0.1:8080"))
        );
    }

    #[test]
    fn every_address_is_tried_once() {
        let upstream = upstream("http://jsm.internal:8080");
        let found: Vec<SocketAddr> = ["[::1]:8080", "127.0.0.1:8080"].map(|text| text.parse().unwrap()).into();
        upstream.addresses.store(Some(Arc::new(Addresses { found: found.clone(), at: Timestamp::from_seconds(0) })));
        let peer = || upstream.peer().unwrap()._address.as_inet().copied().unwrap();
        assert_eq!(peer(), found[0]);
        assert!(upstream.has_another(found[0], 1));
        // Another request failed at the same address at the same time.
        assert!(upstream.has_another(found[0], 1));
        assert_eq!(peer(), found[1]);
        assert!(!upstream.has_another(found[1], 2));
    }

    #[tokio::test]
    async fn e7_tls_is_verified_by_name() {
        let local = upstream("https://localhost");
        local.make_ready().await.unwrap();
        let peer = local.peer().unwrap();
        assert!(peer.options.verify_cert && peer.options.verify_hostname);
        assert_eq!(peer.sni, "localhost");
        assert_eq!(local.origin(), "https://localhost");
    }
}
