//! Customer sessions that are opened by another way than [`CustomerSessions::ensure`]: by the visitor's own browser.

use std::sync::Arc;
use std::time::Duration;

use super::{CustomerSessions, Strategy};
use crate::clock::{Timestamp, deadline};
use crate::customer::lifetime::Age;
use crate::customer::{Customer, CustomerEvent, CustomerFailed};
use crate::session::{CustomerSession, LiveSession};

impl CustomerSessions {
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
}
