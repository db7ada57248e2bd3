//! A SAML response, from the form field to what is believed of it (SAML Core 3.3.3, SAML Profiles 4.1.4).
//!
//! The order is the defence. Size, then one strict parse, then the shape of the whole tree, then the shape of every signature,
//! and only then cryptography. From there on nothing is read from the message but from the octets that were verified, parsed
//! again. What an unsigned Response says around a signed Assertion can refuse the sign-in and never allow it.
//!
//! Refuses everything that is not exactly one bearer assertion for us, about somebody who signed in, in answer to what we
//! asked. Does not remember: the caller keeps [`VerifiedResponse::assertion_id`] until [`VerifiedResponse::not_on_or_after`].

mod assertion;
mod attributes;
mod conditions;
mod envelope;
mod expected;
mod statement;
mod subject;

#[cfg(test)]
mod tests;

pub use attributes::{Attribute, Attributes};
pub use expected::{Expected, InResponseTo, Requested};

use crate::clock::Timestamp;
use crate::saml::base64;
use crate::saml::encryption::{self, Decryptor, Opened};
use crate::saml::name_id::NameId;
use crate::saml::names::{SAML, SAMLP};
use crate::saml::rejected::{Quoted, SamlRejected};
use crate::saml::signature::verify_all;
use crate::saml::xml::{Node, Xml, XmlLimits};

/// What a provider has proved about a person: made by [`verify`] alone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifiedResponse {
    /// The entity id of the provider.
    pub issuer: String,
    /// The ID of the Response.
    pub response_id: String,
    /// The ID of the Assertion: what a replay repeats.
    pub assertion_id: String,
    /// The request that it answers; none when it was not asked for.
    pub in_response_to: Option<String>,
    /// Who.
    pub name_id: NameId,
    /// The provider's own sessions (`SessionIndex` of each AuthnStatement), for single logout.
    pub session_indexes: Vec<String>,
    /// When the person proved who they are.
    pub authn_instant: Timestamp,
    /// How (`AuthnContextClassRef`).
    pub authn_context: Option<String>,
    /// When the provider wants our session to end at the latest.
    pub session_not_on_or_after: Option<Timestamp>,
    /// Until when this message would be believed again, skew included: so long a replay must be remembered.
    pub not_on_or_after: Timestamp,
    /// What else the provider says.
    pub attributes: Attributes,
    /// The provider forbids to use the assertion a second time (SAML Core 2.5.1.5); we never do.
    pub one_time_use: bool,
    /// The provider limits who may vouch for others on the strength of this (SAML Core 2.5.1.6): how many times over, when
    /// it says so.
    pub proxy_count: Option<u32>,
    /// Whether the provider restricts that at all.
    pub proxy_restricted: bool,
    /// What was signed.
    pub signed: Signed,
    /// Whether the assertion was encrypted.
    pub encrypted: bool,
}

/// What a provider signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signed {
    /// The Response around the Assertion.
    Response,
    /// The Assertion only.
    Assertion,
    /// Both.
    Both,
}

/// What an unverified response says about where it belongs: enough to find the pending sign-in, and to be believed in
/// nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unverified {
    /// Who it says that it is from.
    pub issuer: Option<String>,
    /// What it says that it answers.
    pub in_response_to: Option<String>,
}

/// Verifies the value of a `SAMLResponse` form field (SAML Bindings 3.5.4).
///
/// # Errors
/// When anything about it is not as [`Expected`] demands.
pub fn verify(encoded: &[u8], expected: &Expected<'_>) -> Result<VerifiedResponse, SamlRejected> {
    if encoded.len() > expected.largest_message {
        return Err(SamlRejected::TooLarge(expected.largest_message));
    }
    verify_xml(&base64::decode(encoded).map_err(|_| SamlRejected::NotBase64)?, expected)
}

/// Verifies a response that was decoded already.
///
/// # Errors
/// As [`verify`].
pub fn verify_xml(octets: &[u8], expected: &Expected<'_>) -> Result<VerifiedResponse, SamlRejected> {
    let xml = parse(octets, expected.largest_message)?;
    let root = response_root(&xml)?;
    unique_ids(&xml)?;
    // Who was not signed in has no assertion, and the status says why. It refuses, signed or not.
    if count_assertions(&xml) == 0 {
        envelope::check_status(root)?;
    }
    let inside = Inside::find(root)?;
    let mut places = vec![root];
    places.extend(inside.clear());
    let signatures = verify_all(&xml, &places, expected.keys, expected.policy)?;
    let of = |node: Node<'_, '_>| signatures.iter().find(|signature| signature.signs(node));
    let assertion_signature = inside.clear().and_then(of);

    if let Some(signature) = of(root) {
        let signed = signature.parse(limits(expected.largest_message))?;
        let root = response_root(&signed)?;
        let inside = Inside::find(root)?;
        let envelope = envelope::check(root, envelope::Standing::Signed, expected)?;
        let decryptor = Decryptor::new(expected.decryption_keys);
        return match inside {
            Inside::Clear(node) => {
                let signed = if assertion_signature.is_some() { Signed::Both } else { Signed::Response };
                assertion::check(node, envelope, signed, false, &decryptor, expected)
            }
            Inside::Encrypted(node) => decrypted(node, envelope, true, &decryptor, expected),
        };
    }
    let envelope = envelope::check(root, envelope::Standing::Unsigned, expected)?;
    let decryptor = Decryptor::new(expected.decryption_keys);
    match inside {
        Inside::Encrypted(node) if !expected.decrypts_uncovered_cbc && !encryption::is_authenticated(node) => {
            Err(SamlRejected::DecryptionPaused)
        }
        Inside::Encrypted(node) => decrypted(node, envelope, false, &decryptor, expected),
        Inside::Clear(_) => {
            let signed = assertion_signature.ok_or(SamlRejected::Unsigned)?.parse(limits(expected.largest_message))?;
            let node = lone_assertion(&signed)?;
            assertion::check(node, envelope, Signed::Assertion, false, &decryptor, expected)
        }
    }
}

/// Reads who sent a response and what it answers, without believing either.
///
/// # Errors
/// When it is not even a strict Response.
pub fn peek(encoded: &[u8], largest_message: usize) -> Result<Unverified, SamlRejected> {
    if encoded.len() > largest_message {
        return Err(SamlRejected::TooLarge(largest_message));
    }
    peek_xml(&base64::decode(encoded).map_err(|_| SamlRejected::NotBase64)?, largest_message)
}

/// As [`peek`], for a response that was decoded already.
///
/// # Errors
/// As [`peek`].
pub fn peek_xml(octets: &[u8], largest_message: usize) -> Result<Unverified, SamlRejected> {
    let xml = parse(octets, largest_message)?;
    let root = response_root(&xml)?;
    let issuer = root.maybe(SAML, "Issuer")?.map(|issuer| issuer.simple_text("Issuer")).transpose()?;
    Ok(Unverified { issuer, in_response_to: root.attribute("InResponseTo").map(str::to_owned) })
}

/// Goes on inside an EncryptedAssertion. Unless a signature covers the cipher text, the Assertion in it must be signed
/// itself: anybody can encrypt to us.
fn decrypted(
    encrypted: Node<'_, '_>,
    envelope: envelope::Envelope,
    covered: bool,
    decryptor: &Decryptor<'_>,
    expected: &Expected<'_>,
) -> Result<VerifiedResponse, SamlRejected> {
    let opened = decryptor.open(encrypted)?;
    let xml = opened.xml()?;
    let node = Opened::element(&xml, SAML, "Assertion")?;
    let assertions = count_assertions(&xml);
    if assertions != 1 {
        return Err(SamlRejected::Assertions(assertions));
    }
    unique_ids(&xml)?;
    let signatures = verify_all(&xml, &[node], expected.keys, expected.policy)?;
    match signatures.iter().find(|signature| signature.signs(node)) {
        Some(signature) => {
            let octets = signature.parse(limits(expected.largest_message))?;
            let node = lone_assertion(&octets)?;
            let signed = if covered { Signed::Both } else { Signed::Assertion };
            assertion::check(node, envelope, signed, true, decryptor, expected)
        }
        None if covered => assertion::check(node, envelope, Signed::Response, true, decryptor, expected),
        None => Err(SamlRejected::Unsigned),
    }
}

/// The one assertion of a response, in either form.
#[derive(Clone, Copy)]
enum Inside<'x, 'a> {
    Clear(Node<'x, 'a>),
    Encrypted(Node<'x, 'a>),
}

impl<'x, 'a> Inside<'x, 'a> {
    /// Finds it: counted over the whole tree by local name alone, there is one, and it lies directly in the Response.
    fn find(root: Node<'x, 'a>) -> Result<Self, SamlRejected> {
        let count = count_assertions(root.xml());
        let clear = root.all(SAML, "Assertion").next().map(Self::Clear);
        let found = clear.or_else(|| root.all(SAML, "EncryptedAssertion").next().map(Self::Encrypted));
        found.filter(|_| count == 1).ok_or(SamlRejected::Assertions(count))
    }

    fn clear(self) -> Option<Node<'x, 'a>> {
        match self {
            Self::Clear(node) => Some(node),
            Self::Encrypted(_) => None,
        }
    }
}

fn limits(octets: usize) -> XmlLimits {
    XmlLimits { octets, ..XmlLimits::MESSAGE }
}

fn parse(octets: &[u8], largest: usize) -> Result<Xml<'_>, SamlRejected> {
    if octets.len() > largest {
        return Err(SamlRejected::TooLarge(largest));
    }
    Ok(Xml::parse(octets, limits(largest))?)
}

fn response_root<'x, 'a>(xml: &'x Xml<'a>) -> Result<Node<'x, 'a>, SamlRejected> {
    let root = xml.root();
    if root.is(SAMLP, "Response") { Ok(root) } else { Err(SamlRejected::NotAResponse(Quoted::new(root.local_name()))) }
}

/// The Assertion that a document consists of.
fn lone_assertion<'x, 'a>(xml: &'x Xml<'a>) -> Result<Node<'x, 'a>, SamlRejected> {
    let count = count_assertions(xml);
    if xml.root().is(SAML, "Assertion") && count == 1 { Ok(xml.root()) } else { Err(SamlRejected::Assertions(count)) }
}

/// Everything that calls itself an assertion, in whatever namespace and wherever it lies.
fn count_assertions(xml: &Xml<'_>) -> usize {
    xml.elements().filter(|node| matches!(node.local_name(), "Assertion" | "EncryptedAssertion")).count()
}

/// A signature refers to an ID, so that no two elements may have one.
fn unique_ids(xml: &Xml<'_>) -> Result<(), SamlRejected> {
    if xml.ids_are_unique() { Ok(()) } else { Err(SamlRejected::DuplicateId) }
}
