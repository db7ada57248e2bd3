//! Jira Service Management Cloud, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{DurationText, RawKeyPair, RawOtherAccounts, RawSecret};

/// Jira Service Management Cloud, by the site's own single sign-on.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawCloudSaml {
    /// The private key of the gateway as the site's identity provider, PEM, not encrypted: RSA from 2048 bits. Goes with
    /// `certificate`.
    #[schemars(example = serde_json::json!({ "file": "certs/saml.key" }))]
    pub signing_key: RawSecret,
    /// The certificate of `signing_key`, PEM: the one that is pasted into Atlassian's administration. A self-signed one will do.
    #[schemars(example = serde_json::json!({ "file": "certs/saml.pem" }))]
    pub certificate: RawSecret,
    /// The next key or the last one, while the site changes over: published, but never signing.
    #[schemars(extend("default" = []))]
    pub more_keys: Option<Vec<RawKeyPair>>,
    /// The gateway's own entity id at the site. Without it, the address of its metadata, `https://HOST/.vestibule/cloud/metadata`.
    pub our_entity_id: Option<String>,
    /// The site's metadata as a service provider, a file: its entity id, its addresses, and its keys if it has any. Or
    /// `site_entity_id` and `site_acs`, as Atlassian's administration shows them.
    #[schemars(example = "certs/site.xml")]
    pub site_metadata: Option<String>,
    /// The site's entity id ("service provider entity URL").
    #[schemars(example = "https://auth.atlassian.com/saml/1a2b3c")]
    pub site_entity_id: Option<String>,
    /// Where the site takes answers ("service provider assertion consumer service URL").
    #[schemars(example = "https://auth.atlassian.com/login/callback?connection=saml-1a2b3c")]
    pub site_acs: Option<String>,
    /// Where a sign-on begins, with `{email}` for the customer's address, for a site whose login page does not lead on by
    /// itself. Without it, at the portal's login page.
    #[schemars(example = "https://auth.atlassian.com/saml/1a2b3c/login")]
    pub start: Option<String>,
    /// Who goes the way from the portal's login to the session.
    #[schemars(extend("default" = "gateway"))]
    pub walk: Option<RawWalk>,
    /// Sites that the way from there to the session may lead over, besides `upstream` and those of `site_acs` and `start`.
    #[schemars(extend("default" = []), example = serde_json::json!(["https://id.acme.example"]))]
    pub hosts: Option<Vec<String>>,
    /// What becomes of people with an Atlassian account, who cannot be customers here.
    #[schemars(extend("default" = "offer"))]
    pub other_accounts: Option<RawOtherAccounts>,
    /// The address by which browsers know the site, without a path, for those people. Without it, that of `upstream`.
    #[schemars(example = "https://acme.atlassian.net")]
    pub site_address: Option<String>,
    /// How long a customer session is used at most, whatever the site says.
    #[schemars(extend("default" = "8h"))]
    pub max_age: Option<DurationText>,
    /// How many logins may run at once, and how many account calls.
    #[schemars(extend("default" = 8))]
    pub concurrency: Option<u32>,
    /// The time limit of one such call.
    #[schemars(extend("default" = "10s"))]
    pub call_timeout: Option<DurationText>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum RawWalk {
    /// The gateway itself, before the visitor's first page.
    Gateway,
    /// The visitor's browser, through the gateway: for a site whose login needs a script.
    Browser,
}
