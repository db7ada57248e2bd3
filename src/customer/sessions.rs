//! What the proxy asks: the customer session for this visitor, now.
//!
//! The usual request finds one that is fresh, and takes no lock. What has to be opened is opened in a task of its own,
//! one at a time for each visitor and each person, so that a visitor who gives up leaves no half-done work and fifty
//! requests of one page cost one login.

mod claim;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use http::header::SET_COOKIE;
use moka::sync::Cache;

use super::attempts::{AllAttempts, Attempts, Since};
use super::known::KnownCustomers;
use super::lifetime::Age;
use super::trusted_jwt::TokenKeys;
use super::{
    AnswerHead, BrokerFailed, Customer, CustomerDirectory, CustomerEvent, CustomerFailed, CustomerObserver,
    CustomerSessionBroker, DeathSign, DirectoryFailed, Opening, PasswordClaims, Provisioning, Unfit,
};
use crate::clock::{Clock, Stopwatch, Timestamp, deadline};
use crate::session::{CustomerSession, Kept, LiveSession, Sessions};
use crate::sign_in::VerifiedIdentity;

/// How often a newly opened session may find its number taken.
const RENUMBERED: u32 = 8;
/// How long a visitor who signs out is kept waiting for the upstream.
const PARTING: Duration = Duration::from_secs(5);
/// How long the upstream may think about whether a session lives.
const DOUBT: Duration = Duration::from_secs(5);
/// A session that died younger than this was perhaps not dead: ask before opening another.
const YOUNG: Duration = Duration::from_secs(10);
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
    attempts: AllAttempts,
    leavers: Cache<(String, String), ()>,
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

/// Why a customer session is wanted.
#[derive(Clone, Copy, Debug)]
enum Want {
    /// There is none, or it is over.
    Any,
    /// The one there is will soon be over.
    Newer,
    /// This generation looks dead.
    Instead { dead: u64, sign: DeathSign },
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
        let leavers = Cache::builder().max_capacity(LEAVERS).time_to_live(LEAVING).build();
        let known = broker.trusts_the_directory_for().map(KnownCustomers::for_so_long);
        let brokered =
            Brokered { directory, broker, sessions, clock, observer, claims: None, attempts, leavers, known };
        Self { strategy: Strategy::Brokered(Arc::new(brokered)), keys: None }
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
        if let Some(held) = session.customer_session() {
            match Age::of(&held, now) {
                Age::Over => {}
                age => {
                    if age == Age::Old {
                        brokered.renew_behind(session, now);
                    }
                    brokered.observer.note(&CustomerEvent::Reused);
                    return Ok(Some(held));
                }
            }
        }
        brokered.obtain(session, Want::Any, now).await.map(Some)
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
        if let Some(held) = session.customer_session()
            && held.generation() > dead_generation
        {
            brokered.observer.note(&CustomerEvent::Reused);
            return Ok(held);
        }
        brokered.obtain(session, Want::Instead { dead: dead_generation, sign }, now).await
    }

    /// Reads an answer to a request that carried `used`; not one of the upstream's own login or logout pages. A dead session's cookies are never taken over: what the
    /// upstream sets then is an anonymous session.
    pub fn judge(&self, used: &CustomerSession, answer: &AnswerHead<'_>, now: Timestamp) -> Verdict {
        let Strategy::Brokered(brokered) = &self.strategy else { return Verdict::Alive };
        match brokered.broker.signs_of_death(answer) {
            Some(sign) => Verdict::Dead(sign),
            None => match used.absorb(answer.headers.get_all(SET_COOKIE), |name| brokered.broker.adopts(name), now) {
                Some(renewed) => match brokered.broker.renewed(renewed, now) {
                    Ok(renewed) => Verdict::Renewed(renewed),
                    Err(sign) => {
                        if sign == DeathSign::SomebodyElse {
                            let account = used.customer();
                            tracing::error!(account, "the upstream renewed a session with somebody else's: not used");
                        }
                        Verdict::Dead(sign)
                    }
                },
                None => Verdict::Alive,
            },
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

    /// The customer that the visitor is, for who logs them in by another way than [`CustomerSessions::ensure`].
    ///
    /// # Errors
    /// When they are none.
    pub async fn customer(&self, session: &Arc<LiveSession>) -> Result<Customer, CustomerFailed> {
        let Strategy::Brokered(brokered) = &self.strategy else { return Err(CustomerFailed::SessionEnded) };
        let (brokered, session) = (Arc::clone(brokered), Arc::clone(session));
        // Lives on if the visitor gives up: no half-done work.
        let task = tokio::spawn(async move {
            brokered.directory.ensure(session.identity(), deadline(brokered.broker.patience())).await
        });
        match task.await {
            Ok(customer) => Ok(customer?),
            Err(error) => {
                tracing::error!(%error, "finding a customer was broken off");
                Err(CustomerFailed::Interrupted)
            }
        }
    }

    /// The generation of a customer session that still serves, and of whose life 80 % are over: for who opens the next one by
    /// another way than [`CustomerSessions::ensure`].
    pub fn growing_old(&self, session: &LiveSession, now: Timestamp) -> Option<u64> {
        let held = session.customer_session()?;
        (Age::of(&held, now) == Age::Old).then(|| held.generation())
    }

    /// Whether there is a customer session that serves, as far as is known.
    pub fn serves(&self, session: &LiveSession, now: Timestamp) -> bool {
        session.customer_session().is_some_and(|held| Age::of(&held, now) != Age::Over)
    }

    /// Another way than [`CustomerSessions::ensure`] has led to no new customer session, and the old one goes on.
    pub fn not_renewed(&self, session: &LiveSession, failure: CustomerFailed, took: Duration) {
        let Strategy::Brokered(brokered) = &self.strategy else { return };
        tracing::warn!(session = %session.hash(), reason = failure.reason(), %failure, "no newer customer session");
        brokered.observer.note(&CustomerEvent::Failed { failure, took });
    }

    /// Holds a customer session that was opened by another way, which took so long.
    ///
    /// # Errors
    /// When the visitor's session has ended meanwhile; the customer session is then ended, too.
    pub async fn adopt(
        &self,
        session: &Arc<LiveSession>,
        opened: CustomerSession,
        took: Duration,
    ) -> Result<(), CustomerFailed> {
        let Strategy::Brokered(brokered) = &self.strategy else { return Err(CustomerFailed::SessionEnded) };
        let _turn = session.single_flight().lock().await;
        let account = opened.customer().to_owned();
        brokered.kept(session, opened).await?;
        tracing::info!(session = %session.hash(), account, "customer session opened by the visitor's browser");
        brokered.observer.note(&CustomerEvent::Opened { took });
        Ok(())
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

impl Brokered {
    /// Has a customer session opened by a task that lives on if this request does not.
    async fn obtain(
        self: &Arc<Self>,
        session: &Arc<LiveSession>,
        want: Want,
        now: Timestamp,
    ) -> Result<Arc<CustomerSession>, CustomerFailed> {
        let attempts = self.attempts.of(session.hash());
        let since = attempts.since();
        let (this, session) = (Arc::clone(self), Arc::clone(session));
        let task = tokio::spawn(async move { this.obtain_in_turn(&session, want, &attempts, since, now).await });
        task.await.unwrap_or_else(|error| {
            tracing::error!(%error, "opening a customer session was broken off");
            Err(CustomerFailed::Interrupted)
        })
    }

    /// Opens the next customer session while the old one still serves, unless somebody is at it or it failed just now.
    fn renew_behind(self: &Arc<Self>, session: &Arc<LiveSession>, now: Timestamp) {
        if !self.broker.opens_by_itself() {
            return;
        }
        let attempts = self.attempts.of(session.hash());
        let since = attempts.since();
        let idle = session.single_flight().try_lock().is_ok();
        if !idle || attempts.objection(since, now).is_some() {
            return;
        }
        let (this, session) = (Arc::clone(self), Arc::clone(session));
        tokio::spawn(async move {
            // The failure has been told to the observer; the old session still serves.
            let _ = this.obtain_in_turn(&session, Want::Newer, &attempts, since, now).await;
        });
    }

    async fn obtain_in_turn(
        &self,
        session: &Arc<LiveSession>,
        want: Want,
        attempts: &Attempts,
        since: Since,
        now: Timestamp,
    ) -> Result<Arc<CustomerSession>, CustomerFailed> {
        let _turn = session.single_flight().lock().await;
        if session.is_ended() {
            return Err(CustomerFailed::SessionEnded);
        }
        let held = session.customer_session();
        if let Some(held) = &held
            && self.serves(session, held, want, now).await
        {
            self.observer.note(&CustomerEvent::Reused);
            return Ok(Arc::clone(held));
        }
        if !self.broker.opens_by_itself() {
            return Err(BrokerFailed::BrowserHasToWalk.into());
        }
        if let Some(failure) = attempts.objection(since, self.clock.now()) {
            return Err(failure);
        }
        let watch = Stopwatch::start();
        // What died is not gone on with.
        let followed = held.as_deref().filter(|_| !matches!(want, Want::Instead { .. }));
        let opened = self.open(session, followed).await;
        let (took, now) = (watch.elapsed(), self.clock.now());
        match &opened {
            Ok(_) => {
                attempts.opened(now);
                self.observer.note(&CustomerEvent::Opened { took });
                let goes_on = self.known.is_some();
                if let Some(over) = held.filter(|held| Age::of(held, now) == Age::Over && !goes_on) {
                    self.end(&over).await;
                }
            }
            Err(failure) => {
                tracing::warn!(session = %session.hash(), reason = failure.reason(), %failure, "no customer session");
                attempts.failed(failure, now);
                self.observer.note(&CustomerEvent::Failed { failure: failure.clone(), took });
            }
        }
        opened
    }

    /// Whether the session that is held answers the want; another request may have seen to it meanwhile.
    async fn serves(&self, session: &LiveSession, held: &CustomerSession, want: Want, now: Timestamp) -> bool {
        match want {
            Want::Any => Age::of(held, now) != Age::Over,
            Want::Newer => Age::of(held, now) == Age::Fresh,
            Want::Instead { dead, .. } if held.generation() > dead => true,
            Want::Instead { dead, sign } => {
                let young = now.since(held.opened()) < YOUNG;
                let dead_for_sure = sign.is_certain() && (!young || sign == DeathSign::SomebodyElse);
                if !dead_for_sure && self.is_alive(held).await {
                    self.observer.note(&CustomerEvent::Suspected { sign, dead: false });
                    return true;
                }
                self.observer.note(&CustomerEvent::Suspected { sign, dead: true });
                // Nobody is to use it while the next one is being opened.
                self.sessions.drop_customer_session(session, dead);
                false
            }
        }
    }

    /// An upstream that does not tell gets the benefit of the doubt: a login would do no better there.
    async fn is_alive(&self, held: &CustomerSession) -> bool {
        match self.broker.is_alive(held, deadline(DOUBT)).await {
            Ok(alive) => alive,
            Err(error) => {
                tracing::debug!(%error, "the upstream does not tell whether a customer session lives");
                true
            }
        }
    }

    async fn open(
        &self,
        session: &Arc<LiveSession>,
        held: Option<&CustomerSession>,
    ) -> Result<Arc<CustomerSession>, CustomerFailed> {
        let deadline = deadline(self.broker.patience());
        let who = session.identity();
        let customer = self.customer(session, deadline).await?;
        let (generation, now) = (session.next_generation(), self.clock.now());
        let opening = Opening { who, customer: &customer, held, generation, now, deadline };
        let opened = self.broker.open_for(&opening).await?;
        let (hash, account) = (session.hash(), customer.account());
        if held.is_some() && self.known.is_some() {
            tracing::debug!(session = %hash, account, generation, "customer session renewed");
        } else {
            tracing::info!(session = %hash, account, generation, "customer session opened");
        }
        self.kept(session, opened).await
    }

    /// The customer that the visitor is: the directory is asked, unless it was not long ago. When it cannot be asked now,
    /// whom it found in order before goes on.
    async fn customer(
        &self,
        session: &LiveSession,
        deadline: tokio::time::Instant,
    ) -> Result<Customer, DirectoryFailed> {
        let Some(known) = &self.known else { return self.directory.ensure(session.identity(), deadline).await };
        let now = self.clock.now();
        if let Some(customer) = known.fresh(session.hash(), now) {
            return Ok(customer);
        }
        match self.directory.ensure(session.identity(), deadline).await {
            Ok(customer) => {
                known.learn(session.hash(), &customer, now);
                Ok(customer)
            }
            Err(failed) if failed.is_about_the_account() => Err(failed),
            Err(failed) => {
                let before = known.any(session.hash()).ok_or_else(|| failed.clone())?;
                tracing::warn!(session = %session.hash(), reason = failed.reason(), %failed, "a customer could not be looked at again; they go on");
                Ok(before)
            }
        }
    }

    /// Has the session keep what was opened. The old one may have been renewed meanwhile, by a slow answer, under the
    /// same generation: there was a reason to open this one, so it takes the next number and goes in its place.
    async fn kept(
        &self,
        session: &Arc<LiveSession>,
        mut opened: CustomerSession,
    ) -> Result<Arc<CustomerSession>, CustomerFailed> {
        for _ in 0..RENUMBERED {
            match self.sessions.keep_customer_session(session, opened.clone()).await {
                Ok(Kept::Kept) => return Ok(Arc::new(opened)),
                Ok(Kept::SessionEnded) => break,
                Ok(Kept::Older) => {
                    opened = opened.of_generation(session.next_generation());
                }
                Err(error) => {
                    tracing::warn!(session = %session.hash(), %error, "a customer session is held in memory only");
                    return Ok(Arc::new(opened));
                }
            }
        }
        self.end(&opened).await;
        Err(CustomerFailed::SessionEnded)
    }

    async fn end(&self, customer_session: &CustomerSession) {
        let ended = self.broker.end(customer_session, deadline(PARTING)).await;
        if let Err(error) = &ended {
            tracing::warn!(account = customer_session.customer(), %error, "a customer session may stay open upstream");
        }
        self.observer.note(&CustomerEvent::Ended { confirmed: ended.is_ok() });
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
