//! How the upstreams of the portals stand.

use std::sync::Arc;

use serde::Serialize;

use crate::nodes::{NodeStanding, Nodes};
use crate::portal::HostName;

/// The nodes of each portal in force, by its name.
#[derive(Debug, Default)]
pub struct Upstreams(Vec<(HostName, Arc<Nodes>)>);

/// How the upstream of one portal stands.
#[derive(Debug, Serialize)]
pub struct UpstreamStanding {
    portal: String,
    addresses: Vec<NodeStanding>,
}

impl Upstreams {
    /// Those of these portals.
    pub fn of(nodes: impl Iterator<Item = (HostName, Arc<Nodes>)>) -> Self {
        let mut all: Vec<_> = nodes.collect();
        all.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
        Self(all)
    }

    /// How they stand.
    pub fn standing(&self) -> Vec<UpstreamStanding> {
        let of = |(host, nodes): &(HostName, Arc<Nodes>)| UpstreamStanding {
            portal: host.as_str().to_owned(),
            addresses: nodes.standing(),
        };
        self.0.iter().map(of).collect()
    }

    /// One sentence for each portal that lacks something.
    pub fn sentences(&self) -> Vec<String> {
        let of = |(host, nodes): &(HostName, Arc<Nodes>)| {
            let standing = nodes.standing();
            let out = standing.iter().filter(|node| !node.up).count();
            (out > 0).then(|| format!("{host}: {out} of {} addresses of the upstream are out", standing.len()))
        };
        self.0.iter().filter_map(of).collect()
    }
}
