//! Messages over a Unix socket: a length, then MessagePack with the names of fields, so that a later version can add some.

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

/// The longest message, in bytes. The longest that is sent is a piece of the store.
const LONGEST: usize = 512 * 1024 * 1024;
/// Sockets that go with one message at most.
const MOST_SOCKETS: usize = 16;
/// Messages that came and wait.
const WAITING: usize = 1024;

/// A message as it is sent: with its length before it. Wiped when dropped.
fn framed(message: &impl Serialize) -> io::Result<Zeroizing<Vec<u8>>> {
    let body = Zeroizing::new(rmp_serde::to_vec_named(message).map_err(io::Error::other)?);
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    let mut frame = Zeroizing::new(Vec::with_capacity(body.len().saturating_add(4)));
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&body);
    Ok(frame)
}

fn read<T: DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    rmp_serde::from_slice(body).map_err(io::Error::other)
}

fn room(length: [u8; 4]) -> io::Result<Zeroizing<Vec<u8>>> {
    let length = usize::try_from(u32::from_be_bytes(length)).map_err(io::Error::other)?;
    if length > LONGEST {
        return Err(io::Error::other("a message is too long"));
    }
    Ok(Zeroizing::new(vec![0; length]))
}

/// Sends a message, with sockets. Blocks.
pub(super) fn send_with(stream: &UnixStream, message: &impl Serialize, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
    let frame = framed(message)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_SOCKETS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !sockets.is_empty() && !control.push(SendAncillaryMessage::ScmRights(sockets)) {
        return Err(io::Error::other("too many sockets"));
    }
    let sent = sendmsg(stream.as_fd(), &[IoSlice::new(&frame)], &mut control, SendFlags::NOSIGNAL)?;
    let mut rest = stream;
    rest.write_all(frame.get(sent..).unwrap_or_default())
}

/// Receives a message, with the sockets that go with it; none of them is inherited by any further process. Blocks.
pub(super) fn receive_with<T: DeserializeOwned>(stream: &UnixStream) -> io::Result<(T, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_SOCKETS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut length = [0; 4];
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::WAITALL;
    let received = recvmsg(stream.as_fd(), &mut [IoSliceMut::new(&mut length)], &mut control, flags)?;
    let mut sockets = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = message {
            sockets.extend(passed);
        }
    }
    let mut rest = stream;
    rest.read_exact(length.get_mut(received.bytes..).unwrap_or_default())?;
    let mut body = room(length)?;
    rest.read_exact(&mut body)?;
    Ok((read(&body)?, sockets))
}

/// Messages to and from the other process, for as long as both live.
#[derive(Debug)]
pub(crate) struct Line<Out, In> {
    out: mpsc::UnboundedSender<Out>,
    coming: mpsc::Receiver<In>,
    writing: JoinHandle<()>,
}

impl<Out, In> Line<Out, In>
where
    Out: Serialize + Send + Sync + 'static,
    In: DeserializeOwned + Send + 'static,
{
    pub(super) fn over(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let (reader, writer) = tokio::net::UnixStream::from_std(stream)?.into_split();
        let (out, going) = mpsc::unbounded_channel();
        let (came, coming) = mpsc::channel(WAITING);
        tokio::spawn(receive(reader, came));
        Ok(Self { out, coming, writing: tokio::spawn(send(writer, going)) })
    }

    /// Sends. Where nobody listens any more, nothing happens: [`Line::next`] tells.
    pub fn send(&self, message: Out) {
        let _ = self.out.send(message);
    }

    /// The next message; `None` when the other process is gone. Nothing is lost when it is not waited for.
    pub async fn next(&mut self) -> Option<In> {
        self.coming.recv().await
    }

    /// Waits until everything is sent, and hangs up.
    pub async fn hang_up(self) {
        drop(self.out);
        let _ = self.writing.await;
    }
}

async fn send<Out: Serialize>(mut writer: OwnedWriteHalf, mut going: mpsc::UnboundedReceiver<Out>) {
    while let Some(message) = going.recv().await {
        let Ok(frame) = framed(&message) else { return };
        if writer.write_all(&frame).await.is_err() {
            return;
        }
    }
}

async fn receive<In: DeserializeOwned>(mut reader: OwnedReadHalf, came: mpsc::Sender<In>) {
    loop {
        let mut length = [0; 4];
        if reader.read_exact(&mut length).await.is_err() {
            return;
        }
        let Ok(mut body) = room(length) else { return };
        if reader.read_exact(&mut body).await.is_err() {
            return;
        }
        match read(&body) {
            Ok(message) => {
                if came.send(message).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::error!(%error, "the other process says what cannot be understood: it is heard no more");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn sockets_travel_with_a_message_and_no_further() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let sockets = [TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap()];
        let addresses = sockets.each_ref().map(|socket| socket.local_addr().unwrap());
        let long = "x".repeat(10_000);
        send_with(&ours, &long, &sockets.each_ref().map(|socket| socket.as_fd())).unwrap();
        drop(sockets);
        let (said, received) = receive_with::<String>(&theirs).unwrap();
        assert_eq!(said, long);
        for (socket, address) in received.into_iter().zip(addresses) {
            assert!(rustix::io::fcntl_getfd(&socket).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
            assert_eq!(TcpListener::from(socket).local_addr().unwrap(), address);
            std::net::TcpStream::connect(address).unwrap_err();
        }
        drop(ours);
        assert!(receive_with::<String>(&theirs).is_err());
    }

    #[tokio::test]
    async fn messages_come_in_order_and_the_end_is_told() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (line, mut other) = (Line::<String, u32>::over(ours).unwrap(), Line::<u32, String>::over(theirs).unwrap());
        for n in 0..100 {
            line.send(n.to_string());
        }
        line.hang_up().await;
        for n in 0..100 {
            assert_eq!(other.next().await, Some(n.to_string()));
        }
        assert_eq!(other.next().await, None);
    }

    #[tokio::test]
    async fn what_is_too_long_or_no_message_is_the_end() {
        for nonsense in [&[0xff; 8][..], &[0, 0, 0, 1, 0xc1]] {
            let (mut ours, theirs) = UnixStream::pair().unwrap();
            let mut line = Line::<String, String>::over(theirs).unwrap();
            ours.write_all(nonsense).unwrap();
            assert_eq!(line.next().await, None);
        }
    }
}
