//! DEFLATE without a header (RFC 1951), with a hard limit on what comes out.

use std::io::{self, Write as _};

use flate2::{Compression, Decompress, FlushDecompress, Status};

/// The most octets of a message.
const LIMIT: usize = 256 * 1024;

/// Octets that are not one deflated message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each says itself what it is")]
pub enum InflateRefused {
    #[error("the message is larger than is read")]
    TooLarge,
    #[error("the message is not one whole deflated text")]
    Broken,
}

/// Deflates.
///
/// # Errors
/// None that can be brought about: writing into memory does not fail.
pub(super) fn deflate(octets: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(octets)?;
    encoder.finish()
}

/// Inflates one message. Memory is bounded by the limit, whatever the octets promise; nothing may follow the end.
///
/// # Errors
/// When it is larger than 256 KiB, ends too early, has octets after its end, or is not deflated.
pub fn inflate(octets: &[u8]) -> Result<Vec<u8>, InflateRefused> {
    let mut decompress = Decompress::new(false);
    let mut inflated = Vec::with_capacity(octets.len().saturating_mul(4).clamp(1024, LIMIT));
    loop {
        let read = usize::try_from(decompress.total_in()).map_err(|_| InflateRefused::TooLarge)?;
        let rest = octets.get(read..).unwrap_or_default();
        let before = (decompress.total_in(), decompress.total_out());
        let status = decompress
            .decompress_vec(rest, &mut inflated, FlushDecompress::None)
            .map_err(|_| InflateRefused::Broken)?;
        if inflated.len() > LIMIT {
            return Err(InflateRefused::TooLarge);
        }
        match status {
            Status::StreamEnd => {
                let whole = u64::try_from(octets.len()).is_ok_and(|length| decompress.total_in() == length);
                return if whole { Ok(inflated) } else { Err(InflateRefused::Broken) };
            }
            _ if inflated.len() == inflated.capacity() => inflated.reserve(LIMIT / 4),
            _ if before == (decompress.total_in(), decompress.total_out()) => return Err(InflateRefused::Broken),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_deflated_is_inflated() {
        for octets in [b"".as_slice(), b"<a/>", &[b'x'; 200_000]] {
            assert_eq!(inflate(&deflate(octets).unwrap()).unwrap(), octets);
        }
    }

    #[test]
    fn a37_a_bomb_stops_at_the_limit() {
        let bomb = deflate(&vec![0; 100 * 1024 * 1024]).unwrap();
        assert!(bomb.len() < 128 * 1024);
        assert_eq!(inflate(&bomb), Err(InflateRefused::TooLarge));
        let nested = deflate(&bomb).unwrap();
        assert!(inflate(&nested).unwrap().len() <= LIMIT);
        assert_eq!(inflate(&deflate(&vec![0; LIMIT + 1]).unwrap()), Err(InflateRefused::TooLarge));
        assert!(inflate(&deflate(&vec![0; LIMIT]).unwrap()).is_ok());
    }

    #[test]
    fn a37_what_is_not_one_whole_text_is_refused() {
        let honest = deflate(b"<samlp:LogoutRequest/>").unwrap();
        let cut = &honest[..honest.len() - 1];
        let trailing = [honest.as_slice(), b"x"].concat();
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(b"<samlp:LogoutRequest/>").unwrap();
        let zlib = zlib.finish().unwrap();
        for odd in [b"".as_slice(), cut, &trailing, &zlib, b"<samlp:LogoutRequest/>", &[0xff; 64]] {
            assert_eq!(inflate(odd), Err(InflateRefused::Broken), "{odd:?}");
        }
    }
}
