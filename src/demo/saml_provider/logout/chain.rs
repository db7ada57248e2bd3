//! Who has still to be told of a logout, and who wants to hear how it ended.

use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};

use crate::demo::saml_provider::session::Participant;
use crate::demo::saml_provider::settings::LogoutConduct;
use crate::demo::saml_provider::{Fault, SamlProvider, pages};
use crate::saml::binding::{Direction, Outgoing, redirect};
use crate::saml::logout::{LogoutRequest, LogoutResponse};
use crate::saml::message_id;
use crate::saml::metadata::{Binding, Endpoint, ServiceProvider};
use crate::saml::names::{LOGOUT_BY_USER, STATUS_PARTIAL_LOGOUT, STATUS_RESPONDER, STATUS_SUCCESS};
use crate::saml::sign::sign;
use crate::saml::status::Status;
use crate::saml::write::Element;

/// How long a service provider may take to answer.
const PATIENCE: Duration = Duration::from_secs(600);

/// A logout on its way. Its key is the id of the request that was sent last.
#[derive(Clone, Debug)]
pub(in crate::demo::saml_provider) struct Chain {
    /// The service provider that began it.
    asked: Option<Asked>,
    /// Who has to be told.
    left: Vec<Participant>,
    /// Who was told last, and has to answer.
    told: Option<Participant>,
    /// Somebody was not signed out, or said nothing that could be believed.
    partial: bool,
}

/// A service provider that asked for a logout.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) entity_id: String,
    pub(super) request: String,
    pub(super) relay_state: Option<String>,
}

impl Chain {
    /// The person asked for it on our own page.
    pub(super) fn begun_here(left: Vec<Participant>) -> Self {
        Self { asked: None, left, told: None, partial: false }
    }

    /// A service provider asked for it.
    pub(super) fn asked_for(asked: Asked, left: Vec<Participant>) -> Self {
        Self { asked: Some(asked), left, told: None, partial: false }
    }

    /// Who has to answer.
    pub(super) fn waits_for(&self) -> Option<&Participant> {
        self.told.as_ref()
    }

    /// An answer came, or something that is none.
    pub(super) fn answered(mut self, success: bool) -> Self {
        self.partial |= !success;
        self
    }

    /// Tells the next, or ends.
    pub(super) fn go_on(mut self, provider: &SamlProvider) -> Result<Response, Fault> {
        while let Some(next) = self.left.pop() {
            let known = provider.service_provider(&next.entity_id);
            let Some(endpoint) = known.as_ref().and_then(|known| endpoint(known, provider.settings().logout_by)) else {
                self.partial = true;
                continue;
            };
            let id = message_id::generate(provider.random())?;
            let (issuer, indexes) = (provider.entity_id(), [next.index.clone()]);
            let now = provider.now();
            let request = LogoutRequest {
                id: &id,
                issue_instant: now,
                destination: &endpoint.location,
                issuer: &issuer,
                name_id: &next.name_id,
                session_indexes: &indexes,
                not_on_or_after: Some(now.after(PATIENCE)),
                reason: Some(LOGOUT_BY_USER),
            }
            .to_element();
            self.told = Some(next);
            provider.state().chains.insert(id.clone(), self, now.after(PATIENCE), now);
            return send(provider, endpoint.binding, &endpoint.location, Direction::Request, request, None);
        }
        self.end(provider)
    }

    fn end(self, provider: &SamlProvider) -> Result<Response, Fault> {
        let conduct = provider.state().conduct;
        let partial = self.partial || conduct == LogoutConduct::Partial;
        let Some(asked) = self.asked.filter(|_| conduct != LogoutConduct::Silent) else {
            return Ok(pages::note(if partial {
                "You are signed out here, but not everywhere: some applications did not answer."
            } else {
                "You are signed out everywhere."
            }));
        };
        let known = provider.service_provider(&asked.entity_id);
        let Some(endpoint) = known.as_ref().and_then(|known| endpoint(known, provider.settings().logout_by)) else {
            return Ok(pages::note("You are signed out. The application does not take answers."));
        };
        let status = match conduct {
            LogoutConduct::Fails => Status::of(STATUS_RESPONDER, None),
            _ if partial => Status::of(STATUS_SUCCESS, Some(STATUS_PARTIAL_LOGOUT)),
            _ => Status::SUCCESS,
        };
        let (id, issuer) = (message_id::generate(provider.random())?, provider.entity_id());
        let another = message_id::generate(provider.random())?;
        let destination = endpoint.for_responses();
        let response = LogoutResponse {
            id: &id,
            issue_instant: provider.now(),
            destination: Some(destination),
            issuer: &issuer,
            in_response_to: if conduct == LogoutConduct::AnswersAnother { &another } else { &asked.request },
            status,
        };
        let (binding, relay_state) = (endpoint.binding, asked.relay_state.as_deref());
        send(provider, binding, destination, Direction::Response, response.to_element(), relay_state)
    }
}

/// Where a service provider takes logout messages, by the binding that is preferred or by the other.
fn endpoint(known: &ServiceProvider, preferred: Binding) -> Option<Endpoint> {
    let other = if preferred == Binding::Redirect { Binding::Post } else { Binding::Redirect };
    known.logout_by(preferred).or_else(|| known.logout_by(other)).cloned()
}

/// Sends a message through the browser; signed, unless a test wants it otherwise.
fn send(
    provider: &SamlProvider,
    binding: Binding,
    location: &str,
    direction: Direction,
    message: Element,
    relay_state: Option<&str>,
) -> Result<Response, Fault> {
    let unsigned = direction == Direction::Response && provider.state().conduct == LogoutConduct::Unsigned;
    let key = provider.key().signing();
    if binding == Binding::Post {
        let message = if unsigned { message } else { sign(message, key)? };
        return provider.post(location, direction, &message, relay_state);
    }
    let address = if unsigned {
        redirect::url(location, direction, &message, relay_state, None)?
    } else {
        match Outgoing::sign(binding, location, direction, message, relay_state, key)? {
            Outgoing::Redirect(address) => address,
            Outgoing::Post(form) => return Ok(pages::post_message(&form, &provider.random().token()?)),
        }
    };
    let headers = [(header::LOCATION, address.as_str()), (header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}
