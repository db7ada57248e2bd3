//! The calls by which the accounts of an upstream are found, made and changed, and what they belong to: a narrow seam,
//! implemented once for each product. Every call may be repeated.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::DirectoryFailed;
use crate::email::EmailAddress;

/// An account that a customer may have: found at the upstream, and judged to be a mere customer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// What the upstream calls it: a user name or an account id.
    pub id: String,
    /// The address that the upstream tells, if it tells one.
    pub email: Option<String>,
    /// The name to show.
    pub display_name: Option<String>,
    /// Whether it carries the mark of accounts that the gateway manages.
    pub marked: bool,
}

/// An account that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// It was made by this very call.
    New(Account),
    /// It was there already: somebody made it meanwhile.
    Known(Account),
}

/// What an account can be in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// A service desk, by its number.
    Desk(String),
    /// An organization, by its number.
    Organization(String),
}

/// Names the place for logs and operators.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Desk(id) => write!(f, "service desk {id}"),
            Self::Organization(id) => write!(f, "organization {id}"),
        }
    }
}

/// An organization at the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// Its number.
    pub id: String,
    /// Whether its members are left to SCIM.
    pub scim_managed: bool,
}

/// Whether an account is in a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is.
    In,
    /// It is not.
    Out,
    /// The upstream does not tell, or not in reasonable time.
    Untold,
}

/// Accounts of one upstream site.
#[async_trait]
pub trait CustomerAccounts: fmt::Debug + Send + Sync {
    /// What the site is called: accounts of other sites are other accounts.
    fn site(&self) -> &str;

    /// The one spelling of an account's name, to compare by.
    fn spelled(&self, account: &str) -> String;

    /// The account of that name; `None` when there is none.
    ///
    /// # Errors
    /// When it is not a mere customer's, or the upstream does not tell.
    async fn account(&self, account: &str, deadline: Instant) -> Result<Option<Account>, DirectoryFailed>;

    /// The account that has exactly this address.
    ///
    /// # Errors
    /// When it is not a mere customer's, cannot be told from others, or the upstream does not tell.
    async fn find(&self, email: &EmailAddress, deadline: Instant) -> Result<Option<Account>, DirectoryFailed>;

    /// Makes an account with that address, unless there is one.
    ///
    /// # Errors
    /// When the upstream makes none.
    async fn create(
        &self,
        email: &EmailAddress,
        display_name: &str,
        deadline: Instant,
    ) -> Result<Made, DirectoryFailed>;

    /// Gives the account the mark of those that the gateway manages, where marks are configured.
    ///
    /// # Errors
    /// When it cannot be given.
    async fn mark(&self, account: &Account, deadline: Instant) -> Result<(), DirectoryFailed>;

    /// Changes the name to show. False where the upstream has no way to.
    ///
    /// # Errors
    /// When the upstream does not do its part.
    async fn rename(&self, account: &str, display_name: &str, deadline: Instant) -> Result<bool, DirectoryFailed>;

    /// Changes the address. False where the upstream has no way to.
    ///
    /// # Errors
    /// When another account has the address, or the upstream does not do its part.
    async fn change_email(
        &self,
        account: &str,
        email: &EmailAddress,
        deadline: Instant,
    ) -> Result<bool, DirectoryFailed>;

    /// The organization of that name, made if there is none.
    ///
    /// # Errors
    /// When it can be neither found nor made.
    async fn organization(&self, name: &str, deadline: Instant) -> Result<Organization, DirectoryFailed>;

    /// Lets an organization use a service desk.
    ///
    /// # Errors
    /// When one of them is not there, or the upstream does not do its part.
    async fn link(&self, desk: &str, organization: &str, deadline: Instant) -> Result<(), DirectoryFailed>;

    /// Whether the account is in that place.
    ///
    /// # Errors
    /// When the upstream does not do its part.
    async fn presence(&self, place: &Place, account: &Account, deadline: Instant) -> Result<Presence, DirectoryFailed>;

    /// Adds the account; who is in already stays in.
    ///
    /// # Errors
    /// When the place is not there, or the upstream does not do its part.
    async fn add(&self, place: &Place, account: &str, deadline: Instant) -> Result<(), DirectoryFailed>;

    /// Takes the account out; who is out already stays out. Members of an organization that SCIM manages are left alone.
    ///
    /// # Errors
    /// When the upstream does not do its part.
    async fn remove(&self, place: &Place, account: &str, deadline: Instant) -> Result<(), DirectoryFailed>;

    /// Ends the account's access to the portal as far as the upstream can.
    ///
    /// # Errors
    /// When the upstream does not do its part.
    async fn revoke(&self, account: &str, deadline: Instant) -> Result<(), DirectoryFailed>;
}
