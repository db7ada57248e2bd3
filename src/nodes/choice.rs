//! Which node a request goes to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{InUse, Node, Nodes};
use crate::clock::deadline;
use crate::ids::Affinity;
use crate::portal::settings::Balance;

/// Whose request it is.
#[derive(Clone, Copy, Debug)]
pub enum Choice {
    /// Nobody's in particular.
    Anybody,
    /// A call on behalf of the site: one and the same node as long as it is up, so that what was written is there to read.
    TheSite,
    /// A person's.
    Person {
        /// Tells the person from others.
        affinity: Affinity,
        /// The node that knows them already: it comes first.
        at: Option<SocketAddr>,
    },
}

/// Why a request has no node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTurn {
    /// No node is known, or all were tried.
    #[error("no address of the upstream is left")]
    NoneLeft,
    /// The node has no place, and none got free in time.
    #[error("the upstream's address takes no more requests now")]
    Full,
}

impl Nodes {
    /// The best node for `choice`, except for those in `tried`. Those that are out come last, in the same order.
    pub fn pick(&self, choice: Choice, tried: &[SocketAddr]) -> Option<Arc<Node>> {
        let found = self.found.load();
        match found.as_slice() {
            [] => None,
            [only] => (!tried.contains(&only.address())).then(|| Arc::clone(only)),
            several => self.best(several, choice, tried).cloned(),
        }
    }

    /// Whether there is a node that is not among `tried`.
    pub fn has_others(&self, tried: &[SocketAddr]) -> bool {
        self.found.load().iter().any(|node| !tried.contains(&node.address()))
    }

    /// Whether what only the node at `address` knows is of use: requests would go there.
    pub fn goes_to(&self, address: SocketAddr) -> bool {
        if !self.are_told_apart {
            return true;
        }
        let found = self.found.load();
        // Before the first look-up nobody can tell.
        if found.is_empty() {
            return true;
        }
        found
            .iter()
            .find(|node| node.address() == address)
            .is_some_and(|node| node.is_up() || !found.iter().any(|other| other.is_up()))
    }

    /// The best node, and a place there: waits for one.
    ///
    /// # Errors
    /// When there is no node, or no place in time.
    pub async fn take(&self, choice: Choice, tried: &[SocketAddr]) -> Result<InUse, NoTurn> {
        let node = self.pick(choice, tried).ok_or(NoTurn::NoneLeft)?;
        match node.enter() {
            Ok(in_use) => Ok(in_use),
            Err(full) => Box::pin(self.wait_for(full, choice, tried)).await,
        }
    }

    /// Waits for a place at `node`; at the next one when it goes out meanwhile.
    async fn wait_for(&self, mut node: Arc<Node>, choice: Choice, tried: &[SocketAddr]) -> Result<InUse, NoTurn> {
        let until = deadline(self.settings.connections.wait);
        loop {
            tokio::select! {
                in_use = node.enter_in_turn() => {
                    node.waited(true);
                    return Ok(in_use);
                }
                () = node.until_it_goes_out() => {
                    match self.pick(choice, tried).ok_or(NoTurn::NoneLeft)?.enter() {
                        Ok(in_use) => return Ok(in_use),
                        Err(full) => node = full,
                    }
                }
                () = tokio::time::sleep_until(until) => {
                    node.waited(false);
                    return Err(NoTurn::Full);
                }
            }
        }
    }

    fn best<'n>(&self, nodes: &'n [Arc<Node>], choice: Choice, tried: &[SocketAddr]) -> Option<&'n Arc<Node>> {
        let affinity = match (self.settings.balance, choice) {
            (Balance::Person, Choice::Person { affinity, .. }) => Some(affinity),
            (Balance::Person | Balance::Spread, Choice::TheSite) => Some(Affinity::of(&[])),
            _ => None,
        };
        let home = match choice {
            Choice::Person { at, .. } if self.are_told_apart => at,
            _ => None,
        };
        // What is nobody's is spread, unless all goes to the first.
        let spread = affinity.is_none() && self.settings.balance != Balance::InOrder;
        let first = match spread {
            true => self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(nodes.len()).unwrap_or_default(),
            false => 0,
        };
        let rank = |(index, node): (usize, &'n Arc<Node>)| {
            let weight = match affinity {
                Some(affinity) => affinity.weight_at(node.place()),
                // The first one has the highest; those before it come after the last.
                None => {
                    let ahead = if index < first { index.saturating_add(nodes.len()) } else { index };
                    u64::MAX.saturating_sub(u64::try_from(ahead).unwrap_or(u64::MAX))
                }
            };
            let free = !spread || node.has_room();
            ((node.is_up(), home == Some(node.address()), free, weight), node)
        };
        let left = nodes.iter().enumerate().filter(|(_, node)| !tried.contains(&node.address()));
        left.map(rank).max_by_key(|(rank, _)| *rank).map(|(_, node)| node)
    }
}
