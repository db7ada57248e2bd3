//! The whole strategy against the JSM Data Center look-alike, over real sockets: it was written by the documentation
//! and not by this code.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::COOKIE;
use url::Url;

use super::datacenter::DataCenter;
use super::*;
use crate::clock::Clock;
use crate::demo::contract::{Contract, Product};
use crate::demo::jsm_datacenter::{Captcha, Fault, FaultKind, JsmDataCenter};
use crate::demo::server::Server;
use crate::http_client::{Answer, Call, HttpClient, HttpClientSettings, Roots};
use crate::nodes::Nodes;
use crate::portal::HostName;
use crate::portal::settings::{DataCenterLogin, ServiceCredentials};
use crate::random::Random;
use crate::secret::Secret;
use crate::session::settings::{SessionSettings, StoreSettings};
use crate::session::store::memory::MemoryStore;
use crate::session::{LiveSession, Sessions};

const ANA: &str = "ana@example.com";
const MINUTE: Duration = Duration::from_secs(60);

struct Gateway {
    jsm: JsmDataCenter,
    base: String,
    clock: Clock,
    sessions: Sessions,
    customers: CustomerSessions,
    client: HttpClient,
    _server: Server,
}

impl Gateway {
    async fn start() -> Self {
        Self::with(|jsm| ServiceCredentials::Bearer(jsm.service_token().clone())).await
    }

    async fn with(credentials: impl FnOnce(&JsmDataCenter) -> ServiceCredentials) -> Self {
        let clock = Clock::manual(Timestamp::from_seconds(1_800_000_000));
        let jsm = JsmDataCenter::new(clock.clone(), Random::default()).unwrap();
        let contract = Contract::load(Product::DataCenter);
        let router = contract.map_or_else(|| jsm.router(), |contract| contract.hold(jsm.router()));
        let server = Server::start(router, SocketAddr::from(([127, 0, 0, 1], 0)), None, None).await.unwrap();
        let base = format!("http://{}", server.addr());
        jsm.set_base_url(&base);
        let directory = crate::portal::settings::DirectorySettings {
            credentials: credentials(&jsm),
            service_desks: vec!["10".into()],
            ..super::datacenter::tests::directory_settings()
        };
        let settings = crate::portal::settings::DataCenterSettings {
            directory: directory.clone(),
            logins: vec![DataCenterLogin::RestSession, DataCenterLogin::PortalForm, DataCenterLogin::Tsv],
            managed_group: Some("vestibule-managed".into()),
            max_age: MINUTE * 240,
            concurrency: 8,
            call_timeout: Duration::from_secs(10),
        };
        let site = Url::parse(&base).unwrap();
        let nodes = Nodes::for_test(site.clone());
        let random = Random::default();
        let people = Arc::<People>::default();
        let jira = DataCenter::new(site, nodes, settings, Arc::clone(&people), random.clone());
        let session_settings = SessionSettings {
            idle_timeout: MINUTE * 600,
            absolute_timeout: MINUTE * 1200,
            cache_entries: 1000,
            store: StoreSettings::Embedded { path: "/nowhere".into() },
            keys: vec![Secret::generated("k".repeat(43))],
        };
        let store = Arc::new(MemoryStore::default());
        let sessions = Sessions::with_store(&session_settings, store, clock.clone(), random).unwrap();
        let (broker, watcher) = (Arc::new(jira), Arc::new(NobodyWatches));
        let parts = DirectoryParts {
            accounts: broker.clone(),
            ledger: ledger::Ledger::new(sessions.records()),
            people,
            concurrency: 8,
            observer: watcher.clone(),
            clock: clock.clone(),
        };
        let portal = HostName::parse("support.example.com").unwrap();
        let directory = Arc::new(Directory::new(portal, directory, parts));
        let customers = CustomerSessions::brokered(directory, broker, sessions.clone(), clock.clone(), watcher);
        let client = HttpClientSettings { roots: Roots::Only(Vec::new()), ..HttpClientSettings::default() };
        Self { jsm, base, clock, sessions, customers, client: HttpClient::new(client).unwrap(), _server: server }
    }

    async fn visitor(&self, email: &str) -> Arc<LiveSession> {
        let identity = VerifiedIdentity::for_test("okta", email, email);
        let portal = HostName::parse("support.example.com").unwrap();
        self.sessions.open(identity, None, portal, [192, 0, 2, 7].into()).await.unwrap().1
    }

    async fn ensure(&self, visitor: &Arc<LiveSession>) -> Result<Arc<CustomerSession>, CustomerFailed> {
        self.customers.ensure(visitor, self.clock.now()).await.map(Option::unwrap)
    }

    async fn reason(&self, email: &str) -> &'static str {
        self.ensure(&self.visitor(email).await).await.unwrap_err().reason()
    }

    /// A request of the portal with that customer session.
    async fn get(&self, path: &str, session: &CustomerSession) -> Answer {
        let call = Call::get(format!("{}{path}", self.base).parse().unwrap());
        self.client.send(call.with_header(COOKIE, session.cookie_header(path).unwrap())).await.unwrap()
    }

    fn judge(&self, session: &CustomerSession, answer: &Answer, request_wanted_json: bool) -> Verdict {
        let head = AnswerHead { status: answer.status, headers: &answer.headers, request_wanted_json };
        self.customers.judge(session, &head, &self.clock)
    }
}

#[tokio::test]
async fn a_visitor_uses_the_portal_as_a_new_customer() {
    let gateway = Gateway::start().await;
    let ana = gateway.visitor(ANA).await;
    let session = gateway.ensure(&ana).await.unwrap();
    let page = gateway.get("/servicedesk/customer/portals", &session).await;
    assert_eq!(page.status, 200);
    assert!(matches!(gateway.judge(&session, &page, false), Verdict::Alive));
    // The page gives the browser its token, because the customer session leaves that to it.
    let token = page.set_cookies().find(|cookie| cookie.as_bytes().starts_with(b"atlassian.xsrf.token="));
    assert!(token.unwrap().to_str().unwrap().contains("_lin"));
    assert!(gateway.jsm.user(ANA).unwrap().groups.contains("vestibule-managed"));
    assert_eq!((gateway.jsm.customers_created(ANA), gateway.jsm.logins(ANA)), (1, 1));

    gateway.customers.end(&session).await;
    assert!(gateway.jsm.sessions_of(ANA).is_empty());
    let page = gateway.get("/servicedesk/customer/portals", &session).await;
    assert!(matches!(gateway.judge(&session, &page, false), Verdict::Dead(DeathSign::RedirectToLogin)));
}

#[tokio::test]
async fn fifty_requests_while_the_site_is_slow_cost_one_login() {
    let gateway = Gateway::start().await;
    let ana = gateway.visitor(ANA).await;
    let gate = gateway.jsm.hold("/rest/auth/1/session");
    let requests = (0..50).map(|_| {
        let (customers, ana, now) = (gateway.customers.clone(), Arc::clone(&ana), gateway.clock.now());
        tokio::spawn(async move { customers.ensure(&ana, now).await.unwrap().unwrap().generation() })
    });
    let requests: Vec<_> = requests.collect();
    gateway.jsm.wait_for(|jsm| (jsm.held() == 1).then_some(())).await;
    gate.open();
    for request in requests {
        assert_eq!(request.await.unwrap(), 1);
    }
    assert_eq!((gateway.jsm.password_sets(ANA), gateway.jsm.logins(ANA)), (1, 1));
}

#[tokio::test]
async fn every_way_to_log_in_leads_in() {
    for (rest, form) in [(true, true), (false, true), (false, false)] {
        let gateway = Gateway::start().await;
        gateway.jsm.switch(|switches| (switches.rest_session, switches.legacy_form) = (rest, form));
        let session = gateway.ensure(&gateway.visitor(ANA).await).await.unwrap();
        assert_eq!(gateway.get("/servicedesk/customer/portals", &session).await.status, 200, "{rest} {form}");
    }
}

#[tokio::test]
async fn whoever_is_no_mere_customer_is_refused_untouched() {
    let gateway = Gateway::start().await;
    for (email, name, reason) in [
        ("agent@jsm.internal", "agent", "licensed_user"),
        ("admin@jsm.internal", "admin", "administrator"),
        ("left.person@example.com", "left.person", "deactivated"),
        ("ldap.person@example.com", "ldap.person", "read_only_directory"),
    ] {
        assert_eq!(gateway.reason(email).await, reason, "{email}");
        assert_eq!(gateway.jsm.password_sets(name), 0);
    }
}

#[tokio::test]
async fn a_captcha_a_second_step_and_basic_off_have_their_reasons() {
    let gateway = Gateway::start().await;
    gateway.jsm.switch(|switches| switches.captcha = Captcha::Always);
    assert_eq!(gateway.reason(ANA).await, "captcha_required");
    gateway.jsm.switch(|switches| (switches.captcha, switches.two_step_enforced) = (Captcha::Off, true));
    assert_eq!(gateway.reason("bob@example.com").await, "two_step_enforced");

    let basic = |jsm: &JsmDataCenter| ServiceCredentials::Basic {
        user: crate::demo::jsm_datacenter::SERVICE_ACCOUNT.into(),
        token: jsm.service_password().clone(),
    };
    let gateway = Gateway::with(basic).await;
    gateway.ensure(&gateway.visitor(ANA).await).await.unwrap();
    gateway.jsm.switch(|switches| switches.basic_auth = false);
    assert_eq!(gateway.reason("bob@example.com").await, "basic_auth_off");
    assert_eq!(gateway.customers.check().await.unwrap_err().reason(), "basic_auth_off");
}

#[tokio::test]
async fn bad_days_have_their_reasons() {
    for (kind, reason) in [
        (FaultKind::HtmlInPlaceOfJson, "html_instead_of_json"),
        (FaultKind::Status(500, None), "upstream_failing"),
        (FaultKind::Status(401, None), "credentials_refused"),
        (FaultKind::Status(429, Some(3600)), "rate_limited"),
        (FaultKind::DropConnection, "upstream_unreachable"),
    ] {
        let gateway = Gateway::start().await;
        gateway.jsm.set_faults(vec![Fault::always("/rest/api/2/user", kind.clone())]);
        assert_eq!(gateway.reason(ANA).await, reason, "{kind:?}");
    }
    let gateway = Gateway::start().await;
    gateway.jsm.set_faults(vec![Fault::times("", 2, FaultKind::Status(503, Some(0)))]);
    gateway.ensure(&gateway.visitor(ANA).await).await.unwrap();
}

#[tokio::test]
async fn a_killed_session_is_seen_and_opened_anew() {
    let gateway = Gateway::start().await;
    let ana = gateway.visitor(ANA).await;
    let first = gateway.ensure(&ana).await.unwrap();
    gateway.clock.advance(MINUTE);
    gateway.jsm.kill_all(ANA);
    let answer = gateway.get("/rest/servicedeskapi/request", &first).await;
    let Verdict::Dead(sign) = gateway.judge(&first, &answer, true) else { panic!("{answer:?}") };
    let second = gateway.customers.reopen(&ana, first.generation(), sign, gateway.clock.now()).await.unwrap();
    assert_eq!((second.generation(), gateway.jsm.logins(ANA)), (2, 2));
    assert_eq!(gateway.get("/rest/servicedeskapi/request", &second).await.status, 200);
}

#[tokio::test]
async fn a_remembered_customer_is_renewed_without_a_login() {
    let gateway = Gateway::start().await;
    gateway.jsm.switch(|switches| switches.rest_session = false);
    let ana = gateway.visitor(ANA).await;
    let first = gateway.ensure(&ana).await.unwrap();
    for id in gateway.jsm.sessions_of(ANA) {
        gateway.jsm.kill_session(&id);
    }
    let answer = gateway.get("/servicedesk/customer/portals", &first).await;
    let Verdict::Renewed(renewed) = gateway.judge(&first, &answer, false) else { panic!("{answer:?}") };
    gateway.customers.keep(&ana, renewed).await;
    let second = gateway.ensure(&ana).await.unwrap();
    assert_eq!(gateway.get("/servicedesk/customer/portals", &second).await.status, 200);
    assert_eq!((second.generation(), gateway.jsm.logins(ANA)), (2, 1));
}

#[tokio::test]
async fn the_balancers_cookie_stays_with_the_session() {
    let gateway = Gateway::start().await;
    gateway.jsm.switch(|switches| switches.node_affinity = Some(("ROUTEID".into(), ".node2".into())));
    let session = gateway.ensure(&gateway.visitor(ANA).await).await.unwrap();
    assert!(session.holds("ROUTEID") && gateway.customers.keeps_back("ROUTEID", Some(&session)));
    assert_eq!(gateway.get("/servicedesk/customer/portals", &session).await.status, 200);
}

#[tokio::test]
async fn the_service_user_is_found_fit() {
    let gateway = Gateway::start().await;
    assert_eq!(gateway.customers.check().await.unwrap().unwrap(), crate::demo::jsm_datacenter::SERVICE_ACCOUNT);
}
