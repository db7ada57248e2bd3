//! Logout messages of service providers. All of them have to be signed.

use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};

use super::chain::{Asked, Chain};
use crate::clock::Timestamp;
use crate::demo::saml_provider::session::{Participant, cookie};
use crate::demo::saml_provider::sign_on::SKEW;
use crate::demo::saml_provider::{Fault, SamlProvider, refused, sentence};
use crate::saml::binding::{Arrived, Direction, Proven};
use crate::saml::keys::VerificationKeys;
use crate::saml::logout::{ExpectedLogout, ReceivedLogoutRequest, ReceivedLogoutResponse};
use crate::saml::message::MessageRefused;
use crate::saml::metadata::{Binding, ServiceProvider};
use crate::saml::signature::SignaturePolicy;

/// Takes a request or an answer.
pub(super) fn take(
    provider: &SamlProvider,
    arrived: Result<Arrived, MessageRefused>,
    headers: &HeaderMap,
) -> Result<Response, Fault> {
    let arrived = match arrived {
        Ok(arrived) => arrived,
        Err(why) => return Ok(refused(&sentence(why))),
    };
    let (direction, relay_state) = (arrived.direction, arrived.relay_state.clone());
    let (known, proven) = match prove(provider, arrived) {
        Ok(proven) => proven,
        Err(why) => return Ok(refused(&why)),
    };
    match direction {
        Direction::Request => request(provider, &known, &proven, relay_state, headers),
        Direction::Response => response(provider, &known, &proven),
    }
}

fn prove(provider: &SamlProvider, arrived: Arrived) -> Result<(ServiceProvider, Proven), String> {
    let issuer = arrived.claimed_issuer().map_err(sentence)?;
    let known = provider.service_provider(&issuer);
    let known = known.ok_or("The application is not known to this provider.")?;
    let keys = VerificationKeys::from_certificates(&known.signing_certificates)
        .map_err(|_| sentence(MessageRefused::Signature))?;
    let proven = arrived.verify(&keys, SignaturePolicy::default()).map_err(sentence)?;
    Ok((known, proven))
}

fn request(
    provider: &SamlProvider,
    known: &ServiceProvider,
    proven: &Proven,
    relay_state: Option<String>,
    headers: &HeaderMap,
) -> Result<Response, Fault> {
    let location = provider.location("slo");
    let now = provider.now();
    let expected = expected(&known.entity_id, &location, now);
    let request = match proven.xml().and_then(|xml| ReceivedLogoutRequest::read(&xml, &[], &expected)) {
        Ok(request) => request,
        Err(why) => return Ok(refused(&sentence(why))),
    };
    let once = format!("{}|{}", request.head.issuer, request.head.id);
    if !provider.state().requests.insert(once, (), request.head.believed_until(SKEW), now) {
        return Ok(refused("This request was used before."));
    }
    let ended = provider.end_named(&known.entity_id, &request.name_id, &request.session_indexes);
    let mut left: Vec<Participant> = ended.into_iter().flat_map(|session| session.participants).collect();
    left.retain(|participant| participant.entity_id != known.entity_id);
    let asked = Asked { entity_id: known.entity_id.clone(), request: request.head.id, relay_state };
    let mut response = Chain::asked_for(asked, left).go_on(provider)?;
    if cookie(headers).is_some() {
        let gone = HeaderValue::from_static("saml_provider_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
        response.headers_mut().append(header::SET_COOKIE, gone);
    }
    Ok(response)
}

fn response(provider: &SamlProvider, known: &ServiceProvider, proven: &Proven) -> Result<Response, Fault> {
    let location = provider.location("slo");
    let now = provider.now();
    let xml = match proven.xml() {
        Ok(xml) => xml,
        Err(why) => return Ok(refused(&sentence(why))),
    };
    // Which request it answers is read from what its sender vouches for, and held against the one that was told last.
    let request = xml.root().attribute("InResponseTo").unwrap_or_default().to_owned();
    let chain = provider.state().chains.take(&request, now);
    let Some(chain) = chain.filter(|chain| chain.waits_for().is_some_and(|told| told.entity_id == known.entity_id))
    else {
        return Ok(refused("No such logout is under way."));
    };
    match ReceivedLogoutResponse::read(&xml, &request, &expected(&known.entity_id, &location, now)) {
        Ok(answer) => chain.answered(answer.status.is_success()).go_on(provider),
        Err(_) => chain.answered(false).go_on(provider),
    }
}

fn expected<'a>(issuer: &'a str, destination: &'a str, now: Timestamp) -> ExpectedLogout<'a> {
    ExpectedLogout { issuer, destination, binding: Binding::Redirect, now, skew: SKEW }
}
