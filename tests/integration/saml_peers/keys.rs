//! Keys with self-signed certificates, in PEM.

use std::path::Path;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256};
use rustls_pki_types::PrivatePkcs8KeyDer;

/// A key and its certificate.
#[derive(Clone)]
pub struct Pair {
    pub key: String,
    pub certificate: String,
}

impl Pair {
    /// RSA with 2048 bits.
    pub fn rsa() -> Self {
        let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let der = PrivatePkcs8KeyDer::from(der.as_ref());
        Self::of(&KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_RSA_SHA256).unwrap())
    }

    /// ECDSA on P-256.
    pub fn p256() -> Self {
        Self::of(&KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap())
    }

    /// ECDSA on P-384.
    pub fn p384() -> Self {
        Self::of(&KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap())
    }

    fn of(key: &KeyPair) -> Self {
        let certificate = CertificateParams::new(Vec::new()).unwrap().self_signed(key).unwrap();
        Self { key: key.serialize_pem(), certificate: certificate.pem() }
    }

    /// Writes them into `folder`, as `NAME.key` and `NAME.crt`.
    pub fn write(&self, folder: &Path, name: &str) {
        std::fs::write(folder.join(format!("{name}.key")), &self.key).unwrap();
        std::fs::write(folder.join(format!("{name}.crt")), &self.certificate).unwrap();
    }
}
