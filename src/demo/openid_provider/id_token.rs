//! The ID token: honest claims, then what a mode or a test makes of them, then the signature.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::keys::{KeyFault, SigningKey};
use super::modes::Mode;
use super::settings::{ClaimsIn, KeyIds};
use super::token::CodeGrant;
use super::{Client, Fault, OpenIdProvider, discovery, hostile_claims, hostile_signature};
use crate::sign_in::settings::SigningAlgorithm;

/// An ID token before it is signed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IdTokenParts {
    /// The JOSE header.
    pub header: Map<String, Value>,
    /// The claims.
    pub claims: Map<String, Value>,
}

/// What tests change, each once.
#[derive(Default)]
pub(super) struct Alterations {
    pub(super) parts: VecDeque<AlterParts>,
    pub(super) text: VecDeque<AlterText>,
}

type AlterParts = Box<dyn FnOnce(&mut IdTokenParts) + Send>;
type AlterText = Box<dyn FnOnce(String) -> String + Send>;

/// Makes the ID token for a code that was just redeemed.
pub(super) fn issue(
    provider: &OpenIdProvider,
    grant: &CodeGrant,
    client: &Client,
    code: &str,
    access_token: &str,
) -> Result<String, Fault> {
    let mode = grant.realm.mode;
    let algorithm = provider.algorithm(mode);
    let owner = discovery::owner(mode);
    if mode == Some(Mode::KeyRotationJustBeforeSigning) {
        // The key before it is made here at the latest, so that there is one to rotate away from.
        provider.keys().signing(owner, algorithm, provider.random())?;
        provider.keys().rotate(owner, algorithm, provider.random())?;
    }
    let key = provider.keys().signing(owner, algorithm, provider.random())?;
    let mut parts =
        IdTokenParts { header: header(provider, mode, &key), claims: claims(provider, grant, &key, access_token) };
    let other_nonce = match &grant.nonce {
        Some(nonce) => provider.state().last_nonce.replace(nonce.clone()).filter(|last| last != nonce),
        None => None,
    };
    if let Some(mode) = mode {
        let facts = hostile_claims::Facts {
            issuer: &grant.realm.issuer,
            client_id: &client.id,
            now: provider.now(),
            other_nonce,
            code_hash: half_hash(algorithm, &format!("another{code}")),
            token_hash: half_hash(algorithm, &format!("another{access_token}")),
        };
        hostile_claims::alter(mode, &mut parts.claims, &facts);
    }
    let (alter_parts, alter_text) = {
        let mut state = provider.state();
        (state.alterations.parts.pop_front(), state.alterations.text.pop_front())
    };
    if let Some(alter) = alter_parts {
        alter(&mut parts);
    }
    let token = hostile_signature::sign(provider, mode, &grant.realm.issuer, client, &key, parts)?;
    Ok(match alter_text {
        Some(alter) => alter(token),
        None => token,
    })
}

fn header(provider: &OpenIdProvider, mode: Option<Mode>, key: &SigningKey) -> Map<String, Value> {
    let mut header = Map::new();
    header.insert("typ".to_owned(), json!("JWT"));
    header.insert("alg".to_owned(), json!(key.algorithm().name()));
    let kid_absent = matches!(mode, Some(Mode::KidAbsentSingleJwks | Mode::KidAbsentMultipleJwks));
    if !kid_absent && provider.settings().key_ids == KeyIds::Shown {
        header.insert("kid".to_owned(), json!(key.kid()));
    }
    header
}

/// OpenID Connect Core, section 2.
fn claims(provider: &OpenIdProvider, grant: &CodeGrant, key: &SigningKey, access_token: &str) -> Map<String, Value> {
    let now = provider.now();
    let mut claims = Map::new();
    let in_token =
        provider.settings().claims_in == ClaimsIn::IdToken && !grant.realm.mode.is_some_and(Mode::needs_userinfo);
    if in_token && let Some(person) = provider.person(&grant.session.subject) {
        claims.extend(person.claims_for(&grant.scopes));
    }
    let own = [
        ("iss", json!(grant.realm.issuer)),
        ("sub", json!(grant.session.subject)),
        ("aud", json!(grant.client_id)),
        ("iat", json!(now.seconds())),
        ("exp", json!(now.after(provider.settings().id_token_lifetime).seconds())),
        ("auth_time", json!(grant.session.auth_time.seconds())),
        ("acr", json!(grant.acr)),
        ("sid", json!(grant.session.sid)),
        ("at_hash", json!(half_hash(key.algorithm(), access_token))),
    ];
    claims.extend(own.map(|(name, value)| (name.to_owned(), value)));
    if let Some(nonce) = &grant.nonce {
        claims.insert("nonce".to_owned(), json!(nonce));
    }
    claims
}

/// OpenID Connect Core 3.1.3.6: the left half of the hash that goes with the algorithm. Ed25519 goes with SHA-512.
pub(super) fn half_hash(algorithm: SigningAlgorithm, text: &str) -> String {
    let hash = match algorithm {
        SigningAlgorithm::Rs256 | SigningAlgorithm::Ps256 | SigningAlgorithm::Es256 => &ring::digest::SHA256,
        SigningAlgorithm::Rs384 | SigningAlgorithm::Ps384 | SigningAlgorithm::Es384 => &ring::digest::SHA384,
        SigningAlgorithm::Rs512 | SigningAlgorithm::Ps512 | SigningAlgorithm::EdDsa => &ring::digest::SHA512,
    };
    let digest = ring::digest::digest(hash, text.as_bytes());
    let half = digest.as_ref().len().div_euclid(2);
    URL_SAFE_NO_PAD.encode(digest.as_ref().get(..half).unwrap_or_default())
}

/// The message that is signed: header and claims in base64url.
pub(super) fn message(header: &Map<String, Value>, claims: &[u8]) -> String {
    let header = Value::Object(header.clone()).to_string();
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
}

/// A rightly signed JWT.
pub(super) fn signed(
    key: &SigningKey,
    header: &Map<String, Value>,
    claims: &Map<String, Value>,
) -> Result<String, KeyFault> {
    let message = message(header, Value::Object(claims.clone()).to_string().as_bytes());
    let signature = key.sign(&message, key.algorithm())?;
    Ok(format!("{message}.{signature}"))
}
