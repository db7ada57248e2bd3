//! The upstream's own address in the header fields of an answer: it becomes the public one, wherever a browser acts on it.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::rewriting::Rewriting;
use super::source_list;

/// Whether the field holds addresses among other things.
fn has_addresses(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "location"
            | "content-location"
            | "link"
            | "refresh"
            | "access-control-allow-origin"
            | "content-security-policy"
            | "content-security-policy-report-only"
            | "x-frame-options"
            | "timing-allow-origin"
            | "report-to"
            | "reporting-endpoints"
            | "nel"
            | "permissions-policy"
            | "sourcemap"
            | "x-sourcemap"
    )
}

/// Rewrites the fields of an answer. Fields that become no header value stay behind.
pub fn rewrite(headers: &mut HeaderMap, rewriting: &Rewriting) {
    // Most answers have none of these: one look at what is there tells.
    let there: Vec<HeaderName> = headers.keys().filter(|name| has_addresses(name)).cloned().collect();
    for name in there {
        let policy = matches!(name, header::CONTENT_SECURITY_POLICY | header::CONTENT_SECURITY_POLICY_REPORT_ONLY);
        replace(headers, &name, |value| {
            if name == header::LOCATION {
                return location(value, rewriting);
            }
            let text = rewriting.to_public.text(value);
            if !policy {
                return text.map(|text| text.to_vec());
            }
            let now = text.as_deref().unwrap_or(value);
            let hosts =
                std::str::from_utf8(now).ok().and_then(|policy| source_list::rewrite(policy, &rewriting.origins));
            hosts.map(String::into_bytes).or(text.map(|text| text.to_vec()))
        });
    }
}

/// Within an address of somebody else, ours and the upstream's are theirs to know: a provider may compare what comes back
/// with what it was told.
fn location(value: &[u8], rewriting: &Rewriting) -> Option<Vec<u8>> {
    let own = rewriting.to_public.address(value).is_some() || is_local(value);
    own.then(|| rewriting.to_public.text(value)).flatten().map(|text| text.to_vec())
}

/// Whether an address names no host: it has no scheme, and does not begin with two slashes in any spelling that browsers take
/// for them.
fn is_local(address: &[u8]) -> bool {
    let start = address.trim_ascii_start();
    let slash = |byte: Option<&u8>| matches!(byte, Some(b'/' | b'\\'));
    if slash(start.first()) {
        return !slash(start.get(1));
    }
    let end = start.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(start.len());
    !start.get(..end).unwrap_or_default().contains(&b':')
}

/// Puts new values in place of those that change.
fn replace(headers: &mut HeaderMap, name: &HeaderName, change: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    let values: Vec<HeaderValue> = headers.get_all(name).iter().cloned().collect();
    let changed: Vec<Option<Vec<u8>>> = values.iter().map(|value| change(value.as_bytes())).collect();
    if changed.iter().all(Option::is_none) {
        return;
    }
    headers.remove(name);
    for (value, changed) in values.into_iter().zip(changed) {
        // `HeaderValue` takes no line break: no value becomes two fields.
        let value = changed.map_or(Ok(value), |changed| HeaderValue::from_bytes(&changed));
        if let Ok(value) = value {
            headers.append(name.clone(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_host_is_local() {
        for (address, expected) in [
            ("/login", true),
            ("login?continue=https://x", true),
            ("?x:y", true),
            ("", true),
            ("//evil.test", false),
            ("/\\evil.test", false),
            ("\\\\evil.test", false),
            (" //evil.test", false),
            ("https://id.test/?continue=x", false),
            ("javascript:x", false),
        ] {
            assert_eq!(is_local(address.as_bytes()), expected, "{address}");
        }
    }
}
