//! `redirect`: customers are provisioned, and go on at the site itself. There is no session to open, watch or end; what is
//! kept says only that the directory has found somebody in order, and when it is asked again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::datacenter::{REMEMBER_ME_COOKIE, SESSION_COOKIE};
use super::{
    AnswerHead, BrokerFailed, Customer, CustomerDirectory, CustomerSessionBroker, DeathSign, DirectoryFailed,
    ServiceAccount, Unfit, UpstreamFailed,
};
use crate::clock::Timestamp;
use crate::session::CustomerSession;
use crate::sign_in::VerifiedIdentity;

/// How long the directory's word is taken for.
const LOOKED_AT: Duration = Duration::from_secs(15 * 60);
/// How long it may take where no directory is asked.
const PATIENCE: Duration = Duration::from_secs(10);
/// A call of the directory for each step there is.
const CALLS: u32 = 4;
/// Authentication cookies of both products: whoever sends one with a public path has planted it.
const AUTHENTICATION: [&str; 5] = [
    SESSION_COOKIE,
    REMEMBER_ME_COOKIE,
    "customer.account.session.token",
    "tenant.session.token",
    "cloud.session.token",
];

/// Nobody is logged in.
#[derive(Debug)]
pub struct HandOver {
    service: Option<Arc<dyn ServiceAccount>>,
    call_timeout: Option<Duration>,
}

impl HandOver {
    /// With the directory's account and the time of one of its calls, where there is a directory.
    pub fn new(service: Option<Arc<dyn ServiceAccount>>, call_timeout: Option<Duration>) -> Self {
        Self { service, call_timeout }
    }
}

#[async_trait]
impl CustomerSessionBroker for HandOver {
    async fn open(
        &self,
        customer: &Customer,
        generation: u64,
        now: Timestamp,
        _deadline: Instant,
    ) -> Result<CustomerSession, BrokerFailed> {
        let until = Some(now.after(LOOKED_AT));
        Ok(CustomerSession::new(generation, customer.account(), Vec::new(), now, until))
    }

    fn trusts_the_directory_for(&self) -> Option<Duration> {
        Some(LOOKED_AT)
    }

    fn has_service_account(&self) -> bool {
        self.service.is_some()
    }

    async fn is_alive(&self, _session: &CustomerSession, _deadline: Instant) -> Result<bool, BrokerFailed> {
        Ok(true)
    }

    async fn end(&self, _session: &CustomerSession, _deadline: Instant) -> Result<(), BrokerFailed> {
        Ok(())
    }

    async fn check(&self, deadline: Instant) -> Result<String, Unfit> {
        match &self.service {
            Some(service) => service.check_credentials(deadline).await,
            None => Err(UpstreamFailed::Unexpected("there is no service account").into()),
        }
    }

    fn signs_of_death(&self, _answer: &AnswerHead<'_>) -> Option<DeathSign> {
        None
    }

    fn is_authentication_cookie(&self, name: &str) -> bool {
        AUTHENTICATION.iter().any(|cookie| cookie.eq_ignore_ascii_case(name))
    }

    fn patience(&self) -> Duration {
        self.call_timeout.map_or(PATIENCE, |timeout| timeout.saturating_mul(CALLS))
    }
}

/// A directory that lets people go on whose account is more than a customer's: the site itself will ask them who they are.
/// Nothing is done for such an account.
#[derive(Debug)]
pub struct LettingThrough(pub Arc<dyn CustomerDirectory>);

#[async_trait]
impl CustomerDirectory for LettingThrough {
    async fn ensure(&self, who: &VerifiedIdentity, deadline: Instant) -> Result<Customer, DirectoryFailed> {
        use DirectoryFailed::{Administrator, AtlassianAccount, Licensed};
        match (self.0.ensure(who, deadline).await, who.email()) {
            (Err(AtlassianAccount(account) | Licensed(account) | Administrator(account)), Some(email)) => {
                tracing::info!(%account, "an account that is more than a customer's: its owner is handed over, and nothing is done for it");
                Ok(Customer::unjudged(account, email.clone()))
            }
            (outcome, _) => outcome,
        }
    }

    async fn leave(&self, who: &VerifiedIdentity, deadline: Instant) -> Result<(), DirectoryFailed> {
        self.0.leave(who, deadline).await
    }
}
