//! No address is given more than it takes.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::routing::any;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Semaphore;
use vestibule::demo::server::Server;

use super::{any_port, options};
use crate::harness::{Raw, TestGateway};
use crate::recorder::{Answer, Recorder};

const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";

/// A server that answers as many requests as it is let.
async fn gated() -> (Server, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let router = Router::new().fallback(any(move || {
        let gate = Arc::clone(&held);
        async move {
            gate.acquire().await.unwrap().forget();
            "through"
        }
    }));
    (Server::start(router, any_port(), None, None).await.unwrap(), gate)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_address_lets_others_wait_and_then_refuses_them() {
    let (server, gate) = gated().await;
    let at = server.addr();
    let more = ", connections: { per_address: 2, wait: 300ms }";
    let gateway = Arc::new(TestGateway::start(options(&[at], more)).await);
    let client = gateway.client();
    gateway.sign_in(&client, "ana").await;
    let ask = |method: &str| {
        let url = format!("{}/private/x", gateway.origin());
        let request = client.request(method.parse().unwrap(), url).header("accept", "application/json");
        request.header("origin", gateway.origin()).send()
    };
    let (one, two) = (tokio::spawn(ask("GET")), tokio::spawn(ask("POST")));
    gateway.in_use(at, 2).await;
    let refused = ask("POST").await.unwrap();
    assert_eq!(refused.status(), 503);
    let told = refused.text().await.unwrap();
    assert!(told.contains("upstream_busy"), "{told}");
    let waits = format!("vestibule_upstream_waits_total{{address=\"{at}\",portal=\"localhost\",result=");
    gateway.tells(&format!("{waits}\"gave_up\"}} 1")).await;
    gate.add_permits(2);
    assert_eq!(one.await.unwrap().unwrap().status(), 200);
    assert_eq!(two.await.unwrap().unwrap().status(), 200);
    gateway.in_use(at, 0).await;
    gate.add_permits(1);
    assert_eq!(ask("GET").await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_goes_on_as_soon_as_a_place_is_free() {
    let (server, gate) = gated().await;
    let at = server.addr();
    let gateway = TestGateway::start(options(&[at], ", connections: { per_address: 1, wait: 1m }")).await;
    let client = gateway.client();
    let ask = || tokio::spawn(client.get(format!("{}/public/x", gateway.origin())).send());
    let first = ask();
    gateway.in_use(at, 1).await;
    let second = ask();
    gateway.tells("vestibule_exchanges_in_flight 2").await;
    gate.add_permits(2);
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
    assert_eq!(second.await.unwrap().unwrap().status(), 200);
    gateway.in_use(at, 0).await;
    let waits = format!("vestibule_upstream_waits_total{{address=\"{at}\",portal=\"localhost\",result=\"taken\"}} 1");
    gateway.tells(&waits).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_free_again_however_it_ends() {
    // Nobody answers; the visitor leaves.
    let (server, _gate) = gated().await;
    let at = server.addr();
    let gateway = TestGateway::start(options(&[at], ", connections: { per_address: 1 }")).await;
    let mut raw = gateway.raw().await;
    raw.send(b"GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    gateway.in_use(at, 1).await;
    drop(raw);
    gateway.in_use(at, 0).await;
    // The upstream goes, in the middle of a request.
    let mut raw = gateway.raw().await;
    raw.send(
        b"POST /public/x HTTP/1.1\r\nHost: localhost\r\nOrigin: https://localhost\r\nContent-Length: 9\r\n\r\nhalf",
    )
    .await;
    let status = raw.status(b"").await;
    assert!((400..600).contains(&status), "{status}");
    gateway.in_use(at, 0).await;
    drop(server);
    assert_eq!(gateway.get(&gateway.client(), "/public/x").await.0, 502);
    gateway.in_use(at, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tunnels_count_as_long_as_they_stand() {
    let recorder = Recorder::start(Answer::new(|request, _| match request.target() {
        "/private/socket" => SWITCH.to_vec(),
        _ => crate::recorder::http(200, "", b"ok"),
    }))
    .await;
    let at = recorder.address;
    let gateway = TestGateway::start(options(&[at], ", connections: { per_address: 1, wait: 100ms }")).await;
    let client = gateway.client();
    let session = gateway.sign_in(&client, "ana").await;
    let open = async |gateway: &TestGateway| -> (Raw, String) {
        let mut raw = gateway.raw().await;
        let handshake = format!(
            "GET /private/socket HTTP/1.1\r\nHost: localhost\r\nCookie: __Host-vestibule={session}\r\nOrigin: {}\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Version: 13\r\n\r\n",
            gateway.origin()
        );
        raw.send(handshake.as_bytes()).await;
        let answer = raw.until("\r\n\r\n").await;
        (raw, answer)
    };
    let (tunnel, answer) = open(&gateway).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    gateway.in_use(at, 1).await;
    assert_eq!(gateway.get(&client, "/private/x").await.0, 503);
    let (_, refused) = open(&gateway).await;
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    drop(tunnel);
    gateway.in_use(at, 0).await;
    assert_eq!(gateway.get(&client, "/private/x").await, (200, "ok".to_owned()));
    let (tunnel, answer) = open(&gateway).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    drop(tunnel);
}

/// An upstream that answers every request with 403 and closes, so that a handshake fails.
#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_is_refused_gives_its_place_back() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at: SocketAddr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
        }
    });
    let gateway = TestGateway::start(options(&[at], ", connections: { per_address: 1, wait: 100ms }")).await;
    let session = gateway.sign_in(&gateway.client(), "ana").await;
    for _ in 0..3 {
        let handshake = format!(
            "GET /private/socket HTTP/1.1\r\nHost: localhost\r\nCookie: __Host-vestibule={session}\r\nOrigin: {}\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Version: 13\r\n\r\n",
            gateway.origin()
        );
        assert_eq!(gateway.raw().await.status(handshake.as_bytes()).await, 403);
        gateway.in_use(at, 0).await;
    }
}
