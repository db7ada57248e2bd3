//! What one SAML response costs: verified and mapped, from the form field to claims. Two messages of 6 KB with RSA-2048, made
//! here: both signed, and the same with its signed assertion encrypted; and two real ones of Okta (7.6 and 13.6 KB). Beside
//! them libxmlsec1, which only verifies the signatures, in process and as the `xmlsec1` program.
//! `cargo bench --bench saml_response`; one second divided by a time is the number of responses per second and core.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use criterion::{Criterion, criterion_group, criterion_main};
use samael::crypto::{CertificateDer, Crypto, CryptoProvider as _};
use vestibule::clock::Timestamp;
use vestibule::random::Random;
use vestibule::saml::issue::{Authn, Envelope, Issue, Protection};
use vestibule::saml::keys::{DecryptionKey, EncryptionKey, VerificationKeys, certificates_from_pem};
use vestibule::saml::mapping::{Mapping, SubjectFrom};
use vestibule::saml::name_id::NameId;
use vestibule::saml::response::{Attribute, Expected, InResponseTo, Signed, verify};
use vestibule::saml::signing_key::SigningKey;
use vestibule::saml::{base64, instant};
use vestibule::secret::{Secret, Source};

const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);
const IDP: &str = "https://idp.example/metadata";
const SP: &str = "https://portal.example/.vestibule/saml/idp/metadata";
const ACS: &str = "https://portal.example/.vestibule/saml/idp/acs";
const REQUEST: &str = "_0123456789abcdef0123456789abcdef01234567";

/// An RSA key of 2048 bits with its certificate, in PEM.
struct Made {
    key: String,
    certificate: String,
    der: Vec<u8>,
}

fn make() -> Made {
    let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let der = rustls_pki_types::PrivatePkcs8KeyDer::from(der.as_ref().to_vec());
    let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_RSA_SHA256).unwrap();
    let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&pair).unwrap();
    Made { key: pair.serialize_pem(), certificate: certificate.pem(), der: certificate.der().to_vec() }
}

/// A response of 6 KB, as XML.
fn response(signer: &Made, encrypted_to: Option<&EncryptionKey>) -> String {
    let key = SigningKey::from_pem(&secret(&signer.key), signer.certificate.as_bytes()).unwrap();
    let name_id = NameId {
        value: "b7d1c0de-6f5a-4f0e-9d0b-2f3a4c5d6e7f".into(),
        format: Some("urn:oasis:names:tc:SAML:2.0:nameid-format:persistent".into()),
        name_qualifier: None,
        sp_name_qualifier: None,
    };
    let attribute = |name: &str, values: &[&str]| Attribute {
        name: format!("http://schemas.xmlsoap.org/ws/2005/05/identity/claims/{name}"),
        name_format: None,
        friendly_name: None,
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    };
    let attributes = [
        attribute("emailaddress", &["ana.lima@acme.example"]),
        attribute("name", &["Ana Maria Lima"]),
        attribute("groups", &["staff", "support", "berlin"]),
    ];
    let issue = Issue {
        envelope: Envelope { id: "_r1", issue_instant: NOW, issuer: IDP, acs: ACS, in_response_to: Some(REQUEST) },
        assertion_id: "_a1",
        audience: SP,
        lifetime: Duration::from_secs(300),
        name_id: &name_id,
        authn: Authn {
            instant: NOW,
            context: "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport",
            session_index: Some("_s1"),
            session_not_on_or_after: None,
        },
        attributes: &attributes,
    };
    let how = Protection { key: &key, signed: Signed::Both, encrypted_to };
    issue.response(&how, &Random::default()).unwrap().to_xml()
}

fn secret(pem: &str) -> Secret {
    Secret::new(pem.to_owned(), Source::Value)
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/saml/gosaml2")
        .join(format!("providertests__testdata__{name}"))
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap()
}

fn made_here(bench: &mut Criterion) {
    let mapping = Mapping { subject: SubjectFrom::NameId, ..Mapping::default() };
    let (signer, ours) = (make(), make());
    let trusted = VerificationKeys::from_certificates(std::slice::from_ref(&signer.der)).unwrap();
    let decryption_keys = [DecryptionKey::from_pem(&secret(&ours.key)).unwrap()];
    let expected = Expected {
        decryption_keys: &decryption_keys,
        ..Expected::new(IDP, &trusted, SP, ACS, InResponseTo::Request(REQUEST), NOW)
    };
    let plain = response(&signer, None);
    let sealed = response(&signer, Some(&EncryptionKey::from_certificate(&ours.der).unwrap()));
    for (name, xml) in [("verify and map, both signed", &plain), ("verify and map, encrypted", &sealed)] {
        let field = base64::encode(xml.as_bytes());
        bench.bench_function(&format!("{name}, {} octets", xml.len()), |bencher| {
            bencher.iter(|| mapping.apply(&verify(black_box(field.as_bytes()), &expected).unwrap()).unwrap());
        });
    }

    let certificate = CertificateDer::from(signer.der.clone());
    bench.bench_function("signatures only, libxmlsec1 in process", |bencher| {
        bencher.iter(|| Crypto::verify_signed_xml(black_box(plain.as_bytes()), &certificate, Some("ID")).unwrap());
    });
    let folder = tempfile::tempdir().unwrap();
    let (message, trusted) = (folder.path().join("message.xml"), folder.path().join("certificate.pem"));
    std::fs::write(&message, &plain).unwrap();
    std::fs::write(&trusted, &signer.certificate).unwrap();
    bench.bench_function("signatures only, the xmlsec1 program", |bencher| {
        bencher.iter(|| {
            let status = Command::new("xmlsec1")
                .args(["--verify", "--id-attr:ID", "urn:oasis:names:tc:SAML:2.0:protocol:Response"])
                .args(["--id-attr:ID", "urn:oasis:names:tc:SAML:2.0:assertion:Assertion", "--pubkey-cert-pem"])
                .args([&trusted, &message])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            assert!(status.unwrap().success());
        });
    });
}

fn of_okta(bench: &mut Criterion) {
    let mapping = Mapping { subject: SubjectFrom::NameId, ..Mapping::default() };
    let keys = |name: &str| VerificationKeys::from_certificates(&certificates_from_pem(&read(name))).unwrap();

    let trusted = keys("okta_cert.pem");
    let field = base64::encode(&read("okta_response.xml"));
    let expected = Expected::new(
        "http://www.okta.com/exk659aytfMeNI49v0h7",
        &trusted,
        "\"123\"",
        "http://localhost:8080/v1/_saml_callback",
        InResponseTo::Request("_15f66d2d-628b-4d9b-a99e-089d8da862e1"),
        instant::parse("2016-07-25T23:21:00Z").unwrap(),
    );
    bench.bench_function("verify and map, Okta, both signed", |bencher| {
        bencher.iter(|| mapping.apply(&verify(black_box(field.as_bytes()), &expected).unwrap()).unwrap());
    });

    let trusted = keys("oktaenc_idp_signing_cert.pem");
    let pem = String::from_utf8(read("oktaenc_sp_encryption_key.pem")).unwrap();
    let decryption_keys = [DecryptionKey::from_pem(&secret(&pem)).unwrap()];
    let field = read("oktaenc_response.b64");
    let expected = Expected {
        decryption_keys: &decryption_keys,
        ..Expected::new(
            "http://www.okta.com/exkbb59wb20X96NY20h7",
            &trusted,
            "https://saml.test.nope/session/sso/saml/spentityid/skv8dv26wh",
            "https://saml.test.nope/session/sso/saml/acs/skv8dv26wh",
            InResponseTo::Request("_5260fc99-9c41-433b-8a31-b7a3e3a4e755"),
            instant::parse("2017-09-06T22:14:00Z").unwrap(),
        )
    };
    bench.bench_function("verify and map, Okta, encrypted", |bencher| {
        bencher.iter(|| mapping.apply(&verify(black_box(&field), &expected).unwrap()).unwrap());
    });
}

criterion_group!(benches, made_here, of_okta);
criterion_main!(benches);
