//! Many people at once, before a site that is slow and fails now and then: nobody gets what is another's, nobody goes
//! round and round, and each person becomes one customer.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use regex::Regex;
use reqwest::{Client, RequestBuilder};
use serde_json::json;
use tokio::task::JoinSet;
use vestibule::clock::{Clock, Stopwatch};
use vestibule::demo::jsm_datacenter::{Fault, FaultKind, JsmDataCenter};
use vestibule::demo::openid_provider::{Person, Settings};
use vestibule::demo::recorder::Recorder;
use vestibule::demo::world::{ProviderChoice, World, WorldSettings};
use vestibule::random::Random;
use vestibule::sign_in::settings::SigningAlgorithm;

const PEOPLE: usize = 200;
const DEEP_LINK: &str = "/servicedesk/customer/portal/1";
const MY_REQUESTS: &str = "/servicedesk/customer/user/requests";

/// How often everybody who was refused tries again, a minute later each time.
const ROUNDS: usize = 8;
/// Answers on the way to a page: stopped, called back, the page; and a restart of the sign-in in between.
const HOPS: usize = 8;
/// Answers of a failing site in a row that somebody puts up with.
const FAILURES: usize = 12;

fn email(person: usize) -> String {
    format!("person-{person:03}@acme.example")
}

fn name(person: usize) -> String {
    format!("Person {person:03} of the Crowd")
}

/// What everybody shares.
struct Crowd {
    origin: String,
    issuer: String,
    ca: reqwest::Certificate,
    jsm: JsmDataCenter,
    clock: Clock,
    /// Whose each cookie value is.
    owners: Mutex<HashMap<String, usize>>,
    /// Finds whoever is named in an answer.
    anybody: Regex,
    answers: AtomicUsize,
    refusals: AtomicUsize,
    failures: AtomicUsize,
}

/// A whole answer of the gateway that has passed the checks.
struct Seen {
    status: u16,
    location: String,
    body: String,
    /// The gateway itself says no.
    refusal: bool,
}

impl Crowd {
    async fn start(people: usize, recorded: usize) -> (World, Arc<Self>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual(Clock::System.now());
        let people = (0..people).map(|n| Person::new(&format!("sub-{n}"), &name(n), &email(n))).collect();
        let provider = Settings { people, algorithm: SigningAlgorithm::Es256, ..Settings::default() };
        let settings = WorldSettings {
            port: 0,
            admin_port: 0,
            certificates: folder.path().join("certificates"),
            state: folder.path().join("state"),
            provider: ProviderChoice::BuiltIn(Box::new(provider.approve_by_login_hint())),
            saml: None,
            portal_lines: "      - { path: \"/rest/auth/1/session\", access: signed_in }\n".into(),
            datacenter_lines: String::new(),
            cloud_lines: String::new(),
            recorded,
            clock: clock.clone(),
        };
        let world = World::start(settings, Random::default()).await.unwrap();
        let crowd = Self {
            origin: world.origin(),
            issuer: world.provider.as_ref().unwrap().issuer(),
            ca: reqwest::Certificate::from_pem(world.authority_pem.as_bytes()).unwrap(),
            jsm: world.jsm.clone(),
            clock,
            owners: Mutex::default(),
            anybody: Regex::new("(?i)person(?:-|%2d| |%20|\\+)([0-9]{3})").unwrap(),
            answers: AtomicUsize::new(0),
            refusals: AtomicUsize::new(0),
            failures: AtomicUsize::new(0),
        };
        (world, Arc::new(crowd), folder)
    }

    fn browser(self: &Arc<Self>, person: usize) -> Browser {
        let client = Client::builder()
            .no_proxy()
            .cookie_store(true)
            .redirect(reqwest::redirect::Policy::none())
            .tls_built_in_root_certs(false)
            .add_root_certificate(self.ca.clone())
            .timeout(Duration::from_secs(120))
            .build()
            .unwrap();
        Browser { crowd: Arc::clone(self), person, client, done: 0, refused: 0 }
    }

    /// What holds for every answer to `person`, whatever was asked.
    fn check(&self, person: usize, answer: &reqwest::Response, body: &str) -> Seen {
        self.answers.fetch_add(1, Ordering::Relaxed);
        let status = answer.status().as_u16();
        let text = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let id = text("x-request-id");
        assert!(!id.is_empty(), "every answer has a request id");
        let heads = answer
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
        for part in heads.chain([body.to_owned()]) {
            for found in self.anybody.captures_iter(&part) {
                assert_eq!(found[1], format!("{person:03}"), "person {person} reads of somebody else: {part}");
            }
            assert!(!part.contains(&self.jsm.base_url()), "the site's own address: {part}");
        }
        for line in answer.headers().get_all("set-cookie") {
            let pair = line.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            // The token for forms is the page's to read; what opens a session stays with the gateway.
            let known =
                ["__Host-vestibule", "__Host-vestibule-sign-in", "__Host-vestibule-browser", "atlassian.xsrf.token"];
            assert!(known.contains(&name), "the customer session reaches a browser: {name}");
            if !value.is_empty() {
                let owner = *self.owners.lock().unwrap().entry(value.to_owned()).or_insert(person);
                assert_eq!(owner, person, "person {person} gets the cookie of person {owner}");
            }
        }
        let refusal = body.contains(id);
        if refusal && status == 503 {
            self.refusals.fetch_add(1, Ordering::Relaxed);
            assert!(answer.headers().get("set-cookie").is_none() && text("location").is_empty());
            assert!(text("cache-control").contains("no-store") && !text("content-security-policy").is_empty());
            assert!(body.contains("The support desk") && body.contains("try again"), "{body}");
            assert!(body.contains("You are signed in"), "it tells what is done already: {body}");
        } else if status >= 500 {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        Seen { status, location: text("location").to_owned(), body: body.to_owned(), refusal }
    }
}

/// One browser of one person.
#[derive(Clone)]
struct Browser {
    crowd: Arc<Crowd>,
    person: usize,
    client: Client,
    /// Steps of the journey that are done.
    done: usize,
    /// How often the gateway said that it could not be done now.
    refused: u64,
}

impl Browser {
    async fn ask(&self, request: RequestBuilder) -> Seen {
        let mut answer = request.send().await.unwrap();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.unwrap() {
            body.extend_from_slice(&chunk);
        }
        self.crowd.check(self.person, &answer, &String::from_utf8_lossy(&body))
    }

    fn navigation(&self, url: &str) -> RequestBuilder {
        let request = self.client.get(url).header("accept", "text/html,application/xhtml+xml");
        request.header("sec-fetch-mode", "navigate").header("sec-fetch-dest", "document")
    }

    /// At the provider: back with a code.
    async fn identify(&self, to_provider: &str) -> String {
        let hint = format!("{to_provider}&login_hint={}", email(self.person));
        let approved = self.client.get(hint).send().await.unwrap();
        let back = approved.headers()["location"].to_str().unwrap().to_owned();
        assert!(back.starts_with(&self.crowd.origin), "{back}");
        back
    }

    /// Opens a page as a browser does, through sign-in if need be; gives where it ended. `None` when refused for now.
    async fn open(&self, path: &str) -> Option<(String, Seen)> {
        let (mut url, mut hops, mut failures) = (format!("{}{path}", self.crowd.origin), 0, 0);
        loop {
            let seen = self.ask(self.navigation(&url)).await;
            match seen.status {
                200 => return Some((url[self.crowd.origin.len()..].to_owned(), seen)),
                302 | 303 => {
                    hops += 1;
                    assert!(hops <= HOPS, "person {} goes round: {url} to {}", self.person, seen.location);
                    url = match seen.location.as_str() {
                        to if to.starts_with(&self.crowd.issuer) => self.identify(to).await,
                        to if to.starts_with('/') => format!("{}{to}", self.crowd.origin),
                        to => to.to_owned(),
                    };
                    assert!(url.starts_with(&self.crowd.origin), "{url}");
                }
                503 if seen.refusal => return None,
                500..=504 => {
                    failures += 1;
                    assert!(failures <= FAILURES, "{url} fails for ever: {}", seen.body);
                }
                status => panic!("person {}: {url} answered {status}: {}", self.person, seen.body),
            }
        }
    }

    /// Calls the site's REST; `None` when refused for now.
    async fn call(&self, request: impl Fn() -> RequestBuilder) -> Option<Seen> {
        let mut failures = Vec::new();
        for _ in 0..=FAILURES {
            let seen = self.ask(request().header("accept", "application/json")).await;
            match seen.status {
                503 if seen.body.contains("\"error\"") || seen.refusal => return None,
                status @ 500..=504 => failures.push((status, seen.body)),
                _ => return Some(seen),
            }
        }
        panic!("person {}: the site fails for ever: {failures:?}", self.person);
    }

    /// Goes on with the journey where it stopped; `None` when refused on the way.
    async fn go_on(&mut self) -> Option<()> {
        let (person, origin) = (self.person, self.crowd.origin.clone());
        if self.done == 0 {
            let (landed, page) = self.open(DEEP_LINK).await?;
            assert_eq!(landed, DEEP_LINK, "everybody lands where they wanted to go");
            assert!(page.body.contains(&name(person)), "the page greets person {person}: {}", page.body);
            self.done = 1;
        }
        if self.done == 1 {
            let wish = json!({"serviceDeskId": "1", "requestTypeId": "11",
                "requestFieldValues": {"summary": format!("A wish of person-{person:03}"), "description": "Please."}});
            let url = format!("{origin}/rest/servicedeskapi/request");
            let raised = self.call(|| self.client.post(&url).header("origin", &origin).json(&wish)).await?;
            assert_eq!(raised.status, 201, "{}", raised.body);
            self.done = 2;
        }
        if self.done == 2 {
            let (_, list) = self.open(MY_REQUESTS).await?;
            assert!(list.body.contains(&format!("A wish of person-{person:03}")), "{}", list.body);
            assert_eq!(list.body.matches("A wish of").count(), 1, "one wish each: {}", list.body);
            self.done = 3;
        }
        if self.done == 3 {
            let url = format!("{origin}/rest/auth/1/session");
            let who = self.call(|| self.client.get(&url)).await?;
            let who: serde_json::Value = serde_json::from_str(&who.body).unwrap();
            assert_eq!(who["name"], email(person), "the session belongs to its person");
            self.done = 4;
        }
        Some(())
    }
}

/// Everybody at once, once; who was refused comes back.
async fn all_at_once(browsers: Vec<Browser>) -> (Vec<Browser>, Vec<Browser>) {
    let mut walks = JoinSet::new();
    for mut browser in browsers {
        walks.spawn(async move {
            let there = browser.go_on().await.is_some();
            browser.refused += u64::from(!there);
            (there, browser)
        });
    }
    let (there, refused): (Vec<_>, Vec<_>) = walks.join_all().await.into_iter().partition(|(there, _)| *there);
    (there.into_iter().map(|(_, b)| b).collect(), refused.into_iter().map(|(_, b)| b).collect())
}

/// Slow all the time, failing now and then: the account calls, the logins and the pages.
fn bad_day() -> Vec<Fault> {
    let some = |mut fault: Fault, strikes| {
        fault.strikes = Some(strikes);
        fault
    };
    vec![
        Fault::always("", FaultKind::Delay(Duration::from_millis(10))),
        some(Fault::every("/rest/", 211, FaultKind::Status(503, Some(1))), 4),
        Fault::every("/rest/api/2/user/password", 17, FaultKind::Status(500, None)),
        Fault::every("/rest/servicedeskapi/customer", 23, FaultKind::Status(503, None)),
        Fault::every("/rest/auth/1/session", 41, FaultKind::Status(500, None)),
        Fault::every("/rest/api/2/user/search", 53, FaultKind::DropConnection),
        Fault::every("/servicedesk/customer/portal/1", 19, FaultKind::Status(500, None)),
        Fault::every("/servicedesk/customer/user/requests", 13, FaultKind::Status(503, Some(1))),
        Fault::every("/rest/servicedeskapi/request", 29, FaultKind::DropConnection),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_people_sign_in_at_once_on_a_bad_day() {
    let watch = Stopwatch::start();
    let (world, crowd, _folder) = Crowd::start(PEOPLE, 256 * 1024 * 1024).await;
    crowd.jsm.set_faults(bad_day());
    let mut waiting: Vec<Browser> = (0..PEOPLE).map(|person| crowd.browser(person)).collect();
    let mut there = Vec::new();
    for round in 1..=ROUNDS {
        let (done, refused) = all_at_once(waiting).await;
        println!(
            "round {round}: {} through, {} refused, {} ms",
            done.len(),
            refused.len(),
            watch.elapsed().as_millis()
        );
        there.extend(done);
        waiting = refused;
        if waiting.is_empty() {
            break;
        }
        crowd.clock.advance(Duration::from_secs(61));
    }
    assert!(waiting.is_empty(), "{} people never got in", waiting.len());
    assert!(there.iter().any(|browser| browser.refused > 0), "some were refused at first, or the test shows little");
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    println!(
        "{PEOPLE} people, {} answers checked, {} honest refusals, {} failures of the site passed on, {} ms",
        count(&crowd.answers),
        count(&crowd.refusals),
        count(&crowd.failures),
        watch.elapsed().as_millis()
    );
    for browser in &there {
        let who = email(browser.person);
        assert_eq!(crowd.jsm.customers_created(&who), 1, "one customer for {who}");
        // Each attempt sets it at most twice.
        let attempts = 2 * (1 + browser.refused);
        assert!(crowd.jsm.password_sets(&who) <= attempts, "{who}: {}", crowd.jsm.password_sets(&who));
        assert!((1..=attempts).contains(&crowd.jsm.logins(&who)), "{who}: {}", crowd.jsm.logins(&who));
    }
    assert_eq!(world.app.sessions().count().await.unwrap(), PEOPLE as u64, "one session each");
    check_upstream(world.recorder.as_ref().unwrap(), &crowd.jsm);
    world.stop().await;
}

/// Connections to the site carry several people, one after the other, and no request carries two.
fn check_upstream(recorder: &Recorder, jsm: &JsmDataCenter) {
    assert_eq!(recorder.dropped(), 0);
    let owners: HashMap<String, usize> = (0..PEOPLE)
        .flat_map(|person| jsm.sessions_of(&email(person)).into_iter().map(move |id| (id, person)))
        .collect();
    let (mut people, mut wishes): (BTreeMap<_, BTreeSet<usize>>, usize) = (BTreeMap::new(), 0);
    let requests = recorder.requests();
    for request in &requests {
        let cookies = request.header("cookie").join("; ");
        assert!(!cookies.contains("__Host-vestibule"), "{cookies}");
        let ids: Vec<&str> = cookies.split("; ").filter_map(|pair| pair.strip_prefix("JSESSIONID=")).collect();
        assert!(ids.len() <= 1, "{cookies}");
        if let Some(person) = ids.first().and_then(|id| owners.get(*id)) {
            people.entry(request.connection).or_default().insert(*person);
            // A dropped connection takes the body along.
            if request.path() == "/rest/servicedeskapi/request" && !request.body.is_empty() {
                let body = String::from_utf8_lossy(&request.body);
                assert!(body.contains(&format!("person-{person:03}")), "{body} on the session of person {person}");
                wishes += 1;
            }
        }
    }
    assert!(wishes >= PEOPLE, "{wishes} wishes arrived on the session of their person");
    let most = people.values().map(BTreeSet::len).max().unwrap();
    println!("{} requests to the site; up to {most} people on one of {} connections", requests.len(), people.len());
    assert!(most >= 3, "connections are used again, by others");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_browsers_of_one_person_at_once() {
    let (world, crowd, _folder) = Crowd::start(1, 0).await;
    crowd.jsm.set_faults(vec![Fault::always("", FaultKind::Delay(Duration::from_millis(20)))]);
    let both = [crowd.browser(0), crowd.browser(0)];
    let mut walks = JoinSet::new();
    for browser in both.clone() {
        walks.spawn(async move { browser.open(DEEP_LINK).await.unwrap().0 });
    }
    assert_eq!(walks.join_all().await, [DEEP_LINK, DEEP_LINK]);
    for browser in &both {
        let (_, page) = browser.open(MY_REQUESTS).await.unwrap();
        assert!(page.body.contains(&name(0)));
    }
    let who = email(0);
    assert_eq!(crowd.jsm.customers_created(&who), 1);
    assert_eq!((crowd.jsm.sessions_of(&who).len(), crowd.jsm.logins(&who)), (2, 2), "each browser has its own");
    assert_eq!(crowd.jsm.password_sets(&who), 2);
    assert_eq!(world.app.sessions().count().await.unwrap(), 2);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_tabs_of_one_signed_in_browser_open_one_customer_session() {
    let (world, crowd, _folder) = Crowd::start(1, 0).await;
    crowd.jsm.set_faults(vec![Fault::always("", FaultKind::Delay(Duration::from_millis(20)))]);
    let browser = crowd.browser(0);
    let stopped = browser.ask(browser.navigation(&format!("{}{DEEP_LINK}", crowd.origin))).await;
    let back = browser.identify(&stopped.location).await;
    assert_eq!(browser.ask(browser.navigation(&back)).await.location, DEEP_LINK);
    assert_eq!(crowd.jsm.logins(&email(0)), 0, "nothing is opened before it is needed");
    let mut tabs = JoinSet::new();
    for _ in 0..10 {
        let browser = browser.clone();
        tabs.spawn(async move { browser.open(DEEP_LINK).await.unwrap().0 });
    }
    assert!(tabs.join_all().await.iter().all(|landed| landed == DEEP_LINK));
    let who = email(0);
    assert_eq!((crowd.jsm.customers_created(&who), crowd.jsm.password_sets(&who), crowd.jsm.logins(&who)), (1, 1, 1));
    assert_eq!(crowd.jsm.sessions_of(&who).len(), 1);
    assert_eq!(world.app.sessions().count().await.unwrap(), 1);
    world.stop().await;
}

/// Ten tabs that a browser restores at once, all of them before sign-in.
async fn ten_tabs_sign_in(known: bool) {
    let (world, crowd, _folder) = Crowd::start(1, 0).await;
    crowd.jsm.set_faults(vec![Fault::always("", FaultKind::Delay(Duration::from_millis(20)))]);
    let browser = crowd.browser(0);
    if known {
        let stopped = browser.ask(browser.navigation(&format!("{}{DEEP_LINK}", crowd.origin))).await;
        assert_eq!(stopped.status, 303);
    }
    let mut tabs = JoinSet::new();
    for tab in 0..10 {
        let browser = browser.clone();
        tabs.spawn(async move {
            let wanted = format!("{DEEP_LINK}?tab={tab}");
            let (landed, page) = browser.open(&wanted).await.unwrap();
            assert!(page.body.contains(&name(0)), "tab {tab}: {}", page.body);
            landed == wanted
        });
    }
    assert!(tabs.join_all().await.iter().all(|landed| *landed), "every tab lands where it wanted");
    let who = email(0);
    let (live, customer) = (world.app.sessions().count().await.unwrap(), crowd.jsm.sessions_of(&who).len());
    println!("known: {known}; {live} sessions, {customer} customer sessions");
    assert_eq!(crowd.jsm.customers_created(&who), 1);
    assert!(customer as u64 <= live, "a customer session outlives the session that it belongs to");
    // Whichever sign-in was the last: the browser has one session, and it works.
    let logins = crowd.jsm.logins(&who);
    for _ in 0..3 {
        let (landed, page) = browser.open(MY_REQUESTS).await.unwrap();
        assert!(landed == MY_REQUESTS && page.body.contains(&name(0)));
    }
    assert!(crowd.jsm.logins(&who) <= logins + 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_tabs_of_a_known_browser_sign_in_at_once() {
    ten_tabs_sign_in(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_tabs_of_a_new_browser_sign_in_at_once() {
    ten_tabs_sign_in(false).await;
}
