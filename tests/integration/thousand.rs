//! A thousand people who sign in for the first time in the same moment, through the whole gateway, at a site that lets only so
//! many calls through: everybody gets in, or an honest page that says to try again; nothing is asked twice needlessly.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::AUTHORIZATION;
use regex::Regex;
use tokio::sync::watch;
use tokio::task::JoinSet;
use vestibule::clock::{Clock, Stopwatch};
use vestibule::demo::jsm_cloud::{self, JsmCloud};
use vestibule::demo::jsm_datacenter::JsmDataCenter;
use vestibule::demo::openid_provider::Person;
use vestibule::demo::server::Server;
use vestibule::random::Random;

use crate::harness::{Options, TestGateway, location, navigate};

const PEOPLE: usize = 1000;
const CONCURRENCY: usize = 6;
/// Every so many calls that are served...
const BURST: usize = 150;
/// ... some are told to come back in a second.
const REFUSED: usize = 2;
const ROUNDS: usize = 12;
const DEEP_LINK: &str = "/servicedesk/customer/portal/10";

fn email(person: usize) -> String {
    format!("person{person}@{}", if person.is_multiple_of(2) { "acme.com" } else { "globex.com" })
}

/// The call that is held until as many of its kind as may be are under way.
const HELD: &str = "POST /rest/servicedeskapi/customer";

#[derive(Debug, Default)]
struct Limiter {
    /// Whether as many calls as may be have met.
    met: watch::Sender<bool>,
    round: Mutex<usize>,
    now: AtomicUsize,
    most: AtomicUsize,
    refused: AtomicUsize,
    /// What was served, by method and path; numbers and ids in paths count as one.
    served: Mutex<BTreeMap<String, usize>>,
}

impl Limiter {
    fn served(&self, call: &str) -> usize {
        self.served.lock().unwrap().get(call).copied().unwrap_or_default()
    }
}

async fn limit(State(limiter): State<Arc<Limiter>>, request: Request, next: Next) -> Response {
    if !request.headers().contains_key(AUTHORIZATION) {
        return next.run(request).await;
    }
    let _under_way = UnderWay::new(&limiter);
    let passes = {
        let mut round = limiter.round.lock().unwrap();
        *round = if *round >= BURST + REFUSED { 1 } else { *round + 1 };
        *round <= BURST
    };
    if passes {
        let number = Regex::new("/[0-9]+").unwrap();
        let call = format!("{} {}", request.method(), number.replace_all(request.uri().path(), "/N"));
        if call == HELD {
            let _ = limiter.met.subscribe().wait_for(|met| *met).await;
        }
        *limiter.served.lock().unwrap().entry(call).or_default() += 1;
        next.run(request).await
    } else {
        limiter.refused.fetch_add(1, Ordering::SeqCst);
        (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")], "").into_response()
    }
}

/// A call that is under way; also when its caller hangs up in the middle, and it is dropped.
struct UnderWay(Arc<Limiter>);

impl UnderWay {
    fn new(limiter: &Arc<Limiter>) -> Self {
        let now = limiter.now.fetch_add(1, Ordering::SeqCst) + 1;
        limiter.most.fetch_max(now, Ordering::SeqCst);
        if now == CONCURRENCY {
            limiter.met.send_replace(true);
        }
        Self(Arc::clone(limiter))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A browser that waits as long as people do.
fn patient(gateway: &TestGateway) -> reqwest::Client {
    gateway
        .client_builder()
        .tls_built_in_root_certs(false)
        .timeout(Duration::from_secs(180))
        .pool_max_idle_per_host(1)
        .build()
        .unwrap()
}

/// One try of one person, with a browser that goes on where it stopped.
async fn walk(gateway: &TestGateway, client: &reqwest::Client, person: usize) -> bool {
    let url = format!("{}{DEEP_LINK}", gateway.origin());
    let mut answer = navigate(client, &url).await;
    if answer.status() == 303 {
        let hint = format!("{}&login_hint=sub-{person}", location(&answer));
        let approved = client.get(hint).send().await.unwrap();
        answer = navigate(client, &location(&approved)).await;
        if answer.status() == 303 {
            assert_eq!(location(&answer), DEEP_LINK);
            answer = navigate(client, &url).await;
        }
    }
    let (status, page) = (answer.status().as_u16(), answer.text().await.unwrap());
    match status {
        200 => {
            assert!(page.contains(&format!("{DEEP_LINK}\"")), "it leads on: {page}");
            true
        }
        503 => {
            assert!(page.to_lowercase().contains("try again") && page.contains("eference"), "an honest page: {page}");
            false
        }
        _ => panic!("person {person}: {status} {page}"),
    }
}

/// Everybody at once, in rounds; how many got in at the first try.
async fn a_thousand(
    router: Router,
    is_at: impl FnOnce(&str),
    lines: &str,
    account: &str,
) -> (usize, Arc<Limiter>, Server) {
    let watch = Stopwatch::start();
    let limiter = Arc::<Limiter>::default();
    let router = router.layer(from_fn_with_state(Arc::clone(&limiter), limit));
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let server = Server::start(router, any, None, None).await.unwrap();
    let upstream = format!("http://{}", server.addr());
    is_at(&upstream);
    let clock = Clock::manual(Clock::System.now());
    let mut options = Options::plain(any);
    options.upstream = upstream;
    options.clock = clock.clone();
    options.admitted = "acme.com, globex.com";
    options.email_domains = "acme.com, evil.test, globex.com";
    options.people = (0..PEOPLE).map(|n| Person::new(&format!("sub-{n}"), "Pat", &email(n))).collect();
    options.portal = format!(
        "    customer_session: {{ redirect: {{ {lines}concurrency: {CONCURRENCY} }} }}\n    \
         directory:\n      site_token: {account}\n      service_desks: [\"10\"]\n      organizations:\n        \
         - {{ organization: Customers }}\n        - {{ email_domain: acme.com, organization: Acme }}\n        \
         - {{ email_domain: globex.com, organization: Globex }}\n"
    );
    let gateway = Arc::new(TestGateway::start(options).await);
    let mut waiting: Vec<_> = (0..PEOPLE).map(|person| (person, patient(&gateway))).collect();
    let mut first = 0;
    for round in 1..=ROUNDS {
        let mut walks = JoinSet::new();
        for (person, client) in waiting {
            let gateway = Arc::clone(&gateway);
            walks.spawn(async move { (walk(&gateway, &client, person).await, person, client) });
        }
        let all = walks.join_all().await;
        waiting =
            all.iter().filter(|(there, ..)| !there).map(|(_, person, client)| (*person, client.clone())).collect();
        println!("round {round}: {} were told to come back, {} ms", waiting.len(), watch.elapsed().as_millis());
        if round == 1 {
            first = PEOPLE - waiting.len();
        }
        if waiting.is_empty() {
            break;
        }
        clock.advance(Duration::from_secs(61));
    }
    assert!(waiting.is_empty(), "{} people never got in", waiting.len());
    let (most, refused) = (limiter.most.load(Ordering::SeqCst), limiter.refused.load(Ordering::SeqCst));
    println!(
        "{first} at the first try, {most} calls at once at most, {refused} refused: {:#?}",
        limiter.served.lock().unwrap()
    );
    assert_eq!(most, CONCURRENCY, "calls at once");
    assert!(refused > 0, "the limit was met");
    // Nothing is asked twice needlessly: only who was broken off in the middle asks for a second time.
    assert_eq!(limiter.served("POST /rest/servicedeskapi/organization"), 3);
    assert_eq!(limiter.served("POST /rest/servicedeskapi/servicedesk/N/organization"), 3);
    let broken_off = PEOPLE - first;
    for (call, once) in [
        ("POST /rest/servicedeskapi/customer", PEOPLE),
        ("POST /rest/servicedeskapi/servicedesk/N/customer", PEOPLE),
        ("POST /rest/servicedeskapi/organization/N/user", 2 * PEOPLE),
    ] {
        let served = limiter.served(call);
        assert!((once..=once + broken_off).contains(&served), "{call}: {served}");
    }
    (first, limiter, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_first_sign_ins_at_once_at_data_center() {
    let jsm = JsmDataCenter::new(Clock::System, Random::default()).unwrap();
    let account = format!("{{ token: \"{}\" }}", jsm.service_token().reveal());
    let (first, _limiter, _server) = a_thousand(jsm.router(), |url| jsm.set_base_url(url), "", &account).await;
    assert!(first > 0, "a crowd does not keep everybody from being served");
    for person in 0..PEOPLE {
        let (email, own) = (email(person), if person.is_multiple_of(2) { "Acme" } else { "Globex" });
        assert_eq!(jsm.customers_created(&email), 1, "{email}");
        assert!(jsm.is_member("10", &email));
        let mut organizations = jsm.organizations_of(&email);
        organizations.sort();
        let mut expected = vec!["Customers".to_owned(), own.to_owned()];
        expected.sort();
        assert_eq!(organizations, expected, "{email}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_first_sign_ins_at_once_at_cloud() {
    let jsm = JsmCloud::new(Clock::System, Random::default()).unwrap();
    let token = jsm.service_token().unwrap();
    let account = format!("{{ user: \"{}\", token: \"{}\" }}", jsm_cloud::SERVICE_ACCOUNT, token.reveal());
    let (first, _limiter, _server) =
        a_thousand(jsm.router(), |url| jsm.set_base_url(url), "product: cloud, ", &account).await;
    assert!(first > 0, "a crowd does not keep everybody from being served");
    for person in 0..PEOPLE {
        let (email, own) = (email(person), if person.is_multiple_of(2) { "Acme" } else { "Globex" });
        assert_eq!(jsm.customers_created(&email), 1, "{email}");
        let id = jsm.customer(&email).unwrap().account_id;
        assert!(jsm.is_member("10", &id));
        let mut organizations = jsm.organizations_of(&id);
        organizations.sort();
        let mut expected = vec!["Customers".to_owned(), own.to_owned()];
        expected.sort();
        assert_eq!(organizations, expected, "{email}");
    }
}
