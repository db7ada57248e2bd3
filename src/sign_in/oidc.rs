//! OpenID Connect Core 1.0, authorization code flow with PKCE: we are the relying party.
//!
//! Owns the provider's metadata and keys. Trusts what comes over TLS from the configured issuer, and of that only what
//! the standard lets it say. Refuses everything that is not for this client, this sign-in and this moment; the reasons
//! are in [`rejected`]. `openidconnect` builds the authorization request and checks signatures; the calls, the claims
//! and the caching are ours, because they need limits, a clock as an argument, and a name for each refusal.

mod back_channel;
mod cached;
mod callback;
mod client_authentication;
mod discovery;
pub mod id_token;
pub mod keys;
pub mod logout_token;
mod person;
pub mod rejected;
mod strict_json;
mod token;
mod user_info;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use openidconnect::core::{CoreAuthPrompt, CoreAuthenticationFlow, CoreClient, CoreJsonWebKeySet};
use openidconnect::{
    AuthUrl, AuthenticationContextClass, ClientId, CsrfToken, IssuerUrl, LoginHint, Nonce, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, Scope,
};
use url::Url;

pub use self::back_channel::LogoutTokenRejected;
use self::cached::{Cached, Held};
pub(super) use self::callback::CallbackQuery;
use self::client_authentication::Authenticator;
pub use self::client_authentication::UnusableClientKey;
use self::discovery::Metadata;
use self::id_token::{Expectations, VerifiedClaims};
use self::keys::KeySet;
use self::person::Reading;
use self::rejected::{IdTokenRejected, OidcRejected, ProviderFault};
use self::token::Tokens;
use super::identity::VerifiedIdentity;
use super::settings::OidcSettings;
use crate::clock::Clock;
use crate::email::{EmailAddress, SpeaksFor};
use crate::http_client::{Call, HttpClient};
use crate::ids::ProviderName;
use crate::random::Random;
use crate::secret::Secret;

/// Metadata and keys are fetched again after this long.
const DOCUMENT_AGE: Duration = Duration::from_secs(15 * 60);
/// Metadata and keys that could not be fetched again are used for this long.
const DOCUMENT_USABLE: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest URL that a browser is sent to for sign-out; a longer one goes without its ID token hint.
const LONGEST_SIGN_OUT: usize = 8 * 1024;

/// Time (of the whole call) and size (of the answer's body, in bytes) of calls to a provider.
#[derive(Clone, Copy, Debug)]
pub struct CallLimits {
    /// Metadata, keys and UserInfo.
    pub document_time: Duration,
    /// Metadata, keys and UserInfo.
    pub document_size: usize,
    /// The token request.
    pub token_time: Duration,
    /// The token request.
    pub token_size: usize,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            document_time: Duration::from_secs(5),
            document_size: 512 * 1024,
            token_time: Duration::from_secs(10),
            token_size: 256 * 1024,
        }
    }
}

/// One OpenID provider, and us as its relying party.
pub(super) struct RelyingParty {
    name: ProviderName,
    settings: OidcSettings,
    speaks_for: SpeaksFor,
    authenticator: Authenticator,
    http: HttpClient,
    clock: Clock,
    random: Random,
    metadata: Cached<Metadata>,
    keys: Cached<KeySet>,
    pub(super) limits: CallLimits,
}

/// What is put into an authorization request.
pub(super) struct Begin<'a> {
    pub(super) redirect_uri: &'a str,
    pub(super) state: &'a str,
    pub(super) nonce: &'a str,
    pub(super) pkce_verifier: &'a Secret,
    pub(super) asks: Asks<'a>,
}

/// What the provider is asked about the person (OpenID Connect Core 3.1.2.1).
#[derive(Clone, Copy)]
pub(super) struct Asks<'a> {
    /// Who the visitor says they are.
    pub(super) login_hint: Option<&'a EmailAddress>,
    /// `prompt=login`: not to take the session that it has.
    pub(super) again: bool,
}

/// What came back, and what it has to fit to.
pub(super) struct Complete<'a> {
    pub(super) redirect_uri: &'a str,
    pub(super) code: &'a Secret,
    /// `iss` of the callback.
    pub(super) issuer: Option<&'a str>,
    pub(super) nonce: &'a str,
    pub(super) pkce_verifier: &'a Secret,
}

impl RelyingParty {
    pub(super) fn new(
        name: ProviderName,
        settings: OidcSettings,
        speaks_for: SpeaksFor,
        http: HttpClient,
        clock: Clock,
        random: Random,
    ) -> Result<Self, UnusableClientKey> {
        Ok(Self {
            name,
            authenticator: Authenticator::new(&settings.client_authentication)?,
            settings,
            speaks_for,
            http,
            clock,
            random,
            metadata: Cached::new(DOCUMENT_AGE, DOCUMENT_USABLE),
            keys: Cached::new(DOCUMENT_AGE, DOCUMENT_USABLE),
            limits: CallLimits::default(),
        })
    }

    /// Where the browser goes to sign in.
    pub(super) async fn authorization_url(&self, begin: Begin<'_>) -> Result<Url, ProviderFault> {
        let metadata = self.metadata().await?;
        let own = |_| ProviderFault::Misbehaved("the issuer or the redirect URI is not a URL".to_owned());
        let redirect_uri = RedirectUrl::new(begin.redirect_uri.to_owned()).map_err(own)?;
        let issuer = IssuerUrl::new(self.settings.issuer_text.clone()).map_err(own)?;
        let client_id = ClientId::new(self.settings.client_id.clone());
        let client = CoreClient::new(client_id, issuer, CoreJsonWebKeySet::new(Vec::new()))
            .set_auth_uri(AuthUrl::from_url(metadata.value.authorization_endpoint.clone()));

        let (state, nonce) = (begin.state.to_owned(), begin.nonce.to_owned());
        let verifier = PkceCodeVerifier::new(begin.pkce_verifier.reveal().to_owned());
        // "openid" is added by the library.
        let scopes = self.settings.scopes.iter().filter(|scope| *scope != "openid").cloned().map(Scope::new);
        let mut request = client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, || CsrfToken::new(state), || Nonce::new(nonce))
            .set_redirect_uri(Cow::Owned(redirect_uri))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .add_scopes(scopes);
        for class in &self.settings.acr_values {
            request = request.add_auth_context_value(AuthenticationContextClass::new(class.clone()));
        }
        if let Some(max_age) = self.settings.max_age {
            request = request.set_max_age(max_age);
        }
        if begin.asks.again {
            request = request.add_prompt(CoreAuthPrompt::Login);
        }
        if let Some(email) = begin.asks.login_hint {
            request = request.set_login_hint(LoginHint::new(email.as_str().to_owned()));
        }
        Ok(request.url().0)
    }

    /// Whether `iss` of a callback is this provider, when it is there (RFC 9207 section 2.4).
    pub(super) fn check_issuer(&self, issuer: Option<&str>) -> Result<(), OidcRejected> {
        match issuer {
            Some(issuer) if issuer != self.settings.issuer_text => Err(OidcRejected::MixedUp("iss is another issuer")),
            _ => Ok(()),
        }
    }

    /// Redeems a code and finds out whom it stands for. Hands back the ID token too: signing out may need it.
    pub(super) async fn complete(&self, answer: Complete<'_>) -> Result<(VerifiedIdentity, Secret), OidcRejected> {
        self.check_issuer(answer.issuer)?;
        let metadata = self.metadata().await?;
        if metadata.value.answers_with_issuer && answer.issuer.is_none() {
            return Err(OidcRejected::MixedUp("iss is missing, though the provider promises it"));
        }

        let form = [
            ("grant_type", "authorization_code"),
            ("code", answer.code.reveal()),
            ("redirect_uri", answer.redirect_uri),
            ("code_verifier", answer.pkce_verifier.reveal()),
        ];
        let (endpoint, client_id) = (&metadata.value.token_endpoint, &self.settings.client_id);
        let request = self.authenticator.request(endpoint, client_id, &form, &self.random, self.clock.now())?;
        let request = request.within(self.limits.token_time, self.limits.token_size);
        let tokens = token::redeem(&self.http, request).await?;

        let claims = self.verify(&tokens, &answer, &metadata.value).await?;
        let reading = Reading {
            provider: &self.name,
            issuer: &self.settings.issuer_text,
            names: &self.settings.claims,
            email_trust: self.settings.email_trust,
            speaks_for: &self.speaks_for,
        };
        let more = match (&metadata.value.userinfo_endpoint, &tokens.access_token) {
            (Some(endpoint), Some(token)) if !reading.has_email(&claims.all) => {
                Some(user_info::ask(&self.http, self.document_call(endpoint), token, &claims.subject).await?)
            }
            _ => None,
        };
        let established = reading.establish(claims, more.as_ref(), self.clock.now())?;
        Ok((VerifiedIdentity::vouch(established), tokens.id_token))
    }

    /// Checks the ID token; looks for newer keys once when none fits.
    async fn verify(
        &self,
        tokens: &Tokens,
        answer: &Complete<'_>,
        metadata: &Metadata,
    ) -> Result<VerifiedClaims, OidcRejected> {
        let expect = Expectations {
            issuer: &self.settings.issuer_text,
            client_id: &self.settings.client_id,
            algorithms: &self.settings.algorithms,
            nonce: answer.nonce,
            access_token: tokens.access_token.as_ref().map(Secret::reveal),
            code: Some(answer.code.reveal()),
            max_age: self.settings.max_age,
            skew: self.settings.clock_skew,
        };
        let fetch = || self.fetch_keys(&metadata.jwks_uri);
        // The token was issued after this sign-in came back, so the clock is asked when it is checked.
        let check = |keys: &KeySet| id_token::verify(tokens.id_token.reveal(), keys, &expect, self.clock.now());
        let keys = self.keys.get(&self.clock, fetch).await?;
        match check(&keys.value) {
            Err(IdTokenRejected::UnknownKey) => {
                let newer = self.keys.newer(&keys, &self.clock, fetch).await?.ok_or(IdTokenRejected::UnknownKey)?;
                Ok(check(&newer.value)?)
            }
            outcome => Ok(outcome?),
        }
    }

    /// Where the browser goes to sign out at the provider (RP-Initiated Logout 1.0), when that is wanted and possible.
    pub(super) async fn sign_out_url(&self, id_token: Option<&Secret>, return_to: &str) -> Option<Url> {
        if !self.settings.sign_out_at_provider {
            return None;
        }
        let metadata = self.metadata().await.ok()?;
        let mut url = metadata.value.end_session_endpoint.clone()?;
        url.query_pairs_mut()
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("post_logout_redirect_uri", return_to);
        let Some(id_token) = id_token else { return Some(url) };
        let mut hinted = url.clone();
        hinted.query_pairs_mut().append_pair("id_token_hint", id_token.reveal());
        Some(if hinted.as_str().len() <= LONGEST_SIGN_OUT { hinted } else { url })
    }

    async fn metadata(&self) -> Result<Arc<Held<Metadata>>, ProviderFault> {
        let issuer = &self.settings.issuer;
        let fetch = || async {
            let answer =
                discovery::fetch(&self.http, "metadata", self.document_call(&discovery::metadata_url(issuer))).await?;
            Metadata::parse(&answer.body, issuer, &self.settings.issuer_text)
        };
        self.metadata.get(&self.clock, fetch).await
    }

    fn document_call(&self, url: &Url) -> Call {
        Call::get(url.clone())
            .accepting("application/json")
            .within(self.limits.document_time, self.limits.document_size)
    }

    async fn fetch_keys(&self, jwks_uri: &Url) -> Result<KeySet, ProviderFault> {
        let answer = discovery::fetch(&self.http, "keys", self.document_call(jwks_uri)).await?;
        KeySet::parse(&answer.body).map_err(|what| ProviderFault::Misbehaved(format!("keys: {what}")))
    }
}
