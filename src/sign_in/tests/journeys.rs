use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};

use super::*;
use crate::email::{EmailDomain, SpeaksFor};
use crate::sign_in::pending::{Asked, Taken};

#[tokio::test]
async fn a_visitor_signs_in_and_goes_where_they_wanted_to() {
    let world = World::start().await;
    let mut browser = world.browser();
    let Callback::SignedIn { identity, hint, next, .. } = browser.sign_in("/portal/7?a=b").await else { panic!() };
    assert_eq!(next.as_str(), "/portal/7?a=b");
    assert_eq!((identity.provider().as_str(), identity.subject()), ("acme", "ana"));
    assert_eq!(identity.issuer(), world.op.issuer());
    assert!(identity.email().is_some() && identity.email_verified());
    let SignOutHint::IdToken(id_token) = hint else { panic!("it is OpenID Connect") };
    assert_eq!(id_token.reveal().split('.').count(), 3);
    // The second time the browser has its key already.
    assert_eq!(told(&browser.sign_in("/again").await), ("signed_in", "/again"));
}

#[tokio::test]
async fn b14_b24_the_request_asks_for_what_it_has_to() {
    let world = World::with(op_settings(), |providers| {
        let acme = oidc(&mut providers[0]);
        acme.max_age = Some(Duration::from_secs(600));
        acme.acr_values = vec!["mfa".into(), "phr".into()];
    })
    .await;
    let hint = EmailAddress::parse("ana@acme.com").unwrap();
    let started =
        world.sign_in.start(world.at(), &name("acme"), next("/a?secret"), Ties::default(), Some(&hint)).await.unwrap();
    let shown = format!("{started:?}");
    let location = location(started);
    let sent: HashMap<_, _> = location.query_pairs().into_owned().collect();
    assert_eq!(sent.len(), location.query_pairs().count(), "nothing twice");
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "portal"),
        ("redirect_uri", "https://our.test/.vestibule/oidc/acme/callback"),
        ("scope", "openid email profile groups"),
        ("code_challenge_method", "S256"),
        ("max_age", "600"),
        ("acr_values", "mfa phr"),
        ("login_hint", "ana@acme.com"),
    ] {
        assert_eq!(sent[name], value, "{name}");
    }
    assert!(!sent.contains_key("response_mode"));
    assert!(["state", "nonce", "code_challenge"].iter().all(|name| sent[*name].len() == 43));
    assert!(!location.as_str().contains("secret"), "where to go stays here");
    assert!(!shown.contains(&sent["state"]));
}

#[tokio::test]
async fn b14_state_nonce_and_verifier_are_fresh() {
    let world = World::start().await;
    let mut seen = HashSet::new();
    for _ in 0..20 {
        let location = world.browser().start("/").await;
        for (name, value) in location.query_pairs() {
            if ["state", "nonce", "code_challenge"].contains(&&*name) {
                assert!(seen.insert(value.into_owned()), "{name}");
            }
        }
    }
    assert_eq!(seen.len(), 60);
}

#[tokio::test]
async fn b12_tabs_do_not_disturb_each_other() {
    let world = World::start().await;
    let mut browser = world.browser();
    let mut tabs = Vec::new();
    for tab in 0..5 {
        let path = format!("/tab/{tab}");
        tabs.push((path.clone(), browser.start(&path).await));
    }
    tabs.reverse();
    for (path, location) in tabs {
        let query = browser.visit(location).await;
        assert_eq!(told(&browser.callback(&query).await), ("signed_in", path.as_str()));
    }
}

#[tokio::test]
async fn b17_who_gives_up_is_told_so_and_may_try_again() {
    let world = World::start().await;
    let mut browser = world.browser();
    for (error, expected) in [
        ("access_denied", "visitor_cancelled"),
        ("login_required", "provider_error"),
        ("%3Cscript%3E", "provider_error"),
    ] {
        let location = browser.start("/a").await;
        let state = parameter(location.query().unwrap(), "state");
        let query = format!("error={error}&error_description=%3Cscript%3E&state={state}");
        assert_eq!(told(&browser.callback(&query).await), (expected, "/a"));
    }
    assert_eq!(world.requests(Endpoint::Token), 0);
    assert_eq!(told(&browser.sign_in("/a").await), ("signed_in", "/a"));
}

#[tokio::test]
async fn a_provider_is_chosen_while_the_next_url_stays_here() {
    let world = World::start().await;
    let at = world.at();
    let remembered = world.sign_in.remember(at, next("/deep?x"), None).unwrap();
    let key = remembered.browser_key_to_set.clone();
    assert!(world.sign_in.remember(at, next("/other"), key.as_deref()).unwrap().browser_key_to_set.is_none());
    let recalled = world.sign_in.recall(&remembered.handle, key.as_deref(), &world.host);
    assert_eq!(recalled, Some(next("/deep?x")));
    assert_eq!(world.sign_in.recall(&remembered.handle, None, &world.host), None);
    let stranger = world.sign_in.remember(at, next("/"), None).unwrap().browser_key_to_set;
    assert_eq!(world.sign_in.recall(&remembered.handle, stranger.as_deref(), &world.host), None);
    assert_eq!(world.requests(Endpoint::Discovery), 0);
}

#[tokio::test]
async fn providers_are_found_by_the_domain_of_the_address() {
    let world = World::with(op_settings(), |providers| {
        let issuer = oidc(&mut providers[0]).issuer_text.clone();
        for (name, domains) in [("globex", vec!["globex.com", "globex.eu"]), ("anybody", vec![])] {
            let mut one = provider(name, &issuer);
            let domains: Vec<_> = domains.into_iter().map(|domain| EmailDomain::parse(domain).unwrap()).collect();
            one.speaks_for = SpeaksFor::new(&domains, &[EmailDomain::parse("acme.com").unwrap()]);
            providers.push(one);
        }
        providers[0].speaks_for = SpeaksFor::new(&[EmailDomain::parse("acme.com").unwrap()], []);
    })
    .await;
    let find = |email: &str, among: &[&str]| {
        let among: Vec<_> = among.iter().map(|text| name(text)).collect();
        let found = world.sign_in.provider_for_email(&EmailAddress::parse(email).unwrap(), &among);
        found.map(|name| name.as_str().to_owned())
    };
    assert_eq!(find("ana@ACME.com", &["anybody", "acme", "globex"]).as_deref(), Some("acme"));
    assert_eq!(find("ana@globex.eu", &["acme", "globex"]).as_deref(), Some("globex"));
    assert_eq!(find("ana@eu.acme.com", &["acme", "globex"]), None);
    assert_eq!(find("ana@other.com", &["acme", "anybody"]).as_deref(), Some("anybody"));
    assert_eq!(find("ana@acme.com", &["globex"]), None);
    let names: Vec<_> = world.sign_in.providers().iter().map(|provider| provider.name().as_str()).collect();
    assert_eq!(names, ["acme", "globex", "anybody"]);
}

#[tokio::test]
async fn b20_every_way_to_prove_who_we_are() {
    let world = World::start().await;
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let point = rcgen::PublicKeyData::der_bytes(&pair).to_vec();
    let jwk = serde_json::json!({
        "keys": [{
            "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "c1",
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..65]),
        }],
    });
    world.op.register(op::Client {
        id: "keyed".into(),
        authentication: op::ClientAuthentication::PrivateKeyJwt(serde_json::from_value(jwk).unwrap()),
        redirect_uris: vec!["https://our.test/.vestibule/oidc/acme/callback".into()],
        post_logout_redirect_uris: Vec::new(),
    });
    let key = Secret::generated(pair.serialize_pem());
    for (client_id, authentication, expected) in [
        ("portal", ClientAuthentication::SecretBasic(Secret::generated(SECRET)), "signed_in"),
        ("portal", ClientAuthentication::SecretPost(Secret::generated(SECRET)), "signed_in"),
        ("keyed", ClientAuthentication::PrivateKeyJwt { key, key_id: Some("c1".into()) }, "signed_in"),
        ("portal", ClientAuthentication::SecretBasic(Secret::generated("wrong")), "client_refused"),
    ] {
        let mut acme = provider("acme", &world.op.issuer());
        oidc(&mut acme).client_id = client_id.to_owned();
        oidc(&mut acme).client_authentication = authentication;
        let world = World {
            sign_in: World::gateway(vec![acme], &world.clock),
            op: world.op.clone(),
            clock: world.clock.clone(),
            web: web(),
            host: world.host.clone(),
            origin: world.origin.clone(),
        };
        assert_eq!(told(&world.browser().sign_in("/").await).0, expected);
    }
}

#[tokio::test]
async fn signing_out_at_the_provider_too() {
    let world = World::start().await;
    let Callback::SignedIn { identity, hint, .. } = world.browser().sign_in("/").await else { panic!() };
    let at = At { portal: &world.host, origin: &world.origin };
    let left = world.sign_in.leave(at, &identity, Some(&hint), "https://our.test/", None).await.unwrap();
    assert!(left.cookie.is_none());
    let Departure::Redirect(url) = left.departure else { panic!("it is OpenID Connect") };
    let SignOutHint::IdToken(id_token) = hint else { panic!("it is OpenID Connect") };
    let sent: HashMap<_, _> = url.query_pairs().into_owned().collect();
    assert_eq!(sent["client_id"], "portal");
    assert_eq!(sent["post_logout_redirect_uri"], "https://our.test/");
    assert_eq!(sent["id_token_hint"], id_token.reveal());
    let answer = world.web.send(Call::get(url)).await.unwrap();
    assert_eq!(answer.headers["location"], "https://our.test/");
}

#[tokio::test]
async fn b8_max_age_and_email_domains_reach_the_checks() {
    let world = World::with(op_settings(), |providers| {
        oidc(&mut providers[0]).max_age = Some(Duration::from_secs(3600));
    })
    .await;
    assert_eq!(told(&world.browser().sign_in("/").await).0, "signed_in");
    world.op.set_mode(Some(Mode::AuthTimeMissing));
    assert_eq!(told(&world.browser().sign_in("/").await).0, "id_token_claim_missing");
    world.op.set_mode(Some(Mode::AuthTimeOld));
    assert_eq!(told(&world.browser().sign_in("/").await).0, "id_token_authenticated_too_long_ago");

    let world = World::with(op_settings(), |providers| {
        providers[0].speaks_for = SpeaksFor::new(&[EmailDomain::parse("elsewhere.example").unwrap()], []);
    })
    .await;
    assert_eq!(told(&world.browser().sign_in("/").await).0, "email_outside_domains");
}

#[tokio::test]
async fn b14_the_verifier_is_what_was_hashed() {
    // The provider refuses a wrong verifier, so a sign-in shows that ours is right; this shows that it is S256 of it.
    let world = World::start().await;
    let mut browser = world.browser();
    let location = browser.start("/").await;
    let challenge = parameter(location.query().unwrap(), "code_challenge");
    let state = parameter(location.query().unwrap(), "state");
    let key = BrowserKey::parse(browser.key.as_deref().unwrap()).unwrap();
    let now = world.clock.now();
    let Taken::Pending(pending) = world.sign_in.pending.take(&state, key.hash(), &world.host, &name("acme"), now)
    else {
        panic!()
    };
    let Asked::Oidc { pkce_verifier, .. } = &pending.asked else { panic!("it is OpenID Connect") };
    let verifier = pkce_verifier.reveal();
    assert_eq!(verifier.len(), 43);
    assert_eq!(challenge, URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes())));
}

#[tokio::test]
async fn b2_every_algorithm_that_can_be_allowed_works() {
    for algorithm in SigningAlgorithm::ALL {
        let settings = op::Settings { algorithm, ..op_settings() };
        let world = World::with(settings, |providers| oidc(&mut providers[0]).algorithms = vec![algorithm]).await;
        let callback = world.browser().sign_in("/").await;
        assert_eq!(told(&callback).0, "signed_in", "{algorithm:?}: {callback:?}");
    }
}
