use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap as Headers, Response};
use axum::routing::get;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::*;

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn client() -> HttpClient {
    HttpClient::new(HttpClientSettings { roots: Roots::Only(Vec::new()), ..Default::default() }).unwrap()
}

fn url(address: SocketAddr, path: &str) -> Url {
    format!("http://{address}{path}").parse().unwrap()
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let router = Router::new()
        .route(
            "/",
            get(|| async { Response::builder().status(302).header("location", "/two").body(Body::empty()).unwrap() }),
        )
        .route("/two", get(|| async { "followed" }));
    let answer = client().send(Call::get(url(serve(router).await, "/"))).await.unwrap();
    assert_eq!((answer.status, &answer.headers["location"]), (StatusCode::FOUND, &HeaderValue::from_static("/two")));
}

#[tokio::test]
async fn cookies_are_told_and_not_kept() {
    let router = Router::new().route(
        "/",
        get(|headers: Headers| async move {
            let count = headers.get_all("cookie").iter().count();
            Response::builder()
                .header("set-cookie", "a=1; Path=/")
                .header("set-cookie", "b=2")
                .body(Body::from(count.to_string()))
                .unwrap()
        }),
    );
    let (client, to) = (client(), url(serve(router).await, "/"));
    for _ in 0..2 {
        let answer = client.send(Call::get(to.clone())).await.unwrap();
        assert_eq!(answer.set_cookies().collect::<Vec<_>>(), ["a=1; Path=/", "b=2"]);
        assert_eq!(answer.body, "0");
    }
}

#[tokio::test]
async fn b19_a_body_is_bounded_with_and_without_a_length() {
    let router = Router::new().route("/told", get(|| async { vec![b'x'; 50_001] })).route(
        "/untold",
        get(|| async {
            let endless = futures_util::stream::repeat_with(|| Ok::<_, io::Error>(Bytes::from_static(&[b'x'; 1000])));
            Body::from_stream(endless)
        }),
    );
    let address = serve(router).await;
    for path in ["/told", "/untold"] {
        let call = Call::get(url(address, path)).within(Duration::from_secs(20), 50_000);
        assert!(matches!(client().send(call).await, Err(CallFailed::TooLarge(50_000))), "{path}");
    }
    let call = Call::get(url(address, "/told")).within(Duration::from_secs(20), 50_001);
    assert_eq!(client().send(call).await.unwrap().body.len(), 50_001);
}

#[tokio::test]
async fn b19_a_compressed_answer_is_refused_unread() {
    let router = Router::new().route(
        "/",
        get(|| async { Response::builder().header("content-encoding", "gzip").body(Body::from("bomb")).unwrap() }),
    );
    let failed = client().send(Call::get(url(serve(router).await, "/"))).await;
    assert!(matches!(failed, Err(CallFailed::Compressed)));
}

#[tokio::test]
async fn b19_a_silent_server_is_left_after_the_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let call = Call::get(url(address, "/")).within(Duration::from_millis(50), 1000);
    assert!(matches!(client().send(call).await, Err(CallFailed::TimedOut(_))));
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let failed = client().send(Call::get(url(address, "/"))).await.unwrap_err();
    assert!(matches!(failed, CallFailed::Unreachable(_)) && failed.never_sent(), "{failed:?}");
}

#[tokio::test]
async fn not_http_is_broken() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"SSH-2.0-nonsense\r\n\r\n").await;
    });
    let failed = client().send(Call::get(url(address, "/"))).await.unwrap_err();
    assert!(matches!(failed, CallFailed::Broken(_)), "{failed:?}");
}

#[tokio::test]
async fn b19_tls_is_verified() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = certified.cert.der().clone();
    let key = rustls_pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let _ = stream.read(&mut [0; 1024]).await;
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await;
            });
        }
    });
    let trusting = HttpClient::new(HttpClientSettings { roots: Roots::Only(vec![certificate]), ..Default::default() });
    let trusting = trusting.unwrap();
    let (named, numbered) = (format!("https://localhost:{port}/"), format!("https://127.0.0.1:{port}/"));
    assert_eq!(trusting.send(Call::get(named.parse().unwrap())).await.unwrap().body, "ok");
    let wrong_name = trusting.send(Call::get(numbered.parse().unwrap())).await.unwrap_err();
    let unknown = client().send(Call::get(named.parse().unwrap())).await.unwrap_err();
    for failed in [wrong_name, unknown] {
        assert!(matches!(failed, CallFailed::Tls(_)), "{failed:?}");
    }
}

#[test]
fn b22_https_or_loopback_only() {
    for (text, expected) in [
        ("https://idp.example/token", true),
        ("http://127.0.0.1:8080/", true),
        ("http://[::1]:8080/", true),
        ("http://localhost/", true),
        ("http://idp.example/token", false),
        ("http://127.0.0.1.evil.test/", false),
        ("http://169.254.169.254/latest", false),
        ("https://user@idp.example/", false),
        ("ftp://idp.example/", false),
        ("file:///etc/hostname", false),
    ] {
        assert_eq!(allowed(&text.parse().unwrap()), expected, "{text}");
    }
}

#[test]
fn debug_hides_what_is_secret() {
    let call = Call::post("https://idp.example/token?code=s3cret".parse().unwrap(), "text/plain", "s3cret body")
        .authorized("Bearer s3cret");
    assert_eq!(format!("{call:?}"), "Call(POST https://idp.example/token, 11 bytes)");
    let mut headers = HeaderMap::new();
    headers.insert("set-cookie", HeaderValue::from_static("s3cret"));
    let answer = Answer { status: StatusCode::OK, headers, body: Bytes::from_static(b"s3cret") };
    assert_eq!(format!("{answer:?}"), "Answer(200, 6 bytes)");
}

#[tokio::test]
async fn a_client_of_one_server_goes_there_under_the_name_of_the_site() {
    let host = |headers: Headers| async move { headers["host"].to_str().unwrap().to_owned() };
    let address = serve(Router::new().route("/jira/status", get(host))).await;
    let of = |server| {
        let settings = HttpClientSettings { roots: Roots::Only(Vec::new()), one_server: server, ..Default::default() };
        HttpClient::new(settings).unwrap()
    };
    let there = of(Some(OneServer { address, tls: false }));
    for (site, named) in [
        ("http://localhost:9/jira/status", "localhost:9"),
        ("http://localhost/jira/status", "localhost"),
        // The site is known by https, and something on this machine speaks to it.
        ("https://jira.acme.internal:8443/jira/status", "jira.acme.internal:8443"),
    ] {
        let answer = there.send(Call::get(site.parse().unwrap())).await.unwrap();
        assert_eq!(answer.body, named);
    }
    let elsewhere = of(Some(OneServer { address: ([192, 0, 2, 1], 80).into(), tls: false }));
    for (client, site) in
        [(&elsewhere, "http://localhost/"), (&there, "http://user@localhost/"), (&there, "http://127.0.0.1:9/")]
    {
        let refused = client.send(Call::get(site.parse().unwrap())).await.unwrap_err();
        assert!(matches!(refused, CallFailed::NotAllowed), "{site}: {refused:?}");
    }
}
