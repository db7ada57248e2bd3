//! Sessions in a file of this machine, by `redb`: every write is a transaction that a crash cannot tear.
//!
//! One thread writes. What waits for it is put into one transaction, synced to the disk once, and acknowledged
//! afterwards. Reads run on the blocking pool, beside the writer. After a fault of the disk the file is opened again, so
//! that a disk that was full and has room again needs no restart.
//!
//! A file that was closed in order is trusted when it is opened: to read all of it would take the longer the more sessions
//! there are. Damage is met when it is read or written. Then the file is suspect, and read whole; if it is damaged, it is
//! let go of, and all use of it fails with [`StoreError::Damaged`].

mod file;
mod forms;
mod lasting;
mod tables;
mod writer;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, mpsc};
use std::thread;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use redb::Database;
use tokio::sync::{Semaphore, oneshot};

use self::file::{Check, OpenFile};
use self::writer::{Answer, Op, Queued, Writer};
use super::{
    FormStore, Mark, RecordChange, RecordSeen, RecordStore, Room, Sealed, SessionStore, Shelf, StoreError, StoredForm,
    StoredHead, StoredIndex, StoredSession, Tag,
};
use crate::clock::Timestamp;
use crate::ids::SessionHash;

/// How many writes may wait.
const WAITING_WRITES: usize = 8192;
/// How many reads may run beside each other.
const READS: usize = 32;

/// Keeps sessions in one `redb` file.
#[derive(Debug)]
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Queued>,
    room: Arc<Semaphore>,
    reads: Arc<Semaphore>,
}

/// What the writer and the readers share.
#[derive(Debug)]
struct Shared {
    path: Arc<Path>,
    open: OpenFile,
    /// `None` when closed, or when the file could not be opened again.
    database: RwLock<Option<Database>>,
    /// The last write's error, until one works again.
    fault: ArcSwapOption<StoreError>,
    /// Reading or writing met damage or panicked: the writer has all of the file read before it is used again.
    suspect: AtomicBool,
}

impl Shared {
    /// Reads or writes. redb may panic over a file that something else has changed: that costs this one use, not the thread.
    fn guarded<T>(&self, using: impl FnOnce() -> Result<T, redb::Error>) -> Result<Result<T, redb::Error>, StoreError> {
        let used = catch_unwind(AssertUnwindSafe(using));
        if matches!(used, Err(_) | Ok(Err(redb::Error::Corrupted(_)))) {
            self.suspect.store(true, Ordering::Release);
        }
        used.map_err(|_| self.broken("reading or writing it failed in an unforeseen way"))
    }

    fn broken(&self, reason: &str) -> StoreError {
        StoreError::Broken { path: Arc::clone(&self.path), reason: reason.to_owned() }
    }
}

impl EmbeddedStore {
    /// Opens the file, or makes it. Its folder has to exist. Only its owner may read it. All of it is read only when it was
    /// not closed in order.
    ///
    /// # Errors
    /// When the file cannot be opened, is in use, is of another format, or is no session store. It is never changed or
    /// deleted then.
    pub fn open(path: PathBuf) -> Result<Self, StoreError> {
        let path: Arc<Path> = path.into();
        let shown = Arc::clone(&path);
        Self::start(path, OpenFile::new(move |check| file::open(&shown, check)))
    }

    fn start(path: Arc<Path>, open: OpenFile) -> Result<Self, StoreError> {
        let database = RwLock::new(Some(open.opened(&path, Check::None)?));
        let (fault, suspect) = (ArcSwapOption::empty(), AtomicBool::new(false));
        let shared = Arc::new(Shared { path: Arc::clone(&path), open, database, fault, suspect });
        let (queue, waiting) = mpsc::channel();
        let writer = Writer::new(Arc::clone(&shared), waiting);
        thread::Builder::new()
            .name("session-store".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| StoreError::NotOpened { path, reason: error.to_string() })?;
        let (room, reads) = (Arc::new(Semaphore::new(WAITING_WRITES)), Arc::new(Semaphore::new(READS)));
        Ok(Self { shared, queue, room, reads })
    }

    /// Gives the writer something to do and waits until it is lasting.
    async fn write(&self, op: Op) -> Result<Answer, StoreError> {
        let room = Arc::clone(&self.room).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let (done, answer) = oneshot::channel();
        self.queue.send(Queued { op, done: Some(done), _room: Some(room) }).map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Reads beside the async workers.
    async fn read<T, R>(&self, read: R) -> Result<T, StoreError>
    where
        T: Send + 'static,
        R: FnOnce(&Database) -> Result<T, redb::Error> + Send + 'static,
    {
        let turn = Arc::clone(&self.reads).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let shared = Arc::clone(&self.shared);
        let reading = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let database = shared.database.read().unwrap_or_else(PoisonError::into_inner);
            match &*database {
                // Within the lock: what a database did that was opened again since is nothing against the new one.
                Some(database) => shared.guarded(|| read(database))?.map_err(|error| file::fault(&shared.path, error)),
                None => Err(shared.fault.load_full().map_or(StoreError::Closed, |fault| (*fault).clone())),
            }
        });
        let result = reading.await.unwrap_or_else(|stopped| Err(self.shared.broken(&stopped.to_string())));
        let known = self.shared.fault.load().is_some(); // then the writer tries again by itself
        if matches!(result, Err(StoreError::Broken { .. } | StoreError::Full { .. } | StoreError::Damaged { .. }))
            && !known
        {
            // redb refuses everything after a fault, and damage makes the file suspect: the writer finds that out and opens
            // the file again.
            let _ = self.queue.send(Queued { op: Op::Probe, done: None, _room: None });
        }
        result
    }
}

#[async_trait]
impl SessionStore for EmbeddedStore {
    async fn load(&self, hash: &SessionHash) -> Result<Option<StoredSession>, StoreError> {
        let hash = *hash;
        self.read(move |database| tables::load(database, &hash)).await
    }

    async fn save(&self, hash: &SessionHash, session: StoredSession) -> Result<(), StoreError> {
        self.write(Op::Save(*hash, session)).await.map(drop)
    }

    async fn replace(&self, hash: &SessionHash, record: Sealed) -> Result<bool, StoreError> {
        self.write(Op::Replace(*hash, record)).await.map(|answer| matches!(answer, Answer::Was(true)))
    }

    fn touch(&self, hash: &SessionHash, index: StoredIndex) -> Result<(), StoreError> {
        let room = Arc::clone(&self.room).try_acquire_owned().map_err(|_| StoreError::Busy)?;
        let touch = Queued { op: Op::Touch(*hash, index), done: None, _room: Some(room) };
        self.queue.send(touch).map_err(|_| StoreError::Closed)
    }

    async fn forget(&self, hash: &SessionHash) -> Result<bool, StoreError> {
        self.write(Op::Forget(*hash)).await.map(|answer| matches!(answer, Answer::Was(true)))
    }

    async fn find_by_tag(&self, tags: &[Tag]) -> Result<Vec<SessionHash>, StoreError> {
        let tags = tags.to_vec();
        self.read(move |database| tables::find_by_tag(database, &tags)).await
    }

    async fn scan(&self, limit: usize) -> Result<Vec<(SessionHash, Sealed)>, StoreError> {
        self.read(move |database| tables::scan(database, limit)).await
    }

    async fn count(&self) -> Result<u64, StoreError> {
        self.read(tables::count).await
    }

    async fn mark_once(&self, mark: &Mark, until: Timestamp) -> Result<bool, StoreError> {
        self.write(Op::Mark(*mark, until)).await.map(|answer| matches!(answer, Answer::Was(false)))
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<Vec<SessionHash>, StoreError> {
        match self.write(Op::Sweep(now, limit)).await? {
            Answer::Swept(hashes) => Ok(hashes),
            Answer::Done | Answer::Was(_) | Answer::Form(_) => Ok(Vec::new()),
        }
    }

    async fn flush(&self) -> Result<(), StoreError> {
        self.write(Op::Flush).await.map(drop)
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.write(Op::Close).await.map(drop)
    }

    fn health(&self) -> Result<(), StoreError> {
        self.shared.fault.load_full().map_or(Ok(()), |fault| Err((*fault).clone()))
    }
}

#[async_trait]
impl RecordStore for EmbeddedStore {
    async fn fetch(&self, shelf: Shelf, tag: &Tag) -> Result<Option<Sealed>, StoreError> {
        let tag = *tag;
        self.read(move |database| lasting::fetch(database, shelf, &tag)).await
    }

    async fn change(&self, changes: Vec<RecordChange>) -> Result<(), StoreError> {
        self.write(Op::Change(changes)).await.map(drop)
    }

    async fn change_if(&self, seen: Vec<RecordSeen>, changes: Vec<RecordChange>) -> Result<bool, StoreError> {
        self.write(Op::ChangeIf(seen, changes)).await.map(|answer| matches!(answer, Answer::Was(true)))
    }

    async fn walk(&self, shelf: Shelf, after: Option<&Tag>, limit: usize) -> Result<Vec<(Tag, Sealed)>, StoreError> {
        let after = after.copied();
        self.read(move |database| lasting::walk(database, shelf, after.as_ref(), limit)).await
    }
}

#[async_trait]
impl FormStore for EmbeddedStore {
    async fn keep_form(&self, tag: &Tag, form: StoredForm, room: Room, now: Timestamp) -> Result<bool, StoreError> {
        let op = Op::KeepForm(*tag, Box::new(form), room, now);
        self.write(op).await.map(|answer| matches!(answer, Answer::Was(true)))
    }

    async fn form_head(&self, tag: &Tag) -> Result<Option<StoredHead>, StoreError> {
        let tag = *tag;
        self.read(move |database| forms::head(database, &tag)).await
    }

    async fn take_form(&self, tag: &Tag) -> Result<Option<StoredForm>, StoreError> {
        match self.write(Op::TakeForm(*tag)).await? {
            Answer::Form(form) => Ok(form),
            Answer::Done | Answer::Was(_) | Answer::Swept(_) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests;
