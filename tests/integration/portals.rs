//! Many portals on one gateway: names that lead to them, and portals whose visitors sign in once for all.

use std::time::Duration;

use reqwest::{Client, Response};
use tokio::net::TcpListener;
use url::Url;
use vestibule::app::App;
use vestibule::clock::{Clock, Timestamp};
use vestibule::config;
use vestibule::demo::openid_provider::{self, ClientAuthentication, OpenIdProvider, Person, Settings};
use vestibule::random::Random;
use vestibule::secret::Secret;

use crate::harness::{AbortOnDrop, KEY, location, navigate, set_cookies};
use crate::recorder::{Answer, Recorder};

/// Of the group: the home, two others with the same provider, one with another. Outside of it: `lone.test`.
const HOSTS: [&str; 7] =
    ["home.test", "second.test", "third.test", "foreign.test", "lone.test", "help.test", "second-help.test"];

const LOOK: &str = "    look:\n      name: \"Lone & Sons\"\n      logo: lone.svg\n      accent: \"#7a1f5c\"\n      \
                    support: { email: help@lone.test, phone: \"+1 555 0100\" }\n";

struct Scene {
    app: App,
    ca: rustls_pki_types::CertificateDer<'static>,
    clock: Clock,
    recorder: Recorder,
    _folder: tempfile::TempDir,
    _providers: Vec<AbortOnDrop>,
}

impl Scene {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let cert = rcgen::CertificateParams::new(HOSTS.map(str::to_owned).to_vec()).unwrap().self_signed(&key).unwrap();
        std::fs::write(folder.path().join("cert.pem"), cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
        let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 8 8\"><circle r=\"4\"/></svg>";
        std::fs::write(folder.path().join("lone.svg"), svg).unwrap();
        let clock = Clock::manual(Timestamp::from_seconds(1_790_000_000));
        let recorder = Recorder::start(Answer::default()).await;
        let (mut providers, mut issuers, mut tasks) = (Vec::new(), Vec::new(), Vec::new());
        for domain in ["acme.com", "globex.com"] {
            let people = ["ana", "ben"].map(|name| Person::new(name, name, &format!("{name}@{domain}"))).to_vec();
            let settings = Settings { people, ..Settings::default() }.approve_by_login_hint();
            let provider = OpenIdProvider::new(settings, clock.clone(), Random::default());
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let issuer = format!("http://localhost:{}", listener.local_addr().unwrap().port());
            provider.set_issuer(&issuer);
            let router = provider.router();
            tasks.push(AbortOnDrop::of(tokio::spawn(async move {
                let _ = axum::serve(listener, router).await;
            })));
            providers.push(provider);
            issuers.push(issuer);
        }
        let portal = |host: &str, provider: &str, more: &str| {
            format!(
                "  - host: {host}\n    upstream: \"http://{}\"\n    sign_in: {{ providers: [{provider}] }}\n    \
                 customer_session: none\n{more}",
                recorder.address
            )
        };
        let in_group = "    session_group: acme\n";
        let text = format!(
            "version: 1\nlisten: {{ https: \"127.0.0.1:0\", http: \"127.0.0.1:0\", admin: \"127.0.0.1:0\" }}\n\
             tls: {{ certificates: [ {{ cert: cert.pem, key: key.pem }} ] }}\nkeys: [ {KEY} ]\n\
             session: {{ idle_timeout: 4h, absolute_timeout: 6h, store: {{ embedded: {{ path: sessions.redb }} }} }}\n\
             identity_providers:\n  acme:\n    label: Acme\n    email_domains: [acme.com]\n    \
             oidc: {{ issuer: \"{}\", client_id: vestibule, client_secret: secret }}\n  globex:\n    label: Globex\n    \
             email_domains: [globex.com]\n    oidc: {{ issuer: \"{}\", client_id: vestibule, client_secret: secret }}\n\
             portals:\n{}{}{}{}{}",
            issuers[0],
            issuers[1],
            portal("home.test", "acme", &format!("    aliases: [help.test]\n{in_group}")),
            portal(
                "second.test",
                "acme",
                &format!(
                    "    aliases: [second-help.test]\n    admission: {{ blocked_people: [ben@acme.com] }}\n{in_group}"
                )
            ),
            portal("third.test", "acme", in_group),
            portal("foreign.test", "globex", in_group),
            portal("lone.test", "acme", LOOK),
        );
        let parsed = config::parse(&text, folder.path(), &config::ProcessEnvironment);
        let parsed = parsed.unwrap_or_else(|faults| panic!("{faults}"));
        let app = App::start(parsed, clock.clone(), Random::default()).await.unwrap();
        let port = app.https_address().port();
        for (provider, name) in providers.iter().zip(["acme", "globex"]) {
            // The addresses of the home, and of whoever stands alone.
            let address = |host: &str| format!("https://{host}:{port}/.vestibule/oidc/{name}/callback");
            provider.register(openid_provider::Client {
                id: "vestibule".into(),
                authentication: ClientAuthentication::Secret(Secret::generated("secret")),
                redirect_uris: vec![address("home.test"), address("lone.test")],
                post_logout_redirect_uris: vec![],
            });
        }
        let ca = cert.der().clone();
        Self { app, ca, clock, recorder, _folder: folder, _providers: tasks }
    }

    fn browser(&self) -> Client {
        let at = self.app.https_address();
        let builder = Client::builder()
            .no_proxy()
            .cookie_store(true)
            .redirect(reqwest::redirect::Policy::none())
            .add_root_certificate(reqwest::Certificate::from_der(&self.ca).unwrap())
            .timeout(Duration::from_secs(30));
        HOSTS.iter().fold(builder, |builder, host| builder.resolve(host, at)).build().unwrap()
    }

    fn url(&self, host: &str, path: &str) -> String {
        format!("https://{host}:{}{path}", self.app.https_address().port())
    }

    /// Follows redirects as a browser does, through the provider as `person`, to the end; gives where they led through and the
    /// last answer.
    async fn follow(&self, browser: &Client, person: &str, start: &str) -> (Vec<String>, Response) {
        let (mut hosts, mut url) = (Vec::new(), start.to_owned());
        for _ in 0..20 {
            let parsed = Url::parse(&url).unwrap();
            let host = parsed.host_str().unwrap().to_owned();
            let at_provider = host == "localhost" && url.contains("/authorize");
            hosts.push(host);
            let answer = navigate(browser, &if at_provider { format!("{url}&login_hint={person}") } else { url }).await;
            if !answer.status().is_redirection() {
                return (hosts, answer);
            }
            url = parsed.join(&location(&answer)).unwrap().to_string();
        }
        panic!("it goes round and round: {hosts:?}");
    }

    /// Walks from `start` to the first address that holds `part`, and does not go there.
    async fn up_to(&self, browser: &Client, person: &str, start: &str, part: &str) -> String {
        let mut url = start.to_owned();
        for _ in 0..20 {
            if url.contains(part) {
                return url;
            }
            let at_provider = url.contains("/authorize");
            let asked = if at_provider { format!("{url}&login_hint={person}") } else { url.clone() };
            let answer = navigate(browser, &asked).await;
            assert!(answer.status().is_redirection(), "{url}: {}", answer.status());
            url = Url::parse(&url).unwrap().join(&location(&answer)).unwrap().to_string();
        }
        panic!("nothing held {part}");
    }

    async fn sign_out(&self, browser: &Client, host: &str) {
        let answer = browser.post(self.url(host, "/.vestibule/sign-out")).header("origin", self.url(host, "")).send();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
    }

    /// How many were refused for that reason.
    fn refusals(&self, label: &str) -> u64 {
        let metrics = String::from_utf8(self.app.metrics().encode().unwrap()).unwrap();
        let reason = format!("reason=\"{label}\"");
        let of_reason =
            metrics.lines().filter(|line| line.starts_with("vestibule_refusals_total{") && line.contains(&reason));
        of_reason.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    /// Whether a script of that portal would be served.
    async fn is_in(&self, browser: &Client, host: &str) -> bool {
        let answer = browser.get(self.url(host, "/private")).send().await.unwrap();
        assert!(matches!(answer.status().as_u16(), 200 | 401), "{}", answer.status());
        answer.status() == 200
    }
}

/// Goes there, and is refused for that reason.
async fn refused(scene: &Scene, browser: &Client, url: &str, label: &str) {
    let before = scene.refusals(label);
    let answer = navigate(browser, url).await;
    let (status, cookies) = (answer.status().as_u16(), set_cookies(&answer));
    assert!(cookies.iter().all(|cookie| !cookie.starts_with("__Host-vestibule=")), "{cookies:?}");
    let text = answer.text().await.unwrap();
    assert!((400..500).contains(&status), "{status} {label}: {text}");
    assert_eq!(scene.refusals(label), before + 1, "{label}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sign_in_serves_all_portals_of_a_group_and_no_other() {
    let scene = Scene::start().await;
    let browser = scene.browser();
    let (hosts, answer) = scene.follow(&browser, "ana", &scene.url("second.test", "/private?a=b")).await;
    assert_eq!(answer.status(), 200, "{hosts:?}");
    let round = ["second.test", "home.test", "localhost", "home.test", "home.test", "second.test", "second.test"];
    assert_eq!(hosts, round);
    assert_eq!(scene.recorder.requests().last().unwrap().target(), "/private?a=b", "where they wanted to go");
    // The home has a session, and the next portal has one after a quick round: no provider is asked.
    assert!(scene.is_in(&browser, "home.test").await);
    let (hosts, answer) = scene.follow(&browser, "nobody", &scene.url("third.test", "/private")).await;
    assert_eq!(
        (answer.status().as_u16(), hosts.as_slice()),
        (200, &["third.test", "home.test", "third.test", "third.test"].map(String::from)[..])
    );
    // One whose people are another provider's takes no other's word; outside of the group nobody knows anything of it.
    let (hosts, answer) = scene.follow(&browser, "ana", &scene.url("foreign.test", "/private")).await;
    assert_eq!(answer.status(), 200);
    assert!(hosts.contains(&"localhost".to_owned()), "{hosts:?}");
    assert!(!scene.is_in(&browser, "lone.test").await);
    let (hosts, _) = scene.follow(&browser, "ana", &scene.url("lone.test", "/private")).await;
    assert_eq!(hosts, ["lone.test", "localhost", "lone.test", "lone.test"]);
    // What is no navigation is told to sign in, as everywhere; nobody comes back from a provider but to the home.
    let stranger = scene.browser();
    assert!(!scene.is_in(&stranger, "second.test").await);
    let callback = scene.url("second.test", "/.vestibule/oidc/acme/callback?code=a&state=b");
    assert_eq!(navigate(&stranger, &callback).await.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn c2_a_code_opens_once_and_at_its_portal_alone() {
    let scene = Scene::start().await;
    let browser = scene.browser();
    let start = scene.url("second.test", "/private");
    let back = scene.up_to(&browser, "ana", &start, "/.vestibule/group/callback").await;
    // At another portal, also one that the browser has begun a round at: used up.
    let elsewhere =
        scene.up_to(&browser, "ana", &scene.url("third.test", "/private"), "/.vestibule/group/sign-in").await;
    let state = elsewhere.split("state=").nth(1).unwrap();
    let code = |url: &str| url.split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let there = scene.url("third.test", &format!("/.vestibule/group/callback?code={}&state={state}", code(&back)));
    refused(&scene, &browser, &there, "group_code_for_another").await;
    refused(&scene, &browser, &back, "group_code_unknown").await;
    // Once: the second time whoever is in just goes on, and nobody else.
    let back = scene.up_to(&browser, "ana", &start, "/.vestibule/group/callback").await;
    assert!(set_cookies(&navigate(&browser, &back).await).iter().any(|cookie| cookie.starts_with("__Host-vestibule=")));
    let again = navigate(&browser, &back).await;
    assert_eq!((again.status().as_u16(), set_cookies(&again).len()), (303, 0));
    refused(&scene, &scene.browser(), &back, "group_round_unknown").await;
    // Not after a minute, and not after signing out.
    let third = scene.url("third.test", "/private");
    let late = scene.up_to(&browser, "ana", &third, "/.vestibule/group/callback").await;
    scene.clock.advance(Duration::from_secs(61));
    refused(&scene, &browser, &late, "group_code_unknown").await;
    let over = scene.up_to(&browser, "ana", &third, "/.vestibule/group/callback").await;
    scene.sign_out(&browser, "home.test").await;
    refused(&scene, &browser, &over, "group_session_over").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c2_nobody_is_signed_in_by_anothers_link() {
    let scene = Scene::start().await;
    let (attacker, victim) = (scene.browser(), scene.browser());
    let start = scene.url("second.test", "/private");
    // The attacker's own way back, opened by the victim: as who has never been here, and on the way in.
    let theirs = scene.up_to(&attacker, "ana", &start, "/.vestibule/group/callback").await;
    refused(&scene, &victim, &theirs, "group_round_unknown").await;
    let theirs = scene.up_to(&attacker, "ana", &start, "/.vestibule/group/callback").await;
    scene.up_to(&victim, "ana", &start, "/.vestibule/group/sign-in").await;
    refused(&scene, &victim, &theirs, "group_round_unknown").await;
    assert!(!scene.is_in(&victim, "second.test").await);
    // The attacker's round, opened by a victim who is signed in at the home: the code that comes of it opens nothing there,
    // and the attacker has not seen it.
    scene.follow(&victim, "ana", &scene.url("home.test", "/private")).await;
    let round = scene.up_to(&attacker, "ana", &start, "/.vestibule/group/sign-in").await;
    let back = location(&navigate(&victim, &round).await);
    assert!(back.contains("/.vestibule/group/callback"), "{back}");
    refused(&scene, &victim, &back, "group_round_unknown").await;
    refused(&scene, &attacker, &back, "group_code_unknown").await;
    assert!(!scene.is_in(&victim, "second.test").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn b25_the_home_sends_people_to_its_own_group_alone() {
    let scene = Scene::start().await;
    let browser = scene.browser();
    scene.follow(&browser, "ana", &scene.url("home.test", "/private")).await;
    let state = "A".repeat(43);
    for portal in [
        "evil.test",
        "lone.test",
        "home.test",
        "help.test",
        "second.test@evil.test",
        "second.test.evil.test",
        "second.test/x",
    ] {
        let round = scene.url("home.test", &format!("/.vestibule/group/sign-in?portal={portal}&state={state}"));
        assert_eq!(navigate(&browser, &round).await.status(), 404, "{portal}");
    }
    // Only the home takes rounds, and only the others take codes.
    for (host, path) in [
        ("second.test", format!("/.vestibule/group/sign-in?portal=third.test&state={state}")),
        ("lone.test", format!("/.vestibule/group/sign-in?portal=second.test&state={state}")),
        ("home.test", format!("/.vestibule/group/callback?code={state}&state={state}")),
        ("lone.test", format!("/.vestibule/group/callback?code={state}&state={state}")),
        ("second.test", format!("/.vestibule/group/callback?code={state}&state={state}&next=//evil.test")),
    ] {
        assert_eq!(navigate(&browser, &scene.url(host, &path)).await.status(), 404, "{host} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c6_a_session_that_is_passed_on_ends_no_later() {
    let scene = Scene::start().await;
    let browser = scene.browser();
    scene.follow(&browser, "ana", &scene.url("home.test", "/private")).await;
    scene.clock.advance(Duration::from_secs(3 * 3600));
    assert!(scene.is_in(&browser, "home.test").await);
    scene.clock.advance(Duration::from_secs(2 * 3600));
    let (hosts, _) = scene.follow(&browser, "nobody", &scene.url("second.test", "/private")).await;
    assert!(!hosts.contains(&"localhost".to_owned()), "{hosts:?}");
    assert!(scene.is_in(&browser, "second.test").await);
    // Six hours after the sign-in, however late it was passed on.
    scene.clock.advance(Duration::from_secs(3601));
    assert!(!scene.is_in(&browser, "second.test").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn admission_is_each_portals_own() {
    let scene = Scene::start().await;
    let browser = scene.browser();
    let (_, answer) = scene.follow(&browser, "ben", &scene.url("second.test", "/private")).await;
    let (status, url) = (answer.status().as_u16(), answer.url().host_str().unwrap().to_owned());
    let text = answer.text().await.unwrap();
    assert_eq!((status, url.as_str()), (403, "second.test"), "{text}");
    let (_, answer) = scene.follow(&browser, "ben", &scene.url("third.test", "/private")).await;
    assert_eq!(answer.status(), 200);
    assert!(!scene.is_in(&browser, "second.test").await);
    // Somebody else, as the page offers: the provider is asked again, at the home, and they arrive where they were.
    let form = [("then", "sign-in")];
    let second = scene.url("second.test", "");
    let out = browser.post(format!("{second}/.vestibule/sign-out")).header("origin", &second).form(&form);
    let page = out.send().await.unwrap().text().await.unwrap();
    let there = page.split("class=\"action main\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    let there = there.replace("&#38;", "&").replace("&amp;", "&");
    assert!(there.starts_with(&scene.url("home.test", "/.vestibule/group/sign-in?portal=second.test")), "{there}");
    let (hosts, answer) = scene.follow(&browser, "ana", &there).await;
    assert_eq!((answer.status().as_u16(), answer.url().host_str().unwrap()), (200, "second.test"), "{hosts:?}");
    assert!(hosts.contains(&"localhost".to_owned()), "{hosts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_anywhere_ends_the_sessions_of_that_browser_alone() {
    let scene = Scene::start().await;
    let (browser, other) = (scene.browser(), scene.browser());
    for at in ["second.test", "third.test"] {
        scene.follow(&browser, "ana", &scene.url(at, "/private")).await;
        scene.follow(&other, "ana", &scene.url(at, "/private")).await;
    }
    // The session at the home is over by itself; a new one there is of the same family as what is left of the old.
    scene.clock.advance(Duration::from_secs(3 * 3600));
    assert!(scene.is_in(&browser, "second.test").await && scene.is_in(&other, "second.test").await);
    scene.clock.advance(Duration::from_secs(2 * 3600));
    assert!(!scene.is_in(&browser, "home.test").await);
    scene.follow(&browser, "ana", &scene.url("third.test", "/private")).await;
    assert!(scene.is_in(&browser, "second.test").await && scene.is_in(&browser, "third.test").await);
    scene.sign_out(&browser, "third.test").await;
    for host in ["home.test", "second.test", "third.test"] {
        assert!(!scene.is_in(&browser, host).await, "{host}");
    }
    assert!(scene.is_in(&other, "second.test").await, "another browser of the same person");
}

#[tokio::test(flavor = "multi_thread")]
async fn b25_another_name_leads_to_its_portal_and_nowhere_else() {
    let scene = Scene::start().await;
    let browser = scene.browser();
    for (alias, host) in [("help.test", "home.test"), ("second-help.test", "second.test")] {
        for path in ["/", "/a/b?c=%2Fd&e", "/.vestibule/sign-in?next=/x", "/@evil.test", "/a/evil.test"] {
            let answer = navigate(&browser, &scene.url(alias, path)).await;
            assert_eq!((answer.status().as_u16(), location(&answer)), (301, scene.url(host, path)));
            assert!(answer.headers().contains_key("strict-transport-security"));
            assert!(set_cookies(&answer).is_empty());
        }
        let posted = browser.post(scene.url(alias, "/a")).body("kept").send().await.unwrap();
        assert_eq!((posted.status().as_u16(), location(&posted)), (308, scene.url(host, "/a")));
        let plain = scene.app.http_address().unwrap();
        let by_http = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let by_http = by_http.resolve(alias, plain).build().unwrap();
        let answer = by_http.get(format!("http://{alias}:{}/a?b", plain.port())).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), location(&answer)), (301, scene.url(host, "/a?b")));
    }
    assert!(scene.recorder.requests().is_empty(), "nobody is served there");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_portal_has_a_look_of_its_own() {
    let scene = Scene::start().await;
    let browser = scene.browser();
    let page = |host: &str| scene.url(host, "/.vestibule/signed-out");
    let answer = navigate(&browser, &page("lone.test")).await;
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    let html = answer.text().await.unwrap();
    assert!(html.contains("<p class=\"site-name\">Lone &#38; Sons</p>"), "{html}");
    assert!(html.contains("mailto:help@lone.test") && html.contains("+1 555 0100"), "{html}");
    assert!(policy.contains("style-src 'self'") && policy.contains("img-src 'self'"), "{policy}");
    for (mark, content_type, holds) in [
        ("rel=\"stylesheet\" href=\"/.vestibule/assets/look-", "text/css; charset=utf-8", "--accent: #7a1f5c;"),
        ("src=\"/.vestibule/assets/logo-", "image/svg+xml", "<svg"),
    ] {
        let at = html.find(mark).unwrap_or_else(|| panic!("{mark}: {html}"));
        let path =
            html[at..].split("=\"").find(|part| part.starts_with("/.vestibule")).unwrap().split('"').next().unwrap();
        let file = browser.get(scene.url("lone.test", path)).send().await.unwrap();
        assert_eq!(file.headers()["content-type"], content_type);
        assert!(file.headers()["content-security-policy"].to_str().unwrap().contains("sandbox"));
        assert!(file.text().await.unwrap().contains(holds));
        // It is this portal's alone.
        assert_eq!(browser.get(scene.url("home.test", path)).send().await.unwrap().status(), 404);
    }
    let other = navigate(&browser, &page("home.test")).await.text().await.unwrap();
    assert!(other.contains("home.test") && !other.contains("look-") && !other.contains("Lone"), "{other}");
    // A refusal looks like it, too.
    let refused = navigate(&browser, &scene.url("lone.test", "/.vestibule/nothing")).await;
    assert!(refused.text().await.unwrap().contains("Lone &#38; Sons"));
}
