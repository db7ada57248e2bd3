//! Customers at the upstream, as they are written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::RawSecret;

/// Customers at the upstream.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawDirectory {
    /// The account on whose behalf customers are found and made: a Jira administrator.
    pub site_token: Option<RawSiteToken>,
    /// Cloud: the id of the site, for a scoped API token, which is good below `https://api.atlassian.com/ex/jira/ID` alone.
    /// `https://SITE/_edge/tenant_info` shows it.
    #[schemars(example = "11223344-a1b2-3b33-c444-def123456789")]
    pub cloud_id: Option<String>,
    /// Cloud: where REST calls go in place of `upstream`, where it is not the address that `cloud_id` makes.
    #[schemars(example = "https://api.atlassian.com/ex/jira/11223344-a1b2-3b33-c444-def123456789")]
    pub api_url: Option<String>,
    /// Whether a customer is made for people who have none yet.
    #[schemars(extend("default" = true))]
    pub create_customers: Option<bool>,
    /// Service desks that every customer is added to, by number.
    #[schemars(extend("default" = []), example = serde_json::json!(["10"]))]
    pub service_desks: Option<Vec<String>>,
    /// Organizations that customers belong to. They are made when they are missing, and linked to `service_desks`. What
    /// the gateway has added and no longer holds is taken away at the next sign-in; what others have added never is.
    #[schemars(extend("default" = []))]
    pub organizations: Option<Vec<RawOrganizationRule>>,
    /// Whether the name that the identity provider tells replaces the one in Jira at sign-in.
    #[schemars(extend("default" = true))]
    pub update_display_name: Option<bool>,
    /// What becomes of customers whose admission has ended, when they come again or by `vestibule customers sync`.
    #[schemars(extend("default" = "keep"))]
    pub on_leave: Option<RawOnLeave>,
    /// What becomes of customers whose identity comes with another e-mail address than before.
    #[schemars(extend("default" = "keep"))]
    pub on_email_change: Option<RawOnEmailChange>,
}

/// Who belongs to an organization. Without `email_domain` and `each_of`, every customer of the portal.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawOrganizationRule {
    /// The organization's name. With `each_of`, `$1` or `$name` stands for what a group of `matching` matched.
    #[schemars(example = &"Globex")]
    pub organization: String,
    /// Whose e-mail address is at exactly this domain. The organization is then this domain's: no `each_of` brings in
    /// people from another one.
    #[schemars(example = "globex.com")]
    pub email_domain: Option<String>,
    /// One organization for each value of the person's `groups`, or of a claim.
    #[schemars(example = "claims.groups")]
    pub each_of: Option<String>,
    /// What a whole value of `each_of` has to match: a regular expression. Without it, every value does.
    #[schemars(example = "org-(.+)")]
    pub matching: Option<String>,
    /// Whose values `each_of` believes. An empty list means every provider of the portal.
    #[schemars(extend("default" = []), example = serde_json::json!(["acme-okta"]))]
    pub providers: Option<Vec<String>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum RawOnLeave {
    /// Nothing.
    Keep,
    /// They leave the organizations that the gateway has added them to.
    RemoveAddedOrganizations,
    /// They leave these and the service desks that the gateway has added them to, and lose their access to the portal.
    RevokePortalAccess,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum RawOnEmailChange {
    /// They keep their account, with the address that it has.
    Keep,
    /// Their account gets the new address, unless another account has it.
    Follow,
    /// They are not let in.
    Refuse,
}

/// The account on whose behalf customers are found and made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawSiteToken {
    /// User name, for Basic authentication; at Cloud, the e-mail address of the account. Without it, `token` is a personal
    /// access token.
    pub user: Option<String>,
    /// Personal access token, or with `user` the password; at Cloud, the API token.
    #[schemars(example = serde_json::json!({ "env": "JSM_TOKEN" }))]
    pub token: RawSecret,
}
