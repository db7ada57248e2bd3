//! Certificates that visitors bring: of which authorities, and which are revoked. Looked at again while they are in force.
//!
//! Whoever brings none where one is demanded, or one that is not good, gets no connection: nothing of a request is read. TLS
//! sessions are not resumed on such connections, so that every one of them is judged anew.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};

use super::certificates::{CertificateUnusable, Look};
use super::settings::{CertificateHosts, ClientCertificateSettings, Demand};
use crate::client_certificate::ClientCertificate;

/// What a connection has to do with certificates of visitors. One says nothing where no host asks for any.
#[derive(Clone, Debug)]
pub enum OfConnection {
    /// It was made for a host that asks for one: this was brought, if any.
    Asked(Option<Arc<ClientCertificate>>),
    /// It was made for a host that asks for none. These do, and their requests belong on connections of their own.
    NotAsked(Arc<CertificateHosts>),
}

/// Judges visitors' certificates by the files as they were read last.
pub struct ClientCertificates {
    files: Files,
    demand: Demand,
    /// Which authorities browsers are told of, so that they offer the right certificates: those of the first look.
    hints: Vec<DistinguishedName>,
    current: ArcSwap<Read>,
}

struct Files {
    ca: PathBuf,
    crls: Vec<PathBuf>,
}

/// What was read.
struct Read {
    verifier: Arc<dyn ClientCertVerifier>,
    octets: Vec<Vec<u8>>,
}

impl ClientCertificates {
    /// Reads the files for the first time. Blocks.
    ///
    /// # Errors
    /// When one cannot be used.
    pub fn load(settings: &ClientCertificateSettings) -> Result<Arc<Self>, CertificateUnusable> {
        let files = Files { ca: settings.ca.clone(), crls: settings.crls.clone() };
        let read = files.judged(files.read()?, settings.demand)?;
        let hints = read.verifier.root_hint_subjects().to_vec();
        Ok(Arc::new(Self { files, demand: settings.demand, hints, current: ArcSwap::from_pointee(read) }))
    }

    /// Reads the files again. Either all of them are good, or what was read before stays in force. Blocks.
    ///
    /// # Errors
    /// When one cannot be used.
    pub fn look(&self) -> Result<Look, CertificateUnusable> {
        let octets = self.files.read()?;
        if self.current.load().octets == octets {
            return Ok(Look::Unchanged);
        }
        self.current.store(Arc::new(self.files.judged(octets, self.demand)?));
        Ok(Look::Changed)
    }
}

impl Files {
    fn read(&self) -> Result<Vec<Vec<u8>>, CertificateUnusable> {
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|source| CertificateUnusable::Unreadable { path: shown(path), source })
        };
        std::iter::once(&self.ca).chain(&self.crls).map(read).collect()
    }

    /// The judge that these octets make: of the authorities, then of each list.
    fn judged(&self, octets: Vec<Vec<u8>>, demand: Demand) -> Result<Read, CertificateUnusable> {
        let mut texts = octets.iter();
        let mut roots = RootCertStore::empty();
        let authorities = texts.next().map(Vec::as_slice).unwrap_or_default();
        for authority in CertificateDer::pem_slice_iter(authorities) {
            let added = authority.ok().and_then(|authority| roots.add(authority).ok());
            added.ok_or_else(|| CertificateUnusable::NotPem { path: shown(&self.ca), wanted: "usable authority" })?;
        }
        let mut lists = Vec::new();
        for (path, text) in self.crls.iter().zip(texts) {
            let found: Result<Vec<CertificateRevocationListDer<'static>>, _> =
                CertificateRevocationListDer::pem_slice_iter(text).collect();
            let unusable = || CertificateUnusable::NotPem { path: shown(path), wanted: "revocation list" };
            let found = found.map_err(|_| unusable())?;
            if found.is_empty() {
                return Err(unusable());
            }
            lists.extend(found);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        if !lists.is_empty() {
            // A list that is over says nothing, and whoever is on no list is let in by none.
            builder = builder.with_crls(lists).only_check_end_entity_revocation().enforce_revocation_expiration();
        }
        if demand == Demand::Optional {
            builder = builder.allow_unauthenticated();
        }
        let verifier = builder
            .build()
            .map_err(|source| CertificateUnusable::Authorities { path: shown(&self.ca), what: source.to_string() })?;
        Ok(Read { verifier, octets })
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

impl ClientCertVerifier for ClientCertificates {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        self.demand == Demand::Required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.current.load().verifier.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.current.load().verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.current.load().verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.current.load().verifier.supported_verify_schemes()
    }
}

impl fmt::Debug for ClientCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificates").field("ca", &self.files.ca).field("demand", &self.demand).finish()
    }
}
