//! Conditions in the operator's words, such as `"support" in claims.department && email_domain == "acme.com"`.
//!
//! The language is a part of CEL, the Common Expression Language; the crate `cel` reads the text. Each part is then given
//! its type (`typed`), so that what could only fail, cost without end, or mean something else than it seems to is a mistake
//! at the start. What is left can do nothing but compare values, in a bounded number of steps (`tree`). Trusts the
//! operator's text as little as the values: neither can make it panic. A value that is not there refuses.

mod facts;
mod syntax;
mod tree;
mod typed;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

pub use self::facts::Facts;
use self::tree::Truth;

/// The longest condition, in bytes.
const LONGEST: usize = 2000;

/// A condition that makes sense. Clones share it.
#[derive(Clone)]
pub struct Condition {
    text: Arc<str>,
    truth: Arc<Truth>,
}

/// A condition is what it is written as.
impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// A condition needs a value that is not there: nobody is let in by guessing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the condition needs a claim, an address or a certificate that is not there")]
pub struct Absent;

/// What is wrong with the text of a condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Mistake {
    /// What is wrong, with the place in the text where that is known.
    pub what: String,
    /// What would be right; may be empty.
    pub cure: String,
}

impl Mistake {
    fn new(what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { what: what.into(), cure: cure.into() }
    }
}

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    /// When it is no CEL, uses what is not there, or compares what cannot be compared.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        if text.len() > LONGEST {
            return Err(Mistake::new(format!("is {} bytes long", text.len()), format!("at most {LONGEST}")));
        }
        let truth = syntax::read(text, typed::read)?;
        Ok(Self { text: text.trim().into(), truth: Arc::new(truth) })
    }

    /// Whether it holds.
    ///
    /// # Errors
    /// [`Absent`], when that depends on a value that is not there.
    pub fn holds(&self, facts: &Facts<'_>) -> Result<bool, Absent> {
        self.truth.of(facts, None)
    }

    /// Whether it looks at the visitor's certificate.
    pub fn asks_for_certificate(&self) -> bool {
        self.truth.asks_for_certificate()
    }

    /// The text, as the operator wrote it.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Condition({})", self.text)
    }
}
