use reqwest::header::{LOCATION, ORIGIN, REFERER, USER_AGENT};

use super::*;

#[tokio::test]
async fn one_cookie_is_the_session_and_its_subject_is_the_account() {
    let site = Site::start().await;
    let answer = site.log_in(CARLA, SEED_PASSWORD).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let set = set_cookies(&answer);
    let session = set.iter().find(|line| line.starts_with("customer.account.session.token=")).unwrap();
    for part in ["; Domain=acme.jsm.internal", "; HttpOnly", "; Secure", "; Max-Age=86400", "; Expires="] {
        assert!(session.contains(part), "{part} in {session}");
    }
    let cookies = cookies_of(&answer);
    assert!(cookies.xsrf.ends_with("_lin"), "{}", cookies.xsrf);
    let claims = claims_of(&cookies.token);
    assert_eq!(claims["sub"], site.id_of(CARLA));
    assert_eq!(claims["exp"], 1_800_000_000 + 8 * 3600);
    let alone = Cookies { line: format!("customer.account.session.token={}", cookies.token), ..cookies };
    assert!(site.opens(&alone).await);
    let forged = Cookies { line: alone.line.replace(".ey", ".eY"), ..alone };
    assert!(!site.opens(&forged).await);
    assert_eq!((site.jsm.logins(CARLA), site.jsm.sessions_of(CARLA)), (1, 1));
}

#[tokio::test]
async fn a_session_ends_by_time_by_logout_and_by_hand() {
    let site = Site::start().await;
    let cookies = site.session(CARLA).await;
    site.clock.advance(Duration::from_secs(8 * 3600 - 1));
    assert!(site.opens(&cookies).await);
    site.clock.advance(Duration::from_secs(1));
    assert!(!site.opens(&cookies).await, "the token is no longer good, though the cookie is");

    let cookies = site.session(CARLA).await;
    let out = "/servicedesk/customer/user/logout";
    assert_eq!(status_of(site.get(out).header(COOKIE, &cookies.line)).await, 403, "without the token");
    let answer = site.get(&format!("{out}?atl_token={}", cookies.xsrf)).header(COOKIE, &cookies.line).send().await;
    let set = set_cookies(&answer.unwrap());
    assert!(set.iter().any(|line| line.starts_with("customer.account.session.token=;") && line.contains("Max-Age=0")));
    assert!(set.iter().any(|line| line.starts_with("atlassian.xsrf.token=") && line.contains("_lout")));
    assert!(!site.opens(&cookies).await);

    let (carla, chen) = (site.session(CARLA).await, site.session(CHEN).await);
    assert_eq!(site.jsm.kill_all(CARLA), 2, "the one that expired is still remembered");
    assert_eq!((site.opens(&carla).await, site.opens(&chen).await), (false, true));
    site.jsm.change_account(&site.id_of(CHEN), |account| account.active = false);
    assert!(!site.opens(&chen).await);
}

#[tokio::test]
async fn each_way_in_can_be_turned_off() {
    let site = Site::start().await;
    let credentials = json!({"email": CARLA, "password": SEED_PASSWORD});
    let second = |to: &str| {
        let path = format!("/jsd-login-v2/v2/customer/login/authenticate?continue={}", html::percent(to));
        site.post(&path).json(&credentials)
    };
    let answer = second(&site.url("/servicedesk/customer/portals")).send().await.unwrap();
    assert!(site.opens(&cookies_of(&answer)).await);
    assert_eq!(status_of(second("https://evil.example/")).await, 400);
    assert_eq!(status_of(site.post("/jsd-login-v2/v2/customer/login/authenticate").json(&credentials)).await, 400);
    site.jsm.switch(|switches| (switches.login_v1, switches.gone) = (false, 410));
    assert_eq!(site.log_in(CARLA, SEED_PASSWORD).await.status(), StatusCode::GONE);
    site.jsm.switch(|switches| (switches.login_v1, switches.login_v2) = (true, false));
    assert_eq!(status_of(second(&site.url("/"))).await, 410);
    site.jsm.switch(|switches| switches.password_login = false);
    let answer = site.log_in(CARLA, SEED_PASSWORD).await;
    assert_eq!((answer.status(), set_cookies(&answer).len()), (StatusCode::FORBIDDEN, 1), "a visitor's token only");
}

#[tokio::test]
async fn what_is_wrong_with_a_login_is_refused() {
    let site = Site::start().await;
    for (email, password) in [(CARLA, "wrong"), ("nobody@example.com", "x"), ("left.person@example.com", SEED_PASSWORD)]
    {
        let answer = site.log_in(email, password).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{email}");
        assert!(cookies_of(&answer).token.is_empty());
    }
    let form = site.post(V1).form(&[("email", CARLA), ("password", SEED_PASSWORD)]);
    assert_eq!(status_of(form).await, 415, "only JSON is taken");
    let more = site.post(V1).json(&json!({"email": CARLA, "password": SEED_PASSWORD, "remember": true}));
    assert_eq!(status_of(more).await, 400, "an unknown field");
    for email in ["twin@example.com", "atla@example.com"] {
        let answer = site.log_in(email, SEED_PASSWORD).await;
        assert!(answer.headers()[LOCATION].to_str().unwrap().starts_with("https://id.atlassian.com/login?"), "{email}");
    }
    site.jsm.add_atlassian_account_elsewhere(CHEN);
    assert_eq!(site.log_in(CHEN, SEED_PASSWORD).await.status(), StatusCode::FOUND);
}

#[tokio::test]
async fn a_captcha_comes_after_three_failures_and_for_everybody() {
    let site = Site::start().await;
    for _ in 0..3 {
        assert_eq!(site.log_in(CARLA, "wrong").await.status(), StatusCode::UNAUTHORIZED);
    }
    let answer = site.log_in(CARLA, SEED_PASSWORD).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert_eq!(json_of(answer).await["errorKey"], "CAPTCHA_REQUIRED");
    assert!(site.jsm.clear_captcha(CARLA));
    assert_eq!(site.log_in(CARLA, SEED_PASSWORD).await.status(), StatusCode::OK);
    site.jsm.switch(|switches| switches.captcha = Captcha::Always);
    assert_eq!(site.log_in(CHEN, SEED_PASSWORD).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_session_can_be_bound_to_the_user_agent_that_opened_it() {
    let site = Site::start().await;
    site.jsm.switch(|switches| switches.bound_to_user_agent = true);
    let cookies = site.session(CARLA).await;
    assert!(site.opens(&cookies).await);
    let elsewhere = site.get(&format!("{API}/request")).header(COOKIE, &cookies.line).header(USER_AGENT, "curl/8");
    assert_eq!(status_of(elsewhere).await, 401);
}

#[tokio::test]
async fn posts_from_elsewhere_are_refused() {
    let site = Site::start().await;
    let cookies = site.session(CARLA).await;
    let form = |call: RequestBuilder| call.header(COOKIE, &cookies.line).form(&[("summary", "x")]);
    let create = || form(site.post("/servicedesk/customer/portal/1/create/11"));
    assert_eq!(status_of(create()).await, 403, "neither token nor header");
    let no_check = || create().header("x-atlassian-token", "no-check");
    assert_eq!(status_of(no_check()).await, 302);
    assert_eq!(status_of(no_check().header(ORIGIN, "https://support.acme.example")).await, 302, "no browser");
    let browser = || no_check().header(USER_AGENT, BROWSER);
    assert_eq!(status_of(browser()).await, 403, "a browser always says where it comes from");
    assert_eq!(status_of(browser().header(ORIGIN, "https://support.acme.example")).await, 403);
    assert_eq!(status_of(browser().header(ORIGIN, &site.base)).await, 302);
    assert_eq!(status_of(browser().header(REFERER, site.url("/servicedesk/customer/portals"))).await, 302);
    assert_eq!(status_of(browser().header(REFERER, "https://evil.example/?https://acme")).await, 403);
    let comment = site.post(&format!("{API}/request/HELP-1/comment")).header(COOKIE, &cookies.line);
    let comment = comment.header(ORIGIN, "https://evil.example").json(&json!({"body": "x"}));
    assert_eq!(status_of(comment).await, 403, "from another site, without the header");
    let upload = reqwest::multipart::Form::new().part("file", reqwest::multipart::Part::text("x").file_name("x"));
    let upload =
        site.post(&format!("{API}/servicedesk/1/attachTemporaryFile")).header(COOKIE, &cookies.line).multipart(upload);
    assert_eq!(status_of(upload).await, 403, "an upload without X-Atlassian-Token");
}

#[tokio::test]
async fn a_mail_leads_to_a_password_once() {
    let site = Site::start().await;
    let sign_up = |email: &str| {
        let body = json!({"email": email, "secondaryEmail": ""});
        site.post("/rest/servicedesk/1/customer/pages/user/signup").json(&body)
    };
    assert_eq!(status_of(sign_up("new@example.com")).await, 403);
    site.jsm.switch(|switches| switches.public_sign_up = true);
    assert_eq!(status_of(sign_up("new@example.com")).await, 204);
    let mail = site.jsm.last_mail_to("new@example.com").unwrap();
    assert_eq!(mail.kind, MailKind::SignUp);
    assert!(mail.link.starts_with(&site.base));
    let page = site.client.get(&mail.link).send().await.unwrap();
    let cookies = cookies_of(&page);
    assert!(cookies.xsrf.ends_with("_lout"));
    let choose = |password: &str| {
        let form = [("password", password), ("atl_token", &cookies.xsrf)];
        site.client.post(&mail.link).header(COOKIE, &cookies.line).form(&form)
    };
    assert_eq!(status_of(choose("short")).await, 400);
    let answer = choose("a good password").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::FOUND);
    assert!(site.opens(&cookies_of(&answer)).await);
    assert_eq!(status_of(choose("another password")).await, 410, "the link was used");
    assert_eq!(site.log_in("new@example.com", "a good password").await.status(), StatusCode::OK);

    let forgot = |email: &str| {
        site.post("/rest/servicedesk/1/customer/pages/user/forgot-password").json(&json!({"email": email}))
    };
    assert_eq!(status_of(forgot("nobody@example.com")).await, 204, "nothing is told");
    assert_eq!(status_of(forgot(CARLA)).await, 204);
    assert!(site.jsm.last_mail_to("nobody@example.com").is_none());
    assert_eq!(site.jsm.last_mail_to(CARLA).unwrap().kind, MailKind::PasswordReset);
}

#[tokio::test]
async fn bad_days_come_on_order() {
    let site = Site::start().await;
    site.jsm.set_faults(vec![Fault::times(V1, 1, FaultKind::HtmlInPlaceOfJson)]);
    let answer = site.log_in(CARLA, SEED_PASSWORD).await;
    assert_eq!((answer.status(), cookies_of(&answer).token), (StatusCode::OK, String::new()));
    site.jsm.set_faults(vec![
        Fault::times(V1, 1, FaultKind::FirewallBlock),
        Fault::times("/", 1, FaultKind::FirewallChallenge),
    ]);
    let answer = site.log_in(CARLA, SEED_PASSWORD).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert_eq!(answer.headers()["server"], "CloudFront");
    let answer = site.get("/servicedesk/customer/portals").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::FOUND, "the challenge was used up by the same call");
    site.jsm.set_faults(vec![Fault::always("/rest", FaultKind::FirewallChallenge)]);
    let answer = site.get("/rest/api/3/serverInfo").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["x-amzn-waf-action"].to_str().unwrap()), (202, "challenge"));
    site.jsm.set_faults(vec![Fault::always("/rest", FaultKind::Status(503, Some(7)))]);
    assert_eq!(site.admin(Method::GET, "/info").send().await.unwrap().headers()["retry-after"], "7");
}
