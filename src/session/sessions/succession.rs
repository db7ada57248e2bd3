//! Two processes with one store, for as long as a handover takes: the one that serves from now on, and the one that ends
//! what it has begun. Each tells the other which sessions were ended, so that a sign-out counts in both at once.

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use super::super::recent_logouts::ToldLogout;
use super::super::store::lent::{Granted, Wish, grant};
use super::super::store::{StoreError, StoredIndex};
use super::{Inner, Sessions};
use crate::ids::SessionHash;

/// News that may wait for whoever passes them on. When there are more, none of it is to be relied on.
const WAITING: usize = 16 * 1024;

/// What the other process has to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionNews {
    /// This session was ended by somebody.
    Ended(SessionHash),
    /// A provider has told of this logout.
    LoggedOut(ToldLogout),
    /// Nobody knows which sessions were ended: only the next process says so to the one before.
    AnyMayHaveEnded,
}

/// Who told it. Processes stand in a row, each before the next one, so that news go on from one to the other and never come
/// back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToldBy {
    /// It happened here.
    ThisProcess,
    /// The process whose place this one has taken.
    TheOneBefore,
    /// The process that has taken this one's place.
    TheNextOne,
}

/// What only memory knows of sessions.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CarriedOver {
    /// Sessions that were ended and that the store could not forget yet.
    unforgotten: Vec<SessionHash>,
    /// Logouts that providers have told of lately.
    logouts: Vec<ToldLogout>,
}

impl Inner {
    /// Tells the other process, if there is one.
    pub(super) fn tell(&self, news: SessionNews) {
        self.pass_on(ToldBy::ThisProcess, news);
    }

    fn pass_on(&self, by: ToldBy, news: SessionNews) {
        if let Some(listeners) = self.news.get() {
            let _ = listeners.send((by, news));
        }
    }
}

impl Sessions {
    /// What happens from now on. Who has missed any of it knows nothing for sure, and has to take all sessions for ended.
    pub fn news(&self) -> broadcast::Receiver<(ToldBy, SessionNews)> {
        // Room for so many is made when somebody listens: most processes never have another one beside them.
        self.inner.news.get_or_init(|| broadcast::Sender::new(WAITING)).subscribe()
    }

    /// Takes note of what happened in another process.
    pub fn hears(&self, by: ToldBy, news: SessionNews) {
        let inner = &*self.inner;
        match &news {
            SessionNews::Ended(hash) => {
                if let Some(live) = inner.registry.end(hash) {
                    live.mark_ended();
                }
                inner.cache.invalidate(hash);
            }
            SessionNews::LoggedOut(told) => inner.logouts.note(told.clone()),
            SessionNews::AnyMayHaveEnded => {
                if by == ToldBy::TheNextOne {
                    self.trust_none();
                }
                return;
            }
        }
        // There may be a third process, which still ends what it began.
        inner.pass_on(by, news);
    }

    /// Nobody tells any more what has become of the sessions: whoever has one here has none from now on.
    pub fn trust_none(&self) {
        let inner = &*self.inner;
        for live in inner.registry.all() {
            inner.registry.end(live.hash());
            live.mark_ended();
            inner.cache.invalidate(live.hash());
        }
        inner.cache.invalidate_all();
        inner.pass_on(ToldBy::TheNextOne, SessionNews::AnyMayHaveEnded);
    }

    /// What the next process cannot read in the store.
    pub fn carried_over(&self) -> CarriedOver {
        CarriedOver { unforgotten: self.inner.registry.not_forgotten(), logouts: self.inner.logouts.all() }
    }

    /// The same as news, for a process that has missed some.
    pub fn told_lately(&self) -> Vec<SessionNews> {
        let CarriedOver { unforgotten, logouts } = self.carried_over();
        let ended = unforgotten.into_iter().map(SessionNews::Ended);
        ended.chain(logouts.into_iter().map(SessionNews::LoggedOut)).collect()
    }

    /// Goes on from what the process before had in memory.
    pub fn carry_on(&self, CarriedOver { unforgotten, logouts }: CarriedOver) {
        for hash in unforgotten {
            self.inner.registry.end(&hash);
        }
        for told in logouts {
            self.inner.logouts.note(told);
        }
    }

    /// Notes the use of all sessions, so that the next process finds it in the store.
    pub fn note_use(&self) {
        self.inner.write_all_back();
    }

    /// Does with the store what the other process wishes, as far as it agrees with what is known here.
    ///
    /// # Errors
    /// The store's.
    pub async fn grant(&self, wish: Wish) -> Result<Granted, StoreError> {
        let inner = &*self.inner;
        match wish {
            // Also in the memory of this process.
            Wish::Forget(hash) => inner.end(&hash).await.map(Granted::Was),
            Wish::Load(hash) if inner.registry.is_ending(&hash) => Ok(Granted::Session(None)),
            Wish::Touch(hash, index) => inner.touch_for_other(hash, index).await.map(|()| Granted::Done),
            other => grant(&*inner.store, other).await,
        }
    }
}

impl Inner {
    /// The other process knows of a use that may be older than one that was noted here: a session must not end the sooner
    /// for it.
    async fn touch_for_other(&self, hash: SessionHash, index: StoredIndex) -> Result<(), StoreError> {
        if let (Some(live), Some(entry)) = (self.registry.here(&hash), self.entry(&hash, &index.sealed)) {
            live.is_used(entry.last_seen);
        }
        match self.store.load(&hash).await? {
            Some(stored) if stored.index.swept_after <= index.swept_after => self.store.touch(&hash, index),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::super::entry::Selector;
    use super::super::super::recent_logouts::LogoutScope;
    use super::super::super::settings::{SessionSettings, StoreSettings};
    use super::super::super::store::lent::{LentStore, Wished};
    use super::super::super::store::memory::MemoryStore;
    use super::super::super::store::moving::MovingStore;
    use super::super::*;
    use crate::clock::Timestamp;
    use crate::portal::HostName;
    use crate::random::Random;
    use crate::secret::Secret;

    const START: Timestamp = Timestamp::from_seconds(1_700_000_000);
    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn portal() -> HostName {
        HostName::parse("support.acme.com").unwrap()
    }

    fn over(store: Arc<dyn SessionStore>, clock: &Clock) -> Sessions {
        let settings = SessionSettings {
            idle_timeout: Duration::from_secs(1800),
            absolute_timeout: Duration::from_secs(12 * 3600),
            cache_entries: 100,
            store: StoreSettings::Embedded { path: "/nowhere".into() },
            keys: vec![Secret::generated("a".repeat(43))],
        };
        Sessions::with_store(&settings, store, clock.clone(), Random::default()).unwrap()
    }

    async fn open(sessions: &Sessions, name: &str) -> (SessionId, Arc<LiveSession>) {
        let identity = VerifiedIdentity::for_test("okta", name, &format!("{name}@acme.com"));
        sessions.open(identity, None, portal(), CLIENT).await.unwrap()
    }

    /// A process that has handed its store over, and the next one; each hears what the other tells.
    struct Two {
        old: Sessions,
        new: Sessions,
        clock: Clock,
    }

    impl Two {
        async fn after(before: impl AsyncFnOnce(&Sessions, &Clock)) -> Self {
            let clock = Clock::manual(START);
            let (moving, arriving) = MovingStore::awaited().await;
            let moving = Arc::new(moving);
            arriving.arrives(Arc::new(MemoryStore::default()));
            let old = over(Arc::clone(&moving) as _, &clock);
            before(&old, &clock).await;
            old.note_use();
            let mut hand = moving.moves().await;
            let new = over(hand.leaves().unwrap(), &clock);
            new.carry_on(old.carried_over());
            let (lent, mut wished) = LentStore::new();
            hand.arrives(Arc::new(lent));
            let granting = new.clone();
            tokio::spawn(async move {
                while let Some(Wished { wish, answer }) = wished.recv().await {
                    let granted = granting.grant(wish).await;
                    if let Some(answer) = answer {
                        let _ = answer.send(granted);
                    }
                }
            });
            Self { old, new, clock }
        }

        /// Passes on what was told.
        fn pass_on(from: &mut broadcast::Receiver<(ToldBy, SessionNews)>, to: &Sessions) {
            while let Ok((_, news)) = from.try_recv() {
                to.hears(ToldBy::TheNextOne, news);
            }
        }
    }

    #[tokio::test]
    async fn a_session_goes_on_in_both_and_a_sign_out_in_one_ends_it_in_both() {
        let mut ids = None;
        let two = Two::after(async |old: &Sessions, _: &Clock| {
            ids = Some((open(old, "ana").await, open(old, "ben").await, open(old, "cho").await));
        })
        .await;
        let ((ana, at_old), (ben, ben_at_old), (cho, cho_at_old)) = ids.unwrap();
        let mut told = two.new.news();
        let at_new = two.new.find(&ana, &portal(), START).await.unwrap().unwrap();
        two.new.end(&at_new).await.unwrap();
        Two::pass_on(&mut told, &two.old);
        assert!(at_old.is_ended(), "what is open in the old process closes");
        assert!(matches!(two.old.cached(&ana, &portal(), START), Lookup::NotCached));
        assert_eq!(two.old.find(&ana, &portal(), START).await.unwrap().map(|_| ()), None);

        let at_new = two.new.find(&ben, &portal(), START).await.unwrap().unwrap();
        two.old.end(&ben_at_old).await.unwrap();
        assert!(at_new.is_ended(), "also the other way round, and without news");
        assert!(two.new.find(&ben, &portal(), START).await.unwrap().is_none());

        two.old.trust_none();
        assert!(cho_at_old.is_ended());
        assert!(two.old.find(&cho, &portal(), START).await.unwrap().is_none(), "nobody is believed any more");
        assert!(two.new.find(&cho, &portal(), START).await.unwrap().is_some(), "the new process knows better");
    }

    #[tokio::test]
    async fn a_sign_in_that_ends_in_the_old_process_is_a_session_of_the_new_one() {
        let two = Two::after(async |_: &Sessions, _: &Clock| {}).await;
        let (id, _) = open(&two.old, "ana").await;
        assert!(two.new.find(&id, &portal(), START).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn b57_a_logout_counts_for_sign_ins_that_another_process_began_or_ends() {
        let subject = |name: &str| Selector::Subject { issuer: "https://okta.example".into(), subject: name.into() };
        let ana = || VerifiedIdentity::for_test("okta", "ana", "ana@acme.com");
        let ben = || VerifiedIdentity::for_test("okta", "ben", "ben@acme.com");
        let two = Two::after(async |old: &Sessions, clock: &Clock| {
            clock.advance(Duration::from_secs(10));
            old.end_where(&[subject("ana")], LogoutScope::all()).await.unwrap();
        })
        .await;
        let begun = START.after(Duration::from_secs(5));
        let refused = two.new.open_begun(ana(), None, portal(), CLIENT, begun).await;
        assert_eq!(refused.map(|_| ()), Err(OpenError::EndedMeanwhile), "told before the handover");
        let mut told = two.new.news();
        two.new.end_where(&[subject("ben")], LogoutScope::all()).await.unwrap();
        Two::pass_on(&mut told, &two.old);
        let refused = two.old.open_begun(ben(), None, portal(), CLIENT, begun).await;
        assert_eq!(refused.map(|_| ()), Err(OpenError::EndedMeanwhile), "told after the handover, to the new process");
    }

    #[tokio::test]
    async fn news_go_on_in_the_row_and_nobody_before_ends_the_sessions_of_the_next_one() {
        let mut opened = None;
        let two = Two::after(async |old: &Sessions, _: &Clock| opened = Some(open(old, "ana").await)).await;
        let (id, at_old) = opened.unwrap();
        let at_new = two.new.find(&id, &portal(), START).await.unwrap().unwrap();
        let mut told = two.old.news();
        let other = SessionNews::Ended(SessionHash::from_bytes([7; 32]));
        two.old.hears(ToldBy::TheNextOne, other.clone());
        assert_eq!(told.try_recv(), Ok((ToldBy::TheNextOne, other)), "for a third process, which came before");
        two.new.hears(ToldBy::TheOneBefore, SessionNews::AnyMayHaveEnded);
        assert!(!at_new.is_ended());
        two.old.hears(ToldBy::TheNextOne, SessionNews::AnyMayHaveEnded);
        assert!(at_old.is_ended());
        assert_eq!(told.try_recv(), Ok((ToldBy::TheNextOne, SessionNews::AnyMayHaveEnded)));
    }

    #[tokio::test]
    async fn a_use_that_the_old_process_notes_late_shortens_nothing() {
        let mut id = None;
        let two = Two::after(async |old: &Sessions, _: &Clock| id = Some(open(old, "ana").await)).await;
        let (id, at_old) = id.unwrap();
        two.clock.advance(Duration::from_secs(20 * 60));
        let now = two.clock.now();
        assert!(two.new.find(&id, &portal(), now).await.unwrap().is_some());
        two.new.flush().await.unwrap();
        at_old.is_used(START.after(Duration::from_secs(60)));
        two.old.close().await.unwrap();
        two.clock.advance(Duration::from_secs(20 * 60));
        assert_eq!(two.new.sweep(two.clock.now()).await, Ok(0));
        assert!(two.new.find(&id, &portal(), two.clock.now()).await.unwrap().is_some());
    }
}
