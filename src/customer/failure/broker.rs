//! Why the broker opens no session.

use std::time::Duration;

use super::UpstreamFailed;
use crate::clock::Timestamp;
use crate::email::EmailAddress;
use crate::session::RecordError;

/// Why the broker opens no session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokerFailed {
    /// The account is in a directory that the upstream cannot write, so that its password cannot be set.
    #[error("the account {0} is in a read-only directory")]
    ReadOnlyDirectory(String),
    /// The upstream's password policy does not like ours.
    #[error("the upstream refuses a generated password: {0}")]
    PasswordRejected(String),
    /// The upstream wants a CAPTCHA from this person; an administrator can reset the count of failed logins.
    #[error("the upstream wants a CAPTCHA for {0}")]
    CaptchaRequired(String),
    /// The upstream wants a second step that only a person can do.
    #[error("the upstream enforces two-step verification")]
    TwoStepEnforced,
    /// The upstream refuses the password that was set a moment ago.
    #[error("the upstream refuses the login of {0} with the password just set")]
    LoginRefused(String),
    /// No configured way to log in is there.
    #[error("no configured way to log in is available at the upstream")]
    NoLoginAvailable,
    /// The session belongs to somebody else.
    #[error("the upstream opened a session for somebody other than {0}")]
    WrongCustomer(String),
    /// The session may administer the upstream.
    #[error("the account {0} is an administrator of the upstream")]
    Administrator(String),
    /// The token that would tell the upstream who the visitor is could not be signed.
    #[error("the token for the upstream could not be signed: {0}")]
    TokenNotSigned(&'static str),
    /// The login leads to an Atlassian account, which signs in at Atlassian and not here.
    #[error("{0} is led to the login of Atlassian accounts")]
    AtlassianAccount(String),
    /// The customer has to give their password first: none is kept, or the kept one is refused.
    #[error("the customer has to give the password of {}", .0.account)]
    PasswordNeeded(Box<NeededPassword>),
    /// So many passwords were refused that no more are tried until then.
    #[error("too many passwords were refused: none is tried before {0}")]
    TooManyTries(Timestamp),
    /// The operator's program that knows passwords does not do its part.
    #[error("the hook program (password_hook) failed: {0}")]
    HookFailed(String),
    /// The kept passwords cannot be read or written.
    #[error("the kept passwords cannot be read or written: {0}")]
    Vault(#[from] RecordError),
    /// The login of the site does not lead to the gateway: single sign-on is off there, or begins elsewhere.
    #[error("the upstream's login does not lead to the gateway as its identity provider")]
    SingleSignOnOff,
    /// What asked the gateway for a sign-on is not the configured site.
    #[error("what asked for a sign-on is not the configured site: {0}")]
    SignOnRequestRefused(String),
    /// The site does not believe the gateway as its identity provider, or does not know the customer.
    #[error("the upstream does not let {0} in with what the gateway says")]
    SignOnRefused(String),
    /// The login leads to a host that is not configured, or round in circles.
    #[error("the upstream's login leads to {0}, where the gateway does not go")]
    LedElsewhere(String),
    /// The firewall before the site blocks logins.
    #[error("the firewall before the upstream blocks logins")]
    LoginBlocked,
    /// The gateway's own key does not sign.
    #[error("the gateway's key as an identity provider does not sign")]
    NotSigned,
    /// The visitor's own browser has to log in, through the gateway.
    #[error("the visitor's browser has to sign on at the upstream")]
    BrowserHasToWalk,
    /// Logins rest for a while because of how the last ones went.
    #[error("logins rest for {0:?}")]
    LoginsPaused(Duration),
    /// The upstream did not do its part.
    #[error(transparent)]
    Upstream(#[from] UpstreamFailed),
}

/// Whose password is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeededPassword {
    /// The account.
    pub account: String,
    /// The address that the account has at the upstream.
    pub address: EmailAddress,
    /// Whether one was given before, and is not taken any more.
    pub stale: bool,
}

impl BrokerFailed {
    /// The label for metrics and refusals, one of [`REASONS`].
    pub fn reason(&self) -> &'static str {
        match self {
            Self::ReadOnlyDirectory(_) => "read_only_directory",
            Self::PasswordRejected(_) => "password_rejected",
            Self::CaptchaRequired(_) => "captcha_required",
            Self::TwoStepEnforced => "two_step_enforced",
            Self::LoginRefused(_) => "login_refused",
            Self::NoLoginAvailable => "no_login_available",
            Self::WrongCustomer(_) => "wrong_customer",
            Self::Administrator(_) => "administrator",
            Self::AtlassianAccount(_) => "atlassian_account",
            Self::PasswordNeeded(_) => "password_needed",
            Self::TooManyTries(_) => "password_tries",
            Self::HookFailed(_) => "password_hook_failed",
            Self::Vault(_) => "password_vault_unavailable",
            Self::SingleSignOnOff => "single_sign_on_off",
            Self::SignOnRequestRefused(_) => "sign_on_request_refused",
            Self::SignOnRefused(_) => "sign_on_refused",
            Self::LedElsewhere(_) => "login_led_elsewhere",
            Self::LoginBlocked => "login_blocked",
            Self::NotSigned => "sign_on_not_signed",
            Self::BrowserHasToWalk => "sign_on_by_browser",
            Self::LoginsPaused(_) => "logins_paused",
            Self::TokenNotSigned(_) => "token_not_signed",
            Self::Upstream(failed) => failed.reason(),
        }
    }
}
