//! Sign-in by SAML 2.0, as a service provider.

pub mod metadata_source;
