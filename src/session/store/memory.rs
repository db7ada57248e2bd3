//! Sessions in this process's memory: for tests and for a demonstration. Nothing outlives the process.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Mark, Sealed, SessionStore, StoreError, StoredIndex, StoredSession, Tag};
use crate::clock::Timestamp;
use crate::ids::SessionHash;

/// Keeps sessions in memory.
#[derive(Debug)]
pub struct MemoryStore {
    /// `None` when closed.
    sessions: Mutex<Option<HashMap<SessionHash, StoredSession>>>,
    marks: Mutex<HashMap<Mark, Timestamp>>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self { sessions: Mutex::new(Some(HashMap::new())), marks: Mutex::default() }
    }
}

impl MemoryStore {
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<SessionHash, StoredSession>) -> T) -> Result<T, StoreError> {
        self.lock().as_mut().map(act).ok_or(StoreError::Closed)
    }

    fn marks(&self) -> MutexGuard<'_, HashMap<Mark, Timestamp>> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Option<HashMap<SessionHash, StoredSession>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn load(&self, hash: &SessionHash) -> Result<Option<StoredSession>, StoreError> {
        self.with(|sessions| sessions.get(hash).cloned())
    }

    async fn save(&self, hash: &SessionHash, session: StoredSession) -> Result<(), StoreError> {
        self.with(|sessions| drop(sessions.insert(*hash, session)))
    }

    async fn replace(&self, hash: &SessionHash, record: Sealed) -> Result<bool, StoreError> {
        self.with(|sessions| sessions.get_mut(hash).map(|session| session.record = record).is_some())
    }

    fn touch(&self, hash: &SessionHash, index: StoredIndex) -> Result<(), StoreError> {
        self.with(|sessions| {
            if let Some(session) = sessions.get_mut(hash) {
                session.index = index;
            }
        })
    }

    async fn forget(&self, hash: &SessionHash) -> Result<bool, StoreError> {
        self.with(|sessions| sessions.remove(hash).is_some())
    }

    async fn find_by_tag(&self, tags: &[Tag]) -> Result<Vec<SessionHash>, StoreError> {
        let carries = |session: &StoredSession| session.index.tags.iter().any(|tag| tags.contains(tag));
        self.with(|sessions| sessions.iter().filter(|(_, session)| carries(session)).map(|(hash, _)| *hash).collect())
    }

    async fn scan(&self, limit: usize) -> Result<Vec<(SessionHash, Sealed)>, StoreError> {
        let index = |(hash, session): (&SessionHash, &StoredSession)| (*hash, session.index.sealed.clone());
        self.with(|sessions| sessions.iter().take(limit).map(index).collect())
    }

    async fn count(&self) -> Result<u64, StoreError> {
        self.with(|sessions| sessions.len() as u64)
    }

    async fn mark_once(&self, mark: &Mark, until: Timestamp) -> Result<bool, StoreError> {
        self.health()?;
        match self.marks().entry(*mark) {
            Entry::Occupied(_) => Ok(false),
            Entry::Vacant(free) => {
                free.insert(until);
                Ok(true)
            }
        }
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<Vec<SessionHash>, StoreError> {
        let mut left = limit;
        self.marks().retain(|_, until| {
            let over = *until < now && left > 0;
            left = left.saturating_sub(usize::from(over));
            !over
        });
        self.with(|sessions| {
            let over = sessions.iter().filter(|(_, session)| session.index.swept_after < now);
            let over: Vec<SessionHash> = over.map(|(hash, _)| *hash).take(limit).collect();
            for hash in &over {
                sessions.remove(hash);
            }
            over
        })
    }

    async fn flush(&self) -> Result<(), StoreError> {
        self.health()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.lock().take();
        Ok(())
    }

    fn health(&self) -> Result<(), StoreError> {
        self.with(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::suite::store_suite;
    use super::*;

    store_suite!(|_folder| Arc::new(MemoryStore::default()) as Arc<dyn SessionStore>);
}
