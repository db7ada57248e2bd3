//! An identity provider for tests that can sign and encrypt anything, well-formed or hostile. It writes text, so that a test
//! sees what it sends, and computes what goes into a signature with the canonicaliser alone.

use std::time::Duration;

use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512,
    OaepPublicEncryptingKey, PublicEncryptingKey,
};
use bergshamra_c14n::{C14nMode, canonicalize_doc};
use bergshamra_xml::NodeSet;

use crate::clock::Timestamp;
use crate::saml::keys::{DecryptionKey, VerificationKeys};
use crate::saml::names::{
    AES256_GCM, BEARER, DS, ENVELOPED, EXC_C14N, MGF1_SHA1, RSA_OAEP_11, RSA_OAEP_MGF1P, RSA_SHA256, SAML, SAMLP, SHA1,
    SHA256, SHA384, SHA512, STATUS_SUCCESS, XENC, XENC11,
};
use crate::saml::response::{Expected, InResponseTo};
use crate::saml::signing_key::SigningKey;
use crate::saml::test_keys::{self, Kind};
use crate::saml::xml::{Xml, XmlLimits};
use crate::saml::{base64, instant};
use crate::secret::Secret;

pub(crate) const IDP: &str = "https://idp.example/metadata";
pub(crate) const SP: &str = "https://portal.example/saml";
pub(crate) const ACS: &str = "https://portal.example/.vestibule/saml/idp/acs";
pub(crate) const REQUEST: &str = "_request-1";
pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_767_268_800); // 2026-01-01T12:00:00Z
pub(crate) const GOOD: &str = "ana@acme.example";
pub(crate) const EVIL: &str = "admin@victim.test";

/// The keys of the provider in the tests.
pub(crate) fn keys() -> VerificationKeys {
    VerificationKeys::from_certificates(&[test_keys::one(Kind::Rsa2048).certificate]).unwrap()
}

/// The keys that messages to us are encrypted for.
pub(crate) fn decryption_keys() -> Vec<DecryptionKey> {
    let pem = test_keys::other(Kind::Rsa2048).key_pem;
    vec![DecryptionKey::from_pem(&Secret::generated(pem)).unwrap()]
}

/// What an honest message of the tests is held against.
pub(crate) fn expected<'a>(keys: &'a VerificationKeys, decryption_keys: &'a [DecryptionKey]) -> Expected<'a> {
    Expected { decryption_keys, ..Expected::new(IDP, keys, SP, ACS, InResponseTo::Request(REQUEST), NOW) }
}

/// `NOW` and that many seconds, as SAML writes it.
pub(crate) fn at(seconds: i64) -> String {
    let by = Duration::from_secs(seconds.unsigned_abs());
    instant::write(if seconds < 0 { NOW.before(by) } else { NOW.after(by) })
}

/// The parts of a response; a test changes what it is about.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub response_id: String,
    pub response_attributes: String,
    pub response_issuer: String,
    pub extensions: String,
    pub status: String,
    pub assertion_id: String,
    pub assertion_attributes: String,
    pub assertion_issuer: String,
    pub name_id: String,
    pub confirmation: String,
    pub conditions: String,
    pub advice: String,
    pub statement: String,
    pub attributes: String,
    pub after: String,
}

impl Default for Message {
    fn default() -> Self {
        let (now, later) = (at(0), at(300));
        let issuer = format!("<saml:Issuer>{IDP}</saml:Issuer>");
        Self {
            response_id: "_response".into(),
            response_attributes: format!(
                r#"Version="2.0" IssueInstant="{now}" Destination="{ACS}" InResponseTo="{REQUEST}""#
            ),
            response_issuer: issuer.clone(),
            extensions: String::new(),
            status: format!(r#"<samlp:Status><samlp:StatusCode Value="{STATUS_SUCCESS}"/></samlp:Status>"#),
            assertion_id: "_assertion".into(),
            assertion_attributes: format!(r#"Version="2.0" IssueInstant="{now}""#),
            assertion_issuer: issuer,
            name_id: format!("<saml:NameID>{GOOD}</saml:NameID>"),
            confirmation: confirmation(&format!(
                r#"Recipient="{ACS}" NotOnOrAfter="{later}" InResponseTo="{REQUEST}""#
            )),
            conditions: conditions(&audience(SP)),
            advice: String::new(),
            statement: format!(
                r#"<saml:AuthnStatement AuthnInstant="{now}" SessionIndex="_session"><saml:AuthnContext><saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>"#
            ),
            attributes: String::new(),
            after: String::new(),
        }
    }
}

/// A bearer confirmation with these attributes on its data.
pub(crate) fn confirmation(attributes: &str) -> String {
    format!(
        r#"<saml:SubjectConfirmation Method="{BEARER}"><saml:SubjectConfirmationData {attributes}/></saml:SubjectConfirmation>"#
    )
}

/// Conditions around now that hold `inside`.
pub(crate) fn conditions(inside: &str) -> String {
    let (before, after) = (at(-60), at(300));
    format!(r#"<saml:Conditions NotBefore="{before}" NotOnOrAfter="{after}">{inside}</saml:Conditions>"#)
}

/// A restriction to one audience.
pub(crate) fn audience(audience: &str) -> String {
    format!("<saml:AudienceRestriction><saml:Audience>{audience}</saml:Audience></saml:AudienceRestriction>")
}

/// An attribute with text values.
pub(crate) fn attribute(name: &str, values: &[&str]) -> String {
    let values = values.iter().map(|value| format!("<saml:AttributeValue>{value}</saml:AttributeValue>"));
    let values: String = values.collect();
    format!(
        r#"<saml:AttributeStatement><saml:Attribute Name="{name}">{values}</saml:Attribute></saml:AttributeStatement>"#
    )
}

impl Message {
    /// The Assertion, unsigned, with its own namespace declarations.
    pub(crate) fn assertion(&self) -> String {
        let Self { assertion_id: id, assertion_attributes, assertion_issuer, name_id, confirmation, .. } = self;
        let Self { conditions, advice, statement, attributes, .. } = self;
        format!(
            r#"<saml:Assertion xmlns:saml="{SAML}" ID="{id}" {assertion_attributes}>{assertion_issuer}<saml:Subject>{name_id}{confirmation}</saml:Subject>{conditions}{advice}{statement}{attributes}</saml:Assertion>"#
        )
    }

    /// A Response, unsigned, around `inside`.
    pub(crate) fn response(&self, inside: &str) -> String {
        let Self { response_id: id, response_attributes, response_issuer, extensions, status, after, .. } = self;
        format!(
            r#"<samlp:Response xmlns:samlp="{SAMLP}" xmlns:saml="{SAML}" ID="{id}" {response_attributes}>{response_issuer}{extensions}{status}{inside}{after}</samlp:Response>"#
        )
    }

    /// The Response is signed.
    pub(crate) fn response_signed(&self) -> String {
        sign(&self.response(&self.assertion()), &self.response_id)
    }

    /// The Assertion is signed.
    pub(crate) fn assertion_signed(&self) -> String {
        self.response(&sign(&self.assertion(), &self.assertion_id))
    }

    /// Both are.
    pub(crate) fn both_signed(&self) -> String {
        sign(&self.assertion_signed(), &self.response_id)
    }

    /// The signed Assertion is encrypted.
    pub(crate) fn encrypted(&self, how: &Encryption) -> String {
        self.response(&how.encrypt("EncryptedAssertion", &sign(&self.assertion(), &self.assertion_id)))
    }
}

/// How to sign.
#[derive(Clone, Debug)]
pub(crate) struct Signing {
    pub kind: Kind,
    pub other_key: bool,
    pub c14n: String,
    pub method: String,
    pub transforms: String,
    pub digest_method: String,
    pub key_info: String,
    pub object: String,
    pub reference_attributes: String,
    pub extra_references: String,
    pub extra_in_reference: String,
    pub uri: Option<String>,
    pub mode: C14nMode,
    pub prefixes: Vec<String>,
}

impl Default for Signing {
    fn default() -> Self {
        Self {
            kind: Kind::Rsa2048,
            other_key: false,
            c14n: format!(r#"<ds:CanonicalizationMethod Algorithm="{EXC_C14N}"/>"#),
            method: format!(r#"<ds:SignatureMethod Algorithm="{RSA_SHA256}"/>"#),
            transforms: format!(
                r#"<ds:Transforms><ds:Transform Algorithm="{ENVELOPED}"/><ds:Transform Algorithm="{EXC_C14N}"/></ds:Transforms>"#
            ),
            digest_method: SHA256.into(),
            key_info: String::new(),
            object: String::new(),
            reference_attributes: String::new(),
            extra_references: String::new(),
            extra_in_reference: String::new(),
            uri: None,
            mode: C14nMode::Exclusive,
            prefixes: Vec::new(),
        }
    }
}

/// Signs the element with that ID in the usual way; the signature stands after its Issuer.
pub(crate) fn sign(text: &str, id: &str) -> String {
    Signing::default().sign(text, id)
}

/// Where the signature goes: after the Issuer of the element with that ID, else first in it.
pub(crate) fn insert_at(text: &str, id: &str) -> usize {
    let at = text.find(&format!(r#" ID="{id}""#)).unwrap();
    let inside = at + text[at..].find('>').unwrap() + 1;
    if text[inside..].starts_with("<saml:Issuer") {
        inside + text[inside..].find("</saml:Issuer>").unwrap() + "</saml:Issuer>".len()
    } else {
        inside
    }
}

impl Signing {
    /// Signs the element with that ID.
    pub(crate) fn sign(&self, text: &str, id: &str) -> String {
        let made = if self.other_key { test_keys::other(self.kind) } else { test_keys::one(self.kind) };
        self.sign_with(text, id, &made.signing_key())
    }

    /// Signs the element with that ID by that key.
    pub(crate) fn sign_with(&self, text: &str, id: &str, key: &SigningKey) -> String {
        let Self { c14n, method, transforms, digest_method, key_info, object, .. } = self;
        let Self { reference_attributes, extra_references, extra_in_reference, .. } = self;
        let uri = self.uri.clone().unwrap_or_else(|| format!("#{id}"));
        let template = format!(
            r#"<ds:Signature xmlns:ds="{DS}"><ds:SignedInfo>{c14n}{method}<ds:Reference URI="{uri}"{reference_attributes}>{transforms}<ds:DigestMethod Algorithm="{digest_method}"/><ds:DigestValue>%DIGEST%</ds:DigestValue>{extra_in_reference}</ds:Reference>{extra_references}</ds:SignedInfo><ds:SignatureValue>%VALUE%</ds:SignatureValue>{key_info}{object}</ds:Signature>"#
        );
        let mut message = text.to_owned();
        message.insert_str(insert_at(text, id), &template);
        let digest = digest(digest_method, &octets(&message, id, self.mode, &self.prefixes));
        let message = message.replacen("%DIGEST%", &base64::encode(&digest), 1);
        let value = key.sign(&signed_info(&message)).unwrap();
        message.replacen("%VALUE%", &base64::encode(&value), 1)
    }
}

fn digest(method: &str, octets: &[u8]) -> Vec<u8> {
    bergshamra_crypto::digest::digest(method, octets).unwrap()
}

/// The element with that ID without the signature that still has its `%VALUE%`.
fn octets(message: &str, id: &str, mode: C14nMode, prefixes: &[String]) -> Vec<u8> {
    let xml = Xml::parse(message.as_bytes(), XmlLimits::METADATA).unwrap();
    let element = xml.elements().find(|node| node.attribute("ID") == Some(id)).unwrap();
    let mut nodes = NodeSet::tree_without_comments(element.id(), xml.document());
    let signature = unfinished(&xml);
    nodes.remove_id(signature);
    for node in xml.document().descendants(signature) {
        nodes.remove_id(node);
    }
    canonicalize_doc(xml.document(), mode, Some(&nodes), prefixes).unwrap()
}

fn signed_info(message: &str) -> Vec<u8> {
    let xml = Xml::parse(message.as_bytes(), XmlLimits::METADATA).unwrap();
    let info = xml.node(unfinished(&xml)).one(DS, "SignedInfo").unwrap();
    let nodes = NodeSet::tree_without_comments(info.id(), xml.document());
    let mode = C14nMode::from_uri(info.children().next().unwrap().attribute("Algorithm").unwrap()).unwrap();
    let no_prefixes: [&str; 0] = [];
    canonicalize_doc(xml.document(), mode, Some(&nodes), &no_prefixes).unwrap()
}

fn unfinished(xml: &Xml<'_>) -> uppsala::NodeId {
    let values = xml.elements().filter(|node| node.is(DS, "SignatureValue"));
    let mut values = values.filter(|node| node.simple_text("").is_ok_and(|text| text == "%VALUE%"));
    values.next().unwrap().parent().unwrap().id()
}

/// How to encrypt.
#[derive(Clone, Debug)]
pub(crate) struct Encryption {
    pub cipher: String,
    pub transport: String,
    pub digest: Option<&'static str>,
    pub mgf: Option<&'static str>,
    pub label: Option<Vec<u8>>,
    pub beside: bool,
    pub to_other: bool,
    pub copies: usize,
}

impl Default for Encryption {
    fn default() -> Self {
        Self {
            cipher: AES256_GCM.into(),
            transport: RSA_OAEP_MGF1P.into(),
            digest: None,
            mgf: None,
            label: None,
            beside: false,
            to_other: false,
            copies: 1,
        }
    }
}

impl Encryption {
    /// Encrypts `plaintext` into a `saml:{wrapper}`.
    pub(crate) fn encrypt(&self, wrapper: &str, plaintext: &str) -> String {
        let cipher = bergshamra_crypto::cipher::from_uri(&self.cipher).unwrap();
        let content_key: Vec<u8> = (0..u8::try_from(cipher.key_size()).unwrap()).collect();
        let data = cipher.encrypt(&content_key, plaintext.as_bytes()).unwrap();
        self.envelope(wrapper, &data, &self.encrypted_key(&content_key))
    }

    /// A `saml:{wrapper}` around any cipher text and any encrypted key.
    pub(crate) fn envelope(&self, wrapper: &str, data: &[u8], encrypted_key: &[u8]) -> String {
        let Self { cipher, transport, .. } = self;
        let digest = self.digest.map(|uri| format!(r#"<ds:DigestMethod Algorithm="{uri}"/>"#)).unwrap_or_default();
        let mgf = self.mgf.map(|uri| format!(r#"<xenc11:MGF Algorithm="{uri}"/>"#)).unwrap_or_default();
        let label = self.label.as_ref().map(|label| base64::encode(label));
        let label = label.map(|label| format!("<xenc:OAEPparams>{label}</xenc:OAEPparams>")).unwrap_or_default();
        let (data, key) = (base64::encode(data), base64::encode(encrypted_key));
        let key = format!(
            r#"<xenc:EncryptedKey><xenc:EncryptionMethod Algorithm="{transport}">{label}{digest}{mgf}</xenc:EncryptionMethod><xenc:CipherData><xenc:CipherValue>{key}</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey>"#
        )
        .repeat(self.copies);
        let (inside, beside) = if self.beside {
            (r##"<ds:KeyInfo><ds:RetrievalMethod URI="#k"/></ds:KeyInfo>"##.to_owned(), key)
        } else {
            (format!("<ds:KeyInfo>{key}</ds:KeyInfo>"), String::new())
        };
        format!(
            r#"<saml:{wrapper} xmlns:saml="{SAML}" xmlns:xenc="{XENC}" xmlns:xenc11="{XENC11}" xmlns:ds="{DS}"><xenc:EncryptedData Type="http://www.w3.org/2001/04/xmlenc#Element"><xenc:EncryptionMethod Algorithm="{cipher}"/>{inside}<xenc:CipherData><xenc:CipherValue>{data}</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData>{beside}</saml:{wrapper}>"#
        )
    }

    /// A content key, encrypted as the algorithms say.
    pub(crate) fn encrypted_key(&self, content_key: &[u8]) -> Vec<u8> {
        let made = if self.to_other { test_keys::one(Kind::Rsa2048) } else { test_keys::other(Kind::Rsa2048) };
        let (_, certificate) = x509_parser::parse_x509_certificate(&made.certificate).unwrap();
        let key = PublicEncryptingKey::from_der(certificate.public_key().raw).unwrap();
        let key = OaepPublicEncryptingKey::new(key).unwrap();
        let algorithm = match self.digest {
            None | Some(SHA1) => &OAEP_SHA1_MGF1SHA1,
            Some(SHA256) => &OAEP_SHA256_MGF1SHA256,
            Some(SHA384) => &OAEP_SHA384_MGF1SHA384,
            Some(SHA512) => &OAEP_SHA512_MGF1SHA512,
            Some(other) => panic!("{other}"),
        };
        let mut output = vec![0; key.ciphertext_size()];
        key.encrypt(algorithm, content_key, &mut output, self.label.as_deref()).unwrap().to_vec()
    }

    /// XML Encryption 1.1 with one digest for everything.
    pub(crate) fn oaep_11(digest: &'static str, mgf: Option<&'static str>) -> Self {
        Self { transport: RSA_OAEP_11.into(), digest: Some(digest), mgf, ..Self::default() }
    }

    /// As the standard has it when no mask generation function is named.
    pub(crate) fn oaep_11_default() -> Self {
        Self { transport: RSA_OAEP_11.into(), digest: Some(SHA1), mgf: Some(MGF1_SHA1), ..Self::default() }
    }
}
