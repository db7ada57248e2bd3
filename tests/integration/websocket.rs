//! WebSockets through the gateway: who may open one, what goes through, and when it ends.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use vestibule::clock::{Clock, Timestamp};

use crate::harness::{Options, Raw, TestGateway, eventually};
use crate::recorder::{Answer, Recorder};

const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";

/// An upstream that serves each connection so.
async fn upstream<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// One that switches at once, before it has even read the handshake, greets, and then sends back what it gets.
async fn eager_echo() -> SocketAddr {
    upstream(|mut stream| async move {
        stream.write_all(&[SWITCH, b"welcome;"].concat()).await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(octet) => seen.push(octet),
                Err(_) => return,
            }
        }
        let (mut read, mut write) = stream.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
    })
    .await
}

fn handshake(session: &str, origin: &str) -> Vec<u8> {
    format!(
        "GET /private/socket HTTP/1.1\r\nHost: localhost\r\nCookie: __Host-vestibule={session}\r\nOrigin: {origin}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    .into_bytes()
}

/// An open tunnel of somebody who is signed in with `session`.
async fn open(gateway: &TestGateway, session: &str) -> Raw {
    let mut raw = gateway.raw().await;
    raw.send(&handshake(session, &gateway.origin())).await;
    let answer = raw.until("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    raw
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_opens_for_the_portals_own_pages_alone() {
    let recorder = Recorder::start(Answer::new(|request, _| {
        assert_eq!((request.all("upgrade"), request.all("connection")), (vec!["websocket"], vec!["Upgrade"]));
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSet-Cookie: __Host-vestibule=fixed\r\n\r\n".to_vec()
    }))
    .await;
    let gateway = TestGateway::start(Options::plain(recorder.address)).await;
    let session = gateway.sign_in(&gateway.client(), "ana").await;
    // Another site's page may not open one: browsers send cookies along, and no preflight (RFC 6455, section 10.2).
    assert_eq!(gateway.raw().await.status(&handshake(&session, "https://evil.test")).await, 403);
    assert_eq!(gateway.raw().await.status(&handshake("nobody", &gateway.origin())).await, 401);
    assert_eq!(recorder.requests().len(), 0);
    let mut raw = gateway.raw().await;
    raw.send(&handshake(&session, &gateway.origin())).await;
    let answer = raw.until("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 101 ") && !answer.contains("fixed"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_right_behind_the_handshake_arrives() {
    let gateway = TestGateway::start(Options::plain(eager_echo().await)).await;
    let session = gateway.sign_in(&gateway.client(), "ana").await;
    for round in 0..60 {
        let mut raw = open(&gateway, &session).await;
        raw.send(b"first;").await;
        assert_eq!(raw.until("first;").await, "welcome;first;", "round {round}");
        raw.send(b"second;").await;
        assert_eq!(raw.until("second;").await, "second;", "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_not_a_body() {
    let mut options = Options::plain(eager_echo().await);
    options.portal.push_str("    limits: { body: 1KiB }\n");
    let gateway = TestGateway::start(options).await;
    let session = gateway.sign_in(&gateway.client(), "ana").await;
    let mut raw = open(&gateway, &session).await;
    let much = "~".repeat(256 * 1024) + "end;";
    raw.send(much.as_bytes()).await;
    assert_eq!(raw.until("end;").await.len(), "welcome;".len() + much.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_ends_with_the_session() {
    let clock = Clock::manual(Timestamp::from_seconds(1_700_000_000));
    let mut options = Options::plain(eager_echo().await);
    options.clock = clock.clone();
    let gateway = TestGateway::start(options).await;
    let (client, other) = (gateway.client(), gateway.client());
    let (session, theirs) = (gateway.sign_in(&client, "ana").await, gateway.sign_in(&other, "ben").await);
    let (mut raw, mut their_raw) = (open(&gateway, &session).await, open(&gateway, &theirs).await);
    let sign_out = client.post(format!("{}/.vestibule/sign-out", gateway.origin())).header("origin", gateway.origin());
    assert!(sign_out.send().await.unwrap().status().as_u16() < 400);
    assert_eq!(raw.rest().await, "welcome;");
    // The other's is open, and what goes through it is a use of the session: it outlives the idle time of 30 minutes.
    assert_eq!(their_raw.until("welcome;").await, "welcome;");
    for _ in 0..3 {
        clock.advance(Duration::from_secs(20 * 60));
        their_raw.send(b"still here;").await;
        assert_eq!(their_raw.until("still here;").await, "still here;");
    }
    clock.advance(Duration::from_secs(31 * 60));
    assert_eq!(their_raw.rest().await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_websocket_is_closed_and_a_closed_one_closes_the_upstreams() {
    let recorder = Recorder::start(Answer::new(|_, _| SWITCH.to_vec())).await;
    let mut options = Options::plain(recorder.address);
    options.portal.push_str("    limits: { websocket_idle: 1s }\n");
    let gateway = TestGateway::start(options).await;
    let session = gateway.sign_in(&gateway.client(), "ana").await;
    let mut raw = open(&gateway, &session).await;
    assert_eq!(raw.rest().await, "");
    let tunnels =
        || gateway.metrics().lines().any(|line| line.contains("status=\"101\"") || line.contains("status=\"1xx\""));
    eventually("the tunnel is counted once it is closed", tunnels).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_handshake_tells_its_status_and_nothing_else() {
    let refused = |status: u16| {
        Answer::new(move |_, _| {
            format!("HTTP/1.1 {status} No\r\nSet-Cookie: a=b\r\nContent-Length: 6\r\n\r\nsecret").into_bytes()
        })
    };
    for status in [400, 403, 404, 426, 500] {
        let recorder = Recorder::start(refused(status)).await;
        let gateway = TestGateway::start(Options::plain(recorder.address)).await;
        let session = gateway.sign_in(&gateway.client(), "ana").await;
        let mut raw = gateway.raw().await;
        raw.send(&handshake(&session, &gateway.origin())).await;
        let answer = raw.rest().await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(!answer.contains("secret") && !answer.contains("a=b"), "{answer}");
    }
    // Another protocol than was asked for, and nobody there.
    let odd = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: telnet\r\nConnection: upgrade\r\n\r\n".to_vec();
    let recorder = Recorder::start(Answer::new(move |_, _| odd.clone())).await;
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    for address in [recorder.address, nobody] {
        let gateway = TestGateway::start(Options::plain(address)).await;
        let session = gateway.sign_in(&gateway.client(), "ana").await;
        assert_eq!(gateway.raw().await.status(&handshake(&session, &gateway.origin())).await, 502);
    }
}

/// One that takes connections and says nothing.
async fn silent() -> SocketAddr {
    upstream(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await
}

/// One that hints for ever.
async fn hinting() -> SocketAddr {
    upstream(|mut stream| async move {
        while stream.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn e7_a_handshake_that_nobody_answers_ends_in_time_or_with_its_visitor() {
    for (upstream, limit, leaves) in
        [(silent().await, "1s", false), (hinting().await, "1s", false), (silent().await, "10m", true)]
    {
        let mut options = Options::plain(upstream);
        options.portal.push_str(&format!("    limits: {{ upstream_response: {limit} }}\n"));
        let gateway = TestGateway::start(options).await;
        let session = gateway.sign_in(&gateway.client(), "ana").await;
        let mut raw = gateway.raw().await;
        raw.send(&handshake(&session, &gateway.origin())).await;
        if leaves {
            eventually("it is on its way", || gateway.metrics().contains("in_flight 1")).await;
            drop(raw);
        } else {
            let answer = raw.rest_in_order().await;
            assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
        }
        eventually("nothing is held", || gateway.metrics().contains("in_flight 0")).await;
    }
}

/// One that opens a tunnel and reads nothing from it.
async fn deaf() -> SocketAddr {
    upstream(|mut stream| async move {
        stream.write_all(SWITCH).await.unwrap();
        std::future::pending::<()>().await;
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn c6_a_tunnel_that_is_stuffed_ends_with_its_session() {
    for signs_out in [true, false] {
        let clock = Clock::manual(Timestamp::from_seconds(1_700_000_000));
        let mut options = Options::plain(deaf().await);
        options.clock = clock.clone();
        options.portal.push_str("    limits: { upstream_response: 10m, websocket_idle: 10m }\n");
        let gateway = TestGateway::start(options).await;
        let client = gateway.client();
        let session = gateway.sign_in(&client, "ana").await;
        let mut raw = open(&gateway, &session).await;
        // Until nothing more goes in.
        let more = vec![b'~'; 256 * 1024];
        while tokio::time::timeout(Duration::from_secs(1), raw.send(&more)).await.is_ok() {}
        if signs_out {
            let sign_out = client.post(format!("{}/.vestibule/sign-out", gateway.origin()));
            let signed_out = sign_out.header("origin", gateway.origin()).send().await.unwrap();
            assert!(signed_out.status().as_u16() < 400);
        } else {
            clock.advance(Duration::from_secs(31 * 60));
        }
        assert!(raw.closes().await, "signs out: {signs_out}");
        eventually("nothing is held", || gateway.metrics().contains("in_flight 0")).await;
    }
}
