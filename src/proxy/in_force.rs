//! The configuration in force. It is replaced as a whole while exchanges go on: each one is served to its end by what was in
//! force when its head had been read.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::Gateway;

/// The gateway in force. Served at the door, and by Pingora's proxy. Clones share it.
#[derive(Clone)]
pub struct InForce(Arc<Inner>);

struct Inner {
    now: ArcSwap<Gateway>,
    replaced: watch::Sender<()>,
    /// Those that serve something still; looked at when one is replaced.
    all: Mutex<Vec<Weak<Gateway>>>,
}

impl InForce {
    /// Begins with `gateway`.
    pub fn new(gateway: Gateway) -> Self {
        let gateway = Arc::new(gateway);
        let all = Mutex::new(vec![Arc::downgrade(&gateway)]);
        Self(Arc::new(Inner { now: ArcSwap::new(gateway), replaced: watch::Sender::new(()), all }))
    }

    /// What serves an exchange that begins now. Takes no lock.
    pub fn now(&self) -> Arc<Gateway> {
        self.0.now.load_full()
    }

    /// Has `gateway` serve whatever begins from now on, and tells the tunnels that stand.
    pub fn replace(&self, gateway: Gateway) {
        let gateway = Arc::new(gateway);
        let mut all = self.0.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|one| one.strong_count() > 0);
        all.push(Arc::downgrade(&gateway));
        drop(all);
        self.0.now.store(gateway);
        self.0.replaced.send_replace(());
    }

    /// How many serve something still: the one in force, and those whose last exchanges are not over.
    pub fn held(&self) -> usize {
        let all = self.0.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|one| one.strong_count() > 0).count()
    }

    /// Tells of each [`InForce::replace`] from now on.
    pub(super) fn replacements(&self) -> watch::Receiver<()> {
        self.0.replaced.subscribe()
    }
}

impl fmt::Debug for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InForce").field(&self.now()).finish()
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("portals", &self.sites.len()).finish_non_exhaustive()
    }
}
