//! The running gateway, as far as its configuration goes: it is read again, checked, and put in force as a whole or not at all.
//!
//! What is slow or can fail comes first, and touches nothing that serves. Then each part is replaced in one step; none of
//! these can fail.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::StartFailed;
use super::background::{MetadataCare, NodeCare, check_service_user, gone};
use super::changes::{changes, needing_restart};
use super::customers::OfPortal;
use super::serving::{Before, Lasting, Serving};
use crate::admin::AdminSide;
use crate::config::{Config, Faults};
use crate::handover::NotUpgraded;
use crate::listener::certificates::{Certificates, ReadCertificates};
use crate::listener::redirect::Origins;
use crate::listener::settings::ListenSettings;
use crate::listener::{Peers, Rules, RulesInForce, TlsDoor};
use crate::operator::{InForceNow, OperatorKeys, ProcessNow, RefusedFor, Reloaded, RunningGateway, Upgraded};
use crate::portal::HostName;
use crate::proxy::in_force::InForce;

/// Where a running gateway reads its configuration again, and who is told of that.
pub trait ConfigSource: Send + Sync + 'static {
    /// Reads and checks it. Blocks.
    ///
    /// # Errors
    /// Every fault.
    fn read(&self) -> Result<Config, Faults>;

    /// It is about to be read.
    fn begins(&self) {}

    /// What came of it is in force.
    fn ends(&self) {}
}

/// Somebody wants a new process to take over, and waits for what comes of it.
#[derive(Debug)]
pub struct UpgradeOrder(pub oneshot::Sender<Upgraded>);

/// The running gateway.
pub(super) struct Running {
    pub lasting: Lasting,
    pub in_force: InForce,
    pub origins: Arc<ArcSwap<Origins>>,
    pub admin_side: Arc<ArcSwap<AdminSide>>,
    pub certificates: Arc<Certificates>,
    pub doors: Doors,
    pub source: OnceLock<Arc<dyn ConfigSource>>,
    pub standing: ArcSwap<InForceNow>,
    /// Whoever can start a new process.
    pub upgrades: OnceLock<mpsc::Sender<UpgradeOrder>>,
    pub process: ArcSwap<ProcessNow>,
    pub current: Mutex<Current>,
}

/// What is in force, besides what serves.
pub(super) struct Current {
    pub config: Config,
    pub customers: HashMap<HostName, OfPortal>,
    pub tls: Arc<TlsDoor>,
    pub metadata: MetadataCare,
    pub nodes: NodeCare,
    pub number: u64,
    /// Another process serves. What it has read is in force, and nothing is read here any more.
    pub handed_over: bool,
}

/// The rules of each socket.
pub(super) struct Doors {
    pub https: RulesInForce,
    pub behind_tls_proxy: RulesInForce,
    pub http: RulesInForce,
    pub admin: RulesInForce,
}

impl Doors {
    /// As `listen` says.
    pub fn new(listen: &ListenSettings, tls: &Arc<TlsDoor>) -> Self {
        let [https, behind_tls_proxy, http, admin] = rules(listen, tls).map(RulesInForce::new);
        Self { https, behind_tls_proxy, http, admin }
    }

    fn replace(&self, listen: &ListenSettings, tls: &Arc<TlsDoor>) {
        let Self { https, behind_tls_proxy, http, admin } = self;
        for (door, rules) in [https, behind_tls_proxy, http, admin].into_iter().zip(rules(listen, tls)) {
            door.replace(rules);
        }
    }
}

/// Those of `https`, `behind_tls_proxy`, `http` and `admin`.
fn rules(listen: &ListenSettings, tls: &Arc<TlsDoor>) -> [Rules; 4] {
    let proxies = if listen.proxy_protocol { listen.trusted_proxies.clone() } else { Vec::new() };
    let plain = Rules { peers: Peers::Any, proxies, tls: None, limits: listen.limits };
    [
        Rules { tls: Some(Arc::clone(tls)), ..plain.clone() },
        Rules { peers: Peers::Of(listen.trusted_proxies.clone()), ..plain.clone() },
        plain.clone(),
        // Nobody stands before it.
        Rules { proxies: Vec::new(), ..plain },
    ]
}

impl Running {
    /// Begins with `config`, which `serving` serves.
    pub fn new(
        lasting: Lasting,
        config: Config,
        certificates: Arc<Certificates>,
        tls: Arc<TlsDoor>,
        serving: Serving,
    ) -> Self {
        tell_uncovered(&config, &certificates);
        let mut metadata = MetadataCare::default();
        metadata.follow(serving.gateway.sign_in.providers(), &lasting.metrics);
        let mut nodes = NodeCare::default();
        nodes.follow(&serving.gateway.sites);
        let doors = Doors::new(&config.listen, &tls);
        let customers = serving.customers;
        let current = Current { config, customers, tls, metadata, nodes, number: 1, handed_over: false };
        let standing = ArcSwap::from_pointee(stands(&lasting, &current, None));
        let since = lasting.clock.now().to_string();
        let process = ProcessNow { number: std::process::id(), since, took_over: false, last_upgrade: None };
        Self {
            lasting,
            in_force: InForce::new(serving.gateway),
            origins: Arc::new(ArcSwap::from_pointee(serving.origins)),
            admin_side: Arc::new(ArcSwap::from_pointee(serving.admin_side)),
            certificates,
            doors,
            source: OnceLock::new(),
            standing,
            upgrades: OnceLock::new(),
            process: ArcSwap::from_pointee(process),
            current: Mutex::new(current),
        }
    }

    /// What proves an order.
    pub async fn operator_keys(&self) -> OperatorKeys {
        OperatorKeys::new(&self.current.lock().await.config.session.keys)
    }

    /// Puts `config` in force, or nothing of it.
    pub async fn apply(&self, config: Config) -> Reloaded {
        let mut current = self.current.lock().await;
        let outcome = match current.handed_over {
            true => handed_over(),
            false => self.put_in_force(config, &mut current).await,
        };
        self.note(&outcome, &current);
        outcome
    }

    async fn read_again(&self) -> Reloaded {
        let mut current = self.current.lock().await;
        let Some(source) = self.source.get().map(Arc::clone) else {
            return refused("this gateway was not started from a file");
        };
        if current.handed_over {
            let outcome = handed_over();
            self.note(&outcome, &current);
            return outcome;
        }
        source.begins();
        let reading = Arc::clone(&source);
        let outcome = match tokio::task::spawn_blocking(move || reading.read()).await {
            Ok(Ok(config)) => self.put_in_force(config, &mut current).await,
            Ok(Err(faults)) => {
                let problems = faults.to_string().lines().map(str::to_owned).collect();
                Reloaded::Refused { result: RefusedFor::Faulty, problems }
            }
            Err(_) => refused("reading it was broken off"),
        };
        self.note(&outcome, &current);
        source.ends();
        outcome
    }

    /// This process has taken the place of another one.
    pub fn took_over(&self) {
        self.lasting.metrics.upgraded("taken_over");
        self.process.rcu(|process| ProcessNow { took_over: true, ..(**process).clone() });
    }

    /// Tells what came of a try to have a new process take over.
    pub fn not_upgraded(&self, why: NotUpgraded) -> Upgraded {
        let result = why.label().to_owned();
        self.lasting.metrics.upgraded(&result);
        self.process.rcu(|process| ProcessNow { last_upgrade: Some(result.clone()), ..(**process).clone() });
        let problems = why.sentences();
        tracing::error!(result, problems = problems.join("; "), "no other process has taken over: this one serves on");
        Upgraded::Refused { result, problems }
    }

    fn note(&self, outcome: &Reloaded, current: &Current) {
        self.lasting.metrics.config_read_again(outcome.label());
        match outcome {
            Reloaded::Applied { number, changes } => {
                self.standing.store(Arc::new(stands(&self.lasting, current, Some(outcome.label()))));
                tracing::info!(
                    number,
                    changes = changes.join("; "),
                    "the configuration was read again and is in force"
                );
            }
            Reloaded::Refused { problems, .. } => {
                let (result, problems) = (outcome.label(), problems.join("; "));
                let before = self.standing.load_full();
                let last_reload = Some(result.to_owned());
                self.standing.store(Arc::new(InForceNow { last_reload, ..(*before).clone() }));
                tracing::error!(
                    result,
                    problems,
                    "the configuration was read again and refused: the one before stays in force"
                );
            }
        }
    }

    async fn put_in_force(&self, config: Config, current: &mut Current) -> Reloaded {
        let problems = needing_restart(&current.config, &config);
        if !problems.is_empty() {
            return Reloaded::Refused { result: RefusedFor::NeedsRestart, problems };
        }
        let changes = changes(&current.config, &config);
        let files = config.tls.certificates.clone();
        let read = match tokio::task::spawn_blocking(move || ReadCertificates::of(&files)).await {
            Ok(Ok(read)) => read,
            Ok(Err(error)) => return refused(error),
            Err(_) => return refused("reading the certificates was broken off"),
        };
        match self.prepare(&config, current) {
            Ok((tls, serving)) => self.replace(config, read, tls, serving, current),
            Err(error) => return refused(error),
        }
        if !changes.is_empty() {
            current.number = current.number.saturating_add(1);
        }
        Reloaded::Applied { number: current.number, changes }
    }

    /// All else that can fail.
    fn prepare(&self, config: &Config, current: &Current) -> Result<(Arc<TlsDoor>, Serving), StartFailed> {
        let (old, new) = (&current.config.tls, &config.tls);
        let same = (old.minimum_version, &old.cipher_suites, &old.client_certificates)
            == (new.minimum_version, &new.cipher_suites, &new.client_certificates);
        let tls = match same {
            // With the TLS sessions that it knows.
            true => Arc::clone(&current.tls),
            false => Arc::new(TlsDoor::new(new, &self.certificates)?),
        };
        let gateway = self.in_force.now();
        let before = Before { gateway: &gateway, customers: &current.customers };
        Ok((tls, self.lasting.serving(config, Some(&before))?))
    }

    /// A new portal's certificate is there before the portal is.
    fn replace(
        &self,
        config: Config,
        read: ReadCertificates,
        tls: Arc<TlsDoor>,
        serving: Serving,
        current: &mut Current,
    ) {
        let metrics = &self.lasting.metrics;
        self.certificates.replace(read);
        self.lasting.hosts.set(config.served_hosts());
        metrics.certificates_end(&self.certificates.ends());
        tell_uncovered(&config, &self.certificates);
        self.doors.replace(&config.listen, &tls);
        let before = self.in_force.now();
        self.in_force.replace(serving.gateway);
        self.origins.store(Arc::new(serving.origins));
        self.admin_side.store(Arc::new(serving.admin_side));
        let now = self.in_force.now();
        current.metadata.follow(now.sign_in.providers(), metrics);
        current.nodes.follow(&now.sites);
        metrics.providers_are_gone(&gone(before.sign_in.providers(), now.sign_in.providers()));
        for (host, site) in &now.sites {
            if !before.sites.get(host).is_some_and(|old| OfPortal::are_the_same(&old.settings, &site.settings)) {
                tokio::spawn(check_service_user(host.clone(), Arc::clone(site)));
            }
        }
        current.customers = serving.customers;
        current.tls = tls;
        current.config = config;
    }
}

#[async_trait]
impl RunningGateway for Running {
    async fn reload(&self) -> Reloaded {
        self.read_again().await
    }

    fn standing(&self) -> InForceNow {
        (*self.standing.load_full()).clone()
    }

    async fn upgrade(&self) -> Upgraded {
        let (tell, told) = oneshot::channel();
        let Some(upgrades) = self.upgrades.get() else { return self.not_upgraded(NotUpgraded::NoProgram) };
        if upgrades.try_send(UpgradeOrder(tell)).is_err() {
            return self.not_upgraded(NotUpgraded::UnderWay);
        }
        match told.await {
            Ok(upgraded) => upgraded,
            Err(_) => self.not_upgraded(NotUpgraded::Stopping),
        }
    }

    fn process(&self) -> ProcessNow {
        (*self.process.load_full()).clone()
    }
}

/// Says which names no certificate has: visitors read a warning there, unless something in front ends TLS.
pub(super) fn tell_uncovered(config: &Config, certificates: &Certificates) {
    // What is ordered is told of by whoever orders it.
    if config.tls.acme.is_some() {
        return;
    }
    let names = config.portals.iter().flat_map(|portal| std::iter::once(&portal.host).chain(&portal.aliases));
    for name in names.filter(|name| !certificates.cover(name.as_str())) {
        tracing::warn!(host = %name, "no certificate of tls.certificates has this name");
    }
}

/// Tells whoever watches what is in force, and that it is what the file says now.
fn stands(lasting: &Lasting, current: &Current, last_reload: Option<&str>) -> InForceNow {
    let now = lasting.clock.now();
    lasting.metrics.config_is_in_force(current.number, now);
    InForceNow {
        number: current.number,
        confirmed: now.to_string(),
        digest: OperatorKeys::new(&current.config.session.keys).fingerprint(current.config.digest.octets()),
        last_reload: last_reload.map(str::to_owned),
    }
}

/// Who edits the file during an upgrade must not read that it is in force, where the process that serves has not read it.
fn handed_over() -> Reloaded {
    let problem = "another process has taken over meanwhile and serves what it has read: reload once more".to_owned();
    Reloaded::Refused { result: RefusedFor::HandedOver, problems: vec![problem] }
}

fn refused(why: impl ToString) -> Reloaded {
    Reloaded::Refused { result: RefusedFor::Unusable, problems: vec![why.to_string()] }
}
