//! One documented call.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::exchange::Exchange;
use super::schema::{Schemas, reference};

/// Statuses that a site's edge gives to any call, documented or not.
const OF_THE_EDGE: [u16; 7] = [401, 403, 405, 412, 415, 429, 503];

#[derive(Clone, Debug, Default)]
pub struct Operation {
    pub method: String,
    pub path: String,
    /// The parameters of the query, and the type of each.
    pub query: BTreeMap<String, String>,
    /// What may be sent; none where nothing is.
    pub body: Option<Sent>,
    /// Headers without which the call is not done.
    pub headers: BTreeMap<String, String>,
    /// The documented answers, and the shape of each where it is known.
    pub answers: BTreeMap<u16, Option<Value>>,
}

/// What a call may carry.
#[derive(Clone, Debug)]
pub enum Sent {
    /// JSON of this shape.
    Json(Value),
    /// The fields of a form.
    Form(BTreeSet<String>),
    /// Files.
    Files,
}

impl Operation {
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Whether that call is this one.
    pub fn is(&self, method: &str, path: &str) -> bool {
        let mut segments = path.split('/');
        let fits = self.path.split('/').all(|wanted| {
            segments.next().is_some_and(|found| found == wanted || (wanted.starts_with('{') && !found.is_empty()))
        });
        self.method == method && fits && segments.next().is_none()
    }

    /// How many segments stand for anything.
    pub fn parameters(&self) -> usize {
        self.path.matches('{').count()
    }

    /// What about a call that was done is not as documented.
    pub fn faults_of_call(&self, exchange: &Exchange, schemas: &Schemas) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, value) in exchange.query() {
            let good = match self.query.get(name.as_ref()).map(String::as_str) {
                None => false,
                Some("integer") => value.parse::<i64>().is_ok(),
                Some("boolean") => value.to_ascii_lowercase().parse::<bool>().is_ok(),
                Some(_) => true,
            };
            if !good {
                faults.push(format!("the parameter {name}={value} is not documented"));
            }
        }
        for (name, value) in &self.headers {
            if Exchange::header(&exchange.headers, name) != value {
                faults.push(format!("the call was done without the header {name}: {value}"));
            }
        }
        let kind = exchange.sent_as();
        match &self.body {
            None if exchange.sent.is_empty() || exchange.sent.as_ref() == b"{}" => {}
            None => faults.push("the call carries a body, and none is documented".to_owned()),
            Some(Sent::Json(schema)) => match serde_json::from_slice(&exchange.sent) {
                Ok(mut sent) if kind.starts_with("application/json") => {
                    leave_out_nulls(&mut sent);
                    faults.extend(schemas.faults(schema, &sent, "body"));
                }
                _ => faults.push(format!("the body is not JSON, sent as {kind}")),
            },
            Some(Sent::Form(known)) => {
                let fields = url::form_urlencoded::parse(&exchange.sent).map(|(name, _)| name.into_owned());
                let unknown = fields.filter(|name| !known.contains(name));
                faults.extend(unknown.map(|name| format!("the field {name} is not documented")));
            }
            Some(Sent::Files) => {
                if !kind.starts_with("multipart/form-data") {
                    faults.push(format!("the files were sent as {kind}"));
                }
                if Exchange::header(&exchange.headers, "x-atlassian-token") != "no-check" {
                    faults.push("the upload was taken without X-Atlassian-Token: no-check".to_owned());
                }
            }
        }
        faults
    }

    /// What about the answer is not as documented.
    pub fn faults_of_answer(&self, exchange: &Exchange, schemas: &Schemas) -> Vec<String> {
        let status = exchange.status.as_u16();
        let Some(documented) = self.answers.get(&status) else {
            let parameters = exchange.uri.query().is_some() && status == 400;
            let known = OF_THE_EDGE.contains(&status) || parameters || (status == 404 && self.parameters() > 0);
            return match known {
                true => faults_of_refusal(exchange, schemas),
                false => vec![format!("the status {status} is not documented")],
            };
        };
        if status >= 400 {
            return faults_of_refusal(exchange, schemas);
        }
        if status == 204 {
            return if exchange.given.is_empty() { Vec::new() } else { vec!["204 comes with a body".to_owned()] };
        }
        let Some(schema) = documented.as_ref().filter(|schema| *schema != &Value::Object(Map::new())) else {
            return Vec::new();
        };
        match serde_json::from_slice(&exchange.given) {
            Ok(given) if exchange.given_as_json() => {
                let mut faults = schemas.faults(schema, &given, "answer");
                faults.extend(faults_of_page(&given));
                faults
            }
            _ => vec!["the answer is not JSON".to_owned()],
        }
    }
}

/// A field without a value is a field that is not there.
fn leave_out_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(leave_out_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(leave_out_nulls),
        _ => {}
    }
}

/// A refusal in JSON has one of the shapes that clients know: the desk's, the platform's, or the edge's.
fn faults_of_refusal(exchange: &Exchange, schemas: &Schemas) -> Vec<String> {
    let status = exchange.status.as_u16();
    let desk = exchange.is_directory() && [400, 404, 409].contains(&status);
    if !exchange.given_as_json() {
        return if desk { vec![format!("{status} comes without JSON")] } else { Vec::new() };
    }
    let Ok(given) = serde_json::from_slice::<Value>(&exchange.given) else {
        return vec!["the refusal is not JSON".to_owned()];
    };
    let has = |names: &[&str]| {
        let fields = given.as_object();
        fields.is_some_and(|fields| fields.len() == names.len() && names.iter().all(|name| fields.contains_key(*name)))
    };
    if has(&["errorMessage", "i18nErrorMessage"]) {
        return schemas.faults(&reference("ErrorResponse"), &given, "refusal");
    }
    let other = has(&["code", "message"]) || (!desk && has(&["errorMessages", "errors"]));
    if other { Vec::new() } else { vec![format!("a refusal of an unknown shape: {given}")] }
}

/// What is not right with the numbers and links of a page, if the answer is one.
fn faults_of_page(given: &Value) -> Vec<String> {
    let (Some(values), Some(last)) = (given.get("values").and_then(Value::as_array), given.get("isLastPage")) else {
        return Vec::new();
    };
    let mut faults = Vec::new();
    if given.get("size").and_then(Value::as_u64) != Some(values.len() as u64) {
        faults.push("size is not the number of values".to_owned());
    }
    if given.pointer("/_links/next").is_some() != (last == &Value::Bool(false)) {
        faults.push("there is a next page, or there is none, and the links say otherwise".to_owned());
    }
    if ["start", "limit"].iter().any(|name| !given.get(*name).is_some_and(Value::is_u64)) {
        faults.push("start and limit are missing".to_owned());
    }
    faults
}
