//! The table of mistakes: each with its exact message, place included. `docs/configuration.md` shows the same table.

use std::path::Path;

use super::tests::parsed;

/// A sound file with a bit of everything.
pub(super) const BASE: &str = include_str!("tests/base.yaml");
/// Where the table is, from the top of the package. Its first lines tell how to read it.
pub(super) const TABLE: &str = "src/config/tests/mistakes.txt";

/// One row.
#[derive(Clone, Debug, Default)]
pub(super) struct Mistake {
    pub(super) section: String,
    pub(super) old: String,
    pub(super) new: String,
    pub(super) told: Vec<String>,
}

impl Mistake {
    /// What is really told about this mistake, without the file's name.
    pub(super) fn faults(&self) -> Vec<String> {
        assert_eq!(BASE.matches(&self.old).count(), 1, "{:?} is not once in base.yaml", self.old);
        let text = BASE.replace(&self.old, &self.new);
        let faults = parsed(&text).map(|_| ()).expect_err(&format!("{:?} is no mistake", self.new));
        faults.as_slice().iter().map(ToString::to_string).collect()
    }
}

/// The table as it stands now: an update may just have written it.
pub(super) fn text() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(TABLE)).unwrap()
}

/// The rows of the table.
pub(super) fn table() -> Vec<Mistake> {
    let text = text();
    let mut section = String::new();
    let mut rows = Vec::new();
    for block in text.split("\n\n").skip(1) {
        if let Some(name) = block.strip_prefix("# ") {
            section = name.trim().to_owned();
            continue;
        }
        let lines = |mark: char| block.lines().filter_map(move |line| line.strip_prefix(mark));
        let joined = |mark| lines(mark).collect::<Vec<_>>().join("\n");
        let told = lines('=').map(str::to_owned).collect();
        rows.push(Mistake { section: section.clone(), old: joined('-'), new: joined('+'), told });
    }
    rows
}

#[test]
fn the_base_is_sound() {
    let config = parsed(BASE).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(config.portals.len(), 2);
    assert_eq!(config.providers.len(), 2);
}

#[test]
fn every_mistake_has_its_message() {
    let rows = table();
    assert!(rows.len() >= 60);
    for row in rows {
        assert_eq!(row.faults(), row.told, "{:?}", row.new);
    }
}

/// Nothing that is refused by name lacks a row.
#[test]
fn every_unavailable_setting_has_a_row() {
    let told: Vec<String> = table().into_iter().flat_map(|row| row.told).collect();
    for entry in &super::unavailable::UNAVAILABLE {
        let what = entry.what();
        assert!(told.iter().any(|line| line.contains(&what)), "{what}");
    }
}
