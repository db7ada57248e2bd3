//! Who counts what happens at nodes.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use super::Failure;

/// Counts for the nodes of one portal.
pub trait NodesObserver: fmt::Debug + Send + Sync {
    /// Counts for one of them.
    fn node(&self, address: SocketAddr) -> Arc<dyn NodeObserver>;

    /// There is no such node any more.
    fn gone(&self, address: SocketAddr);

    /// Names were looked up: all of them were found, or not.
    fn looked_up(&self, all: bool);
}

/// Counts for one node. Called on the way of requests: nothing here waits.
pub trait NodeObserver: fmt::Debug + Send + Sync {
    /// Whether it is used.
    fn is_up(&self, up: bool);

    /// A request or a tunnel begins there.
    fn begins(&self);

    /// It is over.
    fn ends(&self);

    /// A connection or an answer failed.
    fn failed(&self, failure: Failure);

    /// A request was sent again that had failed there.
    fn retried(&self);

    /// A check is over.
    fn checked(&self, passed: bool);

    /// A request has waited for its turn, and got it or not.
    fn waited(&self, got_it: bool);
}

/// Nobody does.
#[derive(Clone, Copy, Debug)]
pub struct NobodyWatchesNodes;

impl NodesObserver for NobodyWatchesNodes {
    fn node(&self, _address: SocketAddr) -> Arc<dyn NodeObserver> {
        Arc::new(Self)
    }

    fn gone(&self, _address: SocketAddr) {}
    fn looked_up(&self, _all: bool) {}
}

impl NodeObserver for NobodyWatchesNodes {
    fn is_up(&self, _up: bool) {}
    fn begins(&self) {}
    fn ends(&self) {}
    fn failed(&self, _failure: Failure) {}
    fn retried(&self) {}
    fn checked(&self, _passed: bool) {}
    fn waited(&self, _got_it: bool) {}
}
