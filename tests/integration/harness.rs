//! A gateway in this process, with a real OpenID provider beside it, and visitors who speak to it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use vestibule::app::App;
use vestibule::clock::Clock;
use vestibule::config;
use vestibule::demo::openid_provider::{Client, ClientAuthentication, OpenIdProvider, Person, Settings};
use vestibule::nodes::Resolver;
use vestibule::random::Random;
use vestibule::secret::Secret;

/// A key for tests.
pub const KEY: &str = "vk1_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// Everything that a test may set.
pub struct Options {
    /// Lines below the portal, each indented by four blanks.
    pub portal: String,
    /// Lines below `listen`, each indented by two blanks.
    pub listen: String,
    /// Lines at the top level.
    pub top: String,
    /// More identity providers: lines below `identity_providers`, each indented by two blanks.
    pub more_providers: String,
    /// The portal's providers.
    pub providers: &'static str,
    /// More of the portal's `sign_in`, from a comma on.
    pub sign_in: &'static str,
    /// Whom the provider knows.
    pub people: Vec<Person>,
    /// The mail domains that the provider speaks for.
    pub email_domains: &'static str,
    /// The mail domains that the portal lets in.
    pub admitted: &'static str,
    /// More of the portal's `admission`, from a comma on.
    pub admission: String,
    /// A second certificate and its key.
    pub second_certificate: Option<(PathBuf, PathBuf)>,
    /// More of `tls`, from a comma on.
    pub tls: String,
    /// The upstream: its address, or a mapping in braces.
    pub upstream: String,
    /// Where `now` comes from.
    pub clock: Clock,
    /// Where the names of upstreams are looked up.
    pub resolver: Resolver,
}

impl Options {
    /// A portal in front of `upstream` that injects nothing.
    pub fn plain(upstream: SocketAddr) -> Self {
        Self {
            portal: "    customer_session: none\n    rules:\n      - { path: \"/public/**\", access: public }\n      - { path: \"/denied/**\", access: deny }\n".into(),
            listen: String::new(),
            top: String::new(),
            more_providers: String::new(),
            providers: "acme",
            sign_in: "",
            people: vec![
                Person::new("ana", "Ana Lima", "ana@acme.com"),
                Person::new("ben", "Ben", "ben@acme.com"),
                Person::new("mallory", "Mallory", "mallory@evil.test"),
            ],
            email_domains: "acme.com, evil.test",
            admitted: "acme.com",
            admission: String::new(),
            second_certificate: None,
            tls: String::new(),
            upstream: format!("http://{upstream}"),
            clock: Clock::System,
            resolver: Resolver::System,
        }
    }
}

/// A gateway and its identity provider.
pub struct TestGateway {
    pub app: App,
    pub folder: tempfile::TempDir,
    pub ca: rustls_pki_types::CertificateDer<'static>,
    pub provider: OpenIdProvider,
    pub _provider_task: AbortOnDrop,
}

/// Ends a task with its owner.
pub struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl AbortOnDrop {
    pub fn of(task: tokio::task::JoinHandle<()>) -> Self {
        Self(task)
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl TestGateway {
    pub async fn start(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = write_certificate(folder.path().to_path_buf());
        let settings = Settings { people: options.people, ..Settings::default() };
        let provider = OpenIdProvider::new(settings.approve_by_login_hint(), options.clock.clone(), Random::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        provider.set_issuer(&issuer);
        let router = provider.router();
        let provider_task = AbortOnDrop(tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        }));
        let second = options.second_certificate.map_or(String::new(), |(cert, key)| {
            format!(", {{ cert: \"{}\", key: \"{}\" }}", cert.display(), key.display())
        });
        let whole = options.upstream.starts_with('{');
        let upstream = if whole { options.upstream } else { format!("\"{}\"", options.upstream) };
        let config = format!(
            "version: 1\n\
             listen:\n  https: \"127.0.0.1:0\"\n  http: \"127.0.0.1:0\"\n  admin: \"127.0.0.1:0\"\n{listen}\
             tls: {{ certificates: [ {{ cert: cert.pem, key: key.pem }}{second} ]{tls} }}\n\
             keys: [ {KEY} ]\n\
             session: {{ store: {{ embedded: {{ path: sessions.redb }} }} }}\n\
             identity_providers:\n  acme:\n    oidc: {{ issuer: \"{issuer}\", client_id: vestibule, client_secret: secret }}\n    \
             label: Acme\n    email_domains: [{email_domains}]\n\
             {more_providers}{top}\
             portals:\n  - host: localhost\n    upstream: {upstream}\n    sign_in: {{ providers: [{providers}]{sign_in} }}\n    \
             admission: {{ email_domains: {{ allow: [{admitted}] }}{admission} }}\n{portal}",
            listen = options.listen,
            email_domains = options.email_domains,
            more_providers = options.more_providers,
            providers = options.providers,
            sign_in = options.sign_in,
            admitted = options.admitted,
            top = options.top,
            admission = options.admission,
            second = second,
            tls = options.tls,
            upstream = upstream,
            portal = options.portal,
        );
        std::fs::write(folder.path().join("gateway.yaml"), &config).unwrap();
        let parsed = config::parse(&config, folder.path(), &config::ProcessEnvironment)
            .unwrap_or_else(|faults| panic!("{faults}"));
        let app = App::start_resolving(parsed, options.resolver, options.clock, Random::default()).await.unwrap();
        provider.register(Client {
            id: "vestibule".into(),
            authentication: ClientAuthentication::Secret(Secret::generated("secret")),
            redirect_uris: vec![format!(
                "https://localhost:{}/.vestibule/oidc/acme/callback",
                app.https_address().port()
            )],
            post_logout_redirect_uris: vec![],
        });
        Self { app, folder, ca, provider, _provider_task: provider_task }
    }

    /// `https://localhost:PORT`.
    pub fn origin(&self) -> String {
        format!("https://localhost:{}", self.app.https_address().port())
    }

    /// A client that keeps cookies, follows no redirect, and trusts the test's authority.
    pub fn client(&self) -> reqwest::Client {
        self.client_builder().build().unwrap()
    }

    pub fn client_builder(&self) -> reqwest::ClientBuilder {
        reqwest::Client::builder()
            .no_proxy()
            .cookie_store(true)
            .redirect(reqwest::redirect::Policy::none())
            .add_root_certificate(reqwest::Certificate::from_der(&self.ca).unwrap())
            .timeout(Duration::from_secs(30))
    }

    /// Signs `person` in, with `client` as the browser. Gives the session cookie's value.
    pub async fn sign_in(&self, client: &reqwest::Client, person: &str) -> String {
        let stopped = navigate(client, &format!("{}/private", self.origin())).await;
        assert_eq!(stopped.status(), 303, "{}", stopped.text().await.unwrap());
        let at_provider = format!("{}&login_hint={person}", location(&stopped));
        let approved = client.get(at_provider).send().await.unwrap();
        let returned = navigate(client, &location(&approved)).await;
        assert_eq!(returned.status(), 303, "{}", returned.text().await.unwrap());
        let cookies = set_cookies(&returned);
        let session = cookies.iter().find(|cookie| cookie.starts_with("__Host-vestibule=")).expect("a session cookie");
        session.split(';').next().unwrap().split_once('=').unwrap().1.to_owned()
    }

    /// A TLS connection that speaks HTTP/1.1, for bytes that no client would send.
    pub async fn raw(&self) -> Raw {
        Raw { stream: self.tls(&[b"http/1.1"]).await }
    }

    /// The same over a connection that stands already.
    pub async fn raw_over(&self, tcp: TcpStream) -> Raw {
        Raw { stream: self.tls_over(tcp, &[b"http/1.1"]).await }
    }

    pub async fn tls(&self, alpn: &[&[u8]]) -> TlsStream<TcpStream> {
        self.tls_over(TcpStream::connect(self.app.https_address()).await.unwrap(), alpn).await
    }

    async fn tls_over(&self, tcp: TcpStream, alpn: &[&[u8]]) -> TlsStream<TcpStream> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.ca.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let name = ServerName::try_from("localhost").unwrap();
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap()
    }

    /// How many exchanges have ended that all of these `labels` say something of.
    pub fn exchanges(&self, labels: &[&str]) -> u64 {
        let metrics = self.metrics();
        let ended = metrics.lines().filter(|line| line.starts_with("vestibule_exchanges_total{"));
        let ended = ended.filter(|line| labels.iter().all(|label| line.contains(label)));
        ended.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    pub fn metrics(&self) -> String {
        String::from_utf8(self.app.metrics().encode().unwrap()).unwrap()
    }
}

pub fn write_certificate(folder: PathBuf) -> rustls_pki_types::CertificateDer<'static> {
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let cert = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    std::fs::write(folder.join("cert.pem"), cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    cert.der().clone()
}

/// A request as a browser makes it for a link.
pub async fn navigate(client: &reqwest::Client, url: &str) -> reqwest::Response {
    client
        .get(url)
        .header("accept", "text/html,application/xhtml+xml")
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-dest", "document")
        .send()
        .await
        .unwrap()
}

pub fn location(response: &reqwest::Response) -> String {
    response.headers()["location"].to_str().unwrap().to_owned()
}

pub fn set_cookies(response: &reqwest::Response) -> Vec<String> {
    response.headers().get_all("set-cookie").iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

/// A connection for raw bytes.
pub struct Raw {
    stream: TlsStream<TcpStream>,
}

impl Raw {
    pub async fn send(&mut self, bytes: &[u8]) {
        // The gateway may have closed already: that is an answer too.
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    /// Reads one answer with `Content-Length`, and the informational ones before it; what came until the end when the connection was closed.
    pub async fn answer(&mut self) -> String {
        let mut bytes = Vec::new();
        let mut chunk = [0; 16 * 1024];
        loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let mut last = text.as_str();
            while last.starts_with("HTTP/1.1 1")
                && let Some((_, next)) = last.split_once("\r\n\r\n")
            {
                last = next;
            }
            if let Some((head, body)) = last.split_once("\r\n\r\n") {
                let length = head
                    .lines()
                    .filter_map(|line| line.split_once(':'))
                    .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                    .and_then(|(_, value)| value.trim().parse::<usize>().ok());
                if length.is_some_and(|length| body.len() >= length) {
                    return text;
                }
            }
            match tokio::time::timeout(Duration::from_secs(20), self.stream.read(&mut chunk)).await {
                Ok(Ok(0)) | Ok(Err(_)) => return text,
                Ok(Ok(n)) => bytes.extend_from_slice(&chunk[..n]),
                Err(_) => panic!("no answer within 20 s; so far: {text:?}"),
            }
        }
    }

    /// Whether the connection is closed within 30 seconds, whatever comes before.
    pub async fn closes(&mut self) -> bool {
        closes(&mut self.stream).await
    }

    /// What comes, up to and with `end`.
    pub async fn until(&mut self, end: &str) -> String {
        let mut bytes = Vec::new();
        let reading = async {
            while !bytes.ends_with(end.as_bytes()) {
                match self.stream.read_u8().await {
                    Ok(byte) => bytes.push(byte),
                    Err(_) => return,
                }
            }
        };
        let reading = tokio::time::timeout(Duration::from_secs(20), reading).await;
        let came = String::from_utf8_lossy(&bytes).into_owned();
        assert!(reading.is_ok(), "{end:?} does not come; so far: {came:?}");
        came
    }

    /// Sends a request and gives the status of the answer; 0 when the connection was closed without one.
    pub async fn status(&mut self, bytes: &[u8]) -> u16 {
        self.send(bytes).await;
        status_of(&self.answer().await)
    }

    /// One byte more; `false` when the gateway has closed the connection.
    pub async fn drip(&mut self, byte: u8) -> bool {
        let mut chunk = [0; 1024];
        tokio::select! {
            read = self.stream.read(&mut chunk) => matches!(read, Ok(n) if n > 0),
            () = tokio::time::sleep(Duration::from_millis(20)) => self.stream.write_all(&[byte]).await.is_ok() && self.stream.flush().await.is_ok(),
        }
    }

    /// Everything until the gateway closes the connection, which it does.
    pub async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        let reading = tokio::time::timeout(Duration::from_secs(20), self.stream.read_to_end(&mut bytes)).await;
        let came = String::from_utf8_lossy(&bytes).into_owned();
        assert!(reading.is_ok(), "the connection is not closed; so far: {came:?}");
        came
    }

    /// The same, and TLS says that this is the end.
    pub async fn rest_in_order(&mut self) -> String {
        let mut bytes = Vec::new();
        let reading = tokio::time::timeout(Duration::from_secs(20), self.stream.read_to_end(&mut bytes)).await;
        let came = String::from_utf8_lossy(&bytes).into_owned();
        reading.expect("the connection is closed").unwrap_or_else(|error| panic!("{error} after {came:?}"));
        came
    }
}

pub fn status_of(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// Waits until `holds`, for 30 seconds at most.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(30), waiting).await.is_ok(), "{what}");
}

/// Whether the other side closes `stream` within 30 seconds, whatever it says before.
pub async fn closes(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> bool {
    let mut chunk = [0; 16 * 1024];
    let reading = async { while matches!(stream.read(&mut chunk).await, Ok(n) if n > 0) {} };
    tokio::time::timeout(Duration::from_secs(30), reading).await.is_ok()
}
