//! The gateway hands over to a new process of its own program, and ends what it has begun.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use pingora::apps::HttpServerApp;
use tokio::sync::watch;

use super::App;
use super::prepared::open_store;
use crate::clock::Stopwatch;
use crate::handover::{LastWords, NotUpgraded, Program, Successor, ToSuccessor, last_exchanges};
use crate::listener::Listening;
use crate::session::StoreError;
use crate::session::settings::StoreSettings;
use crate::session::store::SessionStore;
use crate::session::store::lent::LentStore;
use crate::session::store::moving::Moving;

/// How long what is under way at the store may take.
const TO_REST: Duration = Duration::from_secs(10);
/// How often the store is opened again, when the new process did not serve.
const TRIES: u32 = 20;
/// How long is waited in between.
const BETWEEN: Duration = Duration::from_millis(250);
/// How long the next process may take to hear the last of this one, when all connections have ended.
const TO_HEAR: Duration = Duration::from_secs(5);

/// Another process serves.
#[derive(Debug)]
pub struct HandedOver {
    number: u32,
    version: String,
    words: LastWords,
}

impl HandedOver {
    /// The number of the process that serves.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.version
    }
}

impl App {
    /// Starts `program`, and has it take the place of this process. When this returns without an error, the other one
    /// accepts connections, and [`App::drain_handed_over`] is all that is left to do. `stop` becomes true when this process
    /// is to end instead.
    ///
    /// # Errors
    /// Why not. This process serves as before, except after [`NotUpgraded::StoreLost`].
    pub async fn hand_over(&self, program: &Program, stop: watch::Receiver<bool>) -> Result<HandedOver, NotUpgraded> {
        // What the new process reads is not to be read again here meanwhile.
        let mut current = self.running.current.lock().await;
        let sockets = self.sockets().map_err(|source| NotUpgraded::NoSockets { source })?;
        let mut successor = Successor::start(program, sockets, stop)?;
        let version = match successor.is_prepared().await {
            Ok(version) => version,
            Err(refused) => {
                successor.end().await;
                return Err(refused);
            }
        };
        let (held, sign_ins) = self.running.in_force.now().sign_in.hand_over();
        let line = &successor.line;
        held.into_iter().for_each(|held| line.send(ToSuccessor::SignIn(held)));
        let news = self.sessions.news();
        self.sessions.note_use();
        let Ok(mut moving) = tokio::time::timeout(TO_REST, self.store.moves()).await else {
            successor.end().await;
            return Err(NotUpgraded::Store(StoreError::Busy));
        };
        let watch = Stopwatch::start();
        let Some(store) = moving.leaves() else {
            successor.end().await;
            return Err(NotUpgraded::Store(StoreError::Closed));
        };
        if let Err(error) = store.close().await {
            successor.end().await;
            self.take_back(moving, &current.config.session.store).await?;
            return Err(NotUpgraded::Store(error));
        }
        let closed = watch.elapsed();
        successor.line.send(ToSuccessor::Yours(self.sessions.carried_over()));
        if let Err(why) = successor.is_serving().await {
            successor.end().await;
            self.take_back(moving, &current.config.session.store).await?;
            return Err(NotUpgraded::TakenBack(Box::new(why)));
        }
        current.handed_over = true;
        let number = successor.number().unwrap_or_default();
        let (lent, wishes) = LentStore::new();
        moving.arrives(Arc::new(lent));
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            process = number,
            version,
            close_ms = millis(closed),
            store_ms = millis(watch.elapsed()),
            "another process has taken over"
        );
        let words = LastWords { line: successor.set_free(), wishes, news, sign_ins };
        Ok(HandedOver { number, version, words })
    }

    /// Opens the store again, which the other process has let go of.
    async fn take_back(&self, moving: Moving, settings: &StoreSettings) -> Result<(), NotUpgraded> {
        moving.arrives(open_left_store(settings).await.map_err(NotUpgraded::StoreLost)?);
        Ok(())
    }

    /// Accepts nothing more, answers what is under way, and tells the process that serves what it has to know of that.
    /// Whether all of it finished in time.
    pub async fn drain_handed_over(mut self, handed_over: HandedOver) -> bool {
        self.readiness.is_draining();
        self.background.end();
        let (finished, done) = watch::channel(false);
        let talking = tokio::spawn(last_exchanges(handed_over.words, self.sessions.clone(), done));
        // Whoever reads the configuration again at this moment may take long: nothing of the rest waits for that.
        let running = Arc::clone(&self.running);
        tokio::spawn(async move { running.current.lock().await.metadata.end() });
        let before = self.process_before_ends();
        let (https, plain, ..) = tokio::join!(
            self.https.drain_handed_over(),
            drain_handed_over(self.behind_tls_proxy),
            drain_handed_over(self.http),
            drain_handed_over(self.admin),
            before,
        );
        let sessions = self.sessions;
        let last = async move {
            let closed = sessions.close().await;
            finished.send_replace(true);
            let _ = talking.await;
            closed
        };
        // One that hangs is no reason to stay for ever.
        let heard = tokio::time::timeout(TO_HEAR, last).await.unwrap_or(Err(StoreError::Busy));
        if let Err(error) = heard {
            tracing::error!(%error, "not all that this process knew of sessions could be told to the next one");
        }
        https && plain
    }

    /// The listening sockets, each with the name of its listener.
    fn sockets(&self) -> std::io::Result<Vec<(String, OwnedFd)>> {
        let mut sockets = vec![("https".to_owned(), self.https.socket()?)];
        if let Some(listening) = &self.behind_tls_proxy {
            sockets.push(("behind_tls_proxy".to_owned(), listening.socket()?));
        }
        if let Some(listening) = &self.http {
            sockets.push(("http".to_owned(), listening.socket()?));
        }
        if let Some(listening) = &self.admin {
            sockets.push(("admin".to_owned(), listening.socket()?));
        }
        Ok(sockets)
    }
}

/// Opens the store that another process had when it died, or was ended: its lock may outlive other signs of it by a moment.
pub(super) async fn open_left_store(settings: &StoreSettings) -> Result<Arc<dyn SessionStore>, StoreError> {
    let mut tries = 0..TRIES;
    loop {
        match open_store(settings).await {
            Ok(store) => return Ok(store),
            Err(error) if tries.next().is_none() => return Err(error),
            Err(_) => tokio::time::sleep(BETWEEN).await,
        }
    }
}

async fn drain_handed_over<A: HttpServerApp + Send + Sync + 'static>(listening: Option<Listening<A>>) -> bool {
    match listening {
        Some(listening) => listening.drain_handed_over().await,
        None => true,
    }
}
