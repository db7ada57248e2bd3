//! Whether a request that changes something comes from the portal itself (RFC 6454; Fetch Metadata).

use http::{HeaderMap, HeaderName, header};

use crate::portal::PublicOrigin;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a request with these headers was made by a page of `origin`, or typed by the visitor.
///
/// `Origin` decides where it is there; browsers send it with everything that changes something. `Sec-Fetch-Site` and
/// `Referer` stand in for it. A client that sends none of the three is no browser, and cannot be ridden by another
/// site: the cookie is `SameSite=Lax` besides.
pub fn is_same_origin(headers: &HeaderMap, origin: &PublicOrigin) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    if let Some(value) = origins.next() {
        return origins.next().is_none() && value.as_bytes().eq_ignore_ascii_case(origin.as_str().as_bytes());
    }
    if let Some(site) = headers.get(FETCH_SITE) {
        return site == "same-origin" || site == "none";
    }
    match headers.get(header::REFERER).map(|value| value.to_str()) {
        None => true,
        Some(Ok(referer)) => {
            referer.get(..origin.as_str().len()).is_some_and(|start| start.eq_ignore_ascii_case(origin.as_str()))
                && referer.get(origin.as_str().len()..).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
        Some(Err(_)) => false,
    }
}

/// Whether the browser itself says that a page of `origin` has sent a request with these headers. Nothing said is not enough.
pub fn is_our_own_page(headers: &HeaderMap, origin: &PublicOrigin) -> bool {
    let says = headers.contains_key(header::ORIGIN) || headers.get(FETCH_SITE).is_some_and(|s| s == "same-origin");
    says && is_same_origin(headers, origin)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::portal::HostName;

    #[test]
    fn c8_only_the_portals_own_pages_may_change_something() {
        let origin = PublicOrigin::new(&HostName::parse("support.acme.com").unwrap(), 443);
        for (fields, expected) in [
            (&[("origin", "https://support.acme.com")][..], true),
            (&[("origin", "https://support.acme.com"), ("sec-fetch-site", "cross-site")], true),
            (&[("origin", "https://evil.test")], false),
            (&[("origin", "null")], false),
            (&[("origin", "https://support.acme.com"), ("origin", "https://evil.test")], false),
            (&[("origin", "http://support.acme.com")], false),
            (&[("origin", "https://support.acme.com:8443")], false),
            (&[("origin", "https://support.acme.com.evil.test")], false),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("referer", "https://support.acme.com/a")], true),
            (&[("referer", "https://support.acme.com")], true),
            (&[("referer", "https://support.acme.com.evil.test/")], false),
            (&[("referer", "https://evil.test/https://support.acme.com/")], false),
            (&[], true),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(is_same_origin(&headers, &origin), expected, "{fields:?}");
            let says = fields.iter().any(|field| field.0 == "origin" || *field == ("sec-fetch-site", "same-origin"));
            assert_eq!(is_our_own_page(&headers, &origin), expected && says, "{fields:?}");
        }
    }
}
