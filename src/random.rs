//! Randomness as an argument: the system's generator, or a fixed sequence in tests.

use std::cell::RefCell;
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

/// Random bytes that a thread has in store.
struct Ahead {
    bytes: [u8; 1024],
    used: usize,
}

thread_local! {
    static AHEAD: RefCell<Ahead> = const { RefCell::new(Ahead { bytes: [0; 1024], used: 1024 }) };
}

impl Ahead {
    fn take<const N: usize>(&mut self, system: &SystemRandom) -> Result<[u8; N], NoRandomness> {
        let taken = |ahead: &mut Self| {
            let end = ahead.used.checked_add(N)?;
            let bytes = ahead.bytes.get(ahead.used..end)?.try_into().ok()?;
            ahead.used = end;
            Some(bytes)
        };
        if let Some(bytes) = taken(self) {
            return Ok(bytes);
        }
        system.fill(&mut self.bytes).map_err(|_| NoRandomness)?;
        self.used = 0;
        taken(self).ok_or(NoRandomness)
    }
}

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

    /// `N` random bytes for a name that is no secret, taken from what the system gave this thread ahead: many names cost one
    /// call to the system. What was given stays in memory until it is overwritten.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn name_bytes<const N: usize>(&self) -> Result<[u8; N], NoRandomness> {
        match self {
            Self::System(system) => AHEAD.with_borrow_mut(|ahead| ahead.take(system)),
            #[cfg(test)]
            Self::Sequence(_) => self.bytes(),
        }
    }

    /// 256 random bits as base64url without padding (43 characters).
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn token(&self) -> Result<String, NoRandomness> {
        Ok(URL_SAFE_NO_PAD.encode(self.bytes::<32>()?))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_taken_ahead_and_never_repeat() {
        let random = Random::default();
        let names: HashSet<[u8; 16]> = (0..10_000).map(|_| random.name_bytes().unwrap()).collect();
        assert_eq!(names.len(), 10_000);
        let odd: HashSet<[u8; 33]> = (0..1_000).map(|_| random.name_bytes().unwrap()).collect();
        assert_eq!(odd.len(), 1_000);
        assert!(random.name_bytes::<2048>().is_err(), "more than there ever is");
    }
}
