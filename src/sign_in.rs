//! From "who are you?" to a [`VerifiedIdentity`]: the way to the identity provider and back.
//!
//! Owns the sign-ins that are under way and the providers. Trusts no parameter of a callback before its `state`, and no
//! posted response before its RelayState, is one of ours, waiting for that very browser, portal and provider. Where the
//! visitor wanted to go stays here, on the server's side.

mod bounded;
pub mod browser;
pub mod claims;
mod coming_back;
pub mod group_round;
pub mod hint;
pub mod identity;
pub mod next_url;
pub mod oidc;
pub mod once;
pub mod outcome;
pub mod pending;
mod pending_logouts;
mod provider;
pub mod rejected;
mod rounds;
pub mod saml;
pub mod settings;
mod signing_out;
mod start;
mod together;
pub mod trial;
pub mod under_way;

use std::sync::Arc;

use self::browser::BrowserKey;
pub use self::browser::{TieCookie, Ties};
pub use self::hint::{SamlSession, SignOutHint};
pub use self::identity::VerifiedIdentity;
pub use self::next_url::NextUrl;
pub use self::oidc::logout_token::TokenLogout;
pub use self::oidc::rejected::OidcRejected;
pub use self::oidc::{CallLimits, LogoutTokenRejected};
use self::once::OnceOnly;
pub use self::outcome::{At, Callback, Departure, Remembered, StartFailed, Started, UnusableProvider};
use self::pending::PendingSignIns;
use self::pending_logouts::PendingLogouts;
pub use self::provider::Provider;
use self::provider::Spoken;
pub use self::rejected::SignInRejected;
use self::rounds::AllRounds;
use self::saml::Workers;
pub use self::saml::{PostedResponse, ServiceProvider};
use self::settings::ProviderSettings;
pub use self::signing_out::{Leaving, LogoutMessage};
use self::together::Departures;
use crate::clock::Clock;
use crate::email::EmailAddress;
use crate::http_client::HttpClient;
use crate::ids::ProviderName;
use crate::portal::HostName;
use crate::random::{NoRandomness, Random};

/// Signs visitors in. One for the whole gateway.
pub struct SignIn {
    providers: Vec<Arc<Provider>>,
    pending: Arc<PendingSignIns>,
    logouts: Arc<PendingLogouts>,
    rounds: Arc<AllRounds>,
    departures: Arc<Departures>,
    once: Arc<dyn OnceOnly>,
    workers: Workers,
    http: HttpClient,
    clock: Clock,
    random: Random,
}

impl SignIn {
    /// Makes ready. No provider is spoken to before somebody needs it, so one that is down stops nothing. `once` remembers
    /// which answers and logout messages of providers were used.
    ///
    /// # Errors
    /// When a provider's settings cannot work.
    pub fn new(
        providers: Vec<ProviderSettings>,
        once: Arc<dyn OnceOnly>,
        http: HttpClient,
        clock: Clock,
        random: Random,
    ) -> Result<Self, UnusableProvider> {
        let workers = Workers::new();
        let none = Self {
            providers: Vec::new(),
            pending: Arc::new(PendingSignIns::new(pending::DEFAULT_LIMIT)),
            logouts: Arc::default(),
            rounds: Arc::default(),
            departures: Arc::default(),
            once,
            workers,
            http,
            clock,
            random,
        };
        none.with_providers(providers)
    }

    /// The same with other providers. What is under way stays so, and a provider whose settings have not changed is the same
    /// as before, with all that is known of it.
    ///
    /// # Errors
    /// When a provider's settings cannot work.
    pub fn with_providers(&self, providers: Vec<ProviderSettings>) -> Result<Self, UnusableProvider> {
        let Self { once, workers, http, clock, random, .. } = self;
        let ready = |settings: ProviderSettings| match self.provider(&settings.name) {
            Some(known) if *known.settings() == settings => Ok(Arc::clone(known)),
            _ => Provider::new(settings, once, workers, http, clock, random).map(Arc::new),
        };
        Ok(Self {
            providers: providers.into_iter().map(ready).collect::<Result<_, _>>()?,
            pending: Arc::clone(&self.pending),
            logouts: Arc::clone(&self.logouts),
            rounds: Arc::clone(&self.rounds),
            departures: Arc::clone(&self.departures),
            once: Arc::clone(once),
            workers: workers.clone(),
            http: http.clone(),
            clock: clock.clone(),
            random: random.clone(),
        })
    }

    /// With room for another number of sign-ins under way.
    #[must_use]
    pub fn with_pending_limit(mut self, limit: usize) -> Self {
        self.pending = Arc::new(PendingSignIns::new(limit));
        self
    }

    /// With other limits for calls to OpenID providers.
    #[must_use]
    pub fn with_call_limits(mut self, limits: CallLimits) -> Self {
        for provider in &mut self.providers {
            if let Some(Spoken::Oidc(relying_party)) = Arc::get_mut(provider).map(|provider| &mut provider.spoken) {
                relying_party.limits = limits;
            }
        }
        self
    }

    /// All providers, in the order of the configuration.
    pub fn providers(&self) -> &[Arc<Provider>] {
        &self.providers
    }

    /// Us as a service provider of the SAML provider of that name; `None` when there is none, or it speaks something else.
    pub fn service_provider(&self, name: &ProviderName) -> Option<&ServiceProvider> {
        self.provider(name)?.service_provider()
    }

    /// How many sign-ins are under way.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Home-realm discovery: the first of `among` that speaks for the domain of `email`, else the only one of them
    /// that speaks for any that no provider lists.
    pub fn provider_for_email(&self, email: &EmailAddress, among: &[ProviderName]) -> Option<ProviderName> {
        let known = || among.iter().filter_map(|name| self.provider(name));
        if let Some(provider) = known().find(|provider| provider.speaks_for().lists(email)) {
            return Some(provider.name().clone());
        }
        let mut any = known().filter(|provider| provider.speaks_for().includes(email));
        match (any.next(), any.next()) {
            (Some(provider), None) => Some(provider.name().clone()),
            _ => None,
        }
    }

    /// Keeps `next` while the visitor chooses a provider.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn remember(&self, at: At<'_>, next: NextUrl, browser: Option<&str>) -> Result<Remembered, StartFailed> {
        let (key, came) = self.tie(browser)?;
        let handle = self.random.token()?;
        self.pending.remember(&handle, (key.hash(), came), at.portal.clone(), next, self.clock.now());
        let browser_key_to_set = (came == pending::Came::Without).then(|| key.reveal().to_owned());
        Ok(Remembered { handle, browser_key_to_set })
    }

    /// What [`SignIn::remember`] kept under `handle` for that browser at that portal. It may be asked again.
    pub fn recall(&self, handle: &str, browser: Option<&str>, portal: &HostName) -> Option<NextUrl> {
        let browser = browser.and_then(BrowserKey::parse)?;
        self.pending.recall(handle, browser.hash(), portal, self.clock.now())
    }

    /// Counts an arrival by a round through the home of a group; false when that browser has had too many within a minute.
    pub fn may_arrive(&self, browser: Option<&str>) -> bool {
        let browser = browser.and_then(BrowserKey::parse);
        browser.is_some_and(|browser| self.pending.may_complete(browser.hash(), self.clock.now()))
    }

    fn provider(&self, name: &ProviderName) -> Option<&Arc<Provider>> {
        self.providers.iter().find(|provider| provider.name() == name)
    }

    /// The key of the browser that presented `cookie`; a new one when it presented none.
    fn tie(&self, cookie: Option<&str>) -> Result<(BrowserKey, pending::Came), NoRandomness> {
        match cookie.and_then(BrowserKey::parse) {
            Some(key) => Ok((key, pending::Came::WithCookie)),
            None => Ok((BrowserKey::generate(&self.random)?, pending::Came::Without)),
        }
    }
}

/// Always from the configuration, never from a request (RFC 9700 section 4.1).
fn redirect_uri(at: At<'_>, provider: &ProviderName) -> String {
    format!("{}/.vestibule/oidc/{provider}/callback", at.origin)
}

#[cfg(test)]
mod tests;
