//! The composition root: picks the concrete back ends, puts the parts together, opens the doors, and closes them again.

mod certificates;
mod customers;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora::apps::HttpServerApp;
use pingora::proxy::HttpProxy;
use pingora::server::configuration::ServerConf;
use tokio::task::JoinHandle;

use self::customers::CustomerParts;
use crate::acme::{Hosts, KeeperUnusable, Waits};
use crate::admin::test_sign_in::{TestSignIns, TestedPortal};
use crate::admin::{Admin, Orders, Readiness};
use crate::clock::Clock;
use crate::config::Config;
use crate::customer::ledger::Ledger;
use crate::customer::trusted_jwt::TokenKeyRefused;
use crate::http_client::{HttpClient, HttpClientSettings, NoHttpClient};
use crate::ids::ProviderName;
use crate::limits::{CreationLog, StoredCreations};
use crate::listener::certificates::{CertificateUnusable, Certificates, acceptor};
use crate::listener::redirect::RedirectToHttps;
use crate::listener::{Bound, ListenFailed, Listening, Peers};
use crate::operator::{Operator, OperatorKeys};
use crate::portal::HostName;
use crate::portal::settings::PortalSettings;
use crate::proxy::Gateway;
use crate::proxy::site::{Site, SiteUnusable};
use crate::proxy::tunnel::Tunnels;
use crate::random::Random;
use crate::session::store::SessionStore;
use crate::session::{Sessions, StoreError};
use crate::sign_in::saml::{OwnMetadata, SignInPortal};
use crate::sign_in::trial::Trials;
use crate::sign_in::{SignIn, UnusableProvider};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::MetricsFailed;

/// How often expired sessions are swept out of the store.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// In how many of those sweeps the counts of requests are looked at: all of them are read, and each is over after a day.
const SWEEPS_TO_COUNTS: u64 = 60;

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
    https: Listening<HttpProxy<Gateway>>,
    behind_tls_proxy: Option<Listening<HttpProxy<Gateway>>>,
    http: Option<Listening<RedirectToHttps>>,
    admin: Option<Listening<Admin>>,
    sessions: Sessions,
    metrics: Metrics,
    readiness: Readiness,
    sweeping: JoinHandle<()>,
    /// One for certificate files, one for certificates that are ordered, and one for each provider whose metadata is kept fresh.
    refreshing: Vec<JoinHandle<()>>,
}

impl App {
    /// Opens the sockets, then starts to serve. With port 0 in `config`, any free ports are taken.
    ///
    /// # Errors
    /// The first thing that is in the way: a taken port, an unreadable certificate, a damaged session store.
    pub async fn start(config: Config, clock: Clock, random: Random) -> Result<Self, StartFailed> {
        Self::start_at(config, None, clock, random).await
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
        Self::start_at(config, Some(store), clock, random).await
    }

    async fn start_at(
        config: Config,
        store: Option<Arc<dyn SessionStore>>,
        clock: Clock,
        random: Random,
    ) -> Result<Self, StartFailed> {
        // Both TLS stacks in one process need to agree on one provider; a second installation changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let metrics = Metrics::new()?;
        let certificates = Certificates::load(&config.tls.certificates)?;
        let acceptor = acceptor(&config.tls, &certificates)?;
        let listen = config.listen.clone();
        let proxies = if listen.proxy_protocol { listen.trusted_proxies.clone() } else { Vec::new() };
        let https = Bound::bind(listen.https).await?.behind(proxies.clone());
        let behind_tls_proxy = bind(listen.behind_tls_proxy).await?.map(|bound| bound.behind(proxies.clone()));
        let http = bind(listen.http).await?.map(|bound| bound.behind(proxies));
        let admin = bind(listen.admin).await?;
        let public_port = listen.public_port.unwrap_or(https.address().port());
        let sessions = match store {
            None => Sessions::start(&config.session, clock.clone(), random.clone())?,
            Some(store) => Sessions::with_store(&config.session, store, clock.clone(), random.clone())?,
        };
        let hosts = Hosts::new(config.served_hosts());
        let portals = config.sign_in_portals(public_port);
        let own_metadata = OwnMetadata::new(&config.providers, portals.clone(), random.clone());
        let trials = Arc::new(Trials::new(clock.clone(), random.clone()));
        let creations = StoredCreations::new(sessions.records());
        let customers = CustomerParts::new(&sessions, &metrics, &clock, &random);
        let (sites, operator) = sites(config.portals, public_port, &customers)?;
        let origins = sites.iter().map(|(host, site)| (host.clone(), site.settings.public_origin.clone())).collect();
        let providers = HttpClient::new(HttpClientSettings::default())?;
        let sign_in = Arc::new(SignIn::new(
            config.providers,
            Arc::new(sessions.clone()),
            providers,
            clock.clone(),
            random.clone(),
        )?);
        for (host, site) in &sites {
            tokio::spawn(check_service_user(host.clone(), Arc::clone(site)));
        }
        tokio::spawn(customers::reseal_ledger(Ledger::new(sessions.records())));
        tokio::spawn(customers::reseal_passwords(sessions.records(), customers.people()));
        let (waits, ordering) = match config.tls.acme {
            Some(acme) => {
                let (records, source) = (sessions.records(), (clock.clone(), random.clone()));
                let kept = certificates::keep_ordered(acme, hosts, &certificates, records, &metrics, source).await?;
                (kept.0, Some(kept.1))
            }
            None => (Waits::default(), None),
        };
        let readiness = Readiness::new(sessions.clone(), waits);
        let sweeping = tokio::spawn(sweep(sessions.clone(), creations, metrics.clone(), clock.clone()));
        let mut refreshing = keep_metadata_fresh(&sign_in, &metrics);
        refreshing.extend(ordering);
        let answers = certificates.answers().clone();
        refreshing.push(tokio::spawn(certificates::keep_fresh(certificates, metrics.clone())));
        let admin_pages = TestSignIns::new(Arc::clone(&trials), tested_portals(portals, &sign_in));
        let orders = Orders::new(operator, OperatorKeys::new(&config.session.keys), clock.clone());
        let gateway = Gateway {
            sites,
            sign_in,
            own_metadata,
            trials,
            sessions: sessions.clone(),
            tunnels: Tunnels::default(),
            metrics: metrics.clone(),
            trusted_proxies: listen.trusted_proxies.clone(),
            limits: listen.limits,
            hsts: config.tls.hsts.header_value(),
            clock,
            random,
        };
        let admin_side = Arc::new(Admin::new(metrics.clone(), readiness.clone(), admin_pages, orders));
        let limits = listen.limits;
        let gateway = Arc::new(http_proxy(gateway));
        let load_balancers = Peers::Of(listen.trusted_proxies);
        let app = Self {
            https: https.serve(Arc::clone(&gateway), Some(acceptor), limits),
            behind_tls_proxy: behind_tls_proxy.map(|bound| bound.serve_peers(load_balancers, gateway, None, limits)),
            http: http.map(|bound| bound.serve(Arc::new(RedirectToHttps::new(origins, answers)), None, limits)),
            admin: admin.map(|bound| bound.serve(admin_side, None, limits)),
            sessions,
            metrics,
            readiness,
            sweeping,
            refreshing,
        };
        Ok(app)
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
        self.refreshing.iter().for_each(JoinHandle::abort);
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

/// The portals, ready to serve, and what operators can do to their customers.
fn sites(
    portals: Vec<PortalSettings>,
    public_port: u16,
    customers: &CustomerParts<'_>,
) -> Result<(HashMap<HostName, Arc<Site>>, Operator), StartFailed> {
    let (mut sites, mut for_operators) = (HashMap::new(), Vec::new());
    let log: Arc<dyn CreationLog> = Arc::new(StoredCreations::new(customers.sessions.records()));
    for settings in portals {
        let settings = settings.with_public_port(public_port);
        let of_portal = customers.of(&settings)?;
        for_operators.extend(of_portal.for_operators);
        let host = settings.host.clone();
        let (clock, provider, walks) = (customers.clock.clone(), of_portal.identity_provider, of_portal.walks);
        let site = Site::new(settings, of_portal.sessions, provider, walks, Arc::clone(&log), clock)?;
        sites.insert(host, Arc::new(site));
    }
    Ok((sites, Operator::new(for_operators, customers.clock.clone())))
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
        for_operators.extend(customers.of(portal)?.for_operators);
    }
    Ok((Operator::new(for_operators, clock.clone()), sessions))
}

/// The portals, with what people read of their providers.
fn tested_portals(portals: Vec<SignInPortal>, sign_in: &SignIn) -> Vec<TestedPortal> {
    let label = |name: &ProviderName| {
        let provider = sign_in.providers().iter().find(|provider| provider.name() == name)?;
        Some((name.clone(), provider.label().to_owned()))
    };
    let of = |SignInPortal { host, origin, providers }: SignInPortal| TestedPortal {
        host,
        origin,
        providers: providers.iter().filter_map(label).collect(),
    };
    portals.into_iter().map(of).collect()
}

/// The metadata of SAML providers is looked at again in the background, and counted.
fn keep_metadata_fresh(sign_in: &SignIn, metrics: &Metrics) -> Vec<JoinHandle<()>> {
    let saml = sign_in.providers().iter().filter_map(|provider| Some((provider.name(), provider.service_provider()?)));
    saml.map(|(name, ours)| {
        ours.metadata().watch(metrics.watch_metadata(name));
        tokio::spawn(Arc::clone(ours.metadata()).keep_fresh())
    })
    .collect()
}

fn http_proxy(gateway: Gateway) -> HttpProxy<Gateway> {
    let conf = ServerConf { upstream_keepalive_pool_size: KEPT_UPSTREAM_CONNECTIONS, ..ServerConf::default() };
    let idle_time = gateway.limits.idle_time;
    let mut proxy = HttpProxy::new(gateway, Arc::new(conf));
    proxy.handle_init_modules();
    let mut options = pingora::apps::HttpServerOptions::default();
    options.h2_idle_timeout = Some(idle_time);
    proxy.server_options = Some(options);
    proxy
}

/// Sweeps out what has expired, and counts what is left.
async fn sweep(sessions: Sessions, creations: StoredCreations, metrics: Metrics, clock: Clock) {
    let mut every = tokio::time::interval(SWEEP_EVERY);
    for round in 0_u64.. {
        every.tick().await;
        let swept = sessions.sweep(clock.now()).await;
        metrics.session_store_is_up(swept.is_ok());
        match swept {
            Ok(expired) => {
                metrics.sessions_changed("expired", u64::try_from(expired).unwrap_or(u64::MAX));
                if let Ok(stored) = sessions.count().await {
                    metrics.sessions_stored(stored);
                }
            }
            Err(error) => tracing::error!(%error, "expired sessions could not be swept"),
        }
        if round.is_multiple_of(SWEEPS_TO_COUNTS)
            && let Err(error) = creations.sweep(clock.now()).await
        {
            tracing::error!(%error, "the counts of requests could not be swept");
        }
    }
}

/// Says early what the first visitor would otherwise find out: that the service user cannot do its work. The gateway
/// starts all the same, since JSM may only be slower to start.
async fn check_service_user(host: HostName, site: Arc<Site>) {
    match site.customers.check().await {
        Ok(Some(user)) => tracing::info!(%host, user, "the service user can do its work at the upstream"),
        Ok(None) => {}
        Err(unfit) => tracing::error!(%host, reason = unfit.reason(), %unfit, "the service user cannot do its work"),
    }
}
