//! A SAML identity provider: metadata, sign-in page, single logout. For `vestibule demo`, and as the tests' outside world.
//!
//! Strict towards service providers: only those it was told of, signed requests from whoever says that it signs, answers to
//! registered addresses alone, each request once (SAML Core 2.0, SAML Profiles 4.1 and 4.4). Everything that it sends is signed.
//! What tests need of hostility they put in by [`SamlProvider::alter_next_response`] and
//! [`SamlProvider::alter_next_message`]. It keeps everything in memory, asks nobody for a password, and must never face the
//! public.

mod alter;
mod answer;
mod key;
mod logout;
mod metadata;
mod session;
mod settings;
mod sign_on;
#[cfg(test)]
mod tests;

pub use alter::ResponseParts;
pub use key::ProviderKey;
pub use settings::{Approval, LogoutConduct, Settings};

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;

use self::alter::Alterations;
use self::logout::Chain;
use self::session::ProviderSession;
use self::sign_on::Pending;
use super::expiring::Expiring;
use super::openid_provider::Person;
use super::{parameters, provider_pages as pages};
use crate::clock::{Clock, Timestamp};
use crate::random::{NoRandomness, Random};
use crate::saml::issue::NotIssued;
use crate::saml::keys::KeyRefused;
use crate::saml::message::MessageRefused;
use crate::saml::metadata::ServiceProvider;
use crate::saml::signing_key::NotSigned;

/// The provider. Clones are handles to the same one.
#[derive(Clone)]
pub struct SamlProvider(Arc<Inner>);

struct Inner {
    settings: Settings,
    key: ProviderKey,
    clock: Clock,
    random: Random,
    state: Mutex<Mutable>,
}

/// What changes while the provider runs.
#[derive(Default)]
struct Mutable {
    address: String,
    service_providers: Vec<ServiceProvider>,
    conduct: LogoutConduct,
    pending: Expiring<Pending>,
    sessions: Expiring<ProviderSession>,
    /// Requests that were seen: none is answered twice.
    requests: Expiring<()>,
    sign_outs: Expiring<()>,
    chains: Expiring<Chain>,
    alterations: Alterations,
}

/// The provider itself failed: 500.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each says itself what it is")]
enum Fault {
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    #[error(transparent)]
    NotSigned(#[from] NotSigned),
    #[error(transparent)]
    NotIssued(#[from] NotIssued),
    #[error("the service provider's encryption key: {0}")]
    Key(#[from] KeyRefused),
}

impl axum::response::IntoResponse for Fault {
    fn into_response(self) -> Response {
        tracing::error!(error = %self, "the demo's SAML provider failed");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

impl SamlProvider {
    /// A provider. Its address has to be set before use.
    pub fn new(settings: Settings, key: ProviderKey, clock: Clock, random: Random) -> Self {
        Self(Arc::new(Inner { settings, key, clock, random, state: Mutex::default() }))
    }

    /// The provider's endpoints, to be served at its address.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/metadata", get(metadata::publish))
            .route("/sso", get(sign_on::by_redirect).post(sign_on::by_post))
            .route("/start", get(sign_on::unasked))
            .route("/decide", post(sign_on::decide))
            .route("/slo", get(logout::by_redirect).post(logout::by_post))
            .route("/logout", get(logout::ask))
            .route("/logout/confirm", post(logout::confirm))
            .layer(DefaultBodyLimit::max(1024 * 1024))
            .with_state(self.clone())
    }

    /// Says where the provider is reached: `https://host:port`, without a slash at the end.
    pub fn set_address(&self, address: &str) {
        self.state().address = address.trim_end_matches('/').to_owned();
    }

    /// Where the provider is reached.
    pub fn address(&self) -> String {
        self.state().address.clone()
    }

    /// Its entity id, which is where its metadata is.
    pub fn entity_id(&self) -> String {
        self.location("metadata")
    }

    /// Adds a service provider, or replaces the one with the same entity id.
    pub fn register(&self, service_provider: ServiceProvider) {
        let mut state = self.state();
        state.service_providers.retain(|known| known.entity_id != service_provider.entity_id);
        state.service_providers.push(service_provider);
    }

    /// How it carries out logouts from now on.
    pub fn set_logout_conduct(&self, conduct: LogoutConduct) {
        self.state().conduct = conduct;
    }

    /// Changes what the next response says, before it is signed.
    pub fn alter_next_response(&self, alter: impl FnOnce(&mut ResponseParts) + Send + 'static) {
        self.state().alterations.parts.push_back(Box::new(alter));
    }

    /// Changes the XML of the next message that is posted, after it is signed.
    pub fn alter_next_message(&self, alter: impl FnOnce(String) -> String + Send + 'static) {
        self.state().alterations.text.push_back(Box::new(alter));
    }

    /// How many people are signed in here.
    pub fn signed_in(&self) -> usize {
        self.state().sessions.count(self.now())
    }

    fn location(&self, path: &str) -> String {
        format!("{}/{path}", self.state().address)
    }

    fn state(&self) -> MutexGuard<'_, Mutable> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settings(&self) -> &Settings {
        &self.0.settings
    }

    fn key(&self) -> &ProviderKey {
        &self.0.key
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    fn random(&self) -> &Random {
        &self.0.random
    }

    fn person(&self, subject: &str) -> Option<&Person> {
        self.settings().people.iter().find(|person| person.subject == subject)
    }

    fn service_provider(&self, entity_id: &str) -> Option<ServiceProvider> {
        self.state().service_providers.iter().find(|known| known.entity_id == entity_id).cloned()
    }
}

/// A page about a message that was not accepted. There is nobody to send an answer to who could be trusted with it.
fn refused(why: &str) -> Response {
    pages::problem(StatusCode::BAD_REQUEST, why)
}

/// What such a page says of what the protocol refuses.
fn sentence(why: MessageRefused) -> String {
    format!("The message is refused: {why}.")
}
