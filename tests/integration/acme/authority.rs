//! A certificate authority: Debian's `pebble`, with its own DNS, behind a relay that sees what is ordered and can make
//! difficulties. How it checks the gateway goes through relays, too, that a test can shut.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::child::free_addresses;
use crate::harness::AbortOnDrop;

/// How pebble is to behave.
pub struct Pebble {
    /// How many of a hundred good nonces are refused.
    pub refused_nonces: u8,
    /// Whether an account has to be bound to an external one, `kid-1` with [`EAB_KEY`].
    pub external_account: bool,
    /// How long certificates are valid, in seconds.
    pub validity: u64,
}

/// The key of the external account, as pebble's own example has it.
pub const EAB_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

impl Default for Pebble {
    fn default() -> Self {
        Self { refused_nonces: 15, external_account: false, validity: 90 * 24 * 3600 }
    }
}

/// A running authority.
pub struct Authority {
    /// Where its directory is.
    pub directory: String,
    /// Who verifies the directory.
    pub ca: std::path::PathBuf,
    /// Who signs its certificates.
    pub root: CertificateDer<'static>,
    /// How it gets to the gateway on port 443.
    pub tls: ValidationRelay,
    /// How it gets to the gateway on port 80.
    pub http: ValidationRelay,
    relayed: Arc<Relayed>,
    _children: [Child; 2],
    _relay: AbortOnDrop,
    _folder: tempfile::TempDir,
}

/// Takes connections of the relay: authorities speak https alone.
struct TlsListener {
    tcp: TcpListener,
    acceptor: tokio_rustls::TlsAcceptor,
}

impl TlsListener {
    async fn bind(folder: &std::path::Path) -> Self {
        let chain = vec![CertificateDer::from_pem_file(folder.join("cert.pem")).unwrap()];
        let key = rustls_pki_types::PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        Self { tcp: TcpListener::bind("127.0.0.1:0").await.unwrap(), acceptor }
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = tokio_rustls::server::TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (tcp, peer) = self.tcp.accept().await.unwrap();
            if let Ok(stream) = self.acceptor.accept(tcp).await {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

/// Status, more header fields, body.
type Instead = (u16, Vec<(&'static str, String)>, String);

/// What the relay in front of pebble knows and does.
struct Relayed {
    client: reqwest::Client,
    pebble: SocketAddr,
    /// The paths of all calls, in order.
    calls: Mutex<Vec<String>>,
    /// Answers to the next orders, in place of pebble's: status, more header fields, body.
    instead: Mutex<VecDeque<Instead>>,
    /// The time that is suggested for every renewal, as RFC 3339.
    window: Mutex<Option<(String, String)>>,
}

impl Authority {
    pub async fn start(pebble: Pebble) -> Self {
        let (tls, http) = (ValidationRelay::start().await, ValidationRelay::start().await);
        let folder = tempfile::tempdir().unwrap();
        let ca = crate::harness::write_certificate(folder.path().to_path_buf());
        let [acme, management, dns, dns_management] = free_addresses();
        let config = serde_json::json!({ "pebble": {
            "listenAddress": acme.to_string(),
            "managementListenAddress": management.to_string(),
            "certificate": folder.path().join("cert.pem"),
            "privateKey": folder.path().join("key.pem"),
            "httpPort": http.address.port(),
            "tlsPort": tls.address.port(),
            "externalAccountBindingRequired": pebble.external_account,
            "externalAccountMACKeys": { "kid-1": EAB_KEY },
            "certificateValidityPeriod": pebble.validity,
        }});
        std::fs::write(folder.path().join("pebble.json"), config.to_string()).unwrap();
        let quiet = |command: &mut Command| {
            command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().expect("Debian's pebble")
        };
        let dns_server = quiet(Command::new("pebble-challtestsrv").args([
            "-dns01",
            &dns.to_string(),
            "-management",
            &dns_management.to_string(),
            "-http01",
            "",
            "-https01",
            "",
            "-tlsalpn01",
            "",
            "-defaultIPv4",
            "127.0.0.1",
            "-defaultIPv6",
            "",
        ]));
        let mut command = Command::new("pebble");
        command.arg("-config").arg(folder.path().join("pebble.json")).args(["-strict", "-dnsserver", &dns.to_string()]);
        command.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_AUTHZREUSE", "0");
        let server = quiet(command.env("PEBBLE_WFE_NONCEREJECT", pebble.refused_nonces.to_string()));
        let ca = reqwest::Certificate::from_der(&ca).unwrap();
        let client = reqwest::Client::builder().no_proxy().http1_only().add_root_certificate(ca).build().unwrap();
        let root = loop {
            match client.get(format!("https://localhost:{}/roots/0", management.port())).send().await {
                Ok(answer) => break answer.bytes().await.unwrap(),
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            }
        };
        let root = CertificateDer::from_pem_slice(&root).unwrap();
        let (calls, instead, window) = Default::default();
        let relayed = Arc::new(Relayed { client, pebble: acme, calls, instead, window });
        let listener = TlsListener::bind(folder.path()).await;
        let directory = format!("https://{}/dir", listener.tcp.local_addr().unwrap());
        let router = axum::Router::new().fallback(relay).with_state(Arc::clone(&relayed));
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        let (ca, _children) = (folder.path().join("cert.pem"), [dns_server, server]);
        Self { directory, ca, root, tls, http, relayed, _children, _relay: AbortOnDrop::of(task), _folder: folder }
    }

    /// Both ways lead to `app` from now on.
    pub fn reaches(&self, app: &vestibule::app::App) {
        self.tls.leads_to(Some(app.https_address()));
        self.http.leads_to(app.http_address());
    }

    /// How many accounts, or orders, were wished for and not refused for their nonce... as far as the relay can tell: pebble
    /// answered 201.
    pub fn made(&self, what: &str) -> usize {
        let wanted = format!("201 {what}");
        self.relayed.calls.lock().unwrap().iter().filter(|call| **call == wanted).count()
    }

    /// The next order is answered like this.
    pub fn answers_an_order_with(&self, status: u16, fields: Vec<(&'static str, String)>, body: &str) {
        self.relayed.instead.lock().unwrap().push_back((status, fields, body.to_owned()));
    }

    /// Every certificate should be renewed within this time (RFC 9773).
    pub fn suggests(&self, start: &str, end: &str) {
        *self.relayed.window.lock().unwrap() = Some((start.to_owned(), end.to_owned()));
    }
}

async fn relay(State(relayed): State<Arc<Relayed>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let path = parts.uri.path().to_owned();
    let window = relayed.window.lock().unwrap().clone();
    if let Some((start, end)) = window.clone().filter(|_| path.starts_with("/renewal-info/")) {
        relayed.calls.lock().unwrap().push("200 /renewal-info".to_owned());
        let info = serde_json::json!({ "suggestedWindow": { "start": start, "end": end } }).to_string();
        return Response::builder().header("retry-after", "21600").body(Body::from(info)).unwrap();
    }
    let instead = if path == "/order-plz" { relayed.instead.lock().unwrap().pop_front() } else { None };
    if let Some((status, fields, body)) = instead {
        let answer = fields
            .into_iter()
            .fold(Response::builder().status(status), |answer, (name, value)| answer.header(name, value));
        return answer.body(Body::from(body)).unwrap();
    }
    let host = parts.headers["host"].to_str().unwrap().to_owned();
    let url = format!("https://localhost:{}{}", relayed.pebble.port(), parts.uri);
    let mut call = relayed.client.request(parts.method.clone(), url).body(body);
    for (name, value) in &parts.headers {
        if name != "host" && name != "content-length" {
            call = call.header(name, value);
        }
    }
    let answer = call.header("host", &host).send().await.unwrap();
    relayed.calls.lock().unwrap().push(format!("{} {path}", answer.status().as_u16()));
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        if name != "content-length" && name != "transfer-encoding" {
            response = response.header(name, value);
        }
    }
    let mut body = answer.bytes().await.unwrap().to_vec();
    if path == "/dir" && window.is_some() {
        let mut directory: serde_json::Value = serde_json::from_slice(&body).unwrap();
        directory["renewalInfo"] = format!("https://{host}/renewal-info").into();
        body = directory.to_string().into_bytes();
    }
    response.body(Body::from(body)).unwrap()
}

/// Leads connections to wherever the test says, or nowhere.
pub struct ValidationRelay {
    address: SocketAddr,
    target: Arc<Mutex<Option<SocketAddr>>>,
    count: Arc<AtomicUsize>,
    _task: AbortOnDrop,
}

impl ValidationRelay {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (target, count) = (Arc::new(Mutex::new(None)), Arc::new(AtomicUsize::new(0)));
        let (leads_to, counted) = (Arc::clone(&target), Arc::clone(&count));
        let task = tokio::spawn(async move {
            loop {
                let (mut from, _) = listener.accept().await.unwrap();
                let to: Option<SocketAddr> = *leads_to.lock().unwrap();
                let Some(to) = to else { continue };
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let mut to = TcpStream::connect(to).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
                });
            }
        });
        Self { address, target, count, _task: AbortOnDrop::of(task) }
    }

    pub fn leads_to(&self, target: Option<SocketAddr>) {
        *self.target.lock().unwrap() = target;
    }

    /// How many connections got through.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}
