//! What is under way goes on: sessions, sign-ins, tunnels, uploads.

use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::{World, gone, signal};
use crate::harness::{closes, eventually, location, navigate};
use crate::recorder::{Answer, Recorder, http};

/// An upstream that echoes what comes through a tunnel.
async fn echo() -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut seen = Vec::new();
                while !seen.ends_with(b"\r\n\r\n") {
                    seen.push(stream.read_u8().await?);
                }
                if !seen.windows(9).any(|window| window.eq_ignore_ascii_case(b"websocket")) {
                    return stream.write_all(&http(200, "Connection: close\r\n", b"page")).await;
                }
                let switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";
                stream.write_all(switch).await?;
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await.map(drop)
            });
        }
    });
    address
}

async fn says(stream: &mut TlsStream<TcpStream>, end: &[u8]) -> String {
    let mut seen = Vec::new();
    while !seen.ends_with(end) {
        let read = tokio::time::timeout(super::PATIENCE, stream.read_u8()).await.expect("it says something");
        seen.push(read.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&seen))));
    }
    String::from_utf8(seen).unwrap()
}

async fn tunnel(world: &World, session: &str) -> TlsStream<TcpStream> {
    let mut stream = world.place.tls(b"http/1.1").await;
    let origin = world.place.url("");
    let handshake = format!(
        "GET /private/socket HTTP/1.1\r\nHost: localhost:{}\r\nCookie: __Host-vestibule={session}\r\nOrigin: {origin}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        world.place.https.port()
    );
    stream.write_all(handshake.as_bytes()).await.unwrap();
    let answer = says(&mut stream, b"\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    stream
}

async fn is_open(stream: &mut TlsStream<TcpStream>) {
    stream.write_all(b"still here;").await.unwrap();
    assert_eq!(says(stream, b";").await, "still here;");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_sign_ins_go_on_in_the_next_process() {
    let mut world = World::start(Recorder::start(Answer::default()).await).await;
    let first = world.process().await;
    let (ana, ben) = (world.browser(), world.browser());
    world.sign_in(&ana, "ana").await;
    let back = world.way_back(&ben, "ben").await;
    world.upgraded().await;
    assert!(world.is_signed_in(&ana).await);
    let returned = navigate(&ben, &back).await;
    assert_eq!((returned.status().as_u16(), location(&returned).as_str()), (303, "/deep/7"), "where they were going");
    assert!(world.is_signed_in(&ben).await);
    assert!(world.gateway.gone().await.success(), "the first one has nothing left to do");
    assert_eq!(u64::from(world.gateway.logged("another process has taken over")["process"].as_u64().unwrap() > 0), 1);
    assert_ne!(world.process().await, first);
    assert_eq!(world.status().await["process"]["took_over"], true);
    assert!(world.metric("vestibule_upgrades_total{result=\"taken_over\"} 1").await);

    // By signal as well, and from a process that took over itself.
    let second = world.process().await;
    signal(second, "USR2").await;
    world.gateway.wait_for_logs(3, "serving portal").await;
    gone(second).await;
    assert!(world.is_signed_in(&ana).await && world.is_signed_in(&ben).await);
    let sign_out = ana.post(world.place.url("/.vestibule/sign-out")).header("origin", world.place.url(""));
    assert!(sign_out.send().await.unwrap().status().as_u16() < 400);
    world.upgraded().await;
    assert!(!world.is_signed_in(&ana).await && world.is_signed_in(&ben).await);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_outlives_the_handover_and_not_its_session() {
    let mut recorder = Recorder::start(Answer::default()).await;
    recorder.address = echo().await;
    let world = World::start(recorder).await;
    let (ana, ben) = (world.browser(), world.browser());
    let (session, theirs) = (world.sign_in(&ana, "ana").await, world.sign_in(&ben, "ben").await);
    let (mut one, mut other) = (tunnel(&world, &session).await, tunnel(&world, &theirs).await);
    // Twice: the one in the middle has nothing left to do but to pass on what the two others say.
    world.upgraded().await;
    is_open(&mut one).await;
    world.upgraded().await;
    is_open(&mut one).await;
    is_open(&mut other).await;
    // The last process ends the session; the first has the tunnel.
    let sign_out = ana.post(world.place.url("/.vestibule/sign-out")).header("origin", world.place.url(""));
    assert!(sign_out.send().await.unwrap().status().as_u16() < 400);
    assert!(closes(&mut one).await, "no tunnel without its session");
    is_open(&mut other).await;
    let mut new = tunnel(&world, &theirs).await;
    is_open(&mut new).await;
    // Nobody is there any more who knows: then nobody is believed.
    signal(world.process().await, "KILL").await;
    assert!(closes(&mut other).await);
    world.gateway.wait_for_log("nobody is believed to be signed in any more").await;
}

/// With a new first key the process before would no longer find what was sealed anew, and take everybody for a newcomer.
#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_is_sealed_anew_when_the_process_before_has_ended() {
    let mut recorder = Recorder::start(Answer::default()).await;
    recorder.address = echo().await;
    let world = World::start(recorder).await;
    let session = world.sign_in(&world.browser(), "ana").await;
    let mut tunnel = tunnel(&world, &session).await;
    let sealed = || world.gateway.log().iter().filter(|line| line.contains("sealed with the first key")).count();
    eventually("ledger and passwords, by the first process", || sealed() == 2).await;
    world.upgraded().await;
    is_open(&mut tunnel).await;
    // Lines of a process come in their order, and a moment late: this one is behind all that the next has done at its start.
    for path in ["/private/once", "/private/again"] {
        world.browser().get(world.place.url(path)).send().await.unwrap();
        world.gateway.wait_for_log(path).await;
    }
    assert_eq!(sealed(), 2, "the first process has a visitor");
    drop(tunnel);
    eventually("both once more, by the next", || sealed() == 4).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_process_1_is_not_upgraded() {
    let place = crate::process::Place::new();
    let recorder = Recorder::start(Answer::default()).await;
    let [admin] = crate::child::free_addresses();
    place.write(&place.text(&format!("  admin: \"{admin}\"\n"), recorder.address));
    let mut command = tokio::process::Command::new("unshare");
    command.args(["--user", "--map-root-user", "--pid", "--fork", "--kill-child", env!("CARGO_BIN_EXE_vestibule")]);
    command.args(["run", "--config", place.config().to_str().unwrap()]).kill_on_drop(true);
    let _gateway = crate::child::Gateway::start_by(command, 1).await.unwrap();
    let (code, out, said) = place.carry_out("upgrade").await;
    assert_eq!((code, out.as_str()), (1, ""), "{said}");
    assert!(said.contains("process 1 of its container") && said.ends_with("the process before serves on\n"), "{said}");
    assert_eq!(place.client().get(place.url("/public/a")).send().await.unwrap().status(), 200);
}

/// An upstream that answers `/public/held` when told to.
async fn held() -> (Sender<()>, Recorder) {
    let (open, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let answer = Answer::new(move |request, _| {
        if request.target() == "/public/held" {
            tokio::task::block_in_place(|| gate.lock().unwrap().recv().ok());
        }
        http(200, "", format!("{} octets", request.body.len()).as_bytes())
    });
    (open, Recorder::start(answer).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_upload_and_a_long_answer_across_the_handover_are_completed_once() {
    let (open, recorder) = held().await;
    let mut world = World::start(recorder).await;
    let session = world.sign_in(&world.browser(), "ana").await;
    let waiting = tokio::spawn(world.place.client().get(world.place.url("/public/held")).send());
    let mut upload = world.place.tls(b"http/1.1").await;
    let length = 200_000;
    let head = format!(
        "POST /deep/upload HTTP/1.1\r\nHost: localhost\r\nCookie: __Host-vestibule={session}\r\nSec-Fetch-Site: same-origin\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    upload.write_all(head.as_bytes()).await.unwrap();
    upload.write_all(&vec![b'a'; length / 2]).await.unwrap();
    let asked = |wanted: &str| {
        let seen = world.recorder.bytes();
        seen.windows(wanted.len()).any(|window| window == wanted.as_bytes())
    };
    tokio::select! {
        () = eventually("the question has arrived", || asked("GET /public/held")) => {}
        answer = says(&mut upload, b"\r\n\r\n") => panic!("{answer}"),
    }
    tokio::select! {
        () = eventually("the upload has begun to arrive", || asked("POST /deep/upload")) => {}
        answer = says(&mut upload, b"\r\n\r\n") => panic!("{answer}"),
    }
    world.upgraded().await;
    assert_eq!(world.place.client().get(world.place.url("/public/a")).send().await.unwrap().status(), 200);
    upload.write_all(&vec![b'a'; length / 2]).await.unwrap();
    let answer = says(&mut upload, b" octets").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&format!("{length} octets")), "{answer}");
    open.send(()).unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().text().await.unwrap(), "0 octets");
    let uploads = world.recorder.requests().iter().filter(|request| request.target() == "/deep/upload").count();
    assert_eq!(uploads, 1);
    assert!(world.gateway.gone().await.success());
    assert_eq!(world.gateway.logged("stopped")["all_finished"], true);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_a_reload_refuses_are_in_force_after_an_upgrade() {
    let world = World::start(Recorder::start(Answer::default()).await).await;
    let browser = world.browser();
    world.sign_in(&browser, "ana").await;
    let [http] = crate::child::free_addresses();
    world.place.write(
        &world.text.replace("  admin:", &format!("  limits: {{ connections: 77 }}\n  http: \"{http}\"\n  admin:")),
    );
    let (code, _, said) = world.place.carry_out("reload").await;
    assert!(code == 1 && said.contains("run `vestibule upgrade`"), "{said}");
    assert!(TcpStream::connect(http).await.is_err());
    world.upgraded().await;
    assert!(TcpStream::connect(http).await.is_ok(), "a new listener is open");
    assert!(world.is_signed_in(&browser).await);
    world.place.write(&world.text);
    world.upgraded().await;
    eventually("one that is configured no more is closed", || std::net::TcpStream::connect(http).is_err()).await;
    assert!(world.is_signed_in(&browser).await);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_socket_is_left_to_programs_that_the_next_process_starts() {
    let world = World::start(Recorder::start(Answer::default()).await).await;
    world.upgraded().await;
    let process = world.process().await;
    let mut sockets = 0;
    for entry in std::fs::read_dir(format!("/proc/{process}/fd")).unwrap() {
        let entry = entry.unwrap();
        let number: u32 = entry.file_name().to_str().unwrap().parse().unwrap();
        let to = std::fs::read_link(entry.path()).unwrap_or_default();
        // What this test itself was started with is not the gateway's.
        let ours = to.starts_with(world.place.folder.path()) || to.to_string_lossy().starts_with("socket:");
        if number > 2 && !ours {
            continue;
        }
        if number <= 2 {
            assert!(number > 0 || to.to_str() == Some("/dev/null"), "standard input leads to {}", to.display());
            continue;
        }
        let about = std::fs::read_to_string(format!("/proc/{process}/fdinfo/{number}")).unwrap_or_default();
        let flags = about.lines().find_map(|line| line.strip_prefix("flags:")).map(|flags| flags.trim().to_owned());
        let Some(flags) = flags else { continue };
        let close_on_exec = i64::from_str_radix(&flags, 8).unwrap() & 0o2_000_000 != 0;
        assert!(close_on_exec, "{number} leads to {}", to.display());
        sockets += usize::from(to.to_string_lossy().starts_with("socket:"));
    }
    assert!(sockets >= 2, "its listeners are among them");
    world.end().await;
}
