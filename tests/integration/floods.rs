//! Floods and stalls (security cases E3, E5, E9, C10): the process stays alive and small, and other visitors are served.
//! Each load is bounded and stops by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use vestibule::clock::Stopwatch;

use crate::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Ended, Frames, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE,
    block, frame, string,
};
use crate::harness::{Options, TestGateway, closes, eventually, location, navigate, status_of};
use crate::recorder::{Answer, Recorder, http};

const MIB: usize = 1024 * 1024;

async fn start_with(limits: &str, answer: Answer) -> (TestGateway, Recorder) {
    let recorder = Recorder::start(answer).await;
    let mut options = Options::plain(recorder.address);
    if !limits.is_empty() {
        options.listen = format!("  limits: {{ {limits} }}\n");
    }
    let gateway = TestGateway::start(options).await;
    vestibule::telemetry::log::report_to(gateway.app.metrics());
    (gateway, recorder)
}

/// E9: a visitor who wants nothing special is served, and nothing of ours has panicked.
async fn all_is_well(gateway: &TestGateway) {
    let client = gateway.client();
    gateway.sign_in(&client, "ana").await;
    let page = navigate(&client, &format!("{}/private/well", gateway.origin())).await;
    assert_eq!(page.status(), 200);
    assert!(gateway.metrics().contains("vestibule_panics_total 0"), "{}", gateway.metrics());
}

/// Memory of this process, in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn get(path: &str) -> Vec<u8> {
    block(&[(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", path)])
}

#[tokio::test(flavor = "multi_thread")]
async fn e3_slow_heads_are_cut_off() {
    let (gateway, recorder) = start_with("header_time: 1s", Answer::default()).await;
    for start in ["GET /public/a HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", "G"] {
        let mut raw = gateway.raw().await;
        raw.send(start.as_bytes()).await;
        let watch = Stopwatch::start();
        // As it was set, and not as it is when nothing is set: 10 s.
        while raw.drip(b'a').await {
            assert!(watch.elapsed() < Duration::from_secs(8), "the connection is still open");
        }
    }
    assert_eq!(recorder.requests().len(), 0);
    all_is_well(&gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e3_stalled_handshakes_are_cut_off() {
    let (gateway, _recorder) = start_with("header_time: 1s, idle_time: 60m", Answer::default()).await;
    // Nothing at all; the start of a TLS record that never ends.
    for bytes in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut tcp = TcpStream::connect(gateway.app.https_address()).await.unwrap();
        tcp.write_all(bytes).await.unwrap();
        let watch = Stopwatch::start();
        assert!(closes(&mut tcp).await && watch.elapsed() < Duration::from_secs(8), "TLS {bytes:?}");
    }
    // TLS is done, HTTP/2 does not begin.
    for bytes in [&b""[..], b"PRI * HTTP/2.0\r\n"] {
        let mut tls = gateway.tls(&[b"h2"]).await;
        tls.write_all(bytes).await.unwrap();
        tls.flush().await.unwrap();
        let watch = Stopwatch::start();
        assert!(closes(&mut tls).await && watch.elapsed() < Duration::from_secs(8), "HTTP/2 {bytes:?}");
    }
    all_is_well(&gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e3_idle_connections_are_closed() {
    let (gateway, _recorder) = start_with("idle_time: 1s", Answer::default()).await;
    let mut fresh = gateway.tls(&[b"http/1.1"]).await;
    assert!(closes(&mut fresh).await, "HTTP/1.1 without a request");
    let mut used = gateway.raw().await;
    assert_eq!(used.status(b"GET /public/a HTTP/1.1\r\nHost: localhost\r\n\r\n").await, 200);
    assert!(used.closes().await, "HTTP/1.1 after a request");
    let mut used = gateway.raw().await;
    used.send(
        b"GET /public/a HTTP/1.1\r\nHost: localhost\r\nKeep-Alive: timeout=3600\r\nConnection: keep-alive\r\n\r\n",
    )
    .await;
    assert!(used.closes().await, "HTTP/1.1 after a request that names a time of its own");
    let mut frames = Frames::open(&gateway).await;
    assert!(closes(&mut frames.stream).await, "HTTP/2 without a request");
    let mut frames = Frames::open(&gateway).await;
    frames.send(HEADERS, 0, 1, &get("/public/a")[..5]).await;
    assert!(closes(&mut frames.stream).await, "HTTP/2 with half a head");
    all_is_well(&gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e3_stalled_forms_are_given_up() {
    let (gateway, _recorder) = start_with("idle_time: 1s", Answer::default()).await;
    let form = "POST /.vestibule/sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 9000\r\n\r\n";
    let mut raw = gateway.raw().await;
    raw.send(form.as_bytes()).await;
    let watch = Stopwatch::start();
    while raw.drip(b'a').await {
        assert!(watch.elapsed() < Duration::from_secs(20), "HTTP/1.1: the form is still awaited");
    }
    let fields = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/.vestibule/sign-in"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let mut frames = Frames::open(&gateway).await;
    frames.send(HEADERS, END_HEADERS, 1, &block(&fields)).await;
    frames.send(DATA, 0, 1, b"provider=").await;
    let ended = frames.ended(1).await;
    assert_eq!(ended, Ended::Status(408));
    all_is_well(&gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e3_stalled_uploads_are_given_up() {
    let recorder = Recorder::start(Answer::default()).await;
    let mut options = Options::plain(recorder.address);
    options.listen = "  limits: { idle_time: 1s }\n".into();
    options.portal += "    limits: { upstream_response: 2s }\n";
    let gateway = TestGateway::start(options).await;
    let session = gateway.sign_in(&gateway.client(), "ana").await;
    let (cookie, origin) = (format!("__Host-vestibule={session}"), gateway.origin());
    let mut raw = gateway.raw().await;
    let head = format!(
        "POST /private/x HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\nCookie: {cookie}\r\nContent-Length: 9000\r\n\r\nhalf"
    );
    raw.send(head.as_bytes()).await;
    let answer = raw.rest_in_order().await;
    assert_eq!(status_of(&answer), 408, "HTTP/1.1: {answer}");
    let fields = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/private/x"),
        ("origin", &origin),
        ("cookie", &cookie),
    ];
    let mut frames = Frames::open(&gateway).await;
    frames.send(HEADERS, END_HEADERS, 1, &block(&fields)).await;
    frames.send(DATA, 0, 1, b"half").await;
    // Nobody watches the silence of one stream: that of the upstream, which waits for the rest, ends it.
    assert_eq!(frames.ended(1).await, Ended::Status(504));
    eventually("all exchanges end", || gateway.metrics().contains("in_flight 0")).await;
    all_is_well(&gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e3_answers_that_nobody_reads_are_given_up() {
    let body = vec![b'x'; 32 * MIB];
    let answer = Answer::new(move |request, _| match request.target() {
        "/public/big" => http(200, "Content-Type: application/octet-stream\r\n", &body),
        _ => http(200, "", b"ok"),
    });
    let (gateway, _recorder) = start_with("idle_time: 1s", answer).await;
    let mut raw = gateway.raw().await;
    raw.send(b"GET /public/big HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let mut frames = Frames::open(&gateway).await;
    frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &get("/public/big")).await;
    eventually("both exchanges end", || {
        gateway.exchanges(&["portal=\"localhost\""]) == 2 && gateway.metrics().contains("in_flight 0")
    })
    .await;
    assert!(raw.closes().await);
    all_is_well(&gateway).await;
}

/// Pingora limits the time for bodies alone.
#[tokio::test(flavor = "multi_thread")]
async fn e3_heads_that_nobody_reads_are_given_up() {
    let fill = format!("X-Fill: {}\r\n", "x".repeat(24 * 1024));
    let answer = Answer::new(move |request, _| match request.target() {
        "/public/a" => http(200, &fill, b""),
        _ => http(200, "", b"ok"),
    });
    let (gateway, _recorder) = start_with("idle_time: 5s", answer).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    let mut raw = gateway.raw_over(socket.connect(gateway.app.https_address()).await.unwrap()).await;
    let of_portal = || gateway.exchanges(&["portal=\"localhost\""]);
    // One after the other: those that come together end the connection. Until one has no end.
    let (mut asked, watch) = (0, Stopwatch::start());
    loop {
        raw.send(b"HEAD /public/a HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        asked += 1;
        let answered = async {
            while of_portal() < asked {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(2), answered).await.is_err() {
            break;
        }
        assert!(watch.elapsed() < Duration::from_secs(60), "{asked} answers, and there is room for more");
    }
    assert!(gateway.metrics().contains("in_flight 1"), "{asked}");
    eventually("it is given up", || gateway.metrics().contains("in_flight 0")).await;
    assert!(raw.closes().await);
    all_is_well(&gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e3_idle_connections_hold_nobody_up() {
    let (gateway, _recorder) = start_with("", Answer::default()).await;
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(gateway.tls(&[b"http/1.1"]).await);
    }
    all_is_well(&gateway).await;
    assert_eq!(idle.len(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let (gateway, _recorder) = start_with("connections: 4", Answer::default()).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(gateway.tls(&[b"http/1.1"]).await);
    }
    let mut fifth = Box::pin(gateway.raw());
    assert!(
        tokio::time::timeout(Duration::from_millis(500), &mut fifth).await.is_err(),
        "a fifth connection was served"
    );
    held.pop();
    let mut fifth = fifth.await;
    let answer = fifth.status(b"GET /public/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert_eq!(answer, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn e5_floods_of_frames_are_cut_off() {
    let (gateway, recorder) = start_with("", Answer::default()).await;
    all_is_well(&gateway).await;
    let before = resident();
    let served = recorder.requests().len();

    // Rapid reset (CVE-2023-44487): 20,000 requests, each taken back at once.
    let mut frames = Frames::open(&gateway).await;
    let head = get("/public/reset");
    for batch in 0..200_u32 {
        let mut bytes = Vec::new();
        for n in 0..100_u32 {
            let stream = 2 * (batch * 100 + n) + 1;
            bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &head));
            bytes.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        }
        if !frames.bytes(&bytes).await {
            break;
        }
    }
    let ended = frames.ended(u32::MAX >> 1).await;
    assert!(matches!(ended, Ended::GoAway(_) | Ended::Closed), "{ended:?}");
    let reached = recorder.requests().len() - served;
    assert!(reached < 2_000, "{reached} requests reached the upstream");

    // MadeYouReset (CVE-2025-8671): the peer makes us reset, by window updates of nothing.
    let mut frames = Frames::open(&gateway).await;
    for n in 0..5_000_u32 {
        let stream = 2 * n + 1;
        let mut bytes = frame(HEADERS, END_HEADERS | END_STREAM, stream, &head);
        bytes.extend(frame(WINDOW_UPDATE, 0, stream, &[0; 4]));
        if !frames.bytes(&bytes).await {
            break;
        }
    }
    let ended = frames.ended(u32::MAX >> 1).await;
    assert!(matches!(ended, Ended::GoAway(_) | Ended::Closed), "{ended:?}");

    // A head that does not end (CVE-2024-27316): 64 MiB at most.
    let mut frames = Frames::open(&gateway).await;
    frames.send(HEADERS, END_STREAM, 1, &get("/public/endless")).await;
    let mut filler = vec![0x10];
    string(b"x", &mut filler);
    string(&[b'y'; 16_000], &mut filler);
    let mut taken = 0;
    while taken < 64 * MIB && frames.send(CONTINUATION, 0, 1, &filler).await {
        taken += filler.len();
    }
    assert!(taken < 16 * MIB, "{taken} bytes of one head were taken");

    // HPACK bomb: one big entry in the table, named again and again.
    let mut frames = Frames::open(&gateway).await;
    let mut bomb = get("/public/bomb");
    bomb.push(0x40);
    string(b"x", &mut bomb);
    string(&[b'y'; 3_900], &mut bomb);
    bomb.extend(std::iter::repeat_n(0xbe, 12_000));
    frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &bomb).await;
    let ended = frames.ended(1).await;
    assert!(matches!(ended, Ended::Status(431) | Ended::Reset(_) | Ended::GoAway(_)), "{ended:?}");

    // Many tiny fields.
    let mut frames = Frames::open(&gateway).await;
    let mut tiny = get("/public/tiny");
    tiny.extend(std::iter::repeat_n(0x90, 1_500));
    frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &tiny).await;
    assert_eq!(frames.ended(1).await, Ended::Status(431));

    // Settings and pings without an end, whose answers nobody reads.
    for (kind, payload) in [(SETTINGS, &[][..]), (PING, &[0; 8])] {
        let mut frames = Frames::open(&gateway).await;
        let bytes: Vec<u8> = (0..1_000).flat_map(|_| frame(kind, 0, 0, payload)).collect();
        for _ in 0..100 {
            let sent = tokio::time::timeout(Duration::from_secs(2), frames.stream.write_all(&bytes)).await;
            if !matches!(sent, Ok(Ok(()))) {
                break;
            }
        }
    }
    let grown = resident().saturating_sub(before);
    println!(
        "e5: {} KiB more resident, {reached} of 20000 reset requests reached the upstream, {taken} bytes of an endless head",
        grown / 1024
    );
    assert!(grown < 96 * MIB, "{grown} bytes more");
    assert!(recorder.requests().iter().skip(served).all(|request| request.target() == "/public/reset"));
    all_is_well(&gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e5_many_streams_of_one_visitor_hold_nobody_up() {
    let waiting = Arc::new(AtomicUsize::new(0));
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let gate = Arc::new(std::sync::Mutex::new(gate));
    let seen = Arc::clone(&waiting);
    let answer = Answer::new(move |request, _| {
        if request.target() == "/public/held" && seen.fetch_add(1, Ordering::SeqCst) == 0 {
            tokio::task::block_in_place(|| gate.lock().unwrap().recv().ok());
        }
        http(200, "", b"ok")
    });
    let (gateway, _recorder) = start_with("", answer).await;
    let mut frames = Frames::open(&gateway).await;
    let mut bytes = Vec::new();
    for n in 0..300_u32 {
        bytes.extend(frame(HEADERS, END_HEADERS, 2 * n + 1, &get("/public/held")));
    }
    frames.bytes(&bytes).await;
    // Bodies that never end, on as many streams as are allowed; the others are refused one by one.
    let mut refused = 0;
    while let Some(frame) = frames.next().await {
        refused += usize::from(frame.kind == RST_STREAM);
        if refused >= 200 {
            break;
        }
    }
    assert!(refused >= 200, "{refused}");
    all_is_well(&gateway).await;
    drop(open);
}

#[tokio::test(flavor = "multi_thread")]
async fn c10_a_flood_of_visitors_who_never_sign_in() {
    const HITS: usize = 20_000;
    const AT_MOST: Duration = Duration::from_secs(60);
    let (gateway, recorder) = start_with("", Answer::default()).await;
    all_is_well(&gateway).await;
    // One who has begun before, with the page of the provider open.
    let early = gateway.client();
    let stopped = navigate(&early, &format!("{}/private/early", gateway.origin())).await;
    let approved = early.get(format!("{}&login_hint=ana", location(&stopped))).send().await.unwrap();
    let before = resident();
    let done = Arc::new(AtomicUsize::new(0));
    let watch = Stopwatch::start();
    let mut flood = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let mut raw = gateway.tls(&[b"http/1.1"]).await;
        let done = Arc::clone(&done);
        flood.spawn(async move {
            let request = b"GET /private/flood HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n\r\n";
            let mut held = Vec::new();
            let mut chunk = [0; 8 * 1024];
            while watch.elapsed() < AT_MOST && done.fetch_add(1, Ordering::Relaxed) < HITS {
                raw.write_all(request).await.unwrap();
                raw.flush().await.unwrap();
                held.clear();
                while !held.windows(4).any(|window| window == b"\r\n\r\n") {
                    let read = raw.read(&mut chunk).await.unwrap();
                    assert_ne!(read, 0);
                    held.extend_from_slice(&chunk[..read]);
                }
                assert_eq!(status_of(std::str::from_utf8(&held).unwrap()), 303);
            }
        });
    }
    while let Some(result) = flood.join_next().await {
        result.unwrap();
    }
    let hits = done.load(Ordering::Relaxed).min(HITS);
    let grown = resident().saturating_sub(before);
    println!("c10: {hits} hits in {:?}, {} KiB more resident", watch.elapsed(), grown / 1024);
    assert!(hits > 1_000, "{hits}");
    assert!(grown < 64 * MIB, "{grown} bytes more");
    assert_eq!(recorder.requests().len(), 1);
    // Either signed in, or sent to the provider once more: no error, and no loop.
    let mut returned = navigate(&early, &location(&approved)).await;
    if location(&returned) != "/private/early" {
        let approved = early.get(format!("{}&login_hint=ana", location(&returned))).send().await.unwrap();
        returned = navigate(&early, &location(&approved)).await;
    }
    assert!(location(&returned).starts_with('/'), "{}", location(&returned));
    all_is_well(&gateway).await;
}
