//! What becomes of the body of an answer: it passes as it is, or it is rewritten, and then its head has to say so.
//!
//! Bodies pass untouched, without costing anything, when they are empty, of another type, downloads, parts, longer than the
//! operator wants, in a coding or in characters that are not known, or when the upstream forbids to change them.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, response};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{ErrorType, OrErr, Result};

use super::answer_body::{AnswerBody, LONGEST};
use super::coding::{Accepted, Coding};
use super::rewriting::Rewriting;

/// Digests of a body that is not the same any more (RFC 9530, and its forerunners).
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
];

/// How a body that is rewritten is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Codings {
    from: Option<Coding>,
    to: Option<Coding>,
}

/// Whether an answer is a part of something that is only ever sent rewritten: then a part of it is no use.
pub fn is_useless_part(response: &ResponseHeader, rewriting: &Rewriting) -> bool {
    let content_type = text(&response.headers, &header::CONTENT_TYPE).unwrap_or_default();
    response.status == StatusCode::PARTIAL_CONTENT
        && rewriting.of_body(content_type).is_some()
        && !may_not_change(&response.headers)
}

/// Decides about the body, and changes the head accordingly. `None`: it passes as it is.
///
/// # Errors
/// When a value of ours is no header value, which cannot happen.
pub fn decide(
    visitor: &RequestHeader,
    response: &mut response::Parts,
    rewriting: &Rewriting,
) -> Result<Option<AnswerBody>> {
    if response.status == StatusCode::NOT_MODIFIED {
        return tag_as_known(visitor, &mut response.headers, rewriting).map(|()| None);
    }
    let content_type = text(&response.headers, &header::CONTENT_TYPE).unwrap_or_default();
    let Some(rewriter) = rewriting.of_body(content_type) else { return Ok(None) };
    let whole = !matches!(
        response.status,
        StatusCode::PARTIAL_CONTENT
            | StatusCode::NO_CONTENT
            | StatusCode::RESET_CONTENT
            | StatusCode::SWITCHING_PROTOCOLS
    );
    let length = text(&response.headers, &header::CONTENT_LENGTH).and_then(|length| length.trim().parse::<u64>().ok());
    let fits = length.is_none_or(|length| length > 0 && length <= rewriting.largest_body);
    if !whole || !fits || may_not_change(&response.headers) {
        return Ok(None);
    }
    let Some(codings) = codings(&response.headers, Accepted::read(&visitor.headers)) else { return Ok(None) };
    let short = length.is_some_and(|length| usize::try_from(length).is_ok_and(|length| length <= LONGEST));
    let body = match codings.from {
        None => AnswerBody::plain(rewriter),
        Some(from) if short && codings.to == Some(from) => AnswerBody::short(rewriter, from),
        Some(from) => AnswerBody::coded(rewriter, from, codings.to),
    };
    change_head(&mut response.headers, codings, rewriting)?;
    if visitor.method == Method::HEAD {
        return Ok(None);
    }
    // Where the length is not known, HTTP/1.1 needs chunks; Pingora takes this header away again for HTTP/2.
    response.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    Ok(Some(body))
}

/// The head of a rewritten body: its length is not known any more, its tag is weak and ours, its digests are gone, and no
/// parts of it are served.
fn change_head(headers: &mut HeaderMap, codings: Codings, rewriting: &Rewriting) -> Result<()> {
    headers.remove(header::CONTENT_LENGTH);
    for name in &DIGESTS {
        headers.remove(name);
    }
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("none"));
    if let Some(tag) = text(headers, &header::ETAG).map(str::to_owned) {
        match rewriting.mark.put(&tag) {
            Some(ours) => drop(headers.insert(header::ETAG, tag_value(&ours)?)),
            None => drop(headers.remove(header::ETAG)),
        }
    }
    if codings.from != codings.to {
        match codings.to {
            Some(to) => drop(headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(to.name()))),
            None => drop(headers.remove(header::CONTENT_ENCODING)),
        }
    }
    vary(headers);
    Ok(())
}

fn tag_value(tag: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(tag).or_err(ErrorType::InvalidHTTPHeader, "an entity tag of ours")
}

/// A 304 speaks of the body that the visitor has: with the tag that the visitor knows it by.
fn tag_as_known(visitor: &RequestHeader, headers: &mut HeaderMap, rewriting: &Rewriting) -> Result<()> {
    let known = text(headers, &header::ETAG).and_then(|tag| {
        let lists = visitor.headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        lists.into_iter().find_map(|list| rewriting.mark.known_as(tag, list))
    });
    if let Some(ours) = known {
        headers.insert(header::ETAG, tag_value(&ours)?);
        vary(headers);
    }
    Ok(())
}

/// What a cache keeps depends on which codings were taken.
fn vary(headers: &mut HeaderMap) {
    let said = headers.get_all(header::VARY).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|name| matches!(name.trim(), "*") || name.trim().eq_ignore_ascii_case("accept-encoding"))
    });
    if !said {
        headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
}

/// The coding that the body comes in, and the one that it goes in: the same if the visitor takes it. `None`: it comes in
/// one, or several, that are not known.
fn codings(headers: &HeaderMap, accepted: Accepted) -> Option<Codings> {
    let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
    let coding = match (values.next().map(HeaderValue::to_str), values.next()) {
        (None, _) => return Some(Codings { from: None, to: None }),
        (Some(Ok(coding)), None) => coding.trim(),
        _ => return None,
    };
    if coding.is_empty() || coding.eq_ignore_ascii_case("identity") {
        return Some(Codings { from: None, to: None });
    }
    let from = Coding::named(coding)?;
    let to = if accepted.takes(from) { Some(from) } else { accepted.codings().next() };
    Some(Codings { from: Some(from), to })
}

/// Downloads arrive as they were uploaded, and `no-transform` is obeyed (RFC 9110, section 7.7).
fn may_not_change(headers: &HeaderMap) -> bool {
    let download = text(headers, &header::CONTENT_DISPOSITION).is_some_and(|value| {
        value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("attachment"))
    });
    download || no_transform(headers)
}

/// Whether `Cache-Control` forbids to change a body.
pub fn no_transform(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|directive| directive.trim().eq_ignore_ascii_case("no-transform"))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
