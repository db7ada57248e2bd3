//! The browser comes back from a provider: by a redirect with a code, or by a form with a SAML response.

use std::sync::Arc;

use super::browser::{BrowserHash, BrowserKey, is_token};
use super::oidc::{CallbackQuery, Complete, RelyingParty};
use super::outcome::{At, Callback};
use super::pending::{Asked, LIFETIME, Pending, Taken};
use super::provider::Spoken;
use super::saml::{Answers, AuthnAsked, PostedResponse, SamlSignInRejected, ServiceProvider};
use super::trial::Report;
use super::{NextUrl, OidcRejected, SignIn, SignInRejected, SignOutHint, VerifiedIdentity};
use crate::ids::ProviderName;
use crate::saml::rejected::SamlRejected;

/// How often one sign-in is begun again before it counts as a loop. Browsers follow some 20 redirects.
const RESTARTS_IN_A_ROW: u8 = 3;

/// What was waiting for this answer, or what else there is to say.
type Found = Result<Box<Pending>, Box<Callback>>;

impl SignIn {
    /// Reads the way back from an OpenID `provider`: the raw query of its redirect URI, and the sign-in cookie.
    pub async fn callback(&self, at: At<'_>, provider: &ProviderName, query: &str, browser: Option<&str>) -> Callback {
        // Without the cookie nothing can ever fit: beginning again would go on for ever.
        let Some(browser) = browser.and_then(BrowserKey::parse) else { return Callback::NoCookie };
        let browser = browser.hash();
        let Some(Spoken::Oidc(relying_party)) = self.provider(provider).map(|provider| &provider.spoken) else {
            return self.stale(browser, 0);
        };
        let query = match CallbackQuery::parse(query) {
            Ok(query) => query,
            Err(rejected) => return refused(rejected, NextUrl::root()),
        };
        let Some(state) = query.state.as_deref() else { return self.stale(browser, 0) };
        let mixed_up = || OidcRejected::MixedUp("the sign-in was at another provider").into();
        let pending = match self.waiting(state, browser, at, provider, mixed_up) {
            Ok(pending) => pending,
            Err(callback) => return *callback,
        };
        // A test sign-in is of this process alone.
        if pending.trial.is_none() && query.outcome.is_ok() {
            // Two processes hold it while one takes the other's place, and a code that comes twice is revoked with what it
            // gave (RFC 6749 section 4.1.2).
            let until = self.clock.now().after(LIFETIME);
            match self.once.first_use(&["oidc state", state], until).await {
                Ok(true) => {}
                Ok(false) => return Callback::Stale { next: pending.next, restarts: restarts_of(state) },
                Err(fault) => return refused(OidcRejected::NotRemembered(fault), pending.next),
            }
        }
        let redeemed = redeem(relying_party, at, provider, &query, &pending.asked).await;
        if let Some(trial) = pending.trial {
            return Callback::Tried { trial, report: Report::of_oidc(redeemed, self.clock.now()) };
        }
        match redeemed {
            Ok(signed_in) => self.signed_in(signed_in, Some(browser), *pending),
            Err(rejected) => refused(rejected, pending.next),
        }
    }

    /// Takes what was posted to the assertion consumer service of a SAML `provider`, with the cookie that ties posted
    /// answers to the browser.
    pub async fn consume(
        &self,
        at: At<'_>,
        provider: &ProviderName,
        posted: PostedResponse,
        browser: Option<&str>,
    ) -> Callback {
        let Some(ours) = self.service_provider(provider) else {
            return refused(SamlSignInRejected::MixedUp, NextUrl::root());
        };
        // What is not of the shape of ours belongs to no request of ours: the provider began by itself.
        let Some(state) = posted.relay_state.clone().filter(|state| is_state(state)) else {
            return consume_unsolicited(ours, at, posted).await;
        };
        let Some(browser) = browser.and_then(BrowserKey::parse) else { return Callback::NoCookie };
        let browser = browser.hash();
        let pending = match self.waiting(&state, browser, at, provider, || SamlSignInRejected::MixedUp.into()) {
            Ok(pending) => pending,
            Err(callback) => return *callback,
        };
        let Asked::Saml(asked) = &pending.asked else { return refused(SamlSignInRejected::MixedUp, pending.next) };
        if let Some(trial) = pending.trial {
            return Callback::Tried { trial, report: ours.examine(at, &posted, asked).await };
        }
        match ours.consume(at, &posted, Answers::Request(asked)).await {
            Ok(signed_in) => self.signed_in(signed_in, Some(browser), *pending),
            Err(rejected) if is_too_old(&rejected, asked) => Callback::TooOld { next: pending.next },
            Err(rejected) => refused(rejected, pending.next),
        }
    }

    /// Takes out, once, what waits under `state` for this browser, portal and provider.
    fn waiting(
        &self,
        state: &str,
        browser: BrowserHash,
        at: At<'_>,
        provider: &ProviderName,
        mixed_up: impl FnOnce() -> SignInRejected,
    ) -> Found {
        let instead = match self.pending.take(state, browser, at.portal, provider, self.clock.now()) {
            Taken::Pending(pending) if self.was_asked(provider, &pending) => return Ok(pending),
            // What was asked under other settings is not answered under these.
            Taken::Pending(pending) => self.stale_to(pending.next, browser, restarts_of(state)),
            Taken::Unknown => self.stale(browser, restarts_of(state)),
            Taken::OtherTab(next) => self.stale_to(next, browser, restarts_of(state)),
            Taken::Repeated(next) => Callback::Stale { next, restarts: restarts_of(state) },
            Taken::RepeatedEndlessly => Callback::LoopBroken,
            Taken::OtherProvider(next) => refused(mixed_up(), next),
        };
        Err(Box::new(instead))
    }

    /// Whether the provider is still the one that was asked, and not another by the same name.
    fn was_asked(&self, provider: &ProviderName, pending: &Pending) -> bool {
        self.provider(provider).is_some_and(|now| pending.asked_of.ptr_eq(&Arc::downgrade(now)))
    }

    fn signed_in(
        &self,
        (identity, hint): (VerifiedIdentity, SignOutHint),
        browser: Option<BrowserHash>,
        pending: Pending,
    ) -> Callback {
        if browser.is_some_and(|browser| !self.pending.may_complete(browser, self.clock.now())) {
            return Callback::LoopBroken;
        }
        let Pending { next, begun, session, known, .. } = pending;
        Callback::SignedIn { identity, hint, next, begun, before: session, known }
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
}

/// The provider began by itself: only where the operator takes the risk, and then nothing of the form but the response
/// counts. Where its RelayState would like to go does not matter.
async fn consume_unsolicited(ours: &ServiceProvider, at: At<'_>, posted: PostedResponse) -> Callback {
    match ours.consume(at, &posted, Answers::Nothing).await {
        Ok((identity, hint)) => {
            // Nobody knows when it began; at the latest when the person proved who they are.
            let begun = identity.authenticated_at();
            Callback::SignedIn { identity, hint, next: NextUrl::root(), begun, before: None, known: None }
        }
        Err(rejected) => refused(rejected, NextUrl::root()),
    }
}

async fn redeem(
    relying_party: &RelyingParty,
    at: At<'_>,
    provider: &ProviderName,
    query: &CallbackQuery,
    asked: &Asked,
) -> Result<(VerifiedIdentity, SignOutHint), OidcRejected> {
    let Asked::Oidc { nonce, pkce_verifier } = asked else {
        return Err(OidcRejected::MixedUp("the sign-in was by another protocol"));
    };
    let issuer = query.issuer.as_deref();
    relying_party.check_issuer(issuer)?;
    let code = query.outcome.as_ref().map_err(OidcRejected::clone)?;
    let redirect_uri = &super::redirect_uri(at, provider);
    let (identity, id_token) =
        relying_party.complete(Complete { redirect_uri, code, issuer, nonce, pkce_verifier }).await?;
    Ok((identity, SignOutHint::IdToken(id_token)))
}

fn refused(rejected: impl Into<SignInRejected>, next: NextUrl) -> Callback {
    Callback::Refused { rejected: rejected.into(), next }
}

/// The provider took a session of its own that is older than `max_age`: asking it to ask the person helps, once.
fn is_too_old(rejected: &SamlSignInRejected, asked: &AuthnAsked) -> bool {
    !asked.forced && matches!(rejected, SamlSignInRejected::Response(SamlRejected::StaleAuthentication(_)))
}

/// Whether a RelayState has the shape of ours.
fn is_state(state: &str) -> bool {
    is_token(state.split_once('.').map_or(state, |(token, _)| token))
}

/// How often a sign-in was begun again, as its `state` tells.
fn restarts_of(state: &str) -> u8 {
    state.split_once('.').map_or(0, |(_, count)| count.parse().unwrap_or(RESTARTS_IN_A_ROW))
}
