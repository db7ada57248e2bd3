//! What is sent while the session is over: kept, and sent again for the same browser and person, once, and for nobody else.

use std::time::Duration;

use vestibule::clock::{Clock, Timestamp};

use crate::harness::{Options, Raw, TestGateway, location, navigate, set_cookies, status_of};
use crate::recorder::{Answer, Recorder, Request, http};

const MINUTE: Duration = Duration::from_secs(60);
const FORM: &str = "application/x-www-form-urlencoded";

struct Walk {
    recorder: Recorder,
    gateway: TestGateway,
    clock: Clock,
}

/// A browser that keeps its cookies.
struct Browser {
    client: reqwest::Client,
    origin: String,
}

impl Walk {
    async fn start(portal: &str) -> Self {
        Self::before(None, portal).await
    }

    async fn before(upstream: Option<std::net::SocketAddr>, portal: &str) -> Self {
        let recorder = Recorder::start(Answer::new(|_, _| http(201, "Content-Type: text/plain\r\n", b"made"))).await;
        let clock = Clock::manual(Timestamp::from_seconds(1_764_000_000));
        let mut options = Options { clock: clock.clone(), ..Options::plain(upstream.unwrap_or(recorder.address)) };
        options.portal.push_str(portal);
        Self { recorder, gateway: TestGateway::start(options).await, clock }
    }

    fn browser(&self) -> Browser {
        Browser { client: self.gateway.client(), origin: self.gateway.origin() }
    }

    /// A browser of somebody whose session is over.
    async fn browser_of(&self, person: &str) -> Browser {
        let browser = self.browser();
        self.gateway.sign_in(&browser.client, person).await;
        self.session_ends();
        browser
    }

    fn session_ends(&self) {
        self.clock.advance(31 * MINUTE);
    }

    /// What the upstream got, without what asked for nothing but a page.
    fn written(&self) -> Vec<Request> {
        self.recorder.requests().into_iter().filter(|request| request.method() != "GET").collect()
    }

    fn counted(&self, result: &str) -> u64 {
        let name = format!("vestibule_kept_forms_total{{portal=\"localhost\",result=\"{result}\"}} ");
        let metrics = self.gateway.metrics();
        metrics.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |count| count.parse().unwrap())
    }

    /// Signs in from the page that waits, and gives the page on which it ends.
    async fn signs_in(&self, browser: &Browser, waits: &str, person: &str) -> String {
        let page = browser.page(waits).await;
        let sign_in = between(&page, "href=\"/.vestibule/sign-in", "\"").unwrap_or_else(|| panic!("{page}"));
        let begun = navigate(&browser.client, &format!("{}/.vestibule/sign-in{sign_in}", browser.origin)).await;
        let approved = browser.client.get(format!("{}&login_hint={person}", location(&begun))).send().await.unwrap();
        let back = navigate(&browser.client, &location(&approved)).await;
        assert_eq!(back.status(), 303, "{}", back.text().await.unwrap());
        location(&back)
    }
}

impl Browser {
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    async fn page(&self, path: &str) -> String {
        navigate(&self.client, &self.url(path)).await.text().await.unwrap()
    }

    /// As a browser sends a form of a page of the portal.
    fn form(&self, path: &str, kind: &str, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
        let request = self.client.post(self.url(path)).header("content-type", kind).body(body);
        let request = request.header("accept", "text/html").header("sec-fetch-mode", "navigate");
        request.header("origin", &self.origin).header("referer", self.url("/private/form"))
    }

    async fn sends(&self, path: &str, kind: &str, body: impl Into<reqwest::Body>) -> reqwest::Response {
        self.form(path, kind, body).send().await.unwrap()
    }

    /// Presses the button of the page in between.
    async fn confirms(&self, address: &str) -> reqwest::Response {
        self.sends(address, "text/plain", "send=now\r\n").await
    }
}

fn between(text: &str, from: &str, to: &str) -> Option<String> {
    Some(text.split_once(from)?.1.split_once(to)?.0.replace("&#38;", "&"))
}

/// The address at which the page in between sends the form.
fn address(page: &str) -> String {
    between(page, "<form method=\"post\" enctype=\"text/plain\" action=\"", "\"").unwrap_or_else(|| panic!("{page}"))
}

fn title(page: &str) -> &str {
    page.split_once("<h1>").and_then(|(_, rest)| rest.split_once("</h1>")).map_or("", |(title, _)| title)
}

#[tokio::test]
async fn a_form_that_is_sent_while_the_session_is_over_arrives_once() {
    let walk = Walk::start("").await;
    let browser = walk.browser_of("ana").await;
    let body = "summary=It%20broke&next=https%3A%2F%2Fx.test%2F&é=raw";
    let kept = browser.sends("/private/create?x=1", FORM, body).await;
    assert_eq!(kept.status(), 303);
    let waits = location(&kept);
    assert!(waits.starts_with("/.vestibule/kept/"), "{waits}");
    assert!(walk.written().is_empty(), "nothing goes on without a session");

    let page = walk.signs_in(&browser, &waits, "ana").await;
    assert_eq!(page, waits);
    let page = browser.page(&page).await;
    assert_eq!(title(&page), "Sending what you wrote");
    assert!(page.contains("<script>") && !page.contains("broke"), "sent by itself, and shown to nobody: {page}");
    let sent = browser.confirms(&address(&page)).await;
    assert_eq!((sent.status().as_u16(), sent.text().await.unwrap().as_str()), (201, "made"));
    let written = walk.written();
    assert_eq!(written.len(), 1, "{written:?}");
    let sent = &written[0];
    assert_eq!(sent.line(), "POST /private/create?x=1 HTTP/1.1");
    assert_eq!(String::from_utf8_lossy(&sent.body), body);
    assert_eq!(sent.all("content-type"), [FORM]);
    assert!(!sent.head.contains("vestibule"), "{}", sent.head);
    let upstream = format!("http://{}", walk.recorder.address);
    assert_eq!(sent.all("referer"), [format!("{upstream}/private/form")], "the page that it came from");
    assert_eq!(sent.all("origin"), [upstream]);

    // Once more: by the button, by the page, by the address.
    assert_eq!(browser.confirms(&address(&page)).await.status(), 410);
    assert_eq!(title(&browser.page(&waits).await), "This is not waiting any more");
    let again = navigate(&browser.client, &browser.url(&address(&page))).await;
    assert_eq!((again.status().as_u16(), location(&again)), (303, waits));
    assert_eq!(walk.written().len(), 1);
    assert_eq!((walk.counted("kept"), walk.counted("sent")), (1, 1));
    // A form of the page that came of it, which stands at the marked address, goes on like any other.
    let next = browser.sends(&address(&page), FORM, "b=2").await;
    assert_eq!(next.status(), 201);
    let written = walk.written();
    assert_eq!((written[1].line(), &written[1].body[..]), ("POST /private/create?x=1 HTTP/1.1", &b"b=2"[..]));
}

#[tokio::test]
async fn files_arrive_byte_by_byte() {
    let walk = Walk::start("    limits: { kept_form: 1MiB }\n").await;
    let browser = walk.browser_of("ana").await;
    let mut body = b"--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.bin\"\r\n\r\n".to_vec();
    body.extend((0..900_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8));
    body.extend_from_slice(b"\r\n--b--\r\n");
    let kept = browser.sends("/private/upload", "multipart/form-data; boundary=b", body.clone()).await;
    let waits = location(&kept);
    walk.signs_in(&browser, &waits, "ana").await;
    let page = browser.page(&waits).await;
    assert_eq!(browser.confirms(&address(&page)).await.status(), 201);
    let raw = walk.recorder.bytes();
    assert!(raw.windows(body.len()).any(|window| window == body), "the very bytes");
    assert_eq!(walk.written()[0].all("content-length"), [body.len().to_string()]);
    assert_eq!(walk.written()[0].all("content-type"), ["multipart/form-data; boundary=b"]);
}

#[tokio::test]
async fn what_a_script_sends_waits_for_its_persons_word() {
    let walk = Walk::start("").await;
    let browser = walk.browser_of("ana").await;
    let call = |method: reqwest::Method| {
        let request = browser.client.request(method, browser.url("/private/api")).header("origin", &browser.origin);
        let request = request.header("sec-fetch-mode", "cors").header("x-special", "yes").header("if-match", "x");
        request.header("content-type", "application/json").body("{\"a\": [1,  2]}")
    };
    let told = call(reqwest::Method::PUT).send().await.unwrap();
    assert_eq!(told.status(), 401);
    assert_eq!(told.headers()["www-authenticate"], "Vestibule sign_in=\"/.vestibule/sign-in\"");
    let told: serde_json::Value = serde_json::from_str(&told.text().await.unwrap()).unwrap();
    assert_eq!(
        (told["error"].as_str(), told["sign_in"].as_str()),
        (Some("sign_in_required"), Some("/.vestibule/sign-in"))
    );
    let waits = told["kept"].as_str().unwrap().to_owned();
    walk.signs_in(&browser, &waits, "ana").await;
    let page = browser.page(&waits).await;
    assert_eq!(title(&page), "Send what was waiting?");
    assert!(!page.contains("<script"), "not by itself");
    assert_eq!(browser.confirms(&address(&page)).await.status(), 201);
    let written = walk.written();
    assert_eq!((written[0].line(), &written[0].body[..]), ("PUT /private/api HTTP/1.1", &b"{\"a\": [1,  2]}"[..]));
    assert_eq!((written[0].all("x-special"), written[0].all("if-match").len()), (vec!["yes"], 0));

    // Those that repeat themselves fill nothing.
    walk.session_ends();
    let mut kept = 0;
    for _ in 0..10 {
        let told: serde_json::Value =
            serde_json::from_str(&call(reqwest::Method::POST).send().await.unwrap().text().await.unwrap()).unwrap();
        kept += usize::from(told.get("kept").is_some());
    }
    assert_eq!(kept, 4);
    // And a form still has room; it can be dropped, too.
    let waits = location(&browser.sends("/private/create", FORM, "a=b").await);
    let handle = waits.rsplit('/').next().unwrap().to_owned();
    let dropped = browser.sends("/.vestibule/kept/drop", FORM, format!("form={handle}")).await;
    assert_eq!((dropped.status().as_u16(), location(&dropped)), (303, "/private/form".into()));
    assert_eq!(title(&browser.page(&waits).await), "This is not waiting any more");
    assert_eq!((walk.counted("dropped"), walk.written().len()), (1, 1));
}

#[tokio::test]
async fn another_person_is_told_that_it_was_dropped() {
    let walk = Walk::start("").await;
    let browser = walk.browser_of("ana").await;
    for by_address in [false, true] {
        let waits = location(&browser.sends("/private/create", FORM, "a=secret").await);
        let page = walk.signs_in(&browser, &waits, "ben").await;
        let handle = waits.rsplit('/').next().unwrap();
        let answer = if by_address {
            browser.confirms(&format!("/private/create?.vestibule-kept={handle}")).await
        } else {
            navigate(&browser.client, &browser.url(&page)).await
        };
        assert_eq!(answer.status(), 409);
        let text = answer.text().await.unwrap();
        assert_eq!(title(&text), "What was waiting was dropped");
        assert!(!text.contains("secret") && !text.contains("ana"), "{text}");
        // It is gone for Ana, too.
        walk.session_ends();
        let page = browser.page(&waits).await;
        assert_eq!(title(&page), "This is not waiting any more");
        // The next round begins with Ana again.
        let started = navigate(&browser.client, &browser.url("/private")).await;
        let approved = browser.client.get(format!("{}&login_hint=ana", location(&started))).send().await.unwrap();
        navigate(&browser.client, &location(&approved)).await;
        walk.session_ends();
    }
    assert!(walk.written().is_empty());
    assert_eq!(walk.counted("of_another"), 2);
    // In a browser of several people nothing is sent by itself: the page that it came from may have been another one's.
    let waits = location(&browser.sends("/private/create", FORM, "a=b").await);
    walk.signs_in(&browser, &waits, "ana").await;
    let page = browser.page(&waits).await;
    assert_eq!(title(&page), "Send what was waiting?");
    assert_eq!(browser.confirms(&address(&page)).await.status(), 201);
}

#[tokio::test]
async fn another_browser_gets_nothing_of_it() {
    let walk = Walk::start("").await;
    let browser = walk.browser_of("ana").await;
    let waits = location(&browser.sends("/private/create", FORM, "a=secret").await);
    let handle = waits.rsplit('/').next().unwrap();
    let other = walk.browser();
    walk.gateway.sign_in(&other.client, "ana").await; // the same person, elsewhere
    let page = navigate(&other.client, &other.url(&waits)).await;
    assert_eq!(page.status(), 410);
    assert_eq!(other.confirms(&format!("/private/create?.vestibule-kept={handle}")).await.status(), 410);
    let dropped = other.sends("/.vestibule/kept/drop", FORM, format!("form={handle}")).await;
    assert_eq!(dropped.status(), 410);
    assert!(walk.written().is_empty());
    // It still waits where it was written.
    walk.signs_in(&browser, &waits, "ana").await;
    let page = browser.page(&waits).await;
    assert_eq!(browser.confirms(&address(&page)).await.status(), 201);
}

#[tokio::test]
async fn nothing_is_kept_of_strangers_or_of_other_sites() {
    let walk = Walk::start("").await;
    let known = walk.browser_of("ana").await;
    let stranger = walk.browser();
    let refused = stranger.sends("/private/create", FORM, "a=b").await;
    assert_eq!(refused.status(), 401, "no browser of ours");
    for cookie in ["x", &"A".repeat(140)] {
        let forged = stranger
            .form("/private/create", FORM, "a=b")
            .header("cookie", format!("__Host-vestibule-browser={cookie}"));
        assert_eq!(forged.send().await.unwrap().status(), 401);
    }
    let from = |headers: &[(&'static str, &'static str)]| {
        let mut request = known.client.post(known.url("/private/create")).header("accept", "text/html");
        request = request.header("sec-fetch-mode", "navigate").header("content-type", FORM).body("a=b");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send()
    };
    for headers in [
        &[("origin", "https://evil.test")][..],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[],
    ] {
        assert_eq!(from(headers).await.unwrap().status(), 401, "{headers:?}");
    }
    assert_eq!(walk.counted("kept"), 0);
    // What is kept is sent by a page of ours alone.
    let waits = location(&known.sends("/private/create", FORM, "a=b").await);
    walk.signs_in(&known, &waits, "ana").await;
    let address = address(&known.page(&waits).await);
    for (name, value) in [("origin", "https://evil.test"), ("sec-fetch-site", "cross-site"), ("x-nothing", "said")] {
        let request = known.client.post(known.url(&address)).header("content-type", "text/plain").header(name, value);
        assert_eq!(request.body("send=now").send().await.unwrap().status(), 403, "{name}");
    }
    assert!(walk.written().is_empty());
    assert_eq!(known.confirms(&address).await.status(), 201);
    // Signing out makes the browser a stranger.
    let signed_out = known.sends("/.vestibule/sign-out", FORM, "").await;
    assert!(
        set_cookies(&signed_out).iter().any(|set| set.starts_with("__Host-vestibule-browser=; ")),
        "{signed_out:?}"
    );
    assert_eq!(known.sends("/private/create", FORM, "a=b").await.status(), 401);
}

#[tokio::test]
async fn what_has_waited_too_long_is_gone() {
    let walk = Walk::start("").await;
    let browser = walk.browser_of("ana").await;
    let waits = location(&browser.sends("/private/create", FORM, "a=b").await);
    walk.clock.advance(30 * MINUTE);
    assert_eq!(navigate(&browser.client, &browser.url(&waits)).await.status(), 410);
    // A browser is known for a day longer than a session can last.
    walk.clock.advance(35 * 60 * MINUTE);
    assert_eq!(browser.sends("/private/create", FORM, "a=b").await.status(), 401);
}

#[tokio::test]
async fn what_is_too_large_is_read_to_its_end_and_a_page_says_what_to_do() {
    let walk = Walk::start("    limits: { kept_form: 64KiB, body: 8MiB }\n").await;
    let browser = walk.browser_of("ana").await;
    let cookies = "the client's own";
    let refused =
        browser.sends("/private/upload", "multipart/form-data; boundary=b", vec![b'x'; 6 * 1024 * 1024]).await;
    assert_eq!(refused.status(), 413, "{cookies}");
    let page = refused.text().await.unwrap();
    assert_eq!(title(&page), "Sign in before you send this");
    assert!(page.contains("href=\"/.vestibule/sign-in\" target=\"_blank\" rel=\"noopener\""), "{page}");
    assert_eq!((walk.counted("too_large"), walk.counted("kept")), (1, 0));
    let beyond = browser.sends("/private/upload", FORM, vec![b'x'; 9 * 1024 * 1024]).await;
    assert_eq!(beyond.status(), 413);
    assert_eq!(browser.sends("/private/upload", FORM, vec![b'x'; 64 * 1024]).await.status(), 303);
    assert_eq!(browser.sends("/private/upload", FORM, vec![b'x'; 64 * 1024 + 1]).await.status(), 413);
    assert!(walk.written().is_empty());
}

#[tokio::test]
async fn who_waits_to_be_asked_for_a_large_body_is_not_asked() {
    let walk = Walk::start("    limits: { kept_form: 64KiB }\n").await;
    let browser = walk.browser();
    let signed_in = walk.gateway.sign_in(&browser.client, "ana").await;
    assert!(!signed_in.is_empty());
    let known = known_cookie(&walk).await;
    walk.session_ends();
    let head = |length: usize| {
        format!(
            "POST /private/upload HTTP/1.1\r\nHost: localhost:{}\r\nOrigin: {}\r\nAccept: text/html\r\nCookie: {known}\r\n\
             Content-Type: text/plain\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n",
            walk.gateway.app.https_address().port(),
            walk.gateway.origin(),
        )
    };
    let mut raw: Raw = walk.gateway.raw().await;
    assert_eq!(raw.status(head(1_000_000).as_bytes()).await, 413);
    let mut raw = walk.gateway.raw().await;
    raw.send(head(4).as_bytes()).await;
    assert!(raw.until("\r\n\r\n").await.starts_with("HTTP/1.1 100 "));
    raw.send(b"mine").await;
    assert_eq!(status_of(&raw.answer().await), 303);
}

/// The cookie of a browser in which Ana has signed in.
async fn known_cookie(walk: &Walk) -> String {
    let client = walk.gateway.client();
    let started = navigate(&client, &format!("{}/private", walk.gateway.origin())).await;
    let approved = client.get(format!("{}&login_hint=ana", location(&started))).send().await.unwrap();
    let back = navigate(&client, &location(&approved)).await;
    let cookies = set_cookies(&back);
    let known = cookies.iter().find(|set| set.starts_with("__Host-vestibule-browser=")).expect("a known browser");
    assert!(known.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax"), "{known}");
    known.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn one_browser_and_one_address_have_so_much_room() {
    let walk = Walk::start("    limits: { kept_form: { size: 4MiB, of_one_person: 64MiB } }\n").await;
    let browser = walk.browser_of("ana").await;
    for _ in 0..16 {
        assert_eq!(browser.sends("/private/create", FORM, "a=b").await.status(), 303);
    }
    let refused = browser.sends("/private/create", FORM, "a=b").await;
    assert_eq!(refused.status(), 503);
    assert_eq!(title(&refused.text().await.unwrap()), "Sign in before you send this");
    let large = vec![b'x'; 4 * 1024 * 1024];
    let mut kept = 0;
    for _ in 0..9 {
        let other = walk.browser();
        walk.gateway.sign_in(&other.client, "ana").await;
        walk.clock.advance(Duration::from_secs(1));
        let id_gone = other.sends("/.vestibule/nowhere", FORM, "").await;
        drop(id_gone);
        walk.gateway
            .app
            .sessions()
            .end_matching(&vestibule::session::Selector::Subject {
                issuer: walk.gateway.provider.issuer(),
                subject: "ana".into(),
            })
            .await
            .unwrap();
        kept += usize::from(other.sends("/private/create", FORM, large.clone()).await.status() == 303);
    }
    assert_eq!(kept, 7, "32 MiB from one address, of which 64 KiB were taken");
    assert!(walk.counted("no_room") >= 2);
}

#[tokio::test]
async fn an_upstream_that_is_away_loses_nothing() {
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let walk = Walk::before(Some(nobody), "").await;
    let browser = walk.browser_of("ana").await;
    let waits = location(&browser.sends("/private/create", FORM, "a=b").await);
    walk.signs_in(&browser, &waits, "ana").await;
    let page = browser.page(&waits).await;
    assert_eq!(browser.confirms(&address(&page)).await.status(), 502);
    // "Try again" asks for the address once more, and leads to the page that sends it.
    let again = navigate(&browser.client, &browser.url(&address(&page))).await;
    assert_eq!((again.status().as_u16(), location(&again)), (303, waits.clone()));
    assert_eq!(title(&browser.page(&waits).await), "Sending what you wrote");
    assert_eq!(walk.counted("put_back"), 1);
}

#[tokio::test]
async fn a_form_that_cannot_be_put_back_is_told_to_be_lost() {
    // An upstream that speaks no TLS: the form is taken, and nothing of it gets there.
    let upstream = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let clock = Clock::manual(Timestamp::from_seconds(1_764_000_000));
    let mut options = Options { clock: clock.clone(), ..Options::plain(upstream.local_addr().unwrap()) };
    options.upstream = format!("https://localhost:{}", upstream.local_addr().unwrap().port());
    let recorder = Recorder::start(Answer::default()).await;
    let walk = Walk { recorder, gateway: TestGateway::start(options).await, clock };
    let browser = walk.browser_of("ana").await;
    let waits = location(&browser.sends("/private/create", FORM, "a=secret").await);
    walk.signs_in(&browser, &waits, "ana").await;
    let page = browser.page(&waits).await;
    // The store breaks meanwhile.
    let sessions = walk.gateway.app.sessions().clone();
    let breaks = tokio::spawn(async move {
        let (connection, _) = upstream.accept().await.unwrap();
        sessions.close().await.unwrap();
        drop(connection);
    });
    let told = browser.confirms(&address(&page)).await;
    assert_eq!(told.status(), 503);
    let text = told.text().await.unwrap();
    assert_eq!(title(&text), "What was waiting is lost");
    assert!(!text.contains("secret"), "{text}");
    assert_eq!((walk.counted("sent"), walk.counted("lost"), walk.counted("put_back")), (1, 1, 0));
    breaks.await.unwrap();
}

#[tokio::test]
async fn what_policy_refuses_stays_kept_and_closed() {
    let rule = "      - path: \"/timed/**\"\n        access: signed_in\n        \
                require: 'time < timestamp(\"2025-11-24T16:40:00Z\")'\n";
    let walk = Walk::start(rule).await;
    let browser = walk.browser_of("ana").await; // at 16:31
    let waits = location(&browser.sends("/timed/create", FORM, "a=b").await);
    walk.signs_in(&browser, &waits, "ana").await;
    let page = browser.page(&waits).await;
    walk.clock.advance(10 * MINUTE);
    assert_eq!(browser.confirms(&address(&page)).await.status(), 403);
    assert_eq!((walk.counted("sent"), walk.written().len()), (0, 0));
    assert_eq!(title(&browser.page(&waits).await), "Sending what you wrote", "it waits on");
}

#[tokio::test]
async fn how_much_is_kept_and_how_long_are_settings() {
    let limits =
        "    limits: { kept_form: { size: 4KiB, kept_for: 10m, forms_of_one_browser: 2, calls_of_one_browser: 0 } }\n";
    let walk = Walk::start(limits).await;
    let browser = walk.browser_of("ana").await;
    let mut kept = Vec::new();
    for _ in 0..2 {
        let answer = browser.sends("/private/create", FORM, "a=b").await;
        kept.push(location(&answer));
    }
    assert_eq!(browser.sends("/private/create", FORM, "a=b").await.status(), 503);
    assert_eq!(browser.sends("/private/create", FORM, "a".repeat(4097)).await.status(), 413);
    let call = browser.client.post(browser.url("/private/api")).header("origin", &browser.origin).body("x");
    let told: serde_json::Value = serde_json::from_str(&call.send().await.unwrap().text().await.unwrap()).unwrap();
    assert_eq!(told.get("kept"), None);
    let page = browser.page(&kept[0]).await;
    assert!(page.contains("Kept until <time datetime=\"2025-11-24T16:40Z\">"), "{page}");
    walk.clock.advance(9 * MINUTE);
    assert_eq!(title(&browser.page(&kept[0]).await), "Sign in to send what you wrote");
    walk.clock.advance(MINUTE);
    assert_eq!(title(&browser.page(&kept[0]).await), "This is not waiting any more");
}

#[tokio::test]
async fn nothing_is_kept_where_the_operator_wants_none() {
    let walk = Walk::start("    limits: { kept_form: 0B }\n").await;
    let browser = walk.browser_of("ana").await;
    assert_eq!(browser.sends("/private/create", FORM, "a=b").await.status(), 401);
    assert_eq!(walk.counted("kept"), 0);
}
