//! The binary as a process: what it says when it cannot start, what it logs, how it ends.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::CommandFactory as _;
use reqwest::Client;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use vestibule::cli::Arguments;
use vestibule::clock::{Clock, Timestamp};

use crate::child::{CLIENT_SECRET, Gateway, PATIENCE, certificate, configuration, free_addresses, outcome};
use crate::harness::KEY;
use crate::recorder::{Answer, Recorder};

/// Nobody listens there.
const NOWHERE: &str = "127.0.0.1:9";
/// A line's time is that of the beginning and what the exchange took, both in whole milliseconds.
const ROUNDED: Duration = Duration::from_millis(2);

/// A sound configuration in a folder of its own.
pub struct Place {
    pub folder: tempfile::TempDir,
    pub https: SocketAddr,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        certificate(folder.path(), "site");
        let [https] = free_addresses();
        let place = Self { folder, https };
        place.write(&place.text("", NOWHERE.parse().unwrap()));
        place
    }

    pub fn text(&self, others: &str, upstream: SocketAddr) -> String {
        configuration(self.https, others, "http://localhost:9", upstream)
    }

    pub fn write(&self, text: &str) {
        std::fs::write(self.config(), text).unwrap();
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("gateway.yaml")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub async fn carry_out(&self, command: &str) -> (i32, String, String) {
        outcome(&[command, "--config", self.config().to_str().unwrap()]).await
    }

    /// What `run` says when it does not start: one sentence, and nothing else.
    async fn refusal(&self) -> String {
        let (code, _, said) = self.carry_out("run").await;
        assert_eq!(code, 1, "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(!said.contains(KEY) && !said.contains(CLIENT_SECRET) && !said.contains("panicked"), "{said}");
        said.trim_end().to_owned()
    }

    pub fn client(&self) -> Client {
        self.builder().build().unwrap()
    }

    pub fn builder(&self) -> reqwest::ClientBuilder {
        let ca = std::fs::read(self.file("site.pem")).unwrap();
        Client::builder()
            .no_proxy()
            .tls_built_in_root_certs(false)
            .add_root_certificate(reqwest::Certificate::from_pem(&ca).unwrap())
            .timeout(PATIENCE)
    }

    /// A connection on which nothing was asked yet.
    pub async fn tls(&self, protocol: &[u8]) -> tokio_rustls::client::TlsStream<TcpStream> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.file("site.pem")).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = versions.unwrap().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let tcp = TcpStream::connect(self.https).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap()
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.https.port())
    }
}

#[tokio::test]
async fn a_taken_port_is_one_sentence() {
    for listener in ["https", "http", "admin"] {
        // First, so that the place is given another port.
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let mut place = Place::new();
        if listener == "https" {
            place.https = address;
            place.write(&place.text("", NOWHERE.parse().unwrap()));
        } else {
            place.write(&place.text(&format!("  {listener}: \"{address}\"\n"), NOWHERE.parse().unwrap()));
        }
        let said = place.refusal().await;
        assert!(said.starts_with(&format!("vestibule: cannot listen on {address}: ")), "{said}");
        assert!(said.contains("in use"), "{said}");
        assert!(!place.file("sessions.redb").exists(), "nothing is begun before the sockets are open");
    }
}

#[tokio::test]
async fn an_unreadable_certificate_is_one_sentence() {
    let place = Place::new();
    std::fs::remove_file(place.file("site.pem")).unwrap();
    let said = place.refusal().await;
    assert!(said.contains("gateway.yaml:4:") && said.contains("tls.certificates[0].cert"), "{said}");
    assert!(said.contains("there is no such file"), "{said}");

    std::fs::write(place.file("site.pem"), "not a certificate").unwrap();
    let said = place.refusal().await;
    assert!(said.contains("tls.certificates[0].cert") && said.contains("holds no certificate"), "{said}");

    certificate(place.folder.path(), "site");
    std::fs::write(place.file("site.key"), "not a key").unwrap();
    let said = place.refusal().await;
    assert!(said.contains("tls.certificates[0].key") && said.contains("holds no private key"), "{said}");
}

#[tokio::test]
async fn a_key_of_another_certificate_is_one_sentence() {
    let place = Place::new();
    let (_, other) = certificate(place.folder.path(), "other");
    std::fs::copy(other, place.file("site.key")).unwrap();
    let said = place.refusal().await;
    assert!(said.contains("site.key") && said.contains("does not fit the certificate"), "{said}");
}

#[tokio::test]
async fn a_missing_configuration_is_one_sentence() {
    let place = Place::new();
    std::fs::remove_file(place.config()).unwrap();
    let said = place.refusal().await;
    assert!(said.contains("gateway.yaml") && said.contains("there is no such file"), "{said}");
}

#[tokio::test]
async fn a_store_in_use_or_without_a_folder_is_one_sentence() {
    let first = Place::new();
    let mut running = Gateway::start(&first.config(), 1).await.unwrap();
    let store = first.file("sessions.redb");
    let second = Place::new();
    let with_store = |store: &Path| {
        let text = second.text("", NOWHERE.parse().unwrap());
        text.replace("path: sessions.redb", &format!("path: \"{}\"", store.display()))
    };
    second.write(&with_store(&store));
    let said = second.refusal().await;
    assert!(said.contains(store.to_str().unwrap()) && said.contains("in use by another process"), "{said}");

    let nowhere = second.file("missing/sessions.redb");
    second.write(&with_store(&nowhere));
    let said = second.refusal().await;
    assert!(said.contains("missing"), "{said}");

    // The one that runs is not disturbed, and leaves the store to the next.
    running.signal("TERM").await;
    assert!(running.ended().await.0.success());
    second.write(&with_store(&store));
    let mut next = Gateway::start(&second.config(), 1).await.unwrap();
    next.signal("INT").await;
    assert!(next.ended().await.0.success());
}

#[tokio::test]
async fn every_listener_and_portal_has_a_json_line() {
    let place = Place::new();
    let [http, admin] = free_addresses();
    let others = format!("  http: \"{http}\"\n  admin: \"{admin}\"\n");
    let second = "  - host: support.acme.example\n    upstream: \"http://127.0.0.1:9\"\n    \
                  sign_in: { providers: [acme] }\n    customer_session: none\n";
    place.write(&format!("{}{second}", place.text(&others, NOWHERE.parse().unwrap())));
    let mut gateway = Gateway::start(&place.config(), 2).await.unwrap();
    let lines: Vec<serde_json::Value> = gateway.log().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = |field: &str, value: &str| lines.iter().filter(|line| line[field] == value).count();
    for address in [place.https, http, admin] {
        assert_eq!(count("address", &address.to_string()), 1, "{lines:?}");
    }
    assert_eq!(count("message", "serving portal"), 2, "{lines:?}");
    let serves =
        |host: &str| lines.iter().filter(|line| line["message"] == "serving portal" && line["host"] == host).count();
    assert_eq!((serves("localhost"), serves("support.acme.example")), (1, 1), "{lines:?}");
    for line in &lines {
        assert!(line["timestamp"].is_string() && line["level"].is_string(), "{line}");
        assert!(!line.to_string().contains(KEY) && !line.to_string().contains(CLIENT_SECRET), "{line}");
    }
    gateway.signal("TERM").await;
    let (status, said) = gateway.ended().await;
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
}

/// How long one exchange takes does not matter here; what is told of it has to fit.
#[tokio::test(flavor = "multi_thread")]
async fn the_access_log_tells_when_an_exchange_was_over_and_what_it_waited_for() {
    let place = Place::new();
    let recorder = Recorder::start(Answer::default()).await;
    place.write(&place.text("", recorder.address));
    let gateway = Gateway::start(&place.config(), 1).await.unwrap();
    let client = Client::builder().danger_accept_invalid_certs(true).no_proxy().build().unwrap();
    let before = Clock::System.now();
    let address = format!("https://localhost:{}", place.https.port());
    for path in ["/public/forwarded", "/.vestibule/sign-out"] {
        client.get(format!("{address}{path}")).send().await.unwrap();
        gateway.wait_for_log(path).await;
    }
    let after = Clock::System.now();
    let records: Vec<serde_json::Value> =
        gateway.log().iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of = |path: &str| records.iter().find(|record| record["path"] == path).unwrap();
    for path in ["/public/forwarded", "/.vestibule/sign-out"] {
        let record = of(path);
        let told = chrono::DateTime::parse_from_rfc3339(record["timestamp"].as_str().unwrap()).unwrap();
        let told = Timestamp::from_millis(told.timestamp_millis());
        let took = Duration::from_secs_f64(record["ms"].as_f64().unwrap() / 1000.0);
        assert!(told >= before && told <= after && told.since(before) >= took.saturating_sub(ROUNDED), "{record}");
        let waited = record.get("upstream_ms").map(|time| time.as_f64().unwrap());
        assert_eq!(waited.is_some(), path == "/public/forwarded", "{record}");
        assert!(waited.unwrap_or(0.0) <= record["ms"].as_f64().unwrap(), "{record}");
    }
}

/// An upstream that answers one request when it is let.
pub struct Gated {
    pub address: SocketAddr,
    pub asked: oneshot::Receiver<()>,
    pub release: oneshot::Sender<()>,
}

pub async fn gated() -> Gated {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, asked) = oneshot::channel();
    let (release, released) = oneshot::channel();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let _ = tell.send(());
        if released.await.is_ok() {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\ndone")
                .await
                .unwrap();
        }
    });
    Gated { address, asked, release }
}

/// Connects until nobody listens any more.
async fn refused(address: SocketAddr) {
    let until_refused = async { while TcpStream::connect(address).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, until_refused).await.expect("new connections are refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_a_request_in_flight_finish() {
    let (place, upstream) = (Place::new(), gated().await);
    let [admin] = free_addresses();
    // A drain that waits for these connections would take longer than the test allows.
    let limits = "limits: { drain: 1h, header_time: 2m, idle_time: 1h }";
    place.write(&place.text(&format!("  admin: \"{admin}\"\n  {limits}\n"), upstream.address));
    let mut gateway = Gateway::start(&place.config(), 1).await.unwrap();
    let ready = format!("http://{admin}/readyz");
    let plain = Client::builder().no_proxy().build().unwrap();
    assert_eq!(plain.get(&ready).send().await.unwrap().status(), 200);
    // Connections that idle do not hold the drain up: before TLS, before the first request, and between requests.
    let silent = TcpStream::connect(place.https).await.unwrap();
    let fresh = place.tls(b"http/1.1").await;
    let kept = [place.client(), place.builder().http1_only().build().unwrap()];
    for client in &kept {
        assert_eq!(client.get(place.url("/.vestibule/signed-out")).send().await.unwrap().status(), 200);
    }
    let asking = tokio::spawn(place.client().get(place.url("/public/slow")).send());
    upstream.asked.await.unwrap();
    gateway.signal("TERM").await;
    gateway.wait_for_log("draining").await;
    refused(place.https).await;
    let answer = plain.get(&ready).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (503, "draining\n"));
    drop(plain);
    assert!(!asking.is_finished());
    upstream.release.send(()).unwrap();
    let answer = asking.await.unwrap().unwrap();
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, "done"));
    let (status, said) = gateway.ended().await;
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
    drop((silent, fresh, kept));
    assert_eq!(gateway.logged("stopped")["all_finished"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_is_told_that_it_serves_lives_and_stops() {
    let (place, upstream) = (Place::new(), gated().await);
    place.write(&place.text("", upstream.address));
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("notify");
    let told = tokio::net::UnixDatagram::bind(&socket).unwrap();
    let environment = [("NOTIFY_SOCKET", socket.to_str().unwrap()), ("WATCHDOG_USEC", "100000")];
    let mut gateway = Gateway::start_in(&place.config(), 1, &environment).await.unwrap();
    let next = async || {
        let mut message = [0; 256];
        let length = tokio::time::timeout(PATIENCE, told.recv(&mut message)).await.expect("it says something").unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap().trim().to_owned()
    };
    assert_eq!(next().await, "READY=1\nWATCHDOG=1");
    for _ in 0..3 {
        assert_eq!(next().await, "WATCHDOG=1");
    }
    gateway.signal("TERM").await;
    while next().await != "STOPPING=1" {}
    assert!(gateway.ended().await.0.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sigterm_ends_it_at_once() {
    let (place, upstream) = (Place::new(), gated().await);
    place.write(&place.text("  limits: { drain: 1h }\n", upstream.address));
    let mut gateway = Gateway::start(&place.config(), 1).await.unwrap();
    let asking = tokio::spawn(place.client().get(place.url("/public/slow")).send());
    upstream.asked.await.unwrap();
    gateway.signal("TERM").await;
    gateway.wait_for_log("draining").await;
    gateway.signal("TERM").await;
    let (status, said) = gateway.ended().await;
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
    assert!(asking.await.unwrap().is_err(), "nothing of an answer was there");
    assert_eq!(gateway.logged("stopped")["all_finished"], false);
    drop(upstream.release);
    // The store is sound: the next one starts at once.
    let mut next = Gateway::start(&place.config(), 1).await.unwrap();
    next.signal("TERM").await;
    assert!(next.ended().await.0.success());
}

#[tokio::test]
async fn check_tells_every_fault_with_its_place() {
    let place = Place::new();
    let text = place.text("  limits: { header_count: many, drian: 3s }\n", NOWHERE.parse().unwrap());
    place.write(&text.replace("providers: [acme]", "providers: [acmee]").replace("version: 1", "version: 7"));
    let (code, out, said) = place.carry_out("check").await;
    assert_eq!((code, out.as_str()), (1, ""), "{said}");
    let place_of = |wanted: &str| {
        let line = said.lines().find(|line| line.contains(wanted)).unwrap_or_else(|| panic!("{wanted}: {said}"));
        let after = line.split("gateway.yaml:").nth(1).unwrap();
        let mut numbers = after.split(':').map(|number| number.trim().parse::<usize>());
        let (line, column) = (numbers.next().unwrap(), numbers.next().unwrap());
        (line.unwrap(), column.unwrap())
    };
    assert_eq!(place_of("version").0, 1);
    assert_eq!(place_of("listen.limits.header_count").0, 4);
    assert_eq!(place_of("drian").0, 4);
    assert!(said.contains("did you mean") || said.contains("drain"), "{said}");
    assert_eq!(place_of("portals[0].sign_in.providers[0]").0, 15, "{said}");
    assert_eq!(said.lines().count(), 4, "{said}");
    let (code, _, run) = place.carry_out("run").await;
    assert_eq!((code, run), (1, said), "run tells the same");
}

#[tokio::test]
async fn check_shows_what_the_configuration_means_and_no_secret() {
    let place = Place::new();
    let (code, out, said) = place.carry_out("check").await;
    assert_eq!((code, said.as_str()), (0, ""), "{out}");
    for shown in ["https://localhost", &format!("http://{NOWHERE}"), "sessions.redb", "acme", "/public/**", "site.pem"]
    {
        assert!(out.contains(shown), "{shown}: {out}");
    }
    assert!(!out.contains(CLIENT_SECRET) && !out.contains(KEY) && !out.contains(&KEY[4..]), "{out}");
    assert!(!place.file("sessions.redb").exists(), "check starts nothing");
}

#[tokio::test]
async fn schema_is_json() {
    let (code, out, said) = outcome(&["schema"]).await;
    assert_eq!((code, said.as_str()), (0, ""));
    let schema: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(schema["$schema"].is_string(), "{out}");
    for part in ["version", "listen", "tls", "keys", "session", "identity_providers", "portals", "telemetry"] {
        assert!(schema["properties"][part].is_object(), "{part}");
    }
}

#[tokio::test]
async fn a_new_key_is_accepted() {
    let place = Place::new();
    let (code, one, said) = outcome(&["keys", "new"]).await;
    assert_eq!((code, said.as_str(), one.lines().count()), (0, "", 1));
    let other = outcome(&["keys", "new"]).await.1;
    assert_ne!(one, other);
    let (one, other) = (one.trim_end(), other.trim_end());
    place.write(&place.text("", NOWHERE.parse().unwrap()).replace(KEY, &format!("{one}, {other}")));
    let (code, out, said) = place.carry_out("check").await;
    assert_eq!(code, 0, "{said}");
    assert!(!out.contains(one) && !out.contains(other), "{out}");
}

#[tokio::test]
async fn help_is_complete() {
    fn walk(command: &clap::Command, above: &[&str], found: &mut Vec<Vec<String>>) {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        assert!(!about.is_empty(), "{above:?} says nothing about itself");
        for argument in command.get_arguments() {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(!help.is_empty(), "{above:?} --{}", argument.get_id());
        }
        found.push(above.iter().map(|&name| name.to_owned()).collect());
        for inner in command.get_subcommands() {
            walk(inner, &[above, &[inner.get_name()]].concat(), found);
        }
    }
    let mut found = Vec::new();
    walk(&Arguments::command(), &[], &mut found);
    let names: Vec<String> = found.iter().map(|path| path.join(" ")).collect();
    assert_eq!(
        names,
        [
            "",
            "run",
            "reload",
            "upgrade",
            "check",
            "schema",
            "keys",
            "keys new",
            "metadata",
            "customers",
            "customers sync",
            "customers release",
            "customers import",
            "saml",
            "saml verify",
            "demo"
        ]
    );
    for path in &found {
        let mut arguments: Vec<&str> = path.iter().map(String::as_str).collect();
        arguments.push("--help");
        let (code, out, said) = outcome(&arguments).await;
        assert_eq!((code, said.as_str()), (0, ""));
        assert!(
            out.contains(&format!("Usage: {}", [&["vestibule".to_owned()], path.as_slice()].concat().join(" "))),
            "{out}"
        );
    }
    let run = outcome(&["run", "--help"]).await.1;
    for told in ["--config", "gateway.yaml", "VESTIBULE_CONFIG", "SIGHUP", "SIGUSR2", "SIGTERM", "Exit code"] {
        assert!(run.contains(told), "{told}: {run}");
    }
    assert_eq!(outcome(&["serve"]).await.0, 2, "an unknown command");
    assert_eq!(outcome(&["--version"]).await.1, format!("vestibule {}\n", env!("CARGO_PKG_VERSION")));
}
