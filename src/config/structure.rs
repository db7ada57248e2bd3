//! The form of the file, by its schema: unknown and missing keys, wrong types, unknown words. Reports every fault, and
//! still hands on a value that `raw` can read: what is broken is filled, and marked so that nothing more is said of it.

use serde_json::{Map, Value};

use super::fault::Report;
use super::schema::{marked, words};
use super::tree::{Entry, Kind, Node, Place, is_invisible, quote};
use super::unavailable;

/// Checks `tree` by `schema`.
pub(super) fn check(tree: &Node, schema: &Value, report: &mut Report) -> Value {
    Walk { report }.value(tree, &Place::root(tree), schema)
}

struct Walk<'a> {
    report: &'a mut Report,
}

impl Walk<'_> {
    fn value(&mut self, node: &Node, place: &Place<'_>, schema: &Value) -> Value {
        if marked(schema, "x-secret") {
            return self.secret(node, place);
        }
        if let Some(words) = words(schema) {
            return self.word(node, place, &words, schema);
        }
        let kind = schema.get("type");
        if schema.get("properties").is_some() || marked(schema, "x-choice") {
            return self.mapping(node, place, schema);
        }
        match kind.and_then(Value::as_str) {
            Some("object") => self.named(node, place, schema),
            Some("array") => self.list(node, place, schema),
            Some("integer") => self.integer(node, place, schema),
            Some("boolean") => self.boolean(node, place),
            _ => self.text(node, place, schema),
        }
    }

    fn mapping(&mut self, node: &Node, place: &Place<'_>, schema: &Value) -> Value {
        let choice = marked(schema, "x-choice");
        let entries: &[Entry] = match &node.kind {
            Kind::Map(entries) => entries,
            Kind::Null => &[],
            Kind::Scalar(word) if choice => return self.choice_by_word(node, word, place, schema),
            Kind::Scalar(_) if let Some(key) = schema.get("x-short").and_then(Value::as_str) => {
                return self.short(node, key, place, schema);
            }
            Kind::Scalar(_) | Kind::List(_) => {
                let cure = "write its settings below it, indented";
                self.report.broken(place, format!("takes a mapping, and this is {}", node.found()), cure);
                return filler(schema);
            }
        };
        let properties = schema.get("properties").and_then(Value::as_object);
        let mut values = Map::new();
        for entry in entries {
            match properties.and_then(|known| known.get(&entry.key)) {
                Some(schema) => {
                    let value = self.value(&entry.value, &place.key(&entry.key), schema);
                    values.insert(entry.key.clone(), value);
                }
                None => self.unknown(entry, entries, place, properties),
            }
        }
        if choice && values.is_empty() && !entries.is_empty() {
            // What stands there is unknown, which has been said.
            self.report.spoil(place);
        } else if choice && values.len() != 1 && !self.report.is_broken(place) {
            let known: Vec<&str> = properties.iter().flat_map(|known| known.keys().map(String::as_str)).collect();
            let what = if values.is_empty() { "nothing is chosen" } else { "only one kind may be chosen" };
            self.report.broken(place, what, format!("known: {}", known.join(", ")));
        }
        let required = schema.get("required").and_then(Value::as_array);
        for key in required.into_iter().flatten().filter_map(Value::as_str) {
            if values.contains_key(key) {
                continue;
            }
            let schema = properties.and_then(|known| known.get(key)).unwrap_or(&Value::Null);
            let missing = place.key(key);
            if !self.report.is_broken(&missing) {
                self.report.broken(&missing, "is missing", example(key, schema));
            }
            values.insert(key.to_owned(), filler(schema));
        }
        Value::Object(values)
    }

    /// `customer_session: none` is `customer_session: {none: {}}`.
    fn choice_by_word(&mut self, node: &Node, word: &str, place: &Place<'_>, schema: &Value) -> Value {
        let entry = Entry { key: word.to_owned(), key_at: node.at, value: Node { at: node.at, kind: Kind::Null } };
        let chosen = Node { at: node.at, kind: Kind::Map(vec![entry]) };
        self.mapping(&chosen, place, schema)
    }

    /// `kept_form: 1MiB` is `kept_form: {size: 1MiB}`.
    fn short(&mut self, node: &Node, key: &str, place: &Place<'_>, schema: &Value) -> Value {
        let of_key = schema.get("properties").and_then(|known| known.get(key)).unwrap_or(&Value::Null);
        Value::Object(Map::from_iter([(key.to_owned(), self.value(node, place, of_key))]))
    }

    fn unknown(&mut self, entry: &Entry, given: &[Entry], place: &Place<'_>, properties: Option<&Map<String, Value>>) {
        let unknown = place.unknown(entry);
        if let Some(designed) = unavailable::find(&unknown) {
            self.report.broken(&unknown, designed.what(), designed.cure);
            match designed.in_place_of {
                Some("") => self.report.spoil(place),
                Some(key) => self.report.spoil(&place.key(key)),
                None => {}
            }
            return;
        }
        let known: Vec<&str> = properties.iter().flat_map(|known| known.keys().map(String::as_str)).collect();
        let nearest = nearest(&entry.key, &known);
        let cure = match nearest {
            Some(near) => format!("did you mean \"{near}\"?"),
            None if known.is_empty() => "nothing is to be said here".to_owned(),
            None => format!("known here: {}", known.join(", ")),
        };
        self.report.broken(&unknown, "there is no such setting", cure);
        // The mistyped key explains why the right one is missing.
        if let Some(near) = nearest.filter(|near| given.iter().all(|entry| entry.key != *near)) {
            self.report.spoil(&place.key(near));
        }
    }

    /// A mapping whose keys are names of the operator's choice.
    fn named(&mut self, node: &Node, place: &Place<'_>, schema: &Value) -> Value {
        let entries: &[Entry] = match &node.kind {
            Kind::Map(entries) => entries,
            Kind::Null => &[],
            Kind::Scalar(_) | Kind::List(_) => {
                let cure = "write each name, and its settings below it";
                self.report.broken(place, format!("takes a mapping, and this is {}", node.found()), cure);
                return filler(schema);
            }
        };
        let each = schema.get("additionalProperties").unwrap_or(&Value::Null);
        let values =
            entries.iter().map(|entry| (entry.key.clone(), self.value(&entry.value, &place.key(&entry.key), each)));
        Value::Object(values.collect())
    }

    fn list(&mut self, node: &Node, place: &Place<'_>, schema: &Value) -> Value {
        let Kind::List(items) = &node.kind else {
            let cure = match node.kind {
                Kind::Null => "write [] for an empty list",
                _ => "write one, such as [a, b], or lines that start with \"- \"",
            };
            self.report.broken(place, format!("takes a list, and this is {}", node.found()), cure);
            return filler(schema);
        };
        let each = schema.get("items").unwrap_or(&Value::Null);
        let values = items.iter().enumerate().map(|(index, item)| self.value(item, &place.index(index), each));
        Value::Array(values.collect())
    }

    fn scalar<'n>(&mut self, node: &'n Node, place: &Place<'_>, wanted: &str) -> Option<&'n str> {
        match &node.kind {
            Kind::Scalar(text) => return Some(text),
            Kind::Null => self.report.broken(place, "has no value", "write one, or remove the key"),
            Kind::List(_) | Kind::Map(_) => {
                self.report.broken(place, format!("takes {wanted}, and this is {}", node.found()), "");
            }
        }
        None
    }

    fn text(&mut self, node: &Node, place: &Place<'_>, schema: &Value) -> Value {
        let Some(text) = self.scalar(node, place, "a text") else { return filler(schema) };
        let lines = marked(schema, "x-lines");
        if let Some(c) = text.chars().find(|c| is_invisible(*c) && !(lines && *c == '\n')) {
            let what = format!("holds the invisible character U+{:04X}", u32::from(c));
            self.report.broken(place, what, "remove it");
            return filler(schema);
        }
        text.into()
    }

    fn integer(&mut self, node: &Node, place: &Place<'_>, schema: &Value) -> Value {
        let Some(text) = self.scalar(node, place, "a number") else { return filler(schema) };
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits {
            self.report.broken(place, format!("{} is not a whole number", quote(text)), "write digits alone");
            return filler(schema);
        }
        let bound = |name| schema.get(name).and_then(Value::as_u64);
        let least = bound("minimum").unwrap_or(0);
        let most = bound("maximum").unwrap_or(match schema.get("format").and_then(Value::as_str) {
            Some("uint16") => u16::MAX.into(),
            Some("uint32") => u32::MAX.into(),
            _ => u64::MAX,
        });
        match text.parse::<u64>() {
            Ok(number) if (least..=most).contains(&number) => number.into(),
            Ok(_) | Err(_) => {
                self.report.broken(place, "is out of range", format!("write a number from {least} to {most}"));
                filler(schema)
            }
        }
    }

    fn boolean(&mut self, node: &Node, place: &Place<'_>) -> Value {
        match self.scalar(node, place, "true or false") {
            Some("true") => true.into(),
            Some("false") | None => false.into(),
            Some(text) => {
                self.report.broken(place, format!("{} is neither true nor false", quote(text)), "write true or false");
                false.into()
            }
        }
    }

    fn word(&mut self, node: &Node, place: &Place<'_>, words: &[&str], schema: &Value) -> Value {
        let known = words.join(", ");
        let Some(text) = self.scalar(node, place, &format!("one of {known}")) else {
            return words.first().copied().unwrap_or_default().into();
        };
        if words.contains(&text) {
            return text.into();
        }
        let near = nearest(text, words);
        let cure = match (schema.get("x-advice").and_then(Value::as_str), near) {
            (Some(advice), _) => format!("{advice}; known: {known}"),
            (None, Some(near)) => format!("did you mean \"{near}\"? known: {known}"),
            (None, None) => format!("known: {known}"),
        };
        self.report.broken(place, format!("{} is not known here", quote(text)), cure);
        near.or(words.first().copied()).unwrap_or_default().into()
    }

    /// A text, `{env: NAME}` or `{file: path}`. No message quotes what stands here.
    fn secret(&mut self, node: &Node, place: &Place<'_>) -> Value {
        let found = match &node.kind {
            Kind::Scalar(text) => Some(("value", text)),
            Kind::Map(entries) => match entries.as_slice() {
                [Entry { key, value: Node { kind: Kind::Scalar(text), .. }, .. }] if key == "env" => {
                    Some(("env", text))
                }
                [Entry { key, value: Node { kind: Kind::Scalar(text), .. }, .. }] if key == "file" => {
                    Some(("file", text))
                }
                _ => None,
            },
            Kind::Null | Kind::List(_) => None,
        };
        if let Some((kind, text)) = found {
            return Value::Object(Map::from_iter([(kind.to_owned(), text.as_str().into())]));
        }
        let what = match node.kind {
            Kind::Null => "has no value".to_owned(),
            Kind::Map(_) => "does not say where the secret is".to_owned(),
            _ => format!("takes a secret, and this is {}", node.found()),
        };
        self.report.broken(place, what, "write {env: NAME}, {file: path} or the secret itself");
        empty_secret()
    }
}

fn empty_secret() -> Value {
    Value::Object(Map::from_iter([("value".to_owned(), "".into())]))
}

/// The least that `raw` reads in this place.
fn filler(schema: &Value) -> Value {
    if marked(schema, "x-secret") {
        return empty_secret();
    }
    if let Some(words) = words(schema) {
        return words.first().copied().unwrap_or_default().into();
    }
    let required = schema.get("required").and_then(Value::as_array);
    let properties = schema.get("properties");
    if marked(schema, "x-choice") {
        return Value::Object(Map::new());
    }
    let kind = if marked(schema, "x-short") { Some("object") } else { schema.get("type").and_then(Value::as_str) };
    match kind {
        Some("object") => {
            let keys = required.into_iter().flatten().filter_map(Value::as_str);
            let fill = |key: &str| {
                let schema = properties.and_then(|known| known.get(key)).unwrap_or(&Value::Null);
                (key.to_owned(), filler(schema))
            };
            Value::Object(keys.map(fill).collect())
        }
        Some("array") => Value::Array(Vec::new()),
        Some("integer") => schema.get("minimum").cloned().unwrap_or_else(|| 0.into()),
        Some("boolean") => false.into(),
        _ => "".into(),
    }
}

/// How a missing setting would be written.
fn example(key: &str, schema: &Value) -> String {
    let example = schema.get("examples").and_then(Value::as_array).and_then(|examples| examples.first());
    match example {
        Some(example) => format!("such as {key}: {}", flow(example)),
        None => {
            let meaning = schema.get("description").and_then(Value::as_str).unwrap_or_default();
            let sentence = meaning.split_once(". ").map_or(meaning, |(first, _)| first).trim_end_matches('.');
            let mut letters = sentence.chars();
            let first: String = letters.next().map(|c| c.to_lowercase().collect()).unwrap_or_default();
            format!("it says: {first}{}", letters.as_str())
        }
    }
}

/// A value as YAML on one line.
pub(super) fn flow(value: &Value) -> String {
    match value {
        Value::Null => "~".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) if is_plain(text) => text.clone(),
        Value::String(text) => format!("\"{text}\""),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) => {
            let entries: Vec<String> = entries.iter().map(|(key, value)| format!("{key}: {}", flow(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

/// Whether a text needs no quotes in YAML, and is no number.
fn is_plain(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/')
        && text.bytes().any(|b| b.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/.:-_@".contains(&b))
}

/// The known word that was most likely meant.
fn nearest<'k>(given: &str, known: &[&'k str]) -> Option<&'k str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', ' '], "_");
    let given = plain(given.get(..given.len().min(64)).unwrap_or_default());
    let distance = |word: &str| strsim::damerau_levenshtein(&given, &plain(word));
    let (far, word) = known.iter().map(|word| (distance(word), *word)).min()?;
    // A third of the letters may be wrong, as in "htps"; "a" is not near "admin".
    let longest = word.len().max(given.len());
    (far.saturating_mul(3) <= longest).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found() {
        let known = ["https", "http", "admin", "trusted_proxies", "email_domains"];
        for (given, expected) in [
            ("htps", Some("https")),
            ("HTTPS", Some("https")),
            ("trusted-proxies", Some("trusted_proxies")),
            ("trustedProxies", Some("trusted_proxies")),
            ("email_domain", Some("email_domains")),
            ("a", None),
            ("upstream", None),
            ("", None),
        ] {
            assert_eq!(nearest(given, &known), expected, "{given}");
        }
    }
}
