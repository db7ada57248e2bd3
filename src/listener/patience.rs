//! A deadline for peers that read nothing: what waits for them holds a connection, and memory.
//!
//! Pingora limits the time of bodies alone (security case E3), and TLS takes octets that the peer has no room for. So [`PatientStream`] stands
//! under TLS, next to the socket: what counts is that the peer takes something, whatever is said above.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use pingora::protocols::l4::stream::Stream as TcpConnection;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::clock;

/// A connection that ends when its peer takes nothing for too long.
pub struct PatientStream<S = TcpConnection> {
    inner: S,
    patience: Duration,
    /// When that is over, while something waits.
    gives_up: Option<Pin<Box<Sleep>>>,
}

impl<S> PatientStream<S> {
    /// Over `inner`, whose peer may take nothing for as long as `patience` while there is something for it.
    pub fn new(inner: S, patience: Duration) -> Self {
        Self { inner, patience, gives_up: None }
    }

    /// Whenever something was taken the time begins anew. (A full TCP socket says so when about a third of it is free again.) A flush says
    /// nothing: a socket has none.
    fn unless_nobody_reads(
        &mut self,
        written: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.gives_up = None;
            return written;
        }
        let patience = self.patience;
        let begin = || Box::pin(tokio::time::sleep_until(clock::deadline(patience)));
        ready!(self.gives_up.get_or_insert_with(begin).as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "nobody reads what was written")))
    }
}

impl PatientStream {
    /// Puts back what was read, to be read again.
    pub fn rewind(&mut self, octets: &[u8]) {
        self.inner.rewind(octets);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PatientStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PatientStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, buf);
        self.unless_nobody_reads(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, bufs);
        self.unless_nobody_reads(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[async_trait]
impl<S: Shutdown + Send> Shutdown for PatientStream<S> {
    async fn shutdown(&mut self) {
        self.inner.shutdown().await;
    }
}

impl<S: UniqueID> UniqueID for PatientStream<S> {
    fn id(&self) -> UniqueIDType {
        self.inner.id()
    }
}

impl<S> Ssl for PatientStream<S> {}

impl<S: GetTimingDigest> GetTimingDigest for PatientStream<S> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.inner.get_timing_digest()
    }
}

impl<S: GetProxyDigest> GetProxyDigest for PatientStream<S> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.inner.get_proxy_digest()
    }
}

impl<S: GetSocketDigest> GetSocketDigest for PatientStream<S> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_socket_digest()
    }
}

impl<S> Peek for PatientStream<S> {}

impl<S> fmt::Debug for PatientStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PatientStream").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn now() -> tokio::time::Instant {
        clock::deadline(Duration::ZERO)
    }

    #[tokio::test(start_paused = true)]
    async fn e3_who_reads_slowly_reads() {
        let (mut client, server) = tokio::io::duplex(1000);
        let mut stream = BufWriter::new(PatientStream::new(server, PATIENCE));
        let since = now();
        let writing = async {
            stream.write_all(&[b'x'; 1100]).await?;
            stream.flush().await
        };
        // One octet at a time, and one flush for all of them.
        let reading = async {
            for _ in 0..100 {
                tokio::time::advance(PATIENCE - Duration::from_secs(1)).await;
                client.read_exact(&mut [0; 1]).await.unwrap();
            }
        };
        assert!(tokio::join!(writing, reading).0.is_ok());
        assert!(now().duration_since(since) > PATIENCE * 90);
    }

    #[tokio::test(start_paused = true)]
    async fn e3_what_nobody_reads_is_given_up() {
        let (_client, server) = tokio::io::duplex(1000);
        let mut stream = PatientStream::new(server, PATIENCE);
        let since = now();
        assert_eq!(stream.write_all(&[b'x'; 1001]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(now().duration_since(since), PATIENCE);
        stream.flush().await.unwrap();
        let again = stream.write_all(b"x").await.unwrap_err();
        assert_eq!((again.kind(), now().duration_since(since)), (io::ErrorKind::TimedOut, PATIENCE));
    }

    /// As by HTTP/2 to somebody who takes nothing and pings: there is room for the answers in what stands above, TLS among it.
    #[tokio::test(start_paused = true)]
    async fn e3_what_is_taken_above_begins_no_new_time() {
        let (_client, server) = tokio::io::duplex(1000);
        let mut stream = BufWriter::with_capacity(64 * 1024, PatientStream::new(server, PATIENCE));
        stream.write_all(&[b'x'; 1000]).await.unwrap();
        stream.flush().await.unwrap();
        let since = now();
        let error = loop {
            stream.write_all(b"pong").await.unwrap();
            if let Ok(flushed) = tokio::time::timeout(Duration::from_secs(7), stream.flush()).await {
                break flushed.unwrap_err();
            }
        };
        assert_eq!((error.kind(), now().duration_since(since)), (io::ErrorKind::TimedOut, PATIENCE));
    }
}
