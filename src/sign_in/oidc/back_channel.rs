//! Back-channel logout: the provider's server says, without any browser, whose sessions are over.

use super::RelyingParty;
use super::id_token::MOST_SKEW;
use super::keys::KeySet;
use super::logout_token::{self, Expectations, TokenLogout};
use super::rejected::{IdTokenRejected, ProviderFault};
use crate::sign_in::once::{NotRemembered, OnceOnly};

/// A logout token changes nothing. `Display` is for the log: it holds no part of the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogoutTokenRejected {
    /// What was posted is not one logout token in a form.
    #[error("the request is not one logout token in a form: {0}")]
    Form(&'static str),
    /// It is not one to believe.
    #[error("logout token: {0}")]
    Token(#[from] IdTokenRejected),
    /// The provider's metadata or keys could not be had.
    #[error(transparent)]
    Provider(#[from] ProviderFault),
    /// It was used before.
    #[error("the logout token was used before")]
    Replayed,
    /// It could not be made sure that it was not used before.
    #[error(transparent)]
    NotRemembered(#[from] NotRemembered),
}

impl LogoutTokenRejected {
    /// The label for logs and metrics, of a closed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Form(_) => "logout_token_form",
            Self::Token(_) => "logout_token_refused",
            Self::Provider(_) => "logout_keys_unavailable",
            Self::Replayed => "logout_token_replayed",
            Self::NotRemembered(fault) => fault.label,
        }
    }

    /// Whether it may go better soon.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Provider(_) | Self::NotRemembered(_))
    }
}

impl RelyingParty {
    /// Believes a logout token, once, or says why not. Looks for newer keys once when none fits.
    pub(in crate::sign_in) async fn believe_logout(
        &self,
        token: &str,
        once: &dyn OnceOnly,
    ) -> Result<TokenLogout, LogoutTokenRejected> {
        let expect = Expectations {
            issuer: &self.settings.issuer_text,
            client_id: &self.settings.client_id,
            algorithms: &self.settings.algorithms,
            skew: self.settings.clock_skew,
        };
        let metadata = self.metadata().await?;
        let fetch = || self.fetch_keys(&metadata.value.jwks_uri);
        let check = |keys: &KeySet| logout_token::verify(token, keys, &expect, self.clock.now());
        let keys = self.keys.get(&self.clock, fetch).await?;
        let logout = match check(&keys.value) {
            Err(IdTokenRejected::UnknownKey) => {
                let newer = self.keys.newer(&keys, &self.clock, fetch).await?.ok_or(IdTokenRejected::UnknownKey)?;
                check(&newer.value)?
            }
            outcome => outcome?,
        };
        let used = ["oidc logout token", logout.issuer.as_str(), &self.settings.client_id, &logout.token_id];
        // After a restart with a larger clock_skew it would be believed for longer.
        if once.first_use(&used, logout.believed_until.after(MOST_SKEW)).await? {
            Ok(logout)
        } else {
            Err(LogoutTokenRejected::Replayed)
        }
    }
}
