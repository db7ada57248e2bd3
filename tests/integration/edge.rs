//! The edge: default deny, hosts, header hygiene, limits, sign-in and sign-out over the wire.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use vestibule::clock::{Clock, Timestamp};

use crate::harness::{Options, TestGateway, location, navigate, set_cookies, status_of};
use crate::recorder::{Answer, Recorder, http};

async fn start() -> (TestGateway, Recorder) {
    let recorder = Recorder::start(Answer::default()).await;
    let gateway = TestGateway::start(Options::plain(recorder.address)).await;
    (gateway, recorder)
}

#[tokio::test(flavor = "multi_thread")]
async fn c14_nothing_passes_without_a_session() {
    let (gateway, recorder) = start().await;
    for (method, fields, expected) in [
        ("GET", "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n", 303),
        ("GET", "Accept: application/json\r\n", 401),
        ("GET", "Accept: */*\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n", 401),
        ("GET", "Accept: text/event-stream\r\n", 401),
        ("HEAD", "Accept: application/json\r\n", 401),
        ("OPTIONS", "Origin: https://evil.test\r\nAccess-Control-Request-Method: POST\r\n", 401),
        ("POST", "Content-Length: 0\r\n", 401),
        ("PUT", "Content-Length: 0\r\n", 401),
        ("DELETE", "", 401),
        ("PATCH", "Content-Length: 0\r\n", 401),
    ] {
        let bytes = format!("{method} /private/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n");
        let status = gateway.raw().await.status(bytes.as_bytes()).await;
        assert_eq!(status, expected, "{method} {fields:?}");
    }
    // A public path is public for reading alone.
    for (method, expected) in [("GET", 200), ("HEAD", 200), ("POST", 401), ("OPTIONS", 401), ("DELETE", 401)] {
        let bytes =
            format!("{method} /public/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        assert_eq!(gateway.raw().await.status(bytes.as_bytes()).await, expected, "{method}");
    }
    assert!(recorder.requests().iter().all(|request| request.target() == "/public/x"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tls_only_load_balancers_are_served() {
    let recorder = Recorder::start(Answer::default()).await;
    let mut options = Options::plain(recorder.address);
    options.listen = "  behind_tls_proxy: \"127.0.0.1:0\"\n  trusted_proxies: [\"127.0.0.1/32\"]\n".into();
    let gateway = TestGateway::start(options).await;
    let address = gateway.app.behind_tls_proxy_address().unwrap();
    let ask = async |from: &str, path: &str| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
        let mut stream = socket.connect(address).await.unwrap();
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 203.0.113.9\r\nConnection: close\r\n\r\n"
        );
        let _ = stream.write_all(head.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    };
    assert!(ask("127.0.0.1", "/public/x").await.starts_with("HTTP/1.1 200"));
    assert!(ask("127.0.0.1", "/private/x").await.starts_with("HTTP/1.1 401"));
    assert_eq!(ask("127.0.0.2", "/public/x").await, "");
    let requests = recorder.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].all("x-forwarded-for"), ["203.0.113.9"]);
    assert_eq!(requests[0].all("x-forwarded-proto"), ["https"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_signs_in_uses_the_portal_and_signs_out() {
    let (gateway, recorder) = start().await;
    let client = gateway.client();
    let stopped = navigate(&client, &format!("{}/private/7?tab=2", gateway.origin())).await;
    assert_eq!(stopped.status(), 303);
    let cookie = set_cookies(&stopped).pop().unwrap();
    for part in ["__Host-vestibule-sign-in=", "Secure", "HttpOnly", "Path=/", "SameSite=Lax"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let approved = client.get(format!("{}&login_hint=ana", location(&stopped))).send().await.unwrap();
    let callback = location(&approved);
    let returned = navigate(&client, &callback).await;
    assert_eq!((returned.status().as_u16(), location(&returned).as_str()), (303, "/private/7?tab=2"));
    assert_eq!(returned.headers()["cache-control"], "no-store");
    let session = set_cookies(&returned).into_iter().find(|c| c.starts_with("__Host-vestibule=")).unwrap();
    for part in ["Secure", "HttpOnly", "Path=/", "SameSite=Lax"] {
        assert!(session.contains(part), "{session}");
    }
    assert!(!session.to_lowercase().contains("domain"));
    let page = navigate(&client, &format!("{}/private/7?tab=2", gateway.origin())).await;
    assert_eq!(page.status(), 200);
    assert_eq!(page.headers()["x-request-id"].len(), 32);
    assert_eq!(page.text().await.unwrap(), "1 /private/7?tab=2");
    // B16: the same callback again goes on to the page, because the visitor is signed in.
    let again = navigate(&client, &callback).await;
    assert_eq!(again.status(), 303);
    assert!(location(&again).starts_with('/'), "{}", location(&again));
    // Another site cannot sign the visitor out; the portal's own form can.
    let sign_out = format!("{}/.vestibule/sign-out", gateway.origin());
    let foreign = client.post(&sign_out).header("origin", "https://evil.test").send().await.unwrap();
    assert_eq!(foreign.status(), 403);
    assert_eq!(navigate(&client, &sign_out).await.status(), 200);
    let value = session.split(';').next().unwrap().to_owned();
    let done = client.post(&sign_out).header("origin", gateway.origin()).send().await.unwrap();
    assert_eq!(done.status(), 303);
    // C7: the cookie is worth nothing afterwards, even to somebody who kept it.
    let reused =
        gateway.client().get(format!("{}/private/7", gateway.origin())).header("cookie", value).send().await.unwrap();
    assert_eq!(reused.status(), 401);
    assert_eq!(recorder.requests().len(), 1);
    let metrics = gateway.metrics();
    assert!(metrics.contains("vestibule_sign_ins_total{provider=\"acme\",result=\"signed_in\"} 1"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_people_get_a_page_and_no_session() {
    let (gateway, recorder) = start().await;
    let client = gateway.client();
    let stopped = navigate(&client, &format!("{}/private", gateway.origin())).await;
    let approved = client.get(format!("{}&login_hint=mallory", location(&stopped))).send().await.unwrap();
    let refused = navigate(&client, &location(&approved)).await;
    assert_eq!(refused.status(), 403);
    assert!(set_cookies(&refused).iter().all(|cookie| !cookie.starts_with("__Host-vestibule=")));
    assert_eq!(recorder.requests().len(), 0);
    assert!(gateway.metrics().contains("reason=\"not_admitted_domain\"} 1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn c20_c22_client_sent_identity_never_reaches_the_upstream() {
    let (gateway, recorder) = start().await;
    let client = gateway.client();
    let session = gateway.sign_in(&client, "ana").await;
    let bytes = format!(
        "GET /private/h HTTP/1.1\r\nHost: localhost\r\nCookie: a=1; __Host-vestibule={session}; b=2\r\nCookie: __host-Vestibule-sign-in=x; c=3\r\n\
         X-Forwarded-For: 192.0.2.66\r\nx-forwarded-FOR: 192.0.2.67\r\nX_Forwarded_For: 192.0.2.68\r\nX-Forwarded_For: 192.0.2.69\r\n\
         X-Forwarded-Host: evil.test\r\nForwarded: for=192.0.2.70\r\nX-Real-IP: 192.0.2.71\r\nAuthorization: Basic eHg6eXk=\r\n\
         X-Original-URL: /denied\r\nX-Rewrite-URL: /denied\r\nX-HTTP-Method-Override: DELETE\r\nRemote-User: admin\r\nREMOTE_USER: admin\r\n\
         X-Auth-User: admin\r\nX-Request-Id: mine\r\nReferer: https://evil.test/\r\nAccept: text/plain\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(gateway.raw().await.status(bytes.as_bytes()).await, 200);
    let request = recorder.requests().pop().unwrap();
    assert_eq!(request.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(request.all("x-forwarded-proto"), ["https"]);
    assert_eq!(request.all("host"), [recorder.address.to_string()]);
    assert_eq!(request.all("cookie"), ["a=1; b=2; c=3"]);
    assert_eq!(request.all("accept"), ["text/plain"]);
    assert_ne!(request.all("x-request-id"), ["mine"]);
    let head = request.head.to_lowercase();
    for word in ["192.0.2.", "evil.test", "admin", "ehg6exk", "/denied", "delete", "vestibule", "forwarded_for"] {
        assert!(!head.contains(word), "{word}: {head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn path_confusion_reaches_no_denied_path() {
    let (gateway, recorder) = start().await;
    for path in [
        "/public/../denied/x",
        "/public/%2e%2e/denied/x",
        "/public/..%2fdenied/x",
        "/public%2f..%2fdenied/x",
        "/public/..;/denied/x",
        "/public;/../denied/x",
        "/public/.%2e/denied/x",
        "/public\\..\\denied\\x",
        "/public/..%5cdenied/x",
        "//denied/x",
        "/./denied/x",
        "/denied%00.png",
        "/public/%252e%252e/denied",
        "/public/%c0%ae%c0%ae/denied",
        "/public/%u002e",
        "/public/%EF%BC%8E%EF%BC%8E/denied",
    ] {
        let bytes =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nConnection: close\r\n\r\n");
        assert_eq!(gateway.raw().await.status(bytes.as_bytes()).await, 400, "{path}");
    }
    for (path, expected) in [
        ("/%64enied/x", 403),
        ("/denied/x?/public/", 403),
        ("/denied", 403),
        ("/denied/", 403),
        ("/DENIED/x", 401),
        ("/.vestibule/nothing", 404),
        ("/.VESTIBULE/sign-in", 404),
        ("/%2evestibule/sign-in", 404),
        ("/.vestibule", 404),
        ("/.vestibule/sign-in/", 404),
        ("/.vestibulex", 404),
    ] {
        let bytes =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nConnection: close\r\n\r\n");
        let answer = {
            let mut raw = gateway.raw().await;
            raw.send(bytes.as_bytes()).await;
            raw.answer().await
        };
        // "/%2evestibule/sign-in" is normalised to the path itself.
        let allowed = expected == 404 && path.contains("%2e") && status_of(&answer) == 303;
        assert!(status_of(&answer) == expected || allowed, "{path}: {answer}");
    }
    assert_eq!(recorder.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn e1_unknown_hosts_are_misdirected() {
    let (gateway, recorder) = start().await;
    for host in ["evil.test", "127.0.0.1", "localhost.evil.test"] {
        let bytes = format!("GET /public/x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let mut raw = gateway.raw().await;
        raw.send(bytes.as_bytes()).await;
        let answer = raw.answer().await;
        assert_eq!(status_of(&answer), 421, "{host}");
        assert!(!answer.contains(host), "E8: nothing is reflected: {answer}");
    }
    assert_eq!(recorder.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn e4_oversize_requests_are_refused() {
    let recorder = Recorder::start(Answer::default()).await;
    let mut options = Options::plain(recorder.address);
    options.portal.push_str("    limits: { body: 1KiB }\n");
    let gateway = TestGateway::start(options).await;
    let big = "x".repeat(40 * 1024);
    let many: String = (0..101).map(|n| format!("X-{n}: y\r\n")).collect();
    let path = "a".repeat(9 * 1024);
    for (bytes, expected) in [
        (format!("GET /public/x HTTP/1.1\r\nHost: localhost\r\nX: {big}\r\n\r\n"), 431),
        (format!("GET /public/x HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"), 431),
        (format!("GET /public/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n"), 414),
    ] {
        assert_eq!(gateway.raw().await.status(bytes.as_bytes()).await, expected);
    }
    let client = gateway.client();
    let session = gateway.sign_in(&client, "ana").await;
    let origin = gateway.origin();
    let post = |framing: &str, body: &str| {
        format!(
            "POST /private/x HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\nCookie: __Host-vestibule={session}\r\n{framing}\r\n\r\n{body}"
        )
    };
    assert_eq!(gateway.raw().await.status(post("Content-Length: 1024", &"x".repeat(1024)).as_bytes()).await, 200);
    assert_eq!(gateway.raw().await.status(post("Content-Length: 1025", &"x".repeat(1025)).as_bytes()).await, 413);
    let chunked = format!("401\r\n{}\r\n0\r\n\r\n", "x".repeat(1025));
    assert_eq!(gateway.raw().await.status(post("Transfer-Encoding: chunked", &chunked).as_bytes()).await, 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_only_redirects() {
    let (gateway, _recorder) = start().await;
    let client = gateway.client();
    let address = gateway.app.http_address().unwrap();
    let answer = client.get(format!("http://localhost:{}/a?b=c", address.port())).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), location(&answer)), (301, format!("{}/a?b=c", gateway.origin())));
    let answer = client.post(format!("http://localhost:{}/a", address.port())).body("x").send().await.unwrap();
    assert_eq!(answer.status(), 308);
    let answer = client.get(format!("http://{address}/")).send().await.unwrap();
    assert_eq!(answer.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_listener_tells_about_health() {
    let (gateway, _recorder) = start().await;
    let client = gateway.client();
    let admin = format!("http://{}", gateway.app.admin_address().unwrap());
    for (path, status, words) in [
        ("/healthz", 200, "alive"),
        ("/readyz", 200, "ready"),
        ("/metrics", 200, "vestibule_build_info"),
        ("/x", 404, "/metrics"),
    ] {
        let answer = client.get(format!("{admin}{path}")).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{path}");
        assert!(answer.text().await.unwrap().contains(words), "{path}");
    }
    // Not on the public side.
    let answer = navigate(&client, &format!("{}/metrics", gateway.origin())).await;
    assert_eq!(answer.status(), 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_visitors_are_served_alike() {
    let (gateway, recorder) = start().await;
    let client = gateway.client_builder().http2_prior_knowledge().build().unwrap();
    gateway.sign_in(&client, "ana").await;
    let page = navigate(&client, &format!("{}/private/h2", gateway.origin())).await;
    assert_eq!((page.status().as_u16(), page.version()), (200, http::Version::HTTP_2));
    let request = recorder.requests().pop().unwrap();
    assert_eq!((request.target(), request.all("host")), ("/private/h2", vec![recorder.address.to_string().as_str()]));
    assert_eq!(request.all("x-forwarded-for"), ["127.0.0.1"]);
    assert!(request.all("cookie").iter().all(|cookie| !cookie.contains("vestibule")));
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_of_the_upstream_become_public() {
    let recorder = Recorder::start(Answer::new(|request, _| {
        let host = request.all("host")[0].to_owned();
        match request.target() {
            "/public/redirect" => http(302, &format!("Location: http://{host}/there\r\n"), b""),
            "/public/elsewhere" => http(302, "Location: https://id.example/there\r\n", b""),
            "/public/page" => http(
                200,
                "Content-Type: text/html\r\nETag: \"1\"\r\nServer: Jira\r\nX-AUSERNAME: ana\r\nSet-Cookie: x=1; Domain=jsm.internal; Path=/\r\nSet-Cookie: __Host-vestibule=fixed; Path=/\r\n",
                format!("<a href=\"http://{host}/a\"> <script>u='http:\\/\\/{host}\\/b'</script>").as_bytes(),
            ),
            _ => http(200, "Content-Type: application/octet-stream\r\nETag: \"1\"\r\n", format!("http://{host}/").as_bytes()),
        }
    }))
    .await;
    let gateway = TestGateway::start(Options::plain(recorder.address)).await;
    let (client, origin) = (gateway.client(), gateway.origin());
    let get = |path: &str| navigate_owned(client.clone(), format!("{origin}/public/{path}"));
    assert_eq!(location(&get("redirect").await), format!("{origin}/there"));
    assert_eq!(location(&get("elsewhere").await), "https://id.example/there");
    let page = get("page").await;
    let tag = page.headers()["etag"].to_str().unwrap();
    assert!(tag.starts_with("W/\"1~v") && tag.ends_with('"'), "weak, and known when it comes back: {tag}");
    assert!(page.headers().get("server").is_none() && page.headers().get("x-ausername").is_none());
    assert_eq!(set_cookies(&page), ["x=1; Path=/; Secure"], "C13");
    let escaped = origin.replace('/', "\\/");
    assert_eq!(page.text().await.unwrap(), format!("<a href=\"{origin}/a\"> <script>u='{escaped}\\/b'</script>"));
    let binary = get("binary").await;
    assert_eq!(binary.headers()["etag"], "\"1\"");
    assert_eq!(binary.text().await.unwrap(), format!("http://{}/", recorder.address));
}

async fn navigate_owned(client: reqwest::Client, url: String) -> reqwest::Response {
    navigate(&client, &url).await
}

#[tokio::test(flavor = "multi_thread")]
async fn e7_a_broken_upstream_is_told_apart() {
    let recorder = Recorder::start(Answer::new(|request, _| match request.target() {
        "/public/cut" => b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n".to_vec(),
        "/public/nonsense" => b"220 smtp.example ESMTP\r\n\r\n".to_vec(),
        _ => Vec::new(),
    }))
    .await;
    let mut options = Options::plain(recorder.address);
    options.portal.push_str("    limits: { upstream_response: 1s }\n");
    let gateway = TestGateway::start(options).await;
    let client = gateway.client();
    for (path, expected) in [("nonsense", 502), ("gone", 502), ("cut", 504)] {
        let answer = client.get(format!("{}/public/{path}", gateway.origin())).send().await.unwrap();
        assert_eq!(answer.status(), expected, "{path}");
        let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        assert!(answer.text().await.unwrap().contains(&id), "{path}");
    }
    let dead = TestGateway::start(Options::plain("127.0.0.1:1".parse().unwrap())).await;
    let answer = navigate(&dead.client(), &format!("{}/public/x", dead.origin())).await;
    assert_eq!(answer.status(), 502);
    assert!(answer.text().await.unwrap().contains("<html"));
}

#[tokio::test(flavor = "multi_thread")]
async fn c6_sessions_end_at_their_timeouts() {
    let clock = Clock::manual(Timestamp::from_seconds(1_700_000_000));
    let recorder = Recorder::start(Answer::default()).await;
    let mut options = Options::plain(recorder.address);
    options.clock = clock.clone();
    let gateway = TestGateway::start(options).await;
    let client = gateway.client();
    gateway.sign_in(&client, "ana").await;
    let url = format!("{}/private/x", gateway.origin());
    for _ in 0..3 {
        clock.advance(Duration::from_secs(29 * 60));
        assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
    }
    clock.advance(Duration::from_secs(31 * 60));
    assert_eq!(client.get(&url).send().await.unwrap().status(), 401);
}

/// A head begun with a session that lives is judged by the moment at which all of it is there.
#[tokio::test(flavor = "multi_thread")]
async fn c6_a_session_that_ends_while_a_head_comes_opens_nothing() {
    let recorder = Recorder::start(Answer::default()).await;
    let clock = Clock::manual(Timestamp::from_seconds(1_800_000_000));
    let mut options = Options::plain(recorder.address);
    options.clock = clock.clone();
    let gateway = TestGateway::start(options).await;
    let session = gateway.sign_in(&gateway.client(), "ana").await;
    let mut raw = gateway.raw().await;
    let half = format!("GET /private/x HTTP/1.1\r\nHost: localhost\r\nCookie: __Host-vestibule={session}\r\n");
    raw.send(format!("{half}\r\n").as_bytes()).await;
    assert_eq!(status_of(&raw.answer().await), 200);
    raw.send(half.as_bytes()).await;
    clock.advance(Duration::from_secs(9 * 3600));
    raw.send(b"\r\n").await;
    assert_eq!(status_of(&raw.answer().await), 401);
    assert_eq!(recorder.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn c3_two_session_cookies_are_none() {
    let (gateway, _recorder) = start().await;
    let client = gateway.client();
    let session = gateway.sign_in(&client, "ana").await;
    let ask = |cookie: String| {
        let request = gateway.client().get(format!("{}/private/x", gateway.origin())).header("cookie", cookie);
        async move { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(ask(format!("__Host-vestibule={session}")).await, 200);
    assert_eq!(ask(format!("__Host-vestibule={session}; __Host-vestibule={}", "A".repeat(43))).await, 401);
    assert_eq!(ask(format!("__Host-vestibule={}; __Host-vestibule={session}", "A".repeat(43))).await, 401);
    assert_eq!(ask(format!("__host-vestibule={session}")).await, 401);
    assert_eq!(ask(format!("=__Host-vestibule={session}")).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn cross_site_writes_are_refused() {
    let (gateway, recorder) = start().await;
    let client = gateway.client();
    gateway.sign_in(&client, "ana").await;
    let url = format!("{}/private/x", gateway.origin());
    for (name, value, expected) in [
        ("origin", "https://evil.test".to_owned(), 403),
        ("origin", "null".to_owned(), 403),
        ("sec-fetch-site", "cross-site".to_owned(), 403),
        ("sec-fetch-site", "same-site".to_owned(), 403),
        ("origin", gateway.origin(), 200),
    ] {
        let status = client.post(&url).header(name, &value).body("x").send().await.unwrap().status();
        assert_eq!(status, expected, "{name}: {value}");
    }
    let request = recorder.requests().pop().unwrap();
    assert_eq!(request.all("origin"), [format!("http://{}", recorder.address)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn expect_100_continue_is_answered_before_the_body() {
    let (gateway, recorder) = start().await;
    let client = gateway.client();
    let session = gateway.sign_in(&client, "ana").await;
    let head = |session: &str| {
        format!(
            "POST /private/x HTTP/1.1\r\nHost: localhost\r\nOrigin: {}\r\nCookie: __Host-vestibule={session}\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
            gateway.origin()
        )
    };
    let mut raw = gateway.raw().await;
    raw.send(head(&session).as_bytes()).await;
    raw.send(b"hello").await;
    let answer = raw.answer().await;
    assert!(answer.starts_with("HTTP/1.1 100 "), "{answer}");
    recorder.wait_for(1).await;
    assert_eq!(recorder.requests()[0].body, b"hello");
    // A refused upload is not even sent.
    assert_eq!(gateway.raw().await.status(head(&"A".repeat(43)).as_bytes()).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn e6_no_answer_of_ours_is_kept_by_anybody() {
    let (gateway, _recorder) = start().await;
    let session = gateway.sign_in(&gateway.client(), "ana").await;
    let plain = format!("http://localhost:{}", gateway.app.http_address().unwrap().port());
    let admin = format!("http://{}", gateway.app.admin_address().unwrap());
    let own = gateway.origin();
    let page = [("accept", "text/html"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    let cookie = format!("__Host-vestibule={session}");
    for (method, url, status) in [
        ("GET", format!("{own}/private/x"), 303),
        ("HEAD", format!("{own}/private/x"), 303),
        ("POST", format!("{own}/private/x"), 401),
        ("GET", format!("{own}/denied/x.css"), 403),
        ("GET", format!("{own}/a%00"), 400),
        ("GET", format!("{own}/.vestibule/nothing"), 404),
        ("GET", format!("{own}/.vestibule/sign-in"), 303),
        ("GET", format!("{own}/.vestibule/sign-out"), 200),
        ("POST", format!("{own}/.vestibule/sign-out"), 303),
        ("GET", format!("{own}/.vestibule/signed-out"), 200),
        ("GET", format!("{own}/.vestibule/oidc/acme/callback?code=x&state=y"), 400),
        ("GET", format!("{own}/.vestibule/oidc/acme/callback"), 400),
        ("TRACE", format!("{own}/private/x"), 405),
        ("GET", format!("{plain}/x"), 301),
        ("GET", format!("{admin}/readyz"), 200),
        ("GET", format!("{admin}/metrics"), 200),
    ] {
        let method = http::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = gateway.client().request(method.clone(), &url);
        for (name, value) in page {
            request = request.header(name, value);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{method} {url}");
        assert_eq!(answer.headers()["cache-control"], "no-store", "{method} {url}");
        assert_eq!(answer.headers().contains_key("strict-transport-security"), url.starts_with("https:"), "{url}");
    }
    // A page of the portal for somebody who is signed in is theirs alone; so is our answer to a refused one.
    let answer = gateway.client().get(format!("{own}/denied/x")).header("cookie", &cookie).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["cache-control"].to_str().unwrap()), (403, "no-store"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rewritten_answers_are_framed_for_whoever_asked() {
    let recorder = Recorder::start(Answer::new(|request, _| match request.target() {
        "/public/empty" => http(302, "Content-Type: text/html\r\nLocation: /x\r\n", b""),
        _ => http(200, "Content-Type: text/html\r\n", b"<p>whole</p>"),
    }))
    .await;
    let gateway = TestGateway::start(Options::plain(recorder.address)).await;
    let get = |path: &str, more: &str| format!("GET /public/{path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n");
    let mut raw = gateway.raw().await;
    raw.send(get("empty", "").as_bytes()).await;
    let empty = raw.until("\r\n\r\n").await;
    assert_eq!(status_of(&empty), 302);
    raw.send(get("page", "Connection: close\r\n").as_bytes()).await;
    let page = raw.rest().await;
    assert!(page.starts_with("HTTP/1.1 200 "), "the answer before ended where it said: {page}");
    assert!(page.contains("<p>whole</p>"), "{page}");
    // HTTP/1.0 knows no chunks: the end of the connection is the end of the page.
    let mut old = gateway.raw().await;
    old.send(b"GET /public/page HTTP/1.0\r\nHost: localhost\r\n\r\n").await;
    let page = old.rest().await;
    assert!(page.ends_with("\r\n\r\n<p>whole</p>"), "{page}");
    assert!(!page.to_lowercase().contains("transfer-encoding"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_in_json_requests_become_the_upstreams() {
    let (gateway, recorder) = start().await;
    let client = gateway.client();
    gateway.sign_in(&client, "ana").await;
    let (url, origin) = (format!("{}/private/models", gateway.origin()), gateway.origin());
    let json = format!(
        "{{\"clientBasePath\":\"{origin}/servicedesk/customer\",\"destination\":\"{}\"}}",
        origin.replace('/', "\\/")
    );
    let text = format!("see {origin}/a");
    for (content_type, body) in [("application/json", &json), ("text/plain", &text)] {
        let request = client.post(&url).header("origin", &origin).header("content-type", content_type);
        assert_eq!(request.body(body.clone()).send().await.unwrap().status(), 200);
    }
    let requests = recorder.requests();
    let upstream = format!("http://{}", recorder.address);
    let expected = json.replace(&origin, &upstream).replace(&origin.replace('/', "\\/"), &upstream.replace('/', "\\/"));
    assert_eq!(String::from_utf8_lossy(&requests[0].body), expected);
    assert_eq!((requests[0].all("transfer-encoding"), requests[0].all("content-length").len()), (vec!["chunked"], 0));
    assert_eq!(String::from_utf8_lossy(&requests[1].body), text, "what people write is left as it is");
    assert_eq!(requests[1].all("content-length"), [text.len().to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_1_2_and_1_3_are_spoken_and_nothing_older_than_the_setting() {
    use reqwest::tls::Version;
    let recorder = Recorder::start(Answer::default()).await;
    let gateway = TestGateway::start(Options::plain(recorder.address)).await;
    for version in [Version::TLS_1_2, Version::TLS_1_3] {
        let client = gateway.client_builder().min_tls_version(version).max_tls_version(version).build().unwrap();
        let answer = client.get(format!("{}/public/x", gateway.origin())).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{version:?}");
    }
    let mut strict = Options::plain(recorder.address);
    strict.tls = ", minimum_version: \"1.3\"".into();
    let gateway = TestGateway::start(strict).await;
    for (version, served) in [(Version::TLS_1_2, false), (Version::TLS_1_3, true)] {
        let client = gateway.client_builder().min_tls_version(version).max_tls_version(version).build().unwrap();
        let answer = client.get(format!("{}/public/x", gateway.origin())).send().await;
        assert_eq!(answer.is_ok(), served, "{version:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_tab_shares_the_session_of_the_first() {
    let recorder = Recorder::start(Answer::default()).await;
    let gateway = TestGateway::start(Options::plain(recorder.address)).await;
    let client = gateway.client();
    let mut callbacks = Vec::new();
    for tab in ["one", "two"] {
        let stopped = navigate(&client, &format!("{}/private/{tab}", gateway.origin())).await;
        let approved = client.get(format!("{}&login_hint=ana", location(&stopped))).send().await.unwrap();
        callbacks.push((format!("/private/{tab}"), location(&approved)));
    }
    for (number, (wanted, callback)) in callbacks.iter().enumerate() {
        let landed = navigate(&client, callback).await;
        assert_eq!((landed.status().as_u16(), location(&landed)), (303, wanted.clone()));
        let session = set_cookies(&landed).iter().any(|cookie| cookie.starts_with("__Host-vestibule="));
        assert_eq!(session, number == 0, "the first opens the session for both");
    }
    assert_eq!(gateway.app.sessions().count().await.unwrap(), 1);
}
