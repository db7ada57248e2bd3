//! The way to a customer session at Cloud that the visitor's own browser goes, through the gateway.

use std::time::Duration;

use reqwest::{Client, Response};
use vestibule::clock::Clock;
use vestibule::demo::jsm_cloud::{Fault, FaultKind};

use crate::cloud_saml::{ANA, PORTAL, Stage, stage_at, stage_with};
use crate::harness::{location, navigate, set_cookies};

const WALK: &str = "/.vestibule/cloud/walk";

async fn stage() -> Stage {
    let stage = stage_with("        walk: browser\n").await;
    stage.jsm().switch(|switches| switches.single_sign_on_by_script = true);
    stage
}

/// Opens the portal and is sent on the way; gives the page with the script, and where that leads.
async fn on_the_way(stage: &Stage, browser: &Client) -> (String, String) {
    let sent = stage.open(browser, PORTAL).await;
    assert_eq!(sent.status(), 303, "{}", sent.text().await.unwrap());
    assert!(location(&sent).starts_with(&format!("{WALK}?next=")), "{}", location(&sent));
    let shown = stage.open(browser, &location(&sent)).await;
    assert_eq!(shown.status(), 200);
    assert!(set_cookies(&shown).is_empty() && !shown.headers().contains_key("server"));
    let page = shown.text().await.unwrap();
    let leads = page.split("\"singleSignOn\":\"").nth(1).unwrap().split('"').next().unwrap().replace("\\/", "/");
    assert!(leads.starts_with(&format!("{}/.vestibule/cloud/at/1/saml/", stage.world.cloud_origin())), "{leads}");
    (page, leads)
}

/// What a script of the page does.
async fn script(browser: &Client, leads: &str) -> Response {
    navigate(browser, leads).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_goes_the_way_and_sees_no_cookie_and_no_assertion() {
    let stage = stage().await;
    let ana = stage.sign_in("ana").await;
    let (page, leads) = on_the_way(&stage, &ana).await;
    let site = stage.jsm().base_url();
    for leaked in [&site, &site.replace('/', "\\/"), "SAMLResponse", "session.token"] {
        assert!(!page.contains(leaked), "the page shows {leaked}");
    }
    let arrived = script(&ana, &leads).await;
    assert_eq!((arrived.status().as_u16(), location(&arrived).as_str()), (303, PORTAL));
    assert!(set_cookies(&arrived).is_empty());
    assert_eq!(stage.open(&ana, PORTAL).await.status(), 200);
    assert_eq!((stage.jsm().logins(ANA), stage.jsm().sessions_of(ANA)), (1, 1));
    let again = script(&ana, &leads).await;
    assert_eq!(location(&again), "/servicedesk/customer/portals", "the way is over");
    assert_eq!(stage.jsm().logins(ANA), 1);
    stage.sign_out(&ana).await;
    assert_eq!(stage.jsm().sessions_of(ANA), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_script_is_needed_the_browser_does_not_notice_the_way() {
    let stage = stage_with("        walk: browser\n").await;
    let ana = stage.sign_in("ana").await;
    let sent = stage.open(&ana, PORTAL).await;
    let arrived = stage.open(&ana, &location(&sent)).await;
    assert_eq!((arrived.status().as_u16(), location(&arrived).as_str()), (303, PORTAL));
    assert_eq!(stage.open(&ana, PORTAL).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_session_leads_on_the_way_again_and_scripts_are_told() {
    let stage = stage().await;
    let ana = stage.sign_in("ana").await;
    let list = format!("{}/rest/servicedeskapi/request", stage.world.cloud_origin());
    let told = ana.get(&list).header("accept", "application/json").send().await.unwrap();
    assert_eq!(told.status(), 503);
    assert!(told.text().await.unwrap().contains("sign_on_by_browser"));
    for logins in [1, 2] {
        let (_, leads) = on_the_way(&stage, &ana).await;
        script(&ana, &leads).await;
        assert_eq!(stage.open(&ana, PORTAL).await.status(), 200);
        assert_eq!(stage.jsm().logins(ANA), logins);
        stage.jsm().kill_all(ANA);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_goes_anothers_way_nor_one_that_leads_elsewhere() {
    let stage = stage().await;
    let (ana, ben, stranger) = (stage.sign_in("ana").await, stage.sign_in("ben").await, stage.browser());
    let (_, leads) = on_the_way(&stage, &ana).await;
    for browser in [&ben, &stranger] {
        let answer = script(browser, &leads).await;
        assert_eq!((answer.status().as_u16(), location(&answer).as_str()), (303, "/servicedesk/customer/portals"));
    }
    assert_eq!(stage.jsm().logins("ben@acme.example"), 0);
    // Another site's form, a host that is none of the way, and a request that is not the site's.
    let foreign = ana.post(&leads).header("origin", "https://evil.example").form(&[("a", "b")]).send().await.unwrap();
    assert_eq!(foreign.status(), 403);
    let origin = stage.world.cloud_origin();
    for (path, expected) in [
        ("/.vestibule/cloud/at/9/x", 503),
        ("/.vestibule/cloud/at/0x/x", 404),
        ("/.vestibule/cloud/at/0/rest/api/3/user/search?query=a", 403),
        ("/.vestibule/cloud/at/0/jsd-login/v1/saml/complete?code=x", 403),
        ("/.vestibule/cloud/sign-on?SAMLRequest=x", 503),
    ] {
        on_the_way(&stage, &ana).await;
        let status = navigate(&ana, &format!("{origin}{path}")).await.status().as_u16();
        assert_eq!(status, expected, "{path}");
        assert_eq!(stage.jsm().logins(ANA), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_that_never_ends_is_not_gone_for_ever() {
    let stage = stage().await;
    let ana = stage.sign_in("ana").await;
    for _ in 0..6 {
        on_the_way(&stage, &ana).await;
    }
    let sent = stage.open(&ana, PORTAL).await;
    let refused = stage.open(&ana, &location(&sent)).await;
    assert_eq!(refused.status(), 503);
    stage.counted("refusals_total{portal=\"cloud.localhost\",reason=\"keeps_dying\"} 1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_customer_is_refused_before_the_way_begins() {
    let stage = stage().await;
    let mia = stage.sign_in("mia").await;
    let sent = stage.open(&mia, PORTAL).await;
    let refused = stage.open(&mia, &location(&sent)).await;
    assert_eq!(refused.status(), 403);
    let page = refused.text().await.unwrap();
    let there = format!("href=\"{}{PORTAL}\"", stage.jsm().base_url());
    assert!(page.contains("You already have an Atlassian account") && page.contains(&there), "{page}");
}

/// A portal whose customer sessions last ten minutes, by a clock that the test turns.
async fn short_lived() -> (Stage, Clock) {
    let clock = Clock::manual(Clock::System.now());
    let stage = stage_at("        walk: browser\n        max_age: 10m\n", clock.clone()).await;
    (stage, clock)
}

const MINUTE: Duration = Duration::from_secs(60);

/// A window asks for a page and gets it at once.
async fn is_served(stage: &Stage, browser: &Client) {
    let page = stage.open(browser, PORTAL).await;
    assert_eq!(page.status(), 200, "{}", page.text().await.unwrap());
}

/// A window asks for a page and is sent on the way; gives where it begins.
async fn is_sent(stage: &Stage, browser: &Client) -> String {
    let sent = stage.open(browser, PORTAL).await;
    assert_eq!(sent.status(), 303, "{}", sent.text().await.unwrap());
    assert!(location(&sent).starts_with(&format!("{WALK}?next=")), "{}", location(&sent));
    location(&sent)
}

/// The way leads, without the browser's help, back to the page.
async fn comes_back(stage: &Stage, browser: &Client, way: &str) {
    let back = stage.open(browser, way).await;
    assert_eq!((back.status().as_u16(), location(&back).as_str()), (303, PORTAL));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_is_gone_anew_before_the_session_is_over_and_the_old_one_serves_meanwhile() {
    let (stage, clock) = short_lived().await;
    let ana = stage.sign_in("ana").await;
    let way = is_sent(&stage, &ana).await;
    comes_back(&stage, &ana, &way).await;
    clock.advance(MINUTE * 7);
    is_served(&stage, &ana).await;
    // 80 % are over. The way needs a script now, so that it takes a while.
    clock.advance(MINUTE + Duration::from_secs(1));
    stage.jsm().switch(|switches| switches.single_sign_on_by_script = true);
    let list = format!("{}/rest/servicedeskapi/request", stage.world.cloud_origin());
    let script_call = || ana.get(&list).header("accept", "application/json").header("sec-fetch-mode", "cors").send();
    let not_a_window = |dest: &'static str, purpose: Option<&'static str>| {
        let page = ana.get(format!("{}{PORTAL}", stage.world.cloud_origin())).header("accept", "text/html");
        let page = page.header("sec-fetch-mode", "navigate").header("sec-fetch-dest", dest);
        purpose.into_iter().fold(page, |page, purpose| page.header("sec-purpose", purpose)).send()
    };
    assert_eq!(script_call().await.unwrap().status(), 200, "a script's call begins nothing");
    assert_eq!(not_a_window("iframe", None).await.unwrap().status(), 200, "nor does a frame");
    assert_eq!(not_a_window("document", Some("prefetch")).await.unwrap().status(), 200, "nor what nobody sees");
    let token = form_token(&stage, &ana).await;
    let raised = stage.send_form(&ana, &token, "sent by the old session").await;
    assert_eq!(raised.status(), 302, "nor a form: {}", raised.text().await.unwrap());
    let (_, leads) = on_the_way(&stage, &ana).await;
    for _ in 0..3 {
        is_served(&stage, &ana).await; // other windows
        assert_eq!(script_call().await.unwrap().status(), 200);
    }
    assert_eq!(stage.jsm().logins(ANA), 1);
    let arrived = script(&ana, &leads).await;
    assert_eq!((arrived.status().as_u16(), location(&arrived).as_str()), (303, PORTAL));
    assert_eq!(stage.jsm().logins(ANA), 2);
    is_served(&stage, &ana).await;
    clock.advance(MINUTE * 5); // the old one would be over
    is_served(&stage, &ana).await;
    assert_eq!((stage.jsm().logins(ANA), stage.jsm().requests_of(ANA).len()), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_that_fails_ahead_of_time_costs_nothing_and_is_not_gone_all_the_time() {
    let (stage, clock) = short_lived().await;
    let ana = stage.sign_in("ana").await;
    let way = is_sent(&stage, &ana).await;
    comes_back(&stage, &ana, &way).await;
    clock.advance(MINUTE * 8 + Duration::from_secs(1));
    let login = "/servicedesk/customer/user/login";
    stage.jsm().set_faults(vec![Fault::always(login, FaultKind::Status(500, None))]);
    let way = is_sent(&stage, &ana).await;
    comes_back(&stage, &ana, &way).await; // and not to an error
    stage.counted("customer_sessions_total{portal=\"cloud.localhost\",result=\"upstream_failing\"} 1").await;
    for _ in 0..5 {
        is_served(&stage, &ana).await;
    }
    clock.advance(MINUTE);
    let way = is_sent(&stage, &ana).await;
    comes_back(&stage, &ana, &way).await;
    is_served(&stage, &ana).await;
    // Over: now there is nothing left to serve by, and it says so.
    clock.advance(MINUTE);
    let way = is_sent(&stage, &ana).await;
    assert_eq!(stage.open(&ana, &way).await.status(), 503);
    stage.jsm().set_faults(Vec::new());
    let way = is_sent(&stage, &ana).await;
    comes_back(&stage, &ana, &way).await;
    is_served(&stage, &ana).await;
    assert_eq!(stage.jsm().logins(ANA), 2);
}

async fn form_token(stage: &Stage, browser: &Client) -> String {
    let url = format!("{}/servicedesk/customer/portal/1/create/11", stage.world.cloud_origin());
    let framed = browser.get(url).header("accept", "text/html").header("sec-fetch-mode", "navigate");
    let form = framed.header("sec-fetch-dest", "iframe").send().await.unwrap();
    assert_eq!(form.status(), 200);
    let page = form.text().await.unwrap();
    page.split("name=\"atl_token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}
