//! What an upstream does not do, and a service identity that is not fit for its work.

use std::time::Duration;

use crate::random::NoRandomness;

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

impl UpstreamFailed {
    /// Whether another node of the site may do better.
    pub fn is_of_one_node(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Tls(_) | Self::TimedOut | Self::Failing(_))
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
