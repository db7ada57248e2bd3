//! What we encrypt: AES-256-GCM, its key by RSA-OAEP (XML Encryption 1.1), in the one shape that every receiver reads.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rsa::OAEP_SHA1_MGF1SHA1;
use zeroize::Zeroizing;

use crate::random::{NoRandomness, Random};
use crate::saml::base64;
use crate::saml::keys::EncryptionKey;
use crate::saml::names::{AES256_GCM, DS, RSA_OAEP_MGF1P, SAML, SHA1, XENC};
use crate::saml::write::Element;

/// That the plain text was one element.
const OF_AN_ELEMENT: &str = "http://www.w3.org/2001/04/xmlenc#Element";

/// Nothing was encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSealed {
    /// There is no randomness for a key.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The key of the receiver does not encrypt.
    #[error("the receiver's key does not encrypt")]
    Key,
}

/// Encrypts `element`, which declares all prefixes that it uses, into `wrapper`: `saml:EncryptedAssertion` or
/// `saml:EncryptedID`.
///
/// OAEP goes with SHA-1, which is as good as any digest there and the only one that all receivers know.
///
/// # Errors
/// When there is no randomness, or the key does not encrypt.
pub fn seal(
    wrapper: &'static str,
    element: &Element,
    to: &EncryptionKey,
    random: &Random,
) -> Result<Element, NotSealed> {
    let content_key = Zeroizing::new(random.bytes::<32>()?);
    let nonce = random.bytes::<12>()?;
    let mut text = element.to_xml().into_bytes();
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*content_key).map_err(|_| NotSealed::Key)?);
    // A key of its own for each text, so that no nonce comes twice.
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut text)
        .map_err(|_| NotSealed::Key)?;
    let data = [nonce.as_slice(), &text].concat();
    let mut encrypted = vec![0; to.oaep().ciphertext_size()];
    let encrypted_key =
        to.oaep().encrypt(&OAEP_SHA1_MGF1SHA1, &*content_key, &mut encrypted, None).map_err(|_| NotSealed::Key)?;

    let method = Element::new("xenc:EncryptionMethod")
        .attribute("Algorithm", RSA_OAEP_MGF1P)
        .child(Element::new("ds:DigestMethod").attribute("Algorithm", SHA1));
    let key = Element::new("xenc:EncryptedKey").child(method).child(cipher_data(encrypted_key));
    let sealed = Element::new("xenc:EncryptedData")
        .attribute("xmlns:xenc", XENC)
        .attribute("Type", OF_AN_ELEMENT)
        .child(Element::new("xenc:EncryptionMethod").attribute("Algorithm", AES256_GCM))
        .child(Element::new("ds:KeyInfo").attribute("xmlns:ds", DS).child(key))
        .child(cipher_data(&data));
    Ok(Element::new(wrapper).attribute("xmlns:saml", SAML).child(sealed))
}

fn cipher_data(octets: &[u8]) -> Element {
    Element::new("xenc:CipherData").child(Element::new("xenc:CipherValue").text(base64::encode(octets)))
}
