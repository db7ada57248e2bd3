//! The keys that sign what we send.
//!
//! Owns the private key and the algorithm that goes with it. Refuses keys that no careful peer would trust, and a
//! certificate that is not the key's.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _, RsaEncoding};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::names;
use crate::secret::Secret;

/// The least size of an RSA key, in octets of its modulus: 2048 bits.
const LEAST_RSA_OCTETS: usize = 256;

/// How a key signs. SHA-1 is not among them: nobody may ask us to use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "their URIs say it")]
pub enum SignatureAlgorithm {
    RsaSha256,
    RsaSha384,
    RsaSha512,
    RsaPssSha256,
    EcdsaSha256,
    EcdsaSha384,
    EcdsaSha512,
}

impl SignatureAlgorithm {
    /// The algorithms that we sign with and that RSA keys can have.
    pub const RSA: [Self; 4] = [Self::RsaSha256, Self::RsaSha384, Self::RsaSha512, Self::RsaPssSha256];

    /// Its URI in a SignatureMethod or as `SigAlg`.
    pub const fn uri(self) -> &'static str {
        match self {
            Self::RsaSha256 => names::RSA_SHA256,
            Self::RsaSha384 => names::RSA_SHA384,
            Self::RsaSha512 => names::RSA_SHA512,
            Self::RsaPssSha256 => names::RSA_PSS_SHA256,
            Self::EcdsaSha256 => names::ECDSA_SHA256,
            Self::EcdsaSha384 => names::ECDSA_SHA384,
            Self::EcdsaSha512 => names::ECDSA_SHA512,
        }
    }

    /// The URI of the digest that goes with it.
    pub const fn digest_uri(self) -> &'static str {
        match self {
            Self::RsaSha256 | Self::RsaPssSha256 | Self::EcdsaSha256 => names::SHA256,
            Self::RsaSha384 | Self::EcdsaSha384 => names::SHA384,
            Self::RsaSha512 | Self::EcdsaSha512 => names::SHA512,
        }
    }

    fn rsa_encoding(self) -> Option<&'static dyn RsaEncoding> {
        match self {
            Self::RsaSha256 => Some(&signature::RSA_PKCS1_SHA256),
            Self::RsaSha384 => Some(&signature::RSA_PKCS1_SHA384),
            Self::RsaSha512 => Some(&signature::RSA_PKCS1_SHA512),
            Self::RsaPssSha256 => Some(&signature::RSA_PSS_SHA256),
            Self::EcdsaSha256 | Self::EcdsaSha384 | Self::EcdsaSha512 => None,
        }
    }
}

/// A key and its certificate that cannot sign for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyRefused {
    /// The text holds no private key.
    #[error("there is no PEM private key (PKCS #8, PKCS #1 or SEC 1, without a passphrase)")]
    NoKey,
    /// The key is of a kind that SAML has no use for, or broken.
    #[error("the private key is neither RSA nor ECDSA on P-256, P-384 or P-521")]
    UnknownKey,
    /// The key is too short.
    #[error("the RSA key has less than 2048 bits")]
    WeakKey,
    /// There is no certificate.
    #[error("there is no PEM certificate")]
    NoCertificate,
    /// The certificate belongs to another key.
    #[error("the certificate is not that of the private key")]
    CertificateOfAnotherKey,
    /// The key cannot be used with this algorithm.
    #[error("the key cannot sign with {}", .0.uri())]
    WrongAlgorithm(SignatureAlgorithm),
}

/// The key did not sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key did not sign")]
pub struct NotSigned;

/// A private key, its certificate, and how it signs.
pub struct SigningKey {
    pair: Pair,
    algorithm: SignatureAlgorithm,
    certificate: Vec<u8>,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ecdsa(Box<EcdsaKeyPair>),
}

/// The certificate was compared with the private key when it was read: it stands for it.
impl PartialEq for SigningKey {
    fn eq(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && self.certificate == other.certificate
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?})", self.algorithm)
    }
}

impl SigningKey {
    /// Reads a private key and its certificate; of several certificates the first. RSA keys sign with RSA-SHA256, ECDSA keys
    /// with the digest of their curve's size.
    ///
    /// # Errors
    /// When there is no usable key, or the certificate is not its own.
    pub fn from_pem(key: &Secret, certificate_pem: &[u8]) -> Result<Self, SigningKeyRefused> {
        let der = PrivateKeyDer::from_pem_slice(key.reveal().as_bytes()).map_err(|_| SigningKeyRefused::NoKey)?;
        let (pair, algorithm) = pair(&der)?;
        let certificate =
            CertificateDer::from_pem_slice(certificate_pem).map_err(|_| SigningKeyRefused::NoCertificate)?;
        let (_, parsed) = X509Certificate::from_der(&certificate).map_err(|_| SigningKeyRefused::NoCertificate)?;
        let public: &[u8] = match &pair {
            Pair::Rsa(pair) => pair.public_key().as_ref(),
            Pair::Ecdsa(pair) => pair.public_key().as_ref(),
        };
        if parsed.public_key().subject_public_key.data.as_ref() != public {
            return Err(SigningKeyRefused::CertificateOfAnotherKey);
        }
        Ok(Self { pair, algorithm, certificate: certificate.to_vec() })
    }

    /// The same key, signing with another algorithm.
    ///
    /// # Errors
    /// When the algorithm is not of this kind of key.
    pub fn with_algorithm(self, algorithm: SignatureAlgorithm) -> Result<Self, SigningKeyRefused> {
        let fits = match self.pair {
            Pair::Rsa(_) => SignatureAlgorithm::RSA.contains(&algorithm),
            Pair::Ecdsa(_) => algorithm == self.algorithm,
        };
        fits.then(|| Self { algorithm, ..self }).ok_or(SigningKeyRefused::WrongAlgorithm(algorithm))
    }

    /// How it signs.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// Its certificate, in DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Signs octets. ECDSA signatures are the two numbers side by side (RFC 4050, XML Signature 1.1 section 6.4.3).
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn sign(&self, octets: &[u8]) -> Result<Vec<u8>, NotSigned> {
        match &self.pair {
            Pair::Rsa(pair) => {
                let encoding = self.algorithm.rsa_encoding().ok_or(NotSigned)?;
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &SystemRandom::new(), octets, &mut signature).map_err(|_| NotSigned)?;
                Ok(signature)
            }
            Pair::Ecdsa(pair) => {
                let signature = pair.sign(&SystemRandom::new(), octets).map_err(|_| NotSigned)?;
                Ok(signature.as_ref().to_vec())
            }
        }
    }
}

fn pair(der: &PrivateKeyDer<'_>) -> Result<(Pair, SignatureAlgorithm), SigningKeyRefused> {
    let rsa = match der {
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).ok(),
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()).ok(),
        _ => None,
    };
    if let Some(pair) = rsa {
        if pair.public_modulus_len() < LEAST_RSA_OCTETS {
            return Err(SigningKeyRefused::WeakKey);
        }
        return Ok((Pair::Rsa(Box::new(pair)), SignatureAlgorithm::RsaSha256));
    }
    let curves: [(&'static EcdsaSigningAlgorithm, SignatureAlgorithm); 3] = [
        (&signature::ECDSA_P256_SHA256_FIXED_SIGNING, SignatureAlgorithm::EcdsaSha256),
        (&signature::ECDSA_P384_SHA384_FIXED_SIGNING, SignatureAlgorithm::EcdsaSha384),
        (&signature::ECDSA_P521_SHA512_FIXED_SIGNING, SignatureAlgorithm::EcdsaSha512),
    ];
    for (curve, algorithm) in curves {
        let pair = match der {
            PrivateKeyDer::Pkcs8(key) => EcdsaKeyPair::from_pkcs8(curve, key.secret_pkcs8_der()),
            PrivateKeyDer::Sec1(key) => EcdsaKeyPair::from_private_key_der(curve, key.secret_sec1_der()),
            _ => return Err(SigningKeyRefused::UnknownKey),
        };
        if let Ok(pair) = pair {
            return Ok((Pair::Ecdsa(Box::new(pair)), algorithm));
        }
    }
    Err(SigningKeyRefused::UnknownKey)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::saml::test_keys::{self, Kind};

    fn read(key: &str, certificate: &str) -> Result<SigningKey, SigningKeyRefused> {
        SigningKey::from_pem(&Secret::generated(key), certificate.as_bytes())
    }

    #[test]
    fn each_kind_of_key_has_its_algorithm() {
        for (kind, algorithm) in [
            (Kind::Rsa2048, SignatureAlgorithm::RsaSha256),
            (Kind::P256, SignatureAlgorithm::EcdsaSha256),
            (Kind::P384, SignatureAlgorithm::EcdsaSha384),
        ] {
            let made = test_keys::one(kind);
            let key = read(&made.key_pem, &made.certificate_pem).unwrap();
            assert_eq!(key.algorithm(), algorithm);
            assert!(!key.sign(b"octets").unwrap().is_empty());
            assert!(!format!("{key:?}").contains("PRIVATE"));
        }
    }

    #[test]
    fn keys_that_cannot_serve_are_refused_by_name() {
        let (rsa, other) = (test_keys::one(Kind::Rsa2048), test_keys::other(Kind::Rsa2048));
        assert_eq!(read("", &rsa.certificate_pem).unwrap_err(), SigningKeyRefused::NoKey);
        assert_eq!(read(&rsa.key_pem, "").unwrap_err(), SigningKeyRefused::NoCertificate);
        assert_eq!(read(&rsa.key_pem, &other.certificate_pem).unwrap_err(), SigningKeyRefused::CertificateOfAnotherKey);
        let weak = test_keys::weak_rsa_key_pem();
        let refused = read(&weak, &rsa.certificate_pem).unwrap_err();
        assert!(matches!(refused, SigningKeyRefused::WeakKey | SigningKeyRefused::UnknownKey), "{refused:?}");
        let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem();
        assert_eq!(read(&ed25519, &rsa.certificate_pem).unwrap_err(), SigningKeyRefused::UnknownKey);
    }

    #[test]
    fn an_algorithm_of_another_kind_of_key_is_refused() {
        let rsa = test_keys::one(Kind::Rsa2048).signing_key();
        let key = rsa.with_algorithm(SignatureAlgorithm::RsaPssSha256).unwrap();
        assert_eq!(key.algorithm().uri(), names::RSA_PSS_SHA256);
        let refused = key.with_algorithm(SignatureAlgorithm::EcdsaSha256).unwrap_err();
        assert_eq!(refused, SigningKeyRefused::WrongAlgorithm(SignatureAlgorithm::EcdsaSha256));
    }
}
