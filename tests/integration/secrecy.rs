//! What the log says about a sign-in, and what it keeps to itself.

use std::io;
use std::sync::{Arc, Mutex};

use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::harness::{Options, TestGateway, location, navigate, set_cookies};
use crate::recorder::{Answer, Recorder};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c9_no_secret_of_a_sign_in_is_logged() {
    let lines = Lines::default();
    let writer = lines.clone();
    let layer = tracing_subscriber::fmt::layer().json().with_writer(move || writer.clone());
    let filter = vestibule::telemetry::log::filter(tracing::Level::DEBUG);
    tracing_subscriber::registry().with(layer.with_filter(filter)).try_init().unwrap();

    let recorder = Recorder::start(Answer::default()).await;
    let gateway = TestGateway::start(Options::plain(recorder.address)).await;
    let client = gateway.client();
    let stopped = navigate(&client, &format!("{}/private/deep?confidential=question", gateway.origin())).await;
    let authorization = location(&stopped);
    let approved = client.get(format!("{authorization}&login_hint=ana")).send().await.unwrap();
    let callback = location(&approved);
    let returned = navigate(&client, &callback).await;
    assert_eq!(returned.status(), 303);
    assert_eq!(
        navigate(&client, &format!("{}/private/deep?confidential=question", gateway.origin())).await.status(),
        200
    );
    // Odd requests on the way out and in, whose text a library might quote.
    let cookies = [set_cookies(&stopped), set_cookies(&returned)].concat();
    let session = cookies.iter().find(|cookie| cookie.starts_with("__Host-vestibule=")).unwrap();
    let session = session.split(['=', ';']).nth(1).unwrap().to_owned();
    for head in [
        format!(
            "GET /private?confidential=question HTTP/1.1\r\nHost: localhost\r\nCookie: __Host-vestibule={session}\r\nBad Name: x\r\n\r\n"
        ),
        format!(
            "GET /private?confidential=question b HTTP/1.1\r\nHost: localhost\r\nCookie: __Host-vestibule={session}\r\n\r\n"
        ),
        format!(
            "POST /private?confidential=question HTTP/1.1\r\nHost: localhost\r\nCookie: __Host-vestibule={session}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
        ),
    ] {
        gateway.raw().await.status(head.as_bytes()).await;
    }
    // The provider says no, and the same answer comes twice.
    navigate(&client, &callback).await;
    let denied = callback.split('?').next().unwrap().to_owned()
        + "?error=access_denied&error_description=confidential&state=unknown-state";
    navigate(&client, &denied).await;

    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(text.lines().count() > 3 && text.contains("\"access\""), "the log is captured: {text}");
    let queries = [&authorization, &callback].map(|url| url::Url::parse(url).unwrap());
    let mut secrets: Vec<String> = queries
        .iter()
        .flat_map(|url| url.query_pairs().into_owned().collect::<Vec<_>>())
        .filter(|(name, _)| matches!(name.as_str(), "code" | "state" | "nonce" | "code_challenge"))
        .map(|(_, value)| value)
        .collect();
    secrets.extend(cookies.iter().map(|cookie| cookie.split(['=', ';']).nth(1).unwrap().to_owned()));
    secrets.extend(["confidential".to_owned(), "unknown-state".to_owned(), "code=".to_owned(), "eyJ".to_owned()]);
    assert!(secrets.iter().filter(|secret| secret.len() > 20).count() >= 5, "{secrets:?}");
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        let line = text.lines().find(|line| line.contains(secret.as_str()));
        assert_eq!(line, None, "{secret} is in the log");
    }
}
