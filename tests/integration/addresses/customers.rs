//! Customer sessions at a Data Center of three nodes, which share accounts and requests and no sessions.

use std::net::SocketAddr;

use reqwest::{Client, Response};
use vestibule::clock::Clock;
use vestibule::demo::jsm_datacenter::{Fault, FaultKind, JsmDataCenter};
use vestibule::demo::server::Server;
use vestibule::random::Random;

use super::{any_port, starts, upstream};
use crate::harness::{Options, TestGateway, eventually, navigate};

const PORTAL: &str = "/servicedesk/customer/portal/1";
const CREATE: &str = "/servicedesk/customer/portal/1/create/11";
const ANA: &str = "ana@acme.com";

struct Cluster {
    jsm: JsmDataCenter,
    servers: Vec<Option<Server>>,
    addresses: Vec<SocketAddr>,
    gateway: TestGateway,
}

impl Cluster {
    async fn start(more: &str, logins: &str) -> Self {
        let jsm = JsmDataCenter::new(Clock::System, Random::default()).unwrap();
        let mut servers = Vec::new();
        for node in 0..3 {
            servers.push(Server::start(jsm.at_node(node).router(), any_port(), None, None).await.unwrap());
        }
        let addresses: Vec<_> = servers.iter().map(Server::addr).collect();
        jsm.set_base_url(&format!("http://localhost:{}", addresses[0].port()));
        let mut options = Options { upstream: upstream(&addresses, more), ..Options::plain(addresses[0]) };
        options.portal = format!(
            "    customer_session:\n      datacenter: {{ logins: [{logins}], call_timeout: 5s }}\n    directory:\n      \
             site_token: {{ token: \"{}\" }}\n    rules:\n      - {{ path: \"/s/**\", access: public }}\n",
            jsm.service_token().reveal()
        );
        let gateway = TestGateway::start(options).await;
        Self { jsm, servers: servers.into_iter().map(Some).collect(), addresses, gateway }
    }

    async fn open(&self, browser: &Client, path: &str) -> Response {
        navigate(browser, &format!("{}{path}", self.gateway.origin())).await
    }

    /// Somebody who is signed in and has seen the portal.
    async fn customer(&self, person: &str) -> Client {
        let browser = self.gateway.client();
        let stopped = self.open(&browser, PORTAL).await;
        assert_eq!(stopped.status(), 303);
        let approved = format!("{}&login_hint={person}", crate::harness::location(&stopped));
        let approved = browser.get(approved).send().await.unwrap();
        let returned = navigate(&browser, &crate::harness::location(&approved)).await;
        assert_eq!(returned.status(), 303, "{}", returned.text().await.unwrap());
        self.sees_the_portal(&browser).await;
        browser
    }

    async fn sees_the_portal(&self, browser: &Client) {
        let page = self.open(browser, PORTAL).await;
        let status = page.status();
        assert_eq!(status, 200, "{}", page.text().await.unwrap());
    }

    /// The one node that has a session of Ana.
    fn node(&self) -> usize {
        let nodes = self.jsm.nodes_of(ANA);
        assert_eq!(nodes.len(), 1, "{nodes:?}");
        nodes[0] as usize
    }

    /// Its process dies, with all that it has in memory.
    fn kill(&mut self, node: usize) {
        drop(self.servers[node].take());
        self.jsm.at_node(u32::try_from(node).unwrap()).forget_sessions();
    }

    async fn revive(&mut self, node: usize) {
        let router = self.jsm.at_node(u32::try_from(node).unwrap()).router();
        self.servers[node] = Some(starts(router, self.addresses[node]).await);
    }

    async fn token(&self, browser: &Client) -> String {
        let form = self.open(browser, CREATE).await;
        let page = form.text().await.unwrap();
        let token = page.split("name=\"atl_token\" value=\"").nth(1).unwrap_or_else(|| panic!("{page}"));
        token.split('"').next().unwrap().to_owned()
    }

    async fn raise(&self, browser: &Client, token: &str, summary: &str, length: usize) -> Response {
        let origin = self.gateway.origin();
        browser
            .post(format!("{origin}{CREATE}"))
            .header("origin", &origin)
            .header("accept", "text/html")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
            .form(&[("atl_token", token), ("summary", summary), ("description", &"x".repeat(length))])
            .send()
            .await
            .unwrap()
    }

    fn summaries(&self) -> Vec<String> {
        self.jsm.requests_of(ANA).into_iter().map(|request| request.summary).collect()
    }
}

const CHECKED: &str = ", out_after: 2, health_check: { path: /status, text: RUNNING, every: 100ms, back_after: 1 }";

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_session_heals_at_another_node_and_stays_there() {
    let mut cluster = Cluster::start(CHECKED, "rest_session").await;
    let browser = cluster.customer("ana").await;
    let home = cluster.node();
    for _ in 0..5 {
        cluster.sees_the_portal(&browser).await;
    }
    assert_eq!((cluster.node(), cluster.jsm.logins(ANA)), (home, 1));
    cluster.kill(home);
    cluster.gateway.is_up(cluster.addresses[home], false).await;
    cluster.sees_the_portal(&browser).await;
    let second = cluster.node();
    assert_ne!(second, home);
    // The first one is back, and nobody has to log in once more for that.
    cluster.revive(home).await;
    cluster.gateway.is_up(cluster.addresses[home], true).await;
    for _ in 0..5 {
        cluster.sees_the_portal(&browser).await;
    }
    assert_eq!((cluster.node(), cluster.jsm.logins(ANA)), (second, 2));
    // Another browser of the same person goes where they belong.
    let other = cluster.customer("ana").await;
    assert_eq!(cluster.jsm.nodes_of(ANA).iter().filter(|node| **node as usize == home).count(), 1);
    cluster.sees_the_portal(&other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_while_a_node_dies_is_done_once() {
    // Nobody checks, and nobody has noticed: the request itself finds out.
    for (noticed, length) in [(false, 100), (false, 300_000), (true, 300_000)] {
        let more = if noticed { CHECKED } else { ", out_after: 1000" };
        let mut cluster = Cluster::start(more, "rest_session").await;
        let browser = cluster.customer("ana").await;
        let token = cluster.token(&browser).await;
        let home = cluster.node();
        cluster.kill(home);
        if noticed {
            cluster.gateway.is_up(cluster.addresses[home], false).await;
        }
        let sent = cluster.raise(&browser, &token, "The printer", length).await;
        assert!(sent.status().is_redirection(), "{noticed} {length}: {}", sent.text().await.unwrap());
        assert_eq!(cluster.summaries(), ["The printer"]);
        cluster.sees_the_portal(&browser).await;
        assert_ne!(cluster.node(), home);
        let token = cluster.token(&browser).await;
        let sent = cluster.raise(&browser, &token, "The scanner", length).await;
        assert!(sent.status().is_redirection(), "{}", sent.text().await.unwrap());
        assert_eq!(cluster.summaries().iter().filter(|summary| *summary == "The scanner").count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_restarts_unnoticed_heals_where_it_is() {
    let mut cluster = Cluster::start(", out_after: 1000", "rest_session").await;
    let browser = cluster.customer("ana").await;
    let home = cluster.node();
    cluster.kill(home);
    cluster.revive(home).await;
    cluster.sees_the_portal(&browser).await;
    assert_eq!((cluster.node(), cluster.jsm.logins(ANA)), (home, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remembered_session_outlives_its_node_without_a_login() {
    let mut cluster = Cluster::start(CHECKED, "portal_form").await;
    let browser = cluster.customer("ana").await;
    let home = cluster.node();
    cluster.kill(home);
    cluster.gateway.is_up(cluster.addresses[home], false).await;
    for _ in 0..3 {
        cluster.sees_the_portal(&browser).await;
    }
    assert_ne!(cluster.node(), home);
    assert_eq!(cluster.jsm.logins(ANA), 1, "the other node has opened it by its token, once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_only_looks_odd_is_not_asked_for_twice_at_another_node() {
    const MODELS: &str = "/rest/servicedesk/1/customer/models";
    let mut cluster = Cluster::start(CHECKED, "portal_form").await;
    let browser = cluster.customer("ana").await;
    let home = cluster.node();
    cluster.kill(home);
    cluster.gateway.is_up(cluster.addresses[home], false).await;
    // A page where a script wants JSON: a dead session looks so, and other things do, too.
    cluster.jsm.set_faults(vec![Fault::always(MODELS, FaultKind::HtmlInPlaceOfJson)]);
    let origin = cluster.gateway.origin();
    let call = browser.post(format!("{origin}{MODELS}")).header("origin", &origin).header("accept", "application/json");
    let answer = call.header("content-type", "application/json").body("{}").send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    assert_eq!((cluster.jsm.calls("POST", MODELS), cluster.jsm.logins(ANA)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_starting_gets_nobody() {
    let cluster = Cluster::start(CHECKED, "rest_session").await;
    let browser = cluster.customer("ana").await;
    let home = cluster.node();
    let node = cluster.jsm.at_node(u32::try_from(home).unwrap());
    node.set_starting(true);
    cluster.gateway.is_up(cluster.addresses[home], false).await;
    cluster.sees_the_portal(&browser).await;
    assert!(cluster.jsm.nodes_of(ANA).iter().any(|node| *node as usize != home));
    node.set_starting(false);
    cluster.gateway.is_up(cluster.addresses[home], true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_at_a_node_that_goes_out_is_nobodys_stranger_at_the_next() {
    let more = format!("{CHECKED}, connections: {{ per_address: 1, wait: 1m }}");
    let cluster = Cluster::start(&more, "rest_session").await;
    let browser = cluster.customer("ana").await;
    let token = cluster.token(&browser).await;
    let home = cluster.node();
    let at = cluster.addresses[home];
    cluster.gateway.in_use(at, 0).await;
    // Her node has one place, and hangs at another page of hers.
    let gate = cluster.jsm.hold("/servicedesk/customer/user/requests");
    let page = format!("{}/servicedesk/customer/user/requests", cluster.gateway.origin());
    let hanging = tokio::spawn(browser.get(page).send());
    cluster.gateway.in_use(at, 1).await;
    let (waiting, ()) = tokio::join!(cluster.raise(&browser, &token, "The printer", 300_000), async {
        cluster.gateway.tells("vestibule_exchanges_in_flight 2").await;
        cluster.jsm.at_node(u32::try_from(home).unwrap()).set_starting(true);
    });
    assert!(waiting.status().is_redirection(), "{}", waiting.text().await.unwrap());
    assert_eq!(cluster.summaries(), ["The printer"]);
    assert!(cluster.jsm.nodes_of(ANA).iter().any(|node| *node as usize != home));
    drop(gate);
    let _ = hanging.await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_order_nobody_is_thrown_out_of_a_standby_by_a_first_node_that_cannot_log_in() {
    let cluster = Cluster::start(", balance: in_order", "rest_session").await;
    let mut fault = Fault::always("/rest/auth/1/session", FaultKind::Status(503, None));
    fault.strikes = Some(1);
    // Nobody can log in at the first one, once: the session is opened at the second.
    cluster.jsm.set_faults(vec![fault]);
    let browser = cluster.customer("ana").await;
    assert_eq!(cluster.node(), 1);
    for _ in 0..5 {
        cluster.sees_the_portal(&browser).await;
    }
    assert_eq!((cluster.node(), cluster.jsm.logins(ANA)), (1, 1), "she stays where she is");
    // Who comes now goes to the first.
    let _ben = cluster.customer("ben").await;
    assert_eq!(cluster.jsm.nodes_of("ben@acme.com"), [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_session_at_the_node_that_has_it() {
    let cluster = Cluster::start("", "rest_session").await;
    for person in ["ana", "ben"] {
        let browser = cluster.customer(person).await;
        let account = format!("{person}@acme.com");
        assert_eq!(cluster.jsm.nodes_of(&account).len(), 1);
        let out = browser
            .post(format!("{}/.vestibule/sign-out", cluster.gateway.origin()))
            .header("origin", cluster.gateway.origin())
            .send()
            .await
            .unwrap();
        assert!(out.status().is_redirection() || out.status().is_success(), "{}", out.status());
        eventually("it ends", || cluster.jsm.nodes_of(&account).is_empty()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_no_node_is_left_visitors_are_told_and_come_back_to_their_session() {
    let mut cluster = Cluster::start(", out_after: 1, pause: 1s", "rest_session").await;
    let browser = cluster.customer("ana").await;
    for node in 0..3 {
        cluster.kill(node);
    }
    let told = cluster.open(&browser, PORTAL).await;
    assert!([502, 503].contains(&told.status().as_u16()), "{}", told.status());
    for address in &cluster.addresses {
        eventually("out", || {
            let line = format!("vestibule_upstream_failures_total{{address=\"{address}\"");
            cluster.gateway.counted(&line) > 0
        })
        .await;
    }
    let (status, ready) = cluster.gateway.admin("/readyz").await;
    assert_eq!(status, 200, "pages are served: {ready}");
    for node in 0..3 {
        cluster.revive(node).await;
    }
    for address in cluster.addresses.clone() {
        cluster.gateway.is_up(address, true).await;
    }
    // A login that failed is not tried again for a moment.
    for _ in 0..300 {
        if cluster.open(&browser, PORTAL).await.status() == 200 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    cluster.sees_the_portal(&browser).await;
    assert_eq!(cluster.jsm.nodes_of(ANA).len(), 1);
}
