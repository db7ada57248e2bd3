//! Reads an authorization request and checks it (RFC 6749 section 4.1.1, OpenID Connect Core 3.1.2.1, RFC 7636 section 4.3).

use super::super::modes::{Mode, Reach};
use super::super::parameters::Parameters;
use super::super::{Client, Realm};
use super::response::Return;

/// An authorization request that was found right.
#[derive(Clone, Debug)]
pub(in super::super) struct AuthorizationRequest {
    pub(super) realm: Realm,
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) state: Option<String>,
    pub(super) nonce: Option<String>,
    pub(super) scopes: Vec<String>,
    pub(super) challenge: String,
    pub(super) prompts: Vec<String>,
    pub(super) max_age: Option<u64>,
    pub(super) acr: String,
    pub(super) login_hint: Option<String>,
}

/// Why a request is not answered with a code.
pub(super) enum Refused {
    /// Told to the person: the client or its redirect URI is not known, so nothing may be sent there.
    Here(&'static str),
    /// Told to the client.
    Back(Box<Return>, &'static str, &'static str),
}

impl AuthorizationRequest {
    pub(super) fn way_back(&self) -> Return {
        Return {
            redirect_uri: self.redirect_uri.clone(),
            state: self.state.clone(),
            issuer: self.realm.issuer.clone(),
            mode: self.realm.mode,
        }
    }

    pub(super) fn read(raw: &[u8], mut realm: Realm, find: impl Fn(&str) -> Option<Client>) -> Result<Self, Refused> {
        let sent = Parameters::parse(raw).map_err(|_| Refused::Here("A parameter came twice."))?;
        let client =
            sent.get("client_id").and_then(find).ok_or(Refused::Here("This application is not known here."))?;
        let redirect_uri = sent
            .get("redirect_uri")
            .filter(|uri| client.redirect_uris.iter().any(|known| known == uri))
            .ok_or(Refused::Here("The application's return address is not the registered one."))?
            .to_owned();
        let state = sent.get("state").map(str::to_owned);
        let mut login_hint = sent.get("login_hint").map(str::to_owned);
        // `mode:NAME`, or `mode:NAME/PERSON`.
        let asked =
            login_hint.as_deref().and_then(|hint| hint.strip_prefix("mode:")).map(|rest| match rest.split_once('/') {
                Some((name, person)) => (Mode::parse(name), Some(person.to_owned())),
                None => (Mode::parse(rest), None),
            });
        let unknown_mode = match asked {
            Some((Some(mode), person)) if mode.reach() == Reach::Request => {
                realm.mode = Some(mode);
                login_hint = person;
                false
            }
            Some(_) => true,
            None => false,
        };
        let back = Return {
            redirect_uri: redirect_uri.clone(),
            state: state.clone(),
            issuer: realm.issuer.clone(),
            mode: None,
        };
        let refuse = |error: &'static str, why: &'static str| Refused::Back(Box::new(back.clone()), error, why);
        if unknown_mode {
            return Err(refuse("invalid_request", "login_hint names no mode that one request can ask for"));
        }
        if sent.get("request").is_some() {
            return Err(refuse("request_not_supported", "request objects are not taken"));
        }
        if sent.get("request_uri").is_some() {
            return Err(refuse("request_uri_not_supported", "request objects are not fetched"));
        }
        match sent.get("response_type") {
            Some("code") => {}
            Some(_) => return Err(refuse("unsupported_response_type", "only response_type=code")),
            None => return Err(refuse("invalid_request", "response_type is missing")),
        }
        if sent.get("response_mode").is_some_and(|mode| mode != "query") {
            return Err(refuse("invalid_request", "only response_mode=query"));
        }
        let scopes: Vec<String> = sent.get("scope").unwrap_or_default().split(' ').map(str::to_owned).collect();
        if !scopes.iter().any(|scope| scope == "openid") {
            return Err(refuse("invalid_scope", "scope has to hold openid"));
        }
        if sent.get("code_challenge_method") != Some("S256") {
            return Err(refuse("invalid_request", "PKCE with S256 is required"));
        }
        let challenge = sent.get("code_challenge").unwrap_or_default().to_owned();
        if challenge.len() != 43 || !challenge.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            return Err(refuse("invalid_request", "code_challenge is not a SHA-256 in base64url"));
        }
        let prompts: Vec<String> =
            sent.get("prompt").map(|all| all.split(' ').map(str::to_owned).collect()).unwrap_or_default();
        if prompts.len() > 1 && prompts.iter().any(|prompt| prompt == "none") {
            return Err(refuse("invalid_request", "prompt=none stands alone"));
        }
        let max_age = match sent.get("max_age").map(str::parse::<u64>) {
            None => None,
            Some(Ok(seconds)) => Some(seconds),
            Some(Err(_)) => return Err(refuse("invalid_request", "max_age is not a number of seconds")),
        };
        let acr = sent.get("acr_values").and_then(|all| all.split(' ').next()).unwrap_or("1").to_owned();
        Ok(Self {
            realm,
            client_id: client.id,
            redirect_uri,
            state,
            nonce: sent.get("nonce").map(str::to_owned),
            scopes,
            challenge,
            prompts,
            max_age,
            acr,
            login_hint,
        })
    }

    pub(super) fn asks(&self, prompt: &str) -> bool {
        self.prompts.iter().any(|one| one == prompt)
    }
}
