//! Settings of customer sessions at Cloud that are opened by the customer's own password.

use std::path::PathBuf;
use std::time::Duration;

use super::CloudSiteSettings;

/// Cloud: by the password that the customer has at the site.
#[derive(Clone, Debug, PartialEq)]
pub struct CloudPasswordSettings {
    /// Accounts, and what all ways to open sessions at Cloud share.
    pub site: CloudSiteSettings,
    /// Endpoints to log in by, tried in order; the one that worked is remembered. At least one.
    pub logins: Vec<PasswordLogin>,
    /// Mails by which a customer sets a password, tried in order.
    pub mails: Vec<PasswordMail>,
    /// Where the site is asked for the mail to somebody who forgot their password; begins with a slash.
    pub forgot_password_path: String,
    /// Who knows passwords besides.
    pub hook: Option<HookSettings>,
}

/// An endpoint to log in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PasswordLogin {
    /// `POST /jsd-login/v1/authentication/authenticate`.
    V1,
    /// `POST /jsd-login-v2/v2/customer/login/authenticate`.
    V2,
}

/// A mail that the site can be asked to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PasswordMail {
    /// `POST /rest/servicedeskapi/servicedesk/{id}/customer/invite`, by the service account.
    Invitation,
    /// The mail to somebody who forgot their password, as the site's own login page asks for it.
    ForgotPassword,
}

/// A program of the operator's that knows customers' passwords.
#[derive(Clone, Debug, PartialEq)]
pub struct HookSettings {
    /// Its absolute path. No shell is involved.
    pub program: PathBuf,
    /// Its arguments, as they are.
    pub arguments: Vec<String>,
    /// How long one run may take.
    pub timeout: Duration,
    /// How many may run at once.
    pub concurrency: usize,
}
