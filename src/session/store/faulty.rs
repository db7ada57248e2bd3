//! A store that fails when told to, and one that waits: to test what the rest does then.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::{
    FormStore, Mark, RecordChange, RecordSeen, RecordStore, Room, Sealed, SessionStore, Shelf, StoreError, StoredForm,
    StoredHead, StoredIndex, StoredSession, Tag,
};
use crate::clock::Timestamp;
use crate::ids::SessionHash;

/// Passes everything on to another store, unless told otherwise.
#[derive(Debug)]
pub(crate) struct FaultyStore {
    inner: Arc<dyn SessionStore>,
    reads: Mutex<Option<StoreError>>,
    writes: Mutex<Option<StoreError>>,
    /// One load passes for each permit.
    pub gate: Semaphore,
    pub loads: AtomicUsize,
    pub touches: AtomicUsize,
}

impl FaultyStore {
    pub fn over(inner: Arc<dyn SessionStore>) -> Arc<Self> {
        let (reads, writes) = (Mutex::default(), Mutex::default());
        let (loads, touches) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { inner, reads, writes, gate: Semaphore::new(Semaphore::MAX_PERMITS), loads, touches })
    }

    pub fn fail_reads(&self, error: Option<StoreError>) {
        *self.reads.lock().unwrap() = error;
    }

    pub fn fail_writes(&self, error: Option<StoreError>) {
        *self.writes.lock().unwrap() = error;
    }

    fn readable(&self) -> Result<(), StoreError> {
        self.reads.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    fn writable(&self) -> Result<(), StoreError> {
        self.writes.lock().unwrap().clone().map_or(Ok(()), Err)
    }
}

#[async_trait]
impl SessionStore for FaultyStore {
    async fn load(&self, hash: &SessionHash) -> Result<Option<StoredSession>, StoreError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        let found = self.inner.load(hash).await;
        self.gate.acquire().await.unwrap().forget();
        self.readable()?;
        found
    }

    async fn save(&self, hash: &SessionHash, session: StoredSession) -> Result<(), StoreError> {
        self.writable()?;
        self.inner.save(hash, session).await
    }

    async fn replace(&self, hash: &SessionHash, record: Sealed) -> Result<bool, StoreError> {
        self.writable()?;
        self.inner.replace(hash, record).await
    }

    fn touch(&self, hash: &SessionHash, index: StoredIndex) -> Result<(), StoreError> {
        self.touches.fetch_add(1, Ordering::SeqCst);
        self.writable()?;
        self.inner.touch(hash, index)
    }

    async fn forget(&self, hash: &SessionHash) -> Result<bool, StoreError> {
        self.writable()?;
        self.inner.forget(hash).await
    }

    async fn find_by_tag(&self, tags: &[Tag]) -> Result<Vec<SessionHash>, StoreError> {
        self.readable()?;
        self.inner.find_by_tag(tags).await
    }

    async fn scan(&self, limit: usize) -> Result<Vec<(SessionHash, Sealed)>, StoreError> {
        self.readable()?;
        self.inner.scan(limit).await
    }

    async fn count(&self) -> Result<u64, StoreError> {
        self.readable()?;
        self.inner.count().await
    }

    async fn mark_once(&self, mark: &Mark, until: Timestamp) -> Result<bool, StoreError> {
        self.writable()?;
        self.inner.mark_once(mark, until).await
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<Vec<SessionHash>, StoreError> {
        self.writable()?;
        self.inner.sweep(now, limit).await
    }

    async fn flush(&self) -> Result<(), StoreError> {
        self.writable()?;
        self.inner.flush().await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }

    fn health(&self) -> Result<(), StoreError> {
        self.writable()?;
        self.inner.health()
    }
}

#[async_trait]
impl RecordStore for FaultyStore {
    async fn fetch(&self, shelf: Shelf, tag: &Tag) -> Result<Option<Sealed>, StoreError> {
        self.readable()?;
        self.inner.fetch(shelf, tag).await
    }

    async fn change(&self, changes: Vec<RecordChange>) -> Result<(), StoreError> {
        self.writable()?;
        self.inner.change(changes).await
    }

    async fn change_if(&self, seen: Vec<RecordSeen>, changes: Vec<RecordChange>) -> Result<bool, StoreError> {
        self.writable()?;
        self.inner.change_if(seen, changes).await
    }

    async fn walk(&self, shelf: Shelf, after: Option<&Tag>, limit: usize) -> Result<Vec<(Tag, Sealed)>, StoreError> {
        self.readable()?;
        self.inner.walk(shelf, after, limit).await
    }
}

#[async_trait]
impl FormStore for FaultyStore {
    async fn keep_form(&self, tag: &Tag, form: StoredForm, room: Room, now: Timestamp) -> Result<bool, StoreError> {
        self.writable()?;
        self.inner.keep_form(tag, form, room, now).await
    }

    async fn form_head(&self, tag: &Tag) -> Result<Option<StoredHead>, StoreError> {
        self.readable()?;
        self.inner.form_head(tag).await
    }

    async fn take_form(&self, tag: &Tag) -> Result<Option<StoredForm>, StoreError> {
        self.writable()?;
        self.inner.take_form(tag).await
    }
}
