//! Customer sessions at Cloud by the customer's password, as they are written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{DurationText, RawOtherAccounts};

/// Jira Service Management Cloud, by the password that the customer has at the site.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawCloudPassword {
    /// Endpoints to log in by, tried in this order; the one that worked is remembered. Nobody has documented them.
    #[schemars(extend("default" = ["v1", "v2"]))]
    pub logins: Option<Vec<RawPasswordLogin>>,
    /// Mails by which customers set their password, tried in this order; whoever had one before is sent `forgot_password`
    /// first. `invitation` needs `directory.service_desks`.
    #[schemars(extend("default" = ["invitation", "forgot_password"]))]
    pub mails: Option<Vec<RawPasswordMail>>,
    /// Where the site is asked for the mail `forgot_password`. Nobody has documented it: look what the site's own page does.
    #[schemars(extend("default" = "/rest/servicedesk/1/customer/pages/user/forgot-password"))]
    pub forgot_password_path: Option<String>,
    /// A program that knows customers' passwords: see [Passwords from a program](jsm.md#passwords-from-a-program).
    pub password_hook: Option<RawPasswordHook>,
    /// What becomes of people with an Atlassian account, who cannot be customers here.
    #[schemars(extend("default" = "offer"))]
    pub other_accounts: Option<RawOtherAccounts>,
    /// The address by which browsers know the site, without a path, for those people. Without it, that of `upstream`.
    #[schemars(example = "https://acme.atlassian.net")]
    pub site_address: Option<String>,
    /// How long a customer session is used at most, whatever the upstream says.
    #[schemars(extend("default" = "8h"))]
    pub max_age: Option<DurationText>,
    /// How many logins, and how many account calls, may run at once.
    #[schemars(extend("default" = 8))]
    pub concurrency: Option<u32>,
    /// The time limit of one such call.
    #[schemars(extend("default" = "10s"))]
    pub call_timeout: Option<DurationText>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum RawPasswordLogin {
    /// `POST /jsd-login/v1/authentication/authenticate`.
    V1,
    /// `POST /jsd-login-v2/v2/customer/login/authenticate`.
    V2,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum RawPasswordMail {
    /// The documented invitation to a service desk, by the service account.
    Invitation,
    /// The mail to somebody who forgot their password, as the site's own login page asks for it.
    ForgotPassword,
}

/// A program that knows customers' passwords.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawPasswordHook {
    /// Its absolute path. It is run without a shell.
    #[schemars(example = "/usr/local/bin/jsm-password")]
    pub program: String,
    /// Its arguments, as they are.
    #[schemars(extend("default" = []))]
    pub arguments: Option<Vec<String>>,
    /// How long one run may take.
    #[schemars(extend("default" = "10s"))]
    pub timeout: Option<DurationText>,
    /// How many may run at once.
    #[schemars(extend("default" = 4))]
    pub concurrency: Option<u32>,
}
