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
                    | "arr-clientcert"
                    | "user-id"
                    | "user-name"
                    | "user-email"
                    | "userinfo"
                    | "client-verify"
                    | "client-dn"
            ) || [
                "forwarded",
                "remote",
                "auth",
                "vestibule",
                "seraph",
                "webauth",
                "ssl",
                "client-cert",
                "tls-client",
                "amzn-mtls",
                "amzn-oidc",
                "ms-client-principal",
                "goog-iap",
                "goog-authenticated",
                "pomerium",
                "shib",
                "original-for",
                "envoy-",
                "azure-",
                "atlassian-mau",
            ]
            .iter()
            .any(|prefix| rest.starts_with(prefix))
        }
        None => {
            // RFC 9440, and what load balancers call it: nobody is anybody by a field.
            ["proxy-", "client-cert", "ssl-client", "oidc-", "shib-", "wl-proxy-"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
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
            "client-cert",
            "client-cert-chain",
            "ssl-client-cert",
            "ssl-client-subject-dn",
            "x-forwarded-client-cert",
            "x-amzn-mtls-clientcert",
            "any_thing",
            "x-user-id",
            "x-amzn-oidc-data",
            "x-ms-client-principal-name",
            "x-goog-iap-jwt-assertion",
            "x-goog-authenticated-user-email",
            "x-pomerium-claim-email",
            "x-shib-user",
            "shib-session-id",
            "oidc-claim-sub",
            "x-client-dn",
            "x-original-forwarded-for",
            "x-original-for",
            "x-envoy-external-address",
            "x-azure-clientip",
            "wl-proxy-client-ip",
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
