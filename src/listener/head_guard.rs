//! A total deadline and a size limit for the head of each HTTP/1 request, and a deadline for the start of HTTP/2.
//!
//! Pingora limits the time of each read, so that one byte a minute would hold a connection for ever (security case
//! E3). [`GuardedStream`] stands between the socket and Pingora: from the first byte of a request until
//! [`head_is_complete`] is called by whoever reads the head, it counts bytes and time, and keeps the bytes: a head may have to be read once
//! more.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{SslDigest, TlsRef};
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest,
    UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf};
use tokio::time::Sleep;

use super::settings::EdgeLimits;
use crate::clock;

/// No byte of the next request has come yet.
const WAITING: u8 = 0;
/// The head is being read.
const HEAD: u8 = 1;
/// The head is complete, or HTTP/2 has begun.
const OPEN: u8 = 2;
/// The client's preface is being read (RFC 9113, section 3.4).
const PREFACE: u8 = 3;

/// How many bytes the preface of HTTP/2 has.
const PREFACE_BYTES: usize = 24;

/// Octets that are written together: the head of an answer and a small body.
const WRITTEN_TOGETHER: usize = 2 * 1024;

tokio::task_local! {
    /// The guard of the HTTP/1 connection that this task serves.
    static GUARD: Arc<HeadGuard>;
}

/// Where one connection is, and what the current request line looked like.
pub struct HeadGuard {
    state: AtomicU8,
    odd_line: AtomicBool,
    /// What has come of the head so far, and of what follows it. Nobody waits for it: one task has it.
    read: Mutex<BytesMut>,
}

impl HeadGuard {
    /// A guard that does nothing until [`Self::expect_head`].
    pub fn new() -> Arc<Self> {
        Arc::new(Self::at(OPEN))
    }

    fn at(state: u8) -> Self {
        Self { state: AtomicU8::new(state), odd_line: AtomicBool::new(false), read: Mutex::default() }
    }

    fn keep_read<T: Default>(&self, keep: impl FnOnce(&mut BytesMut) -> T) -> T {
        self.read.try_lock().map(|mut read| keep(&mut read)).unwrap_or_default()
    }

    /// Whether the connection waits for a request of which nothing has come yet.
    pub fn is_waiting(&self) -> bool {
        self.state.load(Ordering::Acquire) == WAITING
    }

    /// From the next byte on, count.
    pub fn expect_head(&self) {
        self.odd_line.store(false, Ordering::Release);
        self.state.store(WAITING, Ordering::Release);
    }

    /// Runs `serve` with this guard in reach of [`head_is_complete`].
    pub async fn watch<F: Future>(self: Arc<Self>, serve: F) -> F::Output {
        GUARD.scope(self, serve).await
    }
}

/// Without what was read: cookies and passwords are in it.
impl fmt::Debug for HeadGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeadGuard").field("state", &self.state).finish_non_exhaustive()
    }
}

/// Says that the head of the request that this task serves was read. Gives all that was: the head, and what has come with it.
/// Nothing for HTTP/2.
pub fn head_is_complete() -> BytesMut {
    let complete = |guard: &Arc<HeadGuard>| {
        guard.state.store(OPEN, Ordering::Release);
        guard.keep_read(std::mem::take)
    };
    GUARD.try_with(complete).unwrap_or_default()
}

/// Whether the request line had bytes that no request line has. Pingora escapes them before anybody else sees the line,
/// so that two parsers could disagree about where the target ends (RFC 9112, section 3).
pub fn request_line_was_odd() -> bool {
    GUARD.try_with(|guard| guard.odd_line.load(Ordering::Acquire)).unwrap_or(false)
}

/// Reads along until the request line ends.
#[derive(Debug, Default)]
struct RequestLine {
    ended: bool,
    spaces: u8,
}

impl RequestLine {
    /// Whether `bytes` go on as a request line may: two spaces, and visible ASCII besides.
    fn is_plain(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            match byte {
                _ if self.ended => break,
                b'\n' => self.ended = true,
                b' ' => self.spaces = self.spaces.saturating_add(1),
                b'\r' | 0x21..=0x7e => {}
                _ => return false,
            }
        }
        self.spaces <= 2
    }
}

/// A stream whose heads are limited.
pub struct GuardedStream {
    /// Head and body of a small answer leave in one piece. (Pingora's own buffers are for its own listeners.)
    inner: BufWriter<Stream>,
    guard: Arc<HeadGuard>,
    time: Duration,
    bytes: usize,
    counted: usize,
    line: RequestLine,
    deadline: Option<Pin<Box<Sleep>>>,
    flush: Flush,
    /// Whether something may have been written that has not left: it is here, or TLS has it.
    unflushed: bool,
    /// How long the end may take.
    patience: Duration,
}

/// When what was written leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flush {
    /// By HTTP/1: when whoever writes says so, or reads.
    AtOnce,
    /// By HTTP/2: when the tasks that are ready had their turn, at most one. Each answer wakes the task of the connection, which would send it by
    /// itself; those of other streams are often a moment away, and leave with it.
    AfterOthers {
        /// Whether they had it.
        waited: bool,
    },
}

impl GuardedStream {
    /// Limits heads on `inner` to `bytes` and to the time for heads from their first byte.
    pub fn new(inner: Stream, guard: Arc<HeadGuard>, limits: &EdgeLimits, bytes: usize) -> Self {
        let inner = BufWriter::with_capacity(WRITTEN_TOGETHER, inner);
        Self {
            inner,
            guard,
            time: limits.header_time,
            bytes,
            counted: 0,
            line: RequestLine::default(),
            deadline: None,
            flush: Flush::AtOnce,
            unflushed: false,
            patience: limits.idle_time,
        }
    }

    /// Limits the wait for the preface of HTTP/2 on `inner` to the time for heads from now. Pingora would wait for ever.
    pub fn until_preface(inner: Stream, limits: &EdgeLimits) -> Self {
        let guard = Arc::new(HeadGuard::at(PREFACE));
        let mut stream = Self::new(inner, guard, limits, usize::MAX);
        stream.deadline = Some(Box::pin(tokio::time::sleep_until(clock::deadline(limits.header_time))));
        stream.flush = Flush::AfterOthers { waited: false };
        stream
    }

    /// Most heads come whole with their first byte, and need no deadline: it begins when one has to be waited for.
    fn check_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let time = self.time;
        let begin = || Box::pin(tokio::time::sleep_until(clock::deadline(time)));
        match self.deadline.get_or_insert_with(begin).as_mut().poll(context) {
            Poll::Ready(()) => Err(io::Error::new(io::ErrorKind::TimedOut, "the request head took too long")),
            Poll::Pending => Ok(()),
        }
    }

    fn count(&mut self, read: &[u8]) -> io::Result<()> {
        if self.guard.state.load(Ordering::Acquire) == PREFACE {
            self.counted = self.counted.saturating_add(read.len());
            if self.counted >= PREFACE_BYTES {
                self.guard.state.store(OPEN, Ordering::Release);
            }
            return Ok(());
        }
        if self.guard.state.load(Ordering::Acquire) == WAITING && !read.is_empty() {
            self.guard.state.store(HEAD, Ordering::Release);
            self.counted = 0;
            self.line = RequestLine::default();
            self.guard.keep_read(|so_far| so_far.clear());
        }
        if !self.line.is_plain(read) {
            self.guard.odd_line.store(true, Ordering::Release);
        }
        self.counted = self.counted.saturating_add(read.len());
        if self.counted > self.bytes {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the request head is too large"));
        }
        self.guard.keep_read(|so_far| so_far.extend_from_slice(read));
        Ok(())
    }
}

impl AsyncRead for GuardedStream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        // Whoever reads has nothing to write at the moment: what waits has to go, such as the head of an event stream.
        if this.flush == Flush::AtOnce
            && this.unflushed
            && let Poll::Ready(flushed) = Pin::new(&mut this.inner).poll_flush(context)
        {
            flushed?;
            this.unflushed = false;
        }
        match this.guard.state.load(Ordering::Acquire) {
            OPEN => {
                this.deadline = None;
                return Pin::new(&mut this.inner).poll_read(context, buf);
            }
            // The deadline of the head before, when nothing was read behind that.
            WAITING => this.deadline = None,
            _ => this.check_time(context)?,
        }
        ready!(Pin::new(&mut this.inner).poll_read(context, buf))?;
        this.count(buf.filled().get(before..).unwrap_or_default())?;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for GuardedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.unflushed = true;
        Pin::new(&mut self.inner).poll_write(context, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let anything = !self.inner.buffer().is_empty();
        if let Flush::AfterOthers { waited } = &mut self.flush {
            *waited = anything && !*waited;
            if *waited {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        ready!(Pin::new(&mut self.inner).poll_flush(context))?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.unflushed = true;
        Pin::new(&mut self.inner).poll_write_vectored(context, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[async_trait]
impl Shutdown for GuardedStream {
    async fn shutdown(&mut self) {
        let deadline = clock::deadline(self.patience);
        let inner = &mut self.inner;
        let shutting = async {
            let _ = AsyncWriteExt::flush(inner).await;
            Shutdown::shutdown(inner.get_mut().as_mut()).await;
        };
        let _ = tokio::time::timeout_at(deadline, shutting).await;
    }
}

impl UniqueID for GuardedStream {
    fn id(&self) -> UniqueIDType {
        self.inner.get_ref().id()
    }
}

impl Ssl for GuardedStream {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.inner.get_ref().get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner.get_ref().get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.inner.get_ref().selected_alpn_proto()
    }
}

impl GetTimingDigest for GuardedStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.inner.get_ref().get_timing_digest()
    }
}

impl GetProxyDigest for GuardedStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.inner.get_ref().get_proxy_digest()
    }
}

impl GetSocketDigest for GuardedStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_ref().get_socket_digest()
    }
}

impl Peek for GuardedStream {}

impl fmt::Debug for GuardedStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedStream").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const LIMITS: EdgeLimits = EdgeLimits {
        header_bytes: 32 * 1024,
        header_count: 100,
        header_time: Duration::from_secs(10),
        idle_time: Duration::from_secs(60),
        connections: 1,
        drain: Duration::from_secs(30),
    };

    fn guarded(bytes: usize) -> (tokio::io::DuplexStream, GuardedStream, Arc<HeadGuard>) {
        let (client, server) = tokio::io::duplex(1024);
        let guard = HeadGuard::new();
        let stream = GuardedStream::new(Box::new(server), Arc::clone(&guard), &LIMITS, bytes);
        (client, stream, guard)
    }

    #[tokio::test]
    async fn head_and_small_body_leave_together_and_what_waits_leaves_when_reading() {
        let (mut client, mut stream, _guard) = guarded(1000);
        let mut read = [0; 100];
        stream.write_all(b"head ").await.unwrap();
        stream.write_all(b"body").await.unwrap();
        let nothing = futures_util::poll!(std::pin::pin!(client.read(&mut read)));
        assert!(nothing.is_pending());
        stream.flush().await.unwrap();
        assert_eq!(client.read(&mut read).await.unwrap(), 9);
        stream.write_all(b"head of an event stream").await.unwrap();
        let waiting = async { stream.read(&mut [0; 10]).await.unwrap() };
        let told = async { client.read(&mut read).await.unwrap() };
        tokio::select! {
            read = told => assert_eq!(read, 23),
            _ = waiting => panic!("nobody wrote"),
        }
    }

    #[tokio::test]
    async fn answers_of_http2_leave_when_those_that_are_ready_are_written() {
        let (mut client, server) = tokio::io::duplex(1024);
        let mut stream = GuardedStream::until_preface(Box::new(server), &LIMITS);
        client.write_all(&[b'x'; PREFACE_BYTES]).await.unwrap();
        stream.read_exact(&mut [0; PREFACE_BYTES]).await.unwrap();
        let mut read = [0; 100];
        for _ in 0..2 {
            stream.write_all(b"one ").await.unwrap();
            let woken = Arc::new(Woken::default());
            let waker = woken.clone().into();
            let mut context = Context::from_waker(&waker);
            assert!(Pin::new(&mut stream).poll_flush(&mut context).is_pending(), "the others have their turn");
            assert!(woken.0.swap(false, Ordering::Relaxed), "and then this has");
            // The task of the connection reads before it writes.
            assert!(Pin::new(&mut stream).poll_read(&mut context, &mut ReadBuf::new(&mut [0; 10])).is_pending());
            stream.write_all(b"other").await.unwrap();
            assert!(futures_util::poll!(std::pin::pin!(client.read(&mut read))).is_pending());
            assert!(Pin::new(&mut stream).poll_flush(&mut context).is_ready());
            assert_eq!(client.read(&mut read).await.unwrap(), 9);
            assert!(Pin::new(&mut stream).poll_flush(&mut context).is_ready(), "there is nothing to wait with");
        }
        stream.write_all(b"last").await.unwrap();
        Shutdown::shutdown(&mut stream).await;
        assert_eq!(client.read(&mut read).await.unwrap(), 4);
    }

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn what_was_read_of_a_head_is_given_once_with_what_came_behind_it() {
        let (mut client, mut stream, guard) = guarded(1000);
        let mut buf = [0; 64];
        for (parts, behind) in
            [(["GET /a HTTP/1.1\r\n", "A: b\r\n\r\nbo"], "dy"), (["", "GET /b HTTP/1.1\r\n\r\n"], "")]
        {
            guard.expect_head();
            for part in parts.iter().filter(|part| !part.is_empty()) {
                client.write_all(part.as_bytes()).await.unwrap();
                assert_eq!(stream.read(&mut buf).await.unwrap(), part.len());
            }
            let given = guard.clone().watch(async { (head_is_complete(), head_is_complete()) }).await;
            assert_eq!((&given.0[..], &given.1[..]), (parts.concat().as_bytes(), &b""[..]));
            client.write_all(behind.as_bytes()).await.unwrap();
            assert_eq!(stream.read(&mut buf[..behind.len()]).await.unwrap(), behind.len());
            assert!(guard.clone().watch(async { head_is_complete() }).await.is_empty(), "a body is nobody's to keep");
        }
        assert!(head_is_complete().is_empty(), "there is none by HTTP/2");
    }

    #[tokio::test(start_paused = true)]
    async fn e3_a_slow_head_ends_at_its_total_deadline() {
        let (mut client, mut stream, guard) = guarded(1000);
        guard.expect_head();
        let writer = tokio::spawn(async move {
            for _ in 0..100 {
                tokio::time::advance(Duration::from_secs(3)).await;
                if client.write_all(b"x").await.is_err() {
                    return;
                }
            }
        });
        let mut buf = [0; 1];
        let mut reads = 0;
        let error = loop {
            match stream.read(&mut buf).await {
                Ok(_) => reads += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!((1..=5).contains(&reads), "{reads}");
        writer.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_a_request_is_not_limited_here_and_neither_is_a_body() {
        let (mut client, mut stream, guard) = guarded(8);
        guard.expect_head();
        tokio::time::advance(Duration::from_secs(50)).await;
        let mut buf = [0; 64];
        for half in [b"he", b"ad"] {
            client.write_all(half).await.unwrap();
            assert_eq!(stream.read(&mut buf).await.unwrap(), 2);
        }
        guard.clone().watch(async { head_is_complete() }).await;
        tokio::time::advance(Duration::from_secs(50)).await;
        client.write_all(&[b'x'; 64]).await.unwrap();
        assert_eq!(stream.read(&mut buf).await.unwrap(), 64);
    }

    #[tokio::test(start_paused = true)]
    async fn e3_a_head_that_falls_silent_ends_at_its_deadline() {
        let (mut client, mut stream, guard) = guarded(8);
        for silent_after in [1, 2] {
            guard.expect_head();
            for _ in 0..silent_after {
                client.write_all(b"x").await.unwrap();
                assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 1);
            }
            let before = clock::deadline(Duration::ZERO);
            let error = stream.read(&mut [0; 1]).await.unwrap_err();
            let waited = clock::deadline(Duration::ZERO).duration_since(before);
            assert_eq!((error.kind(), waited.as_secs()), (io::ErrorKind::TimedOut, 10));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_of_one_head_is_not_that_of_the_next() {
        let (mut client, mut stream, guard) = guarded(8);
        let mut buf = [0; 64];
        for _ in 0..3 {
            guard.expect_head();
            tokio::time::advance(Duration::from_secs(50)).await;
            // The second read is the one that has a deadline.
            for half in [b"he", b"ad"] {
                client.write_all(half).await.unwrap();
                assert_eq!(stream.read(&mut buf).await.unwrap(), 2);
            }
            // A request that we answer ourselves: nothing is read behind its head.
            guard.clone().watch(async { head_is_complete() }).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn e3_an_end_that_nobody_takes_is_not_waited_for() {
        let (_client, mut stream, _guard) = guarded(1000);
        stream.write_all(&[b'x'; WRITTEN_TOGETHER]).await.unwrap();
        let since = clock::deadline(Duration::ZERO);
        Shutdown::shutdown(&mut stream).await;
        assert_eq!(clock::deadline(Duration::ZERO).duration_since(since), LIMITS.idle_time);
    }

    #[tokio::test(start_paused = true)]
    async fn e3_http2_has_to_begin_in_time() {
        for (bytes, begins) in [(23, false), (24, true)] {
            let (mut client, server) = tokio::io::duplex(1024);
            let mut stream = GuardedStream::until_preface(Box::new(server), &LIMITS);
            client.write_all(&vec![b'x'; bytes]).await.unwrap();
            assert_eq!(stream.read(&mut [0; 64]).await.unwrap(), bytes);
            let next = tokio::time::timeout(Duration::from_secs(50), stream.read(&mut [0; 64])).await;
            assert_eq!(next.is_err(), begins, "{next:?}");
        }
    }

    #[test]
    fn d10_odd_request_lines_are_noticed() {
        let plain = |chunks: &[&[u8]]| {
            let mut line = RequestLine::default();
            chunks.iter().all(|chunk| line.is_plain(chunk))
        };
        assert!(plain(&[b"GET /a HT", b"TP/1.1\r\nX: \xff a b c"]));
        assert!(!plain(&[b"GET /a b", b" HTTP/1.1\r\n"]));
        assert!(!plain(&[b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"]));
        assert!(!plain(&[b"GET /\xc3\xa4 HTTP/1.1\r\n"]));
        assert!(!plain(&[b"GET /a\tHTTP/1.1\r\n"]));
    }

    #[tokio::test]
    async fn e4_a_head_that_does_not_end_is_cut_off() {
        let (mut client, mut stream, guard) = guarded(8);
        guard.expect_head();
        client.write_all(&[b'x'; 9]).await.unwrap();
        let error = stream.read(&mut [0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
