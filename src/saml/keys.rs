//! The keys that decide: an identity provider's, from its metadata, to verify with; ours, to decrypt with.
//!
//! Never a key that came with a message. Refuses by name what is too weak: RSA below 2048 bits, curves other than
//! P-256, P-384 and P-521, and every other kind of key. Validity dates of certificates do not count: in SAML, metadata says
//! which key is trusted and how long (SAML Metadata Interoperability Profile 2.6.1).

use std::fmt;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{
    KeyPair, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey,
};
use bergshamra_dsig::DsigContext;
use bergshamra_keys::{KeysManager, loader};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;

use crate::saml::base64;
use crate::secret::Secret;

/// The smallest RSA modulus that is trusted, in bits.
const SMALLEST_RSA: usize = 2048;

/// A key that is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefused {
    /// No certificate was given at all.
    #[error("there is no signing certificate")]
    NoCertificate,
    /// It is no X.509 certificate in DER or PEM.
    #[error("a signing certificate cannot be read")]
    UnreadableCertificate,
    /// RSA with fewer bits than are safe.
    #[error("an RSA key has {0} bits; at least 2048 are needed")]
    TooShort(usize),
    /// RSA with an exponent that makes no signature.
    #[error("an RSA key has an unsafe public exponent")]
    UnsafeExponent,
    /// Neither RSA nor ECDSA on a NIST curve.
    #[error("a signing certificate holds a key that is neither RSA nor ECDSA on P-256, P-384 or P-521")]
    UnsupportedKind,
    /// Nothing can be encrypted to it.
    #[error("an encryption certificate holds a key that is not RSA")]
    CannotEncrypt,
    /// The private key is not an RSA key in PEM.
    #[error("the decryption key is not an unencrypted RSA private key in PEM (PKCS#8 or PKCS#1)")]
    UnreadablePrivateKey,
}

/// The keys of one identity provider. There is at least one.
pub struct VerificationKeys {
    context: DsigContext,
    usable: usize,
    refused: Vec<KeyRefused>,
}

impl VerificationKeys {
    /// Takes the keys out of certificates in DER. One that cannot be used is left out and told by
    /// [`refused`](Self::refused), so that a provider that rolls over from a weak key still works.
    ///
    /// # Errors
    /// When none can be used.
    pub fn from_certificates(certificates: &[Vec<u8>]) -> Result<Self, KeyRefused> {
        let (mut manager, mut refused, mut usable) = (KeysManager::new(), Vec::new(), 0_usize);
        for certificate in certificates {
            match public_key(certificate) {
                Ok(key) => {
                    manager.add_key(key);
                    usable = usable.saturating_add(1);
                }
                Err(why) => refused.push(why),
            }
        }
        if usable == 0 {
            return Err(refused.first().copied().unwrap_or(KeyRefused::NoCertificate));
        }
        Ok(Self { context: DsigContext::new(manager), usable, refused })
    }

    /// How many keys there are: at least one.
    pub fn count(&self) -> usize {
        self.usable
    }

    /// Why certificates were left out.
    pub fn refused(&self) -> &[KeyRefused] {
        &self.refused
    }

    /// The keys, one by one.
    pub(in crate::saml) fn keys(&self) -> impl Iterator<Item = &bergshamra_keys::Key> {
        self.context.keys_manager.keys()
    }

    /// What the signature library verifies with.
    pub(in crate::saml) fn context(&self) -> &DsigContext {
        &self.context
    }
}

impl fmt::Debug for VerificationKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerificationKeys({}, {} refused)", self.usable, self.refused.len())
    }
}

/// One of our private keys, for what was encrypted to us.
pub struct DecryptionKey(OaepPrivateDecryptingKey);

impl DecryptionKey {
    /// Reads an RSA private key in PEM, PKCS#8 or PKCS#1.
    ///
    /// # Errors
    /// When it is not an unencrypted RSA key, or too short.
    pub fn from_pem(pem: &Secret) -> Result<Self, KeyRefused> {
        let unreadable = KeyRefused::UnreadablePrivateKey;
        let text = pem.reveal().as_bytes();
        let key = if let Some(pkcs8) = pem_blocks(text, "PRIVATE KEY").into_iter().next() {
            PrivateDecryptingKey::from_pkcs8(&pkcs8).map_err(|_| unreadable)?
        } else {
            let pkcs1 = pem_blocks(text, "RSA PRIVATE KEY").into_iter().next().ok_or(unreadable)?;
            let pair = KeyPair::from_der(&pkcs1).map_err(|_| unreadable)?;
            let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| unreadable)?;
            PrivateDecryptingKey::from_pkcs8(pkcs8.as_ref()).map_err(|_| unreadable)?
        };
        if key.key_size_bits() < SMALLEST_RSA {
            return Err(KeyRefused::TooShort(key.key_size_bits()));
        }
        OaepPrivateDecryptingKey::new(key).map(Self).map_err(|_| unreadable)
    }

    /// The key as the cipher takes it.
    pub(in crate::saml) fn oaep(&self) -> &OaepPrivateDecryptingKey {
        &self.0
    }
}

impl fmt::Debug for DecryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DecryptionKey(..)")
    }
}

/// The key of a peer, for what we encrypt to it.
pub struct EncryptionKey(OaepPublicEncryptingKey);

impl EncryptionKey {
    /// Takes the key out of a certificate in DER.
    ///
    /// # Errors
    /// When it cannot be read, is not RSA, or too weak.
    pub fn from_certificate(der: &[u8]) -> Result<Self, KeyRefused> {
        public_key(der)?;
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| KeyRefused::UnreadableCertificate)?;
        let key = PublicEncryptingKey::from_der(certificate.public_key().raw).map_err(|_| KeyRefused::CannotEncrypt)?;
        OaepPublicEncryptingKey::new(key).map(Self).map_err(|_| KeyRefused::CannotEncrypt)
    }

    /// The key as the cipher takes it.
    pub(in crate::saml) fn oaep(&self) -> &OaepPublicEncryptingKey {
        &self.0
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncryptionKey({} bits)", self.0.key_size_bits())
    }
}

/// The certificates of a PEM file as DER; its lines may be of any length.
pub fn certificates_from_pem(pem: &[u8]) -> Vec<Vec<u8>> {
    pem_blocks(pem, "CERTIFICATE")
}

/// The contents of all blocks of one label; what is not base64 is left out.
fn pem_blocks(pem: &[u8], label: &str) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(pem);
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let mut blocks = Vec::new();
    let mut rest = &*text;
    while let Some((_, after)) = rest.split_once(&begin) {
        let Some((body, next)) = after.split_once(&end) else { break };
        blocks.extend(base64::decode(body.as_bytes()));
        rest = next;
    }
    blocks
}

/// Takes the public key out of a certificate, when it is strong enough. The certificate's own signature says nothing here.
fn public_key(der: &[u8]) -> Result<bergshamra_keys::Key, KeyRefused> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| KeyRefused::UnreadableCertificate)?;
    let spki = certificate.public_key();
    match spki.parsed().map_err(|_| KeyRefused::UnreadableCertificate)? {
        PublicKey::RSA(rsa) => {
            let bits = modulus_bits(rsa.modulus);
            if bits < SMALLEST_RSA {
                return Err(KeyRefused::TooShort(bits));
            }
            // e = 1 makes every signature its own message.
            if rsa.exponent.iter().rev().skip(1).all(|&octet| octet == 0)
                && rsa.exponent.last().is_none_or(|&low| low < 3)
            {
                return Err(KeyRefused::UnsafeExponent);
            }
        }
        PublicKey::EC(_) => {}
        _ => return Err(KeyRefused::UnsupportedKind),
    }
    loader::load_spki_der(spki.raw).map_err(|_| KeyRefused::UnsupportedKind)
}

fn modulus_bits(modulus: &[u8]) -> usize {
    let significant: Vec<u8> = modulus.iter().copied().skip_while(|&octet| octet == 0).collect();
    let leading = significant.first().map_or(0, |octet| octet.leading_zeros());
    significant.len().saturating_mul(8).saturating_sub(usize::try_from(leading).unwrap_or(0))
}
