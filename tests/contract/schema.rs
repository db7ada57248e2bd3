//! The part of JSON Schema that the OpenAPI file uses.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The named schemas of the document.
#[derive(Debug, Default)]
pub struct Schemas(pub BTreeMap<String, Value>);

/// A schema that names another.
pub fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

impl Schemas {
    /// What about `value` is not as `schema` says; `at` is where it stands.
    pub fn faults(&self, schema: &Value, value: &Value, at: &str) -> Vec<String> {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            let name = name.rsplit('/').next().unwrap_or_default();
            return match self.0.get(name) {
                Some(named) => self.faults(named, value, at),
                None => vec![format!("{at}: the document has no schema {name}")],
            };
        }
        let mut faults = Vec::new();
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            faults.extend(self.faults(part, value, at));
        }
        let wrong = |expected: &str| vec![format!("{at}: {value} is not {expected}")];
        match schema.get("type").and_then(Value::as_str) {
            Some("object") => match value.as_object() {
                Some(_) => faults.extend(self.faults_of_object(schema, value, at)),
                None => return wrong("an object"),
            },
            Some("array") => match value.as_array() {
                Some(items) => {
                    let item = schema.get("items").unwrap_or(&Value::Null);
                    let each = items.iter().enumerate();
                    faults.extend(each.flat_map(|(n, value)| self.faults(item, value, &format!("{at}[{n}]"))));
                }
                None => return wrong("a list"),
            },
            Some("string") => match value.as_str() {
                Some(text) => faults.extend(faults_of_text(schema, text, at)),
                None => return wrong("a text"),
            },
            Some("boolean") if !value.is_boolean() => return wrong("a boolean"),
            Some("integer") if !is_integer(schema, value) => return wrong("an integer"),
            Some("number") if !value.is_number() => return wrong("a number"),
            _ => {}
        }
        let known = schema.get("enum").and_then(Value::as_array);
        if known.is_some_and(|known| !known.contains(value)) {
            faults.push(format!("{at}: {value} is not one of the known values"));
        }
        faults
    }

    fn faults_of_object(&self, schema: &Value, value: &Value, at: &str) -> Vec<String> {
        let mut faults = Vec::new();
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, inside) in value.as_object().into_iter().flatten() {
            let at = format!("{at}.{name}");
            match (properties.and_then(|known| known.get(name)), schema.get("additionalProperties")) {
                (Some(schema), _) => faults.extend(self.faults(schema, inside, &at)),
                (None, Some(Value::Bool(false))) => faults.push(format!("{at} is not documented")),
                (None, Some(schema @ Value::Object(_))) => faults.extend(self.faults(schema, inside, &at)),
                (None, _) => {}
            }
        }
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            if value.get(name.as_str().unwrap_or_default()).is_none() {
                faults.push(format!("{at}.{name} is missing"));
            }
        }
        faults
    }
}

fn is_integer(schema: &Value, value: &Value) -> bool {
    let small = schema.get("format").is_some_and(|format| format == "int32");
    value.as_i64().is_some_and(|number| !small || i32::try_from(number).is_ok())
}

fn faults_of_text(schema: &Value, text: &str, at: &str) -> Option<String> {
    let format = schema.get("format").and_then(Value::as_str);
    if format == Some("uri") && url::Url::parse(text).is_err() {
        return Some(format!("{at}: {text:?} is not an absolute URL"));
    }
    let longest = schema.get("maxLength").and_then(Value::as_u64);
    let long = longest.is_some_and(|longest| text.chars().count() as u64 > longest);
    long.then(|| format!("{at} is too long"))
}
