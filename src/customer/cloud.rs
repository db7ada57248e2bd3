//! Cloud: portal-only accounts and organizations by documented calls, and the sessions of their customers.
//!
//! Calls go to the site itself with a classic API token, or below `api.atlassian.com/ex/jira/{cloudId}` with a scoped one:
//! a scoped token is good for nothing at the site (CLOUD-12617). Refuses every account that is not portal-only: who has
//! an Atlassian account signs in at Atlassian's pages, and a gateway that tried would send them round in circles.

mod accounts;
mod answers;
mod broker;
mod browser_walks;
mod death;
mod firewall;
mod hook;
pub mod identity_provider;
mod password;
mod saml;
mod site;
mod token;
pub mod vault;

use std::fmt;

use async_trait::async_trait;
use http::Method;
use tokio::time::Instant;

pub use self::broker::{CloudBroker, CloudLogin, CloudParts};
pub use self::browser_walks::{Brought, BrowserWalks, ByBrowser, Walked};
pub use self::hook::is_password;
pub use self::password::{ByPassword, CloudPasswords, PasswordParts};
pub use self::saml::SingleSignOn;
pub use self::site::CloudSite;
use super::upstream::answers::understood;
use super::upstream::{CallLimits, Reach, Upstream};
use super::{ServiceAccount, Unfit, UpstreamFailed};
use crate::http_client::NoHttpClient;
use crate::portal::settings::{CloudAccountsSettings, PortalLimits, UpstreamSettings};
use crate::random::Random;

/// A portal-only customer's session: one cookie with a signed token.
const SESSION_COOKIE: &str = "customer.account.session.token";

/// The accounts of one Cloud site.
pub struct CloudAccounts {
    /// The site as people know it, whatever host its REST is called at.
    site: String,
    upstream: Upstream,
    desks: Vec<String>,
}

impl CloudAccounts {
    /// The accounts of the site at `upstream`.
    ///
    /// # Errors
    /// When a certificate authority cannot be used.
    pub fn new(
        upstream: &UpstreamSettings,
        limits: &PortalLimits,
        settings: &CloudAccountsSettings,
        random: Random,
    ) -> Result<Self, NoHttpClient> {
        let client = site::client(upstream, limits, settings.concurrency)?;
        let base = settings.directory.api_url.as_ref().unwrap_or(&upstream.url).clone();
        let calls = CallLimits { concurrency: settings.concurrency, call_timeout: settings.call_timeout };
        Ok(Self {
            site: upstream.url.as_str().to_owned(),
            upstream: Upstream::new(Reach::ByName(client), base, &settings.directory.credentials, calls, random),
            desks: settings.directory.service_desks.clone(),
        })
    }

    /// Whether the service credentials work and suffice. Tells whose they are.
    ///
    /// # Errors
    /// In an operator's words, when they do not.
    pub async fn check(&self, deadline: Instant) -> Result<String, Unfit> {
        let url = self.upstream.url(&["rest", "api", "3", "myself"]);
        let answer = self.upstream.service(Method::GET, url, None, deadline).await?;
        let me: answers::PlatformUser = understood(&answer, "who am I?")?;
        let name = me.display_name.unwrap_or(me.account_id);
        let mut url = self.upstream.url(&["rest", "api", "3", "mypermissions"]);
        url.query_pairs_mut().append_pair("permissions", "ADMINISTER");
        let answer = self.upstream.service(Method::GET, url, None, deadline).await?;
        match answers::may_administer(&answer) {
            Some(true) => {}
            Some(false) => return Err(Unfit::NotAdministrator(name)),
            None => return Err(UpstreamFailed::Unexpected("what may I do?").into()),
        }
        for desk in &self.desks {
            let url = self.upstream.url(&["rest", "servicedeskapi", "servicedesk", desk]);
            if !self.upstream.service(Method::GET, url, None, deadline).await?.status.is_success() {
                return Err(Unfit::NoSuchServiceDesk(desk.clone()));
            }
        }
        Ok(name)
    }
}

#[async_trait]
impl ServiceAccount for CloudAccounts {
    async fn check_credentials(&self, deadline: Instant) -> Result<String, Unfit> {
        self.check(deadline).await
    }
}

impl fmt::Debug for CloudAccounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloudAccounts({})", self.site)
    }
}

#[cfg(test)]
mod tests;
