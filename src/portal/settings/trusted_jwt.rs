//! Settings of `trusted_jwt`: the upstream believes a token that we sign.

use std::time::Duration;

use http::HeaderName;

use super::DirectorySettings;
use crate::secret::Secret;

/// A signed token tells the upstream who the visitor is.
#[derive(Clone, Debug, PartialEq)]
pub struct TrustedJwtSettings {
    /// Private keys as PEM, at least one: the first signs, all are published.
    pub signing_keys: Vec<Secret>,
    /// `aud`: what the upstream calls itself.
    pub audience: String,
    /// `iss`; `None` for the portal's public address.
    pub issuer: Option<String>,
    /// The header field that carries the token.
    pub header: HeaderName,
    /// The cookie that carries it as well, where there is one.
    pub cookie: Option<String>,
    /// How long one token is good.
    pub lifetime: Duration,
    /// Cookies of the upstream's own session, which stay with the gateway.
    pub session_cookies: Vec<String>,
    /// What stands there.
    pub product: Product,
    /// Whether keys are published where Cloudflare Access publishes its own, and its sign-out leads to ours.
    pub cloudflare_paths: bool,
    /// Accounts, where customers are provisioned.
    pub accounts: Option<AccountsSettings>,
}

/// What stands behind a portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// Jira Service Management Data Center.
    DataCenter,
    /// Jira Service Management Cloud.
    Cloud,
    /// Any other site.
    Other,
}

/// The accounts of customers, for kinds of customer session that need none to log in.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountsSettings {
    /// Who becomes which customer; on behalf of an administrator.
    pub directory: DirectorySettings,
    /// How many calls may run at once.
    pub concurrency: usize,
    /// Time limit for one call.
    pub call_timeout: Duration,
}
