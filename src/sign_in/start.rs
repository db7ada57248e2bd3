//! Sign-ins begin.

use std::sync::Arc;

use super::browser::{TieCookie, Ties};
use super::oidc::{Asks, Begin};
use super::outcome::{At, Departure, StartFailed, Started};
use super::pending::{Asked, Came, Pending};
use super::provider::Spoken;
use super::saml::AuthnAsked;
use super::trial::TrialId;
use super::{NextUrl, SignIn, redirect_uri};
use crate::email::EmailAddress;
use crate::ids::ProviderName;
use crate::saml::message_id;
use crate::secret::Secret;

impl SignIn {
    /// Begins a sign-in at `provider`, after which the visitor goes to `next`.
    ///
    /// # Errors
    /// When the provider cannot be asked.
    pub async fn start(
        &self,
        at: At<'_>,
        provider: &ProviderName,
        next: NextUrl,
        ties: Ties<'_>,
        login_hint: Option<&EmailAddress>,
    ) -> Result<Started, StartFailed> {
        self.begin(at, provider, For::Visitor(next), ties, Asks { login_hint, again: false }, 0).await
    }

    /// The same for somebody who wants to be somebody else, or whose sign-in is too old: the provider has to ask who they
    /// are, even when it knows.
    ///
    /// # Errors
    /// When the provider cannot be asked.
    pub async fn start_again(
        &self,
        at: At<'_>,
        provider: &ProviderName,
        next: NextUrl,
        ties: Ties<'_>,
    ) -> Result<Started, StartFailed> {
        self.begin(at, provider, For::Visitor(next), ties, Asks { login_hint: None, again: true }, 0).await
    }

    /// Begins again after [`Callback::Stale`](super::Callback::Stale), which told `restarts`.
    ///
    /// # Errors
    /// When the provider cannot be asked.
    pub async fn restart(
        &self,
        at: At<'_>,
        provider: &ProviderName,
        next: NextUrl,
        ties: Ties<'_>,
        restarts: u8,
    ) -> Result<Started, StartFailed> {
        self.begin(at, provider, For::Visitor(next), ties, Asks { login_hint: None, again: false }, restarts).await
    }

    /// Begins a test sign-in: [`Callback::Tried`](super::Callback::Tried) tells what came of it.
    ///
    /// # Errors
    /// When the provider cannot be asked.
    pub async fn start_trial(
        &self,
        at: At<'_>,
        provider: &ProviderName,
        trial: TrialId,
        ties: Ties<'_>,
    ) -> Result<Started, StartFailed> {
        self.begin(at, provider, For::Trial(trial), ties, Asks { login_hint: None, again: false }, 0).await
    }

    async fn begin(
        &self,
        at: At<'_>,
        provider: &ProviderName,
        whose: For,
        ties: Ties<'_>,
        asks: Asks<'_>,
        restarts: u8,
    ) -> Result<Started, StartFailed> {
        let provider = self.provider(provider).ok_or(StartFailed::UnknownProvider)?;
        let state = counted(self.random.token()?, restarts);
        let (departure, asked, key, came, cookie);
        // Only what can be answered is held: the provider is asked first.
        match &provider.spoken {
            Spoken::Oidc(relying_party) => {
                (key, came) = self.tie(ties.sign_in)?;
                let (nonce, pkce_verifier) = (self.random.token()?, Secret::generated(self.random.token()?));
                let redirect_uri = redirect_uri(at, provider.name());
                let begin = Begin {
                    redirect_uri: &redirect_uri,
                    state: &state,
                    nonce: &nonce,
                    pkce_verifier: &pkce_verifier,
                    asks,
                };
                departure = Departure::Redirect(relying_party.authorization_url(begin).await?);
                asked = Asked::Oidc { nonce, pkce_verifier };
                cookie = (came == Came::Without).then(|| TieCookie::SignIn(key.reveal().to_owned()));
            }
            Spoken::Saml(ours) => {
                (key, came) = self.tie(ties.posted)?;
                let authn = AuthnAsked {
                    id: message_id::generate(&self.random)?,
                    at: self.clock.now(),
                    forced: asks.again || ours.always_forces(),
                };
                departure = ours.depart(at, &state, &authn).await?;
                asked = Asked::Saml(authn);
                // Short-lived, so that it is given anew for each sign-in.
                cookie = Some(TieCookie::Posted(key.reveal().to_owned()));
            }
        }
        let (asked_of, provider, portal) = (Arc::downgrade(provider), provider.name().clone(), at.portal.clone());
        let (next, trial) = match whose {
            For::Visitor(next) => (next, None),
            For::Trial(trial) => (NextUrl::after_trial(), Some(trial)),
        };
        let (browser, session, known) = (key.hash(), ties.session, ties.known.cloned());
        let begun = self.clock.now();
        let pending = Pending { provider, asked_of, portal, browser, session, known, next, begun, trial, asked };
        self.pending.hold(&state, pending, came, begun);
        Ok(Started { departure, cookie })
    }
}

/// Whose sign-in it is.
enum For {
    /// A visitor's, who goes on to that place.
    Visitor(NextUrl),
    /// An operator's test.
    Trial(TrialId),
}

/// A `state` that tells how often this sign-in was begun again. Each tab has its own count: ten tabs that a browser
/// restores at once are no loop. Whoever forges the count only shortens it, or meets the browser's own limit.
fn counted(token: String, restarts: u8) -> String {
    if restarts == 0 { token } else { format!("{token}.{restarts}") }
}
