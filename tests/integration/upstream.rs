//! The upstream's side: TLS, connections that end, and answers that try to set more than they may.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};

use ::http::{HeaderMap, HeaderValue};
use axum::Router;
use axum::body::{Body, Bytes};
use hyper::body::Frame;
use vestibule::clock::Clock;
use vestibule::demo::certificates::DemoAuthority;
use vestibule::demo::recorder::Recorder as Witness;
use vestibule::demo::server::Server;

use crate::harness::{Options, TestGateway, navigate};
use crate::recorder::{Answer, Recorder, http};

struct Behind {
    server: Server,
    witness: Witness,
}

impl Behind {
    async fn start(authority: &DemoAuthority, name: &str, protocols: &[&str], router: Router) -> Self {
        let witness = Witness::default();
        let tls = authority.issue(&[name]).unwrap().server_config_speaking(protocols).unwrap();
        let server = Server::start(router, ([127, 0, 0, 1], 0).into(), Some(tls), Some(witness.clone())).await.unwrap();
        Self { server, witness }
    }

    async fn gateway(&self, trusted: &DemoAuthority, host: &str) -> (TestGateway, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, trusted.certificate_pem()).unwrap();
        let mut options = Options::plain(self.server.addr());
        options.upstream = format!("https://{host}:{}", self.server.addr().port());
        options.portal.push_str(&format!("    upstream_ca: {}\n", ca.display()));
        (TestGateway::start(options).await, folder)
    }
}

fn authority() -> DemoAuthority {
    DemoAuthority::generate(Clock::System.now()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn e7_the_upstream_has_to_prove_its_name() {
    let (ours, other) = (authority(), authority());
    let router = || Router::new().fallback(|| async { "reached" });
    for protocols in [&["http/1.1"][..], &["h2", "http/1.1"]] {
        for (issuer, name, expected) in [
            (&ours, "localhost", 200),
            (&ours, "jsm.internal", 502),
            (&other, "localhost", 502),
            (&other, "127.0.0.1", 502),
        ] {
            let behind = Behind::start(issuer, name, protocols, router()).await;
            let (gateway, _folder) = behind.gateway(&ours, "localhost").await;
            let url = format!("{}/public/x", gateway.origin());
            for client in [gateway.client(), gateway.client_builder().http2_prior_knowledge().build().unwrap()] {
                let answer = client.get(&url).header("accept", "application/json").send().await.unwrap();
                assert_eq!(answer.status(), expected, "{name} {protocols:?}");
                let text = answer.text().await.unwrap();
                if expected == 200 {
                    assert_eq!(text, "reached");
                } else {
                    assert!(text.contains("upstream_unreachable"), "{text}");
                    assert_eq!(behind.witness.requests().len(), 0);
                }
            }
            if expected == 200 {
                let version = if protocols.contains(&"h2") { "HTTP/2.0" } else { "HTTP/1.1" };
                let own = format!("localhost:{}", behind.server.addr().port());
                for request in behind.witness.requests() {
                    let named = [request.header(":authority"), request.header("host")].concat();
                    assert_eq!((request.version.as_str(), request.path()), (version, "/public/x"));
                    assert!(!named.is_empty() && named.iter().all(|name| *name == own), "{named:?}");
                    assert_eq!(request.header("x-forwarded-for"), ["127.0.0.1"]);
                    assert_eq!(request.header("x-forwarded-proto"), ["https"]);
                }
                assert_eq!(behind.witness.requests().len(), 2);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_body_is_whole_however_http2_ends_it() {
    let ours = authority();
    let page = "<p>a page whose end is held back until it is decided</p>";
    // In pieces of unknown number, so that the end of the stream comes in a frame of its own; then with trailers.
    let pieces = || page.as_bytes().chunks(10).map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)));
    let router = Router::new()
        .route(
            "/public/pieces",
            axum::routing::get(move || async move {
                (
                    [("content-type", "text/html")],
                    Body::from_stream(futures_util::stream::iter(pieces().collect::<Vec<_>>())),
                )
            }),
        )
        .route(
            "/public/trailers",
            axum::routing::get(
                move || async move { ([("content-type", "text/html")], Body::new(WithTrailers::of(page))) },
            ),
        );
    let behind = Behind::start(&ours, "localhost", &["h2"], router).await;
    let (gateway, _folder) = behind.gateway(&ours, "localhost").await;
    for path in ["pieces", "trailers"] {
        for client in [gateway.client(), gateway.client_builder().http2_prior_knowledge().build().unwrap()] {
            let answer = client.get(format!("{}/public/{path}", gateway.origin())).send().await.unwrap();
            assert_eq!(answer.text().await.unwrap(), page, "{path}");
        }
    }
}

/// A body of one piece, with trailers.
struct WithTrailers {
    piece: Option<&'static str>,
    trailers: Option<HeaderMap>,
}

impl WithTrailers {
    fn of(piece: &'static str) -> Self {
        let mut trailers = HeaderMap::new();
        trailers.insert("set-cookie", HeaderValue::from_static("__Host-vestibule=fixed"));
        Self { piece: Some(piece), trailers: Some(trailers) }
    }
}

impl hyper::body::Body for WithTrailers {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let data = self.piece.take().map(|piece| Frame::data(Bytes::from_static(piece.as_bytes())));
        Poll::Ready(data.or_else(|| self.trailers.take().map(Frame::trailers)).map(Ok))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_sent_again_only_when_nothing_happens_twice() {
    let counts: Mutex<HashMap<usize, usize>> = Mutex::default();
    // The second request of each connection gets no answer: the connection ends.
    let recorder = Recorder::start(Answer::new(move |request, _| {
        let mut counts = counts.lock().unwrap();
        let count = counts.entry(request.connection).or_default();
        *count += 1;
        if *count == 2 { Vec::new() } else { http(200, "", b"ok") }
    }))
    .await;
    let gateway = TestGateway::start(Options::plain(recorder.address)).await;
    let client = gateway.client();
    gateway.sign_in(&client, "ana").await;
    let origin = gateway.origin();
    let get = || async { navigate(&client, &format!("{origin}/private/x")).await.status().as_u16() };
    assert_eq!((get().await, recorder.requests().len()), (200, 1));
    assert_eq!((get().await, recorder.requests().len()), (200, 3), "sent again on a new connection");
    let post = client.post(format!("{origin}/private/x")).header("origin", &origin).body("once").send().await.unwrap();
    assert_eq!((post.status().as_u16(), recorder.requests().len()), (502, 4), "not sent again");
    assert_eq!(recorder.requests().iter().filter(|request| request.method() == "POST").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn c13_early_answers_set_nothing_either() {
    let planted = "Set-Cookie: __Host-vestibule=fixed; Path=/; Secure\r\nSet-Cookie: a=1; Domain=jsm.internal\r\nServer: Jira\r\nAlt-Svc: h3=\":443\"\r\n";
    let recorder = Recorder::start(Answer::new(move |request, _| {
        let last = match request.target() {
            "/public/304" => format!("HTTP/1.1 304 Not Modified\r\n{planted}\r\n"),
            "/public/204" => format!("HTTP/1.1 204 No Content\r\n{planted}\r\n"),
            "/public/404" => format!("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n{planted}\r\n"),
            "/public/html" => format!(
                "HTTP/1.1 302 Found\r\nContent-Type: text/html\r\nLocation: /\r\nContent-Length: 0\r\n{planted}\r\n"
            ),
            _ => format!(
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{planted}\r\n{}",
                if request.method() == "HEAD" { "" } else { "ok" }
            ),
        };
        format!(
            "HTTP/1.1 100 Continue\r\n{planted}\r\nHTTP/1.1 103 Early Hints\r\n{planted}Link: </x.css>\r\n\r\n{last}"
        )
        .into_bytes()
    }))
    .await;
    let gateway = TestGateway::start(Options::plain(recorder.address)).await;
    for (method, path) in
        [("GET", "200"), ("HEAD", "200"), ("GET", "304"), ("GET", "204"), ("GET", "404"), ("GET", "html")]
    {
        let mut raw = gateway.raw().await;
        let bytes = format!("{method} /public/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        raw.send(bytes.as_bytes()).await;
        let answers = raw.rest().await;
        assert!(answers.starts_with("HTTP/1.1 "), "{answers}");
        let lower = answers.to_lowercase();
        for word in ["vestibule=fixed", "jsm.internal", "jira", "h3=", "domain"] {
            assert!(!lower.contains(word), "{method} {path}: {answers}");
        }
        assert_eq!(
            answers.matches("HTTP/1.1 ").count(),
            answers.matches("x-request-id").count() + lower.matches("http/1.1 10").count()
        );
    }
}
