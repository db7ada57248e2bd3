//! What was encrypted to us: decrypted with our keys, then parsed as strictly as the message itself. And what we encrypt to
//! others ([`seal`]).
//!
//! Encryption proves nothing about who sent it. Every failure after the algorithms are known is one error that took the same
//! steps: a wrong key goes on with a key of no meaning, wrong padding goes on to the parser (XML Encryption 1.1, 6.1).

mod method;
mod opened;
mod seal;

use std::cell::Cell;

pub use method::{CIPHERS, KEY_TRANSPORTS};
pub use opened::Opened;
pub use seal::{NotSealed, seal};

use crate::saml::base64;
use crate::saml::keys::DecryptionKey;
use crate::saml::names::{DS, XENC};
use crate::saml::rejected::Quoted;
use crate::saml::xml::Node;

/// How many EncryptedKey elements are tried for one element.
const ENCRYPTED_KEYS: usize = 4;
/// How many private key operations one message may cost.
const KEY_OPERATIONS: u32 = 16;

/// What is encrypted cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncryptionRefused {
    /// There is no key to decrypt with.
    #[error("The identity provider encrypts, but no decryption key is configured.")]
    NoKey,
    /// An algorithm that is not used.
    #[error(
        "The encryption algorithm {0} is not supported; let the identity provider use AES-GCM or AES-CBC with RSA-OAEP."
    )]
    Unsupported(Quoted),
    /// OAEP with two different digests, which no constant-time implementation here can do.
    #[error(
        "RSA-OAEP with digest {digest} and mask generation {mask} is not supported; let the identity provider use the same \
         for both."
    )]
    OaepDigests {
        /// The digest.
        digest: &'static str,
        /// The digest of the mask generation function.
        mask: &'static str,
    },
    /// Not the structure of XML Encryption.
    #[error("The encrypted element is malformed: {0}.")]
    Malformed(&'static str),
    /// It does not decrypt, or not to what it has to be. On purpose nothing more is told.
    #[error(
        "The encrypted element cannot be decrypted with our key; let the identity provider encrypt for the certificate in \
         our metadata."
    )]
    Failed,
}

impl EncryptionRefused {
    /// The label for logs and metrics, of a closed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoKey => "saml_no_decryption_key",
            Self::Unsupported(_) | Self::OaepDigests { .. } => "saml_encryption_unsupported",
            Self::Malformed(_) => "saml_encryption_malformed",
            Self::Failed => "saml_decryption_failed",
        }
    }
}

/// Decrypts the elements of one message, within a budget of private key operations.
pub struct Decryptor<'k> {
    keys: &'k [DecryptionKey],
    operations: Cell<u32>,
}

impl<'k> Decryptor<'k> {
    /// With these keys; none is possible, and then nothing encrypted is read.
    pub fn new(keys: &'k [DecryptionKey]) -> Self {
        Self { keys, operations: Cell::new(0) }
    }

    /// Private key operations so far.
    pub fn operations(&self) -> u32 {
        self.operations.get()
    }

    /// Decrypts `wrapper`, an EncryptedAssertion or EncryptedID: exactly one EncryptedData, and EncryptedKeys in its
    /// KeyInfo or beside it.
    ///
    /// # Errors
    /// When there is no key, an algorithm is refused, the structure is wrong, or it does not decrypt.
    pub fn open(&self, wrapper: Node<'_, '_>) -> Result<Opened, EncryptionRefused> {
        if self.keys.is_empty() {
            return Err(EncryptionRefused::NoKey);
        }
        let malformed = EncryptionRefused::Malformed;
        let data = wrapper.one(XENC, "EncryptedData").map_err(|_| malformed("there is not one EncryptedData"))?;
        let cipher = method::Cipher::read(encryption_method(data)?)?;
        let keys = encrypted_keys(wrapper, data)?;
        let transports: Vec<(method::Transport, Vec<u8>)> = keys
            .into_iter()
            .map(|key| Ok((method::Transport::read(encryption_method(key)?)?, cipher_value(key)?)))
            .collect::<Result<_, EncryptionRefused>>()?;
        let ciphertext = cipher_value(data)?;
        let content_key = self.content_key(&transports, cipher);
        // With a wrong key the same steps follow, under a key that means nothing.
        let known = content_key.is_some();
        let content_key = content_key.unwrap_or_else(|| zeroize::Zeroizing::new(vec![0; cipher.key_octets()]));
        let plaintext = cipher.decrypt(&content_key, ciphertext);
        let opened = Opened::parse(wrapper, plaintext);
        if known { opened.ok_or(EncryptionRefused::Failed) } else { Err(EncryptionRefused::Failed) }
    }

    /// The first content key of the right length that one of our keys gives.
    fn content_key(
        &self,
        transports: &[(method::Transport, Vec<u8>)],
        cipher: method::Cipher,
    ) -> Option<zeroize::Zeroizing<Vec<u8>>> {
        for (transport, encrypted) in transports {
            for key in self.keys {
                let used = self.operations.get();
                if used >= KEY_OPERATIONS {
                    return None;
                }
                self.operations.set(used.saturating_add(1));
                let content_key = transport.decrypt(key, encrypted);
                if let Some(content_key) = content_key.filter(|key| key.len() == cipher.key_octets()) {
                    return Some(content_key);
                }
            }
        }
        None
    }
}

/// Whether the content of `wrapper` is encrypted so that trying altered cipher texts out tells nobody anything (AES-GCM). CBC
/// is not, and what cannot be read is taken for it.
pub fn is_authenticated(wrapper: Node<'_, '_>) -> bool {
    let data = wrapper.one(XENC, "EncryptedData").ok();
    let cipher = data.and_then(|data| method::Cipher::read(encryption_method(data).ok()?).ok());
    cipher.is_some_and(method::Cipher::is_authenticated)
}

/// The EncryptedKeys: in the KeyInfo of the data, or beside it (as Okta and Shibboleth do).
fn encrypted_keys<'x, 'a>(wrapper: Node<'x, 'a>, data: Node<'x, 'a>) -> Result<Vec<Node<'x, 'a>>, EncryptionRefused> {
    let malformed = EncryptionRefused::Malformed;
    let info = data.maybe(DS, "KeyInfo").map_err(|_| malformed("there is more than one KeyInfo"))?;
    let elsewhere = info.is_some_and(|info| {
        info.all(DS, "RetrievalMethod").any(|method| !method.attribute("URI").is_some_and(|uri| uri.starts_with('#')))
    });
    if elsewhere {
        return Err(malformed("its key is to be fetched from elsewhere"));
    }
    let inside = info.into_iter().flat_map(|info| info.all(XENC, "EncryptedKey"));
    let keys: Vec<_> = inside.chain(wrapper.all(XENC, "EncryptedKey")).collect();
    match keys.len() {
        0 => Err(malformed("there is no EncryptedKey")),
        1..=ENCRYPTED_KEYS => Ok(keys),
        _ => Err(malformed("there are more than four EncryptedKeys")),
    }
}

fn encryption_method<'x, 'a>(node: Node<'x, 'a>) -> Result<Node<'x, 'a>, EncryptionRefused> {
    node.one(XENC, "EncryptionMethod").map_err(|_| EncryptionRefused::Malformed("there is not one EncryptionMethod"))
}

/// The cipher text itself: a reference to it is never followed.
fn cipher_value(node: Node<'_, '_>) -> Result<Vec<u8>, EncryptionRefused> {
    let malformed = EncryptionRefused::Malformed;
    let data = node.one(XENC, "CipherData").map_err(|_| malformed("there is not one CipherData"))?;
    let value = data.one(XENC, "CipherValue").map_err(|_| malformed("there is not one CipherValue"))?;
    let text = value.simple_text("CipherValue").map_err(|_| malformed("there is markup in CipherValue"))?;
    base64::decode(text.as_bytes()).map_err(|_| malformed("a CipherValue is not base64"))
}
