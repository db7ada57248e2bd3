//! Records that outlive sessions: sealed bytes by blind tag, on a few named shelves. A store knows the shelf, and nothing
//! of what a record says or whose it is.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Sealed, StoreError, Tag};

/// What kind of record it is. The number is part of the file's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Shelf {
    /// What the gateway has done for a person at an upstream.
    People = 1,
    /// Whose an account at an upstream is.
    Accounts = 2,
    /// When a person made their latest requests.
    Creations = 3,
    /// A customer's password at an upstream.
    Passwords = 4,
    /// Certificates that a certificate authority has issued to us, and who orders the next ones.
    Certificates = 5,
}

/// One record put in a place, or taken from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordChange {
    /// On which shelf.
    pub shelf: Shelf,
    /// In which place.
    pub tag: Tag,
    /// What stands there from now on; `None` for nothing.
    pub record: Option<Sealed>,
}

/// What stood in a place when somebody looked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordSeen {
    /// On which shelf.
    pub shelf: Shelf,
    /// In which place.
    pub tag: Tag,
    /// What stood there, to the byte; `None` for nothing.
    pub record: Option<Sealed>,
}

/// Keeps records until they are taken away. All methods may be called at the same time.
#[async_trait]
pub trait RecordStore: fmt::Debug + Send + Sync {
    /// The record in that place.
    async fn fetch(&self, shelf: Shelf, tag: &Tag) -> Result<Option<Sealed>, StoreError>;

    /// Makes all changes or none; they are lasting when this returns.
    async fn change(&self, changes: Vec<RecordChange>) -> Result<(), StoreError>;

    /// Makes all changes, where everything in `seen` still stands as it was seen; else none. Whether they were made. Nobody
    /// else's change comes between looking and making, in this process or another: this is what gateways that share a store
    /// agree by.
    async fn change_if(&self, seen: Vec<RecordSeen>, changes: Vec<RecordChange>) -> Result<bool, StoreError>;

    /// Up to `limit` records of a shelf in the order of their tags, from the first one after `after`.
    async fn walk(&self, shelf: Shelf, after: Option<&Tag>, limit: usize) -> Result<Vec<(Tag, Sealed)>, StoreError>;
}
