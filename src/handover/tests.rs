//! What one process tells the other, in the order in which it has to be told.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::*;
use crate::clock::{Clock, Timestamp};
use crate::ids::SessionHash;
use crate::random::Random;
use crate::secret::Secret;
use crate::session::settings::{SessionSettings, StoreSettings};
use crate::session::store::SessionStore;
use crate::session::store::faulty::FaultyStore;
use crate::session::store::lent::Wished;
use crate::session::store::memory::MemoryStore;
use crate::session::{LogoutScope, Selector, Sessions};

type OldLine = Line<ToSuccessor, ToPredecessor>;
type NewLine = Line<ToPredecessor, ToSuccessor>;

fn lines() -> (OldLine, NewLine) {
    let (old, new) = UnixStream::pair().unwrap();
    (Line::over(old).unwrap(), Line::over(new).unwrap())
}

fn sessions(store: Arc<dyn SessionStore>) -> Sessions {
    let settings = SessionSettings {
        idle_timeout: Duration::from_secs(1800),
        absolute_timeout: Duration::from_secs(3600),
        cache_entries: 100,
        store: StoreSettings::Embedded { path: "unused".into() },
        keys: vec![Secret::generated("k".repeat(43))],
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
