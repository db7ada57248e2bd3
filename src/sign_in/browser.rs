//! Ties a sign-in to the browser that began it, so that nobody can be signed in as somebody else by a link (login
//! CSRF) and no stolen callback is worth anything elsewhere.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::ids::SessionHash;
use crate::random::{NoRandomness, Random};
use crate::secret::Secret;

/// The value of a cookie that ties sign-ins to a browser: 256 random bits as 43 characters. Only its hash is kept here.
pub struct BrowserKey(Zeroizing<String>);

/// SHA-256 of a [`BrowserKey`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BrowserHash([u8; 32]);

impl BrowserKey {
    /// A key for a browser that has none.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn generate(random: &Random) -> Result<Self, NoRandomness> {
        Ok(Self(Zeroizing::new(random.token()?)))
    }

    /// Reads a cookie value: 256 bits of base64url in their one spelling.
    pub fn parse(value: &str) -> Option<Self> {
        is_token(value).then(|| Self(Zeroizing::new(value.to_owned())))
    }

    /// What may be stored of it.
    pub fn hash(&self) -> BrowserHash {
        BrowserHash(sha256(&self.0))
    }

    /// The cookie value.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// What ties a request to the browser that sent it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ties<'a> {
    /// The value of the sign-in cookie, which browsers send along with links and redirects.
    pub sign_in: Option<&'a str>,
    /// The value of its sister, which they also send along with what another site posts.
    pub posted: Option<&'a str>,
    /// The session that the visitor has.
    pub session: Option<SessionHash>,
    /// The cookie by which the browser is known, as it came; opaque here.
    pub known: Option<&'a Secret>,
}

/// A cookie for a browser to keep while a sign-in is under way.
pub enum TieCookie {
    /// The sign-in cookie, for a browser that has none.
    SignIn(String),
    /// Its sister for answers that are posted, new or once more.
    Posted(String),
}

impl fmt::Debug for TieCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SignIn(_) => "SignIn(..)",
            Self::Posted(_) => "Posted(..)",
        })
    }
}

impl fmt::Debug for BrowserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BrowserKey(..)")
    }
}

impl fmt::Debug for BrowserHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BrowserHash(..)")
    }
}

/// Whether `text` is one of our tokens by its shape: 256 bits of base64url without padding, canonical.
pub(super) fn is_token(text: &str) -> bool {
    text.len() == 43 && URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == 32)
}

/// SHA-256 of `text`.
pub(super) fn sha256(text: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c4_only_our_tokens_are_read() {
        let key = BrowserKey::generate(&Random::default()).unwrap();
        assert!(BrowserKey::parse(key.reveal()).unwrap().hash() == key.hash());
        let padded = format!("{}=", key.reveal());
        let long = "A".repeat(16 * 1024);
        for wrong in
            ["", "x", padded.as_str(), &format!("{}B", "A".repeat(42)), &"é".repeat(43), &long, &"+".repeat(43)]
        {
            assert!(BrowserKey::parse(wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn debug_hides_the_key() {
        let key = BrowserKey::generate(&Random::default()).unwrap();
        assert_eq!(format!("{key:?} {:?}", key.hash()), "BrowserKey(..) BrowserHash(..)");
    }
}
