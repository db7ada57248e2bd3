//! Where names are looked up: the system, or a table that a test changes.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::clock::deadline;

/// How long a look-up may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Names and their addresses. Names that are not there do not exist.
pub type NameTable = ArcSwap<HashMap<String, Vec<IpAddr>>>;

/// Where names are looked up.
#[derive(Clone, Debug, Default)]
pub enum Resolver {
    /// The system.
    #[default]
    System,
    /// A table that says the same until somebody changes it.
    Table(Arc<NameTable>),
}

impl Resolver {
    /// The addresses of `host`, which may be an IP address itself; at least one.
    pub(super) async fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let found: Vec<SocketAddr> = match self {
            Self::System => {
                let looking = tokio::time::timeout_at(deadline(PATIENCE), tokio::net::lookup_host((host, port)));
                looking.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??.collect()
            }
            Self::Table(table) => {
                let numbers = host.parse().ok().map(|address| vec![address]);
                let found = numbers.or_else(|| table.load().get(host).cloned()).unwrap_or_default();
                found.into_iter().map(|address| SocketAddr::new(address, port)).collect()
            }
        };
        if found.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(found) }
    }
}
