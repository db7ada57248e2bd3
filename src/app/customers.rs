//! Picks the back ends of each portal's customers: whose accounts, which broker, one ledger for all.

use std::sync::Arc;

use super::StartFailed;
use crate::clock::Clock;
use crate::customer::accounts::CustomerAccounts;
use crate::customer::cloud::identity_provider::SiteIdentityProvider;
use crate::customer::cloud::{
    BrowserWalks, ByBrowser, CloudAccounts, CloudBroker, CloudLogin, CloudParts, SingleSignOn,
};
use crate::customer::datacenter::DataCenter;
use crate::customer::ledger::Ledger;
use crate::customer::{CustomerObserver, CustomerSessions, Directory, DirectoryParts, People};
use crate::operator::PortalCustomers;
use crate::policy::Admission;
use crate::portal::settings::{
    CloudAccountsSettings, CloudSiteSettings, CustomerSessionSettings, DirectorySettings, PortalSettings, Walk,
};
use crate::random::Random;
use crate::session::Sessions;
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
    /// The ways to a customer session that browsers go, where they do.
    pub walks: Option<BrowserWalks>,
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
                Ok(OfPortal { sessions, identity_provider: None, walks: None, for_operators: None })
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
                let identity_provider = Some(provider);
                Ok(match settings.walk {
                    Walk::Gateway => {
                        let (of_portal, _) = self.at_cloud(portal, &settings.site, Arc::new(login))?;
                        OfPortal { identity_provider, ..of_portal }
                    }
                    Walk::Browser => {
                        let (of_portal, broker) = self.at_cloud(portal, &settings.site, Arc::new(ByBrowser))?;
                        let sessions = of_portal.sessions.clone();
                        let walks = Some(BrowserWalks::new(broker, sessions, login, self.clock.clone()));
                        OfPortal { identity_provider, walks, ..of_portal }
                    }
                })
            }
        }
    }

    /// The customers of a portal at Cloud, who are logged in so.
    fn at_cloud(
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
        let sessions = CustomerSessions::brokered(directory.clone(), broker.clone(), sessions, clock, observer);
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
    let for_operators = PortalCustomers { portal: portal.host.clone(), directory, admission };
    OfPortal { sessions, identity_provider: None, walks: None, for_operators: Some(for_operators) }
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
