//! A query as it arrived. The signature is over its own octets (SAML Bindings 3.4.4.1): escaped anew, another software's
//! lower-case `%2f` would be another text. So nothing is decoded before it was set aside as it stood.

use percent_encoding::percent_decode_str;

use super::inflate;
use crate::saml::base64;
use crate::saml::binding::arrived::Proof;
use crate::saml::binding::{Arrived, Direction, LONGEST_RELAY_STATE};
use crate::saml::message::MessageRefused;
use crate::saml::names::DEFLATE;

/// The longest query that is read, in octets.
const LONGEST: usize = 64 * 1024;
/// What a reader may take for a parameter of the binding.
const NAMES: [&str; 6] = ["SAMLRequest", "SAMLResponse", "RelayState", "SigAlg", "Signature", "SAMLEncoding"];

/// A signature that came with a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::saml::binding) struct QuerySignature {
    pub(in crate::saml::binding) algorithm: String,
    pub(in crate::saml::binding) signature: Vec<u8>,
    /// What it is over: message, RelayState and SigAlg as they stood, in this order whatever theirs was.
    pub(in crate::saml::binding) signed: Vec<u8>,
}

/// The parameters as they stood, each at most once.
#[derive(Default)]
struct Raw<'q> {
    message: Option<(Direction, &'q str)>,
    relay_state: Option<&'q str>,
    algorithm: Option<&'q str>,
    signature: Option<&'q str>,
    encoding: Option<&'q str>,
}

/// Reads the part of an address after its `?`: exactly one message, every parameter at most once, `SigAlg` and `Signature`
/// both or neither. Other parameters are passed over, unless another reader could take them for one of these.
///
/// # Errors
/// When that is not so, or the message is not deflated and in base64.
pub fn read(query: &str) -> Result<Arrived, MessageRefused> {
    if query.len() > LONGEST {
        return Err(MessageRefused::Parameters);
    }
    let raw = Raw::read(query)?;
    let (direction, message) = raw.message.ok_or(MessageRefused::Parameters)?;
    if raw.encoding.is_some_and(|encoding| decoded(encoding).as_deref() != Some(DEFLATE)) {
        return Err(MessageRefused::Encoding);
    }
    let octets = inflate(&octets(message)?).map_err(|_| MessageRefused::Encoding)?;
    // In a form, a blank is a plus sign. In base64 there are no blanks.
    let relay_state = raw.relay_state.map(|value| decoded(&value.replace('+', " ")).ok_or(MessageRefused::Parameters));
    let relay_state = relay_state.transpose()?;
    if relay_state.as_ref().is_some_and(|value| value.len() > LONGEST_RELAY_STATE) {
        return Err(MessageRefused::Parameters);
    }
    Ok(Arrived::new(direction, octets, relay_state, Proof::Query(raw.query_signature(direction, message)?)))
}

impl<'q> Raw<'q> {
    fn read(query: &'q str) -> Result<Self, MessageRefused> {
        let mut raw = Self::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let repeated = match name {
                "SAMLRequest" => raw.message.replace((Direction::Request, value)).is_some(),
                "SAMLResponse" => raw.message.replace((Direction::Response, value)).is_some(),
                "RelayState" => raw.relay_state.replace(value).is_some(),
                "SigAlg" => raw.algorithm.replace(value).is_some(),
                "Signature" => raw.signature.replace(value).is_some(),
                "SAMLEncoding" => raw.encoding.replace(value).is_some(),
                other => is_disguised(other),
            };
            if repeated {
                return Err(MessageRefused::Parameters);
            }
        }
        Ok(raw)
    }

    fn query_signature(&self, direction: Direction, message: &str) -> Result<Option<QuerySignature>, MessageRefused> {
        let (algorithm, signature) = match (self.algorithm, self.signature) {
            (None, None) => return Ok(None),
            (Some(algorithm), Some(signature)) => (algorithm, signature),
            _ => return Err(MessageRefused::Parameters),
        };
        let mut signed = format!("{}={message}", direction.parameter());
        if let Some(relay_state) = self.relay_state {
            signed.push_str("&RelayState=");
            signed.push_str(relay_state);
        }
        signed.push_str("&SigAlg=");
        signed.push_str(algorithm);
        Ok(Some(QuerySignature {
            algorithm: decoded(algorithm).ok_or(MessageRefused::Parameters)?,
            signature: octets(signature)?,
            signed: signed.into_bytes(),
        }))
    }
}

/// Whether another reader could take a name for one of the binding's: one that decodes, or ignores case, or makes a list of
/// `SAMLRequest[]`.
fn is_disguised(name: &str) -> bool {
    let name = percent_decode_str(name).decode_utf8_lossy().replace('+', " ");
    let name = name.trim().split(['[', '\0']).next().unwrap_or_default();
    NAMES.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// The text behind the escapes; none when they are broken.
fn decoded(value: &str) -> Option<String> {
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('%') {
        let digits = after.get(..2)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        rest = after.get(2..)?;
    }
    percent_decode_str(value).decode_utf8().ok().map(|text| text.into_owned())
}

fn octets(value: &str) -> Result<Vec<u8>, MessageRefused> {
    let text = decoded(value).ok_or(MessageRefused::Parameters)?;
    base64::decode(text.as_bytes()).map_err(|_| MessageRefused::Encoding)
}
