//! The octets that were signed.

use bergshamra_c14n::canonicalize_doc;
use bergshamra_crypto::digest;
use bergshamra_xml::NodeSet;

use super::SignatureRefused;
use super::vet::Vetted;

/// Canonicalises the signed element without its signature and without comments, and holds the result against the digest
/// that was signed: these octets, and no tree, are what the provider vouches for.
pub(super) fn signed_octets(vetted: &Vetted<'_, '_>) -> Result<Vec<u8>, SignatureRefused> {
    let document = vetted.signed.xml().document();
    let signature = vetted.signature.id();
    let mut nodes = NodeSet::tree_without_comments(vetted.signed.id(), document);
    nodes.remove_id(signature);
    for node in document.descendants(signature) {
        nodes.remove_id(node);
    }
    let octets = canonicalize_doc(document, vetted.mode, Some(&nodes), &vetted.prefixes)
        .map_err(|_| SignatureRefused::Invalid)?;
    let digest = digest::digest(&vetted.digest_method, &octets).map_err(|_| SignatureRefused::Invalid)?;
    if digest == vetted.digest { Ok(octets) } else { Err(SignatureRefused::Invalid) }
}
