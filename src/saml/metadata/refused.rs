//! Why metadata is not taken.

use super::endpoint::LocationRefused;
use crate::saml::signature::SignatureRefused;
use crate::saml::xml::{ShapeRefused, XmlRefused};

/// Metadata that is not taken. Each says what to change, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataRefused {
    /// It is not the strict XML that is read.
    #[error("the metadata cannot be read: {0}")]
    Xml(#[from] XmlRefused),
    /// An element is missing, twice there, or holds markup.
    #[error("the metadata cannot be read: {0}")]
    Shape(#[from] ShapeRefused),
    /// It is some other document.
    #[error("the document is no SAML metadata: its root is neither EntityDescriptor nor EntitiesDescriptor")]
    NotMetadata,
    /// The entity that is looked for is not in it.
    #[error("the metadata does not describe the entity {0}; check the entity id")]
    NoSuchEntity(String),
    /// The same entity is described twice.
    #[error("the metadata describes the entity {0} more than once")]
    EntityTwice(String),
    /// Several providers are described, and none was named.
    #[error("the metadata describes {0} providers; say which one by its entity id")]
    SeveralEntities(usize),
    /// There is no provider of the kind that is looked for.
    #[error("the metadata describes no provider with SAML 2.0 and {0}")]
    NoRole(&'static str),
    /// An entity has no id.
    #[error("an entity of the metadata has no entityID, or one that is empty or longer than 1024 characters")]
    EntityId,
    /// An attribute says what it cannot say.
    #[error("the attribute {0} of the metadata cannot be read")]
    Attribute(&'static str),
    /// Its validity has passed.
    #[error("the metadata was valid until {0}; get a fresh copy")]
    Expired(crate::clock::Timestamp),
    /// There is no key to verify with.
    #[error("the metadata of the provider has no signing certificate, so that nothing it sends could be verified")]
    NoSigningKey,
    /// A certificate is not base64.
    #[error("a certificate in the metadata is not base64")]
    Certificate,
    /// There is nowhere to send people.
    #[error("the provider offers no SingleSignOnService by HTTP-Redirect or HTTP-POST")]
    NoSignOnLocation,
    /// There is nowhere to answer to.
    #[error("the service provider has no AssertionConsumerService by HTTP-POST")]
    NoConsumerLocation,
    /// An address is not safe to send people to.
    #[error("the {0} of the metadata cannot be used: {1}")]
    Location(&'static str, LocationRefused),
    /// It has to be signed and is not.
    #[error("the metadata is not signed, and a certificate to verify it with is configured")]
    Unsigned,
    /// Its signature is not one that is trusted.
    #[error("the signature of the metadata is not good under the configured certificate: {0}")]
    Signature(SignatureRefused),
}
