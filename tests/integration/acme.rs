//! Certificates by ACME, from a real authority (`pebble`): ordered by either challenge, renewed, refused, shared.

mod authority;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{CipherSuite, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use vestibule::app::App;
use vestibule::clock::{Clock, Timestamp};
use vestibule::config;
use vestibule::random::Random;
use vestibule::session::store::SessionStore;
use vestibule::session::store::memory::MemoryStore;

use self::authority::{Authority, EAB_KEY, Pebble};
use crate::client_certificates::{VisitorsAuthority, visitor};
use crate::harness::{KEY, status_of};
use crate::recorder::{Answer, Recorder};

const HOST: &str = "support.acme.test";

/// A gateway without certificate files in front of `upstream`, with this much more of `tls.acme`.
fn configuration(folder: &Path, (directory, ca): (&str, &Path), more: &str, upstream: &Recorder) -> config::Config {
    let ca = ca.display();
    let text = format!(
        "version: 1\nlisten: {{ https: \"127.0.0.1:0\", http: \"127.0.0.1:0\", admin: \"127.0.0.1:0\", public_port: 443 }}\n\
         tls:\n  acme: {{ directory: \"{directory}\", agree_to_terms: true, ca: \"{ca}\", contact: [\"mailto:ops@acme.test\"]{more} }}\n\
         keys: [ {KEY} ]\nsession: {{ store: {{ embedded: {{ path: sessions.redb }} }} }}\n\
         identity_providers:\n  acme:\n    oidc: {{ issuer: \"http://localhost:9\", client_id: a, client_secret: b }}\n    label: Acme\n\
         portals:\n  - host: {HOST}\n    upstream: \"http://{}\"\n    sign_in: {{ providers: [acme] }}\n    customer_session: none\n    \
         rules: [ {{ path: \"/public/**\", access: public }} ]\n",
        upstream.address
    );
    config::parse(&text, folder, &config::ProcessEnvironment).unwrap_or_else(|faults| panic!("{faults}"))
}

/// Everything that most tests need.
struct World {
    authority: Authority,
    recorder: Recorder,
    folder: tempfile::TempDir,
    clock: Clock,
}

impl World {
    async fn with(pebble: Pebble) -> Self {
        let (authority, recorder) = (Authority::start(pebble).await, Recorder::start(Answer::default()).await);
        // The authority's clock is the machine's; ours starts there.
        let clock = Clock::manual(Clock::System.now());
        Self { authority, recorder, folder: tempfile::tempdir().unwrap(), clock }
    }

    async fn start(&self, more: &str) -> App {
        self.start_at(&self.authority.directory, more).await
    }

    async fn start_at(&self, directory: &str, more: &str) -> App {
        let config = configuration(self.folder.path(), (directory, &self.authority.ca), more, &self.recorder);
        let app = App::start(config, self.clock.clone(), Random::default()).await.unwrap();
        self.authority.reaches(&app);
        app
    }

    /// The certificate that a visitor is shown who trusts the authority alone.
    async fn shown(&self, app: &App) -> Option<CertificateDer<'static>> {
        let stream = self.visit(app, rustls::crypto::ring::default_provider()).await?;
        Some(stream.get_ref().1.peer_certificates()?.first()?.clone())
    }

    async fn visit(&self, app: &App, provider: CryptoProvider) -> Option<TlsStream<TcpStream>> {
        let versions: Vec<_> = [&rustls::version::TLS12, &rustls::version::TLS13]
            .into_iter()
            .filter(|version| provider.cipher_suites.iter().any(|suite| suite.version() == *version))
            .collect();
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.root.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(&versions).unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        connect(app, config).await
    }

    /// Waits until the visitor gets in.
    async fn issued(&self, app: &App) -> CertificateDer<'static> {
        eventually(app, "a certificate", async || self.shown(app).await).await
    }
}

async fn connect(app: &App, config: ClientConfig) -> Option<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(app.https_address()).await.unwrap();
    let name = ServerName::try_from(HOST).unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.ok()
}

/// Waits until there is something, for a minute at most.
async fn eventually<T>(app: &App, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..600 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what} did not come: {}{}", ready(app).await, metrics(app));
}

/// What `/readyz` tells.
async fn ready(app: &App) -> String {
    let url = format!("http://{}/readyz", app.admin_address().unwrap());
    let answer = reqwest::Client::builder().no_proxy().build().unwrap().get(url).send().await.unwrap();
    assert_eq!(answer.status(), 200, "the authority has to get here");
    answer.text().await.unwrap()
}

/// What `/status` tells.
async fn status(app: &App) -> serde_json::Value {
    let url = format!("http://{}/status", app.admin_address().unwrap());
    let answer = reqwest::Client::builder().no_proxy().build().unwrap().get(url).send().await.unwrap();
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

/// Waits until `/readyz` tells this.
async fn told(app: &App, what: &str) -> String {
    eventually(app, what, async || Some(ready(app).await).filter(|told| told.contains(what))).await
}

fn metrics(app: &App) -> String {
    let text = String::from_utf8(app.metrics().encode().unwrap()).unwrap();
    text.lines().filter(|line| line.contains("certificate") && !line.starts_with('#')).collect::<Vec<_>>().join("\n")
}

fn orders(app: &App, result: &str) -> Option<String> {
    let name = format!("vestibule_certificate_orders_total{{result=\"{result}\"}} ");
    metrics(app).lines().find_map(|line| line.strip_prefix(&name).map(str::to_owned))
}

/// Asks for a page over a connection that stands.
async fn get(stream: &mut TlsStream<TcpStream>) -> u16 {
    let request = format!("GET /public/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let (mut answer, mut chunk) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&answer).contains(" /public/x") {
        let read = stream.read(&mut chunk).await.unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&chunk[..read]);
    }
    status_of(&String::from_utf8_lossy(&answer))
}

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_ordered_in_a_handshake() {
    let world = World::with(Pebble { refused_nonces: 50, ..Pebble::default() }).await;
    let app = world.start(", challenges: [tls_alpn_01]").await;
    assert!(world.shown(&app).await.is_none(), "there is none yet, and nothing is made up");
    assert!(ready(&app).await.starts_with(&format!("ready\n{HOST} has no certificate yet")));
    // While the authority is on its way, whoever speaks its protocol gets its certificate, and not one word more.
    let mut challenged = eventually(&app, "the answer", async || connect(&app, anybody(&[b"acme-tls/1"])).await).await;
    let shown = challenged.get_ref().1.peer_certificates().unwrap()[0].clone();
    let (_, shown) = x509_parser::parse_x509_certificate(&shown).unwrap();
    let identifier = shown.extensions().iter().find(|one| one.oid.to_id_string() == "1.3.6.1.5.5.7.1.31").unwrap();
    assert!(identifier.critical && shown.issuer() == shown.subject());
    let _ = challenged.write_all(format!("GET /public/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes()).await;
    let mut said = Vec::new();
    let _ = challenged.read_to_end(&mut said).await;
    assert!(said.is_empty(), "{}", String::from_utf8_lossy(&said));
    assert!(connect(&app, anybody(&[b"h2", b"http/1.1"])).await.is_none(), "visitors wait");
    assert!(connect(&app, anybody(&[b"acme-tls/1", b"h2"])).await.is_none(), "this protocol alone, or none of it");

    world.issued(&app).await;
    let mut visitor = world.visit(&app, rustls::crypto::ring::default_provider()).await.unwrap();
    assert_eq!(get(&mut visitor).await, 200);
    told(&app, "ready\n").await;
    eventually(&app, "the end of waiting", async || (ready(&app).await == "ready\n").then_some(())).await;
    assert!(connect(&app, anybody(&[b"acme-tls/1"])).await.is_none(), "nothing is asked any more");
    assert!(world.authority.tls.count() > 0 && world.authority.http.count() == 0);
    assert_eq!((world.authority.made("/sign-me-up"), world.authority.made("/order-plz")), (1, 1));
    assert_eq!(orders(&app, "issued").as_deref(), Some("1"));
    let counted = metrics(&app);
    assert!(
        counted.contains(&format!("vestibule_certificate_valid_until_timestamp_seconds{{name=\"{HOST}\"}}")),
        "{counted}"
    );
    assert!(counted.contains("vestibule_certificates_missing 0"), "{counted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_ordered_over_port_80_and_everything_else_there_is_redirected() {
    let world = World::with(Pebble { refused_nonces: 50, ..Pebble::default() }).await;
    let app = world.start(", challenges: [http_01]").await;
    world.issued(&app).await;
    assert!(world.authority.http.count() > 0 && world.authority.tls.count() == 0);
    let plain = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for path in ["/.well-known/acme-challenge/abc", "/.well-known/acme-challenge/", "/x"] {
        let url = format!("http://{}{path}", app.http_address().unwrap());
        let answer = plain.get(url).header("host", HOST).send().await.unwrap();
        assert_eq!(answer.status(), 301, "{path}: no token is at hand");
        assert_eq!(answer.headers()["location"], format!("https://{HOST}{path}"));
    }
    assert!(connect(&app, anybody(&[b"acme-tls/1"])).await.is_none(), "it is not spoken at all");
}

/// Where visitors have to bring certificates the authority, who has none, still gets its answer.
#[tokio::test(flavor = "multi_thread")]
async fn an_authority_needs_no_certificate_of_a_visitor() {
    let world = World::with(Pebble::default()).await;
    let visitors = VisitorsAuthority::new();
    std::fs::write(world.folder.path().join("visitors.pem"), &visitors.pem).unwrap();
    let app = world.start(", challenges: [tls_alpn_01] }\n  client_certificates: { ca: visitors.pem").await;
    let ana = visitor(&world.authority.root, Some(&visitors.issue(1)), b"http/1.1");
    let config = (*ana).clone();
    let mut stream = eventually(&app, "a certificate", async || connect(&app, config.clone()).await).await;
    assert_eq!(get(&mut stream).await, 200);
    let mut nobody = world.visit(&app, rustls::crypto::ring::default_provider()).await.expect("TLS 1.3 tells it later");
    assert!(nobody.read_u8().await.is_err(), "everybody else needs one");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_kinds_of_keys_are_ordered_side_by_side() {
    let world = World::with(Pebble::default()).await;
    let app = world.start(", key_types: [ecdsa_p256, rsa_2048]").await;
    world.issued(&app).await;
    let mut old = rustls::crypto::ring::default_provider();
    old.cipher_suites.retain(|suite| suite.suite() == CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256);
    let old = eventually(&app, "RSA", async || world.visit(&app, old.clone()).await).await;
    let rsa = old.get_ref().1.peer_certificates().unwrap()[0].clone();
    assert_ne!(world.shown(&app).await.unwrap(), rsa, "who knows both gets the first");
    assert_eq!((world.authority.made("/sign-me-up"), world.authority.made("/order-plz")), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_in_time_and_no_connection_notices() {
    let world = World::with(Pebble::default()).await;
    let app = world.start("").await;
    let first = world.issued(&app).await;
    let mut standing = world.visit(&app, rustls::crypto::ring::default_provider()).await.unwrap();
    assert_eq!(get(&mut standing).await, 200);
    world.clock.advance(59 * DAY);
    assert_eq!(world.shown(&app).await.unwrap(), first);
    world.clock.advance(5 * DAY);
    eventually(&app, "the next one", async || world.shown(&app).await.filter(|shown| *shown != first)).await;
    assert_eq!(get(&mut standing).await, 200, "an open connection goes on");
    assert_eq!((world.authority.made("/sign-me-up"), world.authority.made("/order-plz")), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_challenge_is_told_and_tried_again_and_what_works_is_never_given_up() {
    let world = World::with(Pebble::default()).await;
    let app = world.start("").await;
    world.authority.tls.leads_to(None);
    world.authority.http.leads_to(None);
    let sentence = told(&app, "the challenge http-01 failed").await;
    assert!(sentence.contains("port 80 to listen.http") && sentence.contains("tried again after"), "{sentence}");
    assert_eq!(status(&app).await["certificates"], serde_json::json!([sentence.lines().last().unwrap()]));
    assert_eq!(orders(&app, "acme_challenge_failed").as_deref(), Some("1"));
    assert_eq!(world.authority.made("/order-plz"), 2, "each challenge was tried");
    assert!(world.shown(&app).await.is_none());
    world.authority.reaches(&app);
    world.clock.advance(Duration::from_secs(12 * 60));
    let first = world.issued(&app).await;
    eventually(&app, "silence", async || (status(&app).await["certificates"] == serde_json::json!([])).then_some(()))
        .await;
    // A renewal that fails costs nothing while the certificate lasts.
    world.authority.tls.leads_to(None);
    world.authority.http.leads_to(None);
    world.clock.advance(70 * DAY);
    let sentence = told(&app, "failed").await;
    assert!(sentence.contains("has a certificate that ends at"), "{sentence}");
    assert_eq!(world.shown(&app).await.unwrap(), first);
    world.authority.reaches(&app);
    world.clock.advance(Duration::from_secs(12 * 60));
    eventually(&app, "the next one", async || world.shown(&app).await.filter(|shown| *shown != first)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_one_challenge_fails_the_other_is_tried_at_once() {
    let world = World::with(Pebble::default()).await;
    let app = world.start(", challenges: [tls_alpn_01, http_01]").await;
    world.authority.tls.leads_to(None);
    world.issued(&app).await;
    assert_eq!(orders(&app, "acme_challenge_failed"), None, "one attempt");
    assert_eq!(world.authority.made("/order-plz"), 2);
    // What worked is tried first the next time.
    world.clock.advance(70 * DAY);
    eventually(&app, "the next one", async || orders(&app, "issued").filter(|count| count == "2")).await;
    assert_eq!(world.authority.made("/order-plz"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_at_one_store_order_one_certificate_and_answer_for_each_other() {
    let world = World::with(Pebble::default()).await;
    let store: Arc<dyn SessionStore> = Arc::new(MemoryStore::default());
    let start = async || {
        let directory = (world.authority.directory.as_str(), world.authority.ca.as_path());
        let config = configuration(world.folder.path(), directory, "", &world.recorder);
        App::start_with_store(config, Arc::clone(&store), world.clock.clone(), Random::default()).await.unwrap()
    };
    let one = start().await;
    // The first one has begun; the authority gets to the other one alone.
    told(&one, "has no certificate yet").await;
    eventually(&one, "the order", async || (world.authority.made("/order-plz") > 0).then_some(())).await;
    let other = start().await;
    world.authority.reaches(&other);
    let shown = world.issued(&other).await;
    assert_eq!(world.issued(&one).await, shown);
    assert_eq!((orders(&one, "issued").as_deref(), orders(&other, "issued")), (Some("1"), None));
    assert_eq!((world.authority.made("/sign-me-up"), world.authority.made("/order-plz")), (1, 1));
    // Whichever is first renews for both.
    world.clock.advance(70 * DAY);
    let renewed = eventually(&one, "renewal", async || world.shown(&one).await.filter(|now| *now != shown)).await;
    eventually(&other, "renewal", async || world.shown(&other).await.filter(|now| *now == renewed)).await;
    assert_eq!(world.authority.made("/order-plz"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn account_and_certificate_outlive_a_restart_and_another_directory_orders_anew() {
    let world = World::with(Pebble::default()).await;
    let app = world.start("").await;
    let first = world.issued(&app).await;
    app.drain().await;
    let app = world.start("").await;
    assert_eq!(world.shown(&app).await.unwrap(), first, "at once");
    world.clock.advance(70 * DAY);
    eventually(&app, "the next one", async || world.shown(&app).await.filter(|shown| *shown != first)).await;
    assert_eq!(
        (world.authority.made("/sign-me-up"), world.authority.made("/order-plz")),
        (1, 2),
        "with the same account"
    );
    app.drain().await;
    let elsewhere = world.authority.directory.replace("127.0.0.1", "localhost");
    let app = world.start_at(&elsewhere, "").await;
    world.issued(&app).await;
    assert_eq!((world.authority.made("/sign-me-up"), world.authority.made("/order-plz")), (2, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_account_is_bound_where_the_authority_wants_one() {
    let world = World::with(Pebble { external_account: true, ..Pebble::default() }).await;
    let app = world.start("").await;
    let sentence = told(&app, "the authority wants another external account").await;
    assert!(sentence.contains("set tls.acme.eab"), "{sentence}");
    assert_eq!(orders(&app, "acme_external_account").as_deref(), Some("1"));
    app.drain().await;
    world.clock.advance(Duration::from_secs(2 * 3600));
    let app = world.start(&format!(", eab: {{ kid: kid-1, key: \"{EAB_KEY}\" }}")).await;
    world.issued(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_wants_a_rest_gets_one() {
    let world = World::with(Pebble::default()).await;
    let problem = r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many certificates","status":429}"#;
    let fields = vec![("retry-after", "7200".to_owned()), ("content-type", "application/problem+json".to_owned())];
    world.authority.answers_an_order_with(429, fields, problem);
    let app = world.start("").await;
    let sentence = told(&app, "too many certificates").await;
    let after = sentence.split("tried again after ").nth(1).unwrap().trim();
    let after = Timestamp::from_seconds(chrono::DateTime::parse_from_rfc3339(after).unwrap().timestamp());
    assert!(after.since(world.clock.now()) >= Duration::from_secs(7199), "{sentence}");
    assert_eq!(orders(&app, "acme_rate_limited").as_deref(), Some("1"));
    world.clock.advance(Duration::from_secs(3 * 3600));
    world.issued(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_suggests_an_earlier_renewal_is_followed() {
    let world = World::with(Pebble::default()).await;
    let day = |days: u32| world.clock.now().after(days * DAY).to_string();
    world.authority.suggests(&day(10), &day(11));
    let app = world.start("").await;
    let first = world.issued(&app).await;
    world.clock.advance(12 * DAY);
    eventually(&app, "the next one", async || world.shown(&app).await.filter(|shown| *shown != first)).await;
    assert!(world.authority.made("/order-plz") >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_the_authority_has_lost_is_made_anew() {
    let world = World::with(Pebble::default()).await;
    let app = world.start("").await;
    world.issued(&app).await;
    let lost = r#"{"type":"urn:ietf:params:acme:error:accountDoesNotExist","detail":"who?","status":400}"#;
    world.authority.answers_an_order_with(400, Vec::new(), lost);
    world.clock.advance(70 * DAY);
    eventually(&app, "the loss", async || orders(&app, "acme_account")).await;
    world.clock.advance(Duration::from_secs(5 * 60));
    eventually(&app, "the next one", async || orders(&app, "issued").filter(|count| count == "2")).await;
    assert_eq!(world.authority.made("/sign-me-up"), 2);
}

/// A client that believes any certificate.
fn anybody(protocols: &[&[u8]]) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.dangerous().with_custom_certificate_verifier(Arc::new(BelievesAll)).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    config
}

#[derive(Debug)]
struct BelievesAll;

impl ServerCertVerifier for BelievesAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
