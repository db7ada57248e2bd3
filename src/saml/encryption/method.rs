//! The algorithms of XML Encryption that are used: RSA-OAEP for keys, AES in CBC and GCM for data.

use aws_lc_rs::aead::{AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, AES_192, AES_256, DecryptingKey, DecryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512, OaepAlgorithm,
};
use zeroize::Zeroizing;

use super::EncryptionRefused;
use crate::saml::base64;
use crate::saml::keys::DecryptionKey;
use crate::saml::names::{
    AES128_CBC, AES128_GCM, AES192_CBC, AES192_GCM, AES256_CBC, AES256_GCM, DS, MGF1_SHA1, RSA_OAEP_11, RSA_OAEP_MGF1P,
    SHA1, SHA256, SHA384, SHA512, XENC, XENC11,
};
use crate::saml::rejected::Quoted;
use crate::saml::xml::Node;

/// The longest OAEP label that is read, in octets.
const LABEL: usize = 1024;
const BLOCK: usize = 16;
const NONCE: usize = 12;

/// The algorithms for data that are decrypted, the best first.
pub const CIPHERS: [&str; 6] = [AES256_GCM, AES128_GCM, AES192_GCM, AES256_CBC, AES128_CBC, AES192_CBC];

/// The ways to encrypt a content key that metadata offers, with the digests that they have when none is named: SHA-1, which
/// is safe in OAEP. Longer digests are decrypted too, but cannot be offered: they need the element `xenc11:MGF`, and peers
/// that hold metadata against the schema of XML Encryption 1.0 refuse all of it then.
pub const KEY_TRANSPORTS: [&str; 2] = [RSA_OAEP_MGF1P, RSA_OAEP_11];

/// How data is encrypted: the mode, and the octets of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cipher {
    Cbc(usize),
    Gcm(usize),
}

impl Cipher {
    /// Reads an `EncryptionMethod` of data.
    pub fn read(method: Node<'_, '_>) -> Result<Self, EncryptionRefused> {
        match method.attribute("Algorithm").unwrap_or_default() {
            AES128_CBC => Ok(Self::Cbc(16)),
            AES192_CBC => Ok(Self::Cbc(24)),
            AES256_CBC => Ok(Self::Cbc(32)),
            AES128_GCM => Ok(Self::Gcm(16)),
            AES192_GCM => Ok(Self::Gcm(24)),
            AES256_GCM => Ok(Self::Gcm(32)),
            other => Err(EncryptionRefused::Unsupported(Quoted::new(other))),
        }
    }

    /// Whether a changed cipher text never decrypts to anything.
    pub fn is_authenticated(self) -> bool {
        matches!(self, Self::Gcm(_))
    }

    pub fn key_octets(self) -> usize {
        match self {
            Self::Cbc(octets) | Self::Gcm(octets) => octets,
        }
    }

    /// Decrypts; what does not decrypt is empty, and the parser refuses it like anything else.
    pub fn decrypt(self, key: &[u8], ciphertext: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Cbc(_) => decrypt_cbc(key, ciphertext),
            Self::Gcm(_) => decrypt_gcm(key, ciphertext),
        }
        .unwrap_or_default()
    }
}

/// AES-CBC with the initialisation vector in front and the padding of XML Encryption 5.2: its last octet is its length.
fn decrypt_cbc(key: &[u8], mut ciphertext: Vec<u8>) -> Option<Vec<u8>> {
    let algorithm = match key.len() {
        16 => &AES_128,
        24 => &AES_192,
        _ => &AES_256,
    };
    let vector: [u8; BLOCK] = ciphertext.get(..BLOCK)?.try_into().ok()?;
    let key = DecryptingKey::cbc(UnboundCipherKey::new(algorithm, key).ok()?).ok()?;
    let blocks = ciphertext.get_mut(BLOCK..).filter(|blocks| !blocks.is_empty())?;
    let plaintext = key.decrypt(blocks, DecryptionContext::Iv128(FixedLength::from(vector))).ok()?;
    let padding = usize::from(*plaintext.last()?);
    // Wrong padding is cut off as one block and left to the parser: it must not be told from wrong text.
    let padding = if (1..=BLOCK).contains(&padding) { padding } else { BLOCK };
    plaintext.get(..plaintext.len().saturating_sub(padding)).map(<[u8]>::to_vec)
}

/// AES-GCM with a nonce of 96 bits in front and a tag of 128 bits behind (XML Encryption 1.1, 5.2.4).
fn decrypt_gcm(key: &[u8], mut ciphertext: Vec<u8>) -> Option<Vec<u8>> {
    let algorithm = match key.len() {
        16 => &AES_128_GCM,
        24 => &AES_192_GCM,
        _ => &AES_256_GCM,
    };
    let nonce = Nonce::try_assume_unique_for_key(ciphertext.get(..NONCE)?).ok()?;
    let key = LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?);
    let plaintext = key.open_in_place(nonce, Aad::empty(), ciphertext.get_mut(NONCE..)?).ok()?;
    Some(plaintext.to_vec())
}

/// How a content key is encrypted to us: RSA-OAEP, with one digest for the label and the mask.
pub(super) struct Transport {
    oaep: &'static OaepAlgorithm,
    label: Option<Vec<u8>>,
}

impl Transport {
    /// Reads an `EncryptionMethod` of a key. RSA PKCS#1 v1.5 is refused before any key is used (Bleichenbacher).
    pub fn read(method: Node<'_, '_>) -> Result<Self, EncryptionRefused> {
        let algorithm = method.attribute("Algorithm").unwrap_or_default();
        if algorithm != RSA_OAEP_MGF1P && algorithm != RSA_OAEP_11 {
            return Err(EncryptionRefused::Unsupported(Quoted::new(algorithm)));
        }
        let known = |child: &Node<'_, '_>| {
            child.is(DS, "DigestMethod")
                || (child.is(XENC11, "MGF") && algorithm == RSA_OAEP_11)
                || child.is(XENC, "OAEPparams")
                || child.is(XENC, "KeySize")
        };
        if !method.children().all(|child| known(&child)) {
            return Err(EncryptionRefused::Malformed("RSA-OAEP has a parameter that is not known"));
        }
        let repeated = |_| EncryptionRefused::Malformed("RSA-OAEP has a parameter twice");
        let named = |node: Option<Node<'_, '_>>, default: &'static str| match node {
            Some(node) => digest_name(node.attribute("Algorithm").unwrap_or_default()),
            None => digest_name(default),
        };
        let digest = named(method.maybe(DS, "DigestMethod").map_err(repeated)?, SHA1)?;
        // Not the digest's: MGF1 with SHA-1 whatever the digest (XML Encryption 1.1, 5.5.2).
        let mask = named(method.maybe(XENC11, "MGF").map_err(repeated)?, MGF1_SHA1)?;
        let oaep = match (digest, mask) {
            ("SHA-1", "SHA-1") => &OAEP_SHA1_MGF1SHA1,
            ("SHA-256", "SHA-256") => &OAEP_SHA256_MGF1SHA256,
            ("SHA-384", "SHA-384") => &OAEP_SHA384_MGF1SHA384,
            ("SHA-512", "SHA-512") => &OAEP_SHA512_MGF1SHA512,
            _ => return Err(EncryptionRefused::OaepDigests { digest, mask }),
        };
        let label = match method.maybe(XENC, "OAEPparams").map_err(repeated)? {
            Some(params) => Some(label(params).ok_or(EncryptionRefused::Malformed("OAEPparams is not base64"))?),
            None => None,
        };
        Ok(Self { oaep, label })
    }

    /// The content key, when it was encrypted to `key`.
    pub fn decrypt(&self, key: &DecryptionKey, encrypted: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let key = key.oaep();
        let mut output = Zeroizing::new(vec![0; key.min_output_size()]);
        let content_key = key.decrypt(self.oaep, encrypted, &mut output, self.label.as_deref()).ok()?;
        Some(Zeroizing::new(content_key.to_vec()))
    }
}

fn label(params: Node<'_, '_>) -> Option<Vec<u8>> {
    let text = params.simple_text("OAEPparams").ok()?;
    base64::decode(text.as_bytes()).ok().filter(|label| label.len() <= LABEL)
}

/// The digest that a `DigestMethod` or an `MGF` names.
fn digest_name(uri: &str) -> Result<&'static str, EncryptionRefused> {
    const MGF1: &str = "http://www.w3.org/2009/xmlenc11#mgf1";
    match uri {
        SHA1 => Ok("SHA-1"),
        SHA256 => Ok("SHA-256"),
        SHA384 => Ok("SHA-384"),
        SHA512 => Ok("SHA-512"),
        _ => match uri.strip_prefix(MGF1) {
            Some("sha1") => Ok("SHA-1"),
            Some("sha256") => Ok("SHA-256"),
            Some("sha384") => Ok("SHA-384"),
            Some("sha512") => Ok("SHA-512"),
            _ => Err(EncryptionRefused::Unsupported(Quoted::new(uri))),
        },
    }
}
