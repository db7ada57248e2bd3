//! The ways in which sessions end: signed out by the visitor, by the provider, by an operator, or by time.
//!
//! A session is refused here from the first moment; then the store forgets it. If the store cannot, it stays refused in
//! this process, the caller is told, and every sweep tries again.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use futures_util::future::join_all;

use super::super::customer_session::CustomerSession;
use super::super::entry::{Selector, SessionEntry};
use super::super::live::LiveSession;
use super::super::recent_logouts::{LogoutScope, ToldLogout};
use super::super::store::StoreError;
use super::{Inner, SessionNews, Sessions};
use crate::clock::Timestamp;
use crate::ids::SessionHash;
use crate::sign_in::SignOutHint;

/// Most sessions that one transaction sweeps.
const SWEPT_AT_ONCE: usize = 1000;

/// What ending one session came to.
#[derive(Debug)]
pub enum Ended {
    /// This call ended it. What was held for it is handed over, to be ended upstream.
    Now(Option<Arc<CustomerSession>>),
    /// It had ended before.
    Before,
}

/// A session that was ended by somebody else than its visitor.
pub struct EndedSession {
    /// Whose it was.
    pub entry: SessionEntry,
    /// The customer session, to be ended upstream. Only known for a session that is in memory: nobody can open a stored
    /// one without the visitor's cookie, so that what the upstream holds for it ends by the upstream's own timeout.
    pub customer_session: Option<Arc<CustomerSession>>,
    /// What its provider is told at sign-out, known under the same condition.
    pub hint: Option<SignOutHint>,
}

impl fmt::Debug for EndedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndedSession")
            .field("hash", &self.entry.hash)
            .field("customer_session", &self.customer_session)
            .finish_non_exhaustive()
    }
}

/// Not all sessions that were meant could be found or forgotten.
#[derive(Debug, thiserror::Error)]
#[error("not every session could be ended for good: {cause}")]
pub struct PartlyEnded {
    /// Those that are refused from now on, for good or at least until this process ends.
    pub ended: Vec<EndedSession>,
    /// What the store said.
    #[source]
    pub cause: StoreError,
}

impl Sessions {
    /// Ends a session, at once and for good. Any number of calls may do so at the same time.
    ///
    /// # Errors
    /// When the store could not forget it. It is refused in this process nevertheless.
    pub async fn end(&self, session: &LiveSession) -> Result<Ended, StoreError> {
        let first = session.mark_ended();
        let held = session.take_customer_session();
        self.inner.end(session.hash()).await?;
        Ok(if first { Ended::Now(held) } else { Ended::Before })
    }

    /// Ends all sessions that `selector` means, wherever they are.
    ///
    /// # Errors
    /// When the store could not tell or forget them all. Those in memory are refused in this process nevertheless.
    pub async fn end_matching(&self, selector: &Selector) -> Result<Vec<EndedSession>, PartlyEnded> {
        let inner = &*self.inner;
        let (hashes, mut fault) = match selector {
            Selector::Hash(hash) => (vec![*hash], None),
            _ => match inner.store.find_by_tag(&inner.keys.tags(selector)).await {
                Ok(hashes) => (hashes, None),
                Err(fault) => {
                    let all = inner.registry.all();
                    let meant = all.iter().filter(|live| live.entry().matches(selector));
                    (meant.map(|live| *live.hash()).collect(), Some(fault))
                }
            },
        };
        let mut ended = Vec::new();
        for (session, result) in join_all(hashes.iter().map(|hash| inner.end_unseen(hash))).await {
            ended.extend(session);
            fault = result.err().or(fault);
        }
        match fault {
            None => Ok(ended),
            Some(cause) => Err(PartlyEnded { ended, cause }),
        }
    }

    /// Ends those sessions that any of `selectors` means and that are in `scope`; and those, too, that a sign-in would open which
    /// has begun already (see [`Sessions::open_begun`]).
    ///
    /// # Errors
    /// When the store could not tell or forget them all. Those in memory are refused in this process nevertheless.
    pub async fn end_where(
        &self,
        selectors: &[Selector],
        scope: LogoutScope,
    ) -> Result<Vec<EndedSession>, PartlyEnded> {
        let inner = &*self.inner;
        let told = ToldLogout { selectors: selectors.to_vec(), scope, at: inner.clock.now() };
        inner.logouts.note(told.clone());
        inner.tell(SessionNews::LoggedOut(told.clone()));
        self.carry_out(&told).await
    }

    /// Ends the sessions that a logout means which was noted before, perhaps in another process.
    ///
    /// # Errors
    /// As for [`Sessions::end_where`].
    pub async fn carry_out(&self, told: &ToldLogout) -> Result<Vec<EndedSession>, PartlyEnded> {
        let inner = &*self.inner;
        let selectors = &told.selectors;
        let (mut hashes, mut fault) = (HashSet::new(), None);
        for selector in selectors {
            match inner.store.find_by_tag(&inner.keys.tags(selector)).await {
                Ok(found) => hashes.extend(found),
                Err(error) => fault = Some(error),
            }
        }
        // What the store cannot tell is looked for in memory.
        for live in inner.registry.all().iter().filter(|_| fault.is_some()) {
            if selectors.iter().any(|selector| live.entry().matches(selector)) {
                hashes.insert(*live.hash());
            }
        }
        let mut ended = Vec::new();
        for hash in hashes {
            match inner.entry_of(&hash).await {
                Ok(Some(entry)) if told.scope.means(&entry) => {
                    let (session, result) = inner.end_unseen(&hash).await;
                    ended.extend(session);
                    fault = result.err().or(fault);
                }
                Ok(_) => {}
                Err(error) => fault = Some(error),
            }
        }
        match fault {
            None => Ok(ended),
            Some(cause) => Err(PartlyEnded { ended, cause }),
        }
    }

    /// Ends all sessions whose time is over, and has the store forget what it could not forget before. Tells how many
    /// sessions were over. For a task that runs every minute or so.
    ///
    /// # Errors
    /// When the store could not be written.
    pub async fn sweep(&self, now: Timestamp) -> Result<usize, StoreError> {
        let inner = &*self.inner;
        let mut over = HashSet::new();
        for live in inner.registry.all() {
            if live.is_over(now) {
                inner.lay_down(&live);
                over.insert(*live.hash());
            }
        }
        loop {
            let swept = inner.store.sweep(now, SWEPT_AT_ONCE).await?;
            for hash in &swept {
                if let Some(live) = inner.registry.end(hash) {
                    inner.lay_down(&live);
                }
                inner.registry.forgotten(hash);
            }
            let last = swept.len() < SWEPT_AT_ONCE;
            over.extend(swept);
            if last {
                break;
            }
        }
        let unforgotten = inner.registry.not_forgotten();
        for forgotten in join_all(unforgotten.iter().map(|hash| inner.end(hash))).await {
            forgotten?;
        }
        Ok(over.len())
    }
}

impl Inner {
    /// Refuses a session from now on, and has the store forget it.
    pub(super) async fn end(&self, hash: &SessionHash) -> Result<bool, StoreError> {
        if let Some(live) = self.registry.end(hash) {
            live.mark_ended();
        }
        self.cache.invalidate(hash);
        self.tell(SessionNews::Ended(*hash));
        let known = self.store.forget(hash).await?;
        self.registry.forgotten(hash);
        Ok(known)
    }

    /// What may be known of a session without its cookie.
    async fn entry_of(&self, hash: &SessionHash) -> Result<Option<SessionEntry>, StoreError> {
        match self.store.load(hash).await {
            Ok(stored) => Ok(stored.and_then(|stored| self.entry(hash, &stored.index.sealed))),
            Err(error) => match self.registry.all().iter().find(|live| live.hash() == hash) {
                Some(live) => Ok(Some(live.entry())),
                None => Err(error),
            },
        }
    }

    /// Ends a session that no request has brought: what was known of it, and how the store took it.
    async fn end_unseen(&self, hash: &SessionHash) -> (Option<EndedSession>, Result<(), StoreError>) {
        let live = self.registry.end(hash);
        let ended = match &live {
            Some(live) => {
                let first = live.mark_ended();
                let customer_session = live.take_customer_session();
                first.then(|| EndedSession {
                    entry: live.entry(),
                    customer_session,
                    hint: live.sign_out_hint().cloned(),
                })
            }
            None => match self.store.load(hash).await {
                Ok(stored) => stored
                    .and_then(|stored| self.entry(hash, &stored.index.sealed))
                    .map(|entry| EndedSession { entry, customer_session: None, hint: None }),
                Err(_) => None, // the forgetting below will say what is wrong
            },
        };
        (ended, self.end(hash).await.map(drop))
    }
}
