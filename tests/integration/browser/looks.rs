//! How the pages look that the journey does not pass.

use vestibule::app::App;
use vestibule::clock::Clock;
use vestibule::config;
use vestibule::demo::world::{ProviderChoice, World, WorldSettings};
use vestibule::random::Random;

use super::chromium::{ALL_LOOKS, Browser, Thing};

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_the_demo_and_of_bad_days() {
    let folder = tempfile::tempdir().unwrap();
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
        recorded: 0,
        clock: Clock::System,
    };
    let world = World::start(settings, Random::default()).await.unwrap_or_else(|error| panic!("{error}"));
    let mut browser = Browser::start().await;
    browser.visitor("ana").await;

    // What is open to everybody is whole, styles and scripts included.
    assert_eq!(browser.open(&format!("{}/servicedesk/customer/kb/view/1", world.origin())).await, 200);
    browser.picture("public-article", &ALL_LOOKS).await;
    quiet(&mut browser, &[]).await;

    // The built-in provider.
    let start = format!("{}/servicedesk/customer/portals", world.origin());
    browser.open(&start).await;
    browser.sees(Thing::Heading("Sign in")).await;
    browser.picture("demo-provider-sign-in", &ALL_LOOKS).await;
    browser.click(Thing::Text("Ana Almeida")).await;
    browser.sees(Thing::Text("Signed in as Ana Almeida")).await;
    quiet(&mut browser, &[]).await;

    // Pages that are closed, and pages that are not there.
    assert_eq!(browser.open(&format!("{}/secure/admin/ViewApplicationProperties.jspa", world.origin())).await, 403);
    browser.picture("closed", &ALL_LOOKS).await;
    assert_eq!(browser.open(&format!("{}/servicedesk/customer/user/signup", world.origin())).await, 403);
    browser.sees(Thing::Heading("You need no password here")).await;
    browser.picture("no-accounts-here", &ALL_LOOKS).await;
    assert_eq!(browser.open(&format!("{}/.vestibule/nothing", world.origin())).await, 404);
    browser.picture("not-found", &ALL_LOOKS).await;
    assert_eq!(browser.open(&format!("{}/a%2fb", world.origin())).await, 400);
    browser.picture("bad-request", &ALL_LOOKS).await;
    quiet(&mut browser, &[403, 403, 404, 400]).await;

    browser.open(&format!("{}/.vestibule/sign-out", world.origin())).await;
    browser.click(Thing::Button("Sign out")).await;
    browser.sees(Thing::Heading("You are signed out")).await;
    browser.click(Thing::Link("Sign in again")).await;
    browser.sees(Thing::Heading("Sign in")).await;
    quiet(&mut browser, &[]).await;

    // It asks when it is not told whom to sign out.
    browser.open(&format!("{}/end-session", world.provider.as_ref().unwrap().issuer())).await;
    browser.picture("demo-provider-sign-out", &ALL_LOOKS).await;

    // Other ways to choose a provider, and an upstream where nobody listens.
    for (name, change) in [("choose-by-email", "choose: by_email"), ("choose-from-list", "choose: list")] {
        let text = world.config.replace("providers: [acme]", &format!("providers: [acme], {change}"));
        let text = text.replace("label: \"Acme\"", "label: \"Acme employees\"\n    email_domains: [acme.example]");
        let app = beside(&world, &text, folder.path(), name).await;
        let origin = format!("https://localhost:{}", app.https_address().port());
        browser.visitor(name).await;
        assert_eq!(browser.open(&format!("{origin}/servicedesk/customer/portals")).await, 200);
        browser.picture(name, &ALL_LOOKS).await;
        if name == "choose-by-email" {
            browser.fill(Thing::Field("E-mail address"), "gus@elsewhere.example").await;
            browser.click(Thing::Button("Continue")).await;
            browser.sees(Thing::Text("We know no sign-in for this address.")).await;
            browser.picture("choose-by-email-unknown", &ALL_LOOKS).await;
            quiet(&mut browser, &[422]).await;
        } else {
            browser.click(Thing::Button("Acme employees")).await;
            browser.at("http://localhost:").await; // on to the provider, past our own policy
            quiet(&mut browser, &[400]).await; // which knows no client at this other port
        }
        app.drain().await;
    }
    // A look of the portal's own.
    let logo = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 140 40'><rect width='40' height='40' rx='8' fill='#7a1f5c'/>\
                <text x='50' y='29' font-family='sans-serif' font-size='26' font-weight='700'>acme</text></svg>";
    std::fs::write(folder.path().join("acme.svg"), logo).unwrap();
    let look = "  - host: localhost\n    look:\n      name: \"Acme customer support\"\n      logo: acme.svg\n      \
                accent: \"#7a1f5c\"\n      welcome: \"Welcome. Everybody who has a contract with us can sign in here.\"\n      \
                support: { email: help@acme.example, phone: \"+1 555 0100\", page: \"https://www.acme.example/help\" }\n";
    let text = world.config.replacen("  - host: localhost\n", look, 1);
    let text = text.replace("providers: [acme]", "providers: [acme], choose: list");
    let app = beside(&world, &text, folder.path(), "own-look").await;
    let origin = format!("https://localhost:{}", app.https_address().port());
    browser.visitor("own-look").await;
    assert_eq!(browser.open(&format!("{origin}/servicedesk/customer/portals")).await, 200);
    browser.sees(Thing::Text("Acme customer support")).await;
    browser.picture("own-look-sign-in", &ALL_LOOKS).await;
    assert_eq!(browser.open(&format!("{origin}/.vestibule/nothing")).await, 404);
    browser.picture("own-look-not-found", &ALL_LOOKS).await;
    quiet(&mut browser, &[404]).await;
    app.drain().await;

    let upstream = world.jsm.base_url();
    let app = beside(&world, &world.config.replace(&upstream, "https://127.0.0.1:1"), folder.path(), "dead").await;
    let origin = format!("https://localhost:{}", app.https_address().port());
    browser.visitor("dead").await;
    assert_eq!(browser.open(&format!("{origin}/servicedesk/customer/kb/view/1")).await, 502);
    browser.picture("upstream-down", &ALL_LOOKS).await;
    quiet(&mut browser, &[502]).await;
    app.drain().await;

    browser.stop().await;
    world.stop().await;
}

/// Another gateway, with a changed configuration and a store of its own.
pub(super) async fn beside(world: &World, text: &str, folder: &std::path::Path, name: &str) -> App {
    let port = world.app.https_address().port();
    let mut text = text.replace("sessions.redb", &format!("{name}.redb"));
    text = text.replace(&format!("127.0.0.1:{port}"), "127.0.0.1:0");
    let checked = config::parse(&text, folder, &config::ProcessEnvironment).unwrap_or_else(|faults| panic!("{faults}"));
    App::start(checked, Clock::System, Random::default()).await.unwrap()
}

/// The console complains of nothing but pages with these statuses, in this order.
async fn quiet(browser: &mut Browser, statuses: &[u16]) {
    let complaints = browser.traffic().await.console;
    let expected = |status: &u16| format!("status of {status} ");
    let explained = complaints.len() == statuses.len()
        && complaints.iter().zip(statuses).all(|((_, text), status)| text.contains(&expected(status)));
    assert!(explained, "expected {statuses:?}; the console says {complaints:#?}");
}
