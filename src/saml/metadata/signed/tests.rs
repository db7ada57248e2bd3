use super::*;
use crate::clock::{Stopwatch, Timestamp};
use crate::saml::base64;
use crate::saml::metadata::{self, IdentityProvider, Reading};
use crate::saml::names::{DS, MD, RSA_SHA1, RSA_SHA256};
use crate::saml::signature::{SignatureRefused, SignatureShape};
use crate::saml::test_keys::{self, Kind};
use crate::saml::test_signer::{self, Signing};

const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);

fn keys() -> VerificationKeys {
    VerificationKeys::from_certificates(&[test_keys::one(Kind::Rsa2048).certificate]).unwrap()
}

/// An entity with a certificate; what is no signing key of it makes it as long as those of real federations.
fn entity(id: &str, location: &str, padding: usize) -> String {
    let certificate = base64::encode(&test_keys::one(Kind::P256).certificate);
    let padding = format!("<md:KeyDescriptor use=\"encryption\"><ds:KeyInfo xmlns:ds=\"{DS}\"><ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>").repeat(padding);
    format!(
        r#"<md:EntityDescriptor xmlns:md="{MD}" entityID="{id}"><md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"><md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="{DS}"><ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>{padding}<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="{location}"/></md:IDPSSODescriptor></md:EntityDescriptor>"#
    )
}

fn group(entities: &str) -> String {
    format!(
        r#"<md:EntitiesDescriptor xmlns:md="{MD}" ID="_group" validUntil="2099-01-01T00:00:00Z">{entities}</md:EntitiesDescriptor>"#
    )
}

fn good() -> String {
    test_signer::sign(&group(&entity("idp", "https://idp.example/sso", 0)), "_group")
}

fn read(text: &str) -> Result<IdentityProvider, MetadataRefused> {
    let octets = signed_octets(text.as_bytes(), &keys())?;
    metadata::identity_provider(&octets, &Reading { entity_id: Some("idp"), now: NOW })
}

fn shape(why: SignatureShape) -> MetadataRefused {
    MetadataRefused::Signature(SignatureRefused::Shape(why))
}

const INVALID: MetadataRefused = MetadataRefused::Signature(SignatureRefused::Invalid);

#[test]
fn a74_what_the_configured_key_signed_is_read() {
    assert_eq!(read(&good()).unwrap().sign_on[0].location, "https://idp.example/sso");
    let ours = IdentityProvider { ..read(&good()).unwrap() };
    let document = ours.to_document("_ours", Some(&test_keys::one(Kind::Rsa2048).signing_key())).unwrap();
    assert_eq!(read(&document), Ok(ours));
}

#[test]
fn a74_unsigned_altered_or_foreign_metadata_is_refused() {
    let unsigned = group(&entity("idp", "https://idp.example/sso", 0));
    assert_eq!(read(&unsigned), Err(MetadataRefused::Unsigned));
    assert_eq!(read(&good().replace("https://idp.example/sso", "https://evil.example/sso")), Err(INVALID));
    assert_eq!(read(&good().replace("2099", "2199")), Err(INVALID), "the end is signed too");
    let foreign = Signing { other_key: true, ..Signing::default() }.sign(&unsigned, "_group");
    assert_eq!(read(&foreign), Err(INVALID));
    let weak = good().replace(RSA_SHA256, RSA_SHA1);
    assert!(matches!(read(&weak), Err(MetadataRefused::Signature(SignatureRefused::WeakAlgorithm(_)))));
}

#[test]
fn a74_signed_metadata_wrapped_in_other_metadata_is_refused() {
    let evil = entity("idp", "https://evil.example/sso", 0);
    let inner = good();
    // Around it, beside it, and under the root's name.
    assert_eq!(read(&group(&format!("{evil}{inner}")).replacen("_group", "_outer", 1)), Err(MetadataRefused::Unsigned));
    let signature = {
        let start = inner.find("<ds:Signature ").unwrap();
        let end = inner.find("</ds:Signature>").unwrap() + "</ds:Signature>".len();
        inner[start..end].to_owned()
    };
    let bare = inner.replacen(&signature, "", 1);
    let moved = group(&format!("{signature}{evil}<md:Extensions>{bare}</md:Extensions>"));
    assert!(matches!(read(&moved), Err(MetadataRefused::Signature(_))), "two elements of one ID");
    let renamed = moved.replacen("_group", "_outer", 1);
    assert_eq!(read(&renamed), Err(shape(SignatureShape::Reference)));
    let after = group(&format!("{evil}{inner}{signature}")).replacen("_group", "_outer", 1);
    assert_eq!(read(&after), Err(shape(SignatureShape::Place)));
    let twice = inner.replacen(&signature, &signature.repeat(2), 1);
    assert_eq!(read(&twice), Err(shape(SignatureShape::TwoOnOne)));
    let object = inner.replacen("</ds:Signature>", &format!("<ds:Object>{evil}</ds:Object></ds:Signature>"), 1);
    assert_eq!(read(&object), Err(shape(SignatureShape::Children)));
}

#[test]
fn a74_members_of_a_federation_may_have_signed_theirs_by_keys_of_their_own() {
    let member = entity("other", "https://other.example/sso", 0).replacen(" entityID", " ID=\"_member\" entityID", 1);
    let member = Signing { other_key: true, ..Signing::default() }.sign(&member, "_member");
    let text = group(&format!("{member}{}", entity("idp", "https://idp.example/sso", 0)));
    let signed = Signing::default().sign(&text, "_group");
    let at_front = signed.find("<ds:Signature ").unwrap() < signed.find("_member").unwrap();
    assert!(at_front, "the schema wants it there");
    assert_eq!(read(&signed).unwrap().entity_id, "idp");
}

/// The resident set of this process in KiB: now (`VmRSS`), or its largest since it was last reset (`VmHWM`).
fn resident_kib(which: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(which)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// As large as the federations of whole countries: 5,000 entities of 6 KB. The bounds are those that `docs/operations.md`
/// tells, with room for shared test machines.
#[test]
fn a74_a_federation_of_5000_entities_is_read_in_time_and_memory() {
    let entities: String =
        (0..5_000).map(|number| entity(&format!("https://idp{number}.example"), "https://x.example/sso", 9)).collect();
    let text = test_signer::sign(&group(&(entities + &entity("idp", "https://idp.example/sso", 9))), "_group");
    std::fs::write("/proc/self/clear_refs", "5").unwrap(); // resets VmHWM
    let (before, watch) = (resident_kib("VmRSS"), Stopwatch::start());
    let octets = signed_octets(text.as_bytes(), &keys()).unwrap();
    let verified = watch.elapsed();
    let found = metadata::identity_provider(&octets, &Reading { entity_id: Some("idp"), now: NOW });
    let (elapsed, more) = (watch.elapsed(), resident_kib("VmHWM").saturating_sub(before));
    println!("{} octets: verified in {verified:?}, read in {elapsed:?}, {more} KiB more", text.len());
    assert_eq!(found.unwrap().entity_id, "idp");
    assert!(elapsed.as_secs() < 60 && more < 256 * 1024, "{elapsed:?}, {more} KiB");
}
