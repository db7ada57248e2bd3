use super::*;
use crate::saml::test_keys::{self, Kind};

const LOCATION: &str = "https://idp.example/sso?tenant=a";

fn message() -> Element {
    Element::new("samlp:AuthnRequest").attribute("xmlns:samlp", crate::saml::names::SAMLP).attribute("ID", "_1")
}

#[test]
fn an_address_without_a_key_carries_the_message_alone() {
    let url = url(LOCATION, Direction::Request, &message(), None, None).unwrap();
    let (before, query) = url.split_once("&SAMLRequest=").unwrap();
    assert_eq!(before, LOCATION);
    let value = percent_encoding::percent_decode_str(query).decode_utf8().unwrap();
    assert_eq!(inflate(&STANDARD.decode(value.as_bytes()).unwrap()).unwrap(), message().to_xml().as_bytes());
}

#[test]
fn samael_verifies_the_signature_of_an_address() {
    use samael::crypto::UrlVerifier;
    for kind in [Kind::Rsa2048, Kind::P256] {
        let made = test_keys::one(kind);
        let key = made.signing_key();
        for (direction, relay_state) in
            [(Direction::Request, Some("a&c=d+e/é")), (Direction::Request, None), (Direction::Response, Some("x"))]
        {
            let url = url("https://idp.example/sso", direction, &message(), relay_state, Some(&key)).unwrap();
            let url: url::Url = url.parse().unwrap();
            let path = format!("{}?{}", url.path(), url.query().unwrap());
            // samael writes the query anew before it verifies, with `+` for a blank (S14), and reads the parts of an ECDSA signature as DER, which the Redirect binding does not have.
            if kind == Kind::Rsa2048 {
                let certificate = samael::crypto::CertificateDer::from(made.certificate.clone());
                let verifier = UrlVerifier::from_x509(&certificate).unwrap();
                let verified = match direction {
                    Direction::Request => verifier.verify_percent_encoded_request_uri_string(&path),
                    Direction::Response => verifier.verify_percent_encoded_response_uri_string(&path),
                };
                assert!(verified.unwrap(), "{path}");
            }
        }
    }
}
