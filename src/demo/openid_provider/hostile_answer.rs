//! Answers that no client should swallow: too large, endless, pages, redirects.

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{Html, IntoResponse as _, Response};
use futures_util::stream;
use http::{StatusCode, header};
use serde_json::{Value, json};

use super::keys::Owner;
use super::modes::Mode;
use super::{Fault, OpenIdProvider, Realm};

/// How an answer is spoiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoiled {
    ServerError,
    Html,
    Redirect,
    Never,
    Empty,
    /// Followed by so many megabytes of blanks.
    Blanks(usize),
    GzipBomb,
    ErrorWith200,
}

impl Spoiled {
    pub(super) fn discovery(mode: Option<Mode>) -> Option<Self> {
        Some(match mode? {
            Mode::Discovery500 => Self::ServerError,
            Mode::DiscoveryHtml => Self::Html,
            Mode::DiscoveryRedirect => Self::Redirect,
            Mode::DiscoveryNever => Self::Never,
            Mode::DiscoveryFiftyMegabytes => Self::Blanks(50),
            _ => return None,
        })
    }

    pub(super) fn key_set(mode: Option<Mode>) -> Option<Self> {
        Some(match mode? {
            Mode::Jwks500 => Self::ServerError,
            Mode::JwksHtml => Self::Html,
            Mode::JwksRedirect => Self::Redirect,
            Mode::JwksNever => Self::Never,
            Mode::JwksTenMegabytes => Self::Blanks(10),
            _ => return None,
        })
    }

    pub(super) fn token(mode: Option<Mode>) -> Option<Self> {
        Some(match mode? {
            Mode::Token500 => Self::ServerError,
            Mode::TokenHtml => Self::Html,
            Mode::TokenRedirect => Self::Redirect,
            Mode::TokenNever => Self::Never,
            Mode::TokenEmpty => Self::Empty,
            Mode::TokenFiftyMegabytes => Self::Blanks(50),
            Mode::TokenGzipBomb => Self::GzipBomb,
            Mode::TokenErrorWith200 => Self::ErrorWith200,
            _ => return None,
        })
    }

    pub(super) fn userinfo(mode: Option<Mode>) -> Option<Self> {
        Some(match mode? {
            Mode::UserInfo500 => Self::ServerError,
            Mode::UserInfoHtml => Self::Html,
            Mode::UserInfoRedirect => Self::Redirect,
            Mode::UserInfoNever => Self::Never,
            Mode::UserInfoFiftyMegabytes => Self::Blanks(50),
            _ => return None,
        })
    }

    /// The spoiled answer, where `right` would be right.
    pub(super) async fn answer(self, realm: &Realm, right: &Value) -> Response {
        let json = [(header::CONTENT_TYPE, "application/json")];
        match self {
            Self::ServerError => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            Self::Html => Html("<!doctype html><title>Maintenance</title><script>alert(1)</script>").into_response(),
            // 307 keeps the method and the body: a client that follows hands its code and its secret over.
            Self::Redirect => {
                (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, format!("{}/elsewhere", realm.issuer))])
                    .into_response()
            }
            Self::Never => std::future::pending().await,
            Self::Empty => json.into_response(),
            Self::Blanks(megabytes) => {
                let blanks = Bytes::from(vec![b' '; 1 << 16]);
                let first = Bytes::from(right.to_string());
                let rest = std::iter::repeat_n(blanks, megabytes.saturating_mul(16));
                let chunks = std::iter::once(first).chain(rest).map(Ok::<_, std::convert::Infallible>);
                (json, Body::from_stream(stream::iter(chunks))).into_response()
            }
            Self::GzipBomb => {
                (json, [(header::CONTENT_ENCODING, "gzip")], gzip_bomb(right.to_string().as_bytes(), 50 << 20))
                    .into_response()
            }
            Self::ErrorWith200 => (json, json!({ "error": "invalid_grant" }).to_string()).into_response(),
        }
    }
}

/// Where hostile answers point to: a key set with a stranger's key. Coming here at all is the mistake.
pub(super) async fn elsewhere(
    State(provider): State<OpenIdProvider>,
    Extension(realm): Extension<Realm>,
) -> Result<Response, Fault> {
    let algorithm = provider.algorithm(realm.mode);
    let key = provider.keys().signing(Owner::Stranger, algorithm, provider.random())?;
    Ok(axum::Json(json!({ "keys": [key.jwk()] })).into_response())
}

/// `text` (ASCII) and then `blanks` blanks, in gzip: one block with fixed codes (RFC 1951, section 3.2.6), 13 bits for
/// each 258 blanks. The checksum is wrong, which only those learn who swallowed everything.
fn gzip_bomb(text: &[u8], blanks: usize) -> Vec<u8> {
    let mut bits = Bits { bytes: vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255], filled: 8 };
    bits.push(0b1, 1); // the last block
    bits.push(0b10, 2); // with fixed codes, sent low bit first: 01
    for byte in text.iter().chain(b" ") {
        bits.push(u16::from(*byte).saturating_add(0x30), 8);
    }
    for _ in 0..blanks.checked_div(258).unwrap_or(0) {
        bits.push(0b1100_0101, 8); // length 258
        bits.push(0, 5); // distance 1
    }
    bits.push(0, 7); // the end of the block
    let size = u32::try_from(text.len().saturating_add(blanks)).unwrap_or(u32::MAX);
    bits.bytes.extend([0; 4]);
    bits.bytes.extend(size.to_le_bytes());
    bits.bytes
}

/// Writes codes, each from its high bit, into bytes that fill from their low bit.
struct Bits {
    bytes: Vec<u8>,
    /// Bits that are taken in the last byte.
    filled: u32,
}

impl Bits {
    fn push(&mut self, code: u16, length: u32) {
        for place in (0..length).rev() {
            if self.filled == 8 {
                self.bytes.push(0);
                self.filled = 0;
            }
            if let Some(last) = self.bytes.last_mut() {
                let bit = u8::from(code & 1_u16.wrapping_shl(place) != 0);
                *last |= bit.wrapping_shl(self.filled);
            }
            self.filled = self.filled.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::gzip_bomb;

    #[test]
    fn b19_the_bomb_is_small() {
        let bomb = gzip_bomb(br#"{"a":1}"#, 50 << 20);
        assert!(bomb.starts_with(&[0x1f, 0x8b]) && bomb.len() < 400_000, "{}", bomb.len());
        // The first two bytes of the block: 1, then 01 from its low bit, then `{` (0x7b + 0x30 = 0xab) from its high bit.
        assert_eq!(bomb[10], 0b1010_1011);
    }
}
