//! From a configuration to what serves it, with whatever an earlier one has learned that still means the same.

use std::collections::HashMap;
use std::sync::Arc;

use super::StartFailed;
use super::customers::{CustomerParts, OfPortal, have_same_nodes};
use crate::acme::Hosts;
use crate::admin::AdminSide;
use crate::admin::test_sign_in::{TestSignIns, TestedPortal};
use crate::admin::upstreams::Upstreams;
use crate::clock::Clock;
use crate::config::Config;
use crate::customer::People;
use crate::http_client::{HttpClient, HttpClientSettings};
use crate::ids::ProviderName;
use crate::limits::StoredCreations;
use crate::listener::redirect::Origins;
use crate::listener::settings::Demand;
use crate::nodes::{Nodes, NodesParts, Resolver};
use crate::operator::Operator;
use crate::portal::HostName;
use crate::portal::settings::PortalSettings;
use crate::proxy::Gateway;
use crate::proxy::connections::Connections;
use crate::proxy::door::Ending;
use crate::proxy::groups::Groups;
use crate::proxy::site::{Site, SiteParts};
use crate::random::Random;
use crate::session::Sessions;
use crate::sign_in::SignIn;
use crate::sign_in::saml::{OwnMetadata, SignInPortal};
use crate::sign_in::trial::Trials;
use crate::telemetry::Metrics;

/// What stays the same, whichever configuration is in force.
pub(super) struct Lasting {
    pub sessions: Sessions,
    pub metrics: Metrics,
    pub clock: Clock,
    pub random: Random,
    pub resolver: Resolver,
    pub people: Arc<People>,
    pub trials: Arc<Trials>,
    pub connections: Arc<Connections>,
    pub ending: Ending,
    /// The hosts that certificates are ordered for, where no file covers them.
    pub hosts: Hosts,
    /// The port of the public side, when browsers use no other.
    pub https_port: u16,
}

/// What a configuration is served by.
pub(super) struct Serving {
    pub gateway: Gateway,
    /// The customers of each portal.
    pub customers: HashMap<HostName, OfPortal>,
    pub origins: Origins,
    pub admin_side: AdminSide,
}

/// What serves already.
pub(super) struct Before<'a> {
    pub gateway: &'a Gateway,
    pub customers: &'a HashMap<HostName, OfPortal>,
}

impl Lasting {
    /// The port that browsers use.
    pub fn public_port(&self, config: &Config) -> u16 {
        config.listen.public_port.unwrap_or(self.https_port)
    }

    /// Makes ready to serve `config`. Nothing is called, and nothing that serves is touched.
    ///
    /// # Errors
    /// What is in the way.
    pub fn serving(&self, config: &Config, before: Option<&Before<'_>>) -> Result<Serving, StartFailed> {
        let public_port = self.public_port(config);
        let portals = config.sign_in_portals(public_port);
        let sign_in = match before {
            Some(before) => before.gateway.sign_in.with_providers(config.providers.clone())?,
            None => SignIn::new(
                config.providers.clone(),
                Arc::new(self.sessions.clone()),
                HttpClient::new(HttpClientSettings::default())?,
                self.clock.clone(),
                self.random.clone(),
            )?,
        };
        let (sites, customers) = self.sites(config, public_port, before)?;
        let other_names = |site: &Arc<Site>| {
            let site = Arc::clone(site);
            site.settings.aliases.clone().into_iter().map(move |alias| (alias, Arc::clone(&site)))
        };
        let aliases: HashMap<HostName, Arc<Site>> = sites.values().flat_map(other_names).collect();
        let groups = Groups::of(config.portals.iter().filter_map(|portal| sites.get(&portal.host)));
        let names = sites.iter().chain(&aliases);
        let origins = names.map(|(name, site)| (name.clone(), site.settings.public_origin.clone())).collect();
        let for_operators =
            config.portals.iter().filter_map(|portal| customers.get(&portal.host)?.for_operators.clone());
        let operator = Operator::new(for_operators.collect(), self.clock.clone());
        let test_sign_ins = TestSignIns::new(Arc::clone(&self.trials), tested_portals(portals.clone(), &sign_in));
        let gateway = Gateway {
            sites,
            aliases,
            groups,
            sign_in: Arc::new(sign_in),
            own_metadata: OwnMetadata::new(&config.providers, portals, self.random.clone()),
            trials: Arc::clone(&self.trials),
            sessions: self.sessions.clone(),
            connections: Arc::clone(&self.connections),
            ending: self.ending.clone(),
            metrics: self.metrics.clone(),
            trusted_proxies: config.listen.trusted_proxies.clone(),
            limits: config.listen.limits,
            certificate_hosts: (config.tls.client_certificates.as_ref())
                .filter(|visitors| visitors.demand == Demand::Required)
                .map(|visitors| visitors.hosts.clone()),
            hsts: config.tls.hsts.header_value(),
            clock: self.clock.clone(),
            random: self.random.clone(),
        };
        let upstreams =
            Upstreams::of(gateway.sites.iter().map(|(host, site)| (host.clone(), Arc::clone(site.upstream.nodes()))));
        let admin_side = AdminSide { test_sign_ins, operator, upstreams };
        Ok(Serving { gateway, customers, origins, admin_side })
    }

    /// The portals, ready to serve.
    #[expect(clippy::type_complexity, reason = "two maps by host")]
    fn sites(
        &self,
        config: &Config,
        public_port: u16,
        before: Option<&Before<'_>>,
    ) -> Result<(HashMap<HostName, Arc<Site>>, HashMap<HostName, OfPortal>), StartFailed> {
        let parts = CustomerParts::new(&self.sessions, &self.metrics, &self.clock, &self.random)
            .busy_with(Arc::clone(&self.people));
        let (mut sites, mut customers) = (HashMap::new(), HashMap::new());
        for settings in &config.portals {
            let settings = settings.clone().with_public_port(public_port);
            let host = settings.host.clone();
            let known =
                before.and_then(|before| Some((before.gateway.sites.get(&host)?, before.customers.get(&host)?)));
            let nodes = match known {
                Some((site, _)) if have_same_nodes(&site.settings, &settings) => Arc::clone(site.upstream.nodes()),
                _ => self.nodes(&settings, known.map(|(site, _)| &**site.upstream.nodes())),
            };
            let of_portal = match known {
                Some((site, of_portal)) if OfPortal::are_the_same(&site.settings, &settings) => of_portal.at(&settings),
                _ => parts.of(&settings, &nodes)?,
            };
            let site = match known {
                // Nothing of it has changed.
                Some((site, _)) if site.settings == settings => Arc::clone(site),
                _ => {
                    let parts = SiteParts {
                        customers: of_portal.sessions.clone(),
                        identity_provider: of_portal.identity_provider.clone(),
                        walks: of_portal.walks.clone(),
                        nodes,
                        log: Arc::new(StoredCreations::new(self.sessions.records())),
                        exchanges: self.metrics.watch_exchanges(&host),
                    };
                    Arc::new(Site::new(settings, parts, known.map(|(site, _)| &**site))?)
                }
            };
            sites.insert(host.clone(), site);
            customers.insert(host, of_portal);
        }
        Ok((sites, customers))
    }

    /// The nodes of a portal's site, of which nothing is known yet but where names led `before`.
    fn nodes(&self, portal: &PortalSettings, before: Option<&Nodes>) -> Arc<Nodes> {
        let parts = NodesParts {
            portal: portal.host.as_str().into(),
            resolver: self.resolver.clone(),
            observer: self.metrics.watch_nodes(&portal.host),
            random: self.random.clone(),
        };
        Arc::new(Nodes::new(&portal.upstream, &portal.limits, parts, before))
    }
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
    // Where a group has another home, nobody comes back from a provider.
    portals.into_iter().filter(|portal| !portal.providers.is_empty()).map(of).collect()
}
