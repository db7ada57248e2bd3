//! Sockets and TLS.

use std::net::{Ipv4Addr, SocketAddr};

use ipnet::{IpNet, Ipv6Net};
use rustls::CipherSuite;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{Check, all, minutes, seconds};
use crate::config::raw::{RawCertificate, RawCipherSuite, RawEdgeLimits, RawListen, RawTls, RawTlsVersion};
use crate::config::tree::{Place, quote};
use crate::listener::settings::{CertificateFiles, EdgeLimits, ListenSettings, TlsSettings, TlsVersion};

impl Check<'_> {
    pub(super) fn listen(&mut self, place: &Place<'_>, raw: &RawListen) -> Option<ListenSettings> {
        let https = self.address(&place.key("https"), &raw.https);
        let mut optional = |key: &str, text: Option<&String>| {
            text.map_or(Some(None), |text| self.address(&place.key(key), text).map(Some))
        };
        let (http, admin) = (optional("http", raw.http.as_ref()), optional("admin", raw.admin.as_ref()));
        let behind_tls_proxy = optional("behind_tls_proxy", raw.behind_tls_proxy.as_ref());
        let addresses = [
            ("https", https),
            ("http", http.flatten()),
            ("admin", admin.flatten()),
            ("behind_tls_proxy", behind_tls_proxy.flatten()),
        ];
        for (index, (key, address)) in addresses.iter().enumerate() {
            let earlier = addresses.iter().take(index).find(|(_, other)| collide(*address, *other));
            if let Some((other, _)) = earlier {
                let what = format!("is the address of listen.{other} too");
                self.fault(&place.key(key), what, "take another port");
            }
        }
        let networks = place.key("trusted_proxies");
        let raw_networks = raw.trusted_proxies.as_deref().unwrap_or_default();
        let proxies: Vec<_> =
            raw_networks.iter().enumerate().map(|(index, text)| self.network(&networks.index(index), text)).collect();
        self.distinct(&networks, &proxies);
        if raw.behind_tls_proxy.is_some() && raw_networks.is_empty() {
            let what = "serves the peers in listen.trusted_proxies, and there are none";
            self.fault(&place.key("behind_tls_proxy"), what, "list the networks of your load balancers there");
        }
        if raw.proxy_protocol == Some(true) && raw_networks.is_empty() {
            let what = "is spoken by the peers in listen.trusted_proxies, and there are none";
            self.fault(&place.key("proxy_protocol"), what, "list the networks of your load balancers there");
        }
        let limits = self.edge_limits(&place.key("limits"), raw.limits.as_ref());
        Some(ListenSettings {
            https: https?,
            http: http?,
            admin: admin?,
            behind_tls_proxy: behind_tls_proxy?,
            trusted_proxies: all(proxies)?,
            proxy_protocol: raw.proxy_protocol.unwrap_or(false),
            public_port: raw.public_port,
            limits: limits?,
        })
    }

    fn address(&mut self, place: &Place<'_>, text: &str) -> Option<SocketAddr> {
        let address = text.parse().ok();
        if address.is_none() {
            let what = format!("{} is not an address with a port", quote(text));
            self.fault(place, what, "such as \"[::]:443\", \"0.0.0.0:443\" or \"127.0.0.1:9090\"");
        }
        address
    }

    fn network(&mut self, place: &Place<'_>, text: &str) -> Option<IpNet> {
        let Ok(network) = text.parse::<IpNet>() else {
            let cure = match text.parse::<std::net::IpAddr>() {
                Ok(address) => format!("for one machine, write \"{}\"", IpNet::from(address)),
                Err(_) => "such as \"10.0.0.0/8\" or \"fd00::/8\"".to_owned(),
            };
            self.fault(place, format!("{} is not a network", quote(text)), cure);
            return None;
        };
        let everyone = match network {
            IpNet::V4(network) => network.prefix_len() == 0,
            // ::ffff:0:0/96 is every IPv4 address once more.
            IpNet::V6(network) => {
                let mapped = Ipv6Net::new(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped(), 96);
                mapped.is_ok_and(|mapped| network.contains(&mapped))
            }
        };
        if everyone {
            let what = format!("{network} is everybody: any visitor could name any address as their own");
            self.fault(place, what, "list the networks of your load balancers");
            return None;
        }
        if network != network.trunc() {
            let cure = format!("write \"{}\"", network.trunc());
            self.fault(place, format!("{network} has bits set behind its prefix"), cure);
            return None;
        }
        Some(network)
    }

    fn edge_limits(&mut self, place: &Place<'_>, raw: Option<&RawEdgeLimits>) -> Option<EdgeLimits> {
        let nothing = RawEdgeLimits::default();
        let raw = raw.unwrap_or(&nothing);
        let default = EdgeLimits::default();
        let least = default.header_count.min(16);
        let bytes = u64::try_from(default.header_bytes).unwrap_or(u64::MAX);
        let header_bytes =
            self.size(&place.key("header_bytes"), raw.header_bytes.as_ref(), bytes, 4 * 1024..=256 * 1024);
        let given = raw.header_count.and_then(|count| usize::try_from(count).ok());
        // Pingora reads at most 256 header fields.
        let header_count = self.count(&place.key("header_count"), given, default.header_count, least..=256);
        let header_time = self.duration(
            &place.key("header_time"),
            raw.header_time.as_ref(),
            default.header_time,
            seconds(1)..=minutes(2),
        );
        let idle_time =
            self.duration(&place.key("idle_time"), raw.idle_time.as_ref(), default.idle_time, seconds(1)..=minutes(60));
        let given = raw.connections.and_then(|count| usize::try_from(count).ok());
        let connections = self.count(&place.key("connections"), given, default.connections, 1..=1_000_000);
        let drain = self.duration(&place.key("drain"), raw.drain.as_ref(), default.drain, seconds(0)..=minutes(60));
        Some(EdgeLimits {
            header_bytes: usize::try_from(header_bytes?).ok()?,
            header_count: header_count?,
            header_time: header_time?,
            idle_time: idle_time?,
            connections: connections?,
            drain: drain?,
        })
    }

    pub(super) fn tls(&mut self, place: &Place<'_>, raw: &RawTls) -> Option<TlsSettings> {
        let list = place.key("certificates");
        if raw.certificates.is_empty() {
            self.fault(&list, "is empty", "name at least one certificate and its key");
        }
        let certificates: Vec<_> =
            raw.certificates.iter().enumerate().map(|(index, raw)| self.certificate(&list.index(index), raw)).collect();
        let files: Vec<_> = certificates.iter().map(|pair| pair.as_ref().map(|pair| pair.cert.clone())).collect();
        self.distinct(&list, &files);
        let minimum_version = match raw.minimum_version {
            None | Some(RawTlsVersion::V1_2) => TlsVersion::V1_2,
            Some(RawTlsVersion::V1_3) => TlsVersion::V1_3,
        };
        let cipher_suites = self.cipher_suites(&place.key("cipher_suites"), raw, minimum_version);
        Some(TlsSettings { certificates: all(certificates)?, minimum_version, cipher_suites })
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

/// Whether two sockets cannot both be open. Port 0 takes any free one.
fn collide(one: Option<SocketAddr>, other: Option<SocketAddr>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return false };
    let same_host = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && one.port() != 0 && same_host
}
