//! `kill -9` in the middle of writes: what was acknowledged is there afterwards, what was ended is not.
//!
//! The test binary starts itself again with a path in its environment; that child opens, uses and ends sessions as fast
//! as it can and tells each one as soon as it is acknowledged, until it is killed.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::settings::{SessionSettings, StoreSettings};
use super::{CustomerSession, Sessions, UpstreamCookie};
use crate::clock::{Clock, Timestamp};
use crate::ids::SessionId;
use crate::portal::host::HostName;
use crate::random::Random;
use crate::secret::Secret;
use crate::sign_in::VerifiedIdentity;

const STORE: &str = "VESTIBULE_TEST_KILL_STORE";
const START: Timestamp = Timestamp::from_seconds(1_700_000_000);
const KILLS: usize = 5;

fn sessions(path: &Path) -> (Sessions, Clock) {
    let settings = SessionSettings {
        idle_timeout: Duration::from_secs(1800),
        absolute_timeout: Duration::from_secs(43_200),
        cache_entries: 50, // fewer than there are: most are loaded from the file
        store: StoreSettings::Embedded { path: path.into() },
        keys: vec![Secret::generated("k".repeat(43))],
    };
    let clock = Clock::manual(START);
    (Sessions::start(&settings, clock.clone(), Random::default()).unwrap(), clock)
}

fn portal() -> HostName {
    HostName::parse("support.acme.com").unwrap()
}

/// One line, in one write, so that a kill tears at most the last.
fn tell(what: &str, id: &SessionId) {
    std::io::stdout().lock().write_all(format!("\n{what} {}\n", id.reveal()).as_bytes()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_of_the_kill_test() {
    let Some(path) = std::env::var_os(STORE) else { return };
    let (sessions, clock) = sessions(&PathBuf::from(path));
    let workers: Vec<_> = (0..8)
        .map(|worker| {
            let (sessions, clock) = (sessions.clone(), clock.clone());
            tokio::spawn(async move {
                for n in 0_u64.. {
                    let who = VerifiedIdentity::for_test("okta", &format!("p{worker}-{n}"), "ana@acme.com");
                    let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
                    let (id, live) = sessions.open(who, None, portal(), client).await.unwrap();
                    tell("opened", &id);
                    clock.advance(Duration::from_millis(10)); // now and then, use is written
                    sessions.find(&id, &portal(), clock.now()).await.unwrap();
                    if n % 3 == 0 {
                        let value = Secret::generated(format!("cookie of {}", id.hash()));
                        let cookie = UpstreamCookie { name: "JSESSIONID".into(), value, path: "/".into() };
                        let customer = CustomerSession::new(1, "ana", vec![cookie], clock.now(), None);
                        sessions.keep_customer_session(&live, customer).await.unwrap();
                        tell("kept", &id);
                    }
                    if n % 5 == 0 {
                        tell("ending", &id);
                        sessions.end(&live).await.unwrap();
                        tell("ended", &id);
                    }
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
}

/// Starts the child, waits until it has acknowledged some sessions, and kills it. The last word on each session.
fn run_and_kill(path: &Path, words: &mut BTreeMap<String, Vec<String>>) -> usize {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "session::kill_tests::child_of_the_kill_test", "--nocapture", "--test-threads=1"])
        .env(STORE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let (mut told, mut line) = (0, String::new());
    loop {
        line.clear();
        if lines.read_line(&mut line).unwrap() == 0 || !line.ends_with('\n') {
            break; // the end, or a torn line
        }
        let mut parts = line.split_whitespace();
        if let (Some(word @ ("opened" | "kept" | "ending" | "ended")), Some(id), None) =
            (parts.next(), parts.next(), parts.next())
        {
            words.entry(id.to_owned()).or_default().push(word.to_owned());
            told += 1;
            if told == 150 {
                child.kill().unwrap(); // SIGKILL; what is still in the pipe counts too
            }
        }
    }
    child.wait().unwrap();
    told
}

#[tokio::test]
async fn what_was_acknowledged_outlives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.redb");
    let mut words = BTreeMap::new();
    for round in 1..=KILLS {
        let told = run_and_kill(&path, &mut words);
        assert!(told >= 150, "the child of round {round} stopped by itself after {told} lines");
    }
    let (sessions, clock) = sessions(&path);
    for (id, words) in &words {
        let said = |word: &str| words.iter().any(|said| said == word);
        let found = sessions.find(&SessionId::parse(id).unwrap(), &portal(), clock.now()).await.unwrap();
        if said("ended") {
            assert!(found.is_none(), "{words:?}");
        } else if !said("ending") {
            let live = found.unwrap_or_else(|| panic!("acknowledged and lost: {words:?}"));
            if said("kept") {
                let cookie = live.customer_session().unwrap().cookie_header("/").unwrap();
                assert_eq!(cookie, format!("JSESSIONID=cookie of {}", live.hash()).as_str());
            }
        }
    }
    assert!(words.len() > KILLS * 30);
    let unseen = sessions.count().await.unwrap();
    assert!(unseen as usize <= words.len() + KILLS * 8, "at most one for each worker was written and not told");
    sessions.close().await.unwrap();
}
