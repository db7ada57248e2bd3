//! Why there is no customer session: who is to blame, and the label that metrics and refusals know it by.

mod broker;
mod directory;
mod upstream;

use std::time::Duration;

pub use self::broker::{BrokerFailed, NeededPassword};
pub use self::directory::DirectoryFailed;
pub use self::upstream::{Unfit, UpstreamFailed};

/// Why a request gets no customer session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CustomerFailed {
    /// The directory names no customer.
    #[error(transparent)]
    Directory(#[from] DirectoryFailed),
    /// The broker opens no session.
    #[error(transparent)]
    Broker(#[from] BrokerFailed),
    /// Customer sessions of this visitor die as soon as they are opened.
    #[error("customer sessions of this visitor die as soon as they are opened")]
    KeepsDying,
    /// The visitor's session ended meanwhile.
    #[error("the session ended while its customer session was being opened")]
    SessionEnded,
    /// The work was broken off: the gateway is shutting down, or it is our own fault.
    #[error("opening the customer session was broken off")]
    Interrupted,
}

/// Every label that [`CustomerFailed::reason`] can give.
pub const REASONS: [&str; 52] = [
    "upstream_unreachable",
    "upstream_tls",
    "upstream_timed_out",
    "rate_limited",
    "upstream_resting",
    "upstream_failing",
    "credentials_refused",
    "credentials_lack_permission",
    "credentials_captcha",
    "basic_auth_off",
    "html_instead_of_json",
    "upstream_unexpected",
    "no_randomness",
    "no_verified_email",
    "licensed_user",
    "administrator",
    "deactivated",
    "customer_unknown",
    "customer_ambiguous",
    "customer_name_taken",
    "customer_rejected",
    "managed_group_unavailable",
    "service_desk_unavailable",
    "organization_unavailable",
    "atlassian_account",
    "account_bound_to_another",
    "email_changed",
    "directory_crowded",
    "customer_ledger_unavailable",
    "read_only_directory",
    "password_rejected",
    "captcha_required",
    "two_step_enforced",
    "login_refused",
    "no_login_available",
    "wrong_customer",
    "password_needed",
    "password_tries",
    "password_hook_failed",
    "password_vault_unavailable",
    "single_sign_on_off",
    "sign_on_request_refused",
    "sign_on_refused",
    "login_led_elsewhere",
    "login_blocked",
    "sign_on_not_signed",
    "sign_on_by_browser",
    "logins_paused",
    "token_not_signed",
    "keeps_dying",
    "session_ended",
    "interrupted",
];

impl CustomerFailed {
    /// The label for metrics and refusals, one of [`REASONS`].
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Directory(failed) => failed.reason(),
            Self::Broker(failed) => failed.reason(),
            Self::KeepsDying => "keeps_dying",
            Self::SessionEnded => "session_ended",
            Self::Interrupted => "interrupted",
        }
    }

    /// What the upstream did not do, when that is the cause.
    pub fn upstream(&self) -> Option<&UpstreamFailed> {
        match self {
            Self::Directory(DirectoryFailed::Upstream(failed)) | Self::Broker(BrokerFailed::Upstream(failed)) => {
                Some(failed)
            }
            _ => None,
        }
    }

    /// Whether it is about this person's account, so that trying again does not help until somebody changes it.
    pub fn is_about_the_account(&self) -> bool {
        use BrokerFailed as B;
        match self {
            Self::Directory(failed) => failed.is_about_the_account(),
            Self::Broker(failed) => {
                matches!(
                    failed,
                    B::ReadOnlyDirectory(_)
                        | B::Administrator(_)
                        | B::AtlassianAccount(_)
                        | B::PasswordNeeded(_)
                        | B::TooManyTries(_)
                )
            }
            Self::KeepsDying | Self::SessionEnded | Self::Interrupted => false,
        }
    }

    /// How long it makes no sense to try again for the same visitor.
    pub fn pause(&self) -> Duration {
        const MOST: Duration = Duration::from_secs(60);
        match self {
            Self::Broker(BrokerFailed::LoginsPaused(rest)) => (*rest).min(MOST),
            Self::Broker(BrokerFailed::CaptchaRequired(_) | BrokerFailed::TwoStepEnforced) => MOST,
            Self::Broker(
                BrokerFailed::SingleSignOnOff
                | BrokerFailed::SignOnRequestRefused(_)
                | BrokerFailed::SignOnRefused(_)
                | BrokerFailed::LedElsewhere(_),
            )
            | Self::KeepsDying => Duration::from_secs(30),
            _ => match self.upstream() {
                Some(UpstreamFailed::RateLimited(rest) | UpstreamFailed::Resting(rest)) => (*rest).min(MOST),
                _ if self.is_about_the_account() => Duration::from_secs(30),
                _ => Duration::from_secs(2),
            },
        }
    }
}

#[cfg(test)]
mod tests;
