//! Checks an ID token (OpenID Connect Core 3.1.3.7) and yields its claims. Pure: keys, expectations and `now` are
//! arguments. Trusts keys of the provider's own set, never one that the token carries or points to (`jwk`, `jku`,
//! `x5c`, `x5u`). The signature is checked by `openidconnect`; every claim is checked here, on the bytes that were
//! signed, because that library checks neither `azp` nor `iat` nor `nbf` and knows no clock skew.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, SHA384, SHA512, digest};
use serde_json::{Map, Value};

use super::super::settings::SigningAlgorithm;
use super::keys::KeySet;
use super::rejected::IdTokenRejected;
use super::strict_json;
use crate::clock::Timestamp;

/// What may stand in `typ`.
const TYPES: [&str; 4] = ["jwt", "jose", "id_token", "id_token+jwt"];

/// How old an ID token may be: it came straight from the token endpoint.
const OLDEST: Duration = Duration::from_secs(60 * 60);

/// The most that clocks may differ, whatever the settings say.
pub(super) const MOST_SKEW: Duration = Duration::from_secs(60);

/// The last moment that `exp` and the like may name: the end of the year 9999.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// What the token of this sign-in has to say.
#[derive(Debug)]
pub struct Expectations<'a> {
    /// The issuer as it is configured.
    pub issuer: &'a str,
    /// Our name at the provider.
    pub client_id: &'a str,
    /// Signature algorithms that may be used.
    pub algorithms: &'a [SigningAlgorithm],
    /// The nonce of this sign-in.
    pub nonce: &'a str,
    /// The access token that came with it, for `at_hash`.
    pub access_token: Option<&'a str>,
    /// The code that it was got for, for `c_hash`.
    pub code: Option<&'a str>,
    /// How old the authentication may be.
    pub max_age: Option<Duration>,
    /// The most that clocks may differ; more than 60 s counts as 60 s.
    pub skew: Duration,
}

/// The claims of a token that was believed.
#[derive(Debug)]
pub struct VerifiedClaims {
    /// `sub`.
    pub subject: String,
    /// `auth_time`.
    pub authenticated_at: Option<Timestamp>,
    /// All claims.
    pub all: Map<String, Value>,
}

/// Checks `id_token`.
///
/// # Errors
/// [`IdTokenRejected::UnknownKey`] when newer keys may help, else what is wrong with it.
pub fn verify(
    id_token: &str,
    keys: &KeySet,
    expect: &Expectations<'_>,
    now: Timestamp,
) -> Result<VerifiedClaims, IdTokenRejected> {
    let (algorithm, claims) = signed_claims(id_token, keys, expect.algorithms, &TYPES)?;
    let claims = Claims(claims);

    if claims.text("iss")? != Some(expect.issuer) {
        return Err(IdTokenRejected::WrongIssuer);
    }
    check_audience(&claims, expect.client_id)?;
    let authenticated_at = check_times(&claims, expect, now)?;
    match claims.text("nonce")? {
        None => return Err(IdTokenRejected::Missing("nonce")),
        Some(nonce) if nonce != expect.nonce => return Err(IdTokenRejected::WrongNonce),
        Some(_) => {}
    }
    check_hash(&claims, "at_hash", expect.access_token, algorithm)?;
    check_hash(&claims, "c_hash", expect.code, algorithm)?;

    // OpenID Connect Core 2: at most 255 ASCII characters.
    let subject = claims.text("sub")?.ok_or(IdTokenRejected::Missing("sub"))?.to_owned();
    let printable = subject.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if !(1..=255).contains(&subject.len()) || !printable || subject.trim().is_empty() {
        return Err(IdTokenRejected::Invalid("sub"));
    }
    Ok(VerifiedClaims { subject, authenticated_at, all: claims.0 })
}

/// Checks the form (RFC 7515, compact), the type and the signature, and only then reads the claims.
pub(super) fn signed_claims(
    token: &str,
    keys: &KeySet,
    allowed: &[SigningAlgorithm],
    types: &[&str],
) -> Result<(SigningAlgorithm, Map<String, Value>), IdTokenRejected> {
    let malformed = IdTokenRejected::Malformed;
    let mut parts = token.split('.');
    let (Some(header), Some(payload), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(malformed("not three parts"));
    };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed("not base64url"));
    let head = strict_json::object(&decode(header)?).map_err(|_| malformed("header is not a JSON object"))?;
    let payload_bytes = decode(payload)?;
    decode(signature)?;

    // Extensions would change what was signed: crit and b64 (RFC 7797), compression, encryption, nesting.
    if ["crit", "b64", "zip", "enc", "cty"].iter().any(|name| head.contains_key(*name)) {
        return Err(malformed("a header that is not for ID tokens"));
    }
    check_type(&head, types)?;
    let algorithm = match head.get("alg") {
        Some(Value::String(name)) => SigningAlgorithm::parse(name).filter(|algorithm| allowed.contains(algorithm)),
        _ => None,
    };
    let algorithm = algorithm.ok_or(IdTokenRejected::AlgorithmNotAllowed)?;
    let key_id = match head.get("kid") {
        None => None,
        Some(Value::String(id)) => Some(id.as_str()),
        Some(_) => return Err(malformed("kid is not a string")),
    };

    let signed = token.get(..header.len().saturating_add(1).saturating_add(payload.len())).unwrap_or_default();
    let mut candidates = keys.candidates(key_id, algorithm).peekable();
    if candidates.peek().is_none() {
        return Err(IdTokenRejected::UnknownKey);
    }
    if !candidates.any(|key| key.has_signed(signed.as_bytes(), signature, algorithm)) {
        // Without a name, the right key may simply be newer than our set.
        return Err(if key_id.is_some() { IdTokenRejected::BadSignature } else { IdTokenRejected::UnknownKey });
    }
    let claims = strict_json::object(&payload_bytes).map_err(|_| malformed("payload is not a JSON object"))?;
    Ok((algorithm, claims))
}

/// RFC 8725 section 3.11: a token of another type must not pass for an ID token. Most providers say `JWT` or nothing.
fn check_type(head: &Map<String, Value>, types: &[&str]) -> Result<(), IdTokenRejected> {
    let Some(kind) = head.get("typ") else { return Ok(()) };
    let kind = kind.as_str().ok_or(IdTokenRejected::Malformed("typ is not a string"))?.to_ascii_lowercase();
    let kind = kind.strip_prefix("application/").unwrap_or(&kind);
    if types.contains(&kind) { Ok(()) } else { Err(IdTokenRejected::WrongType) }
}

pub(super) fn check_audience(claims: &Claims, client_id: &str) -> Result<(), IdTokenRejected> {
    let ours = |audience: &Value| audience == client_id;
    let only_ours = match claims.0.get("aud") {
        None | Some(Value::Null) => return Err(IdTokenRejected::Missing("aud")),
        Some(Value::Array(audiences)) => !audiences.is_empty() && audiences.iter().all(ours),
        Some(audience) => ours(audience),
    };
    if !only_ours {
        return Err(IdTokenRejected::WrongAudience);
    }
    match claims.text("azp")? {
        Some(party) if party != client_id => Err(IdTokenRejected::WrongParty),
        _ => Ok(()),
    }
}

/// Checks every time and hands back `auth_time`.
fn check_times(
    claims: &Claims,
    expect: &Expectations<'_>,
    now: Timestamp,
) -> Result<Option<Timestamp>, IdTokenRejected> {
    let skew = expect.skew.min(MOST_SKEW);
    let expires = claims.time("exp")?.ok_or(IdTokenRejected::Missing("exp"))?;
    // "The current time MUST be before the time represented by the exp Claim."
    if now >= expires.after(skew) {
        return Err(IdTokenRejected::Expired);
    }
    if claims.time("nbf")?.is_some_and(|not_before| now.after(skew) < not_before) {
        return Err(IdTokenRejected::NotYetValid);
    }
    let issued = claims.time("iat")?.ok_or(IdTokenRejected::Missing("iat"))?;
    if issued > now.after(skew) {
        return Err(IdTokenRejected::IssuedInFuture);
    }
    if issued.after(OLDEST).after(skew) < now {
        return Err(IdTokenRejected::IssuedLongAgo);
    }
    let authenticated = claims.time("auth_time")?;
    if authenticated.is_some_and(|at| at > now.after(skew)) {
        return Err(IdTokenRejected::Invalid("auth_time"));
    }
    if let Some(max_age) = expect.max_age {
        let at = authenticated.ok_or(IdTokenRejected::Missing("auth_time"))?;
        if at.after(max_age).after(skew) < now {
            return Err(IdTokenRejected::AuthenticatedTooLongAgo);
        }
    }
    Ok(authenticated)
}

/// OpenID Connect Core 3.1.3.6: the left half of the hash of the ASCII octets, by the hash of the signature algorithm.
fn check_hash(
    claims: &Claims,
    name: &'static str,
    of: Option<&str>,
    algorithm: SigningAlgorithm,
) -> Result<(), IdTokenRejected> {
    use SigningAlgorithm::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
    let (Some(claimed), Some(of)) = (claims.text(name)?, of) else { return Ok(()) };
    let by = match algorithm {
        Rs256 | Ps256 | Es256 => &SHA256,
        Rs384 | Ps384 | Es384 => &SHA384,
        // Ed25519 hashes by SHA-512.
        Rs512 | Ps512 | EdDsa => &SHA512,
    };
    let whole = digest(by, of.as_bytes());
    let half = whole.as_ref().get(..whole.as_ref().len().div_euclid(2)).unwrap_or_default();
    if URL_SAFE_NO_PAD.encode(half) == claimed { Ok(()) } else { Err(IdTokenRejected::WrongHash(name)) }
}

pub(super) struct Claims(pub(super) Map<String, Value>);

impl Claims {
    pub(super) fn text(&self, name: &'static str) -> Result<Option<&str>, IdTokenRejected> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(IdTokenRejected::Invalid(name)),
        }
    }

    /// A NumericDate (RFC 7519 section 2): a number of seconds, perhaps with a fraction, between 1970 and 9999.
    pub(super) fn time(&self, name: &'static str) -> Result<Option<Timestamp>, IdTokenRejected> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Number(number)) => match number.as_f64() {
                Some(seconds) if (0.0..=LAST_SECOND).contains(&seconds) => {
                    #[allow(
                        clippy::cast_possible_truncation,
                        reason = "in range, and a fraction of a millisecond is none"
                    )]
                    let millis = (seconds * 1000.0) as i64;
                    Ok(Some(Timestamp::from_millis(millis)))
                }
                _ => Err(IdTokenRejected::Invalid(name)),
            },
            Some(_) => Err(IdTokenRejected::Invalid(name)),
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
