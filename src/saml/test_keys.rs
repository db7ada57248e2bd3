//! Keys and certificates for tests, made once for each test process.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256};
use rustls_pki_types::PrivatePkcs8KeyDer;

use crate::saml::signing_key::SigningKey;
use crate::secret::Secret;

/// A kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Rsa2048,
    P256,
    P384,
}

/// A key with its self-signed certificate.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) key_pem: String,
    pub(crate) certificate_pem: String,
    pub(crate) certificate: Vec<u8>,
}

impl Made {
    pub(crate) fn signing_key(&self) -> SigningKey {
        SigningKey::from_pem(&Secret::generated(self.key_pem.as_str()), self.certificate_pem.as_bytes()).unwrap()
    }
}

static ONES: LazyLock<[Made; 3]> = LazyLock::new(|| [Kind::Rsa2048, Kind::P256, Kind::P384].map(make));
static OTHERS: LazyLock<[Made; 3]> = LazyLock::new(|| [Kind::Rsa2048, Kind::P256, Kind::P384].map(make));

/// The key of that kind that most tests use.
pub(crate) fn one(kind: Kind) -> Made {
    ONES[kind as usize].clone()
}

/// Another key of that kind: an attacker's, or the next one.
pub(crate) fn other(kind: Kind) -> Made {
    OTHERS[kind as usize].clone()
}

/// A private RSA key of 1024 bits, in PEM.
pub(crate) fn weak_rsa_key_pem() -> String {
    let output = std::process::Command::new("openssl")
        .args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn make(kind: Kind) -> Made {
    let key = match kind {
        Kind::Rsa2048 => {
            let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
            let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
            KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(der.as_ref()), &PKCS_RSA_SHA256).unwrap()
        }
        Kind::P256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(),
        Kind::P384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap(),
    };
    let certificate = CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
    let (key_pem, certificate_pem) = (key.serialize_pem(), certificate.pem());
    debug_assert!(certificate_pem.contains(&STANDARD.encode(certificate.der())[..48]));
    Made { key_pem, certificate_pem, certificate: certificate.der().to_vec() }
}
