//! A message as it arrived by one of the bindings, and what is left of it once its signature was verified.

use super::Direction;
use super::redirect::QuerySignature;
use crate::saml::keys::VerificationKeys;
use crate::saml::message::MessageRefused;
use crate::saml::names::{DS, SAML};
use crate::saml::signature::{SignaturePolicy, verify_all, verify_detached};
use crate::saml::xml::{Node, Xml, XmlLimits};

/// A message as it arrived. Nothing about it is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Whether it came as a request or as a response.
    pub direction: Direction,
    /// What came with it, to be given back as it is. Somebody's text.
    pub relay_state: Option<String>,
    octets: Vec<u8>,
    proof: Proof,
}

/// Where the proof of a message is to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// Beside it in the query; none when it is not signed.
    Query(Option<QuerySignature>),
    /// In it.
    Enveloped,
    /// In it, and it lies in an envelope of SOAP.
    InSoap,
}

/// What the sender vouches for: a document, read from the very octets that were signed.
#[derive(Debug)]
pub struct Proven(Vec<u8>);

impl Proven {
    /// The message.
    ///
    /// # Errors
    /// When it is not strict XML.
    pub fn xml(&self) -> Result<Xml<'_>, MessageRefused> {
        Ok(Xml::parse(&self.0, XmlLimits::MESSAGE)?)
    }
}

impl Arrived {
    pub(super) fn new(direction: Direction, octets: Vec<u8>, relay_state: Option<String>, proof: Proof) -> Self {
        Self { direction, relay_state, octets, proof }
    }

    /// Who the message says that it is from, to find their keys by: believed in nothing.
    ///
    /// # Errors
    /// When it is not strict XML, or names nobody.
    pub fn claimed_issuer(&self) -> Result<String, MessageRefused> {
        let xml = Xml::parse(&self.octets, XmlLimits::MESSAGE)?;
        Ok(self.message(&xml)?.one(SAML, "Issuer")?.simple_text("Issuer")?)
    }

    /// Whether there is a signature at all, whatever it is worth.
    pub fn is_signed(&self) -> bool {
        match &self.proof {
            Proof::Query(signature) => signature.is_some(),
            Proof::Enveloped | Proof::InSoap => self.has_signature(),
        }
    }

    /// The message, proven by nobody: for requests that a peer does not sign and need not.
    ///
    /// # Errors
    /// When it is not strict XML. An envelope of SOAP is never taken without proof.
    pub fn unproven(&self) -> Result<Xml<'_>, MessageRefused> {
        match self.proof {
            Proof::InSoap => Err(MessageRefused::Unsigned),
            Proof::Query(_) | Proof::Enveloped => Ok(Xml::parse(&self.octets, XmlLimits::MESSAGE)?),
        }
    }

    /// Verifies that one of `keys` signed it: over the query's own octets, or by one signature directly in the message and
    /// none anywhere else.
    ///
    /// # Errors
    /// When it is not signed, or the signature is not good.
    pub fn verify(self, keys: &VerificationKeys, policy: SignaturePolicy) -> Result<Proven, MessageRefused> {
        if let Proof::Query(signature) = &self.proof {
            let QuerySignature { algorithm, signature, signed } = signature.as_ref().ok_or(MessageRefused::Unsigned)?;
            verify_detached(signed, algorithm, signature, keys, policy)?;
            return Ok(Proven(self.octets));
        }
        let xml = Xml::parse(&self.octets, XmlLimits::MESSAGE)?;
        if !xml.ids_are_unique() {
            return Err(MessageRefused::DuplicateId);
        }
        let message = self.message(&xml)?;
        let signatures = verify_all(&xml, &[message], keys, policy)?;
        let signature = signatures.into_iter().find(|signature| signature.signs(message));
        signature.map(|signature| Proven(signature.into_octets())).ok_or(MessageRefused::Unsigned)
    }

    fn message<'x, 'a>(&self, xml: &'x Xml<'a>) -> Result<Node<'x, 'a>, MessageRefused> {
        match self.proof {
            Proof::Query(_) | Proof::Enveloped => Ok(xml.root()),
            Proof::InSoap => super::soap::body(xml),
        }
    }

    fn has_signature(&self) -> bool {
        Xml::parse(&self.octets, XmlLimits::MESSAGE)
            .is_ok_and(|xml| xml.elements().any(|node| node.is(DS, "Signature")))
    }
}
