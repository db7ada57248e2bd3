//! The relying parties, and how they prove who they are at the token endpoint (RFC 6749 2.3, OpenID Connect Core 9).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, header};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use super::parameters::Parameters;
use crate::clock::Timestamp;
use crate::secret::Secret;

/// A relying party.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its `client_id`.
    pub id: String,
    /// How it proves who it is.
    pub authentication: ClientAuthentication,
    /// Where answers may go: compared character for character.
    pub redirect_uris: Vec<String>,
    /// Where sign-out may lead: compared character for character.
    pub post_logout_redirect_uris: Vec<String>,
}

/// How a client proves who it is.
#[derive(Clone, Debug)]
pub enum ClientAuthentication {
    /// `client_secret_basic` or `client_secret_post`.
    Secret(Secret),
    /// `private_key_jwt`, with these public keys.
    PrivateKeyJwt(JwkSet),
}

/// Why a client was not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotAuthenticated {
    /// `invalid_request`: it tried two ways at once, or none that can be read.
    Request(&'static str),
    /// `invalid_client`.
    Client(&'static str),
}

/// An assertion that was accepted: its id may not come back before its end.
pub(super) struct UsedAssertion {
    pub(super) id: String,
    pub(super) end: Timestamp,
}

/// What the client showed.
pub(super) enum Shown {
    Basic { id: String, secret: String },
    Post { id: String, secret: String },
    Assertion { id: String, assertion: String },
}

impl Shown {
    pub(super) fn client_id(&self) -> &str {
        match self {
            Self::Basic { id, .. } | Self::Post { id, .. } | Self::Assertion { id, .. } => id,
        }
    }

    /// Reads what the client shows; exactly one method (RFC 6749, section 2.3).
    pub(super) fn read(headers: &HeaderMap, form: &Parameters) -> Result<Self, NotAuthenticated> {
        let authorization = headers.get(header::AUTHORIZATION);
        let (secret, assertion) = (form.get("client_secret"), form.get("client_assertion"));
        let shown = match (authorization, secret, assertion) {
            (Some(value), None, None) => {
                let (id, secret) = value
                    .to_str()
                    .ok()
                    .and_then(read_basic)
                    .ok_or(NotAuthenticated::Client("unreadable Authorization header"))?;
                Self::Basic { id, secret }
            }
            (None, Some(secret), None) => {
                let id = form.get("client_id").ok_or(NotAuthenticated::Client("client_id is missing"))?;
                Self::Post { id: id.to_owned(), secret: secret.to_owned() }
            }
            (None, None, Some(assertion)) => {
                if form.get("client_assertion_type") != Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer") {
                    return Err(NotAuthenticated::Request("client_assertion_type is wrong"));
                }
                let claims = Jwt::read(assertion).map(|jwt| jwt.claims);
                let id = claims.as_ref().and_then(|claims| claims.get("sub")?.as_str());
                let id = id.ok_or(NotAuthenticated::Client("the assertion has no sub"))?;
                Self::Assertion { id: id.to_owned(), assertion: assertion.to_owned() }
            }
            (None, None, None) => return Err(NotAuthenticated::Client("no client authentication")),
            _ => return Err(NotAuthenticated::Request("more than one client authentication")),
        };
        match form.get("client_id") {
            Some(id) if id != shown.client_id() => Err(NotAuthenticated::Client("client_id names another client")),
            _ => Ok(shown),
        }
    }

    /// Compares what was shown with what is registered. `audiences` are the names of this provider.
    pub(super) fn check(
        &self,
        client: &Client,
        audiences: &[String],
        now: Timestamp,
    ) -> Result<Option<UsedAssertion>, NotAuthenticated> {
        match (self, &client.authentication) {
            (Self::Basic { secret, .. } | Self::Post { secret, .. }, ClientAuthentication::Secret(right)) => {
                let same = subtle::ConstantTimeEq::ct_eq(secret.as_bytes(), right.reveal().as_bytes());
                if bool::from(same) { Ok(None) } else { Err(NotAuthenticated::Client("wrong secret")) }
            }
            (Self::Assertion { assertion, .. }, ClientAuthentication::PrivateKeyJwt(keys)) => {
                check_assertion(assertion, &client.id, keys, audiences, now).map(Some).map_err(NotAuthenticated::Client)
            }
            _ => Err(NotAuthenticated::Client("not the registered method")),
        }
    }
}

/// RFC 6749, section 2.3.1: both halves are form-encoded before they are joined.
fn read_basic(value: &str) -> Option<(String, String)> {
    let (scheme, credentials) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((form_decode(id)?, form_decode(secret)?))
}

/// One form-encoded value: `+` is a blank; a `%` has to start an escape.
fn form_decode(text: &str) -> Option<String> {
    let plain = text.replace('+', " ");
    let escapes_whole = plain
        .split('%')
        .skip(1)
        .all(|rest| rest.get(..2).is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit())));
    if !escapes_whole {
        return None;
    }
    percent_encoding::percent_decode_str(&plain).decode_utf8().ok().map(|decoded| decoded.into_owned())
}

/// The parts of a JWS in compact form.
pub(super) struct Jwt<'a> {
    pub(super) header: Map<String, Value>,
    pub(super) claims: Map<String, Value>,
    pub(super) message: &'a str,
    pub(super) signature: &'a str,
}

impl<'a> Jwt<'a> {
    pub(super) fn read(compact: &'a str) -> Option<Self> {
        let (message, signature) = compact.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let part = |text: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok();
        Some(Self { header: part(header)?, claims: part(claims)?, message, signature })
    }
}

/// RFC 7523, section 3, with `jti` required and a life of at most ten minutes.
fn check_assertion(
    assertion: &str,
    client_id: &str,
    keys: &JwkSet,
    audiences: &[String],
    now: Timestamp,
) -> Result<UsedAssertion, &'static str> {
    let jwt = Jwt::read(assertion).ok_or("the assertion cannot be read")?;
    let algorithm = jwt.header.get("alg").and_then(Value::as_str).and_then(|name| name.parse::<Algorithm>().ok());
    let algorithm =
        algorithm.filter(|algorithm| !matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512));
    let algorithm = algorithm.ok_or("the assertion's algorithm is not taken")?;
    let kid = jwt.header.get("kid").and_then(Value::as_str);
    let matches = |jwk: &&Jwk| kid.is_none() || jwk.common.key_id.as_deref() == kid;
    let signed = keys.keys.iter().filter(matches).filter_map(|jwk| DecodingKey::from_jwk(jwk).ok()).any(|key| {
        jsonwebtoken::crypto::verify(jwt.signature, jwt.message.as_bytes(), &key, algorithm).unwrap_or(false)
    });
    if !signed {
        return Err("no key of this client signed the assertion");
    }
    let text = |name: &str| jwt.claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(client_id) || text("sub") != Some(client_id) {
        return Err("the assertion's iss and sub are not the client");
    }
    let for_us = match jwt.claims.get("aud") {
        Some(Value::String(audience)) => audiences.contains(audience),
        Some(Value::Array(several)) => {
            several.iter().filter_map(Value::as_str).any(|one| audiences.iter().any(|us| us == one))
        }
        _ => false,
    };
    if !for_us {
        return Err("the assertion is not meant for this provider");
    }
    let end = jwt.claims.get("exp").and_then(Value::as_i64).ok_or("the assertion has no exp")?;
    let end = Timestamp::from_seconds(end);
    if end <= now || end > now.after(std::time::Duration::from_secs(600)) {
        return Err("the assertion has expired, or lives too long");
    }
    let id = text("jti").filter(|id| !id.is_empty()).ok_or("the assertion has no jti")?;
    Ok(UsedAssertion { id: format!("{client_id}\n{id}"), end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b20_basic_is_form_decoded_after_base64() {
        let header = |text: &str| format!("Basic {}", STANDARD.encode(text));
        let read = |text: &str| read_basic(&header(text));
        assert_eq!(read("a%3Ab:p%3A%25+%C3%A9"), Some(("a:b".into(), "p:% é".into())));
        assert_eq!(read("a:b:c"), Some(("a".into(), "b:c".into())));
        assert_eq!(read("a:50%"), None);
        assert_eq!(read("a:%zz"), None);
        assert_eq!(read("no colon"), None);
        assert_eq!(read_basic("Bearer abc"), None);
    }
}
