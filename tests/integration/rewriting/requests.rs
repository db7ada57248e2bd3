//! What the upstream sees of a request.

use reqwest::Method;

use super::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn named_fields_of_queries_become_the_upstreams() {
    let stage = Stage::new("").await;
    stage.says(200, "", "");
    let origin = stage.gateway.origin();
    let (port, host) = (origin.rsplit_once(':').unwrap().1.to_owned(), stage.host());
    let own = host.replace(':', "%3A");
    for (sent, expected) in [
        (format!("clientBasePath={origin}/servicedesk&a=1"), format!("clientBasePath=http://{host}/servicedesk&a=1")),
        (
            format!("os_destination=https%3A%2F%2Flocalhost%3A{port}%2Fx"),
            format!("os_destination=http%3A%2F%2F{own}%2Fx"),
        ),
        (
            format!("continue=%2Flogin%3Fd%3Dhttps%253A%252F%252Flocalhost%253A{port}"),
            format!("continue=%2Flogin%3Fd%3Dhttp%253A%252F%252F{}", host.replace(':', "%253A")),
        ),
        (format!("q={origin}/x"), format!("q={origin}/x")),
        (format!("destination={origin}.evil.test/"), format!("destination={origin}.evil.test/")),
        ("destination=/x".to_owned(), "destination=/x".to_owned()),
    ] {
        stage.ask(Method::GET, &format!("/public/x?{sent}"), &[]).await;
        assert_eq!(stage.recorder.requests().last().unwrap().target(), format!("/public/x?{expected}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_write_reaches_the_upstream_as_they_wrote_it() {
    let stage = Stage::new("").await;
    stage.says(200, "", "");
    let (origin, host) = (stage.gateway.origin(), stage.host());
    let browser = stage.browser().await;
    for (content_type, sent, expected) in [
        (
            "application/json",
            format!(r#"{{"body":"see {origin}/x","options":{{"clientBasePath":"{origin}/servicedesk"}}}}"#),
            format!(r#"{{"body":"see {origin}/x","options":{{"clientBasePath":"http://{host}/servicedesk"}}}}"#),
        ),
        (
            "application/x-www-form-urlencoded; charset=UTF-8",
            format!("description={origin}/x&os_destination={origin}/y"),
            format!("description={origin}/x&os_destination=http://{host}/y"),
        ),
        ("text/plain", format!("destination={origin}"), format!("destination={origin}")),
        (
            "application/json; charset=utf-16",
            format!(r#"{{"continue":"{origin}"}}"#),
            format!(r#"{{"continue":"{origin}"}}"#),
        ),
    ] {
        let answer = stage.write(&browser, Method::POST, &[("content-type", content_type)], &sent).await;
        assert_eq!(answer.status(), 200);
        let request = stage.recorder.requests().pop().unwrap();
        assert_eq!(String::from_utf8(request.body.clone()).unwrap(), expected, "{content_type}");
        assert_eq!(request.all("origin"), [format!("http://{host}")]);
    }
    // No field is named: nothing is touched, and the length is known.
    let stage = Stage::new("    rewrite: { request_fields: [] }\n").await;
    stage.says(200, "", "");
    let sent = format!(r#"{{"continue":"{}"}}"#, stage.gateway.origin());
    stage.write(&stage.browser().await, Method::POST, &[("content-type", "application/json")], &sent).await;
    let request = stage.recorder.requests().pop().unwrap();
    assert_eq!(request.all("content-length"), [sent.len().to_string()]);
    assert_eq!(request.body, sent.into_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_of_a_request_is_the_upstream_itself() {
    let stage = Stage::new("").await;
    stage.says(200, "", "");
    let (origin, host) = (stage.gateway.origin(), stage.host());
    let referer = format!("{origin}/servicedesk/customer/portal/1?x={origin}");
    stage.ask(Method::GET, "/public/x", &[("referer", &referer), ("origin", &origin)]).await;
    let request = stage.recorder.requests().pop().unwrap();
    assert_eq!(request.all("origin"), [format!("http://{host}")]);
    assert_eq!(request.all("referer"), [format!("http://{host}/servicedesk/customer/portal/1?x={origin}")]);
    stage.ask(Method::GET, "/public/x", &[("referer", "https://elsewhere.test/")]).await;
    assert!(stage.recorder.requests().pop().unwrap().all("referer").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_is_asked_for_codings_that_both_sides_read() {
    let stage = Stage::new("").await;
    stage.says(200, "", "");
    for (sent, expected) in [
        (Some("gzip, deflate, br, zstd"), "gzip, br, zstd, deflate"),
        (Some("br;q=1.0, compress, gzip;q=0"), "br"),
        (Some("compress"), "identity"),
        (None, "identity"),
    ] {
        let fields: Vec<(&str, &str)> = sent.map(|value| ("accept-encoding", value)).into_iter().collect();
        stage.get(&fields).await;
        assert_eq!(stage.recorder.requests().pop().unwrap().all("accept-encoding"), [expected]);
    }
}
