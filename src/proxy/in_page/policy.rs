//! A page's content security policy, widened by our one script and nothing else (CSP Level 3, 6.7).

/// What the script is in a policy.
#[derive(Debug)]
pub struct OurScript<'a> {
    /// Its address.
    pub address: &'a str,
    /// Its digest: `'sha256-…'`.
    pub digest: &'a str,
}

/// The policies of one header field, so that our script may run under each of them. `None` when nothing has to change.
pub fn allowing(field: &str, script: &OurScript<'_>) -> Option<String> {
    let policies: Vec<Option<String>> = field.split(',').map(|policy| widened(policy, script)).collect();
    if policies.iter().all(Option::is_none) {
        return None;
    }
    let policies =
        field.split(',').zip(policies).map(|(before, after)| after.unwrap_or_else(|| before.trim().to_owned()));
    Some(policies.collect::<Vec<_>>().join(", "))
}

fn widened(policy: &str, script: &OurScript<'_>) -> Option<String> {
    let directives: Vec<&str> = policy.split(';').map(str::trim).filter(|directive| !directive.is_empty()).collect();
    // Of several directives of one name, the first counts; of those for scripts, the most special.
    let find =
        |name: &str| directives.iter().position(|directive| directive_name(directive).eq_ignore_ascii_case(name));
    let at = find("script-src-elem").or_else(|| find("script-src")).or_else(|| find("default-src"))?;
    let sources: Vec<&str> = directives.get(at)?.split_ascii_whitespace().skip(1).collect();
    let more = more_sources(&sources, script)?;
    let kept = sources.iter().filter(|source| !source.eq_ignore_ascii_case("'none'"));
    let sources: Vec<&str> = kept.copied().chain(more).collect();
    let by_default = directive_name(directives.get(at)?).eq_ignore_ascii_case("default-src");
    let name = if by_default { "script-src-elem" } else { directive_name(directives.get(at)?) };
    let ours = format!("{name} {}", sources.join(" "));
    let mut out: Vec<&str> = directives.clone();
    if by_default {
        out.push(&ours);
    } else if let Some(place) = out.get_mut(at) {
        *place = &ours;
    }
    Some(out.join("; "))
}

fn directive_name(directive: &str) -> &str {
    directive.split_ascii_whitespace().next().unwrap_or_default()
}

/// What has to be added. Where inline scripts are allowed at large, a digest would take that back: there the address has to do.
fn more_sources<'a>(sources: &[&str], script: &OurScript<'a>) -> Option<Vec<&'a str>> {
    let has = |word: &str| sources.iter().any(|source| source.eq_ignore_ascii_case(word));
    let starts = |word: &str| {
        sources.iter().any(|source| source.get(..word.len()).is_some_and(|s| s.eq_ignore_ascii_case(word)))
    };
    if has("'strict-dynamic'") {
        return Some(vec![script.digest]);
    }
    if has("'self'") || has("*") || has("https:") {
        return None;
    }
    let strict = starts("'nonce-") || starts("'sha256-") || starts("'sha384-") || starts("'sha512-");
    Some(if strict { vec![script.address, script.digest] } else { vec![script.address] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_widened_by_one_script_alone() {
        let script = OurScript { address: "https://s.test/x.js", digest: "'sha256-D='" };
        for (before, after) in [
            ("script-src 'none'", Some("script-src https://s.test/x.js")),
            (
                "default-src 'none'; img-src *",
                Some("default-src 'none'; img-src *; script-src-elem https://s.test/x.js"),
            ),
            ("default-src 'self'", None),
            ("script-src 'unsafe-inline' cdn.test", Some("script-src 'unsafe-inline' cdn.test https://s.test/x.js")),
            ("script-src 'nonce-abc'", Some("script-src 'nonce-abc' https://s.test/x.js 'sha256-D='")),
            (
                "script-src 'nonce-abc' 'strict-dynamic' 'self'",
                Some("script-src 'nonce-abc' 'strict-dynamic' 'self' 'sha256-D='"),
            ),
            (
                "script-src 'self'; script-src-elem cdn.test",
                Some("script-src 'self'; script-src-elem cdn.test https://s.test/x.js"),
            ),
            ("img-src 'self'", None),
            ("", None),
            (
                "script-src 'self', script-src cdn.test",
                Some("script-src 'self', script-src cdn.test https://s.test/x.js"),
            ),
            ("SCRIPT-SRC 'NONE';;", Some("SCRIPT-SRC https://s.test/x.js")),
        ] {
            assert_eq!(allowing(before, &script).as_deref(), after, "{before}");
        }
    }
}
