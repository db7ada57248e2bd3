//! Which sessions are alive in this process, and which are on their way in.
//!
//! The cache may drop a session that requests still use. This table makes sure that there is never a second copy of it,
//! and that ending a session reaches every copy: also one that is just being loaded or opened.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::OnceCell;

use super::live::LiveSession;
use super::store::StoreError;
use crate::ids::SessionHash;

/// What loading a session from the store came to.
pub(super) type Loaded = Result<Option<Arc<LiveSession>>, StoreError>;

/// The table. Its lock is held for moments, and never on the path of a cached session.
#[derive(Debug, Default)]
pub(super) struct Registry {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    live: HashMap<SessionHash, Weak<LiveSession>>,
    arriving: HashMap<SessionHash, (Arc<Arrival>, usize)>,
    /// Ended here, but perhaps not yet forgotten by the store.
    ending: HashSet<SessionHash>,
    /// The size at which dead entries are next cleared out.
    clear_at: usize,
}

/// A session on its way in: shared by all who wait for it.
#[derive(Debug, Default)]
pub(super) struct Arrival {
    ended: AtomicBool,
    pub loaded: OnceCell<Loaded>,
}

/// The right to wait for an arrival; the last to give it back clears the table.
pub(super) struct Arriving<'a> {
    registry: &'a Registry,
    hash: SessionHash,
    pub arrival: Arc<Arrival>,
}

/// Where a session stands.
pub(super) enum Whereabouts<'a> {
    /// In this process already.
    Here(Arc<LiveSession>),
    /// To be loaded, by whoever comes first.
    Arriving(Arriving<'a>),
    /// Ended, whatever the store still says.
    Ended,
}

impl Registry {
    /// Finds a live session or joins those who wait for it.
    pub fn whereabouts(&self, hash: &SessionHash) -> Whereabouts<'_> {
        let mut table = self.table();
        if table.ending.contains(hash) {
            return Whereabouts::Ended;
        }
        if let Some(live) = table.live.get(hash).and_then(Weak::upgrade) {
            return Whereabouts::Here(live);
        }
        let (arrival, waiting) = table.arriving.entry(*hash).or_default();
        *waiting = waiting.saturating_add(1);
        let arrival = Arc::clone(arrival);
        drop(table);
        Whereabouts::Arriving(Arriving { registry: self, hash: *hash, arrival })
    }

    /// Ends the session wherever it is, and gives it if it is here. Nobody finds it from now on, even before the store
    /// has forgotten it, and even if the store cannot.
    pub fn end(&self, hash: &SessionHash) -> Option<Arc<LiveSession>> {
        let mut table = self.table();
        table.ending.insert(*hash);
        if let Some((arrival, _)) = table.arriving.get(hash) {
            arrival.ended.store(true, Ordering::Release);
        }
        table.live.remove(hash).and_then(|weak| weak.upgrade())
    }

    /// The store has forgotten the session.
    pub fn forgotten(&self, hash: &SessionHash) {
        self.table().ending.remove(hash);
    }

    /// Sessions that were ended here and that the store may still hold.
    pub fn not_forgotten(&self) -> Vec<SessionHash> {
        self.table().ending.iter().copied().collect()
    }

    /// Whether the session was ended here, and the store may still hold it.
    pub fn is_ending(&self, hash: &SessionHash) -> bool {
        self.table().ending.contains(hash)
    }

    /// The session, if it is here.
    pub fn here(&self, hash: &SessionHash) -> Option<Arc<LiveSession>> {
        self.table().live.get(hash).and_then(Weak::upgrade)
    }

    /// All live sessions.
    pub fn all(&self) -> Vec<Arc<LiveSession>> {
        self.table().live.values().filter_map(Weak::upgrade).collect()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Arriving<'_> {
    /// Lets the session in, unless it was ended on its way.
    pub fn admit(&self, live: &Arc<LiveSession>) -> bool {
        let mut table = self.registry.table();
        if self.arrival.ended.load(Ordering::Acquire) {
            live.mark_ended();
            return false;
        }
        table.live.insert(self.hash, Arc::downgrade(live));
        if table.live.len() >= table.clear_at {
            table.live.retain(|_, weak| weak.strong_count() > 0);
            // Dead entries keep the memory of their sessions: there are a quarter as many as live ones at most.
            table.clear_at = table.live.len().saturating_add(table.live.len() / 4).max(1024);
        }
        true
    }
}

impl Drop for Arriving<'_> {
    fn drop(&mut self) {
        let mut table = self.registry.table();
        if let Some((arrival, waiting)) = table.arriving.get_mut(&self.hash)
            && Arc::ptr_eq(arrival, &self.arrival)
        {
            *waiting = waiting.saturating_sub(1);
            if *waiting == 0 {
                table.arriving.remove(&self.hash);
            }
        }
    }
}
