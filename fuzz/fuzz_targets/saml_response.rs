//! Any octets as a SAML response: nothing panics, and nobody is believed, for the fuzzer has no private key. Whoever finds an
//! input that is believed has found a way around the signature, unless it is an honest message of the corpus.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use vestibule::saml::instant;
use vestibule::saml::keys::{VerificationKeys, certificates_from_pem};
use vestibule::saml::response::{Expected, InResponseTo, peek_xml, verify, verify_xml};
use vestibule::saml::signature::SignaturePolicy;

const CERTIFICATE: &[u8] =
    include_bytes!("../../tests/fixtures/saml/gosaml2/providertests__testdata__onelogin__idp.signing.cert");

static KEYS: LazyLock<VerificationKeys> = LazyLock::new(|| {
    VerificationKeys::from_certificates(&certificates_from_pem(CERTIFICATE)).expect("the fixture holds a certificate")
});

fuzz_target!(|octets: &[u8]| {
    let expected = Expected {
        policy: SignaturePolicy { legacy_sha1: true },
        ..Expected::new(
            "https://saml.idp.nope/h9gkjzvb3e",
            &KEYS,
            "https://saml.sp.nope/session/sso/saml/spentityid/rq5jwkvb8z",
            "https://saml.sp.nope/session/sso/saml/acs/rq5jwkvb8z",
            InResponseTo::Request("id-531b2bf02ae0a588c30234163adbfd9d6bbf0747"),
            instant::parse("2017-08-30T23:19:00Z").expect("a time"),
        )
    };
    let _ = peek_xml(octets, Expected::LARGEST_MESSAGE);
    let _ = verify(octets, &expected);
    if let Ok(response) = verify_xml(octets, &expected) {
        assert_eq!(response.name_id.value, "user@saml.sp.nope", "somebody else is believed");
    }
});
