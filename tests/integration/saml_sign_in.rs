//! Sign-in by SAML over the wire: the journey, the cookie, the assertion consumer service, and what it refuses.

mod provider;
mod trial;

use std::time::Duration;

use self::provider::{Provider, Sent};
use crate::harness::{Options, TestGateway, location, navigate, set_cookies};
use crate::recorder::{Answer, Recorder};

/// A gateway whose portal has the provider `globex`, by SAML; `more` are settings of that.
async fn start(more: &str) -> (TestGateway, Provider, Recorder) {
    start_with(more, "globex").await
}

async fn start_with(more: &str, providers: &'static str) -> (TestGateway, Provider, Recorder) {
    let recorder = Recorder::start(Answer::default()).await;
    let provider = Provider::new();
    let more_providers = format!(
        "  globex:\n    label: Globex\n    email_domains: [globex.com]\n    saml:\n      metadata: {}\n{more}",
        provider.metadata().display()
    );
    let admitted = if providers == "globex" { "globex.com" } else { "acme.com, globex.com" };
    let options = Options { providers, admitted, more_providers, ..Options::plain(recorder.address) };
    (TestGateway::start(options).await, provider, recorder)
}

/// Goes to a private page; gives what is sent to the provider.
async fn ask(gateway: &TestGateway, client: &reqwest::Client, path: &str) -> Sent {
    let stopped = navigate(client, &format!("{}{path}", gateway.origin())).await;
    assert_eq!(stopped.status(), 303, "{}", stopped.text().await.unwrap());
    Sent::by_redirect(&location(&stopped))
}

/// Posts a response as the provider's page has the browser do it.
async fn post(gateway: &TestGateway, client: &reqwest::Client, fields: &[(&str, &str)]) -> reqwest::Response {
    client
        .post(format!("{}/.vestibule/saml/globex/acs", gateway.origin()))
        .header("origin", "https://idp.example")
        .header("accept", "text/html")
        .header("sec-fetch-site", "cross-site")
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-dest", "document")
        .form(fields)
        .send()
        .await
        .unwrap()
}

async fn answer(gateway: &TestGateway, client: &reqwest::Client, response: &str, sent: &Sent) -> reqwest::Response {
    post(gateway, client, &[("SAMLResponse", response), ("RelayState", &sent.relay_state)]).await
}

fn session_of(response: &reqwest::Response) -> Option<String> {
    let cookies = set_cookies(response);
    let session = cookies.iter().find(|cookie| cookie.starts_with("__Host-vestibule="))?;
    Some(session.split(';').next()?.to_owned())
}

/// A page without what differs from answer to answer: its reference.
async fn page(response: reqwest::Response) -> String {
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    response.text().await.unwrap().replace(&id, "REFERENCE")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_signs_in_by_saml_uses_the_portal_and_signs_out() {
    let (gateway, provider, _recorder) = start("").await;
    let client = gateway.client();
    let stopped = navigate(&client, &format!("{}/private/7?tab=2", gateway.origin())).await;
    let cookies = set_cookies(&stopped);
    let sent = Sent::by_redirect(&location(&stopped));
    assert!(sent.destination.starts_with("https://idp.example/sso"));
    assert_eq!(sent.acs, format!("{}/.vestibule/saml/globex/acs", gateway.origin()));
    assert_eq!(sent.issuer, format!("{}/.vestibule/saml/globex/metadata", gateway.origin()));
    // C1: the one cookie for a SAML sign-in, and none of the others.
    assert_eq!(cookies.len(), 1, "{cookies:?}");
    for part in ["__Host-vestibule-posted-sign-in=", "Secure", "HttpOnly", "Path=/", "SameSite=None", "Max-Age=900"] {
        assert!(cookies[0].contains(part), "{cookies:?}");
    }
    let returned = answer(&gateway, &client, &provider.response(&sent, "cleo@globex.com"), &sent).await;
    assert_eq!((returned.status().as_u16(), location(&returned).as_str()), (303, "/private/7?tab=2"));
    assert_eq!(returned.headers()["cache-control"], "no-store");
    let session = set_cookies(&returned).into_iter().find(|cookie| cookie.starts_with("__Host-vestibule=")).unwrap();
    assert!(session.contains("SameSite=Lax") && session.contains("HttpOnly"), "{session}");
    let page = navigate(&client, &format!("{}/private/7?tab=2", gateway.origin())).await;
    assert_eq!(page.text().await.unwrap(), "1 /private/7?tab=2");
    assert!(gateway.metrics().contains(r#"vestibule_sign_ins_total{provider="globex",result="signed_in"} 1"#));
    let sign_out = format!("{}/.vestibule/sign-out", gateway.origin());
    assert_eq!(client.post(&sign_out).header("origin", gateway.origin()).send().await.unwrap().status(), 303);
    assert_eq!(navigate(&client, &format!("{}/private/7", gateway.origin())).await.status(), 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_by_saml_serves_all_portals_of_a_group() {
    let recorder = Recorder::start(Answer::default()).await;
    let provider = Provider::new();
    let mut options = Options { providers: "globex", admitted: "globex.com", ..Options::plain(recorder.address) };
    options.more_providers = format!(
        "  globex:\n    label: Globex\n    email_domains: [globex.com]\n    saml:\n      metadata: {}\n",
        provider.metadata().display()
    );
    // The home is `localhost`; the other portal is asked for first.
    options.portal.push_str(&format!(
        "    session_group: globex\n  - host: 127.0.0.1\n    upstream: \"http://{}\"\n    sign_in: {{ providers: [globex] }}\n    \
         customer_session: none\n    session_group: globex\n",
        recorder.address
    ));
    let gateway = TestGateway::start(options).await;
    let client = gateway.client();
    let other = gateway.origin().replace("localhost", "127.0.0.1");
    let stopped = navigate(&client, &format!("{other}/private?a=b")).await;
    let at_home = location(&stopped);
    assert!(at_home.starts_with(&format!("{}/.vestibule/group/", gateway.origin())), "{at_home}");
    let sent = Sent::by_redirect(&location(&navigate(&client, &at_home).await));
    let posted = answer(&gateway, &client, &provider.response(&sent, "gina@globex.com"), &sent).await;
    // What was posted by another site is not answered by a redirect to yet another one: a page leads on.
    assert_eq!(posted.status(), 200);
    let page = posted.text().await.unwrap();
    let on = page.split("content=\"0;url=").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let mut url = url::Url::parse(&on.replace("&#38;", "&")).unwrap();
    let arrived = loop {
        let answer = navigate(&client, url.as_str()).await;
        if !answer.status().is_redirection() {
            break answer;
        }
        url = url.join(&location(&answer)).unwrap();
    };
    assert_eq!((arrived.status().as_u16(), url.as_str()), (200, format!("{other}/private?a=b").as_str()));
    // The home serves them, too, and signing out at either ends both.
    assert_eq!(client.get(format!("{}/private", gateway.origin())).send().await.unwrap().status(), 200);
    let out = client.post(format!("{other}/.vestibule/sign-out")).header("origin", &other).send().await.unwrap();
    assert!(out.status().as_u16() < 400, "{}", out.status());
    for origin in [&other, &gateway.origin()] {
        assert_eq!(client.get(format!("{origin}/private")).send().await.unwrap().status(), 401, "{origin}");
    }
    // The response opens nothing a second time, wherever it is posted.
    let again = answer(&gateway, &gateway.client(), &provider.response(&sent, "gina@globex.com"), &sent).await;
    assert!(session_of(&again).is_none() && again.status().as_u16() >= 400, "{}", again.status());
}

/// The provider's answer comes by a form of another site, without the cookie by which the browser is known.
#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_was_kept_is_there_after_a_sign_in_by_saml() {
    let (gateway, provider, recorder) = start("").await;
    let client = gateway.client();
    let sent = ask(&gateway, &client, "/private").await;
    answer(&gateway, &client, &provider.response(&sent, "cleo@globex.com"), &sent).await;
    for session in gateway.app.sessions().list(10).await.unwrap().sessions {
        let hash = vestibule::session::Selector::Hash(session.hash);
        gateway.app.sessions().end_matching(&hash).await.unwrap();
    }
    let form = client.post(format!("{}/private/create", gateway.origin())).header("origin", gateway.origin());
    let kept = form.header("accept", "text/html").form(&[("summary", "kept")]).send().await.unwrap();
    let waits = location(&kept);
    let handle = waits.strip_prefix("/.vestibule/kept/").unwrap();
    let sent = ask(&gateway, &client, &format!("/.vestibule/sign-in?kept={handle}")).await;
    let returned = answer(&gateway, &client, &provider.response(&sent, "cleo@globex.com"), &sent).await;
    assert_eq!(location(&returned), waits);
    let page = navigate(&client, &format!("{}{waits}", gateway.origin())).await.text().await.unwrap();
    assert!(page.contains("Sending what you wrote"), "{page}");
    let again = format!("{}/private/create?.vestibule-kept={handle}", gateway.origin());
    let sent = client
        .post(again)
        .header("origin", gateway.origin())
        .header("content-type", "text/plain")
        .body("send=now")
        .send()
        .await
        .unwrap();
    assert_eq!(sent.status(), 200);
    assert_eq!(recorder.requests().iter().filter(|request| request.body == b"summary=kept").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_provider_by_saml_and_one_by_openid_connect_serve_one_portal() {
    let (gateway, provider, _recorder) = start_with("", "acme, globex").await;
    let client = gateway.client();
    let list = navigate(&client, &format!("{}/private", gateway.origin())).await.text().await.unwrap();
    let transaction = list.split(r#"name="transaction" value=""#).nth(1).unwrap().split('"').next().unwrap().to_owned();
    let choose = |name: &'static str| {
        let fields = [("transaction", transaction.clone()), ("provider", name.to_owned())];
        let request =
            client.post(format!("{}/.vestibule/sign-in", gateway.origin())).header("origin", gateway.origin());
        request.header("accept", "text/html").form(&fields).send()
    };
    let acme = choose("acme").await.unwrap();
    assert!(acme.text().await.unwrap().contains("response_type=code"));
    let globex = choose("globex").await.unwrap();
    assert_eq!(set_cookies(&globex).len(), 1);
    let globex = globex.text().await.unwrap();
    let there = globex.split("url=").nth(1).unwrap().split('"').next().unwrap().replace("&#38;", "&");
    let sent = Sent::by_redirect(&there);
    let returned = answer(&gateway, &client, &provider.response(&sent, "cleo@globex.com"), &sent).await;
    assert_eq!((returned.status().as_u16(), location(&returned).as_str()), (303, "/private"));
    // The OpenID provider has no assertion consumer service, the SAML provider no callback.
    let acs = client.post(format!("{}/.vestibule/saml/acme/acs", gateway.origin())).form(&[("SAMLResponse", "x")]);
    assert_eq!(acs.send().await.unwrap().status(), 404);
    let callback =
        navigate(&client, &format!("{}/.vestibule/oidc/globex/callback?code=x&state=y", gateway.origin())).await;
    assert_ne!(callback.status(), 200);
    assert!(session_of(&callback).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_by_form_leaves_from_a_page_that_may_do_nothing_else() {
    let (gateway, provider, _recorder) = start("      binding: post\n").await;
    let client = gateway.client();
    let page = navigate(&client, &format!("{}/private/x", gateway.origin())).await;
    assert_eq!(page.status(), 200);
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; ") && policy.contains("script-src 'sha256-"), "{policy}");
    assert_eq!(page.headers()["cache-control"], "no-store");
    let sent = Sent::by_form(&page.text().await.unwrap());
    assert_eq!(sent.destination, "https://idp.example/sso/post");
    let returned = answer(&gateway, &client, &provider.response(&sent, "cleo@globex.com"), &sent).await;
    assert_eq!((returned.status().as_u16(), location(&returned).as_str()), (303, "/private/x"));
}

#[tokio::test(flavor = "multi_thread")]
async fn c1_other_sites_may_post_to_the_assertion_consumer_service_alone() {
    let (gateway, provider, _recorder) = start("").await;
    let client = gateway.client();
    let sent = ask(&gateway, &client, "/private").await;
    let response = provider.response(&sent, "cleo@globex.com");
    let fields = [("SAMLResponse", response.as_str()), ("RelayState", sent.relay_state.as_str())];
    for (path, status) in [
        ("/.vestibule/saml/globex/acs/", 403),
        ("/.vestibule/saml/globex/ACS", 403),
        ("/.vestibule/saml/globex/acs%2f", 400),
        ("/.vestibule/saml/GLOBEX/acs", 403),
        ("/.VESTIBULE/saml/globex/acs", 403),
        ("/.vestibule/saml/acme/acs", 404),
        ("/.vestibule/saml/globex/metadata", 403),
        ("/.vestibule/sign-out", 403),
        ("/.vestibule/sign-in", 403),
    ] {
        let request = client.post(format!("{}{path}", gateway.origin())).header("origin", "https://idp.example");
        let refused = request.form(&fields).send().await.unwrap();
        assert_eq!(refused.status().as_u16(), status, "{path}");
        assert!(session_of(&refused).is_none(), "{path}");
    }
    // None of that has used the sign-in up.
    assert_eq!(answer(&gateway, &client, &response, &sent).await.status(), 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn a76_a78_the_form_is_posted_in_one_way_and_no_other() {
    let (gateway, provider, _recorder) = start("").await;
    let client = gateway.client();
    let acs = format!("{}/.vestibule/saml/globex/acs", gateway.origin());
    let sent = ask(&gateway, &client, "/private").await;
    let response = provider.response(&sent, "cleo@globex.com");
    let relay_state = sent.relay_state.as_str();
    let encoded =
        reqwest::Url::parse_with_params("x:", [("SAMLResponse", response.as_str()), ("RelayState", relay_state)]);
    let encoded = encoded.unwrap().query().unwrap().to_owned();
    let form = "application/x-www-form-urlencoded";
    let json = format!(r#"{{"SAMLResponse":"{response}","RelayState":"{relay_state}"}}"#);
    let multipart =
        format!("--b\r\nContent-Disposition: form-data; name=\"SAMLResponse\"\r\n\r\n{response}\r\n--b--\r\n");
    let rows: Vec<(&str, reqwest::RequestBuilder, u16)> = vec![
        ("GET with the fields in the address", client.get(format!("{acs}?{encoded}")), 404),
        (
            "A78: an artifact in the address",
            client.get(format!("{acs}?SAMLart=AAQAAMFbLinlXaCM&RelayState={relay_state}")),
            404,
        ),
        (
            "A78: an artifact in the form",
            client.post(&acs).form(&[("SAMLart", "AAQAAMFbLinlXaCM"), ("RelayState", relay_state)]),
            400,
        ),
        ("PUT", client.put(&acs).header("content-type", form).body(encoded.clone()), 404),
        ("JSON", client.post(&acs).header("content-type", "application/json").body(json), 400),
        ("multipart", client.post(&acs).header("content-type", "multipart/form-data; boundary=b").body(multipart), 400),
        ("plain text", client.post(&acs).header("content-type", "text/plain").body(encoded.clone()), 400),
        ("no content type", client.post(&acs).body(encoded.clone()), 400),
        (
            "in the address and in the body",
            client.post(format!("{acs}?{encoded}")).header("content-type", form).body(encoded.clone()),
            400,
        ),
        (
            "two responses",
            client.post(&acs).header("content-type", form).body(format!("{encoded}&SAMLResponse=x")),
            400,
        ),
        (
            "two RelayStates",
            client.post(&acs).header("content-type", form).body(format!("{encoded}&RelayState=x")),
            400,
        ),
        (
            "a request beside it",
            client.post(&acs).header("content-type", form).body(format!("{encoded}&SAMLRequest=x")),
            400,
        ),
        ("no response", client.post(&acs).form(&[("RelayState", relay_state)]), 400),
        ("an empty one", client.post(&acs).form(&[("SAMLResponse", ""), ("RelayState", relay_state)]), 400),
        ("nothing", client.post(&acs).header("content-type", form), 400),
        (
            "20 MB",
            client.post(&acs).header("content-type", form).body(format!("SAMLResponse={}", "A".repeat(20 << 20))),
            413,
        ),
    ];
    for (row, request, status) in rows {
        // A refused upload may be cut off before its end.
        match request.send().await {
            Ok(refused) => {
                assert_eq!(refused.status().as_u16(), status, "{row}");
                assert!(session_of(&refused).is_none(), "{row}");
            }
            Err(error) => assert!(status == 413, "{row}: {error}"),
        }
    }
    assert_eq!(answer(&gateway, &client, &response, &sent).await.status(), 303, "none of that has used it up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a40_whatever_the_reason_the_visitor_sees_one_page() {
    let (gateway, provider, _recorder) = start("").await;
    let other = Provider::new();
    let mut pages = std::collections::BTreeSet::new();
    type Make = fn(&Provider, &Provider, &Sent) -> String;
    let rows: [(&str, Make); 6] = [
        ("saml_not_base64", |_, _, _| "%%%".into()),
        ("saml_xml", |_, _, _| provider::base64("<!DOCTYPE a><a/>")),
        ("saml_signature_invalid", |_, other, sent| other.response(sent, "cleo@globex.com")),
        ("saml_in_response_to", |idp, _, sent| {
            idp.response(&Sent { id: "_another".into(), ..sent.clone() }, "cleo@globex.com")
        }),
        ("saml_audience", |idp, _, sent| {
            idp.response(&Sent { issuer: "https://evil.test".into(), ..sent.clone() }, "cleo@globex.com")
        }),
        ("saml_destination", |idp, _, sent| {
            idp.response(&Sent { acs: "https://evil.test/acs".into(), ..sent.clone() }, "cleo@globex.com")
        }),
    ];
    for (reason, make) in rows {
        let client = gateway.client();
        let sent = ask(&gateway, &client, "/private").await;
        let refused = answer(&gateway, &client, &make(&provider, &other, &sent), &sent).await;
        assert_eq!(refused.status(), 400, "{reason}");
        assert!(session_of(&refused).is_none(), "{reason}");
        pages.insert(page(refused).await);
        let counted = format!(r#"vestibule_sign_ins_total{{provider="globex",result="{reason}"}} 1"#);
        assert!(gateway.metrics().contains(&counted), "{reason}: {}", gateway.metrics());
    }
    assert_eq!(pages.len(), 1, "{pages:#?}");
    let page = pages.pop_first().unwrap();
    assert!(page.contains(r#"href="/.vestibule/sign-in""#) && !page.contains("saml"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a49_another_browsers_response_signs_nobody_in() {
    let (gateway, provider, _recorder) = start("").await;
    let (attacker, victim, stranger) = (gateway.client(), gateway.client(), gateway.client());
    let sent = ask(&gateway, &attacker, "/private").await;
    ask(&gateway, &victim, "/private").await;
    let response = provider.response(&sent, "mallory@globex.com");
    let to_victim = answer(&gateway, &victim, &response, &sent).await;
    assert!(session_of(&to_victim).is_none() && !location_or_page(to_victim).await.contains("/private"));
    let to_stranger = answer(&gateway, &stranger, &response, &sent).await;
    assert_eq!(to_stranger.status(), 400);
    assert!(session_of(&to_stranger).is_none());
    assert!(session_of(&answer(&gateway, &attacker, &response, &sent).await).is_some());
}

async fn location_or_page(response: reqwest::Response) -> String {
    match response.headers().get("location") {
        Some(location) => location.to_str().unwrap().to_owned(),
        None => response.text().await.unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a50_of_fifty_parallel_posts_one_opens_a_session() {
    let (gateway, provider, _recorder) = start("      allow_idp_initiated: dangerously_unasked\n").await;
    let client = gateway.client_builder().cookie_store(false).build().unwrap();
    let acs = format!("{}/.vestibule/saml/globex/acs", gateway.origin());
    let entity = format!("{}/.vestibule/saml/globex/metadata", gateway.origin());
    let response = provider.unasked(&acs, &entity, "cleo@globex.com");
    let fields = [("SAMLResponse", response.as_str()), ("RelayState", "https://evil.test/")];
    let posts = futures_util::future::join_all((0..50).map(|_| post(&gateway, &client, &fields))).await;
    let (opened, refused): (Vec<_>, Vec<_>) = posts.into_iter().partition(|answer| session_of(answer).is_some());
    assert_eq!((opened.len(), refused.len()), (1, 49));
    // S7: the provider's RelayState leads nowhere.
    assert_eq!(location(&opened[0]), "/");
    assert!(refused.iter().all(|answer| answer.status() == 400));
    assert!(gateway.metrics().contains(r#"vestibule_sign_ins_total{provider="globex",result="saml_replayed"} 49"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn c2_a_new_sign_in_by_saml_ends_the_session_before() {
    let (gateway, provider, _recorder) = start("").await;
    let client = gateway.client();
    let sent = ask(&gateway, &client, "/private").await;
    let before =
        session_of(&answer(&gateway, &client, &provider.response(&sent, "cleo@globex.com"), &sent).await).unwrap();
    let begun = navigate(&client, &format!("{}/.vestibule/sign-in", gateway.origin())).await;
    let sent = Sent::by_redirect(&location(&begun));
    // As browsers do it: the session's cookie does not come along with what another site posts.
    let posted = cookie_of(&begun);
    let bare = gateway.client_builder().cookie_store(false).build().unwrap();
    let request = bare.post(format!("{}/.vestibule/saml/globex/acs", gateway.origin())).header("cookie", posted);
    let response = provider.response(&sent, "cleo@globex.com");
    let fields = [("SAMLResponse", response.as_str()), ("RelayState", sent.relay_state.as_str())];
    let after = session_of(&request.form(&fields).send().await.unwrap()).unwrap();
    assert_ne!(before, after);
    let with = |cookie: &str| {
        let request = bare.get(format!("{}/private", gateway.origin())).header("cookie", cookie);
        request.header("accept", "application/json").send()
    };
    assert_eq!(with(&after).await.unwrap().status(), 200);
    assert_eq!(with(&before).await.unwrap().status(), 401);
}

fn cookie_of(response: &reqwest::Response) -> String {
    let cookies = set_cookies(response);
    let cookie = cookies.iter().find(|cookie| cookie.starts_with("__Host-vestibule-posted-sign-in=")).unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a54_the_session_ends_when_the_provider_says_so() {
    let clock = vestibule::clock::Clock::manual(vestibule::clock::Timestamp::from_seconds(1_800_000_000));
    let recorder = Recorder::start(Answer::default()).await;
    let provider = Provider::at(clock.clone());
    let more_providers = format!(
        "  globex:\n    email_domains: [globex.com]\n    saml: {{ metadata: {} }}\n",
        provider.metadata().display()
    );
    let plain = Options::plain(recorder.address);
    let (providers, admitted) = ("globex", "globex.com");
    let options = Options { providers, admitted, more_providers, clock: clock.clone(), ..plain };
    let gateway = TestGateway::start(options).await;
    let client = gateway.client();
    let sent = ask(&gateway, &client, "/private").await;
    let response = provider.response(&sent, "cleo@globex.com");
    assert_eq!(answer(&gateway, &client, &response, &sent).await.status(), 303);
    clock.advance(Duration::from_secs(899));
    assert_eq!(navigate(&client, &format!("{}/private", gateway.origin())).await.status(), 200);
    clock.advance(Duration::from_secs(1));
    assert_eq!(navigate(&client, &format!("{}/private", gateway.origin())).await.status(), 303);
}
