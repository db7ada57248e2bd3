//! What must hold of a signature before any digest is computed (SAML Core 5.4). The library processes references before it
//! checks the signature, so everything that a stranger could make it do is refused here.

use bergshamra_c14n::C14nMode;

use super::{SignaturePolicy, SignatureRefused, SignatureShape};
use crate::saml::base64;
use crate::saml::names::{
    C14N, DS, ECDSA_SHA256, ECDSA_SHA384, ECDSA_SHA512, ENVELOPED, EXC_C14N, EXC_C14N_WITH_COMMENTS, RSA_PSS_SHA256,
    RSA_SHA1, RSA_SHA256, RSA_SHA384, RSA_SHA512, SHA1, SHA256, SHA384, SHA512,
};
use crate::saml::rejected::Quoted;
use crate::saml::xml::Node;

const SIGNATURE_METHODS: [&str; 7] =
    [RSA_SHA256, RSA_SHA384, RSA_SHA512, RSA_PSS_SHA256, ECDSA_SHA256, ECDSA_SHA384, ECDSA_SHA512];
const DIGEST_METHODS: [&str; 3] = [SHA256, SHA384, SHA512];
/// Prefixes in all `PrefixList`s of one signature: canonicalisation pays for them in their square.
const PREFIXES: usize = 16;

/// A signature whose shape is right; nothing is verified yet.
pub(super) struct Vetted<'x, 'a> {
    pub signature: Node<'x, 'a>,
    pub signed: Node<'x, 'a>,
    pub mode: C14nMode,
    pub prefixes: Vec<String>,
    pub digest_method: String,
    pub digest: Vec<u8>,
}

/// Looks at `signature`, which lies directly in `signed`.
pub(super) fn vet<'x, 'a>(
    signature: Node<'x, 'a>,
    signed: Node<'x, 'a>,
    policy: SignaturePolicy,
) -> Result<Vetted<'x, 'a>, SignatureRefused> {
    let refused = |why| Err(SignatureRefused::Shape(why));
    let (signed_info, value, key_info) = parts(signature)?;
    let [method_of_c14n, method, reference] =
        children(signed_info, ["CanonicalizationMethod", "SignatureMethod", "Reference"])?;
    if key_info.is_some_and(|info| info.children().any(|child| child.is(DS, "RetrievalMethod"))) {
        return refused(SignatureShape::Children);
    }
    let (_, of_c14n) = canonicalisation(method_of_c14n).ok_or(shape(SignatureShape::Canonicalisation))??;
    plain_attributes(signed_info, &["Id"])?;
    plain_attributes(method, &["Algorithm"])?;
    let algorithm = method.attribute("Algorithm").unwrap_or_default();
    vet_method(algorithm, policy)?;
    let [] = children(method, [])?;

    plain_attributes(reference, &["URI", "Id", "Type"])?;
    let id = signed.attribute("ID").filter(|id| !id.is_empty()).ok_or(shape(SignatureShape::Reference))?;
    if reference.attribute("URI").and_then(|uri| uri.strip_prefix('#')) != Some(id) {
        return refused(SignatureShape::Reference);
    }
    let [transforms, digest_method, digest] = children(reference, ["Transforms", "DigestMethod", "DigestValue"])?;
    let (mode, prefixes) = vet_transforms(transforms)?;
    if of_c14n.len().saturating_add(prefixes.len()) > PREFIXES {
        return refused(SignatureShape::Prefixes);
    }
    plain_attributes(digest_method, &["Algorithm"])?;
    let algorithm = digest_method.attribute("Algorithm").unwrap_or_default();
    let legacy = policy.legacy_sha1 && algorithm == SHA1;
    if !legacy && !DIGEST_METHODS.contains(&algorithm) {
        return Err(SignatureRefused::WeakAlgorithm(Quoted::new(algorithm)));
    }
    let [] = children(digest_method, [])?;
    base64_text(value)?;
    let digest = base64_text(digest)?;
    Ok(Vetted { signature, signed, mode, prefixes, digest_method: algorithm.to_owned(), digest })
}

/// Whether an algorithm is strong enough, or let through by the provider's alarming setting.
pub(super) fn vet_method(algorithm: &str, policy: SignaturePolicy) -> Result<(), SignatureRefused> {
    let legacy = policy.legacy_sha1 && algorithm == RSA_SHA1;
    if legacy || SIGNATURE_METHODS.contains(&algorithm) {
        return Ok(());
    }
    Err(SignatureRefused::WeakAlgorithm(Quoted::new(algorithm)))
}

fn shape(why: SignatureShape) -> SignatureRefused {
    SignatureRefused::Shape(why)
}

type Parts<'x, 'a> = (Node<'x, 'a>, Node<'x, 'a>, Option<Node<'x, 'a>>);

/// `SignedInfo`, `SignatureValue` and perhaps `KeyInfo`: never an `Object`, whose content would not be hashed.
fn parts<'x, 'a>(signature: Node<'x, 'a>) -> Result<Parts<'x, 'a>, SignatureRefused> {
    if let Ok([info, value]) = children(signature, ["SignedInfo", "SignatureValue"]) {
        return Ok((info, value, None));
    }
    let [info, value, key_info] = children(signature, ["SignedInfo", "SignatureValue", "KeyInfo"])?;
    Ok((info, value, Some(key_info)))
}

/// The children of `node` when they are exactly these elements of XML Signature in this order, and nothing else.
fn children<'x, 'a, const N: usize>(
    node: Node<'x, 'a>,
    names: [&'static str; N],
) -> Result<[Node<'x, 'a>; N], SignatureRefused> {
    let found: Vec<Node<'x, 'a>> = node.children().collect();
    let found: [Node<'x, 'a>; N] = found.try_into().map_err(|_| shape(SignatureShape::Children))?;
    let right = found.iter().zip(names).all(|(child, name)| child.is(DS, name));
    if !right || node.has_stray_content() {
        return Err(shape(SignatureShape::Children));
    }
    Ok(found)
}

/// Only these attributes and none with a namespace: some readers take `x:URI` for `URI`.
fn plain_attributes(node: Node<'_, '_>, allowed: &[&str]) -> Result<(), SignatureRefused> {
    let plain = |(namespace, local, _): (Option<&str>, &str, &str)| namespace.is_none() && allowed.contains(&local);
    if node.attributes().all(plain) { Ok(()) } else { Err(shape(SignatureShape::Attribute)) }
}

/// Exactly enveloped-signature, then at most one canonicalisation; without one it is inclusive (XML Signature 4.4.3.2).
fn vet_transforms(transforms: Node<'_, '_>) -> Result<(C14nMode, Vec<String>), SignatureRefused> {
    let found: Vec<Node<'_, '_>> = transforms.children().collect();
    if transforms.has_stray_content() || !found.iter().all(|transform| transform.is(DS, "Transform")) {
        return Err(shape(SignatureShape::Transforms));
    }
    let (enveloped, c14n) = match found.as_slice() {
        [enveloped] => (enveloped, None),
        [enveloped, c14n] => (enveloped, Some(c14n)),
        _ => return Err(shape(SignatureShape::Transforms)),
    };
    plain_attributes(*enveloped, &["Algorithm"])?;
    if enveloped.attribute("Algorithm") != Some(ENVELOPED) {
        return Err(shape(SignatureShape::Transforms));
    }
    let [] = children(*enveloped, [])?;
    match c14n {
        None => Ok((C14nMode::Inclusive, Vec::new())),
        Some(c14n) => canonicalisation(*c14n).ok_or(shape(SignatureShape::Transforms))?,
    }
}

/// The canonicalisation that an element names, with the prefixes that it treats inclusively.
fn canonicalisation(node: Node<'_, '_>) -> Option<Result<(C14nMode, Vec<String>), SignatureRefused>> {
    let algorithm = node.attribute("Algorithm").filter(|a| [EXC_C14N, EXC_C14N_WITH_COMMENTS, C14N].contains(a))?;
    let mode = C14nMode::from_uri(algorithm)?;
    Some(prefixes(node).map(|prefixes| (mode, prefixes)))
}

fn prefixes(node: Node<'_, '_>) -> Result<Vec<String>, SignatureRefused> {
    plain_attributes(node, &["Algorithm"])?;
    let mut children = node.children();
    let list = match (children.next(), children.next()) {
        (None, _) if !node.has_stray_content() => return Ok(Vec::new()),
        (Some(list), None) if list.is(EXC_C14N, "InclusiveNamespaces") && !node.has_stray_content() => list,
        _ => return Err(shape(SignatureShape::Canonicalisation)),
    };
    plain_attributes(list, &["PrefixList"])?;
    if list.children().next().is_some() || list.has_stray_content() {
        return Err(shape(SignatureShape::Canonicalisation));
    }
    let prefixes: Vec<String> =
        list.attribute("PrefixList").unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect();
    if prefixes.len() > PREFIXES { Err(shape(SignatureShape::Prefixes)) } else { Ok(prefixes) }
}

/// The octets of an element that holds base64 and nothing else.
fn base64_text(node: Node<'_, '_>) -> Result<Vec<u8>, SignatureRefused> {
    plain_attributes(node, &["Id"])?;
    let text = node.simple_text("").map_err(|_| shape(SignatureShape::Children))?;
    let octets = base64::decode(text.as_bytes()).map_err(|_| shape(SignatureShape::Base64))?;
    if octets.is_empty() { Err(shape(SignatureShape::Base64)) } else { Ok(octets) }
}
