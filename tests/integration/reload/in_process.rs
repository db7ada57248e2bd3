//! What becomes of sessions, connections, sign-ins and tunnels when the configuration changes.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use vestibule::config;
use vestibule::operator::{RefusedFor, Reloaded};

use crate::harness::{Options, Raw, TestGateway, eventually, location, navigate};
use crate::process::gated;
use crate::recorder::{Answer, Recorder};

const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";

impl TestGateway {
    /// Puts the configuration in force that `change` makes of the file.
    async fn change(&self, change: impl FnOnce(String) -> String) -> Reloaded {
        let file = self.folder.path().join("gateway.yaml");
        let before = std::fs::read_to_string(&file).unwrap();
        let after = change(before.clone());
        let parsed = config::parse(&after, self.folder.path(), &config::ProcessEnvironment);
        let outcome = self.app.apply(parsed.unwrap_or_else(|faults| panic!("{faults}"))).await;
        if matches!(outcome, Reloaded::Applied { .. }) {
            std::fs::write(&file, &after).unwrap();
        }
        outcome
    }

    async fn changed(&self, change: impl FnOnce(String) -> String) -> (u64, Vec<String>) {
        match self.change(change).await {
            Reloaded::Applied { number, changes } => (number, changes),
            refused @ Reloaded::Refused { .. } => panic!("{refused:?}"),
        }
    }

    async fn refused(&self, change: impl FnOnce(String) -> String) -> (RefusedFor, Vec<String>) {
        match self.change(change).await {
            Reloaded::Refused { result, problems } => (result, problems),
            applied @ Reloaded::Applied { .. } => panic!("{applied:?}"),
        }
    }
}

fn denying(path: &str) -> impl FnOnce(String) -> String + use<> {
    instead("    rules:\n", &format!("    rules:\n      - {{ path: \"{path}\", access: deny }}\n"))
}

fn instead(from: &str, to: &str) -> impl FnOnce(String) -> String + use<> {
    let (from, to) = (from.to_owned(), to.to_owned());
    move |text| {
        assert!(text.contains(&from), "{text}");
        text.replace(&from, &to)
    }
}

async fn status(client: &reqwest::Client, gateway: &TestGateway, path: &str) -> u16 {
    client.get(format!("{}{path}", gateway.origin())).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_rule_holds_at_once_and_sessions_and_connections_stay() {
    let recorder = Recorder::start(Answer::default()).await;
    let gateway = TestGateway::start(Options::plain(recorder.address)).await;
    let client = gateway.client();
    gateway.sign_in(&client, "ana").await;
    assert_eq!(status(&client, &gateway, "/private").await, 200);
    assert_eq!(status(&client, &gateway, "/secret/plan").await, 200);
    let (number, changes) = gateway.changed(denying("/secret/**")).await;
    assert_eq!((number, changes), (2, vec!["portal localhost: changed".to_owned()]));
    assert_eq!(status(&client, &gateway, "/secret/plan").await, 403);
    // The session is the same, and so is the connection to the upstream.
    assert_eq!(status(&client, &gateway, "/private").await, 200);
    let connections: Vec<usize> = recorder.requests().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [1, 1, 1], "one pool before and after");
    assert_eq!(gateway.changed(|text| text).await, (2, vec![]), "nothing has changed");
    let metrics = gateway.metrics();
    for line in [
        "vestibule_config_reloads_total{result=\"applied\"} 1",
        "vestibule_config_reloads_total{result=\"unchanged\"} 1",
        "vestibule_config_number 2",
    ] {
        assert!(metrics.lines().any(|one| one == line), "{line}: {metrics}");
    }
    // Counted as one portal, before and after.
    for (outcome, count) in [("forwarded", 3), ("refused", 1)] {
        let labels = ["portal=\"localhost\"", &format!("outcome=\"{outcome}\"")];
        eventually(outcome, || gateway.exchanges(&labels) == count).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_served_by_the_configuration_that_it_began_under() {
    let upstream = gated().await;
    let gateway = TestGateway::start(Options::plain(upstream.address)).await;
    let client = gateway.client();
    gateway.sign_in(&client, "ana").await;
    let asking = tokio::spawn(client.get(format!("{}/private/a", gateway.origin())).send());
    upstream.asked.await.unwrap();
    let texts = "    rewrite: { texts: [ { from: done, to: undone } ] }\n";
    gateway.changed(|text| denying("/private/**")(text) + texts).await;
    assert_eq!(status(&client, &gateway, "/private/a").await, 403);
    assert_eq!(gateway.app.configurations_held(), 2, "the one before has something to finish");
    upstream.release.send(()).unwrap();
    let answer = asking.await.unwrap().unwrap();
    // Rewritten by what it began under, which is nothing.
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, "done"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_that_goes_is_an_unknown_host_and_its_sessions_wait_for_it() {
    let recorder = Recorder::start(Answer::default()).await;
    let gateway = TestGateway::start(Options::plain(recorder.address)).await;
    let client = gateway.client();
    gateway.sign_in(&client, "ana").await;
    let plain = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let by_http = format!("http://localhost:{}/a", gateway.app.http_address().unwrap().port());
    assert_eq!(plain.get(&by_http).send().await.unwrap().status(), 301);
    let (_, changes) = gateway.changed(instead("- host: localhost", "- host: other.test")).await;
    assert_eq!(changes, ["portal other.test: added", "portal localhost: removed"]);
    let gone = status(&client, &gateway, "/private").await;
    assert_eq!(gone, status(&client, &gateway, "/").await);
    assert!((400..500).contains(&gone), "{gone}");
    assert_eq!(plain.get(&by_http).send().await.unwrap().status(), 404, "the redirects follow");
    let operators = format!("http://{}/test-sign-in", gateway.app.admin_address().unwrap());
    let page = plain.get(operators).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("other.test") && !page.contains("localhost\""), "{page}");
    let of_portal = || gateway.exchanges(&["portal=\"localhost\""]);
    let (before, nobodys) = (of_portal(), gateway.exchanges(&["portal=\"none\""]));
    assert_eq!(status(&client, &gateway, "/").await, gone);
    eventually("an unknown host is no portal's", || gateway.exchanges(&["portal=\"none\""]) == nobodys + 1).await;
    assert_eq!(of_portal(), before);
    gateway.changed(instead("- host: other.test", "- host: localhost")).await;
    assert_eq!(status(&client, &gateway, "/private").await, 200);
    eventually("and the portal's counts go on", || of_portal() == before + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_goes_takes_its_sessions_along_until_it_returns() {
    let recorder = Recorder::start(Answer::default()).await;
    let mut options = Options::plain(recorder.address);
    options.more_providers =
        "  other:\n    oidc: { issuer: \"http://localhost:9\", client_id: vestibule, client_secret: secret }\n    \
                              label: Other\n    email_domains: [other.test]\n"
            .to_owned();
    let gateway = TestGateway::start(options).await;
    let client = gateway.client();
    gateway.sign_in(&client, "ana").await;
    let other = |text: String| {
        text.replace("providers: [acme]", "providers: [other]").replace("{ allow: [acme.com] }", "{ allow: [] }")
    };
    let before = std::fs::read_to_string(gateway.folder.path().join("gateway.yaml")).unwrap();
    gateway.changed(other).await;
    let answer = client.get(format!("{}/private", gateway.origin())).send().await.unwrap();
    let (code, text) = (answer.status().as_u16(), answer.text().await.unwrap());
    assert!(code == 403 && text.contains("not_admitted_provider"), "{code} {text}");
    gateway.changed(|_| before).await;
    assert_eq!(status(&client, &gateway, "/private").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_issuer_under_the_same_name_is_another_provider() {
    let recorder = Recorder::start(Answer::default()).await;
    let gateway = TestGateway::start(Options::plain(recorder.address)).await;
    let client = gateway.client();
    gateway.sign_in(&client, "ana").await;
    let issuer = gateway.provider.issuer();
    gateway.changed(instead(&issuer, "http://localhost:9")).await;
    let answer = client.get(format!("{}/private", gateway.origin())).send().await.unwrap();
    let (code, text) = (answer.status().as_u16(), answer.text().await.unwrap());
    assert!(code == 403 && text.contains("not_admitted_provider"), "{code} {text}");
    gateway.changed(instead("http://localhost:9", &issuer)).await;
    assert_eq!(status(&client, &gateway, "/private").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_under_way_goes_on_and_begins_again_where_its_provider_is_another() {
    let recorder = Recorder::start(Answer::default()).await;
    let gateway = TestGateway::start(Options::plain(recorder.address)).await;
    for (change, goes_on) in [
        (Box::new(denying("/secret/**")) as Box<dyn FnOnce(String) -> String>, true),
        (Box::new(instead("label: Acme\n", "label: Acme staff\n")), false),
    ] {
        let client = gateway.client();
        let stopped = navigate(&client, &format!("{}/private", gateway.origin())).await;
        let approved = client.get(format!("{}&login_hint=ana", location(&stopped))).send().await.unwrap();
        gateway.changed(change).await;
        let returned = navigate(&client, &location(&approved)).await;
        assert_eq!(returned.status(), 303);
        if goes_on {
            assert_eq!(location(&returned), "/private");
        } else {
            assert!(location(&returned).contains("/authorize"), "once more: {}", location(&returned));
            let approved = client.get(format!("{}&login_hint=ana", location(&returned))).send().await.unwrap();
            let returned = navigate(&client, &location(&approved)).await;
            assert_eq!(location(&returned), "/private");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_applied_when_anything_cannot_be() {
    let recorder = Recorder::start(Answer::default()).await;
    let gateway = TestGateway::start(Options::plain(recorder.address)).await;
    let client = gateway.client();
    gateway.sign_in(&client, "ana").await;
    // A certificate whose key is another's: no fault of the text, and found before anything is replaced.
    let other = rcgen::KeyPair::generate().unwrap();
    std::fs::write(gateway.folder.path().join("other.key"), other.serialize_pem()).unwrap();
    let (result, problems) =
        gateway.refused(|text| denying("/private/**")(text.replace("key: key.pem", "key: other.key"))).await;
    assert_eq!((result, problems.len()), (RefusedFor::Unusable, 1));
    assert!(problems[0].contains("does not fit the certificate"), "{problems:?}");
    for (from, to, told) in [
        ("https: \"127.0.0.1:0\"", "https: \"127.0.0.1:9\"", "listen.https was 127.0.0.1:0"),
        ("  http: \"127.0.0.1:0\"\n", "", "listen.http was 127.0.0.1:0 at the start and is closed now"),
        ("path: sessions.redb", "path: others.redb", "session.store has changed"),
        ("keys: [ ", "keys: [ vk1_BBECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8, ", "keys has changed"),
        ("session: { ", "session: { idle_timeout: 7m, ", "session has changed"),
        ("portals:", "telemetry: { log: { level: warn } }\nportals:", "telemetry.log has changed"),
    ] {
        let (result, problems) = gateway.refused(|text| denying("/private/**")(text.replace(from, to))).await;
        assert_eq!((result, problems.len()), (RefusedFor::NeedsRestart, 1), "{problems:?}");
        assert!(problems[0].starts_with(told) && problems[0].ends_with("run `vestibule upgrade`"), "{problems:?}");
    }
    assert_eq!(status(&client, &gateway, "/private/a").await, 200, "no part of it is in force");
    let metrics = gateway.metrics();
    assert!(metrics.contains("vestibule_config_reloads_total{result=\"needs_restart\"} 6"), "{metrics}");
    assert!(metrics.contains("vestibule_config_reloads_total{result=\"unusable\"} 1"), "{metrics}");
    assert!(metrics.contains("vestibule_config_number 1"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_to_sign_in_are_not_forgotten() {
    let recorder = Recorder::start(Answer::default()).await;
    let mut options = Options::plain(recorder.address);
    options.portal.push_str("    limits: { sign_in_attempts_per_address: 2/h }\n");
    let gateway = TestGateway::start(options).await;
    let client = gateway.client();
    for expected in [303, 303, 429] {
        assert_eq!(navigate(&client, &format!("{}/private", gateway.origin())).await.status(), expected);
    }
    gateway.changed(denying("/secret/**")).await;
    assert_eq!(navigate(&client, &format!("{}/private", gateway.origin())).await.status(), 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_connections_get_the_new_certificates_and_versions() {
    let recorder = Recorder::start(Answer::default()).await;
    let gateway = TestGateway::start(Options::plain(recorder.address)).await;
    let served = async |gateway: &TestGateway| {
        let stream = gateway.tls(&[b"http/1.1"]).await;
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    };
    let before = served(&gateway).await;
    let mut old = gateway.raw().await;
    // Beside the first and under other names, so that the client of the test trusts it when it is put in its place.
    let other = tempfile::tempdir_in(gateway.folder.path()).unwrap();
    let ca = crate::harness::write_certificate(other.path().to_path_buf());
    let name = other.path().file_name().unwrap().to_str().unwrap().to_owned();
    let files = format!("cert: {name}/cert.pem, key: {name}/key.pem");
    let (_, changes) = gateway.changed(|text| text.replace("cert: cert.pem, key: key.pem", &files)).await;
    assert_eq!(changes, ["tls: changed"]);
    let gateway = TestGateway { ca, ..gateway };
    assert_ne!(served(&gateway).await, before);
    // The connection from before goes on.
    assert_eq!(old.status(b"GET /private HTTP/1.1\r\nHost: localhost\r\n\r\n").await, 401);
}

/// An open tunnel to `path` of somebody who is signed in with `session`.
async fn tunnel(gateway: &TestGateway, session: &str, path: &str) -> Raw {
    let mut raw = gateway.raw().await;
    let handshake = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: __Host-vestibule={session}\r\nOrigin: {}\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Version: 13\r\n\r\n",
        gateway.origin()
    );
    raw.send(handshake.as_bytes()).await;
    let answer = raw.until("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    raw
}

/// An upstream that switches, and then sends back what it gets.
async fn echo() -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut seen = Vec::new();
                while !seen.ends_with(b"\r\n\r\n") {
                    let Ok(octet) = stream.read_u8().await else { return };
                    seen.push(octet);
                }
                tokio::io::AsyncWriteExt::write_all(&mut stream, SWITCH).await.unwrap();
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_websocket_stays_as_long_as_the_new_rules_permit_it() {
    let gateway = TestGateway::start(Options::plain(echo().await)).await;
    let (ana, ben) = (gateway.client(), gateway.client());
    let (anas, bens) = (gateway.sign_in(&ana, "ana").await, gateway.sign_in(&ben, "ben").await);
    let mut open = tunnel(&gateway, &anas, "/live/a").await;
    let mut closed = tunnel(&gateway, &anas, "/secret/a").await;
    let mut blocked = tunnel(&gateway, &bens, "/live/b").await;
    gateway
        .changed(|text| {
            denying("/secret/**")(
                text.replace("allow: [acme.com] }", "allow: [acme.com] }, blocked_people: [ben@acme.com]"),
            )
        })
        .await;
    assert_eq!((closed.rest().await, blocked.rest().await), (String::new(), String::new()));
    open.send(b"still here;").await;
    assert_eq!(open.until("still here;").await, "still here;");
    // Another upstream is not the one that it was opened to.
    let elsewhere = echo().await;
    gateway
        .changed(|text| {
            text.lines()
                .map(|line| match line.starts_with("    upstream:") {
                    true => format!("    upstream: \"http://{elsewhere}\"\n"),
                    false => format!("{line}\n"),
                })
                .collect()
        })
        .await;
    assert_eq!(open.rest().await, "");
    let mut next = tunnel(&gateway, &anas, "/live/a").await;
    gateway.changed(instead("- host: localhost", "- host: other.test")).await;
    assert_eq!(next.rest().await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_configuration_held_is_let_go_with_it() {
    let recorder = Recorder::start(Answer::default()).await;
    let gateway = TestGateway::start(Options::plain(recorder.address)).await;
    let client = gateway.client();
    gateway.sign_in(&client, "ana").await;
    let text = std::fs::read_to_string(gateway.folder.path().join("gateway.yaml")).unwrap();
    for n in 0..50 {
        let (number, _) = gateway.changed(|_| denying(&format!("/secret/{n}/**"))(text.clone())).await;
        assert_eq!(number, u64::try_from(n).unwrap() + 2);
        assert_eq!(status(&client, &gateway, "/private").await, 200);
    }
    crate::harness::eventually("one configuration is left", || gateway.app.configurations_held() == 1).await;
    tokio::time::timeout(Duration::from_secs(30), gateway.app.drain()).await.unwrap();
}
