//! Page or JSON: who is asking, a person who goes somewhere or a script that fetches something?

use http::Method;
use http::header::{self, HeaderMap, HeaderName};

// A name that is parsed at each look-up costs more than the look-up.
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const FETCH_DESTINATION: HeaderName = HeaderName::from_static("sec-fetch-dest");
const REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// The form in which the asker can use an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// A page: the browser goes there.
    Page,
    /// JSON: `fetch`, XHR, an API client, an image, a WebSocket.
    Json,
}

/// Tells navigation from everything else.
///
/// Fetch Metadata (`Sec-Fetch-*`) knows; without it (older browsers, and API clients) `X-Requested-With`, `Upgrade` and
/// `Accept` have to do. It decides about the shape of an answer and about redirects, never about access.
pub fn wants_page(headers: &HeaderMap, method: &Method) -> Wants {
    if !matches!(*method, Method::GET | Method::HEAD | Method::POST) {
        return Wants::Json; // no link and no form sends anything else
    }
    if let Some(wants) = by_fetch_metadata(headers) {
        return wants;
    }
    if headers.contains_key(REQUESTED_WITH) || headers.contains_key(header::UPGRADE) {
        return Wants::Json;
    }
    by_accept(headers)
}

/// Fetch Metadata Request Headers (W3C), 2.1 and 2.2. Unknown values say nothing.
fn by_fetch_metadata(headers: &HeaderMap) -> Option<Wants> {
    let mode = headers.get(FETCH_MODE).map(|value| value.as_bytes());
    match mode {
        Some(b"navigate") => return Some(Wants::Page),
        Some(b"cors" | b"no-cors" | b"same-origin" | b"websocket") => return Some(Wants::Json),
        _ => {}
    }
    match headers.get(FETCH_DESTINATION)?.as_bytes() {
        b"document" | b"iframe" | b"frame" | b"embed" | b"object" => Some(Wants::Page),
        b"empty" | b"audio" | b"audioworklet" | b"font" | b"image" | b"json" | b"manifest" | b"paintworklet"
        | b"report" | b"script" | b"serviceworker" | b"sharedworker" | b"style" | b"track" | b"video" | b"worker"
        | b"xslt" => Some(Wants::Json),
        _ => None,
    }
}

/// RFC 9110 12.5.1. Every browser names `text/html` when it navigates; `*/*` alone is what scripts send.
fn by_accept(headers: &HeaderMap) -> Wants {
    let (mut best, mut wants) = (0, Wants::Json);
    for value in headers.get_all(header::ACCEPT) {
        for range in value.to_str().unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let named = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "text/html" | "application/xhtml+xml" => Wants::Page,
                "application/json" => Wants::Json,
                other if other.starts_with("application/") && other.ends_with("+json") => Wants::Json,
                _ => continue,
            };
            let quality = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
            let quality = quality.map_or(1000, thousandths);
            if quality > best {
                (best, wants) = (quality, named); // of two that are equally welcome, the first
            }
        }
    }
    wants
}

/// A quality value in thousandths (RFC 9110 12.4.2); what is not one counts as nothing.
fn thousandths(quality: &str) -> u16 {
    let (whole, fraction) = quality.split_once('.').unwrap_or((quality, ""));
    let fraction_in_thousandths = || format!("{fraction:0<3}").parse::<u16>().unwrap_or(0);
    let plain = fraction.len() <= 3 && fraction.bytes().all(|b| b.is_ascii_digit());
    match whole {
        "1" if plain => 1000,
        "0" if plain => fraction_in_thousandths(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHROME: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";

    #[test]
    fn c14_people_get_pages_and_scripts_get_json() {
        use Wants::{Json, Page};
        for (name, method, headers, expected) in [
            (
                "link",
                "GET",
                &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("accept", CHROME)][..],
                Page,
            ),
            ("form", "POST", &[("sec-fetch-mode", "navigate"), ("accept", CHROME)], Page),
            ("frame", "GET", &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")], Page),
            ("fetch", "GET", &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"), ("accept", "*/*")], Json),
            ("fetch that asks for HTML", "GET", &[("sec-fetch-mode", "cors"), ("accept", CHROME)], Json),
            ("same-origin fetch", "POST", &[("sec-fetch-mode", "same-origin"), ("accept", "*/*")], Json),
            ("image", "GET", &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")], Json),
            ("websocket", "GET", &[("sec-fetch-mode", "websocket"), ("upgrade", "websocket")], Json),
            ("destination alone", "GET", &[("sec-fetch-dest", "document")], Page),
            ("destination of a script", "GET", &[("sec-fetch-dest", "empty"), ("accept", CHROME)], Json),
            ("unknown mode", "GET", &[("sec-fetch-mode", "teleport"), ("accept", CHROME)], Page),
            ("unknown destination", "GET", &[("sec-fetch-dest", "moon"), ("accept", "*/*")], Json),
            ("older browser", "GET", &[("accept", CHROME)], Page),
            ("older browser, form", "POST", &[("accept", CHROME)], Page),
            ("HEAD", "HEAD", &[("accept", CHROME)], Page),
            ("XHR", "GET", &[("x-requested-with", "XMLHttpRequest"), ("accept", CHROME)], Json),
            ("jQuery", "GET", &[("accept", "application/json, text/javascript, */*; q=0.01")], Json),
            ("event stream", "GET", &[("accept", "text/event-stream")], Json),
            ("websocket, older browser", "GET", &[("upgrade", "websocket"), ("accept", CHROME)], Json),
            ("curl", "GET", &[("accept", "*/*")], Json),
            ("nothing said", "GET", &[], Json),
            ("both, HTML first", "GET", &[("accept", "text/html, application/json")], Page),
            ("both, JSON first", "GET", &[("accept", "application/json, text/html")], Json),
            ("both, JSON better", "GET", &[("accept", "text/html;q=0.5, application/problem+json;q=0.7")], Json),
            ("both, HTML better", "GET", &[("accept", "application/json;q=0.5, TEXT/HTML;level=1;q=0.51")], Page),
            ("HTML unwelcome", "GET", &[("accept", "text/html;q=0, */*")], Json),
            ("quality is no number", "GET", &[("accept", "text/html;q=much")], Json),
            ("quality too precise", "GET", &[("accept", "text/html;q=0.99999")], Json),
            ("two Accept lines", "GET", &[("accept", "image/png"), ("accept", "text/html")], Page),
            ("preflight", "OPTIONS", &[("accept", CHROME)], Json),
            ("PUT", "PUT", &[("accept", CHROME)], Json),
            ("DELETE", "DELETE", &[("sec-fetch-mode", "navigate")], Json),
            ("odd method", "BREW", &[("accept", CHROME)], Json),
        ] {
            let mut map = HeaderMap::new();
            for (header, value) in headers {
                map.append(*header, value.parse().unwrap());
            }
            assert_eq!(wants_page(&map, &method.parse().unwrap()), expected, "{name}");
        }
    }

    #[test]
    fn e9_bytes_outside_ascii_do_no_harm() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, http::HeaderValue::from_bytes(b"text/html\xff").unwrap());
        headers.insert("sec-fetch-mode", http::HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(wants_page(&headers, &Method::GET), Wants::Json);
    }
}
