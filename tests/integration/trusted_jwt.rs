//! `trusted_jwt`: what reaches the upstream, what a library that is not ours makes of it, and what never goes through.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use vestibule::clock::{Clock, Timestamp};
use vestibule::demo::jsm_datacenter::JsmDataCenter;
use vestibule::demo::server::Server;
use vestibule::random::Random;

use crate::harness::{Options, TestGateway, location, navigate, set_cookies};
use crate::node::target;
use crate::recorder::{Answer, Recorder, http};

const HEADER: &str = "cf-access-jwt-assertion";
const EC: &str = "jwt.key";

/// A private key in the gateway's folder, made by OpenSSL.
fn key_file(folder: &std::path::Path, name: &str, kind: &[&str]) -> String {
    let file = folder.join(name);
    let made = std::process::Command::new("openssl").arg("genpkey").args(kind).arg("-out").arg(&file).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    file.display().to_string()
}

fn p256(folder: &std::path::Path, name: &str) -> String {
    key_file(folder, name, &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"])
}

fn rsa(folder: &std::path::Path, name: &str) -> String {
    key_file(folder, name, &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
}

/// A portal that tells `upstream` by tokens; `more` of the settings, each line indented by eight blanks.
fn options(upstream: &str, keys: &[String], more: &str) -> Options {
    let mut options = Options::plain("127.0.0.1:1".parse().unwrap());
    let keys: Vec<String> = keys.iter().map(|key| format!("{{ file: \"{key}\" }}")).collect();
    options.upstream = upstream.to_owned();
    options.portal = format!(
        "    customer_session:\n      trusted_jwt:\n        signing_keys: [{}]\n        audience: jira\n{more}    \
         rules:\n      - {{ path: \"/public/**\", access: public }}\n",
        keys.join(", ")
    );
    options
}

const OTHER: &str = "        product: other\n        cookie: CF_Authorization\n        session_cookies: [JSESSIONID]\n";

async fn verify(gateway: &TestGateway, keys: &str, token: &str) -> Value {
    let python = target().join("python/bin/python");
    assert!(python.is_file(), "there is no {}: run scripts/python-packages, or scripts/test", python.display());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/pyjwt/verify.py");
    let mut child = Command::new(python)
        .args(["-B", script, &format!("{}{keys}", gateway.origin())])
        .arg(gateway.folder.path().join("cert.pem"))
        .args(["jira", &gateway.origin()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(token.as_bytes()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

/// The one token of the latest request.
fn token(recorder: &Recorder) -> String {
    let request = recorder.requests().pop().unwrap();
    let tokens = request.all(HEADER);
    assert_eq!(tokens.len(), 1, "{}", request.head);
    tokens[0].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_that_is_not_ours_verifies_every_token_with_the_published_keys() {
    let keys = tempfile::tempdir().unwrap();
    let (ec, rsa) = (p256(keys.path(), EC), rsa(keys.path(), "rsa.key"));
    // Before, in the middle of, and after a rollover: the first signs, all are published.
    for (files, algorithm) in [
        (vec![rsa.clone()], "RS256"),
        (vec![rsa.clone(), ec.clone()], "RS256"),
        (vec![ec.clone(), rsa], "ES256"),
        (vec![ec], "ES256"),
    ] {
        let recorder = Recorder::start(Answer::default()).await;
        let upstream = format!("http://{}", recorder.address);
        let gateway = TestGateway::start(options(&upstream, &files, OTHER)).await;
        let client = gateway.client();
        gateway.sign_in(&client, "ana").await;
        for path in ["/private", "/private/again"] {
            assert_eq!(navigate(&client, &format!("{}{path}", gateway.origin())).await.status(), 200);
        }
        let [first, second] = recorder.requests().try_into().unwrap_or_else(|seen| panic!("{seen:?}"));
        assert_eq!(first.all(HEADER), second.all(HEADER), "one token for many requests");
        let token = token(&recorder);
        assert!(second.all("cookie")[0].starts_with(&format!("CF_Authorization={token}; ")), "{}", second.head);
        let verified = verify(&gateway, "/.vestibule/jwks.json", &token).await;
        assert_eq!(verified["header"]["alg"], algorithm, "{verified}");
        let claims = &verified["claims"];
        assert_eq!((&claims["email"], &claims["name"]), (&json!("ana@acme.com"), &json!("Ana Lima")), "{claims}");
        assert_eq!((&claims["iss"], &claims["aud"]), (&json!(gateway.origin()), &json!(["jira"])));
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 300);
        let [head, body, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
        for forged in [format!("{head}.{body}."), format!("{head}.{}.{signature}", body.replace('a', "b"))] {
            let refused = verify(&gateway, "/.vestibule/jwks.json", &forged).await;
            assert!(refused["wrong"].is_string(), "{refused}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c20_nobody_elses_token_reaches_the_upstream_in_any_spelling() {
    let recorder = Recorder::start(Answer::default()).await;
    let keys = tempfile::tempdir().unwrap();
    let more = format!("{OTHER}        header: X-Portal-Token\n");
    let upstream = format!("http://{}", recorder.address);
    let gateway = TestGateway::start(options(&upstream, &[p256(keys.path(), EC)], &more)).await;
    let session = gateway.sign_in(&gateway.client(), "ana").await;
    let forged = "X-Portal-Token: forged\r\nx-portal-token: forged\r\nX_Portal_Token: forged\r\nX-Portal_Token: forged\r\n\
                  Cf-Access-Jwt-Assertion: forged\r\nAuthorization: Bearer forged\r\n";
    for (path, cookie) in [
        ("/private", format!("__Host-vestibule={session}; CF_Authorization=forged; cf_authorization=forged; a=1")),
        ("/public/page", "CF_Authorization=forged; JSESSIONID=forged; a=1".to_owned()),
    ] {
        for cookies in [
            format!("Cookie: {cookie}\r\n"),
            cookie.split("; ").fold(String::new(), |all, one| format!("{all}Cookie: {one}\r\n")),
        ] {
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{forged}{cookies}Connection: close\r\n\r\n");
            assert_eq!(gateway.raw().await.status(request.as_bytes()).await, 200);
            let seen = recorder.requests().pop().unwrap();
            assert!(!seen.head.to_lowercase().contains("forged"), "{}", seen.head);
            assert!(seen.all("cookie").join("; ").contains("a=1"), "{}", seen.head);
            let tokens = seen.all("x-portal-token").len();
            assert_eq!(tokens, usize::from(path == "/private"), "{}", seen.head);
        }
    }
    assert!(!String::from_utf8_lossy(&recorder.bytes()).contains("forged"));
    // A field that a connection nominates is refused as a whole.
    let nominated = format!(
        "GET /private HTTP/1.1\r\nHost: localhost\r\nCookie: __Host-vestibule={session}\r\nConnection: X-Portal-Token\r\n\r\n"
    );
    assert_eq!(gateway.raw().await.status(nominated.as_bytes()).await, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstreams_own_session_and_the_token_stay_out_of_the_browser() {
    let recorder = Recorder::start(Answer::new(|request, _| {
        let cookies = "Set-Cookie: JSESSIONID=secret-of-the-site; Path=/; HttpOnly\r\nSet-Cookie: CF_Authorization=x; Path=/\r\n\
                       Set-Cookie: theme=dark; Path=/\r\n";
        http(200, cookies, request.target().as_bytes())
    }))
    .await;
    let keys = tempfile::tempdir().unwrap();
    let upstream = format!("http://{}", recorder.address);
    let gateway = TestGateway::start(options(&upstream, &[p256(keys.path(), EC)], OTHER)).await;
    let client = gateway.client();
    gateway.sign_in(&client, "ana").await;
    let url = format!("{}/private", gateway.origin());
    let answer = navigate(&client, &url).await;
    let set = set_cookies(&answer);
    assert!(set.len() == 1 && set[0].starts_with("theme=dark"), "{set:?}");
    navigate(&client, &url).await;
    let token = token(&recorder);
    let sent = recorder.requests().pop().unwrap();
    let cookies = format!("JSESSIONID=secret-of-the-site; CF_Authorization={token}; ");
    assert!(sent.all("cookie")[0].starts_with(&cookies) && sent.head.contains("theme=dark"), "{}", sent.head);
    // Somebody else in the same browser gets nothing of it.
    let sign_out = client.post(format!("{}/.vestibule/sign-out", gateway.origin())).header("origin", gateway.origin());
    assert!(sign_out.send().await.unwrap().status().as_u16() < 400);
    assert_eq!(navigate(&client, &url).await.status(), 303, "signed out: no token for anybody");
    gateway.sign_in(&client, "ben").await;
    navigate(&client, &url).await;
    let theirs = recorder.requests().pop().unwrap();
    assert!(!theirs.head.contains("secret-of-the-site"), "{}", theirs.head);
    assert!(!theirs.head.contains(&token), "{}", theirs.head);
    let metrics = gateway.metrics();
    assert!(!metrics.contains(&token) && metrics.contains("vestibule_customer_sessions_total"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_carries_the_token_and_a_bearer_token_is_one() {
    const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";
    let recorder = Recorder::start(Answer::new(|_, _| SWITCH.to_vec())).await;
    let keys = tempfile::tempdir().unwrap();
    let more = "        product: other\n        header: Authorization\n";
    let upstream = format!("http://{}", recorder.address);
    let gateway = TestGateway::start(options(&upstream, &[p256(keys.path(), EC)], more)).await;
    let session = gateway.sign_in(&gateway.client(), "ana").await;
    let mut raw = gateway.raw().await;
    let handshake = format!(
        "GET /private/socket HTTP/1.1\r\nHost: localhost\r\nCookie: __Host-vestibule={session}\r\nOrigin: {}\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Version: 13\r\nAuthorization: Bearer forged\r\n\r\n",
        gateway.origin()
    );
    raw.send(handshake.as_bytes()).await;
    assert!(raw.until("\r\n\r\n").await.starts_with("HTTP/1.1 101 "));
    let seen = recorder.requests().pop().unwrap();
    let told = seen.all("authorization");
    assert!(told.len() == 1 && told[0].starts_with("Bearer ey"), "{}", seen.head);
    let verified = verify(&gateway, "/.vestibule/jwks.json", told[0].strip_prefix("Bearer ").unwrap()).await;
    assert_eq!(verified["claims"]["email"], "ana@acme.com", "{verified}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_are_public_where_they_are_told_and_nowhere_else() {
    let recorder = Recorder::start(Answer::default()).await;
    let keys = tempfile::tempdir().unwrap();
    let upstream = format!("http://{}", recorder.address);
    let more = format!("{OTHER}        cloudflare_paths: true\n");
    let gateway = TestGateway::start(options(&upstream, &[p256(keys.path(), EC)], &more)).await;
    let client = gateway.client();
    for path in ["/.vestibule/jwks.json", "/cdn-cgi/access/certs"] {
        let answer = client.get(format!("{}{path}", gateway.origin())).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/json");
        assert_eq!(answer.headers()["cache-control"], "public, max-age=300");
        let set: Value = answer.json().await.unwrap();
        assert_eq!(set["keys"][0]["kty"], "EC", "{set}");
        assert_eq!(set["keys"][0].get("d"), None, "{set}");
    }
    let sign_out = navigate(&client, &format!("{}/cdn-cgi/access/logout", gateway.origin())).await;
    assert_eq!((sign_out.status().as_u16(), location(&sign_out).as_str()), (303, "/.vestibule/sign-out"));
    assert!(recorder.requests().is_empty(), "none of this is the upstream's");
    // Only by reading, and only where tokens are signed.
    let posted = client.post(format!("{}/.vestibule/jwks.json", gateway.origin())).header("origin", gateway.origin());
    assert_eq!(posted.send().await.unwrap().status(), 404);
    let plain = TestGateway::start(Options::plain(recorder.address)).await;
    let client = plain.client();
    let answer = client.get(format!("{}/.vestibule/jwks.json", plain.origin())).send().await.unwrap();
    assert_eq!(answer.status(), 404);
    let answer = client.get(format!("{}/cdn-cgi/access/certs", plain.origin())).send().await.unwrap();
    assert_eq!(answer.status(), 401, "a path like any other");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_renewed_while_people_work_and_is_never_over() {
    let recorder = Recorder::start(Answer::default()).await;
    let keys = tempfile::tempdir().unwrap();
    let clock = Clock::manual(Timestamp::from_seconds(1_700_000_000));
    let upstream = format!("http://{}", recorder.address);
    let gateway =
        TestGateway::start(Options { clock: clock.clone(), ..options(&upstream, &[p256(keys.path(), EC)], OTHER) })
            .await;
    let client = gateway.client();
    gateway.sign_in(&client, "ana").await;
    let url = format!("{}/private", gateway.origin());
    let mut tokens = std::collections::BTreeSet::new();
    for _ in 0..30 {
        assert_eq!(navigate(&client, &url).await.status(), 200);
        let token = token(&recorder);
        let body =
            base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, token.split('.').nth(1).unwrap());
        let claims: Value = serde_json::from_slice(&body.unwrap()).unwrap();
        assert!(claims["exp"].as_i64().unwrap() > clock.now().seconds(), "{claims}");
        tokens.insert(token);
        clock.advance(Duration::from_secs(60));
    }
    assert!((6..=9).contains(&tokens.len()), "half an hour by tokens of five minutes: {}", tokens.len());
}

/// Jira with a plugin that believes such tokens, and the directory beside it.
#[tokio::test(flavor = "multi_thread")]
async fn jira_with_a_plugin_that_reads_the_token_knows_its_customers() {
    let jsm = JsmDataCenter::new(Clock::System, Random::default()).unwrap();
    let server = Server::start(jsm.router(), "127.0.0.1:0".parse().unwrap(), None, None).await.unwrap();
    let upstream = format!("http://{}", server.addr());
    jsm.set_base_url(&upstream);
    let keys = tempfile::tempdir().unwrap();
    let mut with = options(&upstream, &[rsa(keys.path(), "rsa.key")], "        cloudflare_paths: true\n");
    with.portal.push_str(&format!(
        "    directory: {{ site_token: {{ token: \"{}\" }}, service_desks: [\"10\"] }}\n",
        jsm.service_token().reveal()
    ));
    let gateway = TestGateway::start(with).await;
    let published = gateway.client().get(format!("{}/cdn-cgi/access/certs", gateway.origin())).send().await.unwrap();
    jsm.believe_tokens(&gateway.origin(), "jira", &published.text().await.unwrap()).unwrap();
    let client = gateway.client();
    gateway.sign_in(&client, "ana").await;
    let page = navigate(&client, &format!("{}/servicedesk/customer/portal/10", gateway.origin())).await;
    assert!(page.status() == 200 && set_cookies(&page).iter().all(|set| !set.contains("JSESSIONID")), "{page:?}");
    let page = page.text().await.unwrap();
    assert!(page.contains("Ana Lima"), "{page}");
    assert_eq!(
        (jsm.customers_created("ana@acme.com"), jsm.password_sets("ana@acme.com")),
        (1, 0),
        "no password at all"
    );
    assert!(jsm.is_member("10", "ana@acme.com"));
    // Another token of the same person goes on in the same session of Jira.
    let sessions = jsm.sessions_of("ana@acme.com").len();
    for _ in 0..5 {
        assert_eq!(
            navigate(&client, &format!("{}/servicedesk/customer/portals", gateway.origin())).await.status(),
            200
        );
    }
    assert_eq!((sessions, jsm.sessions_of("ana@acme.com").len()), (1, 1), "and not in a session for each request");
    let sign_out = client.post(format!("{}/.vestibule/sign-out", gateway.origin())).header("origin", gateway.origin());
    assert!(sign_out.send().await.unwrap().status().as_u16() < 400);
    assert_eq!(jsm.sessions_of("ana@acme.com").len(), 0, "signing out ends it there, too");
    // A plugin that believes somebody else says so; one that is gone makes no endless loop, but a page.
    jsm.believe_tokens("https://elsewhere.example", "jira", "{\"keys\":[]}").unwrap();
    let client = gateway.client();
    gateway.sign_in(&client, "ben").await;
    let page = navigate(&client, &format!("{}/servicedesk/customer/portals", gateway.origin())).await;
    assert_eq!(page.status(), 401);
    jsm.ignore_tokens();
    let client = gateway.client();
    gateway.sign_in(&client, "ben").await;
    let mut url = format!("{}/servicedesk/customer/portals", gateway.origin());
    let mut seen = Vec::new();
    for _ in 0..20 {
        let answer = navigate(&client, &url).await;
        seen.push(answer.status().as_u16());
        if !answer.status().is_redirection() {
            break;
        }
        let to = location(&answer);
        url = if to.starts_with('/') { format!("{}{to}", gateway.origin()) } else { to };
    }
    assert_eq!(seen.last(), Some(&503), "{seen:?}");
}
