//! Whom calls out trust: the client's side of TLS.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::Instant;

use super::{NoHttpClient, Roots};
use crate::clock::deadline;

/// For so long the system's authorities are not read again: configurations with many portals make many clients at once, and
/// each reading takes some 300 files, 3 ms and 90 KiB. A reload is later than that, and sees what has changed.
const FRESH: Duration = Duration::from_secs(10);

/// What a client offers and believes. Sessions are resumed by the client that began them alone.
pub(super) fn client_config(roots: Roots, http1_only: bool) -> Result<ClientConfig, NoHttpClient> {
    let (mut roots, given) = match roots {
        Roots::System => (system_roots()?, Vec::new()),
        Roots::SystemAnd(given) => (system_roots()?, given),
        Roots::Only(given) => (Arc::new(RootCertStore::empty()), given),
    };
    for certificate in given {
        Arc::make_mut(&mut roots).add(certificate).map_err(NoHttpClient::Tls)?;
    }
    let provider = CryptoProvider::get_default().cloned();
    let provider = provider.unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()));
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = config.map_err(NoHttpClient::Tls)?.with_root_certificates(roots).with_no_client_auth();
    let http1 = b"http/1.1".to_vec();
    config.alpn_protocols = if http1_only { vec![http1] } else { vec![b"h2".to_vec(), http1] };
    Ok(config)
}

/// The authorities of the operating system.
fn system_roots() -> Result<Arc<RootCertStore>, NoHttpClient> {
    static READ: Mutex<Option<(Instant, Arc<RootCertStore>)>> = Mutex::new(None);
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((until, roots)) = &*read
        && deadline(Duration::ZERO) < *until
    {
        return Ok(Arc::clone(roots));
    }
    let mut roots = RootCertStore::empty();
    // Systems have old ones that nobody can read any more: they are passed over.
    let (good, bad) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if good == 0 && bad > 0 {
        return Err(NoHttpClient::NoAuthority);
    }
    let roots = Arc::new(roots);
    *read = Some((deadline(FRESH), Arc::clone(&roots)));
    Ok(roots)
}
