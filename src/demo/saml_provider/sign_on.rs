//! Single sign-on: requests, and the form of the sign-in page (SAML Profiles 4.1).

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::parameters::Parameters;
use super::session::{LIFETIME, ProviderSession, set_cookie};
use super::settings::Approval;
use super::{Fault, SamlProvider, pages, refused, sentence};
use crate::demo::openid_provider::Person;
use crate::saml::authn_request::{ReceivedAuthnRequest, RequestedAcs};
use crate::saml::binding::{Arrived, Direction, post, redirect};
use crate::saml::keys::VerificationKeys;
use crate::saml::message::MessageRefused;
use crate::saml::message_id;
use crate::saml::metadata::ServiceProvider;
use crate::saml::names::{
    NAMEID_UNSPECIFIED, STATUS_AUTHN_FAILED, STATUS_INVALID_NAMEID_POLICY, STATUS_NO_AUTHN_CONTEXT, STATUS_NO_PASSIVE,
    STATUS_REQUESTER, STATUS_RESPONDER,
};
use crate::saml::signature::SignaturePolicy;
use crate::saml::status::Status;

/// How long the page may lie open.
const PAGE_LIFETIME: Duration = Duration::from_secs(1800);
/// How long a request is remembered: longer than one is accepted.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// By how much clocks may differ.
pub(super) const SKEW: Duration = Duration::from_secs(60);

/// Somebody is to be signed in: at a service provider, at an address that it registered.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) entity_id: String,
    pub(super) acs: String,
    pub(super) in_response_to: Option<String>,
    pub(super) relay_state: Option<String>,
    pub(super) name_id_format: String,
}

/// GET `/sso`.
pub(super) async fn by_redirect(
    State(provider): State<SamlProvider>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    begin(&provider, redirect::read(&query.unwrap_or_default()), &headers)
}

/// POST `/sso`.
pub(super) async fn by_post(
    State(provider): State<SamlProvider>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Fault> {
    begin(&provider, post::read(&body), &headers)
}

/// GET `/start?to=ENTITY_ID`: signs somebody in at a service provider that did not ask.
pub(super) async fn unasked(
    State(provider): State<SamlProvider>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let sent = Parameters::parse(query.unwrap_or_default().as_bytes()).unwrap_or_default();
    let known = sent.get("to").and_then(|entity_id| provider.service_provider(entity_id));
    let consumer = known.as_ref().and_then(|known| known.default_consumer().map(|consumer| (known, consumer)));
    let Some((known, consumer)) = consumer else {
        return Ok(refused("No service provider of that name is known here."));
    };
    let pending = Pending {
        entity_id: known.entity_id.clone(),
        acs: consumer.endpoint.location.clone(),
        in_response_to: None,
        relay_state: sent.get("RelayState").map(str::to_owned),
        name_id_format: provider.settings().name_id_format.clone(),
    };
    choose(&provider, pending, provider.session(&headers))
}

fn begin(
    provider: &SamlProvider,
    arrived: Result<Arrived, MessageRefused>,
    headers: &HeaderMap,
) -> Result<Response, Fault> {
    let (request, pending) = match arrived.map_err(sentence).and_then(|arrived| admit(provider, arrived)) {
        Ok(admitted) => admitted,
        Err(why) => return Ok(refused(&why)),
    };
    let requester = |detail| Status::of(STATUS_REQUESTER, Some(detail));
    if request.name_id_format.as_deref().is_some_and(|format| !super::metadata::FORMATS.contains(&format)) {
        return provider.refuse(&pending, requester(STATUS_INVALID_NAMEID_POLICY));
    }
    let contexts = &request.authn_contexts;
    if !contexts.is_empty() && !contexts.contains(&provider.settings().authn_context) {
        return provider.refuse(&pending, requester(STATUS_NO_AUTHN_CONTEXT));
    }
    let session = provider.session(headers).filter(|_| !request.force_authn);
    if request.is_passive && session.is_none() {
        return provider.refuse(&pending, Status::of(STATUS_RESPONDER, Some(STATUS_NO_PASSIVE)));
    }
    choose(provider, pending, session)
}

/// Makes sure that a known service provider sent the request, to us, now, once, and wants the answer where it said before.
fn admit(provider: &SamlProvider, arrived: Arrived) -> Result<(ReceivedAuthnRequest, Pending), String> {
    if arrived.direction != Direction::Request {
        return Err("Only requests are taken here.".to_owned());
    }
    let issuer = arrived.claimed_issuer().map_err(sentence)?;
    let Some(known) = provider.service_provider(&issuer) else {
        return Err("The application is not known to this provider.".to_owned());
    };
    let relay_state = arrived.relay_state.clone();
    let has_to_be_signed = known.signs_requests || provider.settings().wants_signed_requests;
    let signed = arrived.is_signed();
    if has_to_be_signed && !signed {
        return Err(sentence(MessageRefused::Unsigned));
    }
    let request = if signed {
        let keys = VerificationKeys::from_certificates(&known.signing_certificates)
            .map_err(|_| sentence(MessageRefused::Signature))?;
        let proven = arrived.verify(&keys, SignaturePolicy::default()).map_err(sentence)?;
        proven.xml().and_then(|xml| ReceivedAuthnRequest::read(&xml))
    } else {
        arrived.unproven().and_then(|xml| ReceivedAuthnRequest::read(&xml))
    };
    let request = request.map_err(sentence)?;
    let now = provider.now();
    request.check(&provider.location("sso"), signed, now, SKEW).map_err(sentence)?;
    let once = format!("{}|{}", request.head.issuer, request.head.id);
    if !provider.state().requests.insert(once, (), now.after(REMEMBERED), now) {
        return Err("This request was used before.".to_owned());
    }
    let acs = consumer(&known, &request.acs).ok_or("The application's address is not registered.")?;
    let format = request.name_id_format.clone().filter(|format| format != NAMEID_UNSPECIFIED);
    let pending = Pending {
        entity_id: known.entity_id.clone(),
        acs,
        in_response_to: Some(request.head.id.clone()),
        relay_state,
        name_id_format: format.unwrap_or_else(|| provider.settings().name_id_format.clone()),
    };
    Ok((request, pending))
}

/// The address that is asked for, when it is one of those that are registered.
fn consumer(known: &ServiceProvider, asked: &RequestedAcs) -> Option<String> {
    let found = match asked {
        RequestedAcs::Default => known.default_consumer(),
        RequestedAcs::Url(url) => known.consumers.iter().find(|consumer| consumer.endpoint.location == *url),
        RequestedAcs::Index(index) => known.consumers.iter().find(|consumer| consumer.index == *index),
    };
    found.map(|consumer| consumer.endpoint.location.clone())
}

/// Goes on with who is signed in, or asks.
fn choose(provider: &SamlProvider, pending: Pending, session: Option<ProviderSession>) -> Result<Response, Fault> {
    if let Some((session, person)) = session.and_then(|known| Some((known.clone(), provider.person(&known.subject)?))) {
        return provider.answer(&pending, person, &session);
    }
    if let Approval::Automatic(subject) = &provider.settings().approval
        && let Some(person) = provider.person(subject)
    {
        return sign_in(provider, &pending, person);
    }
    let (handle, nonce) = (provider.random().token()?, provider.random().token()?);
    let action = provider.location("decide");
    let page = pages::choose(&provider.settings().people, None, &pending.entity_id, &action, &handle, "", &nonce);
    let now = provider.now();
    provider.state().pending.insert(handle, pending, now.after(PAGE_LIFETIME), now);
    Ok(page)
}

/// POST `/decide`: what the person chose on the page. The handle is unguessable and good for one use, so that no other site
/// can send this form; a browser that says where it comes from has to come from here.
pub(super) async fn decide(
    State(provider): State<SamlProvider>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Fault> {
    if comes_from_elsewhere(&headers) {
        return Ok(pages::problem(StatusCode::FORBIDDEN, "This form was sent by another site."));
    }
    let form = Parameters::parse(&body).unwrap_or_default();
    let now = provider.now();
    let pending = form.get("handle").and_then(|handle| provider.state().pending.take(handle, now));
    let Some(pending) = pending else {
        return Ok(refused("This page was used before, or lay open for too long."));
    };
    match form.get("person").and_then(|subject| provider.person(subject)) {
        Some(person) => sign_in(&provider, &pending, person),
        None => provider.refuse(&pending, Status::of(STATUS_RESPONDER, Some(STATUS_AUTHN_FAILED))),
    }
}

pub(super) fn comes_from_elsewhere(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
    site.is_some_and(|site| site != "same-origin" && site != "none")
}

/// The person has proved who they are: a session here, and an assertion for there.
fn sign_in(provider: &SamlProvider, pending: &Pending, person: &Person) -> Result<Response, Fault> {
    let now = provider.now();
    let index = message_id::generate(provider.random())?;
    let session =
        ProviderSession { subject: person.subject.clone(), authn_instant: now, index, participants: Vec::new() };
    let cookie = provider.random().token()?;
    provider.state().sessions.insert(cookie.clone(), session.clone(), now.after(LIFETIME), now);
    let mut response = provider.answer(pending, person, &session)?.into_response();
    let secure = provider.address().starts_with("https:");
    if let Ok(cookie) = HeaderValue::from_str(&set_cookie(&cookie, secure)) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}
