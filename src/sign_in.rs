//! From "who are you?" to a [`VerifiedIdentity`]: the way to the identity provider and back.
//!
//! Owns the sign-ins that are under way and the providers. Trusts no parameter of a callback before its `state` is one
//! of ours, waiting for that very browser, portal and provider. Where the visitor wanted to go stays here, on the
//! server's side.

mod bounded;
pub mod browser;
pub mod claims;
pub mod identity;
pub mod next_url;
pub mod oidc;
pub mod outcome;
pub mod pending;
pub mod saml;
pub mod settings;

use url::Url;

use self::browser::{BrowserHash, BrowserKey};
pub use self::identity::VerifiedIdentity;
pub use self::next_url::NextUrl;
pub use self::oidc::CallLimits;
pub use self::oidc::rejected::OidcRejected;
use self::oidc::{Asks, Begin, CallbackQuery, Complete, RelyingParty};
pub use self::outcome::{At, Callback, Remembered, StartFailed, Started, UnusableProvider};
use self::pending::{Came, Pending, PendingSignIns, Taken};
use self::settings::{Protocol, ProviderSettings};
use crate::clock::Clock;
use crate::email::{EmailAddress, EmailDomain};
use crate::http_client::HttpClient;
use crate::ids::ProviderName;
use crate::portal::HostName;
use crate::random::{NoRandomness, Random};
use crate::secret::Secret;

/// How often one sign-in is begun again before it counts as a loop. Browsers follow some 20 redirects.
const RESTARTS_IN_A_ROW: u8 = 3;

/// Signs visitors in. One for the whole gateway.
pub struct SignIn {
    providers: Vec<Provider>,
    pending: PendingSignIns,
    clock: Clock,
    random: Random,
}

/// One identity provider.
pub struct Provider {
    name: ProviderName,
    label: String,
    email_domains: Vec<EmailDomain>,
    relying_party: RelyingParty,
}

impl SignIn {
    /// Makes ready. No provider is spoken to before somebody needs it, so one that is down stops nothing.
    ///
    /// # Errors
    /// When a provider's settings cannot work.
    pub fn new(
        providers: Vec<ProviderSettings>,
        http: HttpClient,
        clock: Clock,
        random: Random,
    ) -> Result<Self, UnusableProvider> {
        let ready = |settings: ProviderSettings| {
            let ProviderSettings { name, label, email_domains, protocol } = settings;
            let Protocol::Oidc(oidc) = protocol;
            let (http, clock, random) = (http.clone(), clock.clone(), random.clone());
            let relying_party = RelyingParty::new(name.clone(), oidc, email_domains.clone(), http, clock, random)
                .map_err(|unusable| UnusableProvider::ClientKey(name.clone(), unusable))?;
            Ok(Provider { name, label, email_domains, relying_party })
        };
        Ok(Self {
            providers: providers.into_iter().map(ready).collect::<Result<_, _>>()?,
            pending: PendingSignIns::new(pending::DEFAULT_LIMIT),
            clock,
            random,
        })
    }

    /// With room for another number of sign-ins under way.
    #[must_use]
    pub fn with_pending_limit(mut self, limit: usize) -> Self {
        self.pending = PendingSignIns::new(limit);
        self
    }

    /// With other limits for calls to providers.
    #[must_use]
    pub fn with_call_limits(mut self, limits: CallLimits) -> Self {
        for provider in &mut self.providers {
            provider.relying_party.limits = limits;
        }
        self
    }

    /// All providers, in the order of the configuration.
    pub fn providers(&self) -> &[Provider] {
        &self.providers
    }

    /// How many sign-ins are under way.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Home-realm discovery: the first of `among` that speaks for the domain of `email`, else the only one of them
    /// that speaks for any.
    pub fn provider_for_email(&self, email: &EmailAddress, among: &[ProviderName]) -> Option<ProviderName> {
        let known = || among.iter().filter_map(|name| self.provider(name));
        if let Some(provider) = known().find(|provider| provider.email_domains.iter().any(|domain| domain.holds(email)))
        {
            return Some(provider.name.clone());
        }
        let mut any = known().filter(|provider| provider.email_domains.is_empty());
        match (any.next(), any.next()) {
            (Some(provider), None) => Some(provider.name.clone()),
            _ => None,
        }
    }

    /// Begins a sign-in at `provider`, after which the visitor goes to `next`.
    ///
    /// # Errors
    /// When the provider cannot be asked.
    pub async fn start(
        &self,
        at: At<'_>,
        provider: &ProviderName,
        next: NextUrl,
        browser: Option<&str>,
        login_hint: Option<&EmailAddress>,
    ) -> Result<Started, StartFailed> {
        self.begin(at, provider, next, browser, Asks { login_hint, again: false }, 0).await
    }

    /// The same for somebody who wants to be somebody else: the provider has to ask who they are, even when it knows.
    ///
    /// # Errors
    /// When the provider cannot be asked.
    pub async fn start_again(
        &self,
        at: At<'_>,
        provider: &ProviderName,
        next: NextUrl,
        browser: Option<&str>,
    ) -> Result<Started, StartFailed> {
        self.begin(at, provider, next, browser, Asks { login_hint: None, again: true }, 0).await
    }

    /// Begins again after [`Callback::Stale`], which told `restarts`.
    ///
    /// # Errors
    /// When the provider cannot be asked.
    pub async fn restart(
        &self,
        at: At<'_>,
        provider: &ProviderName,
        next: NextUrl,
        browser: Option<&str>,
        restarts: u8,
    ) -> Result<Started, StartFailed> {
        self.begin(at, provider, next, browser, Asks { login_hint: None, again: false }, restarts).await
    }

    async fn begin(
        &self,
        at: At<'_>,
        provider: &ProviderName,
        next: NextUrl,
        browser: Option<&str>,
        asks: Asks<'_>,
        restarts: u8,
    ) -> Result<Started, StartFailed> {
        let provider = self.provider(provider).ok_or(StartFailed::UnknownProvider)?;
        let (browser, browser_key_to_set) = self.browser(browser)?;
        let (state, nonce) = (counted(self.random.token()?, restarts), self.random.token()?);
        let pkce_verifier = Secret::generated(self.random.token()?);
        let redirect_uri = redirect_uri(at, &provider.name);
        let begin =
            Begin { redirect_uri: &redirect_uri, state: &state, nonce: &nonce, pkce_verifier: &pkce_verifier, asks };
        // Only what can be answered is held.
        let location = provider.relying_party.authorization_url(begin).await?;
        let (name, portal) = (provider.name.clone(), at.portal.clone());
        let pending = Pending { provider: name, portal, browser, nonce, pkce_verifier, next };
        self.pending.hold(&state, pending, came(browser_key_to_set.as_deref()), self.clock.now());
        Ok(Started { location, browser_key_to_set })
    }

    /// Keeps `next` while the visitor chooses a provider.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn remember(&self, at: At<'_>, next: NextUrl, browser: Option<&str>) -> Result<Remembered, StartFailed> {
        let (browser, browser_key_to_set) = self.browser(browser)?;
        let handle = self.random.token()?;
        let browser = (browser, came(browser_key_to_set.as_deref()));
        self.pending.remember(&handle, browser, at.portal.clone(), next, self.clock.now());
        Ok(Remembered { handle, browser_key_to_set })
    }

    /// What [`SignIn::remember`] kept under `handle` for that browser at that portal. It may be asked again.
    pub fn recall(&self, handle: &str, browser: Option<&str>, portal: &HostName) -> Option<NextUrl> {
        let browser = browser.and_then(BrowserKey::parse)?;
        self.pending.recall(handle, browser.hash(), portal, self.clock.now())
    }

    /// Reads the way back from `provider`: the raw query of its redirect URI, and the sign-in cookie.
    pub async fn callback(&self, at: At<'_>, provider: &ProviderName, query: &str, browser: Option<&str>) -> Callback {
        // Without the cookie nothing can ever fit: beginning again would go on for ever.
        let Some(browser) = browser.and_then(BrowserKey::parse) else { return Callback::LoopBroken };
        let browser = browser.hash();
        let Some(provider) = self.provider(provider) else { return self.stale(browser, 0) };
        let query = match CallbackQuery::parse(query) {
            Ok(query) => query,
            Err(rejected) => return Callback::Refused { rejected, next: NextUrl::root() },
        };
        let Some(state) = query.state.as_deref() else { return self.stale(browser, 0) };
        let pending = match self.pending.take(state, browser, at.portal, &provider.name, self.clock.now()) {
            Taken::Pending(pending) => pending,
            Taken::Unknown => return self.stale(browser, restarts_of(state)),
            Taken::OtherTab(next) => return self.stale_to(next, browser, restarts_of(state)),
            Taken::Repeated(next) => return Callback::Stale { next, restarts: restarts_of(state) },
            Taken::RepeatedEndlessly => return Callback::LoopBroken,
            Taken::OtherProvider(next) => {
                let rejected = OidcRejected::MixedUp("the sign-in was at another provider");
                return Callback::Refused { rejected, next };
            }
        };
        match self.complete(at, provider, &query, &pending).await {
            Ok(_) if !self.pending.may_complete(browser, self.clock.now()) => Callback::LoopBroken,
            Ok((identity, id_token)) => Callback::SignedIn { identity, id_token, next: pending.next },
            Err(rejected) => Callback::Refused { rejected, next: pending.next },
        }
    }

    /// Where the browser goes to sign out at the provider too; `None` when the provider does not want that, cannot do
    /// it or cannot be asked. `return_to` is a URL of the portal that the provider knows.
    pub async fn sign_out_location(
        &self,
        identity: &VerifiedIdentity,
        id_token: Option<&Secret>,
        return_to: &str,
    ) -> Option<Url> {
        self.provider(identity.provider())?.relying_party.sign_out_url(id_token, return_to).await
    }

    async fn complete(
        &self,
        at: At<'_>,
        provider: &Provider,
        query: &CallbackQuery,
        pending: &Pending,
    ) -> Result<(VerifiedIdentity, Secret), OidcRejected> {
        let issuer = query.issuer.as_deref();
        provider.relying_party.check_issuer(issuer)?;
        let code = query.outcome.as_ref().map_err(OidcRejected::clone)?;
        let complete = Complete {
            redirect_uri: &redirect_uri(at, &provider.name),
            code,
            issuer,
            nonce: &pending.nonce,
            pkce_verifier: &pending.pkce_verifier,
        };
        provider.relying_party.complete(complete).await
    }

    /// Nobody knows it: begin again, unless that was done in a row already, or too often by this browser's tabs.
    fn stale(&self, browser: BrowserHash, so_far: u8) -> Callback {
        self.stale_to(NextUrl::root(), browser, so_far)
    }

    fn stale_to(&self, next: NextUrl, browser: BrowserHash, so_far: u8) -> Callback {
        if so_far < RESTARTS_IN_A_ROW && self.pending.may_restart(browser, self.clock.now()) {
            Callback::Stale { next, restarts: so_far.saturating_add(1) }
        } else {
            Callback::LoopBroken
        }
    }

    fn provider(&self, name: &ProviderName) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.name == *name)
    }

    /// The browser's hash, and the key to give it when it has none.
    fn browser(&self, cookie: Option<&str>) -> Result<(BrowserHash, Option<String>), NoRandomness> {
        if let Some(key) = cookie.and_then(BrowserKey::parse) {
            return Ok((key.hash(), None));
        }
        let key = BrowserKey::generate(&self.random)?;
        Ok((key.hash(), Some(key.reveal().to_owned())))
    }
}

/// A `state` that tells how often this sign-in was begun again. Each tab has its own count: ten tabs that a browser
/// restores at once are no loop. Whoever forges the count only shortens it, or meets the browser's own limit.
fn counted(token: String, restarts: u8) -> String {
    if restarts == 0 { token } else { format!("{token}.{restarts}") }
}

/// What [`counted`] wrote.
fn restarts_of(state: &str) -> u8 {
    state.split_once('.').map_or(0, |(_, count)| count.parse().unwrap_or(RESTARTS_IN_A_ROW))
}

/// A browser that is given a key came without one.
fn came(key_to_set: Option<&str>) -> Came {
    if key_to_set.is_some() { Came::Without } else { Came::WithCookie }
}

/// Always from the configuration, never from a request (RFC 9700 section 4.1).
fn redirect_uri(at: At<'_>, provider: &ProviderName) -> String {
    format!("{}/.vestibule/oidc/{provider}/callback", at.origin)
}

impl Provider {
    /// Its name in the configuration.
    pub fn name(&self) -> &ProviderName {
        &self.name
    }

    /// What people read on the sign-in page.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The domains it speaks for; empty means any.
    pub fn email_domains(&self) -> &[EmailDomain] {
        &self.email_domains
    }
}

#[cfg(test)]
mod tests;
