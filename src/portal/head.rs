//! Looks at the raw bytes of an HTTP/1 request head and refuses what two parsers could read in two ways.
//!
//! Pingora has parsed the head before and is lenient where browsers never need it (bare line feeds, `Content-Length`
//! beside `Transfer-Encoding`, lists in `Transfer-Encoding`); every known request smuggling attack lives there
//! (RFC 9112, sections 2.2, 5.1, 6.1 and 11.2). Nothing is repaired here.

use super::request::Malformed;

/// Checks the head of one HTTP/1 request: request line, fields and the empty line.
///
/// # Errors
/// [`Malformed`] says what is ambiguous.
pub fn inspect(head: &[u8]) -> Result<(), Malformed> {
    let (request_line, fields) = line(head)?;
    inspect_request_line(request_line)?;
    let version_1_0 = request_line.ends_with(b"HTTP/1.0");
    let mut framing = Framing::default();
    let mut rest = fields;
    loop {
        let (field, after) = line(rest)?;
        if field.is_empty() {
            return if after.is_empty() { framing.check(version_1_0) } else { Err(Malformed::Head) };
        }
        inspect_field(field, &mut framing)?;
        rest = after;
    }
}

/// Splits off one line that ends with CR LF; a lone CR, LF or NUL before that is refused (RFC 9112, section 2.2).
fn line(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let end = memchr::memchr3(b'\r', b'\n', 0, bytes).ok_or(Malformed::Head)?;
    let (line, rest) = bytes.split_at_checked(end).ok_or(Malformed::Head)?;
    let rest = rest.strip_prefix(b"\r\n").ok_or(Malformed::Head)?;
    Ok((line, rest))
}

/// `METHOD SP target SP HTTP/1.x`, one space each.
fn inspect_request_line(line: &[u8]) -> Result<(), Malformed> {
    let mut parts = line.split(|b| *b == b' ');
    let (method, target, version) = (parts.next(), parts.next(), parts.next());
    let (Some(method), Some(target), Some(version), None) = (method, target, version, parts.next()) else {
        return Err(Malformed::Head);
    };
    // A fragment is never sent (RFC 9112, section 3.2); others would end the target there.
    let visible = each(target, |octet| octet.is_ascii_graphic() && octet != b'#');
    if !is_token(method) || target.is_empty() || !visible || !matches!(version, b"HTTP/1.1" | b"HTTP/1.0") {
        return Err(Malformed::Head);
    }
    Ok(())
}

/// Whether `test` holds for every octet. It looks at all of them, so that the compiler can look at many at once.
fn each(octets: &[u8], test: impl Fn(u8) -> bool) -> bool {
    octets.iter().fold(true, |holds, octet| holds & test(*octet))
}

/// RFC 9110, section 5.6.2.
const fn is_token_octet(octet: u8) -> bool {
    matches!(octet,
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.'
        | b'^' | b'_' | b'`' | b'|' | b'~')
}

fn is_token(octets: &[u8]) -> bool {
    !octets.is_empty() && each(octets, is_token_octet)
}

/// `name: value`, no space before the colon, no continuation line (RFC 9112, sections 5.1 and 5.2).
fn inspect_field<'a>(field: &'a [u8], framing: &mut Framing<'a>) -> Result<(), Malformed> {
    let colon = memchr::memchr(b':', field).ok_or(Malformed::Head)?;
    let (name, value) = field.split_at_checked(colon).ok_or(Malformed::Head)?;
    let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
    let printable = each(value, |octet| (octet >= b' ' && octet != 0x7f) || octet == b'\t');
    if !is_token(name) || !printable {
        return Err(Malformed::Head);
    }
    framing.note(name, value)
}

/// What a head says about the length of its body, and whom it is for.
#[derive(Default)]
struct Framing<'a> {
    length: Option<&'a [u8]>,
    coding: Option<&'a [u8]>,
    hosts: usize,
}

impl<'a> Framing<'a> {
    fn note(&mut self, name: &[u8], value: &'a [u8]) -> Result<(), Malformed> {
        if name.eq_ignore_ascii_case(b"content-length") {
            // RFC 9110, section 8.6 lets equal values pass; nobody honest sends two.
            let digits = !value.is_empty() && value.len() <= 18 && value.iter().all(u8::is_ascii_digit);
            if self.length.replace(value).is_some() || !digits {
                return Err(Malformed::Framing);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.coding.replace(value).is_some() || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Malformed::Framing);
            }
        } else if name.eq_ignore_ascii_case(b"host") {
            self.hosts = self.hosts.saturating_add(1);
        }
        Ok(())
    }

    fn check(&self, version_1_0: bool) -> Result<(), Malformed> {
        if self.coding.is_some() && (self.length.is_some() || version_1_0) {
            return Err(Malformed::Framing);
        }
        if self.hosts != 1 { Err(Malformed::Host) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(fields: &str) -> Result<(), Malformed> {
        inspect(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes())
    }

    #[test]
    fn tokens_are_those_of_the_rfc() {
        for octet in 0..=u8::MAX {
            let expected = octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet);
            assert_eq!(is_token(&[octet]), expected, "{octet}");
        }
    }

    #[test]
    fn a_browsers_head_passes() {
        assert_eq!(with("Accept: */*\r\nCookie: a=b; c=d\r\nX-Empty:\r\n"), Ok(()));
        assert_eq!(with("Content-Length: 13\r\n"), Ok(()));
        assert_eq!(with("Transfer-Encoding: chunked\r\n"), Ok(()));
        assert_eq!(with("X-Name: M\u{fc}ller\r\n"), Ok(()), "obs-text in values is harmless");
    }

    #[test]
    fn d1_to_d4_framing_has_one_meaning() {
        for fields in [
            "Content-Length: 13\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: chunked, identity\r\n",
            "Transfer-Encoding: identity, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding:\r\n",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: -1\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length: 5 6\r\n",
            "Content-Length: 18446744073709551616\r\n",
            "Content-Length:\r\n",
        ] {
            assert_eq!(with(fields), Err(Malformed::Framing), "{fields:?}");
        }
        assert_eq!(
            inspect(b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Err(Malformed::Framing),
            "D7"
        );
    }

    #[test]
    fn d3_d10_fields_have_one_meaning() {
        for fields in [
            "Transfer-Encoding : chunked\r\n",
            "Transfer-Encoding:\x0bchunked\r\n",
            "X: y\nTransfer-Encoding: chunked\r\n",
            "X: y\rZ: w\r\n",
            "X: y\r\n folded\r\n",
            "X: y\r\n\tfolded\r\n",
            ": empty\r\n",
            "no colon\r\n",
            "X\0: y\r\n",
            "X: y\0z\r\n",
            "N\u{e4}me: y\r\n",
            "X: y\x7f\r\n",
        ] {
            assert_eq!(with(fields), Err(Malformed::Head), "{fields:?}");
        }
    }

    #[test]
    fn d7_d10_request_lines_have_one_meaning() {
        for line in [
            "GET /  HTTP/1.1",
            "GET  / HTTP/1.1",
            " GET / HTTP/1.1",
            "GET /\tHTTP/1.1",
            "GET / HTTP/1.2",
            "GET / HTTP/1.1 ",
            "GET / HTTP/2.0",
            "GET /",
            "GET",
            "G(T / HTTP/1.1",
            "GET /\u{e4} HTTP/1.1",
            "GET / http/1.1",
            "GET /a b HTTP/1.1",
            "GET /a#/../b HTTP/1.1",
        ] {
            let head = format!("{line}\r\nHost: a\r\n\r\n");
            assert_eq!(inspect(head.as_bytes()), Err(Malformed::Head), "{line:?}");
        }
        assert_eq!(inspect(b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), Err(Malformed::Head));
        assert_eq!(inspect(b"GET / HTTP/1.1\nHost: a\n\n"), Err(Malformed::Head));
        assert_eq!(inspect(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest"), Err(Malformed::Head));
    }

    #[test]
    fn e1_exactly_one_host() {
        assert_eq!(inspect(b"GET / HTTP/1.1\r\n\r\n"), Err(Malformed::Host));
        assert_eq!(with("hOST: b\r\n"), Err(Malformed::Host));
    }
}
