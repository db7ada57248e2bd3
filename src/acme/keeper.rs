//! Keeps a certificate for every host that has none of its own: looks each second, orders where it is this gateway's turn,
//! and hands on what any gateway has ordered.

mod attempt;
mod known;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use self::attempt::{Attempt, Outcome};
use self::known::Known;
use super::account::Accounts;
use super::answers::Answers;
use super::directory::Directory;
use super::issued::Issued;
use super::lease::Desk;
use super::problem::OrderFailed;
use super::records::{Board, Names};
use super::settings::AcmeSettings;
use crate::clock::{Clock, Timestamp};
use crate::http_client::NoHttpClient;
use crate::portal::HostName;
use crate::random::{NoRandomness, Random};
use crate::session::Records;

/// How often the board is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How many hosts one gateway orders for at once.
const AT_ONCE: usize = 4;

/// Who serves the certificates.
pub trait Served: Send + Sync {
    /// Whether a certificate file covers the host, so that none is ordered.
    fn covers(&self, host: &HostName) -> bool;

    /// These certificates are served from now on, each for its host. Whoever asks for one of `hosts` that has none yet is refused.
    fn serve(&self, hosts: &[HostName], issued: &[Issued]);
}

/// The hosts that need a certificate. Clones share them; they may change while the keeper runs.
#[derive(Clone, Debug)]
pub struct Hosts(Arc<ArcSwap<Vec<HostName>>>);

impl Hosts {
    /// These hosts.
    pub fn new(hosts: Vec<HostName>) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(hosts)))
    }

    /// These hosts from now on.
    pub fn set(&self, hosts: Vec<HostName>) {
        self.0.store(Arc::new(hosts));
    }
}

/// What is waited for, one sentence for each host. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Waits(Arc<ArcSwap<Vec<String>>>);

impl Waits {
    /// The sentences; none when every host has its certificate and the last order went well.
    pub fn sentences(&self) -> Arc<Vec<String>> {
        self.0.load_full()
    }
}

/// Something that an operator may want to count.
#[derive(Clone, Debug)]
pub enum AcmeEvent<'a> {
    /// A certificate was issued to this gateway.
    Issued,
    /// An order of this gateway has failed.
    Failed(&'a OrderFailed),
    /// How many certificates are missing.
    Missing(usize),
    /// Other certificates are served from now on.
    Served,
}

/// Who counts.
pub trait AcmeObserver: Send + Sync {
    /// Called as it happens; must not wait.
    fn note(&self, event: &AcmeEvent<'_>);
}

/// Keeps the certificates.
pub struct Keeper {
    shared: Arc<Shared>,
    hosts: Hosts,
    answers: Answers,
    served: Arc<dyn Served>,
    waits: Waits,
    known: Known,
    generation: Option<u64>,
    /// What the store said last, so that it is told once.
    store_failed: Option<String>,
}

/// What orders need, too.
struct Shared {
    settings: AcmeSettings,
    desk: Desk,
    directory: Directory,
    observer: Arc<dyn AcmeObserver>,
    random: Random,
    /// Orders at once.
    turns: Arc<Semaphore>,
    /// Who makes or reads the account: one at a time, so that the first orders make one account.
    account: tokio::sync::Mutex<()>,
}

impl Shared {
    fn accounts(&self) -> Accounts<'_> {
        let Self { settings, desk, random, .. } = self;
        Accounts { settings, names: &desk.names, records: &desk.records, random }
    }
}

impl Keeper {
    /// Makes ready; nothing is read or called yet.
    ///
    /// # Errors
    /// When the authority could never be called, or there is no randomness for a name.
    pub fn new(
        settings: AcmeSettings,
        records: Records,
        hosts: Hosts,
        answers: Answers,
        served: Arc<dyn Served>,
        observer: Arc<dyn AcmeObserver>,
        (clock, random): (Clock, Random),
    ) -> Result<Self, KeeperUnusable> {
        let names = Names::new(&settings);
        let directory = Directory::new(&settings, clock.clone())?;
        let desk = Desk { records, names, me: random.token()?, clock };
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let account = tokio::sync::Mutex::new(());
        let shared = Arc::new(Shared { settings, desk, directory, observer, random, turns, account });
        let (waits, known) = (Waits::default(), Known::default());
        Ok(Self { shared, hosts, answers, served, waits, known, generation: None, store_failed: None })
    }

    /// What is waited for.
    pub fn waits(&self) -> Waits {
        self.waits.clone()
    }

    /// Serves what was issued before, if the store can be read.
    pub async fn restore(&mut self) {
        if let Err(error) = self.shared.accounts().reseal().await {
            tracing::warn!(%error, "the account at the certificate authority could not be read");
        }
        self.look().await;
    }

    /// Goes on for ever. To be spawned once.
    pub async fn run(mut self) {
        let mut orders: JoinSet<(HostName, Outcome)> = JoinSet::new();
        let mut working: HashSet<HostName> = HashSet::new();
        let mut every = tokio::time::interval(LOOK);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = every.tick() => {}
                Some(ended) = orders.join_next() => {
                    // A panic loses which host it was: all are looked at again.
                    let Ok((host, outcome)) = ended else { working.clear(); continue };
                    working.remove(&host);
                    self.known.note(&host, &outcome);
                }
            }
            self.look().await;
            for host in self.known.due(self.now()) {
                if working.insert(host.clone()) {
                    let attempt = Attempt::new(Arc::clone(&self.shared), host.clone());
                    orders.spawn(async move {
                        let outcome = attempt.make().await;
                        (host, outcome)
                    });
                }
            }
        }
    }

    /// Looks at the board, and at the certificates where there are new ones.
    async fn look(&mut self) {
        let wanted = self.wanted();
        let hosts_changed = self.known.want(&wanted, &self.shared.settings.key_types);
        let looked = self.look_at_store(hosts_changed).await;
        match looked {
            Ok(true) => {
                self.served.serve(&wanted, &self.known.issued());
                self.shared.observer.note(&AcmeEvent::Served);
            }
            Ok(false) => self.store_failed = None,
            Err(what) => {
                if hosts_changed {
                    self.served.serve(&wanted, &self.known.issued());
                }
                if self.store_failed.as_ref() != Some(&what) {
                    tracing::error!(error = %what, "the certificates in the session store cannot be read: those at hand are served on");
                    self.store_failed = Some(what);
                }
            }
        }
        let sentences = self.known.sentences(self.now());
        self.shared.observer.note(&AcmeEvent::Missing(self.known.missing(self.now())));
        if *self.waits.0.load_full() != sentences {
            self.waits.0.store(Arc::new(sentences));
        }
    }

    /// The hosts that no file covers, and that can have a certificate by their name.
    fn wanted(&self) -> Vec<HostName> {
        let hosts = self.hosts.0.load_full();
        hosts.iter().filter(|host| host.is_name() && !self.served.covers(host)).cloned().collect()
    }

    /// Whether there is something new to serve.
    async fn look_at_store(&mut self, hosts_changed: bool) -> Result<bool, String> {
        let desk = &self.shared.desk;
        let board = desk.records.load::<Board>(&desk.names.board()).await.map_err(|error| error.to_string())?;
        let Board { generation, answers } = board.unwrap_or_default();
        self.answers.replace(&answers);
        if self.generation == Some(generation) && !hosts_changed {
            return Ok(false);
        }
        self.known.read(desk).await.map_err(|error| error.to_string())?;
        self.generation = Some(generation);
        Ok(true)
    }

    fn now(&self) -> Timestamp {
        self.shared.desk.clock.now()
    }
}

/// Certificates cannot be ordered at all.
#[derive(Debug, thiserror::Error)]
pub enum KeeperUnusable {
    /// No client for calls out.
    #[error(transparent)]
    HttpClient(#[from] NoHttpClient),
    /// No name could be made up.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("directory", &self.shared.settings.directory.as_str()).finish_non_exhaustive()
    }
}
