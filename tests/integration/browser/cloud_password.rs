//! A customer of a Cloud site with passwords, in a real browser: asked once, mailed by the site, let in, and asked again when
//! the password has changed.

use super::chromium::{ALL_LOOKS, Browser, Thing};
use crate::cloud_password::{ANA, PORTAL, Stage};

const PASSWORD: &str = "what Ana has chosen";

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_gives_their_password_once_and_again_when_it_has_changed() {
    let stage = Stage::start().await;
    let mut browser = Browser::start().await;
    browser.visitor("ana").await;
    let (origin, page) = (stage.gateway.origin(), format!("{}{PORTAL}", stage.gateway.origin()));

    browser.open(&page).await;
    browser.click(Thing::Text("Ana Lima")).await;
    browser.at(&format!("{origin}/.vestibule/password")).await;
    browser.sees(Thing::Heading("One more step, only once")).await;
    browser.sees(Thing::Text(ANA)).await;
    browser.picture("password-asked", &ALL_LOOKS).await;
    browser.click(Thing::Button("Send me the mail")).await;
    browser.sees(Thing::Text("The mail is on its way.")).await;
    browser.picture("password-mailed", &ALL_LOOKS).await;
    browser.fill(Thing::Field("Password at the support desk"), "not the one").await;
    browser.click(Thing::Button("Continue")).await;
    browser.sees(Thing::Text("does not take this password")).await;
    assert_eq!(browser.status().await, 422);
    browser.picture("password-wrong", &ALL_LOOKS).await;
    assert!(!browser.html().await.contains("not the one"));

    // The mail's link leads to the site itself, where she chooses one.
    browser.visitor("ana-at-the-site").await;
    browser.open(&stage.jsm.last_mail_to(ANA).unwrap().link).await;
    browser.fill(Thing::Field("Password"), PASSWORD).await;
    browser.click(Thing::Button("Save")).await;
    browser.sees(Thing::Heading("How can we help?")).await;

    browser.visitor("ana").await;
    browser.fill(Thing::Field("Password at the support desk"), PASSWORD).await;
    browser.click(Thing::Button("Continue")).await;
    assert_eq!(browser.at(&format!("{origin}/servicedesk/")).await, page, "the very page that was asked for");
    browser.sees(Thing::Text("Signed in as Ana Lima")).await;
    for cookie in browser.cookies().await {
        assert!(!cookie.contains("session.token"), "{cookie} is in the browser");
    }

    // She changes it at the site; here she is asked for the new one, and nothing goes round in circles.
    stage.jsm.set_password(ANA, "a new one");
    stage.jsm.kill_all(ANA);
    browser.open(&page).await;
    browser.at(&format!("{origin}/.vestibule/password")).await;
    browser.sees(Thing::Heading("Your new password is needed")).await;
    browser.sees(Thing::Text("no longer takes the password")).await;
    browser.picture("password-stale", &ALL_LOOKS).await;
    browser.fill(Thing::Field("Password at the support desk"), "a new one").await;
    browser.click(Thing::Button("Continue")).await;
    browser.sees(Thing::Text("Signed in as Ana Lima")).await;
    browser.open(&format!("{origin}/.vestibule/sign-out")).await;
    browser.click(Thing::Button("Sign out")).await;
    browser.sees(Thing::Heading("You are signed out")).await;
    assert_eq!(stage.jsm.sessions_of(ANA), 0, "none stays open upstream");
    browser.stop().await;
}
