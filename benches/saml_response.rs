//! What one SAML response costs: verified and mapped, from the form field to claims. Real messages of Okta, RSA-2048: both
//! signed (7.6 KB), and signed around an encrypted, signed assertion (13.6 KB). Beside them libxmlsec1, which only verifies
//! the signatures, in process and as the `xmlsec1` program. `cargo bench --bench saml_response`; the inverse of a time is the
//! number of responses per second and core.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use criterion::{Criterion, criterion_group, criterion_main};
use samael::crypto::{CertificateDer, Crypto, CryptoProvider as _};
use vestibule::saml::keys::{DecryptionKey, VerificationKeys, certificates_from_pem};
use vestibule::saml::mapping::{Mapping, SubjectFrom};
use vestibule::saml::response::{Expected, InResponseTo, verify};
use vestibule::saml::{base64, instant};
use vestibule::secret::{Secret, Source};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/saml/gosaml2")
        .join(format!("providertests__testdata__{name}"))
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap()
}

fn verify_and_map(bench: &mut Criterion) {
    let mapping = Mapping { subject: SubjectFrom::NameId, ..Mapping::default() };
    let keys = |name: &str| VerificationKeys::from_certificates(&certificates_from_pem(&read(name))).unwrap();

    let (xml, trusted) = (read("okta_response.xml"), keys("okta_cert.pem"));
    let field = base64::encode(&xml);
    let expected = Expected::new(
        "http://www.okta.com/exk659aytfMeNI49v0h7",
        &trusted,
        "\"123\"",
        "http://localhost:8080/v1/_saml_callback",
        InResponseTo::Request("_15f66d2d-628b-4d9b-a99e-089d8da862e1"),
        instant::parse("2016-07-25T23:21:00Z").unwrap(),
    );
    bench.bench_function("verify and map, both signed", |bencher| {
        bencher.iter(|| mapping.apply(&verify(black_box(field.as_bytes()), &expected).unwrap()).unwrap());
    });

    let trusted = keys("oktaenc_idp_signing_cert.pem");
    let pem = String::from_utf8(read("oktaenc_sp_encryption_key.pem")).unwrap();
    let decryption_keys = [DecryptionKey::from_pem(&Secret::new(pem, Source::Value)).unwrap()];
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
    bench.bench_function("verify and map, encrypted", |bencher| {
        bencher.iter(|| mapping.apply(&verify(black_box(&field), &expected).unwrap()).unwrap());
    });

    let certificate = CertificateDer::from(certificates_from_pem(&read("okta_cert.pem")).remove(0));
    bench.bench_function("signatures only, libxmlsec1 in process", |bencher| {
        bencher.iter(|| Crypto::verify_signed_xml(black_box(&xml), &certificate, Some("ID")).unwrap());
    });
    bench.bench_function("signatures only, the xmlsec1 program", |bencher| {
        bencher.iter(|| {
            let status = Command::new("xmlsec1")
                .args(["--verify", "--id-attr:ID", "urn:oasis:names:tc:SAML:2.0:protocol:Response"])
                .args(["--id-attr:ID", "urn:oasis:names:tc:SAML:2.0:assertion:Assertion", "--pubkey-cert-pem"])
                .args([path("okta_cert.pem"), path("okta_response.xml")])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            assert!(status.unwrap().success());
        });
    });
}

criterion_group!(benches, verify_and_map);
criterion_main!(benches);
