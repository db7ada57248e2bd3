//! Opening a customer session: one at a time for each visitor, in a task that lives on if its request does not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Brokered;
use crate::clock::{Stopwatch, Timestamp, deadline};
use crate::customer::attempts::{Attempts, Since};
use crate::customer::lifetime::Age;
use crate::customer::{BrokerFailed, Customer, CustomerEvent, CustomerFailed, DeathSign, DirectoryFailed, Opening};
use crate::session::{CustomerSession, Kept, LiveSession};

/// How often a newly opened session may find its number taken.
const RENUMBERED: u32 = 8;
/// How long a visitor who signs out is kept waiting for the upstream.
const PARTING: Duration = Duration::from_secs(5);
/// How long the upstream may think about whether a session lives.
const DOUBT: Duration = Duration::from_secs(5);
/// A session that died younger than this was perhaps not dead: ask before opening another.
const YOUNG: Duration = Duration::from_secs(10);
/// Why a customer session is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Want {
    /// There is none, or it is over.
    Any,
    /// The one there is will soon be over.
    Newer,
    /// This generation looks dead.
    Instead { dead: u64, sign: DeathSign },
}

impl Brokered {
    /// Has a customer session opened by a task that lives on if this request does not.
    pub(super) async fn obtain(
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
    pub(super) fn renew_behind(self: &Arc<Self>, session: &Arc<LiveSession>, now: Timestamp) {
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
        self: &Arc<Self>,
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
        let held = self.held(session);
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
        let left = matches!(want, Want::Instead { sign: DeathSign::OtherNode, .. });
        let left = held.as_ref().filter(|_| left).and_then(|held| held.node());
        let opened = self.open(session, followed, left).await;
        let (took, now) = (watch.elapsed(), self.clock.now());
        match &opened {
            Ok(_) => {
                attempts.opened(now);
                self.observer.note(&CustomerEvent::Opened { took });
                if let Some(left) = held.as_ref().filter(|_| left.is_some()) {
                    self.end_where_it_was_left(left);
                }
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
                let dead_for_sure = sign.is_certain() && (!young || sign.needs_no_question());
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
        left: Option<SocketAddr>,
    ) -> Result<Arc<CustomerSession>, CustomerFailed> {
        let deadline = deadline(self.broker.patience());
        let who = session.identity();
        let customer = self.customer(session, deadline).await?;
        let (generation, now) = (session.next_generation(), self.clock.now());
        let opening = Opening { who, customer: &customer, held, left, generation, now, deadline };
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
    pub(super) async fn kept(
        &self,
        session: &Arc<LiveSession>,
        opened: CustomerSession,
    ) -> Result<Arc<CustomerSession>, CustomerFailed> {
        let mut opened = opened.of_site(self.site.clone());
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

    /// The customer session that is held, when it is of this site.
    pub(super) fn held(&self, session: &LiveSession) -> Option<Arc<CustomerSession>> {
        session.customer_session().filter(|held| held.site() == self.site.as_ref())
    }

    /// Whether requests go where it is known.
    pub(super) fn is_within_reach(&self, held: &CustomerSession) -> bool {
        let (Some(nodes), Some(node)) = (&self.nodes, held.node()) else { return true };
        nodes.goes_to(node) || self.broker.outlives_its_node(held)
    }

    /// Ends a customer session at a node that requests no longer go to, where that can be: else it would stay open there until
    /// its own time is over.
    fn end_where_it_was_left(self: &Arc<Self>, left: &Arc<CustomerSession>) {
        let node = left.node().and_then(|node| self.nodes.as_ref()?.find(node));
        if node.is_some_and(|node| node.is_up()) {
            let (this, left) = (Arc::clone(self), Arc::clone(left));
            tokio::spawn(async move { this.end(&left).await });
        }
    }

    /// One of another site ends there by its own time: it is not shown to this one.
    pub(super) async fn end(&self, customer_session: &CustomerSession) {
        if customer_session.site() != self.site.as_ref() {
            return;
        }
        let ended = self.broker.end(customer_session, deadline(PARTING)).await;
        if let Err(error) = &ended {
            tracing::warn!(account = customer_session.customer(), %error, "a customer session may stay open upstream");
        }
        self.observer.note(&CustomerEvent::Ended { confirmed: ended.is_ok() });
    }
}
