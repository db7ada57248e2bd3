//! Where session records are kept: bytes by hash, behind one narrow trait.
//!
//! A store sees hashes, sealed bytes, blind tags and a time after which it may sweep; besides sessions it keeps marks of what
//! may be used once. Every implementation passes the one shared suite (`suite`). The same store keeps records that outlive
//! sessions, behind a trait of its own ([`RecordStore`], with `record_suite`), and kept forms ([`FormStore`], `form_suite`).

pub mod embedded;
mod kept;
mod lasting;
pub mod lent;
pub mod memory;
pub mod moving;

#[cfg(test)]
pub(crate) mod faulty;
#[cfg(test)]
mod form_suite;
#[cfg(test)]
mod record_suite;
#[cfg(test)]
mod suite;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use self::kept::{FormStore, Room, StoredForm, StoredHead, Whose};
pub use self::lasting::{RecordChange, RecordSeen, RecordStore, Shelf};
use super::keys::InvalidKeys;
pub use super::sealed::{NotSealed, Sealed};
use crate::clock::Timestamp;
use crate::ids::SessionHash;

/// Finds sessions without telling whose they are: HMAC of what is looked for, under a configured key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tag([u8; 32]);

impl Tag {
    /// A tag as made or stored.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tag(..)")
    }
}

/// Stands for something that may be used once: SHA-256 of what it is. It says nothing to whoever does not know that.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mark([u8; 32]);

impl Mark {
    /// The mark of these parts, in this order. Under no configured key: it is the same after the keys were changed.
    pub fn of(parts: &[&str]) -> Self {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        context.update(b"vestibule mark 1");
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes()); // so that no two lists spell the same bytes
            context.update(part.as_bytes());
        }
        let mut mark = [0; 32];
        mark.copy_from_slice(context.finish().as_ref());
        Self(mark)
    }

    /// The bytes to store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mark(..)")
    }
}

/// A session as a store sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredSession {
    /// The secrets, sealed under the session id and a configured key.
    pub record: Sealed,
    /// What lets the session be found, sealed under a configured key.
    pub index: StoredIndex,
}

/// The part of a stored session that is written each time its use is noted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredIndex {
    /// The index part, sealed under a configured key.
    pub sealed: Sealed,
    /// The tags that find this session.
    pub tags: Vec<Tag>,
    /// The store may forget the session after this moment.
    pub swept_after: Timestamp,
}

/// Keeps sessions. All methods may be called at the same time; a write is lasting when it has returned, except
/// [`SessionStore::touch`].
#[async_trait]
pub trait SessionStore: RecordStore + FormStore {
    /// The session with that hash.
    async fn load(&self, hash: &SessionHash) -> Result<Option<StoredSession>, StoreError>;

    /// Keeps a new session.
    async fn save(&self, hash: &SessionHash, session: StoredSession) -> Result<(), StoreError>;

    /// Puts another record in place of a session's. False, and nothing written, when there is no such session.
    async fn replace(&self, hash: &SessionHash, record: Sealed) -> Result<bool, StoreError>;

    /// Puts another index part in place of a session's, soon and together with others; nothing happens when there is no
    /// such session by then. Never waits.
    ///
    /// # Errors
    /// When the store is closed or has more to do than it can hold.
    fn touch(&self, hash: &SessionHash, index: StoredIndex) -> Result<(), StoreError>;

    /// Forgets a session. True when there was one.
    async fn forget(&self, hash: &SessionHash) -> Result<bool, StoreError>;

    /// The sessions that carry any of the tags.
    async fn find_by_tag(&self, tags: &[Tag]) -> Result<Vec<SessionHash>, StoreError>;

    /// Up to `limit` sessions with their sealed index parts, in no meaningful order.
    async fn scan(&self, limit: usize) -> Result<Vec<(SessionHash, Sealed)>, StoreError>;

    /// How many sessions are kept, swept or not.
    async fn count(&self) -> Result<u64, StoreError>;

    /// Keeps a mark until after `until`. True for the one call that brought it; false for every other while it is kept,
    /// at the same time or later, in this process or after it.
    async fn mark_once(&self, mark: &Mark, until: Timestamp) -> Result<bool, StoreError>;

    /// Forgets up to `limit` of the sessions whose time is over, and tells which; and up to `limit` of such marks, and all
    /// kept forms that are over.
    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<Vec<SessionHash>, StoreError>;

    /// Waits until everything given to the store before is lasting.
    async fn flush(&self) -> Result<(), StoreError>;

    /// Writes what is left and lets go of the store; everything later fails with [`StoreError::Closed`].
    async fn close(&self) -> Result<(), StoreError>;

    /// How the last write went.
    ///
    /// # Errors
    /// The last write's, until one works again.
    fn health(&self) -> Result<(), StoreError>;
}

/// Why sessions cannot be kept or found. Each says what an operator can do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum StoreError {
    /// The configured keys will not do.
    #[error(transparent)]
    Keys(#[from] InvalidKeys),
    /// Sealing failed.
    #[error("a session could not be sealed: {0}")]
    NotSealed(#[from] NotSealed),
    /// The file cannot be opened or made.
    #[error("the session store {} cannot be opened: {reason}", path.display())]
    NotOpened {
        /// The file.
        path: Arc<Path>,
        /// What the system says.
        reason: String,
    },
    /// Another process has the file.
    #[error("the session store {} is in use by another process; stop that one first", path.display())]
    InUse {
        /// The file.
        path: Arc<Path>,
    },
    /// The file was written in another format.
    #[error(
        "the session store {} has format {found}, and this version reads format {expected}; move the file away to start \
         with an empty store: everybody signs in once more",
        path.display()
    )]
    OtherFormat {
        /// The file.
        path: Arc<Path>,
        /// What it says of itself.
        found: String,
        /// What this version reads.
        expected: u64,
    },
    /// The file is no session store, or was changed by something else.
    #[error(
        "the session store {} is damaged or something else ({reason}); move the file away to start with an empty store: \
         everybody signs in once more",
        path.display()
    )]
    Damaged {
        /// The file.
        path: Arc<Path>,
        /// What was found.
        reason: String,
    },
    /// There is no room left.
    #[error("the disk of the session store {} is full; make room, and sign-in works again by itself", path.display())]
    Full {
        /// The file.
        path: Arc<Path>,
    },
    /// The file cannot be read or written.
    #[error("the session store {} does not work: {reason}", path.display())]
    Broken {
        /// The file.
        path: Arc<Path>,
        /// What the system says.
        reason: String,
    },
    /// More is waiting to be written than may wait.
    #[error("the session store does not keep up with what it has to write")]
    Busy,
    /// The store was closed.
    #[error("the session store is closed")]
    Closed,
}

impl StoreError {
    /// The metric label: one of a closed set.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Keys(_) => "session_store_keys",
            Self::NotSealed(_) => "session_store_not_sealed",
            Self::NotOpened { .. } => "session_store_not_opened",
            Self::InUse { .. } => "session_store_in_use",
            Self::OtherFormat { .. } => "session_store_other_format",
            Self::Damaged { .. } => "session_store_damaged",
            Self::Full { .. } => "session_store_full",
            Self::Broken { .. } => "session_store_broken",
            Self::Busy => "session_store_busy",
            Self::Closed => "session_store_closed",
        }
    }
}
