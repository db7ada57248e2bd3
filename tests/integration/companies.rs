//! Two companies with an identity provider each on one portal: each sees its own organization's requests, and nobody gets
//! at another's by what their provider says.

mod at_cloud;
mod stage;

use std::net::SocketAddr;

use vestibule::clock::Clock;
use vestibule::demo::jsm_datacenter::JsmDataCenter;
use vestibule::demo::server::Server;
use vestibule::random::Random;

use self::stage::{Site, Stage};

/// The companies in front of Data Center.
async fn at_data_center() -> (Stage, JsmDataCenter, Server) {
    let jsm = JsmDataCenter::new(Clock::System, Random::default()).unwrap();
    let server = Server::start(jsm.router(), SocketAddr::from(([127, 0, 0, 1], 0)), None, None).await.unwrap();
    let upstream = format!("http://{}", server.addr());
    jsm.set_base_url(&upstream);
    let lines = format!(
        "    customer_session: datacenter\n    directory:\n      site_token: {{ token: \"{}\" }}\n      service_desks: [\"10\"]\n",
        jsm.service_token().reveal()
    );
    let stage = Stage::start(Site { upstream, lines, desk: ("10", "101") }, "").await;
    (stage, jsm, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_company_sees_its_own_requests() {
    let (stage, jsm, _server) = at_data_center().await;
    let (ana, ben) = (stage.sign_in("acme", "ana").await, stage.sign_in("acme", "ben").await);
    let (gil, gwen) = (stage.sign_in("globex", "gil").await, stage.sign_in("globex", "gwen").await);
    let of_ana = stage.raise(&ana, "acme's printer").await;
    stage.raise(&gil, "globex's laser").await;
    for (browser, expected) in
        [(&ana, "acme's printer"), (&ben, "acme's printer"), (&gil, "globex's laser"), (&gwen, "globex's laser")]
    {
        assert_eq!(stage.sees(browser).await, [expected]);
    }
    let page = format!("{}/{of_ana}", stage.portal());
    assert_eq!(stage.open(&ben, &page).await.status(), 200);
    assert_eq!(stage.open(&gwen, &page).await.status(), 404, "another company does not learn that it exists");
    assert_eq!(jsm.organizations_of("ana@acme.com"), ["Acme"]);
    assert_eq!(jsm.organizations_of("gwen@globex.com"), ["Globex"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_provider_puts_anybody_in_the_place_of_anothers_customer() {
    let (stage, jsm, _server) = at_data_center().await;
    let (ana, gil) = (stage.sign_in("acme", "ana").await, stage.sign_in("globex", "gil").await);
    stage.raise(&ana, "acme's printer").await;
    stage.raise(&gil, "globex's laser").await;
    // A provider that speaks for a domain which is not its own.
    let (_, refused) = stage.come("acme", "spy").await;
    assert_eq!(refused.status(), 403);
    // One that lists none does not speak for what others list.
    let (_, refused) = stage.come("partner", "mallory").await;
    assert_eq!(refused.status(), 403);
    // For what nobody lists, the first to come with an address has the account.
    let pia = stage.sign_in("partner", "pia").await;
    assert!(stage.sees(&pia).await.is_empty());
    let otto = stage.sign_in("freelance", "otto").await;
    let refused = stage.open(&otto, &stage.portal()).await;
    assert_eq!(refused.status(), 403);
    let page = refused.text().await.unwrap();
    assert!(page.contains("This customer account belongs to another sign-in"), "{page}");
    assert_eq!(stage.tries_to_see(&otto).await, Err("account_bound_to_another".to_owned()));
    // A provider that puts its people into another company's organization.
    let cuckoo = stage.sign_in("acme", "cuckoo").await;
    assert_eq!(stage.sees(&cuckoo).await, ["acme's printer"]);
    assert_eq!(jsm.organizations_of("cuckoo@acme.com"), ["Acme"]);
    // The owners have noticed nothing.
    assert_eq!(stage.sees(&ana).await, ["acme's printer"]);
    assert_eq!(stage.sees(&gil).await, ["globex's laser"]);
    assert_eq!(jsm.customers_created("ana@acme.com"), 1);
    assert_eq!(jsm.customers_created("pia@partner.test"), 1);
    assert!(stage.counts("vestibule_customer_provisioning_total{portal=\"localhost\",result=\"takeover_refused\"} 1"));
}
