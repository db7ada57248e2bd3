//! The script in the portal's own pages by which a visitor signs in again without losing the page: off unless the operator
//! wants it. Documents alone get it, one tag at the start of the head, and their policy is widened by it and nothing else.

mod insert;
mod policy;

use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue};
use pingora::http::RequestHeader;
use pingora::{ErrorType, OrErr as _, Result};

pub use self::insert::Insert;
use self::policy::{OurScript, allowing};
use super::site::Site;
use crate::pages::{self, Language, Wants};
use crate::portal::media_type;

const REPORT_ONLY: HeaderName = HeaderName::from_static("content-security-policy-report-only");

/// What goes into an answer, when it is a document: of the person with that mark, if somebody is signed in. Its policy is
/// changed for it.
///
/// # Errors
/// When a value of ours is no header value, which cannot happen.
pub fn for_document(
    visitor: &RequestHeader,
    headers: &mut HeaderMap,
    site: &Site,
    person: Option<&str>,
) -> Result<Option<Insert>> {
    let content_type = headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let html = content_type.is_some_and(|kind| media_type::essence(kind).eq_ignore_ascii_case("text/html"));
    // What a script asks for is a part of a document that has it already.
    let document = pages::wants_page(&visitor.headers, &visitor.method) == Wants::Page;
    if !site.settings.sign_in.in_page || !html || !document {
        return Ok(None);
    }
    let script = pages::in_page_script();
    let address = format!("{}{}", site.settings.public_origin, script.path);
    let ours = OurScript { address: &address, digest: &script.source };
    let mut by_digest = false;
    for name in [CONTENT_SECURITY_POLICY, REPORT_ONLY] {
        let told: Vec<HeaderValue> = headers.get_all(&name).iter().cloned().collect();
        let changed: Vec<Option<String>> = told.iter().map(|value| allowing(value.to_str().ok()?, &ours)).collect();
        if changed.iter().all(Option::is_none) {
            continue;
        }
        by_digest |= changed.iter().flatten().any(|policy| policy.contains(&script.source));
        headers.remove(&name);
        for (value, changed) in told.into_iter().zip(changed) {
            let value = match changed {
                Some(changed) => HeaderValue::try_from(changed).or_err(ErrorType::InvalidHTTPHeader, "a policy")?,
                None => value,
            };
            headers.append(name.clone(), value);
        }
    }
    let tag = pages::in_page_tag(Language::English, person.unwrap_or_default(), by_digest);
    Ok(tag.map(|tag| Insert::new(Bytes::from(tag))))
}
