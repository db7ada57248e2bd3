//! An OpenID provider: issuer, sign-in page, tokens. For `vestibule demo`, and as the tests' outside world.
//!
//! Honest, it is as strict as the standards allow: authorization code flow only, PKCE S256 required, exact redirect URIs,
//! codes for one use, clients authenticated, assertions not replayed (OpenID Connect Core 1.0, RFC 6749, 7636, 9207, 9700).
//! Hostile, it does what a [`Mode`] names: for one authorization request (`login_hint=mode:NAME`), for the whole provider
//! ([`OpenIdProvider::set_mode`]), or as an issuer of its own below `/as/NAME` ([`OpenIdProvider::issuer_of`]), so that
//! many modes run side by side. It keeps everything in memory, asks nobody for a password, and must never face the public.

mod authorize;
mod client;
mod discovery;
mod end_session;
mod hostile_answer;
mod hostile_claims;
mod hostile_signature;
mod id_token;
mod keys;
mod modes;
mod person;
mod settings;
mod switches;
#[cfg(test)]
mod tests;
mod token;
mod userinfo;

pub use client::{Client, ClientAuthentication};
pub use id_token::IdTokenParts;
pub use modes::{Expected, Mode, Reach};
pub use person::Person;
pub use settings::{Approval, ClaimsIn, KeyIds, Settings};
pub use switches::Endpoint;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::StatusCode;

use self::authorize::{Pending, ProviderSession};
use self::id_token::Alterations;
use self::keys::{KeyFault, Keys, Owner};
use self::switches::Switches;
use self::token::{AccessGrant, CodeGrant};
use super::expiring::Expiring;
use super::{parameters, provider_pages as pages};
use crate::clock::{Clock, Timestamp};
use crate::random::{NoRandomness, Random};
use crate::sign_in::settings::SigningAlgorithm;

/// The provider. Clones are handles to the same one.
#[derive(Clone)]
pub struct OpenIdProvider(Arc<Inner>);

struct Inner {
    settings: Settings,
    clock: Clock,
    random: Random,
    keys: Keys,
    switches: Switches,
    state: Mutex<Mutable>,
}

/// What changes while the provider runs.
#[derive(Default)]
struct Mutable {
    issuer: String,
    mode: Option<Mode>,
    clients: Vec<Client>,
    pending: Expiring<Pending>,
    sessions: Expiring<ProviderSession>,
    codes: Expiring<CodeGrant>,
    access: Expiring<AccessGrant>,
    assertions: Expiring<()>,
    sign_outs: Expiring<()>,
    alterations: Alterations,
    last_nonce: Option<String>,
}

/// The issuer that a request spoke to, and how that issuer behaves.
#[derive(Clone, Debug)]
struct Realm {
    issuer: String,
    mode: Option<Mode>,
}

/// The provider itself failed: 500.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    #[error(transparent)]
    Key(#[from] KeyFault),
}

impl axum::response::IntoResponse for Fault {
    fn into_response(self) -> Response {
        tracing::error!(error = %self, "the demo's OpenID provider failed");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

impl OpenIdProvider {
    /// A provider. Keys are made when they are first needed. The issuer has to be set before use.
    pub fn new(settings: Settings, clock: Clock, random: Random) -> Self {
        let state = Mutable { clients: settings.clients.clone(), ..Mutable::default() };
        let (keys, switches) = (Keys::default(), Switches::default());
        Self(Arc::new(Inner { settings, clock, random, keys, switches, state: Mutex::new(state) }))
    }

    /// The provider's endpoints, to be served at the issuer's address.
    pub fn router(&self) -> Router {
        let endpoints = Router::new()
            .route("/.well-known/openid-configuration", get(discovery::metadata))
            .route("/jwks", get(discovery::key_set))
            .route("/authorize", get(authorize::start).post(authorize::start_posted))
            .route("/decide", post(authorize::decide))
            .route("/token", post(token::exchange))
            .route("/userinfo", get(userinfo::tell).post(userinfo::tell_posted))
            .route("/end-session", get(end_session::start).post(end_session::start_posted))
            .route("/end-session/confirm", post(end_session::confirm))
            .route("/elsewhere", get(hostile_answer::elsewhere).post(hostile_answer::elsewhere));
        Router::new()
            .nest("/as/{mode}", endpoints.clone())
            .merge(endpoints)
            .layer(from_fn_with_state(self.clone(), enter))
            .with_state(self.clone())
    }

    /// Says where the provider is reached: `https://host:port`, without a slash at the end.
    pub fn set_issuer(&self, issuer: &str) {
        self.state().issuer = issuer.trim_end_matches('/').to_owned();
    }

    /// The issuer.
    pub fn issuer(&self) -> String {
        self.state().issuer.clone()
    }

    /// An issuer of its own, on the same server, that behaves as `mode` says.
    pub fn issuer_of(&self, mode: Mode) -> String {
        format!("{}/as/{}", self.issuer(), mode.name())
    }

    /// Makes the main issuer behave as `mode` says; `None` is honest.
    pub fn set_mode(&self, mode: Option<Mode>) {
        self.state().mode = mode;
    }

    /// Adds a client, or replaces the one with the same id.
    pub fn register(&self, client: Client) {
        let mut state = self.state();
        state.clients.retain(|known| known.id != client.id);
        state.clients.push(client);
    }

    /// Puts a new signing key in front. The one before stays in the key set until [`Self::retire_old_keys`].
    ///
    /// # Errors
    /// When no key can be made.
    pub fn rotate_keys(&self) -> Result<(), KeyNotMade> {
        let inner = &self.0;
        // The first key is made when it is first asked for: without it there would be nothing to rotate.
        inner.keys.signing(Owner::Provider, inner.settings.algorithm, &inner.random).map_err(|_| KeyNotMade)?;
        inner.keys.rotate(Owner::Provider, inner.settings.algorithm, &inner.random).map_err(|_| KeyNotMade)
    }

    /// Takes all keys but the signing one out of the key set.
    pub fn retire_old_keys(&self) {
        self.0.keys.retire(Owner::Provider, self.0.settings.algorithm);
    }

    /// A logout token (Back-Channel Logout 1.0, section 2.4) of these claims, signed by the key that signs ID tokens.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn sign_logout_token(&self, claims: &serde_json::Value) -> Result<String, KeyNotMade> {
        let inner = &self.0;
        let algorithm = inner.settings.algorithm;
        let key = inner.keys.signing(Owner::Provider, algorithm, &inner.random).map_err(|_| KeyNotMade)?;
        let header = serde_json::json!({ "typ": "logout+jwt", "alg": algorithm.name(), "kid": key.kid() });
        let header = header.as_object().cloned().unwrap_or_default();
        let message = id_token::message(&header, claims.to_string().as_bytes());
        let signature = key.sign(&message, algorithm).map_err(|_| KeyNotMade)?;
        Ok(format!("{message}.{signature}"))
    }

    /// Answers 503 everywhere, or stops to.
    pub fn set_down(&self, down: bool) {
        self.0.switches.set_down(down);
    }

    /// Holds requests to `endpoint` back until [`Self::release`].
    pub fn hold(&self, endpoint: Endpoint) {
        self.0.switches.hold(endpoint);
    }

    /// Lets requests to `endpoint` go on.
    pub fn release(&self, endpoint: Endpoint) {
        self.0.switches.release(endpoint);
    }

    /// How many requests have reached `endpoint`, those that are held or were answered 503 among them.
    pub fn requests(&self, endpoint: Endpoint) -> u64 {
        self.0.switches.requests(endpoint)
    }

    /// Changes the header and claims of the next ID token, before it is signed.
    pub fn alter_next_id_token(&self, alter: impl FnOnce(&mut IdTokenParts) + Send + 'static) {
        self.state().alterations.parts.push_back(Box::new(alter));
    }

    /// Changes the text of the next ID token, after it is signed.
    pub fn alter_next_signed_token(&self, alter: impl FnOnce(String) -> String + Send + 'static) {
        self.state().alterations.text.push_back(Box::new(alter));
    }

    fn state(&self) -> MutexGuard<'_, Mutable> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settings(&self) -> &Settings {
        &self.0.settings
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    fn random(&self) -> &Random {
        &self.0.random
    }

    fn keys(&self) -> &Keys {
        &self.0.keys
    }

    /// The algorithm that ID tokens have.
    fn algorithm(&self, mode: Option<Mode>) -> SigningAlgorithm {
        mode.and_then(Mode::algorithm).unwrap_or(self.settings().algorithm)
    }

    fn person(&self, subject: &str) -> Option<&Person> {
        self.settings().people.iter().find(|person| person.subject == subject)
    }

    fn client(&self, id: &str) -> Option<Client> {
        self.state().clients.iter().find(|client| client.id == id).cloned()
    }
}

/// The system could not make a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no signing key could be made")]
pub struct KeyNotMade;

/// Finds the issuer that is spoken to, counts the request, and holds it back or refuses it when told so.
async fn enter(State(provider): State<OpenIdProvider>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let (mode, rest) = match path.strip_prefix("/as/").and_then(|rest| rest.split_once('/')) {
        None => (None, path.strip_prefix('/').unwrap_or(path)),
        Some((name, rest)) => match Mode::parse(name) {
            Some(mode) => (Some(mode), rest),
            None => return StatusCode::NOT_FOUND.into_response(),
        },
    };
    if let Some(endpoint) = Endpoint::at(rest)
        && !provider.0.switches.pass(endpoint).await
    {
        return (StatusCode::SERVICE_UNAVAILABLE, "down").into_response();
    }
    let realm = match mode {
        Some(mode) => Realm { issuer: provider.issuer_of(mode), mode: Some(mode) },
        None => {
            let state = provider.state();
            Realm { issuer: state.issuer.clone(), mode: state.mode }
        }
    };
    request.extensions_mut().insert(realm);
    next.run(request).await
}
