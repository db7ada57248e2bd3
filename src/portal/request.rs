//! The canonical request: one reading of method, host and path, used for the decision *and* for what is sent on.
//!
//! What could be read in two ways is refused, not repaired: encoded slashes and backslashes, dot segments, path
//! parameters, double encoding, invalid or overlong escapes, look-alikes of `/`, `\` and `.` (security cases 3.3).

use http::header::{CONNECTION, EXPECT, HOST, HeaderMap, UPGRADE};
use http::{Method, Version};

use super::HostName;

/// The longest request target that is read, in bytes.
pub const LONGEST_TARGET: usize = 8 * 1024;

/// Why a request is not read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The head breaks RFC 9112.
    #[error("the request head is malformed")]
    Head,
    /// The body's length could be read in two ways.
    #[error("the length of the request body is ambiguous")]
    Framing,
    /// No host, several hosts, or one that is no host name.
    #[error("the request names no host, or an impossible one")]
    Host,
    /// The request target is not a plain path.
    #[error("the request target is not a path")]
    Target,
    /// The path could be read in two ways.
    #[error("the path could be read in two ways")]
    Path,
    /// The target is longer than [`LONGEST_TARGET`].
    #[error("the request target is too long")]
    TooLong,
    /// A method that no portal uses.
    #[error("the method is not allowed")]
    Method,
    /// An upgrade to anything but a WebSocket.
    #[error("the upgrade is not supported")]
    Upgrade,
    /// `Connection` nominates a field that is not of the connection.
    #[error("the Connection header nominates other headers")]
    Connection,
    /// `Expect` asks for something unknown (RFC 9110, section 10.1.1).
    #[error("the expectation is not supported")]
    Expectation,
}

/// A request, read in the one way that it can be read.
#[derive(Clone, Debug)]
pub struct CanonicalRequest {
    method: Method,
    host: HostName,
    /// As sent on: escapes in upper case, unreserved characters not escaped (RFC 3986, section 6.2.2).
    path: String,
    /// As rules see it, where that is not `path` itself.
    decoded: Option<String>,
    query: Option<String>,
    websocket: bool,
}

/// What a request is read from.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// The method.
    pub method: &'a Method,
    /// The protocol version of the visitor's side.
    pub version: Version,
    /// The request target as it was sent: path and query.
    pub target: &'a [u8],
    /// `:authority` of HTTP/2.
    pub authority: Option<&'a str>,
    /// All header fields.
    pub headers: &'a HeaderMap,
}

impl CanonicalRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// [`Malformed`] says what is ambiguous or not allowed.
    pub fn read(parts: Parts<'_>) -> Result<Self, Malformed> {
        let host = read_host(parts.headers, parts.authority)?;
        if !is_known(parts.method) {
            return Err(Malformed::Method);
        }
        if parts.target.len() > LONGEST_TARGET {
            return Err(Malformed::TooLong);
        }
        let target = std::str::from_utf8(parts.target).map_err(|_| Malformed::Target)?;
        if !target.starts_with('/') || !target.bytes().all(|b| b.is_ascii_graphic()) || target.contains('#') {
            return Err(Malformed::Target);
        }
        let (raw_path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let (path, decoded) = read_path(raw_path)?;
        check_connection(parts.headers)?;
        let websocket = read_upgrade(parts)?;
        check_expectation(parts.headers)?;
        Ok(Self { method: parts.method.clone(), host, path, decoded, query, websocket })
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Whom the request is for.
    pub fn host(&self) -> &HostName {
        &self.host
    }

    /// The path as it is sent on, escaped.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path as rules see it: decoded once, UTF-8, without dot segments.
    pub fn decoded_path(&self) -> &str {
        self.decoded.as_deref().unwrap_or(&self.path)
    }

    /// What stands after `?`.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Path and query as they are sent on.
    pub fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// Whether the request wants to become a WebSocket.
    pub fn is_websocket(&self) -> bool {
        self.websocket
    }

    /// Whether the method changes nothing by definition (RFC 9110, section 9.2.1).
    pub fn is_safe(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS)
    }
}

fn is_known(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::PATCH | Method::DELETE | Method::OPTIONS
    )
}

/// `Host` and `:authority`: at least one, at most one of each, and equal (RFC 9113, section 8.3.1).
fn read_host(headers: &HeaderMap, authority: Option<&str>) -> Result<HostName, Malformed> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().map(|value| value.to_str()).transpose().map_err(|_| Malformed::Host)?;
    if hosts.next().is_some() {
        return Err(Malformed::Host);
    }
    let authority = match (host, authority) {
        (Some(host), Some(authority)) if !host.eq_ignore_ascii_case(authority) => return Err(Malformed::Host),
        (Some(text), _) | (None, Some(text)) => text,
        (None, None) => return Err(Malformed::Host),
    };
    let (name, port) = match authority.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (authority, None),
    };
    if port.is_some_and(|port| port.parse::<u16>().is_err() || !port.bytes().all(|b| b.is_ascii_digit())) {
        return Err(Malformed::Host);
    }
    HostName::parse(name).map_err(|_| Malformed::Host)
}

/// The path as it is sent on, and its decoded form where that differs.
fn read_path(raw: &str) -> Result<(String, Option<String>), Malformed> {
    // Escaped or not, these have no honest use in a path of a browser.
    if raw.bytes().any(|b| matches!(b, b'\\' | b';' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'}')) {
        return Err(Malformed::Path);
    }
    if !raw.contains('%') {
        check_segments(raw)?;
        return Ok((raw.to_owned(), None));
    }
    let decoded = decode(raw)?;
    check_decoded(&decoded)?;
    check_segments(&decoded)?;
    Ok((normalise(raw), Some(decoded)))
}

fn hex(digit: Option<u8>) -> Result<u8, Malformed> {
    let digit = digit.and_then(|b| char::from(b).to_digit(16)).ok_or(Malformed::Path)?;
    u8::try_from(digit).map_err(|_| Malformed::Path)
}

fn decode(raw: &str) -> Result<String, Malformed> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        let value = if byte == b'%' { (hex(rest.next())? << 4) | hex(rest.next())? } else { byte };
        if byte == b'%' && value == b'/' {
            return Err(Malformed::Path);
        }
        bytes.push(value);
    }
    // Overlong forms such as %c0%ae are not UTF-8, and are refused here.
    String::from_utf8(bytes).map_err(|_| Malformed::Path)
}

/// What decoding may not bring to light.
fn check_decoded(decoded: &str) -> Result<(), Malformed> {
    let trick = |c: char| {
        c.is_control()
            || matches!(c, '\\' | ';' | '\u{2024}' | '\u{2025}' | '\u{2026}' | '\u{2044}' | '\u{2215}' | '\u{2216}')
            || matches!(c, '\u{29f5}' | '\u{29f8}' | '\u{29f9}' | '\u{fe52}' | '\u{fe68}')
            || matches!(c, '\u{ff0e}' | '\u{ff0f}' | '\u{ff3c}' | '\u{ff1b}' | '\u{ff05}' | '\u{ff61}' | '\u{3002}')
    };
    if decoded.chars().any(trick) {
        return Err(Malformed::Path);
    }
    // "%25" is honest in "100%25.pdf"; "%252e" is a second layer that somebody behind us might peel off.
    let mut rest = decoded;
    while let Some((_, after)) = rest.split_once('%') {
        let mut next = after.bytes();
        let two = (next.next(), next.next());
        if matches!(two, (Some(a), Some(b)) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit()) || after.starts_with('u')
        {
            return Err(Malformed::Path);
        }
        rest = after;
    }
    Ok(())
}

/// No empty segment but the last, no `.` and no `..`.
fn check_segments(path: &str) -> Result<(), Malformed> {
    let mut segments = path.strip_prefix('/').ok_or(Malformed::Target)?.split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        if matches!(segment, "." | "..") || (segment.is_empty() && !last) {
            return Err(Malformed::Path);
        }
    }
    Ok(())
}

/// Escapes in upper case; unreserved characters as themselves.
fn normalise(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            out.push(char::from(byte));
            continue;
        }
        let (Ok(high), Ok(low)) = (hex(rest.next()), hex(rest.next())) else { continue };
        let value = (high << 4) | low;
        if value.is_ascii_alphanumeric() || matches!(value, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(value));
        } else {
            out.push('%');
            for digit in [high, low] {
                out.push(char::from_digit(u32::from(digit), 16).unwrap_or('0').to_ascii_uppercase());
            }
        }
    }
    out
}

/// `Connection` may name only what belongs to a connection: a nominated field would be dropped behind our back
/// (RFC 9110, section 7.6.1; security case C21).
fn check_connection(headers: &HeaderMap) -> Result<(), Malformed> {
    for value in headers.get_all(CONNECTION) {
        let value = value.to_str().map_err(|_| Malformed::Connection)?;
        let known = |option: &str| {
            ["", "keep-alive", "close", "upgrade", "te"].iter().any(|known| option.trim().eq_ignore_ascii_case(known))
        };
        if !value.split(',').all(known) {
            return Err(Malformed::Connection);
        }
    }
    Ok(())
}

/// The only upgrade is a WebSocket, by GET over HTTP/1.1, without a body (RFC 6455, section 4.1).
fn read_upgrade(parts: Parts<'_>) -> Result<bool, Malformed> {
    let mut values = parts.headers.get_all(UPGRADE).iter();
    let Some(value) = values.next() else { return Ok(false) };
    let named = parts.headers.get_all(CONNECTION).iter().any(|connection| {
        connection.to_str().is_ok_and(|text| text.split(',').any(|o| o.trim().eq_ignore_ascii_case("upgrade")))
    });
    let bodiless = !parts.headers.contains_key(http::header::TRANSFER_ENCODING)
        && parts.headers.get(http::header::CONTENT_LENGTH).is_none_or(|length| length == "0");
    let sound = values.next().is_none()
        && value.as_bytes().eq_ignore_ascii_case(b"websocket")
        && parts.version == Version::HTTP_11
        && *parts.method == Method::GET
        && named
        && bodiless
        && !parts.headers.contains_key("http2-settings");
    if sound { Ok(true) } else { Err(Malformed::Upgrade) }
}

fn check_expectation(headers: &HeaderMap) -> Result<(), Malformed> {
    let mut values = headers.get_all(EXPECT).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(()),
        (Some(value), None) if value.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(()),
        _ => Err(Malformed::Expectation),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        map
    }

    fn read(target: &str) -> Result<CanonicalRequest, Malformed> {
        read_with(&Method::GET, target, &[("host", "support.acme.com")])
    }

    fn read_with(method: &Method, target: &str, fields: &[(&str, &str)]) -> Result<CanonicalRequest, Malformed> {
        let headers = headers(fields);
        let target = target.as_bytes();
        CanonicalRequest::read(Parts { method, version: Version::HTTP_11, target, authority: None, headers: &headers })
    }

    #[test]
    fn paths_of_a_portal_pass_unchanged() {
        for target in [
            "/",
            "/servicedesk/customer/portal/7/create/12?q=a%2Fb&x=../..;y",
            "/rest/servicedeskapi/request/HELP-1/attachment",
            "/secure/attachment/10001/report%20(1),%20final.pdf",
            "/s/d41d8cd98f00b204e9800998ecf8427e-CDN/-abc123/820000/1/_/download/batch/x:y/x:y.css",
            "/a/@me/~ana/$x/!/*/+/=/,/'/|",
            "/trailing/",
        ] {
            assert_eq!(read(target).unwrap().target(), target, "{target}");
        }
    }

    #[test]
    fn escapes_are_normalised_and_rules_see_them_decoded() {
        let request = read("/%61dmin/100%25.pdf/%c3%bc%20x").unwrap();
        assert_eq!(request.path(), "/admin/100%25.pdf/%C3%BC%20x");
        assert_eq!(request.decoded_path(), "/admin/100%.pdf/ü x");
    }

    #[test]
    fn path_confusion_is_refused() {
        for path in [
            "/public/../admin",
            "/public/%2e%2e/admin",
            "/public/..;/admin",
            "/public;/../admin",
            "/public/.%2e/admin",
            "/public\\..\\admin",
            "/public/..%5cadmin",
            "//admin",
            "/a//b",
            "/./admin",
            "/admin%00.png",
            "/admin;x=y",
            "/admin%3bx",
            "/public/%c0%ae%c0%ae/admin",
            "/public/%u002e",
            "/public/%25u002e",
            "/public/%252e%252e/admin",
            "/public/%EF%BC%8E%EF%BC%8E/admin",
            "/public/%E2%88%95admin",
            "/%zz",
            "/%",
            "/%2",
            "/a%0d%0aSet-Cookie:x",
            "/a%7f",
            "/%ff",
            "/{x}",
        ] {
            assert_eq!(read(path).unwrap_err(), Malformed::Path, "{path}");
        }
    }

    #[test]
    fn encoded_slashes_are_refused() {
        for path in ["/public/..%2fadmin", "/public%2f..%2fadmin", "/a%2Fb", "/a%2fb/c"] {
            assert_eq!(read(path).unwrap_err(), Malformed::Path, "{path}");
        }
    }

    #[test]
    fn targets_that_are_no_path_are_refused() {
        for target in ["", "*", "http://other/admin", "admin", "/a#b", "/a b", "/\u{e4}", "/a\tb", "?x"] {
            assert_eq!(read(target).unwrap_err(), Malformed::Target, "{target:?}");
        }
        assert_eq!(read(&format!("/{}", "a".repeat(64 * 1024))).unwrap_err(), Malformed::TooLong);
    }

    #[test]
    fn a_query_takes_no_part_in_the_path() {
        let request = read("/admin?x=/public/").unwrap();
        assert_eq!((request.decoded_path(), request.query()), ("/admin", Some("x=/public/")));
        assert_eq!(read("/admin%3f/public").unwrap().decoded_path(), "/admin?/public");
        assert_eq!(read("/admin%23").unwrap().path(), "/admin%23");
    }

    #[test]
    fn odd_methods_are_refused() {
        for method in ["TRACE", "CONNECT", "get", "PROPFIND", "HEADS"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(read_with(&method, "/", &[("host", "a")]).unwrap_err(), Malformed::Method, "{method}");
        }
    }

    #[test]
    fn e1_the_host_has_one_reading() {
        for (fields, authority, expected) in [
            (&[("host", "Support.Acme.com:8443")][..], None, Some("support.acme.com")),
            (&[], Some("support.acme.com"), Some("support.acme.com")),
            (&[("host", "[::1]:8443")], None, Some("[::1]")),
            (&[("host", "a.example")], Some("b.example"), None),
            (&[("host", "a.example"), ("host", "a.example")], None, None),
            (&[], None, None),
            (&[("host", "user@acme.com")], None, None),
            (&[("host", "acme.com:")], None, None),
            (&[("host", "acme.com:+80")], None, None),
            (&[("host", "acme.com.")], None, None),
            (&[("host", "ac_me.com")], None, None),
            (&[("host", "acme.com, evil.test")], None, None),
        ] {
            let host = read_host(&headers(fields), authority).ok();
            assert_eq!(host.as_ref().map(HostName::as_str), expected, "{fields:?} {authority:?}");
        }
    }

    #[test]
    fn d8_only_a_websocket_may_upgrade() {
        let upgrade = |fields: &[(&str, &str)]| {
            let fields = [&[("host", "a")], fields].concat();
            read_with(&Method::GET, "/", &fields).map(|request| request.is_websocket())
        };
        assert_eq!(upgrade(&[("upgrade", "WebSocket"), ("connection", "keep-alive, Upgrade")]), Ok(true));
        for fields in [
            &[("upgrade", "h2c"), ("connection", "upgrade")][..],
            &[("upgrade", "websocket")],
            &[("upgrade", "websocket"), ("upgrade", "websocket"), ("connection", "upgrade")],
            &[("upgrade", "websocket, h2c"), ("connection", "upgrade")],
            &[("upgrade", "websocket"), ("connection", "upgrade"), ("content-length", "3")],
            &[("upgrade", "websocket"), ("connection", "upgrade"), ("transfer-encoding", "chunked")],
        ] {
            assert_eq!(upgrade(fields), Err(Malformed::Upgrade), "{fields:?}");
        }
    }

    #[test]
    fn c21_connection_nominates_nothing_of_ours() {
        for value in ["X-Auth-User, close", "Cookie", "X-Forwarded-For", ":authority", "close, x-request-id"] {
            let fields = [("host", "a"), ("connection", value)];
            assert_eq!(read_with(&Method::GET, "/", &fields).unwrap_err(), Malformed::Connection, "{value}");
        }
    }

    #[test]
    fn expectations_are_known_or_refused() {
        for (value, sound) in [("100-continue", true), ("100-Continue", true), ("200-ok", false)] {
            let result = read_with(&Method::POST, "/", &[("host", "a"), ("expect", value)]);
            assert_eq!(result.is_ok(), sound, "{value}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_input_panics_and_what_passes_is_stable(target in "[/a%.0-9;\\\\2eEfF?#]{0,40}") {
            if let Ok(request) = read(&target) {
                let again = read(&request.target()).unwrap();
                proptest::prop_assert_eq!(again.target(), request.target());
                proptest::prop_assert_eq!(again.decoded_path(), request.decoded_path());
                proptest::prop_assert!(!request.decoded_path().split('/').any(|s| s == ".." || s == "."));
            }
        }
    }
}
