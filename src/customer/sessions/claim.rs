//! A visitor gives the password that their upstream wants: the session that proves it is kept as theirs.

use std::sync::Arc;

use super::{Brokered, CustomerSessions, Strategy};
use crate::clock::{Stopwatch, Timestamp, deadline};
use crate::customer::claims::{ClaimFailed, PasswordClaims};
use crate::customer::{CustomerEvent, CustomerFailed};
use crate::secret::Secret;
use crate::session::LiveSession;

impl CustomerSessions {
    /// The same, where customers have to give a password.
    #[must_use]
    pub fn with_claims(mut self, claims: Arc<dyn PasswordClaims>) -> Self {
        if let Strategy::Brokered(brokered) = &mut self.strategy
            && let Some(brokered) = Arc::get_mut(brokered)
        {
            brokered.claims = Some(claims);
        }
        self
    }

    /// Whether customers have to give a password here.
    pub fn takes_passwords(&self) -> bool {
        matches!(&self.strategy, Strategy::Brokered(brokered) if brokered.claims.is_some())
    }

    /// Has the upstream send the visitor the mail by which they set a password.
    ///
    /// # Errors
    /// When it sends none, or too many were asked for.
    pub async fn ask_for_mail(&self, session: &Arc<LiveSession>, now: Timestamp) -> Result<(), ClaimFailed> {
        let (brokered, claims) = self.claimed(session, now)?;
        let session = Arc::clone(session);
        in_a_task(async move {
            let deadline = deadline(brokered.broker.patience());
            let customer = brokered.directory.ensure(session.identity(), deadline).await?;
            claims.send_mail(&customer, session.identity().display_name(), brokered.clock.now(), deadline).await
        })
        .await
    }

    /// Takes the visitor's password: proves it by a login, keeps it, and keeps the customer session of that login.
    ///
    /// # Errors
    /// When it is not the right one, or cannot be tried now.
    pub async fn claim(&self, session: &Arc<LiveSession>, password: Secret, now: Timestamp) -> Result<(), ClaimFailed> {
        let (brokered, claims) = self.claimed(session, now)?;
        let session = Arc::clone(session);
        in_a_task(async move { brokered.claim_in_turn(&*claims, &session, &password).await }).await
    }

    /// Counts what one visitor asks for: each costs calls to the upstream.
    fn claimed(
        &self,
        session: &Arc<LiveSession>,
        now: Timestamp,
    ) -> Result<(Arc<Brokered>, Arc<dyn PasswordClaims>), ClaimFailed> {
        let Strategy::Brokered(brokered) = &self.strategy else { return Err(CustomerFailed::SessionEnded.into()) };
        let Some(claims) = &brokered.claims else { return Err(CustomerFailed::SessionEnded.into()) };
        brokered.attempts.of(session.hash()).claimed(now).map_err(ClaimFailed::TooManyTries)?;
        Ok((Arc::clone(brokered), Arc::clone(claims)))
    }
}

impl Brokered {
    async fn claim_in_turn(
        &self,
        claims: &dyn PasswordClaims,
        session: &Arc<LiveSession>,
        password: &Secret,
    ) -> Result<(), ClaimFailed> {
        let _turn = session.single_flight().lock().await;
        if session.is_ended() {
            return Err(CustomerFailed::SessionEnded.into());
        }
        let (watch, deadline) = (Stopwatch::start(), deadline(self.broker.patience()));
        let customer = self.directory.ensure(session.identity(), deadline).await?;
        let generation = session.next_generation();
        let opened = claims.prove(&customer, password, generation, self.clock.now(), deadline).await?;
        self.kept(session, opened).await?;
        self.attempts.of(session.hash()).opened(self.clock.now());
        self.observer.note(&CustomerEvent::Opened { took: watch.elapsed() });
        Ok(())
    }
}

/// A visitor who gives up leaves nothing half done.
async fn in_a_task<F>(work: F) -> Result<(), ClaimFailed>
where
    F: Future<Output = Result<(), ClaimFailed>> + Send + 'static,
{
    tokio::spawn(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, "taking a customer's password was broken off");
        Err(CustomerFailed::Interrupted.into())
    })
}
