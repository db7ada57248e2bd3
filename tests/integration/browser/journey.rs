//! The main job, from the first request to JSM and back.

use vestibule::demo::world::World;

use super::chromium::{ALL_LOOKS, Browser, Thing};
use crate::certified_provider::{CLIENT_SECRET, CertifiedProvider, world};

const DEEP_LINK: &str = "/servicedesk/customer/portal/1";
const MY_REQUESTS: &str = "/servicedesk/customer/user/requests";
const ATTACHMENT: &[u8] = b"the log of what went wrong\n\0\xff\r\n--boundary--\r\n";
const ANA: &str = "ana@acme.example";

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_is_stopped_signed_in_served_and_signed_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut browser = Browser::start().await;
    let mut provider = CertifiedProvider::start().await;
    let world = world(folder.path(), &provider.issuer, &format!("      client_secret: \"{CLIENT_SECRET}\"\n")).await;
    let issuer = provider.issuer.clone();
    let walk = &mut Walk { world: &world, issuer: &issuer, browser: &mut browser };

    walk.nobody_can_sign_in_yet().await;
    let client = serde_json::json!({"client_secret": CLIENT_SECRET});
    provider.open(&world, client, false).await;
    walk.ana_comes_in_by_a_deep_link().await;
    let key = walk.ana_raises_a_request().await;
    walk.ana_comments(&key).await;
    walk.her_customer_session_dies_while_a_form_is_open().await;
    walk.the_browser_knows_nothing_of_the_upstream("ana").await;
    walk.somebody_who_is_not_admitted_can_be_somebody_else().await;
    walk.somebody_changes_their_mind_at_the_provider().await;
    walk.ana_signs_out_and_is_stopped_again().await;
    walk.ana_signs_in("ana").await;
    walk.the_provider_is_down(provider).await;

    browser.stop().await;
    world.stop().await;
}

struct Walk<'a> {
    world: &'a World,
    issuer: &'a str,
    browser: &'a mut Browser,
}

impl Walk<'_> {
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.world.origin())
    }

    /// Fills the provider's development page, and agrees to what it asks.
    async fn passes_the_provider(&mut self, login: &str) {
        self.names_themselves(login).await;
        self.browser.sees(Thing::Heading("Authorize")).await;
        self.browser.click(Thing::Button("Continue")).await;
    }

    async fn names_themselves(&mut self, login: &str) {
        self.browser.at(&format!("{}/interaction/", self.issuer)).await;
        self.browser.fill(Thing::FieldThatHints("Enter any login"), login).await;
        self.browser.fill(Thing::FieldThatHints("and password"), "any").await;
        self.browser.click(Thing::Button("Sign-in")).await;
    }

    /// Nothing went wrong in the browser, but for these statuses of pages; and it spoke to nobody but the gateway and the
    /// provider.
    async fn all_is_well_but(&mut self, statuses: &[u16]) {
        let traffic = self.browser.traffic().await;
        for url in &traffic.requests {
            let origin = url.origin().ascii_serialization();
            let known = origin == self.world.origin() || origin == self.issuer || url.scheme() == "data";
            // The provider's development pages ask for a font from elsewhere.
            assert!(known || url.host_str() == Some("fonts.googleapis.com"), "the browser asked for {url}");
        }
        for (page, url) in &traffic.blocked {
            assert!(page.starts_with(self.issuer), "{page} wants {url}");
        }
        let mut complaints: Vec<String> = Vec::new();
        for (url, text) in traffic.console {
            if !url.starts_with(self.issuer) && !url.starts_with("https://fonts.googleapis.com/") {
                complaints.push(format!("{url}: {text}"));
            }
        }
        let expected = |status: &u16| format!("status of {status} ");
        let explained = complaints.len() == statuses.len()
            && complaints.iter().zip(statuses).all(|(complaint, status)| complaint.contains(&expected(status)));
        assert!(explained, "expected {statuses:?}; the console says {complaints:#?}");
    }

    async fn nobody_can_sign_in_yet(&mut self) {
        let browser = &mut *self.browser;
        browser.visitor("early").await;
        let deep_link = format!("{}{DEEP_LINK}", self.world.origin());
        assert_eq!(browser.open(&deep_link).await, 503);
        browser.sees(Thing::Heading("Sign-in is not available right now")).await;
        browser.picture("provider-down", &ALL_LOOKS).await;
        // Its "try again" asks for the same page once more.
        browser.click(Thing::Link("Try again")).await;
        browser.sees(Thing::Heading("Sign-in is not available right now")).await;
        assert_eq!(browser.at(&deep_link).await, deep_link);
        self.all_is_well_but(&[503, 503]).await;
    }

    async fn ana_comes_in_by_a_deep_link(&mut self) {
        self.browser.visitor("ana").await;
        let deep_link = self.url(&format!("{DEEP_LINK}?from=a%20mail&x=1"));
        // The gateway remembers for 2 s that the provider did not answer; a person tries again.
        let mut tries = 0;
        while self.browser.open(&deep_link).await == 503 {
            tries += 1;
            assert!(tries < 2000, "the provider answers, and the gateway does not notice");
        }
        self.browser.traffic().await;
        self.browser.picture("provider-sign-in", &["desktop-light", "phone-light"]).await;
        self.passes_the_provider("ana").await;
        assert_eq!(self.browser.at(&self.url(DEEP_LINK)).await, deep_link, "the very page that was asked for");
        self.browser.sees(Thing::Text("Signed in as Ana Almeida")).await;
        self.browser.picture("portal", &ALL_LOOKS).await;
        assert_eq!(self.world.jsm.customers_created(ANA), 1);
        self.all_is_well_but(&[]).await;
    }

    async fn ana_signs_in(&mut self, visitor: &str) {
        self.browser.visitor(visitor).await;
        self.browser.open(&self.url(DEEP_LINK)).await;
        self.passes_the_provider("ana").await;
        self.browser.sees(Thing::Text("Signed in as Ana Almeida")).await;
    }

    async fn ana_raises_a_request(&mut self) -> String {
        let portal = self.url(DEEP_LINK);
        let browser = &mut *self.browser;
        browser.open(&self.world.origin()).await;
        browser.sees(Thing::Heading("How can we help?")).await;
        browser.picture("portals", &ALL_LOOKS).await;
        browser.open(&portal).await;
        browser.click(Thing::Text("Get help")).await;
        browser.sees(Thing::Heading("Get help")).await;
        browser.sees(Thing::Text("Signed in as Ana Almeida")).await; // the page's script is at work
        browser.fill(Thing::Field("Summary"), "The printer is on fire").await;
        browser.fill(Thing::Field("Description"), "It says \"PC LOAD LETTER\" <b>& smokes</b>.").await;
        browser.attach(Thing::Field("Attachments"), "what went wrong.log", ATTACHMENT).await;
        browser.sees(Thing::Text("what went wrong.log is ready")).await;
        browser.picture("raise-a-request", &ALL_LOOKS).await;
        browser.click(Thing::Button("Send")).await;
        browser.sees(Thing::Heading("The printer is on fire")).await;
        let at = browser.at(&portal).await;
        let key = at.rsplit('/').next().unwrap().to_owned();
        assert_eq!(self.world.jsm.requests_of(ANA).len(), 1);
        let (name, bytes) = browser.download(Thing::Link("what went wrong.log")).await;
        assert_eq!((name.as_str(), bytes.as_slice()), ("what went wrong.log", ATTACHMENT), "byte for byte");
        self.all_is_well_but(&[]).await;
        key
    }

    async fn ana_comments(&mut self, key: &str) {
        let browser = &mut *self.browser;
        browser.fill(Thing::Field("Comment"), "It is out now.").await;
        browser.click(Thing::Button("Add")).await;
        browser.sees(Thing::Text("It is out now.")).await;
        browser.attach(Thing::Field("Add a file"), "after.txt", b"only ashes").await;
        browser.sees(Thing::Link("after.txt")).await;
        browser.picture("request", &ALL_LOOKS).await;
        browser.click(Thing::Link("My requests")).await;
        browser.sees(Thing::Text(key)).await;
        browser.picture("my-requests", &ALL_LOOKS).await;
        self.all_is_well_but(&[]).await;
        let request = &self.world.jsm.requests_of(ANA)[0];
        let said: Vec<&str> = request.comments.iter().map(|comment| comment.body.as_str()).collect();
        assert_eq!(said, ["It is out now."], "said once");
    }

    /// Forms of a page are sent with the XSRF token of the session that has died since.
    async fn her_customer_session_dies_while_a_form_is_open(&mut self) {
        let portal = self.url(DEEP_LINK);
        self.browser.open(&portal).await;
        self.browser.click(Thing::Text("Get help")).await;
        self.browser.sees(Thing::Text("Signed in as Ana Almeida")).await; // the page's script is at work
        self.browser.fill(Thing::Field("Summary"), "A second one").await;
        assert!(self.world.jsm.kill_all(ANA) > 0, "her session at JSM dies");
        self.browser.attach(Thing::Field("Attachments"), "second.log", ATTACHMENT).await;
        self.browser.sees(Thing::Text("second.log is ready")).await;
        assert!(self.world.jsm.kill_all(ANA) > 0, "and the next one");
        self.browser.click(Thing::Button("Send")).await;
        self.browser.sees(Thing::Heading("A second one")).await;
        self.browser.sees(Thing::Link("second.log")).await;
        self.browser.fill(Thing::Field("Comment"), "Still here.").await;
        assert!(self.world.jsm.kill_all(ANA) > 0, "and the one after that");
        self.browser.click(Thing::Button("Add")).await;
        self.browser.sees(Thing::Text("Still here.")).await;
        self.all_is_well_but(&[]).await;
        let requests = self.world.jsm.requests_of(ANA);
        let second: Vec<_> = requests.iter().filter(|request| request.summary == "A second one").collect();
        assert_eq!(second.len(), 1, "raised once");
        assert_eq!((second[0].attachments.len(), second[0].comments.len()), (1, 1));
    }

    async fn the_browser_knows_nothing_of_the_upstream(&mut self, visitor: &str) {
        self.browser.visitor(visitor).await;
        let cookies = self.browser.cookies().await;
        assert!(cookies.contains(&"__Host-vestibule".to_owned()), "{cookies:?}");
        for cookie in &cookies {
            let ours = cookie.starts_with("__Host-vestibule");
            let the_provider_s = cookie.starts_with("_session") || cookie.starts_with("_interaction");
            // Page scripts read the XSRF token; it opens nothing.
            let for_scripts = cookie == "atlassian.xsrf.token";
            assert!(ours || the_provider_s || for_scripts, "{cookie} is in the browser");
        }
        for path in [DEEP_LINK, MY_REQUESTS, "/servicedesk/customer/portals", "/servicedesk/customer/kb/view/1"] {
            assert_eq!(self.browser.open(&self.url(path)).await, 200);
            let html = self.browser.html().await;
            let upstream = self.world.jsm.base_url();
            assert!(!html.contains(upstream.trim_start_matches("https://")), "{path} shows {upstream}");
        }
        self.all_is_well_but(&[]).await;
        let recorder = self.world.recorder.as_ref().unwrap();
        assert!(!recorder.saw(b"__Host-vestibule"), "our cookies are not for the upstream");
    }

    async fn somebody_who_is_not_admitted_can_be_somebody_else(&mut self) {
        for (login, heading, name) in
            [("gus", "This portal is not open to you", "refused"), ("bob", "Your access is blocked", "blocked")]
        {
            self.browser.visitor(login).await;
            self.browser.open(&self.url(DEEP_LINK)).await;
            self.passes_the_provider(login).await;
            self.browser.sees(Thing::Heading(heading)).await;
            self.browser.sees(Thing::Text("Ask the service desk: +1 555 0100")).await;
            assert_eq!(self.browser.status().await, 403);
            self.browser.picture(name, &ALL_LOOKS).await;
            self.all_is_well_but(&[403]).await;
            let cookies = self.browser.cookies().await;
            assert!(!cookies.contains(&"__Host-vestibule".to_owned()), "no session: {cookies:?}");
        }
        // The provider knows Bob, and asks nevertheless.
        self.browser.click(Thing::Button("Sign in as somebody else")).await;
        self.names_themselves("ana").await;
        self.browser.sees(Thing::Heading("Authorize")).await;
        self.browser.click(Thing::Button("Continue")).await;
        self.browser.sees(Thing::Text("Signed in as Ana Almeida")).await;
        self.all_is_well_but(&[]).await;
        assert_eq!(self.world.jsm.customers_created("bob@acme.example"), 0);
        assert_eq!(self.world.jsm.customers_created("gus@elsewhere.example"), 0);
    }

    async fn somebody_changes_their_mind_at_the_provider(&mut self) {
        self.browser.visitor("eve").await;
        self.browser.open(&self.url(DEEP_LINK)).await;
        self.browser.click(Thing::Link("[ Cancel ]")).await;
        self.browser.sees(Thing::Heading("You are not signed in")).await;
        self.browser.picture("cancelled", &ALL_LOOKS).await;
        let status = self.browser.status().await;
        assert_eq!(status, 403);
        self.all_is_well_but(&[403]).await;
        self.browser.click(Thing::Link("Try again")).await;
        self.passes_the_provider("ana").await;
        self.browser.at(&self.url(DEEP_LINK)).await;
        self.browser.sees(Thing::Text("Signed in as Ana Almeida")).await;
        self.all_is_well_but(&[]).await;
    }

    async fn ana_signs_out_and_is_stopped_again(&mut self) {
        self.browser.visitor("ana").await;
        self.browser.open(&self.url(MY_REQUESTS)).await;
        self.browser.click(Thing::Link("Log out")).await;
        self.browser.sees(Thing::Heading("Sign out?")).await;
        self.browser.sees(Thing::Text("Ana Almeida")).await;
        self.browser.picture("sign-out", &ALL_LOOKS).await;
        self.browser.click(Thing::Button("Sign out")).await;
        self.browser.at(&format!("{}/session/end", self.issuer)).await;
        self.browser.click(Thing::Button("Yes, sign me out")).await;
        self.browser.sees(Thing::Heading("You are signed out")).await;
        self.browser.picture("signed-out", &ALL_LOOKS).await;
        let cookies = self.browser.cookies().await;
        assert!(!cookies.contains(&"__Host-vestibule".to_owned()), "{cookies:?}");
        let left = self.world.jsm.sessions_of(ANA);
        assert!(left.len() <= 2, "only those of the browsers of Bob and Eve: {left:?}");
        // What was seen before is not kept for whoever comes next at the same computer.
        for _ in 0..4 {
            self.browser.back().await;
            self.browser.lacks(Thing::Text("The printer is on fire")).await;
        }
        self.browser.open(&self.url(MY_REQUESTS)).await;
        self.browser.at(&format!("{}/interaction/", self.issuer)).await;
        self.browser.lacks(Thing::Text("The printer is on fire")).await;
        self.all_is_well_but(&[]).await;
    }

    /// Whoever is on the way in is told; whoever is in goes on.
    async fn the_provider_is_down(&mut self, mut provider: CertifiedProvider) {
        self.browser.visitor("late").await;
        self.browser.open(&self.url(DEEP_LINK)).await;
        self.names_themselves("ana").await;
        self.browser.sees(Thing::Heading("Authorize")).await;
        provider.break_off_exchanges().await;
        self.browser.click(Thing::Button("Continue")).await;
        self.browser.sees(Thing::Heading("Sign-in is not available right now")).await;
        assert_eq!(self.browser.status().await, 503);
        self.browser.sees(Thing::Link("Try again")).await;
        self.all_is_well_but(&[503]).await;

        provider.kill().await;
        self.browser.visitor("ana").await;
        self.browser.traffic().await;
        self.world.jsm.kill_all(ANA);
        for path in [MY_REQUESTS, DEEP_LINK] {
            assert_eq!(self.browser.open(&self.url(path)).await, 200);
            self.browser.sees(Thing::Text("Signed in as Ana Almeida")).await;
        }
        self.all_is_well_but(&[]).await;
    }
}
