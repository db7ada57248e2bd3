//! From a configuration to a gateway that serves, in two steps: first everything that needs no session store, and that can be
//! undone by doing nothing; then the rest.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use super::background;
use super::certificates;
use super::running::Running;
use super::serving::{Lasting, Serving};
use super::succession::open_left_store;
use super::{App, Background, Outside, StartFailed};
use crate::acme::{Hosts, Waits};
use crate::admin::{Admin, Orders, Readiness};
use crate::config::Config;
use crate::limits::StoredCreations;
use crate::listener::certificates::Certificates;
use crate::listener::redirect::RedirectToHttps;
use crate::listener::{Bound, Inherited, ListenFailed, TlsDoor};
use crate::operator::RunningGateway;
use crate::proxy::connections::Connections;
use crate::proxy::door::{Door, Ending};
use crate::session::settings::StoreSettings;
use crate::session::store::SessionStore;
use crate::session::store::embedded::EmbeddedStore;
use crate::session::store::moving::{Moving, MovingStore};
use crate::session::{Sessions, StoreError};
use crate::sign_in::trial::Trials;
use crate::sign_in::under_way::HeldSignIn;
use crate::telemetry::Metrics;

/// A gateway that would serve, if it had its session store. Its sockets are open; connections wait there.
pub struct Prepared {
    config: Config,
    lasting: Lasting,
    serving: Serving,
    certificates: Arc<Certificates>,
    tls: Arc<TlsDoor>,
    store: Arc<MovingStore>,
    arriving: Moving,
    https: Bound,
    behind_tls_proxy: Option<Bound>,
    http: Option<Bound>,
    admin: Option<Bound>,
}

impl Prepared {
    /// Reads what the configuration names, and opens the sockets, or takes them from what was `inherited`. With port 0 in
    /// `config`, any free ports are taken.
    ///
    /// # Errors
    /// The first thing that is in the way: a taken port, an unreadable certificate.
    pub async fn new(config: Config, mut inherited: Inherited, outside: Outside) -> Result<Self, StartFailed> {
        let Outside { clock, random, resolver } = outside;
        // Both TLS stacks in one process need to agree on one provider; a second installation changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let metrics = Metrics::new()?;
        let certificates = Certificates::load(&config.tls.certificates)?;
        let tls = Arc::new(TlsDoor::new(&config.tls, &certificates)?);
        let listen = &config.listen;
        let https = Bound::open("https", listen.https, &mut inherited).await?;
        let behind_tls_proxy = open("behind_tls_proxy", listen.behind_tls_proxy, &mut inherited).await?;
        let http = open("http", listen.http, &mut inherited).await?;
        let admin = open("admin", listen.admin, &mut inherited).await?;
        let configured = [Some(listen.https), listen.behind_tls_proxy, listen.http, listen.admin];
        inherited.all_taken(&configured.into_iter().flatten().collect::<Vec<_>>())?;
        let (store, arriving) = MovingStore::awaited().await;
        let store = Arc::new(store);
        let used = Arc::clone(&store) as Arc<dyn SessionStore>;
        let sessions = Sessions::with_store(&config.session, used, clock.clone(), random.clone())?;
        let lasting = Lasting {
            hosts: Hosts::new(config.served_hosts()),
            sessions,
            metrics,
            people: Arc::default(),
            trials: Arc::new(Trials::new(clock.clone(), random.clone())),
            connections: Arc::default(),
            ending: Ending::default(),
            https_port: https.address().port(),
            clock,
            random,
            resolver,
        };
        let serving = lasting.serving(&config, None)?;
        Ok(Self { config, lasting, serving, certificates, tls, store, arriving, https, behind_tls_proxy, http, admin })
    }

    /// Opens the configured store.
    ///
    /// # Errors
    /// When it cannot be opened: in use, of another format, damaged.
    pub async fn open_store(&self) -> Result<Arc<dyn SessionStore>, StoreError> {
        open_store(&self.config.session.store).await
    }

    /// The same, where the process that had it has just died.
    ///
    /// # Errors
    /// As for [`Prepared::open_store`].
    pub async fn open_left_store(&self) -> Result<Arc<dyn SessionStore>, StoreError> {
        open_left_store(&self.config.session.store).await
    }

    /// Goes on with a sign-in that another process has begun.
    pub fn take_over(&self) -> impl Fn(HeldSignIn) + Send + Sync + 'static {
        let sign_in = Arc::clone(&self.serving.gateway.sign_in);
        move |held| sign_in.take_over(held)
    }

    /// Who is signed in.
    pub fn sessions(&self) -> &Sessions {
        &self.lasting.sessions
    }

    /// Serves, with the sessions in `store`.
    ///
    /// # Errors
    /// When the orders of certificates cannot begin.
    pub async fn serve(self, store: Arc<dyn SessionStore>) -> Result<App, StartFailed> {
        let Self { config, lasting, serving, certificates, tls, https, behind_tls_proxy, http, admin, .. } = self;
        self.arriving.arrives(store);
        let (sessions, metrics) = (lasting.sessions.clone(), lasting.metrics.clone());
        for (host, site) in &serving.gateway.sites {
            tokio::spawn(background::check_service_user(host.clone(), Arc::clone(site)));
        }
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
        tokio::spawn(Connections::look_after(Arc::downgrade(&lasting.connections)));
        let running = Arc::new(Running::new(lasting, config, Arc::clone(&certificates), tls, serving));
        let looking = certificates::keep_fresh(certificates, running.doors.https.clone(), metrics.clone());
        let looking = tokio::spawn(looking);
        let readiness = Readiness::new(sessions.clone(), waits);
        let Running { doors, in_force, origins, admin_side, .. } = &*running;
        let (keys, itself) = (running.operator_keys().await, Arc::downgrade(&running) as Weak<dyn RunningGateway>);
        let orders = Orders::new(keys, itself, running.lasting.clock.clone());
        let admin_side = Admin::new(metrics.clone(), readiness.clone(), Arc::clone(admin_side), orders);
        let gateway = Arc::new(Door::new(in_force.clone(), in_force.now().limits.idle_time));
        let redirects = Arc::new(RedirectToHttps::new(Arc::clone(origins), answers));
        Ok(App {
            https: https.serve(Arc::clone(&gateway), doors.https.clone()),
            behind_tls_proxy: behind_tls_proxy.map(|bound| bound.serve(gateway, doors.behind_tls_proxy.clone())),
            http: http.map(|bound| bound.serve(redirects, doors.http.clone())),
            admin: admin.map(|bound| bound.serve(Arc::new(admin_side), doors.admin.clone())),
            running,
            sessions,
            store: self.store,
            metrics,
            readiness,
            lending: None,
            background: Background { sweeping, looking, ordering },
        })
    }
}

/// Opens the store beside the requests.
pub(super) async fn open_store(settings: &StoreSettings) -> Result<Arc<dyn SessionStore>, StoreError> {
    let StoreSettings::Embedded { path } = settings.clone();
    let opened = tokio::task::spawn_blocking(move || EmbeddedStore::open(path));
    let opened = opened.await.unwrap_or(Err(StoreError::Closed))?;
    Ok(Arc::new(opened))
}

async fn open(
    name: &str,
    address: Option<SocketAddr>,
    inherited: &mut Inherited,
) -> Result<Option<Bound>, ListenFailed> {
    match address {
        Some(address) => Bound::open(name, address, inherited).await.map(Some),
        None => Ok(None),
    }
}
