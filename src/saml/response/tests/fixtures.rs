//! Messages of other implementations, with the verdicts of their authors, under the default and the legacy policy.

use std::path::PathBuf;

use crate::clock::Timestamp;
use crate::saml::keys::{DecryptionKey, KeyRefused, VerificationKeys, certificates_from_pem};
use crate::saml::rejected::SamlRejected;
use crate::saml::response::{self, Expected, InResponseTo, VerifiedResponse};
use crate::saml::signature::SignaturePolicy;
use crate::saml::{base64, instant};
use crate::secret::{Secret, Source};

/// What has to come of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This NameID.
    Accept(&'static str),
    /// This reason.
    Reject(&'static str),
}
use Verdict::{Accept, Reject};

/// One message and how to look at it.
#[derive(Clone, Copy, Debug)]
pub struct Fixture {
    pub file: &'static str,
    clock: &'static str,
    site: &'static Site,
    answers: &'static str,
    /// Under the default policy.
    pub default: Verdict,
    /// With SHA-1 believed.
    pub legacy: Verdict,
}

/// A service provider and the provider that it trusts.
#[derive(Debug)]
pub struct Site {
    certificate: &'static str,
    key: Option<&'static str>,
    identity_provider: &'static str,
    service_provider: &'static str,
    acs: &'static str,
}

const ONELOGIN: Site = Site {
    certificate: "gosaml2/providertests__testdata__onelogin__idp.signing.cert",
    key: Some("gosaml2/providertests__testdata__onelogin__sp.encryption.key"),
    identity_provider: "https://saml.idp.nope/h9gkjzvb3e",
    service_provider: "https://saml.sp.nope/session/sso/saml/spentityid/rq5jwkvb8z",
    acs: "https://saml.sp.nope/session/sso/saml/acs/rq5jwkvb8z",
};
const ADFS: Site = Site {
    certificate: "gosaml2/providertests__testdata__adfs_idp_signing_cert.pem",
    key: Some("gosaml2/providertests__testdata__oktaenc_sp_encryption_key.pem"),
    identity_provider: "http://fs.spstest2.com/adfs/services/trust",
    service_provider: "https://saml.test.nope/session/sso/saml/spentityid/dknhyszjl7",
    acs: "https://saml.test.nope/session/sso/saml/acs/dknhyszjl7",
};
const OKTA_ENCRYPTED: Site = Site {
    certificate: "gosaml2/providertests__testdata__oktaenc_idp_signing_cert.pem",
    key: Some("gosaml2/providertests__testdata__oktaenc_sp_encryption_key.pem"),
    identity_provider: "http://www.okta.com/exkbb59wb20X96NY20h7",
    service_provider: "https://saml.test.nope/session/sso/saml/spentityid/skv8dv26wh",
    acs: "https://saml.test.nope/session/sso/saml/acs/skv8dv26wh",
};
const OKTA: Site = Site {
    certificate: "gosaml2/providertests__testdata__okta_cert.pem",
    key: None,
    identity_provider: "http://www.okta.com/exk659aytfMeNI49v0h7",
    service_provider: "\"123\"", // the quotes are part of it
    acs: "http://localhost:8080/v1/_saml_callback",
};
const AUTH0: Site = Site {
    certificate: "gosaml2/providertests__testdata__auth0_cert.pem",
    key: None,
    identity_provider: "urn:scaleft-test.auth0.com",
    service_provider: "urn:scaleft-test.auth0.com",
    acs: "http://localhost:8080/v1/_saml_callback",
};
const PINGFEDERATE: Site = Site {
    certificate: "gosaml2/providertests__testdata__pingfed__idp.signing.cert",
    key: Some("gosaml2/providertests__testdata__pingfed__sp.encryption.key"),
    identity_provider: "https://saml.test.nope:9031/eid/sxpmrhbkzn",
    service_provider: "https://saml.test.nope/session/sso/saml/spentityid/hp24dqnpvq",
    acs: "https://saml.test.nope/session/sso/saml/acs/hp24dqnpvq",
};
/// Their key has 1024 bits and is refused by name; so that the wrapping itself is judged, another's key stands in.
const PYSAML2: Site = Site {
    certificate: "gosaml2/providertests__testdata__onelogin__idp.signing.cert",
    key: None,
    identity_provider: "urn:mace:example.com:saml:roland:idp",
    service_provider: "urn:mace:example.com:saml:roland:sp",
    acs: "https://example.org/acs/post",
};
const PYTHON3_SAML: Site = Site {
    certificate: "gosaml2/providertests__testdata__onelogin__idp.signing.cert",
    key: None,
    identity_provider: "urn:mace:example.com:saml:roland:idp",
    service_provider: "urn:mace:example.com:saml:roland:sp",
    acs: "http://lingon.catalogix.se:8087/",
};

const ASKED_BY_ONELOGIN: &str = "id-531b2bf02ae0a588c30234163adbfd9d6bbf0747";
const USER: Verdict = Accept("user@saml.sp.nope");
const WEAK: Verdict = Reject("saml_weak_algorithm");

const fn onelogin(file: &'static str, default: Verdict, legacy: Verdict) -> Fixture {
    at(file, "2017-08-30T23:19:00Z", &ONELOGIN, ASKED_BY_ONELOGIN, default, legacy)
}

const fn at(
    file: &'static str,
    clock: &'static str,
    site: &'static Site,
    answers: &'static str,
    default: Verdict,
    legacy: Verdict,
) -> Fixture {
    Fixture { file, clock, site, answers, default, legacy }
}

/// All responses among the fixtures.
pub const FIXTURES: &[Fixture] = &[
    onelogin("gosaml2/providertests__testdata__onelogin__olgn09_response_01.b64", WEAK, USER),
    onelogin("gosaml2/providertests__testdata__onelogin__olgn09_response_03.b64", WEAK, USER),
    onelogin("gosaml2/providertests__testdata__onelogin__olgn09_response_04.b64", WEAK, USER),
    onelogin("gosaml2/providertests__testdata__onelogin__olgn09_response_06.b64", WEAK, USER),
    onelogin("gosaml2/providertests__testdata__onelogin__olgn09_response_07.b64", WEAK, USER),
    onelogin("gosaml2/providertests__testdata__onelogin__olgn09_response_08.b64", WEAK, USER),
    onelogin(
        "gosaml2/providertests__testdata__onelogin__olgn09_response_11.b64",
        WEAK,
        Reject("saml_signature_invalid"),
    ),
    onelogin(
        "gosaml2/providertests__testdata__onelogin__olgn09_response_13.b64",
        WEAK,
        Reject("saml_signature_invalid"),
    ),
    onelogin(
        "gosaml2/providertests__testdata__onelogin__olgn09_response_15.b64",
        WEAK,
        Reject("saml_signature_invalid"),
    ),
    onelogin(
        "gosaml2/providertests__testdata__onelogin__olgn09_response_16.b64",
        Reject("saml_decryption_failed"),
        Reject("saml_decryption_failed"),
    ),
    at(
        "gosaml2/providertests__testdata__onelogin__olgn09_response_25.b64",
        "2017-08-30T23:00:00Z",
        &ONELOGIN,
        ASKED_BY_ONELOGIN,
        WEAK,
        Reject("saml_issue_instant"),
    ),
    at(
        "gosaml2/providertests__testdata__onelogin__olgn09_response_26.b64",
        "2017-08-30T23:55:00Z",
        &ONELOGIN,
        ASKED_BY_ONELOGIN,
        WEAK,
        Reject("saml_issue_instant"),
    ),
    onelogin(
        "gosaml2/providertests__testdata__onelogin__olgn09_response_36.b64",
        WEAK,
        Reject("saml_signature_invalid"),
    ),
    onelogin(
        "gosaml2/providertests__testdata__onelogin__olgn09_response_48.b64", // encrypted to another key
        WEAK,
        Reject("saml_decryption_failed"),
    ),
    onelogin("gosaml2/providertests__testdata__onelogin__olgn09_response_50.b64", WEAK, Reject("saml_destination")),
    onelogin("gosaml2/providertests__testdata__onelogin__olgn09_response_51.b64", WEAK, Reject("saml_destination")),
    onelogin("gosaml2/providertests__testdata__onelogin__olgn09_response_52.b64", WEAK, Reject("saml_issuer")),
    onelogin("gosaml2/providertests__testdata__onelogin__olgn09_response_53.b64", WEAK, Reject("saml_audience")),
    onelogin("gosaml2/providertests__testdata__onelogin__olgn09_response_54.b64", WEAK, Reject("saml_issuer")),
    onelogin("gosaml2/providertests__testdata__onelogin__olgn09_response_56.b64", WEAK, Reject("saml_destination")),
    onelogin("gosaml2/providertests__testdata__onelogin__olgn09_response_58.b64", WEAK, Reject("saml_audience")),
    onelogin(
        "gosaml2/providertests__testdata__onelogin__olgn09_response_98.b64",
        Reject("saml_unsigned"),
        Reject("saml_unsigned"),
    ),
    onelogin(
        "gosaml2/providertests__testdata__onelogin__olgn09_response_99.b64",
        Reject("saml_unsigned"),
        Reject("saml_unsigned"),
    ),
    at(
        "gosaml2/providertests__testdata__adfs_response.b64",
        "2017-09-21T23:28:00Z",
        &ADFS,
        "_5988bf45-1cc8-4228-b3e8-1aa8590e63d3",
        Accept("paul@spstest2.com"),
        Accept("paul@spstest2.com"),
    ),
    at(
        "gosaml2/providertests__testdata__adfs_response_enc.b64",
        "2017-09-21T23:20:00Z",
        &ADFS,
        "_252d0129-1c83-496e-b039-ffc9cee11cca",
        Accept("paul@spstest2.com"),
        Accept("paul@spstest2.com"),
    ),
    at(
        "gosaml2/providertests__testdata__oktaenc_response.b64",
        "2017-09-06T22:14:00Z",
        &OKTA_ENCRYPTED,
        "_5260fc99-9c41-433b-8a31-b7a3e3a4e755",
        Accept("fronkey@skyportsystems.com"),
        Accept("fronkey@skyportsystems.com"),
    ),
    at(
        "gosaml2/providertests__testdata__okta_response.xml",
        "2016-07-25T23:16:00Z",
        &OKTA,
        "_15f66d2d-628b-4d9b-a99e-089d8da862e1",
        Accept("russellhaering"),
        Accept("russellhaering"),
    ),
    at(
        "gosaml2/providertests__testdata__auth0_response.xml",
        "2016-07-25T18:30:00Z",
        &AUTH0,
        "_e3ce5e05-4e53-44ff-9229-c649f2b859a0",
        WEAK,
        Accept("google-oauth2|117637692321743777825"),
    ),
    at(
        "gosaml2/providertests__testdata__pingfed__pfed11_response_05.b64",
        "2017-09-03T01:22:57.594Z",
        &PINGFEDERATE,
        "_f76c0eed-5023-4d82-9c2e-3bb760997fd1",
        Accept("firstlast@saml.test.nope"),
        Accept("firstlast@saml.test.nope"),
    ),
    wrapped("pysaml2/tests__xsw__signed-xsw-assertion-wrapper.xml", "2020-12-04T07:48:09.700Z"),
    wrapped("pysaml2/tests__xsw__signed-xsw-assertion-extensions.xml", "2020-12-04T07:48:09.700Z"),
    wrapped("pysaml2/tests__xsw__signed-xsw-assertion-assertion.xml", "2020-12-04T07:48:09.700Z"),
    wrapped("pysaml2/tests__xsw__signed-xsw-assertion-in-assertion-first-sig.xml", "2020-09-14T22:37:32Z"),
    at(
        "pysaml2/tests__xsw__signed-xsw-response-in-response-first-sig.xml",
        "2020-09-14T22:37:32Z",
        &PYSAML2,
        "id-abc",
        Reject("saml_duplicate_id"),
        Reject("saml_duplicate_id"),
    ),
    at(
        "pysaml2/tests__xmlsec1-keydata__signed-response-with-hmac.xml",
        "2020-12-04T07:48:09.700Z",
        &PYSAML2,
        "id-abc",
        WEAK,
        WEAK,
    ),
    at(
        "pysaml2/tests__xmlsec1-keydata__signed-assertion-with-hmac.xml",
        "2020-12-04T07:48:09.700Z",
        &PYSAML2,
        "id-abc",
        WEAK,
        WEAK,
    ),
    at(
        "pysaml2/tests__xmlsec1-keydata__signed-assertion-random-embedded-cert.xml",
        "2020-12-04T07:48:09.700Z",
        &PYSAML2,
        "id-abc",
        WEAK,
        Reject("saml_signature_invalid"), // the certificate in its KeyInfo is nobody's, and is not looked at
    ),
    at(
        "python3-saml/tests__data__responses__invalids__signature_wrapping_attack2.xml.base64",
        "2019-12-20T12:15:16Z",
        &PYTHON3_SAML,
        "id12",
        Reject("saml_assertion_count"),
        Reject("saml_assertion_count"),
    ),
];

const fn wrapped(file: &'static str, clock: &'static str) -> Fixture {
    at(file, clock, &PYSAML2, "id-abc", Reject("saml_assertion_count"), Reject("saml_assertion_count"))
}

/// A file of the fixtures.
pub fn read(file: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/saml").join(file);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Site {
    /// The certificate that is trusted, in DER.
    pub fn certificates(&self) -> Vec<Vec<u8>> {
        certificates_from_pem(&read(self.certificate))
    }

    /// The keys that are trusted.
    pub fn keys(&self) -> VerificationKeys {
        VerificationKeys::from_certificates(&self.certificates()).unwrap()
    }

    /// The key to decrypt with, in PEM.
    pub fn key_pem(&self) -> Option<String> {
        self.key.map(|file| String::from_utf8(read(file)).unwrap())
    }

    /// The keys to decrypt with.
    pub fn decryption_keys(&self) -> Vec<DecryptionKey> {
        self.key_pem()
            .map(|pem| DecryptionKey::from_pem(&Secret::new(pem, Source::Value)).unwrap())
            .into_iter()
            .collect()
    }
}

impl Fixture {
    /// The message itself.
    pub fn xml(&self) -> Vec<u8> {
        let octets = read(self.file);
        if self.file.ends_with("xml") { octets } else { base64::decode(&octets).unwrap() }
    }

    /// Where it belongs.
    pub fn site(&self) -> &'static Site {
        self.site
    }

    /// What it is held against.
    pub fn expected<'a>(
        &self,
        keys: &'a VerificationKeys,
        decryption_keys: &'a [DecryptionKey],
        legacy_sha1: bool,
    ) -> Expected<'a> {
        let site = self.site;
        let asked = InResponseTo::Request(self.answers);
        let now: Timestamp = instant::parse(self.clock).unwrap();
        let policy = SignaturePolicy { legacy_sha1 };
        let expected = Expected::new(site.identity_provider, keys, site.service_provider, site.acs, asked, now);
        Expected { decryption_keys, policy, ..expected }
    }

    fn verify(&self, legacy_sha1: bool) -> Result<VerifiedResponse, SamlRejected> {
        let (keys, decryption_keys) = (self.site.keys(), self.site.decryption_keys());
        let encoded = base64::encode(&self.xml());
        response::verify(encoded.as_bytes(), &self.expected(&keys, &decryption_keys, legacy_sha1))
    }
}

#[test]
fn every_fixture_has_its_verdict_under_both_policies() {
    let mut wrong = Vec::new();
    for fixture in FIXTURES {
        for (legacy_sha1, verdict) in [(false, fixture.default), (true, fixture.legacy)] {
            let result = fixture.verify(legacy_sha1);
            let found = match &result {
                Ok(response) => format!("Accept({:?})", response.name_id.value),
                Err(rejected) => format!("Reject({:?})", rejected.reason()),
            };
            if found != format!("{verdict:?}") {
                wrong.push(format!("{} legacy={legacy_sha1}: {verdict:?} but {found} {result:?}", fixture.file));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a33_a_key_of_1024_bits_is_refused_by_name() {
    let certificate = certificates_from_pem(&read("pysaml2/tests__test.pem"));
    assert_eq!(VerificationKeys::from_certificates(&certificate).unwrap_err(), KeyRefused::TooShort(1024));
}
