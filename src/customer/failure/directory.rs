//! Why the directory names no customer.

use super::UpstreamFailed;
use crate::session::RecordError;

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
