//! The provider over real sockets, with `openidconnect`'s own client as an independent judge.

mod honest;
mod hostile;
mod strict;

use std::collections::HashMap;
use std::time::Duration;

use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreIdTokenClaims, CoreJwsSigningAlgorithm, CoreProviderMetadata,
    CoreUserInfoClaims,
};
use openidconnect::{
    AccessTokenHash, AuthorizationCode, ClientId, ClientSecret, CsrfToken, HttpRequest, HttpResponse, IssuerUrl, Nonce,
    OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, TokenResponse,
};
use url::Url;

use super::*;
use crate::secret::Secret;

pub(super) const CALLBACK: &str = "https://portal.test/callback";
pub(super) const SIGNED_OUT: &str = "https://portal.test/signed-out";
/// A secret that shows whether it is form-encoded before Basic.
pub(super) const SECRET: &str = "p:a%2 ss+é";

/// A provider on a port of its own.
pub(super) struct World {
    pub(super) provider: OpenIdProvider,
    pub(super) http: reqwest::Client,
    pub(super) clock: Clock,
}

pub(super) fn client() -> Client {
    Client {
        id: "portal".to_owned(),
        authentication: ClientAuthentication::Secret(Secret::generated(SECRET)),
        redirect_uris: vec![CALLBACK.to_owned()],
        post_logout_redirect_uris: vec![SIGNED_OUT.to_owned()],
    }
}

pub(super) fn quick() -> Settings {
    Settings { algorithm: SigningAlgorithm::Es256, ..Settings::default() }.approve_automatically("ana")
}

impl World {
    /// Clocks of independent clients cannot be moved, so the provider's starts at the present and stands.
    pub(super) async fn start(settings: Settings) -> Self {
        let clock = Clock::manual(Clock::System.now());
        let provider = OpenIdProvider::new(settings, clock.clone(), Random::default());
        provider.register(client());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        provider.set_issuer(&format!("http://{}", listener.local_addr().unwrap()));
        let router = provider.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(20))
            .no_proxy()
            .pool_max_idle_per_host(0) // what a hostile answer leaves behind is nobody else's
            .build()
            .unwrap();
        Self { provider, http, clock }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.provider.issuer())
    }

    /// A right authorization request, with `changes` made: an empty value removes the parameter.
    pub(super) async fn authorize(&self, issuer: &str, changes: &[(&str, &str)]) -> reqwest::Response {
        self.http.get(authorization_url(issuer, changes)).send().await.unwrap()
    }

    /// Redeems a code as a right client does, with `changes` made.
    pub(super) async fn redeem(&self, issuer: &str, code: &str, changes: &[(&str, &str)]) -> reqwest::Response {
        let mut form = HashMap::from([
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ]);
        form.extend(changes.iter().copied());
        form.retain(|_, value| !value.is_empty());
        let secret = (!form.contains_key("client_secret") && !form.contains_key("client_assertion"))
            .then(|| format!("portal:{}", url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect::<String>()));
        let mut request = self.http.post(format!("{issuer}/token")).form(&form);
        if let Some(secret) = secret {
            use base64::Engine as _;
            let encoded = base64::engine::general_purpose::STANDARD.encode(secret);
            request = request.header("authorization", format!("Basic {encoded}"));
        }
        request.send().await.unwrap()
    }

    /// Honest tokens, as JSON.
    pub(super) async fn tokens(&self, issuer: &str, changes: &[(&str, &str)]) -> serde_json::Value {
        let answer = self.authorize(issuer, changes).await;
        let code = parameter(&location(&answer), "code").unwrap();
        let answer = self.redeem(issuer, &code, &[]).await;
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }
}

pub(super) const VERIFIER: &str = "a-verifier-of-enough-characters-for-rfc-7636-x";

pub(super) fn authorization_url(issuer: &str, changes: &[(&str, &str)]) -> Url {
    let challenge = PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(VERIFIER.to_owned()));
    let mut sent = HashMap::from([
        ("response_type", "code"),
        ("client_id", "portal"),
        ("redirect_uri", CALLBACK),
        ("scope", "openid email profile groups"),
        ("state", "the-state"),
        ("nonce", "the-nonce"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ]);
    sent.extend(changes.iter().copied());
    sent.retain(|_, value| !value.is_empty());
    Url::parse_with_params(&format!("{issuer}/authorize"), sent).unwrap()
}

pub(super) fn location(answer: &reqwest::Response) -> Url {
    assert_eq!(answer.status(), 303, "{answer:?}");
    Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap()
}

pub(super) fn parameter(url: &Url, name: &str) -> Option<String> {
    let mut found = url.query_pairs().filter(|(known, _)| known == name);
    let value = found.next().map(|(_, value)| value.into_owned());
    assert!(found.next().is_none(), "{name} came twice");
    value
}

pub(super) fn claims(id_token: &serde_json::Value) -> serde_json::Value {
    part(id_token, 1)
}

pub(super) fn part(id_token: &serde_json::Value, index: usize) -> serde_json::Value {
    use base64::Engine as _;
    let text = id_token.as_str().unwrap().split('.').nth(index).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

/// Signs in with `openidconnect` and the few checks that it leaves to its caller: state, `iss`, size and time limits.
pub(super) async fn sign_in(
    web: &reqwest::Client,
    issuer: &str,
) -> Result<(CoreIdTokenClaims, Option<CoreUserInfoClaims>), String> {
    let call = |request: HttpRequest| {
        let web = web.clone();
        async move {
            let limited = tokio::time::timeout(Duration::from_secs(4), async {
                let mut answer = web.execute(request.try_into().unwrap()).await?;
                let mut reply = http::Response::builder().status(answer.status());
                *reply.headers_mut().unwrap() = answer.headers().clone();
                let mut body = Vec::new();
                while let Some(chunk) = answer.chunk().await? {
                    body.extend_from_slice(&chunk);
                    if body.len() > 1 << 20 {
                        return Ok(HttpResponse::new(b"too large".to_vec()));
                    }
                }
                Ok::<_, reqwest::Error>(reply.body(body).unwrap())
            });
            match limited.await {
                Ok(answer) => answer,
                Err(_) => Ok(HttpResponse::new(b"too late".to_vec())),
            }
        }
    };
    let told = |step: &'static str| move |error: &dyn std::fmt::Debug| format!("{step}: {error:?}");
    let metadata = CoreProviderMetadata::discover_async(IssuerUrl::new(issuer.to_owned()).unwrap(), &call)
        .await
        .map_err(|e| told("discovery")(&e))?;
    let algorithms: Vec<CoreJwsSigningAlgorithm> = metadata.id_token_signing_alg_values_supported().clone();
    let keys_uri = metadata.jwks_uri().clone();
    let client = CoreClient::from_provider_metadata(
        metadata,
        ClientId::new("portal".to_owned()),
        Some(ClientSecret::new(SECRET.to_owned())),
    )
    .set_redirect_uri(RedirectUrl::new(CALLBACK.to_owned()).unwrap());
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state, nonce) = client
        .authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random)
        .add_scopes(["email", "profile", "groups"].map(|scope| Scope::new(scope.to_owned())))
        .set_pkce_challenge(challenge)
        .url();
    let answer = web.get(url).send().await.map_err(|e| told("authorization")(&e))?;
    let back = answer.headers().get("location").and_then(|value| value.to_str().ok()).ok_or("no redirect")?;
    let back = Url::parse(back).unwrap();
    let one = |name: &str| {
        let values: Vec<_> =
            back.query_pairs().filter(|(known, _)| known == name).map(|(_, v)| v.into_owned()).collect();
        if values.len() == 1 { Ok(values[0].clone()) } else { Err(format!("{name} came {} times", values.len())) }
    };
    if one("error").is_ok() || one("state")? != *state.secret() || one("iss")? != issuer || one("code")?.len() > 4096 {
        return Err("authorization response".to_owned());
    }
    let token = client
        .exchange_code(AuthorizationCode::new(one("code")?))
        .map_err(|e| told("token endpoint")(&e))?
        .set_pkce_verifier(verifier)
        .request_async(&call)
        .await
        .map_err(|e| told("token")(&e))?;
    let id_token = token.id_token().ok_or("no ID token")?;
    // A relying party fetches the keys again when the key is unknown; here they are fetched at the last moment.
    let keys =
        openidconnect::core::CoreJsonWebKeySet::fetch_async(&keys_uri, &call).await.map_err(|e| told("keys")(&e))?;
    let verifier = openidconnect::core::CoreIdTokenVerifier::new_confidential_client(
        ClientId::new("portal".to_owned()),
        ClientSecret::new(SECRET.to_owned()),
        IssuerUrl::new(issuer.to_owned()).unwrap(),
        keys,
    )
    .set_allowed_algs(algorithms);
    let claims = id_token.claims(&verifier, &nonce).map_err(|e| told("ID token")(&e))?.clone();
    if let Some(expected) = claims.access_token_hash() {
        let algorithm = id_token.signing_alg().unwrap();
        let key = id_token.signing_key(&verifier).unwrap();
        let hash = AccessTokenHash::from_token(token.access_token(), algorithm, key).unwrap();
        if hash != *expected {
            return Err("at_hash".to_owned());
        }
    }
    if claims.email().is_some() {
        return Ok((claims, None));
    }
    let info = client
        .user_info(token.access_token().clone(), Some(claims.subject().clone()))
        .map_err(|e| told("UserInfo")(&e))?
        .request_async(&call)
        .await
        .map_err(|e| told("UserInfo")(&e))?;
    Ok((claims, Some(info)))
}
