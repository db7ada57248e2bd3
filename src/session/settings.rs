//! Settings of sessions.

use std::path::PathBuf;
use std::time::Duration;

use crate::secret::Secret;

/// Settings of sessions.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionSettings {
    /// A session that nobody uses for this long ends.
    pub idle_timeout: Duration,
    /// A session ends this long after sign-in.
    pub absolute_timeout: Duration,
    /// How many sessions are held in memory at most.
    pub cache_entries: u64,
    /// Where the records are.
    pub store: StoreSettings,
    /// At least one. The first seals, all open.
    pub keys: Vec<Secret>,
}

/// Where session records are kept.
#[derive(Clone, Debug, PartialEq)]
pub enum StoreSettings {
    /// A file of this machine.
    Embedded {
        /// The `redb` file; its folder has to exist.
        path: PathBuf,
    },
}
