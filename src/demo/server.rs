//! A small HTTP server for demo parts: HTTP/1.1 and HTTP/2, with or without TLS, on one address.
//!
//! Owns its sockets. Ends when told or dropped. Hands each connection's plain bytes to a [`Recorder`], if there is one.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tower_service::Service as _;

use super::recorder::{ConnectionTap, Recorder};

/// Longest TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a stopping server waits for exchanges that are under way.
const DRAIN: Duration = Duration::from_secs(5);

/// A response that carries this extension is not sent: the connection is closed instead (HTTP/2: the stream is reset).
#[derive(Clone, Copy, Debug)]
pub struct DropConnection;

/// A running server. Dropping it closes its connections at once.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    stopping: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Listens at `bind` (port 0: any free port) and serves `router`, inside the running tokio runtime. Handlers may
    /// ask for [`ConnectInfo<SocketAddr>`].
    ///
    /// # Errors
    /// When the address cannot be listened at.
    pub async fn start(
        router: Router,
        bind: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
        recorder: Option<Recorder>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(bind).await?;
        let addr = listener.local_addr()?;
        let (stopping, stop) = watch::channel(false);
        let shared = Shared { router, tls: tls.map(TlsAcceptor::from), recorder, stop };
        Ok(Self { addr, stopping, accepting: tokio::spawn(accept(listener, shared)) })
    }

    /// Where it listens, with the port it got.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Takes no more connections, lets exchanges under way finish for at most five seconds, and closes the rest.
    pub async fn stop(mut self) {
        let _ = self.stopping.send(true);
        let _ = timeout(DRAIN, &mut self.accepting).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort(); // drops the set of connections, which aborts each
    }
}

#[derive(Clone)]
struct Shared {
    router: Router,
    tls: Option<TlsAcceptor>,
    recorder: Option<Recorder>,
    stop: watch::Receiver<bool>,
}

async fn accept(listener: TcpListener, shared: Shared) {
    let mut connections = JoinSet::new();
    let mut stop = shared.stop.clone();
    loop {
        tokio::select! {
            () = told_to_stop(&mut stop) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => drop(connections.spawn(serve(stream, peer, shared.clone()))),
                // One failed accept (out of descriptors, an aborted handshake) is not the end of the server.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stopping| *stopping).await; // an error says that the server is gone, which is the same
}

async fn serve(stream: TcpStream, peer: SocketAddr, shared: Shared) {
    let _ = stream.set_nodelay(true);
    match &shared.tls {
        None => exchange(stream, peer, &shared).await,
        Some(acceptor) => {
            if let Ok(Ok(stream)) = timeout(HANDSHAKE, acceptor.accept(stream)).await {
                exchange(stream, peer, &shared).await;
            }
        }
    }
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, peer: SocketAddr, shared: &Shared) {
    match &shared.recorder {
        None => speak(stream, peer, None, shared).await,
        Some(recorder) => {
            let (tapped, tap) = recorder.tap(stream);
            speak(tapped, peer, Some(tap), shared).await;
        }
    }
}

async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    peer: SocketAddr,
    tap: Option<ConnectionTap>,
    shared: &Shared,
) {
    let service = hyper::service::service_fn(|request: Request<Incoming>| {
        let mut router = shared.router.clone();
        let mut request = match &tap {
            Some(tap) => tap.witness(request),
            None => request.map(Body::new),
        };
        request.extensions_mut().insert(ConnectInfo(peer));
        async move {
            let response: Response<Body> =
                router.call(request).await.unwrap_or_else(|never: Infallible| match never {});
            match response.extensions().get::<DropConnection>() {
                Some(_) => Err(Dropped),
                None => Ok(response),
            }
        }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let mut stop = shared.stop.clone();
    tokio::select! {
        _ = connection.as_mut() => return,
        () = told_to_stop(&mut stop) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await; // bounded by the server's end
}

#[derive(Debug)]
struct Dropped;

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is dropped on purpose")
    }
}

impl std::error::Error for Dropped {}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;
    use axum::routing::get;

    use super::*;
    use crate::clock::Timestamp;
    use crate::demo::certificates::DemoAuthority;

    fn local() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[tokio::test]
    async fn serves_both_http_versions_over_verified_tls() {
        let clock = crate::clock::Clock::System;
        let authority = DemoAuthority::generate(clock.now()).unwrap();
        let issued = authority.issue(&["localhost"]).unwrap();
        let router =
            Router::new().route("/", get(|request: Request<Body>| async move { format!("{:?}", request.version()) }));
        for (protocols, seen) in [(&["h2", "http/1.1"][..], "HTTP/2.0"), (&["http/1.1"][..], "HTTP/1.1")] {
            let tls = issued.server_config_speaking(protocols).unwrap();
            let server = Server::start(router.clone(), local(), Some(tls), None).await.unwrap();
            let client = reqwest::Client::builder()
                .no_proxy()
                .tls_built_in_root_certs(false)
                .add_root_certificate(reqwest::Certificate::from_pem(authority.certificate_pem().as_bytes()).unwrap())
                .resolve("localhost", server.addr())
                .build()
                .unwrap();
            let url = format!("https://localhost:{}/", server.addr().port());
            assert_eq!(client.get(url).send().await.unwrap().text().await.unwrap(), seen);
            server.stop().await;
        }
    }

    #[tokio::test]
    async fn refuses_a_client_that_trusts_another_authority() {
        let issued = DemoAuthority::generate(crate::clock::Clock::System.now()).unwrap().issue(&["127.0.0.1"]).unwrap();
        let other = DemoAuthority::generate(Timestamp::from_seconds(1_800_000_000)).unwrap();
        let tls = issued.server_config().unwrap();
        let server = Server::start(Router::new(), local(), Some(tls), None).await.unwrap();
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_built_in_root_certs(false)
            .add_root_certificate(reqwest::Certificate::from_pem(other.certificate_pem().as_bytes()).unwrap())
            .build()
            .unwrap();
        assert!(client.get(format!("https://{}/", server.addr())).send().await.is_err());
    }

    #[tokio::test]
    async fn a_response_marked_to_drop_closes_the_connection() {
        let router =
            Router::new().route("/", get(|| async { (axum::Extension(DropConnection), "never seen").into_response() }));
        let server = Server::start(router, local(), None, None).await.unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        assert!(client.get(format!("http://{}/", server.addr())).send().await.is_err());
    }

    #[tokio::test]
    async fn stopping_lets_an_exchange_finish_and_then_takes_no_more() {
        let (begun, waits) = tokio::sync::oneshot::channel::<()>();
        let (release, held) = tokio::sync::oneshot::channel::<()>();
        let once = Arc::new(std::sync::Mutex::new(Some((begun, held))));
        let router = Router::new().route(
            "/",
            get(move || async move {
                let (begun, held) = once.lock().unwrap().take().unwrap();
                begun.send(()).unwrap();
                held.await.unwrap();
                "done"
            }),
        );
        let server = Server::start(router, local(), None, None).await.unwrap();
        let url = format!("http://{}/", server.addr());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let asked = tokio::spawn({
            let (client, url) = (client.clone(), url.clone());
            async move { client.get(url).send().await.unwrap().text().await.unwrap() }
        });
        waits.await.unwrap();
        let stopped = tokio::spawn(server.stop());
        release.send(()).unwrap();
        assert_eq!(asked.await.unwrap(), "done");
        stopped.await.unwrap();
        assert!(client.get(url).send().await.is_err());
    }
}
