//! The composition root: picks the concrete back ends, puts the parts together, opens the doors, and closes them again.

mod background;
mod certificates;
mod changes;
mod customers;
mod prepared;
mod running;
mod serving;
mod succession;

use std::net::SocketAddr;
use std::sync::Arc;

use pingora::apps::HttpServerApp;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use self::customers::CustomerParts;
pub use self::prepared::Prepared;
use self::running::Running;
pub use self::running::{ConfigSource, UpgradeOrder};
pub use self::succession::HandedOver;
use crate::acme::KeeperUnusable;
use crate::admin::{Admin, Readiness};
use crate::clock::Clock;
use crate::config::Config;
use crate::customer::ledger::Ledger;
use crate::customer::trusted_jwt::TokenKeyRefused;
use crate::handover::NotUpgraded;
use crate::http_client::NoHttpClient;
use crate::listener::certificates::CertificateUnusable;
use crate::listener::redirect::RedirectToHttps;
use crate::listener::{Inherited, InvalidInherited, ListenFailed, Listening};
use crate::nodes::{Nodes, NodesParts, Resolver};
use crate::operator::{Operator, Reloaded, RunningGateway as _, Upgraded};
use crate::proxy::door::Door;
use crate::proxy::site::SiteUnusable;
use crate::random::Random;
use crate::session::store::SessionStore;
use crate::session::store::moving::MovingStore;
use crate::session::{Sessions, StoreError};
use crate::sign_in::UnusableProvider;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::MetricsFailed;

/// The gateway cannot start. Each message is one sentence for the operator.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each says itself what it is")]
pub enum StartFailed {
    #[error(transparent)]
    Listen(#[from] ListenFailed),
    #[error(transparent)]
    Inherited(#[from] InvalidInherited),
    #[error(transparent)]
    Certificate(#[from] CertificateUnusable),
    #[error(transparent)]
    Orders(#[from] KeeperUnusable),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Site(#[from] SiteUnusable),
    #[error("a key of trusted_jwt cannot serve: {0}")]
    TokenKey(#[from] TokenKeyRefused),
    #[error(transparent)]
    HttpClient(#[from] NoHttpClient),
    #[error(transparent)]
    SignIn(#[from] UnusableProvider),
    #[error(transparent)]
    Metrics(#[from] MetricsFailed),
    #[error("the process whose place this one is to take cannot be heard: {0}")]
    Before(#[from] std::io::Error),
}

/// A gateway that serves.
pub struct App {
    https: Listening<Door>,
    behind_tls_proxy: Option<Listening<Door>>,
    http: Option<Listening<RedirectToHttps>>,
    admin: Option<Listening<Admin>>,
    sessions: Sessions,
    store: Arc<MovingStore>,
    metrics: Metrics,
    readiness: Readiness,
    /// To the process before, while it ends what it has begun.
    lending: Option<JoinHandle<()>>,
    running: Arc<Running>,
    background: Background,
}

/// Work that goes on beside the requests.
struct Background {
    sweeping: JoinHandle<()>,
    /// At the certificates.
    looking: JoinHandle<()>,
    /// At the certificates that are ordered.
    ordering: Option<JoinHandle<()>>,
}

impl Background {
    fn end(&self) {
        self.sweeping.abort();
        self.looking.abort();
        if let Some(ordering) = &self.ordering {
            ordering.abort();
        }
    }
}

impl App {
    /// Opens the sockets, then starts to serve. With port 0 in `config`, any free ports are taken.
    ///
    /// # Errors
    /// The first thing that is in the way: a taken port, an unreadable certificate, a damaged session store.
    pub async fn start(config: Config, clock: Clock, random: Random) -> Result<Self, StartFailed> {
        Self::start_resolving(config, Resolver::System, clock, random).await
    }

    /// The same, where the names of upstreams are looked up by `resolver`.
    ///
    /// # Errors
    /// As [`App::start`].
    pub async fn start_resolving(
        config: Config,
        resolver: Resolver,
        clock: Clock,
        random: Random,
    ) -> Result<Self, StartFailed> {
        let prepared = Prepared::new(config, Inherited::default(), Outside { clock, random, resolver }).await?;
        let store = prepared.open_store().await?;
        prepared.serve(store).await.map(Self::alone)
    }

    /// The same at a store that is open already, whatever `config` says of stores: gateways may share it.
    ///
    /// # Errors
    /// As [`App::start`].
    pub async fn start_with_store(
        config: Config,
        store: Arc<dyn SessionStore>,
        clock: Clock,
        random: Random,
    ) -> Result<Self, StartFailed> {
        let prepared = Prepared::new(config, Inherited::default(), Outside::of_the_system(clock, random)).await?;
        prepared.serve(store).await.map(Self::alone)
    }

    /// There is no process before.
    fn alone(self) -> Self {
        tokio::spawn(self.sealing_anew());
        self
    }

    /// Has the first key seal what outlives sessions. Not while a process serves that does not know that key: it would find none of it, and
    /// take everybody for a newcomer.
    pub fn sealing_anew(&self) -> impl Future<Output = ()> + Send + 'static {
        let (records, people) = (self.sessions.records(), Arc::clone(&self.running.lasting.people));
        async move {
            customers::reseal_ledger(Ledger::new(records.clone())).await;
            customers::reseal_passwords(records, people).await;
        }
    }

    /// Has the configuration read from `source` whenever it is to be read again. The first call counts.
    pub fn reads_again_from(&self, source: Arc<dyn ConfigSource>) {
        let _ = self.running.source.set(source);
    }

    /// Reads the configuration again.
    pub fn reload(&self) -> impl Future<Output = Reloaded> + Send + 'static {
        let running = Arc::clone(&self.running);
        async move { running.reload().await }
    }

    /// Puts `config` in force, or nothing of it.
    pub async fn apply(&self, config: Config) -> Reloaded {
        self.running.apply(config).await
    }

    /// Has whoever receives from the other end start a new process whenever one is to take over. The first call counts.
    pub fn is_upgraded_by(&self, orders: mpsc::Sender<UpgradeOrder>) {
        let _ = self.running.upgrades.set(orders);
    }

    /// Notes that this process has taken the place of another one, which `lending` serves as long as it lives.
    pub fn took_over(&mut self, lending: Option<JoinHandle<()>>) {
        self.lending = lending;
        self.running.took_over();
    }

    /// Waits, within the drain limit, until the process before has no need of this one any more.
    fn process_before_ends(&mut self) -> impl Future<Output = ()> + Send + 'static {
        let (lending, limit) = (self.lending.take(), self.running.doors.https.now().limits.drain);
        async move {
            if let Some(lending) = lending {
                let _ = tokio::time::timeout(limit, lending).await;
            }
        }
    }

    /// Notes why no other process has taken over.
    pub fn not_upgraded(&self, why: NotUpgraded) -> Upgraded {
        self.running.not_upgraded(why)
    }

    /// How many configurations serve something: the one in force, and those whose last exchanges are not over.
    pub fn configurations_held(&self) -> usize {
        self.running.in_force.held()
    }

    /// Where the public side listens.
    pub fn https_address(&self) -> SocketAddr {
        self.https.address()
    }

    /// Where the public side is served without TLS.
    pub fn behind_tls_proxy_address(&self) -> Option<SocketAddr> {
        self.behind_tls_proxy.as_ref().map(Listening::address)
    }

    /// Where the redirects to https are served.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(Listening::address)
    }

    /// Where `/metrics` is.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Listening::address)
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Who is signed in.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Stops to accept, lets requests in flight finish, and writes what is not written yet. Whether all of them
    /// finished in time.
    pub async fn drain(mut self) -> bool {
        self.readiness.is_draining();
        let before = self.process_before_ends();
        let (https, plain, ..) =
            tokio::join!(self.https.drain(), drain(self.behind_tls_proxy), drain(self.http), before);
        let all_finished = https && plain;
        self.background.end();
        let mut current = self.running.current.lock().await;
        current.metadata.end();
        current.nodes.end();
        drop(current);
        if let Err(error) = self.sessions.close().await {
            tracing::error!(%error, "the session store could not be closed");
        }
        // Last, so that the drain can be watched.
        if let Some(admin) = self.admin {
            admin.drain().await;
        }
        all_finished
    }
}

/// What a gateway does not make itself.
#[derive(Clone, Debug)]
pub struct Outside {
    /// The time.
    pub clock: Clock,
    /// Random bits.
    pub random: Random,
    /// Where the names of upstreams are looked up.
    pub resolver: Resolver,
}

impl Outside {
    /// Names are looked up where the system looks them up.
    pub fn of_the_system(clock: Clock, random: Random) -> Self {
        Self { clock, random, resolver: Resolver::System }
    }
}

async fn drain<A: HttpServerApp + Send + Sync + 'static>(listening: Option<Listening<A>>) -> bool {
    match listening {
        Some(listening) => listening.drain().await,
        None => true,
    }
}

/// What operators can do to customers while no gateway runs, and the store that is to be closed afterwards.
///
/// # Errors
/// What is in the way; a gateway that runs has the session store.
pub fn operator(config: &Config, clock: Clock, random: Random) -> Result<(Operator, Sessions), StartFailed> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let metrics = Metrics::new()?;
    let sessions = Sessions::start(&config.session, clock.clone(), random.clone())?;
    let customers = CustomerParts::new(&sessions, &metrics, &clock, &random);
    let mut for_operators = Vec::new();
    for portal in &config.portals {
        let parts = NodesParts { portal: portal.host.as_str().into(), ..NodesParts::unwatched() };
        let nodes = Arc::new(Nodes::new(&portal.upstream, &portal.limits, parts, None));
        for_operators.extend(customers.of(portal, &nodes)?.for_operators);
    }
    Ok((Operator::new(for_operators, clock.clone()), sessions))
}
