//! What the connections of a socket are held to. It can change while the socket is open: a connection keeps what was in force
//! when it came.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use ipnet::IpNet;

use super::handshake::TlsDoor;
use super::settings::EdgeLimits;

/// What a connection is held to.
#[derive(Clone)]
pub struct Rules {
    /// Whose connections are served; anybody else's is closed unread.
    pub peers: Peers,
    /// From whom every connection has to begin with a PROXY header that says whose it is. Nobody else's header is read.
    pub proxies: Vec<IpNet>,
    /// Speaks TLS, where the socket does.
    pub tls: Option<Arc<TlsDoor>>,
    /// Sizes and times. The number of connections is that of the first rules.
    pub limits: EdgeLimits,
}

/// Whose connections are served.
#[derive(Clone, Debug)]
pub enum Peers {
    /// Everybody's.
    Any,
    /// Those from these networks.
    Of(Vec<IpNet>),
}

/// The rules in force. Clones share them.
#[derive(Clone)]
pub struct RulesInForce(Arc<ArcSwap<Rules>>);

impl RulesInForce {
    /// `rules`, until others take their place.
    pub fn new(rules: Rules) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(rules)))
    }

    /// Holds connections that come from now on to `rules`.
    pub fn replace(&self, rules: Rules) {
        self.0.store(Arc::new(rules));
    }

    /// What a connection that comes now is held to.
    pub fn now(&self) -> Arc<Rules> {
        self.0.load_full()
    }
}

impl Peers {
    /// Whether a connection of `peer` is served.
    pub fn include(&self, peer: SocketAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Of(networks) => includes(networks, peer),
        }
    }
}

/// Whether one of `networks` holds the address of `peer`.
pub(super) fn includes(networks: &[IpNet], peer: SocketAddr) -> bool {
    networks.iter().any(|network| network.contains(&peer.ip().to_canonical()))
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules")
            .field("peers", &self.peers)
            .field("proxies", &self.proxies)
            .field("tls", &self.tls)
            .field("limits", &self.limits)
            .finish()
    }
}

impl fmt::Debug for RulesInForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.now().fmt(f)
    }
}
