//! From "who are you?" to a [`VerifiedIdentity`]: the way to the identity provider and back.

pub mod identity;
pub mod settings;

pub use identity::VerifiedIdentity;
