//! Why there is no customer session: who is to blame, and the label that metrics and refusals know it by.

use std::time::Duration;

use crate::random::NoRandomness;
use crate::session::RecordError;

/// The upstream did not do its part, whatever it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamFailed {
    /// No connection, or it broke off.
    #[error("the upstream cannot be reached: {0}")]
    Unreachable(String),
    /// No trustworthy TLS connection.
    #[error("no trustworthy TLS connection to the upstream: {0}")]
    Tls(String),
    /// No answer in time.
    #[error("the upstream did not answer in time")]
    TimedOut,
    /// It asks for fewer calls (429, or 503 with `Retry-After`).
    #[error("the upstream asks for fewer calls, for {0:?}")]
    RateLimited(Duration),
    /// It has not answered the last calls: none is made for a while.
    #[error("the upstream has not answered the last calls: none is made for {0:?}")]
    Resting(Duration),
    /// It says that it is broken (5xx).
    #[error("the upstream answered {0}")]
    Failing(u16),
    /// 401 to the service credentials: wrong, expired or revoked.
    #[error("the upstream refuses the service credentials (401): wrong, expired or revoked")]
    CredentialsRefused,
    /// 403 to the service credentials.
    #[error("the service credentials lack a permission (403)")]
    CredentialsLackPermission,
    /// 403 to the service credentials, with a CAPTCHA to solve.
    #[error("the upstream wants the service user to solve a CAPTCHA")]
    CredentialsCaptcha,
    /// Basic authentication is turned off at the upstream.
    #[error("basic authentication is turned off at the upstream: use a personal access token")]
    BasicAuthOff,
    /// A page or a redirect where JSON belongs: a login page, a challenge, another server.
    #[error("the upstream answered with a page where JSON belongs")]
    HtmlInsteadOfJson,
    /// Anything else that the documentation does not know.
    #[error("the upstream answered in an unknown way to \"{0}\"")]
    Unexpected(&'static str),
    /// We have no randomness for a password.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// Why the directory names no customer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryFailed {
    /// The identity provider does not vouch for an e-mail address.
    #[error("the identity has no verified e-mail address")]
    NoVerifiedEmail,
    /// The account has access to an application: an agent or a Jira user.
    #[error("the account {0} has a licence at the upstream")]
    Licensed(String),
    /// The account may administer the upstream.
    #[error("the account {0} is an administrator of the upstream")]
    Administrator(String),
    /// The account was deactivated.
    #[error("the account {0} is deactivated at the upstream")]
    Deactivated(String),
    /// There is no such customer, and none may be made.
    #[error("no customer has this e-mail address, and creating customers is turned off")]
    Unknown,
    /// Several accounts have the address, and none has it as its name.
    #[error("{0} accounts at the upstream have this e-mail address")]
    Ambiguous(usize),
    /// The name is taken by an account with another address.
    #[error("the account name that belongs to this e-mail address is taken by somebody else")]
    Taken,
    /// The upstream does not want such a customer.
    #[error("the upstream refuses to create the customer: {0}")]
    Rejected(String),
    /// The group that marks managed accounts cannot be given.
    #[error("the group \"{0}\" cannot be given to the account")]
    ManagedGroup(String),
    /// A service desk of the configuration cannot be joined.
    #[error("the account cannot be added to the service desk {0}")]
    ServiceDesk(String),
    /// An organization of the configuration can be neither found nor made, or not be joined.
    #[error("the organization \"{0}\" is not available")]
    Organization(String),
    /// The address belongs to an Atlassian account, which signs in at Atlassian and not here.
    #[error("{0} is an Atlassian account, not a portal-only one")]
    AtlassianAccount(String),
    /// The account belongs to another issuer and subject.
    #[error("the account of this e-mail address belongs to another identity")]
    BoundToAnother,
    /// The identity has another address than before, and the settings refuse that.
    #[error("the identity comes with another e-mail address than before")]
    EmailChanged,
    /// So many people come at once that this one's turn did not come in time.
    #[error("too many people come at once: this one's turn did not come in time")]
    Crowded,
    /// The ledger cannot be read or written.
    #[error("the customer ledger does not work: {0}")]
    Ledger(#[from] RecordError),
    /// The upstream did not do its part.
    #[error(transparent)]
    Upstream(#[from] UpstreamFailed),
}

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

/// The service identity is not fit for its work: what an operator reads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The upstream did not do its part.
    #[error("{0}")]
    Upstream(#[from] UpstreamFailed),
    /// It works but may not administer.
    #[error(
        "the service user \"{0}\" needs the global permission \"Administer Jira\" to create customers and set passwords"
    )]
    NotAdministrator(String),
    /// The service desk is not there, or not for this user.
    #[error("the service desk \"{0}\" (service_desks) does not exist or the service user cannot see it")]
    NoSuchServiceDesk(String),
}

/// Every label that [`CustomerFailed::reason`] can give.
pub const REASONS: [&str; 48] = [
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

impl UpstreamFailed {
    /// The label for metrics and refusals, one of [`REASONS`].
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "upstream_unreachable",
            Self::Tls(_) => "upstream_tls",
            Self::TimedOut => "upstream_timed_out",
            Self::RateLimited(_) => "rate_limited",
            Self::Resting(_) => "upstream_resting",
            Self::Failing(_) => "upstream_failing",
            Self::CredentialsRefused => "credentials_refused",
            Self::CredentialsLackPermission => "credentials_lack_permission",
            Self::CredentialsCaptcha => "credentials_captcha",
            Self::BasicAuthOff => "basic_auth_off",
            Self::HtmlInsteadOfJson => "html_instead_of_json",
            Self::Unexpected(_) => "upstream_unexpected",
            Self::NoRandomness(_) => "no_randomness",
        }
    }
}

impl DirectoryFailed {
    /// The label for metrics and refusals, one of [`REASONS`].
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoVerifiedEmail => "no_verified_email",
            Self::Licensed(_) => "licensed_user",
            Self::Administrator(_) => "administrator",
            Self::Deactivated(_) => "deactivated",
            Self::Unknown => "customer_unknown",
            Self::Ambiguous(_) => "customer_ambiguous",
            Self::Taken => "customer_name_taken",
            Self::Rejected(_) => "customer_rejected",
            Self::ManagedGroup(_) => "managed_group_unavailable",
            Self::ServiceDesk(_) => "service_desk_unavailable",
            Self::Organization(_) => "organization_unavailable",
            Self::AtlassianAccount(_) => "atlassian_account",
            Self::BoundToAnother => "account_bound_to_another",
            Self::EmailChanged => "email_changed",
            Self::Crowded => "directory_crowded",
            Self::Ledger(_) => "customer_ledger_unavailable",
            Self::Upstream(failed) => failed.reason(),
        }
    }
}

impl DirectoryFailed {
    /// Whether it is about this person's account, so that trying again does not help until somebody changes it.
    pub fn is_about_the_account(&self) -> bool {
        !matches!(
            self,
            Self::Upstream(_)
                | Self::Rejected(_)
                | Self::ManagedGroup(_)
                | Self::ServiceDesk(_)
                | Self::Organization(_)
                | Self::Ledger(_)
                | Self::Crowded
        )
    }
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

impl Unfit {
    /// The label for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Upstream(failed) => failed.reason(),
            Self::NotAdministrator(_) => "credentials_lack_permission",
            Self::NoSuchServiceDesk(_) => "service_desk_unavailable",
        }
    }
}

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
                matches!(failed, B::ReadOnlyDirectory(_) | B::Administrator(_) | B::AtlassianAccount(_))
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
mod tests {
    use super::*;

    #[test]
    fn reasons_are_a_closed_set_of_plain_words() {
        use {BrokerFailed as B, CustomerFailed as C, DirectoryFailed as D, UpstreamFailed as U};
        let text = String::new;
        let upstream = [
            U::Unreachable(text()),
            U::Tls(text()),
            U::TimedOut,
            U::RateLimited(Duration::ZERO),
            U::Resting(Duration::ZERO),
            U::Failing(500),
            U::CredentialsRefused,
            U::CredentialsLackPermission,
            U::CredentialsCaptcha,
            U::BasicAuthOff,
            U::HtmlInsteadOfJson,
            U::Unexpected(""),
            U::NoRandomness(NoRandomness),
        ];
        let directory = [
            D::NoVerifiedEmail,
            D::Licensed(text()),
            D::Administrator(text()),
            D::Deactivated(text()),
            D::Unknown,
            D::Ambiguous(2),
            D::Taken,
            D::Rejected(text()),
            D::ManagedGroup(text()),
            D::ServiceDesk(text()),
            D::Organization(text()),
            D::AtlassianAccount(text()),
            D::BoundToAnother,
            D::EmailChanged,
            D::Crowded,
            D::Ledger(RecordError::Unreadable),
        ];
        let broker = [
            B::ReadOnlyDirectory(text()),
            B::PasswordRejected(text()),
            B::CaptchaRequired(text()),
            B::TwoStepEnforced,
            B::LoginRefused(text()),
            B::NoLoginAvailable,
            B::WrongCustomer(text()),
            B::Administrator(text()),
            B::AtlassianAccount(text()),
            B::SingleSignOnOff,
            B::SignOnRequestRefused(text()),
            B::SignOnRefused(text()),
            B::LedElsewhere(text()),
            B::LoginBlocked,
            B::NotSigned,
            B::BrowserHasToWalk,
            B::LoginsPaused(Duration::ZERO),
            B::TokenNotSigned(""),
        ];
        let told: std::collections::BTreeSet<_> = (upstream.into_iter().map(|failed| C::Broker(failed.into())))
            .chain(directory.into_iter().map(C::Directory))
            .chain(broker.into_iter().map(C::Broker))
            .chain([C::KeepsDying, C::SessionEnded, C::Interrupted])
            .map(|failed| failed.reason())
            .collect();
        assert_eq!(told, REASONS.into_iter().collect());
        assert_eq!(told.len(), REASONS.len());
        for reason in REASONS {
            assert!(reason.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{reason}");
        }
    }

    #[test]
    fn what_is_about_the_account_is_not_tried_again_at_once() {
        let lasting = CustomerFailed::Directory(DirectoryFailed::Licensed("fred".into()));
        let passing = CustomerFailed::Broker(BrokerFailed::Upstream(UpstreamFailed::TimedOut));
        let asked = CustomerFailed::Broker(BrokerFailed::Upstream(UpstreamFailed::RateLimited(Duration::from_secs(9))));
        assert!(lasting.is_about_the_account() && !passing.is_about_the_account());
        assert!(lasting.pause() > passing.pause());
        assert_eq!(asked.pause(), Duration::from_secs(9));
    }
}
