//! Our keys at a SAML provider, and the certificates that vouch for its metadata.

use std::sync::Arc;

use crate::config::check::{Check, all};
use crate::config::raw::{RawKeyPair, RawSaml, RawSecret};
use crate::config::tree::Place;
use crate::saml::keys::{DecryptionKey, KeyRefused, VerificationKeys, certificates_from_pem};
use crate::saml::signing_key::{SigningKey, SigningKeyRefused};
use crate::secret::Secret;
use crate::sign_in::saml::OwnKeys;

/// A key in both of its uses.
struct Both {
    signing: SigningKey,
    /// `None` for a key that is not RSA: nothing can be encrypted for it.
    decryption: Option<DecryptionKey>,
}

impl Check<'_> {
    pub(super) fn saml_keys(&mut self, place: &Place<'_>, raw: &RawSaml) -> Option<Arc<OwnKeys>> {
        let (key_place, certificate_place) = (place.key("signing_key"), place.key("certificate"));
        let first = match (&raw.signing_key, &raw.certificate) {
            (Some(key), Some(certificate)) => self.key_pair(&key_place, key, &certificate_place, certificate).map(Some),
            (None, None) => Some(None),
            (Some(_), None) => {
                if !self.report.is_broken(&certificate_place) {
                    self.fault(&key_place, "has no certificate to go with it", "add certificate");
                }
                None
            }
            (None, Some(_)) => {
                if !self.report.is_broken(&key_place) {
                    self.fault(&certificate_place, "has no private key to go with it", "add signing_key");
                }
                None
            }
        };
        let more_place = place.key("more_keys");
        let raw_more = raw.more_keys.as_deref().unwrap_or_default();
        if matches!(first, Some(None)) && !raw_more.is_empty() {
            self.fault(&more_place, "comes after signing_key, which is not given", "add signing_key and certificate");
        }
        let more = self.key_pairs(&more_place, raw_more);
        let encryption_place = place.key("encryption_keys");
        let encryption = self.key_pairs(&encryption_place, raw.encryption_keys.as_deref().unwrap_or_default());
        for (index, pair) in encryption.iter().flatten().enumerate() {
            if pair.decryption.is_none() {
                let what = "is not an RSA key: nothing can be encrypted for it";
                self.fault(&encryption_place.index(index).key("key"), what, "openssl genrsa -out KEY 3072");
            }
        }
        let signing: Vec<Both> = first?.into_iter().chain(more?).collect();
        Some(Arc::new(own_keys(signing, encryption?)))
    }

    fn key_pairs(&mut self, place: &Place<'_>, raw: &[RawKeyPair]) -> Option<Vec<Both>> {
        let pairs = raw.iter().enumerate().map(|(index, pair)| {
            let place = place.index(index);
            self.key_pair(&place.key("key"), &pair.key, &place.key("certificate"), &pair.certificate)
        });
        all(pairs.collect())
    }

    fn key_pair(
        &mut self,
        key_place: &Place<'_>,
        key: &RawSecret,
        certificate_place: &Place<'_>,
        certificate: &RawSecret,
    ) -> Option<Both> {
        let (key, certificate) = (self.any_secret(key_place, key), self.any_secret(certificate_place, certificate));
        let (key, certificate) = (key?, certificate?);
        match SigningKey::from_pem(&key, certificate.reveal().as_bytes()) {
            Ok(signing) => Some(Both { signing, decryption: self.decryption_key(key_place, &key)? }),
            Err(refused) => {
                let (at, cure) = match refused {
                    SigningKeyRefused::NoCertificate => (certificate_place, "PEM, self-signed is fine"),
                    SigningKeyRefused::CertificateOfAnotherKey => (certificate_place, "take the one made with the key"),
                    _ => {
                        (key_place, "such as openssl req -x509 -newkey rsa:3072 -nodes -days 3650 -subj /CN=vestibule")
                    }
                };
                self.fault(at, refused.to_string(), cure);
                None
            }
        }
    }

    /// A key that signs, and its certificate.
    pub(in crate::config::check) fn signing_key_pair(
        &mut self,
        key_place: &Place<'_>,
        key: &RawSecret,
        certificate_place: &Place<'_>,
        certificate: &RawSecret,
    ) -> Option<SigningKey> {
        self.key_pair(key_place, key, certificate_place, certificate).map(|pair| pair.signing)
    }

    /// The same key, to open what is encrypted for it: an RSA key, or no such key.
    fn decryption_key(&mut self, place: &Place<'_>, key: &Secret) -> Option<Option<DecryptionKey>> {
        match DecryptionKey::from_pem(key) {
            Ok(key) => Some(Some(key)),
            Err(KeyRefused::UnreadablePrivateKey) => Some(None),
            Err(refused) => {
                self.fault(place, refused.to_string(), "");
                None
            }
        }
    }

    /// Certificates whose keys can verify; at least one.
    pub(super) fn trusted_certificates(&mut self, place: &Place<'_>, raw: &RawSecret) -> Option<Vec<Vec<u8>>> {
        let text = self.any_secret(place, raw)?;
        let certificates = certificates_from_pem(text.reveal().as_bytes());
        match VerificationKeys::from_certificates(&certificates) {
            Ok(_) => Some(certificates),
            Err(refused) => {
                self.fault(place, refused.to_string(), "PEM, with lines \"-----BEGIN CERTIFICATE-----\"");
                None
            }
        }
    }
}

/// Keys for encryption alone take that duty from the others.
fn own_keys(signing: Vec<Both>, encryption: Vec<Both>) -> OwnKeys {
    let alone = !encryption.is_empty();
    let (mut signs, mut decrypts, mut certificates) = (Vec::new(), Vec::new(), Vec::new());
    let mut opens = |key: Option<DecryptionKey>, certificate: &[u8]| {
        if let Some(key) = key {
            decrypts.push(key);
            certificates.push(certificate.to_vec());
        }
    };
    for pair in encryption {
        opens(pair.decryption, pair.signing.certificate());
    }
    for Both { signing, decryption } in signing {
        opens(decryption.filter(|_| !alone), signing.certificate());
        signs.push(signing);
    }
    OwnKeys::new(signs, decrypts, certificates)
}
