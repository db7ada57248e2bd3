//! What an operator learns from a test sign-in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::saml::response::{Signed, Unverified, VerifiedResponse};
use crate::sign_in::{OidcRejected, SignOutHint, VerifiedIdentity};

/// What came of a test sign-in.
#[derive(Clone, Debug)]
pub struct Report {
    /// When it ended.
    pub ended: Timestamp,
    /// What the provider said of the sign-in itself.
    pub message: Vec<Fact>,
    /// What it said of the person.
    pub attributes: Vec<Fact>,
    /// Who it would have been, when it would have been believed.
    pub outcome: Result<Box<VerifiedIdentity>, Refused>,
}

/// Something that a provider said: a name, and values in its own words. Anybody's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What it is about.
    pub name: String,
    /// What was said.
    pub values: Vec<String>,
}

/// Why somebody would not have been let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The label that logs and metrics have for it.
    pub reason: &'static str,
    /// What is wrong, and what to change.
    pub sentence: String,
}

impl Fact {
    fn one(name: &str, value: impl Into<String>) -> Self {
        Self { name: name.to_owned(), values: vec![value.into()] }
    }

    fn maybe(name: &str, value: Option<impl Into<String>>) -> Option<Self> {
        value.map(|value| Self::one(name, value))
    }
}

impl Report {
    /// A sign-in that would have been refused.
    pub fn refused(ended: Timestamp, message: Vec<Fact>, reason: &'static str, sentence: String) -> Self {
        Self { ended, message, attributes: Vec::new(), outcome: Err(Refused { reason, sentence }) }
    }

    /// A sign-in by OpenID Connect.
    pub(in crate::sign_in) fn of_oidc(
        redeemed: Result<(VerifiedIdentity, SignOutHint), OidcRejected>,
        ended: Timestamp,
    ) -> Self {
        match redeemed {
            Ok((identity, hint)) => {
                let attributes = match &hint {
                    SignOutHint::IdToken(token) => claims(token.reveal()),
                    SignOutHint::Saml(_) => Vec::new(),
                };
                Self { ended, message: Vec::new(), attributes, outcome: Ok(Box::new(identity)) }
            }
            Err(rejected) => Self::refused(ended, Vec::new(), rejected.reason(), rejected.to_string()),
        }
    }
}

/// What a SAML response says that is not believed.
pub(in crate::sign_in) fn unverified(response: Option<&Unverified>) -> Vec<Fact> {
    let issuer = response.and_then(|response| response.issuer.as_deref());
    let answers = response.and_then(|response| response.in_response_to.as_deref());
    [Fact::maybe("Issuer (not verified)", issuer), Fact::maybe("InResponseTo (not verified)", answers)]
        .into_iter()
        .flatten()
        .collect()
}

/// What a verified SAML response says of the sign-in, and of the person.
pub(in crate::sign_in) fn verified(response: &VerifiedResponse) -> (Vec<Fact>, Vec<Fact>) {
    let signed = match response.signed {
        Signed::Response => "Response",
        Signed::Assertion => "Assertion",
        Signed::Both => "Response and Assertion",
    };
    let name_id = &response.name_id;
    let message = [
        Some(Fact::one("Issuer", response.issuer.as_str())),
        Some(Fact::one("Signed", signed)),
        Some(Fact::one("Encrypted", if response.encrypted { "yes" } else { "no" })),
        Some(Fact::one("NameID", name_id.value.as_str())),
        Fact::maybe("NameID format", name_id.format.as_deref()),
        Fact::maybe("NameQualifier", name_id.name_qualifier.as_deref()),
        Fact::maybe("SPNameQualifier", name_id.sp_name_qualifier.as_deref()),
        Some(Fact::one("Signed in at", response.authn_instant.to_string())),
        Fact::maybe("AuthnContextClassRef", response.authn_context.as_deref()),
        (!response.session_indexes.is_empty())
            .then(|| Fact { name: "SessionIndex".to_owned(), values: response.session_indexes.clone() }),
        Fact::maybe("SessionNotOnOrAfter", response.session_not_on_or_after.map(|end| end.to_string())),
        Some(Fact::one("Believed until", response.not_on_or_after.to_string())),
    ];
    let attributes = response.attributes.iter().map(|attribute| {
        let name = match &attribute.friendly_name {
            Some(friendly) => format!("{} ({friendly})", attribute.name),
            None => attribute.name.clone(),
        };
        Fact { name, values: attribute.values.clone() }
    });
    (message.into_iter().flatten().collect(), attributes.collect())
}

/// The claims of an ID token that was verified. What only protects the exchange is left out.
fn claims(id_token: &str) -> Vec<Fact> {
    const PROTECTING: [&str; 4] = ["nonce", "at_hash", "c_hash", "s_hash"];
    let payload = id_token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let payload = payload.and_then(|json| serde_json::from_slice::<Map<String, Value>>(&json).ok());
    let shown = payload.unwrap_or_default().into_iter().filter(|(name, _)| !PROTECTING.contains(&name.as_str()));
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    shown
        .map(|(name, value)| match value {
            Value::Array(values) => Fact { name, values: values.into_iter().map(text).collect() },
            other => Fact::one(&name, text(other)),
        })
        .collect()
}
