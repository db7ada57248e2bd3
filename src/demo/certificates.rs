//! Certificates for the demo and the tests: one authority of our own, and leaves that it issues.
//!
//! Owns the files `demo-ca.pem`, `demo-ca.key`, `NAME.pem` and `NAME.key` of one directory. Keys are ECDSA P-256; key
//! files are readable by their owner alone. What is found in the directory is used again only if a TLS client would
//! accept it for the names that were asked for.

use std::fs;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::Datelike as _;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::CryptoProvider;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use crate::clock::Timestamp;
use crate::secret::Secret;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LEAF_LIFE: Duration = DAY.saturating_mul(365);
const AUTHORITY_LIFE: Duration = DAY.saturating_mul(3650);
const AUTHORITY_FILE: &str = "demo-ca";

/// A certificate could not be made, kept or used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The certificate library refused.
    #[error("the certificate could not be made: {0}")]
    Making(#[from] rcgen::Error),
    /// The name is neither a DNS name nor an IP address.
    #[error("{0:?} is neither a host name nor an IP address")]
    Name(String),
    /// The moment lies outside what a certificate can say.
    #[error("{0} cannot be the date of a certificate")]
    Date(Timestamp),
    /// PEM text could not be read.
    #[error("the PEM text could not be read: {0}")]
    Pem(#[from] rustls_pki_types::pem::Error),
    /// rustls cannot serve with this certificate and key.
    #[error("the certificate cannot be served: {0}")]
    Tls(#[from] rustls::Error),
    /// A file could not be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// The authority that every demo server's certificate comes from.
pub struct DemoAuthority {
    certificate_pem: String,
    key_pem: Secret,
    issuer: Issuer<'static, KeyPair>,
    now: Timestamp,
}

/// A server's certificate with its key.
#[derive(Clone, Debug)]
pub struct IssuedCertificate {
    chain_pem: String,
    key_pem: Secret,
}

impl DemoAuthority {
    /// Makes an authority that is valid from the day before `now`, for ten years. Leaves are dated by the same `now`.
    ///
    /// # Errors
    /// When no key can be made, or `now` lies outside what a certificate can say.
    pub fn generate(now: Timestamp) -> Result<Self, CertificateError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named("Vestibule demo authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_validity(&mut params, now, AUTHORITY_LIFE)?;
        let certificate = params.self_signed(&key)?;
        let key_pem = Secret::generated(key.serialize_pem());
        Ok(Self { certificate_pem: certificate.pem(), key_pem, issuer: Issuer::new(params, key), now })
    }

    /// Takes the authority kept in `directory`, or makes one and keeps it there.
    ///
    /// # Errors
    /// When the directory cannot be written, or no authority can be made.
    pub fn load_or_generate(directory: &Path, now: Timestamp) -> Result<Self, CertificateError> {
        if let Some(kept) = Self::load(directory, now) {
            return Ok(kept);
        }
        let made = Self::generate(now)?;
        made.save(directory)?;
        Ok(made)
    }

    /// Keeps the authority in `directory` as `demo-ca.pem` and `demo-ca.key`.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn save(&self, directory: &Path) -> Result<(), CertificateError> {
        save_pair(directory, AUTHORITY_FILE, &self.certificate_pem, &self.key_pem)
    }

    /// What is kept there, if it can still issue certificates that live for a year.
    fn load(directory: &Path, now: Timestamp) -> Option<Self> {
        let certificate_pem = fs::read_to_string(directory.join(format!("{AUTHORITY_FILE}.pem"))).ok()?;
        let key_pem = Secret::generated(fs::read_to_string(directory.join(format!("{AUTHORITY_FILE}.key"))).ok()?);
        let key = KeyPair::from_pem(key_pem.reveal()).ok()?;
        let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes()).ok()?;
        let (_, certificate) = x509_parser::parse_x509_certificate(&der).ok()?;
        let same_key = certificate.public_key().subject_public_key.data.as_ref() == key.public_key_raw();
        let ends = Timestamp::from_seconds(certificate.validity().not_after.timestamp());
        if !same_key || ends < now.after(LEAF_LIFE) {
            return None;
        }
        let issuer = Issuer::from_ca_cert_pem(&certificate_pem, key).ok()?;
        Some(Self { certificate_pem, key_pem, issuer, now })
    }

    /// The authority's own certificate: what clients are to trust.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The authority's certificate as a set of trusted roots.
    ///
    /// # Errors
    /// When the certificate cannot be read back.
    pub fn roots(&self) -> Result<RootCertStore, CertificateError> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.certificate_pem.as_bytes())?)?;
        Ok(roots)
    }

    /// Issues a server certificate for host names and IP addresses, valid for a year from the day before.
    ///
    /// # Errors
    /// When a name is neither a DNS name nor an address, or no key can be made.
    pub fn issue(&self, names: &[&str]) -> Result<IssuedCertificate, CertificateError> {
        for name in names {
            server_name(name)?;
        }
        let owned: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new(owned)?;
        params.distinguished_name = named(names.first().copied().unwrap_or("vestibule demo"));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, self.now, LEAF_LIFE)?;
        let leaf = params.signed_by(&key, &self.issuer)?;
        Ok(IssuedCertificate { chain_pem: leaf.pem(), key_pem: Secret::generated(key.serialize_pem()) })
    }

    /// Takes the certificate kept as `NAME.pem` and `NAME.key` in `directory` if it serves all `names` for another
    /// day, or issues one and keeps it there.
    ///
    /// # Errors
    /// When no certificate can be issued, or the directory cannot be written.
    pub fn load_or_issue(
        &self,
        directory: &Path,
        name: &str,
        names: &[&str],
    ) -> Result<IssuedCertificate, CertificateError> {
        if let Ok(kept) = IssuedCertificate::load(directory, name)
            && self.vouches_for(&kept, names).is_ok()
        {
            return Ok(kept);
        }
        let issued = self.issue(names)?;
        issued.save(directory, name)?;
        Ok(issued)
    }

    /// Checks as a TLS client would that the certificate is from this authority, is good for every name, is still
    /// valid in a day, and has its key.
    ///
    /// # Errors
    /// When a client would refuse it.
    pub fn vouches_for(&self, issued: &IssuedCertificate, names: &[&str]) -> Result<(), CertificateError> {
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(self.roots()?), provider())
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        let chain = issued.chain()?;
        let (leaf, between) = chain.split_first().ok_or(rustls::Error::NoCertificatesPresented)?;
        let seconds = u64::try_from(self.now.after(DAY).seconds()).unwrap_or(0);
        let then = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        for name in names {
            verifier.verify_server_cert(leaf, between, &server_name(name)?, &[], then)?;
        }
        issued.server_config().map(drop)
    }
}

impl IssuedCertificate {
    /// The certificate chain, leaf first, as PEM.
    pub fn chain_pem(&self) -> &str {
        &self.chain_pem
    }

    /// The private key as PEM (PKCS #8).
    pub fn key_pem(&self) -> &Secret {
        &self.key_pem
    }

    /// Keeps chain and key in `directory` as `NAME.pem` and `NAME.key`; the key is for its owner's eyes alone.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn save(&self, directory: &Path, name: &str) -> Result<(), CertificateError> {
        save_pair(directory, name, &self.chain_pem, &self.key_pem)
    }

    /// Reads what [`Self::save`] kept.
    ///
    /// # Errors
    /// When a file is missing or is not text.
    pub fn load(directory: &Path, name: &str) -> Result<Self, CertificateError> {
        let read = |ending: &str| {
            let path = directory.join(format!("{name}.{ending}"));
            fs::read_to_string(&path).map_err(|error| CertificateError::File { path, error })
        };
        Ok(Self { chain_pem: read("pem")?, key_pem: Secret::generated(read("key")?) })
    }

    fn chain(&self) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
        Ok(CertificateDer::pem_slice_iter(self.chain_pem.as_bytes()).collect::<Result<_, _>>()?)
    }

    /// Settings for a TLS server that speaks HTTP/2 and HTTP/1.1.
    ///
    /// # Errors
    /// When the key does not belong to the certificate.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, CertificateError> {
        self.server_config_speaking(&["h2", "http/1.1"])
    }

    /// Settings for a TLS server that offers these protocols by ALPN (RFC 7301), the favourite first.
    ///
    /// # Errors
    /// When the key does not belong to the certificate.
    pub fn server_config_speaking(&self, protocols: &[&str]) -> Result<Arc<ServerConfig>, CertificateError> {
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.reveal().as_bytes())?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(self.chain()?, key)?;
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Ok(Arc::new(config))
    }
}

/// The one cryptography that demo servers use, whatever else is linked in.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn server_name(name: &str) -> Result<ServerName<'static>, CertificateError> {
    match name.parse::<IpAddr>() {
        Ok(address) => Ok(ServerName::from(address)),
        Err(_) => ServerName::try_from(name.to_owned()).map_err(|_| CertificateError::Name(name.to_owned())),
    }
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Vestibule demo");
    name.push(DnType::CommonName, common_name);
    name
}

/// Certificates of ours begin and end at midnight UTC, and begin the day before, for clocks that are behind.
fn set_validity(params: &mut CertificateParams, now: Timestamp, life: Duration) -> Result<(), CertificateError> {
    let midnight = |at: Timestamp| {
        let date = at.to_chrono().ok_or(CertificateError::Date(at))?.date_naive();
        let part = |value: u32| u8::try_from(value).map_err(|_| CertificateError::Date(at));
        // X.509 tells years of four digits (RFC 5280, 4.1.2.5).
        if !(1970..=9999).contains(&date.year()) {
            return Err(CertificateError::Date(at));
        }
        Ok(rcgen::date_time_ymd(date.year(), part(date.month())?, part(date.day())?))
    };
    params.not_before = midnight(now.before(DAY))?;
    params.not_after = midnight(now.after(life))?;
    Ok(())
}

/// Keeps `NAME.pem` and `NAME.key` in `directory`; the key is for its owner's eyes alone.
pub(super) fn save_pair(directory: &Path, name: &str, certificate: &str, key: &Secret) -> Result<(), CertificateError> {
    fs::create_dir_all(directory).map_err(|error| CertificateError::File { path: directory.to_owned(), error })?;
    write_file(&directory.join(format!("{name}.key")), key.reveal(), 0o600)?;
    write_file(&directory.join(format!("{name}.pem")), certificate, 0o644)
}

/// Replaces the file at once, so that no reader meets half of one.
fn write_file(path: &Path, text: &str, mode: u32) -> Result<(), CertificateError> {
    let fresh = path.with_extension(match path.extension().and_then(|ending| ending.to_str()) {
        Some(ending) => format!("{ending}.{}", std::process::id()),
        None => std::process::id().to_string(),
    });
    let write = || {
        let _ = fs::remove_file(&fresh);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    };
    write().map_err(|error| CertificateError::File { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    #[test]
    fn a_tls_client_accepts_the_chain_for_its_names_only() {
        let authority = DemoAuthority::generate(NOW).unwrap();
        let issued = authority.issue(&["jsm.internal", "127.0.0.1", "::1"]).unwrap();
        authority.vouches_for(&issued, &["jsm.internal", "127.0.0.1", "::1"]).unwrap();
        assert!(authority.vouches_for(&issued, &["other.internal"]).is_err());
        let stranger = DemoAuthority::generate(NOW).unwrap();
        assert!(stranger.vouches_for(&issued, &["jsm.internal"]).is_err());
    }

    #[test]
    fn names_and_dates_that_no_certificate_can_say_are_refused() {
        let authority = DemoAuthority::generate(NOW).unwrap();
        for wrong in ["", "a b", "a/b", "ä"] {
            assert!(matches!(authority.issue(&[wrong]), Err(CertificateError::Name(_))), "{wrong:?}");
        }
        assert!(matches!(DemoAuthority::generate(Timestamp::from_millis(i64::MAX)), Err(CertificateError::Date(_))));
    }

    #[test]
    fn what_is_kept_is_used_again_while_it_is_valid() {
        let directory = tempfile::tempdir().unwrap();
        let first = DemoAuthority::load_or_generate(directory.path(), NOW).unwrap();
        let leaf = first.load_or_issue(directory.path(), "jsm", &["jsm.internal"]).unwrap();
        let mode = |file: &str| fs::metadata(directory.path().join(file)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("demo-ca.key"), mode("jsm.key"), mode("jsm.pem")), (0o600, 0o600, 0o644));

        let again = DemoAuthority::load_or_generate(directory.path(), NOW.after(DAY)).unwrap();
        assert_eq!(again.certificate_pem(), first.certificate_pem());
        let same = again.load_or_issue(directory.path(), "jsm", &["jsm.internal"]).unwrap();
        assert_eq!(same.chain_pem(), leaf.chain_pem());
        let wider = again.load_or_issue(directory.path(), "jsm", &["jsm.internal", "localhost"]).unwrap();
        assert_ne!(wider.chain_pem(), leaf.chain_pem());
        again.vouches_for(&wider, &["jsm.internal", "localhost"]).unwrap();

        let later = DemoAuthority::load_or_generate(directory.path(), NOW.after(LEAF_LIFE)).unwrap();
        assert_eq!(later.certificate_pem(), first.certificate_pem());
        let renewed = later.load_or_issue(directory.path(), "jsm", &["jsm.internal"]).unwrap();
        assert_ne!(renewed.chain_pem(), wider.chain_pem());

        let much_later = DemoAuthority::load_or_generate(directory.path(), NOW.after(AUTHORITY_LIFE)).unwrap();
        assert_ne!(much_later.certificate_pem(), first.certificate_pem());
    }

    #[test]
    fn the_key_is_not_shown() {
        let issued = DemoAuthority::generate(NOW).unwrap().issue(&["localhost"]).unwrap();
        assert!(!format!("{issued:?}").contains("PRIVATE"));
    }
}
