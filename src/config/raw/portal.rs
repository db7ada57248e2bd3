//! Portals, as they are written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{DurationText, RateText, RawCloudPassword, RawCloudSaml, RawSecret, RawUpstream, SizeText};

/// One portal.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawPortal {
    /// The public name, without scheme and port.
    #[schemars(example = "support.acme.com")]
    pub host: String,
    /// More names of the portal. Each leads to `host`, and nobody is served there.
    #[schemars(extend("default" = []), example = serde_json::json!(["help.acme.com"]))]
    pub aliases: Option<Vec<String>>,
    /// A name that portals share whose visitors sign in once for all of them, at the first one in the file. Without it, each portal
    /// has sessions of its own.
    #[schemars(example = &"acme")]
    pub session_group: Option<String>,
    /// The site behind it: its URL, or a mapping where it has several addresses.
    #[schemars(example = "https://jira.acme.internal")]
    pub upstream: RawUpstream,
    /// File with the authorities (PEM) to verify the upstream by, in place of the system's.
    pub upstream_ca: Option<String>,
    /// Who may sign in.
    pub sign_in: RawSignIn,
    /// Which of the people who signed in are let in.
    pub admission: Option<RawAdmission>,
    /// How the upstream comes to know the visitor. Exactly one kind.
    #[schemars(example = &"datacenter")]
    pub customer_session: RawCustomerSession,
    /// Customers at the upstream. Every kind of `customer_session` but `none` needs it; `trusted_jwt` and `redirect` can do without.
    pub directory: Option<RawDirectory>,
    /// What paths need: the first rule that matches counts. Where none does, the visitor has to be signed in.
    #[schemars(extend("default" = []))]
    pub rules: Option<Vec<RawRule>>,
    /// Which addresses and texts are replaced on the way, besides the portal's own address.
    pub rewrite: Option<RawRewrite>,
    /// How the gateway's own pages look at this portal.
    pub look: Option<RawLook>,
    /// Sizes and times of this portal.
    pub limits: Option<RawPortalLimits>,
}

/// How the gateway's own pages look.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawLook {
    /// What the portal is called. Without it, its host.
    #[schemars(example = &"Acme Support")]
    pub name: Option<String>,
    /// File with a picture that stands before the name: SVG, PNG, JPEG or WebP, at most 256 KiB.
    #[schemars(example = &"look/acme.svg")]
    pub logo: Option<String>,
    /// The colour of buttons and links on light ground. It has to be dark enough to be read there.
    #[schemars(example = &"#1d5a8c")]
    pub accent: Option<String>,
    /// The same on dark ground. Without it, `accent`, made as light as is needed.
    #[schemars(example = &"#8fc1ec")]
    pub accent_dark: Option<String>,
    /// What people read above the ways to sign in: plain text.
    #[schemars(example = &"Welcome to the support desk of Acme.")]
    pub welcome: Option<String>,
    /// Whom people may ask: stands below every page.
    pub support: Option<RawSupport>,
}

/// Whom people may ask.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawSupport {
    /// An address to write to.
    #[schemars(example = &"help@acme.com")]
    pub email: Option<String>,
    /// A number to call.
    #[schemars(example = &"+1 555 0100")]
    pub phone: Option<String>,
    /// The https address of a page.
    #[schemars(example = &"https://www.acme.com/help")]
    pub page: Option<String>,
}

/// Who may sign in.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawSignIn {
    /// Names from `identity_providers`, in the order in which a list shows them.
    #[schemars(example = serde_json::json!(["acme-okta"]))]
    pub providers: Vec<String>,
    /// How the visitor comes to a provider. Without it, `single` for one provider and `list` for several.
    pub choose: Option<RawChoose>,
    /// Whether the portal's own pages get a script by which visitors whose session has ended sign in again in a small window,
    /// without losing the page.
    #[schemars(extend("default" = false))]
    pub in_page: Option<bool>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum RawChoose {
    /// By the domain of their e-mail address. Every provider then needs `email_domains`.
    ByEmail,
    /// From a list.
    List,
    /// Straight to the only one.
    Single,
}

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

/// Which addresses and texts are replaced on the way. The portal's own address takes the place of the upstream's without any
/// setting.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawRewrite {
    /// More origins that answers name, and how browsers know them: a base URL that is not `upstream`, or sites beside it.
    #[schemars(extend("default" = []))]
    pub origins: Option<Vec<RawOrigin>>,
    /// Which bodies are rewritten: `type/subtype`, or `+suffix` for all types with that suffix. Without it, HTML, JSON,
    /// JavaScript, CSS and XML.
    #[schemars(example = serde_json::json!(["text/html", "application/json", "+json"]))]
    pub content_types: Option<Vec<String>>,
    /// Texts that are replaced in bodies, exactly as they stand there.
    #[schemars(extend("default" = []))]
    pub texts: Option<Vec<RawTextRule>>,
    /// Names of the fields in queries, forms and JSON of requests in which the public address becomes the upstream's. An
    /// empty list leaves requests alone.
    #[schemars(extend("default" = ["clientBasePath", "continue", "destination", "os_destination"]))]
    pub request_fields: Option<Vec<String>>,
    /// Longer bodies pass as they are, where their length is told beforehand.
    #[schemars(extend("default" = "64MiB"))]
    pub largest_body: Option<SizeText>,
}

/// An origin that answers name.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawOrigin {
    /// What the upstream calls it: scheme, host and perhaps port.
    #[schemars(example = "https://jira.acme.com")]
    pub upstream: String,
    /// What browsers call it. Without it, the portal itself.
    #[schemars(example = "https://wiki.acme.com")]
    pub public: Option<String>,
}

/// A text that is replaced.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawTextRule {
    /// What is searched for, to the letter: 4 to 1024 bytes.
    #[schemars(example = "Powered by Jira", extend("x-lines" = true))]
    pub from: String,
    /// What takes its place.
    #[schemars(example = "Acme Support", extend("x-lines" = true))]
    pub to: String,
    /// In which bodies; each has to be among `rewrite.content_types`. Without it, in all that are rewritten.
    #[schemars(example = serde_json::json!(["text/html"]))]
    pub content_types: Option<Vec<String>>,
}

/// Sizes and times of one portal.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawPortalLimits {
    /// The most bytes of a request's body.
    #[schemars(extend("default" = "64MiB"))]
    pub body: Option<SizeText>,
    /// To reach the upstream: TCP and TLS each.
    #[schemars(extend("default" = "5s"))]
    pub upstream_connect: Option<DurationText>,
    /// From the request to the head of the answer, and between two reads of its body.
    #[schemars(extend("default" = "1m"))]
    pub upstream_response: Option<DurationText>,
    /// How long an idle connection to the upstream is kept.
    #[schemars(extend("default" = "1m"))]
    pub upstream_idle: Option<DurationText>,
    /// A form or call that is sent while the session is over is kept, sealed, until its sender has signed in again. A size alone
    /// is that of `size`: `kept_form: 0B` keeps none.
    #[schemars(extend("default" = "1MiB"))]
    pub kept_form: Option<RawKeptForm>,
    /// How long a WebSocket stays open with nothing going through it either way.
    #[schemars(extend("default" = "5m"))]
    pub websocket_idle: Option<DurationText>,
    /// How many requests one customer may make in any 24 hours. Without it, any number.
    #[schemars(example = 50)]
    pub requests_per_customer_per_day: Option<u32>,
    /// How many requests one customer may make in any 60 seconds. Without it, any number.
    #[schemars(example = 5)]
    pub requests_per_customer_per_minute: Option<u32>,
    /// How often one address may begin a sign-in, such as `20/min`. Without it, any number. A whole /64 of IPv6 is one address.
    #[schemars(example = "20/min")]
    pub sign_in_attempts_per_address: Option<RateText>,
}

/// What is kept of those whose session is over. A size alone is that of `size`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("type" = ["object", "string"], "x-short" = "size"))]
pub(in crate::config) struct RawKeptForm {
    /// The most bytes of one body. `0B` keeps none.
    #[schemars(extend("default" = "1MiB"))]
    pub size: Option<SizeText>,
    /// How long it is kept.
    #[schemars(extend("default" = "30m"))]
    pub kept_for: Option<DurationText>,
    /// How many forms of one browser are kept at once.
    #[schemars(extend("default" = 16))]
    pub forms_of_one_browser: Option<u64>,
    /// How many calls of scripts in one browser are kept at once. `0` keeps none.
    #[schemars(extend("default" = 4))]
    pub calls_of_one_browser: Option<u64>,
    /// The most bytes of one person, in all their browsers. Keep it well below `from_one_address`: nobody is to take the room of
    /// those beside them. At least two of the largest forms, where nothing is said.
    #[schemars(extend("default" = "8MiB"))]
    pub of_one_person: Option<SizeText>,
    /// The most bytes from one address, behind which many people may sit. A whole /64 of IPv6 is one address.
    #[schemars(extend("default" = "32MiB"))]
    pub from_one_address: Option<SizeText>,
    /// The most bytes of this portal. All portals together keep 256 MiB at most.
    #[schemars(extend("default" = "128MiB"))]
    pub of_one_portal: Option<SizeText>,
}
