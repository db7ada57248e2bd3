//! The sessions of one browser at the portals of one group: they end together.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::cookie::SignInKey;

/// Names a browser among those that use a group, without being of any use to whoever reads it: SHA-256 of its cookie.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Family(String);

impl Family {
    /// That of the browser with this cookie.
    pub fn of(browser: &SignInKey) -> Self {
        Self(URL_SAFE_NO_PAD.encode(digest(&SHA256, browser.reveal().as_bytes())))
    }

    /// Its text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Family(..)")
    }
}
