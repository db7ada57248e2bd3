//! `docs/configuration.md` says what the schema and the table of mistakes say. `UPDATE_DOCUMENTS=1` writes it anew.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::json_schema;
use super::mistakes::{TABLE, table, text};
use super::schema::words;
use super::structure::flow;
use super::tests::parsed;

const DOCUMENT: &str = "docs/configuration.md";

fn updating() -> bool {
    std::env::var_os("UPDATE_DOCUMENTS").is_some()
}

fn document() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT)).unwrap()
}

/// Compares what stands between two marks with what has to stand there, or writes it.
fn check_part(name: &str, wanted: &str) {
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let text = document();
    let (before, rest) = text.split_once(&begin).expect("no begin");
    let (found, after) = rest.split_once(&end).expect("no end");
    if updating() {
        let text = format!("{before}{begin}{wanted}{end}{after}");
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT), text).unwrap();
    } else {
        let stale = found.lines().zip(wanted.lines()).find(|(found, wanted)| found != wanted);
        assert!(found == wanted, "run the tests of `config::documents` with UPDATE_DOCUMENTS=1: {stale:?}");
    }
}

/// One test, because both parts are in one file.
#[test]
fn the_document_is_what_the_code_says() {
    if updating() {
        write_messages();
    }
    let mut tables = String::new();
    let mut seen = BTreeSet::new();
    mapping(&mut tables, &mut seen, "", &json_schema());
    check_part("settings", &tables);
    check_part("mistakes", &mistakes());
}

#[test]
fn every_yaml_block_of_the_document_loads() {
    let text = document();
    let blocks: Vec<&str> =
        text.split("```yaml\n").skip(1).map(|rest| rest.split_once("```").expect("no end").0).collect();
    assert!(blocks.len() >= 4);
    for block in blocks {
        parsed(block).unwrap_or_else(|faults| panic!("{faults}\n{block}"));
    }
}

/// A heading, a sentence and a table for a mapping, then the same for the mappings in it.
fn mapping(out: &mut String, seen: &mut BTreeSet<String>, path: &str, schema: &Value) {
    let Some(properties) = schema["properties"].as_object().filter(|properties| !properties.is_empty()) else { return };
    if !seen.insert(path.to_owned()) {
        return;
    }
    let heading = if path.is_empty() { "The top level".to_owned() } else { format!("`{path}`") };
    out.push_str(&format!("### {heading}\n\n| setting | type | default | meaning |\n|---|---|---|---|\n"));
    let required = |key: &str| schema["required"].as_array().is_some_and(|keys| keys.iter().any(|name| name == key));
    let mut keys: Vec<&String> = properties.keys().collect();
    keys.sort_by_key(|key| (!required(key), *key));
    for key in &keys {
        let setting = &properties[*key];
        let default = match setting.get("default") {
            Some(default) => format!("`{}`", flow(default)),
            None if required(key) => "required".to_owned(),
            None if setting["type"] == "object" => "–".to_owned(),
            None => "none".to_owned(),
        };
        out.push_str(&format!("| `{key}` | {} | {default} | {} |\n", kind(setting), meaning(setting)));
    }
    out.push('\n');
    for key in keys {
        let (setting, path) = (&properties[key], if path.is_empty() { key.clone() } else { format!("{path}.{key}") });
        if setting.get("x-secret").is_none() {
            mapping(out, seen, &path, setting);
            if setting["items"].get("x-secret").is_none() {
                mapping(out, seen, &format!("{path}[]"), &setting["items"]);
            }
            mapping(out, seen, &format!("{path}.NAME"), &setting["additionalProperties"]);
        }
    }
}

fn kind(schema: &Value) -> String {
    if schema.get("x-secret").is_some() {
        return "secret".to_owned();
    }
    if schema.get("x-choice").is_some() {
        return "one kind, below".to_owned();
    }
    if schema.get("x-short").is_some() {
        return "text or mapping".to_owned();
    }
    if let Some(quantity) = schema["x-quantity"].as_str() {
        return quantity.to_owned();
    }
    if let Some(words) = words(schema) {
        return words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    }
    match schema["type"].as_str() {
        Some("object") if schema["properties"].as_object().is_none_or(serde_json::Map::is_empty) => {
            if schema["additionalProperties"].is_object() { "mapping of names" } else { "empty mapping" }.to_owned()
        }
        Some("object") => "mapping".to_owned(),
        Some("array") if words(&schema["items"]).is_some() => format!("list of {}", kind(&schema["items"])),
        Some("array") => format!("list of {}s", kind(&schema["items"])),
        Some("string") => "text".to_owned(),
        Some("integer") => "number".to_owned(),
        Some("boolean") => "`true`, `false`".to_owned(),
        other => panic!("{other:?}"),
    }
}

fn meaning(schema: &Value) -> String {
    let mut text = schema["description"].as_str().unwrap_or_default().to_owned();
    for option in schema["oneOf"].as_array().or(schema["items"]["oneOf"].as_array()).into_iter().flatten() {
        if let (Some(word), Some(says)) = (option["const"].as_str(), option["description"].as_str()) {
            text.push_str(&format!(" `{word}`: {says}"));
        }
    }
    if let Some(example) = schema["examples"].as_array().and_then(|examples| examples.first()) {
        text.push_str(&format!(" Such as `{}`.", flow(example)));
    }
    text.replace('|', "\\|")
}

fn mistakes() -> String {
    let mut out = String::new();
    let mut section = String::new();
    for row in table() {
        if row.section != section {
            if !section.is_empty() {
                out.push('\n');
            }
            section.clone_from(&row.section);
            out.push_str(&format!("### Mistakes in {}\n\n| written | message |\n|---|---|\n", in_sentence(&section)));
        }
        let code = |text: &str| {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            lines
                .map(|line| format!("`` {} ``", line.replace('|', "\\|").replace('\t', "⇥")))
                .collect::<Vec<_>>()
                .join("<br>")
        };
        let written = if row.new.trim().is_empty() { format!("without {}", code(&row.old)) } else { code(&row.new) };
        let told: Vec<String> = row.told.iter().map(|line| code(without_place(line))).collect();
        out.push_str(&format!("| {written} | {} |\n", told.join("<br>")));
    }
    out.push('\n');
    out
}

fn in_sentence(section: &str) -> String {
    section.strip_prefix("The ").map_or_else(|| section.to_owned(), |rest| format!("the {rest}"))
}

/// The message without line and column, which depend on the file around it.
fn without_place(line: &str) -> &str {
    let mut parts = line.splitn(3, ':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(row), Some(column), Some(rest)) if row.parse::<usize>().is_ok() && column.parse::<usize>().is_ok() => {
            rest.trim_start()
        }
        _ => line,
    }
}

/// Writes what is told now into the table itself.
fn write_messages() {
    let mut blocks: Vec<String> = Vec::new();
    let mut rows = table().into_iter();
    for block in text().split("\n\n") {
        if block.starts_with('#') {
            blocks.push(block.trim_end().to_owned());
            continue;
        }
        let kept = block.lines().filter(|line| !line.starts_with('=')).map(str::to_owned);
        let told = rows.next().expect("a row").faults().into_iter().map(|line| format!("={line}"));
        blocks.push(kept.chain(told).collect::<Vec<_>>().join("\n"));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(TABLE);
    std::fs::write(path, blocks.join("\n\n") + "\n").unwrap();
}
