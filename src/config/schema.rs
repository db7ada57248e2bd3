//! The JSON Schema of `gateway.yaml`, made from the types in `raw`: what editors check by, and what `structure` checks by.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::raw::Raw;

/// The JSON Schema (2020-12) of `gateway.yaml`, with a description of every setting.
pub fn json_schema() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    let mut schema = settings.into_generator().into_root_schema_for::<Raw>().to_value();
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".to_owned(), "gateway.yaml".into());
    }
    tidy(&mut schema);
    schema
}

/// A setting that is left out is not written as `null`: takes away what `Option` adds. Descriptions become one line.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(object) => {
            object.values_mut().for_each(tidy);
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(options)) = object.remove("anyOf") {
                let given = options.into_iter().find(|option| option.get("type") != Some(&Value::from("null")));
                if let Some(Value::Object(given)) = given {
                    for (key, value) in given {
                        object.entry(key).or_insert(value);
                    }
                }
            }
            if let Some(Value::String(text)) = object.get_mut("description") {
                *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The words that a value may be, when it is one of a few.
pub(super) fn words(schema: &Value) -> Option<Vec<&str>> {
    let word = |option| Value::get(option, "const").and_then(Value::as_str);
    let listed = schema.get("enum").and_then(Value::as_array);
    let told = schema.get("oneOf").and_then(Value::as_array);
    match (listed, told) {
        (Some(words), _) => words.iter().map(Value::as_str).collect(),
        (None, Some(options)) => options.iter().map(word).collect(),
        (None, None) => word(schema).map(|only| vec![only]),
    }
}

/// Whether a mark of ours (`x-secret`, `x-choice`, ...) is set.
pub(super) fn marked(schema: &Value, mark: &str) -> bool {
    schema.get(mark).is_some()
}
