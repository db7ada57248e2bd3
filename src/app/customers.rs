//! Picks the back ends of each portal's customers: whose accounts, which broker, one ledger for all.

use std::sync::Arc;

use super::StartFailed;
use crate::clock::Clock;
use crate::customer::accounts::CustomerAccounts;
use crate::customer::cloud::identity_provider::SiteIdentityProvider;
use crate::customer::cloud::vault::{self, PasswordVault};
use crate::customer::cloud::{
    BrowserWalks, ByBrowser, ByPassword, CloudAccounts, CloudBroker, CloudLogin, CloudParts, CloudPasswords,
    PasswordParts, SingleSignOn,
};
use crate::customer::datacenter::DataCenter;
use crate::customer::ledger::Ledger;
use crate::customer::trusted_jwt::{ByAddress, TokenKeys, TrustedJwt, TrustedJwtParts};
use crate::customer::{
    CustomerDirectory, CustomerObserver, CustomerSessionBroker, CustomerSessions, Directory, DirectoryParts, HandOver,
    LettingThrough, PasswordClaims, People, ServiceAccount,
};
use crate::nodes::Nodes;
use crate::operator::PortalCustomers;
use crate::policy::Admission;
use crate::portal::settings::{
    AccountsSettings, CloudAccountsSettings, CloudPasswordSettings, CloudSiteSettings, CustomerSessionSettings,
    DataCenterSettings, DirectorySettings, OtherAccounts, PortalSettings, Product, RedirectSettings,
    TrustedJwtSettings, Walk,
};
use crate::random::Random;
use crate::session::{RecordError, Records, Sessions, StoreError};
use crate::telemetry::Metrics;

/// What the customers of all portals share.
pub(super) struct CustomerParts<'a> {
    pub sessions: &'a Sessions,
    pub metrics: &'a Metrics,
    pub clock: &'a Clock,
    pub random: &'a Random,
    people: Arc<People>,
}

/// The customers of one portal. Clones share them.
#[derive(Clone)]
pub(super) struct OfPortal {
    /// Whose sessions are injected.
    pub sessions: CustomerSessions,
    /// The gateway as the identity provider of the site's customers, where it is.
    pub identity_provider: Option<Arc<SiteIdentityProvider>>,
    /// The ways to a customer session that browsers go, where they do.
    pub walks: Option<Arc<BrowserWalks>>,
    /// What operators can do to them; nothing where no account is touched.
    pub for_operators: Option<PortalCustomers>,
}

impl<'a> CustomerParts<'a> {
    pub fn new(sessions: &'a Sessions, metrics: &'a Metrics, clock: &'a Clock, random: &'a Random) -> Self {
        Self { sessions, metrics, clock, random, people: Arc::default() }
    }

    /// The same, where somebody may be busy with these people already.
    pub fn busy_with(self, people: Arc<People>) -> Self {
        Self { people, ..self }
    }

    /// The customers of that portal, whose site is reached at `nodes`.
    pub fn of(&self, portal: &PortalSettings, nodes: &Arc<Nodes>) -> Result<OfPortal, StartFailed> {
        match &portal.customer_session {
            CustomerSessionSettings::None => {
                let sessions = CustomerSessions::none();
                Ok(OfPortal { sessions, identity_provider: None, walks: None, for_operators: None })
            }
            CustomerSessionSettings::DataCenter(settings) => {
                nodes.prepare_calls()?;
                let (people, random) = (Arc::clone(&self.people), self.random.clone());
                let (url, settings) = (portal.upstream.url.clone(), (**settings).clone());
                let (calls, directory) = (settings.concurrency, settings.directory.clone());
                let jsm = DataCenter::new(url, Arc::clone(nodes), settings, people, random);
                let (jsm, observer) = (Arc::new(jsm), self.metrics.watch_customers(&portal.host));
                let directory = self.directory(portal, &directory, jsm.clone(), calls, Arc::clone(&observer));
                let sessions = CustomerSessions::brokered(
                    directory.clone(),
                    jsm,
                    self.sessions.clone(),
                    self.clock.clone(),
                    observer,
                )
                .at_site(&site_of(portal))
                .at_nodes(nodes);
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
                        let walks = BrowserWalks::new(broker, sessions, login, self.clock.clone());
                        let walks = Some(Arc::new(walks));
                        OfPortal { identity_provider, walks, ..of_portal }
                    }
                })
            }
            CustomerSessionSettings::CloudPassword(settings) => self.by_password(portal, settings),
            CustomerSessionSettings::TrustedJwt(settings) => self.trusted_jwt(portal, settings, nodes),
            CustomerSessionSettings::Redirect(settings) => self.redirect(portal, settings, nodes),
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
        let (of_portal, broker) = self.at_cloud(portal, &settings.site, Arc::<ByPassword>::clone(&login))?;
        let claims: Arc<dyn PasswordClaims> = Arc::new(CloudPasswords::new(broker, login, Arc::clone(&self.people)));
        let for_operators =
            of_portal.for_operators.map(|one| PortalCustomers { claims: Some(Arc::clone(&claims)), ..one });
        Ok(OfPortal { sessions: of_portal.sessions.with_claims(claims), for_operators, ..of_portal })
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
        let sessions = CustomerSessions::brokered(directory.clone(), broker.clone(), sessions, clock, observer)
            .at_site(&site_of(portal));
        Ok((of_portal(portal, sessions, directory), broker))
    }

    fn trusted_jwt(
        &self,
        portal: &PortalSettings,
        settings: &TrustedJwtSettings,
        nodes: &Arc<Nodes>,
    ) -> Result<OfPortal, StartFailed> {
        nodes.prepare_calls()?;
        let keys = Arc::new(TokenKeys::from_pems(&settings.signing_keys).map_err(|(_, refused)| refused)?);
        let observer = self.metrics.watch_customers(&portal.host);
        let accounts = self.accounts((portal, nodes), settings.accounts.as_ref(), settings.product, &observer)?;
        let broker = TrustedJwt::new(
            settings.clone(),
            TrustedJwtParts {
                origin: portal.public_origin.as_str().to_owned(),
                keys: Arc::clone(&keys),
                upstream: portal.upstream.url.clone(),
                nodes: Arc::clone(nodes),
                service: accounts.service,
                random: self.random.clone(),
            },
        );
        let directory = accounts.directory.clone().map_or_else(|| Arc::new(ByAddress) as _, |directory| directory as _);
        let sessions = self.brokered(portal, directory, Arc::new(broker), observer).publishing(keys).at_nodes(nodes);
        let for_operators = accounts.directory.map(|directory| for_operators(portal, directory));
        Ok(OfPortal { sessions, identity_provider: None, walks: None, for_operators })
    }

    fn redirect(
        &self,
        portal: &PortalSettings,
        settings: &RedirectSettings,
        nodes: &Arc<Nodes>,
    ) -> Result<OfPortal, StartFailed> {
        let observer = self.metrics.watch_customers(&portal.host);
        let accounts = self.accounts((portal, nodes), settings.accounts.as_ref(), settings.product, &observer)?;
        let directory: Arc<dyn CustomerDirectory> = match (&accounts.directory, settings.elsewhere.other_accounts) {
            (None, _) => Arc::new(ByAddress),
            (Some(directory), OtherAccounts::Refuse | OtherAccounts::Offer) => Arc::<Directory>::clone(directory),
            (Some(directory), OtherAccounts::HandOver) => Arc::new(LettingThrough(Arc::<Directory>::clone(directory))),
        };
        let call_timeout = settings.accounts.as_ref().map(|accounts| accounts.call_timeout);
        let sessions =
            self.brokered(portal, directory, Arc::new(HandOver::new(accounts.service, call_timeout)), observer);
        let for_operators = accounts.directory.map(|directory| for_operators(portal, directory));
        Ok(OfPortal { sessions, identity_provider: None, walks: None, for_operators })
    }

    fn brokered(
        &self,
        portal: &PortalSettings,
        directory: Arc<dyn CustomerDirectory>,
        broker: Arc<dyn CustomerSessionBroker>,
        observer: Arc<dyn CustomerObserver>,
    ) -> CustomerSessions {
        CustomerSessions::brokered(directory, broker, self.sessions.clone(), self.clock.clone(), observer)
            .at_site(&site_of(portal))
    }

    /// The directory of a kind of customer session that needs none to log in.
    fn accounts(
        &self,
        (portal, nodes): (&PortalSettings, &Arc<Nodes>),
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
                nodes.prepare_calls()?;
                // Nobody is logged in: there are accounts alone.
                let (logins, managed_group, max_age) = (Vec::new(), None, std::time::Duration::ZERO);
                let settings =
                    DataCenterSettings { directory, logins, managed_group, max_age, concurrency, call_timeout };
                let (people, random) = (Arc::clone(&self.people), self.random.clone());
                let url = portal.upstream.url.clone();
                let jira = Arc::new(DataCenter::new(url, Arc::clone(nodes), settings, people, random));
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

fn of_portal(portal: &PortalSettings, sessions: CustomerSessions, directory: Arc<Directory>) -> OfPortal {
    let for_operators = Some(for_operators(portal, directory));
    OfPortal { sessions, identity_provider: None, walks: None, for_operators }
}

/// Customers' accounts, where there is a directory.
struct Accounts {
    directory: Option<Arc<Directory>>,
    service: Option<Arc<dyn ServiceAccount>>,
}

/// What customer sessions are for: the site, and how it is logged in to.
fn site_of(portal: &PortalSettings) -> String {
    let kind = match &portal.customer_session {
        CustomerSessionSettings::None => "none",
        CustomerSessionSettings::DataCenter(_) => "datacenter",
        CustomerSessionSettings::CloudSaml(_) => "cloud_saml",
        CustomerSessionSettings::CloudPassword(_) => "cloud_password",
        CustomerSessionSettings::TrustedJwt(_) => "trusted_jwt",
        CustomerSessionSettings::Redirect(_) => "redirect",
    };
    format!("{kind} {}", portal.upstream.url)
}

impl OfPortal {
    /// The same customers, for a portal whose settings have changed in nothing that they depend on.
    pub fn at(&self, portal: &PortalSettings) -> Self {
        let admission = Admission::new(&portal.admission);
        let for_operators = self.for_operators.clone().map(|one| PortalCustomers { admission, ..one });
        Self { for_operators, ..self.clone() }
    }

    /// Whether the customers of `before` are those of `now`: the same site, by the same account and ways, for the same
    /// address. Only then may what was learned of them be kept.
    pub fn are_the_same(before: &PortalSettings, now: &PortalSettings) -> bool {
        before.public_origin == now.public_origin
            && before.customer_session == now.customer_session
            && have_same_nodes(before, now)
    }
}

/// Whether the site of `before` is that of `now`, and reached in the same way: then what is known of its nodes is kept.
pub(super) fn have_same_nodes(before: &PortalSettings, now: &PortalSettings) -> bool {
    let of = |portal: &PortalSettings| (portal.limits.upstream_connect, portal.limits.upstream_idle);
    before.host == now.host && before.upstream == now.upstream && of(before) == of(now)
}

fn for_operators(portal: &PortalSettings, directory: Arc<Directory>) -> PortalCustomers {
    PortalCustomers {
        portal: portal.host.clone(),
        directory,
        admission: Admission::new(&portal.admission),
        claims: None,
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
        // It ends: the next one goes on with it.
        Err(RecordError::Store(StoreError::Closed)) => {}
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
        Err(RecordError::Store(StoreError::Closed)) => {}
        Err(error) => tracing::error!(%error, "customers' passwords could not be sealed with the first key"),
    }
}
