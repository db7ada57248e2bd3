//! Customer sessions at Cloud: what all ways to log in share. A way to log in is a [`CloudLogin`]; everything before and after
//! it is done here.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::site::{CloudSite, is_authentication_cookie};
use super::{CloudAccounts, death};
use crate::clock::Timestamp;
use crate::customer::jar::Jar;
use crate::customer::login_breaker::LoginBreaker;
use crate::customer::{
    AnswerHead, BrokerFailed, Customer, CustomerSessionBroker, DeathSign, People, Unfit, UpstreamFailed,
};
use crate::portal::settings::{CloudSiteSettings, PortalLimits, UpstreamSettings};
use crate::random::Random;
use crate::session::CustomerSession;

/// Calls of one login, and what proves it.
const CALLS: u32 = 4;

/// A way to log a customer in at a Cloud site.
#[async_trait]
pub trait CloudLogin: fmt::Debug + Send + Sync {
    /// Logs the customer in; gives the cookies that the site has set on the way. Whose session it is, is judged by the
    /// caller, who lets one login of a person run at a time.
    ///
    /// # Errors
    /// When the site does not let them in before the deadline.
    async fn log_in(
        &self,
        site: &CloudSite,
        customer: &Customer,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Jar, BrokerFailed>;

    /// Whether the visitor's browser has to do it, so that it is never done behind their back.
    fn is_by_browser(&self) -> bool {
        false
    }
}

/// The customer sessions of one Cloud site.
pub struct CloudBroker {
    site: CloudSite,
    accounts: Arc<CloudAccounts>,
    login: Arc<dyn CloudLogin>,
    people: Arc<People>,
    breaker: LoginBreaker,
    call_timeout: Duration,
}

/// What a broker at Cloud works with.
#[derive(Debug)]
pub struct CloudParts {
    /// The accounts of the same site.
    pub accounts: Arc<CloudAccounts>,
    /// How customers are logged in.
    pub login: Arc<dyn CloudLogin>,
    /// One for the whole process.
    pub people: Arc<People>,
    /// Where jitter comes from.
    pub random: Random,
}

impl CloudBroker {
    /// The sessions of the site at `upstream`.
    ///
    /// # Errors
    /// When a certificate authority cannot be used.
    pub fn new(
        upstream: &UpstreamSettings,
        limits: &PortalLimits,
        settings: &CloudSiteSettings,
        parts: CloudParts,
    ) -> Result<Self, crate::http_client::NoHttpClient> {
        let CloudParts { accounts, login, people, random } = parts;
        let site = CloudSite::new(upstream, limits, settings, random)?;
        let call_timeout = settings.accounts.call_timeout;
        Ok(Self { site, accounts, login, people, breaker: LoginBreaker::default(), call_timeout })
    }

    pub(super) fn site(&self) -> &CloudSite {
        &self.site
    }

    /// Lets a login begin, or a step of it.
    pub(super) fn admit(&self, customer: &Customer, now: Timestamp) -> Result<(), BrokerFailed> {
        self.breaker.admit(customer.account(), now)
    }

    /// Learns how that went.
    pub(super) fn note(&self, customer: &Customer, failed: Option<&BrokerFailed>, now: Timestamp) {
        self.breaker.note(customer.account(), failed, now);
    }

    /// The session that a login by the browser has led to.
    pub(super) async fn prove(
        &self,
        jar: Jar,
        customer: &Customer,
        generation: u64,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<CustomerSession, BrokerFailed> {
        self.site.proven(jar, customer.account(), generation, now, deadline).await
    }

    async fn open_in_turn(
        &self,
        customer: &Customer,
        generation: u64,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<CustomerSession, BrokerFailed> {
        let jar = self.login.log_in(&self.site, customer, now, deadline).await?;
        self.site.proven(jar, customer.account(), generation, now, deadline).await
    }
}

#[async_trait]
impl CustomerSessionBroker for CloudBroker {
    async fn open(
        &self,
        customer: &Customer,
        generation: u64,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<CustomerSession, BrokerFailed> {
        if self.login.is_by_browser() {
            return Err(BrokerFailed::BrowserHasToWalk);
        }
        let account = customer.account();
        let place = format!("{} login of {account}", self.site.url());
        let turn = tokio::time::timeout_at(deadline, self.people.turn(&place)).await;
        let _turn = turn.map_err(|_| UpstreamFailed::TimedOut)?;
        self.breaker.admit(account, now)?;
        let opened = self.open_in_turn(customer, generation, now, deadline).await;
        self.breaker.note(account, opened.as_ref().err(), now);
        opened
    }

    async fn is_alive(&self, session: &CustomerSession, deadline: Instant) -> Result<bool, BrokerFailed> {
        Ok(self.site.is_alive(session, deadline).await?)
    }

    async fn end(&self, session: &CustomerSession, deadline: Instant) -> Result<(), BrokerFailed> {
        Ok(self.site.end(session, deadline).await?)
    }

    async fn check(&self, deadline: Instant) -> Result<String, Unfit> {
        self.accounts.check(deadline).await
    }

    fn opens_by_itself(&self) -> bool {
        !self.login.is_by_browser()
    }

    fn signs_of_death(&self, answer: &AnswerHead<'_>) -> Option<DeathSign> {
        death::sign(answer)
    }

    fn renewed(&self, session: CustomerSession, now: Timestamp) -> Result<CustomerSession, DeathSign> {
        self.site.told(session, now)
    }

    fn is_authentication_cookie(&self, name: &str) -> bool {
        is_authentication_cookie(name)
    }

    fn patience(&self) -> Duration {
        self.call_timeout.saturating_mul(CALLS)
    }
}

impl fmt::Debug for CloudBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloudBroker({}, {:?})", self.site.url(), self.login)
    }
}
