//! What happens to customer sessions, told to whoever counts.

use std::fmt;
use std::time::Duration;

use super::{CustomerFailed, DeathSign};

/// Something that happened to a customer session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CustomerEvent {
    /// A request used the one that was there.
    Reused,
    /// One was opened.
    Opened {
        /// Account and login together.
        took: Duration,
    },
    /// None was opened.
    Failed {
        /// Why.
        failure: CustomerFailed,
        /// Until that was clear.
        took: Duration,
    },
    /// An answer looked as if one had died.
    Suspected {
        /// How it looked.
        sign: DeathSign,
        /// Whether it had.
        dead: bool,
    },
    /// One was ended at the upstream, or not.
    Ended {
        /// Whether the upstream confirmed it.
        confirmed: bool,
    },
    /// A way to log in is gone at the upstream.
    LoginGone,
    /// Something was done, or not, for a customer's account.
    Provisioned(Provisioning),
}

/// What was done, or not, for a customer's account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provisioning {
    /// An account was made.
    Created,
    /// An account was given to its person, for good.
    Bound,
    /// Somebody was added to a service desk or organization.
    Added,
    /// Somebody was taken out of one that the gateway had added them to.
    Removed,
    /// A name to show was changed.
    Renamed,
    /// An account has got its person's new address.
    EmailFollowed,
    /// An existing customer was let in although something is not in order.
    Incomplete,
    /// Somebody proved the address of an account that belongs to another identity, and was refused.
    TakeoverRefused,
    /// What `on_leave` says was done for a customer whose admission had ended.
    Left,
    /// It could not be done.
    LeaveFailed,
}

/// Counts what happens. Called on the path of every request: must not block.
pub trait CustomerObserver: fmt::Debug + Send + Sync {
    /// Takes note.
    fn note(&self, event: &CustomerEvent);
}

/// Counts nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NobodyWatches;

impl CustomerObserver for NobodyWatches {
    fn note(&self, _event: &CustomerEvent) {}
}
