//! Tabs that expire together sign in once, and whoever goes round and round is told.

use std::time::Duration;

use futures_util::future::join_all;
use vestibule::clock::{Clock, Timestamp};
use vestibule::demo::openid_provider::Endpoint;

use crate::harness::{Options, TestGateway, location, navigate, set_cookies};
use crate::recorder::{Answer, Recorder};

const MINUTE: Duration = Duration::from_secs(60);

async fn start() -> (TestGateway, Recorder, Clock) {
    let recorder = Recorder::start(Answer::default()).await;
    let clock = Clock::manual(Timestamp::from_seconds(1_764_000_000));
    let options = Options { clock: clock.clone(), ..Options::plain(recorder.address) };
    (TestGateway::start(options).await, recorder, clock)
}

fn title(page: &str) -> &str {
    page.split_once("<h1>").and_then(|(_, rest)| rest.split_once("</h1>")).map_or("", |(title, _)| title)
}

fn count(gateway: &TestGateway, name: &str) -> u64 {
    let metrics = gateway.metrics();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |count| count.parse().unwrap())
}

fn opened(gateway: &TestGateway) -> u64 {
    count(gateway, "vestibule_session_changes_total{change=\"opened\"}")
}

/// What the gateway says of the visitor.
async fn session(gateway: &TestGateway, client: &reqwest::Client) -> serde_json::Value {
    let answer = client.get(format!("{}/.vestibule/session", gateway.origin())).send().await.unwrap();
    assert_eq!(answer.headers()["cache-control"], "no-store");
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

#[tokio::test]
async fn ten_tabs_that_expire_together_lead_to_one_sign_in() {
    let (gateway, _recorder, clock) = start().await;
    let client = gateway.client();
    gateway.sign_in(&client, "ana").await;
    clock.advance(31 * MINUTE);
    let before = gateway.provider.requests(Endpoint::Token);
    let tabs = (0..10).map(|tab| {
        let (client, url) = (client.clone(), format!("{}/private/{tab}?a=1&b=2", gateway.origin()));
        async move { navigate(&client, &url).await }
    });
    let tabs = join_all(tabs).await;
    let (mut first, mut waiting) = (Vec::new(), Vec::new());
    for (number, tab) in tabs.into_iter().enumerate() {
        match tab.status().as_u16() {
            303 => first.push((number, location(&tab))),
            _ => waiting.push((number, tab.text().await.unwrap())),
        }
    }
    assert_eq!((first.len(), waiting.len()), (1, 9));
    for (number, page) in &waiting {
        assert_eq!(title(page), "You are signing in in another tab");
        assert!(page.contains(&format!("data-next=\"/private/{number}?a=1&#38;b=2\"")), "{page}");
        assert!(
            page.contains(&format!("href=\"/.vestibule/sign-in?next=%2Fprivate%2F{number}%3Fa%3D1%26b%3D2\"")),
            "{page}"
        );
    }
    assert_eq!(session(&gateway, &client).await["signed_in"], false);
    let approved = client.get(format!("{}&login_hint=ana", first[0].1)).send().await.unwrap();
    let back = navigate(&client, &location(&approved)).await;
    assert_eq!(location(&back), format!("/private/{}?a=1&b=2", first[0].0));
    assert_eq!(session(&gateway, &client).await["signed_in"], true);
    for (number, _) in waiting {
        assert_eq!(navigate(&client, &format!("{}/private/{number}", gateway.origin())).await.status(), 200);
    }
    assert_eq!(gateway.provider.requests(Endpoint::Token) - before, 1);
    assert_eq!(opened(&gateway), 2, "one before, one for all ten");
}

#[tokio::test]
async fn nobody_waits_for_a_tab_that_left_long_ago_or_never_does() {
    let (gateway, _recorder, clock) = start().await;
    let client = gateway.client();
    let private = format!("{}/private", gateway.origin());
    gateway.sign_in(&client, "ana").await;
    clock.advance(31 * MINUTE);
    assert_eq!(navigate(&client, &private).await.status(), 303);
    clock.advance(Duration::from_secs(9));
    assert_eq!(navigate(&client, &private).await.status(), 200, "waits");
    // Here after all.
    let here = format!("{}/.vestibule/sign-in?next=%2Fprivate", gateway.origin());
    assert_eq!(navigate(&client, &here).await.status(), 303);
    clock.advance(Duration::from_secs(1));
    assert_eq!(navigate(&client, &private).await.status(), 303);
    // A provider that cannot be asked lets nobody wait.
    clock.advance(MINUTE);
    let stranger = gateway.client();
    assert_eq!(navigate(&stranger, &private).await.status(), 303, "who is not known does not wait");
    assert_eq!(navigate(&stranger, &private).await.status(), 303);
}

#[tokio::test]
async fn callbacks_that_overlap_wholly_open_one_session() {
    let (gateway, _recorder, _clock) = start().await;
    let client = gateway.client();
    let mut callbacks = Vec::new();
    for tab in 0..10 {
        let begun = navigate(&client, &format!("{}/private/{tab}", gateway.origin())).await;
        let approved = client.get(format!("{}&login_hint=ana", location(&begun))).send().await.unwrap();
        callbacks.push(location(&approved));
    }
    let back = join_all(callbacks.iter().map(|callback| navigate(&client, callback))).await;
    let mut cookies = Vec::new();
    for (tab, back) in back.iter().enumerate() {
        assert_eq!((back.status().as_u16(), location(back)), (303, format!("/private/{tab}")));
        cookies.extend(set_cookies(back).into_iter().filter(|cookie| cookie.starts_with("__Host-vestibule=")));
    }
    cookies.sort();
    cookies.dedup();
    assert_eq!(cookies.len(), 1, "one session for all");
    assert_eq!(opened(&gateway), 1);
    // Another person in the same browser, at the same time, has a session of their own.
    let begun = navigate(&client, &format!("{}/.vestibule/sign-in", gateway.origin())).await;
    let approved = client.get(format!("{}&login_hint=ben", location(&begun))).send().await.unwrap();
    let back = navigate(&client, &location(&approved)).await;
    assert!(!set_cookies(&back).contains(&cookies[0]));
    assert_eq!(opened(&gateway), 2);
}

/// A browser that keeps the cookie of the sign-in, and loses that of the session.
async fn round(gateway: &TestGateway, client: &reqwest::Client) -> reqwest::Response {
    let begun = navigate(client, &format!("{}/private", gateway.origin())).await;
    if begun.status() != 303 {
        return begun;
    }
    let approved = client.get(format!("{}&login_hint=ana", location(&begun))).send().await.unwrap();
    let back = navigate(client, &location(&approved)).await;
    let ours = set_cookies(&back).into_iter().find(|cookie| cookie.starts_with("__Host-vestibule=")).unwrap();
    let issuer = gateway.provider.issuer();
    let all = vestibule::session::Selector::Subject { issuer, subject: "ana".into() };
    gateway.app.sessions().end_matching(&all).await.unwrap();
    assert!(!ours.is_empty());
    back
}

#[tokio::test]
async fn three_rounds_in_a_minute_end_in_a_page_that_explains() {
    let (gateway, _recorder, clock) = start().await;
    let client = gateway.client();
    for number in 0..3 {
        assert_eq!(round(&gateway, &client).await.status(), 303, "round {number}");
        clock.advance(Duration::from_secs(5));
    }
    let stopped = round(&gateway, &client).await;
    assert_eq!(stopped.status(), 400);
    let page = stopped.text().await.unwrap();
    assert_eq!(title(&page), "Sign-in keeps starting over");
    assert!(page.contains("href=\"/.vestibule/sign-in?again\""), "{page}");
    assert_eq!(count(&gateway, "vestibule_refusals_total{portal=\"localhost\",reason=\"sign_in_loop\"}"), 1);
    // By hand it may be tried once more, and for another browser nothing has changed.
    let again = navigate(&client, &format!("{}/.vestibule/sign-in?again", gateway.origin())).await;
    assert_eq!(again.status(), 303);
    assert_eq!(navigate(&gateway.client(), &format!("{}/private", gateway.origin())).await.status(), 303);
}

#[tokio::test]
async fn who_signs_out_each_time_goes_no_round() {
    let (gateway, _recorder, _clock) = start().await;
    let client = gateway.client();
    for _ in 0..6 {
        gateway.sign_in(&client, "ana").await;
        let out = client.post(format!("{}/.vestibule/sign-out", gateway.origin())).header("origin", gateway.origin());
        assert_eq!(out.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap().status(), 303);
    }
}

#[tokio::test]
async fn a_browser_that_brings_no_cookie_back_is_told_so() {
    let (gateway, _recorder, _clock) = start().await;
    let without = gateway.client_builder().cookie_store(false).build().unwrap();
    let begun = navigate(&without, &format!("{}/private", gateway.origin())).await;
    let approved = without.get(format!("{}&login_hint=ana", location(&begun))).send().await.unwrap();
    let back = navigate(&without, &location(&approved)).await;
    assert_eq!(back.status(), 400);
    let page = back.text().await.unwrap();
    assert_eq!(title(&page), "Cookies are needed");
    assert_eq!(count(&gateway, "vestibule_refusals_total{portal=\"localhost\",reason=\"cookies_missing\"}"), 1);
}
