//! A person signs in by SimpleSAMLphp, which is another site to the browser, uses the portal, and signs out here and there.

use serde_json::json;
use vestibule::app::App;
use vestibule::clock::Clock;
use vestibule::demo::world::{PROVIDER, ProviderChoice, World, WorldSettings};
use vestibule::random::Random;

use super::chromium::{Browser, Thing};
use super::looks::beside;
use crate::harness::eventually;
use crate::saml_peers::gateway::{Provider, identity_providers};
use crate::saml_peers::keys::Pair;
use crate::saml_peers::simplesamlphp::{SimpleSamlPhp, names_by, with};
use crate::saml_peers::visitor::Visitor;

const DEEP_LINK: &str = "/servicedesk/customer/portal/1";
const MY_REQUESTS: &str = "/servicedesk/customer/user/requests";
const ANA: &str = "ana@acme.example";
const EMAIL: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress";

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_signs_in_by_simplesamlphp_uses_the_portal_and_signs_out_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let peer = SimpleSamlPhp::start("A").await;
    let signed = json!({"validate.authnrequest": true, "validate.logout": true, "sign.logout": true});
    peer.set(&with(with(names_by("mail", EMAIL), json!({"assertion.encryption": true})), signed));
    let settings = WorldSettings {
        port: 0,
        admin_port: 0,
        certificates: folder.path().join("certificates"),
        state: folder.path().join("state"),
        provider: ProviderChoice::BuiltIn(Box::default()),
        saml: None,
        portal_lines: String::new(),
        datacenter_lines: String::new(),
        cloud_lines: String::new(),
        recorded: 64 * 1024 * 1024,
        clock: Clock::System,
    };
    let world = World::start(settings, Random::default()).await.unwrap_or_else(|error| panic!("{error}"));
    let app = gateway_by_saml(&world, &peer, folder.path()).await;
    let origin = format!("https://localhost:{}", app.https_address().port());
    let mut metadata = Visitor::new(&world.authority_pem);
    metadata.open(&format!("{origin}/.vestibule/saml/{PROVIDER}/metadata")).await;
    peer.know(&metadata.page);

    let mut browser = Browser::start().await;
    let walk = &mut Walk { world: &world, origin: &origin, peer: &peer, browser: &mut browser };
    walk.ana_comes_in_by_a_deep_link().await;
    walk.ana_raises_a_request().await;
    walk.the_browser_holds_nothing_but_cookies_of_ours().await;
    walk.ana_signs_out_everywhere().await;
    walk.ana_signs_out_at_the_provider().await;

    browser.stop().await;
    app.drain().await;
    world.stop().await;
}

/// A gateway before the same portal, with SimpleSAMLphp in the place of the demo's provider.
async fn gateway_by_saml(world: &World, peer: &SimpleSamlPhp, folder: &std::path::Path) -> App {
    Pair::rsa().write(folder, "saml");
    let (before, rest) = world.config.split_once("identity_providers:\n").unwrap();
    let (_, after) = rest.split_once("portals:\n").unwrap();
    let lines = "      sign_out_at_provider: true\n";
    let provider = identity_providers(&[Provider { name: PROVIDER, metadata: &peer.metadata(), lines }]);
    let text = format!("{before}identity_providers:\n{provider}portals:\n{after}");
    beside(world, &text, folder, "saml").await
}

struct Walk<'a> {
    world: &'a World,
    origin: &'a str,
    peer: &'a SimpleSamlPhp,
    browser: &'a mut Browser,
}

impl Walk<'_> {
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    async fn proves_to_be_ana(&mut self) {
        self.browser.at(&self.peer.base).await;
        self.browser.fill(Thing::Field("Username"), "ana").await;
        self.browser.fill(Thing::Field("Password"), "ana").await;
        self.browser.click(Thing::Button("Login")).await;
    }

    /// The browser spoke to nobody but the gateway and the provider, and the gateway's pages gave it no reason to complain.
    async fn all_is_well(&mut self) {
        let traffic = self.browser.traffic().await;
        for url in &traffic.requests {
            let origin = url.origin().ascii_serialization();
            let known = origin == self.origin || origin == self.peer.base || url.scheme() == "data";
            assert!(known, "the browser asked for {url}");
        }
        assert!(traffic.blocked.is_empty(), "{:?}", traffic.blocked);
        let ours: Vec<_> = traffic.console.iter().filter(|(url, _)| !url.starts_with(&self.peer.base)).collect();
        assert!(ours.is_empty(), "{ours:#?}");
    }

    async fn ana_comes_in_by_a_deep_link(&mut self) {
        self.browser.visitor("ana").await;
        let deep_link = self.url(&format!("{DEEP_LINK}?from=a%20mail&x=1"));
        self.browser.open(&deep_link).await;
        self.proves_to_be_ana().await;
        assert_eq!(self.browser.at(&self.url(DEEP_LINK)).await, deep_link, "the very page that was asked for");
        self.browser.sees(Thing::Text("Signed in as Ana Almeida")).await;
        assert_eq!(self.world.jsm.customers_created(ANA), 1);
        self.all_is_well().await;
    }

    async fn ana_raises_a_request(&mut self) {
        self.browser.click(Thing::Text("Get help")).await;
        self.browser.sees(Thing::Text("Signed in as Ana Almeida")).await; // the page's script is at work
        self.browser.fill(Thing::Field("Summary"), "By SAML").await;
        self.browser.click(Thing::Button("Send")).await;
        self.browser.sees(Thing::Heading("By SAML")).await;
        assert_eq!(self.world.jsm.requests_of(ANA).len(), 1);
        self.all_is_well().await;
    }

    async fn the_browser_holds_nothing_but_cookies_of_ours(&mut self) {
        for cookie in self.browser.cookies().await {
            let known = cookie.starts_with("__Host-vestibule") || cookie.starts_with("SimpleSAML");
            assert!(known || cookie == "atlassian.xsrf.token", "{cookie} is in the browser");
        }
        let recorder = self.world.recorder.as_ref().unwrap();
        for secret in [&b"__Host-vestibule"[..], b"SAMLResponse", b"SimpleSAML"] {
            assert!(!recorder.saw(secret), "{} is not for the upstream", String::from_utf8_lossy(secret));
        }
    }

    async fn ana_is_asked_who_she_is(&mut self) {
        self.browser.open(&self.url(MY_REQUESTS)).await;
        self.browser.at(&self.peer.base).await;
        self.browser.sees(Thing::Field("Username")).await;
        self.browser.lacks(Thing::Text("By SAML")).await;
    }

    /// Our sign-out ends the provider's session too.
    async fn ana_signs_out_everywhere(&mut self) {
        self.browser.open(&self.url("/.vestibule/sign-out")).await;
        self.browser.click(Thing::Button("Sign out")).await;
        self.browser.sees(Thing::Heading("You are signed out")).await;
        assert!(self.browser.at(self.origin).await.starts_with(self.origin));
        let cookies = self.browser.cookies().await;
        assert!(!cookies.contains(&"__Host-vestibule".to_owned()), "{cookies:?}");
        assert!(self.world.jsm.sessions_of(ANA).is_empty());
        self.ana_is_asked_who_she_is().await;
        self.all_is_well().await;
    }

    /// The provider's sign-out ends ours, and with it the customer session.
    async fn ana_signs_out_at_the_provider(&mut self) {
        self.proves_to_be_ana().await;
        self.browser.sees(Thing::Text("By SAML")).await;
        let end =
            format!("{}/saml2/idp/SingleLogoutService.php?ReturnTo={}/logout.php", self.peer.base, self.peer.base);
        self.browser.open(&end).await;
        self.browser.at(&format!("{}/logout.php", self.peer.base)).await;
        let (jsm, log) = (&self.world.jsm, self.peer.log());
        eventually("the customer session ends", || jsm.sessions_of(ANA).is_empty()).await;
        assert!(!log.contains("Unable to log out"), "{log}");
        self.ana_is_asked_who_she_is().await;
        self.all_is_well().await;
    }
}
