//! What happens at the nodes of upstreams, counted.

use std::net::SocketAddr;
use std::sync::Arc;

use prometheus::IntGauge;

use super::Metrics;
use crate::nodes::{Failure, NodeObserver, NodesObserver};
use crate::portal::HostName;

/// Counts for the nodes of one portal.
#[derive(Debug)]
pub(super) struct NodesOf {
    pub portal: HostName,
    pub metrics: Metrics,
}

/// Counts for one node.
#[derive(Debug)]
struct NodeOf {
    portal: HostName,
    address: String,
    metrics: Metrics,
    /// Every request counts here: the series is looked up once.
    in_use: IntGauge,
}

impl NodesObserver for NodesOf {
    fn node(&self, address: SocketAddr) -> Arc<dyn NodeObserver> {
        let (portal, address, metrics) = (self.portal.clone(), address.to_string(), self.metrics.clone());
        let in_use = metrics.0.upstream_in_use.with_label_values(&[portal.as_str(), &address]);
        Arc::new(NodeOf { portal, address, metrics, in_use })
    }

    fn looked_up(&self, all: bool) {
        let result = if all { "found" } else { "failed" };
        self.metrics.0.upstream_look_ups.with_label_values(&[self.portal.as_str(), result]).inc();
    }

    /// What counts events stays: it says what has happened.
    fn gone(&self, address: SocketAddr) {
        let (families, address) = (&self.metrics.0, address.to_string());
        for family in [&families.upstream_up, &families.upstream_in_use] {
            // It may never have been there.
            let _ = family.remove_label_values(&[self.portal.as_str(), &address]);
        }
    }
}

impl NodeOf {
    fn labels(&self) -> [&str; 2] {
        [self.portal.as_str(), &self.address]
    }

    fn and<'a>(&'a self, last: &'a str) -> [&'a str; 3] {
        [self.portal.as_str(), &self.address, last]
    }
}

impl NodeObserver for NodeOf {
    fn is_up(&self, up: bool) {
        self.metrics.0.upstream_up.with_label_values(&self.labels()).set(i64::from(up));
    }

    fn begins(&self) {
        self.in_use.inc();
    }

    fn ends(&self) {
        self.in_use.dec();
    }

    fn failed(&self, failure: Failure) {
        self.metrics.0.upstream_failures.with_label_values(&self.and(failure.label())).inc();
    }

    fn retried(&self) {
        self.metrics.0.upstream_resent.with_label_values(&self.labels()).inc();
    }

    fn checked(&self, passed: bool) {
        let result = if passed { "passed" } else { "failed" };
        self.metrics.0.upstream_checks.with_label_values(&self.and(result)).inc();
    }

    fn waited(&self, got_it: bool) {
        let result = if got_it { "taken" } else { "gave_up" };
        self.metrics.0.upstream_waits.with_label_values(&self.and(result)).inc();
    }
}
