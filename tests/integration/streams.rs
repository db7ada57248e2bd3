//! What a browser and a server say to each other besides one request and one answer: early hints, trailers, event streams and
//! long polls, methods that carry no body.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use http::{HeaderMap, HeaderValue};
use hyper::body::Frame;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use vestibule::clock::Clock;
use vestibule::demo::certificates::DemoAuthority;
use vestibule::demo::recorder::Recorder as Witness;
use vestibule::demo::server::Server;

use crate::frames::{DATA, END_HEADERS, END_STREAM, Frames, HEADERS, block, status};
use crate::harness::{AbortOnDrop, Options, TestGateway};
use crate::recorder::{Answer, Recorder, http as answer};

/// An upstream that sends each text that it is given, to whoever has asked last; it says when somebody asks.
async fn by_word() -> (SocketAddr, mpsc::Sender<String>, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (words, mut said) = mpsc::channel::<String>(1);
    let (tell, asked) = mpsc::channel(1);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(octet) => head.push(octet),
                    Err(_) => return,
                }
            }
            let _ = tell.send(String::from_utf8(head).unwrap()).await;
            while let Some(word) = said.recv().await {
                if word.is_empty() {
                    break;
                }
                stream.write_all(word.as_bytes()).await.unwrap();
            }
        }
    });
    (address, words, asked)
}

const HINTS: &str =
    "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nSet-Cookie: __Host-vestibule=fixed\r\n\r\n";
const DONE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndone";

#[tokio::test(flavor = "multi_thread")]
async fn early_hints_arrive_before_the_answer_is_there() {
    let (address, words, mut asked) = by_word().await;
    let gateway = TestGateway::start(Options::plain(address)).await;
    let mut raw = gateway.raw().await;
    raw.send(b"GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    asked.recv().await.unwrap();
    words.send(HINTS.into()).await.unwrap();
    // Nothing more is sent before this has arrived.
    let hints = raw.until("\r\n\r\n").await.to_lowercase();
    assert!(hints.starts_with("http/1.1 103 ") && hints.contains("link: </a.css>; rel=preload"), "{hints}");
    assert!(!hints.contains("vestibule"), "{hints}");
    words.send(DONE.into()).await.unwrap();
    assert!(raw.answer().await.starts_with("HTTP/1.1 200 "));
    words.send(String::new()).await.unwrap();

    // Over HTTP/2 they are a head of their own.
    let mut frames = Frames::open(&gateway).await;
    let get = [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/public/x")];
    frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &block(&get)).await;
    asked.recv().await.unwrap();
    words.send(HINTS.into()).await.unwrap();
    words.send(DONE.into()).await.unwrap();
    let (mut heads, mut body) = (Vec::new(), Vec::new());
    while body != b"done" {
        let frame = frames.next().await.unwrap();
        match frame.kind {
            HEADERS => heads.push(status(&frame.payload)),
            DATA => body.extend(frame.payload),
            _ => {}
        }
    }
    // Pingora 0.9 sends no early answers over HTTP/2: the page is the same, and comes a little later.
    assert_eq!(heads, [200]);
}

/// A body of one piece, with trailers.
struct WithTrailers(Option<&'static str>, Option<HeaderMap>);

impl hyper::body::Body for WithTrailers {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let data = self.0.take().map(|piece| Frame::data(Bytes::from_static(piece.as_bytes())));
        Poll::Ready(data.or_else(|| self.1.take().map(Frame::trailers)).map(Ok))
    }
}

/// RFC 9110, section 6.5.1, lets an intermediary drop trailers. No JSM sends any, and what stands there would have to be judged
/// like fields that came too late for it: they are dropped, and the body is whole.
#[tokio::test(flavor = "multi_thread")]
async fn trailers_are_dropped_both_ways_and_bodies_are_whole() {
    let authority = DemoAuthority::generate(Clock::System.now()).unwrap();
    let page = || async {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-checksum", HeaderValue::from_static("1"));
        trailers.insert("set-cookie", HeaderValue::from_static("__Host-vestibule=fixed"));
        ([("content-type", "text/plain")], Body::new(WithTrailers(Some("whole"), Some(trailers)))).into_response()
    };
    for protocols in [&["h2"][..], &["http/1.1"]] {
        let router =
            Router::new().route("/public/x", get(page)).route("/private/x", post(|body: Bytes| async move { body }));
        let witness = Witness::default();
        let tls = authority.issue(&["localhost"]).unwrap().server_config_speaking(protocols).unwrap();
        let bind = ([127, 0, 0, 1], 0).into();
        let server = Server::start(router, bind, Some(tls), Some(witness.clone())).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, authority.certificate_pem()).unwrap();
        let mut options = Options::plain(server.addr());
        options.upstream = format!("https://localhost:{}", server.addr().port());
        options.portal.push_str(&format!("    upstream_ca: {}\n", ca.display()));
        let gateway = TestGateway::start(options).await;
        let session = gateway.sign_in(&gateway.client(), "ana").await;

        // Down, by HTTP/1.1 and HTTP/2.
        for wants in ["", "TE: trailers\r\n"] {
            let told = plain(&gateway, wants).await;
            assert!(told.starts_with("http/1.1 200 ") && told.contains("whole"), "{told}");
            assert!(!told.contains("x-checksum") && !told.contains("fixed"), "{told}");
        }
        let stream = gateway.tls(&[b"h2"]).await;
        let (mut send, connection) = h2::client::handshake(stream).await.unwrap();
        let _driver = AbortOnDrop::of(tokio::spawn(async move {
            let _ = connection.await;
        }));
        let request = http::Request::get(format!("{}/public/x", gateway.origin())).body(()).unwrap();
        let (coming, _) = send.send_request(request, true).unwrap();
        let mut body = coming.await.unwrap().into_body();
        let mut whole = Vec::new();
        while let Some(piece) = body.data().await {
            let piece = piece.unwrap();
            body.flow_control().release_capacity(piece.len()).unwrap();
            whole.extend(piece);
        }
        assert_eq!(whole, b"whole");
        let trailers = body.trailers().await.unwrap().unwrap_or_default();
        assert!(trailers.is_empty(), "{trailers:?}");

        // Up, by HTTP/1.1 and HTTP/2.
        let mut raw = gateway.raw().await;
        let head = format!(
            "POST /private/x HTTP/1.1\r\nHost: localhost\r\nOrigin: {}\r\nCookie: __Host-vestibule={session}\r\n\
             Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\nX-Late: 1\r\n\r\n",
            gateway.origin()
        );
        raw.send(head.as_bytes()).await;
        assert!(raw.rest().await.contains("hello"));
        let request = http::Request::post(format!("{}/private/x", gateway.origin()))
            .header("origin", gateway.origin())
            .header("cookie", format!("__Host-vestibule={session}"))
            .body(())
            .unwrap();
        let (coming, mut up) = send.send_request(request, false).unwrap();
        up.send_data(Bytes::from_static(b"hello"), false).unwrap();
        let mut late = HeaderMap::new();
        late.insert("x-late", HeaderValue::from_static("1"));
        up.send_trailers(late).unwrap();
        assert_eq!(coming.await.unwrap().status(), 200);
        let posts: Vec<_> = witness.requests().into_iter().filter(|request| request.method == "POST").collect();
        assert_eq!(posts.len(), 2);
        for request in posts {
            assert_eq!((request.body.as_slice(), request.trailers.len()), (&b"hello"[..], 0));
        }
    }
}

/// All that is answered to a request over HTTP/1.1, in lower case.
async fn plain(gateway: &TestGateway, fields: &str) -> String {
    let mut raw = gateway.raw().await;
    raw.send(format!("GET /public/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n").as_bytes())
        .await;
    raw.rest().await.to_lowercase()
}

/// An upstream that sends them whether or not anybody wants them.
#[tokio::test(flavor = "multi_thread")]
async fn trailers_behind_chunks_are_dropped() {
    for kind in ["text/plain", "text/html"] {
        let recorder = Recorder::start(Answer::new(move |_, _| {
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\nTrailer: x-checksum\r\n\r\n\
                 5\r\nwhole\r\n0\r\nX-Checksum: 1\r\nSet-Cookie: __Host-vestibule=fixed\r\n\r\n"
            )
            .into_bytes()
        }))
        .await;
        let gateway = TestGateway::start(Options::plain(recorder.address)).await;
        for wants in ["", "TE: trailers\r\n"] {
            let told = plain(&gateway, wants).await;
            let (head, body) = told.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("http/1.1 200 ") && body.contains("whole"), "{told}");
            assert!(!body.contains("x-checksum") && !told.contains("fixed"), "{told}");
        }
        // Nor do they get to whoever comes next on that upstream connection.
        assert!(plain(&gateway, "").await.contains("whole"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_polls_and_event_streams_hold_nobody_up_over_http2() {
    let (address, words, mut asked) = by_word().await;
    let recorder = Recorder::start(Answer::default()).await;
    let mut options = Options::plain(address);
    // Another portal, so that one upstream is free.
    options.portal.push_str(&format!(
        "  - host: 127.0.0.1\n    upstream: \"http://{}\"\n    sign_in: {{ providers: [acme] }}\n    customer_session: none\n    \
         rules: [ {{ path: \"/public/**\", access: public }} ]\n",
        recorder.address
    ));
    let gateway = TestGateway::start(options).await;
    let client = gateway.client_builder().http2_prior_knowledge().build().unwrap();
    let poll = tokio::spawn(client.get(format!("{}/public/poll", gateway.origin())).send());
    asked.recv().await.unwrap();
    // The head of that answer is not there, and others are served, on the same connection and elsewhere.
    let own = client.get(format!("{}/.vestibule/session", gateway.origin())).send().await.unwrap();
    assert_eq!(own.status(), 200);
    let other = client.get(gateway.origin().replace("localhost", "127.0.0.1") + "/public/x").send().await.unwrap();
    assert_eq!(other.status(), 200);
    assert!(!poll.is_finished());
    words.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n".into()).await.unwrap();
    let mut stream = poll.await.unwrap().unwrap();
    for event in ["data: 1\n\n", ": kept alive\n\n", "data: 2\n\n"] {
        words.send(event.into()).await.unwrap();
        let mut seen = Vec::new();
        while seen.len() < event.len() {
            seen.extend(stream.chunk().await.unwrap().unwrap());
        }
        assert_eq!(seen, event.as_bytes());
    }
    words.send(String::new()).await.unwrap();
    while let Some(rest) = stream.chunk().await.unwrap() {
        assert!(rest.is_empty(), "the end is the upstream's end: {rest:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn head_and_options_go_on_by_rule_and_preflights_need_a_session_like_all_else() {
    let recorder = Recorder::start(Answer::new(|request, _| match request.method() {
        "HEAD" => {
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12345\r\nETag: \"x\"\r\n\r\n".to_vec()
        }
        "OPTIONS" => answer(204, "Allow: GET, POST\r\nAccess-Control-Allow-Origin: *\r\n", b""),
        _ => answer(200, "Content-Type: text/plain\r\n", b"ok"),
    }))
    .await;
    let gateway = TestGateway::start(Options::plain(recorder.address)).await;
    let session = gateway.sign_in(&gateway.client(), "ana").await;
    for client in [gateway.client(), gateway.client_builder().http2_prior_knowledge().build().unwrap()] {
        let asks = async |method: http::Method, path: &str, signed_in: bool, preflight: bool| {
            let mut request = client.request(method, format!("{}{path}", gateway.origin()));
            if signed_in {
                request = request.header("cookie", format!("__Host-vestibule={session}"));
            }
            if preflight {
                request =
                    request.header("origin", "https://elsewhere.test").header("access-control-request-method", "PUT");
            }
            request.send().await.unwrap()
        };
        let before = recorder.requests().len();
        let head = asks(http::Method::HEAD, "/private/x", true, false).await;
        assert_eq!((head.status().as_u16(), head.headers()["content-length"].to_str().unwrap()), (200, "12345"));
        assert_eq!(head.bytes().await.unwrap().len(), 0);
        assert_eq!(asks(http::Method::HEAD, "/public/x", false, false).await.status(), 200);
        let options = asks(http::Method::OPTIONS, "/private/x", true, false).await;
        assert_eq!((options.status().as_u16(), options.headers()["allow"].to_str().unwrap()), (204, "GET, POST"));
        assert_eq!(recorder.requests().len(), before + 3);
        // Browsers send preflights without cookies: no other site calls the portal with more than a link could do.
        for path in ["/private/x", "/public/x", "/denied/x"] {
            let status = asks(http::Method::OPTIONS, path, false, true).await.status();
            assert_eq!(status, if path == "/denied/x" { 403 } else { 401 }, "{path}");
        }
        assert_eq!(asks(http::Method::HEAD, "/private/x", false, false).await.status(), 401);
        assert_eq!(asks(http::Method::HEAD, "/denied/x", true, false).await.status(), 403);
        assert_eq!(asks(http::Method::OPTIONS, "/denied/x", true, false).await.status(), 403);
        assert_eq!(recorder.requests().len(), before + 3, "nothing more got through");
    }
}

/// Two people on one kept connection to the upstream, their requests interleaved: each gets their own customer's answers, and
/// the upstream never sees one's request with the other's fields.
#[tokio::test(flavor = "multi_thread")]
async fn a_kept_upstream_connection_never_mixes_two_people() {
    let recorder = Recorder::start(Answer::new(|request, _| {
        let said = String::from_utf8_lossy(&request.body).into_owned();
        answer(200, "Content-Type: text/plain\r\n", format!("{} {said}", request.all("x-who").join("+")).as_bytes())
    }))
    .await;
    let gateway = TestGateway::start(Options::plain(recorder.address)).await;
    let mut people = tokio::task::JoinSet::new();
    let turns = Arc::new(Semaphore::new(1)); // one at a time, so that the connection is used again
    for (person, http2) in [("ana", false), ("ben", true), ("ana", true), ("ben", false)] {
        let browser = gateway.client();
        let session = gateway.sign_in(&browser, person).await;
        let client = if http2 { gateway.client_builder().http2_prior_knowledge().build().unwrap() } else { browser };
        let (origin, turns) = (gateway.origin(), Arc::clone(&turns));
        people.spawn(async move {
            for n in 0..50 {
                let _turn = turns.acquire().await.unwrap();
                let said = format!("{person} {http2} {n}");
                let request = client.post(format!("{origin}/private/{person}/{n}")).header("origin", &origin);
                let request = request.header("cookie", format!("__Host-vestibule={session}")).header("x-who", person);
                let answer = request.body(said.clone()).send().await.unwrap().text().await.unwrap();
                assert_eq!(answer, format!("{person} {said}"));
            }
        });
    }
    while let Some(person) = people.join_next().await {
        person.unwrap();
    }
    let requests = recorder.requests();
    assert_eq!(requests.len(), 200);
    let connections: std::collections::BTreeSet<usize> = requests.iter().map(|request| request.connection).collect();
    // Now and then one is given back a moment after its visitor has the answer.
    assert!(connections.len() <= 20, "{} connections: they were not used again", connections.len());
    for request in requests {
        let person = request.all("x-who")[0].to_owned();
        assert!(request.target().starts_with(&format!("/private/{person}/")), "{}", request.head);
        assert!(request.body.starts_with(person.as_bytes()), "{:?}", request.body);
        assert!(!request.head.contains("vestibule"), "{}", request.head);
    }
}
