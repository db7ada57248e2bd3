//! Holds what is said at a JSM site's directory REST API against the documented contract: the OpenAPI file of 2022 and the
//! lists of what is younger, in `shared/jsm-openapi` beside the project. They are read there, and never copied.
//!
//! A call that a site answers as done has to be one that is documented: method, path, parameters, headers, body. Every answer
//! has to have a documented status and shape. So a site that takes what the real one would refuse is found, and so is a
//! client that gets away with it.

mod document;
mod exchange;
mod operation;
mod schema;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;

use self::exchange::Exchange;
use self::operation::Operation;
use self::schema::Schemas;

/// The longest body that is looked at, in bytes.
const LONGEST: usize = 64 * 1024 * 1024;

/// Which product's contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    Cloud,
    DataCenter,
}

/// What is documented, and what of it was walked.
#[derive(Debug)]
pub struct Contract {
    product: Product,
    operations: Vec<Operation>,
    schemas: Schemas,
    walked: Mutex<BTreeSet<String>>,
    faults: Mutex<Vec<String>>,
}

impl Contract {
    /// Reads the contract; none where the files are missing, which is told loudly, and a failure where `CI` is set.
    pub fn load(product: Product) -> Option<Arc<Self>> {
        let Some(folder) = folder() else {
            let sentence = "shared/jsm-openapi is neither beside the project nor above it: the contract is NOT checked";
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{sentence}");
            eprintln!("\n!!! {sentence}\n");
            return None;
        };
        let (operations, schemas) = document::read(&folder, product);
        let (walked, faults) = (Mutex::default(), Mutex::default());
        Some(Arc::new(Self { product, operations, schemas, walked, faults }))
    }

    /// The site, held to the contract: what breaks it is kept, and answered 500 with what is wrong in the answer's place.
    pub fn hold(self: &Arc<Self>, site: Router) -> Router {
        site.layer(from_fn_with_state(Arc::clone(self), watch))
    }

    /// What broke the contract so far.
    pub fn faults(&self) -> Vec<String> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every documented operation, such as `GET /rest/servicedeskapi/info`.
    pub fn documented(&self) -> BTreeSet<String> {
        self.operations.iter().map(Operation::name).collect()
    }

    /// The operations that were walked with success.
    pub fn walked(&self) -> BTreeSet<String> {
        self.walked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn check(&self, exchange: &Exchange) -> Vec<String> {
        let found = self.operations.iter().filter(|operation| operation.is(exchange.method.as_str(), exchange.path()));
        // A segment that is written out is meant before one that stands for anything.
        let Some(operation) = found.min_by_key(|operation| operation.parameters()) else {
            let done = exchange.status.is_success() && exchange.is_directory();
            return if done { vec!["the call is not documented".to_owned()] } else { Vec::new() };
        };
        let mut faults = operation.faults_of_answer(exchange, &self.schemas);
        if exchange.status.is_success() {
            faults.extend(operation.faults_of_call(exchange, &self.schemas));
            self.walked.lock().unwrap_or_else(PoisonError::into_inner).insert(operation.name());
        }
        faults
    }
}

/// `shared/jsm-openapi`, beside the project or beside a folder above it.
fn folder() -> Option<PathBuf> {
    let project = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    project.ancestors().map(|above| above.join("shared/jsm-openapi")).find(|folder| folder.is_dir())
}

async fn watch(State(contract): State<Arc<Contract>>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let Ok(sent) = to_bytes(body, LONGEST).await else { return StatusCode::PAYLOAD_TOO_LARGE.into_response() };
    let asked = (head.method.clone(), head.uri.clone(), head.headers.clone());
    let answer = next.run(Request::from_parts(head, Body::from(sent.clone()))).await;
    let (head, body) = answer.into_parts();
    let Ok(given) = to_bytes(body, LONGEST).await else { return StatusCode::BAD_GATEWAY.into_response() };
    let (method, uri, headers) = asked;
    let exchange = Exchange {
        method,
        uri,
        headers,
        sent,
        status: head.status,
        answer_headers: head.headers.clone(),
        given: given.clone(),
    };
    let faults = contract.check(&exchange);
    if faults.is_empty() {
        return Response::from_parts(head, Body::from(given));
    }
    let told = format!("{:?} contract broken by {exchange}:\n  {}", contract.product, faults.join("\n  "));
    eprintln!("{told}");
    contract.faults.lock().unwrap_or_else(PoisonError::into_inner).push(told.clone());
    (StatusCode::INTERNAL_SERVER_ERROR, told).into_response()
}
