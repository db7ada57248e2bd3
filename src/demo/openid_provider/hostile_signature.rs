//! From header and claims to the compact token: rightly, or as a mode says (cases B1 to B4, B31, B32).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::discovery::SYMMETRIC_KEY;
use super::id_token::{IdTokenParts, message};
use super::keys::{KeyFault, Owner, SigningKey, sign_hs256, sign_with_short_key};
use super::modes::Mode;
use super::{Client, OpenIdProvider};
use crate::sign_in::settings::SigningAlgorithm;

/// Who signs, and how.
enum Signer<'a> {
    Key(&'a SigningKey, SigningAlgorithm),
    Secret(&'a [u8]),
    Short,
    Fixed(String),
}

impl Signer<'_> {
    fn sign(&self, message: &str) -> Result<String, KeyFault> {
        match self {
            Self::Key(key, algorithm) => key.sign(message, *algorithm),
            Self::Secret(secret) => Ok(sign_hs256(message, secret)),
            Self::Short => sign_with_short_key(message),
            Self::Fixed(signature) => Ok(signature.clone()),
        }
    }
}

/// Signs the token as `mode` says; without a mode, as it should be.
pub(super) fn sign(
    provider: &OpenIdProvider,
    mode: Option<Mode>,
    issuer: &str,
    client: &Client,
    key: &SigningKey,
    parts: IdTokenParts,
) -> Result<String, KeyFault> {
    let IdTokenParts { mut header, claims } = parts;
    let mut claims = Value::Object(claims).to_string();
    let Some(mode) = mode else {
        let message = message(&header, claims.as_bytes());
        return Ok(format!("{message}.{}", key.sign(&message, key.algorithm())?));
    };
    let stranger = provider.keys().signing(Owner::Stranger, key.algorithm(), provider.random());
    for (name, value) in header_of(mode, issuer, &stranger) {
        header.insert(name.to_owned(), value);
    }
    if mode == Mode::AlgMissing {
        header.remove("alg");
    }
    alter_text(mode, &mut claims);

    let pem = key.public_pem();
    let jwk = Value::Object(key.jwk().clone()).to_string();
    let elliptic;
    let stranger_key;
    let signer = match mode {
        Mode::IdTokenSigNone | Mode::NullAlg | Mode::AlgNoneCapital | Mode::AlgNoneMixed | Mode::SignatureEmpty => {
            Signer::Fixed(String::new())
        }
        Mode::InvalidSigHs256 => Signer::Secret(b"some other secret"),
        Mode::Hs256PublicPem => Signer::Secret(pem.as_bytes()),
        Mode::Hs256PublicJwk => Signer::Secret(jwk.as_bytes()),
        Mode::Hs256ClientSecret | Mode::BitFlippedHs256 => Signer::Secret(client.shared_secret().as_bytes()),
        Mode::KidPath => Signer::Secret(b""),
        Mode::KidSql => Signer::Secret(b"secret"),
        Mode::JwksOct => Signer::Secret(SYMMETRIC_KEY),
        Mode::JwksRsa512 => Signer::Short,
        Mode::AlternateAlg => Signer::Key(key, SigningAlgorithm::Rs384),
        Mode::Ps256Unregistered => Signer::Key(key, SigningAlgorithm::Ps256),
        Mode::Es256Unregistered => {
            elliptic = provider.keys().signing(Owner::Provider, SigningAlgorithm::Es256, provider.random())?;
            header.insert("kid".to_owned(), json!(elliptic.kid()));
            Signer::Key(&elliptic, SigningAlgorithm::Es256)
        }
        Mode::Es256Zero => Signer::Fixed(URL_SAFE_NO_PAD.encode([0; 64])),
        Mode::SignatureOfAnother => {
            Signer::Fixed(key.sign(&message(&header, br#"{"sub":"another"}"#), key.algorithm())?)
        }
        Mode::KidUnknown | Mode::KidUrl | Mode::Jku | Mode::X5u | Mode::JwkHeader | Mode::X5cHeader => {
            stranger_key = stranger?;
            Signer::Key(&stranger_key, stranger_key.algorithm())
        }
        _ => Signer::Key(key, key.algorithm()),
    };
    let message = message(&header, claims.as_bytes());
    let signature = signer.sign(&message)?;
    Ok(assemble(mode, &message, &signature))
}

/// Header parameters that the mode sets.
fn header_of(
    mode: Mode,
    issuer: &str,
    stranger: &Result<std::sync::Arc<SigningKey>, KeyFault>,
) -> Vec<(&'static str, Value)> {
    let elsewhere = format!("{issuer}/elsewhere");
    let hs256 = ("alg", json!("HS256"));
    match mode {
        Mode::IdTokenSigNone | Mode::NullAlg => vec![("alg", json!("none"))],
        Mode::AlgNoneCapital => vec![("alg", json!("None"))],
        Mode::AlgNoneMixed => vec![("alg", json!("nOnE"))],
        Mode::InvalidSigHs256
        | Mode::Hs256PublicPem
        | Mode::Hs256PublicJwk
        | Mode::Hs256ClientSecret
        | Mode::BitFlippedHs256
        | Mode::JwksOct => vec![hs256],
        Mode::AlternateAlg => vec![("alg", json!("RS384"))],
        Mode::Ps256Unregistered => vec![("alg", json!("PS256"))],
        Mode::Es256Unregistered => vec![("alg", json!("ES256"))],
        Mode::KidUnknown => vec![("kid", json!("nobody-published-this"))],
        Mode::KidPath => vec![("kid", json!("../../../../../../dev/null")), hs256],
        Mode::KidSql => vec![("kid", json!("x' UNION SELECT 'secret' -- ")), hs256],
        Mode::KidUrl => vec![("kid", json!(elsewhere))],
        Mode::Jku => vec![("jku", json!(elsewhere))],
        Mode::X5u => vec![("x5u", json!(elsewhere))],
        Mode::JwkHeader => stranger.iter().map(|key| ("jwk", Value::Object(key.jwk().clone()))).collect(),
        Mode::X5cHeader => stranger
            .iter()
            .filter_map(|key| key.certificate())
            .map(|certificate| ("x5c", json!([certificate])))
            .collect(),
        Mode::Crit => vec![("crit", json!(["extension"])), ("extension", json!(true))],
        // Signed over the payload as it stands, so that a verifier that overlooks `crit` is taken in.
        Mode::UnencodedPayload => vec![("crit", json!(["b64"])), ("b64", json!(false))],
        Mode::TypAccessToken => vec![("typ", json!("at+jwt"))],
        Mode::TypLogoutToken => vec![("typ", json!("logout+jwt"))],
        _ => Vec::new(),
    }
}

/// Claims that no JSON value can hold.
fn alter_text(mode: Mode, claims: &mut String) {
    match mode {
        Mode::DuplicateSub => claims.insert_str(1, r#""sub":"somebody-else","#),
        Mode::DeeplyNested => {
            claims.insert_str(1, &format!(r#""deep":{}{},"#, "[".repeat(10_000), "]".repeat(10_000)));
        }
        Mode::ByteOrderMark => claims.insert(0, '\u{feff}'),
        _ => {}
    }
}

/// Joins message and signature.
fn assemble(mode: Mode, message: &str, signature: &str) -> String {
    match mode {
        Mode::TwoDotsOnly => "..".to_owned(),
        Mode::FourParts => format!("{message}.{signature}.e30"),
        Mode::Encrypted => format!("{message}.{signature}.AAAA.AAAA"),
        Mode::Padding => format!("{}=.{signature}=", message.replacen('.', "=.", 1)),
        Mode::InvalidSigRs256 | Mode::InvalidSigEs256 | Mode::BitFlippedHs256 => {
            format!(
                "{message}.{}",
                change_bytes(signature, |bytes| {
                    if let Some(byte) = bytes.get_mut(20) {
                        *byte ^= 1;
                    }
                })
            )
        }
        Mode::Es256Der => format!("{message}.{}", change_bytes(signature, |bytes| *bytes = der(bytes))),
        _ => format!("{message}.{signature}"),
    }
}

fn change_bytes(signature: &str, change: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
    change(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The raw r and s as an ASN.1 sequence of two integers.
fn der(raw: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(0);
        let mut value = bytes.get(start..).unwrap_or_default().to_vec();
        if value.first().is_some_and(|first| *first >= 0x80) {
            value.insert(0, 0);
        }
        let length = u8::try_from(value.len()).unwrap_or_default();
        [vec![2, length], value].concat()
    };
    let (r, s) = raw.split_at(raw.len().div_euclid(2));
    let body = [integer(r), integer(s)].concat();
    [vec![0x30, u8::try_from(body.len()).unwrap_or_default()], body].concat()
}

/// A JWT that says `none` and is unsigned.
pub(super) fn unsigned(claims: &Map<String, Value>) -> String {
    let header: Map<String, Value> = [("alg".to_owned(), json!("none"))].into_iter().collect();
    format!("{}.", message(&header, Value::Object(claims.clone()).to_string().as_bytes()))
}
