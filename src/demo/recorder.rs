//! Keeps what reached a demo server: every byte after TLS, and the requests that those bytes say, so that a test can
//! tell exactly what got through.
//!
//! HTTP/1.1 requests are read from the bytes themselves, so names keep their case, and headers their order and their
//! duplicates. HTTP/2 requests are taken from the decoded streams. Memory is bounded: the oldest goes first.

mod http1;
mod witness;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::Request;
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use self::http1::Reader;

/// Tells the connections of one recorder apart, in the order in which they were opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

/// A request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedRequest {
    /// The connection that it came on.
    pub connection: ConnectionId,
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
    /// The method as sent.
    pub method: String,
    /// The target as sent; for HTTP/2 the path and query.
    pub target: String,
    /// Headers in the order of arrival, with duplicates; for HTTP/2 the authority stands first, as `:authority`.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body so far, without transfer coding.
    pub body: Vec<u8>,
    /// Trailers, if any came.
    pub trailers: Vec<(String, Vec<u8>)>,
    /// Whether the end of the request has arrived.
    pub complete: bool,
}

impl RecordedRequest {
    /// Every value of the header of that name (in any case), in order; a value that is not UTF-8 is shown with
    /// replacement characters.
    pub fn header(&self, name: &str) -> Vec<String> {
        let named = self.headers.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        named.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// The path of the target, without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    fn cost(&self) -> usize {
        let fields =
            self.headers.iter().chain(&self.trailers).map(|(name, value)| name.len().saturating_add(value.len()));
        let named = self.method.len().saturating_add(self.target.len()).saturating_add(64);
        fields.fold(named.saturating_add(self.body.len()), usize::saturating_add)
    }
}

/// The handle: clones share one record.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
}

struct Shared {
    log: Mutex<Log>,
    changed: watch::Sender<u64>,
}

/// Requests are numbered; the number of the first kept one is `first`.
#[derive(Default)]
struct Log {
    capacity: usize,
    next_connection: u64,
    chunks: VecDeque<(ConnectionId, Bytes)>,
    chunk_bytes: usize,
    requests: VecDeque<RecordedRequest>,
    request_bytes: usize,
    first: u64,
    dropped: u64,
}

/// Which request of the record is being filled.
#[derive(Clone, Copy, Debug)]
struct RequestNumber(u64);

impl Default for Recorder {
    /// Keeps 16 MiB.
    fn default() -> Self {
        Self::keeping(16 * 1024 * 1024)
    }
}

impl Recorder {
    /// A recorder that keeps at most `capacity` raw bytes, and as many bytes of parsed requests.
    pub fn keeping(capacity: usize) -> Self {
        let log = Log { capacity, ..Log::default() };
        Self { shared: Arc::new(Shared { log: Mutex::new(log), changed: watch::channel(0).0 }) }
    }

    /// What has arrived, connection by connection, in the order in which they were opened.
    pub fn connections(&self) -> Vec<(ConnectionId, Vec<u8>)> {
        let mut found: Vec<(ConnectionId, Vec<u8>)> = Vec::new();
        for (id, bytes) in &self.log().chunks {
            match found.iter_mut().find(|(known, _)| known == id) {
                Some((_, so_far)) => so_far.extend_from_slice(bytes),
                None => found.push((*id, bytes.to_vec())),
            }
        }
        found.sort_by_key(|(id, _)| *id);
        found
    }

    /// Every byte of every connection, one after the other: for "this secret never arrived".
    pub fn bytes(&self) -> Vec<u8> {
        self.connections().into_iter().flat_map(|(_, bytes)| bytes).collect()
    }

    /// Whether these bytes arrived anywhere. HTTP/2 compresses its headers, so decoded requests are searched too.
    pub fn saw(&self, needle: &[u8]) -> bool {
        let within = |hay: &[u8]| memchr::memmem::find(hay, needle).is_some();
        self.connections().iter().any(|(_, bytes)| within(bytes))
            || self.requests().iter().any(|request| {
                let mut fields = request.headers.iter().chain(&request.trailers);
                within(request.target.as_bytes())
                    || within(&request.body)
                    || fields.any(|(name, value)| within(name.as_bytes()) || within(value))
            })
    }

    /// The requests in the order in which their heads arrived.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.log().requests.iter().cloned().collect()
    }

    /// How many chunks and requests had to go because the record was full.
    pub fn dropped(&self) -> u64 {
        self.log().dropped
    }

    /// Forgets what was kept so far.
    pub fn clear(&self) {
        let mut log = self.log();
        log.first = log.first.saturating_add(u64::try_from(log.requests.len()).unwrap_or(u64::MAX));
        log.requests.clear();
        log.chunks.clear();
        (log.chunk_bytes, log.request_bytes, log.dropped) = (0, 0, 0);
    }

    /// Waits until `found` gives something for the record: at once if it does already.
    pub async fn wait_for<T>(&self, mut found: impl FnMut(&Self) -> Option<T>) -> T {
        let mut changes = self.shared.changed.subscribe();
        loop {
            changes.borrow_and_update();
            if let Some(thing) = found(self) {
                return thing;
            }
            // The sender lives as long as `self`, so waiting cannot fail.
            let _ = changes.changed().await;
        }
    }

    /// Waits until a request that fits has arrived whole.
    pub async fn wait_for_request(&self, fits: impl Fn(&RecordedRequest) -> bool) -> RecordedRequest {
        self.wait_for(|record| record.requests().into_iter().find(|request| request.complete && fits(request))).await
    }

    /// Puts itself on a connection: the stream to read from in its stead, and the tap for decoded requests.
    pub(super) fn tap<S>(&self, stream: S) -> (Tapped<S>, ConnectionTap) {
        let id = {
            let mut log = self.log();
            log.next_connection = log.next_connection.saturating_add(1);
            ConnectionId(log.next_connection)
        };
        let tap = ConnectionTap { recorder: self.clone(), id };
        (Tapped { stream, tap: tap.clone(), reader: Reader::default() }, tap)
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.shared.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        self.shared.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn began(&self, request: RecordedRequest) -> RequestNumber {
        let number = self.log().push_request(request);
        self.tell();
        number
    }

    fn amend(&self, number: RequestNumber, change: impl FnOnce(&mut RecordedRequest)) {
        self.log().amend(number, change);
        self.tell();
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder(..)")
    }
}

impl Log {
    fn push_chunk(&mut self, id: ConnectionId, bytes: Bytes) {
        self.chunk_bytes = self.chunk_bytes.saturating_add(bytes.len());
        self.chunks.push_back((id, bytes));
        while self.chunk_bytes > self.capacity {
            let Some((_, oldest)) = self.chunks.pop_front() else { break };
            self.chunk_bytes = self.chunk_bytes.saturating_sub(oldest.len());
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    fn push_request(&mut self, request: RecordedRequest) -> RequestNumber {
        let number = self.first.saturating_add(u64::try_from(self.requests.len()).unwrap_or(u64::MAX));
        self.request_bytes = self.request_bytes.saturating_add(request.cost());
        self.requests.push_back(request);
        self.fit();
        RequestNumber(number)
    }

    /// Changes a request that is still kept.
    fn amend(&mut self, number: RequestNumber, change: impl FnOnce(&mut RecordedRequest)) {
        let Some(place) = number.0.checked_sub(self.first).and_then(|place| usize::try_from(place).ok()) else {
            return;
        };
        let Some(request) = self.requests.get_mut(place) else { return };
        let before = request.cost();
        change(request);
        self.request_bytes = self.request_bytes.saturating_sub(before).saturating_add(request.cost());
        self.fit();
    }

    fn fit(&mut self) {
        while self.request_bytes > self.capacity {
            let Some(oldest) = self.requests.pop_front() else { break };
            self.request_bytes = self.request_bytes.saturating_sub(oldest.cost());
            self.first = self.first.saturating_add(1);
            self.dropped = self.dropped.saturating_add(1);
        }
    }
}

/// Where one connection's requests are written down.
#[derive(Clone)]
pub(super) struct ConnectionTap {
    recorder: Recorder,
    id: ConnectionId,
}

impl ConnectionTap {
    /// Writes an HTTP/2 request down while the server reads it; HTTP/1.1 was written down from its bytes already.
    pub(super) fn witness(&self, request: Request<Incoming>) -> Request<Body> {
        witness::witness(self, request)
    }
}

/// A stream whose bytes are kept as they are read.
pub(super) struct Tapped<S> {
    stream: S,
    tap: ConnectionTap,
    reader: Reader,
}

impl<S: AsyncRead + Unpin> AsyncRead for Tapped<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let this = &mut *self;
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = read
            && let Some(fresh) = buf.filled().get(before..).filter(|fresh| !fresh.is_empty())
        {
            this.tap.recorder.log().push_chunk(this.tap.id, Bytes::copy_from_slice(fresh));
            this.reader.read(&this.tap, fresh);
            this.tap.recorder.tell();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tapped<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::Router;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;
    use crate::demo::certificates::DemoAuthority;
    use crate::demo::server::Server;

    async fn echo(recorder: &Recorder) -> Server {
        let router = Router::new().fallback(|body: Bytes| async move { body });
        Server::start(router, SocketAddr::from(([127, 0, 0, 1], 0)), None, Some(recorder.clone())).await.unwrap()
    }

    #[tokio::test]
    async fn keeps_http_1_byte_for_byte_and_reads_it() {
        let recorder = Recorder::default();
        let server = echo(&recorder).await;
        let sent: &[u8] =
            b"POST /a?b=%2f HTTP/1.1\r\nHOST: jsm.internal\r\nx-Two: 1\r\nCookie: a=b; c\r\nX-TWO:  2 \r\n\
            Content-Length: 5\r\n\r\nhello\
            PUT /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
            3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nX-Trail: end\r\n\r\n";
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        for part in sent.chunks(7) {
            stream.write_all(part).await.unwrap();
        }
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        let connections = recorder.connections();
        assert_eq!(connections.len(), 1);
        assert_eq!(connections[0].1, sent);
        let requests = recorder.requests();
        assert_eq!(requests.len(), 2);
        let field = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        assert_eq!((requests[0].method.as_str(), requests[0].target.as_str()), ("POST", "/a?b=%2f"));
        let headers =
            [("HOST", "jsm.internal"), ("x-Two", "1"), ("Cookie", "a=b; c"), ("X-TWO", "2"), ("Content-Length", "5")];
        assert_eq!(requests[0].headers, headers.map(|(name, value)| field(name, value)));
        assert_eq!(requests[0].header("x-two"), ["1", "2"]);
        assert_eq!((requests[0].body.as_slice(), requests[0].complete), (&b"hello"[..], true));
        assert_eq!((requests[1].body.as_slice(), requests[1].complete), (&b"abcde"[..], true));
        assert_eq!(requests[1].trailers, [field("X-Trail", "end")]);
        assert!(recorder.saw(b"X-Trail") && !recorder.saw(b"absent"));
    }

    #[tokio::test]
    async fn keeps_http_2_requests_as_decoded() {
        let authority = DemoAuthority::generate(crate::clock::Clock::System.now()).unwrap();
        let recorder = Recorder::default();
        let tls = authority.issue(&["localhost"]).unwrap().server_config().unwrap();
        let router = Router::new().fallback(|body: Bytes| async move { body });
        let bind = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::start(router, bind, Some(tls), Some(recorder.clone())).await.unwrap();
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_built_in_root_certs(false)
            .add_root_certificate(reqwest::Certificate::from_pem(authority.certificate_pem().as_bytes()).unwrap())
            .resolve("localhost", server.addr())
            .build()
            .unwrap();
        let url = format!("https://localhost:{}/up?x=1", server.addr().port());
        let mut request = client.post(&url).body("payload");
        for value in ["1", "2"] {
            request = request.header("x-two", value);
        }
        assert_eq!(request.send().await.unwrap().text().await.unwrap(), "payload");
        let seen = recorder.wait_for_request(|request| request.path() == "/up").await;
        assert_eq!((seen.version.as_str(), seen.target.as_str()), ("HTTP/2.0", "/up?x=1"));
        assert_eq!(seen.header(":authority"), [format!("localhost:{}", server.addr().port())]);
        assert_eq!((seen.header("x-two"), seen.body.as_slice()), (vec!["1".into(), "2".into()], &b"payload"[..]));
        assert!(recorder.saw(b"PRI * HTTP/2.0") && recorder.saw(b"payload") && !recorder.saw(b"absent"));
        assert_eq!(recorder.requests().len(), 1);
    }

    #[tokio::test]
    async fn waits_for_what_arrives_later() {
        let recorder = Recorder::default();
        let server = echo(&recorder).await;
        let waiting = tokio::spawn({
            let recorder = recorder.clone();
            async move { recorder.wait_for_request(|request| request.target == "/later").await.body }
        });
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        stream.write_all(b"POST /later HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n").await.unwrap();
        let open = recorder.wait_for(|record| record.requests().pop()).await;
        assert!(!open.complete);
        stream.write_all(b"ok").await.unwrap();
        assert_eq!(waiting.await.unwrap(), b"ok");
        recorder.clear();
        assert!(recorder.requests().is_empty() && recorder.bytes().is_empty());
    }

    #[tokio::test]
    async fn drops_the_oldest_when_full() {
        let recorder = Recorder::keeping(1000);
        let server = echo(&recorder).await;
        for number in 0..50 {
            let mut stream = TcpStream::connect(server.addr()).await.unwrap();
            let sent = format!("GET /{number} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            stream.write_all(sent.as_bytes()).await.unwrap();
            stream.read_to_end(&mut Vec::new()).await.unwrap();
        }
        assert!(recorder.dropped() > 0 && recorder.bytes().len() <= 1000);
        assert_eq!(recorder.requests().last().unwrap().target, "/49");
        assert!(recorder.requests().first().unwrap().target != "/0");
    }
}
