//! Several gateways at one store: in memory, so that only the agreement is looked at.

use std::sync::Arc;

use super::*;
use crate::acme::settings::{AcmeSettings, KeyType};
use crate::portal::HostName;
use crate::random::Random;
use crate::secret::Secret;
use crate::session::Sessions;
use crate::session::envelope::Envelope;
use crate::session::settings::{SessionSettings, StoreSettings};
use crate::session::store::SessionStore;
use crate::session::store::memory::MemoryStore;

fn wanted() -> WantedCertificate {
    WantedCertificate { host: HostName::parse("a.test").unwrap(), key_type: KeyType::EcdsaP256 }
}

fn host() -> HostName {
    wanted().host
}

/// As many gateways as there are names.
fn desks(names: &[&str]) -> (Vec<Desk>, Clock) {
    let clock = Clock::manual(Timestamp::from_seconds(1_000));
    let store: Arc<dyn SessionStore> = Arc::new(MemoryStore::default());
    let settings = SessionSettings {
        idle_timeout: Duration::from_secs(60),
        absolute_timeout: Duration::from_secs(60),
        cache_entries: 10,
        store: StoreSettings::Embedded { path: "/nowhere".into() },
        keys: vec![Secret::generated("k".repeat(43))],
    };
    let acme = AcmeSettings {
        directory: "https://acme.test/dir".parse().unwrap(),
        authorities: Vec::new(),
        contact: Vec::new(),
        challenges: Vec::new(),
        key_types: Vec::new(),
        external_account: None,
        profile: None,
        renew_before: None,
    };
    let desk = |name: &&str| {
        let sessions = Sessions::with_store(&settings, Arc::clone(&store), clock.clone(), Random::default()).unwrap();
        let (records, names) = (sessions.records(), Names::new(&acme));
        Desk { records, names, me: (*name).to_owned(), clock: clock.clone() }
    };
    (names.iter().map(desk).collect(), clock)
}

fn certificate() -> CertificateRecord {
    let at = Timestamp::from_seconds;
    let key = Envelope::seal(&Secret::generated("key"), &["place"], &Random::default()).unwrap();
    CertificateRecord { chain: "chain".into(), key, begins: at(0), ends: at(90), renew_at: at(60), ask_at: None }
}

async fn is_ours(desk: &Desk) -> bool {
    matches!(desk.claim(&host()).await.unwrap(), Claim::Ours(_))
}

#[tokio::test]
async fn of_many_gateways_one_orders() {
    let names: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    let (desks, _clock) = desks(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let claims: Vec<_> = desks.into_iter().map(|desk| tokio::spawn(async move { is_ours(&desk).await })).collect();
    let mut ours = 0;
    for claim in claims {
        ours += usize::from(claim.await.unwrap());
    }
    assert_eq!(ours, 1);
}

#[tokio::test]
async fn who_died_over_an_order_leaves_it_to_others_after_a_minute() {
    let (desks, clock) = desks(&["one", "other"]);
    assert!(is_ours(&desks[0]).await);
    let Claim::Later(then, _) = desks[1].claim(&host()).await.unwrap() else { panic!("it is taken") };
    assert_eq!(then, clock.now().after(Duration::from_secs(60)));
    clock.advance(Duration::from_secs(59));
    assert!(!is_ours(&desks[1]).await);
    clock.advance(Duration::from_secs(1));
    assert!(is_ours(&desks[1]).await);
    // The first one was only slow. Nothing of what it does counts any more.
    assert!(!desks[0].deliver(&wanted(), &certificate(), None).await.unwrap());
    assert!(!desks[0].failed(&host(), &OrderFailed::Slow, clock.now()).await.unwrap());
    assert!(!desks[0].let_go(&host()).await.unwrap());
    assert!(desks[1].deliver(&wanted(), &certificate(), None).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn who_works_on_an_order_keeps_it() {
    let (desks, clock) = desks(&["one", "other"]);
    assert!(is_ours(&desks[0]).await);
    let (holding, working) = (desks[0].clone(), desks[1].clone());
    let work = async {
        for _ in 0..20 {
            tokio::time::sleep(RENEWED).await;
            tokio::task::yield_now().await;
            clock.advance(RENEWED);
            assert!(!is_ours(&working).await);
        }
    };
    let order = host();
    tokio::select! {
        lost = holding.hold(&order) => panic!("{lost}"),
        () = work => {}
    }
}

#[tokio::test]
async fn a_failure_keeps_everybody_from_trying_until_its_time() {
    let (desks, clock) = desks(&["one", "other"]);
    assert!(is_ours(&desks[0]).await);
    let then = clock.now().after(Duration::from_secs(600));
    let failed = OrderFailed::Challenge { kind: ChallengeKind::Http01, what: "nobody is there".into() };
    assert!(desks[0].failed(&host(), &failed, then).await.unwrap());
    for desk in &desks {
        let Claim::Later(told, record) = desk.claim(&host()).await.unwrap() else { panic!("too early") };
        assert_eq!((told, record.failures), (then, 1));
        assert!(record.failed.unwrap().1.contains("nobody is there"));
    }
    clock.advance(Duration::from_secs(600));
    assert!(is_ours(&desks[1]).await);
    assert!(desks[1].deliver(&wanted(), &certificate(), Some(ChallengeKind::Http01)).await.unwrap());
    assert!(!is_ours(&desks[0]).await, "there may be more to order for the host");
    assert!(desks[1].let_go(&host()).await.unwrap());
    let Claim::Ours(record) = desks[0].claim(&host()).await.unwrap() else { panic!("its time has come") };
    assert_eq!((record.failures, record.failed, record.worked), (0, None, Some(ChallengeKind::Http01)));
}

#[tokio::test]
async fn everybody_learns_of_answers_and_certificates_from_one_board() {
    let (desks, clock) = desks(&["one", "other"]);
    let answer = |host: &str| crate::acme::answers::Answer {
        kind: ChallengeKind::Http01,
        host: HostName::parse(host).unwrap(),
        token: "t".into(),
        key_authorization: "t.k".into(),
        until: clock.now().after(Duration::from_secs(60)),
    };
    assert!(desks[0].put_board(|board| board.answers.push(answer("a.test"))).await.unwrap());
    assert!(desks[1].put_board(|board| board.answers.push(answer("b.test"))).await.unwrap());
    assert!(is_ours(&desks[0]).await);
    assert!(desks[0].deliver(&wanted(), &certificate(), None).await.unwrap());
    let board = desks[1].records.load::<Board>(&desks[1].names.board()).await.unwrap().unwrap();
    assert_eq!((board.generation, board.answers), (1, vec![answer("b.test")]), "what is over is taken down");
}
