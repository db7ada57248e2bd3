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
    let world = world(folder.path(), "").await;
    let mut browser = Browser::start().await;
    let walk = &mut Walk { world: &world, browser: &mut browser };
    walk.ana_comes_in_and_sees_what_acme_has_asked().await;
    walk.gina_comes_in_and_sees_what_globex_has_asked().await;
    walk.each_still_sees_their_own().await;
    walk.mia_reads_that_she_has_an_atlassian_account().await;
    walk.nothing_went_wrong_in_the_browsers().await;
    browser.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_goes_the_way_to_cloud_where_a_script_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path(), "        walk: browser\n").await;
    world.cloud.jsm.switch(|switches| switches.single_sign_on_by_script = true);
    let mut browser = Browser::start().await;
    let walk = &mut Walk { world: &world, browser: &mut browser };
    walk.ana_comes_in_and_sees_what_acme_has_asked().await;
    walk.the_browser_has_met_nobody_else().await;
    browser.stop().await;
    world.stop().await;
}

async fn world(folder: &std::path::Path, cloud_lines: &str) -> World {
    let settings = WorldSettings {
        port: 0,
        admin_port: 0,
        certificates: folder.join("certificates"),
        state: folder.join("state"),
        provider: ProviderChoice::BuiltIn(Box::default()),
        saml: Some(Box::default()),
        portal_lines: String::new(),
        datacenter_lines: String::new(),
        cloud_lines: cloud_lines.into(),
        recorded: 0,
        clock: Clock::System,
    };
    World::start(settings, Random::default()).await.unwrap_or_else(|error| panic!("{error}"))
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
        let secret = |cookie: &String| cookie.contains("session.token") || cookie.contains("auth.saml");
        assert!(!cookies.iter().any(secret), "{cookies:?}");
        // Her session dies at JSM, and she does not notice.
        assert!(self.world.cloud.jsm.kill_all("ana@acme.example") > 0);
        self.browser.open(&self.url(ALL_REQUESTS)).await;
        self.browser.sees(Thing::Text(COLLEAGUES)).await;
    }

    /// The console of each is free of errors, but for the page that refuses Mia; and nobody was asked but the gateway and the providers.
    async fn nothing_went_wrong_in_the_browsers(&mut self) {
        let provider = self.world.provider.as_ref().unwrap().issuer();
        let saml = url::Url::parse(&self.world.saml.as_ref().unwrap().entity_id()).unwrap();
        let saml = saml.origin().ascii_serialization();
        for (visitor, expected) in [("cloud-ana", 0), ("cloud-gina", 0), ("cloud-mia", 1)] {
            self.browser.visitor(visitor).await;
            let traffic = self.browser.traffic().await;
            assert!(traffic.requests.iter().any(|url| url.path() == ALL_REQUESTS.split('?').next().unwrap()));
            for url in &traffic.requests {
                let origin = url.origin().ascii_serialization();
                let known = [&self.world.cloud_origin(), &provider, &saml].contains(&&origin) || url.scheme() == "data";
                assert!(known, "{visitor} asked for {url}");
            }
            assert!(traffic.blocked.is_empty(), "{visitor}: {:?}", traffic.blocked);
            let complaints =
                traffic.console.iter().filter(|(_, text)| !text.contains("status of 403")).collect::<Vec<_>>();
            assert!(complaints.is_empty(), "{visitor}: {complaints:#?}");
            assert_eq!(traffic.console.len(), expected, "{visitor}: {:#?}", traffic.console);
        }
    }

    /// Nobody but the gateway and the provider: not the site, nor the host beside it.
    async fn the_browser_has_met_nobody_else(&mut self) {
        let provider = self.world.provider.as_ref().unwrap().issuer();
        let traffic = self.browser.traffic().await;
        assert!(traffic.requests.iter().any(|url| url.path().starts_with("/.vestibule/cloud/at/1/saml/")));
        for url in &traffic.requests {
            let origin = url.origin().ascii_serialization();
            let known = origin == self.world.cloud_origin() || origin == provider || url.scheme() == "data";
            assert!(known, "the browser asked for {url}");
        }
        assert!(traffic.blocked.is_empty(), "{:?}", traffic.blocked);
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
