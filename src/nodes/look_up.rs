//! Where the addresses of the configuration lead now. What cannot be looked up stays where it was.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::join_all;

use super::{Node, Nodes};
use crate::portal::settings::NodeAddress;

/// No name of the upstream leads anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name of the upstream cannot be resolved")]
pub struct NoAddress;

impl Nodes {
    /// Makes sure that there is a node. Looks up at once when there is none; looking again is for [`Nodes::keep`].
    ///
    /// # Errors
    /// When no name has ever been resolved, and none is now.
    pub async fn make_ready(&self) -> Result<(), NoAddress> {
        if !self.found.load().is_empty() {
            return Ok(());
        }
        let before = self.look_ups.load(Ordering::Relaxed);
        let _turn = self.looking.lock().await;
        if !self.found.load().is_empty() {
            return Ok(());
        }
        // Who has waited for another's look-up shares what came of it: else each would wait for its own, one after the other.
        if self.look_ups.load(Ordering::Relaxed) != before {
            return Err(NoAddress);
        }
        self.look_up_in_turn().await
    }

    /// Looks all names up again.
    pub(super) async fn look_up(&self) -> Result<(), NoAddress> {
        let _turn = self.looking.lock().await;
        self.look_up_in_turn().await
    }

    /// Whether there is a name to look up at all.
    pub(super) fn has_names(&self) -> bool {
        self.addresses.iter().any(|address| address.host.parse::<IpAddr>().is_err())
    }

    /// What is an IP address leads to itself, and a name to where it has led `before`.
    pub(super) fn know_beforehand(&self, before: Option<&Self>) {
        let known = self.addresses.iter().map(|address| match address.host.parse() {
            Ok(number) => Ok(vec![SocketAddr::new(number, address.port)]),
            Err(_) => before.map(|before| before.led_to(address)).filter(|found| !found.is_empty()).ok_or(()),
        });
        self.learn(known.collect());
    }

    /// Where `address` leads, as far as it is one of these.
    fn led_to(&self, address: &NodeAddress) -> Vec<SocketAddr> {
        let entry = self.addresses.iter().position(|known| known == address);
        let found = self.found.load();
        found.iter().filter(|node| Some(node.entry()) == entry).map(|node| node.address()).collect()
    }

    async fn look_up_in_turn(&self) -> Result<(), NoAddress> {
        let looking = self.addresses.iter().map(|address| self.parts.resolver.look_up(&address.host, address.port));
        let outcomes: Vec<io::Result<Vec<SocketAddr>>> = join_all(looking).await;
        let portal = &*self.parts.portal;
        let lost = outcomes.iter().any(Result::is_err);
        self.parts.observer.looked_up(!lost);
        self.look_ups.fetch_add(1, Ordering::Relaxed);
        if lost && !self.lost.swap(true, Ordering::Relaxed) {
            for (address, outcome) in self.addresses.iter().zip(&outcomes) {
                if let Err(error) = outcome {
                    tracing::warn!(portal, %address, %error, "an address of the upstream cannot be looked up: where it led before is used on");
                }
            }
        } else if !lost && self.lost.swap(false, Ordering::Relaxed) {
            tracing::info!(portal, "the addresses of the upstream can be looked up again");
        }
        self.learn(outcomes.into_iter().map(|outcome| outcome.map_err(drop)).collect());
        if self.found.load().is_empty() { Err(NoAddress) } else { Ok(()) }
    }

    /// Takes over what each address leads to. Nodes that are known stay as they are, in their order.
    fn learn(&self, outcomes: Vec<Result<Vec<SocketAddr>, ()>>) {
        let before = self.found.load_full();
        let mut seen = HashSet::new();
        let mut now: Vec<Arc<Node>> = Vec::new();
        for (entry, (address, outcome)) in self.addresses.iter().zip(outcomes).enumerate() {
            let found = outcome.ok().map(|found| fit(address, found));
            let stays = |node: &&Arc<Node>| {
                node.entry() == entry && found.as_ref().is_none_or(|found| found.contains(&node.address()))
            };
            for node in before.iter().filter(stays) {
                if seen.insert(node.address()) {
                    now.push(Arc::clone(node));
                }
            }
            for new in found.into_iter().flatten() {
                if seen.insert(new) {
                    // It may have been another entry's.
                    let known = before.iter().find(|node| node.address() == new && node.speaks_tls() == address.tls);
                    match known {
                        Some(known) => {
                            known.is_of(entry);
                            now.push(Arc::clone(known));
                        }
                        None => now.push(Arc::new(self.node(new, address.tls, entry))),
                    }
                }
            }
        }
        let same = before.len() == now.len() && before.iter().zip(&now).all(|(old, new)| Arc::ptr_eq(old, new));
        if same {
            return;
        }
        let shown = |nodes: &[Arc<Node>]| nodes.iter().map(|node| node.address().to_string()).collect::<Vec<_>>();
        if !before.is_empty() {
            let (was, is) = (shown(&before).join(" "), shown(&now).join(" "));
            tracing::info!(portal = &*self.parts.portal, was, is, "the addresses of the upstream have changed");
        }
        for gone in before.iter().filter(|old| !seen.contains(&old.address())) {
            gone.is_gone();
            self.parts.observer.gone(gone.address());
        }
        self.found.store(Arc::new(now));
    }

    fn node(&self, address: SocketAddr, tls: bool, entry: usize) -> Node {
        Node::new(address, tls, entry, self.rules.clone(), self.parts.observer.node(address))
    }
}

/// Without TLS nothing leaves this machine, whatever a name leads to.
fn fit(address: &NodeAddress, found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    found.into_iter().filter(|found| address.tls || found.ip().is_loopback()).collect()
}
