//! Enveloped XML signatures on what we wrote (SAML Core 5.4, XML Signature 1.1).
//!
//! Always one shape, the one that every receiver reads: a Signature after the Issuer, one Reference to the element's ID,
//! the transforms enveloped-signature and exclusive canonicalisation, and our certificate in KeyInfo.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bergshamra_c14n::{C14nMode, canonicalize_doc};

use super::names::{DS, ENVELOPED, EXC_C14N, SHA256, SHA384, SHA512};
use super::signing_key::{NotSigned, SigningKey};
use super::write::Element;
use super::xml::{Xml, XmlLimits};

/// Makes the signature value of octets.
type SignOctets<'a> = dyn Fn(&[u8]) -> Result<Vec<u8>, NotSigned> + 'a;

/// How a signature is made. The honest way is [`Recipe::of`]; hostile test providers bring their own.
pub(crate) struct Recipe<'a> {
    /// The URI of the signature's algorithm.
    pub(crate) method: &'a str,
    /// The URI of the digest.
    pub(crate) digest_method: &'a str,
    /// The digest of octets.
    pub(crate) digest: &'a dyn Fn(&[u8]) -> Vec<u8>,
    /// The signature over octets.
    pub(crate) sign: &'a SignOctets<'a>,
    /// The certificate in KeyInfo.
    pub(crate) certificate: Option<&'a [u8]>,
}

/// Signs an element that has an `ID`.
///
/// # Errors
/// When it has none, or the key does not sign.
pub fn sign(element: Element, key: &SigningKey) -> Result<Element, NotSigned> {
    let digest_uri = key.algorithm().digest_uri();
    let digest = |octets: &[u8]| digest_octets(digest_uri, octets);
    sign_by(
        element,
        &Recipe {
            method: key.algorithm().uri(),
            digest_method: digest_uri,
            digest: &digest,
            sign: &|octets| key.sign(octets),
            certificate: Some(key.certificate()),
        },
    )
}

/// Signs an element as `recipe` says.
///
/// # Errors
/// When it has no `ID`, or the recipe does not sign.
pub(crate) fn sign_by(element: Element, recipe: &Recipe<'_>) -> Result<Element, NotSigned> {
    let id = element.attribute_value("ID").ok_or(NotSigned)?;
    let signed_info = signed_info(id, recipe, &(recipe.digest)(&canonical(&element)?));
    // The same element, with the declaration that it inherits from the Signature once it stands there.
    let signature = (recipe.sign)(&canonical(&signed_info.clone().attribute("xmlns:ds", DS))?)?;
    let value = Element::new("ds:SignatureValue").text(STANDARD.encode(signature));
    let key_info = recipe.certificate.map(key_info);
    let signature =
        Element::new("ds:Signature").attribute("xmlns:ds", DS).child(signed_info).child(value).children(key_info);
    Ok(element.with_signature(signature))
}

/// A certificate as KeyInfo. The prefix `ds` has to be declared around it.
pub(super) fn key_info(certificate: &[u8]) -> Element {
    let certificate = Element::new("ds:X509Certificate").text(STANDARD.encode(certificate));
    Element::new("ds:KeyInfo").child(Element::new("ds:X509Data").child(certificate))
}

/// The digest of octets; SHA-256 unless the URI names a longer one.
pub(super) fn digest_octets(uri: &str, octets: &[u8]) -> Vec<u8> {
    let algorithm = match uri {
        SHA384 => &digest::SHA384,
        SHA512 => &digest::SHA512,
        _ => {
            debug_assert_eq!(uri, SHA256, "the digests of our signing keys are these three");
            &digest::SHA256
        }
    };
    digest::digest(algorithm, octets).as_ref().to_vec()
}

fn signed_info(id: &str, recipe: &Recipe<'_>, digest: &[u8]) -> Element {
    let named = |name: &'static str, algorithm: &str| Element::new(name).attribute("Algorithm", algorithm);
    let transforms =
        Element::new("ds:Transforms").child(named("ds:Transform", ENVELOPED)).child(named("ds:Transform", EXC_C14N));
    let reference = Element::new("ds:Reference")
        .attribute("URI", format!("#{id}"))
        .child(transforms)
        .child(named("ds:DigestMethod", recipe.digest_method))
        .child(Element::new("ds:DigestValue").text(STANDARD.encode(digest)));
    Element::new("ds:SignedInfo")
        .child(named("ds:CanonicalizationMethod", EXC_C14N))
        .child(named("ds:SignatureMethod", recipe.method))
        .child(reference)
}

/// The octets of an element by exclusive canonicalisation. Standing elsewhere, it has the same: it declares every prefix
/// that it uses.
fn canonical(element: &Element) -> Result<Vec<u8>, NotSigned> {
    let text = element.to_xml();
    let xml = Xml::parse(text.as_bytes(), XmlLimits::METADATA).map_err(|_| NotSigned)?;
    let no_prefixes: [&str; 0] = [];
    canonicalize_doc(xml.document(), C14nMode::Exclusive, None, &no_prefixes).map_err(|_| NotSigned)
}
