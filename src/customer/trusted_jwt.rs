//! `trusted_jwt`: a signed token in each request tells the upstream who the visitor is.
//!
//! Nothing is called to open such a customer session: a token is signed, beside the async workers, kept with the session,
//! and followed by the next before it ends; the usual request finds one that is there. Trusts the upstream to verify it
//! against the published keys. The upstream's own session cookies are kept here as well, so that neither a browser nor
//! the next person at the same browser has one. Refuses nobody by itself: a directory may, where there is one.

mod claims;
mod keys;

use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use url::Url;

use self::claims::{Claims, Terms};
pub use self::keys::{TokenKeyRefused, TokenKeys};
use super::datacenter::sign_of_death;
use super::upstream::XSRF_CHECK;
use super::{
    AnswerHead, BrokerFailed, Customer, CustomerDirectory, CustomerSessionBroker, DeathSign, DirectoryFailed, Opening,
    ServiceAccount, Unfit, UpstreamFailed,
};
use crate::clock::Timestamp;
use crate::http_client::Call;
use crate::nodes::Nodes;
use crate::portal::settings::{Product, TrustedJwtSettings};
use crate::random::Random;
use crate::secret::Secret;
use crate::session::CustomerSession;
use crate::session::customer_session::Assertion;
use crate::sign_in::VerifiedIdentity;

/// How long the directory's word is taken for while a visitor goes on.
const LOOKED_AT: Duration = Duration::from_secs(15 * 60);
/// A token is not used in its last seconds: it would be over when the upstream reads it.
const MARGIN: Duration = Duration::from_secs(10);
/// How long opening may take where no directory is asked.
const PATIENCE: Duration = Duration::from_secs(10);
/// A call of the directory for each step there is.
const CALLS: u32 = 4;
/// Octets of an answer that is not read.
const ANSWER: usize = 64 * 1024;

/// Signs tokens for one portal.
#[derive(Debug)]
pub struct TrustedJwt {
    settings: TrustedJwtSettings,
    issuer: String,
    keys: Arc<TokenKeys>,
    upstream: Url,
    nodes: Arc<Nodes>,
    service: Option<Arc<dyn ServiceAccount>>,
    /// So many tokens are signed at once.
    signing: Arc<Semaphore>,
    random: Random,
}

/// What signs tokens, and where they go.
#[derive(Debug)]
pub struct TrustedJwtParts {
    /// Who we are: the portal's public address, unless the settings say otherwise.
    pub origin: String,
    /// The keys.
    pub keys: Arc<TokenKeys>,
    /// The site.
    pub upstream: Url,
    /// Where it is reached when a session ends.
    pub nodes: Arc<Nodes>,
    /// The directory's account, where there is a directory.
    pub service: Option<Arc<dyn ServiceAccount>>,
    /// Where random bits come from.
    pub random: Random,
}

impl TrustedJwt {
    /// Signs tokens as `settings` say.
    pub fn new(settings: TrustedJwtSettings, parts: TrustedJwtParts) -> Self {
        let TrustedJwtParts { origin, keys, upstream, nodes, service, random } = parts;
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let issuer = settings.issuer.clone().unwrap_or(origin);
        // Half of the cores, and at least one: the others serve requests.
        let signing = Arc::new(Semaphore::new(cores.div_ceil(2)));
        Self { settings, issuer, keys, upstream, nodes, service, signing, random }
    }

    async fn sign(&self, opening: &Opening<'_>, expires: Timestamp) -> Result<Secret, BrokerFailed> {
        let not_signed = BrokerFailed::TokenNotSigned;
        let terms = Terms { issuer: &self.issuer, audience: &self.settings.audience, issued: opening.now, expires };
        let email = opening.customer.email();
        let claims = Claims::about(opening.who, email, terms, &self.random).map_err(UpstreamFailed::NoRandomness)?;
        let claims = serde_json::to_value(claims).map_err(|_| not_signed("its claims"))?;
        let turn = tokio::time::timeout_at(opening.deadline, Arc::clone(&self.signing).acquire_owned()).await;
        let turn = turn.map_err(|_| not_signed("too many at once"))?.map_err(|_| not_signed("the end has come"))?;
        let keys = Arc::clone(&self.keys);
        let signing = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            keys.sign(&claims)
        });
        signing.await.map_err(|_| not_signed("it was broken off"))?.map_err(|_| not_signed("the key failed"))
    }

    /// Where the token goes.
    fn assertion(&self, token: Secret) -> Result<Assertion, BrokerFailed> {
        let text = if self.settings.header == AUTHORIZATION {
            Secret::generated(format!("Bearer {}", token.reveal()))
        } else {
            token.clone()
        };
        let value = HeaderValue::from_str(text.reveal()).map_err(|_| BrokerFailed::TokenNotSigned("its octets"))?;
        let mut header = (self.settings.header.clone(), value);
        header.1.set_sensitive(true);
        Ok(Assertion { header: Some(header), cookie: self.settings.cookie.clone().map(|name| (name, token)) })
    }

    fn is_jira(&self) -> bool {
        self.settings.product == Product::DataCenter
    }
}

#[async_trait]
impl CustomerSessionBroker for TrustedJwt {
    /// A token says more than the account: see [`CustomerSessionBroker::open_for`].
    async fn open(
        &self,
        _customer: &Customer,
        _generation: u64,
        _now: Timestamp,
        _deadline: Instant,
    ) -> Result<CustomerSession, BrokerFailed> {
        Err(BrokerFailed::TokenNotSigned("nobody was named"))
    }

    async fn open_for(&self, opening: &Opening<'_>) -> Result<CustomerSession, BrokerFailed> {
        let end = opening.now.after(self.settings.lifetime);
        let assertion = self.assertion(self.sign(opening, end).await?)?;
        let cookies = opening.held.map(|held| held.cookies().to_vec()).unwrap_or_default();
        let (account, until) = (opening.customer.account(), Some(end.before(MARGIN)));
        let session = CustomerSession::new(opening.generation, account, cookies, opening.now, until);
        let session = session.at_node(opening.held.and_then(CustomerSession::node));
        Ok(session.with_assertion(Some(Arc::new(assertion))))
    }

    fn trusts_the_directory_for(&self) -> Option<Duration> {
        Some(LOOKED_AT)
    }

    fn adopts(&self, name: &str) -> bool {
        self.settings.session_cookies.iter().any(|cookie| cookie == name)
    }

    fn identity_header(&self) -> Option<&HeaderName> {
        Some(&self.settings.header)
    }

    fn has_service_account(&self) -> bool {
        self.service.is_some()
    }

    /// Another token costs less than a question. Whoever is refused with a fresh one is stopped after a few.
    async fn is_alive(&self, _session: &CustomerSession, _deadline: Instant) -> Result<bool, BrokerFailed> {
        Ok(false)
    }

    /// The token ends by itself. Jira's session, which it opened there, is ended by name.
    async fn end(&self, session: &CustomerSession, deadline: Instant) -> Result<(), BrokerFailed> {
        let node = session.node().and_then(|node| self.nodes.find(node));
        let known_nowhere = self.nodes.are_told_apart() && session.node().is_some() && node.is_none();
        if !self.is_jira() || session.cookies().is_empty() || known_nowhere {
            return Ok(());
        }
        let url = super::upstream::below(&self.upstream, &["rest", "auth", "1", "session"]);
        let (cookies, token) = (session.cookie_header(url.path()), session.assertion_header());
        let mut call = Call::new(Method::DELETE, url).with_header(XSRF_CHECK.0, XSRF_CHECK.1);
        for (name, value) in cookies.map(|cookies| (COOKIE, cookies)).into_iter().chain(token.cloned()) {
            call = call.with_header(name, value);
        }
        let call = call.accepting("application/json").within(PATIENCE, ANSWER);
        let sent = tokio::time::timeout_at(deadline, self.nodes.send(call, node.as_deref())).await;
        let answer = sent.map_err(|_| UpstreamFailed::TimedOut)?.map_err(super::upstream::named)?;
        // 401: it is not known any more.
        if answer.status.is_success() || answer.status == StatusCode::UNAUTHORIZED {
            return Ok(());
        }
        Err(UpstreamFailed::Unexpected("end this session").into())
    }

    async fn check(&self, deadline: Instant) -> Result<String, Unfit> {
        match &self.service {
            Some(service) => service.check_credentials(deadline).await,
            None => Err(UpstreamFailed::Unexpected("there is no service account").into()),
        }
    }

    /// What only a session that Jira does not know looks like. Of other sites nobody can tell: they get a token that is good
    /// until it ends.
    fn signs_of_death(&self, answer: &AnswerHead<'_>) -> Option<DeathSign> {
        sign_of_death(answer).filter(|sign| self.is_jira() && sign.is_certain())
    }

    fn is_authentication_cookie(&self, name: &str) -> bool {
        let ours = self.settings.session_cookies.iter().chain(&self.settings.cookie);
        ours.into_iter().any(|cookie| cookie.eq_ignore_ascii_case(name))
    }

    fn patience(&self) -> Duration {
        self.settings.accounts.as_ref().map_or(PATIENCE, |accounts| accounts.call_timeout.saturating_mul(CALLS))
    }
}

/// Everybody who is admitted is a customer, by their address: where the upstream knows its people by itself.
#[derive(Clone, Copy, Debug)]
pub struct ByAddress;

#[async_trait]
impl CustomerDirectory for ByAddress {
    async fn ensure(&self, who: &VerifiedIdentity, _deadline: Instant) -> Result<Customer, DirectoryFailed> {
        let email = who.email().filter(|_| who.email_verified()).ok_or(DirectoryFailed::NoVerifiedEmail)?;
        Ok(Customer::unjudged(email.as_str().to_owned(), email.clone()))
    }

    async fn leave(&self, _who: &VerifiedIdentity, _deadline: Instant) -> Result<(), DirectoryFailed> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
