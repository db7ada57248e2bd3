//! Opening a customer session: one at a time for each visitor, in a task that lives on if its request does not.

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
    pub(super) async fn kept(
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

    pub(super) async fn end(&self, customer_session: &CustomerSession) {
        let ended = self.broker.end(customer_session, deadline(PARTING)).await;
        if let Err(error) = &ended {
            tracing::warn!(account = customer_session.customer(), %error, "a customer session may stay open upstream");
        }
        self.observer.note(&CustomerEvent::Ended { confirmed: ended.is_ok() });
    }
}
