//! A Cloud portal whose customers have passwords: the page that asks for them, and who gets there.

use std::net::SocketAddr;
use std::process::Stdio;

use reqwest::{Client, Response};
use tokio::io::AsyncWriteExt as _;
use vestibule::clock::Clock;
use vestibule::demo::jsm_cloud::{AccountType, Fault, FaultKind, JsmCloud, SERVICE_ACCOUNT};
use vestibule::demo::server::Server;
use vestibule::random::Random;

use crate::harness::{Options, TestGateway, location, navigate};

pub const ANA: &str = "ana@acme.com";
const PASSWORD: &str = "what Ana has chosen";
pub const PORTAL: &str = "/servicedesk/customer/portal/1?from=a%20mail&x=1";
const CLAIM: &str = "/.vestibule/password";

/// A gateway in front of a Cloud site without single sign-on.
pub struct Stage {
    pub gateway: TestGateway,
    pub jsm: JsmCloud,
    _server: Server,
}

impl Stage {
    pub async fn start() -> Self {
        let jsm = JsmCloud::new(Clock::System, Random::default()).unwrap();
        let server = Server::start(jsm.router(), SocketAddr::from(([127, 0, 0, 1], 0)), None, None).await.unwrap();
        jsm.set_base_url(&format!("http://{}", server.addr()));
        let token = jsm.service_token().unwrap();
        let portal = format!(
            "    customer_session: {{ cloud_password: {{ call_timeout: 5s }} }}\n    directory:\n      service_desks: [\"1\"]\n      \
             site_token: {{ user: {SERVICE_ACCOUNT}, token: \"{}\" }}\n",
            token.reveal()
        );
        let gateway = TestGateway::start(Options { portal, ..Options::plain(server.addr()) }).await;
        Self { gateway, jsm, _server: server }
    }

    /// Somebody who is signed in.
    async fn visitor(&self, person: &str) -> Client {
        let client = self.gateway.client();
        self.gateway.sign_in(&client, person).await;
        client
    }

    async fn open(&self, client: &Client, path: &str) -> Response {
        navigate(client, &format!("{}{path}", self.gateway.origin())).await
    }

    /// What a script of the portal calls.
    async fn script(&self, client: &Client) -> Response {
        let url = format!("{}/rest/servicedeskapi/request", self.gateway.origin());
        let call = client.get(url).header("accept", "application/json").header("sec-fetch-mode", "cors");
        call.send().await.unwrap()
    }

    async fn post_from(&self, client: &Client, origin: &str, fields: &[(&str, &str)]) -> Response {
        let url = format!("{}{CLAIM}", self.gateway.origin());
        let call = client.post(url).header("origin", origin).header("accept", "text/html");
        call.header("sec-fetch-mode", "navigate").form(fields).send().await.unwrap()
    }

    async fn post(&self, client: &Client, fields: &[(&str, &str)]) -> Response {
        self.post_from(client, &self.gateway.origin(), fields).await
    }

    /// Ana has a password at JSM, and has given it.
    async fn with_ana(&self) -> Client {
        let client = self.visitor("ana").await;
        self.open(&client, PORTAL).await;
        self.jsm.set_password(ANA, PASSWORD);
        assert_eq!(self.post(&client, &[("password", PASSWORD), ("next", PORTAL)]).await.status(), 303);
        client
    }

    /// `vestibule customers import` with these rows on standard input: whether it succeeded, and what it said.
    async fn import(&self, rows: &str, arguments: &[&str]) -> (bool, String) {
        let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_vestibule"))
            .args(["customers", "import", "-", "--config"])
            .arg(self.gateway.folder.path().join("gateway.yaml"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(rows.as_bytes()).await.unwrap();
        let output = child.wait_with_output().await.unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    /// Has the configuration name the port that the admin listener got.
    fn name_the_admin_listener(&self) {
        let file = self.gateway.folder.path().join("gateway.yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        let admin = self.gateway.app.admin_address().unwrap();
        std::fs::write(&file, text.replace("admin: \"127.0.0.1:0\"", &format!("admin: \"{admin}\""))).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_claims_their_password_once_and_gets_where_they_wanted_to_go() {
    let stage = Stage::start().await;
    let ana = stage.visitor("ana").await;
    let sent = stage.open(&ana, PORTAL).await;
    assert_eq!(sent.status(), 303);
    let claim = location(&sent);
    assert!(claim.starts_with("/.vestibule/password?next="), "{claim}");
    let page = stage.open(&ana, &claim).await;
    assert_eq!((page.status().as_u16(), &page.headers()["cache-control"]), (200, &"no-store".parse().unwrap()));
    let html = page.text().await.unwrap();
    assert!(html.contains(ANA) && html.contains("&#38;x=1") && html.contains("type=\"password\""), "{html}");

    let mailed = stage.post(&ana, &[("mail", "yes"), ("next", PORTAL)]).await;
    assert_eq!(mailed.status(), 200);
    assert!(mailed.text().await.unwrap().contains("The mail is on its way."));
    assert_eq!(stage.jsm.mails().len(), 1);

    let wrong = stage.post(&ana, &[("password", "hunter2"), ("next", PORTAL)]).await;
    assert_eq!(wrong.status(), 422);
    let html = wrong.text().await.unwrap();
    assert!(html.contains("does not take this password") && !html.contains("hunter2"), "{html}");
    for nothing in [&[("password", ""), ("next", PORTAL)][..], &[("password", "a\tb")], &[]] {
        assert_eq!(stage.post(&ana, nothing).await.status(), 422, "{nothing:?}");
    }
    stage.jsm.set_password(ANA, PASSWORD);
    let taken = stage.post(&ana, &[("password", PASSWORD), ("next", PORTAL)]).await;
    assert_eq!((taken.status().as_u16(), location(&taken).as_str()), (303, PORTAL));
    let page = stage.open(&ana, PORTAL).await;
    assert!(page.status() == 200 && page.text().await.unwrap().contains("Ana Lima"));
    assert_eq!(stage.jsm.logins(ANA), 1);

    // The page has nothing to ask any more; another browser is not asked either.
    assert_eq!(location(&stage.open(&ana, &claim).await), PORTAL);
    let again = stage.visitor("ana").await;
    assert_eq!(stage.open(&again, PORTAL).await.status(), 200);

    // Nowhere else than here.
    for next in ["https://evil.test/", "//evil.test/", "/.vestibule/sign-out", "javascript:alert(1)"] {
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
        let led = location(&stage.open(&ana, &format!("{CLAIM}?{query}")).await);
        assert_eq!(led, "/servicedesk/customer/portals", "{next}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_with_an_atlassian_account_gets_no_claim_page_but_a_link_to_the_site() {
    let stage = Stage::start().await;
    stage.jsm.add_account(AccountType::Atlassian, ANA, "Ana").unwrap();
    let ana = stage.visitor("ana").await;
    let claim = format!("{CLAIM}?next=%2Fservicedesk%2Fcustomer%2Fportal%2F1");
    for (asked, there) in [(PORTAL, PORTAL), (&claim, "/servicedesk/customer/portal/1")] {
        let there = format!("href=\"{}{}\"", stage.jsm.base_url(), there.replace('&', "&#38;"));
        let refused = stage.open(&ana, asked).await;
        assert_eq!(refused.status(), 403);
        let page = refused.text().await.unwrap();
        assert!(page.contains("You already have an Atlassian account") && page.contains(&there), "{page}");
    }
    assert_eq!(stage.jsm.customers_created(ANA), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn jsms_own_password_pages_say_where_passwords_are_chosen() {
    let stage = Stage::start().await;
    for visitor in [stage.gateway.client(), stage.visitor("ana").await] {
        let refused = stage.open(&visitor, "/servicedesk/customer/user/forgotpassword").await;
        assert_eq!(refused.status(), 403);
        let page = refused.text().await.unwrap();
        assert!(page.contains("is chosen by the support desk’s mail"), "{page}");
        assert!(!page.contains("no passwords"), "{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_for_oneself_and_from_here_alone() {
    let stage = Stage::start().await;
    // Nobody who is not signed in gets there.
    let stranger = stage.gateway.client();
    assert_eq!(stage.open(&stranger, CLAIM).await.status(), 303);
    assert_eq!(stage.post(&stranger, &[("password", PASSWORD)]).await.status(), 401);
    // No other site sends the form.
    let ana = stage.visitor("ana").await;
    stage.open(&ana, PORTAL).await;
    stage.jsm.set_password(ANA, PASSWORD);
    for origin in ["https://evil.test", "null"] {
        assert_eq!(stage.post_from(&ana, origin, &[("password", PASSWORD)]).await.status(), 403, "{origin}");
        assert_eq!(stage.post_from(&ana, origin, &[("mail", "yes")]).await.status(), 403, "{origin}");
    }
    assert_eq!((stage.jsm.logins(ANA), stage.jsm.mails().len()), (0, 0));
    // Ben, who has found out Ana's password, has no way to name her: whatever he enters is tried for his own account.
    let ben = stage.visitor("ben").await;
    stage.open(&ben, PORTAL).await;
    for fields in [
        &[("password", PASSWORD), ("email", ANA)][..],
        &[("password", PASSWORD), ("account_id", "x"), ("account", ANA), ("user", ANA)],
    ] {
        assert_eq!(stage.post(&ben, fields).await.status(), 422);
    }
    assert_eq!(stage.jsm.logins(ANA), 0);
    // A portal of another kind has no such page.
    let other = TestGateway::start(Options::plain("127.0.0.1:9".parse().unwrap())).await;
    let client = other.client();
    assert_eq!(navigate(&client, &format!("{}{CLAIM}", other.origin())).await.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_leads_to_the_page_scripts_are_told_and_sign_out_works() {
    let stage = Stage::start().await;
    let ana = stage.with_ana().await;
    assert_eq!(stage.script(&ana).await.status(), 200);
    stage.jsm.set_password(ANA, "a new one");
    stage.jsm.kill_all(ANA);
    let told = stage.script(&ana).await;
    assert_eq!(told.status(), 403);
    let told: serde_json::Value = told.json().await.unwrap();
    assert_eq!((&told["error"], &told["password"]), (&"password_needed".into(), &CLAIM.into()), "{told}");
    let failures = || stage.jsm.customer(ANA).unwrap().failed_logins;
    for _ in 0..5 {
        let sent = stage.open(&ana, PORTAL).await;
        assert!(sent.status() == 303 && location(&sent).starts_with(CLAIM), "{sent:?}");
        let page = stage.open(&ana, &location(&sent)).await;
        assert!(page.status() == 200 && page.text().await.unwrap().contains("no longer takes the password"));
    }
    assert_eq!(failures(), 1, "tried once, and no loop");
    // Whoever was sending something is told, and not sent away with it.
    let form = ana.post(format!("{}/servicedesk/customer/portal/1/create/11", stage.gateway.origin()));
    let form = form.header("origin", stage.gateway.origin()).header("accept", "text/html");
    let posted = form.header("sec-fetch-mode", "navigate").form(&[("summary", "x")]).send().await.unwrap();
    assert_eq!(posted.status(), 403);
    let html = posted.text().await.unwrap();
    assert!(html.contains("Your password at the support desk is needed") && html.contains(CLAIM), "{html}");
    let taken = stage.post(&ana, &[("password", "a new one"), ("next", PORTAL)]).await;
    assert_eq!(location(&taken), PORTAL);
    assert_eq!(stage.open(&ana, PORTAL).await.status(), 200);

    // Sign-out ends the session upstream, and works for whoever has no password, too.
    assert_eq!(stage.jsm.sessions_of(ANA), 1);
    let ben = stage.visitor("ben").await;
    for client in [&ana, &ben] {
        let out = client.post(format!("{}/.vestibule/sign-out", stage.gateway.origin()));
        let out = out.header("origin", stage.gateway.origin()).form(&[("", "")]).send().await.unwrap();
        assert_eq!(location(&out), "/.vestibule/signed-out");
    }
    assert_eq!(stage.jsm.sessions_of(ANA), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_dies_is_opened_anew_unseen_and_an_outage_signs_nobody_out() {
    let stage = Stage::start().await;
    let ana = stage.with_ana().await;
    assert!(stage.jsm.kill_all(ANA) > 0);
    assert_eq!(stage.open(&ana, PORTAL).await.status(), 200);
    stage.jsm.kill_all(ANA);
    stage.jsm.set_faults(vec![Fault::always("/jsd-login", FaultKind::FirewallBlock)]);
    assert_eq!(stage.open(&ana, PORTAL).await.status(), 503);
    stage.jsm.set_faults(vec![Fault::always("", FaultKind::DropConnection)]);
    assert!(stage.open(&ana, PORTAL).await.status().is_server_error());
    stage.jsm.set_faults(Vec::new());
    // The pause after a failure is a few seconds.
    let healed = async { while stage.open(&ana, PORTAL).await.status() != 200 {} };
    tokio::time::timeout(std::time::Duration::from_secs(30), healed).await.unwrap();
    let metrics = stage.gateway.metrics();
    assert!(!metrics.contains("result=\"password_needed\"} 2"), "nobody was asked again: {metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_import_passwords_into_a_running_gateway_and_into_a_stopped_one() {
    let stage = Stage::start().await;
    stage.name_the_admin_listener();
    let ana = stage.visitor("ana").await;
    stage.open(&ana, PORTAL).await;
    stage.jsm.set_password(ANA, PASSWORD);
    let row = |email: &str, password: &str| format!("{{\"email\":\"{email}\",\"password\":{password}}}\n");
    let quoted = format!("\"{PASSWORD}\"");

    let wrong = format!("{}hunter2,ana@acme.com\n", row(ANA, "\"hunter2\""));
    let (done, said) = stage.import(&wrong, &[]).await;
    assert!(!done && said.contains("line 2") && !said.contains("hunter2"), "{said}");
    let rows = row(ANA, &quoted) + &row("nobody@acme.com", "\"hunter2\"") + &row("carla@example.com", "\"hunter2\"");
    let (done, said) = stage.import(&rows, &["--prove"]).await;
    assert!(!done && said.contains("ana@acme.com: proven by a login, and kept"), "{said}");
    assert!(said.contains("nobody@acme.com: not kept: no customer has this address"), "{said}");
    assert!(said.contains("carla@example.com: not kept: the upstream does not take the password"), "{said}");
    assert!(!said.contains("hunter2") && !said.contains(PASSWORD), "{said}");
    assert_eq!(stage.open(&stage.visitor("ana").await, PORTAL).await.status(), 200);

    let (done, said) = stage.import(&row(ANA, "null"), &["--portal", "localhost"]).await;
    assert!(done && said.contains("ana@acme.com: forgotten"), "{said}");
    assert_eq!(stage.open(&stage.visitor("ana").await, PORTAL).await.status(), 303);
    let (done, said) = stage.import(&row(ANA, &quoted), &["--portal", "elsewhere.test"]).await;
    assert!(!done && said.contains("no such portal"), "{said}");

    let Stage { gateway, jsm, _server } = stage;
    let TestGateway { app, folder, ca, provider, _provider_task } = gateway;
    let (config, text) =
        (folder.path().join("gateway.yaml"), std::fs::read_to_string(folder.path().join("gateway.yaml")));
    app.drain().await;
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_vestibule"))
        .args(["customers", "import", "-", "--config"])
        .arg(&config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(row(ANA, &quoted).as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "ana@acme.com: kept\n");
    let bytes = std::fs::read(folder.path().join("sessions.redb")).unwrap();
    assert!(!bytes.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes()), "in clear in the file");
    drop((jsm, ca, text, provider));
}
