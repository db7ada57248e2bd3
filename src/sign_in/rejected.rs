//! Why a sign-in was refused, by whatever protocol.

use super::oidc::rejected::OidcRejected;
use super::saml::SamlSignInRejected;

/// A sign-in was refused. `Display` is for the log: it holds no token, code or secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignInRejected {
    /// By OpenID Connect.
    #[error(transparent)]
    Oidc(#[from] OidcRejected),
    /// By SAML.
    #[error(transparent)]
    Saml(#[from] SamlSignInRejected),
}

impl SignInRejected {
    /// The label for metrics, of a closed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Oidc(rejected) => rejected.reason(),
            Self::Saml(rejected) => rejected.reason(),
        }
    }
}
