//! Which of the visitor's header fields go on to the upstream.
//!
//! A field that tells an upstream who somebody is, where they come from, or which address they asked for, is ours to
//! set: the visitor's own is dropped in every spelling (security cases C20 to C22). Some servers fold `_` into `-`
//! (CGI, WSGI), so a name with `_` is never sent on at all.

/// Whether the visitor's field of that (lower-case) name stays behind.
pub fn stays_behind(name: &str) -> bool {
    if name.as_bytes().contains(&b'_') {
        return true;
    }
    match name.strip_prefix("x-") {
        Some(rest) => {
            matches!(
                rest,
                "client-ip"
                    | "cluster-client-ip"
                    | "real-ip"
                    | "original-url"
                    | "original-uri"
                    | "original-host"
                    | "rewrite-url"
                    | "host"
                    | "scheme"
                    | "http-method"
                    | "http-method-override"
                    | "method-override"
                    | "request-id"
                    | "ausername"
                    | "user"
                    | "username"
                    | "email"
                    | "groups"
            ) || [
                "forwarded",
                "remote",
                "auth",
                "vestibule",
                "seraph",
                "webauth",
                "ssl",
                "client-cert",
                "atlassian-mau",
            ]
            .iter()
            .any(|prefix| rest.starts_with(prefix))
        }
        None => {
            name.starts_with("proxy-")
                || matches!(
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
                        | "remote-user"
                        | "remote-groups"
                        | "remote-email"
                        | "remote-name"
                        | "ssl-client-cert"
                        | "ssl-client-verify"
                )
        }
    }
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
