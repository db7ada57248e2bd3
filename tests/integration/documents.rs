//! The documents speak of what is there: tests that `docs/security.md` names exist, tests of attacks are named in it,
//! and links between documents lead somewhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use regex::Regex;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The names of all functions below `src` and `tests`, but for the demo's: those try the demo, not the gateway.
fn functions() -> BTreeSet<String> {
    let function = Regex::new(r"(?m)^\s*(?:pub )?(?:async )?fn ([a-z0-9_]+)").unwrap();
    let mut files = Vec::new();
    rust_files(&root().join("src"), &mut files);
    rust_files(&root().join("tests"), &mut files);
    let texts = files.iter().filter(|file| !file.starts_with(root().join("src/demo"))).map(std::fs::read_to_string);
    let named = |text: String| function.captures_iter(&text).map(|found| found[1].to_owned()).collect::<Vec<_>>();
    texts.map(Result::unwrap).flat_map(named).collect()
}

#[test]
fn attacks_and_tests_name_each_other() {
    let text = std::fs::read_to_string(root().join("docs/security.md")).unwrap();
    let ours = functions();
    let word = Regex::new(r"`([a-z0-9]+(?:_[a-z0-9]+){2,})`").unwrap();
    let named: BTreeSet<String> = word.captures_iter(&text).map(|found| found[1].to_owned()).collect();
    let gone: Vec<&String> = named.iter().filter(|name| !ours.contains(*name)).collect();
    assert!(gone.is_empty(), "docs/security.md names tests that are not there: {gone:#?}");
    let case = Regex::new(r"^[a-els][0-9]+_").unwrap();
    let untold: Vec<&String> = ours.iter().filter(|name| case.is_match(name) && !named.contains(*name)).collect();
    assert!(untold.is_empty(), "docs/security.md lacks {untold:#?}");
}

#[test]
fn links_between_documents_lead_somewhere() {
    let link = Regex::new(r"\]\(([^)#:]*)(?:#([a-z0-9-]+))?\)").unwrap();
    let heading = Regex::new(r"(?m)^#+ (.*)$").unwrap();
    let mut documents = vec![root().join("README.md")];
    documents.extend(std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    for document in documents {
        let text = std::fs::read_to_string(&document).unwrap();
        for found in link.captures_iter(&text) {
            let target = if found[1].is_empty() { document.clone() } else { document.with_file_name(&found[1]) };
            assert!(target.exists(), "{}: {}", document.display(), &found[0]);
            let Some(anchor) = found.get(2) else { continue };
            let text = std::fs::read_to_string(&target).unwrap();
            let anchors = heading.captures_iter(&text).map(|found| {
                let plain = found[1].to_lowercase().replace(' ', "-");
                plain.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect::<String>()
            });
            assert!(anchors.into_iter().any(|one| one == anchor.as_str()), "{}: {}", document.display(), &found[0]);
        }
    }
}
