//! One process takes the place of another: what the two say to each other, over a pair of sockets that nobody else has.
//!
//! The old process starts the new one, with its listening sockets. The new one reads the configuration and makes ready
//! whatever needs no session store, and says so. Then the store changes hands, with what is in memory alone; the new process
//! opens it, accepts connections, and says so. Until then the old one can go on as if nothing had happened. Afterwards it ends
//! what it has begun: with a store that the new process lends it, and with the news of sessions that end there.
//!
//! Both trust each other: they are of one user and one file. Nothing of it is ever written to a disk.

mod line;
mod predecessor;
mod successor;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub(crate) use self::line::Line;
pub(crate) use self::predecessor::{LastWords, Successor, last_exchanges};
pub use self::predecessor::{NotUpgraded, Program};
pub use self::successor::{Inheritance, NoInheritance};
pub(crate) use self::successor::{Received, lend};
use crate::session::store::lent::{Granted, Wish};
use crate::session::{CarriedOver, SessionNews, StoreError};
use crate::sign_in::under_way::HeldSignIn;

/// What both have to speak. To be raised when messages change their meaning; the old process then goes on by itself.
const PROTOCOL: u32 = 1;

/// The first message, beside which the sockets travel.
#[derive(Debug, Serialize, Deserialize)]
struct Welcome {
    protocol: u32,
    /// The name of the listener of each socket.
    sockets: Vec<String>,
}

/// From the old process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToSuccessor {
    /// A sign-in that is under way, or how it has gone on.
    SignIn(HeldSignIn),
    /// The store is closed: open it.
    Yours(CarriedOver),
    /// You are the gateway now, and the service manager knows.
    Alone,
    /// You are not wanted.
    Stop,
    News(SessionNews),
    Wish {
        number: u64,
        wish: Wish,
    },
}

/// From the new process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToPredecessor {
    /// Everything is ready but the store.
    Prepared {
        version: String,
        /// Its number.
        process: u32,
    },
    /// It will not do. Why, one sentence each.
    CannotServe(Vec<String>),
    /// The store is open, and connections are accepted.
    Serving,
    News(SessionNews),
    Granted {
        number: u64,
        granted: Result<Granted, StoreError>,
    },
}
