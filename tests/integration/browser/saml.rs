//! Signing in and out by SAML, with the demo's provider: begun here, begun there, and not everybody confirms.

use vestibule::clock::Clock;
use vestibule::demo::saml_provider::{LogoutConduct, SamlProvider, Settings};
use vestibule::demo::world::{ProviderChoice, World, WorldSettings};
use vestibule::random::Random;
use vestibule::saml::metadata::Binding;

use super::chromium::{ALL_LOOKS, Browser, Thing};

#[tokio::test(flavor = "multi_thread")]
async fn somebody_signs_in_by_saml_uses_the_portal_and_signs_out_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let mut browser = Browser::start().await;
    for logout_by in [Binding::Redirect, Binding::Post] {
        let world = world(folder.path(), Settings { logout_by, encrypts: true, ..Settings::default() }).await;
        let provider = world.saml.clone().unwrap();
        let walk = &mut Walk { world: &world, provider: &provider, browser: &mut browser };
        walk.browser.visitor(if logout_by == Binding::Post { "by-form" } else { "by-redirect" }).await;
        walk.gina_comes_in().await;
        walk.she_signs_out_here("It is safe to close this page.", "signed-out-everywhere").await;
        assert_eq!(provider.signed_in(), 0);
        walk.gina_comes_in().await;
        walk.she_signs_out_at_her_provider().await;
        walk.gina_comes_in().await;
        provider.set_logout_conduct(LogoutConduct::Partial);
        walk.she_signs_out_here("did not confirm it", "signed-out-partly").await;
        walk.nothing_says_anything().await;
        world.stop().await;
    }
    browser.stop().await;
}

async fn world(folder: &std::path::Path, saml: Settings) -> World {
    let settings = WorldSettings {
        port: 0,
        admin_port: 0,
        certificates: folder.join("certificates"),
        state: tempfile::tempdir_in(folder).unwrap().keep(),
        provider: ProviderChoice::BuiltIn(Box::default()),
        saml: Some(Box::new(saml)),
        portal_lines: String::new(),
        datacenter_lines: String::new(),
        cloud_lines: String::new(),
        recorded: 0,
        clock: Clock::System,
    };
    World::start(settings, Random::default()).await.unwrap_or_else(|error| panic!("{error}"))
}

struct Walk<'a> {
    world: &'a World,
    provider: &'a SamlProvider,
    browser: &'a mut Browser,
}

impl Walk<'_> {
    async fn gina_comes_in(&mut self) {
        let page = format!("{}/servicedesk/customer/user/requests", self.world.origin());
        self.browser.open(&page).await;
        self.browser.picture("choose-saml-or-openid", &ALL_LOOKS).await;
        self.browser.click(Thing::Button("Globex")).await;
        self.browser.at(&format!("{}/sso", self.provider.address())).await;
        self.browser.picture("demo-saml-sign-in", &ALL_LOOKS).await;
        self.browser.click(Thing::Text("Gina Gomes")).await;
        self.browser.at(&page).await;
        self.browser.sees(Thing::Text("Signed in as Gina Gomes")).await;
    }

    async fn she_signs_out_here(&mut self, said: &str, picture: &str) {
        self.browser.open(&format!("{}/.vestibule/sign-out", self.world.origin())).await;
        self.browser.click(Thing::Button("Sign out")).await;
        self.browser.sees(Thing::Heading("You are signed out")).await;
        self.browser.sees(Thing::Text(said)).await;
        self.browser.picture(picture, &ALL_LOOKS).await;
    }

    async fn she_signs_out_at_her_provider(&mut self) {
        self.browser.open(&format!("{}/logout", self.provider.address())).await;
        self.browser.click(Thing::Button("Sign out")).await;
        self.browser.sees(Thing::Text("You are signed out everywhere.")).await;
    }

    async fn nothing_says_anything(&mut self) {
        assert_eq!(self.browser.open(&format!("{}/.vestibule/saml/globex/slo", self.world.origin())).await, 400);
        self.browser.sees(Thing::Heading("Signing out could not be completed")).await;
        self.browser.picture("logout-refused", &ALL_LOOKS).await;
    }
}
