//! Settings of the identity providers.

mod saml;

use std::time::Duration;

use url::Url;

pub use self::saml::{RequestSettings, SamlSettings, Unsolicited};
use crate::email::SpeaksFor;
use crate::ids::ProviderName;
use crate::secret::Secret;

/// One identity provider.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderSettings {
    /// Its name in `gateway.yaml` and in the path of its callback.
    pub name: ProviderName,
    /// What people read on the sign-in page.
    pub label: String,
    /// Home-realm discovery, and the only domains that this provider may speak for.
    pub speaks_for: SpeaksFor,
    /// The protocol.
    pub protocol: Protocol,
}

impl ProviderSettings {
    /// Who is asked, and as whom: two processes with the same text send people to the same provider. Holds no secret.
    pub fn who_is_asked(&self) -> String {
        match &self.protocol {
            Protocol::Oidc(oidc) => format!("oidc {:?} {:?}", oidc.issuer_text, oidc.client_id),
            Protocol::Saml(saml) => {
                let SamlSettings { metadata, our_entity_id, .. } = saml;
                format!("saml {:?} {:?} {our_entity_id:?}", metadata.from, metadata.entity_id)
            }
        }
    }
}

/// How a provider is spoken to.
#[derive(Clone, Debug, PartialEq)]
pub enum Protocol {
    /// OpenID Connect Core 1.0, authorization code flow.
    Oidc(OidcSettings),
    /// SAML 2.0, Web Browser SSO profile.
    Saml(SamlSettings),
}

/// An OpenID provider, and us as its relying party.
#[derive(Clone, Debug, PartialEq)]
pub struct OidcSettings {
    /// The issuer: compared byte for byte (OpenID Connect Discovery 4.3). `https`, or `http` on loopback.
    pub issuer: Url,
    /// The issuer as it was written: what `iss` has to be.
    pub issuer_text: String,
    /// Our name at the provider.
    pub client_id: String,
    /// How we prove who we are at the token endpoint.
    pub client_authentication: ClientAuthentication,
    /// Scopes; `openid` is always among them.
    pub scopes: Vec<String>,
    /// Signature algorithms that an ID token may have.
    pub algorithms: Vec<SigningAlgorithm>,
    /// Which claims mean what.
    pub claims: ClaimNames,
    /// What to make of a missing or false `email_verified`.
    pub email_trust: EmailTrust,
    /// How old an authentication may be; asks with `max_age` and checks `auth_time`.
    pub max_age: Option<Duration>,
    /// Authentication context classes to ask for (`acr_values`).
    pub acr_values: Vec<String>,
    /// The most that clocks may differ; at most 60 s.
    pub clock_skew: Duration,
    /// Whether signing out of Vestibule also signs out at the provider (RP-Initiated Logout 1.0).
    pub sign_out_at_provider: bool,
}

/// How a relying party authenticates at the token endpoint (OpenID Connect Core 9).
#[derive(Clone, Debug, PartialEq)]
pub enum ClientAuthentication {
    /// `client_secret_basic`.
    SecretBasic(Secret),
    /// `client_secret_post`.
    SecretPost(Secret),
    /// `private_key_jwt` with a PEM (PKCS#8) key.
    PrivateKeyJwt {
        /// The key: RSA, P-256, P-384 or Ed25519.
        key: Secret,
        /// The `kid` header, when the provider needs one.
        key_id: Option<String>,
    },
}

/// An ID token signature that can be allowed. `none` and HMAC cannot be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are those of RFC 7518 and RFC 8037")]
pub enum SigningAlgorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl SigningAlgorithm {
    /// All that can be allowed.
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// The `alg` value (RFC 7518, section 3.1).
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Reads an `alg` value, case-sensitively.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// Which claims mean what.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimNames {
    /// Default `email`.
    pub email: String,
    /// Default `name`.
    pub display_name: String,
    /// Default `groups`.
    pub groups: String,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self { email: "email".into(), display_name: "name".into(), groups: "groups".into() }
    }
}

/// Whether an e-mail address counts as verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailTrust {
    /// Only with `email_verified: true`.
    AsClaimed,
    /// Always: this provider only has addresses that it has verified, though it does not say so.
    DangerouslyAlways,
}
