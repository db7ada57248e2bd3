//! Our keys at one provider: they sign our requests, and open what is encrypted to us.

use crate::saml::keys::DecryptionKey;
use crate::saml::signing_key::SigningKey;

/// Our keys at one provider. Without any, nothing is signed and nothing can be encrypted to us.
#[derive(Debug, Default)]
pub struct OwnKeys {
    signing: Vec<SigningKey>,
    decryption: Vec<DecryptionKey>,
    encryption_certificates: Vec<Vec<u8>>,
}

/// A certificate vouches for the private key that goes with it, so that equal certificates are equal keys.
impl PartialEq for OwnKeys {
    fn eq(&self, other: &Self) -> bool {
        let Self { signing, decryption, encryption_certificates } = self;
        *signing == other.signing
            && decryption.len() == other.decryption.len()
            && *encryption_certificates == other.encryption_certificates
    }
}

impl OwnKeys {
    /// Of `signing` the first signs, and all are published. All of `decryption` decrypt, and `encryption_certificates` are
    /// published for it.
    pub fn new(
        signing: Vec<SigningKey>,
        decryption: Vec<DecryptionKey>,
        encryption_certificates: Vec<Vec<u8>>,
    ) -> Self {
        Self { signing, decryption, encryption_certificates }
    }

    /// The key that signs.
    pub fn signing(&self) -> Option<&SigningKey> {
        self.signing.first()
    }

    /// The certificates that our signatures may verify with, in DER; the present one first.
    pub fn signing_certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.signing.iter().map(SigningKey::certificate)
    }

    /// The keys that decrypt.
    pub fn decryption(&self) -> &[DecryptionKey] {
        &self.decryption
    }

    /// The certificates to encrypt to, in DER; the present one first.
    pub fn encryption_certificates(&self) -> &[Vec<u8>] {
        &self.encryption_certificates
    }
}
