//! A key for SAML, of the provider or of its counterpart: RSA, as with most providers.

use std::path::Path;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256};
use rustls_pki_types::PrivatePkcs8KeyDer;

use crate::demo::certificates::{CertificateError, IssuedCertificate, save_pair};
use crate::saml::signing_key::SigningKey;
use crate::secret::Secret;

/// The key with its certificate, which says nothing but the key: in SAML the metadata is what is trusted.
#[derive(Debug)]
pub struct ProviderKey {
    signing: SigningKey,
    certificate_pem: String,
    key_pem: Secret,
}

impl ProviderKey {
    /// Makes a key.
    ///
    /// # Errors
    /// When none can be made.
    pub fn generate() -> Result<Self, CertificateError> {
        let refused = |_| CertificateError::Making(rcgen::Error::CouldNotParseKeyPair);
        let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).map_err(refused)?;
        let der: Pkcs8V1Der<'_> = pair.as_der().map_err(refused)?;
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(der.as_ref()), &PKCS_RSA_SHA256)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Demo identity provider");
        let certificate = params.self_signed(&key)?.pem();
        let made = Self::read(certificate, Secret::generated(key.serialize_pem()));
        made.ok_or(CertificateError::Making(rcgen::Error::CouldNotParseKeyPair))
    }

    /// Takes the key kept in `directory` as `NAME.pem` and `NAME.key`, or makes one and keeps it there.
    ///
    /// # Errors
    /// When the directory cannot be written, or no key can be made.
    pub fn load_or_generate(directory: &Path, name: &str) -> Result<Self, CertificateError> {
        let kept = IssuedCertificate::load(directory, name).ok();
        let kept = kept.and_then(|kept| Self::read(kept.chain_pem().to_owned(), kept.key_pem().clone()));
        if let Some(kept) = kept {
            return Ok(kept);
        }
        let made = Self::generate()?;
        save_pair(directory, name, &made.certificate_pem, &made.key_pem)?;
        Ok(made)
    }

    fn read(certificate_pem: String, key_pem: Secret) -> Option<Self> {
        let signing = SigningKey::from_pem(&key_pem, certificate_pem.as_bytes()).ok()?;
        Some(Self { signing, certificate_pem, key_pem })
    }

    /// What signs.
    pub fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// The certificate, in PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_kept_and_not_shown() {
        let directory = tempfile::tempdir().unwrap();
        let keep = || ProviderKey::load_or_generate(directory.path(), "a").unwrap();
        let (made, again) = (keep(), keep());
        assert_eq!(made.certificate_pem(), again.certificate_pem());
        assert!(!format!("{made:?}").contains("PRIVATE"));
        std::fs::write(directory.path().join("a.key"), "x").unwrap();
        let another = keep();
        assert_ne!(made.certificate_pem(), another.certificate_pem());
    }
}
