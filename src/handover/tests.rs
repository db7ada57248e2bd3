//! What one process tells the other, in the order in which it has to be told.

use std::cell::Cell;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::*;
use crate::clock::{Clock, Timestamp};
use crate::ids::SessionHash;
use crate::portal::HostName;
use crate::random::Random;
use crate::secret::Secret;
use crate::session::settings::{SessionSettings, StoreSettings};
use crate::session::store::SessionStore;
use crate::session::store::faulty::FaultyStore;
use crate::session::store::lent::Wished;
use crate::session::store::memory::MemoryStore;
use crate::session::{LogoutScope, Selector, Sessions, ToldBy};
use crate::sign_in::VerifiedIdentity;

type OldLine = Line<ToSuccessor, ToPredecessor>;
type NewLine = Line<ToPredecessor, ToSuccessor>;

fn lines() -> (OldLine, NewLine) {
    let (old, new) = UnixStream::pair().unwrap();
    (Line::over(old).unwrap(), Line::over(new).unwrap())
}

fn sessions(store: Arc<dyn SessionStore>) -> Sessions {
    sealed_by(&["k"], store)
}

/// With these keys, of which the first seals.
fn sealed_by(keys: &[&str], store: Arc<dyn SessionStore>) -> Sessions {
    let settings = SessionSettings {
        idle_timeout: Duration::from_secs(1800),
        absolute_timeout: Duration::from_secs(3600),
        cache_entries: 100,
        store: StoreSettings::Embedded { path: "unused".into() },
        keys: keys.iter().map(|key| Secret::generated(key.repeat(43))).collect(),
    };
    let clock = Clock::manual(Timestamp::from_seconds(1_800_000_000));
    Sessions::with_store(&settings, store, clock, Random::default()).unwrap()
}

async fn logs_out(sessions: &Sessions) {
    let ana = Selector::Subject { issuer: "https://okta.example".into(), subject: "ana".into() };
    sessions.end_where(&[ana], LogoutScope::all()).await.unwrap();
}

#[tokio::test]
async fn b57_the_store_answers_the_process_before_after_the_logouts_that_were_told_until_then() {
    let (mut old, new) = lines();
    let store = FaultyStore::over(Arc::new(MemoryStore::default()));
    store.gate.forget_permits(usize::MAX);
    let sessions = sessions(Arc::clone(&store) as _);
    let lending = tokio::spawn(lend(new, (sessions.clone(), sessions.news()), || {}, |_| {}));
    assert!(matches!(old.next().await, Some(ToPredecessor::Serving)));
    for number in 0..32 {
        old.send(ToSuccessor::Wish { number, wish: Wish::Load(SessionHash::from_bytes([7; 32])) });
        while store.loads.load(Ordering::SeqCst) <= usize::try_from(number).unwrap() {
            tokio::task::yield_now().await;
        }
        // The answer is on its way before anybody looks for news.
        store.gate.add_permits(1);
        logs_out(&sessions).await;
        assert!(matches!(old.next().await, Some(ToPredecessor::News(SessionNews::LoggedOut(_)))));
        assert!(matches!(old.next().await, Some(ToPredecessor::Granted { .. })));
    }
    old.hang_up().await;
    lending.await.unwrap();
}

#[tokio::test]
async fn b57_the_next_process_hears_of_a_logout_before_it_is_asked_whom_that_means() {
    for _ in 0..32 {
        let (old, mut new) = lines();
        let sessions = sessions(Arc::new(MemoryStore::default()));
        let news = sessions.news();
        logs_out(&sessions).await;
        let (wish, wishes) = mpsc::channel(1);
        let (answer, _answered) = oneshot::channel();
        wish.send(Wished { wish: Wish::FindByTag(Vec::new()), answer: Some(answer) }).await.unwrap();
        let (_sign_in, sign_ins) = mpsc::unbounded_channel();
        let (finished, done) = watch::channel(false);
        let talking = tokio::spawn(last_exchanges(LastWords { line: old, wishes, news, sign_ins }, sessions, done));
        assert!(matches!(new.next().await, Some(ToSuccessor::Alone)));
        assert!(matches!(new.next().await, Some(ToSuccessor::News(SessionNews::LoggedOut(_)))));
        assert!(matches!(new.next().await, Some(ToSuccessor::Wish { .. })));
        finished.send_replace(true);
        talking.await.unwrap();
    }
}

#[tokio::test]
async fn b57_a_logout_that_the_process_before_is_told_of_means_sessions_under_a_new_key_too() {
    let store: Arc<dyn SessionStore> = Arc::new(MemoryStore::default());
    let (before, after) = (sealed_by(&["k"], Arc::clone(&store)), sealed_by(&["n", "k"], store));
    let ana = VerifiedIdentity::for_test("okta", "ana", "ana@acme.com");
    let host = HostName::parse("support.acme.com").unwrap();
    let (_, session) = after.open(ana, None, host, "127.0.0.1".parse().unwrap()).await.unwrap();
    let (old, new) = lines();
    let mut news = before.news();
    logs_out(&before).await;
    assert!(!session.is_ended(), "it is not found by the keys of the process before");
    while let Ok((_, told)) = news.try_recv() {
        old.send(ToSuccessor::News(told));
    }
    old.hang_up().await;
    let alone = Cell::new(0);
    lend(new, (after.clone(), after.news()), || alone.set(alone.get() + 1), |_| {}).await;
    assert_eq!(alone.get(), 1, "the process before has died without a word");
    while !session.is_ended() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn b57_logouts_are_told_once_more_when_there_were_more_news_than_can_wait() {
    let (old, mut new) = lines();
    let sessions = sessions(Arc::new(MemoryStore::default()));
    let news = sessions.news();
    logs_out(&sessions).await;
    for _ in 0..20_000 {
        sessions.hears(ToldBy::ThisProcess, SessionNews::Ended(SessionHash::from_bytes([7; 32])));
    }
    let (_wish, wishes) = mpsc::channel(1);
    let (_sign_in, sign_ins) = mpsc::unbounded_channel();
    let (finished, done) = watch::channel(false);
    let talking = tokio::spawn(last_exchanges(LastWords { line: old, wishes, news, sign_ins }, sessions, done));
    while !matches!(new.next().await, Some(ToSuccessor::News(SessionNews::LoggedOut(_)))) {}
    finished.send_replace(true);
    let rest = tokio::spawn(async move { while new.next().await.is_some() {} });
    talking.await.unwrap();
    rest.await.unwrap();
}
