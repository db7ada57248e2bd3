//! Which of the visitor's header fields go on to the upstream.
//!
//! A field that tells an upstream who somebody is, where they come from, or which address they asked for, is ours to
//! set: the visitor's own is dropped in every spelling (security cases C20 to C22). Some servers fold `_` into `-`
//! (CGI, WSGI), so a name with `_` is never sent on at all.

/// Whether the visitor's field of that (lower-case) name stays behind.
pub fn stays_behind(name: &str) -> bool {
    if name.contains('_') {
        return true;
    }
    let exact = matches!(
        name,
        "host"
            | "cookie"
            | "authorization"
            | "forwarded"
            | "via"
            | "expect"
            | "te"
            | "trailer"
            | "keep-alive"
            | "http2-settings"
            | "accept-encoding"
            | "origin"
            | "referer"
            | "true-client-ip"
            | "cf-connecting-ip"
            | "cf-access-jwt-assertion"
            | "fastly-client-ip"
            | "client-ip"
            | "x-client-ip"
            | "x-cluster-client-ip"
            | "x-real-ip"
            | "x-original-url"
            | "x-original-uri"
            | "x-original-host"
            | "x-rewrite-url"
            | "x-host"
            | "x-scheme"
            | "x-http-method"
            | "x-http-method-override"
            | "x-method-override"
            | "x-request-id"
            | "x-ausername"
            | "x-user"
            | "x-username"
            | "x-email"
            | "x-groups"
            | "remote-user"
            | "remote-groups"
            | "remote-email"
            | "remote-name"
            | "x-arr-clientcert"
    );
    exact
        || [
            "x-forwarded",
            "x-remote",
            "x-auth",
            "x-vestibule",
            "x-seraph",
            "x-webauth",
            "x-ssl",
            "x-client-cert",
            // RFC 9440, and what load balancers call it: nobody is anybody by a field.
            "client-cert",
            "ssl-client",
            "x-tls-client",
            "x-amzn-mtls",
            "proxy-",
            "x-atlassian-mau",
        ]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c20_c22_identity_and_forwarding_fields_stay_behind() {
        for name in [
            "x-forwarded-for",
            "x-forwarded-user",
            "x-forwarded-host",
            "x_forwarded_for",
            "x-forwarded_user",
            "x_remote-user",
            "remote_user",
            "remote-user",
            "authorization",
            "cookie",
            "forwarded",
            "x-original-url",
            "x-rewrite-url",
            "x-http-method-override",
            "true-client-ip",
            "x-auth-user",
            "x-auth-request-email",
            "proxy-authorization",
            "cf-access-jwt-assertion",
            "x-request-id",
            "client-cert",
            "client-cert-chain",
            "ssl-client-cert",
            "ssl-client-subject-dn",
            "x-forwarded-client-cert",
            "x-amzn-mtls-clientcert",
            "any_thing",
        ] {
            assert!(stays_behind(name), "{name}");
        }
    }

    #[test]
    fn what_a_browser_and_a_portal_need_goes_on() {
        for name in [
            "accept",
            "accept-language",
            "content-type",
            "content-length",
            "user-agent",
            "if-none-match",
            "if-match",
            "range",
            "x-atlassian-token",
            "x-requested-with",
            "x-experimentalapi",
            "x-ajs-dirty-warning",
            "sec-fetch-mode",
            "sec-websocket-key",
            "upgrade-insecure-requests",
            "cache-control",
        ] {
            assert!(!stays_behind(name), "{name}");
        }
    }
}
