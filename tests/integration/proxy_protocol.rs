//! The PROXY protocol, with HAProxy in front and by hand.

use std::net::TcpListener;
use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::Command;

use crate::harness::{Options, TestGateway, closes};
use crate::recorder::{Answer, Recorder};

const GET: &[u8] =
    b"GET /public/x HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 198.51.100.1\r\nConnection: close\r\n\r\n";

async fn start() -> (TestGateway, Recorder) {
    let recorder = Recorder::start(Answer::default()).await;
    let mut options = Options::plain(recorder.address);
    options.listen = "  proxy_protocol: true\n  trusted_proxies: [\"127.0.0.1/32\"]\n".into();
    (TestGateway::start(options).await, recorder)
}

/// A connection to `address` from an address of this machine.
async fn connect(from: &str, address: std::net::SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    socket.connect(address).await.unwrap()
}

fn client_of(recorder: &Recorder) -> String {
    recorder.requests().last().unwrap().all("x-forwarded-for").join(" | ")
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_haproxy_visitors_keep_their_addresses() {
    let (gateway, recorder) = start().await;
    for version in ["send-proxy", "send-proxy-v2"] {
        // HAProxy takes over a socket that listens already, as its standard input.
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("haproxy.cfg");
        let text = format!(
            "defaults\n  mode tcp\n  timeout connect 10s\n  timeout client 30s\n  timeout server 30s\n\
             listen portal\n  bind fd@0\n  server gateway {} {version}\n",
            gateway.app.https_address()
        );
        std::fs::write(&config, text).unwrap();
        let mut haproxy = Command::new("haproxy");
        haproxy.arg("-db").arg("-f").arg(&config).stdin(Stdio::from(std::os::fd::OwnedFd::from(socket)));
        let _haproxy = haproxy.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().expect("haproxy");
        let mut visitor = gateway.raw_over(connect("127.0.0.9", address).await).await;
        assert_eq!(visitor.status(GET).await, 200, "{version}");
        assert_eq!(client_of(&recorder), "127.0.0.9", "{version}: what the visitor claims does not count");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn e3_c22_a_proxy_header_counts_from_load_balancers_only_and_has_to_come() {
    let (gateway, recorder) = start().await;
    let address = gateway.app.https_address();
    // A load balancer.
    let mut balanced = connect("127.0.0.1", address).await;
    balanced.write_all(b"PROXY TCP4 203.0.113.9 192.0.2.1 40000 443\r\n").await.unwrap();
    assert_eq!(gateway.raw_over(balanced).await.status(GET).await, 200);
    assert_eq!(client_of(&recorder), "203.0.113.9");
    // Its health check speaks for itself, and then its headers count.
    let mut probe = connect("127.0.0.1", address).await;
    probe.write_all(b"PROXY UNKNOWN\r\n").await.unwrap();
    assert_eq!(gateway.raw_over(probe).await.status(GET).await, 200);
    assert_eq!(client_of(&recorder), "198.51.100.1");
    // Somebody else is a visitor, and their header is no TLS.
    let direct = connect("127.0.0.2", address).await;
    assert_eq!(gateway.raw_over(direct).await.status(GET).await, 200);
    assert_eq!(client_of(&recorder), "127.0.0.2");
    let mut liar = connect("127.0.0.2", address).await;
    liar.write_all(b"PROXY TCP4 203.0.113.9 192.0.2.1 40000 443\r\n").await.unwrap();
    assert!(closes(&mut liar).await);
    // A load balancer that says nothing, or nonsense, is not served.
    for nonsense in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], b"PROXY TCP4 nobody\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00"]
    {
        let mut stream = connect("127.0.0.1", address).await;
        stream.write_all(nonsense).await.unwrap();
        assert!(closes(&mut stream).await);
    }
    assert_eq!(recorder.requests().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn e3_a_proxy_header_that_does_not_end_is_given_up() {
    let recorder = Recorder::start(Answer::default()).await;
    let mut options = Options::plain(recorder.address);
    options.listen =
        "  proxy_protocol: true\n  trusted_proxies: [\"127.0.0.1/32\"]\n  limits: { header_time: 1s }\n".into();
    let gateway = TestGateway::start(options).await;
    let mut slow = connect("127.0.0.1", gateway.app.https_address()).await;
    slow.write_all(b"PROXY TCP4 203.0.113.9 ").await.unwrap();
    assert!(closes(&mut slow).await);
}
