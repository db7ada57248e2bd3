//! The site behind a portal, and the addresses at which it is reached.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use url::{Host, Url};

/// The JSM site behind a portal.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamSettings {
    /// Scheme, host, port and, for Data Center, the context path. No query, no fragment, no user.
    pub url: Url,
    /// Authorities (PEM) to verify it by, in place of the system's.
    pub ca: Option<CertificateAuthorities>,
    /// Where it is reached.
    pub nodes: NodesSettings,
}

/// Certificate authorities to trust for one upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct CertificateAuthorities {
    /// The file they came from.
    pub path: String,
    /// DER certificates, at least one.
    pub certificates: Vec<rustls_pki_types::CertificateDer<'static>>,
}

/// Where a site is reached, and what becomes of an address that fails.
#[derive(Clone, Debug, PartialEq)]
pub struct NodesSettings {
    /// Where to connect, in order; none means the site's own name.
    pub addresses: Vec<NodeAddress>,
    /// Which address a request goes to.
    pub balance: Balance,
    /// How often names are looked up again.
    pub resolve_every: Duration,
    /// At how many other addresses a request is tried that met a broken connection.
    pub retries: usize,
    /// After how many failures in a row an address is out.
    pub out_after: u32,
    /// How long one that is out is left alone, where it is not checked.
    pub pause: Duration,
    /// How addresses are checked; `None` for not at all.
    pub health_check: Option<HealthCheckSettings>,
    /// How much one address is given at once.
    pub connections: ConnectionSettings,
}

/// Where to connect.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeAddress {
    /// A name or an IP address; without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether TLS is spoken there.
    pub tls: bool,
}

/// Which address a request goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// Each person's to one address; those of nobody are spread.
    Person,
    /// Each to the next one.
    Spread,
    /// All to the first one that is not out.
    InOrder,
}

/// How addresses are checked.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthCheckSettings {
    /// The path, with the query, from the root of the server.
    pub path: String,
    /// What it has to answer: one of these.
    pub status: Vec<StatusCode>,
    /// What its answer has to hold.
    pub text: Option<String>,
    /// From the end of one check to the next.
    pub every: Duration,
    /// For one check.
    pub timeout: Duration,
    /// After how many checks passed in a row an address is back.
    pub back_after: u32,
}

/// How much one address is given at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionSettings {
    /// Requests and tunnels under way; `None` for any number.
    pub per_address: Option<usize>,
    /// How long a request waits for its turn.
    pub wait: Duration,
}

impl UpstreamSettings {
    /// A site that is reached by its own name, verified by the system's authorities.
    pub fn at(url: Url) -> Self {
        Self { url, ca: None, nodes: NodesSettings::default() }
    }

    /// Where to connect: what is listed, else the URL's own host.
    pub fn addresses(&self) -> Vec<NodeAddress> {
        if !self.nodes.addresses.is_empty() {
            return self.nodes.addresses.clone();
        }
        NodeAddress::of(&self.url).into_iter().collect()
    }

    /// Whether its addresses are told apart: they are several servers, and not several ways to one.
    pub fn has_nodes(&self) -> bool {
        !self.nodes.addresses.is_empty() || self.nodes.balance != Balance::InOrder
    }
}

impl Default for NodesSettings {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            balance: Balance::InOrder,
            resolve_every: Duration::from_secs(30),
            retries: 2,
            out_after: 3,
            pause: Duration::from_secs(10),
            health_check: None,
            connections: ConnectionSettings { per_address: None, wait: Duration::from_secs(5) },
        }
    }
}

impl NodeAddress {
    /// That of a URL.
    pub fn of(url: &Url) -> Option<Self> {
        let host = match url.host()? {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        Some(Self { host, port: url.port_or_known_default()?, tls: url.scheme() == "https" })
    }
}

/// As it is written.
impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

impl Balance {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Spread => "spread",
            Self::InOrder => "in_order",
        }
    }
}
