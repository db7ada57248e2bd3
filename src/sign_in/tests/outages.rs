use super::*;

#[tokio::test]
async fn a_provider_that_is_down_stops_nothing_but_its_own_sign_ins() {
    let world = World::start().await;
    world.op.set_down(true);
    let acme = name("acme");
    let start = || world.sign_in.start(world.at(), &acme, NextUrl::root(), Ties::default(), None);
    let failed = start().await.unwrap_err();
    assert_eq!(failed.reason(), "provider_unreachable");
    assert_eq!(world.sign_in.pending(), 0, "nothing is held that nobody can answer");
    // Those who come now are told at once, without another call.
    assert_eq!(start().await.unwrap_err().reason(), "provider_unreachable");
    assert_eq!(world.requests(Endpoint::Discovery), 1);

    world.op.set_down(false);
    world.clock.advance(Duration::from_secs(2));
    let mut browser = world.browser();
    assert_eq!(told(&browser.sign_in("/a").await), ("signed_in", "/a"));

    // On the way back it is down: a refusal with a way to try again, no loop.
    let location = browser.start("/b").await;
    let query = browser.visit(location).await;
    world.op.set_down(true);
    assert_eq!(told(&browser.callback(&query).await), ("provider_unreachable", "/b"));
    // Its metadata is known: people are sent there, and find out there.
    world.clock.advance(Duration::from_secs(3600));
    browser.start("/c").await;
    world.op.set_down(false);
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(told(&browser.sign_in("/d").await), ("signed_in", "/d"));
}

#[tokio::test]
async fn nobody_listens_is_unreachable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let world = World::with(op_settings(), |providers| providers[0] = provider("acme", &issuer)).await;
    let failed =
        world.sign_in.start(world.at(), &name("acme"), NextUrl::root(), Ties::default(), None).await.unwrap_err();
    assert_eq!(failed.reason(), "provider_unreachable");
    let unknown =
        world.sign_in.start(world.at(), &name("nobody"), NextUrl::root(), Ties::default(), None).await.unwrap_err();
    assert_eq!(unknown.reason(), "provider_unknown");
}

#[tokio::test]
async fn many_begin_at_once_and_the_provider_is_asked_once() {
    let world = World::start().await;
    let acme = name("acme");
    let all = (0..50).map(|_| world.sign_in.start(world.at(), &acme, NextUrl::root(), Ties::default(), None));
    let started = futures_util::future::join_all(all).await;
    assert!(started.iter().all(Result::is_ok));
    assert_eq!(world.requests(Endpoint::Discovery), 1);
    assert_eq!(world.sign_in.pending(), 50);
}

#[tokio::test]
async fn b5_keys_rotate_unnoticed() {
    let world = World::start().await;
    assert_eq!(told(&world.browser().sign_in("/").await).0, "signed_in");
    assert_eq!(world.requests(Endpoint::Jwks), 1);
    world.op.rotate_keys().unwrap();
    for _ in 0..3 {
        assert_eq!(told(&world.browser().sign_in("/").await).0, "signed_in");
    }
    assert_eq!(world.requests(Endpoint::Jwks), 2, "one refetch for a new key");

    // Twenty people at once, right after the next rotation.
    world.clock.advance(Duration::from_secs(10));
    world.op.rotate_keys().unwrap();
    world.op.retire_old_keys();
    let all = (0..20).map(|_| async { told(&world.browser().sign_in("/").await).0 });
    let outcomes = futures_util::future::join_all(all).await;
    assert!(outcomes.iter().all(|outcome| *outcome == "signed_in"), "{outcomes:?}");
    assert_eq!(world.requests(Endpoint::Jwks), 3);
}

#[tokio::test]
async fn b4_strangers_keys_make_us_ask_seldom() {
    let world = World::start().await;
    assert_eq!(told(&world.browser().sign_in("/").await).0, "signed_in");
    world.op.set_mode(Some(Mode::KidUnknown));
    for _ in 0..5 {
        assert_eq!(told(&world.browser().sign_in("/").await).0, "id_token_unknown_key");
    }
    assert_eq!(world.requests(Endpoint::Jwks), 2);
    world.clock.advance(Duration::from_secs(10));
    assert_eq!(told(&world.browser().sign_in("/").await).0, "id_token_unknown_key");
    assert_eq!(world.requests(Endpoint::Jwks), 3);
}

#[tokio::test]
async fn b5_a_key_that_vanished_is_dropped() {
    let world = World::start().await;
    let mut old = None;
    let mut browser = world.browser();
    let location = browser.start("/").await;
    let query = browser.visit(location).await;
    if let Callback::SignedIn { hint: SignOutHint::IdToken(id_token), .. } = browser.callback(&query).await {
        old = Some(id_token);
    }
    let old = old.unwrap().reveal().to_owned();
    world.op.rotate_keys().unwrap();
    world.op.retire_old_keys();
    world.clock.advance(Duration::from_secs(15 * 60));
    world.op.alter_next_signed_token(move |_| old);
    assert_eq!(told(&world.browser().sign_in("/").await).0, "id_token_unknown_key");
}

#[tokio::test]
async fn b22_an_issuer_that_changes_is_not_followed() {
    let world = World::start().await;
    assert_eq!(told(&world.browser().sign_in("/").await).0, "signed_in");
    world.op.set_mode(Some(Mode::DiscoveryIssuerMismatch));
    world.clock.advance(Duration::from_secs(15 * 60));
    // The last good metadata stays in use, so the way is still the old one.
    assert!(world.browser().start("/").await.as_str().starts_with(&world.op.issuer()));
    world.clock.advance(Duration::from_secs(24 * 3600));
    let failed =
        world.sign_in.start(world.at(), &name("acme"), NextUrl::root(), Ties::default(), None).await.unwrap_err();
    assert_eq!(failed.reason(), "provider_misbehaved");
}
