//! The JSM site behind a portal: by which name it is spoken to, and how a connection to one of its nodes is made.

use std::sync::Arc;

use http::HeaderValue;
use pingora::protocols::ALPN;
use pingora::upstreams::peer::HttpPeer;
use pingora::utils::tls::{WrappedX509, parse_x509};
use url::Url;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::nodes::{Node, Nodes};
use crate::portal::settings::{PortalLimits, UpstreamSettings};

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

/// The JSM site behind a portal.
#[derive(Debug)]
pub struct Upstream {
    /// The name that its certificate has to have, whichever node shows it.
    host: String,
    authority: HeaderValue,
    origin: String,
    is_plain: bool,
    limits: PortalLimits,
    authorities: Option<Arc<[WrappedX509]>>,
    /// Tells connections apart that were verified by other authorities: none is used for another.
    verified_by: u64,
    nodes: Arc<Nodes>,
}

impl Upstream {
    /// Prepares connections to the `nodes` of the site that `settings` name.
    ///
    /// # Errors
    /// When the address or a certificate authority cannot be used.
    pub fn new(settings: &UpstreamSettings, limits: PortalLimits, nodes: Arc<Nodes>) -> Result<Self, UpstreamUnusable> {
        let url = &settings.url;
        let unusable = || UpstreamUnusable::Host(url.clone());
        let host = url.host_str().ok_or_else(unusable)?;
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
            origin: format!("{}://{authority}", url.scheme()),
            is_plain: settings.addresses().iter().all(|address| !address.tls),
            authority: HeaderValue::from_str(&authority).map_err(|_| unusable())?,
            limits,
            authorities,
            verified_by,
            nodes,
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

    /// Whether none of its nodes speaks TLS.
    pub fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Where it is reached.
    pub fn nodes(&self) -> &Arc<Nodes> {
        &self.nodes
    }

    /// How to connect to `node`.
    pub fn peer(&self, node: &Node) -> Box<HttpPeer> {
        let tls = node.speaks_tls();
        let mut peer = HttpPeer::new(node.address(), tls, if tls { self.host.clone() } else { String::new() });
        peer.options.connection_timeout = Some(self.limits.upstream_connect);
        peer.options.total_connection_timeout = Some(self.limits.upstream_connect.saturating_mul(2));
        peer.options.read_timeout = Some(self.limits.upstream_response);
        peer.options.write_timeout = Some(self.limits.upstream_response);
        peer.options.idle_timeout = Some(self.limits.upstream_idle);
        peer.options.alpn = if tls { ALPN::H2H1 } else { ALPN::H1 };
        peer.options.ca = self.authorities.clone();
        peer.group_key = self.verified_by;
        Box::new(peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::{Choice, NodesParts};
    use crate::portal::settings::NodeAddress;

    fn upstream(url: &str) -> Upstream {
        let (settings, limits) = (UpstreamSettings::at(Url::parse(url).unwrap()), PortalLimits::default());
        let nodes = Nodes::new(&settings, &limits, NodesParts::unwatched(), None);
        Upstream::new(&settings, limits, Arc::new(nodes)).unwrap()
    }

    #[tokio::test]
    async fn an_address_of_numbers_needs_no_look_up() {
        let local = upstream("http://127.0.0.1:8080/jira");
        let node = local.nodes().pick(Choice::Anybody, &[]).unwrap();
        assert_eq!(local.peer(&node)._address.to_string(), "127.0.0.1:8080");
        assert_eq!(
            (local.origin(), local.authority()),
            ("http://127.0.0.1:8080", &HeaderValue::from_static("127.0.0.1:8080"))
        );
        assert!(local.is_plain() && !upstream("https://localhost").is_plain());
    }

    #[tokio::test]
    async fn a_site_with_one_node_that_speaks_tls_is_not_plain() {
        let mut settings = UpstreamSettings::at(Url::parse("http://localhost").unwrap());
        let addresses = ["http://127.0.0.1:8080", "https://127.0.0.2"].map(|url| Url::parse(url).unwrap());
        settings.nodes.addresses = addresses.iter().filter_map(NodeAddress::of).collect();
        let limits = PortalLimits::default();
        let is_plain = |settings: &UpstreamSettings| {
            let nodes = Arc::new(Nodes::new(settings, &limits, NodesParts::unwatched(), None));
            Upstream::new(settings, limits, nodes).unwrap().is_plain()
        };
        assert!(!is_plain(&settings));
        settings.nodes.addresses.pop();
        assert!(is_plain(&settings));
    }

    #[tokio::test]
    async fn e7_tls_is_verified_by_name() {
        let local = upstream("https://localhost");
        local.nodes().make_ready().await.unwrap();
        let peer = local.peer(&local.nodes().pick(Choice::Anybody, &[]).unwrap());
        assert!(peer.options.verify_cert && peer.options.verify_hostname);
        assert_eq!(peer.sni, "localhost");
        assert_eq!(local.origin(), "https://localhost");
    }
}
