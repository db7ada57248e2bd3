//! From HTTP/2 to HTTP/1.1 (security case D9): what RFC 9113 calls malformed reaches no upstream.

use crate::frames::{CONTINUATION, DATA, END_HEADERS, END_STREAM, Ended, Frames, HEADERS, RST_STREAM, block};
use crate::harness::{Options, TestGateway, eventually};
use crate::recorder::{Answer, Recorder};

async fn start() -> (TestGateway, Recorder) {
    let recorder = Recorder::start(Answer::default()).await;
    let gateway = TestGateway::start(Options::plain(recorder.address)).await;
    (gateway, recorder)
}

fn get<'a>(path: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&[(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", path)], more].concat()
}

/// Sends one request without a body on a fresh connection.
async fn ask(gateway: &TestGateway, fields: &[(&str, &str)]) -> Ended {
    let mut frames = Frames::open(gateway).await;
    frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &block(fields)).await;
    frames.ended(1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn d9_malformed_heads_reach_no_upstream() {
    let (gateway, recorder) = start().await;
    let path = "/public/a";
    let malformed = vec![
        get(path, &[("Uppercase", "x")]),
        get(path, &[("transfer-encoding", "chunked")]),
        get(path, &[("te", "gzip")]),
        get(path, &[("connection", "close")]),
        get(path, &[("connection", "x-auth-user")]),
        get(path, &[("keep-alive", "timeout=5")]),
        get(path, &[("proxy-connection", "keep-alive")]),
        get(path, &[("upgrade", "websocket")]),
        get(path, &[("content-length", "5")]),
        get(path, &[("content-length", "0"), ("content-length", "5")]),
        get(path, &[("content-length", "+0")]),
        get(path, &[("x: y\r\nhost", "evil.test")]),
        get(path, &[("x y", "z")]),
        get(path, &[("", "z")]),
        get(path, &[("x", "y\r\nGET /denied/b HTTP/1.1\r\nHost: localhost\r\n\r\n")]),
        get(path, &[("x", "y\nz")]),
        get(path, &[("x", "y\0z")]),
        get(path, &[(":path", "/denied/b")]),
        get(path, &[(":method", "POST")]),
        get(path, &[(":status", "200")]),
        get(path, &[(":unknown", "x")]),
        get(path, &[("host", "evil.test")]),
        get(path, &[("host", "localhost"), ("host", "evil.test")]),
        vec![(":method", "GET"), (":scheme", "https"), (":path", path), ("x", "y"), (":authority", "localhost")],
        vec![(":method", "GET"), (":scheme", "https"), (":authority", "localhost")],
        vec![(":method", "GET"), (":authority", "localhost"), (":path", path)],
        vec![(":scheme", "https"), (":authority", "localhost"), (":path", path)],
        vec![(":method", "GET"), (":scheme", "https"), (":path", path)],
        vec![(":method", "GET"), (":scheme", "https"), (":authority", "user@localhost"), (":path", path)],
        vec![(":method", "GET"), (":scheme", "https"), (":authority", "localhost\r\nX: y"), (":path", path)],
        vec![(":method", "GET"), (":scheme", "https"), (":authority", "localhost/denied"), (":path", path)],
        vec![
            (":method", "GET /denied/b HTTP/1.1\r\nX:"),
            (":scheme", "https"),
            (":authority", "localhost"),
            (":path", path),
        ],
        vec![(":method", "get"), (":scheme", "https"), (":authority", "localhost"), (":path", path)],
        vec![(":method", "TRACE"), (":scheme", "https"), (":authority", "localhost"), (":path", path)],
        vec![(":method", "CONNECT"), (":authority", "localhost:443")],
        vec![
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "https"),
            (":authority", "localhost"),
            (":path", path),
        ],
        get("", &[]),
        get("*", &[]),
        get("public/a", &[]),
        get("/public/a b", &[]),
        get("/public/a HTTP/1.1\r\nX: y", &[]),
        get("/public/a\tb", &[]),
        get("/public/\u{e4}", &[]),
        get("//denied/x", &[]),
        get("/public/../denied/x", &[]),
        get("http://evil.test/public/a", &[]),
        get("https://localhost/public/a", &[]),
    ];
    for fields in malformed {
        let ended = ask(&gateway, &fields).await;
        let refused = matches!(ended, Ended::Reset(_) | Ended::GoAway(_) | Ended::Status(400 | 405 | 421));
        assert!(refused, "{fields:?}: {ended:?}");
    }
    assert_eq!(recorder.requests().len(), 0, "{:?}", recorder.requests());
    assert!(recorder.bytes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn d9_what_passes_is_read_in_one_way() {
    let (gateway, recorder) = start().await;
    for (fields, expected) in [
        (get("/public/a", &[]), 200),
        (get("/public/a", &[("host", "localhost")]), 200),
        (get("/public/a", &[("te", "trailers")]), 200),
        // Nothing of ours looks at the scheme; the upstream is told https.
        (vec![(":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", "/public/a")], 200),
        (get("/public/a#b", &[]), 200),
        (get("/public/a", &[("cookie", "a=1"), ("cookie", "__Host-vestibule=x"), ("cookie", "b=2")]), 200),
        (vec![(":method", "GET"), (":scheme", "https"), (":path", "/public/a"), ("host", "localhost")], 200),
        (get("/private/a", &[]), 401),
        (get("/denied/a", &[]), 403),
        (get("/%64enied/a", &[]), 403),
        (vec![(":method", "GET"), (":scheme", "https"), (":authority", "evil.test"), (":path", "/public/a")], 421),
    ] {
        assert_eq!(ask(&gateway, &fields).await, Ended::Status(expected), "{fields:?}");
    }
    let own = recorder.address.to_string();
    for request in recorder.requests() {
        assert_eq!((request.line(), request.all("host")), ("GET /public/a HTTP/1.1", vec![own.as_str()]));
        assert_eq!(request.all("x-forwarded-proto"), ["https"]);
        assert!(request.all("te").is_empty() && request.all("transfer-encoding").is_empty(), "{}", request.head);
    }
    assert_eq!(recorder.requests().len(), 7);
    assert_eq!(recorder.requests()[5].all("cookie"), ["a=1; b=2"]);
}

/// The table has room for what comes again.
#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_an_exchange_stays_out_of_the_table_of_fields() {
    // Never indexed, and Huffman coded (RFC 7541, sections 6.2.3 and 5.2): `x-request-id`, and 32 octets.
    const NAME: [u8; 11] = [0x10, 0x89, 242, 181, 133, 237, 105, 80, 149, 141, 39];
    let (gateway, _recorder) = start().await;
    let mut frames = Frames::open(&gateway).await;
    let mut lengths = Vec::new();
    for (stream, path) in [(1, "/public/a"), (3, "/public/a"), (5, "/private/a"), (7, "/public/a"), (9, "/public/a")] {
        frames.send(HEADERS, END_HEADERS | END_STREAM, stream, &block(&get(path, &[]))).await;
        let head = loop {
            let frame = frames.next().await.expect("an answer");
            if (frame.kind, frame.stream) == (HEADERS, stream) {
                break frame.payload;
            }
        };
        assert!(head.windows(NAME.len()).any(|window| window == NAME), "{path}: {head:02x?}");
        lengths.push(head.len());
    }
    assert!(lengths[1] < lengths[0] && lengths[4] < lengths[0], "what came again was not in the table: {lengths:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn d9_bodies_that_do_not_fit_their_length_are_no_second_request() {
    let (gateway, recorder) = start().await;
    let session = gateway.sign_in(&gateway.client(), "ana").await;
    let cookie = format!("__Host-vestibule={session}");
    let origin = gateway.origin();
    let post = |length: &'static str| {
        vec![
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", "localhost"),
            (":path", "/private/up"),
            ("origin", origin.as_str()),
            ("cookie", cookie.as_str()),
            ("content-length", length),
        ]
    };
    let smuggled = b"GET /denied/b HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (length, end) in [("5", END_STREAM), ("0", END_STREAM), ("100", END_STREAM), ("5", 0)] {
        let mut frames = Frames::open(&gateway).await;
        frames.send(HEADERS, END_HEADERS, 1, &block(&post(length))).await;
        frames.send(DATA, end, 1, smuggled).await;
        let ended = frames.ended(1).await;
        assert!(!matches!(ended, Ended::Status(200..300)), "{length}: {ended:?}");
    }
    // More data behind the end of the stream.
    let mut frames = Frames::open(&gateway).await;
    frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &block(&post("0"))).await;
    frames.send(DATA, END_STREAM, 1, smuggled).await;
    let ended = frames.ended(1).await;
    assert!(matches!(ended, Ended::Status(200) | Ended::Reset(_) | Ended::GoAway(_)), "{ended:?}");
    // And one that is sound, with trailers.
    let mut frames = Frames::open(&gateway).await;
    frames.send(HEADERS, END_HEADERS, 1, &block(&post("5"))).await;
    frames.send(DATA, 0, 1, b"hello").await;
    let trailers = block(&[("x-forwarded-user", "admin"), ("content-length", "9")]);
    frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &trailers).await;
    assert_eq!(frames.ended(1).await, Ended::Status(200));
    let bytes = String::from_utf8_lossy(&recorder.bytes()).to_lowercase();
    assert!(!bytes.contains("x-forwarded-user"), "{bytes}");
    for request in recorder.requests() {
        assert_eq!(request.target(), "/private/up");
        assert!(request.body.is_empty() || request.body == b"hello", "{:?}", request.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c14_nothing_passes_without_a_session_over_http2() {
    let (gateway, recorder) = start().await;
    let with = |method: &'static str, path: &'static str, more: &[(&'static str, &'static str)]| {
        [&[(":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", path)], more].concat()
    };
    for (fields, expected) in [
        (
            with(
                "GET",
                "/private/x",
                &[("accept", "text/html"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")],
            ),
            303,
        ),
        (with("GET", "/private/x", &[("accept", "application/json")]), 401),
        (with("GET", "/private/x", &[("accept", "text/event-stream")]), 401),
        (with("HEAD", "/private/x", &[]), 401),
        (with("OPTIONS", "/private/x", &[("origin", "https://evil.test")]), 401),
        (with("POST", "/private/x", &[]), 401),
        (with("PUT", "/private/x", &[]), 401),
        (with("DELETE", "/private/x", &[]), 401),
        (with("PATCH", "/private/x", &[]), 401),
        (with("POST", "/public/x", &[]), 401),
        (with("OPTIONS", "/public/x", &[]), 401),
    ] {
        assert_eq!(ask(&gateway, &fields).await, Ended::Status(expected), "{fields:?}");
    }
    assert_eq!(recorder.requests().len(), 0);
}

/// Type, flags, stream and payload.
type Frame = (u8, u8, u32, Vec<u8>);

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_break_the_protocol_end_the_connection_and_nothing_else() {
    let (gateway, recorder) = start().await;
    let head = block(&get("/public/a", &[]));
    let broken: [(&str, Vec<Frame>); 6] = [
        ("data on no stream", vec![(DATA, END_STREAM, 0, b"x".to_vec())]),
        ("data on an idle stream", vec![(DATA, END_STREAM, 1, b"x".to_vec())]),
        ("an even stream", vec![(HEADERS, END_HEADERS | END_STREAM, 2, head.clone())]),
        ("a lone continuation", vec![(CONTINUATION, END_HEADERS, 1, head.clone())]),
        ("a reset of an idle stream", vec![(RST_STREAM, 0, 1, vec![0; 4])]),
        (
            "data between header frames",
            vec![(HEADERS, END_STREAM, 1, head[..9].to_vec()), (DATA, END_STREAM, 1, b"x".to_vec())],
        ),
    ];
    for (what, sent) in broken {
        let mut frames = Frames::open(&gateway).await;
        for (kind, flags, stream, payload) in sent {
            frames.send(kind, flags, stream, &payload).await;
        }
        let ended = frames.ended(1).await;
        assert!(matches!(ended, Ended::GoAway(_) | Ended::Closed), "{what}: {ended:?}");
    }
    assert_eq!(recorder.requests().len(), 0);
    assert_eq!(ask(&gateway, &get("/public/a", &[])).await, Ended::Status(200));
    eventually("no request is left in flight", || gateway.metrics().contains("vestibule_exchanges_in_flight 0")).await;
}
