//! A form as it was posted to us.

use url::form_urlencoded;

use crate::saml::base64;
use crate::saml::binding::arrived::Proof;
use crate::saml::binding::{Arrived, Direction, LONGEST_RELAY_STATE};
use crate::saml::message::MessageRefused;

/// Reads an `application/x-www-form-urlencoded` body: exactly one of `SAMLRequest` and `SAMLResponse`, at most one
/// `RelayState`. Other fields are passed over.
///
/// # Errors
/// When there is no message or more than one, a field twice, or the message is not base64.
pub fn read(form: &[u8]) -> Result<Arrived, MessageRefused> {
    let (mut message, mut relay_state) = (None, None);
    for (name, value) in form_urlencoded::parse(form) {
        let repeated = match &*name {
            "SAMLRequest" => message.replace((Direction::Request, value)).is_some(),
            "SAMLResponse" => message.replace((Direction::Response, value)).is_some(),
            "RelayState" => relay_state.replace(value).is_some(),
            _ => false,
        };
        if repeated {
            return Err(MessageRefused::Parameters);
        }
    }
    let (direction, encoded) = message.ok_or(MessageRefused::Parameters)?;
    if relay_state.as_ref().is_some_and(|value| value.len() > LONGEST_RELAY_STATE) {
        return Err(MessageRefused::Parameters);
    }
    let octets = base64::decode(encoded.as_bytes()).map_err(|_| MessageRefused::Encoding)?;
    Ok(Arrived::new(direction, octets, relay_state.map(|value| value.into_owned()), Proof::Enveloped))
}
