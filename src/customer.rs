//! From a verified identity to a customer session: the account that JSM knows the visitor by, and the upstream cookies
//! that make JSM see it.
//!
//! Owns two narrow seams, [`CustomerDirectory`] (who is the customer?) and [`CustomerSessionBroker`] (log them in, watch
//! over it, log them out), and [`CustomerSessions`], which the proxy asks. There is one [`Directory`]; what differs from
//! product to product are the calls to accounts, behind a seam of their own ([`accounts::CustomerAccounts`]). Trusts a [`VerifiedIdentity`] and the service
//! credentials of the configuration. Refuses to act for anybody whom the upstream lets do more than a customer may.
//!
//! ## Who holds which cookie
//! The upstream's own authentication cookies stay here. `atlassian.xsrf.token` is the browser's: page scripts read it
//! and send it back as `atl_token`, so it has to be in the browser, and two copies in one request would contradict each
//! other. It is therefore left out of a [`CustomerSession`] even though the login sets it: the first page that is asked
//! for without it sets it again, and the proxy passes that on. It is worth nothing without the session's cookies. After
//! a customer session was opened anew, a form that was on the screen carries the old token; the upstream answers that
//! with its own "try again" page and a new token.

pub mod accounts;
mod attempts;
mod claims;
pub mod cloud;
pub mod datacenter;
mod death;
mod directory;
mod failure;
mod hand_over;
mod jar;
mod known;
pub mod ledger;
mod lifetime;
mod login_breaker;
#[cfg(test)]
mod look_alike_tests;
mod observer;
mod people;
mod places;
mod sessions;
pub mod trusted_jwt;
mod upstream;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderName;
use tokio::time::Instant;

use self::accounts::Account;
pub use self::claims::{ClaimFailed, PasswordClaims};
pub use self::cloud::is_password;
pub use self::death::{AnswerHead, DeathSign};
pub use self::directory::{Directory, DirectoryParts, Planned, Standing, SyncOutcome, Synced};
pub use self::failure::{
    BrokerFailed, CustomerFailed, DirectoryFailed, NeededPassword, REASONS, Unfit, UpstreamFailed,
};
pub use self::hand_over::{HandOver, LettingThrough};
pub use self::observer::{CustomerEvent, CustomerObserver, NobodyWatches, Provisioning};
pub use self::people::People;
pub use self::sessions::{CustomerSessions, Verdict};
use crate::clock::Timestamp;
use crate::email::EmailAddress;
use crate::session::CustomerSession;
use crate::sign_in::VerifiedIdentity;

/// The browser's, not ours: see above.
const XSRF_COOKIE: &str = "atlassian.xsrf.token";

/// A customer's account at the upstream: found or made there, judged fit, and nobody else's. Only a directory makes one.
#[derive(Clone, PartialEq, Eq)]
pub struct Customer {
    account: String,
    email: EmailAddress,
    address: EmailAddress,
}

impl Customer {
    /// An account that a directory has judged fit.
    fn fit(account: Account, email: EmailAddress) -> Self {
        let told = account.email.as_deref().and_then(|told| EmailAddress::parse(told.trim()).ok());
        Self { account: account.id, address: told.unwrap_or_else(|| email.clone()), email }
    }

    /// Somebody whose account is nobody's here to judge: known by the address that they came with.
    fn unjudged(account: String, email: EmailAddress) -> Self {
        Self { account, address: email.clone(), email }
    }

    /// What the upstream calls the account: a user name or an account id.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The address that the person came with.
    pub fn email(&self) -> &EmailAddress {
        &self.email
    }

    /// The address that the account has at the upstream, by which it is logged in. Where the upstream tells none, the
    /// one that the person came with.
    pub fn address(&self) -> &EmailAddress {
        &self.address
    }
}

impl fmt::Debug for Customer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Customer({})", self.account)
    }
}

/// What a customer session is opened for.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// What the identity provider has proved.
    pub who: &'a VerifiedIdentity,
    /// The account.
    pub customer: &'a Customer,
    /// The customer session that this one follows, because its time is over or will be soon; `None` for one that died.
    pub held: Option<&'a CustomerSession>,
    /// The node that requests no longer go to, when this one is opened because of that.
    pub left: Option<SocketAddr>,
    /// What it counts as.
    pub generation: u64,
    /// The present moment.
    pub now: Timestamp,
    /// When nobody waits any more.
    pub deadline: Instant,
}

/// An account at the upstream on whose behalf customers are found and made.
#[async_trait]
pub trait ServiceAccount: fmt::Debug + Send + Sync {
    /// Whether its credentials work and suffice. Tells whose they are.
    ///
    /// # Errors
    /// In an operator's words, when they do not.
    async fn check_credentials(&self, deadline: Instant) -> Result<String, Unfit>;
}

/// Finds or creates customers and keeps what belongs to them right.
#[async_trait]
pub trait CustomerDirectory: fmt::Debug + Send + Sync {
    /// The customer that `who` is. Every step may be repeated, so that what a crash left undone is finished by the next
    /// sign-in.
    ///
    /// # Errors
    /// When the person may not be a customer, or the upstream does not do its part before the deadline.
    async fn ensure(&self, who: &VerifiedIdentity, deadline: Instant) -> Result<Customer, DirectoryFailed>;

    /// `who` is no longer admitted: takes away what the settings say, once. Nothing happens where nothing was done before.
    ///
    /// # Errors
    /// When something could not be taken away; the next call tries again.
    async fn leave(&self, who: &VerifiedIdentity, deadline: Instant) -> Result<(), DirectoryFailed>;
}

/// Opens, checks and ends customer sessions, and knows the signs by which the upstream shows that one has died.
#[async_trait]
pub trait CustomerSessionBroker: fmt::Debug + Send + Sync {
    /// Opens a customer session of that generation.
    ///
    /// # Errors
    /// When the upstream does not let the customer in before the deadline, or lets in somebody else.
    async fn open(
        &self,
        customer: &Customer,
        generation: u64,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<CustomerSession, BrokerFailed>;

    /// The same for brokers that tell the upstream more than the account, or go on with what the session before held.
    ///
    /// # Errors
    /// As for [`CustomerSessionBroker::open`].
    async fn open_for(&self, opening: &Opening<'_>) -> Result<CustomerSession, BrokerFailed> {
        self.open(opening.customer, opening.generation, opening.now, opening.deadline).await
    }

    /// How long a customer whom the directory has found in order is taken to be so when the next session is opened for the
    /// same visitor. `None` for brokers that open rarely: the directory is asked each time.
    fn trusts_the_directory_for(&self) -> Option<Duration> {
        None
    }

    /// Whether a cookie of that name that the upstream sets belongs into the customer session.
    fn adopts(&self, _name: &str) -> bool {
        false
    }

    /// The header field by which the upstream is told who the visitor is: nobody else may send it there.
    fn identity_header(&self) -> Option<&HeaderName> {
        None
    }

    /// Whether there is a service account to check.
    fn has_service_account(&self) -> bool {
        true
    }

    /// Whether the upstream still knows the session.
    ///
    /// # Errors
    /// When it does not tell.
    async fn is_alive(&self, session: &CustomerSession, deadline: Instant) -> Result<bool, BrokerFailed>;

    /// Whether another node of the site than the one that knows it would open it anew by itself. Pure.
    fn outlives_its_node(&self, _session: &CustomerSession) -> bool {
        true
    }

    /// Ends the session at the upstream. A session that is not known there any more counts as ended.
    ///
    /// # Errors
    /// When the upstream does not confirm it before the deadline.
    async fn end(&self, session: &CustomerSession, deadline: Instant) -> Result<(), BrokerFailed>;

    /// Whether the service credentials work and suffice. Tells whose they are.
    ///
    /// # Errors
    /// In an operator's words, when they do not.
    async fn check(&self, deadline: Instant) -> Result<String, Unfit>;

    /// Whether [`open`](Self::open) can succeed at all: not where the visitor's own browser has to log in.
    fn opens_by_itself(&self) -> bool {
        true
    }

    /// What an answer to a request with a customer session says about that session. Pure.
    fn signs_of_death(&self, answer: &AnswerHead<'_>) -> Option<DeathSign>;

    /// What becomes of a session whose cookies the upstream has just renewed. Pure.
    ///
    /// # Errors
    /// When the cookies are not its customer's any more.
    fn renewed(&self, session: CustomerSession, _now: Timestamp) -> Result<CustomerSession, DeathSign> {
        Ok(session)
    }

    /// Whether a cookie of that name is the upstream's own authentication, which a browser must neither see nor send.
    fn is_authentication_cookie(&self, name: &str) -> bool;

    /// How long opening a session may take in all, from the first call to the last.
    fn patience(&self) -> Duration;
}
