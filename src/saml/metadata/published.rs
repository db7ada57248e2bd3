//! Metadata that we write: of the service provider that the gateway is, of the identity provider that the demo and the Cloud
//! broker are.
//!
//! The same descriptions that are read are written, so that what a peer learns of us is what we would learn of ourselves.
//! Nothing is promised that is not kept: the encryption methods are those that `encryption` decrypts.

use super::endpoint::{Endpoint, IndexedEndpoint};
use super::identity_provider::IdentityProvider;
use super::service_provider::ServiceProvider;
use super::validity::Validity;
use crate::saml::encryption::{CIPHERS, KEY_TRANSPORTS};
use crate::saml::instant;
use crate::saml::names::{DS, MD, SAMLP};
use crate::saml::sign::{key_info, sign};
use crate::saml::signing_key::{NotSigned, SigningKey};
use crate::saml::write::Element;

/// The media type of metadata (SAML Metadata, appendix A).
pub const MEDIA_TYPE: &str = "application/samlmetadata+xml";

impl ServiceProvider {
    /// The metadata as a document. With a key it is signed, for which it gets `id`, an id of
    /// [`message_id::generate`](crate::saml::message_id::generate).
    ///
    /// # Errors
    /// When the key does not sign.
    pub fn to_document(&self, id: &str, key: Option<&SigningKey>) -> Result<String, NotSigned> {
        // In the order of the schema (SAML Metadata 2.4.2, 2.4.4).
        let role = role("md:SPSSODescriptor")
            .attribute("AuthnRequestsSigned", boolean(self.signs_requests))
            .attribute("WantAssertionsSigned", boolean(self.wants_signed_assertions))
            .children(self.signing_certificates.iter().map(|certificate| signing_key(certificate)))
            .children(self.encryption_certificates.iter().map(|certificate| encryption_key(certificate)))
            .children(self.logout.iter().map(|at| endpoint("md:SingleLogoutService", at)))
            .children(self.name_id_formats.iter().map(|format| name_id_format(format)))
            .children(self.consumers.iter().map(consumer));
        document(&self.entity_id, &self.validity, role, id, key)
    }
}

impl IdentityProvider {
    /// The metadata as a document. With a key it is signed, for which it gets `id`, an id of
    /// [`message_id::generate`](crate::saml::message_id::generate).
    ///
    /// # Errors
    /// When the key does not sign.
    pub fn to_document(&self, id: &str, key: Option<&SigningKey>) -> Result<String, NotSigned> {
        // In the order of the schema (SAML Metadata 2.4.2, 2.4.3).
        let role = role("md:IDPSSODescriptor")
            .attribute("WantAuthnRequestsSigned", boolean(self.wants_signed_requests))
            .children(self.signing_certificates.iter().map(|certificate| signing_key(certificate)))
            .children(self.logout.iter().map(|at| endpoint("md:SingleLogoutService", at)))
            .children(self.name_id_formats.iter().map(|format| name_id_format(format)))
            .children(self.sign_on.iter().map(|at| endpoint("md:SingleSignOnService", at)));
        document(&self.entity_id, &self.validity, role, id, key)
    }
}

fn document(
    entity_id: &str,
    validity: &Validity,
    role: Element,
    id: &str,
    key: Option<&SigningKey>,
) -> Result<String, NotSigned> {
    let seconds = validity.cache_duration.map(|kept| format!("PT{}S", kept.as_secs()));
    let entity = Element::new("md:EntityDescriptor")
        .attribute("xmlns:md", MD)
        .attribute("xmlns:ds", DS)
        .maybe("ID", key.map(|_| id))
        .attribute("entityID", entity_id)
        .maybe("validUntil", validity.valid_until.map(instant::write))
        .maybe("cacheDuration", seconds)
        .child(role);
    let entity = match key {
        Some(key) => sign(entity, key)?,
        None => entity,
    };
    Ok(format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}\n", entity.to_xml()))
}

fn role(name: &'static str) -> Element {
    Element::new(name).attribute("protocolSupportEnumeration", SAMLP)
}

/// One key, one use: a key without a `use` would be taken for both (SAML Metadata 2.4.1.1).
fn signing_key(certificate: &[u8]) -> Element {
    Element::new("md:KeyDescriptor").attribute("use", "signing").child(key_info(certificate))
}

fn encryption_key(certificate: &[u8]) -> Element {
    let method = |algorithm: &str| Element::new("md:EncryptionMethod").attribute("Algorithm", algorithm);
    Element::new("md:KeyDescriptor")
        .attribute("use", "encryption")
        .child(key_info(certificate))
        .children(CIPHERS.iter().chain(&KEY_TRANSPORTS).map(|algorithm| method(algorithm)))
}

fn endpoint(name: &'static str, at: &Endpoint) -> Element {
    Element::new(name)
        .attribute("Binding", at.binding.uri())
        .attribute("Location", at.location.as_str())
        .maybe("ResponseLocation", at.response_location.as_deref())
}

fn consumer(consumer: &IndexedEndpoint) -> Element {
    endpoint("md:AssertionConsumerService", &consumer.endpoint)
        .attribute("index", consumer.index.to_string())
        .maybe("isDefault", consumer.is_default.then_some("true"))
}

fn name_id_format(format: &str) -> Element {
    Element::new("md:NameIDFormat").text(format)
}

const fn boolean(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

#[cfg(test)]
mod tests;
