//! The order to read the configuration again, and what came of it.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::upgrade::{ProcessNow, Upgraded};

/// The target of the order over the admin listener.
pub const RELOAD: &str = "/configuration/reload";

/// What operators can have a running gateway do with itself.
#[async_trait]
pub trait RunningGateway: Send + Sync {
    /// Reads its configuration again, and puts it in force if it can be. Nothing changes otherwise.
    async fn reload(&self) -> Reloaded;

    /// What is in force now.
    fn standing(&self) -> InForceNow;

    /// Has a new process of its program take its place.
    async fn upgrade(&self) -> Upgraded;

    /// The process that serves.
    fn process(&self) -> ProcessNow;
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reloaded {
    /// It is in force: its number, and what is new, one sentence each. Empty when nothing is.
    Applied {
        /// Counted from 1, which the gateway started with.
        number: u64,
        /// What has changed.
        changes: Vec<String>,
    },
    /// What was in force stays so, all of it.
    Refused {
        /// The label in metrics.
        result: RefusedFor,
        /// Why, one sentence each.
        problems: Vec<String>,
    },
}

/// Why a configuration was not put in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedFor {
    /// It has faults, as `vestibule check` tells them.
    Faulty,
    /// It changes what cannot change while the gateway runs.
    NeedsRestart,
    /// It is sound and cannot be served, such as by a certificate that cannot be read.
    Unusable,
    /// Another process has taken over meanwhile: it is the one to be told.
    HandedOver,
}

impl Reloaded {
    /// The label in metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Applied { changes, .. } if changes.is_empty() => "unchanged",
            Self::Applied { .. } => "applied",
            Self::Refused { result: RefusedFor::Faulty, .. } => "faulty",
            Self::Refused { result: RefusedFor::NeedsRestart, .. } => "needs_restart",
            Self::Refused { result: RefusedFor::Unusable, .. } => "unusable",
            Self::Refused { result: RefusedFor::HandedOver, .. } => "handed_over",
        }
    }
}

/// What is in force, for who watches several gateways.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForceNow {
    /// Counted from 1, which the gateway started with.
    pub number: u64,
    /// When it was last found to be what the file says, in RFC 3339.
    pub confirmed: String,
    /// The same for the same text under the same first key, and for no other. The text cannot be guessed by it.
    pub digest: String,
    /// What came of the last try to read it again, as in metrics; none yet.
    pub last_reload: Option<String>,
}
