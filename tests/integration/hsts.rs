//! `Strict-Transport-Security`: ours alone, on every answer of https, and on none of http.

use crate::harness::{Options, TestGateway, navigate};
use crate::recorder::{Answer, Recorder};

/// What every answer of `url` says of it.
async fn told(client: &reqwest::Client, url: &str) -> Vec<String> {
    let answer = navigate(client, url).await;
    let values = answer.headers().get_all("strict-transport-security").iter();
    values.map(|value| value.to_str().unwrap().to_owned()).collect()
}

/// A portal whose upstream speaks of itself, in front of which stands a gateway with this much more of `tls`.
async fn gateway(tls: &str) -> (TestGateway, Recorder) {
    let head =
        "HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=5; includeSubDomains\r\nContent-Length: 2\r\n\r\nok";
    let recorder = Recorder::start(Answer::new(move |_, _| head.as_bytes().to_vec())).await;
    let mut options = Options::plain(recorder.address);
    options.tls = tls.into();
    (TestGateway::start(options).await, recorder)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_https_says_what_the_setting_says_and_none_of_http_does() {
    let (gateway, _recorder) = gateway(", hsts: { max_age: 730d, include_subdomains: true, preload: true }").await;
    let (client, origin) = (gateway.client(), gateway.origin());
    let all = ["/public/x", "/private/x", "/denied/x", "/a%00", "/.vestibule/nothing", "/.vestibule/sign-out"];
    for path in all {
        let values = told(&client, &format!("{origin}{path}")).await;
        assert_eq!(values, ["max-age=63072000; includeSubDomains; preload"], "{path}");
    }
    let mut raw = gateway.raw().await;
    raw.send(b"GET / HTTP/1.1\r\nHost: elsewhere.test\r\n\r\n").await;
    let stranger = raw.answer().await.to_lowercase();
    assert!(stranger.starts_with("http/1.1 421 ") && stranger.contains("strict-transport-security"), "{stranger}");
    let plain = format!("http://localhost:{}/public/x", gateway.app.http_address().unwrap().port());
    assert!(told(&client, &plain).await.is_empty(), "a browser would not believe it (RFC 6797, section 7.2)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_the_upstream_changes_nothing() {
    let nobody = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
    let gateway = TestGateway::start(Options::plain(nobody)).await;
    let answer = navigate(&gateway.client(), &format!("{}/public/x", gateway.origin())).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["strict-transport-security"]),
        (502, &"max-age=31536000".parse().unwrap())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_setting_it_is_a_year_and_zero_takes_it_back() {
    let (by_default, _recorder) = gateway("").await;
    let url = format!("{}/public/x", by_default.origin());
    assert_eq!(told(&by_default.client(), &url).await, ["max-age=31536000"]);
    let (taken_back, _recorder) = gateway(", hsts: { max_age: 0s }").await;
    let url = format!("{}/public/x", taken_back.origin());
    assert_eq!(told(&taken_back.client(), &url).await, ["max-age=0"]);
}
