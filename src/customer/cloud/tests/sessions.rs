//! What all ways to log in share: whose session it is, how long it lives, how its death shows, how it ends.

use std::sync::Mutex;

use async_trait::async_trait;
use serde_json::json;

use super::visits::{CARLA, CHEN, HOUR, Visits};
use super::*;
use crate::customer::jar::Jar;
use crate::customer::upstream::json_body;
use crate::customer::{BrokerFailed, Customer, CustomerFailed, DeathSign, UpstreamFailed, Verdict};
use crate::demo::jsm_cloud::SEED_PASSWORD;
use crate::http_client::{Answer, Call};
use crate::session::CustomerSession;

/// Logs in with the password that seeded customers have; as somebody else, when told to.
#[derive(Debug, Default)]
struct BySeedPassword {
    instead: Mutex<Option<&'static str>>,
}

#[async_trait]
impl CloudLogin for BySeedPassword {
    async fn log_in(
        &self,
        site: &CloudSite,
        customer: &Customer,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Jar, BrokerFailed> {
        let instead = *self.instead.lock().unwrap();
        let email = instead.unwrap_or(customer.address().as_str());
        let body = json_body(&json!({ "email": email, "password": SEED_PASSWORD }));
        let call =
            Call::post(site.at(&["jsd-login", "v1", "authentication", "authenticate"]), "application/json", body);
        let answer = site.send(call, deadline).await?;
        let mut jar = Jar::default();
        jar.take(&answer, now);
        Ok(jar)
    }
}

async fn start() -> (Visits, Arc<BySeedPassword>) {
    let login = Arc::<BySeedPassword>::default();
    (Visits::new(Stage::start().await, Arc::<BySeedPassword>::clone(&login)), login)
}

#[tokio::test]
async fn a_customer_session_is_the_customers_and_ends_with_the_log_out() {
    let (visits, _) = start().await;
    let carla = visits.visitor(CARLA).await;
    let session = visits.ensure(&carla).await.unwrap();
    assert_eq!(session.customer(), visits.stage.id(CARLA));
    assert!(session.holds(SESSION_COOKIE) && !session.holds("atlassian.xsrf.token"));
    assert!(visits.customers.keeps_back("tenant.session.token", None));
    let page = visits.get("/servicedesk/customer/portals", &session).await;
    assert_eq!(page.status, 200);
    assert!(matches!(visits.judge(&session, &page, false), Verdict::Alive));
    let (two, other) = (visits.visitor(CARLA).await, visits.visitor(CHEN).await);
    visits.ensure(&two).await.unwrap();
    visits.ensure(&other).await.unwrap();
    visits.customers.end(&session).await;
    assert_eq!((visits.stage.jsm.sessions_of(CARLA), visits.stage.jsm.sessions_of(CHEN)), (1, 1));
    let page = visits.get("/servicedesk/customer/portals", &session).await;
    assert!(matches!(visits.judge(&session, &page, false), Verdict::Dead(DeathSign::RedirectToLogin)));
}

#[tokio::test]
async fn the_token_and_the_cookie_say_how_long_it_lives() {
    let (visits, _) = start().await;
    for (token, cookie, life) in [(8, 24, 8), (8, 2, 2), (48, 48, 12)] {
        visits.stage.jsm.switch(|switches| {
            (switches.token_lifetime, switches.cookie_lifetime) = (HOUR * token, HOUR * cookie);
        });
        let session = visits.ensure(&visits.visitor(CARLA).await).await.unwrap();
        assert_eq!(session.expires(), Some(visits.stage.clock.now().after(HOUR * life)), "{token} {cookie}");
    }
}

#[tokio::test]
async fn the_next_session_is_opened_when_most_of_this_ones_life_is_over() {
    let (visits, _) = start().await;
    let carla = visits.visitor(CARLA).await;
    let first = visits.ensure(&carla).await.unwrap();
    visits.stage.clock.advance(HOUR * 7);
    assert_eq!(visits.ensure(&carla).await.unwrap().generation(), first.generation());
    let second = visits.stage.jsm.wait_for(|jsm| (jsm.logins(CARLA) == 2).then_some(()));
    tokio::time::timeout(Duration::from_secs(20), second).await.unwrap();
    visits.stage.clock.advance(HOUR * 2);
    let next = visits.ensure(&carla).await.unwrap();
    assert_eq!((next.generation(), visits.stage.jsm.logins(CARLA)), (2, 2));
}

#[tokio::test]
async fn a_session_of_somebody_else_is_ended_and_not_used() {
    let (visits, login) = start().await;
    *login.instead.lock().unwrap() = Some(CHEN);
    let failed = visits.ensure(&visits.visitor(CARLA).await).await.unwrap_err();
    assert_eq!(failed.reason(), "wrong_customer");
    assert_eq!(visits.stage.jsm.sessions_of(CHEN), 0);
}

#[tokio::test]
async fn a_renewed_cookie_has_to_be_the_same_customers() {
    let (visits, _) = start().await;
    let (carla, chen) = (visits.visitor(CARLA).await, visits.visitor(CHEN).await);
    let (hers, his) = (visits.ensure(&carla).await.unwrap(), visits.ensure(&chen).await.unwrap());
    visits.stage.clock.advance(HOUR);
    let newer = visits.ensure(&visits.visitor(CARLA).await).await.unwrap();
    let renewed = |with: &str| {
        let mut headers = http::HeaderMap::new();
        headers.insert("set-cookie", format!("{SESSION_COOKIE}={with}; Path=/; HttpOnly").parse().unwrap());
        Answer { status: http::StatusCode::OK, headers, body: Default::default() }
    };
    let value = |session: &CustomerSession| session.cookies()[0].value.reveal().to_owned();
    let Verdict::Renewed(next) = visits.judge(&hers, &renewed(&value(&newer)), true) else { panic!() };
    assert_eq!((next.generation(), value(&next), next.opened()), (2, value(&newer), hers.opened()));
    for (with, sign) in [
        (value(&his), DeathSign::SomebodyElse),
        ("opaque".to_owned(), DeathSign::SomebodyElse),
        (String::new(), DeathSign::CookieTakenAway),
    ] {
        let verdict = visits.judge(&hers, &renewed(&with), true);
        assert!(matches!(verdict, Verdict::Dead(seen) if seen == sign), "{verdict:?}");
    }
    let now = visits.stage.clock.now();
    let next = visits.customers.reopen(&carla, 1, DeathSign::SomebodyElse, now).await.unwrap();
    assert_eq!((next.generation(), next.customer()), (2, hers.customer()));
}

#[tokio::test]
async fn a_dead_session_is_reopened_and_a_doubted_one_is_asked_about() {
    let (visits, _) = start().await;
    let carla = visits.visitor(CARLA).await;
    let first = visits.ensure(&carla).await.unwrap();
    let now = visits.stage.clock.now();
    let same = visits.customers.reopen(&carla, 1, DeathSign::Forbidden, now).await.unwrap();
    assert_eq!(same.generation(), 1, "it lives");
    visits.stage.jsm.kill_all(CARLA);
    let answer = visits.get("/rest/servicedeskapi/request", &first).await;
    let Verdict::Dead(sign) = visits.judge(&first, &answer, true) else { panic!("{answer:?}") };
    let second = visits.customers.reopen(&carla, 1, sign, now).await.unwrap();
    assert_eq!((second.generation(), visits.stage.jsm.logins(CARLA)), (2, 2));
    assert_eq!(visits.get("/rest/servicedeskapi/request", &second).await.status, 200);
}

#[tokio::test]
async fn what_comes_without_a_token_is_no_session() {
    let (visits, _) = start().await;
    visits.stage.jsm.switch(|switches| switches.password_login = false);
    let failed = visits.ensure(&visits.visitor(CARLA).await).await.unwrap_err();
    let unexpected = BrokerFailed::Upstream(UpstreamFailed::Unexpected("log a customer in"));
    assert_eq!(failed, CustomerFailed::Broker(unexpected));
}
