//! `cloud_saml`: the site's own single sign-on, walked by the gateway on the customer's behalf.
//!
//! The gateway is the one SAML identity provider that the site lets portal-only customers use. It begins where a browser would,
//! answers what the site asks, and keeps the cookies that come of it. No password exists anywhere. Goes to the site and to the
//! addresses of the settings alone, whatever a redirect or a page says, and not on for ever.

mod cookies;
mod page;
pub(super) mod walk;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::Instant;
use url::{Origin, Url};

use self::walk::{Reached, Shown, Walk, Way};
use super::identity_provider::SiteIdentityProvider;
use super::{CloudLogin, CloudSite};
use crate::clock::Timestamp;
use crate::customer::jar::Jar;
use crate::customer::{BrokerFailed, Customer, UpstreamFailed};
use crate::portal::settings::CloudSamlSettings;

/// Stands for the customer's address in `start`.
const EMAIL: &str = "{email}";

/// Logs customers in by the site's single sign-on.
pub struct SingleSignOn {
    provider: Arc<SiteIdentityProvider>,
    start: Option<String>,
    hosts: Vec<Origin>,
}

impl SingleSignOn {
    /// Single sign-on as `settings` say, with the gateway as `provider`.
    pub fn new(settings: &CloudSamlSettings, provider: Arc<SiteIdentityProvider>) -> Self {
        let start = settings.start.as_deref().and_then(|start| Url::parse(start).ok()).map(|start| start.origin());
        let consumers = provider.consumers().filter_map(|consumer| Url::parse(consumer).ok()).map(|url| url.origin());
        let mut hosts: Vec<Origin> = Vec::new();
        for origin in consumers.chain(start).chain(settings.hosts.iter().map(Url::origin)) {
            if !hosts.contains(&origin) {
                hosts.push(origin);
            }
        }
        Self { provider, start: settings.start.clone(), hosts }
    }

    /// The hosts that a way may lead over, besides the site.
    pub(super) fn hosts(&self) -> &[Origin] {
        &self.hosts
    }

    /// A walk that goes on from `way`.
    pub(super) fn walk<'a>(
        &'a self,
        site: &'a CloudSite,
        customer: &'a Customer,
        way: Way,
        shown: Shown,
        now: Timestamp,
        deadline: Instant,
    ) -> Walk<'a> {
        Walk { site, provider: &self.provider, hosts: &self.hosts, customer, now, deadline, shown, way }
    }

    /// Where a customer's browser would begin.
    pub(super) fn start(&self, site: &CloudSite, customer: &Customer) -> Result<Url, UpstreamFailed> {
        match &self.start {
            Some(start) => {
                let email = utf8_percent_encode(customer.address().as_str(), NON_ALPHANUMERIC).to_string();
                Url::parse(&start.replace(EMAIL, &email)).map_err(|_| UpstreamFailed::Unexpected("begin a sign-on"))
            }
            None => {
                let mut url = site.at(&["servicedesk", "customer", "user", "login"]);
                url.query_pairs_mut().append_pair("destination", "portals");
                Ok(url)
            }
        }
    }
}

#[async_trait]
impl CloudLogin for SingleSignOn {
    async fn log_in(
        &self,
        site: &CloudSite,
        customer: &Customer,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Jar, BrokerFailed> {
        let start = self.start(site, customer)?;
        let mut walk = self.walk(site, customer, Way::default(), Shown::ToNobody, now, deadline);
        let step = walk.go_on(start)?;
        match walk.run(step).await? {
            Reached::Session => Ok(walk.into_way().into_jar_of(site.url())),
            // Nobody is there to see it.
            Reached::Page(..) => Err(BrokerFailed::SingleSignOnOff),
        }
    }
}

impl fmt::Debug for SingleSignOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SingleSignOn({:?})", self.provider)
    }
}
