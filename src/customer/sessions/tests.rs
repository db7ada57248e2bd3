use std::sync::Mutex;

use http::{HeaderMap, HeaderValue, StatusCode};

use super::*;
use crate::customer::datacenter::tests::site::Site;
use crate::customer::datacenter::tests::{data_center, settings};
use crate::customer::{BrokerFailed, UpstreamFailed};
use crate::portal::HostName;
use crate::random::Random;
use crate::secret::Secret;
use crate::session::settings::{SessionSettings, StoreSettings};
use crate::session::store::memory::MemoryStore;
use crate::sign_in::VerifiedIdentity;

const START: Timestamp = Timestamp::from_seconds(1_700_000_000);
const HOUR: Duration = Duration::from_secs(3600);
const PASSWORD: &str = "PUT /jira/rest/api/2/user/password";
const LOGIN: &str = "POST /jira/rest/auth/1/session";

#[derive(Debug, Default)]
struct Noted(Mutex<Vec<CustomerEvent>>);

impl CustomerObserver for Noted {
    fn note(&self, event: &CustomerEvent) {
        self.0.lock().unwrap().push(event.clone());
    }
}

struct Gateway {
    site: Site,
    sessions: Sessions,
    customers: CustomerSessions,
    clock: Clock,
    noted: Arc<Noted>,
}

impl Gateway {
    async fn start() -> Self {
        let site = Site::start().await;
        let clock = Clock::manual(START);
        let settings_of_sessions = SessionSettings {
            idle_timeout: HOUR * 10,
            absolute_timeout: HOUR * 24,
            cache_entries: 1000,
            store: StoreSettings::Embedded { path: "/nowhere".into() },
            keys: vec![Secret::generated("k".repeat(43))],
        };
        let store = Arc::new(MemoryStore::default());
        let sessions = Sessions::with_store(&settings_of_sessions, store, clock.clone(), Random::default()).unwrap();
        let jira = data_center(&site, settings());
        let noted = Arc::new(Noted::default());
        let customers = CustomerSessions::brokered(
            jira.directory,
            jira.center,
            sessions.clone(),
            clock.clone(),
            Arc::<Noted>::clone(&noted),
        );
        Self { site, sessions, customers, clock, noted }
    }

    async fn visitor(&self, name: &str) -> Arc<LiveSession> {
        let identity = VerifiedIdentity::for_test("okta", name, &format!("{name}@acme.com"));
        let portal = HostName::parse("support.acme.com").unwrap();
        let client = std::net::IpAddr::from([192, 0, 2, 7]);
        self.sessions.open(identity, None, portal, client).await.unwrap().1
    }

    async fn ensure(&self, visitor: &Arc<LiveSession>) -> Result<Arc<CustomerSession>, CustomerFailed> {
        self.customers.ensure(visitor, self.clock.now()).await.map(Option::unwrap)
    }

    async fn reopen(
        &self,
        visitor: &Arc<LiveSession>,
        dead: u64,
        sign: DeathSign,
    ) -> Result<Arc<CustomerSession>, CustomerFailed> {
        self.customers.reopen(visitor, dead, sign, self.clock.now()).await
    }

    /// Starts so many requests at once.
    fn at_once(
        &self,
        visitor: &Arc<LiveSession>,
        count: usize,
    ) -> Vec<tokio::task::JoinHandle<Result<Option<Arc<CustomerSession>>, CustomerFailed>>> {
        let start = |_| {
            let (customers, visitor, now) = (self.customers.clone(), Arc::clone(visitor), self.clock.now());
            tokio::spawn(async move { customers.ensure(&visitor, now).await })
        };
        (0..count).map(start).collect()
    }

    /// Waits until the site has seen so many of these calls.
    async fn seen(&self, call: &str, count: usize) {
        while self.site.calls(call) < count {
            tokio::task::yield_now().await;
        }
    }

    fn count(&self, fits: impl Fn(&CustomerEvent) -> bool) -> usize {
        self.noted.0.lock().unwrap().iter().filter(|event| fits(event)).count()
    }
}

#[tokio::test]
async fn nothing_is_injected_where_nothing_is_configured() {
    let gateway = Gateway::start().await;
    let ana = gateway.visitor("ana").await;
    let none = CustomerSessions::none();
    assert!(none.ensure(&ana, START).await.unwrap().is_none());
    assert!(!none.keeps_back("JSESSIONID", None));
    assert_eq!(none.check().await, Ok(None));
    assert!(gateway.site.all_calls().is_empty());
}

#[tokio::test]
async fn fifty_requests_at_once_cost_one_password_and_one_login() {
    let gateway = Gateway::start().await;
    let ana = gateway.visitor("ana").await;
    for request in gateway.at_once(&ana, 50) {
        let session = request.await.unwrap().unwrap().unwrap();
        assert_eq!((session.generation(), session.customer()), (1, "ana@acme.com"));
    }
    assert_eq!((gateway.site.calls(PASSWORD), gateway.site.calls(LOGIN)), (1, 1));
    let calls = gateway.site.all_calls().len();
    gateway.ensure(&ana).await.unwrap();
    assert_eq!(gateway.site.all_calls().len(), calls, "the next request calls nobody");
    assert_eq!(gateway.count(|event| matches!(event, CustomerEvent::Opened { .. })), 1);
    assert_eq!(gateway.count(|event| *event == CustomerEvent::Reused), 50);
}

#[tokio::test]
async fn fifty_sessions_of_one_person_never_spoil_each_others_login() {
    let gateway = Gateway::start().await;
    let mut requests = Vec::new();
    for _ in 0..50 {
        requests.extend(gateway.at_once(&gateway.visitor("ana").await, 1));
    }
    for request in requests {
        request.await.unwrap().unwrap().unwrap();
    }
    assert_eq!((gateway.site.calls(PASSWORD), gateway.site.calls(LOGIN)), (50, 50), "no login was repeated");
    assert_eq!(gateway.site.people(), 1);
}

#[tokio::test]
async fn everybody_gets_their_own() {
    let gateway = Gateway::start().await;
    let mut requests = Vec::new();
    for number in 0..20 {
        let visitor = gateway.visitor(&format!("person{number}")).await;
        requests.push((number, gateway.at_once(&visitor, 3)));
    }
    for (number, requests) in requests {
        for request in requests {
            let session = request.await.unwrap().unwrap().unwrap();
            assert_eq!(session.customer(), format!("person{number}@acme.com"));
        }
    }
    assert_eq!(gateway.site.calls(LOGIN), 20);
}

#[tokio::test]
async fn a_visitor_who_gives_up_leaves_no_half_done_work() {
    let gateway = Gateway::start().await;
    let ana = gateway.visitor("ana").await;
    gateway.site.hold_logins();
    let mut requests = gateway.at_once(&ana, 1);
    gateway.seen(LOGIN, 1).await;
    requests.remove(0).abort();
    gateway.site.release_logins();
    gateway.ensure(&ana).await.unwrap();
    assert_eq!((gateway.site.calls(PASSWORD), gateway.site.calls(LOGIN)), (1, 1));
}

#[tokio::test]
async fn who_waited_together_fails_together_and_nobody_hammers() {
    let gateway = Gateway::start().await;
    gateway.site.add("fred", "fred@acme.com", |person| person.roles.push("Jira Software".into()));
    let fred = gateway.visitor("fred").await;
    for request in gateway.at_once(&fred, 30) {
        assert_eq!(request.await.unwrap().unwrap_err().reason(), "licensed_user");
    }
    assert_eq!(gateway.count(|event| matches!(event, CustomerEvent::Failed { .. })), 1);
    gateway.site.change("fred", |person| person.roles.clear());
    gateway.clock.advance(Duration::from_secs(31));
    gateway.ensure(&fred).await.unwrap();
}

#[tokio::test]
async fn a_killed_session_is_opened_anew_once() {
    let gateway = Gateway::start().await;
    let ana = gateway.visitor("ana").await;
    let first = gateway.ensure(&ana).await.unwrap();
    gateway.clock.advance(Duration::from_secs(60));
    gateway.site.kill_sessions();
    let again = (0..20).map(|_| {
        let (customers, ana, now) = (gateway.customers.clone(), Arc::clone(&ana), gateway.clock.now());
        tokio::spawn(async move { customers.reopen(&ana, 1, DeathSign::Unauthorized, now).await })
    });
    for request in again.collect::<Vec<_>>() {
        let second = request.await.unwrap().unwrap();
        assert_eq!(second.generation(), 2);
        assert_ne!(second.cookie_header("/jira/"), first.cookie_header("/jira/"));
    }
    assert_eq!((gateway.site.calls(PASSWORD), gateway.site.calls(LOGIN)), (2, 2));
    assert_eq!(gateway.site.calls("GET /jira/rest/auth/1/session"), 2, "who came second asked nobody");
    assert_eq!(ana.customer_session().unwrap().generation(), 2);
}

#[tokio::test]
async fn an_honest_403_opens_nothing() {
    let gateway = Gateway::start().await;
    let ana = gateway.visitor("ana").await;
    gateway.ensure(&ana).await.unwrap();
    for sign in [DeathSign::Forbidden, DeathSign::HtmlForJson, DeathSign::Unauthorized] {
        let same = gateway.reopen(&ana, 1, sign).await.unwrap();
        assert_eq!(same.generation(), 1, "{sign:?}"); // the 401 is doubted because the session is young
    }
    assert_eq!(gateway.site.calls(LOGIN), 1);
    gateway.site.kill_sessions();
    assert_eq!(gateway.reopen(&ana, 1, DeathSign::Forbidden).await.unwrap().generation(), 2);
}

#[tokio::test]
async fn a_late_report_of_a_death_does_not_touch_the_fresh_session() {
    let gateway = Gateway::start().await;
    let ana = gateway.visitor("ana").await;
    gateway.ensure(&ana).await.unwrap();
    gateway.clock.advance(Duration::from_secs(60));
    gateway.site.kill_sessions();
    gateway.reopen(&ana, 1, DeathSign::Unauthorized).await.unwrap();
    // The answer to a slow request of the first generation arrives now, while the upstream is down.
    gateway.site.set(|switches| switches.failing = true);
    assert_eq!(gateway.reopen(&ana, 1, DeathSign::Unauthorized).await.unwrap().generation(), 2);
    assert_eq!(gateway.ensure(&ana).await.unwrap().generation(), 2);
}

#[tokio::test]
async fn a_cookie_renewed_meanwhile_does_not_stop_the_new_session() {
    let gateway = Gateway::start().await;
    let ana = gateway.visitor("ana").await;
    let first = gateway.ensure(&ana).await.unwrap();
    gateway.clock.advance(Duration::from_secs(60));
    gateway.site.kill_sessions();
    gateway.site.hold_logins();
    let reopening = tokio::spawn({
        let (customers, ana, now) = (gateway.customers.clone(), Arc::clone(&ana), gateway.clock.now());
        async move { customers.reopen(&ana, 1, DeathSign::Unauthorized, now).await }
    });
    gateway.seen(LOGIN, 2).await;
    let late = [HeaderValue::from_static("ROUTEID=.node2; Path=/")];
    gateway.customers.keep(&ana, first.absorb(&late, |_| false, START).unwrap()).await;
    gateway.site.release_logins();
    let opened = reopening.await.unwrap().unwrap();
    assert_eq!(opened.generation(), 3);
    assert!(Arc::ptr_eq(&gateway.ensure(&ana).await.unwrap(), &ana.customer_session().unwrap()));
    assert_eq!(ana.customer_session().unwrap().cookie_header("/jira/"), opened.cookie_header("/jira/"));
    assert_ne!(opened.cookie_header("/jira/"), first.cookie_header("/jira/"));
}

#[tokio::test]
async fn a_failed_renewal_leaves_the_session_that_serves() {
    let gateway = Gateway::start().await;
    let ana = gateway.visitor("ana").await;
    gateway.ensure(&ana).await.unwrap();
    gateway.clock.advance(HOUR * 4 * 9 / 10);
    gateway.site.set(|switches| switches.failing = true);
    assert_eq!(gateway.ensure(&ana).await.unwrap().generation(), 1);
    while gateway.count(|event| matches!(event, CustomerEvent::Failed { .. })) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(gateway.ensure(&ana).await.unwrap().generation(), 1);
    let failed = gateway.count(|event| matches!(event, CustomerEvent::Failed { .. }));
    assert_eq!(failed, 1, "no second try right after the first");
}

#[tokio::test]
async fn the_next_session_is_opened_before_the_last_is_over() {
    let gateway = Gateway::start().await;
    let ana = gateway.visitor("ana").await;
    gateway.ensure(&ana).await.unwrap();
    gateway.clock.advance(HOUR * 4 * 9 / 10);
    gateway.site.hold_logins();
    for _ in 0..10 {
        assert_eq!(gateway.ensure(&ana).await.unwrap().generation(), 1, "served at once by the old one");
    }
    gateway.seen(LOGIN, 2).await;
    gateway.site.release_logins();
    while gateway.ensure(&ana).await.unwrap().generation() == 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(gateway.site.calls(LOGIN), 2);
}

#[tokio::test]
async fn a_session_that_is_over_is_replaced_and_ended() {
    let gateway = Gateway::start().await;
    let ana = gateway.visitor("ana").await;
    gateway.ensure(&ana).await.unwrap();
    gateway.clock.advance(HOUR * 5);
    assert_eq!(gateway.ensure(&ana).await.unwrap().generation(), 2);
    assert_eq!(gateway.site.open_sessions(), 1);
}

#[tokio::test]
async fn sessions_that_die_at_once_are_not_opened_for_ever() {
    let gateway = Gateway::start().await;
    let ana = gateway.visitor("ana").await;
    let mut generation = gateway.ensure(&ana).await.unwrap().generation();
    let mut failure = None;
    for _ in 0..10 {
        gateway.site.kill_sessions();
        match gateway.reopen(&ana, generation, DeathSign::RedirectToLogin).await {
            Ok(next) => generation = next.generation(),
            Err(failed) => failure = Some(failed),
        }
    }
    assert_eq!(failure, Some(CustomerFailed::KeepsDying));
    assert!(gateway.site.calls(LOGIN) <= 6);
    gateway.clock.advance(Duration::from_secs(120));
    gateway.ensure(&ana).await.unwrap();
}

#[tokio::test]
async fn a_sign_out_during_the_login_leaves_nothing_open() {
    let gateway = Gateway::start().await;
    let ana = gateway.visitor("ana").await;
    gateway.site.hold_logins();
    let mut requests = gateway.at_once(&ana, 1);
    gateway.seen(LOGIN, 1).await;
    gateway.sessions.end(&ana).await.unwrap();
    gateway.site.release_logins();
    assert_eq!(requests.remove(0).await.unwrap().unwrap_err(), CustomerFailed::SessionEnded);
    assert_eq!(gateway.site.open_sessions(), 0);
    assert_eq!(gateway.ensure(&ana).await.unwrap_err(), CustomerFailed::SessionEnded);
}

#[tokio::test]
async fn ending_ends_upstream_and_a_dead_upstream_does_not_matter() {
    let gateway = Gateway::start().await;
    let ana = gateway.visitor("ana").await;
    let held = gateway.ensure(&ana).await.unwrap();
    gateway.customers.end(&held).await;
    assert_eq!(gateway.site.open_sessions(), 0);
    gateway.site.set(|switches| switches.failing = true);
    gateway.customers.end(&held).await;
    assert_eq!(gateway.count(|event| *event == CustomerEvent::Ended { confirmed: true }), 1);
    assert_eq!(gateway.count(|event| *event == CustomerEvent::Ended { confirmed: false }), 1);
}

#[tokio::test]
async fn answers_are_judged_before_their_cookies_are_taken() {
    let gateway = Gateway::start().await;
    let ana = gateway.visitor("ana").await;
    let used = gateway.ensure(&ana).await.unwrap();
    let judge = |status: u16, cookies: &[&'static str]| {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append("set-cookie", HeaderValue::from_static(cookie));
        }
        let status = StatusCode::from_u16(status).unwrap();
        gateway.customers.judge(
            &used,
            &AnswerHead { status, headers: &headers, request_wanted_json: false },
            &Clock::manual(START),
        )
    };
    const ANONYMOUS: &str = "JSESSIONID=anonymous; Path=/jira; HttpOnly";
    assert!(matches!(judge(200, &["theme=dark"]), Verdict::Alive));
    assert!(matches!(judge(401, &[ANONYMOUS]), Verdict::Dead(DeathSign::Unauthorized)));
    let with_token = judge(200, &[ANONYMOUS, "atlassian.xsrf.token=x_lout; Path=/jira"]);
    assert!(matches!(with_token, Verdict::Dead(DeathSign::LoggedOutToken)));
    let Verdict::Renewed(renewed) = judge(200, &["JSESSIONID=next; Path=/jira; HttpOnly"]) else { panic!("renewed") };
    gateway.customers.keep(&ana, renewed).await;
    assert_eq!(gateway.ensure(&ana).await.unwrap().generation(), 2);

    for name in ["JSESSIONID", "jsessionid", "seraph.rememberme.cookie", "ROUTEID"] {
        assert!(gateway.customers.keeps_back(name, Some(&used)), "{name}");
    }
    assert!(!gateway.customers.keeps_back("atlassian.xsrf.token", Some(&used)));
}

#[tokio::test]
async fn an_upstream_that_rests_is_told_with_its_time() {
    let gateway = Gateway::start().await;
    gateway.site.set(|switches| switches.rate_limit = Some((1, 3600)));
    let failure = gateway.ensure(&gateway.visitor("ana").await).await.unwrap_err();
    assert_eq!((failure.reason(), failure.pause()), ("rate_limited", Duration::from_secs(60)));
    let other = CustomerFailed::Broker(BrokerFailed::Upstream(UpstreamFailed::TimedOut));
    assert!(other.pause() < failure.pause());
}

#[tokio::test]
async fn a_customer_session_is_shown_to_its_own_site_alone() {
    let (one, two) = (Gateway::start().await, Gateway::start().await);
    // The same portal, before and after its upstream was changed: the visitor's session lives on.
    let at = |gateway: &Gateway, site: &str| {
        let jira = data_center(&gateway.site, settings());
        let noted = Arc::<Noted>::clone(&gateway.noted);
        CustomerSessions::brokered(jira.directory, jira.center, one.sessions.clone(), one.clock.clone(), noted)
            .at_site(site)
    };
    let (before, after) = (at(&one, "datacenter https://one"), at(&two, "datacenter https://two"));
    let ana = one.visitor("ana").await;
    let old = before.ensure(&ana, START).await.unwrap().unwrap();
    assert_eq!(before.ensure(&ana, START).await.unwrap().unwrap().generation(), old.generation(), "held");
    assert!(before.serves(&ana, START) && !after.serves(&ana, START));
    let new = after.ensure(&ana, START).await.unwrap().unwrap();
    assert!(new.generation() > old.generation());
    assert_eq!((new.site().map(|site| &**site), two.site.calls(LOGIN)), (Some("datacenter https://two"), 1));
    // It is not ended there either, nor does a late answer of the old site bring it back.
    let calls = two.site.all_calls().len();
    after.end(&old).await;
    assert_eq!(two.site.all_calls().len(), calls);
    before.keep(&ana, (*old).clone().of_generation(new.generation() + 5)).await;
    let again = after.ensure(&ana, START).await.unwrap().unwrap();
    assert_eq!((again.site().map(|site| &**site), two.site.calls(LOGIN)), (Some("datacenter https://two"), 2));
}
