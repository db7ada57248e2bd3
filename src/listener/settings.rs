//! Settings of the listening sockets.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderValue;
use ipnet::IpNet;
use rustls::CipherSuite;

use crate::acme::settings::AcmeSettings;
use crate::portal::HostName;

/// Where the gateway listens.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenSettings {
    /// The public side.
    pub https: SocketAddr,
    /// Only redirects to https.
    pub http: Option<SocketAddr>,
    /// The public side without TLS, for the peers in `trusted_proxies` alone: load balancers that end TLS themselves.
    pub behind_tls_proxy: Option<SocketAddr>,
    /// `/metrics`, `/healthz`, `/readyz`: never on the public side.
    pub admin: Option<SocketAddr>,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether connections from `trusted_proxies` begin with a PROXY header.
    pub proxy_protocol: bool,
    /// Port that browsers use when something in front maps ports; else the port of `https`.
    pub public_port: Option<u16>,
    /// Sizes and times of the public side.
    pub limits: EdgeLimits,
}

/// Sizes and times of the public side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EdgeLimits {
    /// Bytes of a request head: request line and headers.
    pub header_bytes: usize,
    /// Header fields of a request.
    pub header_count: usize,
    /// From the first byte of a request to the end of its head, and for the TLS handshake.
    pub header_time: Duration,
    /// Between two reads of a request body, between two requests of a connection, and while a visitor reads nothing of an answer.
    pub idle_time: Duration,
    /// Open connections at once; further ones wait in the accept queue.
    pub connections: usize,
    /// How long requests in flight may take after SIGTERM.
    pub drain: Duration,
}

impl Default for EdgeLimits {
    fn default() -> Self {
        Self {
            header_bytes: 32 * 1024,
            header_count: 100,
            header_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(60),
            connections: 10_000,
            drain: Duration::from_secs(30),
        }
    }
}

/// Certificates and protocol versions of the public side.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsSettings {
    /// Chosen by SNI among the names in each; at least one, unless there is `acme`.
    pub certificates: Vec<CertificateFiles>,
    /// Who issues certificates for hosts that are in none of these.
    pub acme: Option<AcmeSettings>,
    /// The oldest version that is spoken.
    pub minimum_version: TlsVersion,
    /// The only cipher suites that are spoken, the best first; empty for all that rustls has, in the visitor's order.
    pub cipher_suites: Vec<CipherSuite>,
    /// What browsers are told of https.
    pub hsts: Hsts,
    /// The certificates that visitors bring.
    pub client_certificates: Option<ClientCertificateSettings>,
}

/// Which certificates visitors bring, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientCertificateSettings {
    /// The authorities, PEM.
    pub ca: PathBuf,
    /// Lists of what they have revoked, PEM; none for authorities that revoke nothing.
    pub crls: Vec<PathBuf>,
    /// For which hosts.
    pub hosts: CertificateHosts,
    /// Whether there is a way in without.
    pub demand: Demand,
}

/// Whether a certificate has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Without one, no connection.
    Required,
    /// One that is brought has to be good.
    Optional,
}

/// The hosts whose visitors bring certificates.
#[derive(Clone, Debug, PartialEq)]
pub enum CertificateHosts {
    /// All.
    All,
    /// These.
    These(Vec<HostName>),
}

impl CertificateHosts {
    /// Whether the host is one of them.
    pub fn include(&self, host: &HostName) -> bool {
        self.asked_for(Some(host.as_str()))
    }

    /// Whether a handshake for that name, in lower case, is for one of them. One for no name is, where all hosts are.
    pub fn asked_for(&self, name: Option<&str>) -> bool {
        match self {
            Self::All => true,
            Self::These(hosts) => name.is_some_and(|name| hosts.iter().any(|host| host.as_str() == name)),
        }
    }
}

/// For how long browsers speak nothing but https with a host (RFC 6797).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hsts {
    /// From the latest answer on.
    pub max_age: Duration,
    /// Also with every host below it.
    pub include_subdomains: bool,
    /// Whether browsers may have the host on a list that they come with.
    pub preload: bool,
}

impl Default for Hsts {
    fn default() -> Self {
        Self { max_age: Duration::from_secs(365 * 24 * 3600), include_subdomains: false, preload: false }
    }
}

/// As the field's value (RFC 6797, section 6.1).
impl fmt::Display for Hsts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "max-age={}", self.max_age.as_secs())?;
        f.write_str(if self.include_subdomains { "; includeSubDomains" } else { "" })?;
        f.write_str(if self.preload { "; preload" } else { "" })
    }
}

impl Hsts {
    /// The field's value.
    pub fn header_value(&self) -> HeaderValue {
        // Digits and words: always a sound value.
        HeaderValue::from_str(&self.to_string()).unwrap_or(HeaderValue::from_static("max-age=31536000"))
    }
}

/// A certificate chain and its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    pub cert: PathBuf,
    /// The key of the leaf.
    pub key: PathBuf,
}

/// A TLS version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}
