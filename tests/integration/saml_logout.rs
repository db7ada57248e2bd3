//! Single logout over the wire, begun on either side, with the demo's SAML provider; and every attack on it that is known.

mod attacks;
mod world;

use vestibule::demo::saml_provider::LogoutConduct;

use self::world::World;
use crate::harness::{navigate, set_cookies};

const SAFE_TO_CLOSE: &str = "It is safe to close this page.";
const NOT_CONFIRMED: &str = "did not confirm it";
const MAY_CONTINUE: &str = "You may still be signed in at your organisation";

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_here_signs_out_at_the_provider_by_both_bindings() {
    for more in ["", "      binding: post\n"] {
        let world = World::start(more).await;
        let client = world.gateway.client();
        world.sign_in(&client).await;
        assert_eq!(world.provider.signed_in(), 1);
        let page = world.sign_out(&client).await;
        assert!(page.text.contains(SAFE_TO_CLOSE), "{page:?}");
        assert_eq!(page.url, format!("{}/.vestibule/saml/globex/slo", world.gateway.origin()));
        assert_eq!(world.provider.signed_in(), 0);
        assert!(!world.is_signed_in(&client).await);
        assert!(world.counted("here", "ended"), "{}", world.gateway.metrics());
        // What the page was is not what it is when it is asked for again.
        let again = navigate(&client, &page.with_query).await;
        let again = again.text().await.unwrap();
        assert!(!again.contains(SAFE_TO_CLOSE), "{again}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a70_the_page_says_honestly_how_it_ended() {
    for (conduct, status, said, counted) in [
        (LogoutConduct::Partial, 200, NOT_CONFIRMED, ("here", "partly")),
        (LogoutConduct::Fails, 200, MAY_CONTINUE, ("here", "failed")),
        (LogoutConduct::AnswersAnother, 200, MAY_CONTINUE, ("", "")),
        (LogoutConduct::Unsigned, 400, "Signing out could not be completed", ("unknown", "logout_unsigned")),
        (LogoutConduct::Silent, 200, "You are signed out everywhere.", ("", "")),
    ] {
        let world = World::start("").await;
        let client = world.gateway.client();
        world.sign_in(&client).await;
        world.provider.set_logout_conduct(conduct);
        let page = world.sign_out(&client).await;
        assert_eq!(page.status, status, "{conduct:?}: {page:?}");
        assert!(page.text.contains(said), "{conduct:?}: {page:?}");
        assert!(!world.is_signed_in(&client).await, "{conduct:?}: the session here has ended before");
        let (begun, result) = counted;
        assert!(result.is_empty() || world.counted(begun, result), "{conduct:?}: {}", world.gateway.metrics());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a70_an_answer_is_for_the_browser_that_asked() {
    let world = World::start("").await;
    let (ana, mallory) = (world.gateway.client(), world.gateway.client());
    world.sign_in(&ana).await;
    let answer = world.sign_out_until_the_answer(&ana).await;
    let stolen = navigate(&mallory, &answer).await.text().await.unwrap();
    assert!(stolen.contains(MAY_CONTINUE), "{stolen}");
    let own = navigate(&ana, &answer).await.text().await.unwrap();
    assert!(own.contains(SAFE_TO_CLOSE), "{own}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_provider_signs_out_who_signed_in_there() {
    for by_post in [false, true] {
        let world = World::start_as("", by_post).await;
        let client = world.gateway.client();
        world.sign_in(&client).await;
        let request = world.logout_at_the_provider(&client).await;
        // Other sites' posts come without cookies, and the frames of some providers, too.
        let stranger = world.gateway.client();
        let answered = world.carry(&stranger, request).await;
        assert!(!world.is_signed_in(&client).await);
        assert!(world.counted("provider", "ended"), "{}", world.gateway.metrics());
        assert!(answered.text.contains("You are signed out everywhere."), "{answered:?}");
        assert!(answered.url.starts_with(&world.provider.address()), "{answered:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a69_exactly_the_named_session_ends() {
    let world = World::start("").await;
    let (desk, phone, other) = (world.gateway.client(), world.gateway.client(), world.gateway.client());
    for client in [&desk, &phone] {
        world.sign_in(client).await;
    }
    world.sign_in_ana(&other).await;
    let request = world.logout_at_the_provider(&desk).await;
    world.carry(&desk, request).await;
    assert!(!world.is_signed_in(&desk).await);
    assert!(world.is_signed_in(&phone).await, "the same person, by another session of the provider");
    assert!(world.is_signed_in(&other).await, "somebody else, of another provider");
}

#[tokio::test(flavor = "multi_thread")]
async fn a69_without_a_session_index_all_sessions_of_the_person_end() {
    let world = World::start("").await;
    let (desk, phone, other) = (world.gateway.client(), world.gateway.client(), world.gateway.client());
    for client in [&desk, &phone] {
        world.sign_in(client).await;
    }
    world.sign_in_ana(&other).await;
    let answered = world.send(&world.gateway.client(), &world.request(&[])).await;
    assert!(world.answered_with_success(&answered));
    assert!(!world.is_signed_in(&desk).await && !world.is_signed_in(&phone).await);
    assert!(world.is_signed_in(&other).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_provider_may_ask_by_soap_without_any_browser() {
    let world = World::start("").await;
    let client = world.gateway.client();
    world.sign_in(&client).await;
    for (body, status) in [(world.envelope("https://evil.example/metadata"), 400), ("<x/>".to_owned(), 400)] {
        assert_eq!(world.post_soap(body).await.0, status);
        assert!(world.is_signed_in(&client).await);
    }
    let envelope = world.envelope(&world.provider.entity_id());
    let (status, answer) = world.post_soap(envelope.clone()).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("soap:Envelope") && answer.contains("status:Success"), "{answer}");
    assert!(!world.is_signed_in(&client).await);
    let (status, answer) = world.post_soap(envelope).await;
    assert!(status == 200 && answer.contains("status:RequestDenied"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_want_it_signs_out_here_alone() {
    let world = World::start_with("      sign_out_at_provider: false\n", false).await;
    let client = world.gateway.client();
    world.sign_in(&client).await;
    let page = world.sign_out(&client).await;
    assert!(page.text.contains(MAY_CONTINUE), "{page:?}");
    assert_eq!(world.provider.signed_in(), 1);
    // The provider may ask nevertheless.
    world.sign_in(&client).await;
    let request = world.logout_at_the_provider(&client).await;
    world.carry(&client, request).await;
    assert!(!world.is_signed_in(&client).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_websocket_closes_when_the_provider_signs_out() {
    let world = World::start("").await;
    let client = world.gateway.client();
    let cookie = world.sign_in(&client).await;
    let mut raw = world.gateway.raw().await;
    let origin = world.gateway.origin();
    let request = format!(
        "GET /private/socket HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nOrigin: {origin}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    raw.send(request.as_bytes()).await;
    let head = raw.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    let answered = world.send(&world.gateway.client(), &world.request(&[])).await;
    assert!(world.answered_with_success(&answered));
    raw.rest().await; // ends only when the gateway closes it
}

#[tokio::test(flavor = "multi_thread")]
async fn b57_a_saml_logout_that_comes_before_its_assertion_keeps_the_session_from_being_opened() {
    let world = World::start("").await;
    let (gina, provider) = (world.gateway.client(), world.gateway.client());
    // Her provider has signed her in, and before her browser has brought that here it signs her out again.
    let answer = world.answer_for(&gina).await;
    let told = world.send(&provider, &world.request(&[])).await;
    assert!(world.answered_with_success(&told));
    assert!(world.counted("provider", "nobody_was_signed_in"), "{}", world.gateway.metrics());
    let refused = world.post(&gina, &answer).await;
    assert_eq!(refused.status(), 403);
    assert!(set_cookies(&refused).iter().all(|cookie| !cookie.starts_with("__Host-vestibule=")));
    assert!(refused.text().await.unwrap().contains("You are not signed in"));
    assert!(!world.is_signed_in(&gina).await);
    let counted = "vestibule_sign_ins_total{provider=\"globex\",result=\"session_ended_meanwhile\"} 1";
    assert!(world.gateway.metrics().contains(counted), "{}", world.gateway.metrics());
    // Once more, from the start: then it is another sign-in.
    world.sign_in(&gina).await;
    assert!(world.is_signed_in(&gina).await);
    // A logout of another of her sessions does not touch one that is under way.
    let other = world.gateway.client();
    let answer = world.answer_for(&other).await;
    world.send(&provider, &world.request(&["_another".to_owned()])).await;
    assert_eq!(world.post(&other, &answer).await.status(), 303);
    assert!(world.is_signed_in(&other).await && world.is_signed_in(&gina).await);
}
