//! The order that a new process of the program takes the place of the running one, and what came of it.

use serde::{Deserialize, Serialize};

/// The target of the order over the admin listener.
pub const UPGRADE: &str = "/process/upgrade";

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Upgraded {
    /// Another process serves.
    Done {
        /// Its number.
        process: u32,
        /// Its version.
        version: String,
    },
    /// The process before serves on.
    Refused {
        /// The label in metrics.
        result: String,
        /// Why, one sentence each.
        problems: Vec<String>,
    },
}

/// The process that serves, for who watches upgrades.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessNow {
    /// Its number.
    pub number: u32,
    /// When it began to serve, in RFC 3339.
    pub since: String,
    /// Whether it took the place of another one, which handed over to it.
    pub took_over: bool,
    /// What came of the last try to have a new one take its place, as in metrics; none yet.
    pub last_upgrade: Option<String>,
}
