//! Looks at the certificate files again and again, has certificates ordered for the hosts that no file covers, and tells
//! whoever watches the gateway.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::acme::settings::AcmeSettings;
use crate::acme::{AcmeEvent, AcmeObserver, Hosts, Keeper, KeeperUnusable, Served, Waits};
use crate::clock::Clock;
use crate::listener::RulesInForce;
use crate::listener::certificates::{CertificateUnusable, Certificates, Look};
use crate::random::Random;
use crate::session::Records;
use crate::telemetry::Metrics;

/// How often the files are looked at. Reading a few small files costs next to nothing.
const EVERY: Duration = Duration::from_secs(1);

/// Serves renewed certificates as soon as they are whole, and judges visitors' by what their authorities say now, for ever. To
/// be spawned once.
pub(super) async fn keep_fresh(certificates: Arc<Certificates>, door: RulesInForce, metrics: Metrics) {
    metrics.certificates_end(&certificates.ends());
    let (mut told, mut told_of_visitors): (Option<String>, Option<String>) = (None, None);
    loop {
        tokio::time::sleep(EVERY).await;
        let looking = Arc::clone(&certificates);
        if let Ok(found) = tokio::task::spawn_blocking(move || looking.look()).await {
            tell(&found, &certificates, &metrics, &mut told);
        }
        let judge = door.now().tls.as_ref().and_then(|tls| tls.client_certificates());
        let Some(judge) = judge else { continue };
        if let Ok(found) = tokio::task::spawn_blocking(move || judge.look()).await {
            tell_of_visitors(&found, &metrics, &mut told_of_visitors);
        }
    }
}

/// Says what is new of the authorities of visitors' certificates, once.
fn tell_of_visitors(found: &Result<Look, CertificateUnusable>, metrics: &Metrics, told: &mut Option<String>) {
    match found {
        Ok(Look::Unchanged) => *told = None,
        Ok(Look::Changed) => {
            metrics.certificates_looked_at("changed");
            tracing::info!("visitors' certificates are judged by the changed files from now on");
            *told = None;
        }
        Err(unusable) => {
            metrics.certificates_looked_at("unusable");
            let what = unusable.to_string();
            if told.as_ref() != Some(&what) {
                tracing::error!(error = %what, "visitors' certificates are judged by the files as they were read before");
                *told = Some(what);
            }
        }
    }
}

/// Says what is new, once.
fn tell(
    found: &Result<Look, CertificateUnusable>,
    certificates: &Certificates,
    metrics: &Metrics,
    told: &mut Option<String>,
) {
    match found {
        Ok(Look::Unchanged) => {
            metrics.certificates_looked_at("unchanged");
            *told = None;
        }
        Ok(Look::Changed) => {
            metrics.certificates_looked_at("changed");
            metrics.certificates_end(&certificates.ends());
            tracing::info!("the certificates have changed and are served from now on");
            *told = None;
        }
        Err(unusable) => {
            metrics.certificates_looked_at("unusable");
            let what = unusable.to_string();
            if told.as_ref() != Some(&what) {
                tracing::error!(error = %what, "the certificate files cannot be used: the ones read before are served on");
                *told = Some(what);
            }
        }
    }
}

/// Certificates for `hosts` are ordered from now on; those that the store has are served when this returns. Gives what is
/// waited for, and the task to end.
pub(super) async fn keep_ordered(
    settings: AcmeSettings,
    hosts: Hosts,
    certificates: &Arc<Certificates>,
    records: Records,
    metrics: &Metrics,
    (clock, random): (Clock, Random),
) -> Result<(Waits, JoinHandle<()>), KeeperUnusable> {
    let observer = Arc::new(Watcher { metrics: metrics.clone(), certificates: Arc::clone(certificates) });
    let (answers, served) = (certificates.answers().clone(), Arc::clone(certificates) as Arc<dyn Served>);
    let mut keeper = Keeper::new(settings, records, hosts, answers, served, observer, (clock, random))?;
    let waits = keeper.waits();
    keeper.restore().await;
    Ok((waits, tokio::spawn(keeper.run())))
}

/// Counts what happens to certificates that are ordered.
struct Watcher {
    metrics: Metrics,
    certificates: Arc<Certificates>,
}

impl AcmeObserver for Watcher {
    fn note(&self, event: &AcmeEvent<'_>) {
        match event {
            AcmeEvent::Issued => self.metrics.certificate_ordered("issued"),
            AcmeEvent::Failed(failed) => self.metrics.certificate_ordered(failed.label()),
            AcmeEvent::Missing(count) => self.metrics.certificates_missing(*count),
            AcmeEvent::Served => self.metrics.certificates_end(&self.certificates.ends()),
        }
    }
}
