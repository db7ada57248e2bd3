//! Values that must not be seen: never displayed, never serialised, wiped when dropped.

use std::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// A secret text, and where it came from.
#[derive(Clone)]
pub struct Secret {
    value: Zeroizing<String>,
    source: Source,
}

/// Where a secret was read from: what may be told about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Written in the configuration itself.
    Value,
    /// The environment variable of that name.
    Env(String),
    /// The file at that path.
    File(String),
    /// Made by this process.
    Generated,
}

impl Secret {
    /// Wraps a secret that was read from `source`.
    pub fn new(value: impl Into<String>, source: Source) -> Self {
        Self { value: Zeroizing::new(value.into()), source }
    }

    /// Wraps a secret made by this process.
    pub fn generated(value: impl Into<String>) -> Self {
        Self::new(value, Source::Generated)
    }

    /// The secret itself. Every use is a place to review.
    pub fn reveal(&self) -> &str {
        &self.value
    }

    /// Where it came from.
    pub fn source(&self) -> &Source {
        &self.source
    }
}

/// Whether a secret is still the same, and from the same place: for configurations that are compared. In constant time all
/// the same, so that no use of it can tell more.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        let same: bool = self.value.as_bytes().ct_eq(other.value.as_bytes()).into();
        same && self.source == other.source
    }
}

impl Eq for Secret {}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value => f.write_str("written in the file"),
            Self::Env(name) => write!(f, "from the environment variable {name}"),
            Self::File(path) => write!(f, "from the file {path}"),
            Self::Generated => f.write_str("made by this process"),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_tells_the_source_and_not_the_value() {
        let secret = Secret::new("hunter2", Source::Env("JSM_TOKEN".into()));
        assert_eq!(format!("{secret:?}"), "Secret(from the environment variable JSM_TOKEN)");
        assert_eq!(secret.reveal(), "hunter2");
    }
}
