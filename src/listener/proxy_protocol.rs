//! The PROXY protocol, versions 1 and 2: a load balancer says in front of a connection whose connection it passes on.
//! (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>)

use std::net::SocketAddr;

use ppp::{HeaderResult, v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The shortest header of version 1 is longer, and that of version 2 begins with a signature of this length.
const SIGNATURE: usize = 12;
/// What follows the signature of version 2: version, family and length.
const FIXED: usize = 16;
/// The longest header of version 1 (section 2.1).
const LONGEST_TEXT: usize = 107;
/// The longest content of version 2 that is read: addresses, and more about the connection, which is not looked at.
const LONGEST_CONTENT: usize = 4096;

/// There is no sound header in front of the connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoHeader {
    /// The connection ended, or failed.
    #[error("the connection ended before its PROXY header did: {0}")]
    Ended(#[from] std::io::Error),
    /// Something else comes first.
    #[error("it begins with no PROXY header")]
    Missing,
    /// It has one that is not sound.
    #[error("its PROXY header is malformed")]
    Malformed,
    /// It is about datagrams.
    #[error("its PROXY header is not about a TCP connection")]
    NotTcp,
}

/// Reads the header and not an octet more. `None` when the load balancer speaks for itself (`LOCAL`, such as a health
/// check) or does not know (`UNKNOWN`).
///
/// # Errors
/// When there is no sound header. What was read is gone.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<SocketAddr>, NoHeader> {
    let mut header = vec![0; SIGNATURE];
    stream.read_exact(&mut header).await?;
    if header == v2::PROTOCOL_PREFIX {
        read_binary(stream, &mut header).await?;
    } else if header.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) {
        while header.last() != Some(&b'\n') {
            if header.len() >= LONGEST_TEXT {
                return Err(NoHeader::Malformed);
            }
            header.push(stream.read_u8().await?);
        }
    } else {
        return Err(NoHeader::Missing);
    }
    source(&header)
}

async fn read_binary(stream: &mut (impl AsyncRead + Unpin), header: &mut Vec<u8>) -> Result<(), NoHeader> {
    let mut fixed = [0; FIXED - SIGNATURE];
    stream.read_exact(&mut fixed).await?;
    header.extend_from_slice(&fixed);
    let [_, _, high, low] = fixed;
    let content = usize::from(u16::from_be_bytes([high, low]));
    if content > LONGEST_CONTENT {
        return Err(NoHeader::Malformed);
    }
    header.resize(FIXED.saturating_add(content), 0);
    stream.read_exact(header.get_mut(FIXED..).unwrap_or_default()).await?;
    Ok(())
}

/// Whose connection a whole header says it is.
fn source(header: &[u8]) -> Result<Option<SocketAddr>, NoHeader> {
    match HeaderResult::parse(header) {
        HeaderResult::V1(Ok(header)) => Ok(match header.addresses {
            v1::Addresses::Unknown => None,
            v1::Addresses::Tcp4(told) => Some((told.source_address, told.source_port).into()),
            v1::Addresses::Tcp6(told) => Some((told.source_address, told.source_port).into()),
        }),
        HeaderResult::V2(Ok(header)) => match (header.command, header.protocol, header.addresses) {
            (v2::Command::Local, _, _) | (_, _, v2::Addresses::Unspecified | v2::Addresses::Unix(_)) => Ok(None),
            (_, v2::Protocol::Stream, v2::Addresses::IPv4(told)) => {
                Ok(Some((told.source_address, told.source_port).into()))
            }
            (_, v2::Protocol::Stream, v2::Addresses::IPv6(told)) => {
                Ok(Some((told.source_address, told.source_port).into()))
            }
            _ => Err(NoHeader::NotTcp),
        },
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => Err(NoHeader::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn binary(command: u8, family: u8, content: &[u8]) -> Vec<u8> {
        let mut header = v2::PROTOCOL_PREFIX.to_vec();
        header.extend([command, family]);
        header.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
        header.extend(content);
        header
    }

    /// Who is told, and what is left to read.
    async fn told(bytes: &[u8]) -> Result<(Option<String>, Vec<u8>), String> {
        let mut left = bytes;
        let source = read(&mut left).await.map_err(|error| error.to_string())?;
        Ok((source.map(|source| source.to_string()), left.to_vec()))
    }

    #[tokio::test]
    async fn both_versions_tell_whose_connection_it_is_and_leave_the_rest() {
        let v4 = [203, 0, 113, 9, 10, 0, 0, 1, 0x9c, 0x40, 0x01, 0xbb];
        let v6 = [&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9][..], &[0; 16], &[0x9c, 0x40, 0x01, 0xbb]]
            .concat();
        let with_more = [&v4[..], &[0x04, 0x00, 0x03, b'a', b'b', b'c']].concat();
        for (header, expected) in [
            (b"PROXY TCP4 203.0.113.9 10.0.0.1 40000 443\r\n".to_vec(), Some("203.0.113.9:40000")),
            (b"PROXY TCP6 2001:db8::9 2001:db8::1 40000 443\r\n".to_vec(), Some("[2001:db8::9]:40000")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n".to_vec(), None),
            (binary(0x21, 0x11, &v4), Some("203.0.113.9:40000")),
            (binary(0x21, 0x11, &with_more), Some("203.0.113.9:40000")),
            (binary(0x21, 0x21, &v6), Some("[2001:db8::9]:40000")),
            (binary(0x20, 0x00, &[]), None),
            (binary(0x20, 0x11, &v4), None),
            (binary(0x21, 0x00, &[]), None),
        ] {
            let text = String::from_utf8_lossy(&header).into_owned();
            let bytes = [header, b"\x16\x03\x01".to_vec()].concat();
            assert_eq!(told(&bytes).await, Ok((expected.map(str::to_owned), b"\x16\x03\x01".to_vec())), "{text:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let v4 = [203, 0, 113, 9, 10, 0, 0, 1, 0x9c, 0x40, 0x01, 0xbb];
        let endless = [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat();
        for (bytes, expected) in [
            (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "it begins with no PROXY header"),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00".to_vec(), "it begins with no PROXY header"),
            (b"PROXY TCP4 203.0.113.9 10.0.0.1 40000 99999\r\n".to_vec(), "its PROXY header is malformed"),
            (b"PROXY TCP4 2001:db8::9 10.0.0.1 40000 443\r\n".to_vec(), "its PROXY header is malformed"),
            (b"PROXY TCP4 203.0.113.9 10.0.0.1 40000 443\n".to_vec(), "its PROXY header is malformed"),
            (b"PROXY TCP4 203.0.113.9 10.0.0.1 40000 443 x\r\n".to_vec(), "its PROXY header is malformed"),
            (endless, "its PROXY header is malformed"),
            (binary(0x21, 0x12, &v4), "its PROXY header is not about a TCP connection"),
            (binary(0x31, 0x11, &v4), "its PROXY header is malformed"),
            (binary(0x21, 0x11, &v4[..8]), "its PROXY header is malformed"),
            (binary(0x21, 0x11, &[0; 5000]), "its PROXY header is malformed"),
            (binary(0x21, 0x11, &v4)[..20].to_vec(), "the connection ended"),
            (b"PROXY TCP4 203.0.113".to_vec(), "the connection ended"),
            (Vec::new(), "the connection ended"),
        ] {
            let refused = told(&bytes).await.unwrap_err();
            assert!(refused.starts_with(expected), "{:?}: {refused}", String::from_utf8_lossy(&bytes));
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), kind in 0..3_u8) {
            let begin: &[u8] = match kind { 0 => b"PROXY ", 1 => v2::PROTOCOL_PREFIX, _ => b"" };
            let bytes = [begin, &bytes].concat();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _ = runtime.block_on(read(&mut bytes.as_slice()));
        }
    }
}
