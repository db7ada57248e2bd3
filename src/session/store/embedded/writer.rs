//! The thread that writes: many wishes, one transaction, one sync.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use redb::Database;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::super::{Mark, RecordChange, Room, Sealed, StoreError, StoredForm, StoredIndex, StoredSession, Tag};
use super::tables::Tables;
use super::{Shared, file, forms, lasting, tables};
use crate::clock::{Stopwatch, Timestamp};
use crate::ids::SessionHash;

/// Most that one transaction takes up.
const BATCH: usize = 1024;
/// How long noted use may wait for company, and how often a store that failed is tried again.
const SOON: Duration = Duration::from_secs(1);
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
    /// Whether there was such a session, such a mark, or room.
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
    /// Who is to hear that the store is closed.
    closing: Vec<(Reply, Result<Answer, StoreError>)>,
}

/// Why nothing was written.
enum Failed {
    /// The file has to be opened again first.
    Stale,
    Fault(StoreError),
}

impl Writer {
    pub fn new(shared: Arc<Shared>, queue: Receiver<Queued>) -> Self {
        Self { shared, queue, touches: HashMap::new(), waiting: None, closing: Vec::new() }
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
        let mut outcome = self.attempt(&batch);
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
                    Failed::Stale => StoreError::Broken {
                        path: Arc::clone(&self.shared.path),
                        reason: "it was opened again, and failed again".to_owned(),
                    },
                };
                if self.shared.fault.swap(Some(Arc::new(error.clone()))).as_deref() != Some(&error) {
                    tracing::error!(%error, "the session store failed");
                }
                self.waiting = Some(Stopwatch::start());
                // Before the answers: who hears of the failure may read at once. The next write reports what is wrong.
                let _ = self.reopen();
                for queued in batch {
                    self.answer(queued, Err(error.clone()));
                }
            }
        }
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
        // redb may panic over a file that something else has changed: that costs this transaction, not the thread.
        match catch_unwind(AssertUnwindSafe(|| self.transact(database, batch))) {
            Ok(Ok(answers)) => Ok(answers),
            Ok(Err(redb::Error::PreviousIo | redb::Error::DatabaseClosed)) => Err(Failed::Stale),
            Ok(Err(error)) => Err(Failed::Fault(file::fault(&self.shared.path, error))),
            Err(_) => Err(Failed::Fault(StoreError::Broken {
                path: Arc::clone(&self.shared.path),
                reason: "writing it failed in an unforeseen way".to_owned(),
            })),
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

    /// redb refuses everything after one fault of the disk, until the file is opened again.
    fn reopen(&self) -> Result<(), StoreError> {
        let mut database = self.shared.database.write().unwrap_or_else(PoisonError::into_inner);
        drop(database.take()); // lets go of the file's lock
        *database = Some(self.shared.open.again(&self.shared.path)?);
        Ok(())
    }

    fn close(self) {
        let database = self.shared.database.write().unwrap_or_else(PoisonError::into_inner).take();
        let closed = database.map_or(Ok(()), Database::close);
        let closed = closed.map_err(|error| file::fault(&self.shared.path, error.into()));
        for (done, answer) in self.closing {
            let _ = done.send(answer.and_then(|answer| closed.clone().map(|()| answer)));
        }
    }
}
