//! An identity provider that answers what it is asked, and whatever else a test wants.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use vestibule::clock::Clock;
use vestibule::random::Random;
use vestibule::saml::authn_request::{ReceivedAuthnRequest, RequestedAcs};
use vestibule::saml::binding::redirect::inflate;
use vestibule::saml::issue::{Authn, Envelope, Issue, Protection};
use vestibule::saml::message_id;
use vestibule::saml::name_id::NameId;
use vestibule::saml::response::{Attribute, Signed};
use vestibule::saml::signing_key::SigningKey;
use vestibule::saml::xml::{Xml, XmlLimits};
use vestibule::secret::Secret;

const ENTITY: &str = "https://idp.example/metadata";

pub struct Provider {
    key: SigningKey,
    folder: tempfile::TempDir,
    clock: Clock,
}

/// What the gateway asked.
#[derive(Clone, Debug)]
pub struct Sent {
    pub id: String,
    pub relay_state: String,
    pub destination: String,
    pub issuer: String,
    pub acs: String,
}

pub fn base64(octets: impl AsRef<[u8]>) -> String {
    STANDARD.encode(octets)
}

impl Provider {
    pub fn new() -> Self {
        Self::at(Clock::System)
    }

    pub fn at(clock: Clock) -> Self {
        let pair = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&pair).unwrap();
        let pem = Secret::generated(pair.serialize_pem());
        let key = SigningKey::from_pem(&pem, certificate.pem().as_bytes()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let sign_on = |binding: &str, at: &str| {
            format!(
                r#"<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:{binding}" Location="https://idp.example/{at}"/>"#
            )
        };
        let metadata = format!(
            r#"<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{ENTITY}"><md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"><md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data><ds:X509Certificate>{}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>{}{}</md:IDPSSODescriptor></md:EntityDescriptor>"#,
            base64(key.certificate()),
            sign_on("HTTP-Redirect", "sso"),
            sign_on("HTTP-POST", "sso/post"),
        );
        std::fs::write(folder.path().join("idp.xml"), metadata).unwrap();
        Self { key, folder, clock }
    }

    pub fn metadata(&self) -> PathBuf {
        self.folder.path().join("idp.xml")
    }

    /// An honest response, as the field of the form has it.
    pub fn response(&self, sent: &Sent, email: &str) -> String {
        self.issue(&sent.acs, &sent.issuer, Some(&sent.id), email)
    }

    /// One that nobody asked for.
    pub fn unasked(&self, acs: &str, audience: &str, email: &str) -> String {
        self.issue(acs, audience, None, email)
    }

    fn issue(&self, acs: &str, audience: &str, in_response_to: Option<&str>, email: &str) -> String {
        let (random, now) = (Random::default(), self.clock.now());
        let id = || message_id::generate(&random).unwrap();
        let (response_id, assertion_id) = (id(), id());
        let name_id = NameId {
            value: format!("id-of-{email}"),
            format: Some("urn:oasis:names:tc:SAML:2.0:nameid-format:persistent".into()),
            name_qualifier: None,
            sp_name_qualifier: None,
        };
        let attributes = [Attribute {
            name: "email".into(),
            name_format: None,
            friendly_name: None,
            values: vec![email.to_owned()],
        }];
        let issue = Issue {
            envelope: Envelope { id: &response_id, issue_instant: now, issuer: ENTITY, acs, in_response_to },
            assertion_id: &assertion_id,
            audience,
            lifetime: Duration::from_secs(300),
            name_id: &name_id,
            authn: Authn {
                instant: now,
                context: "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport",
                session_index: Some("_session"),
                session_not_on_or_after: Some(now.after(Duration::from_secs(900))),
            },
            attributes: &attributes,
        };
        let how = Protection { key: &self.key, signed: Signed::Both, encrypted_to: None };
        base64(issue.response(&how, &random).unwrap().to_xml())
    }
}

impl Sent {
    pub fn by_redirect(location: &str) -> Self {
        let location = reqwest::Url::parse(location).unwrap();
        let parameter = |name: &str| {
            location.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned()).unwrap()
        };
        let request = inflate(&STANDARD.decode(parameter("SAMLRequest")).unwrap()).unwrap();
        Self::read(&request, parameter("RelayState"))
    }

    pub fn by_form(page: &str) -> Self {
        let field = |name: &str| {
            let value = page.split(&format!(r#"name="{name}" value=""#)).nth(1).unwrap();
            value.split('"').next().unwrap().replace("&#43;", "+").replace("&#61;", "=").replace("&#47;", "/")
        };
        Self::read(&STANDARD.decode(field("SAMLRequest")).unwrap(), field("RelayState"))
    }

    fn read(request: &[u8], relay_state: String) -> Self {
        let xml = Xml::parse(request, XmlLimits::MESSAGE).unwrap();
        let request = ReceivedAuthnRequest::read(&xml).unwrap();
        let RequestedAcs::Url(acs) = request.acs else { panic!("it names no address") };
        Self {
            id: request.head.id,
            relay_state,
            destination: request.head.destination.unwrap_or_default(),
            issuer: request.head.issuer,
            acs,
        }
    }
}
