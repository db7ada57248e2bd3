//! `kill -9` of the real binary while people sign in and out: every session that was acknowledged before works after a
//! restart, and every one that was ended stays ended.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Client, Response, StatusCode};
use tokio::sync::watch;
use tokio::task::JoinSet;
use vestibule::clock::{Clock, Stopwatch};
use vestibule::demo::openid_provider::{self, ClientAuthentication, OpenIdProvider, Person, Settings};
use vestibule::demo::server::Server;
use vestibule::random::Random;
use vestibule::secret::Secret;
use vestibule::sign_in::settings::SigningAlgorithm;

use crate::child::{CLIENT_SECRET, Gateway, certificate, configuration, free_addresses};
use crate::harness::{location, set_cookies};
use crate::recorder::{Answer, Recorder};

const ROUNDS: usize = 20;
const VISITORS: usize = 8;

/// What is known of a session whose cookie arrived in a complete answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    SignedIn,
    /// The sign-out was sent, and not yet answered: it may be either.
    SigningOut,
    SignedOut,
}

/// How far a round has come.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    acknowledged: usize,
    events: usize,
}

struct Site {
    folder: tempfile::TempDir,
    ca: reqwest::Certificate,
    provider: OpenIdProvider,
    upstream: SocketAddr,
    https: SocketAddr,
    sessions: Mutex<BTreeMap<String, Fate>>,
    killed: AtomicBool,
    progress: watch::Sender<Progress>,
}

impl Site {
    fn config(&self) -> PathBuf {
        self.folder.path().join("gateway.yaml")
    }

    fn origin(&self) -> String {
        format!("https://localhost:{}", self.https.port())
    }

    /// Starts the gateway on its port, or on another when somebody took that one meanwhile.
    async fn start(&mut self) -> Gateway {
        for _ in 0..10 {
            let config = configuration(self.https, "", &self.provider.issuer(), self.upstream);
            std::fs::write(self.config(), config).unwrap();
            self.provider.register(openid_provider::Client {
                id: "vestibule".into(),
                authentication: ClientAuthentication::Secret(Secret::generated(CLIENT_SECRET)),
                redirect_uris: vec![format!("{}/.vestibule/oidc/acme/callback", self.origin())],
                post_logout_redirect_uris: vec![],
            });
            match Gateway::start(&self.config(), 1).await {
                Ok(gateway) => {
                    self.killed.store(false, Ordering::SeqCst);
                    self.progress.send_replace(Progress::default());
                    return gateway;
                }
                Err(said) => assert!(said.contains("cannot listen"), "{said}"),
            }
            [self.https] = free_addresses();
        }
        panic!("no port stays free");
    }

    /// A browser without cookies of its own: the test holds them.
    fn browser(&self) -> Client {
        Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .tls_built_in_root_certs(false)
            .add_root_certificate(self.ca.clone())
            .timeout(Duration::from_secs(30))
            .build()
            .unwrap()
    }

    /// `None` when the gateway was killed before the answer was complete.
    async fn complete(&self, sent: reqwest::RequestBuilder) -> Option<(Response, StatusCode)> {
        let answered = async {
            let answer = sent.send().await?;
            let status = answer.status();
            // The head and the whole body: only then it counts.
            let head = answer.headers().clone();
            let body = answer.bytes().await?;
            let mut whole = http::Response::new(body);
            (*whole.status_mut(), *whole.headers_mut()) = (status, head);
            Ok::<_, reqwest::Error>((Response::from(whole), status))
        };
        match answered.await {
            Ok(answer) => Some(answer),
            Err(error) => {
                assert!(self.killed.load(Ordering::SeqCst), "no answer although it was not killed: {error:?}");
                None
            }
        }
    }

    async fn navigate(&self, browser: &Client, url: &str, cookie: &str) -> Option<(Response, StatusCode)> {
        let request = browser
            .get(url)
            .header("accept", "text/html")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
            .header("cookie", cookie);
        self.complete(request).await
    }

    fn event(&self, acknowledged: usize) {
        self.progress.send_modify(|progress| {
            progress.events += 1;
            progress.acknowledged += acknowledged;
        });
    }

    /// Signs one person in, uses the session, and ends every third. `None` when the gateway was killed.
    async fn visit(&self, browser: &Client, turn: usize) -> Option<()> {
        let person = ["ana", "ben", "cem"][turn % 3];
        let (stopped, status) = self.navigate(browser, &format!("{}/deep/{turn}", self.origin()), "").await?;
        assert_eq!(status, 303);
        let bound = cookie(&stopped, "__Host-vestibule-sign-in").expect("the sign-in is bound to the browser");
        let at_provider = format!("{}&login_hint={person}", location(&stopped));
        let (approved, _) = self.complete(browser.get(at_provider)).await?;
        self.event(0);
        let (returned, status) = self.navigate(browser, &location(&approved), &bound).await?;
        assert_eq!((status, location(&returned)), (StatusCode::SEE_OTHER, format!("/deep/{turn}")));
        let session = cookie(&returned, "__Host-vestibule").expect("a session");
        assert_eq!(self.sessions.lock().unwrap().insert(session.clone(), Fate::SignedIn), None, "a new id each time");
        self.event(1);
        let (_, status) = self.navigate(browser, &format!("{}/deep/{turn}", self.origin()), &session).await?;
        assert_eq!(status, 200);
        if turn.is_multiple_of(3) {
            self.sessions.lock().unwrap().insert(session.clone(), Fate::SigningOut);
            self.event(0);
            let sign_out = browser
                .post(format!("{}/.vestibule/sign-out", self.origin()))
                .header("origin", self.origin())
                .header("cookie", &session)
                .form(&[("", "")]);
            let (_, status) = self.complete(sign_out).await?;
            assert_eq!(status, 303);
            self.sessions.lock().unwrap().insert(session, Fate::SignedOut);
            self.event(0);
        }
        Some(())
    }

    /// Asks for every session of all rounds; how many were signed in, and how many signed out.
    async fn check_all(self: &Arc<Self>) -> (usize, usize) {
        let sessions: Vec<_> = self.sessions.lock().unwrap().clone().into_iter().collect();
        let mut tasks = JoinSet::new();
        for share in sessions.chunks(sessions.len().div_ceil(VISITORS).max(1)).map(<[_]>::to_vec) {
            let site = Arc::clone(self);
            tasks.spawn(async move {
                let (browser, url) = (site.browser(), format!("{}/after", site.origin()));
                let (mut signed_in, mut signed_out) = (0, 0);
                for (session, fate) in share {
                    let (answer, status) = site.navigate(&browser, &url, &session).await.unwrap();
                    let to = answer.headers().get("location").cloned();
                    match fate {
                        Fate::SignedIn => {
                            assert_eq!((status, to), (StatusCode::OK, None), "acknowledged and lost");
                            signed_in += 1;
                        }
                        Fate::SignedOut => {
                            assert_eq!(status, 303, "signed out and back again");
                            signed_out += 1;
                        }
                        Fate::SigningOut => assert!([200, 303].contains(&status.as_u16()), "{status}"),
                    }
                }
                (signed_in, signed_out)
            });
        }
        tasks.join_all().await.into_iter().fold((0, 0), |(a, b), (c, d)| (a + c, b + d))
    }
}

/// `NAME=VALUE`, if the answer sets that cookie to something.
fn cookie(answer: &Response, name: &str) -> Option<String> {
    let mut pairs = set_cookies(answer).into_iter().filter_map(|line| line.split(';').next().map(str::to_owned));
    pairs.rfind(|pair| pair.split_once('=').is_some_and(|(n, value)| n == name && !value.is_empty()))
}

/// The same numbers in every run (a linear congruential generator, Knuth's MMIX).
fn next(seed: &mut u64, below: u64) -> usize {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from((*seed >> 33) % below).unwrap()
}

async fn provider() -> (OpenIdProvider, Server) {
    let people = ["ana", "ben", "cem"].map(|name| Person::new(name, name, &format!("{name}@acme.example"))).to_vec();
    let settings = Settings { people, algorithm: SigningAlgorithm::Es256, ..Settings::default() };
    let provider = OpenIdProvider::new(settings.approve_by_login_hint(), Clock::System, Random::default());
    let server = Server::start(provider.router(), "127.0.0.1:0".parse().unwrap(), None, None).await.unwrap();
    provider.set_issuer(&format!("http://localhost:{}", server.addr().port()));
    (provider, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_session_outlives_kill_9_under_load() {
    let watch = Stopwatch::start();
    let (provider, _server) = provider().await;
    let recorder = Recorder::start(Answer::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let (cert, _) = certificate(folder.path(), "site");
    let [https] = free_addresses();
    let mut site = Arc::new(Site {
        folder,
        ca: reqwest::Certificate::from_pem(&std::fs::read(cert).unwrap()).unwrap(),
        provider,
        upstream: recorder.address,
        https,
        sessions: Mutex::default(),
        killed: AtomicBool::new(false),
        progress: watch::Sender::default(),
    });
    let (mut seed, mut acknowledged) = (0x5eed, 0);
    for round in 0..ROUNDS {
        let gateway = Arc::get_mut(&mut site).expect("all visitors have gone").start().await;
        let (signed_in, signed_out) = site.check_all().await;
        let mut visitors = JoinSet::new();
        for visitor in 0..VISITORS {
            let site = Arc::clone(&site);
            visitors.spawn(async move {
                let browser = site.browser();
                let mut turn = visitor;
                while site.visit(&browser, turn).await.is_some() {
                    turn += 1;
                }
            });
        }
        // An event is a callback about to be sent, a session just acknowledged, or either end of a sign-out.
        let (least, moment) = (3 + next(&mut seed, 6), 10 + next(&mut seed, 40));
        let mut progress = site.progress.subscribe();
        let enough = |progress: &Progress| progress.acknowledged >= least && progress.events >= moment;
        tokio::select! {
            reached = progress.wait_for(enough) => drop(reached.unwrap()),
            // A visitor never stops by itself: it failed.
            failed = visitors.join_next() => failed.unwrap().unwrap(),
        }
        site.killed.store(true, Ordering::SeqCst);
        gateway.kill_9().await;
        visitors.join_all().await;
        let reached = *site.progress.borrow();
        acknowledged += reached.acknowledged;
        println!(
            "round {round}: {signed_in} were there, {signed_out} stayed out; killed after {} more and {} events",
            reached.acknowledged, reached.events
        );
    }
    let mut gateway = Arc::get_mut(&mut site).unwrap().start().await;
    let (signed_in, signed_out) = site.check_all().await;
    let unanswered = site.sessions.lock().unwrap().values().filter(|fate| **fate == Fate::SigningOut).count();
    println!(
        "{ROUNDS} kills, {acknowledged} sessions acknowledged, {signed_in} live and {signed_out} signed out at the end, \
         {unanswered} sign-outs without an answer, {} ms",
        watch.elapsed().as_millis()
    );
    assert!(signed_in >= ROUNDS && signed_out >= 3, "{signed_in} {signed_out}");
    gateway.signal("TERM").await;
    let (status, said) = gateway.ended().await;
    assert!(status.success(), "{said}");
}
