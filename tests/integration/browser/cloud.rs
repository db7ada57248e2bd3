//! JSM Cloud by single sign-on, in a real browser: two companies with an identity provider each on one portal.

use vestibule::clock::Clock;
use vestibule::demo::world::{ProviderChoice, World, WorldSettings};
use vestibule::random::Random;

use super::chromium::{ALL_LOOKS, Browser, Thing};

const ALL_REQUESTS: &str = "/servicedesk/customer/user/requests?reporter=all";
const COLLEAGUES: &str = "The invoice shows the old address";
const GINAS: &str = "The scanner eats paper";

#[tokio::test(flavor = "multi_thread")]
async fn two_companies_use_one_portal_at_cloud_without_a_password() {
    let folder = tempfile::tempdir().unwrap();
    let settings = WorldSettings {
        port: 0,
        admin_port: 0,
        certificates: folder.path().join("certificates"),
        state: folder.path().join("state"),
        provider: ProviderChoice::BuiltIn(Box::default()),
        saml: Some(Box::default()),
        portal_lines: String::new(),
        datacenter_lines: String::new(),
        cloud_lines: String::new(),
        recorded: 0,
        clock: Clock::System,
    };
    let world = World::start(settings, Random::default()).await.unwrap_or_else(|error| panic!("{error}"));
    let mut browser = Browser::start().await;
    let walk = &mut Walk { world: &world, browser: &mut browser };
    walk.ana_comes_in_and_sees_what_acme_has_asked().await;
    walk.gina_comes_in_and_sees_what_globex_has_asked().await;
    walk.each_still_sees_their_own().await;
    walk.mia_reads_that_she_has_an_atlassian_account().await;
    browser.stop().await;
    world.stop().await;
}

struct Walk<'a> {
    world: &'a World,
    browser: &'a mut Browser,
}

impl Walk<'_> {
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.world.cloud_origin())
    }

    async fn chooses(&mut self, company: &str, person: &str) {
        self.browser.open(&self.url(ALL_REQUESTS)).await;
        self.browser.click(Thing::Button(company)).await;
        self.browser.click(Thing::Text(person)).await;
        self.browser.at(&self.url(ALL_REQUESTS)).await;
    }

    async fn ana_comes_in_and_sees_what_acme_has_asked(&mut self) {
        self.browser.visitor("cloud-ana").await;
        self.chooses("Acme", "Ana Almeida").await;
        self.browser.sees(Thing::Text("Signed in as Ana Almeida")).await;
        self.browser.sees(Thing::Text(COLLEAGUES)).await;
        self.browser.picture("cloud-organization", &ALL_LOOKS).await;
        self.browser.open(&self.url("/servicedesk/customer/portals")).await;
        self.browser.picture("cloud-portals", &ALL_LOOKS).await;
        let cookies = self.browser.cookies().await;
        assert!(cookies.iter().all(|cookie| !cookie.contains("session.token")), "{cookies:?}");
        // Her session dies at JSM, and she does not notice.
        assert!(self.world.cloud.jsm.kill_all("ana@acme.example") > 0);
        self.browser.open(&self.url(ALL_REQUESTS)).await;
        self.browser.sees(Thing::Text(COLLEAGUES)).await;
    }

    async fn gina_comes_in_and_sees_what_globex_has_asked(&mut self) {
        self.browser.visitor("cloud-gina").await;
        self.chooses("Globex", "Gina Gomes").await;
        self.browser.sees(Thing::Text("Signed in as Gina Gomes")).await;
        self.browser.lacks(Thing::Text(COLLEAGUES)).await;
        self.browser.open(&self.url("/servicedesk/customer/portal/1")).await;
        self.browser.click(Thing::Text("Get help")).await;
        self.browser.fill(Thing::Field("Summary"), GINAS).await;
        self.browser.fill(Thing::Field("Description"), "Page by page.").await;
        self.browser.click(Thing::Button("Send")).await;
        self.browser.sees(Thing::Text(GINAS)).await;
        self.browser.open(&self.url(ALL_REQUESTS)).await;
        self.browser.sees(Thing::Text(GINAS)).await;
        let gina = self.world.cloud.jsm.customer("gina@globex.com").unwrap();
        assert_eq!(self.world.cloud.jsm.organizations_of(&gina.account_id), ["Globex"]);
    }

    async fn each_still_sees_their_own(&mut self) {
        self.browser.visitor("cloud-ana").await;
        self.browser.open(&self.url(ALL_REQUESTS)).await;
        self.browser.sees(Thing::Text(COLLEAGUES)).await;
        self.browser.lacks(Thing::Text(GINAS)).await;
    }

    async fn mia_reads_that_she_has_an_atlassian_account(&mut self) {
        self.browser.visitor("cloud-mia").await;
        self.chooses("Acme", "Mia Moreau").await;
        self.browser.sees(Thing::Heading("You already have an Atlassian account")).await;
        self.browser.picture("cloud-atlassian-account", &ALL_LOOKS).await;
    }
}
