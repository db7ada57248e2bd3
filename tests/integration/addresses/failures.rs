//! Addresses that fail, and what is tried again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use tokio::net::TcpListener;
use vestibule::clock::Clock;
use vestibule::demo::certificates::DemoAuthority;
use vestibule::demo::recorder::Recorder as Witness;
use vestibule::demo::server::Server;

use super::{any_port, numbered, options};
use crate::harness::{Options, TestGateway};
use crate::recorder::{Answer, Recorder, http};

const CHECKED: &str =
    ", out_after: 2, health_check: { path: /status, text: RUNNING, every: 100ms, timeout: 1s, back_after: 1 }";

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_one_of_three_dies_and_returns() {
    let mut servers = Vec::new();
    for number in 0..3 {
        servers.push(Some(numbered(number, any_port()).await));
    }
    let addresses: Vec<_> = servers.iter().flatten().map(|server| server.addr()).collect();
    let gateway = Arc::new(TestGateway::start(options(&addresses, CHECKED)).await);
    let (over, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut visitors = Vec::new();
    for person in [Some("ana"), Some("ben"), None, None] {
        let client = gateway.client();
        if let Some(person) = person {
            gateway.sign_in(&client, person).await;
        }
        let path = if person.is_some() { "/private/x" } else { "/public/x" };
        let (gateway, over, sent) = (Arc::clone(&gateway), Arc::clone(&over), Arc::clone(&sent));
        visitors.push(tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let (status, text) = gateway.get(&client, path).await;
                assert_eq!(status, 200, "{person:?}: {text}");
                sent.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    for (number, address) in addresses.iter().enumerate() {
        gateway.is_up(*address, true).await;
        drop(servers[number].take());
        gateway.is_up(*address, false).await;
        let (_, ready) = gateway.admin("/readyz").await;
        assert!(ready.contains("ready\nlocalhost: 1 of 3 addresses of the upstream are out"), "{ready}");
        servers[number] = Some(numbered(number, *address).await);
        gateway.is_up(*address, true).await;
        let before = gateway.counted(&format!(
            "vestibule_upstream_checks_total{{address=\"{address}\",portal=\"localhost\",result=\"passed\""
        ));
        assert!(before > 0);
    }
    over.store(true, Ordering::Relaxed);
    for visitor in visitors {
        visitor.await.unwrap();
    }
    assert!(sent.load(Ordering::Relaxed) > 100);
    let (_, status) = gateway.admin("/status").await;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["upstreams"][0]["portal"], "localhost");
    assert_eq!(status["upstreams"][0]["addresses"][0]["address"], addresses[0].to_string());
    assert_eq!(status["upstreams"][0]["addresses"][0]["up"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_stays_at_one_address_and_strangers_are_spread() {
    let (first, second, third) =
        (numbered(1, any_port()).await, numbered(2, any_port()).await, numbered(3, any_port()).await);
    let gateway = TestGateway::start(options(&[first.addr(), second.addr(), third.addr()], "")).await;
    let nobody = gateway.client();
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(gateway.get(&nobody, "/public/x").await.1);
    }
    seen.sort_unstable();
    assert_eq!(seen, ["1", "2", "3"]);
    for person in ["ana", "ben"] {
        // Two browsers, and each signs in twice.
        let mut homes = Vec::new();
        for _ in 0..2 {
            let browser = gateway.client();
            gateway.sign_in(&browser, person).await;
            for _ in 0..4 {
                homes.push(gateway.get(&browser, "/private/x").await.1);
            }
        }
        assert!(homes.iter().all(|home| *home == homes[0]), "{person}: {homes:?}");
    }
}

/// Two upstreams that answer, each until it is told to close every connection after it has read a request.
struct Two {
    recorders: [Recorder; 2],
    closing: [Arc<AtomicBool>; 2],
}

impl Two {
    async fn start() -> Self {
        let closing = [Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false))];
        let answer = |closing: &Arc<AtomicBool>| {
            let closing = Arc::clone(closing);
            Answer::new(move |_, _| match closing.load(Ordering::Relaxed) {
                true => Vec::new(),
                // Each request has a connection of its own: none meets one that is just being closed.
                false => http(200, "Connection: close\r\n", b"ok"),
            })
        };
        let recorders = [Recorder::start(answer(&closing[0])).await, Recorder::start(answer(&closing[1])).await];
        Self { recorders, closing }
    }

    fn options(&self, more: &str) -> Options {
        options(&[self.recorders[0].address, self.recorders[1].address], more)
    }

    /// Which of them gets the requests of `client`.
    async fn home(&self, gateway: &TestGateway, client: &reqwest::Client) -> usize {
        assert_eq!(gateway.get(client, "/private/x").await.0, 200);
        usize::from(self.recorders[0].requests().is_empty())
    }

    fn counts(&self, method: &str) -> [usize; 2] {
        [0, 1].map(|one| self.recorders[one].requests().iter().filter(|request| request.method() == method).count())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_something_is_sent_once_and_what_is_safe_again_elsewhere() {
    let two = Two::start().await;
    let gateway = TestGateway::start(two.options(", out_after: 1000")).await;
    let (client, origin) = (gateway.client(), gateway.origin());
    gateway.sign_in(&client, "ana").await;
    let home = two.home(&gateway, &client).await;
    let other = 1 - home;
    two.closing[home].store(true, Ordering::Relaxed);
    for (method, body, expected) in [
        ("POST", Some("once"), 502),
        ("PUT", Some("once"), 502),
        ("DELETE", None, 502),
        ("PATCH", Some("once"), 502),
        ("GET", Some("with a body"), 502),
        ("GET", None, 200),
        ("HEAD", None, 200),
        ("OPTIONS", None, 200),
    ] {
        let before = (two.counts(method)[home], two.counts(method)[other]);
        let mut request = client
            .request(method.parse().unwrap(), format!("{origin}/private/x"))
            .header("origin", &origin)
            .header("accept", "application/json");
        if let Some(body) = body {
            request = request.body(body);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), expected, "{method} {body:?}");
        let elsewhere = usize::from(expected == 200);
        let after = (two.counts(method)[home], two.counts(method)[other]);
        assert_eq!(after, (before.0 + 1, before.1 + elsewhere), "{method} {body:?}");
    }
    let address = two.recorders[home].address;
    assert_eq!(gateway.counted(&format!("vestibule_upstream_retries_total{{address=\"{address}\"")), 3);
    let failed = format!("vestibule_upstream_failures_total{{address=\"{address}\",kind=\"broken\"");
    // Whoever sends a body may have made the connection break.
    assert_eq!(gateway.counted(&failed), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_sent_goes_elsewhere_whatever_it_is() {
    let two = Two::start().await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = gone.local_addr().unwrap();
    drop(gone);
    // The first one is always tried first.
    let addresses = [nobody, two.recorders[0].address];
    let gateway = TestGateway::start(options(&addresses, ", balance: in_order, out_after: 3, pause: 1h")).await;
    let (client, origin) = (gateway.client(), gateway.origin());
    gateway.sign_in(&client, "ana").await;
    for round in 1..=5_u64 {
        let post = client.post(format!("{origin}/private/x")).header("origin", &origin).body("once");
        assert_eq!(post.send().await.unwrap().status(), 200);
        assert_eq!(two.counts("POST")[0], usize::try_from(round).unwrap());
        let failed =
            gateway.counted(&format!("vestibule_upstream_failures_total{{address=\"{nobody}\",kind=\"connect\""));
        assert_eq!(failed, round.min(3), "an address that is out costs nobody a try");
    }
    gateway.is_up(nobody, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_tried_for_ever_and_none_waits_twice() {
    let two = Two::start().await;
    let gateway = TestGateway::start(two.options(", retries: 0")).await;
    let client = gateway.client();
    gateway.sign_in(&client, "ana").await;
    let home = two.home(&gateway, &client).await;
    two.closing[home].store(true, Ordering::Relaxed);
    assert_eq!(gateway.get(&client, "/private/x").await.0, 502, "nobody wants retries");
    assert_eq!(two.counts("GET")[1 - home], 0);

    // Both fail: each is tried once.
    let two = Two::start().await;
    let gateway = TestGateway::start(two.options("")).await;
    let client = gateway.client();
    gateway.sign_in(&client, "ana").await;
    two.closing.iter().for_each(|closing| closing.store(true, Ordering::Relaxed));
    assert_eq!(gateway.get(&client, "/private/x").await.0, 502);
    assert_eq!(two.counts("GET"), [1, 1]);
    // Each failure counts at the first of them alone. When all are out, they are tried all the same.
    for _ in 0..8 {
        assert_eq!(gateway.get(&client, "/private/x").await.0, 502);
    }
    for recorder in &two.recorders {
        gateway.is_up(recorder.address, false).await;
    }
    two.closing.iter().for_each(|closing| closing.store(false, Ordering::Relaxed));
    assert_eq!(gateway.get(&client, "/private/x").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_takes_requests_and_answers_none_is_out_after_a_while() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_at = silent.local_addr().unwrap();
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = silent.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            held.push(stream);
        }
    });
    let answers = numbered(1, any_port()).await;
    let mut options = options(&[silent_at, answers.addr()], ", balance: in_order, out_after: 2, pause: 1h");
    options.portal.push_str("    limits: { upstream_response: 1s }\n");
    let gateway = TestGateway::start(options).await;
    let client = gateway.client();
    for _ in 0..2 {
        assert_eq!(gateway.get(&client, "/public/x").await.0, 504, "who has waited does not wait again");
    }
    assert_eq!(gateway.get(&client, "/public/x").await, (200, "1".to_owned()));
    assert_eq!(taken.load(Ordering::Relaxed), 2);
    let failed = format!("vestibule_upstream_failures_total{{address=\"{silent_at}\",kind=\"timeout\"");
    assert_eq!(gateway.counted(&failed), 2);
    gateway.in_use(silent_at, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_a_body_out_puts_no_address_out() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = silent.local_addr().unwrap();
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = silent.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            held.push(stream);
        }
    });
    let mut options = options(&[at], ", out_after: 2, pause: 1h");
    options.portal.push_str("    limits: { upstream_response: 1s }\n");
    let gateway = TestGateway::start(options).await;
    let cookie = format!("__Host-vestibule={}", gateway.sign_in(&gateway.client(), "ana").await);
    let client = gateway.client_builder().http2_prior_knowledge().build().unwrap();
    let streams = (0..10).map(|number| {
        // The stream is open, and nothing comes.
        let nothing = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
        let method = if number % 2 == 0 { reqwest::Method::POST } else { reqwest::Method::GET };
        let request = client.request(method, format!("{}/private/x", gateway.origin()));
        request
            .header("origin", gateway.origin())
            .header("cookie", &cookie)
            .body(reqwest::Body::wrap_stream(nothing))
            .send()
    });
    let answers = futures_util::future::join_all(streams).await;
    let statuses: Vec<u16> = answers.into_iter().map(|answer| answer.unwrap().status().as_u16()).collect();
    assert!(statuses.iter().all(|status| *status == 504), "{statuses:?}");
    assert!(taken.load(Ordering::Relaxed) > 0, "none of them has reached it");
    gateway.in_use(at, 0).await;
    gateway.is_up(at, true).await;
    assert_eq!(gateway.counted("vestibule_upstream_failures_total"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_nobody_checks_is_back_when_it_takes_connections() {
    let mut first = Some(numbered(1, any_port()).await);
    let second = numbered(2, any_port()).await;
    let at = first.as_ref().unwrap().addr();
    let gateway = TestGateway::start(options(&[at, second.addr()], ", balance: in_order, pause: 1s")).await;
    let client = gateway.client();
    assert_eq!(gateway.get(&client, "/public/x").await.1, "1");
    drop(first.take());
    for _ in 0..4 {
        assert_eq!(gateway.get(&client, "/public/x").await.1, "2");
    }
    gateway.is_up(at, false).await;
    let _first = numbered(1, at).await;
    gateway.is_up(at, true).await;
    assert_eq!(gateway.get(&client, "/public/x").await.1, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn e7_each_address_has_to_prove_the_name_of_the_site() {
    let authority = || DemoAuthority::generate(Clock::System.now()).unwrap();
    let (ours, foreign) = (authority(), authority());
    let mut servers = Vec::new();
    for (issuer, name) in [(&foreign, "jira.internal"), (&ours, "other.internal"), (&ours, "jira.internal")] {
        let tls = issuer.issue(&[name]).unwrap().server_config_speaking(&["h2", "http/1.1"]).unwrap();
        let router = Router::new().fallback(|| async { "reached" });
        let witness = Witness::default();
        let server = Server::start(router, any_port(), Some(tls), Some(witness.clone())).await.unwrap();
        servers.push((server, witness));
    }
    let addresses: Vec<String> = servers.iter().map(|(server, _)| format!("\"{}\"", server.addr())).collect();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, ours.certificate_pem()).unwrap();
    for more in ["", ", health_check: { path: /status, every: 100ms }"] {
        // Nobody looks the name up: the addresses say where it is.
        let upstream = format!(
            "{{ url: \"https://jira.internal:8443\", addresses: [{}], balance: in_order{more} }}",
            addresses.join(", ")
        );
        let mut options = Options { upstream, ..Options::plain(any_port()) };
        options.portal.push_str(&format!("    upstream_ca: {}\n", ca.display()));
        let gateway = TestGateway::start(options).await;
        if !more.is_empty() {
            gateway.is_up(servers[0].0.addr(), false).await;
            gateway.is_up(servers[1].0.addr(), false).await;
        }
        for _ in 0..4 {
            assert_eq!(gateway.get(&gateway.client(), "/public/x").await, (200, "reached".to_owned()));
        }
        assert!(servers[..2].iter().all(|(_, witness)| witness.requests().is_empty()));
        for request in servers[2].1.requests() {
            let named = [request.header(":authority"), request.header("host")].concat();
            assert!(!named.is_empty() && named.iter().all(|name| *name == "jira.internal:8443"), "{named:?}");
        }
    }
}
