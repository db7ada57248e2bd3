//! SAML 2.0 as a protocol: reading, judging, writing and signing its messages.
//!
//! Owns the XML of SAML, from octets to claims and back. Does no I/O, reads no clock and knows no session: keys, `now` and
//! what was asked for are arguments. `sign_in::saml` uses it as a service provider, the Cloud broker and the demo as an
//! identity provider, `vestibule saml verify` as a tool: one code path for all.
//!
//! Trusts nothing in a message but what a signature under a key from metadata covers, read from the very octets that were
//! hashed. Refuses what is not one of the few shapes that providers really send (`docs/security.md` tells which attack
//! stops where).

pub mod authn_request;
pub mod base64;
pub mod binding;
pub mod encryption;
pub mod instant;
pub mod issue;
pub mod keys;
pub mod logout;
pub mod mapping;
pub mod message;
pub mod message_id;
pub mod metadata;
pub mod name_id;
pub mod names;
pub mod rejected;
pub mod response;
pub mod sign;
pub mod signature;
pub mod signing_key;
pub mod status;
#[cfg(test)]
pub(crate) mod test_keys;
#[cfg(test)]
pub(crate) mod test_signer;
#[cfg(test)]
pub(crate) mod test_xmlsec;
pub mod write;
pub mod xml;
