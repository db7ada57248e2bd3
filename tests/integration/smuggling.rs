//! Request smuggling (security cases D1 to D11): one in, one out, or a refusal; never two requests upstream.

use crate::harness::{Options, TestGateway, status_of};
use crate::recorder::{Answer, Recorder, http};

async fn start() -> (TestGateway, Recorder) {
    let recorder = Recorder::start(Answer::default()).await;
    let gateway = TestGateway::start(Options::plain(recorder.address)).await;
    (gateway, recorder)
}

/// Sends `bytes` on a fresh connection; gives the status, and how many requests reached the upstream because of it.
async fn exchange(gateway: &TestGateway, recorder: &Recorder, bytes: &[u8]) -> (u16, usize) {
    let before = recorder.requests().len();
    let status = gateway.raw().await.status(bytes).await;
    (status, recorder.requests().len() - before)
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_to_d4_ambiguous_lengths_are_refused() {
    let (gateway, recorder) = start().await;
    for fields in [
        "Content-Length: 13\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: x, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\x0bchunked",
        "X: y\nTransfer-Encoding: chunked",
        "X: y\r\n Transfer-Encoding: chunked",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 5, 5",
        "Content-Length: 0x5",
        "Content-Length: 5 6",
        "Content-Length: 18446744073709551616",
        "Content-Length: ",
        "Host: localhost",
        "X\0: y",
        ": y",
    ] {
        let bytes = format!(
            "GET /public/a HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n\r\n0\r\n\r\nGET /public/b HTTP/1.1\r\nHost: localhost\r\n\r\n"
        );
        let (status, forwarded) = exchange(&gateway, &recorder, bytes.as_bytes()).await;
        assert_eq!(status, 400, "{fields:?}");
        assert_eq!(forwarded, 0, "{fields:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d7_d10_malformed_heads_are_refused() {
    let (gateway, recorder) = start().await;
    for head in [
        "GET /public/a HTTP/1.1\nHost: localhost\n\n",
        "\r\nGET /public/a HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /public/a HTTP/1.2\r\nHost: localhost\r\n\r\n",
        "GET /public/a HTTP/1.1 \r\nHost: localhost\r\n\r\n",
        "GET  /public/a HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /public/a b HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /public/a\tHTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /public/a HTTP/1.1\r\n\r\n",
        "GET /public/a HTTP/1.1\r\nHost: user@localhost\r\n\r\n",
        "GET /public/a HTTP/1.1\r\nHost : localhost\r\n\r\n",
        "GET http://evil.test/public/a HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET http://localhost/public/a HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET public/a HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "CONNECT localhost:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "TRACE /public/a HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "get /public/a HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /public/a HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /public/a HTTP/1.1\r\nHost: localhost\r\nConnection: X-Auth-User, close\r\n\r\n",
        "GET /public/a HTTP/1.1\r\nHost: localhost\r\nConnection: Cookie\r\n\r\n",
        "GET /public/a HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n\r\n",
    ] {
        let (status, forwarded) = exchange(&gateway, &recorder, head.as_bytes()).await;
        assert!(matches!(status, 400 | 405), "{head:?}: {status}");
        assert_eq!(forwarded, 0, "{head:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d5_d11_an_unread_body_is_never_the_next_request() {
    let (gateway, recorder) = start().await;
    let smuggled = "GET /public/secret HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for first in
        ["POST /denied/a", "POST /private/a", "POST /.vestibule/none", "POST /.vestibule/sign-out", "GET /private/a"]
    {
        let bytes = format!(
            "{first} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{smuggled}GET /public/next HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            smuggled.len(),
        );
        let mut raw = gateway.raw().await;
        raw.send(bytes.as_bytes()).await;
        let answers = raw.rest().await;
        assert!(!answers.contains("secret"), "{first}: {answers}");
    }
    assert!(recorder.requests().iter().all(|request| request.target() == "/public/next"));
}

#[tokio::test(flavor = "multi_thread")]
async fn d6_trailers_and_odd_chunks_bring_nothing_upstream() {
    let (gateway, recorder) = start().await;
    let client = gateway.client();
    let session = gateway.sign_in(&client, "ana").await;
    let head = format!(
        "POST /private/up HTTP/1.1\r\nHost: localhost\r\nCookie: __Host-vestibule={session}\r\nOrigin: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        gateway.origin()
    );
    let sound = "5\r\nhello\r\n0\r\nX-Forwarded-User: admin\r\nContent-Length: 9\r\nHost: evil.test\r\n\r\n";
    let (status, forwarded) = exchange(&gateway, &recorder, format!("{head}{sound}").as_bytes()).await;
    assert_eq!((status, forwarded), (200, 1));
    let request = recorder.requests().pop().unwrap();
    assert_eq!(request.body, b"hello");
    let bytes = String::from_utf8_lossy(&recorder.bytes()).to_lowercase();
    assert!(!bytes.contains("x-forwarded-user") && !bytes.contains("evil.test"), "{bytes}");
    for body in [
        "-5\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        "zz\r\nhello\r\n0\r\n\r\n",
    ] {
        let mut raw = gateway.raw().await;
        raw.send(format!("{head}{body}GET /public/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await;
        let answer = raw.rest().await;
        assert_eq!(status_of(&answer), 400, "{body:?}: {answer}");
    }
    assert!(recorder.requests().iter().all(|request| request.target() != "/public/smuggled"));
}

#[tokio::test(flavor = "multi_thread")]
async fn d8_nothing_is_tunnelled_before_the_upstream_agrees() {
    let (gateway, recorder) = start().await;
    let client = gateway.client();
    let session = gateway.sign_in(&client, "ana").await;
    let bytes = format!(
        "GET /private/socket HTTP/1.1\r\nHost: localhost\r\nCookie: __Host-vestibule={session}\r\nOrigin: {}\r\nConnection: upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n\
         GET /public/pipelined HTTP/1.1\r\nHost: localhost\r\n\r\n",
        gateway.origin(),
    );
    let mut raw = gateway.raw().await;
    raw.send(bytes.as_bytes()).await;
    let answer = raw.rest().await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert!(recorder.bytes().windows(15).any(|window| window == b"/private/socket"), "the handshake went on: {answer}");
    assert!(!recorder.bytes().windows(17).any(|window| window == b"/public/pipelined"), "{answer}");
    // Without a session, the upgrade is not even tried.
    let bytes = "GET /private/socket HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    assert_eq!(gateway.raw().await.status(bytes.as_bytes()).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn d11_two_visitors_on_one_upstream_connection_get_their_own_answers() {
    let recorder = Recorder::start(Answer::new(|request, _| {
        http(200, "Content-Type: text/plain\r\n", request.target().as_bytes())
    }))
    .await;
    let gateway = TestGateway::start(Options::plain(recorder.address)).await;
    let mut visitors = tokio::task::JoinSet::new();
    for visitor in 0..20 {
        let client = gateway.client();
        let origin = gateway.origin();
        visitors.spawn(async move {
            for n in 0..20 {
                let path = format!("/public/{visitor}/{n}");
                let text = client.get(format!("{origin}{path}")).send().await.unwrap().text().await.unwrap();
                assert_eq!(text, path);
            }
        });
    }
    while let Some(result) = visitors.join_next().await {
        result.unwrap();
    }
    let connections: std::collections::HashSet<usize> = recorder.requests().iter().map(|r| r.connection).collect();
    assert!(connections.len() < 200, "kept connections are reused: {}", connections.len());
}
