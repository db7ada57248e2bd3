//! The real binary: SIGHUP and the command, faults, what the service manager is told, and reloads under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use reqwest::Client;

use crate::child::{Gateway, PATIENCE, free_addresses};
use crate::process::Place;
use crate::recorder::{Answer, Recorder};

const DENY: &str = "rules: [ { path: \"/public/no\", access: deny }, ";

/// A gateway in front of a recorder, with an admin listener.
struct Running {
    place: Place,
    gateway: Gateway,
    admin: String,
    text: String,
    recorder: Recorder,
}

impl Running {
    async fn start(environment: &[(&str, &str)]) -> Self {
        let (place, recorder) = (Place::new(), Recorder::start(Answer::default()).await);
        let [admin] = free_addresses();
        let text = place.text(&format!("  admin: \"{admin}\"\n"), recorder.address);
        place.write(&text);
        let gateway = Gateway::start_in(&place.config(), 1, environment).await.unwrap();
        Self { place, gateway, admin: format!("http://{admin}"), text, recorder }
    }

    fn denying(&self) -> String {
        self.text.replace("rules: [ ", DENY)
    }

    async fn status(&self, path: &str) -> u16 {
        self.place.client().get(self.place.url(path)).send().await.unwrap().status().as_u16()
    }

    async fn admin(&self, path: &str) -> String {
        let client = Client::builder().no_proxy().build().unwrap();
        client.get(format!("{}{path}", self.admin)).send().await.unwrap().text().await.unwrap()
    }

    async fn metric(&self, line: &str) -> bool {
        self.admin("/metrics").await.lines().any(|one| one == line)
    }

    async fn configuration(&self) -> serde_json::Value {
        serde_json::from_str::<serde_json::Value>(&self.admin("/status").await).unwrap()["configuration"].take()
    }

    async fn end(mut self) {
        self.gateway.signal("TERM").await;
        let (status, said) = self.gateway.ended().await;
        assert_eq!((status.code(), said.as_str()), (Some(0), ""));
        let log = self.gateway.log().join("\n");
        assert!(!log.contains(crate::harness::KEY) && !log.contains(crate::child::CLIENT_SECRET), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reads_the_file_again_and_a_fault_changes_nothing() {
    let running = Running::start(&[]).await;
    let first = running.configuration().await;
    assert_eq!((first["number"].as_u64(), &first["last_reload"]), (Some(1), &serde_json::Value::Null));
    assert_eq!(running.status("/public/no").await, 200);
    running.place.write(&running.denying());
    running.gateway.signal("HUP").await;
    running.gateway.wait_for_log("the configuration was read again and is in force").await;
    assert_eq!(running.status("/public/no").await, 403);
    let second = running.configuration().await;
    assert_eq!((second["number"].as_u64(), second["last_reload"].as_str()), (Some(2), Some("applied")));
    assert_ne!(first["digest"], second["digest"]);

    running.place.write("version: 1\nportals: [ { host: localhost, upsteam: x }");
    running.gateway.signal("HUP").await;
    running.gateway.wait_for_log("refused: the one before stays in force").await;
    let told = running.gateway.logged("the configuration was read again and refused: the one before stays in force");
    assert_eq!(told["result"], "faulty");
    assert!(told["problems"].as_str().unwrap().contains("gateway.yaml:3:1: portals: this is not YAML"), "{told}");
    assert_eq!((running.status("/public/no").await, running.status("/public/yes").await), (403, 200));
    assert!(running.metric("vestibule_config_reloads_total{result=\"faulty\"} 1").await);
    let third = running.configuration().await;
    assert_eq!((third["number"].as_u64(), third["last_reload"].as_str()), (Some(2), Some("faulty")));
    assert_eq!(third["digest"], second["digest"]);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_waits_for_the_outcome_and_tells_it() {
    let running = Running::start(&[]).await;
    let reload = async || running.place.carry_out("reload").await;
    assert_eq!(reload().await, (0, "configuration 1 stays in force: nothing has changed\n".into(), String::new()));
    running.place.write(&running.denying());
    let expected = "portal localhost: changed\nconfiguration 2 is in force\n";
    assert_eq!(reload().await, (0, expected.into(), String::new()));
    assert_eq!(running.status("/public/no").await, 403);

    running.place.write(&running.text.replace("upstream:", "upsteam:"));
    let (code, out, said) = reload().await;
    assert_eq!((code, out.as_str()), (1, ""), "{said}");
    assert!(said.contains("gateway.yaml") && said.contains("upsteam"), "{said}");

    let [elsewhere] = free_addresses();
    running.place.write(&running.text.replace(&running.place.https.to_string(), &elsewhere.to_string()));
    let (code, _, said) = reload().await;
    assert!(code == 1 && said.contains(&format!("and is {elsewhere} now")), "{said}");
    assert!(said.ends_with("vestibule: the configuration before stays in force\n"), "{said}");

    // Sound as a text, but it cannot be served: a key of another certificate.
    running.place.write(&running.text);
    std::fs::write(running.place.file("site.key"), rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let (code, _, said) = reload().await;
    assert!(code == 1 && said.contains("does not fit the certificate"), "{said}");
    assert_eq!((running.status("/public/no").await, running.status("/public/yes").await), (403, 200));

    // Nobody there, and somebody with other keys.
    running.place.write(&running.text.replace(crate::harness::KEY, &crate::harness::KEY.replace("AAEC", "BBEC")));
    let (code, _, said) = reload().await;
    assert!(code == 1 && said.contains("refuses the order"), "{said}");
    running.place.write(&running.text.replace("  admin:", "  http:"));
    let (code, _, said) = reload().await;
    assert!(code == 1 && said.contains("listen.admin, which is not set"), "{said}");
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_is_told_of_a_reload() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("notify");
    let told = tokio::net::UnixDatagram::bind(&socket).unwrap();
    let next = async || {
        let mut message = [0; 256];
        let length = tokio::time::timeout(PATIENCE, told.recv(&mut message)).await.expect("it says something").unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap().trim().to_owned()
    };
    let running = Running::start(&[("NOTIFY_SOCKET", socket.to_str().unwrap())]).await;
    assert_eq!(next().await, "READY=1");
    for text in [running.denying(), "version: 9".to_owned()] {
        running.place.write(&text);
        running.gateway.signal("HUP").await;
        let message = next().await;
        let (reloading, at) = message.split_once('\n').unwrap_or_else(|| panic!("{message}"));
        assert_eq!(reloading, "RELOADING=1");
        assert!(at.strip_prefix("MONOTONIC_USEC=").unwrap().parse::<u64>().unwrap() > 0, "{message}");
        assert_eq!(next().await, "READY=1", "whatever came of it");
    }
    running.end().await;
}

/// Resident memory of a process, in KiB.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_reloads_under_load_fail_nobody() {
    let running = Running::start(&[]).await;
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let load: Vec<_> = (0..4)
        .map(|n| {
            let client = match n % 2 {
                0 => running.place.builder().http1_only().build().unwrap(),
                _ => running.place.client(),
            };
            let (url, stop, served) = (running.place.url("/public/page"), Arc::clone(&stop), Arc::clone(&served));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let answer = client.get(&url).send().await.expect("no connection is lost");
                    assert_eq!(answer.status(), 200);
                    assert!(answer.text().await.expect("whole").ends_with("/public/page"));
                    served.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let mut resident_after_ten = 0;
    for round in 2..=51_u64 {
        let text =
            running.text.replace("rules: [ ", &format!("rules: [ {{ path: \"/public/no/{round}\", access: deny }}, "));
        running.place.write(&text);
        running.gateway.signal("HUP").await;
        let before = served.load(Ordering::Relaxed);
        let in_force = async { while running.configuration().await["number"].as_u64() != Some(round) {} };
        tokio::time::timeout(PATIENCE, in_force).await.unwrap_or_else(|_| panic!("{:?}", running.gateway.log()));
        // Requests go on between two reloads.
        let goes_on = async {
            while served.load(Ordering::Relaxed) < before + 8 {
                tokio::task::yield_now().await
            }
        };
        tokio::time::timeout(PATIENCE, goes_on).await.unwrap();
        if round == 11 {
            resident_after_ten = resident(running.gateway.pid());
        }
    }
    stop.store(true, Ordering::Relaxed);
    for one in load {
        one.await.unwrap();
    }
    let (grown, served) =
        (resident(running.gateway.pid()).saturating_sub(resident_after_ten), served.load(Ordering::Relaxed));
    println!("{served} requests served; {resident_after_ten} KiB after ten reloads, {grown} KiB more after fifty");
    assert!(grown < 16 * 1024, "{grown} KiB more than after ten reloads");
    assert!(running.metric("vestibule_config_reloads_total{result=\"applied\"} 50").await);
    let connections = running.recorder.requests().iter().map(|request| request.connection).max().unwrap();
    // Whoever finds the place taken in which connections wait opens another; one pool for each configuration would be 200.
    assert!(connections <= 20, "{connections}: the pool is one");
    running.end().await;
}
