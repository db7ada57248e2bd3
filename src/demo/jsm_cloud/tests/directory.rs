use super::*;

async fn create(site: &Site, email: &str, strict: bool) -> Response {
    let query = if strict { "?strictConflictStatusCode=true" } else { "" };
    let body = json!({"email": email, "displayName": "New Person"});
    site.admin(Method::POST, &format!("/customer{query}")).json(&body).send().await.unwrap()
}

#[tokio::test]
async fn customers_are_made_once_and_without_a_mail() {
    let site = Site::start().await;
    let answer = create(&site, "new@example.com", true).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let made = json_of(answer).await;
    let id = made["accountId"].as_str().unwrap();
    assert!(id.starts_with("qm:"), "{id}");
    assert!(made.get("name").is_none() && made.get("key").is_none());
    assert_eq!(create(&site, "NEW@example.com", true).await.status(), StatusCode::CONFLICT);
    assert_eq!(create(&site, "new@example.com", false).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(create(&site, "atla@example.com", true).await.status(), StatusCode::CONFLICT, "of the other type");
    assert_eq!(create(&site, "no address", true).await.status(), StatusCode::BAD_REQUEST);
    assert!(site.jsm.mails().is_empty());
    assert_eq!(site.jsm.customers_created("new@example.com"), 1);
    assert_eq!(site.log_in("new@example.com", "").await.status(), StatusCode::UNAUTHORIZED, "there is no password");
    let unknown = json!({"email": "x@example.com", "displayName": "X", "notify": false});
    assert_eq!(status_of(site.admin(Method::POST, "/customer").json(&unknown)).await, 400, "an unknown field");
    let unknown =
        site.admin(Method::POST, "/customer?strict=true").json(&json!({"email": "x@example.com", "displayName": "X"}));
    assert_eq!(status_of(unknown).await, 400, "an unknown parameter");
}

#[tokio::test]
async fn an_invitation_makes_mails_and_opens_again() {
    let site = Site::start().await;
    let invite = |email: &str, query: &str| {
        let body = json!({"email": email, "displayName": "Ina Invited"});
        site.admin(Method::POST, &format!("/servicedesk/10/customer/invite{query}")).json(&body)
    };
    assert_eq!(status_of(invite("ina@example.com", "")).await, 201);
    assert_eq!(status_of(invite("ina@example.com", "?strictConflictStatusCode=true")).await, 409);
    assert_eq!(status_of(invite("ina@example.com", "")).await, 201, "sent once more");
    assert_eq!(site.jsm.mails().len(), 2);
    let id = site.id_of("ina@example.com");
    assert!(site.jsm.is_member("10", &id));
    let revoke = || site.admin(Method::PUT, &format!("/customer/user/{id}/revoke-portal-only-access"));
    assert_eq!(status_of(revoke()).await, 204);
    assert!(!site.jsm.is_member("10", &id) && !site.jsm.customer("ina@example.com").unwrap().portal_access);
    assert_eq!(status_of(invite("ina@example.com", "")).await, 201);
    assert!(site.jsm.customer("ina@example.com").unwrap().portal_access);
    assert_eq!(status_of(site.admin(Method::PUT, "/customer/user/qm:none/revoke-portal-only-access")).await, 404);
    let plain = site.client.post(site.url(&format!("{API}/servicedesk/10/customer/invite")));
    let plain = plain.basic_auth(SERVICE_ACCOUNT, Some(site.token.reveal()));
    assert_eq!(status_of(plain.json(&json!({"email": "a@example.com", "displayName": "A"}))).await, 412, "no opt-in");
    let many = site.post("/rest/servicedesk/1/pages/people/customers/pagination/CUST/invite");
    let many = many.basic_auth(SERVICE_ACCOUNT, Some(site.token.reveal())).json(&json!({"emails": ["b@example.com"]}));
    assert_eq!(status_of(many).await, 200);
    assert_eq!(site.jsm.last_mail_to("b@example.com").unwrap().kind, MailKind::Invitation);
}

#[tokio::test]
async fn a_desk_knows_fewer_than_the_platform_and_both_know_more_than_was_asked() {
    let site = Site::start().await;
    create(&site, "carla@example.com.au", true).await;
    let (carla, other) = (site.id_of(CARLA), site.id_of("carla@example.com.au"));
    let find = |desk: &str| site.admin(Method::GET, &format!("/servicedesk/{desk}/customer?query=carla%40example.com"));
    assert_eq!(json_of(find("1").send().await.unwrap()).await["size"], 0, "open desks list whom they were given");
    let add = site.admin(Method::POST, "/servicedesk/10/customer").json(&json!({"accountIds": [carla, other]}));
    assert_eq!(status_of(add).await, 204);
    let found = json_of(find("10").send().await.unwrap()).await;
    assert_eq!(found["size"], 2, "whoever contains the text");
    let search = site.get("/rest/api/3/user/search?query=carla%40example.com");
    let search = search.basic_auth(SERVICE_ACCOUNT, Some(site.token.reveal())).send().await.unwrap();
    let found = json_of(search).await;
    assert_eq!(found.as_array().unwrap().len(), 2);
    assert_eq!((found[0]["accountType"].as_str(), found[0]["emailAddress"].as_str()), (Some("customer"), Some(CARLA)));
    let unknown =
        site.admin(Method::POST, "/servicedesk/10/customer").json(&json!({"accountIds": ["qm:no", site.id_of(CHEN)]}));
    assert_eq!(status_of(unknown).await, 400);
    assert!(site.jsm.is_member("10", &site.id_of(CHEN)), "the known one was added");
    let by_name = site.admin(Method::POST, "/servicedesk/10/customer").json(&json!({"usernames": [CARLA]}));
    assert_eq!(status_of(by_name).await, 400);
    let remove = |desk: &str| {
        site.admin(Method::DELETE, &format!("/servicedesk/{desk}/customer")).json(&json!({"accountIds": [carla]}))
    };
    assert_eq!((status_of(remove("10")).await, status_of(remove("1")).await), (204, 400), "the other desk is open");
}

#[tokio::test]
async fn new_accounts_take_their_time_where_a_switch_says_so() {
    let site = Site::start().await;
    site.jsm.switch(|switches| switches.settle_after = Duration::from_secs(30));
    let made = json_of(create(&site, "new@example.com", true).await).await;
    let add = || site.admin(Method::POST, "/servicedesk/10/customer").json(&json!({"accountIds": [made["accountId"]]}));
    assert_eq!(status_of(add()).await, 400);
    site.clock.advance(Duration::from_secs(30));
    assert_eq!(status_of(add()).await, 204);
}

#[tokio::test]
async fn organizations_are_found_by_name_and_belong_to_their_directory() {
    let site = Site::start().await;
    let organize = |name: &str| site.admin(Method::POST, "/organization").json(&json!({"name": name}));
    let acme = json_of(organize("Acme").send().await.unwrap()).await;
    let again = organize("Acme").send().await.unwrap();
    assert_eq!((again.status(), &json_of(again).await["id"]), (StatusCode::CREATED, &acme["id"]));
    assert_eq!(status_of(organize(&"x".repeat(201))).await, 400);
    let id = acme["id"].as_str().unwrap();
    let carla = site.id_of(CARLA);
    let users = |method, ids: &[&str]| {
        site.admin(method, &format!("/organization/{id}/user")).json(&json!({"accountIds": ids}))
    };
    assert_eq!(status_of(users(Method::POST, &[&carla])).await, 204);
    assert_eq!(site.jsm.organizations_of(&carla), ["Acme"]);
    let link = |method| {
        site.admin(method, "/servicedesk/10/organization").json(&json!({"organizationId": id.parse::<u64>().unwrap()}))
    };
    assert_eq!(status_of(link(Method::POST)).await, 204);
    let found = site.admin(Method::GET, &format!("/organization?accountId={}", html::percent(&carla)));
    assert_eq!(json_of(found.send().await.unwrap()).await["values"][0]["scimManaged"], false);
    assert_eq!((status_of(users(Method::DELETE, &[&carla])).await, status_of(link(Method::DELETE)).await), (204, 204));
    assert!(site.jsm.organizations_of(&carla).is_empty());
    let property = |method| site.admin(method, &format!("/organization/{id}/property/vestibule"));
    assert_eq!(status_of(property(Method::PUT).json(&json!({"added": true}))).await, 201);
    assert_eq!(json_of(property(Method::GET).send().await.unwrap()).await["value"]["added"], true);
    assert_eq!(status_of(property(Method::PUT).body(format!("\"{}\"", "x".repeat(32 * 1024)))).await, 400);
    assert_eq!((status_of(property(Method::DELETE)).await, status_of(property(Method::GET)).await), (204, 404));

    assert!(site.jsm.add_scim_organization("Synced", "10", &[&carla]));
    let listed = json_of(site.admin(Method::GET, "/organization").send().await.unwrap()).await;
    let synced = listed["values"].as_array().unwrap().iter().find(|one| one["name"] == "Synced").unwrap();
    assert_eq!(synced["scimManaged"], true);
    let path = format!("/organization/{}/user", synced["id"].as_str().unwrap());
    let change = site.admin(Method::DELETE, &path).json(&json!({"accountIds": [carla]}));
    assert_eq!(status_of(change).await, 403);
}

#[tokio::test]
async fn a_token_opens_only_the_host_that_it_is_for() {
    let site = Site::start().await;
    let service = site.jsm.service_account();
    let scoped = site.jsm.make_scoped_token(&service, &[MANAGE_CUSTOMERS]).unwrap();
    let api = site.jsm.api_url().unwrap();
    assert!(api.starts_with(&format!("{}/ex/jira/", site.beside)));
    let call = |url: &str, secret: &str| site.client.get(url).basic_auth(SERVICE_ACCOUNT, Some(secret));
    let (here, there) = (site.url(&format!("{API}/organization")), format!("{api}{API}/organization"));
    assert_eq!(status_of(call(&here, site.token.reveal())).await, 200);
    assert_eq!(status_of(call(&there, scoped.reveal())).await, 200);
    assert_eq!(status_of(site.client.get(&there).bearer_auth(scoped.reveal())).await, 200);
    assert_eq!(status_of(call(&here, scoped.reveal())).await, 401);
    assert_eq!(status_of(call(&there, site.token.reveal())).await, 401);
    assert_eq!(status_of(site.client.get(&here).bearer_auth(site.token.reveal())).await, 403);
    assert_eq!(status_of(site.client.get(&there)).await, 401, "a stranger");
    let answer = call(&format!("{api}{API}/servicedesk"), scoped.reveal()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(json_of(answer).await["message"], "Unauthorized; scope does not match");
    assert_eq!(
        status_of(call(&format!("{}/ex/jira/other{API}/organization", site.beside), scoped.reveal())).await,
        404
    );
    assert_eq!(status_of(site.client.get(&here).basic_auth(CARLA, Some(SEED_PASSWORD))).await, 401, "no passwords");
    assert_eq!(status_of(site.client.get(&here).basic_auth(CARLA, Some(site.token.reveal()))).await, 401, "not hers");
    assert_eq!(
        status_of(site.client.get(format!("{api}/servicedesk/customer/portals")).bearer_auth(scoped.reveal())).await,
        404
    );
    let deeper = call(&format!("{api}{API}/servicedesk/10/customer"), scoped.reveal());
    assert_eq!(status_of(deeper.header("x-experimentalapi", "opt-in")).await, 200, "with parameters in the path");
    let cookies = site.session(CARLA).await;
    assert_eq!(status_of(site.client.get(&there).header(COOKIE, &cookies.line)).await, 401, "no sessions there");
    let page = json_of(call(&format!("{there}?limit=1"), scoped.reveal()).send().await.unwrap()).await;
    assert_eq!(page["_links"]["base"], api);
    assert!(site.jsm.revoke_token(&scoped));
    assert_eq!(status_of(call(&there, scoped.reveal())).await, 401);
}

#[tokio::test]
async fn rights_are_checked() {
    let site = Site::start().await;
    let cookies = site.session(CARLA).await;
    let as_carla = |method, path: &str| {
        let call = site.client.request(method, site.url(&format!("{API}{path}"))).header(COOKIE, &cookies.line);
        call.header("x-experimentalapi", "opt-in")
    };
    let body = json!({"email": "x@example.com", "displayName": "X"});
    assert_eq!(status_of(as_carla(Method::POST, "/customer").json(&body)).await, 403);
    assert_eq!(status_of(as_carla(Method::GET, "/servicedesk/1/customer")).await, 403);
    assert_eq!(status_of(as_carla(Method::POST, "/organization").json(&json!({"name": "Evil"}))).await, 403);
    assert_eq!(json_of(as_carla(Method::GET, "/organization").send().await.unwrap()).await["size"], 0);
    assert_eq!(status_of(as_carla(Method::GET, "/servicedesk/10")).await, 404, "not her desk");
    assert_eq!(status_of(site.get(&format!("{API}/organization"))).await, 401);
    assert_eq!(status_of(site.get(&format!("{API}/info"))).await, 200);
}

#[tokio::test]
async fn calls_are_limited_and_told_when_to_come_back() {
    let site = Site::start().await;
    site.jsm.switch(|switches| switches.rate_limit = Some(RateLimit { calls: 2, per: Duration::from_secs(10) }));
    let info = || site.admin(Method::GET, "/servicedesk");
    let first = info().send().await.unwrap();
    assert_eq!((first.status(), first.headers()["x-ratelimit-remaining"].to_str().unwrap()), (StatusCode::OK, "1"));
    assert_eq!(status_of(info()).await, 200);
    site.clock.advance(Duration::from_secs(4));
    let limited = info().send().await.unwrap();
    assert_eq!(limited.status(), StatusCode::TOO_MANY_REQUESTS);
    for (name, value) in [("retry-after", "6"), ("x-ratelimit-limit", "2"), ("x-ratelimit-remaining", "0")] {
        assert_eq!(limited.headers()[name], value);
    }
    assert_eq!(limited.headers()["ratelimit-reason"], "jira-burst-based");
    assert_eq!(
        site.get("/servicedesk/customer/kb/view/1").send().await.unwrap().status(),
        StatusCode::OK,
        "pages are free"
    );
    site.clock.advance(Duration::from_secs(6));
    assert_eq!(status_of(info()).await, 200);
    assert_eq!((site.jsm.limited_calls(), site.jsm.most_at_once()), (1, 1));
}
