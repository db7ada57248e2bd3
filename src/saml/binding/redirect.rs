//! The HTTP-Redirect binding (SAML Bindings 3.4): messages deflated in a query, signed over the query's own octets.

mod deflate;
mod received;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

pub use self::deflate::{InflateRefused, inflate};
pub(super) use self::received::QuerySignature;
pub use self::received::read;
use super::Direction;
use crate::saml::signing_key::{NotSigned, SigningKey};
use crate::saml::write::Element;

/// Everything but what no URL treats specially (RFC 3986, section 2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The address that carries `message` to `location`, signed when there is a key. The message itself must not be signed
/// (SAML Bindings 3.4.4.1); `RelayState` and the algorithm are signed with it.
///
/// # Errors
/// When the key does not sign.
pub fn url(
    location: &str,
    direction: Direction,
    message: &Element,
    relay_state: Option<&str>,
    key: Option<&SigningKey>,
) -> Result<String, NotSigned> {
    let escape = |value: &str| utf8_percent_encode(value, ESCAPED).to_string();
    let deflated = deflate::deflate(message.to_xml().as_bytes()).map_err(|_| NotSigned)?;
    let mut query = format!("{}={}", direction.parameter(), escape(&STANDARD.encode(&deflated)));
    if let Some(relay_state) = relay_state {
        query.push_str("&RelayState=");
        query.push_str(&escape(relay_state));
    }
    if let Some(key) = key {
        query.push_str("&SigAlg=");
        query.push_str(&escape(key.algorithm().uri()));
        let signature = key.sign(query.as_bytes())?;
        query.push_str("&Signature=");
        query.push_str(&escape(&STANDARD.encode(&signature)));
    }
    let separator = if location.contains('?') { '&' } else { '?' };
    Ok(format!("{location}{separator}{query}"))
}

#[cfg(test)]
mod tests;
