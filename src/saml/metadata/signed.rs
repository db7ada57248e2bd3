//! Metadata that has to be signed (SAML Metadata 3).

use super::refused::MetadataRefused;
use crate::saml::keys::VerificationKeys;
use crate::saml::signature::{SignaturePolicy, verify_root};
use crate::saml::xml::{Xml, XmlLimits};

/// The octets of metadata that a key of `keys` signed: the only ones to read when a signature is demanded. The root has to
/// be signed, so that an entity's end lies within what is signed, too. SHA-1 is never believed here.
///
/// # Errors
/// When it is not signed, or not as it has to be.
pub fn signed_octets(octets: &[u8], keys: &VerificationKeys) -> Result<Vec<u8>, MetadataRefused> {
    let xml = Xml::parse(octets, XmlLimits::METADATA)?;
    match verify_root(&xml, keys, SignaturePolicy::default()) {
        Ok(Some(verified)) => Ok(verified.into_octets()),
        Ok(None) => Err(MetadataRefused::Unsigned),
        Err(refused) => Err(MetadataRefused::Signature(refused)),
    }
}

#[cfg(test)]
mod tests;
