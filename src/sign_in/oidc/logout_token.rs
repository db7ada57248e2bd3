//! Checks a logout token (OpenID Connect Back-Channel Logout 1.0, section 2.6) and tells whom it means. Pure: keys,
//! expectations and `now` are arguments. The signature and what it has in common with an ID token are checked there.

use std::time::Duration;

use serde_json::Value;

use super::super::settings::SigningAlgorithm;
use super::id_token::{Claims, MOST_SKEW, check_audience, signed_claims};
use super::keys::KeySet;
use super::rejected::IdTokenRejected;
use crate::clock::Timestamp;

/// The event that a logout token tells.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// What may stand in `typ`: its own, and what providers said before it had one.
const TYPES: [&str; 2] = ["logout+jwt", "jwt"];

/// How old a logout token may be: it comes straight from the provider.
const OLDEST: Duration = Duration::from_secs(5 * 60);

/// The longest `sid` and `jti`, in bytes.
const LONGEST: usize = 255;

/// What the token has to say.
#[derive(Debug)]
pub struct Expectations<'a> {
    /// The issuer as it is configured.
    pub issuer: &'a str,
    /// Our name at the provider.
    pub client_id: &'a str,
    /// Signature algorithms that may be used.
    pub algorithms: &'a [SigningAlgorithm],
    /// The most that clocks may differ; more than 60 s counts as 60 s.
    pub skew: Duration,
}

/// A logout that the provider asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenLogout {
    /// `iss`.
    pub issuer: String,
    /// `sub`: all sessions of that person, unless `session` is there.
    pub subject: Option<String>,
    /// `sid`: the sessions that hang on that session at the provider.
    pub session: Option<String>,
    /// `jti`.
    pub(in crate::sign_in) token_id: String,
    /// Until when the token would be believed.
    pub(in crate::sign_in) believed_until: Timestamp,
}

/// Checks `token`. Whether it was used before is for the caller to find out.
///
/// # Errors
/// [`IdTokenRejected::UnknownKey`] when newer keys may help, else what is wrong with it.
pub fn verify(
    token: &str,
    keys: &KeySet,
    expect: &Expectations<'_>,
    now: Timestamp,
) -> Result<TokenLogout, IdTokenRejected> {
    let (_, claims) = signed_claims(token, keys, expect.algorithms, &TYPES)?;
    let claims = Claims(claims);
    if claims.text("iss")? != Some(expect.issuer) {
        return Err(IdTokenRejected::WrongIssuer);
    }
    check_audience(&claims, expect.client_id)?;

    let skew = expect.skew.min(MOST_SKEW);
    let issued = claims.time("iat")?.ok_or(IdTokenRejected::Missing("iat"))?;
    if issued > now.after(skew) {
        return Err(IdTokenRejected::IssuedInFuture);
    }
    let believed_until = issued.after(OLDEST).after(skew);
    if believed_until < now {
        return Err(IdTokenRejected::IssuedLongAgo);
    }
    // Drafts of the specification had no `exp`; what is not old is good without.
    if claims.time("exp")?.is_some_and(|expires| now >= expires.after(skew)) {
        return Err(IdTokenRejected::Expired);
    }

    let event = match claims.0.get("events") {
        None => return Err(IdTokenRejected::Missing("events")),
        Some(Value::Object(events)) => events.get(EVENT),
        Some(_) => return Err(IdTokenRejected::Invalid("events")),
    };
    if !event.is_some_and(Value::is_object) {
        return Err(IdTokenRejected::Invalid("events"));
    }
    // It is there to keep ID tokens and logout tokens apart.
    if claims.0.contains_key("nonce") {
        return Err(IdTokenRejected::Invalid("nonce"));
    }
    let name = |claim: &'static str| match claims.text(claim)? {
        Some(text) if (1..=LONGEST).contains(&text.len()) => Ok(Some(text.to_owned())),
        Some(_) => Err(IdTokenRejected::Invalid(claim)),
        None => Ok(None),
    };
    let (subject, session) = (name("sub")?, name("sid")?);
    if subject.is_none() && session.is_none() {
        return Err(IdTokenRejected::Missing("sub"));
    }
    let token_id = name("jti")?.ok_or(IdTokenRejected::Missing("jti"))?;
    Ok(TokenLogout { issuer: expect.issuer.to_owned(), subject, session, token_id, believed_until })
}

#[cfg(test)]
mod tests;
