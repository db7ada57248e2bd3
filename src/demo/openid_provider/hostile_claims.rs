//! Claims that are wrong (cases B6 to B11, B21).

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::modes::Mode;
use crate::clock::Timestamp;

/// What there is to lie about.
pub(super) struct Facts<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) now: Timestamp,
    /// The nonce of an earlier sign-in.
    pub(super) other_nonce: Option<String>,
    pub(super) code_hash: String,
    pub(super) token_hash: String,
}

/// Changes the claims as `mode` says.
pub(super) fn alter(mode: Mode, claims: &mut Map<String, Value>, facts: &Facts<'_>) {
    if let Some(name) = missing(mode) {
        claims.remove(name);
    }
    for (name, value) in wrong(mode, facts) {
        claims.insert(name.to_owned(), value);
    }
}

/// The claim that the mode leaves out.
fn missing(mode: Mode) -> Option<&'static str> {
    Some(match mode {
        Mode::MissingSub => "sub",
        Mode::MissingIat => "iat",
        Mode::MissingAud | Mode::Fapi2MissingAud => "aud",
        Mode::MissingExp => "exp",
        Mode::MissingIss => "iss",
        Mode::MissingNonce => "nonce",
        Mode::MissingAtHash => "at_hash",
        Mode::AuthTimeMissing => "auth_time",
        _ => return None,
    })
}

/// The claims that the mode sets.
fn wrong(mode: Mode, facts: &Facts<'_>) -> Vec<(&'static str, Value)> {
    let ago = |seconds| facts.now.before(Duration::from_secs(seconds)).seconds();
    let ahead = |seconds| facts.now.after(Duration::from_secs(seconds)).seconds();
    let (us, issuer) = (facts.client_id, facts.issuer);
    match mode {
        Mode::InvalidIss => vec![("iss", json!("https://stranger.test"))],
        Mode::IssTrailingSlash => vec![("iss", json!(format!("{issuer}/")))],
        Mode::IssCase => vec![("iss", json!(issuer.to_uppercase()))],
        Mode::IssTenantTemplate => vec![("iss", json!("https://login.example/{tenantid}/v2.0"))],
        Mode::IssArray => vec![("iss", json!([issuer]))],

        Mode::InvalidAud => vec![("aud", json!("another-client"))],
        Mode::SecondaryAud => vec![("aud", json!([us, "another-client"]))],
        Mode::AudUntrustedAzpOurs => vec![("aud", json!([us, "another-client"])), ("azp", json!(us))],
        Mode::AudAsArray => vec![("aud", json!([us]))],
        Mode::AudEmpty => vec![("aud", json!([]))],
        Mode::AudNumber => vec![("aud", json!(1))],
        Mode::AzpOther => vec![("azp", json!("another-client"))],
        Mode::AzpOurs => vec![("azp", json!(us))],

        Mode::ExpiredExp => vec![("exp", json!(ago(3600))), ("iat", json!(ago(3900)))],
        Mode::ExpThirtySecondsAgo => vec![("exp", json!(ago(30)))],
        Mode::ExpFiveMinutesAgo => vec![("exp", json!(ago(300)))],
        Mode::ExpNow => vec![("exp", json!(ago(0)))],
        Mode::IatThirtySecondsAhead => vec![("iat", json!(ahead(30)))],
        Mode::IatFiveMinutesAhead => vec![("iat", json!(ahead(300))), ("exp", json!(ahead(900)))],
        Mode::IatYearOld => vec![("iat", json!(ago(365 * 86_400)))],
        Mode::NbfThirtySecondsAhead => vec![("nbf", json!(ahead(30)))],
        Mode::NbfFiveMinutesAhead => vec![("nbf", json!(ahead(300))), ("exp", json!(ahead(900)))],
        Mode::TimesFloat => vec![("iat", fraction(ago(0))), ("exp", fraction(ahead(300)))],
        Mode::ExpString => vec![("exp", json!(ahead(300).to_string()))],
        Mode::IatString => vec![("iat", json!(ago(0).to_string()))],
        Mode::NbfString => vec![("nbf", json!("soon"))],
        Mode::ExpTwoToThe53 => vec![("exp", json!(1_u64 << 53))],
        Mode::ExpMaximum => vec![("exp", json!(u64::MAX))],
        Mode::ExpExponent => vec![("exp", json!(1e300))],
        Mode::ExpNegative => vec![("exp", json!(-1))],
        Mode::IatNegative => vec![("iat", json!(-1))],
        Mode::AuthTimeOld => vec![("auth_time", json!(ago(86_400)))],
        Mode::AuthTimeString => vec![("auth_time", json!("yesterday"))],

        Mode::NonceInvalid => vec![("nonce", json!("another-nonce"))],
        Mode::NonceReused => {
            let used = facts.other_nonce.clone().unwrap_or_else(|| "nonce-of-another-session".to_owned());
            vec![("nonce", json!(used))]
        }
        Mode::NonceNumber => vec![("nonce", json!(1))],
        Mode::SubEmpty => vec![("sub", json!(""))],
        Mode::Sub256 => vec![("sub", json!("s".repeat(256)))],
        Mode::SubNumber => vec![("sub", json!(1))],

        Mode::InvalidAtHash => vec![("at_hash", json!(facts.token_hash))],
        Mode::InvalidCHash => vec![("c_hash", json!(facts.code_hash))],
        Mode::EmailVerifiedString => vec![("email_verified", json!("false"))],
        Mode::AggregatedClaims => vec![
            ("_claim_names", json!({ "address": "src1" })),
            ("_claim_sources", json!({ "src1": { "JWT": "e30.e30." } })),
        ],
        Mode::DistributedClaims => vec![
            ("_claim_names", json!({ "address": "src1" })),
            (
                "_claim_sources",
                json!({ "src1": { "endpoint": format!("{issuer}/elsewhere"), "access_token": "secret" } }),
            ),
        ],
        _ => Vec::new(),
    }
}

/// The moment and a half second more.
fn fraction(seconds: i64) -> Value {
    serde_json::from_str(&format!("{seconds}.5")).unwrap_or(Value::Null)
}
