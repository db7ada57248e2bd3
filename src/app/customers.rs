//! Picks the back ends of each portal's customers: whose accounts, which broker, one ledger for all.

use std::sync::Arc;

use super::StartFailed;
use crate::clock::Clock;
use crate::customer::accounts::CustomerAccounts;
use crate::customer::cloud::vault::{self, PasswordVault};
use crate::customer::cloud::{ByPassword, CloudAccounts, CloudBroker, CloudParts, CloudPasswords, PasswordParts};
use crate::customer::datacenter::DataCenter;
use crate::customer::ledger::Ledger;
use crate::customer::{CustomerObserver, CustomerSessions, Directory, DirectoryParts, PasswordClaims, People};
use crate::operator::PortalCustomers;
use crate::policy::Admission;
use crate::portal::settings::{CloudPasswordSettings, CustomerSessionSettings, DirectorySettings, PortalSettings};
use crate::random::Random;
use crate::session::{Records, Sessions};
use crate::telemetry::Metrics;

/// What the customers of all portals share.
pub(super) struct CustomerParts<'a> {
    pub sessions: &'a Sessions,
    pub metrics: &'a Metrics,
    pub clock: &'a Clock,
    pub random: &'a Random,
    people: Arc<People>,
}

/// The customers of one portal.
pub(super) struct OfPortal {
    /// Whose sessions are injected.
    pub sessions: CustomerSessions,
    /// What operators can do to them; nothing where no account is touched.
    pub for_operators: Option<PortalCustomers>,
}

impl<'a> CustomerParts<'a> {
    pub fn new(sessions: &'a Sessions, metrics: &'a Metrics, clock: &'a Clock, random: &'a Random) -> Self {
        Self { sessions, metrics, clock, random, people: Arc::default() }
    }

    /// The customers of that portal.
    pub fn of(&self, portal: &PortalSettings) -> Result<OfPortal, StartFailed> {
        match &portal.customer_session {
            CustomerSessionSettings::None => Ok(OfPortal { sessions: CustomerSessions::none(), for_operators: None }),
            CustomerSessionSettings::DataCenter(settings) => {
                let (people, random) = (Arc::clone(&self.people), self.random.clone());
                let jsm = DataCenter::new(&portal.upstream, &portal.limits, (**settings).clone(), people, random)?;
                let (jsm, observer) = (Arc::new(jsm), self.metrics.watch_customers(&portal.host));
                let (calls, watch) = (settings.concurrency, Arc::clone(&observer));
                let directory = self.directory(portal, &settings.directory, jsm.clone(), calls, watch);
                let sessions = CustomerSessions::brokered(
                    directory.clone(),
                    jsm,
                    self.sessions.clone(),
                    self.clock.clone(),
                    observer,
                );
                let admission = Admission::new(&portal.admission);
                let for_operators = PortalCustomers { portal: portal.host.clone(), directory, admission, claims: None };
                Ok(OfPortal { sessions, for_operators: Some(for_operators) })
            }
            CustomerSessionSettings::CloudPassword(settings) => self.by_password(portal, settings),
        }
    }

    /// Customers at Cloud, each with their own password.
    fn by_password(&self, portal: &PortalSettings, settings: &CloudPasswordSettings) -> Result<OfPortal, StartFailed> {
        let (site, host) = (&settings.site, portal.host.clone());
        let (people, random) = (Arc::clone(&self.people), self.random.clone());
        let accounts = CloudAccounts::new(&portal.upstream, &portal.limits, &site.accounts, random.clone())?;
        let (accounts, observer) = (Arc::new(accounts), self.metrics.watch_customers(&host));
        let (records, url) = (self.sessions.records(), portal.upstream.url.as_str());
        let login = Arc::new(ByPassword::new(
            settings.clone(),
            PasswordParts {
                portal: host.clone(),
                vault: PasswordVault::new(records, random.clone(), url, &host),
                accounts: Arc::clone(&accounts),
                observer: Arc::clone(&observer),
            },
        ));
        let parts = CloudParts {
            accounts: Arc::clone(&accounts),
            login: Arc::<ByPassword>::clone(&login),
            people: Arc::clone(&people),
            random,
        };
        let broker = Arc::new(CloudBroker::new(&portal.upstream, &portal.limits, site, parts)?);
        let claims: Arc<dyn PasswordClaims> = Arc::new(CloudPasswords::new(Arc::clone(&broker), login, people));
        let (calls, watch) = (site.accounts.concurrency, Arc::clone(&observer));
        let directory = self.directory(portal, &site.accounts.directory, accounts, calls, watch);
        let (sessions, clock) = (self.sessions.clone(), self.clock.clone());
        let customers = CustomerSessions::brokered(directory.clone(), broker, sessions, clock, observer);
        let admission = Admission::new(&portal.admission);
        let for_operators = PortalCustomers { portal: host, directory, admission, claims: Some(Arc::clone(&claims)) };
        Ok(OfPortal { sessions: customers.with_claims(claims), for_operators: Some(for_operators) })
    }

    /// The people whom somebody is busy with.
    pub fn people(&self) -> Arc<People> {
        Arc::clone(&self.people)
    }

    fn directory(
        &self,
        portal: &PortalSettings,
        settings: &DirectorySettings,
        accounts: Arc<dyn CustomerAccounts>,
        concurrency: usize,
        observer: Arc<dyn CustomerObserver>,
    ) -> Arc<Directory> {
        let parts = DirectoryParts {
            accounts,
            ledger: Ledger::new(self.sessions.records()),
            people: Arc::clone(&self.people),
            concurrency,
            observer,
            clock: self.clock.clone(),
        };
        Arc::new(Directory::new(portal.host.clone(), settings.clone(), parts))
    }
}

/// Has the first key seal what the customer ledger holds, so that the others can go: sessions end by themselves, and the
/// ledger does not.
pub(super) async fn reseal_ledger(ledger: Ledger) {
    match ledger.reseal().await {
        Ok(resealed) if resealed.unreadable > 0 => {
            tracing::error!(
                unreadable = resealed.unreadable,
                "records of the customer ledger open with no configured key"
            );
        }
        Ok(resealed) => tracing::info!(moved = resealed.moved, "the customer ledger is sealed with the first key"),
        Err(error) => tracing::error!(%error, "the customer ledger could not be sealed with the first key"),
    }
}

/// The same for the passwords that customers have given.
pub(super) async fn reseal_passwords(records: Records, people: Arc<People>) {
    match vault::reseal(&records, &people).await {
        Ok(resealed) if resealed.unreadable > 0 => {
            tracing::error!(unreadable = resealed.unreadable, "customers' passwords open with no configured key");
        }
        Ok(resealed) => tracing::info!(moved = resealed.moved, "customers' passwords are sealed with the first key"),
        Err(error) => tracing::error!(%error, "customers' passwords could not be sealed with the first key"),
    }
}
