//! A69 to A72 at the live endpoint: whatever a stranger sends, nobody is signed out by it, and nobody is sent elsewhere.

use std::time::Duration;

use vestibule::clock::Clock;
use vestibule::saml::binding::post::PostForm;
use vestibule::saml::binding::{Direction, redirect};
use vestibule::saml::instant;
use vestibule::saml::logout::LogoutResponse;
use vestibule::saml::name_id::NameId;
use vestibule::saml::sign::sign;
use vestibule::saml::status::Status;

use super::world::{Carried, World, foreign_key};
use crate::harness::navigate;

#[tokio::test(flavor = "multi_thread")]
async fn a69_a_request_that_is_forged_or_for_somebody_else_ends_nothing() {
    let world = World::start("").await;
    let (gina, stranger) = (world.gateway.client(), world.gateway.client());
    world.sign_in(&gina).await;
    let good = world.request(&[]);
    let (key, other_key) = (world.key(), foreign_key());
    let at = |seconds: u64| instant::write(Clock::System.now().before(Duration::from_secs(seconds)));
    let with = |name: &'static str, value: String| world.address_of(&good.clone().attribute(name, value), key);
    let about =
        |name_id: &NameId| world.address_of(&world.request_about(name_id, &[], &world.provider.entity_id()), key);
    let elsewhere = format!("{}/.vestibule/saml/globex/acs", world.gateway.origin());
    // What is not proven, or not for us, is refused with a page and goes nowhere.
    for (what, address) in [
        ("unsigned", world.unsigned(&good)),
        ("signed by another key", world.address_of(&good, &other_key)),
        ("of another issuer", world.address_of(&world.request_about(&world.gina(), &[], "https://evil.example"), key)),
        ("for another address", with("Destination", elsewhere)),
        ("for an address that only looks like ours", with("Destination", world.slo() + "/")),
        ("of another version", with("Version", "1.1".into())),
        ("without an id", with("ID", String::new())),
        ("with the signature of another message", {
            let (ours, theirs) = (world.address_of(&good, key), world.address_of(&world.request(&[]), key));
            let cut =
                |address: &str| address.split_once("&Signature=").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
            format!("{}&Signature={}", cut(&ours).0, cut(&theirs).1)
        }),
    ] {
        let answer = navigate(&stranger, &address).await;
        assert_eq!(answer.status(), 400, "{what}");
        assert!(answer.headers().get("location").is_none(), "{what}");
        assert!(answer.text().await.unwrap().contains("Signing out could not be completed"), "{what}");
        assert!(world.is_signed_in(&gina).await, "{what}");
    }
    // What the provider did send to us is answered, and ends nothing nevertheless.
    for (what, address, status) in [
        ("of an hour ago", with("IssueInstant", at(3600)), "status:RequestDenied"),
        ("over", with("NotOnOrAfter", at(120)), "status:RequestDenied"),
        ("about nobody", about(&NameId { value: " ".into(), ..world.gina() }), "status:RequestDenied"),
        ("about somebody else", about(&NameId { value: "eve".into(), ..world.gina() }), "status:Success"),
        ("about a name of another format", about(&NameId { format: None, ..world.gina() }), "status:Success"),
        (
            "about a name at another portal",
            about(&NameId { sp_name_qualifier: Some("x".into()), ..world.gina() }),
            "status:Success",
        ),
        ("about another session", world.address_of(&world.request(&["_another".to_owned()]), key), "status:Success"),
    ] {
        let answer = navigate(&stranger, &address).await;
        let said = world.answer_of(&answer).unwrap_or_else(|| panic!("{what}: {answer:?}"));
        assert!(said.contains(status), "{what}: {said}");
        assert!(world.is_signed_in(&gina).await, "{what}");
    }
    assert!(world.answered_with_success(&world.send(&stranger, &good).await));
    assert!(!world.is_signed_in(&gina).await, "the honest one does");
}

#[tokio::test(flavor = "multi_thread")]
async fn a69_a_request_is_carried_out_once() {
    let world = World::start("").await;
    let (gina, stranger) = (world.gateway.client(), world.gateway.client());
    world.sign_in(&gina).await;
    let address = world.address_of(&world.request(&[]), world.key());
    assert!(world.answered_with_success(&navigate(&stranger, &address).await));
    assert!(!world.is_signed_in(&gina).await);
    // In another browser: in this one, a tab that comes a moment after another waits for it.
    let gina = world.gateway.client();
    world.sign_in(&gina).await;
    let again = navigate(&stranger, &address).await;
    assert!(world.answer_of(&again).unwrap().contains("status:RequestDenied"));
    assert!(world.is_signed_in(&gina).await, "the replay signs nobody out");
    assert!(world.counted("provider", "logout_replayed"), "{}", world.gateway.metrics());
}

#[tokio::test(flavor = "multi_thread")]
async fn a69_a_posted_request_is_vetted_like_a_response() {
    let world = World::start("").await;
    let (gina, stranger) = (world.gateway.client(), world.gateway.client());
    world.sign_in(&gina).await;
    let good = sign(world.request(&[]), world.key()).unwrap().to_xml();
    let evil = world.request(&[]).to_xml();
    let evil_open = evil.trim_end_matches("</samlp:LogoutRequest>");
    for (what, text) in [
        ("unsigned", evil.clone()),
        ("wrapped", format!("{evil_open}<samlp:Extensions>{good}</samlp:Extensions></samlp:LogoutRequest>")),
        ("changed", good.replacen("gina", "eve", 1)),
        ("by another key", sign(world.request(&[]), &foreign_key()).unwrap().to_xml()),
        ("with a DTD", format!("<!DOCTYPE x>{good}")),
    ] {
        let answer = post(&world, &stranger, &text).await;
        assert_eq!((answer.status().as_u16(), answer.headers().get("location")), (400, None), "{what}");
        assert!(world.is_signed_in(&gina).await, "{what}");
    }
    let answer = post(&world, &stranger, &good).await;
    assert!(world.answered_with_success(&answer));
    assert!(!world.is_signed_in(&gina).await);
}

async fn post(world: &World, client: &reqwest::Client, text: &str) -> reqwest::Response {
    use base64::Engine as _;
    let message = base64::engine::general_purpose::STANDARD.encode(text);
    let posted = client.post(world.slo()).header("origin", world.provider.address()).header("accept", "text/html");
    posted.form(&[("SAMLRequest", message.as_str()), ("RelayState", "//evil.test")]).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a70_an_answer_sends_nobody_elsewhere() {
    let world = World::start("").await;
    let client = world.gateway.client();
    world.sign_in(&client).await;
    let answer = |in_response_to: &str| {
        let response = LogoutResponse {
            id: "_answer",
            issue_instant: Clock::System.now(),
            destination: Some(&world.slo()),
            issuer: &world.provider.entity_id(),
            in_response_to,
            status: Status::SUCCESS,
        };
        response.to_element()
    };
    for relay_state in
        ["https://evil.test/", "//evil.test", "/\\evil.test", "javascript:alert(1)", "\r\nLocation: //evil.test"]
    {
        for key in [Some(world.key()), None] {
            let address =
                redirect::url(&world.slo(), Direction::Response, &answer("_unknown"), Some(relay_state), key).unwrap();
            let page = navigate(&client, &address).await;
            let to = page.headers().get("location").map(|to| to.to_str().unwrap().to_owned()).unwrap_or_default();
            assert!(!to.contains("evil") && !page.text().await.unwrap().contains("evil"), "{relay_state}: {to}");
            assert!(world.is_signed_in(&client).await, "{relay_state}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a71_an_image_of_another_site_signs_nobody_out() {
    let world = World::start("").await;
    let client = world.gateway.client();
    world.sign_in(&client).await;
    let image = async |address: &str, method: reqwest::Method| {
        let request =
            client.request(method, address).header("sec-fetch-dest", "image").header("sec-fetch-site", "cross-site");
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(image(&world.unsigned(&world.request(&[])), reqwest::Method::GET).await, 400);
    let bare = world.slo();
    assert_eq!(image(&bare, reqwest::Method::GET).await, 400);
    assert_eq!(image(&format!("{bare}?SAMLRequest="), reqwest::Method::GET).await, 400);
    // Not even a true message does anything by a method that only looks.
    let address = world.address_of(&world.request(&[]), world.key());
    for method in [reqwest::Method::HEAD, reqwest::Method::OPTIONS, reqwest::Method::PUT, reqwest::Method::DELETE] {
        assert!(image(&address, method.clone()).await >= 400, "{method}");
        assert!(world.is_signed_in(&client).await, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a72_the_query_is_read_in_one_way_only() {
    let world = World::start("").await;
    let (gina, stranger) = (world.gateway.client(), world.gateway.client());
    world.sign_in(&gina).await;
    let address = world.address_of(&world.request(&[]), world.key());
    let value = address.split("SAMLRequest=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let without = |name: &str| {
        let (path, query) = address.split_once('?').unwrap();
        let kept: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with(name)).collect();
        format!("{path}?{}", kept.join("&"))
    };
    for odd in [
        format!("{address}&SAMLRequest={value}"),
        format!("{address}&SAMLResponse={value}"),
        format!("{address}&SAMLRequest[]={value}"),
        format!("{address}&%53AMLRequest={value}"),
        format!("{address}&RelayState=other"),
        address.replace("RelayState=state", "RelayState=other"),
        address.replace("SAMLRequest=", "SAMLResponse="),
        without("SigAlg="),
        without("Signature="),
        without("RelayState="),
        address.replace("rsa-sha256", "rsa-sha1"),
        address.replace("rsa-sha256", "hmac-sha256"),
        address.replace('&', ";"),
    ] {
        assert_eq!(navigate(&stranger, &odd).await.status(), 400, "{odd}");
        assert!(world.is_signed_in(&gina).await, "{odd}");
    }
    // The order is free, and what is not of the binding does not matter.
    let (path, query) = address.split_once('?').unwrap();
    let mut parts: Vec<&str> = query.split('&').rev().collect();
    parts.insert(1, "tenant=a");
    assert!(world.answered_with_success(&navigate(&stranger, &format!("{path}?{}", parts.join("&"))).await));
    assert!(!world.is_signed_in(&gina).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a76_other_bodies_are_refused() {
    let world = World::start("").await;
    let client = world.gateway.client();
    world.sign_in(&client).await;
    let signed = sign(world.request(&[]), world.key()).unwrap();
    let form = PostForm::new(&world.slo(), Direction::Request, &signed, None);
    let encoded = reqwest::Url::parse_with_params("x:", form.fields()).unwrap().query().unwrap().to_owned();
    let (urlencoded, slo) = ("application/x-www-form-urlencoded", world.slo());
    for (what, url, content_type, body, status) in [
        ("JSON", slo.clone(), "application/json", encoded.clone(), 400),
        ("multipart", slo.clone(), "multipart/form-data; boundary=b", encoded.clone(), 400),
        ("in the address, too", format!("{slo}?{encoded}"), urlencoded, encoded.clone(), 400),
        ("two messages", slo.clone(), urlencoded, format!("{encoded}&SAMLResponse=x"), 400),
        ("too large", slo.clone(), urlencoded, format!("{encoded}&x={}", "x".repeat(200_000)), 413),
        ("another provider", slo.replace("globex", "acme"), urlencoded, encoded.clone(), 404),
        ("a provider that is none", slo.replace("globex", "nobody"), urlencoded, encoded.clone(), 404),
    ] {
        let answer = client.post(&url).header("content-type", content_type).body(body).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{what}");
        assert!(world.is_signed_in(&client).await, "{what}");
    }
    let fields = form.fields().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    world.carry(&world.gateway.client(), Carried::Form { action: slo, fields }).await;
    assert!(!world.is_signed_in(&client).await);
}
