//! Looks at the certificate files again and again, and tells whoever watches the gateway.

use std::sync::Arc;
use std::time::Duration;

use crate::listener::certificates::{CertificateUnusable, Certificates, Look};
use crate::telemetry::Metrics;

/// How often the files are looked at. Reading a few small files costs next to nothing.
const EVERY: Duration = Duration::from_secs(5);

/// Serves renewed certificates as soon as they are whole, for ever. To be spawned once.
pub(super) async fn keep_fresh(certificates: Arc<Certificates>, metrics: Metrics) {
    metrics.certificates_end(&certificates.ends());
    let mut told: Option<String> = None;
    loop {
        tokio::time::sleep(EVERY).await;
        let looking = Arc::clone(&certificates);
        let Ok(found) = tokio::task::spawn_blocking(move || looking.look()).await else { continue };
        tell(&found, &certificates, &metrics, &mut told);
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
