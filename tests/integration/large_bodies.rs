//! Bodies of a gibibyte through the real binary, up and down: what arrives is what was sent, nobody is ahead of whoever is slow,
//! and the memory of the gateway stays flat.

use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::StreamExt as _;
use hyper::body::Frame;
use reqwest::Client;
use ring::digest::{Context as Digest, SHA256};
use serde::Deserialize;
use tokio::sync::Semaphore;
use vestibule::clock::Clock;
use vestibule::demo::certificates::DemoAuthority;
use vestibule::demo::openid_provider::{self, ClientAuthentication, OpenIdProvider, Person, Settings};
use vestibule::demo::server::Server;
use vestibule::random::Random;
use vestibule::secret::Secret;

use crate::child::{CLIENT_SECRET, Gateway};
use crate::harness::{AbortOnDrop, location, navigate, set_cookies};
use crate::process::Place;

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;
/// What the gateway may have resident at most, at any time: of memory of its own. The pages of a debug binary of 250 MB, which the
/// system reads from the file and drops as it likes, are not counted: of a release binary they are a tenth.
const RESIDENT: u64 = 64 * MIB;
/// By how much all that is resident may grow at most, while bodies pass.
const GROWN: u64 = 48 * MIB;
/// How much may be under way between two sides of which one stands still: windows of HTTP/2 and buffers of four sockets.
const UNDER_WAY: u64 = 24 * MIB;

/// So many bytes, of which no two pieces are alike.
struct Made {
    left: u64,
    number: u64,
    piece: Arc<Vec<u8>>,
    told: Arc<AtomicU64>,
    /// Whether the length is told before.
    length_told: bool,
}

impl Made {
    fn new(length: u64, told: &Arc<AtomicU64>, length_told: bool) -> Self {
        let piece = (0..64 * 1024_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        told.store(0, Ordering::SeqCst);
        Self { left: length, number: 0, piece: Arc::new(piece), told: Arc::clone(told), length_told }
    }

    fn next(&mut self) -> Option<Bytes> {
        let length = self.left.min(self.piece.len() as u64);
        if length == 0 {
            return None;
        }
        let mut piece = self.piece[..length as usize].to_vec();
        let number = self.number.to_be_bytes();
        let marked = piece.len().min(number.len());
        piece[..marked].copy_from_slice(&number[..marked]);
        self.number += 1;
        self.left -= length;
        self.told.fetch_add(length, Ordering::SeqCst);
        Some(Bytes::from(piece))
    }

    /// What all of it hashes to.
    fn digest(length: u64) -> String {
        let (mut made, mut digest) = (Self::new(length, &Arc::default(), true), Digest::new(&SHA256));
        while let Some(piece) = made.next() {
            digest.update(&piece);
        }
        hexadecimal(digest)
    }
}

impl hyper::body::Body for Made {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Poll::Ready(self.next().map(|piece| Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        if self.length_told { hyper::body::SizeHint::with_exact(self.left) } else { hyper::body::SizeHint::default() }
    }
}

fn hexadecimal(digest: Digest) -> String {
    digest.finish().as_ref().iter().map(|octet| format!("{octet:02x}")).collect()
}

#[derive(Deserialize)]
struct Wanted {
    length: u64,
    #[serde(default)]
    told: bool,
}

/// What the upstream shares with the test.
#[derive(Clone)]
struct Behind {
    sent: Arc<AtomicU64>,
    /// A slow upload waits for a permit after its first piece.
    go_on: Arc<Semaphore>,
}

async fn down(State(behind): State<Behind>, Query(wanted): Query<Wanted>) -> Response {
    let body = Body::new(Made::new(wanted.length, &behind.sent, wanted.told));
    ([("content-type", "application/octet-stream")], body).into_response()
}

async fn up(State(behind): State<Behind>, headers: HeaderMap, body: Body) -> String {
    let (mut body, mut digest, mut length) = (body.into_data_stream(), Digest::new(&SHA256), 0);
    let mut slow = headers.contains_key("x-slow");
    while let Some(piece) = body.next().await {
        let piece = piece.unwrap();
        length += piece.len() as u64;
        digest.update(&piece);
        if std::mem::take(&mut slow) {
            behind.go_on.acquire().await.unwrap().forget();
        }
    }
    format!("{length} {}", hexadecimal(digest))
}

/// A line with an address of the upstream's own, and others without.
fn page_line(origin: &str, number: u64) -> String {
    if number.is_multiple_of(16) {
        format!("<p><a href=\"{origin}/servicedesk/{number}\">a request</a></p>\n")
    } else {
        format!(
            "<p>{number}: what people write, line by line, without any address in it at all, as pages mostly are</p>\n"
        )
    }
}

async fn page(headers: HeaderMap, Query(wanted): Query<Wanted>) -> Response {
    let host = headers["host"].to_str().unwrap().to_owned();
    let piece = move |number: u64| {
        let lines: String = (0..512).map(|line| page_line(&format!("http://{host}"), number * 512 + line)).collect();
        Ok::<_, std::io::Error>(Bytes::from(lines))
    };
    let pieces = futures_util::stream::iter((0..wanted.length).map(piece));
    ([("content-type", "text/html; charset=utf-8")], Body::from_stream(pieces)).into_response()
}

struct World {
    place: Place,
    gateway: Gateway,
    behind: Behind,
    cookie: String,
    peak: Arc<AtomicU64>,
    _sampling: AbortOnDrop,
    _servers: Vec<Server>,
    _provider: AbortOnDrop,
}

impl World {
    /// A gateway whose upstream speaks these protocols: HTTP/1.1 without TLS, where there are none.
    async fn start(protocols: &[&str]) -> Self {
        let place = Place::new();
        let behind = Behind { sent: Arc::default(), go_on: Arc::new(Semaphore::new(0)) };
        let router = Router::new()
            .route("/private/up", post(up))
            .route("/public/down", get(down))
            .route("/public/page", get(page))
            .fallback(|| async { "here" })
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(behind.clone());
        let authority = DemoAuthority::generate(Clock::System.now()).unwrap();
        std::fs::write(place.file("upstream.pem"), authority.certificate_pem()).unwrap();
        let tls = (!protocols.is_empty())
            .then(|| authority.issue(&["localhost"]).unwrap().server_config_speaking(protocols).unwrap());
        let by_tls = tls.is_some();
        let upstream = Server::start(router, (Ipv4Addr::LOCALHOST, 0).into(), tls, None).await.unwrap();

        let people = vec![Person::new("ana", "Ana Lima", "ana@acme.com")];
        let settings = Settings { people, ..Settings::default() }.approve_by_login_hint();
        let provider = OpenIdProvider::new(settings, Clock::System, Random::default());
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        provider.set_issuer(&format!("http://localhost:{}", listener.local_addr().unwrap().port()));
        let router = provider.router();
        let serving = AbortOnDrop::of(tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        }));
        let text = crate::child::configuration(place.https, "", &provider.issuer(), upstream.addr());
        let text = if by_tls {
            let (own, named) =
                (format!("http://{}", upstream.addr()), format!("https://localhost:{}", upstream.addr().port()));
            text.replace(&own, &named) + "    upstream_ca: upstream.pem\n"
        } else {
            text
        };
        place.write(&format!("{text}    limits: {{ body: 2GiB }}\n"));
        provider.register(openid_provider::Client {
            id: "vestibule".into(),
            authentication: ClientAuthentication::Secret(Secret::generated(CLIENT_SECRET)),
            redirect_uris: vec![place.url("/.vestibule/oidc/acme/callback")],
            post_logout_redirect_uris: vec![],
        });
        let gateway = Gateway::start(&place.config(), 1).await.unwrap();
        let browser = place.builder().cookie_store(true).redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let stopped = navigate(&browser, &place.url("/private")).await;
        let at_provider = format!("{}&login_hint=ana", location(&stopped));
        let approved = browser.get(at_provider).send().await.unwrap();
        let returned = navigate(&browser, &location(&approved)).await;
        let cookies = set_cookies(&returned);
        let cookie = cookies.iter().find(|cookie| cookie.starts_with("__Host-vestibule=")).unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let (peak, pid) = (Arc::new(AtomicU64::new(0)), gateway.pid());
        let (seen, mut every) = (Arc::clone(&peak), tokio::time::interval(Duration::from_millis(20)));
        let sampling = AbortOnDrop::of(tokio::spawn(async move {
            loop {
                every.tick().await;
                let Some(now) = own_memory(pid) else { return };
                seen.fetch_max(now, Ordering::SeqCst);
            }
        }));
        Self { place, gateway, behind, cookie, peak, _sampling: sampling, _servers: vec![upstream], _provider: serving }
    }

    fn client(&self, http2: bool) -> Client {
        let builder = self.place.builder().timeout(Duration::from_secs(300));
        let builder = if http2 { builder.http2_prior_knowledge() } else { builder.http1_only() };
        builder.build().unwrap()
    }

    /// Downloads so much; what it hashes to.
    async fn downloads(&self, client: &Client, length: u64, told: bool) -> String {
        let url = self.place.url(&format!("/public/down?length={length}&told={told}"));
        let mut answer = client.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.content_length(), told.then_some(length));
        let mut digest = Digest::new(&SHA256);
        while let Some(piece) = answer.chunk().await.unwrap() {
            digest.update(&piece);
        }
        hexadecimal(digest)
    }

    fn upload(&self, client: &Client, length: u64, told: bool, sent: &Arc<AtomicU64>) -> reqwest::RequestBuilder {
        let request = client.post(self.place.url("/private/up")).header("cookie", &self.cookie);
        let request = request.header("origin", self.place.url("").trim_end_matches('/'));
        request.body(reqwest::Body::wrap(Made::new(length, sent, told)))
    }

    async fn uploads(&self, client: &Client, length: u64, told: bool) -> String {
        let answer = self.upload(client, length, told, &Arc::default()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.text().await.unwrap()
    }

    /// The most that was resident at any time, the pages of the binary with it.
    fn peak_of_all(&self) -> u64 {
        status_of(self.gateway.pid(), "VmHWM:").unwrap()
    }

    fn stays_flat(&self, what: &str) {
        let pid = self.gateway.pid();
        let (now, all) = (own_memory(pid).unwrap(), self.peak_of_all());
        let peak = self.peak.fetch_max(now, Ordering::SeqCst).max(now);
        println!("{what}: {} KiB of its own at most; with the binary {} KiB", peak / 1024, all / 1024);
        assert!(peak < RESIDENT, "{what}: {} KiB", peak / 1024);
    }
}

/// What a process has resident that is in no file, in bytes; nothing when it is gone.
fn own_memory(pid: u32) -> Option<u64> {
    Some(status_of(pid, "RssAnon:")? + status_of(pid, "RssShmem:")?)
}

/// A line of `/proc/PID/status`, in bytes.
fn status_of(pid: u32, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
}

/// Waits until `count` moves no more; how far it has come.
async fn stalls(count: &AtomicU64) -> u64 {
    let (mut seen, mut still) = (count.load(Ordering::SeqCst), 0);
    while still < 20 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = count.load(Ordering::SeqCst);
        still = if now == seen { still + 1 } else { 0 };
        seen = now;
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gibibyte_goes_down_and_up_by_http1_in_flat_memory() {
    a_gibibyte(&[], false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gibibyte_goes_down_and_up_by_http2_on_both_sides_in_flat_memory() {
    a_gibibyte(&["h2"], true).await;
}

/// With its length told, then without: in chunks, or by the end of the stream.
async fn a_gibibyte(protocols: &[&str], http2: bool) {
    let world = World::start(protocols).await;
    let client = world.client(http2);
    world.stays_flat("before");
    let before = world.peak_of_all();
    let (whole, part) = (Made::digest(GIB), Made::digest(32 * MIB));
    assert_eq!(world.downloads(&client, GIB, true).await, whole);
    world.stays_flat("1 GiB down");
    assert_eq!(world.downloads(&client, 32 * MIB, false).await, part);
    assert_eq!(world.uploads(&client, GIB, false).await, format!("{GIB} {whole}"));
    world.stays_flat("1 GiB up");
    assert_eq!(world.uploads(&client, 32 * MIB, true).await, format!("{} {part}", 32 * MIB));
    world.stays_flat("at the end");
    // The same without gaps: pages of the binary that were read meanwhile are in it, too.
    let grown = world.peak_of_all() - before;
    assert!(grown < GROWN, "{} KiB more at most", grown / 1024);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_slow_holds_the_other_side_up_and_fills_no_memory() {
    for (protocols, http2) in [(&[][..], false), (&["h2"], true)] {
        let world = World::start(protocols).await;
        let client = world.client(http2);
        let length = 96 * MIB;
        // A reader that stands still.
        let url = world.place.url(&format!("/public/down?length={length}"));
        let mut answer = client.get(url).send().await.unwrap();
        let first = answer.chunk().await.unwrap().unwrap();
        let sent = stalls(&world.behind.sent).await;
        println!("http2 {http2}: {} KiB under way to a reader that stands still", sent / 1024);
        assert!(sent < UNDER_WAY, "{sent}");
        let mut digest = Digest::new(&SHA256);
        digest.update(&first);
        while let Some(piece) = answer.chunk().await.unwrap() {
            digest.update(&piece);
        }
        assert_eq!(hexadecimal(digest), Made::digest(length));
        // A server that stands still.
        let written = Arc::new(AtomicU64::new(0));
        let upload = tokio::spawn(world.upload(&client, length, false, &written).header("x-slow", "yes").send());
        while written.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let sent = stalls(&written).await;
        println!("http2 {http2}: {} KiB under way to a server that stands still", sent / 1024);
        assert!(sent < UNDER_WAY, "{sent}");
        world.behind.go_on.add_permits(1);
        let answer = upload.await.unwrap().unwrap().text().await.unwrap();
        assert_eq!(answer, format!("{length} {}", Made::digest(length)));
        world.stays_flat("with somebody slow");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_many_megabytes_is_rewritten_in_flat_memory() {
    let world = World::start(&[]).await;
    let client = world.client(false);
    let pieces = 1500_u64;
    let url = world.place.url(&format!("/public/page?length={pieces}"));
    let mut answer = client.get(url).header("accept-encoding", "identity").send().await.unwrap();
    let (mut digest, mut length) = (Digest::new(&SHA256), 0);
    while let Some(piece) = answer.chunk().await.unwrap() {
        length += piece.len() as u64;
        digest.update(&piece);
    }
    let mut expected = Digest::new(&SHA256);
    let origin = world.place.url("");
    for number in 0..pieces * 512 {
        expected.update(page_line(origin.trim_end_matches('/'), number).as_bytes());
    }
    assert_eq!(hexadecimal(digest), hexadecimal(expected));
    world.stays_flat(&format!("{} MiB of a page", length / MIB));
    assert!(length > 64 * MIB, "more than the gateway may have in memory: {length}");
}
