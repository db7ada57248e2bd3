//! The documents: the OpenAPI file, and the lists of what it lacks.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::Product;
use super::operation::{Operation, Sent};
use super::schema::{Schemas, reference};

/// What this project knows to be documented and found in neither file.
const NEWER: &str = include_str!("newer.yaml");

pub fn read(folder: &Path, product: Product) -> (Vec<Operation>, Schemas) {
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let document: Value = serde_json::from_str(&text("jsm-cloud-openapi-ballerina.json")).unwrap();
    let yaml = |text: &str| serde_yaml::from_str::<Value>(text).unwrap();
    let named = document["components"]["schemas"].as_object().unwrap().clone();
    let mut schemas = Schemas(named.into_iter().collect());
    let mut operations = of_openapi(&document);
    for list in [yaml(&text("cloud-delta.yaml")), yaml(NEWER)] {
        add_list(&mut operations, &mut schemas, &list);
    }
    if product == Product::DataCenter {
        for operation in &mut operations {
            operation.headers.clear(); // what is experimental differs; its own list says
        }
        let own = of_datacenter(&yaml(&text("dc-endpoints.yaml")), &operations, &schemas);
        operations.retain(|known| !own.iter().any(|own| own.name() == known.name()));
        operations.extend(own);
    }
    (operations, schemas)
}

/// The methods of one path.
fn methods(path: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let known = ["get", "post", "put", "delete"];
    path.as_object().into_iter().flatten().filter(move |(method, _)| known.contains(&method.as_str()))
}

fn of_openapi(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, described) in methods(item) {
            let mut operation = Operation { method: method.to_uppercase(), path: path.clone(), ..Operation::default() };
            for parameter in described["parameters"].as_array().into_iter().flatten() {
                if parameter["in"] == "query" {
                    let kind = parameter["schema"]["type"].as_str().unwrap_or("string").to_owned();
                    operation.query.insert(parameter["name"].as_str().unwrap().to_owned(), kind);
                }
            }
            operation.body =
                described.pointer("/requestBody/content").map(|content| match content.get("application/json") {
                    Some(json) => Sent::Json(json["schema"].clone()),
                    None => Sent::Files,
                });
            if described["x-experimental"] == true {
                operation.headers.insert("x-experimentalapi".to_owned(), "opt-in".to_owned());
            }
            for (status, answer) in described["responses"].as_object().unwrap() {
                let schema = answer.pointer("/content/application~1json/schema").cloned();
                operation.answers.insert(status.parse().unwrap(), schema);
            }
            operations.push(operation);
        }
    }
    operations
}

/// The shape that a word of the lists stands for.
fn shape(word: &Value) -> Value {
    match word {
        Value::Array(items) => json!({"type": "array", "items": items.first().map_or(json!({}), shape)}),
        Value::String(word) => match word.as_str() {
            "string" | "uuid" | "uri" | "s" => json!({"type": "string"}),
            "boolean" | "bool" => json!({"type": "boolean"}),
            "integer" | "n" => json!({"type": "integer"}),
            "DateDTO" => reference("DateDTO"),
            _ => json!({}),
        },
        _ => json!({}),
    }
}

fn add_list(operations: &mut Vec<Operation>, schemas: &mut Schemas, list: &Value) {
    for (path, item) in list["paths"].as_object().unwrap() {
        for (method, described) in methods(item) {
            let method = method.to_uppercase();
            let wanted = Operation { method, path: path.clone(), ..Operation::default() };
            let index = operations.iter().position(|known| known.name() == wanted.name()).unwrap_or_else(|| {
                operations.push(wanted);
                operations.len() - 1
            });
            extend(&mut operations[index], schemas, described);
        }
    }
    for (name, more) in list["schemas"].as_object().unwrap() {
        let Some(known) = schemas.0.get_mut(name).and_then(|schema| schema["properties"].as_object_mut()) else {
            continue;
        };
        for (field, word) in more.as_object().into_iter().flatten() {
            known.entry(field.clone()).or_insert_with(|| shape(word));
        }
    }
}

fn extend(operation: &mut Operation, schemas: &Schemas, described: &Value) {
    match &described["query"] {
        Value::Array(names) => {
            for name in names.iter().filter_map(Value::as_str) {
                operation.query.entry(name.to_owned()).or_insert_with(|| "string".to_owned());
            }
        }
        query => {
            for (name, kind) in query.as_object().into_iter().flatten() {
                let boolean = kind.as_str().is_some_and(|kind| kind.starts_with("boolean"));
                operation.query.insert(name.clone(), if boolean { "boolean" } else { "string" }.to_owned());
            }
        }
    }
    for (name, value) in described["headers"].as_object().into_iter().flatten() {
        operation.headers.insert(name.to_ascii_lowercase(), value.as_str().unwrap().to_owned());
    }
    if described["body"] == "any" {
        operation.body = Some(Sent::Json(json!({})));
    }
    if let Some(fields) = described["body"].as_object() {
        operation.body = Some(Sent::Json(with_fields(operation.body.as_ref(), schemas, fields)));
    }
    for (status, answer) in described["responses"].as_object().into_iter().flatten() {
        let named = answer.as_str().filter(|name| schemas.0.contains_key(*name)).map(reference);
        let known = operation.answers.entry(status.parse().unwrap()).or_default();
        *known = known.take().or(named);
    }
    if let Some(paged) = described["returns"].as_str() {
        let known = operation.answers.entry(200).or_default();
        *known = known.take().or_else(|| Some(reference(&paged.replace("Paged", "PagedDTO"))));
    }
}

/// The shape of a body with these fields beside those that are known.
fn with_fields(known: Option<&Sent>, schemas: &Schemas, fields: &Map<String, Value>) -> Value {
    let known = match known {
        Some(Sent::Json(schema)) => {
            let name = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next());
            name.and_then(|name| schemas.0.get(name)).unwrap_or(schema).clone()
        }
        _ => json!({"type": "object", "properties": {}, "additionalProperties": false}),
    };
    let mut shaped = known;
    for (name, word) in fields {
        let properties = shaped["properties"].as_object_mut().unwrap();
        properties.entry(name.clone()).or_insert_with(|| shape(word));
    }
    shaped
}

/// The calls of the list for Data Center. Where the OpenAPI file knows the same call, its answers hold here too.
fn of_datacenter(list: &Value, cloud: &[Operation], schemas: &Schemas) -> Vec<Operation> {
    let mut operations = Vec::new();
    for entry in list.as_object().unwrap().values().flat_map(|group| group.as_object().unwrap().values()) {
        let methods: Vec<&str> = match &entry["methods"] {
            Value::Array(methods) => methods.iter().filter_map(Value::as_str).collect(),
            _ => vec![entry["method"].as_str().unwrap()],
        };
        for path in paths(entry["path"].as_str().unwrap()) {
            operations.extend(methods.iter().map(|method| of_entry(entry, method, &path, cloud, schemas)));
        }
    }
    operations
}

fn of_entry(entry: &Value, method: &str, path: &str, cloud: &[Operation], schemas: &Schemas) -> Operation {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut operation = Operation { method: method.to_owned(), path: path.to_owned(), ..Operation::default() };
    let same = |known: &&Operation| known.is(method, path);
    if let Some(known) = cloud.iter().find(same) {
        operation.answers.clone_from(&known.answers);
        operation.query.clone_from(&known.query);
    }
    let names = query.split('&').filter_map(|part| part.split('=').next()).filter(|name| !name.is_empty());
    operation.query.extend(names.map(|name| (name.to_owned(), "string".to_owned())));
    for (name, value) in entry["headers"].as_object().into_iter().flatten() {
        operation.headers.insert(name.to_ascii_lowercase(), value.as_str().unwrap().to_owned());
    }
    if method != "GET" {
        let fields = |kind: &str| entry[kind].as_object().cloned();
        operation.body = match (fields("json"), fields("form")) {
            (Some(fields), _) => {
                // Clients that speak to both products send the other one's fields too, empty.
                let known = cloud.iter().find(same).and_then(|known| known.body.as_ref());
                Some(Sent::Json(with_fields(known, schemas, &fields)))
            }
            (None, Some(fields)) => {
                let known: BTreeSet<String> =
                    fields.keys().cloned().chain(["atl_token", "destination"].map(str::to_owned)).collect();
                Some(Sent::Form(known))
            }
            (None, None) => None,
        };
    }
    // Platform calls are listed without their answers: any that says done or refused is one.
    if !path.starts_with("/rest/servicedeskapi/") {
        for status in [200, 201, 204, 302, 400, 404] {
            operation.answers.entry(status).or_insert(None);
        }
    }
    for status in [200, 201, 204, 400, 404] {
        if operation.answers.is_empty() || operation.parameters() > 0 {
            operation.answers.entry(status).or_insert(None);
        }
    }
    operation
}

/// `/portals[/{id}|/project/{key}]` is three paths.
fn paths(written: &str) -> Vec<String> {
    let Some((start, ends)) = written.split_once('[') else { return vec![written.to_owned()] };
    let ends = ends.trim_end_matches(']').split('|').map(|end| format!("{start}{end}"));
    std::iter::once(start.to_owned()).chain(ends).collect()
}
