//! HTTP/2 frames by hand, for what no client library would send (RFC 9113; HPACK without indexing or Huffman coding).

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::harness::TestGateway;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// An answer with this status.
    Status(u16),
    /// The stream was reset with this code.
    Reset(u32),
    /// The connection was given up with this code.
    GoAway(u32),
    /// The connection was closed without a word.
    Closed,
}

/// A frame as it came.
pub struct Frame {
    pub kind: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// A connection that sends any frame.
pub struct Frames {
    pub stream: TlsStream<TcpStream>,
}

impl Frames {
    /// Connects, and says hello as a client does.
    pub async fn open(gateway: &TestGateway) -> Self {
        let mut frames = Self { stream: gateway.tls(&[b"h2"]).await };
        frames.bytes(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        frames.send(SETTINGS, 0, 0, &[]).await;
        frames
    }

    pub async fn bytes(&mut self, bytes: &[u8]) -> bool {
        let writing = async { self.stream.write_all(bytes).await.is_ok() && self.stream.flush().await.is_ok() };
        tokio::time::timeout(Duration::from_secs(20), writing).await.unwrap_or(false)
    }

    /// `false` when the gateway takes no more.
    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.bytes(&frame(kind, flags, stream, payload)).await
    }

    /// The next frame; `None` when the connection is closed.
    pub async fn next(&mut self) -> Option<Frame> {
        let reading = async {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).ok()?];
            self.stream.read_exact(&mut payload).await.ok()?;
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            Some(Frame { kind: head[3], stream, payload })
        };
        tokio::time::timeout(Duration::from_secs(20), reading).await.expect("a frame, or the end of the connection")
    }

    /// How `stream` ends: the first that tells.
    pub async fn ended(&mut self, stream: u32) -> Ended {
        while let Some(frame) = self.next().await {
            match frame.kind {
                HEADERS if frame.stream == stream => return Ended::Status(status(&frame.payload)),
                RST_STREAM if frame.stream == stream => return Ended::Reset(number(&frame.payload, 0)),
                GOAWAY => return Ended::GoAway(number(&frame.payload, 4)),
                _ => {}
            }
        }
        Ended::Closed
    }
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A header block: each field literal, never indexed (RFC 7541, section 6.2.3).
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0x10);
        string(name.as_bytes(), &mut bytes);
        string(value.as_bytes(), &mut bytes);
    }
    bytes
}

pub fn string(text: &[u8], bytes: &mut Vec<u8>) {
    if text.len() < 127 {
        bytes.push(u8::try_from(text.len()).unwrap());
    } else {
        bytes.push(127);
        let mut rest = text.len() - 127;
        while rest >= 128 {
            bytes.push(u8::try_from(rest % 128).unwrap() | 128);
            rest /= 128;
        }
        bytes.push(u8::try_from(rest).unwrap());
    }
    bytes.extend_from_slice(text);
}

/// The status at the start of the first header block of a connection: indexed, or a literal with three digits.
pub fn status(block: &[u8]) -> u16 {
    let indexed = [200, 204, 206, 304, 400, 404, 500];
    match block {
        [first @ 0x88..=0x8e, ..] => indexed[usize::from(first - 0x88)],
        [0x48, length, rest @ ..] if length & 0x80 != 0 => digits(&rest[..usize::from(length & 0x7f)]),
        [0x48, length, rest @ ..] => std::str::from_utf8(&rest[..usize::from(*length)]).unwrap().parse().unwrap(),
        _ => panic!("no status: {block:02x?}"),
    }
}

/// Three digits in Huffman coding (RFC 7541, appendix B): 0 to 2 have five bits, the others six.
fn digits(bytes: &[u8]) -> u16 {
    let mut bits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| u16::from(byte >> at & 1)));
    let mut number = 0;
    for _ in 0..3 {
        let mut code = (0..5).fold(0, |code, _| code << 1 | bits.next().unwrap());
        if code > 2 {
            code = (code << 1 | bits.next().unwrap()) - 0b01_1001 + 3;
        }
        number = number * 10 + code;
    }
    number
}

fn number(payload: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(payload[at..at + 4].try_into().unwrap())
}
