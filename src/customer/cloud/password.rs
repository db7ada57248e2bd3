//! Customer sessions at Cloud by the customer's own password, for sites without single sign-on for customers.
//!
//! No call sets such a password. It comes from its owner, who sets it by the site's own mail and gives it here once, from an
//! operator's import, or from the operator's program; it is proven by a login, and only for the account that was meant. One
//! that is refused later is stale: it is not tried again, and its owner is asked. Trusts nothing that the login endpoints
//! answer but the cookie: nobody has documented them.

mod login;
mod mail;
mod refusals;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use async_trait::async_trait;
use tokio::time::Instant;

use self::refusals::Refusals;
use super::broker::{CloudBroker, CloudLogin};
use super::hook::{PasswordHook, Wanted};
use super::site::CloudSite;
use super::vault::{PasswordRecord, PasswordVault, Standing, place};
use super::{CloudAccounts, SESSION_COOKIE};
use crate::clock::Timestamp;
use crate::customer::claims::{ClaimFailed, PasswordClaims};
use crate::customer::jar::Jar;
use crate::customer::people::{People, Turn};
use crate::customer::{
    BrokerFailed, Customer, CustomerObserver, CustomerSessionBroker as _, NeededPassword, UpstreamFailed,
};
use crate::portal::HostName;
use crate::portal::settings::CloudPasswordSettings;
use crate::secret::Secret;
use crate::session::CustomerSession;

/// The login by a password that is kept here, or that the operator's program knows.
pub struct ByPassword {
    settings: CloudPasswordSettings,
    portal: HostName,
    vault: PasswordVault,
    hook: Option<PasswordHook>,
    accounts: Arc<CloudAccounts>,
    observer: Arc<dyn CustomerObserver>,
    /// Which of the configured endpoints worked last.
    worked: AtomicUsize,
    /// Whether it was told that one is gone.
    told_gone: AtomicBool,
    refusals: Refusals,
}

/// What the login works with.
#[derive(Debug)]
pub struct PasswordParts {
    /// The portal.
    pub portal: HostName,
    /// Its customers' passwords.
    pub vault: PasswordVault,
    /// The accounts of the same site.
    pub accounts: Arc<CloudAccounts>,
    /// Who counts.
    pub observer: Arc<dyn CustomerObserver>,
}

impl ByPassword {
    /// The login of those settings.
    pub fn new(settings: CloudPasswordSettings, parts: PasswordParts) -> Self {
        let PasswordParts { portal, vault, accounts, observer } = parts;
        let hook = settings.hook.clone().map(PasswordHook::new);
        let (worked, told_gone, refusals) = (AtomicUsize::new(0), AtomicBool::new(false), Refusals::default());
        Self { settings, portal, vault, hook, accounts, observer, worked, told_gone, refusals }
    }

    /// The password that the operator's program knows, unless it is the one that was refused already.
    async fn ask_hook(
        &self,
        customer: &Customer,
        record: &PasswordRecord,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Option<Secret>, BrokerFailed> {
        let Some(hook) = self.hook.as_ref().filter(|_| record.may_be_tried(now).is_ok()) else { return Ok(None) };
        let wanted =
            Wanted { email: customer.address().as_str(), account_id: customer.account(), portal: self.portal.as_str() };
        let said = hook.ask(&wanted, deadline).await.map_err(|failed| BrokerFailed::HookFailed(failed.to_string()))?;
        let refused = self.vault.open(record);
        Ok(said.filter(|said| refused.is_none_or(|refused| refused.reveal() != said.reveal())))
    }

    /// Tries a password that may be wrong, and keeps it when it is right.
    async fn try_new(
        &self,
        site: &CloudSite,
        customer: &Customer,
        password: &Secret,
        mut record: PasswordRecord,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Jar, BrokerFailed> {
        match self.log_in_with(site, customer, password, now, deadline).await {
            Ok(jar) => {
                self.refusals.forget();
                // Whoever else's session it is, is found out by the broker, which ends it: nothing is kept then.
                if jar.value(SESSION_COOKIE).is_some_and(|token| super::token::is_of(token, customer.account())) {
                    self.vault.keep(record, password).await?;
                }
                Ok(jar)
            }
            Err(failed @ BrokerFailed::LoginRefused(_)) => {
                self.vault.refused(&mut record, false, now).await?;
                Err(failed)
            }
            Err(failed) => Err(failed),
        }
    }

    /// The kept password, if it is good; `None` when another one is needed.
    async fn try_kept(
        &self,
        site: &CloudSite,
        customer: &Customer,
        record: &mut PasswordRecord,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Option<Jar>, BrokerFailed> {
        if record.standing() != Standing::Held {
            return Ok(None);
        }
        let account = customer.account();
        let Some(password) = self.vault.open(record) else {
            tracing::error!(account, "a kept password does not open for its account: it was moved or changed");
            return Ok(None);
        };
        match self.log_in_with(site, customer, &password, now, deadline).await {
            Ok(jar) => {
                self.refusals.forget();
                Ok(Some(jar))
            }
            Err(BrokerFailed::LoginRefused(_)) => {
                // When everybody is refused, it is not the passwords.
                if let Some(rest) = self.refusals.note(account, now) {
                    tracing::error!(account, "the upstream refuses the passwords of one customer after the other");
                    return Err(BrokerFailed::LoginsPaused(rest));
                }
                tracing::warn!(account, "a customer's password is refused: they are asked for the new one");
                self.vault.refused(record, true, now).await?;
                Ok(None)
            }
            Err(failed) => Err(failed),
        }
    }
}

#[async_trait]
impl CloudLogin for ByPassword {
    async fn log_in(
        &self,
        site: &CloudSite,
        customer: &Customer,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Jar, BrokerFailed> {
        let mut record = self.vault.load(customer.account()).await?;
        if let Some(jar) = self.try_kept(site, customer, &mut record, now, deadline).await? {
            return Ok(jar);
        }
        if let Some(password) = self.ask_hook(customer, &record, now, deadline).await? {
            match self.try_new(site, customer, &password, record.clone(), now, deadline).await {
                Err(BrokerFailed::LoginRefused(_)) => {
                    tracing::warn!(account = customer.account(), "the password of the hook program is refused");
                    let tried = self.vault.load(customer.account()).await?;
                    self.vault.keep_stale(tried, &password).await?;
                }
                outcome => return outcome,
            }
        }
        let (account, address) = (customer.account().to_owned(), customer.address().clone());
        let stale = record.standing() == Standing::Stale;
        Err(BrokerFailed::PasswordNeeded(Box::new(NeededPassword { account, address, stale })))
    }
}

impl fmt::Debug for ByPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ByPassword({:?}, {:?})", self.settings.logins, self.hook)
    }
}

/// A login by the password that somebody has just entered.
#[derive(Debug)]
struct Entered<'a> {
    login: &'a ByPassword,
    password: &'a Secret,
}

#[async_trait]
impl CloudLogin for Entered<'_> {
    async fn log_in(
        &self,
        site: &CloudSite,
        customer: &Customer,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Jar, BrokerFailed> {
        let record = self.login.vault.load(customer.account()).await?;
        record.may_be_tried(now).map_err(BrokerFailed::TooManyTries)?;
        self.login.try_new(site, customer, self.password, record, now, deadline).await
    }
}

/// The passwords of one portal's customers, as they themselves and operators give them.
#[derive(Debug)]
pub struct CloudPasswords {
    broker: Arc<CloudBroker>,
    login: Arc<ByPassword>,
    people: Arc<People>,
}

impl CloudPasswords {
    /// Over the same broker and login that open the sessions; `people` is one for the whole process.
    pub fn new(broker: Arc<CloudBroker>, login: Arc<ByPassword>, people: Arc<People>) -> Self {
        Self { broker, login, people }
    }

    async fn turn(&self, customer: &Customer, deadline: Instant) -> Result<Turn, BrokerFailed> {
        let place = place(self.broker.site().url().as_str(), customer.account());
        let turn = tokio::time::timeout_at(deadline, self.people.turn(&place)).await;
        turn.map_err(|_| UpstreamFailed::TimedOut.into())
    }
}

#[async_trait]
impl PasswordClaims for CloudPasswords {
    async fn send_mail(
        &self,
        customer: &Customer,
        name: &str,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<(), ClaimFailed> {
        let _turn = self.turn(customer, deadline).await?;
        let vault = &self.login.vault;
        let record = vault.load(customer.account()).await.map_err(BrokerFailed::from)?;
        record.may_be_mailed(now).map_err(ClaimFailed::TooManyMails)?;
        let stale = record.standing() == Standing::Stale;
        let sent = self.login.ask_for_mail(self.broker.site(), customer, name, stale, deadline).await?;
        let sent = sent.ok_or(ClaimFailed::NoMail)?;
        tracing::info!(account = customer.account(), mail = ?sent, "the upstream was asked for a mail to a customer");
        vault.mailed(record, now).await.map_err(BrokerFailed::from)?;
        Ok(())
    }

    async fn prove(
        &self,
        customer: &Customer,
        password: &Secret,
        generation: u64,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<CustomerSession, ClaimFailed> {
        let entered = Entered { login: &self.login, password };
        let session = self.broker.open_by(&entered, customer, generation, now, deadline).await?;
        tracing::info!(account = customer.account(), "a customer's password is proven and kept");
        Ok(session)
    }

    async fn prove_and_end(
        &self,
        customer: &Customer,
        password: &Secret,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<(), ClaimFailed> {
        let session = self.prove(customer, password, 1, now, deadline).await?;
        if let Err(error) = self.broker.end(&session, deadline).await {
            tracing::warn!(account = customer.account(), %error, "a customer session may stay open upstream");
        }
        Ok(())
    }

    async fn keep(&self, customer: &Customer, password: &Secret, deadline: Instant) -> Result<(), ClaimFailed> {
        let _turn = self.turn(customer, deadline).await?;
        let vault = &self.login.vault;
        let record = vault.load(customer.account()).await.map_err(BrokerFailed::from)?;
        vault.keep(record, password).await.map_err(BrokerFailed::from)?;
        Ok(())
    }

    async fn forget(&self, customer: &Customer, deadline: Instant) -> Result<bool, ClaimFailed> {
        let _turn = self.turn(customer, deadline).await?;
        Ok(self.login.vault.forget(customer.account()).await.map_err(BrokerFailed::from)?)
    }
}
