use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;
use reqwest::header::{COOKIE, LOCATION, ORIGIN, REFERER, SET_COOKIE, USER_AGENT};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};

use super::*;
use crate::demo::certificates::DemoAuthority;
use crate::demo::contract::{Contract, Product};
use crate::demo::server::Server;

const CARLA: &str = "carla@example.com";
const CHEN: &str = "chen@example.com";
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64)";

/// A site on a real socket with TLS, and a client that follows nothing and keeps nothing.
struct Site {
    jsm: JsmDataCenter,
    clock: Clock,
    client: Client,
    base: String,
    _server: Server,
}

/// The cookies of a session, as one `Cookie` line, and its token.
struct Cookies {
    line: String,
    xsrf: String,
}

impl Site {
    async fn start() -> Self {
        let authority = DemoAuthority::generate(Clock::System.now()).unwrap();
        let tls = authority.issue(&["jsm.internal"]).unwrap().server_config().unwrap();
        let clock = Clock::manual(Timestamp::from_seconds(1_800_000_000));
        let jsm = JsmDataCenter::new(clock.clone(), Random::default()).unwrap();
        let bind = SocketAddr::from(([127, 0, 0, 1], 0));
        let contract = Contract::load(Product::DataCenter);
        let router = contract.as_ref().map_or_else(|| jsm.router(), |contract| contract.hold(jsm.router()));
        let server = Server::start(router, bind, Some(tls), None).await.unwrap();
        let base = format!("https://jsm.internal:{}", server.addr().port());
        jsm.set_base_url(&base);
        let client = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .tls_built_in_root_certs(false)
            .add_root_certificate(reqwest::Certificate::from_pem(authority.certificate_pem().as_bytes()).unwrap())
            .resolve("jsm.internal", server.addr())
            .build()
            .unwrap();
        Self { jsm, clock, client, base, _server: server }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.url(path))
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(self.url(path))
    }

    fn by_admin(&self, call: RequestBuilder) -> RequestBuilder {
        call.bearer_auth(self.jsm.service_token().reveal())
    }

    async fn log_in(&self, username: &str, password: &str) -> Response {
        self.post("/rest/auth/1/session")
            .json(&json!({"username": username, "password": password}))
            .send()
            .await
            .unwrap()
    }

    async fn session(&self, username: &str) -> Cookies {
        let answer = self.log_in(username, SEED_PASSWORD).await;
        assert_eq!(answer.status(), StatusCode::OK);
        cookies_of(&answer)
    }

    async fn mine(&self, cookies: &Cookies) -> Response {
        self.get("/rest/servicedeskapi/request").header(COOKIE, &cookies.line).send().await.unwrap()
    }
}

fn cookies_of(answer: &Response) -> Cookies {
    let set = answer.headers().get_all(SET_COOKIE).into_iter().map(|line| line.to_str().unwrap());
    let pairs: Vec<&str> = set.map(|line| line.split(';').next().unwrap()).collect();
    let xsrf = pairs.iter().find_map(|pair| pair.strip_prefix("atlassian.xsrf.token=")).unwrap_or_default().to_owned();
    Cookies { line: pairs.join("; "), xsrf }
}

async fn json_of(answer: Response) -> Value {
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

#[tokio::test]
async fn the_rest_session_opens_and_ends() {
    let site = Site::start().await;
    let answer = site.log_in(CARLA, SEED_PASSWORD).await;
    assert_eq!(answer.headers()["x-seraph-loginreason"], "OK");
    let set: Vec<String> =
        answer.headers().get_all(SET_COOKIE).into_iter().map(|line| line.to_str().unwrap().to_owned()).collect();
    assert!(set.iter().any(|line| line.starts_with("JSESSIONID=") && line.ends_with("; Path=/; HttpOnly; Secure")));
    assert!(set.iter().any(|line| line.starts_with("atlassian.xsrf.token=") && line.contains("_lin; Path=/; Secure")));
    let cookies = cookies_of(&answer);
    let body = json_of(answer).await;
    assert_eq!(body["session"]["name"], "JSESSIONID");
    assert!(cookies.line.contains(body["session"]["value"].as_str().unwrap()));
    let who = site.get("/rest/auth/1/session").header(COOKIE, &cookies.line).send().await.unwrap();
    assert_eq!(who.headers()["x-ausername"], "carla%40example.com");
    assert_eq!(json_of(who).await["name"], CARLA);
    let ended =
        site.client.delete(site.url("/rest/auth/1/session")).header(COOKIE, &cookies.line).send().await.unwrap();
    assert_eq!(ended.status(), StatusCode::NO_CONTENT);
    assert_eq!(site.mine(&cookies).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!((site.jsm.logins(CARLA), site.jsm.sessions_of(CARLA).len()), (1, 0));
}

#[tokio::test]
async fn a_captcha_comes_after_three_failures_and_goes_when_cleared() {
    let site = Site::start().await;
    for _ in 0..3 {
        let answer = site.log_in(CARLA, "wrong").await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(answer.headers()["x-seraph-loginreason"], "AUTHENTICATED_FAILED");
    }
    let answer = site.log_in(CARLA, SEED_PASSWORD).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert!(answer.headers()["x-authentication-denied-reason"].to_str().unwrap().starts_with("CAPTCHA_CHALLENGE"));
    assert_eq!(answer.headers()["x-seraph-loginreason"], "AUTHENTICATION_DENIED");
    assert!(site.jsm.clear_captcha(CARLA));
    assert_eq!(site.log_in(CARLA, SEED_PASSWORD).await.status(), StatusCode::OK);
    assert_eq!(site.log_in("left.person", SEED_PASSWORD).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn each_way_in_can_be_turned_off() {
    let site = Site::start().await;
    let form = [("os_username", CARLA), ("os_password", SEED_PASSWORD), ("os_cookie", "true")];
    let legacy = || site.post("/servicedesk/customer/user/login").form(&form);
    assert_eq!(legacy().send().await.unwrap().status(), StatusCode::FORBIDDEN, "no token");
    let answer = legacy().header("x-atlassian-token", "no-check").send().await.unwrap();
    let cookies = cookies_of(&answer);
    assert!(cookies.line.contains("seraph.rememberme.cookie="));
    assert!(answer.text().await.unwrap().contains("\"loginSucceeded\":true"));
    assert_eq!(site.mine(&cookies).await.status(), StatusCode::OK);

    let login = json!({"username": CARLA, "password": SEED_PASSWORD, "rememberMe": "true", "targetUrl": ""});
    let two_step = || site.post("/rest/tsv/1.0/authenticate?os_authType=none").json(&login);
    let answer = two_step().send().await.unwrap();
    assert_eq!(site.mine(&cookies_of(&answer)).await.status(), StatusCode::OK);
    site.jsm.switch(|switches| switches.two_step_enforced = true);
    let answer = two_step().send().await.unwrap();
    assert!(answer.headers().get(SET_COOKIE).is_none());
    assert_eq!(json_of(answer).await["secondStepRequired"], true);
    assert_eq!(site.log_in(CARLA, SEED_PASSWORD).await.status(), StatusCode::FORBIDDEN);

    let page = |site: &Site| site.get("/login.jsp").send();
    assert!(page(&site).await.unwrap().text().await.unwrap().contains("login-form-remember-me"));
    site.jsm.switch(|switches| {
        (switches.rest_session, switches.legacy_form, switches.two_step_login) = (false, false, false);
    });
    assert!(!page(&site).await.unwrap().text().await.unwrap().contains("login-form-remember-me"));
    assert_eq!(site.log_in(CARLA, SEED_PASSWORD).await.status(), StatusCode::NOT_FOUND);
    let legacy = legacy().header("x-atlassian-token", "no-check").send().await.unwrap();
    assert_eq!(legacy.status(), StatusCode::NOT_FOUND);
    assert_eq!(two_step().send().await.unwrap().status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn credentials_of_the_service_account() {
    let site = Site::start().await;
    let myself = || site.get("/rest/api/2/myself");
    assert_eq!(json_of(site.by_admin(myself()).send().await.unwrap()).await["name"], SERVICE_ACCOUNT);
    let stale = site.by_admin(myself()).header(COOKIE, "JSESSIONID=00000000000000000000000000000000");
    assert_eq!(stale.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let basic = || myself().basic_auth(SERVICE_ACCOUNT, Some(site.jsm.service_password().reveal()));
    assert_eq!(basic().send().await.unwrap().status(), StatusCode::OK);
    site.jsm.switch(|switches| switches.basic_auth = false);
    let off = basic().send().await.unwrap();
    assert_eq!(off.status(), StatusCode::FORBIDDEN);
    assert!(off.text().await.unwrap().contains("disabled"));
    assert_eq!(site.by_admin(myself()).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(myself().bearer_auth("wrong").send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_customer_is_created_once_and_given_a_password() {
    let site = Site::start().await;
    let create = || {
        let call = site.post("/rest/servicedeskapi/customer");
        site.by_admin(call).json(&json!({"email": "new@example.com", "fullName": "Nora New"}))
    };
    assert_eq!(create().send().await.unwrap().status(), StatusCode::PRECONDITION_FAILED);
    let opted = || create().header("X-ExperimentalApi", "opt-in").send();
    let made = opted().await.unwrap();
    assert_eq!(made.status(), StatusCode::CREATED);
    let made = json_of(made).await;
    assert_eq!((&made["name"], &made["active"]), (&json!("new@example.com"), &json!(true)));
    let again = opted().await.unwrap();
    assert_eq!(again.status(), StatusCode::BAD_REQUEST);
    assert!(json_of(again).await["i18nErrorMessage"]["i18nKey"].is_string());
    assert_eq!(site.jsm.customers_created("new@example.com"), 1);

    let set = async |who: &str| {
        let call = site.client.put(site.url("/rest/api/2/user/password")).query(&[("username", who)]);
        site.by_admin(call).json(&json!({"password": "fresh"})).send().await.unwrap()
    };
    assert_eq!(set("new@example.com").await.status(), StatusCode::NO_CONTENT);
    assert_eq!(set("ldap.person").await.status(), StatusCode::FORBIDDEN);
    let missing = set("nobody").await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert!(json_of(missing).await["errorMessages"][0].is_string());
    assert_eq!(site.jsm.password_sets("new@example.com"), 1);
    assert_eq!(site.log_in("new@example.com", "fresh").await.status(), StatusCode::OK);
    let carla = site.session(CARLA).await;
    let call = site.client.put(site.url("/rest/api/2/user/password")).query(&[("username", CHEN)]);
    let refused = call.header(COOKIE, &carla.line).json(&json!({"password": "x"})).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn roles_and_groups_are_shown_when_asked_for() {
    let site = Site::start().await;
    let user = async |who: &str| {
        let call = site.get("/rest/api/2/user").query(&[("username", who), ("expand", "groups,applicationRoles")]);
        json_of(site.by_admin(call).send().await.unwrap()).await
    };
    assert_eq!(user("agent").await["applicationRoles"]["size"], 1);
    assert_eq!(user(CARLA).await["applicationRoles"]["size"], 0);
    assert_eq!(user("admin").await["groups"]["items"][0]["name"], "jira-administrators");
    let call = site.by_admin(site.post("/rest/api/2/group")).json(&json!({"name": "managed"}));
    assert_eq!(call.send().await.unwrap().status(), StatusCode::CREATED);
    let join = || site.by_admin(site.post("/rest/api/2/group/user?groupname=managed")).json(&json!({"name": CARLA}));
    assert_eq!(join().send().await.unwrap().status(), StatusCode::CREATED);
    assert_eq!(join().send().await.unwrap().status(), StatusCode::BAD_REQUEST);
    let members = site.by_admin(site.get("/rest/api/2/group/member?groupname=managed")).send().await.unwrap();
    assert_eq!(json_of(members).await["values"][0]["name"], CARLA);
}

#[tokio::test]
async fn desks_and_organizations_let_people_in() {
    let site = Site::start().await;
    let carla = site.session(CARLA).await;
    let portal = async || site.get("/servicedesk/customer/portal/10").header(COOKIE, &carla.line).send().await.unwrap();
    assert_eq!(portal().await.status(), StatusCode::NOT_FOUND);
    let add = site.by_admin(site.post("/rest/servicedeskapi/servicedesk/10/customer"));
    let partly = add.json(&json!({"usernames": [CARLA, "nobody"]})).send().await.unwrap();
    assert_eq!(partly.status(), StatusCode::BAD_REQUEST, "the unknown one is named, the known one is added");
    assert!(site.jsm.is_member("10", CARLA));
    assert_eq!(portal().await.status(), StatusCode::OK);

    let chen = site.session(CHEN).await;
    let make = || site.by_admin(site.post("/rest/servicedeskapi/organization")).json(&json!({"name": "Globex"}));
    let made = json_of(make().send().await.unwrap()).await;
    assert_eq!(json_of(make().send().await.unwrap()).await["id"], made["id"]);
    let id = made["id"].as_str().unwrap();
    let link = site.by_admin(site.post("/rest/servicedeskapi/servicedesk/10/organization"));
    assert_eq!(
        link.json(&json!({"organizationId": id.parse::<u64>().unwrap()})).send().await.unwrap().status(),
        StatusCode::NO_CONTENT
    );
    let join = site.by_admin(site.post(&format!("/rest/servicedeskapi/organization/{id}/user")));
    assert_eq!(join.json(&json!({"usernames": [CHEN]})).send().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(site.jsm.organizations_of(CHEN), ["Globex"]);
    let page = site.get("/servicedesk/customer/portal/10").header(COOKIE, &chen.line).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
}

#[tokio::test]
async fn lists_come_in_pages() {
    let site = Site::start().await;
    for number in 1..=7 {
        site.jsm.add_request(CARLA, "1", "11", &format!("Number {number}")).unwrap();
    }
    let carla = site.session(CARLA).await;
    let mut next = Some(site.url("/rest/servicedeskapi/request?limit=3"));
    let (mut keys, mut sizes) = (Vec::new(), Vec::new());
    while let Some(url) = next {
        let page = json_of(site.client.get(url).header(COOKIE, &carla.line).send().await.unwrap()).await;
        keys.extend(page["values"].as_array().unwrap().iter().map(|one| one["issueKey"].as_str().unwrap().to_owned()));
        sizes.push(page["size"].as_u64().unwrap());
        next = page["_links"]["next"].as_str().map(str::to_owned);
        assert_eq!(page["isLastPage"].as_bool().unwrap(), next.is_none());
    }
    assert_eq!(sizes, [3, 3, 1]);
    assert_eq!(keys, ["HELP-7", "HELP-6", "HELP-5", "HELP-4", "HELP-3", "HELP-2", "HELP-1"]);
    let wrong = site.get("/rest/servicedeskapi/request?start=-1").header(COOKIE, &carla.line).send().await.unwrap();
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn without_a_session_pages_redirect_and_rest_refuses() {
    let site = Site::start().await;
    let page = site.get("/servicedesk/customer/portal/1?x=1").send().await.unwrap();
    assert_eq!(page.status(), StatusCode::FOUND);
    let login = site.url("/servicedesk/customer/user/login?destination=%2Fservicedesk%2Fcustomer%2Fportal%2F1%3Fx%3D1");
    assert_eq!(page.headers()[LOCATION], login.as_str());
    let login = site.client.get(login).send().await.unwrap();
    let cookies = cookies_of(&login);
    assert!(cookies.xsrf.ends_with("_lout"));
    assert!(login.text().await.unwrap().contains(&cookies.xsrf));
    let rest = site.get("/rest/servicedeskapi/request").send().await.unwrap();
    assert_eq!(rest.status(), StatusCode::UNAUTHORIZED);
    assert!(json_of(rest).await["errorMessage"].is_string());
    assert_eq!(site.get("/servicedesk/customer/kb/view/1").send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_customer_sees_only_their_own_requests() {
    let site = Site::start().await;
    let key = site.jsm.add_request(CARLA, "1", "11", "Carla's").unwrap();
    let (carla, chen) = (site.session(CARLA).await, site.session(CHEN).await);
    let comment = format!("/rest/servicedeskapi/request/{key}/comment");
    for path in [
        format!("/servicedesk/customer/portal/1/{key}"),
        format!("/rest/servicedeskapi/request/{key}"),
        comment.clone(),
    ] {
        let ask =
            async |cookies: &Cookies| site.get(&path).header(COOKIE, &cookies.line).send().await.unwrap().status();
        assert_eq!((ask(&carla).await, ask(&chen).await), (StatusCode::OK, StatusCode::NOT_FOUND), "{path}");
    }
    let say = site.post(&comment).header(COOKIE, &chen.line).json(&json!({"body": "hi"})).send().await.unwrap();
    assert_eq!(say.status(), StatusCode::NOT_FOUND);
    assert_eq!(json_of(site.mine(&chen).await).await["size"], 0);
}

#[tokio::test]
async fn sessions_end_by_idling_by_kill_and_by_deactivation() {
    let site = Site::start().await;
    let carla = site.session(CARLA).await;
    site.clock.advance(Duration::from_secs(299 * 60));
    assert_eq!(site.mine(&carla).await.status(), StatusCode::OK);
    site.clock.advance(Duration::from_secs(299 * 60));
    assert_eq!(site.mine(&carla).await.status(), StatusCode::OK);
    site.clock.advance(Duration::from_secs(300 * 60));
    assert_eq!(site.mine(&carla).await.status(), StatusCode::UNAUTHORIZED);
    let (one, two) = (site.session(CARLA).await, site.session(CARLA).await);
    assert_ne!(one.xsrf, two.xsrf);
    let first = one.line.split(['=', ';']).nth(1).unwrap();
    assert!(site.jsm.kill_session(first));
    assert_eq!(site.mine(&one).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(site.mine(&two).await.status(), StatusCode::OK);
    let all = site.by_admin(site.client.delete(site.url(&format!("/rest/api/2/user/session/{CARLA}"))));
    assert_eq!(all.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(site.mine(&two).await.status(), StatusCode::UNAUTHORIZED);
    let chen = site.session(CHEN).await;
    site.jsm.change_user(CHEN, |user| user.active = false);
    assert_eq!(site.mine(&chen).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_session_lives_on_its_node() {
    let site = Site::start().await;
    site.jsm.switch(|switches| switches.node_affinity = Some(("JSMNODE".into(), "node-1".into())));
    let carla = site.session(CARLA).await;
    assert_eq!(site.mine(&carla).await.status(), StatusCode::OK);
    let elsewhere = Cookies { line: carla.line.replace("node-1", "node-2"), xsrf: carla.xsrf };
    assert_eq!(site.mine(&elsewhere).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn forms_need_the_token_and_browsers_the_right_origin() {
    let site = Site::start().await;
    let carla = site.session(CARLA).await;
    let create = "/servicedesk/customer/portal/1/create/11";
    let send = async |token: &str, headers: &[(http::HeaderName, &str)]| {
        let form = [("summary", "Printer"), ("description", "It burns"), ("atl_token", token)];
        let call = site.post(create).header(COOKIE, &carla.line).form(&form);
        headers.iter().fold(call, |call, (name, value)| call.header(name, *value)).send().await.unwrap()
    };
    let raised = send(&carla.xsrf, &[]).await;
    assert_eq!(raised.status(), StatusCode::FOUND);
    assert_eq!(raised.headers()[LOCATION], site.url("/servicedesk/customer/portal/1/HELP-1").as_str());
    assert_eq!(send("wrong", &[]).await.status(), StatusCode::FORBIDDEN);
    let other = site.session(CARLA).await;
    assert_eq!(send(&other.xsrf, &[]).await.status(), StatusCode::FORBIDDEN, "the token of another session");

    let base = site.base.clone();
    let page = format!("{base}/servicedesk/customer/portals");
    let rows: [(&[(http::HeaderName, &str)], StatusCode); 6] = [
        (&[(USER_AGENT, BROWSER), (ORIGIN, &base)], StatusCode::FOUND),
        (&[(USER_AGENT, BROWSER), (REFERER, &page)], StatusCode::FOUND),
        (&[(USER_AGENT, BROWSER), (ORIGIN, "https://support.acme.com")], StatusCode::FORBIDDEN),
        (&[(USER_AGENT, BROWSER), (ORIGIN, "null"), (REFERER, &page)], StatusCode::FORBIDDEN),
        (&[(USER_AGENT, BROWSER), (REFERER, "https://support.acme.com/x")], StatusCode::FORBIDDEN),
        (&[(USER_AGENT, BROWSER)], StatusCode::FORBIDDEN),
    ];
    for (headers, status) in rows {
        assert_eq!(send(&carla.xsrf, headers).await.status(), status, "{headers:?}");
    }
    let comment = site.post("/rest/servicedeskapi/request/HELP-1/comment").header(COOKIE, &carla.line);
    let foreign = comment
        .header(USER_AGENT, BROWSER)
        .header(ORIGIN, "https://evil.example")
        .header("x-atlassian-token", "no-check");
    let foreign = foreign.json(&json!({"body": "hi"})).send().await.unwrap();
    assert_eq!(foreign.status(), StatusCode::FORBIDDEN);
    assert_eq!(foreign.text().await.unwrap(), "XSRF check failed");
}

#[tokio::test]
async fn files_go_up_in_two_steps_and_come_down() {
    let site = Site::start().await;
    let key = site.jsm.add_request(CARLA, "1", "11", "With a file").unwrap();
    let (carla, chen) = (site.session(CARLA).await, site.session(CHEN).await);
    let upload = || {
        let part = reqwest::multipart::Part::bytes(vec![0, 159, 146, 150]).file_name("a b.bin");
        let form = reqwest::multipart::Form::new().part("file", part);
        site.post("/rest/servicedeskapi/servicedesk/1/attachTemporaryFile").header(COOKIE, &carla.line).multipart(form)
    };
    assert_eq!(upload().send().await.unwrap().status(), StatusCode::FORBIDDEN, "no X-Atlassian-Token");
    let sent = upload().header("X-Atlassian-Token", "no-check").send().await.unwrap();
    assert_eq!(sent.status(), StatusCode::CREATED);
    let temporary = json_of(sent).await["temporaryAttachments"][0]["temporaryAttachmentId"].clone();
    let attach = site.post(&format!("/rest/servicedeskapi/request/{key}/attachment")).header(COOKIE, &carla.line);
    let attached = attach.json(&json!({"temporaryAttachmentIds": [temporary], "public": true})).send().await.unwrap();
    assert_eq!(attached.status(), StatusCode::CREATED);
    let content = json_of(attached).await["attachments"]["values"][0]["_links"]["content"].as_str().unwrap().to_owned();
    assert!(content.starts_with(&site.base));
    let down = async |cookies: &Cookies| site.client.get(&content).header(COOKIE, &cookies.line).send().await.unwrap();
    assert_eq!(down(&chen).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(down(&carla).await.bytes().await.unwrap().as_ref(), [0, 159, 146, 150]);

    let part = reqwest::multipart::Part::text("hello").file_name("note.txt");
    let form = reqwest::multipart::Form::new().text("summary", "By form").text("atl_token", carla.xsrf.clone());
    let create = site.post("/servicedesk/customer/portal/1/create/12").header(COOKIE, &carla.line);
    let raised = create.multipart(form.part("attachment", part)).send().await.unwrap();
    assert_eq!(raised.status(), StatusCode::FOUND);
    let raised = site.jsm.requests_of(CARLA).pop().unwrap();
    assert_eq!(site.jsm.attachment(raised.attachments[0]).unwrap().bytes.as_ref(), b"hello");
}

#[tokio::test]
async fn models_insist_on_the_base_path_and_raise_requests() {
    let site = Site::start().await;
    let carla = site.session(CARLA).await;
    let ask = async |base: &str, models: Value, options: Value| {
        let body = json!({"models": models, "options": options, "context": {"clientBasePath": base}});
        site.post("/rest/servicedesk/1/customer/models").header(COOKIE, &carla.line).json(&body).send().await.unwrap()
    };
    let own = site.url("/servicedesk/customer");
    let wrong = ask("https://support.acme.com/servicedesk/customer", json!(["user"]), json!({})).await;
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
    let answer = json_of(ask(&own, json!(["user", "portals"]), json!({})).await).await;
    assert_eq!(answer["xsrfToken"], carla.xsrf.as_str());
    assert_eq!(answer["portals"][0]["_links"]["portal"], site.url("/servicedesk/customer/portal/1"));
    let options = json!({"createRequest": {"portalId": "1", "requestTypeId": "11", "summary": "By JSON"}});
    let raised = json_of(ask(&own, json!(["createRequest"]), options).await).await;
    assert_eq!(raised["createRequest"]["issue"]["key"], "HELP-1");
    assert_eq!(site.jsm.requests_of(CARLA)[0].summary, "By JSON");
}

#[tokio::test]
async fn pages_carry_absolute_urls_in_every_form_and_no_markup_of_customers() {
    let site = Site::start().await;
    let key = site.jsm.add_request(CARLA, "1", "11", "</script><b>x").unwrap();
    let carla = site.session(CARLA).await;
    let browse = site.get(&format!("/browse/{key}")).header(COOKIE, &carla.line).send().await.unwrap();
    let location = browse.headers()[LOCATION].to_str().unwrap().to_owned();
    let page = site.client.get(location).header(COOKIE, &carla.line).send().await.unwrap().text().await.unwrap();
    let escaped = site.base.replace('/', "\\/");
    for part in [format!("href=\"{}/", site.base), format!("\"{escaped}"), format!("baseUrl: \"{}\"", site.base)] {
        assert!(page.contains(&part), "{part}");
    }
    assert!(page.contains("Carla Castro") && page.contains("Log out"));
    assert!(!page.contains("</script><b>") && !page.contains("<b>x"));
    let out = |token: &str| {
        site.get(&format!("/servicedesk/customer/user/logout?atl_token={token}")).header(COOKIE, &carla.line)
    };
    assert_eq!(out("x").send().await.unwrap().status(), StatusCode::FORBIDDEN);
    assert_eq!(out(&carla.xsrf).send().await.unwrap().status(), StatusCode::FOUND);
    assert_eq!(site.mine(&carla).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn assets_have_validators() {
    let site = Site::start().await;
    let first = site.get("/s/portal/1/portal.css").send().await.unwrap();
    let tag = first.headers()["etag"].clone();
    let again = site.get("/s/portal/1/portal.css").header("if-none-match", tag).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn faults_strike_as_ordered() {
    let site = Site::start().await;
    let info = async || site.get("/rest/api/2/serverInfo").send().await;
    let path = "/rest/api/2/serverInfo";
    site.jsm.set_faults(vec![Fault::every(path, 3, FaultKind::Status(503, Some(7)))]);
    let mut seen = Vec::new();
    for _ in 0..6 {
        seen.push(info().await.unwrap().status().as_u16());
    }
    assert_eq!(seen, [200, 200, 503, 200, 200, 503]);
    site.jsm.set_faults(vec![Fault::times(path, 1, FaultKind::HtmlInPlaceOfJson)]);
    assert!(info().await.unwrap().headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    assert!(info().await.unwrap().headers()["content-type"].to_str().unwrap().starts_with("application/json"));
    site.jsm.set_faults(vec![Fault::always(path, FaultKind::DropConnection)]);
    assert!(info().await.is_err());
    site.jsm.set_faults(Vec::new());
    assert!(site.jsm.calls("GET", path) >= 9);
}

#[tokio::test]
async fn calls_can_be_held() {
    let site = Site::start().await;
    let gate = site.jsm.hold("/rest/auth/");
    let (first, second) = (site.log_in(CARLA, SEED_PASSWORD), site.log_in(CHEN, SEED_PASSWORD));
    let opened = async {
        site.jsm.wait_for(|jsm| (jsm.held() == 2).then_some(())).await;
        assert_eq!(site.jsm.logins(CARLA), 0);
        gate.open();
    };
    let (first, second, ()) = tokio::join!(first, second, opened);
    assert_eq!((first.status(), second.status()), (StatusCode::OK, StatusCode::OK));
    assert_eq!(site.jsm.held(), 0);
}

#[tokio::test]
async fn a_remembered_customer_gets_a_new_session() {
    let site = Site::start().await;
    let form = [("os_username", CARLA), ("os_password", SEED_PASSWORD), ("os_cookie", "true")];
    let login = site.post("/servicedesk/customer/user/login").header("x-atlassian-token", "no-check").form(&form);
    let cookies = cookies_of(&login.send().await.unwrap());
    assert_eq!(site.jsm.sessions_of(CARLA).len(), 1);
    assert!(site.jsm.kill_session(&site.jsm.sessions_of(CARLA)[0]));
    let answer = site.mine(&cookies).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(cookies_of(&answer).xsrf.ends_with("_lin"));
    assert_eq!(site.jsm.kill_all(CARLA), 1);
    assert_eq!(site.mine(&cookies).await.status(), StatusCode::UNAUTHORIZED);
}
