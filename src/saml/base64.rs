//! Base64 as SAML carries it: ASCII white space is dropped, anything else outside the alphabet is refused, and so is
//! padding that is wrong or missing (RFC 4648 section 4).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Text that is not base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the text is not base64")]
pub struct NotBase64;

/// Reads base64.
///
/// # Errors
/// When there is anything but the alphabet, ASCII white space and the right padding.
pub fn decode(text: &[u8]) -> Result<Vec<u8>, NotBase64> {
    let compact: Vec<u8> = text.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect();
    STANDARD.decode(compact).map_err(|_| NotBase64)
}

/// Writes base64 on one line.
pub fn encode(octets: &[u8]) -> String {
    STANDARD.encode(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s18_line_breaks_are_dropped() {
        assert_eq!(decode(b" aGVs\r\nbG8=\t\n").unwrap(), b"hello");
        assert_eq!(decode(encode(b"\xff\x00").as_bytes()).unwrap(), b"\xff\x00");
    }

    #[test]
    fn a34_junk_is_refused() {
        for junk in ["aGVsbG8", "aGVs!bG8=", "aGVsbG8==", "aGVs\u{a0}bG8=", "aGVs-bG8=", "====", "aGVsbG9="] {
            assert_eq!(decode(junk.as_bytes()), Err(NotBase64), "{junk}");
        }
    }
}
