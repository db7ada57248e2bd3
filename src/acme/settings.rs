//! Settings of ACME.

use std::time::Duration;

use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::secret::Secret;

/// Where certificates are ordered, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct AcmeSettings {
    /// The authority's directory (RFC 8555, section 7.1.1). Another directory is another account and other certificates.
    pub directory: Url,
    /// Who verifies the directory, in place of the system's authorities; empty for those.
    pub authorities: Vec<CertificateDer<'static>>,
    /// Whom the authority writes to, as `mailto:` addresses.
    pub contact: Vec<String>,
    /// How we prove that a host is ours: at least one way, the best first.
    pub challenges: Vec<ChallengeKind>,
    /// A certificate for each of these kinds of key, at least one.
    pub key_types: Vec<KeyType>,
    /// What binds the account to one at the authority that is known by other means (RFC 8555, section 7.3.4).
    pub external_account: Option<ExternalAccount>,
    /// The profile of certificates that is asked for.
    pub profile: Option<String>,
    /// How long before its end a certificate is renewed, in place of a third of its life.
    pub renew_before: Option<Duration>,
}

/// A way to prove that a host is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChallengeKind {
    /// A certificate in a TLS handshake on port 443 (RFC 8737).
    TlsAlpn01,
    /// A text at a path on port 80 (RFC 8555, section 8.3).
    Http01,
}

impl ChallengeKind {
    /// Its name in ACME.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Http01 => "http-01",
        }
    }
}

/// A kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyType {
    /// ECDSA on P-256.
    EcdsaP256,
    /// RSA of 2048 bits.
    Rsa2048,
}

impl KeyType {
    /// Its name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ecdsa_p256",
            Self::Rsa2048 => "rsa_2048",
        }
    }
}

/// An account that the authority knows by other means.
#[derive(Clone, Debug, PartialEq)]
pub struct ExternalAccount {
    /// Its key's id.
    pub kid: String,
    /// Its HMAC key, in base64url.
    pub key: Secret,
}
