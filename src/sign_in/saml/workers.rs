//! Where responses are verified: beside the async workers, as many at once as there are cores to spare.

use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::clock;

/// How long a response waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// A bounded number of threads. Clones share them.
#[derive(Clone, Debug)]
pub(in crate::sign_in) struct Workers(Arc<Semaphore>);

/// Why something was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotDone {
    /// It waited too long for its turn.
    Busy,
    /// It broke.
    Broken,
}

impl Workers {
    /// For half of the cores, and at least one: the other half serves requests.
    pub(in crate::sign_in) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self(Arc::new(Semaphore::new(cores.div_ceil(2))))
    }

    /// Does `work` on a thread of its own when it is its turn.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, NotDone> {
        let turn = tokio::time::timeout_at(clock::deadline(PATIENCE), Arc::clone(&self.0).acquire_owned()).await;
        let turn = turn.map_err(|_| NotDone::Busy)?.map_err(|_| NotDone::Broken)?;
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await.map_err(|_| NotDone::Broken)
    }
}
