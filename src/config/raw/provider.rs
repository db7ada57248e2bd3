//! Identity providers, as they are written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{DurationText, RawSaml, RawSecret};

/// One identity provider: `oidc` or `saml`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawProvider {
    /// OpenID Connect, authorization code flow with PKCE. The redirect address to register at the provider is
    /// `https://HOST/.vestibule/oidc/NAME/callback`, for each portal that uses it.
    /// Back-channel logout is taken at `https://HOST/.vestibule/oidc/NAME/back-channel-logout`, of any one of them.
    pub oidc: Option<RawOidc>,
    /// SAML 2.0, Web Browser SSO. What to register at the provider is in our metadata at
    /// `https://HOST/.vestibule/saml/NAME/metadata`; the assertion consumer URL is `https://HOST/.vestibule/saml/NAME/acs`.
    pub saml: Option<RawSaml>,
    /// What people read on the sign-in page. Without it, the name.
    pub label: Option<String>,
    /// The only mail domains that this provider may speak for, exactly as listed, without subdomains; also the way to it
    /// with `choose: by_email`. Without it, every domain that no other provider lists.
    #[schemars(extend("default" = []), example = serde_json::json!(["acme.com"]))]
    pub email_domains: Option<Vec<String>>,
}

/// An OpenID provider.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawOidc {
    /// The provider's issuer, letter for letter as in its `/.well-known/openid-configuration`.
    #[schemars(example = "https://acme.okta.com")]
    pub issuer: String,
    /// The gateway's name at the provider.
    #[schemars(example = "0oa1b2c3")]
    pub client_id: String,
    /// The gateway's password at the provider. Exactly one of this and `private_key_jwt`.
    pub client_secret: Option<RawSecret>,
    /// How the password is sent.
    #[schemars(extend("default" = "client_secret_basic"))]
    pub client_authentication: Option<RawClientAuthentication>,
    /// A private key in place of a password: PEM, PKCS#8, not encrypted; RSA, P-256, P-384 or Ed25519.
    #[schemars(example = serde_json::json!({ "file": "certs/oidc.key" }))]
    pub private_key_jwt: Option<RawSecret>,
    /// The `kid` of that key, when the provider asks for one.
    pub key_id: Option<String>,
    /// What to ask for. `openid` is always asked for.
    #[schemars(extend("default" = ["openid", "email", "profile"]))]
    pub scopes: Option<Vec<String>>,
    /// Signatures that an ID token may have.
    #[schemars(extend("default" = ["RS256", "PS256", "ES256", "EdDSA"]))]
    pub algorithms: Option<Vec<RawAlgorithm>>,
    /// Which claims mean what.
    pub claims: Option<RawClaims>,
    /// How long ago the person may have proved who they are; older means proving it again. Without it, that is for the
    /// provider to say.
    pub max_age: Option<DurationText>,
    /// Authentication context classes to ask for, the best liked first.
    #[schemars(extend("default" = []))]
    pub acr_values: Option<Vec<String>>,
    /// The most that the provider's clock and this one may differ.
    #[schemars(extend("default" = "1m"))]
    pub clock_skew: Option<DurationText>,
    /// Whether signing out here signs out at the provider too.
    #[schemars(extend("default" = false))]
    pub sign_out_at_provider: Option<bool>,
    /// Takes every e-mail address from this provider as verified, whatever `email_verified` says. Only for a provider
    /// where nobody can enter an address of their own choice: else anybody can become anybody.
    pub email_is_verified: Option<RawEmailIsVerified>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum RawClientAuthentication {
    /// In the `Authorization` header.
    ClientSecretBasic,
    /// In the body.
    ClientSecretPost,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(extend("x-advice" = "neither none nor a shared secret ever counts as a signature"))]
pub(in crate::config) enum RawAlgorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

/// Which claims mean what.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawClaims {
    /// The claim with the e-mail address.
    #[schemars(extend("default" = "email"))]
    pub email: Option<String>,
    /// The claim with the name to show.
    #[schemars(extend("default" = "name"))]
    pub display_name: Option<String>,
    /// The claim with the list of groups.
    #[schemars(extend("default" = "groups"))]
    pub groups: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(extend("x-advice" = "remove the key to go by the provider's email_verified"))]
pub(in crate::config) enum RawEmailIsVerified {
    /// Every address counts as verified.
    DangerouslyAlways,
}
