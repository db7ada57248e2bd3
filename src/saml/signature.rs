//! XML signatures on messages from outside: looked at before any cryptography, verified with keys from metadata, and turned
//! into the octets that were really signed.
//!
//! [`verify_all`] looks at every `ds:Signature` of a document. Each has to be of the one shape that SAML Core 5.4 allows,
//! lie in one of the places that the caller names, and verify: one bad signature refuses the document, even beside a good
//! one. What comes back is octets and no tree: the caller parses them again ([`VerifiedSignature::parse`]), and reads what it
//! believes from there alone. A trick that moves, copies or hides an element in the document cannot change those octets.

mod detached;
mod octets;
mod vet;

pub use self::detached::verify_detached;

use bergshamra_dsig::verify::{VerifyResult, verify_all_document_with_source, verify_document_with_source};
use uppsala::NodeId;

use crate::saml::keys::VerificationKeys;
use crate::saml::names::DS;
use crate::saml::rejected::Quoted;
use crate::saml::xml::{Node, Xml, XmlLimits, XmlRefused};

/// Which algorithms a provider may sign with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignaturePolicy {
    /// RSA-SHA1 and the digest SHA-1 are believed too. SHA-1 is broken: who can make the provider sign what they choose
    /// can forge what it did not sign.
    pub legacy_sha1: bool,
}

/// A signature that is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureRefused {
    /// It is not of the one shape that SAML allows (SAML Core 5.4).
    #[error("A signature is not of the shape that SAML allows: {0}.")]
    Shape(SignatureShape),
    /// Its algorithm is broken, or not known.
    #[error(
        "The algorithm {0} of a signature is weak or not known; let the identity provider sign with RSA-SHA256 or better."
    )]
    WeakAlgorithm(Quoted),
    /// It does not verify under any key of the provider.
    #[error(
        "A signature does not verify with any key of the identity provider: its metadata is old (keys were changed), the \
         message was altered, or somebody else signed it."
    )]
    Invalid,
}

/// What is wrong with a signature's shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each says itself what it is")]
pub enum SignatureShape {
    #[error("there are more signatures than elements to sign")]
    TooMany,
    #[error("it does not lie in the element that it signs")]
    Place,
    #[error("one element has two")]
    TwoOnOne,
    #[error("Signature or SignedInfo holds something else than it has to")]
    Children,
    #[error("one of its elements has an attribute that does not belong there")]
    Attribute,
    #[error("its canonicalisation is not allowed")]
    Canonicalisation,
    #[error("it does not refer to the element that it lies in")]
    Reference,
    #[error("its transforms are not allowed")]
    Transforms,
    #[error("it names more than 16 namespace prefixes")]
    Prefixes,
    #[error("a value in it is not base64")]
    Base64,
}

impl SignatureRefused {
    /// The label for logs and metrics, of a closed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Shape(_) => "saml_signature_shape",
            Self::WeakAlgorithm(_) => "saml_weak_algorithm",
            Self::Invalid => "saml_signature_invalid",
        }
    }
}

/// An element that a trusted key signed.
#[derive(Debug)]
pub struct VerifiedSignature {
    element: NodeId,
    octets: Vec<u8>,
}

impl VerifiedSignature {
    /// Which element of the document it signs: not to be read from, for its octets are what was signed.
    pub fn signs(&self, element: Node<'_, '_>) -> bool {
        self.element == element.id()
    }

    /// The octets that were signed, as a document: without the signature itself and without comments.
    ///
    /// # Errors
    /// When they are not strict XML.
    pub fn parse(&self, limits: XmlLimits) -> Result<Xml<'_>, XmlRefused> {
        Xml::parse(&self.octets, limits)
    }

    /// The octets that were signed.
    pub(super) fn into_octets(self) -> Vec<u8> {
        self.octets
    }
}

/// Verifies every signature of a document. `places` are the elements that may be signed, each by one signature directly in
/// it. None at all is not an error: the list is empty then.
///
/// # Errors
/// When any signature is of another shape, in another place, weak, or does not verify.
pub fn verify_all(
    xml: &Xml<'_>,
    places: &[Node<'_, '_>],
    keys: &VerificationKeys,
    policy: SignaturePolicy,
) -> Result<Vec<VerifiedSignature>, SignatureRefused> {
    let shape = |why| Err(SignatureRefused::Shape(why));
    let nodes: Vec<Node<'_, '_>> = xml.elements().filter(|node| node.is(DS, "Signature")).collect();
    if nodes.len() > places.len() {
        return shape(SignatureShape::TooMany);
    }
    let mut vetted: Vec<vet::Vetted<'_, '_>> = Vec::new();
    for signature in nodes {
        let Some(parent) = signature.parent().filter(|parent| places.iter().any(|place| place.id() == parent.id()))
        else {
            return shape(SignatureShape::Place);
        };
        if vetted.iter().any(|other| other.signed.id() == parent.id()) {
            return shape(SignatureShape::TwoOnOne);
        }
        vetted.push(vet::vet(signature, parent, policy)?);
    }
    if vetted.is_empty() {
        return Ok(Vec::new());
    }
    let results = verify_all_document_with_source(keys.context(), xml.document(), Some(xml.text()))
        .map_err(|_| SignatureRefused::Invalid)?;
    if results.len() != vetted.len() {
        return Err(SignatureRefused::Invalid);
    }
    let pairs = vetted.iter().zip(&results);
    pairs.map(|(vetted, result)| covered(vetted, result)).collect()
}

/// Verifies the signature of a document's root, which has to come before any other. Signatures deeper inside are content:
/// in the metadata of a federation, members may have signed theirs by keys of their own. `None` when the root has none.
///
/// # Errors
/// When the signature is of another shape, in another place, weak, or does not verify.
pub fn verify_root(
    xml: &Xml<'_>,
    keys: &VerificationKeys,
    policy: SignaturePolicy,
) -> Result<Option<VerifiedSignature>, SignatureRefused> {
    let shape = |why| Err(SignatureRefused::Shape(why));
    let root = xml.root();
    let mut of_root = root.all(DS, "Signature");
    let Some(signature) = of_root.next() else { return Ok(None) };
    if of_root.next().is_some() {
        return shape(SignatureShape::TwoOnOne);
    }
    // The library verifies the first one of the document.
    let first = xml.elements().find(|node| node.is(DS, "Signature"));
    if first.is_none_or(|first| first.id() != signature.id()) {
        return shape(SignatureShape::Place);
    }
    let vetted = vet::vet(signature, root, policy)?;
    let result = verify_document_with_source(keys.context(), xml.document(), Some(xml.text()))
        .map_err(|_| SignatureRefused::Invalid)?;
    covered(&vetted, &result).map(Some)
}

/// What the library found has to be this very signature, over this very element, and nothing else.
fn covered(vetted: &vet::Vetted<'_, '_>, result: &VerifyResult) -> Result<VerifiedSignature, SignatureRefused> {
    let VerifyResult::Valid { signature_node, references, .. } = result else {
        return Err(SignatureRefused::Invalid);
    };
    let [reference] = references.as_slice() else { return Err(SignatureRefused::Invalid) };
    let same = *signature_node == vetted.signature.id() && reference.resolved_node == Some(vetted.signed.id());
    if !same || !reference.digest_verified {
        return Err(SignatureRefused::Invalid);
    }
    Ok(VerifiedSignature { element: vetted.signed.id(), octets: octets::signed_octets(vetted)? })
}
