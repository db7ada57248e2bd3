//! Work that goes on beside the requests: sweeping, metadata, nodes, and an early look at service users.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::ids::ProviderName;
use crate::limits::StoredCreations;
use crate::nodes::Nodes;
use crate::portal::HostName;
use crate::proxy::site::Site;
use crate::session::Sessions;
use crate::sign_in::Provider;
use crate::telemetry::Metrics;

/// How often expired sessions are swept out of the store.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// In how many of those sweeps the counts of requests are looked at: all of them are read, and each is over after a day.
const SWEEPS_TO_COUNTS: u64 = 60;

/// The metadata of SAML providers, each looked at by a task of its own as long as the provider is configured so.
#[derive(Default)]
pub(super) struct MetadataCare(Vec<(Arc<Provider>, JoinHandle<()>)>);

impl MetadataCare {
    /// Cares for the metadata of these providers, and of no others from now on.
    pub fn follow(&mut self, providers: &[Arc<Provider>], metrics: &Metrics) {
        let gone = |known: &Arc<Provider>| !providers.iter().any(|one| Arc::ptr_eq(one, known));
        for (_, task) in self.0.iter().filter(|(known, _)| gone(known)) {
            task.abort();
        }
        self.0.retain(|(known, _)| !gone(known));
        for provider in providers {
            let Some(ours) = provider.service_provider() else { continue };
            if !self.0.iter().any(|(known, _)| Arc::ptr_eq(known, provider)) {
                ours.metadata().watch(metrics.watch_metadata(provider.name()));
                let task = tokio::spawn(Arc::clone(ours.metadata()).keep_fresh());
                self.0.push((Arc::clone(provider), task));
            }
        }
    }

    /// No more.
    pub fn end(&mut self) {
        self.0.drain(..).for_each(|(_, task)| task.abort());
    }
}

/// The nodes of each site, cared for by a task of their own as long as the site is configured so.
#[derive(Default)]
pub(super) struct NodeCare(Vec<(HostName, Arc<Nodes>, JoinHandle<()>)>);

impl NodeCare {
    /// Cares for the nodes of these portals, and of no others from now on.
    pub fn follow(&mut self, sites: &HashMap<HostName, Arc<Site>>) {
        let now = |host: &HostName| sites.get(host).map(|site| site.upstream.nodes());
        let stays = |host: &HostName, nodes: &Arc<Nodes>| now(host).is_some_and(|now| Arc::ptr_eq(now, nodes));
        for (host, nodes, task) in self.0.iter().filter(|(host, nodes, _)| !stays(host, nodes)) {
            task.abort();
            nodes.end(now(host).map(|now| &**now));
        }
        self.0.retain(|(host, nodes, _)| stays(host, nodes));
        for (host, site) in sites {
            if !self.0.iter().any(|(known, ..)| known == host) {
                let nodes = Arc::clone(site.upstream.nodes());
                let task = tokio::spawn(Arc::clone(&nodes).keep());
                self.0.push((host.clone(), nodes, task));
            }
        }
    }

    /// No more.
    pub fn end(&mut self) {
        self.0.drain(..).for_each(|(.., task)| task.abort());
    }
}

impl Drop for NodeCare {
    fn drop(&mut self) {
        self.end();
    }
}

/// The providers in `before` that are not among those of `now`.
pub(super) fn gone(before: &[Arc<Provider>], now: &[Arc<Provider>]) -> Vec<ProviderName> {
    let is_there = |one: &Arc<Provider>| now.iter().any(|other| other.name() == one.name());
    before.iter().filter(|one| !is_there(one)).map(|one| one.name().clone()).collect()
}

/// Sweeps out what has expired, and counts what is left.
pub(super) async fn sweep(sessions: Sessions, creations: StoredCreations, metrics: Metrics, clock: Clock) {
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
pub(super) async fn check_service_user(host: HostName, site: Arc<Site>) {
    match site.customers.check().await {
        Ok(Some(user)) => tracing::info!(%host, user, "the service user can do its work at the upstream"),
        Ok(None) => {}
        Err(unfit) => tracing::error!(%host, reason = unfit.reason(), %unfit, "the service user cannot do its work"),
    }
}
