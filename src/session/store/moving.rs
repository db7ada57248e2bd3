//! A store that can change hands while the gateway serves: one process gives it up, another opens it, and whoever wants
//! something of it in between waits a moment instead of failing.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{OwnedRwLockWriteGuard, RwLock, RwLockReadGuard};

use super::{
    FormStore, Mark, RecordChange, RecordSeen, RecordStore, Room, Sealed, SessionStore, Shelf, StoreError, StoredForm,
    StoredHead, StoredIndex, StoredSession, Tag,
};
use crate::clock::Timestamp;
use crate::ids::SessionHash;

/// Passes everything on to the store that it has now.
#[derive(Debug)]
pub struct MovingStore {
    /// `None` where there is none, and none will come.
    held: Arc<RwLock<Option<Arc<dyn SessionStore>>>>,
}

/// The store is between two hands. Whoever wants something of it waits until this is dropped.
#[derive(Debug)]
pub struct Moving(OwnedRwLockWriteGuard<Option<Arc<dyn SessionStore>>>);

impl MovingStore {
    /// One that has `store` now.
    pub fn over(store: Arc<dyn SessionStore>) -> Self {
        Self { held: Arc::new(RwLock::new(Some(store))) }
    }

    /// One that has none yet: everybody waits until [`Moving::arrives`].
    pub async fn awaited() -> (Self, Moving) {
        let store = Self { held: Arc::default() };
        let moving = store.moves().await;
        (store, moving)
    }

    /// Lets what is under way end, and has everything else wait.
    pub async fn moves(&self) -> Moving {
        Moving(Arc::clone(&self.held).write_owned().await)
    }

    async fn now(&self) -> Result<Held<'_>, StoreError> {
        let held = self.held.read().await;
        RwLockReadGuard::try_map(held, Option::as_ref).map_err(|_| StoreError::Closed)
    }
}

/// The store stays for as long as this is used.
type Held<'a> = RwLockReadGuard<'a, Arc<dyn SessionStore>>;

impl Moving {
    /// The store that is given up, if there is one.
    pub fn leaves(&mut self) -> Option<Arc<dyn SessionStore>> {
        self.0.take()
    }

    /// This one is used from now on.
    pub fn arrives(mut self, store: Arc<dyn SessionStore>) {
        *self.0 = Some(store);
    }
}

#[async_trait]
impl SessionStore for MovingStore {
    async fn load(&self, hash: &SessionHash) -> Result<Option<StoredSession>, StoreError> {
        self.now().await?.load(hash).await
    }

    async fn save(&self, hash: &SessionHash, session: StoredSession) -> Result<(), StoreError> {
        self.now().await?.save(hash, session).await
    }

    async fn replace(&self, hash: &SessionHash, record: Sealed) -> Result<bool, StoreError> {
        self.now().await?.replace(hash, record).await
    }

    fn touch(&self, hash: &SessionHash, index: StoredIndex) -> Result<(), StoreError> {
        let held = self.held.try_read().map_err(|_| StoreError::Busy)?;
        held.as_ref().ok_or(StoreError::Closed)?.touch(hash, index)
    }

    async fn forget(&self, hash: &SessionHash) -> Result<bool, StoreError> {
        self.now().await?.forget(hash).await
    }

    async fn find_by_tag(&self, tags: &[Tag]) -> Result<Vec<SessionHash>, StoreError> {
        self.now().await?.find_by_tag(tags).await
    }

    async fn scan(&self, limit: usize) -> Result<Vec<(SessionHash, Sealed)>, StoreError> {
        self.now().await?.scan(limit).await
    }

    async fn count(&self) -> Result<u64, StoreError> {
        self.now().await?.count().await
    }

    async fn mark_once(&self, mark: &Mark, until: Timestamp) -> Result<bool, StoreError> {
        self.now().await?.mark_once(mark, until).await
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<Vec<SessionHash>, StoreError> {
        self.now().await?.sweep(now, limit).await
    }

    async fn flush(&self) -> Result<(), StoreError> {
        self.now().await?.flush().await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.now().await?.close().await
    }

    fn health(&self) -> Result<(), StoreError> {
        match self.held.try_read() {
            Ok(held) => held.as_ref().ok_or(StoreError::Closed)?.health(),
            // It moves: nothing is known against it.
            Err(_) => Ok(()),
        }
    }
}

#[async_trait]
impl RecordStore for MovingStore {
    async fn fetch(&self, shelf: Shelf, tag: &Tag) -> Result<Option<Sealed>, StoreError> {
        self.now().await?.fetch(shelf, tag).await
    }

    async fn change(&self, changes: Vec<RecordChange>) -> Result<(), StoreError> {
        self.now().await?.change(changes).await
    }

    async fn change_if(&self, seen: Vec<RecordSeen>, changes: Vec<RecordChange>) -> Result<bool, StoreError> {
        self.now().await?.change_if(seen, changes).await
    }

    async fn walk(&self, shelf: Shelf, after: Option<&Tag>, limit: usize) -> Result<Vec<(Tag, Sealed)>, StoreError> {
        self.now().await?.walk(shelf, after, limit).await
    }
}

#[async_trait]
impl FormStore for MovingStore {
    async fn keep_form(&self, tag: &Tag, form: StoredForm, room: Room, now: Timestamp) -> Result<bool, StoreError> {
        self.now().await?.keep_form(tag, form, room, now).await
    }

    async fn form_head(&self, tag: &Tag) -> Result<Option<StoredHead>, StoreError> {
        self.now().await?.form_head(tag).await
    }

    async fn take_form(&self, tag: &Tag) -> Result<Option<StoredForm>, StoreError> {
        self.now().await?.take_form(tag).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::form_suite::form_suite;
    use super::super::memory::MemoryStore;
    use super::super::record_suite::record_suite;
    use super::super::suite::{hash, session, store_suite};
    use super::*;

    fn moving() -> Arc<dyn SessionStore> {
        Arc::new(MovingStore::over(Arc::new(MemoryStore::default())))
    }

    form_suite!(|_folder| moving());
    record_suite!(|_folder| moving());
    store_suite!(|_folder| moving());

    #[tokio::test]
    async fn who_comes_while_it_moves_waits_and_meets_the_next_one() {
        let (store, moving) = MovingStore::awaited().await;
        let store = Arc::new(store);
        let early = tokio::spawn({
            let store = Arc::clone(&store);
            async move { store.save(&hash(1), session("any", &[], 10)).await }
        });
        tokio::task::yield_now().await;
        assert!(!early.is_finished());
        assert_eq!(store.touch(&hash(1), session("any", &[], 10).index), Err(StoreError::Busy), "it never waits");
        assert_eq!(store.health(), Ok(()));
        moving.arrives(Arc::new(MemoryStore::default()));
        early.await.unwrap().unwrap();

        let mut moving = store.moves().await;
        let first = moving.leaves().unwrap();
        assert!(first.load(&hash(1)).await.unwrap().is_some());
        let late = tokio::spawn({
            let store = Arc::clone(&store);
            async move { store.load(&hash(1)).await }
        });
        moving.arrives(Arc::new(MemoryStore::default()));
        assert_eq!(late.await.unwrap(), Ok(None), "the next store knows of no session");

        drop(store.moves().await.leaves());
        assert_eq!(store.load(&hash(1)).await, Err(StoreError::Closed), "none is there, and none will come");
    }
}
