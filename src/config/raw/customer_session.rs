//! How the upstream comes to know the visitor, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{DurationText, RawCloudPassword, RawCloudSaml, RawTrustedJwt};

/// How the upstream comes to know the visitor. Exactly one kind.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend(
    "x-choice" = true,
    "type" = ["object", "string"],
    "pattern" = "^(cloud_saml|cloud_password|datacenter|redirect|none)$",
    "minProperties" = 1,
    "maxProperties" = 1,
))]
pub(in crate::config) struct RawCustomerSession {
    /// Jira Service Management Cloud with Atlassian Guard: the gateway is the one SAML identity provider of the site's customers,
    /// and signs them on. No password exists.
    pub cloud_saml: Option<RawCloudSaml>,
    /// Jira Service Management Data Center: the gateway signs the customer in with a fresh random password each time.
    pub datacenter: Option<RawDataCenter>,
    /// Jira Service Management Cloud: the gateway signs the customer in with the password that they have given once, at a page of
    /// ours. For sites without single sign-on for customers.
    pub cloud_password: Option<RawCloudPassword>,
    /// A short-lived signed token in each request: for plugins of Data Center that take one, and for any other site.
    pub trusted_jwt: Option<RawTrustedJwt>,
    /// After sign-in and provisioning, the visitor goes on at the site itself. Nothing is forwarded but what `rules` call
    /// `public`.
    pub redirect: Option<RawRedirect>,
    /// Nothing is injected: for upstreams that need not know the visitor.
    pub none: Option<RawNone>,
}

/// Nothing is injected.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawNone {}

/// Jira Service Management Data Center.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawDataCenter {
    /// Ways to log in, tried in this order; the one that worked is remembered.
    #[schemars(extend("default" = ["rest_session", "portal_form", "tsv"]))]
    pub logins: Option<Vec<RawLogin>>,
    /// A group that marks the accounts whose password the gateway sets. Without it, none are marked.
    #[schemars(example = "vestibule-managed")]
    pub managed_group: Option<String>,
    /// How long a customer session is used at most, whatever the upstream says.
    #[schemars(extend("default" = "4h"))]
    pub max_age: Option<DurationText>,
    /// How many logins and account calls may run at once.
    #[schemars(extend("default" = 8))]
    pub concurrency: Option<u32>,
    /// The time limit of one such call.
    #[schemars(extend("default" = "10s"))]
    pub call_timeout: Option<DurationText>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum RawLogin {
    /// `POST /rest/auth/1/session`.
    RestSession,
    /// `POST /servicedesk/customer/user/login`.
    PortalForm,
    /// `POST /rest/tsv/1.0/authenticate`.
    Tsv,
}

/// After sign-in and provisioning, the visitor goes on at the site itself.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawRedirect {
    /// The address by which browsers know the site, without a path. Without it, that of `upstream`.
    #[schemars(example = "https://acme.atlassian.net")]
    pub address: Option<String>,
    /// What stands there. Without it, `cloud` for hosts below `atlassian.net`, else `datacenter`.
    #[schemars(example = &"cloud")]
    pub product: Option<RawNativeProduct>,
    /// What becomes of people whose account there is more than a customer's: an Atlassian account at Cloud; a licensed or
    /// administrator's account at Data Center.
    #[schemars(extend("default" = "offer"))]
    pub other_accounts: Option<RawOtherAccounts>,
    /// How many calls of the `directory` may run at once.
    #[schemars(extend("default" = 8))]
    pub concurrency: Option<u32>,
    /// The time limit of one such call.
    #[schemars(extend("default" = "10s"))]
    pub call_timeout: Option<DurationText>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum RawNativeProduct {
    /// Jira Service Management Cloud.
    Cloud,
    /// Jira Service Management Data Center.
    DataCenter,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum RawOtherAccounts {
    /// They are told so, and do not go on.
    Refuse,
    /// They are told so, by a page with a link to the site itself.
    Offer,
    /// They go on at the site itself, by a page that leads there. Nothing is done for their account.
    HandOver,
}
