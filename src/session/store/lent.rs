//! A store that another process has open: each wish travels there as one message, and its answer back. For the last
//! exchanges of a process that has handed its store over.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::{
    FormStore, Mark, RecordChange, RecordSeen, RecordStore, Room, Sealed, SessionStore, Shelf, StoreError, StoredForm,
    StoredHead, StoredIndex, StoredSession, Tag,
};
use crate::clock::Timestamp;
use crate::ids::SessionHash;

/// What is wanted of the store.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the methods of the traits")]
pub enum Wish {
    Load(SessionHash),
    Save(SessionHash, StoredSession),
    Replace(SessionHash, Sealed),
    Touch(SessionHash, StoredIndex),
    Forget(SessionHash),
    FindByTag(Vec<Tag>),
    Scan(usize),
    Count,
    MarkOnce(Mark, Timestamp),
    Sweep(Timestamp, usize),
    Flush,
    Fetch(Shelf, Tag),
    Change(Vec<RecordChange>),
    ChangeIf(Vec<RecordSeen>, Vec<RecordChange>),
    Walk(Shelf, Option<Tag>, usize),
    KeepForm(Tag, StoredForm, Room, Timestamp),
    FormHead(Tag),
    TakeForm(Tag),
}

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the results of the methods of the traits")]
pub enum Granted {
    Done,
    Was(bool),
    Session(Option<StoredSession>),
    Hashes(Vec<SessionHash>),
    Indexes(Vec<(SessionHash, Sealed)>),
    Count(u64),
    Record(Option<Sealed>),
    Records(Vec<(Tag, Sealed)>),
    Form(Option<StoredForm>),
    FormHead(Option<StoredHead>),
}

/// A wish, and who waits for what comes of it; nobody does for [`Wish::Touch`].
#[derive(Debug)]
pub struct Wished {
    /// What is wanted.
    pub wish: Wish,
    /// Who waits.
    pub answer: Option<oneshot::Sender<Result<Granted, StoreError>>>,
}

/// The other process's store, as this one sees it.
pub struct LentStore {
    wishes: mpsc::Sender<Wished>,
    closed: AtomicBool,
}

/// How long a wish may take. What comes of it afterwards is not known here; it may be granted all the same.
const LONGEST: Duration = Duration::from_secs(10);
/// How many wishes may wait to be sent.
const WAITING: usize = 8192;

impl LentStore {
    /// One whose wishes come out at the other end. When that is dropped, the store is closed.
    pub fn new() -> (Self, mpsc::Receiver<Wished>) {
        let (wishes, wished) = mpsc::channel(WAITING);
        (Self { wishes, closed: AtomicBool::new(false) }, wished)
    }

    async fn ask(&self, wish: Wish) -> Result<Granted, StoreError> {
        self.health()?;
        let (answer, answered) = oneshot::channel();
        let wished = Wished { wish, answer: Some(answer) };
        let granted = async {
            self.wishes.send(wished).await.map_err(|_| StoreError::Closed)?;
            answered.await.map_err(|_| StoreError::Closed)?
        };
        tokio::time::timeout(LONGEST, granted).await.unwrap_or(Err(StoreError::Busy))
    }

    /// An answer of another kind is none.
    async fn expect<T>(&self, wish: Wish, read: impl FnOnce(Granted) -> Option<T>) -> Result<T, StoreError> {
        read(self.ask(wish).await?).ok_or(StoreError::Closed)
    }

    async fn was(&self, wish: Wish) -> Result<bool, StoreError> {
        self.expect(wish, |granted| if let Granted::Was(was) = granted { Some(was) } else { None }).await
    }

    async fn done(&self, wish: Wish) -> Result<(), StoreError> {
        self.expect(wish, |granted| matches!(granted, Granted::Done).then_some(())).await
    }

    async fn hashes(&self, wish: Wish) -> Result<Vec<SessionHash>, StoreError> {
        self.expect(wish, |granted| if let Granted::Hashes(hashes) = granted { Some(hashes) } else { None }).await
    }
}

impl fmt::Debug for LentStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LentStore(..)")
    }
}

/// Has `store` do what another process wishes.
///
/// # Errors
/// The store's.
pub async fn grant(store: &dyn SessionStore, wish: Wish) -> Result<Granted, StoreError> {
    Ok(match wish {
        Wish::Load(hash) => Granted::Session(store.load(&hash).await?),
        Wish::Save(hash, session) => store.save(&hash, session).await.map(|()| Granted::Done)?,
        Wish::Replace(hash, record) => Granted::Was(store.replace(&hash, record).await?),
        Wish::Touch(hash, index) => store.touch(&hash, index).map(|()| Granted::Done)?,
        Wish::Forget(hash) => Granted::Was(store.forget(&hash).await?),
        Wish::FindByTag(tags) => Granted::Hashes(store.find_by_tag(&tags).await?),
        Wish::Scan(limit) => Granted::Indexes(store.scan(limit).await?),
        Wish::Count => Granted::Count(store.count().await?),
        Wish::MarkOnce(mark, until) => Granted::Was(store.mark_once(&mark, until).await?),
        Wish::Sweep(now, limit) => Granted::Hashes(store.sweep(now, limit).await?),
        Wish::Flush => store.flush().await.map(|()| Granted::Done)?,
        Wish::Fetch(shelf, tag) => Granted::Record(store.fetch(shelf, &tag).await?),
        Wish::Change(changes) => store.change(changes).await.map(|()| Granted::Done)?,
        Wish::ChangeIf(seen, changes) => Granted::Was(store.change_if(seen, changes).await?),
        Wish::Walk(shelf, after, limit) => Granted::Records(store.walk(shelf, after.as_ref(), limit).await?),
        Wish::KeepForm(tag, form, room, now) => Granted::Was(store.keep_form(&tag, form, room, now).await?),
        Wish::FormHead(tag) => Granted::FormHead(store.form_head(&tag).await?),
        Wish::TakeForm(tag) => Granted::Form(store.take_form(&tag).await?),
    })
}

#[async_trait]
impl SessionStore for LentStore {
    async fn load(&self, hash: &SessionHash) -> Result<Option<StoredSession>, StoreError> {
        let read = |granted| if let Granted::Session(session) = granted { Some(session) } else { None };
        self.expect(Wish::Load(*hash), read).await
    }

    async fn save(&self, hash: &SessionHash, session: StoredSession) -> Result<(), StoreError> {
        self.done(Wish::Save(*hash, session)).await
    }

    async fn replace(&self, hash: &SessionHash, record: Sealed) -> Result<bool, StoreError> {
        self.was(Wish::Replace(*hash, record)).await
    }

    fn touch(&self, hash: &SessionHash, index: StoredIndex) -> Result<(), StoreError> {
        self.health()?;
        let wished = Wished { wish: Wish::Touch(*hash, index), answer: None };
        self.wishes.try_send(wished).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })
    }

    async fn forget(&self, hash: &SessionHash) -> Result<bool, StoreError> {
        self.was(Wish::Forget(*hash)).await
    }

    async fn find_by_tag(&self, tags: &[Tag]) -> Result<Vec<SessionHash>, StoreError> {
        self.hashes(Wish::FindByTag(tags.to_vec())).await
    }

    async fn scan(&self, limit: usize) -> Result<Vec<(SessionHash, Sealed)>, StoreError> {
        let read = |granted| if let Granted::Indexes(indexes) = granted { Some(indexes) } else { None };
        self.expect(Wish::Scan(limit), read).await
    }

    async fn count(&self) -> Result<u64, StoreError> {
        self.expect(Wish::Count, |granted| if let Granted::Count(count) = granted { Some(count) } else { None }).await
    }

    async fn mark_once(&self, mark: &Mark, until: Timestamp) -> Result<bool, StoreError> {
        self.was(Wish::MarkOnce(*mark, until)).await
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<Vec<SessionHash>, StoreError> {
        self.hashes(Wish::Sweep(now, limit)).await
    }

    async fn flush(&self) -> Result<(), StoreError> {
        self.done(Wish::Flush).await
    }

    /// Waits until everything wished before is done; the store itself is the other process's to close.
    async fn close(&self) -> Result<(), StoreError> {
        let flushed = self.flush().await;
        self.closed.store(true, Ordering::Release);
        flushed
    }

    fn health(&self) -> Result<(), StoreError> {
        let closed = self.closed.load(Ordering::Acquire) || self.wishes.is_closed();
        if closed { Err(StoreError::Closed) } else { Ok(()) }
    }
}

#[async_trait]
impl RecordStore for LentStore {
    async fn fetch(&self, shelf: Shelf, tag: &Tag) -> Result<Option<Sealed>, StoreError> {
        let read = |granted| if let Granted::Record(record) = granted { Some(record) } else { None };
        self.expect(Wish::Fetch(shelf, *tag), read).await
    }

    async fn change(&self, changes: Vec<RecordChange>) -> Result<(), StoreError> {
        self.done(Wish::Change(changes)).await
    }

    async fn change_if(&self, seen: Vec<RecordSeen>, changes: Vec<RecordChange>) -> Result<bool, StoreError> {
        self.was(Wish::ChangeIf(seen, changes)).await
    }

    async fn walk(&self, shelf: Shelf, after: Option<&Tag>, limit: usize) -> Result<Vec<(Tag, Sealed)>, StoreError> {
        let read = |granted| if let Granted::Records(records) = granted { Some(records) } else { None };
        self.expect(Wish::Walk(shelf, after.copied(), limit), read).await
    }
}

#[async_trait]
impl FormStore for LentStore {
    async fn keep_form(&self, tag: &Tag, form: StoredForm, room: Room, now: Timestamp) -> Result<bool, StoreError> {
        self.was(Wish::KeepForm(*tag, form, room, now)).await
    }

    async fn form_head(&self, tag: &Tag) -> Result<Option<StoredHead>, StoreError> {
        let read = |granted| if let Granted::FormHead(head) = granted { Some(head) } else { None };
        self.expect(Wish::FormHead(*tag), read).await
    }

    async fn take_form(&self, tag: &Tag) -> Result<Option<StoredForm>, StoreError> {
        let read = |granted| if let Granted::Form(form) = granted { Some(form) } else { None };
        self.expect(Wish::TakeForm(*tag), read).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::form_suite::form_suite;
    use super::super::memory::MemoryStore;
    use super::super::record_suite::record_suite;
    use super::super::suite::store_suite;
    use super::*;

    /// A store in another place, with every message written and read as between processes.
    fn lent() -> Arc<dyn SessionStore> {
        let (store, mut wished) = LentStore::new();
        let there = MemoryStore::default();
        tokio::spawn(async move {
            while let Some(Wished { wish, answer }) = wished.recv().await {
                let wish = rmp_serde::from_slice(&rmp_serde::to_vec_named(&wish).unwrap()).unwrap();
                let outcome = grant(&there, wish).await;
                let outcome = rmp_serde::from_slice(&rmp_serde::to_vec_named(&outcome).unwrap()).unwrap();
                if let Some(answer) = answer {
                    let _ = answer.send(outcome);
                }
            }
        });
        Arc::new(store)
    }

    form_suite!(|_folder| lent());
    record_suite!(|_folder| lent());
    store_suite!(|_folder| lent());

    #[tokio::test]
    async fn when_the_other_process_is_gone_it_is_closed() {
        let (store, wished) = LentStore::new();
        assert_eq!(store.health(), Ok(()));
        drop(wished);
        assert_eq!(store.health(), Err(StoreError::Closed));
        assert_eq!(store.count().await, Err(StoreError::Closed));
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_hangs_is_not_waited_for_without_end() {
        let (store, _wished) = LentStore::new();
        assert_eq!(store.count().await, Err(StoreError::Busy));
        assert_eq!(store.close().await, Err(StoreError::Busy));
        assert_eq!(store.health(), Err(StoreError::Closed));
    }

    #[tokio::test]
    async fn an_answer_that_never_comes_is_a_closed_store() {
        let (store, mut wished) = LentStore::new();
        tokio::spawn(async move { drop(wished.recv().await) });
        assert_eq!(store.count().await, Err(StoreError::Closed));
    }
}
