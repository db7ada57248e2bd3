//! Each mode does what it names.

use std::collections::BTreeSet;

use futures_util::StreamExt as _;

use super::*;

#[test]
fn modes_have_names_of_their_own() {
    let names: BTreeSet<&str> = Mode::ALL.iter().map(|mode| mode.name()).collect();
    assert_eq!(names.len(), Mode::ALL.len());
    for mode in Mode::ALL {
        assert_eq!(Mode::parse(mode.name()), Some(*mode));
        assert!(mode.name().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{}", mode.name());
        assert!(!mode.what().is_empty());
    }
}

/// What `openidconnect`, with the few checks of [`sign_in`], does not notice. Our relying party has to.
const UNNOTICED: &[Mode] = &[
    Mode::InvalidCHash,
    Mode::JwksRsa512,
    Mode::JwksKeyOps,
    Mode::AzpOther,
    Mode::IatFiveMinutesAhead,
    Mode::IatYearOld,
    Mode::NbfFiveMinutesAhead,
    Mode::NbfString,
    Mode::IatNegative,
    Mode::SubEmpty,
    Mode::Sub256,
    Mode::TokenTypeMac,
];

/// Modes whose addresses lie outside this machine: no test goes there.
const OUTSIDE: [Mode; 3] = [Mode::TokenEndpointLinkLocal, Mode::JwksUriLinkLocal, Mode::AuthorizationEndpointPlainHttp];

/// Why the independent relying party refuses: proof that the mode does what it names, and nothing else is wrong.
const REASONS: &[(Mode, &str)] = &[
    (Mode::InvalidIss, "InvalidIssuer"),
    (Mode::MissingSub, "missing field `sub`"),
    (Mode::InvalidSigRs256, "bad signature"),
    (Mode::InvalidSigEs256, "Signature was wrong"),
    (Mode::IdTokenSigNone, "NoSignature"),
    (Mode::UserInfoInvalidSub, "InvalidSubject"),
    (Mode::NonceReused, "nonce mismatch"),
    (Mode::InvalidAtHash, "at_hash"),
    (Mode::ExpiredExp, "Expired"),
    (Mode::SecondaryAud, "not a trusted audience"),
    (Mode::AlternateAlg, "DisallowedAlg"),
    (Mode::Es256Unregistered, "DisallowedAlg"),
    (Mode::AlgMissing, "missing field `alg`"),
    (Mode::Es256Der, "Invalid signature"),
    (Mode::SignatureOfAnother, "bad signature"),
    (Mode::KidUnknown, "NoMatchingKey"),
    (Mode::JwkHeader, "bad signature"),
    (Mode::Jwks500, "500"),
    (Mode::JwksRedirect, "307"),
    (Mode::JwksUseEnc, "NoMatchingKey"),
    (Mode::IssDuplicate, "iss came 2 times"),
    (Mode::CodeTwice, "code came 2 times"),
    (Mode::ResponseFormPost, "no redirect"),
    (Mode::TokenTypeMissing, "missing field `token_type`"),
    (Mode::TokenErrorWith200, "missing field `access_token`"),
    (Mode::UserInfoSignedWrongAud, "InvalidAudience"),
    (Mode::UserInfoSignedStranger, "bad signature"),
    (Mode::EmailVerifiedString, "email_verified: invalid type"),
    (Mode::DiscoveryIssuerTrailingSlash, "unexpected issuer"),
    (Mode::JwksUriMissing, "missing field `jwks_uri`"),
    (Mode::FourParts, "found 4 parts"),
    (Mode::Encrypted, "found 5 parts"),
    (Mode::Crit, "critical JWT header"),
    (Mode::UnencodedPayload, "critical JWT header"),
    (Mode::DuplicateSub, "duplicate field `sub`"),
    (Mode::DeeplyNested, "recursion limit"),
    (Mode::TypLogoutToken, "logout+jwt"),
];

#[tokio::test]
async fn an_independent_relying_party_meets_every_mode() {
    let world = World::start(Settings { algorithm: SigningAlgorithm::Rs256, ..quick() }).await;
    // The stalling ones come first, so that the others pass them by.
    let mut modes: Vec<Mode> = Mode::ALL.iter().copied().filter(|mode| !OUTSIDE.contains(mode)).collect();
    modes.sort_by_key(|mode| !mode.stalls());
    let outcomes = futures_util::stream::iter(modes).map(|mode| {
        let (issuer, web) = (world.provider.issuer_of(mode), world.http.clone());
        async move { (mode, sign_in(&web, &issuer).await) }
    });
    let outcomes: Vec<_> = outcomes.buffer_unordered(12).collect().await;
    let mut unnoticed = BTreeSet::new();
    for (mode, outcome) in outcomes {
        match (mode.expected(), outcome) {
            (Expected::SignsIn, outcome) => assert!(outcome.is_ok(), "{}: {outcome:?}", mode.name()),
            (Expected::Refuses, Ok(_)) => {
                unnoticed.insert(mode);
            }
            (Expected::Refuses, Err(why)) => {
                if let Some((_, reason)) = REASONS.iter().find(|(one, _)| *one == mode) {
                    assert!(why.contains(reason), "{}: {why:.200}", mode.name());
                }
            }
            (Expected::Either, _) => {}
        }
    }
    assert_eq!(unnoticed, UNNOTICED.iter().copied().collect());
    assert_eq!(world.provider.requests(Endpoint::Elsewhere), 0, "nobody follows what hostile answers point to");
}

/// Header, message and signature of the ID token that a mode yields.
async fn token_of(world: &World, mode: Mode) -> (serde_json::Value, String, String) {
    let token = world.tokens(&world.provider.issuer_of(mode), &[]).await;
    let (message, signature) = token["id_token"].as_str().unwrap().rsplit_once('.').unwrap();
    (part(&token["id_token"], 0), message.to_owned(), signature.to_owned())
}

#[tokio::test]
async fn b2_b4_attacks_carry_what_would_take_a_careless_verifier_in() {
    let world = World::start(Settings { algorithm: SigningAlgorithm::Rs256, ..quick() }).await;
    let issuer = world.provider.issuer();
    let keys: serde_json::Value = world.http.get(world.url("/jwks")).send().await.unwrap().json().await.unwrap();
    let honest =
        world.provider.keys().signing(keys::Owner::Provider, SigningAlgorithm::Rs256, world.provider.random()).unwrap();
    assert_eq!(keys["keys"][0]["kid"], honest.kid());
    assert!(honest.public_pem().starts_with("-----BEGIN PUBLIC KEY-----\n"));
    jsonwebtoken::DecodingKey::from_rsa_pem(honest.public_pem().as_bytes()).unwrap();
    let pem = honest.public_pem();
    let jwk = keys["keys"][0].to_string();
    for (mode, secret) in [
        (Mode::Hs256PublicPem, pem.as_bytes()),
        (Mode::Hs256PublicJwk, jwk.as_bytes()),
        (Mode::Hs256ClientSecret, SECRET.as_bytes()),
        (Mode::KidPath, b"".as_slice()),
        (Mode::KidSql, b"secret"),
        (Mode::JwksOct, discovery::SYMMETRIC_KEY),
    ] {
        let (header, message, signature) = token_of(&world, mode).await;
        assert_eq!(header["alg"], "HS256");
        assert_eq!(signature, keys::sign_hs256(&message, secret), "{}", mode.name());
    }

    let stranger =
        world.provider.keys().signing(keys::Owner::Stranger, SigningAlgorithm::Rs256, world.provider.random()).unwrap();
    for (mode, name) in [(Mode::Jku, "jku"), (Mode::X5u, "x5u"), (Mode::JwkHeader, "jwk"), (Mode::X5cHeader, "x5c")] {
        let (header, message, signature) = token_of(&world, mode).await;
        assert!(header.get(name).is_some(), "{name}: {header}");
        assert_eq!(header["kid"], honest.kid(), "the honest key's id");
        assert!(stranger.made(&signature, &message) && !honest.made(&signature, &message), "{name}");
    }
    let elsewhere: serde_json::Value =
        world.http.get(world.url("/elsewhere")).send().await.unwrap().json().await.unwrap();
    assert_eq!(elsewhere["keys"][0]["kid"], stranger.kid());
    let (header, ..) = token_of(&world, Mode::KidUrl).await;
    assert_eq!(header["kid"], format!("{}/elsewhere", world.provider.issuer_of(Mode::KidUrl)));

    // The same by one request, and by switch.
    let token = world.tokens(&issuer, &[("login_hint", "mode:oidcc-client-test-invalid-iss/bob")]).await;
    assert_eq!(claims(&token["id_token"])["iss"], "https://stranger.test");
    assert_eq!(claims(&token["id_token"])["sub"], "bob");
    world.provider.set_mode(Some(Mode::AudNumber));
    assert_eq!(claims(&world.tokens(&issuer, &[]).await["id_token"])["aud"], 1);
    world.provider.set_mode(None);
    assert_eq!(claims(&world.tokens(&issuer, &[]).await["id_token"])["aud"], "portal");
}

#[tokio::test]
async fn b5_b19_answers_are_spoiled_as_named() {
    let world = World::start(quick()).await;
    let get = async |mode: Mode, path: &str| {
        world.http.get(format!("{}{path}", world.provider.issuer_of(mode))).send().await.unwrap()
    };
    let big = get(Mode::JwksTenMegabytes, "/jwks").await.bytes().await.unwrap();
    assert!(big.len() > 10 << 20);
    let keys: serde_json::Value = serde_json::from_slice(&big).unwrap();
    assert!(keys["keys"][0]["kid"].is_string(), "right, but for its size");
    let moved = get(Mode::DiscoveryRedirect, "/.well-known/openid-configuration").await;
    assert_eq!(moved.status(), 307);
    assert!(moved.headers()["location"].to_str().unwrap().ends_with("/elsewhere"));
    let short: serde_json::Value = get(Mode::JwksRsa512, "/jwks").await.json().await.unwrap();
    assert_eq!(short["keys"][0]["n"].as_str().unwrap().len(), 86, "64 bytes");
    let twins: serde_json::Value = get(Mode::KidDuplicate, "/jwks").await.json().await.unwrap();
    assert_eq!(twins["keys"][0]["kid"], twins["keys"][1]["kid"]);

    let issuer = world.provider.issuer_of(Mode::TokenGzipBomb);
    let code = parameter(&location(&world.authorize(&issuer, &[]).await), "code").unwrap();
    let bomb = world.redeem(&issuer, &code, &[]).await;
    assert_eq!(bomb.headers()["content-encoding"], "gzip");
    assert!(bomb.bytes().await.unwrap().len() < 400_000);
    assert_eq!(world.http.get(world.url("/as/no-such-mode/jwks")).send().await.unwrap().status(), 404);
}
