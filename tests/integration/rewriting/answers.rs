//! Header fields of answers.

use super::{Stage, field};
use crate::harness::set_cookies;

#[tokio::test(flavor = "multi_thread")]
async fn addresses_in_every_field_become_public() {
    let stage = Stage::new("").await;
    let origin = stage.gateway.origin();
    let authority = origin.strip_prefix("https://").unwrap();
    let (name, port) = stage.host().split_once(':').map(|(name, port)| (name.to_owned(), port.to_owned())).unwrap();
    let encoded = origin.replace(':', "%3A").replace('/', "%2F");
    for (field_name, sent, expected) in [
        (
            "location",
            "http://{host}/jira/login.jsp?os_destination=http%3A%2F%2F{name}%3A{port}%2Fx",
            "{origin}/jira/login.jsp?os_destination={encoded}%2Fx",
        ),
        ("location", "//{host}/x", "//{authority}/x"),
        ("location", "/login.jsp?os_destination=http://{host}/x", "/login.jsp?os_destination={origin}/x"),
        ("content-location", "http://{host}/x.json", "{origin}/x.json"),
        ("refresh", "5; url=http://{host}/next", "5; url={origin}/next"),
        (
            "link",
            "<http://{host}/a.css>; rel=preload, <http://{host}/b.js>; rel=preload",
            "<{origin}/a.css>; rel=preload, <{origin}/b.js>; rel=preload",
        ),
        ("access-control-allow-origin", "http://{host}", "{origin}"),
        ("timing-allow-origin", "http://{host}", "{origin}"),
        (
            "report-to",
            r#"{"endpoints":[{"url":"http:\/\/{host}\/r"}]}"#,
            r#"{"endpoints":[{"url":"https:\/\/{authority}\/r"}]}"#,
        ),
        ("reporting-endpoints", r#"main="http://{host}/r""#, r#"main="{origin}/r""#),
        ("nel", r#"{"report_to":"g","x":"http://{host}/"}"#, r#"{"report_to":"g","x":"{origin}/"}"#),
        ("permissions-policy", r#"geolocation=(self "http://{host}")"#, r#"geolocation=(self "{origin}")"#),
        ("x-frame-options", "ALLOW-FROM http://{host}/", "ALLOW-FROM {origin}/"),
        ("sourcemap", "http://{host}/a.map", "{origin}/a.map"),
        (
            "content-security-policy",
            "default-src 'self' http://{host} {host}; connect-src ws://{host}; report-uri http://{host}/r",
            "default-src 'self' {origin} {authority}; connect-src wss://{authority}; report-uri {origin}/r",
        ),
        (
            "content-security-policy-report-only",
            "frame-ancestors {name}:* http://{host}",
            "frame-ancestors localhost:* {origin}",
        ),
    ] {
        let sent = sent.replace("{name}", &name).replace("{port}", &port);
        stage.says(if field_name == "location" { 302 } else { 200 }, &format!("{field_name}: {sent}\r\n"), "");
        let expected =
            expected.replace("{origin}", &origin).replace("{authority}", authority).replace("{encoded}", &encoded);
        assert_eq!(field(&stage.get(&[]).await, field_name), Some(expected.as_str()), "{field_name}: {sent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_of_others_stay_as_they_are() {
    let stage = Stage::new("").await;
    for (name, value) in [
        ("location", "https://id.example/login?continue=http%3A%2F%2F{host}%2Fx"),
        ("location", "//id.example/?u=http://{host}/"),
        ("location", "http://{host}0/x"),
        ("location", "http://{host}.evil.test/x"),
        ("location", "http://{host}@evil.test/x"),
        ("link", "<https://cdn.example/a.css>; rel=preload"),
        ("access-control-allow-origin", "http://{host}1"),
        ("content-security-policy", "script-src {host}0 x.{host} *"),
    ] {
        stage.says(if name == "location" { 302 } else { 200 }, &format!("{name}: {value}\r\n"), "");
        let answer = stage.get(&[]).await;
        assert_eq!(field(&answer, name), Some(value.replace("{host}", &stage.host()).as_str()), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_are_for_the_public_host() {
    let stage = Stage::new("").await;
    stage.says(
        200,
        "Set-Cookie: atlassian.xsrf.token=t; Domain=127.0.0.1; Path=/jira; SameSite=None\r\n\
         Set-Cookie: plain=1\r\n\
         Set-Cookie: __Secure-a=b; Path=/; Secure; HttpOnly; SameSite=Strict; Partitioned\r\n\
         Set-Cookie: __Host-vestibule=fixed; Path=/; Secure\r\n",
        "",
    );
    assert_eq!(
        set_cookies(&stage.get(&[]).await),
        [
            "atlassian.xsrf.token=t; Path=/jira; SameSite=None; Secure",
            "plain=1; Secure",
            "__Secure-a=b; Path=/; Secure; HttpOnly; SameSite=Strict; Partitioned",
        ]
    );
}

/// A line break that the upstream has in an address, encoded or not, makes no second field.
#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_field_is_one_field() {
    let stage = Stage::new("").await;
    stage.says(302, "Location: http://{host}/%0d%0aSet-Cookie:%20a=b?x=http%3A%2F%2F{host}%0d%0a\r\n", "");
    let answer = stage.get(&[]).await;
    assert!(answer.headers().get("set-cookie").is_none());
    assert!(
        field(&answer, "location")
            .unwrap()
            .starts_with(&format!("{}/%0d%0aSet-Cookie:%20a=b?x=", stage.gateway.origin()))
    );
}
