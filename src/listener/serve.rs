//! Binds or takes over, accepts, shakes hands, and hands each connection to an application until told to stop.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use pingora::apps::{HttpServerApp, ReusedHttpStream, ServerApp};
use pingora::protocols::http::ServerSession;
use pingora::protocols::l4::stream::Stream as TcpConnection;
use pingora::protocols::{ALPN, GetSocketDigest, SocketDigest, Stream};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::Sleep;

use super::head_guard::{GuardedStream, HeadGuard};
use super::inherited::Inherited;
use super::patience::PatientStream;
use super::proxy_protocol;
use super::rules::{Rules, RulesInForce, includes};
use crate::clock;

/// Beyond the limit for heads, this much is still read, so that a head which is a little too large gets an answer
/// instead of a reset connection.
const HEAD_TOLERANCE: usize = 64 * 1024;

/// For how long Pingora waits for the next request on a connection. How long that may be is watched here, for all requests alike: Pingora forgets
/// with each request what it was told, and waits for ever then.
const FOR_EVER: Option<u64> = Some(0);

/// How long a connection without a request stays open after another process has taken the socket over: its peer may just
/// have sent one, and a closed connection would be the answer.
const LINGER: Duration = Duration::from_secs(2);

/// A socket could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct ListenFailed {
    /// Where.
    pub address: SocketAddr,
    /// Why.
    pub source: std::io::Error,
}

/// A bound socket that accepts nothing yet.
#[derive(Debug)]
pub struct Bound {
    socket: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Binds. Port 0 takes any free port.
    ///
    /// # Errors
    /// When the port is taken or not allowed.
    pub async fn bind(address: SocketAddr) -> Result<Self, ListenFailed> {
        let failed = |source| ListenFailed { address, source };
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { socket, address })
    }

    /// Takes the socket of that name and address that the process was given; binds, where there is none.
    ///
    /// # Errors
    /// As for [`Bound::bind`].
    pub async fn open(name: &str, address: SocketAddr, inherited: &mut Inherited) -> Result<Self, ListenFailed> {
        let Some(socket) = inherited.take(name, address) else { return Self::bind(address).await };
        let failed = |source| ListenFailed { address, source };
        socket.set_nonblocking(true).map_err(failed)?;
        let socket = TcpListener::from_std(socket).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { socket, address })
    }

    /// Where it is bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts to accept connections for `app`, and holds each to the `rules` in force when it comes.
    pub fn serve<A>(self, app: Arc<A>, rules: RulesInForce) -> Listening<A>
    where
        A: HttpServerApp + Send + Sync + 'static,
    {
        let (stop, stopped) = watch::channel(false);
        let (abandon, abandoned) = watch::channel(false);
        let most = rules.now().limits.connections;
        let connections = Arc::new(Semaphore::new(most));
        let edge = Arc::new(Edge { app: Arc::clone(&app), rules: rules.clone(), stopped: stopped.clone(), abandoned });
        let socket = Arc::new(self.socket);
        let accepting = tokio::spawn(accept(Arc::clone(&socket), edge, Arc::clone(&connections), stopped));
        Listening { address: self.address, socket, app, stop, abandon, accepting, connections, most, rules }
    }
}

/// A socket that accepts connections.
#[derive(Debug)]
pub struct Listening<A> {
    address: SocketAddr,
    socket: Arc<TcpListener>,
    app: Arc<A>,
    stop: watch::Sender<bool>,
    abandon: watch::Sender<bool>,
    accepting: JoinHandle<()>,
    connections: Arc<Semaphore>,
    /// Connections at once.
    most: usize,
    rules: RulesInForce,
}

impl<A: HttpServerApp + Send + Sync + 'static> Listening<A> {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops to accept, lets requests in flight finish within the drain limit, and says whether all did.
    pub async fn drain(self) -> bool {
        self.finish(true).await
    }

    /// The same after another process has taken the socket over. Each connection gets an answer to the request that it may
    /// have sent meanwhile, and is closed after it.
    pub async fn drain_handed_over(self) -> bool {
        self.finish(false).await
    }

    async fn finish(self, at_once: bool) -> bool {
        let Self { socket, app, stop, abandon, accepting, connections, most, rules, .. } = self;
        stop.send_replace(true);
        let _ = accepting.await;
        drop(socket);
        let limit = rules.now().limits.drain;
        let all = u32::try_from(most).unwrap_or(u32::MAX);
        let ended = async {
            if !at_once {
                let lingering = tokio::time::timeout(LINGER, connections.acquire_many(all));
                if let Ok(ended) = lingering.await {
                    return ended.is_ok();
                }
            }
            // With the door closed: whoever is sent away must not find it still open.
            abandon.send_replace(true);
            app.http_cleanup().await;
            connections.acquire_many(all).await.is_ok()
        };
        tokio::time::timeout(limit, ended).await.unwrap_or(false)
    }

    /// The socket once more, for another process.
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub fn socket(&self) -> std::io::Result<OwnedFd> {
        self.socket.as_fd().try_clone_to_owned()
    }
}

/// What every connection of a socket shares.
struct Edge<A> {
    app: Arc<A>,
    rules: RulesInForce,
    /// Nothing new from now on.
    stopped: watch::Receiver<bool>,
    /// Nobody is waited for who has not begun a request.
    abandoned: watch::Receiver<bool>,
}

async fn accept<A>(
    socket: Arc<TcpListener>,
    edge: Arc<Edge<A>>,
    connections: Arc<Semaphore>,
    mut stopped: watch::Receiver<bool>,
) where
    A: HttpServerApp + Send + Sync + 'static,
{
    loop {
        let accepted = async {
            let permit = Arc::clone(&connections).acquire_owned().await.ok();
            (permit, socket.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            accepted = accepted => accepted,
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((_, peer)) if !edge.rules.now().peers.include(peer) => {
                tracing::debug!(%peer, "a connection to listen.behind_tls_proxy from outside listen.trusted_proxies was closed");
            }
            Ok((connection, peer)) => {
                let edge = Arc::clone(&edge);
                tokio::spawn(async move {
                    let _permit = permit;
                    edge.serve(connection, peer).await;
                });
            }
            Err(error) => {
                // Out of file descriptors: accepting again at once would spin.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

impl<A: HttpServerApp + Send + Sync + 'static> Edge<A> {
    async fn serve(&self, mut connection: TcpStream, peer: SocketAddr) {
        let rules = self.rules.now();
        let Some(peer) = self.visitor(&mut connection, peer, &rules).await else { return };
        let Some(stream) = self.handshake(connection, peer, &rules).await else { return };
        if matches!(stream.selected_alpn_proto(), Some(ALPN::Custom(_))) {
            // A challenge of an authority (RFC 8737): the handshake was the answer, and nothing is said afterwards.
            let mut stream = stream;
            let _ = tokio::time::timeout(rules.limits.header_time, stream.shutdown()).await;
            return;
        }
        if matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
            let stream = GuardedStream::until_preface(stream, &rules.limits);
            self.app.process_new(Box::new(stream), &self.stopped).await;
        } else {
            self.serve_http1(stream, &rules).await;
        }
    }

    /// Whose connection it is: the peer's own, or that of whom a load balancer names. Nothing when it names nobody in time.
    async fn visitor(&self, connection: &mut TcpStream, peer: SocketAddr, rules: &Rules) -> Option<SocketAddr> {
        if !includes(&rules.proxies, peer) {
            return Some(peer);
        }
        let mut abandoned = self.abandoned.clone();
        let told = tokio::select! {
            told = tokio::time::timeout(rules.limits.header_time, proxy_protocol::read(connection)) => told,
            _ = abandoned.wait_for(|abandoned| *abandoned) => return None,
        };
        match told {
            Ok(Ok(visitor)) => Some(visitor.unwrap_or(peer)),
            Ok(Err(error)) => {
                tracing::warn!(%peer, %error, "a load balancer's connection was closed");
                None
            }
            Err(_) => {
                tracing::warn!(%peer, "a load balancer's connection was closed: its PROXY header took too long");
                None
            }
        }
    }

    /// The deadline covers the whole handshake, however slowly its bytes come (security case E3). A handshake carries no
    /// request yet: it does not hold up the end.
    async fn handshake(&self, connection: TcpStream, peer: SocketAddr, rules: &Rules) -> Option<Stream> {
        let _ = connection.set_nodelay(true);
        let digest = SocketDigest::from_raw_fd(connection.as_raw_fd());
        let _ = digest.peer_addr.set(Some(peer.into()));
        let mut connection = TcpConnection::from(connection);
        connection.set_socket_digest(digest);
        let connection = PatientStream::new(connection, rules.limits.idle_time);
        let Some(tls) = &rules.tls else { return Some(Box::new(connection)) };
        let mut abandoned = self.abandoned.clone();
        let shaken = tokio::select! {
            shaken = tokio::time::timeout(rules.limits.header_time, tls.handshake(connection)) => shaken,
            _ = abandoned.wait_for(|abandoned| *abandoned) => return None,
        };
        match shaken {
            Ok(Ok(stream)) => Some(Box::new(stream)),
            Ok(Err(error)) => {
                tracing::debug!(%peer, %error, "TLS handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!(%peer, "TLS handshake took too long");
                None
            }
        }
    }

    /// One request after the other on one connection, each head under guard.
    async fn serve_http1(&self, stream: Stream, rules: &Rules) {
        let guard = HeadGuard::new();
        let head_bytes = rules.limits.header_bytes.saturating_add(HEAD_TOLERANCE);
        let guarded = GuardedStream::new(stream, Arc::clone(&guard), &rules.limits, head_bytes);
        let mut session = ServerSession::new_http1(Box::new(guarded));
        session.set_keepalive(if *self.stopped.borrow() { None } else { FOR_EVER });
        // One for the connection: each is in a list that all connections share.
        let mut abandoned = self.abandoned.clone();
        let mut abandoned = pin!(async move {
            let _ = abandoned.wait_for(|abandoned| *abandoned).await;
        });
        let mut idle = pin!(tokio::time::sleep_until(clock::deadline(rules.limits.idle_time)));
        loop {
            let reused = self.serve_one(session, &guard, abandoned.as_mut(), idle.as_mut()).await;
            let Some((stream, settings)) = reused.map(|stream| stream.consume()) else { return };
            session = ServerSession::new_http1(stream);
            if let Some(settings) = settings {
                settings.apply_to_session(&mut session);
            }
            idle.as_mut().reset(clock::deadline(rules.limits.idle_time));
        }
    }

    /// Serves the next request, unless it is time to stop before any of it has come, or nothing has come for too long.
    async fn serve_one(
        &self,
        session: ServerSession,
        guard: &Arc<HeadGuard>,
        mut abandoned: Pin<&mut impl Future<Output = ()>>,
        mut idle: Pin<&mut Sleep>,
    ) -> Option<ReusedHttpStream> {
        guard.expect_head();
        // Either ends once, and this connection with it. What has begun is not held up by it.
        let nothing_came = poll_fn(|context| {
            let ends = guard.is_waiting()
                && (abandoned.as_mut().poll(context).is_ready() || idle.as_mut().poll(context).is_ready());
            if ends { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::select! {
            biased;
            reused = Arc::clone(guard).watch(self.app.process_new_http(session, &self.stopped)) => reused,
            () = nothing_came => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use http::Response;
    use http::header::CONTENT_LENGTH;
    use pingora::apps::http_app::ServeHttp;
    use tokio::io::{AsyncReadExt as _, DuplexStream};
    use tokio::sync::Notify;

    use super::super::head_guard::head_is_complete;
    use super::super::rules::Peers;
    use super::super::settings::EdgeLimits;
    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    const PATIENCE: Duration = Duration::from_secs(20);
    const IDLE_TIME: Duration = Duration::from_secs(3600);

    /// Answers when it is let, and tells that it was asked.
    struct Answers {
        asked: Notify,
        lets: Semaphore,
    }

    #[async_trait]
    impl ServeHttp for Answers {
        async fn response(&self, _: &mut ServerSession) -> Response<Vec<u8>> {
            head_is_complete();
            self.asked.notify_one();
            self.lets.acquire().await.unwrap().forget();
            Response::builder().header(CONTENT_LENGTH, 2).body(b"ok".to_vec()).unwrap()
        }
    }

    struct Door {
        edge: Arc<Edge<Answers>>,
        abandon: watch::Sender<bool>,
        _stop: watch::Sender<bool>,
    }

    impl Door {
        fn new(lets: usize) -> Self {
            let limits = EdgeLimits { idle_time: IDLE_TIME, ..EdgeLimits::default() };
            let rules = Rules { peers: Peers::Any, proxies: Vec::new(), tls: None, limits };
            let (stop, stopped) = watch::channel(false);
            let (abandon, abandoned) = watch::channel(false);
            let app = Arc::new(Answers { asked: Notify::new(), lets: Semaphore::new(lets) });
            let edge = Edge { app, rules: RulesInForce::new(rules), stopped, abandoned };
            Self { edge: Arc::new(edge), abandon, _stop: stop }
        }

        fn serve(&self, connection: DuplexStream) -> JoinHandle<()> {
            let edge = Arc::clone(&self.edge);
            tokio::spawn(async move { edge.serve_http1(Box::new(connection), &edge.rules.now()).await })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn e3_nobody_is_waited_for_longer_than_the_idle_time_before_any_request() {
        for requests in [0, 1, 3] {
            let door = Door::new(requests);
            let (mut visitor, connection) = tokio::io::duplex(1024);
            let serving = door.serve(connection);
            for _ in 0..requests {
                tokio::time::advance(IDLE_TIME - Duration::from_secs(1)).await;
                visitor.write_all(REQUEST).await.unwrap();
                is_answered(&mut visitor).await;
            }
            let since = clock::deadline(Duration::ZERO);
            serving.await.unwrap();
            assert_eq!(clock::deadline(Duration::ZERO).duration_since(since).as_secs(), IDLE_TIME.as_secs());
            assert_eq!(visitor.read(&mut [0; 1]).await.unwrap(), 0);
        }
    }

    async fn is_answered(visitor: &mut DuplexStream) {
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nok") {
            assert_ne!(visitor.read_buf(&mut answer).await.unwrap(), 0, "{}", String::from_utf8_lossy(&answer));
        }
    }

    async fn ends(serving: JoinHandle<()>, visitor: &mut DuplexStream) {
        tokio::time::timeout(PATIENCE, serving).await.expect("it is closed").unwrap();
        assert_eq!(visitor.read(&mut [0; 1]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn who_waits_without_a_request_is_not_waited_for() {
        for requests in [0, 1, 3] {
            let door = Door::new(requests);
            let (mut visitor, connection) = tokio::io::duplex(1024);
            let serving = door.serve(connection);
            for _ in 0..requests {
                visitor.write_all(REQUEST).await.unwrap();
                is_answered(&mut visitor).await;
            }
            door.abandon.send_replace(true);
            ends(serving, &mut visitor).await;
        }
    }

    #[tokio::test]
    async fn who_is_being_answered_gets_the_answer_and_no_other() {
        let door = Door::new(1);
        let (mut visitor, connection) = tokio::io::duplex(1024);
        let serving = door.serve(connection);
        visitor.write_all(REQUEST).await.unwrap();
        is_answered(&mut visitor).await;
        door.edge.app.asked.notified().await;
        visitor.write_all(REQUEST).await.unwrap();
        door.edge.app.asked.notified().await;
        door.abandon.send_replace(true);
        door.edge.app.lets.add_permits(1);
        is_answered(&mut visitor).await;
        ends(serving, &mut visitor).await;
    }

    #[tokio::test]
    async fn a_request_of_which_something_has_come_is_answered() {
        let door = Door::new(1);
        // There is room for one byte: when two are written, one was read.
        let (mut visitor, connection) = tokio::io::duplex(1);
        let serving = door.serve(connection);
        let (begun, rest) = REQUEST.split_at(2);
        visitor.write_all(begun).await.unwrap();
        door.abandon.send_replace(true);
        visitor.write_all(rest).await.unwrap();
        is_answered(&mut visitor).await;
        ends(serving, &mut visitor).await;
    }

    #[tokio::test]
    async fn after_the_end_a_connection_gets_one_answer_to_what_it_has_sent() {
        for sent in [false, true] {
            let door = Door::new(1);
            door.abandon.send_replace(true);
            let (mut visitor, connection) = tokio::io::duplex(1024);
            if sent {
                visitor.write_all(REQUEST).await.unwrap();
            }
            let serving = door.serve(connection);
            if sent {
                is_answered(&mut visitor).await;
            }
            ends(serving, &mut visitor).await;
        }
    }
}
