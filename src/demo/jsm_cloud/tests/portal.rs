use reqwest::header::{LOCATION, ORIGIN, USER_AGENT};

use super::*;

#[tokio::test]
async fn the_site_writes_its_own_name_in_every_form() {
    let site = Site::start().await;
    let cookies = site.session(CARLA).await;
    let answer = site.get("/servicedesk/customer/portals").header(COOKIE, &cookies.line).send().await.unwrap();
    assert!(answer.headers()["content-security-policy"].to_str().unwrap().contains(&site.base));
    assert!(answer.headers()["link"].to_str().unwrap().contains(&site.base));
    let page = answer.text().await.unwrap();
    let host = site.base.strip_prefix("https://").unwrap();
    let forms = [
        format!("https://{host}/"),
        format!("https:\\/\\/{host}\\/"),
        format!("https:\\u002F\\u002F{host}\\u002F"),
        format!("https%3A%2F%2F{}%2F", host.replace(':', "%3A")),
    ];
    for form in forms {
        assert!(page.contains(&form), "{form} in {page}");
    }
    let state = page.split("JSON.parse(\"").nth(1).unwrap().split("\");").next().unwrap();
    let literal: String = serde_json::from_str(&format!("\"{state}\"")).unwrap();
    let told: Value = serde_json::from_str(&literal).unwrap();
    assert_eq!((told["baseUrl"].as_str(), told["loggedIn"].as_bool()), (Some(site.base.as_str()), Some(true)));
}

#[tokio::test]
async fn strangers_are_sent_to_the_login_and_articles_are_open() {
    let site = Site::start().await;
    let answer = site.get("/servicedesk/customer/portal/1").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::FOUND);
    let wanted = html::percent(&site.url("/servicedesk/customer/portal/1"));
    assert_eq!(answer.headers()[LOCATION], site.url(&format!("/servicedesk/customer/user/login?destination={wanted}")));
    let article = site.get("/servicedesk/customer/kb/view/1").send().await.unwrap();
    assert!(cookies_of(&article).xsrf.ends_with("_lout"));
    assert!(article.text().await.unwrap().contains("How to write a good request"));
    let login = site.get("/servicedesk/customer/user/login?destination=https://evil.example/").send().await.unwrap();
    let login = login.text().await.unwrap();
    assert!(login.contains("id=\"login\"") && !login.contains("evil.example"), "{login}");
}

#[tokio::test]
async fn a_request_is_raised_shared_and_read() {
    let site = Site::start().await;
    let (carla, chen, cleo) = (site.id_of(CARLA), site.id_of(CHEN), site.id_of("cleo@example.com"));
    let made =
        json_of(site.admin(Method::POST, "/organization").json(&json!({"name": "Acme"})).send().await.unwrap()).await;
    let acme = made["id"].as_str().unwrap();
    let members = json!({"accountIds": [carla, chen]});
    assert_eq!(status_of(site.admin(Method::POST, &format!("/organization/{acme}/user")).json(&members)).await, 204);
    assert_eq!(
        status_of(
            site.admin(Method::POST, "/servicedesk/10/organization")
                .json(&json!({"organizationId": acme.parse::<u64>().unwrap()}))
        )
        .await,
        204
    );

    let cookies = site.session(CARLA).await;
    let browser = |call: RequestBuilder| {
        call.header(COOKIE, &cookies.line).header(USER_AGENT, BROWSER).header(ORIGIN, &site.base)
    };
    let form =
        browser(site.get("/servicedesk/customer/portal/10/create/101")).send().await.unwrap().text().await.unwrap();
    assert!(form.contains(&format!("name=\"atl_token\" value=\"{}\"", cookies.xsrf)));
    let part = reqwest::multipart::Part::bytes(&b"log\0"[..]).file_name("a log.txt").mime_str("text/plain").unwrap();
    let fields =
        reqwest::multipart::Form::new().text("atl_token", cookies.xsrf.clone()).text("summary", "It is <slow>");
    let raised =
        browser(site.post("/servicedesk/customer/portal/10/create/101")).multipart(fields.part("attachment", part));
    let raised = raised.send().await.unwrap();
    assert_eq!(raised.headers()[LOCATION], site.url("/servicedesk/customer/portal/10/CUST-1"));
    let page = browser(site.get("/servicedesk/customer/portal/10/CUST-1")).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("It is &lt;slow&gt;") && page.contains("<li>Acme</li>"), "{page}");
    let link = page.split("href=\"").find(|link| link.contains("/attachment/")).unwrap().split('"').next().unwrap();
    let file = browser(site.client.get(link)).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(&file[..], b"log\0");

    let others = |email: &'static str| {
        let site = &site;
        async move {
            let cookies = site.session(email).await;
            let page = site.get("/servicedesk/customer/portal/10/CUST-1").header(COOKIE, &cookies.line);
            let mine = site.get("/servicedesk/customer/user/requests").header(COOKIE, &cookies.line);
            let shared = site.get(&format!("/servicedesk/customer/user/requests?reporter=org-{acme}"));
            let shared = shared.header(COOKIE, &cookies.line).send().await.unwrap().text().await.unwrap();
            let mine = mine.send().await.unwrap().text().await.unwrap();
            (status_of(page).await, mine.contains("CUST-1"), shared.contains("CUST-1"))
        }
    };
    assert_eq!(others(CHEN).await, (200, false, true), "of the same organization");
    assert_eq!(others("cleo@example.com").await, (404, false, false), "of none");
    let listed = |query: &str| site.get(&format!("{API}/request?{query}")).header(COOKIE, &cookies.line);
    assert_eq!(json_of(listed("requestOwnership=ORGANIZATION").send().await.unwrap()).await["size"], 1);
    assert_eq!(status_of(listed("ownership=ORGANIZATION")).await, 400, "an unknown parameter");
    let add = site.post(&format!("{API}/request/CUST-1/participant")).header(COOKIE, &cookies.line);
    assert_eq!(status_of(add.json(&json!({"accountIds": [cleo]}))).await, 200);
    assert_eq!(others("cleo@example.com").await.0, 200, "a participant now");
    assert_eq!(site.jsm.requests_of(CARLA).len(), 1);
}

#[tokio::test]
async fn scripts_get_what_they_ask_for_and_can_list_everybody() {
    let site = Site::start().await;
    let cookies = site.session(CARLA).await;
    let models = |base: &str| {
        let body = json!({"models": ["user", "portals"], "options": {}, "context": {"clientBasePath": base}});
        site.post("/rest/servicedesk/1/customer/models").header(COOKIE, &cookies.line).json(&body)
    };
    let answer = json_of(models(&site.url("/servicedesk/customer")).send().await.unwrap()).await;
    assert_eq!(
        (answer["xsrfToken"].as_str(), answer["portals"].as_array().unwrap().len()),
        (Some(cookies.xsrf.as_str()), 1)
    );
    assert_eq!(
        status_of(models("https://support.acme.example/servicedesk/customer")).await,
        400,
        "a name that got lost"
    );
    let search =
        site.get("/rest/servicedesk/1/customer/portal/1/user-search?query=example.com").header(COOKIE, &cookies.line);
    assert!(json_of(search.send().await.unwrap()).await.as_array().unwrap().len() > 3);
    let search = site.get("/rest/api/3/user/search?query=chen").header(COOKIE, &cookies.line);
    let found = json_of(search.send().await.unwrap()).await;
    assert_eq!((found[0]["displayName"].as_str(), found[0].get("emailAddress")), (Some("Chen Chu"), None));
    let graph =
        |query: &str| site.post("/gateway/api/graphql").header(COOKIE, &cookies.line).json(&json!({"query": query}));
    let tenant = json_of(graph("query { tenantContexts { cloudId } }").send().await.unwrap()).await;
    assert_eq!(tenant["data"]["tenantContexts"][0]["cloudId"], site.jsm.cloud_id());
    assert!(json_of(graph("query { x }").send().await.unwrap()).await["errors"].is_array());
    assert_eq!(
        status_of(site.post("/gateway/api/graphql").json(&json!({"query": "{ me { user { name } } }"}))).await,
        401
    );
    let form = format!("/gateway/api/proforma/portal/cloudid/{}/portal/1/requesttype/11/form", site.jsm.cloud_id());
    let form = site.get(&form).header(COOKIE, &cookies.line).send().await.unwrap();
    assert_eq!(json_of(form).await["errors"][0]["code"], "FORM_NOT_FOUND");
    let tenant = site.get("/_edge/tenant_info").send().await.unwrap();
    assert_eq!(json_of(tenant).await["cloudId"], site.jsm.cloud_id());
}
