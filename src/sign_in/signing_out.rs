//! Signing out at the provider, too: begun here, or there.

use super::browser::{BrowserKey, TieCookie};
use super::outcome::{At, Departure};
use super::pending_logouts::PendingLogout;
use super::provider::Spoken;
use super::saml::{AtProvider, Believed, LogoutAnswer, LogoutRejected, TheirLogout};
use super::{LogoutTokenRejected, SamlSession, SignIn, SignOutHint, TokenLogout, VerifiedIdentity};
use crate::ids::ProviderName;
use crate::saml::binding::Arrived;
use crate::saml::message_id;
use crate::saml::metadata::Binding;

/// The browser goes on to the provider.
pub struct Leaving {
    /// How.
    pub departure: Departure,
    /// The cookie that it is to keep until it comes back.
    pub cookie: Option<TieCookie>,
}

/// What a logout message of a provider came to.
pub enum LogoutMessage {
    /// It asks for a logout. To be carried out, then answered by [`SignIn::answer_logout`].
    Request(TheirLogout),
    /// It answers the logout that this very browser began.
    Response(AtProvider),
    /// It answers one that nobody waits for, or that another browser began: it says nothing.
    Stray,
}

impl SignIn {
    /// The way to the provider to sign out there too; `None` when the operator does not want that, or the provider cannot
    /// do it or cannot be asked. `return_to` is a URL of the portal that an OpenID provider knows; `posted` is the value of
    /// the cookie that ties posted answers to the browser.
    pub async fn leave(
        &self,
        at: At<'_>,
        identity: &VerifiedIdentity,
        hint: Option<&SignOutHint>,
        return_to: &str,
        posted: Option<&str>,
    ) -> Option<Leaving> {
        match (&self.provider(identity.provider())?.spoken, hint) {
            (Spoken::Oidc(relying_party), hint) => {
                let id_token = match hint {
                    Some(SignOutHint::IdToken(token)) => Some(token),
                    Some(SignOutHint::Saml(_)) | None => None,
                };
                let location = relying_party.sign_out_url(id_token, return_to).await?;
                Some(Leaving { departure: Departure::Redirect(location), cookie: None })
            }
            (Spoken::Saml(_), Some(SignOutHint::Saml(session))) => {
                self.leave_by_saml(at, identity.provider(), session, posted).await
            }
            (Spoken::Saml(_), _) => None,
        }
    }

    async fn leave_by_saml(
        &self,
        at: At<'_>,
        provider: &ProviderName,
        session: &SamlSession,
        posted: Option<&str>,
    ) -> Option<Leaving> {
        let ours = self.service_provider(provider)?;
        let id = message_id::generate(&self.random).ok()?;
        let departure = match ours.depart_to_log_out(at, session, &id).await {
            Ok(departure) => departure?,
            Err(error) => {
                tracing::warn!(provider = provider.as_str(), %error, "nobody can be signed out at the provider");
                return None;
            }
        };
        let (browser, _) = self.tie(posted).ok()?;
        let pending = PendingLogout { provider: provider.clone(), portal: at.portal.clone(), browser: browser.hash() };
        self.logouts.hold(&id, pending, self.clock.now());
        Some(Leaving { departure, cookie: Some(TieCookie::Posted(browser.reveal().to_owned())) })
    }

    /// Whether there is an OpenID provider of that name.
    pub fn is_oidc(&self, provider: &ProviderName) -> bool {
        self.provider(provider).is_some_and(|provider| matches!(provider.spoken, Spoken::Oidc(_)))
    }

    /// Takes a logout token of an OpenID `provider`. `None` when there is no such provider.
    ///
    /// # Errors
    /// When it is not believed: nothing changes then.
    pub async fn take_logout_token(
        &self,
        provider: &ProviderName,
        token: &str,
    ) -> Option<Result<TokenLogout, LogoutTokenRejected>> {
        match &self.provider(provider)?.spoken {
            Spoken::Oidc(relying_party) => Some(relying_party.believe_logout(token, &*self.once).await),
            Spoken::Saml(_) => None,
        }
    }

    /// Takes what arrived at the single logout service of a SAML `provider`. `None` when there is no such provider.
    ///
    /// # Errors
    /// When it is not believed: nothing changes then.
    pub async fn take_logout(
        &self,
        at: At<'_>,
        provider: &ProviderName,
        arrived: Arrived,
        binding: Binding,
        posted: Option<&str>,
    ) -> Option<Result<LogoutMessage, LogoutRejected>> {
        let ours = self.service_provider(provider)?;
        let (request, ended) = match ours.believe_logout(at, arrived, binding).await {
            Ok(Believed::Request(request)) => return Some(Ok(LogoutMessage::Request(request))),
            Ok(Believed::Response { request, ended }) => (request, ended),
            Err(rejected) => return Some(Err(rejected)),
        };
        let Some(browser) = posted.and_then(BrowserKey::parse) else { return Some(Ok(LogoutMessage::Stray)) };
        let came = PendingLogout { provider: provider.clone(), portal: at.portal.clone(), browser: browser.hash() };
        let waited_for = self.logouts.take(&request, &came, self.clock.now());
        Some(Ok(if waited_for { LogoutMessage::Response(ended) } else { LogoutMessage::Stray }))
    }

    /// Answers a logout that was carried out: `ended` tells whether all that was named has ended.
    ///
    /// # Errors
    /// When it cannot be answered.
    pub async fn answer_logout(
        &self,
        at: At<'_>,
        provider: &ProviderName,
        request: &TheirLogout,
        ended: bool,
    ) -> Result<LogoutAnswer, LogoutRejected> {
        let ours = self.service_provider(provider).ok_or(LogoutRejected::Broken)?;
        ours.answer_logout(at, request, ended, &self.random).await
    }
}
