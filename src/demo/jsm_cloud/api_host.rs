//! The host beside the site: scoped tokens below `/ex/jira/{cloudId}`, and the exchange of single sign-on.

use std::convert::Infallible;

use axum::Router;
use axum::extract::{Request, State as Shared};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get, post};
use http::{StatusCode, Uri};
use serde_json::json;
use tower_service::Service as _;

use super::credentials::Through;
use super::guard::Area;
use super::problem::Problem;
use super::{JsmCloud, Routes, saml};

/// What is beside the site, as a router.
pub(super) fn router(jsm: &JsmCloud) -> Router {
    let inner = super::rest_routes(Routes::new(jsm)).finish();
    let forward = any(forward).with_state(Beside { jsm: jsm.clone(), inner });
    saml_routes(Routes::new(jsm)).finish().route("/ex/jira/{cloud_id}/{*rest}", forward)
}

/// The exchange of single sign-on: of the site itself while nothing is beside it.
pub(super) fn saml_routes(routes: Routes) -> Routes {
    routes.add(Area::Visitors, "/saml/{connection}/login", get(saml::start)).add(
        Area::Inbound,
        "/saml/{connection}/acs",
        post(saml::consume),
    )
}

#[derive(Clone)]
struct Beside {
    jsm: JsmCloud,
    inner: Router,
}

/// Hands a call on to the site's REST, without the way that led here.
async fn forward(Shared(beside): Shared<Beside>, request: Request) -> Response {
    let prefix = format!("/ex/jira/{}", beside.jsm.cloud_id());
    let wanted = request.uri().path_and_query().map_or("", |wanted| wanted.as_str());
    let inside = wanted.strip_prefix(&prefix).and_then(|inside| inside.parse::<Uri>().ok());
    let Some(inside) = inside.filter(|uri| uri.path().starts_with('/')) else {
        let body = json!({"code": 404, "message": "Not Found"});
        return Problem::Json(StatusCode::NOT_FOUND, body).into_response();
    };
    // A fresh request: the old one remembers the parameters of the path that led here.
    let (head, body) = request.into_parts();
    let mut fresh = Request::new(body);
    *fresh.method_mut() = head.method;
    *fresh.uri_mut() = inside;
    *fresh.headers_mut() = head.headers;
    fresh.extensions_mut().insert(Through::ApiHost);
    let mut inner = beside.inner.clone();
    inner.call(fresh).await.unwrap_or_else(|never: Infallible| match never {})
}
