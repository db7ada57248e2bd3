//! Single logout through the browser (SAML Profiles 4.4): begun by a service provider or on the provider's own page, and then
//! from one service provider to the next until all were told.

mod chain;
mod incoming;

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use url::Url;

pub(super) use self::chain::Chain;
use super::parameters::Parameters;
use super::{Fault, SamlProvider, pages, refused, sign_on};
use crate::saml::binding::{post, redirect};

/// How long the question may lie open.
const PAGE_LIFETIME: Duration = Duration::from_secs(600);

/// GET `/slo`.
pub(super) async fn by_redirect(
    State(provider): State<SamlProvider>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    incoming::take(&provider, redirect::read(&query.unwrap_or_default()), &headers)
}

/// POST `/slo`.
pub(super) async fn by_post(
    State(provider): State<SamlProvider>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Fault> {
    incoming::take(&provider, post::read(&body), &headers)
}

/// GET `/logout`: any page could send the person here, so the person is asked.
pub(super) async fn ask(State(provider): State<SamlProvider>) -> Result<Response, Fault> {
    let (handle, nonce) = (provider.random().token()?, provider.random().token()?);
    let now = provider.now();
    provider.state().sign_outs.insert(handle.clone(), (), now.after(PAGE_LIFETIME), now);
    let targets = provider.logout_origins();
    Ok(pages::ask_sign_out(&provider.location("logout/confirm"), &handle, &nonce, &targets))
}

impl SamlProvider {
    /// Where a logout leads through.
    fn logout_origins(&self) -> String {
        let state = self.state();
        let locations = state.service_providers.iter().flat_map(|known| &known.logout);
        let urls = locations.filter_map(|endpoint| Url::parse(&endpoint.location).ok());
        urls.map(|url| url.origin().ascii_serialization()).collect::<Vec<_>>().join(" ")
    }
}

/// POST `/logout/confirm`: the person agreed.
pub(super) async fn confirm(
    State(provider): State<SamlProvider>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Fault> {
    if sign_on::comes_from_elsewhere(&headers) {
        return Ok(pages::problem(StatusCode::FORBIDDEN, "This form was sent by another site."));
    }
    let form = Parameters::parse(&body).unwrap_or_default();
    let now = provider.now();
    if form.get("handle").and_then(|handle| provider.state().sign_outs.take(handle, now)).is_none() {
        return Ok(refused("This page was used before, or lay open for too long."));
    }
    let session = provider.end_session(&headers);
    let told = session.map(|session| session.participants).unwrap_or_default();
    Chain::begun_here(told).go_on(&provider)
}
