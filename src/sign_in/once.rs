//! What may be used once: remembered beyond the end of this process, and by every process that shares a store.

use async_trait::async_trait;

use crate::clock::Timestamp;

/// Remembers what was used.
#[async_trait]
pub trait OnceOnly: Send + Sync {
    /// Whether this is the first use of what `what` names in parts: true for one call alone. It is remembered until after
    /// `until`.
    ///
    /// # Errors
    /// When it could not be remembered: then it must not be used.
    async fn first_use(&self, what: &[&str], until: Timestamp) -> Result<bool, NotRemembered>;
}

/// A use could not be remembered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it cannot be remembered that the message was used: {what}")]
pub struct NotRemembered {
    /// The label for metrics, of a closed set.
    pub label: &'static str,
    /// What went wrong, for the log.
    pub what: String,
}
