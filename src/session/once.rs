//! Sessions' store remembers, for sign-in, what may be used once.

use async_trait::async_trait;

use super::Sessions;
use crate::clock::Timestamp;
use crate::sign_in::once::{NotRemembered, OnceOnly};

#[async_trait]
impl OnceOnly for Sessions {
    async fn first_use(&self, what: &[&str], until: Timestamp) -> Result<bool, NotRemembered> {
        let first = Self::first_use(self, what, until).await;
        first.map_err(|error| NotRemembered { label: error.label(), what: error.to_string() })
    }
}
