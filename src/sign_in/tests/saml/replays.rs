//! An assertion signs in once (A50 to A52).

use super::*;
use crate::saml::test_signer::{audience, conditions};
use crate::session::Sessions;
use crate::session::settings::{SessionSettings, StoreSettings};

fn taking_all(provider: &mut ProviderSettings) {
    let Protocol::Saml(saml) = &mut provider.protocol else { panic!("it speaks SAML") };
    saml.unsolicited = Unsolicited::DangerouslyTaken;
}

#[tokio::test]
async fn a50_the_same_form_posted_again_signs_nobody_in() {
    let world = World::start();
    let mut browser = world.browser();
    let sent = browser.ask("/a").await;
    let message = answer(&sent.id).response_signed();
    assert_eq!(told(&browser.post(&message, Some(&sent.relay_state)).await), ("signed_in", "/a"));
    assert_eq!(told(&browser.post(&message, Some(&sent.relay_state)).await), ("stale", "/a"));
    // With a request of its own it answers the wrong one; unasked, it may not come.
    let other = browser.ask("/b").await;
    assert_eq!(told(&browser.post(&message, Some(&other.relay_state)).await).0, "saml_in_response_to");
    assert_eq!(told(&world.browser().post(&message, None).await).0, "saml_unsolicited");
}

#[tokio::test]
async fn a50_of_fifty_parallel_posts_one_signs_in() {
    // Unasked, so that nothing but the memory of used assertions stands between.
    let world = World::all(taking_all);
    let message = unasked().response_signed();
    let (mut signed_in, mut replayed) = (0, 0);
    let browser = world.browser();
    for callback in futures_util::future::join_all((0..50).map(|_| browser.post(&message, None))).await {
        match told(&callback).0 {
            "signed_in" => signed_in += 1,
            "saml_replayed" => replayed += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!((signed_in, replayed), (1, 49));
    // Asked for, fifty times at once.
    let mut browser = world.browser();
    let sent = browser.ask("/a").await;
    let message = Message { assertion_id: "_asked".into(), ..answer(&sent.id) }.response_signed();
    let all = (0..50).map(|_| browser.post(&message, Some(&sent.relay_state)));
    let outcomes = futures_util::future::join_all(all).await;
    assert_eq!(outcomes.iter().filter(|callback| told(callback).0 == "signed_in").count(), 1);
}

#[tokio::test]
async fn a51_another_response_around_the_same_assertion_is_a_replay() {
    let world = World::all(taking_all);
    let browser = world.browser();
    let first = unasked().assertion_signed();
    assert_eq!(told(&browser.post(&first, None).await).0, "signed_in");
    let again = first.replace(r#"ID="_response""#, r#"ID="_another""#);
    assert_ne!(again, first);
    assert_eq!(told(&browser.post(&again, None).await).0, "saml_replayed");
}

#[tokio::test]
async fn a50_a_restart_forgets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(NOW);
    let settings = SessionSettings {
        idle_timeout: Duration::from_secs(1800),
        absolute_timeout: Duration::from_secs(3600),
        cache_entries: 100,
        store: StoreSettings::Embedded { path: folder.path().join("sessions.redb") },
        keys: vec![crate::secret::Secret::generated("k".repeat(43))],
    };
    let message = unasked().response_signed();
    for (row, outcome) in [("before", "signed_in"), ("after", "saml_replayed")] {
        // Changed keys do not make it forget either.
        let mut settings = settings.clone();
        settings.keys.insert(0, crate::secret::Secret::generated(row.repeat(10)));
        let sessions = Sessions::start(&settings, clock.clone(), Random::default()).unwrap();
        let world = World::remembering(Arc::new(sessions.clone()), clock.clone(), taking_all);
        assert_eq!(told(&world.browser().post(&message, None).await).0, outcome, "{row}");
        sessions.close().await.unwrap();
    }
}

#[tokio::test]
async fn a50_what_is_remembered_is_swept_when_it_could_not_be_replayed_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(NOW);
    let settings = SessionSettings {
        idle_timeout: Duration::from_secs(1800),
        absolute_timeout: Duration::from_secs(3600),
        cache_entries: 100,
        store: StoreSettings::Embedded { path: folder.path().join("sessions.redb") },
        keys: vec![crate::secret::Secret::generated("k".repeat(43))],
    };
    let sessions = Sessions::start(&settings, clock.clone(), Random::default()).unwrap();
    let world = World::remembering(Arc::new(sessions.clone()), clock.clone(), taking_all);
    let message = unasked().response_signed();
    assert_eq!(told(&world.browser().post(&message, None).await).0, "signed_in");
    // Valid for 300 s and 60 s of skew: at the end of that it is refused for its age, remembered or not.
    clock.advance(Duration::from_secs(359));
    sessions.sweep(clock.now()).await.unwrap();
    assert_eq!(told(&world.browser().post(&message, None).await).0, "saml_replayed");
    clock.advance(Duration::from_secs(2));
    sessions.sweep(clock.now()).await.unwrap();
    assert_eq!(told(&world.browser().post(&message, None).await).0, "saml_expired");
}

#[tokio::test]
async fn a50_when_it_cannot_be_remembered_nobody_signs_in() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(NOW);
    let settings = SessionSettings {
        idle_timeout: Duration::from_secs(1800),
        absolute_timeout: Duration::from_secs(3600),
        cache_entries: 100,
        store: StoreSettings::Embedded { path: folder.path().join("sessions.redb") },
        keys: vec![crate::secret::Secret::generated("k".repeat(43))],
    };
    let sessions = Sessions::start(&settings, clock.clone(), Random::default()).unwrap();
    let world = World::remembering(Arc::new(sessions.clone()), clock, taking_all);
    sessions.close().await.unwrap();
    assert_eq!(told(&world.browser().post(&unasked().response_signed(), None).await).0, "session_store_closed");
}

#[tokio::test]
async fn a52_what_may_be_used_once_is_used_once() {
    let world = World::all(taking_all);
    let limits = r#"<saml:OneTimeUse/><saml:ProxyRestriction Count="0"/>"#;
    let message = Message { conditions: conditions(&(audience(SP) + limits)), ..unasked() }.response_signed();
    assert_eq!(told(&world.browser().post(&message, None).await).0, "signed_in");
    assert_eq!(told(&world.browser().post(&message, None).await).0, "saml_replayed");
}
