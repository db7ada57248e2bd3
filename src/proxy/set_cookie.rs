//! The upstream's `Set-Cookie` fields on their way to the visitor (RFC 6265, section 4.1).

use http::HeaderValue;

/// Names that start like this are ours: an upstream that sets one would fix a visitor's session (security case C13).
const OURS: &str = "__host-vestibule";

/// The name of the cookie, when the field has one. Values may hold any octets, as browsers let them; names may not.
pub fn name(value: &HeaderValue) -> Option<&str> {
    let pair = value.as_bytes().split(|b| *b == b';').next()?;
    let end = pair.iter().position(|b| *b == b'=')?;
    let name = std::str::from_utf8(pair.get(..end)?).ok()?.trim();
    (!name.is_empty()).then_some(name)
}

/// The same cookie for the public host alone: without `Domain`, and `Secure`, without which browsers refuse
/// `SameSite=None`. Its `Path` is right as it is: paths are the same on both sides, context path included. `None` when it must
/// not be passed on: a name of ours, or no name at all.
pub fn for_this_host(value: &HeaderValue) -> Option<HeaderValue> {
    let name = name(value)?;
    if name.get(..OURS.len()).is_some_and(|start| start.eq_ignore_ascii_case(OURS)) {
        return None;
    }
    let mut secure = false;
    let mut parts: Vec<&[u8]> = Vec::new();
    for (index, part) in value.as_bytes().split(|b| *b == b';').enumerate() {
        let attribute = part.split(|b| *b == b'=').next().unwrap_or_default().trim_ascii();
        if index > 0 && attribute.eq_ignore_ascii_case(b"domain") {
            continue;
        }
        secure |= index > 0 && attribute.eq_ignore_ascii_case(b"secure");
        parts.push(part.trim_ascii());
    }
    if !secure {
        parts.push(b"Secure");
    }
    HeaderValue::from_bytes(&parts.join(&b"; "[..])).ok()
}

/// The cookies of a `Cookie` field but those whose name `is_held`; `None` when nothing is left. Servers that still read RFC 2109 take commas for
/// semicolons, and names with `$` for what they say of the cookies.
pub fn without(value: &HeaderValue, is_held: impl Fn(&str) -> bool) -> Option<HeaderValue> {
    let text = value.as_bytes();
    let kept: Vec<&[u8]> = text
        .split(|b| *b == b';')
        .map(<[u8]>::trim_ascii)
        .filter(|pair| {
            let held = |part: &[u8]| {
                let name = part.split(|b| *b == b'=').next().unwrap_or_default().trim_ascii();
                std::str::from_utf8(name).is_ok_and(&is_held)
            };
            !pair.is_empty() && !pair.starts_with(b"$") && !pair.split(|b| *b == b',').any(held)
        })
        .collect();
    if kept.is_empty() {
        return None;
    }
    HeaderValue::from_bytes(&kept.join(&b"; "[..])).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(value: &'static str) -> Option<String> {
        for_this_host(&HeaderValue::from_static(value)).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn c13_cookies_pass_for_this_host_only() {
        assert_eq!(passed("a=b; Domain=jsm.internal; Path=/x").as_deref(), Some("a=b; Path=/x; Secure"));
        assert_eq!(passed("a=b;domain = .x ;HttpOnly; Secure").as_deref(), Some("a=b; HttpOnly; Secure"));
        assert_eq!(passed("a=domain; SameSite=Lax").as_deref(), Some("a=domain; SameSite=Lax; Secure"));
        assert_eq!(passed("a=b; Path=/jira; SameSite=None").as_deref(), Some("a=b; Path=/jira; SameSite=None; Secure"));
        let octets = HeaderValue::from_bytes("a=é; Domain=x; Secure".as_bytes()).unwrap();
        assert_eq!(for_this_host(&octets).unwrap().as_bytes(), "a=é; Secure".as_bytes());
        for ours in ["__Host-vestibule=x; Path=/", "__host-VESTIBULE-sign-in=x", "=x", "x", ""] {
            assert_eq!(passed(ours), None, "{ours}");
        }
    }

    #[test]
    fn c12_cookies_that_would_shadow_the_customer_session_are_dropped() {
        let filter = |value: &'static str| {
            without(&HeaderValue::from_static(value), |name| name == "JSESSIONID")
                .map(|v| v.to_str().unwrap().to_owned())
        };
        assert_eq!(filter("a=1; JSESSIONID=planted; b=2").as_deref(), Some("a=1; b=2"));
        assert_eq!(filter("JSESSIONID=planted"), None);
        assert_eq!(filter("a=1; $Version=1,JSESSIONID=planted; $Path=/"), Some("a=1".to_owned()));
        assert_eq!(filter("a=1, JSESSIONID=planted; b=1,2"), Some("b=1,2".to_owned()));
        assert_eq!(filter("jsessionid=other; x").as_deref(), Some("jsessionid=other; x"));
    }
}
