use futures_util::StreamExt as _;

use super::*;
use crate::demo::openid_provider::Expected;

/// A whole sign-in at the issuer of `mode`.
async fn meet(world: &World, mode: Mode) -> (&'static str, String) {
    let mut acme = provider("acme", &world.op.issuer_of(mode));
    oidc(&mut acme).algorithms = vec![mode.algorithm().unwrap_or(SigningAlgorithm::Es256)];
    let sign_in = SignIn::new(vec![acme], once(&world.clock), web(), world.clock.clone(), Random::default()).unwrap();
    let sign_in = if mode.stalls() {
        let (short, usual) = (Duration::from_secs(2), CallLimits::default());
        let token_time = if mode == Mode::TokenNever { short } else { usual.token_time };
        sign_in.with_call_limits(CallLimits { document_time: short, token_time, ..usual })
    } else {
        sign_in
    };
    let started = match sign_in.start(world.at(), &name("acme"), next("/a"), Ties::default(), None).await {
        Ok(started) => started,
        Err(failed) => return (failed.reason(), failed.to_string()),
    };
    let Some(TieCookie::SignIn(key)) = &started.cookie else { panic!("a new browser gets a key") };
    let browser = Browser { world, key: Some(key.clone()) };
    let query = browser.visit(location(started)).await;
    let callback = sign_in.callback(world.at(), &name("acme"), &query, browser.key.as_deref()).await;
    let detail = match &callback {
        Callback::Refused { rejected, .. } => rejected.to_string(),
        _ => String::new(),
    };
    (told(&callback).0, detail)
}

#[tokio::test]
async fn b_every_mode_of_the_hostile_provider() {
    let world = World::start().await;
    let mut modes = Mode::ALL.to_vec();
    // The stalling ones last, when nothing else makes the machine slow.
    modes.sort_by_key(|mode| mode.stalls());
    let outcomes = futures_util::stream::iter(modes).map(|mode| {
        let world = &world;
        async move { (mode, meet(world, mode).await) }
    });
    let outcomes: Vec<_> = outcomes.buffer_unordered(8).collect().await;
    for (mode, (outcome, detail)) in outcomes {
        let signed_in = outcome == "signed_in";
        match mode.expected() {
            Expected::SignsIn => assert!(signed_in, "{}: {outcome}: {detail}", mode.name()),
            Expected::Refuses => assert!(!signed_in, "{}", mode.name()),
            Expected::Either => {}
        }
        let known = OUTCOMES.iter().find(|(_, modes)| modes.contains(&mode.name())).map(|(known, _)| *known);
        assert_eq!(Some(outcome), known, "{}: {detail}", mode.name());
    }
    assert_eq!(world.requests(Endpoint::Elsewhere), 0, "nobody follows what hostile answers point to");
}

/// What each mode comes to, so that a refusal is for the right reason.
const OUTCOMES: &[(&str, &[&str])] = &[
    (
        "signed_in",
        &[
            "oidcc-client-test",
            "oidcc-client-test-kid-absent-single-jwks",
            "oidcc-client-test-kid-absent-multiple-jwks",
            "oidcc-client-test-idtoken-sig-rs256",
            "oidcc-client-test-scope-userinfo-claims",
            "oidcc-client-test-client-secret-basic",
            "oidcc-client-test-discovery-openid-config",
            "oidcc-client-test-discovery-jwks-uri-keys",
            "oidcc-client-test-signing-key-rotation-just-before-signing",
            "oidcc-client-test-signing-key-rotation",
            "oidcc-client-test-userinfo-bearer-header",
            "oidcc-client-test-nonce-unless-code-flow",
            "oidcc-client-test-missing-chash",
            "oidcc-client-test-missing-athash",
            "oidcc-client-test-aggregated-claims",
            "oidcc-client-test-distributed-claims",
            "oidcc-client-test-mtls-endpoint-aliases",
            "fapi2-security-profile-final-client-test-happy-path",
            "fapi2-security-profile-final-client-test-valid-aud-as-array",
            "fapi2-security-profile-final-client-test-token-type-case-insensitivity",
            "b4-kid-duplicate",
            "b5-jwks-oct-key-beside",
            "b7-azp-ours",
            "b8-exp-30s-ago",
            "b8-exp-now",
            "b8-iat-30s-ahead",
            "b8-nbf-30s-ahead",
            "b8-times-float",
            "b8-auth-time-missing",
            "b8-auth-time-old",
            "b14-pkce-methods-missing",
            "b19-token-type-mixed",
            "b19-expires-in-negative",
            "b19-expires-in-huge",
            "b19-expires-in-string",
        ],
    ),
    (
        "id_token_wrong_issuer",
        &[
            "oidcc-client-test-invalid-iss",
            "fapi2-security-profile-final-client-test-invalid-missing-iss",
            "b6-iss-trailing-slash",
            "b6-iss-case",
            "b6-iss-tenant-template",
        ],
    ),
    (
        "id_token_claim_missing",
        &[
            "oidcc-client-test-missing-sub",
            "oidcc-client-test-missing-iat",
            "oidcc-client-test-missing-aud",
            "fapi2-security-profile-final-client-test-invalid-missing-exp",
            "fapi2-security-profile-final-client-test-invalid-missing-aud",
            "fapi2-security-profile-final-client-test-invalid-missing-nonce",
        ],
    ),
    (
        "id_token_wrong_audience",
        &[
            "oidcc-client-test-invalid-aud",
            "fapi2-security-profile-final-client-test-invalid-secondary-aud",
            "b7-aud-empty",
            "b7-aud-number",
            "b7-aud-untrusted-azp-ours",
        ],
    ),
    (
        "id_token_algorithm_not_allowed",
        &[
            "oidcc-client-test-idtoken-sig-none",
            "oidcc-client-test-invalid-sig-hs256",
            "fapi2-security-profile-final-client-test-invalid-alternate-alg",
            "fapi2-security-profile-final-client-test-invalid-null-alg",
            "b1-alg-none-capital",
            "b1-alg-none-mixed",
            "b2-hs256-public-pem",
            "b2-hs256-public-jwk",
            "b2-hs256-client-secret",
            "b2-ps256-unregistered",
            "b2-es256-unregistered",
            "b2-alg-missing",
            "b3-bit-flipped-hs256",
            "b4-kid-path",
            "b4-kid-sql",
            "b5-jwks-oct-key",
        ],
    ),
    (
        "id_token_bad_signature",
        &[
            "oidcc-client-test-invalid-sig-rs256",
            "oidcc-client-test-invalid-sig-es256",
            "b1-signature-empty",
            "b3-es256-der",
            "b3-es256-zero",
            "b3-signature-of-another-token",
            "b4-jku",
            "b4-x5u",
            "b4-jwk-header",
            "b4-x5c-header",
        ],
    ),
    ("userinfo_wrong_subject", &["oidcc-client-test-userinfo-invalid-sub", "b21-userinfo-sub-missing"]),
    ("id_token_wrong_nonce", &["oidcc-client-test-nonce-invalid", "b9-nonce-reused"]),
    (
        "provider_misbehaved",
        &[
            "oidcc-client-test-discovery-issuer-mismatch",
            "fapi2-security-profile-final-client-test-discovery-issuer-mismatch",
            "b5-jwks-10-mb",
            "b5-jwks-html",
            "b5-jwks-redirect",
            "b19-token-type-missing",
            "b19-token-type-mac",
            "b19-no-id-token",
            "b19-redirect",
            "b19-html",
            "b19-50-mb",
            "b19-gzip-bomb",
            "b19-empty",
            "b21-userinfo-redirect",
            "b21-userinfo-50-mb",
            "b22-issuer-trailing-slash",
            "b22-jwks-uri-missing",
            "b22-token-endpoint-missing",
            "b22-token-endpoint-link-local",
            "b22-token-endpoint-file",
            "b22-jwks-uri-link-local",
            "b22-authorization-endpoint-script",
            "b22-authorization-endpoint-plain-http",
            "b22-discovery-redirect",
            "b22-discovery-html",
            "b22-discovery-50-mb",
        ],
    ),
    ("id_token_wrong_hash", &["oidcc-client-test-invalid-chash", "oidcc-client-test-invalid-athash"]),
    (
        "stale",
        &[
            "oidcc-client-test-form-post-error",
            "fapi2-security-profile-final-client-test-ensure-authorization-response-with-invalid-state-fails",
            "fapi2-security-profile-final-client-test-ensure-authorization-response-with-invalid-missing-state-fails",
            "b17-error-wrong-state",
            "b18-fragment",
            "b18-form-post",
        ],
    ),
    (
        "userinfo_signed",
        &[
            "oidcc-client-test-userinfo-signed",
            "b21-userinfo-signed-none",
            "b21-userinfo-signed-wrong-aud",
            "b21-userinfo-signed-stranger",
        ],
    ),
    (
        "callback_mixed_up",
        &[
            "fapi2-security-profile-final-client-test-remove-authorization-response-iss",
            "fapi2-security-profile-final-client-test-invalid-authorization-response-iss",
        ],
    ),
    ("id_token_expired", &["fapi2-security-profile-final-client-test-invalid-expired-exp", "b8-exp-300s-ago"]),
    (
        "id_token_malformed",
        &[
            "b1-two-dots-only",
            "b31-four-parts",
            "b31-jwe",
            "b31-padding",
            "b31-crit",
            "b31-b64-false",
            "b31-duplicate-sub",
            "b31-nested-10000",
            "b31-bom",
        ],
    ),
    (
        "id_token_unknown_key",
        &[
            "b4-kid-unknown",
            "b4-kid-url",
            "b5-jwks-empty",
            "b5-jwks-rsa-512",
            "b5-jwks-use-enc",
            "b5-jwks-key-ops-encrypt",
        ],
    ),
    (
        "provider_unreachable",
        &[
            "b5-jwks-500",
            "b5-jwks-slow",
            "b19-slow",
            "b19-500",
            "b21-userinfo-500",
            "b21-userinfo-slow",
            "b22-discovery-500",
            "b22-discovery-slow",
        ],
    ),
    (
        "id_token_claim_invalid",
        &[
            "b6-iss-array",
            "b8-exp-string",
            "b8-iat-string",
            "b8-nbf-string",
            "b8-exp-2-53",
            "b8-exp-maximum",
            "b8-exp-1e300",
            "b8-exp-negative",
            "b8-iat-negative",
            "b8-auth-time-string",
            "b9-nonce-number",
            "b10-sub-empty",
            "b10-sub-256",
            "b10-sub-number",
        ],
    ),
    ("id_token_wrong_party", &["b7-azp-other"]),
    ("id_token_issued_in_future", &["b8-iat-300s-ahead"]),
    ("id_token_issued_long_ago", &["b8-iat-year-old"]),
    ("id_token_not_yet_valid", &["b8-nbf-300s-ahead"]),
    (
        "callback_malformed",
        &["b15-iss-duplicate", "b17-code-and-error", "b18-code-twice", "b18-code-100-kb", "b18-code-missing"],
    ),
    ("visitor_cancelled", &["b17-error-script"]),
    ("provider_error", &["b17-error-unknown"]),
    ("code_refused", &["b19-200-error"]),
    ("email_not_verified", &["b21-userinfo-email-verified-string", "b21-email-verified-string"]),
    ("userinfo_malformed", &["b21-userinfo-html"]),
    ("id_token_wrong_type", &["b32-typ-at-jwt", "b32-typ-logout-jwt"]),
];
