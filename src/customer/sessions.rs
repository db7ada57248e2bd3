//! What the proxy asks: the customer session for this visitor, now.
//!
//! The usual request finds one that is fresh, and takes no lock. What has to be opened is opened in a task of its own,
//! one at a time for each visitor and each person, so that a visitor who gives up leaves no half-done work and fifty
//! requests of one page cost one login.

mod another_way;
mod claim;
mod opening;

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use http::HeaderName;
use http::header::SET_COOKIE;
use moka::sync::Cache;

use self::opening::Want;
use super::attempts::AllAttempts;
use super::known::KnownCustomers;
use super::lifetime::Age;
use super::trusted_jwt::TokenKeys;
use super::{
    AnswerHead, CustomerDirectory, CustomerEvent, CustomerFailed, CustomerObserver, CustomerSessionBroker, DeathSign,
    PasswordClaims, Provisioning, Unfit,
};
use crate::clock::{Clock, Timestamp, deadline};
use crate::nodes::Nodes;
use crate::session::{CustomerSession, LiveSession, Sessions};
use crate::sign_in::VerifiedIdentity;

/// Whose admission was found to have ended is not looked at again for so long, however many requests they make.
const LEAVING: Duration = Duration::from_secs(60);
/// People who are remembered so at most.
const LEAVERS: u64 = 10_000;

/// The customer sessions of one portal. Clones share them.
#[derive(Clone)]
pub struct CustomerSessions {
    strategy: Strategy,
    keys: Option<Arc<TokenKeys>>,
}

#[derive(Clone)]
enum Strategy {
    /// Nothing is injected.
    None,
    Brokered(Arc<Brokered>),
}

struct Brokered {
    directory: Arc<dyn CustomerDirectory>,
    broker: Arc<dyn CustomerSessionBroker>,
    sessions: Sessions,
    clock: Clock,
    observer: Arc<dyn CustomerObserver>,
    claims: Option<Arc<dyn PasswordClaims>>,
    /// The site, and how it is logged in to. Settings change while sessions last: what is of another goes nowhere here.
    site: Option<Arc<str>>,
    nodes: Option<Arc<Nodes>>,
    attempts: AllAttempts,
    leavers: LazyLock<Cache<(String, String), ()>>,
    known: Option<KnownCustomers>,
}

/// What an answer says about the customer session that its request carried.
#[derive(Debug)]
pub enum Verdict {
    /// Nothing new.
    Alive,
    /// The upstream renewed some of the cookies: [`CustomerSessions::keep`] this.
    Renewed(CustomerSession),
    /// It may be dead: [`CustomerSessions::reopen`] it. Nothing of this answer's cookies may be kept.
    Dead(DeathSign),
}

impl CustomerSessions {
    /// The strategy `none`: the upstream knows nothing of the visitor.
    pub fn none() -> Self {
        Self { strategy: Strategy::None, keys: None }
    }

    /// Customers from `directory`, their sessions from `broker`, kept in `sessions`.
    pub fn brokered(
        directory: Arc<dyn CustomerDirectory>,
        broker: Arc<dyn CustomerSessionBroker>,
        sessions: Sessions,
        clock: Clock,
        observer: Arc<dyn CustomerObserver>,
    ) -> Self {
        let attempts = AllAttempts::default();
        let leavers = || Cache::builder().max_capacity(LEAVERS).time_to_live(LEAVING).build();
        let known = broker.trusts_the_directory_for().map(KnownCustomers::for_so_long);
        let brokered = Brokered {
            directory,
            broker,
            sessions,
            clock,
            observer,
            claims: None,
            site: None,
            nodes: None,
            attempts,
            leavers: LazyLock::new(leavers),
            known,
        };
        Self { strategy: Strategy::Brokered(Arc::new(brokered)), keys: None }
    }

    /// The same, at that site: customer sessions of another are none here. Before clones are made.
    #[must_use]
    pub fn at_site(mut self, site: &str) -> Self {
        if let Strategy::Brokered(brokered) = &mut self.strategy
            && let Some(brokered) = Arc::get_mut(brokered)
        {
            brokered.site = Some(site.into());
        }
        self
    }

    /// The same, where each node of the site may know only the sessions that it has opened itself. Before clones are made.
    #[must_use]
    pub fn at_nodes(mut self, nodes: &Arc<Nodes>) -> Self {
        if let Strategy::Brokered(brokered) = &mut self.strategy
            && let Some(brokered) = Arc::get_mut(brokered)
        {
            brokered.nodes = Some(Arc::clone(nodes));
        }
        self
    }

    /// The same, with the keys by which the upstream verifies what it is told.
    #[must_use]
    pub fn publishing(self, keys: Arc<TokenKeys>) -> Self {
        Self { keys: Some(keys), ..self }
    }

    /// The keys by which the upstream verifies what it is told, where it has to.
    pub fn published_keys(&self) -> Option<&TokenKeys> {
        self.keys.as_deref()
    }

    /// The customer session for a request of `session`; `None` where the portal injects none. Opened if need be; the
    /// next one is opened in the background when 80 % of this one's life are over.
    ///
    /// # Errors
    /// When none can be had. Requests that waited together fail together, and for a short while after a failure no new
    /// attempt is made.
    pub async fn ensure(
        &self,
        session: &Arc<LiveSession>,
        now: Timestamp,
    ) -> Result<Option<Arc<CustomerSession>>, CustomerFailed> {
        let Strategy::Brokered(brokered) = &self.strategy else { return Ok(None) };
        if let Some(held) = brokered.held(session) {
            match Age::of(&held, now) {
                Age::Over => {}
                // Its node is out: better now than when an upload meets the login page of another one.
                _ if !brokered.is_within_reach(&held) => {
                    let want = Want::Instead { dead: held.generation(), sign: DeathSign::OtherNode };
                    return Box::pin(brokered.obtain(session, want, now)).await.map(Some);
                }
                age => {
                    if age == Age::Old {
                        brokered.renew_behind(session, now);
                    }
                    brokered.observer.note(&CustomerEvent::Reused);
                    return Ok(Some(held));
                }
            }
        }
        Box::pin(brokered.obtain(session, Want::Any, now)).await.map(Some)
    }

    /// A customer session in place of the one of generation `dead_generation`, which an answer showed to be dead. When
    /// another request has replaced it already, that one. When only the look of the answer was against it and the
    /// upstream still knows it, the same again: **an equal generation means that the answer stands as it is.**
    ///
    /// # Errors
    /// When none can be had, or the visitor's sessions keep dying. A fresh session is never discarded by a failure.
    pub async fn reopen(
        &self,
        session: &Arc<LiveSession>,
        dead_generation: u64,
        sign: DeathSign,
        now: Timestamp,
    ) -> Result<Arc<CustomerSession>, CustomerFailed> {
        let Strategy::Brokered(brokered) = &self.strategy else { return Err(CustomerFailed::SessionEnded) };
        if let Some(held) = brokered.held(session)
            && held.generation() > dead_generation
        {
            brokered.observer.note(&CustomerEvent::Reused);
            return Ok(held);
        }
        brokered.obtain(session, Want::Instead { dead: dead_generation, sign }, now).await
    }

    /// Reads an answer to a request that carried `used`; not one of the upstream's own login or logout pages. A dead session's cookies are never taken over: what the
    /// upstream sets then is an anonymous session.
    pub fn judge(&self, used: &CustomerSession, answer: &AnswerHead<'_>, clock: &Clock) -> Verdict {
        let Strategy::Brokered(brokered) = &self.strategy else { return Verdict::Alive };
        if let Some(sign) = brokered.broker.signs_of_death(answer) {
            return Verdict::Dead(sign);
        }
        if !answer.headers.contains_key(SET_COOKIE) {
            return Verdict::Alive; // as most do, which need no time told
        }
        let now = clock.now();
        match used.absorb(answer.headers.get_all(SET_COOKIE), |name| brokered.broker.adopts(name), now) {
            Some(renewed) => match brokered.broker.renewed(renewed, now) {
                Ok(renewed) => Verdict::Renewed(renewed.of_site(used.site().cloned())),
                Err(sign) => {
                    if sign == DeathSign::SomebodyElse {
                        let account = used.customer();
                        tracing::error!(account, "the upstream renewed a session with somebody else's: not used");
                    }
                    Verdict::Dead(sign)
                }
            },
            None => Verdict::Alive,
        }
    }

    /// Whether another node than the one that knows it would open it anew by itself.
    pub fn outlives_its_node(&self, used: &CustomerSession) -> bool {
        match &self.strategy {
            Strategy::None => true,
            Strategy::Brokered(brokered) => brokered.broker.outlives_its_node(used),
        }
    }

    /// Keeps what [`CustomerSessions::judge`] called renewed.
    pub async fn keep(&self, session: &Arc<LiveSession>, renewed: CustomerSession) {
        if let Strategy::Brokered(brokered) = &self.strategy
            && let Err(error) = brokered.sessions.keep_customer_session(session, renewed).await
        {
            tracing::warn!(session = %session.hash(), %error, "a renewed customer session is held in memory only");
        }
    }

    /// Whether a cookie of that name must neither reach the browser nor come from it: the upstream's authentication
    /// cookies, and whatever `used` holds.
    pub fn keeps_back(&self, name: &str, used: Option<&CustomerSession>) -> bool {
        match &self.strategy {
            Strategy::None => false,
            Strategy::Brokered(brokered) => {
                brokered.broker.is_authentication_cookie(name) || used.is_some_and(|used| used.holds(name))
            }
        }
    }

    /// The header field by which the upstream is told who somebody is: the visitor's own never goes on.
    pub fn identity_header(&self) -> Option<&HeaderName> {
        match &self.strategy {
            Strategy::None => None,
            Strategy::Brokered(brokered) => brokered.broker.identity_header(),
        }
    }

    /// Ends a customer session at the upstream: best effort, within a few seconds. For what
    /// [`Sessions::end`] and [`Sessions::end_matching`] hand over.
    pub async fn end(&self, customer_session: &CustomerSession) {
        if let Strategy::Brokered(brokered) = &self.strategy {
            brokered.end(customer_session).await;
        }
    }

    /// `who` is no longer admitted: has the directory take away what it has to, in a task of its own, and not again for
    /// a while. Never waits.
    pub fn leave(&self, who: &VerifiedIdentity) {
        let Strategy::Brokered(brokered) = &self.strategy else { return };
        let person = (who.issuer().to_owned(), who.subject().to_owned());
        if !brokered.leavers.entry(person).or_insert(()).is_fresh() {
            return;
        }
        let (brokered, who) = (Arc::clone(brokered), who.clone());
        tokio::spawn(async move {
            if let Err(failed) = brokered.directory.leave(&who, deadline(brokered.broker.patience())).await {
                tracing::warn!(provider = %who.provider(), reason = failed.reason(), %failed, "a customer whose admission ended could not leave");
                brokered.observer.note(&CustomerEvent::Provisioned(Provisioning::LeaveFailed));
            }
        });
    }

    /// Whether the service credentials work and suffice: whose they are, `None` where none are needed.
    ///
    /// # Errors
    /// In an operator's words, when they do not.
    pub async fn check(&self) -> Result<Option<String>, Unfit> {
        match &self.strategy {
            Strategy::None => Ok(None),
            Strategy::Brokered(brokered) if !brokered.broker.has_service_account() => Ok(None),
            Strategy::Brokered(brokered) => brokered.broker.check(deadline(brokered.broker.patience())).await.map(Some),
        }
    }
}

impl fmt::Debug for CustomerSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.strategy {
            Strategy::None => f.write_str("CustomerSessions(none)"),
            Strategy::Brokered(brokered) => write!(f, "CustomerSessions({:?})", brokered.broker),
        }
    }
}

#[cfg(test)]
mod tests;
