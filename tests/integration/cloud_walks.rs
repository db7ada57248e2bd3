//! The way to a customer session at Cloud that the visitor's own browser goes, through the gateway.

use reqwest::{Client, Response};

use crate::cloud_saml::{ANA, PORTAL, Stage, stage_with};
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
    assert!(refused.text().await.unwrap().contains("You already have an Atlassian account"));
}
