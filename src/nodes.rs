//! The addresses at which the site behind a portal is reached: found, checked, chosen among, and given no more than they take.
//!
//! Owns what is known of each address (a *node*) and the rule by which one is chosen; the proxy and the calls to the site ask
//! the same rule, so that a person's requests and their logins meet at one node. Choosing takes no lock and waits for nothing.
//! Trusts DNS for where names lead, and nothing else: who answers there still has to prove the site's name. That all nodes are
//! out is no reason to try none.

mod care;
mod choice;
mod look_up;
mod node;
mod observer;
mod resolver;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use serde::Serialize;
use tokio::sync::Mutex;
use url::Url;

pub use self::choice::{Choice, NoTurn};
pub use self::look_up::NoAddress;
use self::node::Rules;
pub use self::node::{Failure, InUse, Node};
pub use self::observer::{NobodyWatchesNodes, NodeObserver, NodesObserver};
pub use self::resolver::{NameTable, Resolver};
use crate::http_client::{Answer, Call, CallFailed, HttpClient, HttpClientSettings, NoHttpClient, OneServer, Roots};
use crate::portal::settings::{NodeAddress, NodesSettings, PortalLimits, UpstreamSettings};
use crate::random::Random;

/// Idle connections kept to one node for calls; how many are made at once is limited elsewhere.
const IDLE_CONNECTIONS: usize = 64;

/// The nodes of one site.
#[derive(Debug)]
pub struct Nodes {
    site: Url,
    /// Whether they are several servers: each is called by its own address, and what one knows the others need not.
    are_told_apart: bool,
    settings: NodesSettings,
    addresses: Vec<NodeAddress>,
    found: ArcSwap<Vec<Arc<Node>>>,
    turn: AtomicUsize,
    /// One look-up at a time.
    looking: Mutex<()>,
    /// Whether the last look-up failed: told once.
    lost: AtomicBool,
    rules: Rules,
    by_name: OnceLock<HttpClient>,
    /// Look-ups that are over.
    look_ups: AtomicU64,
    client: HttpClientSettings,
    parts: NodesParts,
}

/// What nodes need besides their settings.
#[derive(Clone, Debug)]
pub struct NodesParts {
    /// Whose nodes they are, for the log.
    pub portal: Arc<str>,
    /// Where names are looked up.
    pub resolver: Resolver,
    /// Who counts.
    pub observer: Arc<dyn NodesObserver>,
    /// Keeps many gateways from checking at the same moment.
    pub random: Random,
}

impl NodesParts {
    /// Of a portal that nobody watches.
    pub fn unwatched() -> Self {
        let observer = Arc::new(NobodyWatchesNodes);
        Self { portal: "none".into(), resolver: Resolver::System, observer, random: Random::default() }
    }
}

/// How one node stands.
#[derive(Clone, Debug, Serialize)]
pub struct NodeStanding {
    /// Its address.
    pub address: SocketAddr,
    /// Whether it is used.
    pub up: bool,
    /// Requests and tunnels under way there.
    pub in_use: usize,
}

impl Nodes {
    /// The nodes of that site. Names are not looked up yet: they lead where they did `before`, to nodes of which nothing is
    /// known.
    pub fn new(settings: &UpstreamSettings, limits: &PortalLimits, parts: NodesParts, before: Option<&Self>) -> Self {
        let roots = match &settings.ca {
            Some(given) => Roots::Only(given.certificates.clone()),
            None => Roots::System,
        };
        let client = HttpClientSettings {
            roots,
            connect_timeout: limits.upstream_connect,
            idle_timeout: limits.upstream_idle,
            idle_per_host: IDLE_CONNECTIONS,
            ..HttpClientSettings::default()
        };
        let nodes = Self {
            site: settings.url.clone(),
            are_told_apart: settings.has_nodes(),
            addresses: settings.addresses(),
            found: ArcSwap::default(),
            turn: AtomicUsize::new(0),
            looking: Mutex::new(()),
            lost: AtomicBool::new(false),
            look_ups: AtomicU64::new(0),
            rules: Rules::of(&settings.nodes, Arc::clone(&parts.portal)),
            settings: settings.nodes.clone(),
            by_name: OnceLock::new(),
            client,
            parts,
        };
        nodes.know_beforehand(before);
        nodes
    }

    /// Makes ready for calls: see [`Nodes::send`]. Only who makes some pays for it.
    ///
    /// # Errors
    /// When a certificate authority cannot be used.
    pub fn prepare_calls(&self) -> Result<(), NoHttpClient> {
        self.by_name().map(drop)
    }

    /// Those of the site at `url`, where nobody watches.
    #[cfg(test)]
    pub(crate) fn for_test(url: Url) -> Arc<Self> {
        let settings = UpstreamSettings::at(url);
        Arc::new(Self::new(&settings, &PortalLimits::default(), NodesParts::unwatched(), None))
    }

    /// Whether they are several servers, so that what one knows the others need not.
    pub fn are_told_apart(&self) -> bool {
        self.are_told_apart
    }

    /// At how many other nodes a request is tried that met a broken connection.
    pub fn retries(&self) -> usize {
        self.settings.retries
    }

    /// The node at `address`, if it is one of these now.
    pub fn find(&self, address: SocketAddr) -> Option<Arc<Node>> {
        self.found.load().iter().find(|node| node.address() == address).cloned()
    }

    /// How they stand.
    pub fn standing(&self) -> Vec<NodeStanding> {
        let found = self.found.load();
        let of = |node: &Arc<Node>| NodeStanding { address: node.address(), up: node.is_up(), in_use: node.in_use() };
        found.iter().map(of).collect()
    }

    /// Makes a call to the site: at `node`, or where its name leads when that is none. The node learns how it went.
    ///
    /// # Errors
    /// When there is no complete answer within the limits of the call.
    pub async fn send(&self, call: Call, node: Option<&Node>) -> Result<Answer, CallFailed> {
        let Some(node) = node else {
            let client = self.by_name().map_err(|error| CallFailed::Unreachable(error.to_string()))?;
            return client.send(call).await;
        };
        let outcome = self.client_of(node)?.send(call).await;
        match &outcome {
            Ok(_) => node.answered(),
            Err(failed) => {
                if let Some(failure) = Failure::of_call(failed) {
                    node.failed(failure);
                }
            }
        }
        outcome
    }

    /// Speaks to whatever the site's name leads to.
    fn by_name(&self) -> Result<HttpClient, NoHttpClient> {
        match self.by_name.get() {
            Some(client) => Ok(client.clone()),
            None => {
                let made = HttpClient::new(self.client.clone())?;
                Ok(self.by_name.get_or_init(|| made).clone())
            }
        }
    }

    /// Speaks to that node alone.
    fn client_of(&self, node: &Node) -> Result<HttpClient, CallFailed> {
        if self.site.domain().is_none() {
            return self.by_name().map_err(|error| CallFailed::Unreachable(error.to_string()));
        }
        let server = OneServer { address: node.address(), tls: node.speaks_tls() };
        let make = || HttpClient::new(HttpClientSettings { one_server: Some(server), ..self.client.clone() });
        node.client(make).map_err(|error| CallFailed::Unreachable(error.to_string()))
    }
}
