//! Customer sessions at Cloud by the site's own single sign-on: healing, signing out, and what the browser sees of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Client, Response};
use vestibule::clock::Clock;
use vestibule::demo::jsm_cloud::{Fault, FaultKind, JsmCloud};
use vestibule::demo::openid_provider::{Person, Settings};
use vestibule::demo::world::{CLIENT_ID, CLOUD_HOST, PROVIDER, ProviderChoice, World, WorldSettings};
use vestibule::random::Random;

use crate::harness::{location, navigate, set_cookies};

pub const PORTAL: &str = "/servicedesk/customer/portal/1";
const CREATE: &str = "/servicedesk/customer/portal/1/create/11";
pub const ANA: &str = "ana@acme.example";
const BEN: &str = "ben@acme.example";

pub struct Stage {
    pub world: World,
    _folder: tempfile::TempDir,
}

async fn stage() -> Stage {
    stage_with("        call_timeout: 2s\n").await
}

/// With these lines for `customer_session.cloud_saml`.
pub async fn stage_with(cloud_lines: &str) -> Stage {
    stage_at(cloud_lines, Clock::System).await
}

/// The same, by that clock.
pub async fn stage_at(cloud_lines: &str, clock: Clock) -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let person = |name: &str| Person::new(name, &format!("{name} Person"), &format!("{name}@acme.example"));
    let people = ["ana", "ben", "mia"].map(person).to_vec();
    let settings = WorldSettings {
        port: 0,
        admin_port: 0,
        certificates: folder.path().join("certificates"),
        state: folder.path().join("state"),
        provider: ProviderChoice::BuiltIn(Box::new(Settings { people, ..Settings::default() }.approve_by_login_hint())),
        saml: None,
        portal_lines: String::new(),
        datacenter_lines: String::new(),
        cloud_lines: cloud_lines.into(),
        recorded: 0,
        clock,
    };
    Stage { world: World::start(settings, Random::default()).await.unwrap(), _folder: folder }
}

impl Stage {
    pub fn jsm(&self) -> &JsmCloud {
        &self.world.cloud.jsm
    }

    pub fn browser(&self) -> Client {
        Client::builder()
            .no_proxy()
            .cookie_store(true)
            .redirect(reqwest::redirect::Policy::none())
            .add_root_certificate(reqwest::Certificate::from_pem(self.world.authority_pem.as_bytes()).unwrap())
            .resolve(CLOUD_HOST, self.world.app.https_address())
            .timeout(Duration::from_secs(30))
            .build()
            .unwrap()
    }

    pub async fn open(&self, browser: &Client, path: &str) -> Response {
        navigate(browser, &format!("{}{path}", self.world.cloud_origin())).await
    }

    /// Signs in, and leaves the first page of the portal unasked for.
    pub async fn sign_in(&self, person: &str) -> Client {
        let browser = self.browser();
        let stopped = self.open(&browser, PORTAL).await;
        assert_eq!(stopped.status(), 303);
        let approved = browser.get(format!("{}&login_hint={person}", location(&stopped))).send().await.unwrap();
        let returned = navigate(&browser, &location(&approved)).await;
        assert_eq!((returned.status().as_u16(), location(&returned).as_str()), (303, PORTAL));
        browser
    }

    pub async fn sign_out(&self, browser: &Client) {
        let sign_out = format!("{}/.vestibule/sign-out", self.world.cloud_origin());
        let answer = browser.post(sign_out).header("origin", self.world.cloud_origin()).send().await.unwrap();
        assert!(answer.status().is_success() || answer.status().is_redirection(), "{}", answer.status());
    }

    fn metrics(&self) -> String {
        String::from_utf8(self.world.app.metrics().encode().unwrap()).unwrap()
    }

    /// Waits until the metrics say so: an exchange is counted when it is over, a moment after its answer.
    pub async fn counted(&self, line: &str) {
        let seen = async {
            while !self.metrics().contains(line) {
                tokio::task::yield_now().await;
            }
        };
        let counted = tokio::time::timeout(Duration::from_secs(10), seen).await;
        assert!(counted.is_ok(), "{line} in {}", self.metrics());
    }

    async fn open_form(&self, browser: &Client) -> String {
        let form = self.open(browser, CREATE).await;
        let status = form.status();
        let page = form.text().await.unwrap();
        assert_eq!(status, 200, "{page}");
        page.split("name=\"atl_token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    }

    pub async fn send_form(&self, browser: &Client, token: &str, summary: &str) -> Response {
        browser
            .post(format!("{}{CREATE}", self.world.cloud_origin()))
            .header("origin", self.world.cloud_origin())
            .header("accept", "text/html")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
            .form(&[("atl_token", token), ("summary", summary), ("description", "short")])
            .send()
            .await
            .unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_session_at_cloud_is_reopened_once_and_the_request_repeated() {
    let stage = stage().await;
    let browser = stage.sign_in("ana").await;
    assert_eq!(stage.open(&browser, PORTAL).await.status(), 200);
    let token = stage.open_form(&browser).await;
    assert_eq!((stage.jsm().kill_all(ANA), stage.jsm().logins(ANA)), (1, 1));
    let raised = stage.send_form(&browser, &token, "once and only once").await;
    assert_eq!(raised.status(), 302, "{}", raised.text().await.unwrap());
    assert!(location(&raised).starts_with(&stage.world.cloud_origin()));
    let requests = stage.jsm().requests_of(ANA);
    assert_eq!((requests.len(), stage.jsm().logins(ANA)), (1, 2));
    stage.counted("upstream_repeats_total{portal=\"cloud.localhost\",result=\"repeated\"} 1").await;
    let list = format!("{}/rest/servicedeskapi/request", stage.world.cloud_origin());
    stage.jsm().kill_all(ANA);
    let answer = browser.get(&list).header("accept", "application/json").send().await.unwrap();
    assert_eq!(answer.status(), 200, "scripts heal, too");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_cloud_signs_nobody_out() {
    let stage = stage().await;
    let ana = stage.sign_in("ana").await;
    assert_eq!(stage.open(&ana, PORTAL).await.status(), 200);
    for (kind, statuses) in [
        (FaultKind::Status(503, None), &[503][..]),
        (FaultKind::Status(500, None), &[500, 503]),
        (FaultKind::DropConnection, &[502]),
        (FaultKind::FirewallBlock, &[403]),
        (FaultKind::FirewallChallenge, &[202]),
    ] {
        stage.jsm().set_faults(vec![Fault::always("", kind.clone())]);
        let status = stage.open(&ana, PORTAL).await.status().as_u16();
        assert!(statuses.contains(&status), "{kind:?}: {status}");
    }
    stage.jsm().set_faults(vec![Fault::always("/servicedesk/customer/user/login", FaultKind::FirewallBlock)]);
    let ben = stage.sign_in("ben").await;
    let refused = stage.open(&ben, PORTAL).await;
    assert_eq!(refused.status(), 503);
    assert!(refused.text().await.unwrap().contains("<h1"));
    stage.counted("refusals_total{portal=\"cloud.localhost\",reason=\"login_blocked\"} 1").await;
    stage.jsm().set_faults(Vec::new());
    assert_eq!(stage.open(&ana, PORTAL).await.status(), 200);
    assert_eq!((stage.jsm().customers_created(ANA), stage.jsm().logins(ANA)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_out_at_cloud_leaves_others_alone_and_signing_out_ends_the_session_there() {
    let stage = stage().await;
    let (one, other, ben) = (stage.sign_in("ana").await, stage.sign_in("ana").await, stage.sign_in("ben").await);
    for browser in [&one, &other, &ben] {
        assert_eq!(stage.open(browser, PORTAL).await.status(), 200);
    }
    assert_eq!((stage.jsm().sessions_of(ANA), stage.jsm().sessions_of(BEN)), (2, 1));
    stage.sign_out(&one).await;
    assert_eq!((stage.jsm().sessions_of(ANA), stage.jsm().sessions_of(BEN)), (1, 1));
    assert_eq!(stage.open(&one, PORTAL).await.status(), 303);
    stage.jsm().kill_all(ANA);
    assert_eq!(stage.open(&other, PORTAL).await.status(), 200);
    assert_eq!(stage.open(&ben, PORTAL).await.status(), 200);
    assert_eq!(stage.jsm().logins(BEN), 1);
    stage.counted("customer_sessions_total{portal=\"cloud.localhost\",result=\"ended\"} 1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_browser_sees_nothing_of_the_session_at_cloud_nor_of_the_site() {
    let stage = stage().await;
    let browser = stage.sign_in("ana").await;
    let mut cookies = Vec::new();
    let site = stage.jsm().base_url();
    for path in
        [PORTAL, "/servicedesk/customer/portals", "/servicedesk/customer/user/requests", "/s/portal/1/portal.js"]
    {
        let answer = stage.open(&browser, path).await;
        assert_eq!(answer.status(), 200, "{path}");
        cookies.extend(set_cookies(&answer));
        let text = answer.text().await.unwrap();
        for leaked in ["session.token", "SAMLResponse", &site, &site.replace('/', "\\/")] {
            assert!(!text.contains(leaked), "{path} shows {leaked}");
        }
    }
    assert!(cookies.iter().all(|cookie| cookie.starts_with("atlassian.xsrf.token=")), "{cookies:?}");
    for (path, to) in [
        ("/servicedesk/customer/user/login?destination=portals", "/servicedesk/customer/portals"),
        ("/servicedesk/customer/user/logout?atl_token=x", "/.vestibule/sign-out"),
        ("/.vestibule/cloud/sign-on?SAMLRequest=x", "/servicedesk/customer/portals"),
    ] {
        let answer = stage.open(&browser, path).await;
        assert_eq!((answer.status().as_u16(), location(&answer).as_str()), (303, to), "{path}");
    }
    for path in ["/jsd-login/v1/saml/complete?code=x", "/jsd-login/v1/authentication/authenticate"] {
        assert_eq!(stage.open(&browser, path).await.status(), 403, "{path}");
    }
    let metadata = stage.open(&stage.browser(), "/.vestibule/cloud/metadata").await;
    assert_eq!(metadata.headers()["content-type"], "application/samlmetadata+xml");
    assert!(metadata.text().await.unwrap().contains("IDPSSODescriptor"));
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_with_an_atlassian_account_reads_so_and_goes_round_in_no_circles() {
    let stage = stage().await;
    let mia = stage.sign_in("mia").await;
    let there = format!("href=\"{}{PORTAL}\"", stage.jsm().base_url());
    for _ in 0..2 {
        let refused = stage.open(&mia, PORTAL).await;
        assert_eq!(refused.status(), 403);
        let page = refused.text().await.unwrap();
        assert!(page.contains("You already have an Atlassian account"));
        // Not by way of the gateway, and not by itself.
        assert!(page.contains(&there) && page.contains("<strong>127.0.0.1</strong>"), "{page}");
        assert!(!page.contains("http-equiv"), "{page}");
    }
    // One whom the directory took for a customer, and whom the login sends to Atlassian.
    let ben = stage.sign_in("ben").await;
    stage.jsm().add_atlassian_account_elsewhere(BEN);
    let refused = stage.open(&ben, PORTAL).await;
    assert_eq!(refused.status(), 403);
    let page = refused.text().await.unwrap();
    assert!(page.contains("You already have an Atlassian account") && page.contains(&there), "{page}");
    assert_eq!(stage.jsm().sessions_of(BEN), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_offered_to_people_with_an_atlassian_account_is_a_setting() {
    let address = "        site_address: \"https://help.acme.example\"\n";
    let there = format!("https://help.acme.example{PORTAL}");
    let refused = |page: &str| page.contains("You already have an Atlassian account");
    // A link to the address that browsers know the site by.
    let stage = stage_with(address).await;
    let mia = stage.sign_in("mia").await;
    let page = stage.open(&mia, PORTAL).await.text().await.unwrap();
    assert!(refused(&page) && page.contains(&format!("href=\"{there}\"")), "{page}");
    assert!(page.contains("<strong>help.acme.example</strong>"), "{page}");
    // Nothing, where nobody but the gateway gets at the site.
    let stage = stage_with("        other_accounts: refuse\n").await;
    let mia = stage.sign_in("mia").await;
    let page = stage.open(&mia, PORTAL).await.text().await.unwrap();
    assert!(refused(&page) && !page.contains(&stage.jsm().base_url()), "{page}");
    // A page that leads on by itself; but nothing that was sent goes there, and scripts are told.
    let stage = stage_with(&format!("{address}        other_accounts: hand_over\n")).await;
    let mia = stage.sign_in("mia").await;
    let led = stage.open(&mia, PORTAL).await;
    assert_eq!(led.status(), 200);
    let page = led.text().await.unwrap();
    assert!(!refused(&page) && page.contains(&format!("content=\"2;url={there}\"")), "{page}");
    let sent = stage.send_form(&mia, "x", "lost").await;
    assert_eq!(sent.status(), 403);
    let page = sent.text().await.unwrap();
    assert!(
        refused(&page) && page.contains("href=\"https://help.acme.example/servicedesk/customer/portals\""),
        "{page}"
    );
    let list = format!("{}/rest/servicedeskapi/request", stage.world.cloud_origin());
    let told = mia.get(&list).header("accept", "application/json").send().await.unwrap();
    assert_eq!(told.status(), 403);
    assert!(told.text().await.unwrap().contains("\"error\":\"atlassian_account\""));
    assert_eq!(stage.jsm().customers_created("mia@acme.example"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_told_by_the_provider_ends_the_session_at_cloud_too_and_no_other() {
    let stage = stage().await;
    let provider = stage.world.provider.as_ref().unwrap();
    let seen = Arc::new(Mutex::new(serde_json::Value::Null));
    let keep = Arc::clone(&seen);
    provider.alter_next_id_token(move |parts| *keep.lock().unwrap() = parts.claims.clone().into());
    let (one, other, ben) = (stage.sign_in("ana").await, stage.sign_in("ana").await, stage.sign_in("ben").await);
    for browser in [&one, &other, &ben] {
        assert_eq!(stage.open(browser, PORTAL).await.status(), 200);
    }
    assert_eq!((stage.jsm().sessions_of(ANA), stage.jsm().sessions_of(BEN)), (2, 1));
    let now = Clock::System.now().seconds();
    let claims = serde_json::json!({
        "iss": provider.issuer(), "aud": CLIENT_ID, "iat": now, "exp": now + 60, "jti": "1", "sid": seen.lock().unwrap()["sid"],
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    let token = provider.sign_logout_token(&claims).unwrap();
    let address = format!("{}/.vestibule/oidc/{PROVIDER}/back-channel-logout", stage.world.cloud_origin());
    let told = stage.browser().post(address).form(&[("logout_token", token)]).send().await.unwrap();
    assert_eq!(told.status(), 200);
    assert_eq!((stage.jsm().sessions_of(ANA), stage.jsm().sessions_of(BEN)), (1, 1));
    assert_eq!(stage.open(&one, PORTAL).await.status(), 303);
    assert_eq!(stage.open(&other, PORTAL).await.status(), 200);
}
