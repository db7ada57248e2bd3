//! Who is let in and what paths need, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

/// Which of the people who signed in are let in.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawAdmission {
    /// By mail domain.
    pub email_domains: Option<RawDomains>,
    /// A condition that has to hold of everybody, in a part of CEL: see [Conditions](#conditions).
    #[schemars(example = "\"support\" in claims.department", extend("x-lines" = true))]
    pub require: Option<String>,
    /// E-mail addresses of people who are not let in.
    #[schemars(extend("default" = []))]
    pub blocked_people: Option<Vec<String>>,
    /// Accounts that are not let in, whatever their address is.
    #[schemars(extend("default" = []))]
    pub blocked_accounts: Option<Vec<RawAccount>>,
    /// What refused people read about whom to ask: plain text.
    #[schemars(extend("x-lines" = true))]
    pub contact: Option<String>,
}

/// An account at an identity provider.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawAccount {
    /// The provider, by its name below `identity_providers`.
    #[schemars(example = "acme-okta")]
    pub provider: String,
    /// The provider's name for the account: `sub` of OpenID Connect.
    #[schemars(example = "00u1abcd")]
    pub subject: String,
}

/// By mail domain.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawDomains {
    /// Domains that are let in, exactly as listed; `*.acme.com` means the subdomains of `acme.com`, and not itself. An empty
    /// list means every domain that the provider may speak for.
    #[schemars(extend("default" = []))]
    pub allow: Option<Vec<String>>,
    /// Domains that are not let in, in the same form.
    #[schemars(extend("default" = []))]
    pub deny: Option<Vec<String>>,
}

/// What a path needs.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawRule {
    /// Which paths: `*` stands for one segment, `**` at the end for any rest.
    #[schemars(example = "/servicedesk/customer/kb/**")]
    pub path: String,
    /// What they need.
    #[schemars(example = &"signed_in")]
    pub access: RawAccess,
    /// A condition that has to hold of the person who is signed in: see [Conditions](#conditions).
    #[schemars(example = "\"vip\" in groups", extend("x-lines" = true))]
    pub require: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum RawAccess {
    /// Nothing: forwarded without a customer session.
    Public,
    /// A session.
    SignedIn,
    /// Nobody may.
    Deny,
}
