//! Picks the back ends of each portal's customers: whose accounts, which broker, one ledger for all.

use std::sync::Arc;

use super::StartFailed;
use crate::clock::Clock;
use crate::customer::accounts::CustomerAccounts;
use crate::customer::cloud::identity_provider::SiteIdentityProvider;
use crate::customer::cloud::vault::{self, PasswordVault};
use crate::customer::cloud::{
    ByPassword, CloudAccounts, CloudBroker, CloudLogin, CloudParts, CloudPasswords, PasswordParts, SingleSignOn,
};
use crate::customer::datacenter::DataCenter;
use crate::customer::ledger::Ledger;
use crate::customer::{CustomerObserver, CustomerSessions, Directory, DirectoryParts, PasswordClaims, People};
use crate::operator::PortalCustomers;
use crate::policy::Admission;
use crate::portal::settings::{
    CloudAccountsSettings, CloudPasswordSettings, CloudSiteSettings, CustomerSessionSettings, DirectorySettings,
    PortalSettings,
};
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
    /// The gateway as the identity provider of the site's customers, where it is.
    pub identity_provider: Option<Arc<SiteIdentityProvider>>,
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
            CustomerSessionSettings::None => {
                let sessions = CustomerSessions::none();
                Ok(OfPortal { sessions, identity_provider: None, for_operators: None })
            }
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
                Ok(of_portal(portal, sessions, directory))
            }
            CustomerSessionSettings::CloudSaml(settings) => {
                let provider =
                    SiteIdentityProvider::new(&settings.identity_provider, &portal.public_origin, self.random.clone());
                let provider = Arc::new(provider);
                let login = SingleSignOn::new(settings, Arc::clone(&provider));
                let of_portal = self.at_cloud(portal, &settings.site, Arc::new(login))?;
                Ok(OfPortal { identity_provider: Some(provider), ..of_portal })
            }
            CustomerSessionSettings::CloudPassword(settings) => self.by_password(portal, settings),
        }
    }

    /// Customers at Cloud, each with their own password.
    fn by_password(&self, portal: &PortalSettings, settings: &CloudPasswordSettings) -> Result<OfPortal, StartFailed> {
        let (upstream, host) = (&portal.upstream, portal.host.clone());
        let accounts = CloudAccounts::new(upstream, &portal.limits, &settings.site.accounts, self.random.clone())?;
        let (records, random) = (self.sessions.records(), self.random.clone());
        let parts = PasswordParts {
            portal: host.clone(),
            vault: PasswordVault::new(records, random, upstream.url.as_str(), &host),
            accounts: Arc::new(accounts),
            observer: self.metrics.watch_customers(&host),
        };
        let login = Arc::new(ByPassword::new(settings.clone(), parts));
        let (of_portal, broker) = self.brokered(portal, &settings.site, Arc::<ByPassword>::clone(&login))?;
        let claims: Arc<dyn PasswordClaims> = Arc::new(CloudPasswords::new(broker, login, Arc::clone(&self.people)));
        let for_operators =
            of_portal.for_operators.map(|one| PortalCustomers { claims: Some(Arc::clone(&claims)), ..one });
        Ok(OfPortal { sessions: of_portal.sessions.with_claims(claims), for_operators, ..of_portal })
    }

    /// The people whom somebody is busy with.
    pub fn people(&self) -> Arc<People> {
        Arc::clone(&self.people)
    }

    /// The customers of a portal at Cloud, who are logged in so.
    fn at_cloud(
        &self,
        portal: &PortalSettings,
        settings: &CloudSiteSettings,
        login: Arc<dyn CloudLogin>,
    ) -> Result<OfPortal, StartFailed> {
        self.brokered(portal, settings, login).map(|(of_portal, _)| of_portal)
    }

    fn brokered(
        &self,
        portal: &PortalSettings,
        settings: &CloudSiteSettings,
        login: Arc<dyn CloudLogin>,
    ) -> Result<(OfPortal, Arc<CloudBroker>), StartFailed> {
        let (upstream, limits, random) = (&portal.upstream, &portal.limits, self.random.clone());
        let accounts = Arc::new(CloudAccounts::new(upstream, limits, &settings.accounts, random.clone())?);
        let parts = CloudParts { accounts: Arc::clone(&accounts), login, people: Arc::clone(&self.people), random };
        let broker = Arc::new(CloudBroker::new(upstream, limits, settings, parts)?);
        let observer = self.metrics.watch_customers(&portal.host);
        let CloudAccountsSettings { directory, concurrency, .. } = &settings.accounts;
        let directory = self.directory(portal, directory, accounts, *concurrency, Arc::clone(&observer));
        let (sessions, clock) = (self.sessions.clone(), self.clock.clone());
        let sessions = CustomerSessions::brokered(
            directory.clone(),
            Arc::<CloudBroker>::clone(&broker),
            sessions,
            clock,
            observer,
        );
        Ok((of_portal(portal, sessions, directory), broker))
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

fn of_portal(portal: &PortalSettings, sessions: CustomerSessions, directory: Arc<Directory>) -> OfPortal {
    let admission = Admission::new(&portal.admission);
    let for_operators = PortalCustomers { portal: portal.host.clone(), directory, admission, claims: None };
    OfPortal { sessions, identity_provider: None, for_operators: Some(for_operators) }
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
