//! Style, script and logo: open to everybody, with validators (RFC 9110, 8.8.3).

use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode, header};

const CSS: &str = include_str!("portal.css");
const JS: &str = include_str!("portal.js");
const LOGO: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 28 28"><rect width="28" height="28" rx="7" fill="#1f6f5c"/><path d="M8 19V9h5v10zm7 0V9h5v10z" fill="#fff"/></svg>"##;

/// `GET /s/portal/1/portal.css`.
pub async fn css(headers: HeaderMap) -> Response {
    asset(&headers, "text/css;charset=UTF-8", CSS)
}

/// `GET /s/portal/1/portal.js`.
pub async fn js(headers: HeaderMap) -> Response {
    asset(&headers, "application/javascript;charset=UTF-8", JS)
}

/// `GET /rest/servicedesk/1/customer/viewport-resources/portal-logo/{id}`.
pub async fn logo(headers: HeaderMap) -> Response {
    asset(&headers, "image/svg+xml", LOGO)
}

fn asset(asked: &HeaderMap, media_type: &'static str, text: &'static str) -> Response {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let short: String = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("\"{short}\"");
    let known = asked.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    let fresh = known.flat_map(|line| line.split(',')).any(|one| one.trim() == tag);
    let headers = [(header::ETAG, tag), (header::CACHE_CONTROL, "public, max-age=3600".to_owned())];
    match fresh {
        true => (StatusCode::NOT_MODIFIED, headers).into_response(),
        false => (headers, [(header::CONTENT_TYPE, media_type)], text).into_response(),
    }
}
