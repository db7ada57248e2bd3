//! Picks the back ends of each portal's customers: whose accounts, which broker, one ledger for all.

use std::sync::Arc;

use super::StartFailed;
use crate::clock::Clock;
use crate::customer::accounts::CustomerAccounts;
use crate::customer::cloud::CloudAccounts;
use crate::customer::datacenter::DataCenter;
use crate::customer::ledger::Ledger;
use crate::customer::trusted_jwt::{ByAddress, TokenKeys, TrustedJwt, TrustedJwtParts};
use crate::customer::{
    CustomerDirectory, CustomerObserver, CustomerSessionBroker, CustomerSessions, Directory, DirectoryParts, HandOver,
    LettingThrough, People, ServiceAccount,
};
use crate::http_client::{HttpClient, HttpClientSettings, NoHttpClient, Roots};
use crate::operator::PortalCustomers;
use crate::policy::Admission;
use crate::portal::settings::{
    AccountsSettings, CloudAccountsSettings, CustomerSessionSettings, DataCenterSettings, DirectorySettings,
    OtherAccounts, PortalSettings, Product, RedirectSettings, TrustedJwtSettings,
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
                Ok(OfPortal { sessions, for_operators: Some(for_operators(portal, directory)) })
            }
            CustomerSessionSettings::TrustedJwt(settings) => self.trusted_jwt(portal, settings),
            CustomerSessionSettings::Redirect(settings) => self.redirect(portal, settings),
        }
    }

    fn trusted_jwt(&self, portal: &PortalSettings, settings: &TrustedJwtSettings) -> Result<OfPortal, StartFailed> {
        let keys = Arc::new(TokenKeys::from_pems(&settings.signing_keys).map_err(|(_, refused)| refused)?);
        let observer = self.metrics.watch_customers(&portal.host);
        let accounts = self.accounts(portal, settings.accounts.as_ref(), settings.product, &observer)?;
        let broker = TrustedJwt::new(
            settings.clone(),
            TrustedJwtParts {
                origin: portal.public_origin.as_str().to_owned(),
                keys: Arc::clone(&keys),
                upstream: portal.upstream.url.clone(),
                client: client_of(portal)?,
                service: accounts.service,
                random: self.random.clone(),
            },
        );
        let directory = accounts.directory.clone().map_or_else(|| Arc::new(ByAddress) as _, |directory| directory as _);
        let sessions = self.brokered(directory, Arc::new(broker), observer).publishing(keys);
        let for_operators = accounts.directory.map(|directory| for_operators(portal, directory));
        Ok(OfPortal { sessions, for_operators })
    }

    fn redirect(&self, portal: &PortalSettings, settings: &RedirectSettings) -> Result<OfPortal, StartFailed> {
        let observer = self.metrics.watch_customers(&portal.host);
        let accounts = self.accounts(portal, settings.accounts.as_ref(), settings.product, &observer)?;
        let directory: Arc<dyn CustomerDirectory> = match (&accounts.directory, settings.other_accounts) {
            (None, _) => Arc::new(ByAddress),
            (Some(directory), OtherAccounts::Refuse) => Arc::<Directory>::clone(directory),
            (Some(directory), OtherAccounts::HandOver) => Arc::new(LettingThrough(Arc::<Directory>::clone(directory))),
        };
        let call_timeout = settings.accounts.as_ref().map(|accounts| accounts.call_timeout);
        let sessions = self.brokered(directory, Arc::new(HandOver::new(accounts.service, call_timeout)), observer);
        let for_operators = accounts.directory.map(|directory| for_operators(portal, directory));
        Ok(OfPortal { sessions, for_operators })
    }

    fn brokered(
        &self,
        directory: Arc<dyn CustomerDirectory>,
        broker: Arc<dyn CustomerSessionBroker>,
        observer: Arc<dyn CustomerObserver>,
    ) -> CustomerSessions {
        CustomerSessions::brokered(directory, broker, self.sessions.clone(), self.clock.clone(), observer)
    }

    /// The directory of a kind of customer session that needs none to log in.
    fn accounts(
        &self,
        portal: &PortalSettings,
        settings: Option<&AccountsSettings>,
        product: Product,
        observer: &Arc<dyn CustomerObserver>,
    ) -> Result<Accounts, StartFailed> {
        let Some(settings) = settings else { return Ok(Accounts { directory: None, service: None }) };
        let AccountsSettings { directory, concurrency, call_timeout } = settings.clone();
        let (of_accounts, service): (Arc<dyn CustomerAccounts>, Arc<dyn ServiceAccount>) = match product {
            Product::Cloud => {
                let settings = CloudAccountsSettings { directory, concurrency, call_timeout };
                let random = self.random.clone();
                let cloud = Arc::new(CloudAccounts::new(&portal.upstream, &portal.limits, &settings, random)?);
                (Arc::<CloudAccounts>::clone(&cloud), cloud)
            }
            Product::DataCenter | Product::Other => {
                // Nobody is logged in: there are accounts alone.
                let (logins, managed_group, max_age) = (Vec::new(), None, std::time::Duration::ZERO);
                let settings =
                    DataCenterSettings { directory, logins, managed_group, max_age, concurrency, call_timeout };
                let (people, random) = (Arc::clone(&self.people), self.random.clone());
                let jira = DataCenter::new(&portal.upstream, &portal.limits, settings, people, random)?;
                let jira = Arc::new(jira);
                (Arc::<DataCenter>::clone(&jira), jira)
            }
        };
        let directory = self.directory(portal, &settings.directory, of_accounts, concurrency, Arc::clone(observer));
        Ok(Accounts { directory: Some(directory), service: Some(service) })
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

/// Customers' accounts, where there is a directory.
struct Accounts {
    directory: Option<Arc<Directory>>,
    service: Option<Arc<dyn ServiceAccount>>,
}

fn for_operators(portal: &PortalSettings, directory: Arc<Directory>) -> PortalCustomers {
    PortalCustomers { portal: portal.host.clone(), directory, admission: Admission::new(&portal.admission) }
}

/// For calls to the portal's upstream.
fn client_of(portal: &PortalSettings) -> Result<HttpClient, NoHttpClient> {
    let roots = match &portal.upstream.ca {
        Some(given) => Roots::Only(given.certificates.clone()),
        None => Roots::System,
    };
    HttpClient::new(HttpClientSettings {
        roots,
        connect_timeout: portal.limits.upstream_connect,
        idle_timeout: portal.limits.upstream_idle,
        ..HttpClientSettings::default()
    })
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
