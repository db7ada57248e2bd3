//! Metadata (SAML Metadata 2.0): who a provider is, where it is reached, and which keys are its own.
//!
//! Everything that is believed about a provider comes from here, so that what is not plain is refused by name: no signing
//! key, a validity that has passed, an address that is not `https`, an entity that is described twice. When a certificate
//! is given, the file has to be signed by its key, and only what the signature covers is read ([`signed_octets`]).

mod duration;
mod endpoint;
mod entity;
mod identity_provider;
pub mod published;
mod refused;
mod service_provider;
mod signed;
mod validity;

pub use self::endpoint::{Binding, Endpoint, IndexedEndpoint, LocationRefused, points_to_this_machine, vet_location};
pub use self::identity_provider::IdentityProvider;
pub use self::refused::MetadataRefused;
pub use self::service_provider::ServiceProvider;
pub use self::signed::signed_octets;
pub use self::validity::Validity;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use self::entity::Entity;
use super::xml::{Node, Xml, XmlLimits};
use crate::clock::Timestamp;

/// What is read from a file of metadata.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// The entity that is looked for. Without one, the file has to describe one provider of the kind alone.
    pub entity_id: Option<&'a str>,
    /// Now.
    pub now: Timestamp,
}

/// Reads an identity provider.
///
/// # Errors
/// Says what is wrong with the file, by name.
pub fn identity_provider(octets: &[u8], reading: &Reading<'_>) -> Result<IdentityProvider, MetadataRefused> {
    let xml = Xml::parse(octets, XmlLimits::METADATA)?;
    let entity = Entity::find(xml.root(), "IDPSSODescriptor", reading)?;
    IdentityProvider::read(&entity)
}

/// Reads a service provider: for the side that is its identity provider.
///
/// # Errors
/// Says what is wrong with the file, by name.
pub fn service_provider(octets: &[u8], reading: &Reading<'_>) -> Result<ServiceProvider, MetadataRefused> {
    let xml = Xml::parse(octets, XmlLimits::METADATA)?;
    let entity = Entity::find(xml.root(), "SPSSODescriptor", reading)?;
    ServiceProvider::read(&entity)
}

/// Reads an `xs:boolean` attribute; absent is `false`.
fn boolean(node: Node<'_, '_>, name: &'static str) -> Result<bool, MetadataRefused> {
    match node.attribute(name) {
        None | Some("false" | "0") => Ok(false),
        Some("true" | "1") => Ok(true),
        Some(_) => Err(MetadataRefused::Attribute(name)),
    }
}

/// Base64 with white space in it.
fn decode(text: &str) -> Option<Vec<u8>> {
    let compact: Vec<u8> = text.bytes().filter(|octet| !octet.is_ascii_whitespace()).collect();
    STANDARD.decode(compact).ok().filter(|octets| !octets.is_empty())
}

#[cfg(test)]
mod tests;
