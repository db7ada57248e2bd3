//! The honest flow.

use super::*;

async fn signs_in_with(algorithm: SigningAlgorithm) {
    let settings = Settings { algorithm, ..Settings::default() }.approve_automatically("ana");
    let world = World::start(settings).await;
    let (claims, _) = sign_in(&world.http, &world.provider.issuer()).await.unwrap();
    assert_eq!(claims.subject().as_str(), "ana");
    assert_eq!(claims.email().unwrap().as_str(), "ana@acme.example");
    assert_eq!(claims.email_verified(), Some(true));
    assert!(claims.auth_time().is_some() && claims.access_token_hash().is_some());
}

macro_rules! algorithms {
    ($($name:ident $algorithm:ident;)*) => {
        $(#[tokio::test] async fn $name() { signs_in_with(SigningAlgorithm::$algorithm).await; })*
    };
}

algorithms! {
    signs_in_with_rs256 Rs256;
    signs_in_with_rs384 Rs384;
    signs_in_with_rs512 Rs512;
    signs_in_with_ps256 Ps256;
    signs_in_with_ps384 Ps384;
    signs_in_with_ps512 Ps512;
    signs_in_with_es256 Es256;
    signs_in_with_es384 Es384;
    signs_in_with_eddsa EdDsa;
}

#[tokio::test]
async fn keys_without_ids_and_claims_from_userinfo() {
    let world = World::start(Settings { key_ids: KeyIds::Absent, claims_in: ClaimsIn::UserInfo, ..quick() }).await;
    let (claims, info) = sign_in(&world.http, &world.provider.issuer()).await.unwrap();
    assert_eq!(claims.email(), None);
    assert_eq!(info.unwrap().email().unwrap().as_str(), "ana@acme.example");
    let keys: serde_json::Value = world.http.get(world.url("/jwks")).send().await.unwrap().json().await.unwrap();
    assert_eq!(keys["keys"][0].get("kid"), None);
}

#[tokio::test]
async fn rotated_keys_sign_and_old_ones_can_be_retired() {
    let world = World::start(quick()).await;
    let issuer = world.provider.issuer();
    let kids = async || -> Vec<String> {
        let keys: serde_json::Value = world.http.get(world.url("/jwks")).send().await.unwrap().json().await.unwrap();
        keys["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    };
    let before = kids().await;
    world.provider.rotate_keys().unwrap();
    let after = kids().await;
    assert_eq!((after.len(), &after[1]), (2, &before[0]));
    let token = world.tokens(&issuer, &[]).await;
    assert_eq!(part(&token["id_token"], 0)["kid"], after[0]);
    world.provider.retire_old_keys();
    assert_eq!(kids().await, after[..1]);
    sign_in(&world.http, &issuer).await.unwrap();
}

#[tokio::test]
async fn the_page_lists_people_and_its_form_works_once() {
    let mut settings = Settings { algorithm: SigningAlgorithm::Es256, ..Settings::default() };
    settings.people[0].name = "Ana <script>".to_owned();
    let world = World::start(settings).await;
    let issuer = world.provider.issuer();
    let answer = world.authorize(&issuer, &[("login_hint", "ana@acme.example")]).await;
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("form-action 'self' https://portal.test"), "{policy}");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let page = answer.text().await.unwrap();
    for person in
        ["ana@acme.example", "gus@elsewhere.example", "bob@acme.example", "Cancel", "lang=\"en\"", "autofocus"]
    {
        assert!(page.contains(person), "{person}: {page}");
    }
    assert!(!page.contains("<script"), "{page}");
    assert_eq!(page.matches("class=\"chosen\"").count(), 1);

    let handle = handle_of(&page);
    let decide = async |handle: &str, choice: (&str, &str), site: &str| {
        let form = [("handle", handle), choice];
        world.http.post(world.url("/decide")).header("sec-fetch-site", site).form(&form).send().await.unwrap()
    };
    assert_eq!(decide(&handle, ("person", "gus"), "cross-site").await.status(), 403);
    assert_eq!(decide("guessed", ("person", "gus"), "same-origin").await.status(), 400);
    let answer = decide(&handle, ("person", "gus"), "same-origin").await;
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    let back = location(&answer);
    assert_eq!(parameter(&back, "state").as_deref(), Some("the-state"));
    assert_eq!(parameter(&back, "iss"), Some(issuer.clone()));
    assert_eq!(decide(&handle, ("person", "gus"), "same-origin").await.status(), 400);
    let token: serde_json::Value =
        world.redeem(&issuer, &parameter(&back, "code").unwrap(), &[]).await.json().await.unwrap();
    assert_eq!(claims(&token["id_token"])["sub"], "gus");

    let page = world.authorize(&issuer, &[]).await.text().await.unwrap();
    let back = location(&decide(&handle_of(&page), ("cancel", "yes"), "none").await);
    assert_eq!(parameter(&back, "error").as_deref(), Some("access_denied"));
    assert_eq!(parameter(&back, "state").as_deref(), Some("the-state"));
    assert_eq!(parameter(&back, "iss"), Some(issuer));
}

fn handle_of(page: &str) -> String {
    page.split("name=\"handle\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn sessions_prompts_and_ages() {
    let world = World::start(quick()).await;
    let issuer = world.provider.issuer();
    let back = location(&world.authorize(&issuer, &[("prompt", "none")]).await);
    assert_eq!(parameter(&back, "error").as_deref(), Some("login_required"));

    let answer = world.authorize(&issuer, &[]).await;
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let code = parameter(&location(&answer), "code").unwrap();
    let first: serde_json::Value = world.redeem(&issuer, &code, &[]).await.json().await.unwrap();
    let first = claims(&first["id_token"]);
    let again = async |changes: &[(&str, &str)]| {
        let url = authorization_url(&issuer, changes);
        let back = location(&world.http.get(url).header("cookie", &cookie).send().await.unwrap());
        match parameter(&back, "code") {
            None => Err(parameter(&back, "error").unwrap()),
            Some(code) => {
                let token: serde_json::Value = world.redeem(&issuer, &code, &[]).await.json().await.unwrap();
                Ok(claims(&token["id_token"]))
            }
        }
    };
    world.clock.advance(Duration::from_secs(100));
    let silent = again(&[("prompt", "none")]).await.unwrap();
    assert_eq!((&silent["sid"], &silent["auth_time"]), (&first["sid"], &first["auth_time"]));
    assert_eq!(again(&[("prompt", "none"), ("max_age", "99")]).await, Err("login_required".to_owned()));
    assert_eq!(again(&[("prompt", "none"), ("login_hint", "gus")]).await, Err("login_required".to_owned()));
    let anew = again(&[("prompt", "login")]).await.unwrap();
    assert!(anew["sid"] != first["sid"] && anew["auth_time"].as_i64() > first["auth_time"].as_i64());
    assert_eq!(again(&[("acr_values", "2 1")]).await.unwrap()["acr"], "2");
}

#[tokio::test]
async fn sign_out_ends_the_session_and_returns() {
    let world = World::start(quick()).await;
    let issuer = world.provider.issuer();
    let answer = world.authorize(&issuer, &[]).await;
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let code = parameter(&location(&answer), "code").unwrap();
    let token: serde_json::Value = world.redeem(&issuer, &code, &[]).await.json().await.unwrap();
    let hint = token["id_token"].as_str().unwrap();
    let sign_out = async |parameters: &[(&str, &str)]| {
        world.http.get(Url::parse_with_params(&world.url("/end-session"), parameters).unwrap()).send().await.unwrap()
    };
    let foreign = format!("{}x", &hint[..hint.len() - 1]);
    for (parameters, what) in [
        (vec![("id_token_hint", foreign.as_str())], "a signature that is not ours"),
        (vec![("id_token_hint", hint), ("post_logout_redirect_uri", "https://evil.test/")], "an unknown address"),
        (vec![("id_token_hint", hint), ("client_id", "another")], "another client"),
    ] {
        assert_eq!(sign_out(&parameters).await.status(), 400, "{what}");
    }
    let page = sign_out(&[("post_logout_redirect_uri", SIGNED_OUT)]).await;
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().contains("Sign out?"));

    let answer = sign_out(&[("id_token_hint", hint), ("post_logout_redirect_uri", SIGNED_OUT), ("state", "s 1")]).await;
    assert_eq!(location(&answer).as_str(), "https://portal.test/signed-out?state=s+1");
    let url = authorization_url(&issuer, &[("prompt", "none")]);
    let back = location(&world.http.get(url).header("cookie", cookie).send().await.unwrap());
    assert_eq!(parameter(&back, "error").as_deref(), Some("login_required"));
}

#[tokio::test]
async fn switches_and_hooks() {
    let world = World::start(quick()).await;
    let issuer = world.provider.issuer();
    world.provider.set_down(true);
    assert_eq!(world.http.get(world.url("/jwks")).send().await.unwrap().status(), 503);
    world.provider.set_down(false);

    world.provider.hold(Endpoint::Jwks);
    let waiting = tokio::spawn(world.http.get(world.url("/jwks")).send());
    while world.provider.requests(Endpoint::Jwks) < 2 {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished());
    world.provider.release(Endpoint::Jwks);
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);

    world.provider.alter_next_id_token(|parts| {
        parts.claims.insert("department".to_owned(), "legal".into());
    });
    world.provider.alter_next_signed_token(|token| format!("{token}x"));
    let token = world.tokens(&issuer, &[]).await;
    assert_eq!(claims(&token["id_token"])["department"], "legal");
    assert!(token["id_token"].as_str().unwrap().ends_with('x'));
    assert!(sign_in(&world.http, &issuer).await.is_ok(), "hooks work once");
}
