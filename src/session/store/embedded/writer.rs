//! The thread that writes: many wishes, one transaction, one sync.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use redb::Database;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::super::{
    Mark, RecordChange, RecordSeen, Room, Sealed, StoreError, StoredForm, StoredIndex, StoredSession, Tag,
};
use super::file::Check;
use super::tables::Tables;
use super::{Shared, file, forms, lasting, tables};
use crate::clock::{Stopwatch, Timestamp};
use crate::ids::SessionHash;

/// Most that one transaction takes up.
const BATCH: usize = 1024;
/// How long noted use may wait for company, and how often a store that failed is tried again.
const SOON: Duration = Duration::from_secs(1);
/// How long a file that was read whole is not read whole again, at least.
const REST: Duration = Duration::from_secs(60);
/// The same, in times that reading it has taken.
const RESTS: u32 = 10;
/// Most noted uses that are held while the disk refuses them. The oldest knowledge is the cheapest to lose: the session's
/// next use notes it again.
const HELD_TOUCHES: usize = 100_000;

/// One thing to do.
#[derive(Debug)]
pub(super) enum Op {
    Save(SessionHash, StoredSession),
    Replace(SessionHash, Sealed),
    Touch(SessionHash, StoredIndex),
    Forget(SessionHash),
    Mark(Mark, Timestamp),
    Sweep(Timestamp, usize),
    /// Change records that outlive sessions.
    Change(Vec<RecordChange>),
    /// The same, where what was seen still stands.
    ChangeIf(Vec<RecordSeen>, Vec<RecordChange>),
    /// Keep a form, where there is room at that time.
    KeepForm(Tag, Box<StoredForm>, Room, Timestamp),
    TakeForm(Tag),
    /// Be sure that all of before is lasting.
    Flush,
    /// See whether the file still works.
    Probe,
    Close,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Answer {
    Done,
    /// Whether there was such a session, such a mark, or room, or whether what was seen still stood.
    Was(bool),
    Form(Option<StoredForm>),
    Swept(Vec<SessionHash>),
}

/// Where the answer goes.
type Reply = oneshot::Sender<Result<Answer, StoreError>>;

/// A thing to do, and who waits for it.
#[derive(Debug)]
pub(super) struct Queued {
    pub op: Op,
    pub done: Option<Reply>,
    /// Given back when the thing is done: bounds what may wait.
    pub _room: Option<OwnedSemaphorePermit>,
}

/// The thread's state.
pub(super) struct Writer {
    shared: Arc<Shared>,
    queue: Receiver<Queued>,
    /// Noted use that waits for company.
    touches: HashMap<SessionHash, StoredIndex>,
    /// How long it has waited, or how long ago the disk refused it.
    waiting: Option<Stopwatch>,
    /// The last time that all of the file was read, or that it was found damaged.
    looked: Option<Looked>,
    /// Who is to hear that the store is closed.
    closing: Vec<(Reply, Result<Answer, StoreError>)>,
}

/// What a look at all of the file came to.
struct Looked {
    since: Stopwatch,
    took: Duration,
    damage: Option<StoreError>,
}

impl Looked {
    /// Whether it is too early for the next look, which may take minutes and a disk's whole attention.
    fn is_fresh(&self) -> bool {
        self.since.elapsed() < self.took.saturating_mul(RESTS).max(REST)
    }
}

/// Why nothing was written.
enum Failed {
    /// The file has to be opened again first.
    Stale,
    Fault(StoreError),
}

impl Writer {
    pub fn new(shared: Arc<Shared>, queue: Receiver<Queued>) -> Self {
        Self { shared, queue, touches: HashMap::new(), waiting: None, looked: None, closing: Vec::new() }
    }

    /// Works until the store is closed or dropped.
    pub fn run(mut self) {
        loop {
            let mut batch = Vec::new();
            let quiet = match self.next() {
                Ok(queued) => {
                    self.take(queued, &mut batch);
                    false
                }
                Err(RecvTimeoutError::Timeout) => true,
                Err(RecvTimeoutError::Disconnected) => break self.commit(batch),
            };
            for queued in self.queue.try_iter().take(BATCH).collect::<Vec<_>>() {
                self.take(queued, &mut batch);
            }
            let closing = batch.iter().any(|queued| matches!(queued.op, Op::Close));
            if !batch.is_empty() || quiet || self.is_late() {
                self.commit(batch);
            }
            if closing {
                break;
            }
        }
        self.close();
    }

    fn next(&self) -> Result<Queued, RecvTimeoutError> {
        if self.touches.is_empty() && !self.is_failing() {
            self.queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            self.queue.recv_timeout(SOON)
        }
    }

    fn is_failing(&self) -> bool {
        self.shared.fault.load().is_some()
    }

    /// Whether noted use has waited long enough, or is enough for a transaction of its own.
    fn is_late(&self) -> bool {
        let waited = self.waiting.is_some_and(|since| since.elapsed() >= SOON);
        waited || (self.touches.len() >= BATCH && !self.is_failing())
    }

    /// Sorts what waits for company from what is wanted now.
    fn take(&mut self, queued: Queued, batch: &mut Vec<Queued>) {
        match queued.op {
            Op::Touch(hash, index) => {
                if self.touches.len() < HELD_TOUCHES || self.touches.contains_key(&hash) {
                    self.touches.insert(hash, index);
                }
                self.waiting.get_or_insert_with(Stopwatch::start);
            }
            _ => batch.push(queued),
        }
    }

    /// Writes the batch and all noted use in one transaction, and answers.
    fn commit(&mut self, batch: Vec<Queued>) {
        // Whoever stops the gateway is not kept waiting while all of the file is read.
        let closing = batch.iter().any(|queued| matches!(queued.op, Op::Close));
        let mut outcome = if self.is_suspect() && !closing { Err(Failed::Stale) } else { self.attempt(&batch) };
        if matches!(outcome, Err(Failed::Stale)) {
            outcome = self.reopen().map_err(Failed::Fault).and_then(|()| self.attempt(&batch));
        }
        match outcome {
            Ok(answers) => {
                if self.shared.fault.swap(None).is_some() {
                    tracing::info!(path = %self.shared.path.display(), "the session store works again");
                }
                self.touches.clear();
                self.waiting = None;
                for (queued, answer) in batch.into_iter().zip(answers) {
                    self.answer(queued, Ok(answer));
                }
            }
            Err(failed) => {
                let error = match failed {
                    Failed::Fault(error) => error,
                    Failed::Stale => self.shared.broken("it was opened again, and failed again"),
                };
                self.tell(&error);
                self.waiting = Some(Stopwatch::start());
                // Before the answers: who hears of the failure may read at once. The next write reports what else is wrong.
                if !(self.is_suspect() && closing)
                    && let Err(damage @ StoreError::Damaged { .. }) = self.reopen()
                {
                    self.tell(&damage);
                }
                for queued in batch {
                    self.answer(queued, Err(error.clone()));
                }
            }
        }
    }

    /// Has `error` told by whoever asks for the store's health, and by the log once.
    fn tell(&self, error: &StoreError) {
        if self.shared.fault.swap(Some(Arc::new(error.clone()))).as_deref() != Some(error) {
            tracing::error!(%error, "the session store failed");
        }
    }

    fn is_suspect(&self) -> bool {
        self.shared.suspect.load(Ordering::Acquire)
    }

    fn answer(&mut self, queued: Queued, answer: Result<Answer, StoreError>) {
        match (queued.op, queued.done) {
            (Op::Close, Some(done)) => self.closing.push((done, answer)),
            (_, Some(done)) => drop(done.send(answer)), // who gave up waiting has no use for it
            (_, None) => {}
        }
    }

    fn attempt(&self, batch: &[Queued]) -> Result<Vec<Answer>, Failed> {
        let database = self.shared.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().ok_or(Failed::Stale)?;
        match self.shared.guarded(|| self.transact(database, batch)).map_err(Failed::Fault)? {
            Ok(answers) => Ok(answers),
            Err(redb::Error::PreviousIo | redb::Error::DatabaseClosed) => Err(Failed::Stale),
            Err(error) => Err(Failed::Fault(file::fault(&self.shared.path, error))),
        }
    }

    fn transact(&self, database: &Database, batch: &[Queued]) -> Result<Vec<Answer>, redb::Error> {
        let writing = database.begin_write()?;
        let mut answers = Vec::with_capacity(batch.len());
        {
            let mut tables = Tables::open(&writing)?;
            for (hash, index) in &self.touches {
                tables.touch(hash, index)?;
            }
            for queued in batch {
                answers.push(match &queued.op {
                    Op::Save(hash, session) => tables.save(hash, session).map(|()| Answer::Done)?,
                    Op::Replace(hash, record) => Answer::Was(tables.replace(hash, record)?),
                    Op::Touch(hash, index) => tables.touch(hash, index).map(|()| Answer::Done)?,
                    Op::Forget(hash) => Answer::Was(tables.forget(hash)?),
                    Op::Mark(mark, until) => Answer::Was(tables.mark(mark, *until)?),
                    Op::Sweep(now, limit) => {
                        forms::sweep(&writing, *now)?;
                        Answer::Swept(tables.sweep(*now, *limit)?)
                    }
                    Op::Change(changes) => lasting::change(&writing, changes).map(|()| Answer::Done)?,
                    Op::ChangeIf(seen, changes) => Answer::Was(lasting::change_if(&writing, seen, changes)?),
                    Op::KeepForm(tag, form, room, now) => Answer::Was(forms::keep(&writing, tag, form, *room, *now)?),
                    Op::TakeForm(tag) => Answer::Form(forms::take(&writing, tag)?),
                    Op::Flush | Op::Probe | Op::Close => Answer::Done,
                });
            }
        }
        if self.is_failing() {
            tables::prove_writable(&writing)?;
        }
        writing.commit()?;
        Ok(answers)
    }

    /// redb refuses everything after one fault of the disk, until the file is opened again. A suspect file is read whole, and
    /// a damaged one stays closed.
    fn reopen(&mut self) -> Result<(), StoreError> {
        let fresh = self.looked.as_ref().filter(|looked| looked.is_fresh());
        if let Some(damage) = fresh.and_then(|looked| looked.damage.clone()) {
            return Err(damage);
        }
        let check = if self.is_suspect() && fresh.is_none() { Check::Whole } else { Check::None };
        if check == Check::Whole {
            self.tell(
                &self.shared.broken("reading or writing it failed in an unforeseen way, and all of it is read now"),
            );
        }
        let mut database = self.shared.database.write().unwrap_or_else(PoisonError::into_inner);
        let old = database.take();
        // Whoever wants to read while all of the file is read hears of the fault instead of waiting.
        let held = (check == Check::None).then_some(database);
        // Lets go of the file's lock. After a panic inside redb its own locks may be poisoned.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(old)));
        let watch = Stopwatch::start();
        let opened = self.shared.open.opened(&self.shared.path, check);
        let damage = opened.as_ref().err().filter(|error| matches!(error, StoreError::Damaged { .. })).cloned();
        if check == Check::Whole || damage.is_some() {
            self.looked = Some(Looked { since: Stopwatch::start(), took: watch.elapsed(), damage });
        }
        let opened = opened?;
        // Before anybody can use the new one, and say so of that.
        self.shared.suspect.store(false, Ordering::Release);
        let mut database = held.unwrap_or_else(|| self.shared.database.write().unwrap_or_else(PoisonError::into_inner));
        *database = Some(opened);
        Ok(())
    }

    fn close(self) {
        let database = self.shared.database.write().unwrap_or_else(PoisonError::into_inner).take();
        let closed = self.shared.guarded(|| Ok(database.map_or(Ok(()), Database::close)?));
        let closed = closed.and_then(|closed| closed.map_err(|error| file::fault(&self.shared.path, error)));
        for (done, answer) in self.closing {
            let _ = done.send(answer.and_then(|answer| closed.clone().map(|()| answer)));
        }
    }
}
