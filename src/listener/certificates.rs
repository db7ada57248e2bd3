//! Certificates of the public side: read, checked against their keys, chosen by SNI, and read again when they were renewed.
//! Files come first; what an authority has issued is for hosts that no file covers.

mod issued;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerSessionMemoryCache};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use self::issued::IssuedByHost;
use super::client_certificates::ClientCertificates;
use super::settings::{CertificateFiles, TlsSettings, TlsVersion};
use crate::acme::settings::ChallengeKind;
use crate::acme::{ACME_TLS, Answers, Issued, Served as ServedByUs};
use crate::clock::Timestamp;
use crate::portal::HostName;

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
    /// The authorities of visitors' certificates, or what they have revoked, will not do.
    #[error("visitors' certificates cannot be judged by {path}: {what}")]
    Authorities {
        /// The file of the authorities.
        path: String,
        /// What rustls said.
        what: String,
    },
    /// Settings that rustls refuses.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// What TLS needs on the public side: ALPN for HTTP/2 and HTTP/1.1, tickets, no early data. Where `visitors` have to bring
/// certificates no TLS session is resumed: what is revoked meanwhile would come in by that.
///
/// # Errors
/// When rustls refuses the settings.
pub(super) fn server_config(
    settings: &TlsSettings,
    certificates: &Arc<Certificates>,
    visitors: Option<Arc<ClientCertificates>>,
) -> Result<ServerConfig, CertificateUnusable> {
    let mut provider = rustls::crypto::ring::default_provider();
    if !settings.cipher_suites.is_empty() {
        provider.cipher_suites.retain(|suite| settings.cipher_suites.contains(&suite.suite()));
        // In the operator's order.
        provider.cipher_suites.sort_by_key(|suite| settings.cipher_suites.iter().position(|one| *one == suite.suite()));
    }
    let versions: &[&rustls::SupportedProtocolVersion] = match settings.minimum_version {
        TlsVersion::V1_2 => &[&rustls::version::TLS12, &rustls::version::TLS13],
        TlsVersion::V1_3 => &[&rustls::version::TLS13],
    };
    let usable = |version: &&&rustls::SupportedProtocolVersion| {
        provider.cipher_suites.iter().any(|suite| suite.version() == **version)
    };
    let versions: Vec<_> = versions.iter().filter(usable).copied().collect();
    let builder = ServerConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(&versions)?;
    let resumes = visitors.is_none();
    let builder = match visitors {
        Some(judge) => builder.with_client_cert_verifier(judge),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::clone(certificates) as Arc<dyn ResolvesServerCert>);
    config.ignore_client_order = !settings.cipher_suites.is_empty();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    if settings.acme.as_ref().is_some_and(|acme| acme.challenges.contains(&ChallengeKind::TlsAlpn01)) {
        config.alpn_protocols.push(ACME_TLS.to_vec());
    }
    if resumes {
        config.session_storage = ServerSessionMemoryCache::new(RESUMABLE_SESSIONS);
        config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    } else {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    // Early data can be replayed by anybody who saw it (RFC 8446, section 8).
    config.max_early_data_size = 0;
    Ok(config)
}

/// The certificates that are served now. Connections that stand keep what they were opened with.
pub struct Certificates {
    served: ArcSwap<Served>,
    issued: ArcSwap<IssuedByHost>,
    answers: Answers,
}

/// Certificates that were read and can be served.
pub struct ReadCertificates(Served);

/// What a look at the files found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// What is served.
    Unchanged,
    /// Other certificates, which are served from now on.
    Changed,
}

/// The certificates, and the octets that they were read from.
struct Served {
    files: Vec<CertificateFiles>,
    by_name: CertificatesByName,
    read_from: Vec<Pair>,
}

#[derive(PartialEq, Eq)]
struct Pair {
    chain: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl Certificates {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// When a certificate or key cannot be used.
    pub fn load(files: &[CertificateFiles]) -> Result<Arc<Self>, CertificateUnusable> {
        Ok(Self::serving(ReadCertificates::of(files)?))
    }

    /// Serves these first.
    pub fn serving(read: ReadCertificates) -> Arc<Self> {
        let served = ArcSwap::from_pointee(read.0);
        Arc::new(Self { served, issued: ArcSwap::default(), answers: Answers::default() })
    }

    /// The answers to challenges of authorities that are given in handshakes.
    pub fn answers(&self) -> &Answers {
        &self.answers
    }

    /// Serves these, of whichever files, from now on.
    pub fn replace(&self, read: ReadCertificates) {
        self.served.store(Arc::new(read.0));
    }

    /// Reads the files again. Either all of them are good, or what is served stays. Blocks.
    ///
    /// # Errors
    /// When a certificate or key cannot be used; also while one half of a pair is renewed and the other is not.
    pub fn look(&self) -> Result<Look, CertificateUnusable> {
        let before = self.served.load_full();
        let read_from = read_all(&before.files)?;
        if before.read_from == read_from {
            return Ok(Look::Unchanged);
        }
        let by_name = CertificatesByName::read(&before.files, &read_from)?;
        let read = Arc::new(Served { files: before.files.clone(), by_name, read_from });
        // Others may have been put in their place meanwhile, of other files.
        let replaced = Arc::ptr_eq(&self.served.compare_and_swap(&before, read), &before);
        Ok(if replaced { Look::Changed } else { Look::Unchanged })
    }

    /// Whether a certificate has that name. For another, the first one answers, which no browser takes.
    pub fn cover(&self, name: &str) -> bool {
        self.served.load().by_name.of(name).is_some()
    }

    /// Until when each is valid, by the first name in it.
    pub fn ends(&self) -> Vec<(String, Timestamp)> {
        let mut ends = self.served.load().by_name.ends.clone();
        ends.extend(self.issued.load().ends());
        ends
    }

    /// The certificate for a visitor who can verify what `fits`; none for a host that waits for its first one.
    fn choose(&self, name: Option<&str>, fits: impl Fn(&&Arc<CertifiedKey>) -> bool) -> Option<Arc<CertifiedKey>> {
        let (files, issued) = (self.served.load(), self.issued.load());
        let keys = match name {
            Some(name) => match (files.by_name.of(name), issued.of(name)) {
                (Some(keys), _) => keys.as_slice(),
                (None, Some(keys)) => keys,
                (None, None) => files.by_name.first.as_slice(),
            },
            None => files.by_name.first.as_slice(),
        };
        first_that(keys, fits)
    }
}

/// The first that fits; when none does, the first: rustls says then what is missing.
fn first_that(keys: &[Arc<CertifiedKey>], fits: impl Fn(&&Arc<CertifiedKey>) -> bool) -> Option<Arc<CertifiedKey>> {
    keys.iter().find(fits).or(keys.first()).cloned()
}

impl ServedByUs for Certificates {
    fn covers(&self, host: &HostName) -> bool {
        self.served.load().by_name.of(host.as_str()).is_some()
    }

    fn serve(&self, hosts: &[HostName], issued: &[Issued]) {
        self.issued.store(Arc::new(IssuedByHost::new(hosts, issued)));
    }
}

impl ReadCertificates {
    /// Reads `files`. Blocks.
    ///
    /// # Errors
    /// When a certificate or key cannot be used.
    pub fn of(files: &[CertificateFiles]) -> Result<Self, CertificateUnusable> {
        let read_from = read_all(files)?;
        let by_name = CertificatesByName::read(files, &read_from)?;
        Ok(Self(Served { files: files.to_vec(), by_name, read_from }))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // Only this protocol, says RFC 8737, section 3; and nobody else gets that certificate.
        if hello.alpn().is_some_and(|mut offered| offered.next() == Some(ACME_TLS) && offered.next().is_none()) {
            return self.answers.tls_alpn_01(hello.server_name()?);
        }
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        self.choose(hello.server_name(), fits)
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.served.load().files.iter().map(|files| &files.cert)).finish()
    }
}

/// Certificates by the names in them, in the order of the configuration. Without SNI, or for a name that none covers, the
/// first ones answer: the visitor then reads whose certificate it is instead of a bare alert, and the request is refused as
/// an unknown host. Where there are no files there is nothing to answer with.
#[derive(Default)]
struct CertificatesByName {
    exact: HashMap<String, Vec<Arc<CertifiedKey>>>,
    wildcard: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// The first one, and those of other kinds of key for the same names.
    first: Vec<Arc<CertifiedKey>>,
    ends: Vec<(String, Timestamp)>,
}

impl CertificatesByName {
    fn read(files: &[CertificateFiles], read_from: &[Pair]) -> Result<Self, CertificateUnusable> {
        let mut chosen = Self::default();
        let mut first_names: Option<Vec<String>> = None;
        for (files, pair) in files.iter().zip(read_from) {
            let key = Arc::new(certified(files, pair)?);
            let (names, end) = names_and_end(&key, &files.cert)?;
            if first_names.get_or_insert_with(|| names.clone()).iter().any(|name| names.contains(name)) {
                chosen.first.push(Arc::clone(&key));
            }
            chosen.ends.extend(names.first().map(|name| (name.clone(), end)));
            for name in names {
                match name.strip_prefix("*.") {
                    Some(parent) => chosen.wildcard.entry(parent.to_owned()).or_default().push(Arc::clone(&key)),
                    None => chosen.exact.entry(name).or_default().push(Arc::clone(&key)),
                }
            }
        }
        Ok(chosen)
    }

    fn of(&self, name: &str) -> Option<&Vec<Arc<CertifiedKey>>> {
        let name = name.to_ascii_lowercase();
        // A wildcard stands for exactly one label (RFC 9525, section 6.3).
        let parent = name.split_once('.').map(|(_, parent)| parent);
        self.exact.get(&name).or_else(|| self.wildcard.get(parent?))
    }
}

fn read_all(files: &[CertificateFiles]) -> Result<Vec<Pair>, CertificateUnusable> {
    let pair = |files: &CertificateFiles| Ok(Pair { chain: read(&files.cert)?, key: read(&files.key)?.into() });
    files.iter().map(pair).collect()
}

fn certified(files: &CertificateFiles, pair: &Pair) -> Result<CertifiedKey, CertificateUnusable> {
    let cert_path = files.cert.display().to_string();
    let key_path = files.key.display().to_string();
    let chain: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(&pair.chain).collect();
    let chain = chain.unwrap_or_default();
    if chain.is_empty() {
        return Err(CertificateUnusable::NotPem { path: cert_path, wanted: "certificate" });
    }
    let key = PrivateKeyDer::from_pem_slice(&pair.key)
        .map_err(|_| CertificateUnusable::NotPem { path: key_path.clone(), wanted: "private key" })?;
    CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider())
        .and_then(|pair| pair.keys_match().map(|()| pair))
        .map_err(|source| CertificateUnusable::WrongKey { cert: cert_path, key: key_path, source })
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateUnusable> {
    std::fs::read(path).map_err(|source| CertificateUnusable::Unreadable { path: path.display().to_string(), source })
}

/// The names in the gateway's own certificate, and until when it is valid.
fn names_and_end(key: &CertifiedKey, path: &Path) -> Result<(Vec<String>, Timestamp), CertificateUnusable> {
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
    let end = Timestamp::from_seconds(leaf.validity().not_after.timestamp());
    if names.is_empty() { Err(CertificateUnusable::NoNames { path }) } else { Ok((names, end)) }
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
        let certificates = Certificates::load(&[one, two]).unwrap();
        let first = certificates.served.load().by_name.first[0].clone();
        let is_first = |name| Arc::ptr_eq(&certificates.choose(name, |_| true).unwrap(), &first);
        assert!(is_first(Some("Support.Acme.com")));
        assert!(!is_first(Some("help.globex.com")));
        assert!(!is_first(Some("globex.com")));
        for unknown in [Some("a.b.globex.com"), Some("evil.test"), None] {
            assert!(is_first(unknown), "{unknown:?}");
        }
    }

    #[test]
    fn unusable_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let one = write_pair(folder.path(), "one", &["support.acme.com"]);
        let two = write_pair(folder.path(), "two", &["support.acme.com"]);
        let message = |cert: &Path, key: &Path| {
            let files = CertificateFiles { cert: cert.to_owned(), key: key.to_owned() };
            Certificates::load(&[files]).unwrap_err().to_string()
        };
        assert!(message(&folder.path().join("none.pem"), &one.key).contains("cannot read"));
        assert!(message(&one.key, &one.key).contains("holds no certificate in PEM form"));
        assert!(message(&one.cert, &one.cert).contains("holds no private key in PEM form"));
        assert!(message(&one.cert, &two.key).contains("does not fit the certificate"));
    }

    #[test]
    fn renewed_files_are_served_and_bad_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let files = write_pair(folder.path(), "one", &["support.acme.com"]);
        let certificates = Certificates::load(std::slice::from_ref(&files)).unwrap();
        let leaf = || certificates.choose(None, |_| true).unwrap().cert[0].clone();
        let (before, old_key) = (leaf(), std::fs::read(&files.key).unwrap());
        assert_eq!(certificates.look().unwrap(), Look::Unchanged);
        // Half of a renewal: the certificate is new, its key is not there yet.
        write_pair(folder.path(), "one", &["support.acme.com"]);
        let new_key = std::fs::read(&files.key).unwrap();
        std::fs::write(&files.key, &old_key).unwrap();
        assert!(certificates.look().unwrap_err().to_string().contains("does not fit the certificate"));
        assert_eq!(leaf(), before);
        std::fs::write(&files.key, &new_key).unwrap();
        assert_eq!(certificates.look().unwrap(), Look::Changed);
        assert_ne!(leaf(), before);
        assert_eq!(certificates.look().unwrap(), Look::Unchanged);
        let after = leaf();
        std::fs::write(&files.cert, "-----BEGIN CERTIFICATE-----").unwrap();
        assert!(certificates.look().is_err());
        std::fs::remove_file(&files.cert).unwrap();
        assert!(certificates.look().is_err());
        assert_eq!(leaf(), after, "the last good one is served on");
    }

    #[test]
    fn each_visitor_gets_a_kind_of_key_that_they_can_verify() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (write_pair(folder.path(), "one", &["a.test"]), write_pair(folder.path(), "two", &["a.test"]));
        let certificates = Certificates::load(&[one, two]).unwrap();
        let served = certificates.served.load();
        let [first, second] = &served.by_name.first[..] else { panic!("both are for the same name") };
        let choose = |fits: &dyn Fn(&&Arc<CertifiedKey>) -> bool| certificates.choose(Some("a.test"), fits).unwrap();
        assert!(Arc::ptr_eq(&choose(&|_| true), first), "the order of the file counts");
        assert!(Arc::ptr_eq(&choose(&|key| Arc::ptr_eq(key, second)), second));
        assert!(Arc::ptr_eq(&choose(&|_| false), first), "rustls says then what is missing");
    }

    #[test]
    fn what_was_issued_is_for_hosts_that_no_file_covers() {
        use crate::acme::WantedCertificate;
        use crate::acme::settings::KeyType;
        let folder = tempfile::tempdir().unwrap();
        let file = write_pair(folder.path(), "one", &["a.test"]);
        let certificates = Certificates::load(std::slice::from_ref(&file)).unwrap();
        let host = |name: &str| HostName::parse(name).unwrap();
        let made = |name: &str| {
            let files = write_pair(folder.path(), "issued", &[name]);
            let pair = read_all(std::slice::from_ref(&files)).unwrap().remove(0);
            let wanted = WantedCertificate { host: host(name), key_type: KeyType::EcdsaP256 };
            let at = Timestamp::from_seconds;
            Issued { wanted, key: Arc::new(certified(&files, &pair).unwrap()), begins: at(0), ends: at(1) }
        };
        assert!(certificates.covers(&host("a.test")) && !certificates.covers(&host("b.test")));
        let (a, b) = (made("a.test"), made("b.test"));
        certificates.serve(&[host("b.test"), host("c.test")], &[a.clone(), b.clone()]);
        let chosen = |name: Option<&str>| certificates.choose(name, |_| true);
        assert!(!Arc::ptr_eq(&chosen(Some("a.test")).unwrap(), &a.key), "a file comes first");
        assert!(Arc::ptr_eq(&chosen(Some("B.test")).unwrap(), &b.key));
        assert!(chosen(Some("c.test")).is_none(), "who waits for the first certificate is served with no other");
        assert!(Arc::ptr_eq(&chosen(None).unwrap(), &chosen(Some("a.test")).unwrap()));
        assert_eq!(certificates.ends().iter().filter(|(name, _)| name == "b.test").count(), 1);
        let without_files = Certificates::load(&[]).unwrap();
        without_files.serve(&[host("b.test")], &[b]);
        assert!(
            without_files.choose(None, |_| true).is_none() && without_files.choose(Some("x.test"), |_| true).is_none()
        );
    }
}
