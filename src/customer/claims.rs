//! Passwords that customers themselves, or operators, have to give before a session can be opened: a narrow seam, for
//! upstreams where nobody else can set one.

use std::fmt;

use async_trait::async_trait;
use tokio::time::Instant;

use super::{BrokerFailed, Customer, CustomerFailed, DirectoryFailed};
use crate::clock::Timestamp;
use crate::secret::Secret;
use crate::session::CustomerSession;

/// What a customer does about the password that the upstream wants.
#[async_trait]
pub trait PasswordClaims: fmt::Debug + Send + Sync {
    /// Has the upstream send the customer the mail by which they set a password. `name` is what they are called.
    ///
    /// # Errors
    /// When too many mails were asked for, or the upstream sends none.
    async fn send_mail(
        &self,
        customer: &Customer,
        name: &str,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<(), ClaimFailed>;

    /// Takes the password that the customer has set: proves it by a login, makes sure whose session that is, and keeps it.
    /// The session is of that generation.
    ///
    /// # Errors
    /// When the upstream does not take it; then nothing is kept.
    async fn prove(
        &self,
        customer: &Customer,
        password: &Secret,
        generation: u64,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<CustomerSession, ClaimFailed>;

    /// The same, for nobody who waits for the session: it is ended.
    ///
    /// # Errors
    /// When the upstream does not take it; then nothing is kept.
    async fn prove_and_end(
        &self,
        customer: &Customer,
        password: &Secret,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<(), ClaimFailed>;

    /// Keeps a password that an operator vouches for.
    ///
    /// # Errors
    /// When it could not be kept.
    async fn keep(&self, customer: &Customer, password: &Secret, deadline: Instant) -> Result<(), ClaimFailed>;

    /// Forgets the customer's password. Whether one was kept.
    ///
    /// # Errors
    /// When it could not be forgotten.
    async fn forget(&self, customer: &Customer, deadline: Instant) -> Result<bool, ClaimFailed>;
}

/// Why a password was not taken, or no mail sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimFailed {
    /// The upstream does not take it.
    #[error("the upstream does not take the password")]
    Wrong,
    /// So many were wrong that no more are tried until then.
    #[error("too many passwords were wrong: none is tried before {0}")]
    TooManyTries(Timestamp),
    /// So many mails were asked for that no more are until then.
    #[error("too many mails were asked for: none is before {0}")]
    TooManyMails(Timestamp),
    /// The upstream sends no mail in any of the configured ways.
    #[error("the upstream sends no mail in any of the configured ways")]
    NoMail,
    /// It fails for another reason.
    #[error(transparent)]
    Failed(#[from] CustomerFailed),
}

impl From<BrokerFailed> for ClaimFailed {
    fn from(failed: BrokerFailed) -> Self {
        match failed {
            BrokerFailed::LoginRefused(_) => Self::Wrong,
            BrokerFailed::TooManyTries(until) => Self::TooManyTries(until),
            failed => Self::Failed(failed.into()),
        }
    }
}

impl From<DirectoryFailed> for ClaimFailed {
    fn from(failed: DirectoryFailed) -> Self {
        Self::Failed(failed.into())
    }
}
