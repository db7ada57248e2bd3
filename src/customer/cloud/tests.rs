//! The directory over Cloud's accounts, and customers' sessions there, against the look-alike, over real sockets.

mod passwords;
mod saml;
mod sessions;
mod visits;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;

use super::*;
use crate::clock::{Clock, Timestamp, deadline};
use crate::customer::accounts::CustomerAccounts as _;
use crate::customer::directory::tests::crashes::{Trap, reopened, trap};
use crate::customer::directory::tests::{directory_settings, in_groups, sessions_in_memory, sessions_on_disk, who};
use crate::customer::ledger::Ledger;
use crate::customer::{CustomerDirectory as _, Directory, DirectoryParts, NobodyWatches, People};
use crate::demo::jsm_cloud::{AccountType, JsmCloud, MANAGE_CUSTOMERS, READ_REQUESTS, READ_USERS, SERVICE_ACCOUNT};
use crate::demo::server::Server;
use crate::portal::HostName;
use crate::portal::settings::{DirectorySettings, OnEmailChange, OnLeave, ServiceCredentials};
use crate::session::Sessions;
use crate::sign_in::VerifiedIdentity;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const ANA: &str = "ana@acme.com";
const DESK: &str = "/rest/servicedeskapi/servicedesk/{id}/customer";
const MEMBERS: &str = "/rest/servicedeskapi/organization/{id}/user";
const ORGANIZATION: &str = "/rest/servicedeskapi/organization";

struct Stage {
    jsm: JsmCloud,
    clock: Clock,
    sessions: Sessions,
    credentials: ServiceCredentials,
    api_url: Option<String>,
    _servers: Vec<Server>,
}

impl Stage {
    async fn start() -> Self {
        let clock = Clock::manual(NOW);
        Self::with(|router| router, clock.clone(), sessions_in_memory(clock)).await
    }

    async fn with(wrap: impl FnOnce(Router) -> Router, clock: Clock, sessions: Sessions) -> Self {
        let jsm = JsmCloud::new(clock.clone(), Random::default()).unwrap();
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::start(wrap(jsm.router()), local, None, None).await.unwrap();
        jsm.set_base_url(&format!("http://{}", server.addr()));
        let beside = Server::start(jsm.beside_router(), local, None, None).await.unwrap();
        jsm.set_atlassian_url(&format!("http://{}", beside.addr()));
        let credentials =
            ServiceCredentials::Basic { user: SERVICE_ACCOUNT.into(), token: jsm.service_token().unwrap() };
        Self { jsm, clock, sessions, credentials, api_url: None, _servers: vec![server, beside] }
    }

    /// With a token that is good at the host beside the site alone.
    fn scoped(mut self, scopes: &[&str]) -> Self {
        let token = self.jsm.make_scoped_token(&self.jsm.service_account(), scopes).unwrap();
        self.credentials = ServiceCredentials::Basic { user: SERVICE_ACCOUNT.into(), token };
        self.api_url = self.jsm.api_url();
        self
    }

    fn settings(&self) -> DirectorySettings {
        DirectorySettings {
            api_url: self.api_url.as_deref().map(|url| url.parse().unwrap()),
            ..directory_settings(self.credentials.clone())
        }
    }

    fn accounts(&self, settings: &DirectorySettings) -> CloudAccounts {
        let upstream = UpstreamSettings::at(self.jsm.base_url().parse().unwrap());
        let settings = CloudAccountsSettings {
            directory: settings.clone(),
            concurrency: 4,
            call_timeout: Duration::from_secs(10),
        };
        CloudAccounts::new(&upstream, &PortalLimits::default(), &settings, Random::default()).unwrap()
    }

    fn directory(&self, settings: DirectorySettings) -> Directory {
        let parts = DirectoryParts {
            accounts: Arc::new(self.accounts(&settings)),
            ledger: Ledger::new(self.sessions.records()),
            people: Arc::<People>::default(),
            concurrency: 4,
            observer: Arc::new(NobodyWatches),
            clock: self.clock.clone(),
        };
        Directory::new(HostName::parse("support.acme.com").unwrap(), settings, parts)
    }

    fn id(&self, email: &str) -> String {
        self.jsm.customer(email).unwrap().account_id
    }

    fn organizations(&self, email: &str) -> Vec<String> {
        let mut names = self.jsm.organizations_of(&self.id(email));
        names.sort();
        names
    }
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
async fn a_first_sign_in_does_everything_with_either_kind_of_token() {
    let scopes = [MANAGE_CUSTOMERS, READ_REQUESTS, READ_USERS];
    for stage in [Stage::start().await, Stage::start().await.scoped(&scopes)] {
        let directory = stage.directory(stage.settings());
        let account = ensure(&directory, &in_groups(&ana(), &["org-Vip"])).await.unwrap();
        assert_eq!(account, stage.id(ANA));
        assert_eq!(stage.organizations(ANA), ["Acme", "Customers", "Vip"]);
        assert!(stage.jsm.is_member("10", &account));
        assert_eq!((stage.jsm.customers_created(ANA), stage.jsm.calls("POST", DESK)), (1, 1));
        let calls = stage.jsm.all_calls();
        ensure(&directory, &in_groups(&ana(), &["org-Vip"])).await.unwrap();
        assert_eq!(stage.jsm.all_calls(), calls + 1, "only whether the account is still fit");
        ensure(&directory, &ana()).await.unwrap();
        assert_eq!(stage.organizations(ANA), ["Acme", "Customers"]);
    }
}

#[tokio::test]
async fn a_scoped_token_is_nothing_at_the_site_and_a_poor_one_is_told() {
    let stage = Stage::start().await.scoped(&[MANAGE_CUSTOMERS]);
    assert_eq!(ensure(&stage.directory(stage.settings()), &ana()).await, Err("credentials_refused"));
    let at_the_site = DirectorySettings { api_url: None, ..stage.settings() };
    assert_eq!(ensure(&stage.directory(at_the_site), &ana()).await, Err("credentials_refused"));
}

#[tokio::test]
async fn whoever_is_not_portal_only_is_refused_untouched() {
    let stage = Stage::start().await;
    let directory = stage.directory(stage.settings());
    for (email, reason) in [
        ("atla@example.com", "atlassian_account"),
        ("twin@example.com", "atlassian_account"),
        ("automation@jsm.internal", "licensed_user"),
        ("left.person@example.com", "deactivated"),
    ] {
        assert_eq!(ensure(&directory, &who("okta", email, email)).await, Err(reason), "{email}");
    }
    for route in [DESK, MEMBERS, ORGANIZATION, "/rest/servicedeskapi/customer"] {
        assert_eq!(stage.jsm.calls("POST", route), 0, "{route}");
    }
}

#[tokio::test]
async fn an_existing_customer_is_found_bound_and_nobody_elses() {
    let stage = Stage::start().await;
    let directory = stage.directory(stage.settings());
    let carla = who("okta", "carla", "Carla@Example.com");
    assert_eq!(ensure(&directory, &carla).await.unwrap(), stage.id("carla@example.com"));
    assert_eq!(stage.jsm.customers_created("carla@example.com"), 0);
    assert_eq!(ensure(&directory, &who("evil", "carla", "carla@example.com")).await, Err("account_bound_to_another"));
}

#[tokio::test]
async fn what_scim_manages_is_left_to_it_and_what_others_added_stays() {
    let stage = Stage::start().await;
    let carla = stage.id("carla@example.com");
    assert!(stage.jsm.add_scim_organization("Vip", "10", &[]));
    let vip = in_groups(&who("okta", "carla", "carla@example.com"), &["org-Vip", "org-Beta"]);
    let directory = stage.directory(stage.settings());
    ensure(&directory, &vip).await.unwrap();
    assert_eq!(stage.organizations("carla@example.com"), ["Beta", "Customers"], "SCIM says who is in");
    // The organization comes under SCIM: what was added before is no longer taken away.
    let accounts = stage.accounts(&stage.settings());
    let scim = accounts.organization("Vip", soon()).await.unwrap();
    assert!(scim.scim_managed);
    accounts.remove(&crate::customer::accounts::Place::Organization(scim.id), &carla, soon()).await.unwrap();
    assert_eq!(stage.jsm.calls("DELETE", MEMBERS), 0);
}

#[tokio::test]
async fn who_was_in_an_organization_before_is_not_taken_out() {
    let stage = Stage::start().await;
    let carla = stage.id("carla@example.com");
    let accounts = stage.accounts(&stage.settings());
    let beta = accounts.organization("Beta", soon()).await.unwrap();
    accounts.add(&crate::customer::accounts::Place::Organization(beta.id), &carla, soon()).await.unwrap();
    let directory = stage.directory(stage.settings());
    let who = who("okta", "carla", "carla@example.com");
    ensure(&directory, &in_groups(&who, &["org-Beta"])).await.unwrap();
    ensure(&directory, &who).await.unwrap();
    assert_eq!(stage.organizations("carla@example.com"), ["Beta", "Customers"]);
    assert_eq!(stage.jsm.calls("GET", MEMBERS), 0, "one question for the person, not one for each member");
}

#[tokio::test]
async fn an_account_that_nodes_do_not_know_yet_is_waited_for() {
    let clock = Clock::System;
    let stage = Stage::with(|router| router, clock.clone(), sessions_in_memory(clock)).await;
    stage.jsm.switch(|switches| switches.settle_after = Duration::from_millis(700));
    let account = ensure(&stage.directory(stage.settings()), &ana()).await.unwrap();
    assert!(stage.jsm.is_member("10", &account));
    assert_eq!(stage.organizations(ANA), ["Acme", "Customers"]);
}

#[tokio::test]
async fn who_follows_a_new_address_moves_and_takes_nothing_from_others() {
    const NEW: &str = "ana.lima@acme.com";
    let stage = Stage::start().await;
    let follow = DirectorySettings { on_email_change: OnEmailChange::Follow, ..stage.settings() };
    let directory = stage.directory(follow);
    let first = ensure(&directory, &ana()).await.unwrap();
    let moved = ensure(&directory, &who("okta", "ana", NEW)).await.unwrap();
    assert_ne!(moved, first, "no call changes an address: it is another account");
    assert!(stage.organizations(ANA).is_empty() && !stage.jsm.is_member("10", &first));
    assert_eq!(stage.organizations(NEW), ["Acme", "Customers"]);
    let ben = ensure(&directory, &who("okta", "ben", "ben@acme.com")).await.unwrap();
    assert_eq!(ensure(&directory, &who("okta", "ana", "ben@acme.com")).await, Err("account_bound_to_another"));
    assert_eq!(ensure(&directory, &who("okta", "ben", "ben@acme.com")).await.unwrap(), ben);
}

#[tokio::test]
async fn who_leaves_is_locked_out() {
    let stage = Stage::start().await;
    let directory = stage.directory(DirectorySettings { on_leave: OnLeave::RevokePortalAccess, ..stage.settings() });
    let account = ensure(&directory, &ana()).await.unwrap();
    directory.leave(&ana(), soon()).await.unwrap();
    assert!(stage.organizations(ANA).is_empty() && !stage.jsm.is_member("10", &account));
    assert!(!stage.jsm.customer(ANA).unwrap().portal_access);
    assert_eq!(ensure(&directory, &ana()).await, Err("deactivated"));
    assert!(stage.jsm.change_account(&account, |account| account.portal_access = true));
    ensure(&directory, &ana()).await.unwrap();
    assert_eq!(stage.organizations(ANA), ["Acme", "Customers"]);
}

#[tokio::test]
async fn the_service_account_is_checked() {
    let stage = Stage::start().await;
    assert_eq!(stage.accounts(&stage.settings()).check(soon()).await.unwrap(), "Vestibule Service");
    let nowhere = DirectorySettings { service_desks: vec!["99".into()], ..stage.settings() };
    assert_eq!(stage.accounts(&nowhere).check(soon()).await.unwrap_err().reason(), "service_desk_unavailable");
    let agent = stage.jsm.add_account(AccountType::Atlassian, "min@jsm.internal", "Min").unwrap();
    let token = stage.jsm.make_classic_token(&agent).unwrap();
    let credentials = ServiceCredentials::Basic { user: "min@jsm.internal".into(), token };
    let poor = DirectorySettings { credentials, ..stage.settings() };
    assert_eq!(stage.accounts(&poor).check(soon()).await.unwrap_err().reason(), "credentials_lack_permission");
}

#[tokio::test]
async fn whatever_call_a_crash_comes_after_the_next_sign_in_finishes() {
    let who = in_groups(&ana(), &["org-Vip"]);
    let clock = Clock::manual(NOW);
    let mut calls = 0;
    let runs = [(false, 0)].into_iter().chain((1..=20).flat_map(|at| [(true, at), (false, at)]));
    for (before, at) in runs {
        if at > calls && at > 0 {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let trapped = Arc::new(Trap::default());
        trapped.spring_at(at, before);
        let layer = from_fn_with_state(Arc::clone(&trapped), trap);
        let sessions = sessions_on_disk(folder.path(), clock.clone());
        let mut stage = Stage::with(|router| router.layer(layer), clock.clone(), sessions).await;
        let doomed = stage.directory(stage.settings());
        if at == 0 {
            ensure(&doomed, &who).await.unwrap();
            calls = trapped.calls.load(Ordering::SeqCst);
            assert!(calls >= 8, "{calls}");
        } else {
            tokio::select! {
                outcome = ensure(&doomed, &who) => panic!("{before} {at}: {outcome:?}"),
                () = trapped.sprung.notified() => {}
            }
        }
        drop(doomed);
        stage.sessions = sessions_in_memory(clock.clone());
        stage.sessions = reopened(folder.path()).await;
        let directory = stage.directory(stage.settings());
        let account = ensure(&directory, &who).await;
        assert_eq!(account, Ok(stage.id(ANA)), "{before} {at}");
        assert_eq!(stage.jsm.customers_created(ANA), 1, "{before} {at}");
        assert_eq!(stage.organizations(ANA), ["Acme", "Customers", "Vip"], "{before} {at}");
        assert!(stage.jsm.is_member("10", &stage.id(ANA)));
        let mut all = stage.jsm.organizations();
        all.sort();
        assert_eq!(all, ["Acme", "Customers", "Vip"], "{before} {at}");
        let fewer = DirectorySettings { organizations: Vec::new(), ..stage.settings() };
        ensure(&stage.directory(fewer), &ana()).await.unwrap();
        assert!(stage.organizations(ANA).is_empty(), "ours is known to be ours: {before} {at}");
    }
}
