//! Signatures over plain octets: those of the HTTP-Redirect binding (SAML Bindings 3.4.4.1).

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P256_SHA512_ASN1, ECDSA_P384_SHA256_ASN1,
    ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA512_ASN1, ECDSA_P521_SHA256_ASN1, ECDSA_P521_SHA384_ASN1,
    ECDSA_P521_SHA512_ASN1, EcdsaVerificationAlgorithm, UnparsedPublicKey,
};
use bergshamra_crypto::sign;
use bergshamra_keys::Key;

use super::{SignaturePolicy, SignatureRefused, vet};
use crate::saml::keys::VerificationKeys;
use crate::saml::names::{ECDSA_SHA256, ECDSA_SHA384, ECDSA_SHA512};

/// Verifies that one of `keys` signed `octets` with `algorithm`.
///
/// # Errors
/// When the algorithm is weak or not known, or no key made the signature.
pub fn verify_detached(
    octets: &[u8],
    algorithm: &str,
    signature: &[u8],
    keys: &VerificationKeys,
    policy: SignaturePolicy,
) -> Result<(), SignatureRefused> {
    vet::vet_method(algorithm, policy)?;
    let verifier = sign::from_uri(algorithm).map_err(|_| SignatureRefused::Invalid)?;
    let made = |key: &Key| {
        let fixed = || {
            let key = key.to_signing_key().ok().flatten()?;
            verifier.verify(&key, octets, signature).ok()
        };
        fixed() == Some(true) || made_in_der(key, algorithm, octets, signature)
    };
    if keys.keys().any(made) { Ok(()) } else { Err(SignatureRefused::Invalid) }
}

/// ECDSA signatures of XML are two numbers of fixed length. For this binding no text says so, and providers in Java send
/// what their library makes: DER.
fn made_in_der(key: &Key, algorithm: &str, octets: &[u8], signature: &[u8]) -> bool {
    let Some(point) = key.ec_public_key_bytes() else { return false };
    let Some(algorithm) = ecdsa(point.len(), algorithm) else { return false };
    UnparsedPublicKey::new(algorithm, point).verify(octets, signature).is_ok()
}

/// By the length of an uncompressed point, which tells the curve, and the digest.
fn ecdsa(point: usize, uri: &str) -> Option<&'static EcdsaVerificationAlgorithm> {
    Some(match (point, uri) {
        (65, ECDSA_SHA256) => &ECDSA_P256_SHA256_ASN1,
        (65, ECDSA_SHA384) => &ECDSA_P256_SHA384_ASN1,
        (65, ECDSA_SHA512) => &ECDSA_P256_SHA512_ASN1,
        (97, ECDSA_SHA256) => &ECDSA_P384_SHA256_ASN1,
        (97, ECDSA_SHA384) => &ECDSA_P384_SHA384_ASN1,
        (97, ECDSA_SHA512) => &ECDSA_P384_SHA512_ASN1,
        (133, ECDSA_SHA256) => &ECDSA_P521_SHA256_ASN1,
        (133, ECDSA_SHA384) => &ECDSA_P521_SHA384_ASN1,
        (133, ECDSA_SHA512) => &ECDSA_P521_SHA512_ASN1,
        _ => return None,
    })
}
