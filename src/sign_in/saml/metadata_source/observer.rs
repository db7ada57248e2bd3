//! What happens to a provider's metadata, told to whoever counts.

use std::fmt;

use super::MetadataFault;
use crate::clock::Timestamp;

/// What a look for metadata found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataEvent {
    /// Metadata that is good.
    Good {
        /// When.
        at: Timestamp,
        /// Whether it is another than before.
        new: bool,
        /// Its end; `None` is for ever.
        valid_until: Option<Timestamp>,
    },
    /// None, or none that is taken.
    Failed(MetadataFault),
}

/// Counts looks. Must not block.
pub trait MetadataObserver: fmt::Debug + Send + Sync {
    /// Takes note.
    fn note(&self, event: &MetadataEvent);
}
