//! Customer sessions by password: claimed once, kept, refused later, and everything that may go wrong with a login.

use std::os::unix::fs::PermissionsExt as _;

use super::visits::site_settings;
use super::*;
use crate::customer::cloud::vault::{self, PasswordVault, Standing};
use crate::customer::{BrokerFailed, ClaimFailed, CustomerFailed, CustomerSessions, DeathSign, PasswordClaims};
use crate::demo::jsm_cloud::{Captcha, Fault, FaultKind, MailKind, SEED_PASSWORD};
use crate::portal::settings::{CloudPasswordSettings, HookSettings, PasswordLogin, PasswordMail};
use crate::secret::Secret;
use crate::session::{CustomerSession, LiveSession};

const CARLA: &str = "carla@example.com";
const V1: &str = "/jsd-login/v1/authentication/authenticate";
const V2: &str = "/jsd-login-v2/v2/customer/login/authenticate";
const FORGOT: &str = "/rest/servicedesk/1/customer/pages/user/forgot-password";

/// A gateway in front of a stage: there may be several of one store.
struct Gate {
    customers: CustomerSessions,
    claims: Arc<CloudPasswords>,
    vault: PasswordVault,
}

fn gate_with(stage: &Stage, change: impl FnOnce(&mut CloudPasswordSettings)) -> Gate {
    let directory = DirectorySettings { organizations: Vec::new(), ..stage.settings() };
    let site = site_settings(directory.clone());
    let mut settings = CloudPasswordSettings {
        site: site.clone(),
        logins: vec![PasswordLogin::V1, PasswordLogin::V2],
        mails: vec![PasswordMail::Invitation, PasswordMail::ForgotPassword],
        forgot_password_path: FORGOT.into(),
        hook: None,
    };
    change(&mut settings);
    let upstream = UpstreamSettings::at(stage.jsm.base_url().parse().unwrap());
    let portal = HostName::parse("support.acme.com").unwrap();
    let vault = PasswordVault::new(stage.sessions.records(), Random::default(), upstream.url.as_str(), &portal);
    let (accounts, people) = (Arc::new(stage.accounts(&directory)), Arc::<People>::default());
    let observer: Arc<NobodyWatches> = Arc::default();
    let parts = PasswordParts {
        portal,
        vault: vault.clone(),
        accounts: Arc::clone(&accounts),
        observer: Arc::<NobodyWatches>::clone(&observer),
    };
    let login = Arc::new(ByPassword::new(settings, parts));
    let parts = CloudParts {
        accounts,
        login: Arc::<ByPassword>::clone(&login),
        people: Arc::clone(&people),
        random: Random::default(),
    };
    let broker = Arc::new(CloudBroker::new(&upstream, &PortalLimits::default(), &site, parts).unwrap());
    let claims = Arc::new(CloudPasswords::new(Arc::clone(&broker), login, people));
    let customers = CustomerSessions::brokered(
        Arc::new(stage.directory(directory)),
        broker,
        stage.sessions.clone(),
        stage.clock.clone(),
        observer,
    );
    Gate { customers: customers.with_claims(Arc::<CloudPasswords>::clone(&claims)), claims, vault }
}

fn gate(stage: &Stage) -> Gate {
    gate_with(stage, |_| {})
}

impl Stage {
    async fn visitor(&self, email: &str) -> Arc<LiveSession> {
        let portal = HostName::parse("support.acme.com").unwrap();
        self.sessions.open(who("okta", email, email), None, portal, [192, 0, 2, 7].into()).await.unwrap().1
    }

    async fn ensure(&self, gate: &Gate, visitor: &Arc<LiveSession>) -> Result<Arc<CustomerSession>, CustomerFailed> {
        gate.customers.ensure(visitor, self.clock.now()).await.map(Option::unwrap)
    }

    /// Why somebody who has just come gets no session.
    async fn reason(&self, gate: &Gate, email: &str) -> &'static str {
        self.ensure(gate, &self.visitor(email).await).await.unwrap_err().reason()
    }

    async fn claim(&self, gate: &Gate, visitor: &Arc<LiveSession>, password: &str) -> Result<(), ClaimFailed> {
        gate.customers.claim(visitor, Secret::generated(password), self.clock.now()).await
    }

    async fn mail(&self, gate: &Gate, visitor: &Arc<LiveSession>) -> Result<(), ClaimFailed> {
        gate.customers.ask_for_mail(visitor, self.clock.now()).await
    }

    async fn standing(&self, gate: &Gate, email: &str) -> Standing {
        gate.vault.load(&self.id(email)).await.unwrap().standing()
    }

    fn login_calls(&self) -> u64 {
        self.jsm.calls("POST", V1) + self.jsm.calls("POST", V2)
    }
}

fn is_stale(failed: &CustomerFailed) -> bool {
    match failed {
        CustomerFailed::Broker(BrokerFailed::PasswordNeeded(needed)) => needed.stale,
        other => panic!("{other}"),
    }
}

/// Carla has given her password.
async fn with_carla(gate: &Gate, stage: &Stage) -> Arc<LiveSession> {
    let carla = stage.visitor(CARLA).await;
    stage.claim(gate, &carla, SEED_PASSWORD).await.unwrap();
    carla
}

#[tokio::test]
async fn a_password_is_claimed_once_and_outlives_sessions() {
    let stage = Stage::start().await;
    let gate_one = gate(&stage);
    let ana = stage.visitor(ANA).await;
    let failed = stage.ensure(&gate_one, &ana).await.unwrap_err();
    assert_eq!((failed.reason(), is_stale(&failed)), ("password_needed", false));
    assert!(failed.is_about_the_account(), "nobody tries again and again");

    stage.mail(&gate_one, &ana).await.unwrap();
    let mail = stage.jsm.last_mail_to(ANA).unwrap();
    assert_eq!(mail.kind, MailKind::Invitation);
    assert_eq!(stage.jsm.customers_created(ANA), 1, "no second account");
    assert_eq!(stage.claim(&gate_one, &ana, "not set yet").await, Err(ClaimFailed::Wrong));
    assert_eq!(stage.standing(&gate_one, ANA).await, Standing::None, "nothing wrong is kept");
    stage.jsm.set_password(ANA, "what Ana chose");
    stage.claim(&gate_one, &ana, "what Ana chose").await.unwrap();
    let session = stage.ensure(&gate_one, &ana).await.unwrap();
    assert_eq!((session.customer(), stage.jsm.logins(ANA)), (stage.id(ANA).as_str(), 1), "the login that proved it");

    // Another session, another process.
    let (gate_two, again) = (gate(&stage), stage.visitor(ANA).await);
    stage.ensure(&gate_two, &again).await.unwrap();
    assert_eq!(stage.jsm.logins(ANA), 2);
    gate_two.customers.end(&session).await;
    assert_eq!(stage.jsm.sessions_of(ANA), 1, "a sign-out ends its own session upstream, and no other");
}

#[tokio::test]
async fn a_changed_password_is_asked_for_and_never_tried_again() {
    let stage = Stage::start().await;
    let gate = gate(&stage);
    let carla = with_carla(&gate, &stage).await;
    stage.jsm.set_password(CARLA, "a new one");
    stage.jsm.kill_all(CARLA);
    let now = stage.clock.now();
    let failed = gate.customers.reopen(&carla, 1, DeathSign::RedirectToLogin, now).await.unwrap_err();
    assert!(is_stale(&failed), "{failed}");
    let calls = stage.login_calls();
    for _ in 0..5 {
        stage.clock.advance(Duration::from_secs(60));
        let visitor = stage.visitor(CARLA).await;
        assert!(is_stale(&stage.ensure(&gate, &visitor).await.unwrap_err()));
        assert!(is_stale(&stage.ensure(&gate, &carla).await.unwrap_err()));
    }
    assert_eq!(stage.login_calls(), calls, "no loop");
    stage.mail(&gate, &carla).await.unwrap();
    assert_eq!(stage.jsm.last_mail_to(CARLA).unwrap().kind, MailKind::PasswordReset, "she had one before");
    stage.claim(&gate, &carla, "a new one").await.unwrap();
    stage.ensure(&gate, &carla).await.unwrap();
    assert_eq!(stage.standing(&gate, CARLA).await, Standing::Held);
}

#[tokio::test]
async fn wrong_passwords_stop_before_a_captcha_and_a_mail_opens_the_way_again() {
    let stage = Stage::start().await;
    let gate = gate(&stage);
    let carla = stage.visitor(CARLA).await;
    for _ in 0..vault::TRIES {
        assert_eq!(stage.claim(&gate, &carla, "wrong").await, Err(ClaimFailed::Wrong));
    }
    let calls = stage.login_calls();
    let until = stage.clock.now().after(vault::REST);
    assert_eq!(stage.claim(&gate, &carla, SEED_PASSWORD).await, Err(ClaimFailed::TooManyTries(until)));
    // Not from another browser, nor after a restart.
    let again = stage.visitor(CARLA).await;
    let restarted = self::gate(&stage);
    assert_eq!(stage.claim(&restarted, &again, SEED_PASSWORD).await, Err(ClaimFailed::TooManyTries(until)));
    assert_eq!(stage.login_calls(), calls);
    stage.mail(&gate, &carla).await.unwrap();
    stage.claim(&gate, &carla, SEED_PASSWORD).await.unwrap();
    assert_eq!(stage.jsm.customer(CARLA).unwrap().failed_logins, 0, "no CAPTCHA was met");
}

#[tokio::test]
async fn mails_are_limited_by_person_and_come_by_either_way() {
    let stage = Stage::start().await;
    let forgotten = gate_with(&stage, |settings| settings.mails = vec![PasswordMail::ForgotPassword]);
    let carla = stage.visitor(CARLA).await;
    for _ in 0..vault::MAILS {
        stage.mail(&forgotten, &carla).await.unwrap();
        assert_eq!(stage.jsm.last_mail_to(CARLA).unwrap().kind, MailKind::PasswordReset);
    }
    let until = stage.clock.now().after(vault::MAILS_IN);
    assert_eq!(stage.mail(&forgotten, &carla).await, Err(ClaimFailed::TooManyMails(until)));
    assert_eq!(stage.mail(&forgotten, &stage.visitor(CARLA).await).await, Err(ClaimFailed::TooManyMails(until)));
    assert_eq!(stage.jsm.mails().len(), vault::MAILS);
    // The way that nobody has documented may be gone: the other one is there.
    stage.clock.advance(vault::MAILS_IN);
    stage.jsm.set_faults(vec![Fault::always(FORGOT, FaultKind::Status(404, None))]);
    let either = gate_with(&stage, |settings| settings.mails.reverse());
    stage.mail(&either, &carla).await.unwrap();
    assert_eq!(stage.jsm.last_mail_to(CARLA).unwrap().kind, MailKind::Invitation);
    assert_eq!(stage.mail(&forgotten, &carla).await, Err(ClaimFailed::NoMail));
}

#[tokio::test]
async fn the_second_endpoint_is_used_when_the_first_is_gone_and_is_remembered() {
    for status in [404, 410] {
        let stage = Stage::start().await;
        stage.jsm.switch(|switches| (switches.login_v1, switches.gone) = (false, status));
        let gate = gate(&stage);
        with_carla(&gate, &stage).await;
        stage.ensure(&gate, &stage.visitor(CARLA).await).await.unwrap();
        assert_eq!((stage.jsm.calls("POST", V1), stage.jsm.calls("POST", V2)), (1, 2), "{status}");
        stage.jsm.switch(|switches| (switches.login_v1, switches.login_v2) = (true, false));
        stage.ensure(&gate, &stage.visitor(CARLA).await).await.unwrap();
        stage.jsm.switch(|switches| switches.login_v1 = false);
        assert_eq!(stage.reason(&gate, CARLA).await, "no_login_available");
        assert_eq!(stage.standing(&gate, CARLA).await, Standing::Held);
    }
}

#[tokio::test]
async fn bad_days_have_their_reasons_and_cost_nobody_their_password() {
    for (kind, reason) in [
        (FaultKind::HtmlInPlaceOfJson, "html_instead_of_json"),
        (FaultKind::FirewallBlock, "html_instead_of_json"),
        (FaultKind::FirewallChallenge, "html_instead_of_json"),
        (FaultKind::Status(500, None), "upstream_failing"),
        (FaultKind::Status(429, Some(3600)), "rate_limited"),
        (FaultKind::DropConnection, "upstream_unreachable"),
    ] {
        let stage = Stage::start().await;
        let gate = gate(&stage);
        with_carla(&gate, &stage).await;
        stage.jsm.set_faults(vec![Fault::always("/jsd-login", kind.clone())]);
        assert_eq!(stage.reason(&gate, CARLA).await, reason, "{kind:?}");
        assert_eq!(stage.standing(&gate, CARLA).await, Standing::Held, "{kind:?}");
    }
    let stage = Stage::start().await;
    let gate = gate(&stage);
    with_carla(&gate, &stage).await;
    stage.jsm.switch(|switches| switches.captcha = Captcha::Always);
    assert_eq!(stage.reason(&gate, CARLA).await, "captcha_required");
    stage.clock.advance(Duration::from_secs(61));
    stage.jsm.switch(|switches| (switches.captcha, switches.password_login) = (Captcha::Off, false));
    assert_eq!(stage.reason(&gate, CARLA).await, "no_login_available");
    stage.jsm.switch(|switches| switches.password_login = true);
    stage.jsm.add_atlassian_account_elsewhere(CARLA);
    assert_eq!(stage.reason(&gate, CARLA).await, "atlassian_account");
    assert_eq!(stage.standing(&gate, CARLA).await, Standing::Held);
}

#[tokio::test]
async fn pages_instead_of_cloud_logins_open_the_breaker_whoever_comes_in_between() {
    let stage = Stage::start().await;
    let gate = gate(&stage);
    with_carla(&gate, &stage).await;
    stage.jsm.set_faults(vec![Fault::always("/jsd-login", FaultKind::FirewallBlock)]);
    for _ in 0..3 {
        assert_eq!(stage.reason(&gate, CARLA).await, "html_instead_of_json");
        assert_eq!(stage.reason(&gate, ANA).await.replace("logins_paused", "password_needed"), "password_needed");
    }
    let calls = stage.login_calls();
    assert_eq!(stage.reason(&gate, CARLA).await, "logins_paused");
    assert_eq!(stage.login_calls(), calls);
    stage.jsm.set_faults(Vec::new());
    stage.clock.advance(Duration::from_secs(31));
    stage.ensure(&gate, &stage.visitor(CARLA).await).await.unwrap();
}

#[tokio::test]
async fn a_site_that_refuses_everybody_costs_few_their_password() {
    let stage = Stage::start().await;
    let gate = gate(&stage);
    let people: Vec<String> = (0..8).map(|n| format!("person{n}@example.com")).collect();
    for email in &people {
        stage.jsm.add_account(AccountType::Customer, email, email).unwrap();
        stage.jsm.set_password(email, SEED_PASSWORD);
        stage.claim(&gate, &stage.visitor(email).await, SEED_PASSWORD).await.unwrap();
    }
    people.iter().for_each(|email| assert!(stage.jsm.set_password(email, "as if the site had lost them all")));
    let mut reasons = Vec::new();
    for email in &people {
        reasons.push(stage.reason(&gate, email).await);
    }
    assert!(reasons.ends_with(&["logins_paused"; 3]), "{reasons:?}");
    people.iter().for_each(|email| assert!(stage.jsm.set_password(email, SEED_PASSWORD)));
    for email in people.iter().rev().take(3) {
        stage.ensure(&gate, &stage.visitor(email).await).await.unwrap();
    }
}

#[tokio::test]
async fn a_login_that_opens_somebody_elses_session_is_no_proof() {
    let stage = Stage::start().await;
    let gate = gate(&stage);
    // Ana's account is known; then another, older one comes to have her address.
    let older = stage.jsm.add_account(AccountType::Customer, "other@acme.com", "Other").unwrap();
    let ana = stage.visitor(ANA).await;
    assert_eq!(stage.ensure(&gate, &ana).await.unwrap_err().reason(), "password_needed");
    let hers = stage.id(ANA);
    stage.jsm.set_password(ANA, SEED_PASSWORD);
    stage.jsm.change_account(&older, |account| {
        account.email = ANA.into();
        account.password = Some(Secret::generated(SEED_PASSWORD));
    });
    let failed = stage.claim(&gate, &ana, SEED_PASSWORD).await.unwrap_err();
    let ClaimFailed::Failed(failed) = failed else { panic!("{failed}") };
    assert_eq!(failed.reason(), "wrong_customer");
    assert_eq!(gate.vault.load(&hers).await.unwrap().standing(), Standing::None, "nothing is kept");
    assert_eq!(stage.jsm.sessions_of(ANA), 0, "and the session is ended");
    assert!(ana.customer_session().is_none());
}

#[tokio::test]
async fn a_hook_program_supplies_passwords_and_is_not_believed_twice() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("hook");
    let asked = folder.path().join("asked");
    let script = format!(
        "#!/bin/sh\nread line\necho \"$line\" >> {}\ncase \"$line\" in *carla*) echo {SEED_PASSWORD};; *chen*) echo wrong;; \
         *cleo*) exit 1;; *) exit 3;; esac\n",
        asked.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let stage = Stage::start().await;
    let hook = HookSettings { program, arguments: Vec::new(), timeout: Duration::from_secs(10), concurrency: 2 };
    let gate = gate_with(&stage, |settings| settings.hook = Some(hook));
    stage.ensure(&gate, &stage.visitor(CARLA).await).await.unwrap();
    stage.ensure(&gate, &stage.visitor(CARLA).await).await.unwrap();
    assert_eq!(std::fs::read_to_string(&asked).unwrap().lines().count(), 1, "what works is kept");
    assert!(std::fs::read_to_string(&asked).unwrap().contains(&stage.id(CARLA)));
    let calls = stage.login_calls();
    for _ in 0..4 {
        assert_eq!(stage.reason(&gate, "chen@example.com").await, "password_needed");
    }
    assert_eq!(stage.login_calls(), calls + 1, "the same wrong password is tried once");
    assert_eq!(stage.reason(&gate, "cleo@example.com").await, "password_hook_failed");
    assert_eq!(stage.reason(&gate, ANA).await, "password_needed");
}

#[tokio::test]
async fn operators_give_and_take_passwords() {
    let stage = Stage::start().await;
    let gate = gate(&stage);
    let directory = stage.directory(stage.settings());
    let email = crate::email::EmailAddress::parse(CARLA).unwrap();
    let carla = directory.known(&email, soon()).await.unwrap().unwrap();
    let (claims, now) = (&gate.claims, stage.clock.now());
    let wrong = claims.prove_and_end(&carla, &Secret::generated("wrong"), now, soon()).await;
    assert_eq!(wrong, Err(ClaimFailed::Wrong));
    claims.prove_and_end(&carla, &Secret::generated(SEED_PASSWORD), now, soon()).await.unwrap();
    assert_eq!((stage.standing(&gate, CARLA).await, stage.jsm.sessions_of(CARLA)), (Standing::Held, 0));
    assert!(claims.forget(&carla, soon()).await.unwrap() && !claims.forget(&carla, soon()).await.unwrap());
    assert_eq!(stage.reason(&gate, CARLA).await, "password_needed");
    claims.keep(&carla, &Secret::generated(SEED_PASSWORD), soon()).await.unwrap();
    stage.ensure(&gate, &stage.visitor(CARLA).await).await.unwrap();
    assert!(directory.known(&crate::email::EmailAddress::parse(ANA).unwrap(), soon()).await.unwrap().is_none());
}

#[tokio::test]
async fn fifty_requests_at_once_cost_one_login_and_an_outage_signs_nobody_out() {
    let stage = Stage::start().await;
    let gate = gate(&stage);
    with_carla(&gate, &stage).await;
    let again = stage.visitor(CARLA).await;
    let held = stage.jsm.hold("/jsd-login");
    let requests: Vec<_> = (0..50)
        .map(|_| {
            let (customers, again, now) = (gate.customers.clone(), Arc::clone(&again), stage.clock.now());
            tokio::spawn(async move { customers.ensure(&again, now).await.unwrap().unwrap().generation() })
        })
        .collect();
    stage.jsm.wait_for(|jsm| (jsm.held() == 1).then_some(())).await;
    held.open();
    for request in requests {
        assert_eq!(request.await.unwrap(), 1);
    }
    assert_eq!(stage.jsm.logins(CARLA), 2, "one to claim, one for all of them");
    stage.jsm.set_faults(vec![Fault::always("", FaultKind::Status(503, None))]);
    let failed = gate.customers.reopen(&again, 1, DeathSign::Unauthorized, stage.clock.now()).await;
    assert!(!again.is_ended(), "{failed:?}");
    stage.jsm.set_faults(Vec::new());
    stage.clock.advance(Duration::from_secs(60));
    stage.ensure(&gate, &again).await.unwrap();
    assert_eq!(stage.standing(&gate, CARLA).await, Standing::Held);
}
