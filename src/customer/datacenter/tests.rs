use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::clock::{Clock, Timestamp, deadline};
use crate::customer::ledger::Ledger;
use crate::customer::{
    BrokerFailed, Customer, CustomerDirectory, CustomerSessionBroker, Directory, DirectoryFailed, DirectoryParts,
    NobodyWatches,
};
use crate::portal::HostName;
use crate::portal::settings::{DataCenterLogin, DirectorySettings, OnEmailChange, OnLeave, ServiceCredentials};
use crate::secret::Secret;
use crate::session::CustomerSession;
use crate::sign_in::VerifiedIdentity;

pub(in crate::customer) mod site;

use self::site::{Site, TOKEN, Way};

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
const ANA: &str = "ana@acme.com";

pub(in crate::customer) fn directory_settings() -> DirectorySettings {
    DirectorySettings {
        credentials: ServiceCredentials::Bearer(Secret::generated(TOKEN)),
        api_url: None,
        create_customers: true,
        update_display_name: false,
        service_desks: vec!["10".into(), "12".into()],
        organizations: Vec::new(),
        on_leave: OnLeave::Keep,
        on_email_change: OnEmailChange::Keep,
    }
}

pub(in crate::customer) fn settings() -> DataCenterSettings {
    DataCenterSettings {
        directory: directory_settings(),
        logins: vec![DataCenterLogin::RestSession, DataCenterLogin::PortalForm, DataCenterLogin::Tsv],
        managed_group: Some("gateway-managed".into()),
        max_age: Duration::from_secs(4 * 3600),
        concurrency: 8,
        call_timeout: Duration::from_secs(10),
    }
}

/// A site as the gateway uses it: its accounts and logins, and the directory over them.
pub(in crate::customer) struct Jira {
    pub center: Arc<DataCenter>,
    pub directory: Arc<Directory>,
}

impl std::ops::Deref for Jira {
    type Target = DataCenter;

    fn deref(&self) -> &DataCenter {
        &self.center
    }
}

impl Jira {
    async fn ensure(&self, who: &VerifiedIdentity, deadline: Instant) -> Result<Customer, DirectoryFailed> {
        self.directory.ensure(who, deadline).await
    }
}

pub(in crate::customer) fn data_center(site: &Site, settings: DataCenterSettings) -> Jira {
    let url: Url = format!("http://{}/jira/", site.address).parse().unwrap();
    let nodes = Nodes::for_test(Url::clone(&url));
    let (people, of_directory) = (Arc::<People>::default(), settings.directory.clone());
    let center = Arc::new(DataCenter::new(url, nodes, settings, Arc::clone(&people), Random::default()));
    let parts = DirectoryParts {
        accounts: center.clone(),
        ledger: Ledger::new(crate::customer::directory::tests::sessions_in_memory(Clock::manual(NOW)).records()),
        people,
        concurrency: 8,
        observer: Arc::new(NobodyWatches),
        clock: Clock::manual(NOW),
    };
    let portal = HostName::parse("support.acme.com").unwrap();
    Jira { center, directory: Arc::new(Directory::new(portal, of_directory, parts)) }
}

fn who(email: &str) -> VerifiedIdentity {
    VerifiedIdentity::for_test("okta", &email.to_lowercase(), email)
}

fn soon() -> Instant {
    deadline(Duration::from_secs(20))
}

async fn customer(jira: &Jira, email: &str) -> Customer {
    jira.ensure(&who(email), soon()).await.unwrap()
}

async fn open(jira: &Jira) -> Result<CustomerSession, BrokerFailed> {
    let customer = customer(jira, ANA).await;
    jira.open(&customer, 1, NOW, soon()).await
}

async fn start() -> (Site, Jira) {
    let site = Site::start().await;
    let jira = data_center(&site, settings());
    (site, jira)
}

#[tokio::test]
async fn a_stranger_becomes_a_customer_once() {
    let (site, jira) = start().await;
    for _ in 0..3 {
        assert_eq!(customer(&jira, "Ana@Acme.com").await.account(), ANA);
    }
    assert_eq!((site.people(), site.calls("POST /jira/rest/servicedeskapi/customer")), (1, 1));
    assert_eq!(site.calls("POST /jira/rest/api/2/group/user"), 1, "marked once");
    assert!(site.person(ANA).unwrap().groups.contains("gateway-managed"));
    assert_eq!((site.desk("10"), site.desk("12")), (vec![ANA.to_owned()], vec![ANA.to_owned()]));
}

#[tokio::test]
async fn what_a_crash_left_undone_is_finished() {
    let (site, jira) = start().await;
    site.add(ANA, ANA, |_| {}); // created, and nothing more
    customer(&jira, ANA).await;
    assert!(site.person(ANA).unwrap().groups.contains("gateway-managed"));
    assert_eq!(site.desk("12"), [ANA]);
}

#[tokio::test]
async fn a_customer_is_found_by_the_whole_address_across_pages() {
    let (site, jira) = start().await;
    site.set(|switches| switches.page_cap = 2);
    for number in 0..7 {
        site.add(&format!("a{number}"), &format!("ana@acme.com.test{number}"), |_| {});
    }
    site.add("zana", "ANA@ACME.COM", |_| {});
    assert_eq!(customer(&jira, ANA).await.account(), "zana");
    assert_eq!(site.calls("GET /jira/rest/api/2/user/search"), 5);
    assert_eq!(site.calls("POST /jira/rest/servicedeskapi/customer"), 0);
}

#[tokio::test]
async fn hidden_addresses_leave_the_name() {
    let (site, jira) = start().await;
    site.set(|switches| switches.emails_hidden = true);
    site.add(ANA, ANA, |_| {});
    assert_eq!(customer(&jira, ANA).await.account(), ANA);
}

#[tokio::test]
async fn another_profile_with_her_address_does_not_get_her_requests() {
    let (site, jira) = start().await;
    site.add("mallory", ANA, |_| {});
    site.add(ANA, ANA, |_| {});
    assert_eq!(customer(&jira, ANA).await.account(), ANA);
    site.add("bob", "bob@acme.com", |_| {});
    site.add("bob2", "bob@acme.com", |_| {});
    let failed = jira.ensure(&who("bob@acme.com"), soon()).await;
    assert_eq!(failed, Err(DirectoryFailed::Ambiguous(2)));
}

#[tokio::test]
async fn a_name_taken_by_another_address_is_not_used() {
    let (site, jira) = start().await;
    site.add(ANA, "mallory@evil.test", |_| {});
    assert_eq!(jira.ensure(&who(ANA), soon()).await, Err(DirectoryFailed::Taken));
}

#[tokio::test]
async fn whoever_is_more_or_less_than_a_customer_is_refused() {
    let (site, jira) = start().await;
    site.add("fred", "fred@acme.com", |person| person.roles.push("Jira Software".into()));
    site.add("root", "root@acme.com", |person| person.groups.extend(["jira-administrators".into()]));
    site.add("gone", "gone@acme.com", |person| person.inactive = true);
    for (email, reason) in
        [("fred@acme.com", "licensed_user"), ("root@acme.com", "administrator"), ("gone@acme.com", "deactivated")]
    {
        assert_eq!(jira.ensure(&who(email), soon()).await.unwrap_err().reason(), reason);
    }
    assert_eq!(site.calls("PUT"), 0, "nobody's password was touched");
    assert_eq!(site.calls("POST"), 0, "and nothing else");
}

#[tokio::test]
async fn nobody_is_created_where_that_is_turned_off() {
    let site = Site::start().await;
    let jira = data_center(
        &site,
        DataCenterSettings {
            directory: DirectorySettings { create_customers: false, ..directory_settings() },
            ..settings()
        },
    );
    assert_eq!(jira.ensure(&who(ANA), soon()).await, Err(DirectoryFailed::Unknown));
    assert_eq!(site.people(), 0);
}

#[tokio::test]
async fn an_identity_without_an_address_is_nobody() {
    let (site, jira) = start().await;
    assert_eq!(jira.ensure(&who("no address"), soon()).await, Err(DirectoryFailed::NoVerifiedEmail));
    assert!(site.all_calls().is_empty());
}

#[tokio::test]
async fn a_new_account_may_take_a_while_to_appear() {
    let (site, jira) = start().await;
    site.set(|switches| switches.appears_after = 3);
    customer(&jira, ANA).await;
    assert_eq!(site.desk("10"), [ANA]);
}

#[tokio::test]
async fn many_first_sign_ins_of_one_person_create_one_account() {
    let (site, jira) = start().await;
    let jira = Arc::new(jira);
    let tasks = (0..10).map(|_| {
        let jira = Arc::clone(&jira);
        tokio::spawn(async move { customer(&jira, ANA).await })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!((site.people(), site.calls("POST /jira/rest/servicedeskapi/customer")), (1, 1));
}

#[tokio::test]
async fn a_group_or_desk_that_is_not_there_has_its_own_reason() {
    let (site, jira) = start().await;
    site.set(|switches| (switches.group_unknown, switches.groups_closed) = (true, true));
    assert_eq!(jira.ensure(&who(ANA), soon()).await.unwrap_err().reason(), "managed_group_unavailable");
    site.set(|switches| switches.groups_closed = false);
    customer(&jira, ANA).await;
    assert!(site.person(ANA).unwrap().groups.contains("gateway-managed"), "the group was made");
    site.set(|switches| switches.desk_unknown = true);
    let bob = who("bob@acme.com");
    assert_eq!(jira.ensure(&bob, soon()).await, Err(DirectoryFailed::ServiceDesk("10".into())));
    customer(&jira, ANA).await; // she is in already
    site.set(|switches| switches.desk_unknown = false);
    jira.ensure(&bob, soon()).await.unwrap();
    assert_eq!(site.calls("POST /jira/rest/servicedeskapi/customer"), 2, "what was left undone was finished");
}

#[tokio::test]
async fn a_session_is_opened_checked_and_really_ended() {
    let (site, jira) = start().await;
    let session = open(&jira).await.unwrap();
    assert_eq!((session.generation(), session.customer()), (1, ANA));
    assert_eq!(session.cookie_header("/jira/servicedesk").unwrap(), "JSESSIONID=session-1; ROUTEID=.node1");
    assert_eq!(session.expires(), Some(NOW.after(Duration::from_secs(4 * 3600))));
    assert!(jira.is_alive(&session, soon()).await.unwrap());
    jira.end(&session, soon()).await.unwrap();
    assert_eq!(site.open_sessions(), 0);
    assert!(!jira.is_alive(&session, soon()).await.unwrap());
    jira.end(&session, soon()).await.unwrap(); // unknown counts as ended
}

#[tokio::test]
async fn no_password_is_used_twice_or_told() {
    let (site, jira) = start().await;
    let first = open(&jira).await.unwrap();
    let password = site.person(ANA).unwrap().password;
    open(&jira).await.unwrap();
    assert_ne!(site.person(ANA).unwrap().password, password);
    assert!(jira.is_alive(&first, soon()).await.unwrap(), "the other browser stays signed in");
    let told = format!("{:?} {:?} {first:?} {:?}", jira.center, jira.directory, site.all_calls());
    assert!(!told.contains(&password) && !told.contains("session-1") && !told.contains(TOKEN));
}

#[tokio::test]
async fn logins_are_tried_in_order_and_the_one_that_worked_is_remembered() {
    const FORM: &str = "POST /jira/servicedesk/customer/user/login";
    const REST: &str = "POST /jira/rest/auth/1/session";
    const TSV: &str = "POST /jira/rest/tsv/1.0/authenticate";
    let (site, jira) = start().await;
    site.set(|switches| switches.rest = Way::Missing);
    open(&jira).await.unwrap();
    open(&jira).await.unwrap();
    assert_eq!((site.calls(REST), site.calls(FORM), site.calls(TSV)), (1, 2, 0));
    site.set(|switches| switches.form = Way::Page);
    open(&jira).await.unwrap();
    assert_eq!((site.calls(REST), site.calls(FORM), site.calls(TSV)), (2, 3, 1));
    open(&jira).await.unwrap();
    assert_eq!((site.calls(REST), site.calls(FORM), site.calls(TSV)), (2, 3, 2));
}

#[tokio::test]
async fn each_closed_door_has_its_own_reason() {
    for (rest, form, tsv, reason) in [
        (Way::Missing, Way::Missing, Way::Missing, "no_login_available"),
        (Way::NoCookie, Way::NoCookie, Way::NoCookie, "no_login_available"),
        (Way::Missing, Way::Page, Way::Missing, "html_instead_of_json"),
        (Way::Missing, Way::Page, Way::SecondStep, "two_step_enforced"),
    ] {
        let (site, jira) = start().await;
        site.set(|switches| (switches.rest, switches.form, switches.tsv) = (rest, form, tsv));
        assert_eq!(open(&jira).await.unwrap_err().reason(), reason);
    }
}

#[tokio::test]
async fn pages_instead_of_logins_open_the_breaker() {
    let (site, jira) = start().await;
    site.set(|switches| (switches.rest, switches.form, switches.tsv) = (Way::Page, Way::Page, Way::Page));
    for _ in 0..3 {
        assert_eq!(open(&jira).await.unwrap_err().reason(), "html_instead_of_json");
    }
    let before = site.calls("PUT");
    assert_eq!(open(&jira).await.unwrap_err().reason(), "logins_paused");
    assert_eq!(site.calls("PUT"), before, "no password is changed while logins rest");
}

#[tokio::test]
async fn a_captcha_is_not_answered_with_more_logins() {
    let (site, jira) = start().await;
    site.add(ANA, ANA, |person| person.captcha = true);
    for _ in 0..5 {
        assert_eq!(open(&jira).await.unwrap_err(), BrokerFailed::CaptchaRequired(ANA.into()));
    }
    assert_eq!(site.calls("POST /jira/rest/auth/1/session"), 1);
    assert_eq!(site.calls("POST /jira/servicedesk"), 0);
    assert_eq!(site.calls("PUT"), 1);
    let bob = customer(&jira, "bob@acme.com").await;
    jira.open(&bob, 1, NOW, soon()).await.unwrap();
}

#[tokio::test]
async fn a_password_that_got_lost_is_set_once_more_and_no_more() {
    let (site, jira) = start().await;
    site.set(|switches| switches.lost_passwords = 1);
    open(&jira).await.unwrap();
    assert_eq!(site.calls("PUT"), 2);
    site.set(|switches| switches.lost_passwords = usize::MAX);
    assert_eq!(open(&jira).await.unwrap_err(), BrokerFailed::LoginRefused(ANA.into()));
    assert_eq!(site.calls("PUT"), 4);
}

#[tokio::test]
async fn a_read_only_directory_is_told_from_a_missing_permission() {
    let (site, jira) = start().await;
    site.add(ANA, ANA, |person| person.read_only = true);
    assert_eq!(open(&jira).await.unwrap_err(), BrokerFailed::ReadOnlyDirectory(ANA.into()));
    let ana = customer(&jira, ANA).await;
    site.set(|switches| switches.token_not_administrator = true);
    let failed = jira.open(&ana, 1, NOW, soon()).await.unwrap_err();
    assert_eq!(failed.reason(), "credentials_lack_permission");
}

#[tokio::test]
async fn somebody_elses_session_is_ended_and_not_used() {
    let (site, jira) = start().await;
    site.set(|switches| switches.wrong_customer = true);
    assert_eq!(open(&jira).await.unwrap_err(), BrokerFailed::WrongCustomer(ANA.into()));
    assert_eq!(site.open_sessions(), 0);
}

#[tokio::test]
async fn an_administrator_by_other_ways_is_found_after_the_login() {
    let (site, jira) = start().await;
    site.add(ANA, ANA, |person| person.hidden_administrator = true);
    assert_eq!(open(&jira).await.unwrap_err(), BrokerFailed::Administrator(ANA.into()));
    assert_eq!(site.open_sessions(), 0);
}

#[tokio::test]
async fn a_broken_upstream_has_its_own_reasons() {
    let (site, jira) = start().await;
    let reason = async || jira.ensure(&who(ANA), soon()).await.unwrap_err().reason();
    site.set(|switches| switches.token_expired = true);
    assert_eq!(reason().await, "credentials_refused");
    site.set(|switches| (switches.token_expired, switches.token_not_administrator) = (false, true));
    assert_eq!(reason().await, "credentials_lack_permission");
    site.set(|switches| switches.everything_is_a_page = true);
    assert_eq!(reason().await, "html_instead_of_json");
    site.set(|switches| switches.failing = true);
    assert_eq!(reason().await, "upstream_failing");
}

#[tokio::test]
async fn basic_auth_turned_off_is_named() {
    let site = Site::start().await;
    let credentials = ServiceCredentials::Basic { user: "gateway".into(), token: Secret::generated("password") };
    let directory = DirectorySettings { credentials, ..directory_settings() };
    let jira = data_center(&site, DataCenterSettings { directory, ..settings() });
    customer(&jira, ANA).await;
    site.set(|switches| switches.basic_off = true);
    assert_eq!(jira.ensure(&who(ANA), soon()).await.unwrap_err().reason(), "basic_auth_off");
    let told = jira.check(soon()).await.unwrap_err();
    assert!(told.to_string().contains("personal access token"), "{told}");
}

#[tokio::test]
async fn an_unreachable_upstream_is_named() {
    let (site, _) = start().await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut gone = site;
    gone.address = free.local_addr().unwrap();
    drop(free);
    let jira = data_center(&gone, settings());
    assert_eq!(jira.ensure(&who(ANA), soon()).await.unwrap_err().reason(), "upstream_unreachable");
}

#[tokio::test]
async fn a_slow_upstream_is_given_up() {
    let (site, jira) = start().await;
    let ana = customer(&jira, ANA).await;
    site.hold_logins();
    let failed = jira.open(&ana, 1, NOW, deadline(Duration::from_millis(200))).await.unwrap_err();
    assert_eq!(failed.reason(), "upstream_timed_out");
}

#[tokio::test]
async fn who_is_asked_to_wait_waits_and_comes_back() {
    let (site, jira) = start().await;
    site.set(|switches| switches.rate_limit = Some((2, 0)));
    open(&jira).await.unwrap();
    assert_eq!(site.calls("GET /jira/rest/api/2/user"), 5, "one was made three times, and a search after it");
}

#[tokio::test]
async fn a_wait_longer_than_the_deadline_is_told_at_once() {
    let (site, jira) = start().await;
    site.set(|switches| switches.rate_limit = Some((1, 3600)));
    let limited = |failed: DirectoryFailed| matches!(failed, DirectoryFailed::Upstream(UpstreamFailed::RateLimited(wait)) if wait.as_secs() > 50);
    assert!(limited(jira.ensure(&who(ANA), soon()).await.unwrap_err()));
    let calls = site.all_calls().len();
    assert!(limited(jira.ensure(&who("bob@acme.com"), soon()).await.unwrap_err()));
    assert_eq!(site.all_calls().len(), calls, "nobody calls while the upstream rests");
}

#[tokio::test]
async fn logins_of_one_person_take_turns() {
    let (site, jira) = start().await;
    let (ana, jira) = (customer(&jira, ANA).await, Arc::new(jira));
    site.hold_logins();
    let logins = (1..=10).map(|generation| {
        let (jira, ana) = (Arc::clone(&jira), ana.clone());
        tokio::spawn(async move { jira.open(&ana, generation, NOW, soon()).await })
    });
    let logins: Vec<_> = logins.collect();
    while site.calls("POST /jira/rest/auth/1/session") == 0 {
        tokio::task::yield_now().await;
    }
    // Time enough for the others to change the password, if they were not waiting: another person gets through.
    customer(&jira, "bob@acme.com").await;
    assert_eq!(site.calls("PUT"), 1);
    site.release_logins();
    for login in logins {
        login.await.unwrap().unwrap();
    }
    assert_eq!((site.calls("PUT"), site.calls("POST /jira/rest/auth/1/session")), (10, 10), "no login was repeated");
}

#[tokio::test]
async fn two_people_do_not_wait_for_each_other() {
    let (site, jira) = start().await;
    let (ana, bob) = (customer(&jira, ANA).await, customer(&jira, "bob@acme.com").await);
    let _busy_with_ana = jira.people.turn(&jira.place(&format!("login of {ANA}"))).await;
    jira.open(&bob, 1, NOW, soon()).await.unwrap();
    let failed = jira.open(&ana, 1, NOW, deadline(Duration::from_millis(50))).await.unwrap_err();
    assert_eq!(failed.reason(), "upstream_timed_out");
    assert_eq!(site.calls("PUT"), 1, "ana's password was left alone");
}

#[tokio::test]
async fn the_check_tells_an_operator_in_plain_words() {
    let (site, jira) = start().await;
    assert_eq!(jira.check(soon()).await.unwrap(), "gateway");
    for (change, word) in [
        ((|switches| switches.desk_unknown = true) as fn(&mut site::Switches), "\"10\""),
        (|switches| switches.token_not_administrator = true, "Administer Jira"),
        (|switches| switches.everything_is_a_page = true, "page"),
    ] {
        site.set(change);
        let told = jira.check(soon()).await.unwrap_err().to_string();
        assert!(told.contains(word), "{told}");
    }
    site.set(|switches| (switches.everything_is_a_page, switches.token_expired) = (false, true));
    assert!(jira.check(soon()).await.unwrap_err().to_string().contains("expired"));
}
