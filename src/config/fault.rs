//! What is wrong with a configuration: every fault of one run, each with its place and its cure.

use std::collections::BTreeSet;
use std::fmt;

use super::tree::{Mark, Place};

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Line, from 1; 0 when the file as a whole is meant.
    pub line: usize,
    /// Column in characters, from 1; 0 when the file as a whole is meant.
    pub column: usize,
    /// The setting, such as `portals[0].sign_in.providers[1]`; empty for the file as a whole.
    pub path: String,
    /// What is wrong. Holds no secret.
    pub what: String,
    /// What would be right; may be empty.
    pub cure: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "{}:{}: ", self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.what)?;
        if !self.cure.is_empty() {
            write!(f, " ({})", self.cure)?;
        }
        Ok(())
    }
}

/// Everything that is wrong with a file, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.lines())]
pub struct Faults {
    file: String,
    faults: Vec<Fault>,
}

impl Faults {
    pub(super) fn new(file: &str, mut faults: Vec<Fault>) -> Self {
        faults.sort();
        faults.dedup();
        Self { file: file.to_owned(), faults }
    }

    /// The faults.
    pub fn as_slice(&self) -> &[Fault] {
        &self.faults
    }

    /// The same faults, of the file with this name.
    #[must_use]
    pub fn of_file(self, file: impl Into<String>) -> Self {
        Self { file: file.into(), ..self }
    }

    /// `gateway.yaml:42:11: path: what (cure)`, one line for each fault.
    fn lines(&self) -> String {
        let lines: Vec<String> = self
            .faults
            .iter()
            .map(|fault| format!("{}:{}{fault}", self.file, if fault.line > 0 { "" } else { " " }))
            .collect();
        lines.join("\n")
    }
}

/// Where faults are written down while a file is read.
#[derive(Default)]
pub(super) struct Report {
    faults: Vec<Fault>,
    broken: BTreeSet<String>,
}

impl Report {
    /// A fault that has no place in the tree of settings.
    pub(super) fn of_text(&mut self, at: Mark, path: &str, what: impl Into<String>, cure: impl Into<String>) {
        let (what, cure) = (what.into(), cure.into());
        self.faults.push(Fault { line: at.line, column: at.column, path: path.to_owned(), what, cure });
    }

    /// A fault of form: nothing below this place is looked at again.
    pub(super) fn broken(&mut self, place: &Place<'_>, what: impl Into<String>, cure: impl Into<String>) {
        self.of_text(place.at(), place.path(), what, cure);
        self.spoil(place);
    }

    /// Marks a place as one that a fault elsewhere already explains.
    pub(super) fn spoil(&mut self, place: &Place<'_>) {
        self.broken.insert(place.path().to_owned());
    }

    /// A fault of meaning, unless a fault of form at this place or above it explains it already.
    pub(super) fn fault(&mut self, place: &Place<'_>, what: impl Into<String>, cure: impl Into<String>) {
        if !self.is_broken(place) {
            self.of_text(place.at(), place.path(), what, cure);
        }
    }

    /// Whether a fault of form was found at this place or above it.
    pub(super) fn is_broken(&self, place: &Place<'_>) -> bool {
        let path = place.path();
        let mut above =
            path.char_indices().filter(|(_, c)| matches!(c, '.' | '[')).filter_map(|(at, _)| path.get(..at));
        self.broken.contains("") || self.broken.contains(path) || above.any(|path| self.broken.contains(path))
    }

    /// How many faults there are so far.
    pub(super) fn count(&self) -> usize {
        self.faults.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    pub(super) fn into_faults(self) -> Vec<Fault> {
        self.faults
    }
}
