//! Randomness as an argument: the system's generator, or a fixed sequence in tests.

#[cfg(test)]
use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};

/// The system could not give random bytes. Nothing may go on without them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gave no random bytes")]
pub struct NoRandomness;

/// Where random bytes come from.
#[derive(Clone, Debug)]
pub enum Random {
    /// The operating system's generator.
    System(SystemRandom),
    /// A predictable sequence: for tests of exact output only.
    #[cfg(test)]
    Sequence(Arc<AtomicU64>),
}

impl Default for Random {
    fn default() -> Self {
        Self::System(SystemRandom::new())
    }
}

impl Random {
    /// Fills `bytes`.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        match self {
            Self::System(system) => system.fill(bytes).map_err(|_| NoRandomness),
            #[cfg(test)]
            Self::Sequence(next) => {
                for byte in bytes {
                    *byte = next.fetch_add(1, Ordering::SeqCst).to_le_bytes()[0];
                }
                Ok(())
            }
        }
    }

    /// `N` random bytes.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn bytes<const N: usize>(&self) -> Result<[u8; N], NoRandomness> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// 256 random bits as base64url without padding (43 characters).
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn token(&self) -> Result<String, NoRandomness> {
        Ok(URL_SAFE_NO_PAD.encode(self.bytes::<32>()?))
    }
}
