use super::*;
use crate::sign_in::under_way::HeldSignIn;

#[tokio::test]
async fn b16_fifty_callbacks_at_once_sign_in_once() {
    let world = World::start().await;
    let mut browser = world.browser();
    let location = browser.start("/a").await;
    let query = browser.visit(location).await;
    let all = (0..50).map(|_| browser.callback(&query));
    let outcomes = futures_util::future::join_all(all).await;
    let count = |kind: &str| outcomes.iter().filter(|outcome| told(outcome).0 == kind).count();
    assert_eq!(count("signed_in"), 1);
    assert_eq!(count("signed_in") + count("stale") + count("loop_broken"), 50);
    assert_eq!(count("stale"), 20, "then it is no person any more");
    assert!(outcomes.iter().all(|outcome| told(outcome).0 == "loop_broken" || told(outcome).1 == "/a"));
    assert_eq!(world.requests(Endpoint::Token), 1);
}

#[tokio::test]
async fn b16_the_back_button_leads_on() {
    let world = World::start().await;
    let mut browser = world.browser();
    let location = browser.start("/a").await;
    let query = browser.visit(location).await;
    assert_eq!(told(&browser.callback(&query).await), ("signed_in", "/a"));
    assert_eq!(told(&browser.callback(&query).await), ("stale", "/a"));
    assert_eq!(world.requests(Endpoint::Token), 1);
}

#[tokio::test]
async fn b13_a_callback_is_worth_nothing_in_another_browser() {
    let world = World::start().await;
    let (mut attacker, mut victim) = (world.browser(), world.browser());
    let location = attacker.start("/attack").await;
    let query = attacker.visit(location).await;
    victim.start("/mine").await;
    // Login CSRF: the attacker's answer in the victim's browser. It begins again, as the victim; where that leads to is
    // a path of the portal, as in any link.
    assert_eq!(told(&victim.callback(&query).await), ("stale", "/attack"));
    // A browser that was never here.
    assert_eq!(told(&world.browser().callback(&query).await).0, "no_cookie");
    assert_eq!(world.requests(Endpoint::Token), 0);
    // What is the attacker's stayed untouched.
    assert_eq!(told(&attacker.callback(&query).await), ("signed_in", "/attack"));
    // A browser that has had its key for a while is not taken for a tab of a new one: nothing of it is told.
    world.clock.advance(Duration::from_secs(16 * 60));
    let location = attacker.start("/second").await;
    let second = attacker.visit(location).await;
    assert_eq!(told(&victim.callback(&second).await), ("stale", "/"));
}

#[tokio::test]
async fn b13_somebody_elses_code_does_not_fit() {
    let world = World::start().await;
    let (mut attacker, mut victim) = (world.browser(), world.browser());
    let location = attacker.start("/attack").await;
    let stolen = parameter(&attacker.visit(location).await, "code");
    let location = victim.start("/mine").await;
    let query = victim.visit(location).await;
    let injected = replaced(&query, "code", Some(&stolen));
    assert_eq!(told(&victim.callback(&injected).await), ("code_refused", "/mine"));
}

#[tokio::test]
async fn b12_states_that_are_not_ours_begin_again() {
    let world = World::start().await;
    let mut browser = world.browser();
    let location = browser.start("/a").await;
    let query = browser.visit(location).await;
    let state = parameter(&query, "state");
    let tampered = format!("{}{}", if state.starts_with('A') { 'B' } else { 'A' }, &state[1..]);
    assert_eq!(told(&browser.callback(&replaced(&query, "state", Some(&tampered))).await), ("stale", "/"));
    assert_eq!(told(&browser.callback(&replaced(&query, "state", None)).await), ("stale", "/"));
    world.clock.advance(Duration::from_secs(15 * 60));
    assert_eq!(told(&browser.callback(&query).await), ("stale", "/"));
    assert_eq!(world.requests(Endpoint::Token), 0);
}

#[tokio::test]
async fn c11_after_a_restart_people_begin_again_and_arrive() {
    let world = World::start().await;
    let mut browser = world.browser();
    let location = browser.start("/a").await;
    let query = browser.visit(location).await;
    let restarted = World::gateway(vec![provider("acme", &world.op.issuer())], &world.clock);
    let world = World { sign_in: restarted, ..world_like(&world) };
    let mut browser = Browser { world: &world, key: browser.key.clone() };
    assert_eq!(told(&browser.callback(&query).await), ("stale", "/"));
    assert_eq!(told(&browser.sign_in("/b").await), ("signed_in", "/b"));
}

/// Begins, and gives the query with which the provider sends the browser back.
async fn way_back(browser: &mut Browser<'_>, path: &str) -> String {
    let location = browser.start(path).await;
    browser.visit(location).await
}

/// What one process says to the next, written and read as between processes.
fn handed_over(from: &SignIn, to: &SignIn) -> tokio::sync::mpsc::UnboundedReceiver<HeldSignIn> {
    let (held, later) = from.hand_over();
    held.into_iter().for_each(|held| passed_on(&held, to));
    later
}

fn passed_on(held: &HeldSignIn, to: &SignIn) {
    to.take_over(rmp_serde::from_slice(&rmp_serde::to_vec_named(held).unwrap()).unwrap());
}

#[tokio::test]
async fn c11_after_a_handover_people_arrive_where_they_were_going() {
    let world = World::start().await;
    let next_process = World::gateway(vec![provider("acme", &world.op.issuer())], &world.clock);
    let (mut early, mut late, mut done) = (world.browser(), world.browser(), world.browser());
    let query_of_early = way_back(&mut early, "/early").await;
    let used = way_back(&mut done, "/done").await;
    let mut later = handed_over(&world.sign_in, &next_process);
    // What the old process begins and ends afterwards counts, too.
    let query_of_late = way_back(&mut late, "/late").await;
    assert_eq!(told(&done.callback(&used).await), ("signed_in", "/done"));
    while let Ok(held) = later.try_recv() {
        assert!(!format!("{held:?}").contains("verifier: \""), "{held:?}");
        passed_on(&held, &next_process);
    }
    let keys = [early.key.clone(), late.key.clone(), done.key.clone()];
    let world = World { sign_in: next_process, ..world_like(&world) };
    let [early, late, done] = keys.map(|key| Browser { world: &world, key });
    let thief = Browser { world: &world, key: late.key.clone() };
    assert_eq!(told(&thief.callback(&query_of_early).await).0, "stale", "of another browser");
    assert_eq!(told(&early.callback(&query_of_early).await), ("signed_in", "/early"));
    assert_eq!(told(&early.callback(&query_of_early).await), ("stale", "/early"), "once");
    assert_eq!(told(&late.callback(&query_of_late).await), ("signed_in", "/late"));
    assert_eq!(told(&done.callback(&used).await), ("stale", "/done"), "used before, in the other process");
}

#[tokio::test]
async fn b16_one_callback_in_two_processes_redeems_its_code_once() {
    let world = World::start().await;
    let used = once(&world.clock);
    let process = || {
        let (providers, used) = (vec![provider("acme", &world.op.issuer())], Arc::clone(&used));
        Arc::new(SignIn::new(providers, used, web(), world.clock.clone(), Random::default()).unwrap())
    };
    let old = World { sign_in: process(), ..world_like(&world) };
    let new = World { sign_in: process(), ..world_like(&world) };
    let mut browser = old.browser();
    let query = way_back(&mut browser, "/a").await;
    drop(handed_over(&old.sign_in, &new.sign_in));
    let again = Browser { world: &new, key: browser.key.clone() };
    let (one, other) = tokio::join!(browser.callback(&query), again.callback(&query));
    let mut both = [told(&one), told(&other)];
    both.sort_unstable();
    assert_eq!(both, [("signed_in", "/a"), ("stale", "/a")]);
    assert_eq!(world.requests(Endpoint::Token), 1);
}

#[tokio::test]
async fn b15_after_a_handover_nobody_else_by_the_same_name_answers() {
    let world = World::start().await;
    let mut browser = world.browser();
    let query = way_back(&mut browser, "/a").await;
    let mut other = provider("acme", &world.op.issuer());
    oidc(&mut other).client_id = "another".into();
    let next_process = World::gateway(vec![other], &world.clock);
    drop(handed_over(&world.sign_in, &next_process));
    let world = World { sign_in: next_process, ..world_like(&world) };
    let browser = Browser { world: &world, key: browser.key.clone() };
    assert_eq!(told(&browser.callback(&query).await), ("stale", "/a"), "it begins again");
}

fn world_like(world: &World) -> World {
    World {
        op: world.op.clone(),
        sign_in: Arc::clone(&world.sign_in),
        clock: world.clock.clone(),
        web: web(),
        host: world.host.clone(),
        origin: world.origin.clone(),
    }
}

#[tokio::test]
async fn loops_end() {
    let world = World::start().await;
    let mut browser = world.browser();
    browser.start("/a").await;
    // In a row: the count travels in the state.
    for (state, outcome) in [("x.1", "stale"), ("x.2", "stale"), ("x.3", "loop_broken"), ("x.999", "loop_broken")] {
        assert_eq!(told(&browser.callback(&format!("code=c&state={state}")).await).0, outcome, "{state}");
    }
    // Beside each other: as many as a browser has tabs.
    for _ in 0..14 {
        assert_eq!(told(&browser.callback("code=c&state=unknown").await).0, "stale");
    }
    assert_eq!(told(&browser.callback("code=c&state=unknown").await).0, "loop_broken");
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(told(&browser.callback("code=c&state=unknown").await).0, "stale");
    // Cookies that do not come back, or are not ours.
    for key in [None, Some("x".to_owned()), Some("A".repeat(16 * 1024))] {
        let browser = Browser { world: &world, key };
        assert_eq!(told(&browser.callback("code=c&state=unknown").await).0, "no_cookie");
    }
    // Signed in again and again: the session does not hold.
    let mut browser = world.browser();
    for _ in 0..20 {
        assert_eq!(told(&browser.sign_in("/a").await).0, "signed_in");
    }
    assert_eq!(told(&browser.sign_in("/a").await).0, "loop_broken");
}

#[tokio::test]
async fn b15_answers_of_another_provider_are_refused_before_the_token_request() {
    let world = World::with(op_settings(), |providers| {
        let issuer = oidc(&mut providers[0]).issuer_text.clone();
        providers.push(provider("globex", &issuer));
    })
    .await;
    let mut browser = world.browser();
    for (change, expected) in [
        (Some(Some("https://evil.test".to_owned())), "callback_mixed_up"),
        (Some(Some(format!("{}/", world.op.issuer()))), "callback_mixed_up"),
        // The metadata promises `iss`.
        (Some(None), "callback_mixed_up"),
    ] {
        let location = browser.start("/a").await;
        let mut query = browser.visit(location).await;
        if let Some(issuer) = change {
            query = replaced(&query, "iss", issuer.as_deref());
        }
        assert_eq!(told(&browser.callback(&query).await), (expected, "/a"));
    }
    // The right answer at another provider's redirect URI; then it is used up.
    let location = browser.start("/a").await;
    let query = browser.visit(location).await;
    assert_eq!(told(&browser.callback_at("globex", &query).await), ("callback_mixed_up", "/a"));
    assert_eq!(told(&browser.callback(&query).await), ("stale", "/a"));
    let location = browser.start("/a").await;
    let twice = format!("{}&iss=https://evil.test", browser.visit(location).await);
    assert_eq!(told(&browser.callback(&twice).await), ("callback_malformed", "/"));
    assert_eq!(told(&browser.callback_at("nobody", &query).await), ("stale", "/"));
    assert_eq!(world.requests(Endpoint::Token), 0);
}

#[tokio::test]
async fn b12_a_state_is_for_its_portal() {
    let world = World::start().await;
    let mut browser = world.browser();
    let location = browser.start("/a").await;
    let query = browser.visit(location).await;
    let host = HostName::parse("their.test").unwrap();
    let origin = PublicOrigin::new(&host, 443);
    let elsewhere = At { portal: &host, origin: &origin };
    let callback = world.sign_in.callback(elsewhere, &name("acme"), &query, browser.key.as_deref()).await;
    assert_eq!(told(&callback), ("stale", "/"));
    assert_eq!(told(&browser.callback(&query).await), ("signed_in", "/a"));
}

#[tokio::test]
async fn b20_reasons_tell_no_secret() {
    let world = World::start().await;
    for mode in [Mode::TokenErrorWith200, Mode::NonceInvalid, Mode::CodeHuge, Mode::Token500] {
        world.op.set_mode(Some(mode));
        let mut browser = world.browser();
        let location = browser.start("/").await;
        let query = browser.visit(location).await;
        let callback = browser.callback(&query).await;
        let Callback::Refused { rejected, .. } = &callback else { panic!("{mode:?}") };
        let shown = format!("{rejected} {callback:?}");
        let code = parameter(&query, "code");
        assert!(!shown.contains(&code) && !shown.contains(SECRET), "{mode:?}: {shown}");
    }
}
