//! The token endpoint (RFC 6749 section 4.1.3, OpenID Connect Core 3.1.3).

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value, json};

use super::authorize::ProviderSession;
use super::client::{NotAuthenticated, Shown};
use super::hostile_answer::Spoiled;
use super::modes::Mode;
use super::parameters::Parameters;
use super::{Client, ClientAuthentication, Fault, OpenIdProvider, Realm, id_token};

/// What a code stands for.
#[derive(Clone, Debug)]
pub(super) struct CodeGrant {
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) challenge: String,
    pub(super) nonce: Option<String>,
    pub(super) scopes: Vec<String>,
    pub(super) acr: String,
    pub(super) session: ProviderSession,
    pub(super) realm: Realm,
    pub(super) used: bool,
}

/// What an access token stands for.
#[derive(Clone, Debug)]
pub(super) struct AccessGrant {
    pub(super) code: String,
    pub(super) client_id: String,
    pub(super) subject: String,
    pub(super) scopes: Vec<String>,
    pub(super) realm: Realm,
}

/// Why no tokens are given.
enum Refused {
    Error(&'static str, &'static str),
    Client(&'static str),
    Fault(Fault),
}

impl<F: Into<Fault>> From<F> for Refused {
    fn from(fault: F) -> Self {
        Self::Fault(fault.into())
    }
}

/// POST `/token`.
pub(super) async fn exchange(
    State(provider): State<OpenIdProvider>,
    Extension(realm): Extension<Realm>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    match redeem(&provider, &realm, &headers, &body) {
        Ok((grant, answer)) => match Spoiled::token(grant.realm.mode) {
            Some(spoiled) => spoiled.answer(&grant.realm, &answer).await,
            None => (no_store, Json(answer)).into_response(),
        },
        Err(Refused::Error(error, why)) => {
            let answer = json!({ "error": error, "error_description": why });
            (StatusCode::BAD_REQUEST, no_store, Json(answer)).into_response()
        }
        Err(Refused::Client(why)) => {
            let answer = json!({ "error": "invalid_client", "error_description": why });
            let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"token\", charset=\"UTF-8\"")];
            (StatusCode::UNAUTHORIZED, no_store, challenge, Json(answer)).into_response()
        }
        Err(Refused::Fault(fault)) => fault.into_response(),
    }
}

fn redeem(
    provider: &OpenIdProvider,
    realm: &Realm,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(CodeGrant, Value), Refused> {
    let is_form = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
        value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
    });
    if !is_form {
        return Err(Refused::Error("invalid_request", "the body has to be a form"));
    }
    let form = Parameters::parse(body).map_err(|_| Refused::Error("invalid_request", "a parameter came twice"))?;
    let client = authenticate(provider, realm, headers, &form)?;
    match form.get("grant_type") {
        Some("authorization_code") => {}
        Some(_) => return Err(Refused::Error("unsupported_grant_type", "only authorization_code")),
        None => return Err(Refused::Error("invalid_request", "grant_type is missing")),
    }
    let code = form.get("code").ok_or(Refused::Error("invalid_request", "code is missing"))?;
    let grant = take_code(provider, realm, &client, code, &form)?;

    let access_token = provider.random().token()?;
    let id_token = id_token::issue(provider, &grant, &client, code, &access_token)?;
    let now = provider.now();
    let life = provider.settings().access_token_lifetime;
    let access = AccessGrant {
        code: code.to_owned(),
        client_id: client.id,
        subject: grant.session.subject.clone(),
        scopes: grant.scopes.clone(),
        realm: grant.realm.clone(),
    };
    provider.state().access.insert(access_token.clone(), access, now.after(life), now);
    let mut answer = Map::new();
    answer.insert("access_token".to_owned(), json!(access_token));
    answer.insert("token_type".to_owned(), json!("Bearer"));
    answer.insert("expires_in".to_owned(), json!(life.as_secs()));
    answer.insert("scope".to_owned(), json!(grant.scopes.join(" ")));
    answer.insert("id_token".to_owned(), json!(id_token));
    if let Some(mode) = grant.realm.mode {
        alter_answer(mode, &mut answer);
    }
    Ok((grant, Value::Object(answer)))
}

fn authenticate(
    provider: &OpenIdProvider,
    realm: &Realm,
    headers: &HeaderMap,
    form: &Parameters,
) -> Result<Client, Refused> {
    let refused = |why| match why {
        NotAuthenticated::Request(why) => Refused::Error("invalid_request", why),
        NotAuthenticated::Client(why) => Refused::Client(why),
    };
    let shown = Shown::read(headers, form).map_err(refused)?;
    if realm.mode == Some(Mode::ClientSecretBasic) && !matches!(shown, Shown::Basic { .. }) {
        return Err(Refused::Client("only client_secret_basic"));
    }
    let client = provider.client(shown.client_id()).ok_or(Refused::Client("unknown client"))?;
    let audiences = [realm.issuer.clone(), format!("{}/token", realm.issuer)];
    let now = provider.now();
    if let Some(used) = shown.check(&client, &audiences, now).map_err(refused)?
        && !provider.state().assertions.insert(used.id, (), used.end, now)
    {
        return Err(Refused::Client("the assertion was used before"));
    }
    Ok(client)
}

/// Checks the code and marks it used. A second use also ends the access token of the first (RFC 6749, section 4.1.2).
fn take_code(
    provider: &OpenIdProvider,
    realm: &Realm,
    client: &Client,
    code: &str,
    form: &Parameters,
) -> Result<CodeGrant, Refused> {
    let refused = |why| Refused::Error("invalid_grant", why);
    let now = provider.now();
    let mut state = provider.state();
    let grant = state.codes.get_mut(code, now).ok_or(refused("the code is unknown or has expired"))?;
    if grant.client_id != client.id || grant.realm.issuer != realm.issuer {
        return Err(refused("the code was given to another client"));
    }
    if grant.used {
        state.access.retain(|access| access.code != code);
        return Err(refused("the code was used before"));
    }
    // Used even when what follows fails: whoever holds a code without its verifier gets one attempt.
    grant.used = true;
    let grant = grant.clone();
    drop(state);
    if form.get("redirect_uri") != Some(grant.redirect_uri.as_str()) {
        return Err(refused("redirect_uri is not the one that the code was sent to"));
    }
    let verifier = form.get("code_verifier").unwrap_or_default();
    let right_form = (43..=128).contains(&verifier.len())
        && verifier.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
    let hash = ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes());
    if !right_form || URL_SAFE_NO_PAD.encode(hash) != grant.challenge {
        return Err(refused("code_verifier does not match code_challenge"));
    }
    Ok(grant)
}

fn alter_answer(mode: Mode, answer: &mut Map<String, Value>) {
    let mut set = |name: &str, value: Value| answer.insert(name.to_owned(), value);
    match mode {
        Mode::TokenTypeCaseInsensitivity | Mode::TokenTypeMixed => {
            set("token_type", json!("bEaReR"));
        }
        Mode::TokenTypeMac => {
            set("token_type", json!("MAC"));
        }
        Mode::ExpiresInNegative => {
            set("expires_in", json!(-1));
        }
        Mode::ExpiresInHuge => {
            set("expires_in", json!(u64::MAX));
        }
        Mode::ExpiresInString => {
            set("expires_in", json!("600"));
        }
        Mode::TokenTypeMissing => {
            answer.remove("token_type");
        }
        Mode::NoIdToken => {
            answer.remove("id_token");
        }
        _ => {}
    }
}

impl Client {
    /// The shared secret, where there is one.
    pub(super) fn shared_secret(&self) -> &str {
        match &self.authentication {
            ClientAuthentication::Secret(secret) => secret.reveal(),
            ClientAuthentication::PrivateKeyJwt(_) => "",
        }
    }
}
