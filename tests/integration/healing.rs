//! Customer sessions at Data Center: refused accounts, dead sessions, and a JSM that has a bad day.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Client, Response};
use vestibule::clock::Clock;
use vestibule::demo::jsm_datacenter::{Directory, Fault, FaultKind, JsmDataCenter, User};
use vestibule::demo::openid_provider::{Person, Settings};
use vestibule::demo::world::{CLIENT_ID, PROVIDER, ProviderChoice, World, WorldSettings};
use vestibule::random::Random;

use crate::harness::{location, navigate, set_cookies};

const PORTAL: &str = "/servicedesk/customer/portal/1";
const CREATE: &str = "/servicedesk/customer/portal/1/create/11";

/// A world whose provider signs in whomever `login_hint` names.
struct Stage {
    world: World,
    _folder: tempfile::TempDir,
}

async fn stage(people: &[&str]) -> Stage {
    stage_at(people, Clock::System).await
}

async fn stage_at(people: &[&str], clock: Clock) -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let people = people
        .iter()
        .map(|name| Person::new(name, &format!("{name} Person"), &format!("{name}@acme.example")))
        .collect();
    let provider = Settings { people, ..Settings::default() }.approve_by_login_hint();
    let settings = WorldSettings {
        port: 0,
        admin_port: 0,
        certificates: folder.path().join("certificates"),
        state: folder.path().join("state"),
        provider: ProviderChoice::BuiltIn(Box::new(provider)),
        saml: None,
        portal_lines: String::new(),
        datacenter_lines: "        call_timeout: 2s\n".into(),
        cloud_lines: String::new(),
        recorded: 4 * 1024 * 1024,
        clock,
    };
    Stage { world: World::start(settings, Random::default()).await.unwrap(), _folder: folder }
}

impl Stage {
    fn jsm(&self) -> &JsmDataCenter {
        &self.world.jsm
    }

    fn browser(&self) -> Client {
        Client::builder()
            .no_proxy()
            .cookie_store(true)
            .redirect(reqwest::redirect::Policy::none())
            .add_root_certificate(reqwest::Certificate::from_pem(self.world.authority_pem.as_bytes()).unwrap())
            .timeout(Duration::from_secs(30))
            .build()
            .unwrap()
    }

    async fn open(&self, browser: &Client, path: &str) -> Response {
        navigate(browser, &format!("{}{path}", self.world.origin())).await
    }

    /// Signs in, and leaves the first page of the portal unasked for.
    async fn sign_in(&self, person: &str) -> Client {
        let browser = self.browser();
        let stopped = self.open(&browser, PORTAL).await;
        assert_eq!(stopped.status(), 303);
        let approved = browser.get(format!("{}&login_hint={person}", location(&stopped))).send().await.unwrap();
        let returned = navigate(&browser, &location(&approved)).await;
        assert_eq!((returned.status().as_u16(), location(&returned).as_str()), (303, PORTAL));
        browser
    }

    fn metrics(&self) -> String {
        String::from_utf8(self.world.app.metrics().encode().unwrap()).unwrap()
    }

    /// Waits until the metrics say so: an exchange is counted when it is over, a moment after its answer.
    async fn counted(&self, line: &str) {
        let seen = async {
            while !self.metrics().contains(line) {
                tokio::task::yield_now().await;
            }
        };
        let counted = tokio::time::timeout(Duration::from_secs(10), seen).await;
        assert!(counted.is_ok(), "{line} in {}", self.metrics());
    }

    /// The XSRF token of the form for a new request.
    async fn open_form(&self, browser: &Client) -> String {
        let form = self.open(browser, CREATE).await;
        let status = form.status();
        let page = form.text().await.unwrap();
        assert_eq!(status, 200, "{page}");
        page.split("name=\"atl_token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    }

    async fn send_form(&self, browser: &Client, token: &str, summary: &str, description: &str) -> Response {
        browser
            .post(format!("{}{CREATE}", self.world.origin()))
            .header("origin", self.world.origin())
            .header("accept", "text/html")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
            .form(&[("atl_token", token), ("summary", summary), ("description", description)])
            .send()
            .await
            .unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_that_are_no_customers_are_refused_each_with_its_reason() {
    let stage = stage(&["agent", "boss", "ldap", "left"]).await;
    let with = |name: &str, change: &dyn Fn(&mut User)| {
        let mut user = User::customer(&format!("{name}@acme.example"), name);
        change(&mut user);
        stage.jsm().add_user(user);
    };
    with("agent", &|user| user.groups.extend(["jira-servicedesk-users".to_owned()]));
    with("boss", &|user| user.groups.extend(["jira-administrators".to_owned()]));
    with("ldap", &|user| user.directory = Directory::ReadOnly);
    with("left", &|user| user.active = false);
    for (person, reason) in [
        ("agent", "licensed_user"),
        ("boss", "administrator"),
        ("ldap", "read_only_directory"),
        ("left", "deactivated"),
    ] {
        let browser = stage.sign_in(person).await;
        let refused = stage.open(&browser, PORTAL).await;
        assert_eq!(refused.status(), 403, "{person}");
        assert!(set_cookies(&refused).is_empty());
        let page = refused.text().await.unwrap();
        assert!(page.contains("/.vestibule/sign-out"), "{person} can be somebody else: {page}");
        stage.counted(&format!("refusals_total{{portal=\"localhost\",reason=\"{reason}\"}} 1")).await;
        assert_eq!(stage.jsm().sessions_of(&format!("{person}@acme.example")).len(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_customer_session_is_reopened_and_the_request_repeated_once() {
    let stage = stage(&["ana"]).await;
    let browser = stage.sign_in("ana").await;
    assert_eq!(stage.open(&browser, PORTAL).await.status(), 200);
    let token = stage.open_form(&browser).await;
    assert!(stage.jsm().kill_all("ana@acme.example") > 0);
    let raised = stage.send_form(&browser, &token, "once and only once", "short").await;
    assert_eq!(raised.status(), 302, "{}", raised.text().await.unwrap());
    assert!(location(&raised).starts_with(&stage.world.origin()));
    let requests = stage.jsm().requests_of("ana@acme.example");
    assert_eq!(requests.len(), 1);
    assert_eq!((requests[0].summary.as_str(), requests[0].description.as_str()), ("once and only once", "short"));
    stage.counted("upstream_repeats_total{portal=\"localhost\",result=\"repeated\"} 1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_at_hand_any_more_is_not_lost_in_silence() {
    let stage = stage(&["ana"]).await;
    let browser = stage.sign_in("ana").await;
    assert_eq!(stage.open(&browser, PORTAL).await.status(), 200);
    let long = "x".repeat(200 * 1024);
    let token = stage.open_form(&browser).await;
    assert!(stage.jsm().kill_all("ana@acme.example") > 0);
    // JSM takes its time, so that the gateway has passed on more than it keeps before it learns of the dead session.
    let gate = stage.jsm().hold(CREATE);
    let recorder = stage.world.recorder.clone().unwrap();
    let before = recorder.bytes().len();
    let release = async {
        recorder.wait_for(|seen| (seen.bytes().len() > before + 180 * 1024).then_some(())).await;
        gate.open();
    };
    let (answer, ()) = tokio::join!(stage.send_form(&browser, &token, "long", &long), release);
    assert_eq!(answer.status(), 503);
    assert!(answer.text().await.unwrap().contains("not"));
    assert_eq!(stage.jsm().requests_of("ana@acme.example").len(), 0);
    // The customer session is open again: sending again works, as the page says.
    let token = stage.open_form(&browser).await;
    assert_eq!(stage.send_form(&browser, &token, "long", &long).await.status(), 302);
    assert_eq!(stage.jsm().requests_of("ana@acme.example").len(), 1);
    stage.counted("upstream_repeats_total{portal=\"localhost\",result=\"not_sent\"} 1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_form_waits_on_when_its_customer_session_is_dead_and_no_other_can_be_opened() {
    let clock = Clock::manual(Clock::System.now());
    let stage = stage_at(&["ana"], clock.clone()).await;
    let browser = stage.sign_in("ana").await;
    let token = stage.open_form(&browser).await;
    clock.advance(Duration::from_secs(31 * 60));
    let waits = location(&stage.send_form(&browser, &token, "once and only once", "short").await);
    // They sign in, and look at another page first.
    let between = |text: &str, from: &str| {
        let part = text.split_once(from).and_then(|(_, rest)| rest.split_once('"')).map(|(part, _)| part);
        part.unwrap_or_else(|| panic!("{from} in {text}")).replace("&#38;", "&")
    };
    let page = stage.open(&browser, &waits).await.text().await.unwrap();
    let begun =
        stage.open(&browser, &format!("/.vestibule/sign-in{}", between(&page, "href=\"/.vestibule/sign-in"))).await;
    let approved = browser.get(format!("{}&login_hint=ana", location(&begun))).send().await.unwrap();
    assert_eq!(navigate(&browser, &location(&approved)).await.status(), 303);
    assert_eq!(stage.open(&browser, PORTAL).await.status(), 200);
    // JSM forgets its sessions, and takes no logins.
    let takes_logins = |does: bool| {
        stage.jsm().switch(|switches| {
            (switches.rest_session, switches.legacy_form, switches.two_step_login) = (does, does, does);
        });
    };
    assert!(stage.jsm().kill_all("ana@acme.example") > 0);
    takes_logins(false);
    let confirm = async || {
        let page = stage.open(&browser, &waits).await.text().await.unwrap();
        let address = between(&page, "<form method=\"post\" enctype=\"text/plain\" action=\"");
        let word = browser.post(format!("{}{address}", stage.world.origin())).header("content-type", "text/plain");
        let word = word.header("origin", stage.world.origin()).header("accept", "text/html");
        word.header("sec-fetch-mode", "navigate").body("send=now\r\n").send().await.unwrap()
    };
    assert_eq!(confirm().await.status(), 503);
    stage.counted("kept_forms_total{portal=\"localhost\",result=\"put_back\"} 1").await;
    assert_eq!(stage.jsm().requests_of("ana@acme.example").len(), 0);
    takes_logins(true);
    clock.advance(Duration::from_secs(2 * 60));
    let raised = confirm().await;
    assert_eq!(raised.status(), 302, "{}", raised.text().await.unwrap());
    assert_eq!(stage.jsm().requests_of("ana@acme.example").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn c28_nobody_signs_in_to_jsm_past_the_gateway() {
    let stage = stage(&["ana"]).await;
    let browser = stage.sign_in("ana").await;
    let token = stage.open_form(&browser).await;
    let recorder = stage.world.recorder.clone().unwrap();
    for query in ["os_username=boss&os_password=guess", "a=b&%6fs_Password=guess"] {
        assert_eq!(stage.open(&browser, &format!("{PORTAL}?{query}")).await.status(), 403, "{query}");
    }
    let post = |kind: &'static str, body: String| {
        let request = browser.post(format!("{}{CREATE}", stage.world.origin())).header("origin", stage.world.origin());
        request.header("content-type", kind).body(body).send()
    };
    let kind = "application/x-www-form-urlencoded";
    let token = percent_encoding::utf8_percent_encode(&token, percent_encoding::NON_ALPHANUMERIC);
    let form = format!("atl_token={token}&summary=x&description=y");
    let fill = "z".repeat(100 * 1024);
    for (kind, body) in [
        (kind, format!("os_username=boss&os_password=guess&{form}")),
        (kind, format!("{form}&fill={fill}&os%5Fpassword=guess")),
        ("application/x-www-form-urlencoded; charset=utf-16", form.clone()),
    ] {
        assert_eq!(post(kind, body.clone()).await.unwrap().status(), 403, "{kind} {}", &body[..20]);
    }
    stage.counted("refusals_total{portal=\"localhost\",reason=\"path_closed\"} 5").await;
    assert_eq!(stage.jsm().requests_of("ana@acme.example").len(), 0);
    let sent = String::from_utf8_lossy(&recorder.bytes()).to_lowercase();
    assert!(!sent.contains("guess"), "nothing of it went up");
    // What only speaks of it goes on.
    assert_eq!(post(kind, format!("{form}&note=os_username%3Dboss")).await.unwrap().status(), 302);
    assert_eq!(stage.open(&browser, &format!("{PORTAL}?q=os_username%3Dboss")).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_heal_too() {
    let stage = stage(&["ana"]).await;
    let browser = stage.sign_in("ana").await;
    assert_eq!(stage.open(&browser, PORTAL).await.status(), 200);
    let list = format!("{}/rest/servicedeskapi/request", stage.world.origin());
    for _ in 0..3 {
        stage.jsm().kill_all("ana@acme.example");
        let answer = browser.get(&list).header("accept", "application/json").send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    // 403 for a path that nobody may use is an answer, not a dead session.
    let denied = browser.get(format!("{}/rest/api/2/myself", stage.world.origin())).send().await.unwrap();
    assert_eq!(denied.status(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_jsm_signs_nobody_out() {
    let stage = stage(&["ana", "ben"]).await;
    let ana = stage.sign_in("ana").await;
    assert_eq!(stage.open(&ana, PORTAL).await.status(), 200);
    for (kind, statuses) in [
        (FaultKind::Status(503, None), &[503][..]),
        (FaultKind::Status(500, None), &[500, 503]),
        (FaultKind::DropConnection, &[502]),
        (FaultKind::HtmlInPlaceOfJson, &[200]),
    ] {
        stage.jsm().set_faults(vec![Fault::always("", kind.clone())]);
        let status = stage.open(&ana, PORTAL).await.status().as_u16();
        assert!(statuses.contains(&status), "{kind:?}: {status}");
    }
    // A newcomer signs in and reads that the portal does not answer; no loop, no blank page.
    stage.jsm().set_faults(vec![Fault::always("/rest", FaultKind::Status(500, None))]);
    let ben = stage.sign_in("ben").await;
    let refused = stage.open(&ben, PORTAL).await;
    assert_eq!(refused.status(), 503);
    assert!(refused.text().await.unwrap().contains("<h1"));
    stage.jsm().set_faults(Vec::new());
    assert_eq!(stage.open(&ana, PORTAL).await.status(), 200);
    assert_eq!(stage.jsm().customers_created("ana@acme.example"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_log_in_is_tried_in_turn() {
    let stage = stage(&["ana", "ben", "eve"]).await;
    for (person, rest_session, legacy_form) in [("ana", false, true), ("ben", false, false)] {
        stage.jsm().switch(|switches| {
            switches.rest_session = rest_session;
            switches.legacy_form = legacy_form;
        });
        let browser = stage.sign_in(person).await;
        assert_eq!(stage.open(&browser, PORTAL).await.status(), 200, "{person}");
    }
    stage.jsm().switch(|switches| switches.two_step_login = false);
    let browser = stage.sign_in("eve").await;
    let refused = stage.open(&browser, PORTAL).await;
    assert_eq!(refused.status(), 503);
    stage.counted("refusals_total{portal=\"localhost\",reason=\"no_login_available\"} 1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_customer_session_too_and_no_other() {
    let stage = stage(&["ana"]).await;
    let (one, other) = (stage.sign_in("ana").await, stage.sign_in("ana").await);
    for browser in [&one, &other] {
        assert_eq!(stage.open(browser, PORTAL).await.status(), 200);
    }
    assert_eq!(stage.jsm().sessions_of("ana@acme.example").len(), 2);
    let sign_out = format!("{}/.vestibule/sign-out", stage.world.origin());
    let answer = one.post(sign_out).header("origin", stage.world.origin()).send().await.unwrap();
    assert!(answer.status().is_success() || answer.status().is_redirection());
    assert_eq!(stage.jsm().sessions_of("ana@acme.example").len(), 1);
    assert_eq!(stage.open(&one, PORTAL).await.status(), 303);
    assert_eq!(stage.open(&other, PORTAL).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_told_by_the_provider_ends_the_customer_session_too_and_no_other() {
    let stage = stage(&["ana"]).await;
    let provider = stage.world.provider.as_ref().unwrap();
    let seen = Arc::new(Mutex::new(serde_json::Value::Null));
    let keep = Arc::clone(&seen);
    provider.alter_next_id_token(move |parts| *keep.lock().unwrap() = parts.claims.clone().into());
    let (one, other) = (stage.sign_in("ana").await, stage.sign_in("ana").await);
    for browser in [&one, &other] {
        assert_eq!(stage.open(browser, PORTAL).await.status(), 200);
    }
    assert_eq!(stage.jsm().sessions_of("ana@acme.example").len(), 2);
    let now = Clock::System.now().seconds();
    let claims = serde_json::json!({
        "iss": provider.issuer(), "aud": CLIENT_ID, "iat": now, "exp": now + 60, "jti": "1", "sid": seen.lock().unwrap()["sid"],
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    let token = provider.sign_logout_token(&claims).unwrap();
    let address = format!("{}/.vestibule/oidc/{PROVIDER}/back-channel-logout", stage.world.origin());
    let told = stage.browser().post(address).form(&[("logout_token", token)]).send().await.unwrap();
    assert_eq!(told.status(), 200);
    assert_eq!(stage.jsm().sessions_of("ana@acme.example").len(), 1);
    assert_eq!(stage.open(&one, PORTAL).await.status(), 303);
    assert_eq!(stage.open(&other, PORTAL).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_browser_never_sees_the_customer_session() {
    let stage = stage(&["ana"]).await;
    let browser = stage.sign_in("ana").await;
    let mut cookies = Vec::new();
    for path in
        [PORTAL, "/servicedesk/customer/portals", "/servicedesk/customer/user/requests", "/s/portal/1/portal.js"]
    {
        let answer = stage.open(&browser, path).await;
        assert_eq!(answer.status(), 200, "{path}");
        cookies.extend(set_cookies(&answer));
        let text = answer.text().await.unwrap();
        for leaked in
            ["JSESSIONID", "seraph", &stage.world.jsm.base_url(), &stage.world.jsm.base_url().replace('/', "\\/")]
        {
            assert!(!text.contains(leaked), "{path} shows {leaked}");
        }
    }
    assert!(cookies.iter().all(|cookie| cookie.starts_with("atlassian.xsrf.token=")), "{cookies:?}");
    // What the upstream received: its own session, and nothing of ours.
    let recorder = stage.world.recorder.as_ref().unwrap();
    assert!(recorder.saw(b"JSESSIONID=") && !recorder.saw(b"__Host-vestibule"));
    assert!(!recorder.saw(stage.world.origin().as_bytes()), "the public origin does not go upstream");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_portals_own_sign_in_and_sign_out_pages_are_ours() {
    let stage = stage(&["ana"]).await;
    let browser = stage.sign_in("ana").await;
    for (path, to) in [
        ("/servicedesk/customer/user/login?destination=portals", "/servicedesk/customer/portals"),
        ("/login.jsp", "/servicedesk/customer/portals"),
        ("/servicedesk/customer/user/logout?atl_token=x", "/.vestibule/sign-out"),
        ("/secure/Logout!default.jspa", "/.vestibule/sign-out"),
    ] {
        let answer = stage.open(&browser, path).await;
        assert_eq!((answer.status().as_u16(), location(&answer).as_str()), (303, to), "{path}");
    }
    // Anonymous pages stay anonymous.
    let stranger = stage.browser();
    let article = stage.open(&stranger, "/servicedesk/customer/kb/view/1").await;
    assert_eq!(article.status(), 200);
    assert!(!set_cookies(&article).iter().any(|cookie| cookie.contains("JSESSIONID")), "{:?}", set_cookies(&article));
}
