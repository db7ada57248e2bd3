//! The exchange itself: the request that is sent, the answer that is consumed, and the way back to the site.

use std::time::Duration;

use axum::extract::{Form, State as Shared};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::{Arrived, Pending};
use crate::demo::jsm::problem::{Problem, found};
use crate::demo::jsm_cloud::JsmCloud;
use crate::demo::jsm_cloud::accounts::{AccountType, looks_like_email};
use crate::demo::jsm_cloud::counters::count;
use crate::demo::jsm_cloud::extract::Params;
use crate::demo::jsm_cloud::login::inside;
use crate::demo::jsm_cloud::sessions::{CookieJar, cookies};
use crate::saml::authn_request::{Acs, AuthnRequest, Comparison, NameIdPolicy};
use crate::saml::binding::{Direction, redirect};
use crate::saml::message_id;
use crate::saml::name_id::NameId;
use crate::saml::names::{NAMEID_EMAIL, NAMEID_UNSPECIFIED};
use crate::saml::response::{self, Expected, InResponseTo, VerifiedResponse};

/// Says which browser asked; of the host that the exchange runs on.
const BROWSER: &str = "auth.saml.state";
/// How long an exchange may take.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// How long a code leads back to the site.
const CODE: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
pub(in super::super) struct Destination {
    #[serde(default)]
    destination: String,
}

fn off() -> Problem {
    Problem::page(StatusCode::NOT_FOUND, "Single sign-on is not set up for this site.")
}

/// `GET /saml/{connection}/login`: sends the browser to the identity provider.
pub(in super::super) async fn start(
    Shared(jsm): Shared<JsmCloud>,
    Params(query): Params<Destination>,
) -> Result<Response, Problem> {
    let destination = inside(&jsm, &query.destination);
    let (id, relay_state, browser) =
        (message_id::generate(jsm.random())?, jsm.random().token()?, jsm.random().token()?);
    let now = jsm.now();
    let mut state = jsm.state();
    if !state.switches.single_sign_on {
        return Err(off());
    }
    let (entity_id, acs) = (state.saml_url(""), state.saml_url("/acs"));
    let sign_on = state.saml.provider.as_ref().map(|provider| provider.sign_on.clone()).ok_or_else(off)?;
    let request = AuthnRequest {
        id: &id,
        issue_instant: now,
        destination: &sign_on,
        issuer: &entity_id,
        acs: Acs::Url(&acs),
        force_authn: false,
        is_passive: false,
        name_id_policy: Some(NameIdPolicy { format: Some(NAMEID_EMAIL), allow_create: false }),
        authn_contexts: &[],
        comparison: Comparison::Exact,
    };
    let unsigned = |_| Problem::page(StatusCode::INTERNAL_SERVER_ERROR, "The request could not be written.");
    let location = redirect::url(&sign_on, Direction::Request, &request.to_element(), Some(&relay_state), None);
    let location = location.map_err(unsigned)?;
    let expires = now.after(PATIENCE);
    state.saml.pending.insert(id, Pending { destination, browser: browser.clone(), relay_state, expires });
    let mut jar = CookieJar::default();
    jar.set(BROWSER, &browser, "; HttpOnly");
    let mut response = found(&location);
    jar.write(response.headers_mut());
    Ok(response)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Answer {
    #[serde(rename = "SAMLResponse")]
    response: String,
    #[serde(rename = "RelayState", default)]
    relay_state: String,
}

/// `POST /saml/{connection}/acs`: the identity provider's answer, from the browser that asked.
pub(in super::super) async fn consume(
    Shared(jsm): Shared<JsmCloud>,
    headers: HeaderMap,
    Form(answer): Form<Answer>,
) -> Result<Response, Problem> {
    match jsm.believe(&headers, &answer) {
        Ok(Believed::Customer(code)) => {
            Ok(found(&jsm.state().url(&format!("/jsd-login/v1/saml/complete?code={code}"))))
        }
        Ok(Believed::Atlassian(location)) => Ok(found(&location)),
        Err(reason) => {
            jsm.state().saml.last_refusal = Some(reason);
            Err(Problem::page(StatusCode::FORBIDDEN, "We could not log you in. Ask the administrator of this site."))
        }
    }
}

enum Believed {
    Customer(String),
    Atlassian(String),
}

impl JsmCloud {
    fn believe(&self, headers: &HeaderMap, answer: &Answer) -> Result<Believed, String> {
        let encoded = answer.response.as_bytes();
        let unverified = response::peek(encoded, Expected::LARGEST_MESSAGE).map_err(|why| why.to_string())?;
        let request = unverified.in_response_to.ok_or("the answer names no request, and this site asks first")?;
        let (pending, verified) = {
            let mut state = self.state();
            let (entity_id, acs) = (state.saml_url(""), state.saml_url("/acs"));
            let pending = state.saml.pending.remove(&request).ok_or("there is no such request")?;
            let provider = state.saml.provider.as_ref().filter(|_| state.switches.single_sign_on);
            let provider = provider.ok_or("single sign-on is off")?;
            let asked = InResponseTo::Request(&request);
            let now = self.now();
            let expected = Expected::new(&provider.entity_id, &provider.keys, &entity_id, &acs, asked, now);
            let verified = response::verify(encoded, &expected).map_err(|why| why.to_string())?;
            (pending, verified)
        };
        if cookies(headers, BROWSER).next() != Some(pending.browser.as_str()) {
            return Err("another browser asked".to_owned());
        }
        if pending.relay_state != answer.relay_state {
            return Err("RelayState is not what was sent".to_owned());
        }
        if pending.expires <= self.now() {
            return Err("the request is too old".to_owned());
        }
        self.arrive(pending, verified)
    }

    fn arrive(&self, pending: Pending, verified: VerifiedResponse) -> Result<Believed, String> {
        let NameId { value: email, format, .. } = &verified.name_id;
        let format = format.as_deref().unwrap_or(NAMEID_UNSPECIFIED);
        if ![NAMEID_EMAIL, NAMEID_UNSPECIFIED].contains(&format) || !looks_like_email(email) {
            return Err("NameID is not an e-mail address".to_owned());
        }
        let (now, broken) = (self.now(), |error: crate::random::NoRandomness| error.to_string());
        let code = self.random().token().map_err(broken)?;
        let mut state = self.state();
        if !state.saml.used_assertions.insert(verified.assertion_id) {
            return Err("the assertion was used before".to_owned());
        }
        if state.has_atlassian_account(email) {
            drop(state);
            return Ok(Believed::Atlassian(self.atlassian_login()));
        }
        let known = state.customer(email).map(|account| (account.account_id.clone(), account.may_open_portal()));
        let account_id = match known {
            Some((id, true)) => id,
            Some((_, false)) => return Err("the account may not open the portal".to_owned()),
            None if state.switches.public_sign_up => {
                count(&mut state.counters.customers_created, email.to_lowercase());
                state.make_account(self.random(), AccountType::Customer, email, email, now).map_err(broken)?
            }
            None => return Err("there is no such customer, and strangers may not sign up".to_owned()),
        };
        let arrived = Arrived { account_id, destination: pending.destination, expires: now.after(CODE) };
        state.saml.codes.insert(code.clone(), arrived);
        Ok(Believed::Customer(code))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Code {
    code: String,
}

/// `GET /jsd-login/v1/saml/complete`: back on the site, which opens the session.
pub(in super::super) async fn complete(
    Shared(jsm): Shared<JsmCloud>,
    Params(query): Params<Code>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let stale = || Problem::page(StatusCode::FORBIDDEN, "This way back was used already, or took too long.");
    let arrived = jsm.state().saml.codes.remove(&query.code).filter(|arrived| jsm.now() < arrived.expires);
    let arrived = arrived.ok_or_else(stale)?;
    let jar = jsm.open_session(&arrived.account_id, &headers)?;
    let mut response = found(&arrived.destination).into_response();
    jar.write(response.headers_mut());
    Ok(response)
}
