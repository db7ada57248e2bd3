//! Who is let in, where to, how often: conditions, what is closed by itself, JSM's own pages, and the limits against spam.

use std::time::Duration;

use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use vestibule::clock::Clock;
use vestibule::demo::openid_provider::{Person, Settings};
use vestibule::demo::world::{ProviderChoice, World, WorldSettings};
use vestibule::random::Random;

use crate::harness::{Options, TestGateway, location, navigate, set_cookies};
use crate::recorder::{Answer, Recorder, Request};

const PORTALS: &str = "/servicedesk/customer/portals";
const MINE: &str = "/servicedesk/customer/user/requests";
const CREATE: &str = "/servicedesk/customer/portal/1/create/11";

/// A world whose provider signs in whomever `login_hint` names; Ana is of the department that the rules want.
struct Stage {
    world: World,
    clock: Clock,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn start(portal_lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual(Clock::System.now());
        let mut ana = Person::new("ana", "Ana", "ana@acme.example");
        ana.claims.insert("department".into(), json!(["support", "sales"]));
        let provider =
            Settings { people: vec![ana, Person::new("ben", "Ben", "ben@acme.example")], ..Settings::default() };
        let settings = WorldSettings {
            port: 0,
            admin_port: 0,
            certificates: folder.path().join("certificates"),
            state: folder.path().join("state"),
            provider: ProviderChoice::BuiltIn(Box::new(provider.approve_by_login_hint())),
            saml: None,
            portal_lines: portal_lines.to_owned(),
            datacenter_lines: String::new(),
            cloud_lines: String::new(),
            recorded: 4 * 1024 * 1024,
            clock: clock.clone(),
        };
        Self { world: World::start(settings, Random::default()).await.unwrap(), clock, _folder: folder }
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

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.world.origin())
    }

    async fn open(&self, browser: &Client, path: &str) -> Response {
        navigate(browser, &self.url(path)).await
    }

    /// Signs in from `path`, and gives the place where that ends.
    async fn sign_in_from(&self, browser: &Client, person: &str, path: &str) -> String {
        let stopped = self.open(browser, path).await;
        assert_eq!(stopped.status(), 303, "{path}");
        let approved = browser.get(format!("{}&login_hint={person}", location(&stopped))).send().await.unwrap();
        let returned = navigate(browser, &location(&approved)).await;
        assert_eq!(returned.status(), 303, "{path}");
        location(&returned)
    }

    async fn sign_in(&self, person: &str) -> Client {
        let browser = self.browser();
        self.sign_in_from(&browser, person, PORTALS).await;
        browser
    }

    async fn call(&self, browser: &Client, method: Method, path: &str, body: Value) -> (u16, Value) {
        let sent = browser.request(method, self.url(path)).header("origin", self.world.origin());
        let answer = sent.header("accept", "application/json").json(&body).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    async fn raise(&self, browser: &Client, summary: &str) -> (u16, Value) {
        let fields = json!({"summary": summary, "description": "It does not work."});
        let request = json!({"serviceDeskId": "1", "requestTypeId": "11", "requestFieldValues": fields});
        self.call(browser, Method::POST, "/rest/servicedeskapi/request", request).await
    }

    async fn token(&self, browser: &Client) -> String {
        let page = self.open(browser, CREATE).await.text().await.unwrap();
        page.split("name=\"atl_token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    }

    async fn send_form(&self, browser: &Client, token: &str, summary: &str) -> Response {
        let form = browser.post(self.url(CREATE)).header("origin", self.world.origin()).header("accept", "text/html");
        let form = form.header("sec-fetch-mode", "navigate").header("sec-fetch-dest", "document");
        form.form(&[("atl_token", token), ("summary", summary), ("description", "x")]).send().await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rules_condition_lets_some_pass_and_tells_the_others_whom_to_ask() {
    let rules = "      - { path: \"/servicedesk/customer/user/requests\", access: signed_in, require: '\"support\" in claims.department' }\n      \
                 - { path: \"/servicedesk/customer/portal/1\", access: signed_in, require: 'cidr(\"192.0.2.0/24\").containsIP(client_ip)' }\n";
    let stage = Stage::start(rules).await;
    let ana = stage.sign_in("ana").await;
    assert_eq!(stage.open(&ana, MINE).await.status(), 200);
    let elsewhere = stage.open(&ana, "/servicedesk/customer/portal/1").await;
    assert_eq!(elsewhere.status(), 403, "her address is not in that network");
    assert_eq!(stage.open(&ana, CREATE).await.status(), 200, "the rule is for its own path");

    let ben = stage.sign_in("ben").await;
    assert_eq!(stage.open(&ben, PORTALS).await.status(), 200);
    let refused = stage.open(&ben, MINE).await;
    assert_eq!(refused.status(), 403);
    let page = refused.text().await.unwrap();
    for told in ["This part is not open to you", "Ask the service desk: +1 555 0100", "Sign in as somebody else"] {
        assert!(page.contains(told), "{told}: {page}");
    }
    let (status, answer) = stage.call(&ben, Method::GET, MINE, Value::Null).await;
    assert_eq!((status, answer["error"].as_str()), (403, Some("rule_not_met")));

    // He becomes Ana, who may.
    let sign_out = ben.post(stage.url("/.vestibule/sign-out")).header("origin", stage.world.origin());
    let left = sign_out.form(&[("then", "sign-in")]).send().await.unwrap();
    assert!(left.status().is_success() || left.status().is_redirection(), "{}", left.status());
    stage.sign_in_from(&ben, "ana", MINE).await;
    assert_eq!(stage.open(&ben, MINE).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_meet_the_admission_condition_gets_no_session_and_can_be_somebody_else() {
    let recorder = Recorder::start(Answer::default()).await;
    let mut options = Options::plain(recorder.address);
    options.admission = ", contact: Ask Carla, require: 'email.startsWith(\"ana@\") && provider == \"acme\"', \
                         blocked_accounts: [{ provider: acme, subject: mallory }]"
        .into();
    let gateway = TestGateway::start(options).await;
    for (person, expected) in [("ana", 303), ("ben", 403), ("mallory", 403)] {
        let browser = gateway.client();
        let stopped = navigate(&browser, &format!("{}/private", gateway.origin())).await;
        let approved = browser.get(format!("{}&login_hint={person}", location(&stopped))).send().await.unwrap();
        let returned = navigate(&browser, &location(&approved)).await;
        assert_eq!(returned.status(), expected, "{person}");
        let session = set_cookies(&returned).iter().any(|cookie| cookie.starts_with("__Host-vestibule="));
        assert_eq!(session, expected == 303, "{person}");
        if expected == 403 {
            let page = returned.text().await.unwrap();
            assert!(page.contains("Ask Carla") && page.contains("Sign in as somebody else"), "{person}: {page}");
        }
    }
    let metrics = gateway.metrics();
    for reason in ["not_admitted_condition", "not_admitted_blocked"] {
        assert!(metrics.contains(&format!("sign_ins_total{{provider=\"acme\",result=\"{reason}\"}} 1")), "{metrics}");
    }
}

/// A portal in front of a recorder that believes to be JSM, below a context path, and open to everybody otherwise.
async fn wide_open(context: &str) -> (TestGateway, Recorder) {
    let recorder = Recorder::start(Answer::default()).await;
    let mut options = Options::plain(recorder.address);
    options.upstream = format!("http://{}{context}", recorder.address);
    options.portal = "    customer_session: datacenter\n    directory: { site_token: { token: x } }\n    \
                      rules: [ { path: \"/**\", access: public } ]\n"
        .into();
    (TestGateway::start(options).await, recorder)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_trick_with_paths_opens_what_is_closed() {
    for context in ["", "/jira"] {
        let (gateway, recorder) = wide_open(context).await;
        let closed = "rest/api/2/user/search";
        let tricks = [
            "/servicedesk/../rest/api/2/user/search",
            "/servicedesk/%2e%2e/rest/api/2/user/search",
            "/servicedesk/..%2frest/api/2/user/search",
            "/servicedesk%2f..%2frest/api/2/user/search",
            "/servicedesk/..;/rest/api/2/user/search",
            "/servicedesk;/../rest/api/2/user/search",
            "/servicedesk/.%2e/rest/api/2/user/search",
            "/servicedesk\\..\\rest/api/2/user/search",
            "/servicedesk/..%5crest/api/2/user/search",
            "//rest/api/2/user/search",
            "/./rest/api/2/user/search",
            "/%72est/api/2/user/search",
            "/rest/%61pi/2/user/search",
            "/REST/api/2/user/search",
            "/rest/API/2/user/search",
            "/rest/api/2/user/search%00.png",
            "/rest/api/2/user/search/",
            "/rest/api/2/user/search;x=y",
            "/rest/api/2/user/search?x=/servicedesk/",
            "/rest/api%23/2/user/search",
            "/rest%3f/servicedesk",
            "/servicedesk%252e%252e/rest/api/2/user/search",
            "/servicedesk/%c0%ae%c0%ae/rest/api/2/user/search",
            "/servicedesk/%u002e%u002e/rest/api/2/user/search",
            "/servicedesk/\u{ff0e}\u{ff0e}/rest/api/2/user/search",
            "/s/x/_/rest/api/2/user/search",
            "/s/a/b/_/s/c/_/rest/api/2/user/search",
            "/S/x/_/REST/api/2/user/search",
            "/s/x/%5f/rest/api/2/user/search",
            "/servicedesk/customershim/rest/api/2/user/search",
            "/servicedesk/customershim/secure/ViewUserHover.jspa",
            "/secure/ViewUserHover.jspa",
            "/secure/ViewUserHover.JSPA/",
            "/anything/QueryComponent!Default.jspa",
            "/secure/admin/WebSudoAuthenticate.jspa",
            "/s/x/_/WEB-INF/web.xml",
            "/s/x/_/web%2Dinf/web.xml",
            "/plugins/servlet/gadgets/makeRequest",
            "/rest/servicedesk/1/customer/portal/7/user-search",
            "/rest/servicedesk/1/customer/portal/7/USER-SEARCH/proforma",
            "/rest/servicedeskapi/organization/1/user",
            "/gateway/api/users/manage/profile",
            "/jsd-login/v1/authentication/authenticate",
        ];
        for trick in tricks.iter().map(|trick| format!("{context}{trick}")).chain([format!("http://other/{closed}")]) {
            let bytes = format!("GET {trick} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            let status = gateway.raw().await.status(bytes.as_bytes()).await;
            assert!(matches!(status, 400 | 403), "{trick}: {status}");
        }
        // A fragment ends the target for somebody, but not for us.
        let bytes =
            format!("GET {context}/servicedesk#/../{closed} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        assert_eq!(gateway.raw().await.status(bytes.as_bytes()).await, 400);
        // The gateway itself has asked whether its service user can do its work.
        let theirs = |request: &Request| request.all("authorization").is_empty();
        let passed: Vec<Request> = recorder.requests().into_iter().filter(theirs).collect();
        assert!(passed.is_empty(), "{passed:?}");
        // What is open is open, so that the tricks above failed by themselves.
        let bytes =
            format!("GET {context}/servicedesk/customer/kb/1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        assert_eq!(gateway.raw().await.status(bytes.as_bytes()).await, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn public_paths_need_no_customer_session_and_take_no_anonymous_write() {
    let (gateway, recorder) = wide_open("").await;
    for (method, expected) in
        [("GET", 200), ("HEAD", 200), ("POST", 401), ("PUT", 401), ("PATCH", 401), ("DELETE", 401), ("OPTIONS", 401)]
    {
        for path in ["/servicedesk/customer/kb/view/1", "/rest/servicedeskapi/request", CREATE] {
            let bytes = format!(
                "{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-HTTP-Method-Override: POST\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            assert_eq!(gateway.raw().await.status(bytes.as_bytes()).await, expected, "{method} {path}");
        }
    }
    for request in recorder.requests() {
        assert!(matches!(request.method(), "GET" | "HEAD"), "{}", request.head);
        assert!(
            request.all("cookie").is_empty() && request.all("x-http-method-override").is_empty(),
            "{}",
            request.head
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_closed_place_is_opened_by_a_rule_that_names_it() {
    let rules =
        "      - { path: \"/rest/auth/1/session\", access: signed_in }\n      - { path: \"/**\", access: signed_in }\n";
    let stage = Stage::start(rules).await;
    let ana = stage.sign_in("ana").await;
    assert_eq!(stage.call(&ana, Method::GET, "/rest/auth/1/session", Value::Null).await.0, 200);
    for path in [
        "/rest/servicedesk/1/customer/portal/1/user-search?query=a",
        "/rest/auth/1/websudo",
        "/rest/tsv/1.0/authenticate",
    ] {
        let (status, answer) = stage.call(&ana, Method::GET, path, Value::Null).await;
        assert_eq!((status, answer["error"].as_str()), (403, Some("path_closed")), "{path}");
    }
    let (_, answer) = stage.call(&ana, Method::GET, "/rest/api/2/myself", Value::Null).await;
    assert_eq!(answer["error"], "path_denied", "the demo's own rule");
}

#[tokio::test(flavor = "multi_thread")]
async fn jsms_own_sign_in_leads_to_ours_and_on_to_where_it_was_to_lead() {
    let stage = Stage::start("").await;
    let upstream = stage.world.jsm.base_url();
    let cases = [
        ("destination=portal%2F1", "/servicedesk/customer/portal/1".to_owned()),
        ("destination=portals", PORTALS.to_owned()),
        (
            "os_destination=%2Fservicedesk%2Fcustomer%2Fportal%2F1%3Fx%3D1",
            "/servicedesk/customer/portal/1?x=1".to_owned(),
        ),
        (&format!("continue={upstream}/servicedesk/customer/portal/1"), "/servicedesk/customer/portal/1".to_owned()),
        (&format!("continue={}{MINE}", stage.world.origin()), MINE.to_owned()),
        // Not to elsewhere, not to ourselves, not in circles.
        ("continue=https%3A%2F%2Fevil.test%2F", PORTALS.to_owned()),
        ("destination=%2F%2Fevil.test", PORTALS.to_owned()),
        ("destination=https%3A%2F%2Fevil.test", PORTALS.to_owned()),
        ("os_destination=%2F.vestibule%2Fsign-out", PORTALS.to_owned()),
        ("os_destination=%2Flogin.jsp", PORTALS.to_owned()),
        ("destination=%2F..%2F..%2Frest", PORTALS.to_owned()),
        ("", PORTALS.to_owned()),
    ];
    let ana = stage.sign_in("ana").await;
    for (query, expected) in &cases {
        for page in ["/servicedesk/customer/user/login", "/login.jsp", "/login"] {
            let answer = stage.open(&ana, &format!("{page}?{query}")).await;
            assert_eq!((answer.status().as_u16(), location(&answer)), (303, expected.clone()), "{page}?{query}");
        }
        let stranger = stage.browser();
        let ends = stage.sign_in_from(&stranger, "ben", &format!("/servicedesk/customer/user/login?{query}")).await;
        assert_eq!(ends, *expected, "{query}");
    }
    for (path, heading) in [
        ("/servicedesk/customer/user/signup", "You need no password here"),
        ("/servicedesk/customer/user/forgotpassword", "You need no password here"),
        ("/secure/ForgotLoginDetails.jspa", "You need no password here"),
    ] {
        for browser in [&ana, &stage.browser()] {
            let answer = stage.open(browser, path).await;
            assert_eq!(answer.status(), 403, "{path}");
            let page = answer.text().await.unwrap();
            assert!(page.contains(heading) && page.contains("Go to the start page"), "{path}: {page}");
        }
    }
    let before = stage.world.jsm.all_calls();
    let stranger = stage.browser();
    let posted =
        stranger.post(stage.url("/servicedesk/customer/user/login")).form(&[("os_username", "x")]).send().await;
    assert_eq!(posted.unwrap().status(), 403, "nobody signs in past us");
    let out = stage.open(&stranger, "/servicedesk/customer/user/logout").await;
    assert_eq!((out.status().as_u16(), location(&out).as_str()), (303, "/.vestibule/sign-out"));
    assert_eq!(stage.world.jsm.all_calls(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_limited_by_account_and_nothing_is_lost() {
    let limits = "    limits: { requests_per_customer_per_day: 4, requests_per_customer_per_minute: 2 }\n";
    let stage = Stage::start(limits).await;
    let (ana, again) = (stage.sign_in("ana").await, stage.sign_in("ana").await);
    let token = stage.token(&ana).await;
    // What JSM does not take does not count.
    for _ in 0..5 {
        assert_eq!(stage.raise(&ana, "").await.0, 400);
        assert_eq!(stage.send_form(&ana, &token, "").await.status(), 400);
    }
    assert_eq!(stage.raise(&ana, "one").await.0, 201);
    let sent = stage.send_form(&ana, &token, "two").await;
    assert!(sent.status().is_redirection(), "{}", sent.status());
    // Neither in this browser nor in the other, neither by script nor by form.
    for browser in [&ana, &again] {
        let (status, answer) = stage.raise(browser, "three").await;
        assert_eq!((status, answer["error"].as_str()), (429, Some("requests_per_minute")), "{answer}");
        assert!((1..=60).contains(&answer["retry_after"].as_u64().unwrap()), "{answer}");
    }
    let refused = stage.send_form(&ana, &token, "three").await;
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    let page = refused.text().await.unwrap();
    for told in ["Not so many requests at once", "Nothing is lost", "Try again after", " UTC, "] {
        assert!(page.contains(told), "{told}: {page}");
    }
    // Everything else goes on, and others too.
    assert_eq!(stage.open(&ana, MINE).await.status(), 200);
    let ben = stage.sign_in("ben").await;
    assert_eq!(stage.raise(&ben, "his").await.0, 201);
    // The same text again, when it is time.
    stage.clock.advance(Duration::from_secs(60));
    assert!(stage.send_form(&ana, &stage.token(&ana).await, "three").await.status().is_redirection());
    assert_eq!(stage.raise(&ana, "four").await.0, 201);
    stage.clock.advance(Duration::from_secs(60));
    let (status, answer) = stage.raise(&ana, "five").await;
    assert_eq!((status, answer["error"].as_str()), (429, Some("requests_per_day")), "{answer}");
    assert!(answer["retry_after"].as_u64().unwrap() > 80_000, "{answer}");
    let made: Vec<_> = stage.world.jsm.requests_of("ana@acme.example").into_iter().map(|made| made.summary).collect();
    assert_eq!(made, ["one", "two", "three", "four"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_requests_at_once_are_as_many_as_the_limit() {
    let stage = Stage::start("    limits: { requests_per_customer_per_day: 3 }\n").await;
    let ana = stage.sign_in("ana").await;
    assert_eq!(stage.open(&ana, PORTALS).await.status(), 200);
    let all = (0..50).map(|n| {
        let (stage, ana) = (&stage, &ana);
        async move { stage.raise(ana, &format!("number {n}")).await.0 }
    });
    let mut statuses = futures_util::future::join_all(all).await;
    statuses.sort_unstable();
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 3, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 47, "{statuses:?}");
    assert_eq!(stage.world.jsm.requests_of("ana@acme.example").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn c10_sign_ins_are_limited_by_address() {
    let stage = Stage::start("    limits: { sign_in_attempts_per_address: 3/min }\n").await;
    let ana = stage.sign_in("ana").await;
    let browser = stage.browser();
    assert_eq!(stage.open(&browser, PORTALS).await.status(), 303);
    assert_eq!(stage.open(&browser, "/.vestibule/sign-in").await.status(), 303);
    for path in [
        PORTALS,
        "/.vestibule/sign-in",
        "/servicedesk/customer/user/login",
        "/.vestibule/oidc/acme/callback?state=x&code=y",
    ] {
        let refused = stage.open(&browser, path).await;
        assert_eq!(refused.status(), 429, "{path}");
        assert_eq!(refused.headers()["retry-after"], "20", "{path}");
        assert!(refused.text().await.unwrap().contains("Too many requests"));
    }
    assert_eq!(stage.open(&ana, PORTALS).await.status(), 200, "who is signed in is not meant");
    stage.clock.advance(Duration::from_secs(20));
    assert_eq!(stage.open(&browser, PORTALS).await.status(), 303);
    assert_eq!(stage.open(&browser, PORTALS).await.status(), 429);
}
