use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{Barrier, Semaphore};

use super::super::entry::Selector;
use super::super::recent_logouts::LogoutScope;
use super::super::sealed::{Kind, Sealed, SealingKey};
use super::super::store::faulty::FaultyStore;
use super::super::store::memory::MemoryStore;
use super::*;
use crate::saml::name_id::NameId;
use crate::secret::Secret;
use crate::sign_in::SamlSession;

const START: Timestamp = Timestamp::from_seconds(1_700_000_000);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

fn key(letter: &str) -> Secret {
    Secret::generated(letter.repeat(43))
}

fn settings(keys: &[Secret]) -> SessionSettings {
    SessionSettings {
        idle_timeout: MINUTE * 30,
        absolute_timeout: HOUR * 12,
        cache_entries: 1000,
        store: StoreSettings::Embedded { path: "/nowhere".into() },
        keys: keys.to_vec(),
    }
}

fn portal() -> HostName {
    HostName::parse("support.acme.com").unwrap()
}

fn ana() -> VerifiedIdentity {
    VerifiedIdentity::for_test("okta", "ana", "ana@acme.com")
}

/// `ana`, whose provider wants the session to end at that moment.
fn ana_until(not_after: Timestamp) -> VerifiedIdentity {
    let mut json = serde_json::to_value(ana()).unwrap();
    json["not_after"] = serde_json::to_value(not_after).unwrap();
    serde_json::from_value(json).unwrap()
}

/// One gateway process over a store that outlives it.
struct Process {
    sessions: Sessions,
    store: Arc<FaultyStore>,
    clock: Clock,
}

impl Process {
    fn new() -> Self {
        Self::over(Arc::new(MemoryStore::default()), Clock::manual(START), &[key("a")])
    }

    fn over(store: Arc<dyn SessionStore>, clock: Clock, keys: &[Secret]) -> Self {
        let store = FaultyStore::over(store);
        let seam: Arc<dyn SessionStore> = Arc::<FaultyStore>::clone(&store);
        let sessions = Sessions::with_store(&settings(keys), seam, clock.clone(), Random::default()).unwrap();
        Self { sessions, store, clock }
    }

    /// Another process on the same store: nothing is in memory.
    fn restarted(&self, keys: &[Secret]) -> Self {
        Self::over(Arc::<FaultyStore>::clone(&self.store), self.clock.clone(), keys)
    }

    async fn open(&self, identity: VerifiedIdentity) -> (SessionId, Arc<LiveSession>) {
        self.sessions
            .open(identity, Some(SignOutHint::IdToken(Secret::generated("id-token"))), portal(), CLIENT)
            .await
            .unwrap()
    }

    async fn find(&self, id: &SessionId) -> Option<Arc<LiveSession>> {
        self.sessions.find(id, &portal(), self.clock.now()).await.unwrap()
    }

    fn is_cached(&self, id: &SessionId) -> bool {
        matches!(self.sessions.cached(id, &portal(), self.clock.now()), Lookup::Found(_))
    }
}

fn customer_session(generation: u64) -> CustomerSession {
    let cookie = super::super::UpstreamCookie {
        name: "JSESSIONID".into(),
        value: Secret::generated(format!("jsm-cookie-{generation}")),
        path: "/".into(),
    };
    CustomerSession::new(generation, "ana@acme.com", vec![cookie], START, None)
}

fn subject(name: &str) -> Selector {
    Selector::Subject { issuer: "https://okta.example".into(), subject: name.into() }
}

fn provider_session(name: &str) -> Selector {
    Selector::ProviderSession { issuer: "https://okta.example".into(), sid: format!("sid-{name}") }
}

#[tokio::test]
async fn an_opened_session_is_found_in_memory_and_after_a_restart() {
    let process = Process::new();
    let (id, live) = process.open(ana()).await;
    assert!(process.is_cached(&id));
    assert!(Arc::ptr_eq(&live, &process.find(&id).await.unwrap()));
    assert_eq!(process.sessions.keep_customer_session(&live, customer_session(1)).await, Ok(Kept::Kept));

    let after = process.restarted(&[key("a")]);
    assert!(matches!(after.sessions.cached(&id, &portal(), START), Lookup::NotCached));
    let found = after.find(&id).await.unwrap();
    assert_eq!(found.identity().subject(), "ana");
    let Some(SignOutHint::IdToken(token)) = found.sign_out_hint() else { panic!() };
    assert_eq!(token.reveal(), "id-token");
    assert_eq!((found.portal(), found.client(), found.opened()), (&portal(), CLIENT, START));
    assert_eq!(found.customer_session().unwrap().cookie_header("/").unwrap(), "JSESSIONID=jsm-cookie-1");
    assert_eq!(found.next_generation(), 2);
    assert!(after.is_cached(&id));
}

#[tokio::test]
async fn c2_every_sign_in_has_a_new_id() {
    let process = Process::new();
    let (before, _) = process.open(ana()).await;
    let (after, _) = process.open(ana()).await;
    assert!(before != after);
    // An id of the right shape that was never given out is nobody's, and stays so.
    let planted = SessionId::generate(&Random::default()).unwrap();
    assert!(process.find(&planted).await.is_none());
    process.open(ana()).await;
    assert!(process.find(&planted).await.is_none());
}

#[tokio::test]
async fn a_session_of_another_portal_is_not_found() {
    let process = Process::new();
    let (id, _) = process.open(ana()).await;
    let other = HostName::parse("support.globex.com").unwrap();
    assert!(matches!(process.sessions.cached(&id, &other, START), Lookup::Refused));
    assert!(process.sessions.find(&id, &other, START).await.unwrap().is_none());
    assert!(process.restarted(&[key("a")]).sessions.find(&id, &other, START).await.unwrap().is_none());
    assert!(process.find(&id).await.is_some());
}

#[tokio::test]
async fn c6_idle_sessions_end() {
    let process = Process::new();
    let (id, live) = process.open(ana()).await;
    process.clock.advance(MINUTE * 29);
    assert!(process.find(&id).await.is_some());
    assert_eq!(live.expires(), process.clock.now().after(MINUTE * 30));
    process.clock.advance(MINUTE * 29);
    assert!(process.is_cached(&id), "used in between");
    process.clock.advance(MINUTE * 30);
    assert!(!process.is_cached(&id));
    assert!(live.is_ended());
    assert!(process.find(&id).await.is_none());
}

#[tokio::test]
async fn c6_sessions_end_after_the_absolute_timeout_however_busy() {
    let process = Process::new();
    let (id, _) = process.open(ana()).await;
    for _ in 0..(12 * 4 - 1) {
        process.clock.advance(MINUTE * 15);
        assert!(process.find(&id).await.is_some());
    }
    process.clock.advance(MINUTE * 15);
    assert!(process.find(&id).await.is_none());
    assert!(process.restarted(&[key("a")]).find(&id).await.is_none());
}

#[tokio::test]
async fn c6_the_providers_limit_ends_a_session() {
    let process = Process::new();
    let (id, live) = process.open(ana_until(START.after(MINUTE * 5))).await;
    assert_eq!(live.expires(), START.after(MINUTE * 5));
    process.clock.advance(MINUTE * 4);
    assert!(process.find(&id).await.is_some());
    process.clock.advance(MINUTE);
    assert!(process.find(&id).await.is_none());
    let over = process.sessions.open(ana_until(START), None, portal(), CLIENT).await;
    assert_eq!(over.map(drop), Err(OpenError::Over));
}

#[tokio::test]
async fn c6_a_clock_that_jumps_back_revives_nothing() {
    let process = Process::new();
    let (id, live) = process.open(ana()).await;
    let late = START.after(MINUTE * 31);
    assert!(process.sessions.find(&id, &portal(), late).await.unwrap().is_none());
    assert!(process.sessions.find(&id, &portal(), START).await.unwrap().is_none());
    process.sessions.sweep(START).await.unwrap();
    assert!(process.restarted(&[key("a")]).find(&id).await.is_none());
    drop(live);

    let (id, live) = process.open(ana()).await;
    let used = START.after(MINUTE * 20);
    assert!(process.sessions.find(&id, &portal(), used).await.unwrap().is_some());
    assert!(process.sessions.find(&id, &portal(), START).await.unwrap().is_some());
    assert_eq!(live.last_seen(), used, "the past does not count as use");
}

#[tokio::test]
async fn c7_an_ended_session_is_refused_at_once_and_for_good() {
    let process = Process::new();
    let (id, live) = process.open(ana()).await;
    process.sessions.keep_customer_session(&live, customer_session(1)).await.unwrap();
    let Ended::Now(Some(held)) = process.sessions.end(&live).await.unwrap() else { panic!("ended now") };
    assert_eq!(held.generation(), 1);
    assert!(live.is_ended() && live.customer_session().is_none());
    assert!(!process.is_cached(&id));
    assert!(process.find(&id).await.is_none());
    assert!(process.restarted(&[key("a")]).find(&id).await.is_none());
    assert!(matches!(process.sessions.end(&live).await, Ok(Ended::Before)));
    assert_eq!(process.sessions.count().await, Ok(0));
    assert_eq!(
        process.sessions.keep_customer_session(&live, customer_session(2)).await,
        Ok(Kept::SessionEnded),
        "what a slow broker brings must be ended upstream"
    );
    assert!(live.customer_session().is_none());
}

#[tokio::test]
async fn c7_a_cached_session_is_refused_from_the_moment_it_is_ended() {
    let process = Process::new();
    let (id, live) = process.open(ana()).await;
    live.mark_ended(); // nothing else has happened yet
    assert!(matches!(process.sessions.cached(&id, &portal(), START), Lookup::Refused));
    assert!(process.find(&id).await.is_none());
    let mine = LiveSession::for_test(ana(), &portal(), START);
    assert!(process.sessions.inner.admitted(mine, &portal(), START).is_some());
}

#[tokio::test]
async fn whoever_asks_for_many_codes_pushes_out_their_own_alone() {
    let process = Process::new();
    let ((_, honest), (_, greedy)) = (process.open(ana()).await, process.open(ana()).await);
    let hand = |session| process.sessions.hand(session, &portal(), "state", START).unwrap();
    let take = |code: &str| process.sessions.take_handed(code, &portal(), "state", START);
    let code = hand(&honest);
    let many: Vec<String> = (0..20_000).map(|_| hand(&greedy)).collect();
    assert!(take(&code).is_ok());
    assert_eq!(take(&many[0]).err(), Some(NotHanded::Unknown));
    assert_eq!(many.iter().filter(|code| take(code).is_ok()).count(), 16);
    assert!(take(&hand(&honest)).is_ok(), "who comes last is not the one that is left out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn c7_a_write_back_does_not_revive_an_ended_session() {
    for _ in 0..50 {
        let process = Process::new();
        let (id, live) = process.open(ana()).await;
        process.clock.advance(MINUTE * 2);
        let (sessions, now) = (process.sessions.clone(), process.clock.now());
        let (keeping, ending) = (Arc::clone(&live), Arc::clone(&live));
        let (one, two, used) = (sessions.clone(), sessions.clone(), id.clone());
        // All three at once.
        let start = Arc::new(Barrier::new(3));
        let [to_keep, to_end, to_find] = [(); 3].map(|()| Arc::clone(&start));
        let tasks = [
            tokio::spawn(async move {
                to_keep.wait().await;
                assert_ne!(one.keep_customer_session(&keeping, customer_session(1)).await, Ok(Kept::Older))
            }),
            tokio::spawn(async move {
                to_end.wait().await;
                drop(two.end(&ending).await.unwrap());
            }),
            tokio::spawn(async move {
                to_find.wait().await;
                drop(sessions.find(&used, &portal(), now).await.unwrap());
            }),
        ];
        for task in tasks {
            task.await.unwrap();
        }
        process.sessions.flush().await.unwrap();
        assert!(live.customer_session().is_none());
        assert!(process.find(&id).await.is_none());
        assert!(process.restarted(&[key("a")]).find(&id).await.is_none());
    }
}

#[tokio::test]
async fn c7_a_session_ended_while_it_is_loaded_does_not_arrive() {
    let process = Process::new();
    let (id, _) = process.open(ana()).await;
    let after = process.restarted(&[key("a")]);
    after.store.gate.forget_permits(Semaphore::MAX_PERMITS);
    let (sessions, asked) = (after.sessions.clone(), id.clone());
    let loading = tokio::spawn(async move { sessions.find(&asked, &portal(), START).await });
    while after.store.loads.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    // The record has been read; now the sign-out arrives, and finds it in the store.
    let (sessions, selector) = (after.sessions.clone(), Selector::Hash(id.hash()));
    let ending = tokio::spawn(async move { sessions.end_matching(&selector).await });
    while after.store.loads.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    after.store.gate.add_permits(100);
    assert_eq!(ending.await.unwrap().unwrap().len(), 1);
    assert!(loading.await.unwrap().unwrap().is_none());
    assert!(after.find(&id).await.is_none());
}

#[tokio::test]
async fn a_store_that_cannot_forget_is_told_and_tried_again() {
    let process = Process::new();
    let (id, live) = process.open(ana()).await;
    process.store.fail_writes(Some(StoreError::Busy));
    assert_eq!(process.sessions.end(&live).await.map(drop), Err(StoreError::Busy));
    drop(live);
    assert!(process.find(&id).await.is_none(), "refused here all the same");
    assert_eq!(process.sessions.health(), Err(StoreError::Busy));
    assert_eq!(process.sessions.sweep(START).await, Err(StoreError::Busy));
    process.store.fail_writes(None);
    assert_eq!(process.sessions.sweep(START).await, Ok(0));
    assert_eq!(process.sessions.count().await, Ok(0));
}

#[tokio::test]
async fn a_store_that_cannot_be_read_is_not_a_missing_session() {
    let process = Process::new();
    let (id, _) = process.open(ana()).await;
    let after = process.restarted(&[key("a")]);
    after.store.fail_reads(Some(StoreError::Busy));
    assert_eq!(after.sessions.find(&id, &portal(), START).await.map(drop), Err(StoreError::Busy));
    assert!(process.find(&id).await.is_some(), "whoever is in memory notices nothing");
    after.store.fail_reads(None);
    assert!(after.find(&id).await.is_some());
}

#[tokio::test]
async fn nobody_is_signed_in_by_a_store_that_cannot_write() {
    let process = Process::new();
    process.store.fail_writes(Some(StoreError::Busy));
    let opened = process.sessions.open(ana(), None, portal(), CLIENT).await;
    assert_eq!(opened.map(drop), Err(OpenError::Store(StoreError::Busy)));
    assert_eq!(process.sessions.cached_count(), 0);
}

#[tokio::test]
async fn one_of_many_requests_loads() {
    let process = Process::new();
    let (id, _) = process.open(ana()).await;
    let after = process.restarted(&[key("a")]);
    after.store.gate.forget_permits(Semaphore::MAX_PERMITS);
    let requests: Vec<_> = (0..100)
        .map(|_| {
            let (sessions, id) = (after.sessions.clone(), id.clone());
            tokio::spawn(async move { sessions.find(&id, &portal(), START).await.unwrap().unwrap() })
        })
        .collect();
    tokio::task::yield_now().await;
    after.store.gate.add_permits(100);
    let mut found = Vec::new();
    for request in requests {
        found.push(request.await.unwrap());
    }
    assert_eq!(after.store.loads.load(Ordering::SeqCst), 1);
    assert!(found.iter().all(|live| Arc::ptr_eq(live, &found[0])));
}

#[tokio::test]
async fn a_request_that_gives_up_loading_leaves_the_way_free() {
    let process = Process::new();
    let (id, _) = process.open(ana()).await;
    let after = process.restarted(&[key("a")]);
    after.store.gate.forget_permits(Semaphore::MAX_PERMITS);
    let (sessions, asked) = (after.sessions.clone(), id.clone());
    let gone = tokio::spawn(async move { sessions.find(&asked, &portal(), START).await });
    while after.store.loads.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    after.store.gate.add_permits(100);
    assert!(after.find(&id).await.is_some());
}

#[tokio::test]
async fn a_session_that_the_cache_dropped_has_no_second_copy() {
    let process = Process::new();
    let (id, live) = process.open(ana()).await;
    process.sessions.inner.cache.invalidate_all();
    assert!(!process.is_cached(&id));
    assert!(Arc::ptr_eq(&live, &process.find(&id).await.unwrap()));
    assert_eq!(process.store.loads.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn use_is_written_coarsely() {
    let process = Process::new();
    let (id, _) = process.open(ana()).await;
    for _ in 0..59 {
        process.clock.advance(Duration::from_secs(1));
        assert!(process.is_cached(&id));
    }
    assert_eq!(process.store.touches.load(Ordering::SeqCst), 0);
    for _ in 0..116 {
        process.clock.advance(Duration::from_secs(1));
        assert!(process.is_cached(&id));
    }
    assert_eq!(process.store.touches.load(Ordering::SeqCst), 2, "once a minute");
    process.clock.advance(Duration::from_secs(4));
    assert!(process.is_cached(&id));
    process.sessions.flush().await.unwrap();
    assert_eq!(process.store.touches.load(Ordering::SeqCst), 3, "and at the end");
    let found = process.restarted(&[key("a")]).find(&id).await.unwrap();
    assert_eq!(found.last_seen(), process.clock.now());
}

#[tokio::test]
async fn use_that_was_not_written_is_written_with_the_next() {
    let process = Process::new();
    let (id, _) = process.open(ana()).await;
    process.store.fail_writes(Some(StoreError::Busy));
    process.clock.advance(MINUTE);
    assert!(process.is_cached(&id));
    process.store.fail_writes(None);
    process.clock.advance(Duration::from_secs(1));
    assert!(process.is_cached(&id));
    assert_eq!(process.sessions.list(10).await.unwrap().sessions[0].last_seen, process.clock.now());
}

#[tokio::test]
async fn a_short_idle_timeout_is_written_in_tenths() {
    let mut settings = settings(&[key("a")]);
    settings.idle_timeout = Duration::from_secs(50);
    assert_eq!(Lifetimes::of(&settings).write_back, Duration::from_secs(5));
}

#[tokio::test]
async fn a_sweep_ends_what_is_over_everywhere() {
    let process = Process::new();
    let (old, _) = process.open(ana()).await;
    process.clock.advance(MINUTE * 20);
    let (new, _) = process.open(ana()).await;
    process.clock.advance(MINUTE * 15);
    assert_eq!(process.sessions.sweep(process.clock.now()).await, Ok(1));
    assert!(process.find(&old).await.is_none());
    assert!(process.find(&new).await.is_some());
    assert_eq!(process.sessions.count().await, Ok(1));

    let after = process.restarted(&[key("a")]);
    process.clock.advance(HOUR);
    assert_eq!(after.sessions.sweep(process.clock.now()).await, Ok(1), "also what is in nobody's memory");
    assert_eq!(after.sessions.count().await, Ok(0));
}

#[tokio::test]
async fn a_sweep_spares_sessions_whose_use_is_not_yet_written() {
    let process = Process::new();
    let (id, live) = process.open(ana()).await;
    process.clock.advance(Duration::from_secs(59));
    assert!(process.is_cached(&id));
    process.clock.advance(MINUTE * 30 - Duration::from_secs(1));
    assert_eq!(process.sessions.sweep(process.clock.now()).await, Ok(0));
    assert!(process.is_cached(&id) && !live.is_ended());
}

#[tokio::test]
async fn sign_out_by_the_provider_finds_its_sessions() {
    let process = Process::new();
    let (ana_1, live) = process.open(ana()).await;
    let (ana_2, _) = process.open(ana()).await;
    let (ben, _) = process.open(VerifiedIdentity::for_test("okta", "ben", "ben@acme.com")).await;
    let (other, _) = process.open(VerifiedIdentity::for_test("adfs", "ana", "ana@acme.com")).await;
    process.sessions.keep_customer_session(&live, customer_session(1)).await.unwrap();

    assert!(process.sessions.end_matching(&provider_session("nobody")).await.unwrap().is_empty());
    let ended = process.sessions.end_matching(&subject("ana")).await.unwrap();
    assert_eq!(ended.len(), 2);
    assert_eq!(ended.iter().filter(|session| session.customer_session.is_some()).count(), 1);
    assert!(ended.iter().all(|session| session.entry.email.as_ref().unwrap().as_str() == "ana@acme.com"));
    assert!(process.find(&ana_1).await.is_none() && process.find(&ana_2).await.is_none());
    assert!(process.find(&ben).await.is_some() && process.find(&other).await.is_some());

    // The same for a session that is in nobody's memory.
    let after = process.restarted(&[key("a")]);
    let ended = after.sessions.end_matching(&provider_session("ben")).await.unwrap();
    assert_eq!(ended.len(), 1);
    assert_eq!((ended[0].entry.subject.as_str(), ended[0].customer_session.is_none()), ("ben", true));
    assert!(after.find(&ben).await.is_none());
    assert!(after.sessions.end_matching(&Selector::Hash(other.hash())).await.unwrap().len() == 1);
}

/// A session that began by SAML, with that NameID and those SessionIndexes.
async fn open_by_saml(process: &Process, value: &str, indexes: &[&str]) -> (SessionId, Arc<LiveSession>, String) {
    let identity = VerifiedIdentity::for_test("adfs", "ana", "ana@acme.com");
    let name_id = NameId { value: value.into(), format: None, name_qualifier: None, sp_name_qualifier: None };
    let key = name_id.account_key();
    let session_indexes = indexes.iter().map(|index| (*index).to_owned()).collect();
    let hint = SignOutHint::Saml(SamlSession { name_id, session_indexes });
    let (id, live) = process.sessions.open(identity, Some(hint), portal(), CLIENT).await.unwrap();
    (id, live, key)
}

#[tokio::test]
async fn a69_a_logout_by_name_ends_what_is_meant_and_no_more() {
    let process = Process::new();
    let (first, _kept, ana) = open_by_saml(&process, "ana", &["sid-ana", "_2"]).await;
    let (second, ..) = open_by_saml(&process, "ana", &["sid-ana"]).await;
    let (ben, ..) = open_by_saml(&process, "ben", &["_2"]).await;
    let by = |issuer: &str| [Selector::NameId { issuer: issuer.into(), name_id: ana.clone() }];
    let named = |index: &str| LogoutScope { provider_sessions: vec![index.to_owned()], ..LogoutScope::all() };
    assert!(process.sessions.end_where(&by("https://other.example"), LogoutScope::all()).await.unwrap().is_empty());
    assert!(process.sessions.end_where(&by("https://adfs.example"), named("_3")).await.unwrap().is_empty());
    let ended = process.sessions.end_where(&by("https://adfs.example"), named("_2")).await.unwrap();
    assert_eq!(ended.iter().map(|session| session.entry.hash).collect::<Vec<_>>(), [first.hash()]);
    assert!(process.find(&first).await.is_none() && process.find(&second).await.is_some());
    // The rest, and in nobody's memory.
    let after = process.restarted(&[key("a")]);
    assert_eq!(after.sessions.end_where(&by("https://adfs.example"), LogoutScope::all()).await.unwrap().len(), 1);
    assert!(after.find(&second).await.is_none() && after.find(&ben).await.is_some());
}

#[tokio::test]
async fn b57_what_was_ended_since_a_sign_in_began_is_not_opened() {
    let process = Process::new();
    let seconds = |number: u64| START.after(Duration::from_secs(number));
    let person = |name: &str| VerifiedIdentity::for_test("okta", name, &format!("{name}@acme.com"));
    process.clock.advance(Duration::from_secs(10));
    process
        .sessions
        .end_where(&[subject("ana")], LogoutScope { portals: Some(vec![portal()]), ..LogoutScope::all() })
        .await
        .unwrap();
    process.clock.advance(Duration::from_secs(10));
    let elsewhere = HostName::parse("other.acme.com").unwrap();
    for (name, at, begun, opens) in [
        ("ana", portal(), 5, false),
        ("ana", portal(), 10, false),
        ("ana", portal(), 11, true),
        ("ben", portal(), 5, true),
        ("ana", elsewhere, 5, true),
    ] {
        let opened = process.sessions.open_begun(person(name), None, at, CLIENT, seconds(begun)).await;
        match opened {
            Ok((id, _)) => assert!(opens && process.is_cached(&id) == (name == "ben" || begun == 11), "{name} {begun}"),
            Err(refused) => {
                assert_eq!((refused, opens), (OpenError::EndedMeanwhile, false), "{name} {begun}");
                assert_eq!(process.sessions.count().await, Ok(0), "nothing of it is kept");
            }
        }
    }
    // Whichever comes first: a logout that is told while a session is being written finds it.
    let (id, _) = process.sessions.open_begun(person("cho"), None, portal(), CLIENT, seconds(5)).await.unwrap();
    assert_eq!(process.sessions.end_where(&[subject("cho")], LogoutScope::all()).await.unwrap().len(), 1);
    assert!(!process.is_cached(&id));
}

#[tokio::test]
async fn a69_a_logout_by_name_reaches_memory_even_when_the_store_fails() {
    let process = Process::new();
    let (id, _live, ana) = open_by_saml(&process, "ana", &["_1"]).await;
    process.store.fail_reads(Some(StoreError::Busy));
    process.store.fail_writes(Some(StoreError::Busy));
    let selector = Selector::NameId { issuer: "https://adfs.example".into(), name_id: ana };
    let partly = process.sessions.end_where(&[selector], LogoutScope::all()).await.unwrap_err();
    assert_eq!((partly.ended.len(), partly.cause), (1, StoreError::Busy));
    assert!(!process.is_cached(&id));
}

#[tokio::test]
async fn sign_out_reaches_memory_even_when_the_store_fails() {
    let process = Process::new();
    let (id, _live) = process.open(ana()).await;
    process.store.fail_reads(Some(StoreError::Busy));
    process.store.fail_writes(Some(StoreError::Busy));
    let partly = process.sessions.end_matching(&subject("ana")).await.unwrap_err();
    assert_eq!((partly.ended.len(), partly.cause), (1, StoreError::Busy));
    assert!(!process.is_cached(&id));
}

#[tokio::test]
async fn operators_see_who_is_signed_in() {
    let process = Process::new();
    let (id, _) = process.open(ana()).await;
    process.open(VerifiedIdentity::for_test("okta", "ben", "ben@acme.com")).await;
    let listing = process.sessions.list(10).await.unwrap();
    assert_eq!((listing.sessions.len(), listing.unreadable), (2, 0));
    let entry = listing.sessions.iter().find(|entry| entry.subject == "ana").unwrap();
    assert_eq!((entry.hash, entry.client, entry.opened), (id.hash(), CLIENT, START));
    assert_eq!(process.sessions.list(1).await.unwrap().sessions.len(), 1);
    let strange = process.restarted(&[key("z")]).sessions.list(10).await.unwrap();
    assert_eq!((strange.sessions.len(), strange.unreadable), (0, 2));
}

#[tokio::test]
async fn c5_keys_rotate_without_signing_anyone_out() {
    let process = Process::new();
    let (id, _) = process.open(ana()).await;
    let rotated = process.restarted(&[key("b"), key("a")]);
    let live = rotated.find(&id).await.unwrap();
    assert_eq!(rotated.sessions.end_matching(&subject("nobody")).await.unwrap().len(), 0);
    // Written again, all of it is under the new key.
    rotated.sessions.keep_customer_session(&live, customer_session(1)).await.unwrap();
    rotated.clock.advance(MINUTE * 2);
    assert!(rotated.is_cached(&id));
    rotated.sessions.flush().await.unwrap();
    let new_only = rotated.restarted(&[key("b")]);
    assert!(new_only.find(&id).await.is_some());
    assert_eq!(new_only.sessions.end_matching(&subject("ana")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn c5_tags_of_older_keys_are_found() {
    let process = Process::new();
    let (id, _) = process.open(ana()).await;
    let rotated = process.restarted(&[key("b"), key("a")]);
    assert_eq!(rotated.sessions.end_matching(&provider_session("ana")).await.unwrap().len(), 1);
    assert!(rotated.find(&id).await.is_none());
}

#[tokio::test]
async fn c5_a_session_of_an_unknown_key_is_none() {
    let process = Process::new();
    let (id, _) = process.open(ana()).await;
    let stranger = process.restarted(&[key("b")]);
    assert!(stranger.find(&id).await.is_none());
    assert!(process.restarted(&[key("a")]).find(&id).await.is_some(), "and it is not destroyed by the mistake");
}

#[tokio::test]
async fn c5_swapped_records_do_not_open() {
    let process = Process::new();
    let ((ana_id, _), (ben_id, _)) =
        (process.open(ana()).await, process.open(VerifiedIdentity::for_test("okta", "ben", "ben@acme.com")).await);
    let (ana_hash, ben_hash) = (ana_id.hash(), ben_id.hash());
    let (of_ana, of_ben) = (process.store.load(&ana_hash).await.unwrap(), process.store.load(&ben_hash).await.unwrap());
    let (of_ana, of_ben) = (of_ana.unwrap(), of_ben.unwrap());
    process.store.save(&ana_hash, of_ben.clone()).await.unwrap();
    let mixed = StoredSession { record: of_ana.record, index: of_ben.index };
    process.store.save(&ben_hash, mixed).await.unwrap();
    let after = process.restarted(&[key("a")]);
    assert!(after.find(&ana_id).await.is_none());
    assert!(after.find(&ben_id).await.is_none());
}

#[tokio::test]
async fn newer_customer_sessions_win() {
    let process = Process::new();
    let (_, live) = process.open(ana()).await;
    let keep = |generation| process.sessions.keep_customer_session(&live, customer_session(generation));
    let held = || live.customer_session().map(|session| session.generation());
    assert_eq!(live.next_generation(), 1);
    assert_eq!(keep(2).await, Ok(Kept::Kept));
    assert_eq!(keep(2).await, Ok(Kept::Older));
    assert_eq!(keep(1).await, Ok(Kept::Older));
    assert_eq!(held(), Some(2));
    assert!(!process.sessions.drop_customer_session(&live, 1), "a slow failure discards nothing fresh");
    assert_eq!(held(), Some(2));
    assert!(process.sessions.drop_customer_session(&live, 2));
    assert_eq!((held(), live.next_generation()), (None, 3));
    assert_eq!(keep(2).await, Ok(Kept::Older), "what was found dead does not come back");
    assert_eq!(keep(3).await, Ok(Kept::Kept));
}

#[tokio::test]
async fn a_customer_session_that_is_not_written_still_serves() {
    let process = Process::new();
    let (_, live) = process.open(ana()).await;
    process.store.fail_writes(Some(StoreError::Busy));
    assert_eq!(process.sessions.keep_customer_session(&live, customer_session(1)).await, Err(StoreError::Busy));
    assert!(live.customer_session().is_some());
}

fn embedded(path: &Path, keys: &[Secret]) -> Sessions {
    let settings = SessionSettings { store: StoreSettings::Embedded { path: path.into() }, ..settings(keys) };
    Sessions::start(&settings, Clock::manual(START), Random::default()).unwrap()
}

#[tokio::test]
async fn sessions_outlive_a_restart_of_the_embedded_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.redb");
    let before = embedded(&path, &[key("a")]);
    let (id, live) = before.open(ana(), None, portal(), CLIENT).await.unwrap();
    before.keep_customer_session(&live, customer_session(1)).await.unwrap();
    before.close().await.unwrap();
    let after = embedded(&path, &[key("a")]);
    let found = after.find(&id, &portal(), START).await.unwrap().unwrap();
    assert_eq!(found.customer_session().unwrap().generation(), 1);
    assert_eq!(after.health(), Ok(()));
}

/// Older versions wrote `null` for what is absent, and the hash in the index part too.
#[tokio::test]
async fn what_older_versions_wrote_still_opens() {
    let process = Process::new();
    let (id, _) = process.open(ana()).await;
    let hash = id.hash();
    let mut stored = process.store.load(&hash).await.unwrap().unwrap();
    let keys = KeyRing::new(&[key("a")]).unwrap();
    let (record, index) = (keys.first().record_key(&id), keys.first().index_key(&hash));
    let older = |kind, key: &SealingKey, sealed: &Sealed, change: &dyn Fn(&mut serde_json::Value)| {
        let mut json: serde_json::Value = serde_json::from_slice(&key.open(kind, &hash, sealed).unwrap()).unwrap();
        assert!(!json.to_string().contains("null") && json.get("hash").is_none(), "{json}");
        change(&mut json);
        key.seal(kind, &hash, json.to_string().as_bytes(), &Random::default()).unwrap()
    };
    stored.record = older(Kind::Record, &record, &stored.record, &|json| {
        json["customer_session"] = serde_json::Value::Null;
        json["identity"]["acr"] = serde_json::Value::Null;
        json["identity"]["not_after"] = serde_json::Value::Null;
    });
    stored.index.sealed = older(Kind::Index, &index, &stored.index.sealed, &|json| {
        json["hash"] = serde_json::to_value(hash).unwrap();
        assert!(json["hash"].is_array());
    });
    process.store.save(&hash, stored).await.unwrap();

    let after = process.restarted(&[key("a")]);
    assert_eq!(after.find(&id).await.unwrap().hash(), &hash);
    let listed = after.sessions.list(10).await.unwrap();
    assert_eq!(listed.sessions.iter().map(|entry| entry.hash).collect::<Vec<_>>(), [hash]);
    assert_eq!(after.sessions.end_matching(&subject("ana")).await.unwrap().len(), 1);
    assert!(process.restarted(&[key("a")]).find(&id).await.is_none());
}

#[tokio::test]
async fn a_stolen_file_opens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.redb");
    let sessions = embedded(&path, &[key("a")]);
    let token = SignOutHint::IdToken(Secret::generated("the-id-token"));
    let (id, live) = sessions.open(ana(), Some(token), portal(), CLIENT).await.unwrap();
    sessions.keep_customer_session(&live, customer_session(1)).await.unwrap();
    sessions.close().await.unwrap();

    // Nothing of it is in the file in clear.
    let bytes = std::fs::read(&path).unwrap();
    let id_bytes = id.reveal_bytes().to_vec();
    for secret in ["the-id-token", "jsm-cookie-1", "ana@acme.com", "sid-ana", "okta", "support.acme.com", &id.reveal()]
    {
        assert!(memchr::memmem::find(&bytes, secret.as_bytes()).is_none(), "{secret}");
    }
    assert!(memchr::memmem::find(&bytes, &id_bytes).is_none());

    // The thief has the configured keys too, and the hash, but no cookie: the index part opens, the record does not.
    let store = EmbeddedStore::open(path.clone()).unwrap();
    let stored = store.load(&id.hash()).await.unwrap().unwrap();
    let keys = KeyRing::new(&[key("a")]).unwrap();
    let mine = keys.first();
    let hash = id.hash();
    assert!(mine.index_key(&hash).open(Kind::Index, &hash, &stored.index.sealed).is_some());
    let guesses = [*hash.as_bytes(), [0; 32], [0xff; 32], stored.record.as_bytes()[..32].try_into().unwrap()];
    let guessed = guesses.map(|guess| {
        use base64::Engine as _;
        SessionId::parse(&base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(guess)).unwrap()
    });
    for kind in [Kind::Record, Kind::Index] {
        assert!(mine.index_key(&hash).open(kind, &hash, &stored.record).is_none());
        for guess in &guessed {
            assert!(mine.record_key(guess).open(kind, &hash, &stored.record).is_none());
        }
    }
    assert!(mine.record_key(&id).open(Kind::Record, &hash, &stored.record).is_some(), "the cookie does open it");

    // The thief has the cookie too, but not the configured keys.
    store.close().await.unwrap();
    let thief = embedded(&path, &[key("x")]);
    assert!(thief.find(&id, &portal(), START).await.unwrap().is_none());
    assert_eq!(thief.list(10).await.unwrap().sessions.len(), 0);
}

#[tokio::test]
async fn debug_tells_no_secret() {
    let process = Process::new();
    let (id, live) = process.open(ana()).await;
    process.sessions.keep_customer_session(&live, customer_session(1)).await.unwrap();
    let ended = process.sessions.end_matching(&subject("ana")).await.unwrap();
    let shown = format!("{:?} {live:?} {ended:?} {id:?} {:?}", process.sessions, process.store);
    for secret in ["jsm-cookie", "id-token", &id.reveal(), &"a".repeat(43)] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}
