//! Content security policies (CSP Level 3, section 2.3.1): besides addresses, they name hosts without a scheme.

use super::rewrite::Origin;

/// Replaces each host of the first origins by that of the second, where it stands as a source of its own: with the port
/// that is meant, any port, or none. `None` when nothing changes.
pub fn rewrite(policy: &str, origins: &[(Origin, Origin)]) -> Option<String> {
    let mut changed = false;
    let mut out = String::with_capacity(policy.len());
    for part in policy.split_inclusive(|c: char| c.is_ascii_whitespace() || matches!(c, ';' | ',')) {
        let source = part.trim_end_matches(|c: char| c.is_ascii_whitespace() || matches!(c, ';' | ','));
        let replaced = origins.iter().find_map(|(from, to)| host_source(source, from, to));
        changed |= replaced.is_some();
        out.push_str(replaced.as_deref().unwrap_or(source));
        out.push_str(part.get(source.len()..).unwrap_or_default());
    }
    changed.then_some(out)
}

fn host_source(source: &str, from: &Origin, to: &Origin) -> Option<String> {
    let start = source.get(..from.host().len())?;
    let rest = source.get(from.host().len()..)?;
    if !start.eq_ignore_ascii_case(from.host()) {
        return None;
    }
    let (port, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = to.host();
    match port.strip_prefix(':') {
        Some("*") => Some(format!("{host}:*{path}")),
        Some(port) if port == from.port_digits() => Some(format!("{}{path}", to.authority())),
        None if port.is_empty() && from.has_default_port() => Some(format!("{}{path}", to.authority())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_sources_of_their_own() {
        let pair = |from: &str, to: &str| (Origin::parse(from).unwrap(), Origin::parse(to).unwrap());
        let origins = [
            pair("https://jsm.internal:8444", "https://support.acme.com"),
            pair("https://wiki.internal", "https://wiki.acme.com:8443"),
        ];
        for (from, to) in [
            ("script-src 'self' jsm.internal:8444;", Some("script-src 'self' support.acme.com;")),
            (
                "img-src JSM.internal:8444/img/; frame-ancestors jsm.internal:*",
                Some("img-src support.acme.com/img/; frame-ancestors support.acme.com:*"),
            ),
            ("connect-src wiki.internal", Some("connect-src wiki.acme.com:8443")),
            (
                "connect-src wiki.internal:443,default-src 'none'",
                Some("connect-src wiki.acme.com:8443,default-src 'none'"),
            ),
            ("script-src jsm.internal", None),
            ("script-src jsm.internal:84440 jsm.internal.evil.test x-jsm.internal:8444", None),
            ("script-src *.internal *", None),
        ] {
            assert_eq!(rewrite(from, &origins).as_deref(), to, "{from}");
        }
    }
}
