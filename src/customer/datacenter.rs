//! Data Center: accounts and sessions by documented calls only.
//!
//! For each new customer session the service user sets a fresh random password and the gateway logs in with it, so that
//! no password is stored anywhere. Trusts the service credentials; they go with account calls only, never with a login,
//! and no cookie that an account call is answered with is kept. Refuses accounts that may do more than a customer, and
//! any session whose name is not the one that was meant.

mod accounts;
mod answers;
mod broker;
mod death;
mod login;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;
use http::Method;
use tokio::time::Instant;
use url::Url;

pub(super) use self::death::sign as sign_of_death;
use super::login_breaker::LoginBreaker;
use super::upstream::{CallLimits, Reach, Upstream};
use super::{People, ServiceAccount, Unfit, UpstreamFailed};
use crate::nodes::Nodes;
use crate::portal::settings::DataCenterSettings;
use crate::random::Random;

/// The name of the upstream's session.
pub(super) const SESSION_COOKIE: &str = "JSESSIONID";
/// Logs in again by itself when the session is over.
pub(super) const REMEMBER_ME_COOKIE: &str = "seraph.rememberme.cookie";

/// One Data Center site: its accounts and its broker.
pub struct DataCenter {
    settings: DataCenterSettings,
    upstream: Upstream,
    nodes: Arc<Nodes>,
    people: Arc<People>,
    breaker: LoginBreaker,
    /// Which of the configured ways to log in worked last.
    worked: AtomicUsize,
}

impl DataCenter {
    /// The site at `base`, reached at its `nodes`. `people` is one for the whole process.
    pub fn new(
        base: Url,
        nodes: Arc<Nodes>,
        settings: DataCenterSettings,
        people: Arc<People>,
        random: Random,
    ) -> Self {
        let calls = CallLimits { concurrency: settings.concurrency, call_timeout: settings.call_timeout };
        let reach = Reach::Nodes(Arc::clone(&nodes));
        let upstream = Upstream::new(reach, base, &settings.directory.credentials, calls, random);
        Self { settings, upstream, nodes, people, breaker: LoginBreaker::default(), worked: AtomicUsize::new(0) }
    }

    /// What `person` is called among all people of all sites.
    fn place(&self, person: &str) -> String {
        format!("{} {person}", self.upstream.base())
    }

    /// Whether the service user may administer: by its permissions, or by its groups where a site tells none.
    async fn service_may_administer(&self, deadline: Instant) -> Result<bool, UpstreamFailed> {
        let url = self.upstream.url(&["rest", "api", "2", "mypermissions"]);
        match self.upstream.service(Method::GET, url, None, deadline).await {
            Ok(answer) if answers::may_administer(&answer).is_some() => {
                Ok(answers::may_administer(&answer) == Some(true))
            }
            Ok(_) | Err(UpstreamFailed::HtmlInsteadOfJson) => {
                let me = self.service_user(deadline).await?;
                self.is_administrator(&me, deadline).await
            }
            Err(failed) => Err(failed),
        }
    }

    /// The service user's name.
    async fn service_user(&self, deadline: Instant) -> Result<String, UpstreamFailed> {
        let url = self.upstream.url(&["rest", "api", "2", "myself"]);
        let answer = self.upstream.service(Method::GET, url, None, deadline).await?;
        let me: answers::Named = answer.json().map_err(|_| UpstreamFailed::Unexpected("who am I?"))?;
        Ok(me.name)
    }

    async fn checked(&self, deadline: Instant) -> Result<String, Unfit> {
        let upstream = &self.upstream;
        let me = self.service_user(deadline).await?;
        if !self.service_may_administer(deadline).await? {
            return Err(Unfit::NotAdministrator(me));
        }
        for desk in &self.settings.directory.service_desks {
            let url = upstream.url(&["rest", "servicedeskapi", "servicedesk", desk]);
            let answer = upstream.service(Method::GET, url, None, deadline).await?;
            if !answer.status.is_success() {
                return Err(Unfit::NoSuchServiceDesk(desk.clone()));
            }
        }
        Ok(me)
    }
}

#[async_trait]
impl ServiceAccount for DataCenter {
    async fn check_credentials(&self, deadline: Instant) -> Result<String, Unfit> {
        self.checked(deadline).await
    }
}

impl fmt::Debug for DataCenter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataCenter({})", self.upstream.base())
    }
}

#[cfg(test)]
pub(super) mod tests;
