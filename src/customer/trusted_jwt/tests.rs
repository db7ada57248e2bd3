use std::sync::LazyLock;

use http::HeaderMap;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::Value;

use super::*;
use crate::clock::Clock;
use crate::customer::{CustomerFailed, CustomerSessions, NobodyWatches, Verdict};
use crate::nodes::Nodes;
use crate::portal::HostName;
use crate::saml::test_keys::{self, Kind};
use crate::session::settings::{SessionSettings, StoreSettings};
use crate::session::store::memory::MemoryStore;
use crate::session::{LiveSession, Sessions};

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
const MINUTE: Duration = Duration::from_secs(60);

pub(super) fn rsa_pem() -> Secret {
    Secret::generated(test_keys::one(Kind::Rsa2048).key_pem)
}

pub(super) fn p256_pem() -> Secret {
    static KEY: LazyLock<String> = LazyLock::new(|| rcgen::KeyPair::generate().unwrap().serialize_pem());
    Secret::generated(KEY.as_str())
}

fn settings() -> TrustedJwtSettings {
    TrustedJwtSettings {
        signing_keys: vec![p256_pem()],
        audience: "jira".into(),
        issuer: None,
        header: HeaderName::from_static("cf-access-jwt-assertion"),
        cookie: Some("CF_Authorization".into()),
        lifetime: 5 * MINUTE,
        session_cookies: vec!["JSESSIONID".into(), "seraph.rememberme.cookie".into()],
        product: Product::DataCenter,
        cloudflare_paths: false,
        accounts: None,
    }
}

fn broker(settings: TrustedJwtSettings) -> TrustedJwt {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let keys = Arc::new(TokenKeys::from_pems(&settings.signing_keys).unwrap());
    let parts = TrustedJwtParts {
        origin: "https://support.acme.com".into(),
        keys,
        upstream: Url::parse("https://127.0.0.1:9/jira").unwrap(),
        nodes: Nodes::for_test(Url::parse("https://127.0.0.1:9/jira").unwrap()),
        service: None,
        random: Random::default(),
    };
    TrustedJwt::new(settings, parts)
}

/// A gateway whose directory works until it is told not to.
struct Gateway {
    customers: CustomerSessions,
    sessions: Sessions,
    clock: Clock,
    directory: Arc<Moody>,
}

#[derive(Debug, Default)]
struct Moody {
    asked: std::sync::atomic::AtomicUsize,
    fails: std::sync::Mutex<Option<DirectoryFailed>>,
}

#[async_trait]
impl CustomerDirectory for Moody {
    async fn ensure(&self, who: &VerifiedIdentity, deadline: Instant) -> Result<Customer, DirectoryFailed> {
        self.asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let fails = self.fails.lock().unwrap().clone();
        match fails {
            Some(failed) => Err(failed),
            None => ByAddress.ensure(who, deadline).await,
        }
    }

    async fn leave(&self, _who: &VerifiedIdentity, _deadline: Instant) -> Result<(), DirectoryFailed> {
        Ok(())
    }
}

impl Gateway {
    fn start(settings: TrustedJwtSettings) -> Self {
        let clock = Clock::manual(NOW);
        let of_sessions = SessionSettings {
            idle_timeout: MINUTE * 600,
            absolute_timeout: MINUTE * 1200,
            cache_entries: 100,
            store: StoreSettings::Embedded { path: "/nowhere".into() },
            keys: vec![Secret::generated("k".repeat(43))],
        };
        let store = Arc::new(MemoryStore::default());
        let sessions = Sessions::with_store(&of_sessions, store, clock.clone(), Random::default()).unwrap();
        let (directory, broker) = (Arc::<Moody>::default(), Arc::new(broker(settings)));
        let customers = CustomerSessions::brokered(
            Arc::<Moody>::clone(&directory),
            broker,
            sessions.clone(),
            clock.clone(),
            Arc::new(NobodyWatches),
        );
        Self { customers, sessions, clock, directory }
    }

    async fn visitor(&self) -> Arc<LiveSession> {
        let identity = VerifiedIdentity::for_test("okta", "ana", "ana@acme.com");
        let (portal, client) = (HostName::parse("support.acme.com").unwrap(), [192, 0, 2, 7].into());
        self.sessions.open(identity, None, portal, client).await.unwrap().1
    }

    async fn ensure(&self, visitor: &Arc<LiveSession>) -> Result<Arc<CustomerSession>, CustomerFailed> {
        self.customers.ensure(visitor, self.clock.now()).await.map(Option::unwrap)
    }

    fn asked(&self) -> usize {
        self.directory.asked.load(std::sync::atomic::Ordering::SeqCst)
    }
}

fn token(session: &CustomerSession) -> String {
    session.assertion_header().unwrap().1.to_str().unwrap().to_owned()
}

fn verified(token: &str, keys: &TokenKeys) -> Value {
    let set: JwkSet = serde_json::from_slice(keys.published()).unwrap();
    let header = jsonwebtoken::decode_header(token).unwrap();
    let key = DecodingKey::from_jwk(set.find(&header.kid.unwrap()).unwrap()).unwrap();
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&["jira"]);
    validation.validate_exp = false; // the clock of these tests stands still in the past
    jsonwebtoken::decode::<Value>(token, &key, &validation).unwrap().claims
}

#[tokio::test]
async fn one_token_serves_many_requests_and_the_next_is_there_before_it_ends() {
    let gateway = Gateway::start(settings());
    let ana = gateway.visitor().await;
    let first = gateway.ensure(&ana).await.unwrap();
    let keys = TokenKeys::from_pems(&[p256_pem()]).unwrap();
    let claims = verified(&token(&first), &keys);
    assert_eq!((&claims["email"], &claims["exp"]), (&"ana@acme.com".into(), &1_700_000_300.into()));
    assert_eq!(first.cookie_header("/").unwrap(), format!("CF_Authorization={}", token(&first)).as_str());
    for _ in 0..50 {
        assert_eq!(token(&gateway.ensure(&ana).await.unwrap()), token(&first), "nothing is signed for a request");
    }
    gateway.clock.advance(4 * MINUTE);
    assert_eq!(token(&gateway.ensure(&ana).await.unwrap()), token(&first), "and nobody waits for the next");
    while ana.customer_session().unwrap().generation() == first.generation() {
        tokio::task::yield_now().await;
    }
    let next = gateway.ensure(&ana).await.unwrap();
    assert_eq!(verified(&token(&next), &keys)["exp"], 1_700_000_540);
    // Nobody came for long: no token is used that is over, or in its last seconds.
    gateway.clock.advance(5 * MINUTE - MARGIN);
    let after = gateway.ensure(&ana).await.unwrap();
    assert_ne!(token(&after), token(&next));
    assert_eq!(gateway.asked(), 1, "the directory's word is good for a while");
}

#[tokio::test]
async fn the_upstreams_session_stays_here_from_token_to_token_but_not_beyond_its_death() {
    let gateway = Gateway::start(settings());
    let ana = gateway.visitor().await;
    let first = gateway.ensure(&ana).await.unwrap();
    let mut headers = HeaderMap::new();
    for cookie in ["JSESSIONID=abc; Path=/jira; HttpOnly", "theme=dark; Path=/", "CF_Authorization=gone; Max-Age=0"] {
        headers.append("set-cookie", HeaderValue::from_static(cookie));
    }
    let answer = AnswerHead { status: StatusCode::OK, headers: &headers, request_wanted_json: false };
    let Verdict::Renewed(renewed) = gateway.customers.judge(&first, &answer, &Clock::manual(NOW)) else {
        panic!("not renewed")
    };
    gateway.customers.keep(&ana, renewed).await;
    gateway.clock.advance(6 * MINUTE);
    let next = gateway.ensure(&ana).await.unwrap();
    assert_eq!(next.cookie_header("/jira/x").unwrap(), format!("JSESSIONID=abc; CF_Authorization={}", token(&next)));
    assert!(gateway.customers.keeps_back("jsessionid", None) && gateway.customers.keeps_back("cf_authorization", None));
    assert!(!gateway.customers.keeps_back("theme", Some(&next)));
    // Jira does not know it any more.
    let headers = HeaderMap::new();
    let answer = AnswerHead { status: StatusCode::UNAUTHORIZED, headers: &headers, request_wanted_json: false };
    let Verdict::Dead(sign) = gateway.customers.judge(&next, &answer, &Clock::manual(NOW)) else { panic!("not dead") };
    let anew = gateway.customers.reopen(&ana, next.generation(), sign, gateway.clock.now()).await.unwrap();
    assert!(anew.cookies().is_empty() && token(&anew) != token(&next));
}

#[tokio::test]
async fn a_site_that_refuses_every_token_is_not_asked_for_ever() {
    let gateway = Gateway::start(settings());
    let ana = gateway.visitor().await;
    let mut held = gateway.ensure(&ana).await.unwrap();
    for _ in 0..5 {
        held = gateway
            .customers
            .reopen(&ana, held.generation(), DeathSign::RedirectToLogin, gateway.clock.now())
            .await
            .unwrap();
    }
    let last = gateway.customers.reopen(&ana, held.generation(), DeathSign::RedirectToLogin, gateway.clock.now()).await;
    assert_eq!(last.unwrap_err(), CustomerFailed::KeepsDying);
}

#[test]
fn what_other_sites_answer_says_nothing_of_the_token() {
    let (jira, other) = (broker(settings()), broker(TrustedJwtSettings { product: Product::Other, ..settings() }));
    let headers = HeaderMap::new();
    for (status, dead) in [(401, true), (403, false), (200, false)] {
        let status = StatusCode::from_u16(status).unwrap();
        let answer = AnswerHead { status, headers: &headers, request_wanted_json: true };
        assert_eq!(jira.signs_of_death(&answer).is_some(), dead, "{status}");
        assert_eq!(other.signs_of_death(&answer), None, "{status}");
    }
}

#[tokio::test]
async fn an_outage_of_the_directory_stops_nobody_who_was_in_order() {
    let gateway = Gateway::start(settings());
    let ana = gateway.visitor().await;
    gateway.ensure(&ana).await.unwrap();
    gateway.clock.advance(16 * MINUTE);
    *gateway.directory.fails.lock().unwrap() = Some(UpstreamFailed::TimedOut.into());
    gateway.ensure(&ana).await.unwrap();
    assert_eq!(gateway.asked(), 2);
    // Somebody new is not let in unseen, and whom the directory refuses is not let in again.
    let ben = gateway.visitor().await;
    assert_eq!(gateway.ensure(&ben).await.unwrap_err().reason(), "upstream_timed_out");
    *gateway.directory.fails.lock().unwrap() = Some(DirectoryFailed::Deactivated("ana".into()));
    gateway.clock.advance(6 * MINUTE);
    assert_eq!(gateway.ensure(&ana).await.unwrap_err().reason(), "deactivated");
}

#[tokio::test]
async fn a_bearer_token_is_one_and_no_token_outlives_its_session() {
    let gateway = Gateway::start(TrustedJwtSettings { header: AUTHORIZATION, cookie: None, ..settings() });
    let ana = gateway.visitor().await;
    let held = gateway.ensure(&ana).await.unwrap();
    assert!(token(&held).starts_with("Bearer ey") && held.assertion_header().unwrap().1.is_sensitive());
    assert!(!format!("{held:?}").contains("ey"), "{held:?}");
    gateway.sessions.end(&ana).await.unwrap();
    assert!(ana.customer_session().is_none());
    assert_eq!(gateway.ensure(&ana).await.unwrap_err(), CustomerFailed::SessionEnded);
}

#[tokio::test]
async fn without_a_session_of_its_own_there_is_nothing_to_end_at_the_upstream() {
    let broker = broker(settings());
    let none = CustomerSession::new(1, "ana", Vec::new(), NOW, None);
    broker.end(&none, crate::clock::deadline(MINUTE)).await.unwrap();
    assert_eq!(broker.check(crate::clock::deadline(MINUTE)).await.unwrap_err().reason(), "upstream_unexpected");
    assert!(!broker.has_service_account());
}
