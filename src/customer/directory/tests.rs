//! The directory against the JSM Data Center look-alike, over real sockets, with a ledger on a real disk where a crash is
//! played.

pub(in crate::customer) mod crashes;
mod crowd;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;

use axum::Router;
use http::Method;
use serde_json::{Value, json};
use url::Url;

use super::*;
use crate::clock::{Timestamp, deadline};
use crate::customer::datacenter::DataCenter;
use crate::demo::jsm_datacenter::{Fault, FaultKind, JsmDataCenter, User};
use crate::demo::server::Server;
use crate::email::EmailDomain;
use crate::http_client::{Call, HttpClient, HttpClientSettings, Roots};
use crate::nodes::Nodes;
use crate::portal::settings::{
    DataCenterLogin, DataCenterSettings, EachOf, OnEmailChange, OnLeave, OrganizationName, OrganizationRule,
    ServiceCredentials, ValueSource,
};
use crate::random::Random;
use crate::secret::Secret;
use crate::session::settings::{SessionSettings, StoreSettings};
use crate::session::store::SessionStore;
use crate::session::store::embedded::EmbeddedStore;
use crate::session::store::memory::MemoryStore;
use crate::session::{RecordError, Sessions, StoreError};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const ANA: &str = "ana@acme.com";
const DESK: &str = "/rest/servicedeskapi/servicedesk/{id}/customer";
const MEMBERS: &str = "/rest/servicedeskapi/organization/{id}/user";
const ORGANIZATION: &str = "/rest/servicedeskapi/organization";
const CUSTOMER: &str = "/rest/servicedeskapi/customer";

fn session_settings(keys: &[&str]) -> SessionSettings {
    SessionSettings {
        idle_timeout: Duration::from_secs(36_000),
        absolute_timeout: Duration::from_secs(72_000),
        cache_entries: 1000,
        store: StoreSettings::Embedded { path: "/nowhere".into() },
        keys: keys.iter().map(|key| Secret::generated(key.repeat(43))).collect(),
    }
}

fn sessions_with(store: Arc<dyn SessionStore>, keys: &[&str], clock: Clock) -> Sessions {
    Sessions::with_store(&session_settings(keys), store, clock, Random::default()).unwrap()
}

pub(in crate::customer) fn sessions_in_memory(clock: Clock) -> Sessions {
    sessions_with(Arc::new(MemoryStore::default()), &["k"], clock)
}

pub(in crate::customer) fn sessions_on_disk(folder: &Path, clock: Clock) -> Sessions {
    sessions_with(Arc::new(EmbeddedStore::open(folder.join("sessions.redb")).unwrap()), &["k"], clock)
}

#[derive(Debug, Default)]
struct Noted(Mutex<Vec<Provisioning>>);

impl CustomerObserver for Noted {
    fn note(&self, event: &CustomerEvent) {
        if let CustomerEvent::Provisioned(what) = event {
            self.0.lock().unwrap().push(*what);
        }
    }
}

/// A site, and what directories over it share.
struct Stage {
    jsm: JsmDataCenter,
    base: String,
    clock: Clock,
    sessions: Sessions,
    people: Arc<People>,
    noted: Arc<Noted>,
    _server: Server,
}

impl Stage {
    async fn start() -> Self {
        Self::with(|router| router, sessions_in_memory(Clock::manual(NOW))).await
    }

    /// A site behind something that `wrap` puts before it.
    async fn with(wrap: impl FnOnce(Router) -> Router, sessions: Sessions) -> Self {
        let clock = Clock::manual(NOW);
        let jsm = JsmDataCenter::new(clock.clone(), Random::default()).unwrap();
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::start(wrap(jsm.router()), local, None, None).await.unwrap();
        let base = format!("http://{}", server.addr());
        jsm.set_base_url(&base);
        Self { jsm, base, clock, sessions, people: Arc::default(), noted: Arc::default(), _server: server }
    }

    fn settings(&self) -> DirectorySettings {
        directory_settings(ServiceCredentials::Bearer(self.jsm.service_token().clone()))
    }

    fn directory(&self, settings: DirectorySettings) -> Directory {
        self.directory_of("support.acme.com", settings, 8)
    }

    fn directory_of(&self, portal: &str, settings: DirectorySettings, concurrency: usize) -> Directory {
        let data_center = DataCenterSettings {
            directory: settings.clone(),
            logins: vec![DataCenterLogin::RestSession],
            managed_group: None,
            max_age: Duration::from_secs(3600),
            concurrency,
            call_timeout: Duration::from_secs(10),
        };
        let (base, people) = (Url::parse(&self.base).unwrap(), Arc::clone(&self.people));
        let nodes = Nodes::for_test(base.clone());
        let accounts = DataCenter::new(base, nodes, data_center, Arc::clone(&people), Random::default());
        let parts = DirectoryParts {
            accounts: Arc::new(accounts),
            ledger: Ledger::new(self.sessions.records()),
            people,
            concurrency,
            observer: Arc::clone(&self.noted) as _,
            clock: self.clock.clone(),
        };
        Directory::new(HostName::parse(portal).unwrap(), settings, parts)
    }

    /// What an administrator of the site does by hand.
    async fn by_hand(&self, method: Method, path: &str, body: Value) -> Value {
        let client = HttpClientSettings { roots: Roots::Only(Vec::new()), ..HttpClientSettings::default() };
        let url = format!("{}{path}", self.base).parse().unwrap();
        let token = format!("Bearer {}", self.jsm.service_token().reveal());
        let call = Call::new(method, url).authorized(&token).with_body("application/json", body.to_string());
        let opt_in = (http::HeaderName::from_static("x-experimentalapi"), http::HeaderValue::from_static("opt-in"));
        let answer = HttpClient::new(client).unwrap().send(call.with_header(opt_in.0, opt_in.1)).await.unwrap();
        assert!(answer.status.is_success(), "{path}: {answer:?}");
        answer.json().unwrap_or_default()
    }

    /// Makes an organization and puts somebody into it; its number.
    async fn organize(&self, name: &str, account: &str) -> String {
        let made = self.by_hand(Method::POST, ORGANIZATION, json!({ "name": name })).await;
        let id = made["id"].as_str().unwrap().to_owned();
        let members = format!("{ORGANIZATION}/{id}/user");
        self.by_hand(Method::POST, &members, json!({ "usernames": [account] })).await;
        id
    }

    fn organizations(&self, account: &str) -> Vec<String> {
        let mut names = self.jsm.organizations_of(account);
        names.sort();
        names
    }

    fn count(&self, what: Provisioning) -> usize {
        self.noted.0.lock().unwrap().iter().filter(|noted| **noted == what).count()
    }

    async fn person(&self, directory: &Directory, who: &VerifiedIdentity) -> Option<PersonRecord> {
        Ledger::new(self.sessions.records()).person(directory.accounts.site(), who).await.unwrap()
    }
}

/// A desk, and organizations of every kind.
pub(in crate::customer) fn directory_settings(credentials: ServiceCredentials) -> DirectorySettings {
    DirectorySettings {
        credentials,
        api_url: None,
        create_customers: true,
        update_display_name: true,
        service_desks: vec!["10".into()],
        organizations: vec![
            OrganizationRule::Everybody(organization("Customers")),
            OrganizationRule::OfDomain(EmailDomain::parse("acme.com").unwrap(), organization("Acme")),
            OrganizationRule::OfDomain(EmailDomain::parse("globex.com").unwrap(), organization("Globex")),
            OrganizationRule::EachOf(EachOf {
                providers: Vec::new(),
                source: ValueSource::Groups,
                matching: regex::Regex::new("^(?:org-(.+))$").unwrap(),
                organization: "$1".into(),
            }),
        ],
        on_leave: OnLeave::Keep,
        on_email_change: OnEmailChange::Keep,
    }
}

fn organization(name: &str) -> OrganizationName {
    OrganizationName::parse(name).unwrap()
}

pub(in crate::customer) fn who(provider: &str, subject: &str, email: &str) -> VerifiedIdentity {
    VerifiedIdentity::for_test(provider, subject, email)
}

pub(in crate::customer) fn in_groups(who: &VerifiedIdentity, groups: &[&str]) -> VerifiedIdentity {
    let mut json = serde_json::to_value(who).unwrap();
    json["groups"] = groups.into();
    serde_json::from_value(json).unwrap()
}

fn ana() -> VerifiedIdentity {
    who("okta", "ana", ANA)
}

fn soon() -> Instant {
    deadline(Duration::from_secs(20))
}

async fn ensure(directory: &Directory, who: &VerifiedIdentity) -> Result<String, &'static str> {
    let customer = directory.ensure(who, soon()).await;
    customer.map(|customer| customer.account().to_owned()).map_err(|failed| failed.reason())
}

#[tokio::test]
async fn a_first_sign_in_does_everything_and_the_second_asks_once() {
    let stage = Stage::start().await;
    let directory = stage.directory(stage.settings());
    assert_eq!(ensure(&directory, &in_groups(&ana(), &["org-Vip", "staff"])).await.unwrap(), ANA);
    assert_eq!(stage.organizations(ANA), ["Acme", "Customers", "Vip"]);
    assert!(stage.jsm.is_member("10", ANA));
    assert_eq!((stage.jsm.customers_created(ANA), stage.jsm.calls("POST", DESK)), (1, 1));
    assert_eq!((stage.jsm.calls("GET", DESK), stage.jsm.calls("GET", MEMBERS)), (0, 0), "a new account is nowhere");
    let calls = stage.jsm.all_calls();
    ensure(&directory, &in_groups(&ana(), &["org-Vip", "staff"])).await.unwrap();
    assert_eq!(stage.jsm.all_calls(), calls + 1, "only whether the account is still fit");
    // After a day everything is looked after once more.
    stage.clock.advance(IN_ORDER + Duration::from_secs(1));
    stage.by_hand(Method::DELETE, "/rest/servicedeskapi/servicedesk/10/customer", json!({ "usernames": [ANA] })).await;
    ensure(&directory, &in_groups(&ana(), &["org-Vip", "staff"])).await.unwrap();
    assert!(stage.jsm.is_member("10", ANA));
}

#[tokio::test]
async fn what_no_longer_holds_goes_and_what_others_added_stays() {
    let stage = Stage::start().await;
    let directory = stage.directory(stage.settings());
    ensure(&directory, &in_groups(&ana(), &["org-Vip", "org-Beta"])).await.unwrap();
    stage.organize("By hand", ANA).await;
    ensure(&directory, &in_groups(&ana(), &["org-Beta"])).await.unwrap();
    assert_eq!(stage.organizations(ANA), ["Acme", "Beta", "By hand", "Customers"]);
    let fewer = DirectorySettings { organizations: Vec::new(), service_desks: Vec::new(), ..stage.settings() };
    ensure(&stage.directory(fewer), &ana()).await.unwrap();
    assert_eq!(stage.organizations(ANA), ["By hand"]);
    assert!(!stage.jsm.is_member("10", ANA));
    assert_eq!(stage.count(Provisioning::Removed), 5);
}

#[tokio::test]
async fn who_was_in_before_the_gateway_came_is_never_taken_out() {
    let stage = Stage::start().await;
    stage.jsm.add_user(User::customer(ANA, "ana"));
    stage.organize("Vip", ANA).await;
    stage.by_hand(Method::POST, "/rest/servicedeskapi/servicedesk/10/customer", json!({ "usernames": [ANA] })).await;
    let directory = stage.directory(stage.settings());
    ensure(&directory, &in_groups(&ana(), &["org-Vip"])).await.unwrap();
    assert_eq!(stage.organizations(ANA), ["Acme", "Customers", "Vip"]);
    let fewer = DirectorySettings { organizations: Vec::new(), service_desks: Vec::new(), ..stage.settings() };
    ensure(&stage.directory(fewer), &ana()).await.unwrap();
    assert_eq!(stage.organizations(ANA), ["Vip"]);
    assert!(stage.jsm.is_member("10", ANA));
}

#[tokio::test]
async fn no_other_identity_gets_the_account() {
    let stage = Stage::start().await;
    let directory = stage.directory(stage.settings());
    ensure(&directory, &ana()).await.unwrap();
    // Another provider, the same provider with a new person under an old address, and other spellings of it.
    for thief in [who("evil", "mallory", ANA), who("okta", "ana2", ANA), who("evil", "ana", "ANA@Acme.COM")] {
        assert_eq!(ensure(&directory, &thief).await, Err("account_bound_to_another"));
        assert!(stage.person(&directory, &thief).await.is_none_or(|person| person.account.is_none()));
    }
    assert_eq!(stage.count(Provisioning::TakeoverRefused), 3);
    assert_eq!(ensure(&directory, &ana()).await.unwrap(), ANA, "the owner is not affected");
    assert_eq!(stage.organizations(ANA), ["Acme", "Customers"]);
    assert_eq!(stage.jsm.customers_created(ANA), 1);
}

#[tokio::test]
async fn two_identities_of_one_address_at_once_get_one_owner() {
    for _ in 0..5 {
        let stage = Stage::start().await;
        let directory = Arc::new(stage.directory(stage.settings()));
        let tasks = (0..8).map(|number| {
            let directory = Arc::clone(&directory);
            tokio::spawn(async move { ensure(&directory, &who("okta", &number.to_string(), ANA)).await })
        });
        let mut outcomes = Vec::new();
        for task in tasks.collect::<Vec<_>>() {
            outcomes.push(task.await.unwrap());
        }
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
        assert_eq!(stage.jsm.customers_created(ANA), 1);
    }
}

#[tokio::test]
async fn an_account_that_an_operator_releases_goes_to_the_next_and_for_good() {
    let stage = Stage::start().await;
    let directory = stage.directory(stage.settings());
    ensure(&directory, &in_groups(&ana(), &["org-Vip"])).await.unwrap();
    assert_eq!(directory.release(&crate::email::EmailAddress::parse(ANA).unwrap()).await.unwrap(), 1);
    let moved = who("entra", "ana", ANA);
    assert_eq!(ensure(&directory, &moved).await.unwrap(), ANA);
    assert_eq!(stage.organizations(ANA), ["Acme", "Customers"], "what the gateway had added is known and taken away");
    assert_eq!(ensure(&directory, &ana()).await, Err("account_bound_to_another"));
    assert_eq!(ensure(&directory, &moved).await.unwrap(), ANA);
    assert_eq!(stage.jsm.customers_created(ANA), 1);
}

#[tokio::test]
async fn another_address_keeps_follows_or_is_refused() {
    const NEW: &str = "ana.lima@acme.com";
    for (rule, outcome, there) in [
        (OnEmailChange::Keep, Ok(ANA.to_owned()), ANA),
        (OnEmailChange::Follow, Ok(ANA.to_owned()), NEW),
        (OnEmailChange::Refuse, Err("email_changed"), ANA),
    ] {
        let stage = Stage::start().await;
        let directory = stage.directory(DirectorySettings { on_email_change: rule, ..stage.settings() });
        ensure(&directory, &ana()).await.unwrap();
        assert_eq!(ensure(&directory, &who("okta", "ana", NEW)).await, outcome, "{rule:?}");
        assert_eq!(stage.jsm.user(ANA).unwrap().email, there, "{rule:?}");
        assert!(stage.jsm.user(NEW).is_none() && stage.jsm.customers_created(NEW) == 0);
        assert_eq!(ensure(&directory, &who("okta", "ana", NEW)).await, outcome, "{rule:?}, and again");
        if rule == OnEmailChange::Refuse {
            assert_eq!(ensure(&directory, &ana()).await, Ok(ANA.to_owned()), "with the old address they are in");
        }
    }
}

#[tokio::test]
async fn an_address_does_not_lead_to_the_account_of_somebody_else() {
    const BEN: &str = "ben@globex.com";
    for (rule, outcome) in
        [(OnEmailChange::Keep, Ok(ANA.to_owned())), (OnEmailChange::Follow, Err("customer_name_taken"))]
    {
        let stage = Stage::start().await;
        let directory = stage.directory(DirectorySettings { on_email_change: rule, ..stage.settings() });
        ensure(&directory, &ana()).await.unwrap();
        ensure(&directory, &who("okta", "ben", BEN)).await.unwrap();
        // Ana's provider now says that she is Ben.
        assert_eq!(ensure(&directory, &who("okta", "ana", BEN)).await, outcome, "{rule:?}");
        assert_eq!(stage.jsm.user(ANA).unwrap().email, ANA);
        assert_eq!(ensure(&directory, &who("okta", "ben", BEN)).await.unwrap(), BEN);
    }
}

#[tokio::test]
async fn who_leaves_loses_what_the_settings_say_and_gets_it_back() {
    for (on_leave, organizations, desk) in [
        (OnLeave::Keep, &["Acme", "By hand", "Customers"][..], true),
        (OnLeave::RemoveAddedOrganizations, &["By hand"], true),
        (OnLeave::RevokePortalAccess, &["By hand"], false),
    ] {
        let stage = Stage::start().await;
        let directory = stage.directory(DirectorySettings { on_leave, ..stage.settings() });
        directory.leave(&ana(), soon()).await.unwrap(); // nobody knows her yet
        assert_eq!(stage.jsm.all_calls(), 0);
        ensure(&directory, &ana()).await.unwrap();
        stage.organize("By hand", ANA).await;
        directory.leave(&ana(), soon()).await.unwrap();
        assert_eq!(stage.organizations(ANA), organizations, "{on_leave:?}");
        assert_eq!(stage.jsm.is_member("10", ANA), desk, "{on_leave:?}");
        let calls = stage.jsm.all_calls();
        directory.leave(&ana(), soon()).await.unwrap();
        assert_eq!(stage.jsm.all_calls(), calls, "once");
        assert_eq!(ensure(&directory, &ana()).await.unwrap(), ANA);
        assert_eq!(stage.organizations(ANA), ["Acme", "By hand", "Customers"], "{on_leave:?}");
        assert!(stage.jsm.is_member("10", ANA));
    }
}

#[tokio::test]
async fn two_portals_of_one_site_do_not_undo_each_other() {
    let stage = Stage::start().await;
    let only = |name: &str| DirectorySettings {
        organizations: vec![
            OrganizationRule::Everybody(organization(name)),
            OrganizationRule::Everybody(organization("Both")),
        ],
        on_leave: OnLeave::RevokePortalAccess,
        ..stage.settings()
    };
    let (one, two) =
        (stage.directory_of("one.acme.com", only("One"), 8), stage.directory_of("two.acme.com", only("Two"), 8));
    for directory in [&one, &two, &one, &two] {
        ensure(directory, &ana()).await.unwrap();
        stage.clock.advance(IN_ORDER * 2);
    }
    assert_eq!(stage.organizations(ANA), ["Both", "One", "Two"]);
    one.leave(&ana(), soon()).await.unwrap();
    assert_eq!(stage.organizations(ANA), ["Both", "Two"]);
    assert!(stage.jsm.is_member("10", ANA), "the other portal keeps her there");
    two.leave(&ana(), soon()).await.unwrap();
    assert!(stage.organizations(ANA).is_empty());
    assert!(!stage.jsm.is_member("10", ANA));
}

#[tokio::test]
async fn an_existing_customer_comes_in_whatever_is_out_of_order() {
    let stage = Stage::start().await;
    let directory = stage.directory(stage.settings());
    ensure(&directory, &ana()).await.unwrap();
    stage.jsm.add_user(User::customer("carl@acme.com", "carl"));
    stage.jsm.set_faults(vec![Fault::always(ORGANIZATION, FaultKind::Status(500, None))]);
    stage.clock.advance(IN_ORDER * 2);
    assert_eq!(ensure(&directory, &in_groups(&ana(), &["org-Vip"])).await.unwrap(), ANA);
    assert_eq!(ensure(&directory, &who("okta", "carl", "carl@acme.com")).await.unwrap(), "carl@acme.com");
    assert_eq!(stage.count(Provisioning::Incomplete), 2);
    // Somebody new is told to try again, and then finished.
    let ben = who("okta", "ben", "ben@acme.com");
    assert_eq!(ensure(&directory, &ben).await, Err("upstream_failing"));
    stage.jsm.set_faults(Vec::new());
    assert_eq!(ensure(&directory, &ben).await.unwrap(), "ben@acme.com");
    assert_eq!(ensure(&directory, &in_groups(&ana(), &["org-Vip"])).await.unwrap(), ANA);
    assert_eq!(stage.organizations(ANA), ["Acme", "Customers", "Vip"]);
    assert_eq!(stage.organizations("ben@acme.com"), ["Acme", "Customers"]);
    assert_eq!(stage.jsm.customers_created("ben@acme.com"), 1);
}

#[tokio::test]
async fn an_organization_that_was_deleted_is_made_anew() {
    let stage = Stage::start().await;
    let directory = stage.directory(stage.settings());
    ensure(&directory, &ana()).await.unwrap();
    for organization in stage.by_hand(Method::GET, ORGANIZATION, json!({})).await["values"].as_array().unwrap() {
        stage
            .by_hand(Method::DELETE, &format!("{ORGANIZATION}/{}", organization["id"].as_str().unwrap()), json!({}))
            .await;
    }
    stage.clock.advance(IN_ORDER * 2);
    ensure(&directory, &ana()).await.unwrap(); // finds out
    ensure(&directory, &ana()).await.unwrap();
    assert_eq!(stage.organizations(ANA), ["Acme", "Customers"]);
}

#[tokio::test]
async fn the_name_that_the_provider_tells_is_shown() {
    let stage = Stage::start().await;
    let named = |name: &str| {
        let mut json = serde_json::to_value(ana()).unwrap();
        json["display_name"] = name.into();
        serde_json::from_value::<VerifiedIdentity>(json).unwrap()
    };
    let directory = stage.directory(stage.settings());
    ensure(&directory, &named("Ana Lima")).await.unwrap();
    assert_eq!(stage.jsm.user(ANA).unwrap().display_name, "Ana Lima");
    ensure(&directory, &named("Ana\r\n Souza ")).await.unwrap();
    assert_eq!(stage.jsm.user(ANA).unwrap().display_name, "Ana Souza");
    let fixed = stage.directory(DirectorySettings { update_display_name: false, ..stage.settings() });
    ensure(&fixed, &named("Somebody")).await.unwrap();
    assert_eq!(stage.jsm.user(ANA).unwrap().display_name, "Ana Souza");
    assert_eq!(stage.count(Provisioning::Renamed), 1);
}

#[tokio::test]
async fn a_comparison_tells_what_would_change_and_changes_it() {
    let stage = Stage::start().await;
    let directory =
        stage.directory(DirectorySettings { on_leave: OnLeave::RemoveAddedOrganizations, ..stage.settings() });
    ensure(&directory, &in_groups(&ana(), &["org-Vip"])).await.unwrap();
    ensure(&directory, &who("okta", "ben", "ben@globex.com")).await.unwrap();
    let others = DirectorySettings {
        organizations: vec![OrganizationRule::OfDomain(
            EmailDomain::parse("acme.com").unwrap(),
            organization("Acme Ltd"),
        )],
        on_leave: OnLeave::RemoveAddedOrganizations,
        ..stage.settings()
    };
    let directory = stage.directory(others);
    let acme = |who: &VerifiedIdentity| match who.email().is_some_and(|email| email.domain() == "acme.com") {
        true => Standing::Admitted,
        false => Standing::Ended,
    };
    let calls = stage.jsm.all_calls();
    let planned = directory.sync(&acme, true, Duration::from_secs(20)).await.unwrap();
    assert_eq!((planned.known, planned.people.len(), stage.jsm.all_calls()), (2, 2, calls), "nobody was called");
    let told: Vec<String> = planned.people[0].changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "add to organization \"Acme Ltd\"",
            "remove from organization \"Acme\"",
            "remove from organization \"Customers\"",
            "remove from organization \"Vip\""
        ]
    );
    assert_eq!(planned.people[1].email, "ben@globex.com");
    assert_eq!(planned.people[1].changes.len(), 2);
    let done = directory.sync(&acme, false, Duration::from_secs(20)).await.unwrap();
    assert_eq!(done, planned, "what was told was done, and nothing failed");
    assert_eq!(
        (stage.organizations(ANA), stage.organizations("ben@globex.com")),
        (vec!["Acme Ltd".to_owned()], vec![])
    );
    assert!(directory.sync(&acme, false, Duration::from_secs(20)).await.unwrap().people.is_empty());
}

#[tokio::test]
async fn a_new_key_takes_the_ledger_over() {
    let store = Arc::new(MemoryStore::default());
    let stage = Stage::with(|router| router, sessions_with(store.clone(), &["a"], Clock::manual(NOW))).await;
    let directory = stage.directory(stage.settings());
    ensure(&directory, &ana()).await.unwrap();
    let with = |keys: &[&str]| Ledger::new(sessions_with(store.clone(), keys, Clock::manual(NOW)).records());
    let site = directory.accounts.site();
    assert_eq!(with(&["b"]).people(site).await.unwrap().1, 1, "unreadable, and told so");
    let resealed = with(&["b", "a"]).reseal().await.unwrap();
    assert_eq!((resealed.moved, resealed.unreadable), (1, 0));
    assert_eq!(with(&["b", "a"]).reseal().await.unwrap().moved, 0);
    let only = with(&["b"]);
    assert_eq!(only.person(site, &ana()).await.unwrap().unwrap().account.as_deref(), Some(ANA));
    assert!(only.holder(site, ANA).await.unwrap().record.unwrap().is(&ana()));
}

#[tokio::test]
async fn an_account_is_bound_and_released_only_as_it_was_seen() {
    let ledger = Ledger::new(sessions_with(Arc::new(MemoryStore::default()), &["a"], Clock::manual(NOW)).records());
    let ben = who("okta", "ben", ANA);
    let of = |who: &VerifiedIdentity| PersonRecord {
        account: Some(ANA.to_owned()),
        ..PersonRecord::new("site", who, who.email().unwrap())
    };
    // Both find it free; one is first.
    let (by_ana, by_ben) = (ledger.holder("site", ANA).await.unwrap(), ledger.holder("site", ANA).await.unwrap());
    ledger.bind(&of(&ana()), &by_ana.unchanged, None, None).await.unwrap();
    let late = ledger.bind(&of(&ben), &by_ben.unchanged, None, None).await;
    assert_eq!(late, Err(RecordError::Store(StoreError::Busy)));
    assert_eq!(ledger.person("site", &ben).await.unwrap().map(|_| ()), None, "nothing of it is written");
    // An order for whoever had it is not one for whoever has it.
    assert!(!ledger.release(&of(&ben)).await.unwrap() && ledger.release(&of(&ana())).await.unwrap());
    let holder = ledger.holder("site", ANA).await.unwrap().record.unwrap();
    assert!(holder.is(&ana()) && holder.released);
}
