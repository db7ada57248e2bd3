//! The composition root: picks the concrete back ends, puts the parts together, opens the doors, and closes them again.

mod background;
mod certificates;
mod changes;
mod customers;
mod running;
mod serving;

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use pingora::apps::HttpServerApp;
use pingora::proxy::HttpProxy;
use pingora::server::configuration::ServerConf;
use tokio::task::JoinHandle;

use self::customers::CustomerParts;
pub use self::running::ConfigSource;
use self::running::Running;
use self::serving::Lasting;
use crate::acme::{Hosts, KeeperUnusable, Waits};
use crate::admin::{Admin, Orders, Readiness};
use crate::clock::Clock;
use crate::config::Config;
use crate::customer::ledger::Ledger;
use crate::customer::trusted_jwt::TokenKeyRefused;
use crate::http_client::NoHttpClient;
use crate::limits::StoredCreations;
use crate::listener::certificates::{CertificateUnusable, Certificates};
use crate::listener::redirect::RedirectToHttps;
use crate::listener::{Bound, ListenFailed, Listening, TlsDoor};
use crate::nodes::{Nodes, NodesParts, Resolver};
use crate::operator::{Operator, Reload, Reloaded};
use crate::proxy::in_force::InForce;
use crate::proxy::site::SiteUnusable;
use crate::random::Random;
use crate::session::store::SessionStore;
use crate::session::{Sessions, StoreError};
use crate::sign_in::UnusableProvider;
use crate::sign_in::trial::Trials;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::MetricsFailed;

/// Idle connections kept to all upstreams together.
const KEPT_UPSTREAM_CONNECTIONS: usize = 512;

/// The gateway cannot start. Each message is one sentence for the operator.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each says itself what it is")]
pub enum StartFailed {
    #[error(transparent)]
    Listen(#[from] ListenFailed),
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
}

/// A gateway that serves.
pub struct App {
    https: Listening<HttpProxy<InForce>>,
    behind_tls_proxy: Option<Listening<HttpProxy<InForce>>>,
    http: Option<Listening<RedirectToHttps>>,
    admin: Option<Listening<Admin>>,
    sessions: Sessions,
    metrics: Metrics,
    readiness: Readiness,
    running: Arc<Running>,
    sweeping: JoinHandle<()>,
    /// At the certificates.
    looking: JoinHandle<()>,
    /// At the certificates that are ordered.
    ordering: Option<JoinHandle<()>>,
}

impl App {
    /// Opens the sockets, then starts to serve. With port 0 in `config`, any free ports are taken.
    ///
    /// # Errors
    /// The first thing that is in the way: a taken port, an unreadable certificate, a damaged session store.
    pub async fn start(config: Config, clock: Clock, random: Random) -> Result<Self, StartFailed> {
        Self::start_at(config, None, Outside { clock, random, resolver: Resolver::System }).await
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
        Self::start_at(config, None, Outside { clock, random, resolver }).await
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
        Self::start_at(config, Some(store), Outside { clock, random, resolver: Resolver::System }).await
    }

    async fn start_at(
        config: Config,
        store: Option<Arc<dyn SessionStore>>,
        outside: Outside,
    ) -> Result<Self, StartFailed> {
        let Outside { clock, random, resolver } = outside;
        // Both TLS stacks in one process need to agree on one provider; a second installation changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let metrics = Metrics::new()?;
        let certificates = Certificates::load(&config.tls.certificates)?;
        let tls = Arc::new(TlsDoor::new(&config.tls, &certificates)?);
        let listen = &config.listen;
        let https = Bound::bind(listen.https).await?;
        let behind_tls_proxy = bind(listen.behind_tls_proxy).await?;
        let http = bind(listen.http).await?;
        let admin = bind(listen.admin).await?;
        let sessions = match store {
            None => Sessions::start(&config.session, clock.clone(), random.clone())?,
            Some(store) => Sessions::with_store(&config.session, store, clock.clone(), random.clone())?,
        };
        let lasting = Lasting {
            hosts: Hosts::new(config.served_hosts()),
            sessions: sessions.clone(),
            metrics: metrics.clone(),
            people: Arc::default(),
            trials: Arc::new(Trials::new(clock.clone(), random.clone())),
            tunnels: Arc::default(),
            https_port: https.address().port(),
            clock,
            random,
            resolver,
        };
        let serving = lasting.serving(&config, None)?;
        for (host, site) in &serving.gateway.sites {
            tokio::spawn(background::check_service_user(host.clone(), Arc::clone(site)));
        }
        tokio::spawn(customers::reseal_ledger(Ledger::new(sessions.records())));
        tokio::spawn(customers::reseal_passwords(sessions.records(), Arc::clone(&lasting.people)));
        let (waits, ordering) = match config.tls.acme.clone() {
            Some(acme) => {
                let (records, hosts) = (sessions.records(), lasting.hosts.clone());
                let source = (lasting.clock.clone(), lasting.random.clone());
                let kept = certificates::keep_ordered(acme, hosts, &certificates, records, &metrics, source).await?;
                (kept.0, Some(kept.1))
            }
            None => (Waits::default(), None),
        };
        let answers = certificates.answers().clone();
        let creations = StoredCreations::new(sessions.records());
        let sweep = background::sweep(sessions.clone(), creations, metrics.clone(), lasting.clock.clone());
        let sweeping = tokio::spawn(sweep);
        let running = Arc::new(Running::new(lasting, config, Arc::clone(&certificates), tls, serving));
        let looking = certificates::keep_fresh(certificates, running.doors.https.clone(), metrics.clone());
        let looking = tokio::spawn(looking);
        let readiness = Readiness::new(sessions.clone(), waits);
        let Running { doors, in_force, origins, admin_side, .. } = &*running;
        let (keys, reload) = (running.operator_keys().await, Arc::downgrade(&running) as Weak<dyn Reload>);
        let orders = Orders::new(keys, reload, running.lasting.clock.clone());
        let admin_side = Admin::new(metrics.clone(), readiness.clone(), Arc::clone(admin_side), orders);
        let gateway = Arc::new(http_proxy(in_force.clone(), in_force.now().limits.idle_time));
        let redirects = Arc::new(RedirectToHttps::new(Arc::clone(origins), answers));
        let app = Self {
            https: https.serve(Arc::clone(&gateway), doors.https.clone()),
            behind_tls_proxy: behind_tls_proxy.map(|bound| bound.serve(gateway, doors.behind_tls_proxy.clone())),
            http: http.map(|bound| bound.serve(redirects, doors.http.clone())),
            admin: admin.map(|bound| bound.serve(Arc::new(admin_side), doors.admin.clone())),
            running,
            sessions,
            metrics,
            readiness,
            sweeping,
            looking,
            ordering,
        };
        Ok(app)
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
    pub async fn drain(self) -> bool {
        self.readiness.is_draining();
        let (https, plain, _) = tokio::join!(self.https.drain(), drain(self.behind_tls_proxy), drain(self.http));
        let all_finished = https && plain;
        self.sweeping.abort();
        self.looking.abort();
        if let Some(ordering) = &self.ordering {
            ordering.abort();
        }
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

/// What comes from outside.
struct Outside {
    clock: Clock,
    random: Random,
    resolver: Resolver,
}

async fn bind(address: Option<SocketAddr>) -> Result<Option<Bound>, ListenFailed> {
    match address {
        Some(address) => Bound::bind(address).await.map(Some),
        None => Ok(None),
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

fn http_proxy(in_force: InForce, idle_time: Duration) -> HttpProxy<InForce> {
    let conf = ServerConf { upstream_keepalive_pool_size: KEPT_UPSTREAM_CONNECTIONS, ..ServerConf::default() };
    let mut proxy = HttpProxy::new(in_force, Arc::new(conf));
    proxy.handle_init_modules();
    let mut options = pingora::apps::HttpServerOptions::default();
    options.h2_idle_timeout = Some(idle_time);
    proxy.server_options = Some(options);
    proxy
}
