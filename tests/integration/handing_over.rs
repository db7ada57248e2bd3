//! `redirect`: people sign in here, are provisioned, and go on at the site itself; nothing else goes through.

use vestibule::clock::Clock;
use vestibule::demo::cloud_site::CloudSite;
use vestibule::demo::jsm_cloud::{AccountType, SERVICE_ACCOUNT};
use vestibule::demo::jsm_datacenter::JsmDataCenter;
use vestibule::demo::recorder::Recorder;
use vestibule::demo::server::Server;
use vestibule::random::Random;

use crate::harness::{Options, TestGateway, location, navigate};

const DEEP_LINK: &str = "/servicedesk/customer/portal/10?q=a%20b";
const ARTICLE: &str = "/servicedesk/customer/kb/view/1";

fn options(upstream: &str, redirect: &str, directory: &str) -> Options {
    let mut options = Options::plain("127.0.0.1:1".parse().unwrap());
    options.upstream = upstream.to_owned();
    options.portal = format!(
        "    customer_session: {{ redirect: {{ {redirect} }} }}\n{directory}    \
         rules:\n      - {{ path: \"/servicedesk/customer/kb/**\", access: public }}\n"
    );
    options
}

/// Signs in on the way to `path`, and gives the page that ends the way.
async fn arrive(gateway: &TestGateway, client: &reqwest::Client, person: &str, path: &str) -> (u16, String) {
    let stopped = navigate(client, &format!("{}{path}", gateway.origin())).await;
    let approved = client.get(format!("{}&login_hint={person}", location(&stopped))).send().await.unwrap();
    let returned = navigate(client, &location(&approved)).await;
    if returned.status() == 403 {
        return (403, returned.text().await.unwrap()); // not admitted at all
    }
    assert_eq!((returned.status().as_u16(), location(&returned).as_str()), (303, path));
    let page = navigate(client, &format!("{}{path}", gateway.origin())).await;
    (page.status().as_u16(), page.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_provisioned_and_go_on_where_they_wanted_to_and_nothing_is_passed_on() {
    let jsm = JsmDataCenter::new(Clock::System, Random::default()).unwrap();
    let recorder = Recorder::default();
    let any = "127.0.0.1:0".parse().unwrap();
    let server = Server::start(jsm.router(), any, None, Some(recorder.clone())).await.unwrap();
    let upstream = format!("http://{}", server.addr());
    jsm.set_base_url(&upstream);
    let token = jsm.service_token().reveal().to_owned();
    let directory = format!("    directory: {{ site_token: {{ token: \"{token}\" }}, service_desks: [\"10\"] }}\n");
    let address = "https://jira.acme.example:8443";
    let gateway = TestGateway::start(options(&upstream, &format!("address: \"{address}\""), &directory)).await;
    let client = gateway.client();
    let (status, page) = arrive(&gateway, &client, "ana", DEEP_LINK).await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains(&format!("href=\"{address}{DEEP_LINK}\"")), "{page}");
    assert!(page.contains(&format!("content=\"2;url={address}{DEEP_LINK}\"")), "{page}");
    assert!(page.contains("<strong>jira.acme.example</strong>"), "it says where they go: {page}");
    assert_eq!((jsm.customers_created("ana@acme.com"), jsm.password_sets("ana@acme.com")), (1, 0));
    assert!(jsm.is_member("10", "ana@acme.com"));
    // Without a path, to the start page of the site.
    let page = navigate(&client, &gateway.origin()).await.text().await.unwrap();
    assert!(page.contains(&format!("href=\"{address}/servicedesk/customer/portals\"")), "{page}");
    // Scripts, forms and sockets of somebody who is signed in are told so.
    let url = format!("{}{DEEP_LINK}", gateway.origin());
    let refused = |request: reqwest::RequestBuilder| async {
        let answer =
            request.header("origin", gateway.origin()).header("accept", "application/json").send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let socket = client.get(&url).header("connection", "Upgrade").header("upgrade", "websocket");
    let socket = socket.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==").header("sec-websocket-version", "13");
    let article = format!("{}{ARTICLE}", gateway.origin());
    for request in [client.get(&url), client.post(&url).body("x"), client.delete(&url), client.post(&article), socket] {
        let (status, body) = refused(request).await;
        assert!(status == 403 && body.contains("\"error\":\"handed_over\""), "{status} {body}");
    }
    // What is closed stays closed, and JSM's own sign-in leads to ours.
    assert_eq!(navigate(&client, &format!("{}/rest/api/2/user", gateway.origin())).await.status(), 403);
    let login = navigate(&client, &format!("{}/servicedesk/customer/user/login", gateway.origin())).await;
    assert_eq!((login.status().as_u16(), location(&login).as_str()), (303, "/servicedesk/customer/portals"));
    let forgotten = navigate(&client, &format!("{}/servicedesk/customer/user/forgotpassword", gateway.origin())).await;
    assert_eq!(forgotten.status(), 403);
    assert!(forgotten.text().await.unwrap().contains("This page is at the support desk"));
    // Public reading goes through, for everybody, and as nobody's.
    for reader in [client, gateway.client()] {
        let read = reader.get(&article).header("accept", "text/html").header("cookie", "JSESSIONID=planted");
        assert_eq!(read.send().await.unwrap().status(), 200);
    }
    assert!(!recorder.saw(b"planted"));
    let visitors: Vec<_> =
        recorder.requests().into_iter().filter(|seen| seen.header("authorization").is_empty()).collect();
    assert!(visitors.iter().all(|seen| seen.method == "GET" && seen.path() == ARTICLE), "{visitors:?}");
    assert_eq!(visitors.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_admitted_or_not_in_order_is_not_handed_over() {
    let jsm = JsmDataCenter::new(Clock::System, Random::default()).unwrap();
    let server = Server::start(jsm.router(), "127.0.0.1:0".parse().unwrap(), None, None).await.unwrap();
    let upstream = format!("http://{}", server.addr());
    jsm.set_base_url(&upstream);
    let mut licensed = vestibule::demo::jsm_datacenter::User::customer("ben@acme.com", "Ben");
    licensed.groups.insert("jira-servicedesk-users".into());
    jsm.add_user(licensed);
    let token = jsm.service_token().reveal().to_owned();
    let directory = format!("    directory: {{ site_token: {{ token: \"{token}\" }} }}\n");
    let there = format!("href=\"{upstream}{DEEP_LINK}\"");
    for (settings, ben, link) in
        [("", 403, true), ("other_accounts: refuse", 403, false), ("other_accounts: hand_over", 200, true)]
    {
        let gateway = TestGateway::start(options(&upstream, settings, &directory)).await;
        let (status, page) = arrive(&gateway, &gateway.client(), "ben", DEEP_LINK).await;
        assert_eq!((status, page.contains(&there), page.contains(&upstream)), (ben, link, link), "{page}");
        assert_eq!(page.contains("http-equiv"), status == 200, "only one leads on by itself: {page}");
        let (status, page) = arrive(&gateway, &gateway.client(), "mallory", DEEP_LINK).await;
        assert!(status == 403 && !page.contains(&upstream), "{page}");
    }
    assert!(jsm.users().iter().all(|user| user.email != "mallory@evil.test"), "and nothing was done for them");
    // JSM is down: who is new is not sent on unseen, and is told to try again.
    server.stop().await;
    let gateway = TestGateway::start(options(&upstream, "", &directory)).await;
    let (status, page) = arrive(&gateway, &gateway.client(), "ana", DEEP_LINK).await;
    assert!(status == 503 && !page.contains(&upstream), "{page}");
    // Without a directory, nobody is provisioned, and everybody who is admitted goes on.
    let gateway = TestGateway::start(options(&upstream, "", "")).await;
    let (status, page) = arrive(&gateway, &gateway.client(), "ana", DEEP_LINK).await;
    assert!(status == 200 && page.contains(&format!("{upstream}{DEEP_LINK}")), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_with_an_atlassian_account_go_on_where_the_settings_say_so() {
    let cloud = CloudSite::start(None, None, Clock::System, Random::default()).await.unwrap();
    cloud.jsm.add_account(AccountType::Atlassian, "ben@acme.com", "Ben").unwrap();
    let (upstream, user) = (cloud.jsm.base_url(), SERVICE_ACCOUNT);
    let token = cloud.jsm.service_token().unwrap();
    let directory = format!(
        "    directory: {{ site_token: {{ user: \"{user}\", token: \"{}\" }}, service_desks: [\"10\"] }}\n",
        token.reveal()
    );
    for (settings, ben, link) in [
        ("product: cloud", 403, true),
        ("product: cloud, other_accounts: refuse", 403, false),
        ("product: cloud, other_accounts: hand_over", 200, true),
    ] {
        let gateway = TestGateway::start(options(&upstream, settings, &directory)).await;
        let (status, page) = arrive(&gateway, &gateway.client(), "ana", DEEP_LINK).await;
        assert!(status == 200 && page.contains(&format!("{upstream}{DEEP_LINK}")), "{page}");
        let ana = cloud.jsm.customer("ana@acme.com").expect("a portal-only account");
        assert_eq!(cloud.jsm.customers_created("ana@acme.com"), 1);
        assert!(cloud.jsm.is_member("10", &ana.account_id));
        let (status, page) = arrive(&gateway, &gateway.client(), "ben", DEEP_LINK).await;
        assert_eq!((status, page.contains(&upstream)), (ben, link), "{page}");
    }
}
