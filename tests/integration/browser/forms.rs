//! Forms, tabs and calls of scripts survive the end of the session, in a real browser.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write as _;

use vestibule::clock::{Clock, Timestamp};
use vestibule::demo::world::{ProviderChoice, World, WorldSettings};
use vestibule::random::Random;
use vestibule::session::{Selector, Sessions};

use super::chromium::{ALL_LOOKS, Browser, Thing};
use crate::harness::{Options, TestGateway, eventually};
use crate::recorder::{Answer, Recorder, http};

const ANA: &str = "ana@acme.example";
const FILE: &[u8] = b"what the machine said\n\0\xff\r\n--boundary--\r\n";

async fn world(folder: &std::path::Path, portal_lines: &str) -> World {
    let settings = WorldSettings {
        port: 0,
        admin_port: 0,
        certificates: folder.join("certificates"),
        state: folder.join("state"),
        provider: ProviderChoice::BuiltIn(Box::default()),
        saml: None,
        portal_lines: portal_lines.to_owned(),
        datacenter_lines: String::new(),
        cloud_lines: String::new(),
        recorded: 0,
        clock: Clock::System,
    };
    World::start(settings, Random::default()).await.unwrap_or_else(|error| panic!("{error}"))
}

/// An operator ends all sessions.
async fn all_sessions_end(sessions: &Sessions) {
    let all = sessions.list(100).await.unwrap();
    for session in all.sessions {
        sessions.end_matching(&Selector::Hash(session.hash)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_is_sent_after_the_session_ended_is_there_once_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path(), "    limits: { kept_form: 256KiB }\n").await;
    let mut browser = Browser::start().await;
    let form = format!("{}/servicedesk/customer/portal/1", world.origin());
    browser.visitor("forms-ana").await;
    browser.open(&form).await;
    browser.click(Thing::Text("Ana Almeida")).await;
    browser.at(&form).await;
    browser.click(Thing::Text("Get help")).await;
    browser.sees(Thing::Text("Signed in as Ana Almeida")).await;
    browser.fill(Thing::Field("Summary"), "It went away while I wrote").await;
    browser.fill(Thing::Field("Description"), "Line by line,\nfor an hour: ä ö ü").await;
    browser.evaluate(&attach("a.log", FILE)).await;
    all_sessions_end(world.app.sessions()).await;
    browser.click(Thing::Button("Send")).await;
    browser.sees(Thing::Heading("Sign in to send what you wrote")).await;
    browser.picture("kept-form-waits", &ALL_LOOKS).await;
    assert!(world.jsm.requests_of(ANA).is_empty());
    browser.click(Thing::Text("Ana Almeida")).await;
    browser.sees(Thing::Heading("It went away while I wrote")).await;
    browser.sees(Thing::Text("for an hour: ä ö ü")).await;
    let (name, bytes) = browser.download(Thing::Link("a.log")).await;
    assert_eq!((name.as_str(), bytes.as_slice()), ("a.log", FILE));
    assert_eq!(world.jsm.requests_of(ANA).len(), 1);
    // The browser's "back" and "reload" send nothing a second time.
    browser.back().await;
    assert_eq!(world.jsm.requests_of(ANA).len(), 1);

    // What is too large is not lost: the page says what to do, and the form still has it.
    browser.open(&form).await;
    browser.click(Thing::Text("Get help")).await;
    browser.sees(Thing::Text("Signed in as Ana Almeida")).await;
    browser.fill(Thing::Field("Summary"), "With a large file").await;
    browser.evaluate(&attach("large.bin", &vec![b'x'; 8 * 1024 * 1024])).await;
    all_sessions_end(world.app.sessions()).await;
    browser.click(Thing::Button("Send")).await;
    browser.sees(Thing::Heading("Sign in before you send this")).await;
    assert_eq!(browser.status().await, 413);
    browser.picture("form-too-large", &ALL_LOOKS).await;
    browser.click(Thing::Link("Sign in in a new tab")).await;
    browser.turn_to(1).await;
    browser.click(Thing::Text("Ana Almeida")).await;
    browser.at(&world.origin()).await;
    browser.turn_to(0).await;
    browser.back().await;
    assert_eq!(browser.value(Thing::Field("Summary")).await, "With a large file");
    browser.stop().await;
    world.stop().await;
}

/// Puts a file into the form's own field, past the page's script.
fn attach(name: &str, bytes: &[u8]) -> String {
    let base64 = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, bytes);
    format!(
        "(() => {{ const bytes = Uint8Array.from(atob('{base64}'), (c) => c.charCodeAt(0)); \
         const files = new DataTransfer(); files.items.add(new File([bytes], '{name}')); \
         document.getElementById('attachment').files = files.files; }})()"
    )
}

/// A portal whose page makes calls; what it is answered stands on the page.
const PAGE: &str = "<!DOCTYPE html><!-- of the site --><html><head><title>Calls</title></head><body><h1>Calls</h1>\
<button onclick=\"byFetch()\">Fetch</button><button onclick=\"byRequest()\">Request</button><p id=\"said\">nothing</p><script>\
const say = (text) => document.getElementById('said').textContent = text;\
async function byFetch() { const a = await fetch('/private/api', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ by: 'fetch' }) });\
 say(a.status + ' ' + await a.text()); }\
function byRequest() { let heard = 0; const x = new XMLHttpRequest(); x.onreadystatechange = () => { heard += x.readyState === 4; };\
 x.open('PUT', '/private/api'); x.setRequestHeader('X-Special', 'yes'); x.responseType = 'text';\
 x.onload = () => say(x.status + ' ' + x.response + ' ' + heard); x.send('by request'); }\
</script></body></html>";

fn site() -> Answer {
    Answer::new(|request, n| {
        if request.method() != "GET" {
            return http(200, "Content-Type: text/plain\r\n", format!("made {}", request.method()).as_bytes());
        }
        if request.target().starts_with("/private/fragment") {
            return http(200, "Content-Type: text/html\r\n", b"<div>a fragment</div>");
        }
        if request.target().starts_with("/private/calls") {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
            gzip.write_all(PAGE.as_bytes()).unwrap();
            let policy =
                "Content-Security-Policy: default-src 'none'; connect-src 'self'; script-src 'unsafe-inline'\r\n";
            let fields = format!("Content-Type: text/html; charset=utf-8\r\nContent-Encoding: gzip\r\n{policy}");
            return http(200, &fields, &gzip.finish().unwrap());
        }
        let page = format!("<title>{n}</title><h1>Page {}</h1>", request.target());
        http(200, "Content-Type: text/html; charset=utf-8\r\n", page.as_bytes())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_in_the_page_lets_people_sign_in_again_and_repeats_the_call() {
    let recorder = Recorder::start(site()).await;
    let options = Options { sign_in: ", in_page: true", ..Options::plain(recorder.address) };
    let gateway = TestGateway::start(options).await;
    let mut browser = Browser::start().await;
    let page = format!("{}/private/calls", gateway.origin());
    browser.visitor("in-page-ana").await;
    browser.open(&page).await;
    browser.click(Thing::Text("Ana Lima")).await;
    browser.at(&page).await;
    let html = browser.html().await;
    assert!(html.contains("<head><script src=\"/.vestibule/assets/in-page-"), "{html}");
    let fragment = browser.evaluate("fetch('/private/fragment').then((answer) => answer.text())").await;
    assert_eq!(fragment, "<div>a fragment</div>");
    browser.traffic().await;

    for (button, said, method) in [("Fetch", "200 made POST", "POST"), ("Request", "200 made PUT 1", "PUT")] {
        all_sessions_end(gateway.app.sessions()).await;
        browser.click(Thing::Button(button)).await;
        browser.sees(Thing::Heading("Please sign in again")).await;
        if method == "POST" {
            browser.picture("in-page-dialog", &["desktop-light", "phone-light"]).await;
        }
        browser.click(Thing::Button("Sign in")).await;
        browser.turn_to(1).await;
        browser.click(Thing::Text("Ana Lima")).await;
        browser.has_tabs(1).await;
        browser.turn_to(0).await;
        browser.sees(Thing::Text(said)).await;
        browser.lacks(Thing::Heading("Please sign in again")).await;
        let made: Vec<_> = recorder.requests().into_iter().filter(|request| request.method() == method).collect();
        assert_eq!(made.len(), 1, "made once");
        if method == "PUT" {
            assert_eq!((made[0].all("x-special"), made[0].body.as_slice()), (vec!["yes"], &b"by request"[..]));
        }
    }

    // Another person: nothing is repeated.
    all_sessions_end(gateway.app.sessions()).await;
    browser.click(Thing::Button("Fetch")).await;
    browser.sees(Thing::Heading("Please sign in again")).await;
    browser.click(Thing::Button("Sign in")).await;
    browser.turn_to(1).await;
    browser.click(Thing::Text("ben@acme.com")).await;
    browser.has_tabs(1).await;
    browser.turn_to(0).await;
    browser.sees(Thing::Text("You have signed in as somebody else.")).await;
    browser.picture("in-page-somebody-else", &["desktop-light", "phone-light"]).await;
    let made = recorder.requests().into_iter().filter(|request| request.method() == "POST").count();
    assert_eq!(made, 1);

    // Not now: the page hears what the call was answered.
    browser.click(Thing::Button("Load the page again")).await;
    browser.sees(Thing::Text("nothing")).await;
    all_sessions_end(gateway.app.sessions()).await;
    browser.click(Thing::Button("Request")).await;
    browser.click(Thing::Button("Not now")).await;
    browser.sees(Thing::Text("401 ")).await;
    let complaints = browser.traffic().await.console;
    let unexpected: Vec<_> = complaints.iter().filter(|(_, text)| !text.contains("status of 401")).collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    browser.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_tabs_of_one_browser_sign_in_once() {
    let recorder = Recorder::start(site()).await;
    // The clock stands still: however slow the machine is, the tabs ask together.
    let clock = Clock::manual(Timestamp::from_seconds(1_764_000_000));
    let gateway = TestGateway::start(Options { clock, ..Options::plain(recorder.address) }).await;
    let mut browser = Browser::start().await;
    let page = |tab: usize| format!("{}/private/tab/{tab}", gateway.origin());
    browser.visitor("tabs-ana").await;
    browser.open(&page(0)).await;
    browser.click(Thing::Text("Ana Lima")).await;
    browser.at(&page(0)).await;
    for tab in 1..10 {
        browser.tab().await;
        browser.open(&page(tab)).await;
    }
    all_sessions_end(gateway.app.sessions()).await;
    let before = recorder.requests().len();
    for tab in 0..10 {
        browser.turn_to(tab).await;
        browser.open(&page(tab)).await;
    }
    browser.sees(Thing::Heading("You are signing in in another tab")).await;
    browser.picture("waits-for-tab", &ALL_LOOKS).await;
    browser.turn_to(0).await;
    browser.click(Thing::Text("Ana Lima")).await;
    browser.at(&page(0)).await;
    for tab in 0..10 {
        browser.turn_to(tab).await;
        browser.at(&page(tab)).await;
        browser.sees(Thing::Heading(&format!("Page /private/tab/{tab}"))).await;
    }
    eventually("each page was asked for once", || recorder.requests().len() == before + 10).await;
    assert_eq!(gateway.app.sessions().count().await.unwrap(), 1);
    let complaints = browser.traffic().await.console;
    assert!(complaints.is_empty(), "{complaints:#?}");
    browser.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tab_that_began_a_sign_in_may_be_loaded_again() {
    let recorder = Recorder::start(site()).await;
    let clock = Clock::manual(Timestamp::from_seconds(1_764_000_000));
    let mut options = Options { clock, ..Options::plain(recorder.address) };
    options.more_providers =
        "  other:\n    oidc: { issuer: \"http://localhost:9\", client_id: a, client_secret: b }\n    label: Other\n"
            .into();
    options.providers = "acme, other";
    let gateway = TestGateway::start(options).await;
    let mut browser = Browser::start().await;
    let page = format!("{}/private/page", gateway.origin());
    browser.visitor("reload-ana").await;
    browser.open(&page).await;
    browser.click(Thing::Button("Acme")).await;
    browser.click(Thing::Text("Ana Lima")).await;
    browser.at(&page).await;
    all_sessions_end(gateway.app.sessions()).await;
    browser.open(&page).await;
    browser.sees(Thing::Text("Where do you have your account?")).await;
    browser.tab().await;
    browser.open(&format!("{page}/2")).await;
    browser.sees(Thing::Heading("You are signing in in another tab")).await;
    browser.turn_to(0).await;
    for _ in 0..2 {
        browser.open(&page).await;
        browser.sees(Thing::Text("Where do you have your account?")).await;
    }
    // The other one still waits, and goes on by itself.
    browser.turn_to(1).await;
    browser.sees(Thing::Heading("You are signing in in another tab")).await;
    browser.turn_to(0).await;
    browser.click(Thing::Button("Acme")).await;
    browser.click(Thing::Text("Ana Lima")).await;
    browser.at(&page).await;
    browser.turn_to(1).await;
    browser.sees(Thing::Heading("Page /private/page/2")).await;
    let complaints = browser.traffic().await.console;
    assert!(complaints.is_empty(), "{complaints:#?}");
    browser.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_goes_round_and_round_reads_why() {
    let recorder = Recorder::start(site()).await;
    let gateway = TestGateway::start(Options::plain(recorder.address)).await;
    let mut browser = Browser::start().await;
    let page = format!("{}/private/page", gateway.origin());
    browser.visitor("loop-ana").await;
    for _ in 0..3 {
        browser.open(&page).await;
        browser.click(Thing::Text("Ana Lima")).await;
        browser.at(&page).await;
        all_sessions_end(gateway.app.sessions()).await;
    }
    assert_eq!(browser.open(&page).await, 400);
    browser.sees(Thing::Heading("Sign-in keeps starting over")).await;
    browser.picture("sign-in-loop", &ALL_LOOKS).await;
    browser.click(Thing::Link("Try again")).await;
    browser.click(Thing::Text("Ana Lima")).await;
    browser.sees(Thing::Heading("Page /")).await;
    browser.stop().await;
}
