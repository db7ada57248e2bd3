//! Where a page's forms may end up.

use http::HeaderValue;
use url::{Host, Url};

use crate::reply::CONTENT_SECURITY_POLICY;

/// The sites, besides our own, at which a form of a page may end up.
///
/// Chromium holds `form-action` against every redirect that follows a form (Content Security Policy Level 3, 6.4.2), so the
/// page that starts a sign-in names the providers' origins. A provider that redirects further (to the sign-in of a
/// federated partner, say) would need those named too: [`super::go_on`] ends the chain of redirects instead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormTargets(Vec<String>);

impl FormTargets {
    /// Only to us.
    pub const fn ours() -> Self {
        Self(Vec::new())
    }

    /// To us, and to the origins of these addresses. Anything but `http` and `https` is left out.
    pub fn with<'a>(addresses: impl IntoIterator<Item = &'a Url>) -> Self {
        let mut sources: Vec<String> = addresses.into_iter().filter_map(source).collect();
        sources.sort();
        sources.dedup();
        Self(sources)
    }

    /// The page's `Content-Security-Policy`.
    pub(super) fn policy(&self) -> HeaderValue {
        let own = HeaderValue::from_static(CONTENT_SECURITY_POLICY);
        if self.0.is_empty() {
            return own;
        }
        let targets = format!("form-action 'self' {};", self.0.join(" "));
        let policy = CONTENT_SECURITY_POLICY.replace("form-action 'self';", &targets);
        HeaderValue::try_from(policy).unwrap_or(own)
    }
}

/// An origin as a source expression (Content Security Policy Level 3, 2.3.1).
fn source(address: &Url) -> Option<String> {
    if !matches!(address.scheme(), "http" | "https") {
        return None;
    }
    match address.host()? {
        // A host may hold ";" or "," to a URL parser: both would end the directive.
        Host::Domain(name) => {
            let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
            plain.then(|| address.origin().ascii_serialization())
        }
        Host::Ipv4(_) => Some(address.origin().ascii_serialization()),
        // The grammar has no IPv6 addresses: the scheme is the nearest thing that can be said.
        Host::Ipv6(_) => Some(format!("{}:", address.scheme())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form_action(addresses: &[&str]) -> String {
        let urls: Vec<Url> = addresses.iter().map(|a| Url::parse(a).unwrap()).collect();
        let policy = FormTargets::with(&urls).policy();
        let text = policy.to_str().unwrap().to_owned();
        assert_eq!(text.matches(';').count(), CONTENT_SECURITY_POLICY.matches(';').count(), "{text}");
        text.split("; ").find(|d| d.starts_with("form-action")).unwrap().to_owned()
    }

    #[test]
    fn origins_join_our_own() {
        for (addresses, directive) in [
            (&[][..], "form-action 'self'"),
            (&["https://login.acme.test/authorize?x=1"], "form-action 'self' https://login.acme.test"),
            (&["http://127.0.0.1:9000/a"], "form-action 'self' http://127.0.0.1:9000"),
            (
                &["https://b.test/", "https://a.test/1", "https://a.test/2"],
                "form-action 'self' https://a.test https://b.test",
            ),
            (&["https://[::1]:9000/"], "form-action 'self' https:"),
            (&["https://a.test;script-src*/"], "form-action 'self'"),
            (&["https://a,b.test/", "javascript:alert(1)", "data:text/html,x"], "form-action 'self'"),
        ] {
            assert_eq!(form_action(addresses), directive, "{addresses:?}");
        }
    }
}
