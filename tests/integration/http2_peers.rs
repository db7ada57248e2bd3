//! HTTP/2 by peers that we did not write: the list of h2spec with Python's hpack, Python's h2 as a client, and
//! `nghttp` and `h2load` of Debian. The scripts are in `tests/peers/http2`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::child::PATIENCE;
use crate::harness::{Options, TestGateway, eventually};
use crate::node::{Script, target};
use crate::recorder::{Answer, Recorder, http};

/// The interpreter with the packages of `tests/peers/requirements.txt`.
pub fn python() -> PathBuf {
    let python = target().join("python/bin/python");
    assert!(python.is_file(), "there is no {}: run scripts/python-packages, or scripts/test", python.display());
    python
}

/// Starts `tests/peers/NAME` with these settings.
pub fn peer(name: &'static str, settings: &Value) -> Script {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(name);
    let mut command = Command::new(python());
    command.args(["-W", "ignore", "-B"]).arg(script).arg(settings.to_string());
    Script::run(name, command)
}

struct World {
    gateway: TestGateway,
    recorder: Recorder,
    session: String,
}

impl World {
    async fn start(answer: Answer) -> Self {
        let recorder = Recorder::start(answer).await;
        let gateway = TestGateway::start(Options::plain(recorder.address)).await;
        let session = gateway.sign_in(&gateway.client(), "ana").await;
        Self { gateway, recorder, session }
    }

    fn settings(&self) -> Value {
        json!({
            "host": "localhost",
            "port": self.gateway.app.https_address().port(),
            "ca": self.gateway.folder.path().join("cert.pem"),
            "path": "/public/x",
            "post": "/private/x",
            "cookie": format!("__Host-vestibule={}", self.session),
            "origin": self.gateway.origin(),
        })
    }

    async fn nothing_is_left(&self) {
        let none = || self.gateway.metrics().contains("vestibule_exchanges_in_flight 0");
        eventually("no request is left in flight", none).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_are_judged_as_rfc_9113_says_case_by_case() {
    let world = World::start(Answer::default()).await;
    let mut script = peer("http2/conformance.py", &world.settings());
    let (mut cases, mut departures) = (0, Vec::new());
    let told = loop {
        let line = script.answer().await;
        if let Some(done) = line.get("done") {
            break done.as_u64().unwrap();
        }
        cases += 1;
        println!("{}: {}", line["case"].as_str().unwrap(), line["seen"].as_str().unwrap());
        if line["ok"] != true {
            departures.push(line);
        }
    };
    script.stop().await;
    assert!(departures.is_empty(), "{departures:#?}");
    assert!(cases == told && cases > 90, "{cases} of {told}");
    // Nothing odd got through (the script asks for other paths by what is malformed), and others are served.
    for request in world.recorder.requests() {
        assert!(matches!(request.line(), "GET /public/x HTTP/1.1" | "POST /private/x HTTP/1.1"), "{}", request.head);
    }
    let client = world.gateway.client_builder().http2_prior_knowledge().build().unwrap();
    let answer = client.get(format!("{}/public/x", world.gateway.origin())).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    world.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pythons_h2_works_many_streams_at_once() {
    let world = World::start(Answer::new(|request, _| {
        let length = request.target().rsplit('/').next().and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
        if request.method() == "POST" {
            return http(200, "Content-Type: text/plain\r\n", request.body.len().to_string().as_bytes());
        }
        http(200, "Content-Type: application/octet-stream\r\n", &vec![b'x'; length])
    }))
    .await;
    let mut script = peer("http2/client.py", &world.settings());
    let told = script.answer().await;
    script.stop().await;
    println!("{told}");
    assert_eq!(told["error"], Value::Null);
    assert_eq!((told["answered"].as_u64(), told["downloaded"].as_u64()), (Some(200), Some(99 * 100 * 1000)));
    assert_eq!(told["uploaded"].as_u64(), Some(20 * 300_000));
    // RFC 8441: not offered, so that browsers open their WebSockets by HTTP/1.1.
    assert_eq!((&told["extended_connect"], &told["pushes"]), (&json!(false), &json!(0)));
    world.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nghttp_gets_pages_and_sends_forms_in_every_shape() {
    let world = World::start(Answer::new(|request, _| match request.method() {
        "POST" => http(200, "Content-Type: text/plain\r\n", format!("{} bytes", request.body.len()).as_bytes()),
        _ => http(200, "Content-Type: text/plain\r\n", b"a page"),
    }))
    .await;
    let folder = tempfile::tempdir().unwrap();
    let form = folder.path().join("form");
    std::fs::write(&form, vec![b'x'; 200_000]).unwrap();
    let (page, post) =
        (format!("{}/public/x", world.gateway.origin()), format!("{}/private/x", world.gateway.origin()));
    let (cookie, origin) =
        (format!("cookie: __Host-vestibule={}", world.session), format!("origin: {}", world.gateway.origin()));
    for shape in [
        &[][..],
        &["--padding=100"],
        &["--window-bits=10"],
        &["--header-table-size=0"],
        &["--max-concurrent-streams=1"],
    ] {
        let pages = [1, 2, 3].map(|n| format!("{page}?n={n}"));
        let said = nghttp(&[shape, &pages.each_ref().map(String::as_str)].concat()).await;
        assert_eq!(said.matches("a page").count(), 3, "{shape:?}: {said}");
    }
    let data = format!("--data={}", form.display());
    for shape in [
        &[][..],
        &["--padding=200"],
        &["--window-bits=10", "--connection-window-bits=12"],
        &["--continuation"],
        &["--expect-continue"],
        &["--trailer=x-late: 1"],
    ] {
        let said = nghttp(&[shape, &["-H", cookie.as_str(), "-H", &origin, &data, &post]].concat()).await;
        assert!(said.contains("200000 bytes"), "{shape:?}: {said}");
    }
    assert!(!String::from_utf8_lossy(&world.recorder.bytes()).contains("x-late"));
    world.nothing_is_left().await;
}

async fn nghttp(arguments: &[&str]) -> String {
    let output = Command::new("nghttp").arg("--no-verify-peer").args(arguments).kill_on_drop(true).output();
    let output = tokio::time::timeout(PATIENCE, output)
        .await
        .expect("nghttp ends")
        .expect("nghttp: run scripts/install-packages test");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn h2load_finds_no_request_that_fails() {
    let world = World::start(Answer::default()).await;
    let page = format!("{}/public/x", world.gateway.origin());
    for shape in
        [&["-c", "4", "-m", "100"][..], &["-c", "20", "-m", "1"], &["-c", "2", "-m", "30", "-w", "10", "-W", "12"]]
    {
        let output = Command::new("h2load").args(["-n", "1000"]).args(shape).arg(&page).kill_on_drop(true).output();
        let output = tokio::time::timeout(PATIENCE, output).await.expect("h2load ends");
        let output = output.expect("h2load: run scripts/install-packages test");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = said.lines().find(|line| line.starts_with("requests: ")).unwrap_or_else(|| panic!("{said}"));
        println!("{shape:?}: {line}");
        assert!(line.contains("1000 succeeded, 0 failed, 0 errored, 0 timeout"), "{shape:?}: {line}");
        assert!(said.contains("status codes: 1000 2xx"), "{said}");
    }
    world.nothing_is_left().await;
}
