//! Certificates of the public side: read, checked against their keys, and chosen by SNI.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use pingora::listeners::tls::Acceptor;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert, ServerSessionMemoryCache};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::settings::{CertificateFiles, TlsSettings, TlsVersion};

/// TLS 1.2 sessions that can be resumed without a ticket.
const RESUMABLE_SESSIONS: usize = 20_000;

/// A certificate cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum CertificateUnusable {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// Which file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file holds no certificate or no key in PEM.
    #[error("{path} holds no {wanted} in PEM form")]
    NotPem {
        /// Which file.
        path: String,
        /// "certificate" or "private key".
        wanted: &'static str,
    },
    /// The key is of a kind that TLS cannot use, or belongs to another certificate.
    #[error("the key in {key} does not fit the certificate in {cert}: {source}")]
    WrongKey {
        /// The chain.
        cert: String,
        /// The key.
        key: String,
        /// What rustls said.
        source: rustls::Error,
    },
    /// The certificate names no host.
    #[error("the certificate in {path} names no host (it has no DNS or IP subject alternative name)")]
    NoNames {
        /// Which file.
        path: String,
    },
    /// Settings that rustls refuses.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// What TLS needs on the public side: ALPN for HTTP/2 and HTTP/1.1, tickets, no early data.
///
/// # Errors
/// When a certificate or key cannot be used.
pub fn acceptor(settings: &TlsSettings) -> Result<Acceptor, CertificateUnusable> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions: &[&rustls::SupportedProtocolVersion] = match settings.minimum_version {
        TlsVersion::V1_2 => &[&rustls::version::TLS12, &rustls::version::TLS13],
        TlsVersion::V1_3 => &[&rustls::version::TLS13],
    };
    let chosen = CertificatesByName::load(&settings.certificates)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(chosen));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = ServerSessionMemoryCache::new(RESUMABLE_SESSIONS);
    config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    // Early data can be replayed by anybody who saw it (RFC 8446, section 8).
    config.max_early_data_size = 0;
    Ok(Acceptor::from_server_config(Arc::new(config)))
}

/// Certificates by the names in them. Without SNI, or for a name that none covers, the first one answers: the visitor
/// then reads whose certificate it is instead of a bare alert, and the request is refused as an unknown host.
struct CertificatesByName {
    exact: HashMap<String, Arc<CertifiedKey>>,
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    first: Option<Arc<CertifiedKey>>,
}

impl CertificatesByName {
    fn load(files: &[CertificateFiles]) -> Result<Self, CertificateUnusable> {
        let mut chosen = Self { exact: HashMap::new(), wildcard: HashMap::new(), first: None };
        for pair in files {
            let key = Arc::new(read_pair(pair)?);
            let names = names_of(&key, &pair.cert)?;
            chosen.first.get_or_insert_with(|| Arc::clone(&key));
            for name in names {
                match name.strip_prefix("*.") {
                    Some(parent) => chosen.wildcard.entry(parent.to_owned()).or_insert_with(|| Arc::clone(&key)),
                    None => chosen.exact.entry(name).or_insert_with(|| Arc::clone(&key)),
                };
            }
        }
        Ok(chosen)
    }

    fn choose(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        // A wildcard stands for exactly one label (RFC 9525, section 6.3).
        let parent = name.split_once('.').map(|(_, parent)| parent);
        self.exact.get(&name).or_else(|| self.wildcard.get(parent?)).cloned()
    }
}

impl ResolvesServerCert for CertificatesByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        hello.server_name().and_then(|name| self.choose(name)).or_else(|| self.first.clone())
    }
}

impl fmt::Debug for CertificatesByName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificatesByName").field("exact", &self.exact.keys()).finish_non_exhaustive()
    }
}

fn read_pair(files: &CertificateFiles) -> Result<CertifiedKey, CertificateUnusable> {
    let cert_path = files.cert.display().to_string();
    let key_path = files.key.display().to_string();
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&read(&files.cert)?).filter_map(Result::ok).collect();
    if chain.is_empty() {
        return Err(CertificateUnusable::NotPem { path: cert_path, wanted: "certificate" });
    }
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?)
        .map_err(|_| CertificateUnusable::NotPem { path: key_path.clone(), wanted: "private key" })?;
    CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider())
        .and_then(|pair| pair.keys_match().map(|()| pair))
        .map_err(|source| CertificateUnusable::WrongKey { cert: cert_path, key: key_path, source })
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateUnusable> {
    std::fs::read(path).map_err(|source| CertificateUnusable::Unreadable { path: path.display().to_string(), source })
}

fn names_of(key: &CertifiedKey, path: &Path) -> Result<Vec<String>, CertificateUnusable> {
    let path = path.display().to_string();
    let leaf = key.cert.first().and_then(|leaf| X509Certificate::from_der(leaf).ok());
    let Some((_, leaf)) = leaf else { return Err(CertificateUnusable::NotPem { path, wanted: "certificate" }) };
    let alternative = leaf.subject_alternative_name().ok().flatten();
    let names: Vec<String> = alternative
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            // SNI carries no addresses, so these are never chosen by name; they still make the certificate usable.
            GeneralName::IPAddress(_) => Some(String::from("an address")),
            _ => None,
        })
        .collect();
    if names.is_empty() { Err(CertificateUnusable::NoNames { path }) } else { Ok(names) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_pair(folder: &Path, stem: &str, names: &[&str]) -> CertificateFiles {
        let key = rcgen::KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let cert = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        let files =
            CertificateFiles { cert: folder.join(format!("{stem}.pem")), key: folder.join(format!("{stem}.key")) };
        std::fs::write(&files.cert, cert.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }

    #[test]
    fn certificates_are_chosen_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let one = write_pair(folder.path(), "one", &["support.acme.com"]);
        let two = write_pair(folder.path(), "two", &["*.globex.com", "globex.com"]);
        let chosen = CertificatesByName::load(&[one, two]).unwrap();
        let first = chosen.first.clone().unwrap();
        let same = |name: &str| chosen.choose(name).map(|key| Arc::ptr_eq(&key, &first));
        assert_eq!(same("Support.Acme.com"), Some(true));
        assert_eq!(same("help.globex.com"), Some(false));
        assert_eq!(same("globex.com"), Some(false));
        assert_eq!(same("a.b.globex.com"), None);
        assert_eq!(same("evil.test"), None);
    }

    #[test]
    fn unusable_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let one = write_pair(folder.path(), "one", &["support.acme.com"]);
        let two = write_pair(folder.path(), "two", &["support.acme.com"]);
        let message = |cert: &Path, key: &Path| {
            read_pair(&CertificateFiles { cert: cert.to_owned(), key: key.to_owned() }).unwrap_err().to_string()
        };
        assert!(message(&folder.path().join("none.pem"), &one.key).contains("cannot read"));
        assert!(message(&one.key, &one.key).contains("holds no certificate in PEM form"));
        assert!(message(&one.cert, &one.cert).contains("holds no private key in PEM form"));
        assert!(message(&one.cert, &two.key).contains("does not fit the certificate"));
    }
}
