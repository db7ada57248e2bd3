//! Upgrades, reloads and renewed certificates under the load of `wrk`: not one request fails.

use std::process::Stdio;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::process::{Child, Command};
use vestibule::clock::Clock;
use vestibule::portal::HostName;
use vestibule::random::Random;
use vestibule::secret::Secret;
use vestibule::session::Sessions;
use vestibule::session::settings::{SessionSettings, StoreSettings};
use vestibule::sign_in::VerifiedIdentity;

use super::{PATIENCE, World, signal};
use crate::child::certificate;
use crate::harness::{KEY, eventually};
use crate::recorder::{Answer, Recorder};

/// Connections of each load.
const CONNECTIONS: &str = "8";

/// `wrk` itself counts nothing but statuses from 400 on, and somebody who is sent to sign in has lost their session.
const COUNTS_OTHERS: &str = r#"
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init() others = 0 end
function response(status) if status ~= 200 then others = others + 1 end end
function done()
  local all = 0
  for _, thread in ipairs(threads) do all = all + thread:get("others") end
  print("other than 200: " .. all)
end
"#;

/// `wrk`, until it is told to stop.
struct Load {
    child: Child,
    _script: tempfile::NamedTempFile,
}

impl Load {
    fn start(url: &str, cookie: Option<&str>) -> Self {
        let script = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(script.path(), COUNTS_OTHERS).unwrap();
        let mut command = Command::new("wrk");
        command.arg("-s").arg(script.path());
        // The duration is a bound only: it is interrupted before.
        command.args(["-t1", "-c", CONNECTIONS, "-d", "300s", "--timeout", "30s"]);
        if let Some(cookie) = cookie {
            command.arg("-H").arg(format!("Cookie: {cookie}"));
        }
        let child = command.arg(url).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn();
        Self { child: child.expect("wrk is installed (scripts/install-packages test)"), _script: script }
    }

    /// How many requests were answered; each of them well.
    async fn stop(self) -> u64 {
        signal(self.child.id().unwrap().into(), "INT").await;
        let output = tokio::time::timeout(PATIENCE, self.child.wait_with_output()).await.expect("it ends").unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        println!("{told}");
        assert!(!told.contains("Socket errors") && told.contains("other than 200: 0\n"), "{told}");
        let line = told.lines().find(|line| line.contains(" requests in ")).unwrap_or_else(|| panic!("{told}"));
        line.split_whitespace().next().unwrap().parse().unwrap()
    }
}

/// Somebody as a provider would speak of them.
fn person(number: usize) -> VerifiedIdentity {
    let person = serde_json::json!({
        "provider": "acme", "issuer": "https://acme.example", "subject": format!("person-{number}"),
        "email": format!("person-{number}@acme.example"), "email_verified": true, "display_name": "Some Body",
        "groups": ["customers", "support"], "claims": {}, "authenticated_at": Clock::System.now(), "acr": null,
        "provider_session": format!("sid-{number}"), "not_after": null,
    });
    serde_json::from_value(person).unwrap()
}

/// Waits until the upstream has seen so many more requests.
async fn goes_on(recorder: &Recorder, more: usize) {
    let before = recorder.count();
    eventually("requests go on", || recorder.count() >= before + more).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_upgrades_under_load_fail_nobody() {
    let world = World::start(Recorder::start(Answer::default()).await).await;
    let browser = world.browser();
    let session = world.sign_in(&browser, "ana").await;
    let cookie = format!("__Host-vestibule={session}");
    let public = Load::start(&world.place.url("/public/page"), None);
    let signed_in = Load::start(&world.place.url("/deep/page"), Some(&cookie));
    for _ in 0..10 {
        goes_on(&world.recorder, 200).await;
        world.upgraded().await;
    }
    goes_on(&world.recorder, 200).await;
    let (public, signed_in) = (public.stop().await, signed_in.stop().await);
    println!("{public} public and {signed_in} signed-in requests over ten upgrades");
    assert!(public >= 1000 && signed_in >= 1000, "{public} {signed_in}");
    assert!(world.is_signed_in(&browser).await);
    let first = |message: &str| world.gateway.log().iter().filter(|line| line.contains(message)).count();
    assert_eq!(first("another process has taken over"), 10);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_reloads_and_fifty_certificates_under_load_fail_nobody() {
    let world = World::start(Recorder::start(Answer::default()).await).await;
    let load = Load::start(&world.place.url("/public/page"), None);
    for round in 2..=51_u64 {
        let rule = format!("rules: [ {{ path: \"/public/no/{round}\", access: deny }}, ");
        world.place.write(&world.text.replace("rules: [ ", &rule));
        // A reload reads the certificates as well.
        certificate(world.place.folder.path(), "site");
        let (code, out, said) = world.place.carry_out("reload").await;
        assert_eq!((code, said.as_str()), (0, ""), "{out}");
        assert!(out.ends_with(&format!("configuration {round} is in force\n")), "{out}");
        goes_on(&world.recorder, 20).await;
    }
    let answered = load.stop().await;
    assert!(answered >= 1000, "{answered}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_sessions_change_hands_within_a_moment() {
    let place = crate::process::Place::new();
    let settings = SessionSettings {
        idle_timeout: Duration::from_secs(3600),
        absolute_timeout: Duration::from_secs(12 * 3600),
        cache_entries: 100,
        store: StoreSettings::Embedded { path: place.file("sessions.redb") },
        keys: vec![Secret::generated(KEY)],
    };
    let sessions = Sessions::start(&settings, Clock::System, Random::default()).unwrap();
    let host = HostName::parse("localhost").unwrap();
    let opening = (0..10_000).map(|n| sessions.open(person(n), None, host.clone(), "127.0.0.1".parse().unwrap()));
    assert!(join_all(opening).await.iter().all(Result::is_ok));
    sessions.close().await.unwrap();
    let world = World::start(Recorder::start(Answer::default()).await).await;
    // The store that is handed over is the one with the sessions.
    std::fs::copy(place.file("sessions.redb"), world.place.file("many.redb")).unwrap();
    world.place.write(&world.text.replace("path: sessions.redb", "path: many.redb"));
    world.upgraded().await;
    let mut worst = 0;
    for _ in 0..5 {
        world.upgraded().await;
    }
    for line in world.gateway.log().iter().filter(|line| line.contains("another process has taken over")).skip(1) {
        let told: serde_json::Value = serde_json::from_str(line).unwrap();
        let took = told["store_ms"].as_u64().unwrap();
        println!(
            "with 10 000 sessions the store changed hands in {took} ms, {} ms of them to close it",
            told["close_ms"]
        );
        worst = worst.max(took);
    }
    assert!(worst < 5000, "{worst} ms");
    world.end().await;
}
