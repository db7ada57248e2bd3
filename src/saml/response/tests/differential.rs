//! A second opinion: `samael` with libxmlsec1 looks at the same messages. The table in the output tells every difference and
//! why it is one; a difference that nobody has explained fails the test. Time is left out, for `samael` reads the clock.

use std::collections::BTreeSet;
use std::panic::catch_unwind;

use samael::crypto::{Crypto, CryptoProvider, ReduceMode};
use samael::metadata::EntityDescriptor;
use samael::service_provider::ServiceProvider;

use super::fixtures::FIXTURES;
use super::messages;
use crate::saml::base64;
use crate::saml::names::{AES128_CBC, AES128_GCM, DS, MD};
use crate::saml::response::{Expected, InResponseTo, verify_xml};
use crate::saml::test_keys::{self, Kind};
use crate::saml::test_signer;

/// What one of the two says: the NameID, or that it refuses, and why.
type Opinion = Result<String, String>;

/// The key that `samael` decrypts with.
type PrivateKey = <Crypto as CryptoProvider>::PrivateKey;

struct Case<'a> {
    name: String,
    text: String,
    certificates: Vec<Vec<u8>>,
    expected: Expected<'a>,
    key: Option<PrivateKey>,
}

/// `samael`'s opinion, with every time allowed. Its panics are refusals.
fn samael(case: &Case<'_>, mode: ReduceMode) -> Opinion {
    let certificates = case.certificates.iter().map(|der| base64::encode(der));
    let keys: String = certificates
        .map(|der| format!(r#"<md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="{DS}"><ds:X509Data><ds:X509Certificate>{der}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"#))
        .collect();
    let entity = crate::saml::xml::escape(case.expected.identity_provider);
    let metadata = format!(
        r#"<md:EntityDescriptor xmlns:md="{MD}" entityID="{entity}"><md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">{keys}<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://idp.example/sso"/></md:IDPSSODescriptor></md:EntityDescriptor>"#
    );
    let provider = ServiceProvider {
        entity_id: Some(case.expected.service_provider.to_owned()),
        acs_url: Some(case.expected.acs.to_owned()),
        idp_metadata: metadata.parse::<EntityDescriptor>().unwrap(),
        max_issue_delay: chrono::Duration::days(36_500),
        max_clock_skew: chrono::Duration::days(36_500),
        key: case.key.clone(),
        ..ServiceProvider::default()
    };
    let asked = match case.expected.in_response_to {
        InResponseTo::Request(id) => vec![id],
        InResponseTo::Unsolicited => Vec::new(),
    };
    let text = case.text.clone();
    let opinion =
        catch_unwind(std::panic::AssertUnwindSafe(|| provider.parse_xml_response_with_mode(&text, Some(&asked), mode)));
    match opinion {
        Ok(Ok(assertion)) => {
            let name_id = assertion.subject.and_then(|subject| subject.name_id);
            name_id.map(|name_id| name_id.value).ok_or_else(|| "it believes, and names nobody".into())
        }
        Ok(Err(error)) => Err(error.to_string().lines().next().unwrap_or_default().chars().take(60).collect()),
        Err(_) => Err("panic".into()),
    }
}

fn ours(case: &Case<'_>) -> Opinion {
    match verify_xml(case.text.as_bytes(), &case.expected) {
        Ok(response) => Ok(response.name_id.value),
        Err(rejected) => Err(rejected.reason().to_owned()),
    }
}

/// Why the two differ; none when nobody knows.
fn explanation(case: &Case<'_>, ours: &Opinion, theirs: &Opinion) -> Option<&'static str> {
    match (ours, theirs) {
        (Err(ours), Ok(_)) => Some(match ours.as_str() {
            "saml_assertion_count" | "saml_duplicate_id" => {
                "it cuts away what is not signed; we refuse the whole message"
            }
            "saml_destination" => "it wants no Destination, and cuts an unsigned Response away",
            "saml_status" => "it cuts the unsigned Response away with its status; we let that refuse",
            "saml_issuer" => "it does not look at the issuer of an unsigned Response, nor at its Format",
            "saml_in_response_to" => "it does not look at an unsigned Response, nor for InResponseTo in both places",
            "saml_audience" => "it takes one of several restrictions for all, and none for any",
            "saml_unknown_condition" => "it passes over conditions that it does not know",
            "saml_no_bearer" | "saml_recipient" | "saml_confirmation" => {
                "it looks at one confirmation only, or at less of it"
            }
            "saml_session_over" => "it passes over SessionNotOnOrAfter",
            "saml_no_authn_statement" => "it takes an assertion about nobody's sign-in",
            "saml_not_yet_valid" | "saml_expired" | "saml_issue_instant" => {
                "its clock cannot be set, so it was told to allow all times"
            }
            "saml_signature_shape" => "it believes what libxmlsec1 verifies, whatever the shape",
            "saml_signature_invalid" if case.text.contains("EncryptedAssertion") => {
                "it verifies no signature inside an encrypted assertion: that of the Response is enough for it"
            }
            "saml_signature_invalid" => "one good signature is enough for it; we want all of them good",
            "saml_weak_algorithm" => "it has no list of algorithms unless told",
            "saml_malformed" => "it reads over markup in values, and over missing parts",
            "saml_xml" => "libxml2 repairs what is not well-formed",
            _ => return None,
        }),
        // That we believe more is the dangerous direction: nothing is explained here but what it cannot read, by what the message holds.
        (Ok(_), Err(theirs)) => {
            if case.text.contains("EncryptedID") {
                Some("it does not read an encrypted NameID")
            } else if case.text.contains("EncryptedAssertion") {
                encrypted(&case.text, theirs)
            } else if case.text.contains("<!--") {
                Some("it refuses a comment in a value; we read the whole value, as it was signed")
            } else {
                None
            }
        }
        _ => None,
    }
}

/// Why it does not read what is encrypted; none when it should.
fn encrypted(text: &str, theirs: &str) -> Option<&'static str> {
    if !text.contains(AES128_CBC) && !text.contains(AES128_GCM) {
        return Some("it knows AES with 128 bits only");
    }
    if theirs.contains("must be signed") {
        Some("it verifies no signature inside an encrypted assertion, and wants one outside")
    } else if theirs.contains("reduced") {
        Some("its default mode cuts an encrypted assertion away before it reads it")
    } else {
        None
    }
}

#[test]
fn both_implementations_agree_or_it_is_known_why_not() {
    let (keys, decryption_keys) = (test_signer::keys(), test_signer::decryption_keys());
    let sites: Vec<_> =
        FIXTURES.iter().map(|fixture| (fixture.site().keys(), fixture.site().decryption_keys())).collect();
    let fixtures = FIXTURES.iter().zip(&sites).map(|(fixture, (keys, decryption_keys))| Case {
        name: fixture.file.rsplit("__").next().unwrap().to_owned(),
        text: String::from_utf8(fixture.xml()).unwrap(),
        certificates: fixture.site().certificates(),
        expected: fixture.expected(keys, decryption_keys, true),
        key: fixture.site().key_pem().map(|pem| PrivateKey::private_key_from_pem(pem.as_bytes()).unwrap()),
    });
    let own_key = PrivateKey::private_key_from_pem(test_keys::other(Kind::Rsa2048).key_pem.as_bytes()).unwrap();
    let own = messages::all().into_iter().map(|(name, text)| Case {
        name,
        text,
        certificates: vec![test_keys::one(Kind::Rsa2048).certificate],
        expected: test_signer::expected(&keys, &decryption_keys),
        key: Some(own_key.clone()),
    });
    let (mut unexplained, mut agreed, mut differed) = (Vec::new(), 0, 0);
    let mut names = BTreeSet::new();
    println!("{:<46} {:<12} {:<30} {:<30} why", "message", "mode", "ours", "samael");
    for case in fixtures.chain(own) {
        assert!(names.insert(case.name.clone()), "{} is there twice", case.name);
        let ours = ours(&case);
        for (mode, mode_name) in
            [(ReduceMode::PreDigest, "strictest"), (ReduceMode::ValidateAndMarkNoAncestors, "default")]
        {
            let theirs = samael(&case, mode);
            let same = match (&ours, &theirs) {
                (Ok(ours), Ok(theirs)) => {
                    assert_eq!(ours, theirs, "{}: two identities", case.name);
                    true
                }
                (Err(_), Err(_)) => true,
                _ => false,
            };
            if same {
                agreed += 1;
                continue;
            }
            differed += 1;
            let why = explanation(&case, &ours, &theirs);
            let show = |opinion: &Opinion| match opinion {
                Ok(name) => format!("believes {name}"),
                Err(why) => format!("refuses: {why}"),
            };
            println!(
                "{:<46} {mode_name:<12} {:<30} {:<30} {}",
                case.name,
                show(&ours),
                show(&theirs),
                why.unwrap_or("?")
            );
            if why.is_none() {
                unexplained.push(format!("{} ({mode_name}): {ours:?} but {theirs:?}", case.name));
            }
        }
    }
    println!("{agreed} opinions are the same, {differed} differ");
    assert!(unexplained.is_empty(), "{}", unexplained.join("\n"));
}
