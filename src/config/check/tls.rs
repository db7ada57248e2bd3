//! Certificates, and how TLS is spoken.

use std::path::PathBuf;

use rustls::CipherSuite;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{Check, all, days, seconds};
use crate::condition::Condition;
use crate::config::raw::{
    RawCertificate, RawCipherSuite, RawClientCertificates, RawDemand, RawHsts, RawTls, RawTlsVersion,
};
use crate::config::tree::Place;
use crate::listener::settings::{
    CertificateFiles, CertificateHosts, ClientCertificateSettings, Demand, Hsts, TlsSettings, TlsVersion,
};
use crate::portal::settings::PortalSettings;

impl Check<'_> {
    pub(super) fn tls(&mut self, place: &Place<'_>, raw: &RawTls, listens_for_http: bool) -> Option<TlsSettings> {
        let list = place.key("certificates");
        let given = raw.certificates.as_deref().unwrap_or_default();
        if given.is_empty() && raw.acme.is_none() {
            match raw.certificates {
                Some(_) => self.fault(&list, "is empty", "name at least one certificate and its key"),
                None => {
                    let cure = "list the certificate files, or have certificates ordered with acme";
                    self.fault(place, "has neither certificates nor acme", cure);
                }
            }
        }
        let certificates: Vec<_> =
            given.iter().enumerate().map(|(index, raw)| self.certificate(&list.index(index), raw)).collect();
        let files: Vec<_> = certificates.iter().map(|pair| pair.as_ref().map(|pair| pair.cert.clone())).collect();
        self.distinct(&list, &files);
        let acme_place = place.key("acme");
        let acme = raw.acme.as_ref().map_or(Some(None), |raw| self.acme(&acme_place, raw, listens_for_http).map(Some));
        let place_of_visitors = place.key("client_certificates");
        let visitors = raw.client_certificates.as_ref();
        let visitors = visitors.map_or(Some(None), |raw| self.client_certificates(&place_of_visitors, raw).map(Some));
        let minimum_version = match raw.minimum_version {
            None | Some(RawTlsVersion::V1_2) => TlsVersion::V1_2,
            Some(RawTlsVersion::V1_3) => TlsVersion::V1_3,
        };
        let cipher_suites = self.cipher_suites(&place.key("cipher_suites"), raw, minimum_version);
        let hsts = self.hsts(&place.key("hsts"), raw.hsts.as_ref());
        Some(TlsSettings {
            certificates: all(certificates)?,
            minimum_version,
            cipher_suites,
            hsts: hsts?,
            acme: acme?,
            client_certificates: visitors?,
        })
    }

    fn cipher_suites(&mut self, place: &Place<'_>, raw: &RawTls, minimum_version: TlsVersion) -> Vec<CipherSuite> {
        let Some(given) = &raw.cipher_suites else { return Vec::new() };
        if given.is_empty() {
            self.fault(place, "is empty: nobody could connect", "name a suite, or remove the key");
        }
        let suites: Vec<CipherSuite> = given.iter().map(|raw| cipher_suite(*raw)).collect();
        self.distinct(place, &suites.iter().map(|suite| Some(format!("{suite:?}"))).collect::<Vec<_>>());
        let of_1_3 = |suite: &CipherSuite| format!("{suite:?}").starts_with("TLS13_");
        for (index, suite) in suites.iter().enumerate() {
            if minimum_version == TlsVersion::V1_3 && !of_1_3(suite) {
                let what = "is of TLS 1.2, which minimum_version shuts out";
                self.fault(&place.index(index), what, "remove it");
            }
        }
        if !given.is_empty() && !suites.iter().any(of_1_3) {
            self.fault(place, "has no suite of TLS 1.3", "add TLS_AES_128_GCM_SHA256: every browser speaks it");
        }
        suites
    }

    fn client_certificates(
        &mut self,
        place: &Place<'_>,
        raw: &RawClientCertificates,
    ) -> Option<ClientCertificateSettings> {
        let ca_place = place.key("ca");
        let ca = self.path(&ca_place, &raw.ca).filter(|path| {
            let pem = self.read(&ca_place, path);
            pem.and_then(|pem| self.certificates(&ca_place, &pem)).is_some()
        });
        let list = place.key("crls");
        let given = raw.crls.as_deref().unwrap_or_default().iter().enumerate();
        let crls: Vec<_> = given.map(|(index, text)| self.revocation_list(&list.index(index), text)).collect();
        self.distinct(&list, &crls);
        let list = place.key("hosts");
        let hosts = match &raw.hosts {
            None => Some(CertificateHosts::All),
            Some(hosts) if hosts.is_empty() => {
                self.fault(&list, "is empty: no portal would ask for a certificate", "name a host, or remove the key");
                None
            }
            Some(hosts) => {
                let hosts = hosts.iter().enumerate().map(|(index, text)| self.host(&list.index(index), text));
                let hosts: Vec<_> = hosts.collect();
                self.distinct(&list, &hosts);
                all(hosts).map(CertificateHosts::These)
            }
        };
        let demand = match raw.mode {
            None | Some(RawDemand::Required) => Demand::Required,
            Some(RawDemand::Optional) => Demand::Optional,
        };
        Some(ClientCertificateSettings { ca: ca?, crls: all(crls)?, hosts: hosts?, demand })
    }

    fn revocation_list(&mut self, place: &Place<'_>, text: &str) -> Option<PathBuf> {
        let path = self.path(place, text)?;
        let pem = self.read(place, &path)?;
        let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&pem).collect();
        if lists.is_ok_and(|lists| !lists.is_empty()) {
            return Some(path);
        }
        let cure = "PEM, with lines \"-----BEGIN X509 CRL-----\": openssl crl -inform DER -in LIST -out NEW";
        self.fault(place, "holds no revocation list", cure);
        None
    }

    /// Each host of `client_certificates` is one of a portal.
    pub(super) fn hosts_of_client_certificates(
        &mut self,
        place: &Place<'_>,
        tls: &TlsSettings,
        portals: &[PortalSettings],
    ) {
        let Some(CertificateHosts::These(hosts)) = tls.client_certificates.as_ref().map(|visitors| &visitors.hosts)
        else {
            return;
        };
        for (index, host) in hosts.iter().enumerate() {
            if !portals.iter().any(|portal| portal.host == *host) {
                self.fault(
                    &place.index(index),
                    format!("no portal has the host {host}"),
                    "write it as in portals[].host",
                );
            }
        }
    }

    /// A condition that looks at a certificate holds of nobody, or of everybody, where none is asked for.
    pub(super) fn conditions_over_certificates(
        &mut self,
        place: &Place<'_>,
        tls: &TlsSettings,
        portals: &[PortalSettings],
    ) {
        for (index, portal) in portals.iter().enumerate() {
            if tls.client_certificates.as_ref().is_some_and(|asked| asked.hosts.include(&portal.host)) {
                continue;
            }
            let place = place.index(index);
            let of_rules = portal.rules.iter().enumerate();
            let of_rules =
                of_rules.map(|(number, rule)| (place.key("rules").index(number).key("require"), rule.require.as_ref()));
            let admission = (place.key("admission").key("require"), portal.admission.require.as_ref());
            for (place, condition) in std::iter::once(admission).chain(of_rules) {
                if condition.is_some_and(Condition::asks_for_certificate) {
                    let what = format!("looks at a certificate, and visitors of {} are not asked for one", portal.host);
                    self.fault(&place, what, "add the host to tls.client_certificates, with mode: optional if need be");
                }
            }
        }
    }

    fn hsts(&mut self, place: &Place<'_>, raw: Option<&RawHsts>) -> Option<Hsts> {
        let default = Hsts::default();
        let Some(raw) = raw else { return Some(default) };
        let longest = days(3650);
        let max_age =
            self.duration(&place.key("max_age"), raw.max_age.as_ref(), default.max_age, seconds(0)..=longest)?;
        let hsts = Hsts {
            max_age,
            include_subdomains: raw.include_subdomains.unwrap_or(default.include_subdomains),
            preload: raw.preload.unwrap_or(default.preload),
        };
        if hsts.preload && !(hsts.include_subdomains && hsts.max_age >= days(365)) {
            let cure = "also write include_subdomains: true, and max_age of 365d or more";
            self.fault(&place.key("preload"), "is more than the rest says: no list takes such a host", cure);
            return None;
        }
        Some(hsts)
    }

    fn certificate(&mut self, place: &Place<'_>, raw: &RawCertificate) -> Option<CertificateFiles> {
        let (cert_place, key_place) = (place.key("cert"), place.key("key"));
        let (cert, key) = (self.path(&cert_place, &raw.cert), self.path(&key_place, &raw.key));
        let chain = cert.as_deref().and_then(|path| {
            let bytes = self.read(&cert_place, path)?;
            self.certificates(&cert_place, &bytes)
        });
        let sound = key.as_deref().and_then(|path| {
            let bytes = self.read(&key_place, path)?;
            self.private_key(&key_place, &bytes)
        });
        let _ = (chain?, sound?);
        Some(CertificateFiles { cert: cert?, key: key? })
    }

    /// The certificates in a PEM file, at least one.
    pub(super) fn certificates(&mut self, place: &Place<'_>, pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        match found {
            Ok(found) if found.is_empty() => {
                self.fault(place, "holds no certificate", "PEM, with lines \"-----BEGIN CERTIFICATE-----\"");
            }
            Ok(found) if found.iter().all(|der| X509Certificate::from_der(der).is_ok()) => return Some(found),
            Ok(_) | Err(_) => {
                self.fault(place, "holds a certificate that cannot be read", "make the file again: it is damaged");
            }
        }
        None
    }

    /// A private key in PEM that this program can sign with.
    pub(super) fn private_key(&mut self, place: &Place<'_>, pem: &[u8]) -> Option<PrivateKeyDer<'static>> {
        let encrypted = b"ENCRYPTED";
        if pem.windows(encrypted.len()).any(|window| window == encrypted) {
            self.fault(
                place,
                "is encrypted, and there is nobody to ask for its password",
                "openssl pkey -in KEY -out NEW",
            );
            return None;
        }
        let Ok(key) = PrivateKeyDer::from_pem_slice(pem) else {
            self.fault(place, "holds no private key", "PEM, with a line \"-----BEGIN PRIVATE KEY-----\"");
            return None;
        };
        if rustls::crypto::ring::sign::any_supported_type(&key).is_err() {
            let cure = "RSA from 2048 bits, P-256, P-384 or Ed25519";
            self.fault(place, "holds a private key of a kind that cannot be used", cure);
            return None;
        }
        Some(key)
    }
}

fn cipher_suite(raw: RawCipherSuite) -> CipherSuite {
    use RawCipherSuite as Raw;
    match raw {
        Raw::TLS_AES_128_GCM_SHA256 => CipherSuite::TLS13_AES_128_GCM_SHA256,
        Raw::TLS_AES_256_GCM_SHA384 => CipherSuite::TLS13_AES_256_GCM_SHA384,
        Raw::TLS_CHACHA20_POLY1305_SHA256 => CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        Raw::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        Raw::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        Raw::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        Raw::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        Raw::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => {
            CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
        }
        Raw::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    }
}
