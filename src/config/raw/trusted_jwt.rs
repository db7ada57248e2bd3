//! A short-lived signed token in each request, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{DurationText, RawSecret};

/// A short-lived signed token in each request.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawTrustedJwt {
    /// Private keys (PEM, PKCS #8): RSA of 2048 bits or more signs with RS256, P-256 with ES256. The first signs; all are
    /// published at `/.vestibule/jwks.json`.
    #[schemars(example = serde_json::json!([{ "file": "certs/jwt.key" }]))]
    pub signing_keys: Vec<RawSecret>,
    /// The token's `aud`: what the upstream calls itself.
    #[schemars(example = &"jira")]
    pub audience: String,
    /// The token's `iss`. Without it, the portal's public address, such as `https://support.acme.com`.
    pub issuer: Option<String>,
    /// The header field that carries the token; with `Authorization`, as a Bearer token. The visitor's own field of that
    /// name never goes on.
    #[schemars(extend("default" = "Cf-Access-Jwt-Assertion"))]
    pub header: Option<String>,
    /// A cookie that carries the token as well. The visitor's own of that name never goes on.
    #[schemars(example = &"CF_Authorization")]
    pub cookie: Option<String>,
    /// How long a token is good. The next one is signed when 80 % of that are over.
    #[schemars(extend("default" = "5m"))]
    pub lifetime: Option<DurationText>,
    /// What stands behind the portal.
    #[schemars(extend("default" = "datacenter"))]
    pub product: Option<RawTrustingProduct>,
    /// Cookies of the upstream's own session. They stay with the gateway, and no browser gets them. Without the list, those
    /// of Jira for `datacenter`, and none for `other`.
    #[schemars(example = serde_json::json!(["JSESSIONID", "seraph.rememberme.cookie"]))]
    pub session_cookies: Option<Vec<String>>,
    /// Whether the keys are also at `/cdn-cgi/access/certs`, and `/cdn-cgi/access/logout` leads to signing out: where
    /// plugins for Cloudflare Access look.
    #[schemars(extend("default" = false))]
    pub cloudflare_paths: Option<bool>,
    /// How many calls of the `directory` may run at once.
    #[schemars(extend("default" = 8))]
    pub concurrency: Option<u32>,
    /// The time limit of one such call.
    #[schemars(extend("default" = "10s"))]
    pub call_timeout: Option<DurationText>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum RawTrustingProduct {
    /// Jira Service Management Data Center: what customers never need there is closed.
    DataCenter,
    /// Any other site: only `rules` close something.
    Other,
}
