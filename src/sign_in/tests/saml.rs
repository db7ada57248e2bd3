//! Whole sign-ins by SAML, against a provider that signs whatever a test wants.

mod arrivals;
mod persons;
mod replays;
mod requests;

use std::net::IpAddr;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{location, name, next, once, told, web};
use crate::clock::Clock;
use crate::email::SpeaksFor;
use crate::portal::{HostName, PublicOrigin};
use crate::random::Random;
use crate::saml::authn_request::ReceivedAuthnRequest;
use crate::saml::binding::post::PostForm;
use crate::saml::binding::redirect::inflate;
use crate::saml::mapping::Mapping;
use crate::saml::signature::SignaturePolicy;
use crate::saml::test_keys::{self, Kind, Made};
use crate::saml::test_signer::{self, IDP, Message, NOW, REQUEST, SP};
use crate::saml::xml::{Xml, XmlLimits};
use crate::sign_in::once::OnceOnly;
use crate::sign_in::saml::OwnKeys;
use crate::sign_in::saml::metadata_source::{MetadataFrom, MetadataSettings};
use crate::sign_in::settings::{EmailTrust, Protocol, ProviderSettings, RequestSettings, SamlSettings, Unsolicited};
use crate::sign_in::*;
use std::sync::Arc;
use std::time::Duration;

/// The entity id of another provider that we know.
const OTHER: &str = "https://other.example/metadata";

/// A gateway with two providers, `idp` and `other`, in the middle of a test.
pub(super) struct World {
    pub(super) sign_in: SignIn,
    pub(super) clock: Clock,
    host: HostName,
    origin: PublicOrigin,
    folder: tempfile::TempDir,
}

/// A provider's metadata. `attributes` are those of its role.
fn metadata(entity: &str, key: &Made, attributes: &str, bindings: &[&str]) -> String {
    let certificate = STANDARD.encode(&key.certificate);
    let sign_on: String = (bindings.iter())
        .map(|binding| {
            format!(
                r#"<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-{binding}" Location="https://idp.example/sso/{binding}"/>"#
            )
        })
        .collect();
    format!(
        r#"<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{entity}"><md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol" {attributes}><md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>{sign_on}</md:IDPSSODescriptor></md:EntityDescriptor>"#
    )
}

/// Settings with metadata from a file, as an operator would write them.
fn settings(provider: &str, path: &Path) -> ProviderSettings {
    let from = MetadataFrom::File(path.to_owned());
    let refresh = Duration::from_secs(3600);
    let saml = SamlSettings {
        metadata: MetadataSettings { from, signed_by: Vec::new(), entity_id: None, refresh },
        our_entity_id: Some(SP.to_owned()),
        keys: Arc::new(OwnKeys::default()),
        sign_metadata: false,
        request: RequestSettings::default(),
        mapping: Mapping::default(),
        email_trust: EmailTrust::AsClaimed,
        clock_skew: Duration::from_secs(60),
        max_age: None,
        signatures: SignaturePolicy::default(),
        unsolicited: Unsolicited::Refused,
        largest_response: 256 * 1024,
        sign_out_at_provider: false,
    };
    let (name, label) = (name(provider), provider.to_owned());
    ProviderSettings { name, label, speaks_for: SpeaksFor::default(), protocol: Protocol::Saml(saml) }
}

/// Our key, for signing and for what is encrypted to us.
pub(super) fn own_keys() -> Arc<OwnKeys> {
    let made = test_keys::other(Kind::Rsa2048);
    let (decryption, certificates) = (test_signer::decryption_keys(), vec![made.certificate.clone()]);
    Arc::new(OwnKeys::new(vec![made.signing_key()], decryption, certificates))
}

impl World {
    pub(super) fn start() -> Self {
        Self::with(|_| {})
    }

    /// With other settings for `idp`.
    pub(super) fn with(change: impl FnOnce(&mut SamlSettings)) -> Self {
        Self::all(|provider| {
            let Protocol::Saml(saml) = &mut provider.protocol else { panic!("it speaks SAML") };
            change(saml);
        })
    }

    pub(super) fn all(change: impl FnOnce(&mut ProviderSettings)) -> Self {
        let clock = Clock::manual(NOW);
        let once = once(&clock);
        Self::remembering(once, clock, change)
    }

    /// With that memory of what was used.
    pub(super) fn remembering(
        once: Arc<dyn OnceOnly>,
        clock: Clock,
        change: impl FnOnce(&mut ProviderSettings),
    ) -> Self {
        Self::described(once, clock, &metadata(IDP, &test_keys::one(Kind::Rsa2048), "", &["Redirect", "POST"]), change)
    }

    /// With that metadata of `idp`.
    pub(super) fn described(
        once: Arc<dyn OnceOnly>,
        clock: Clock,
        metadata_of_idp: &str,
        change: impl FnOnce(&mut ProviderSettings),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (idp, other) = (folder.path().join("idp.xml"), folder.path().join("other.xml"));
        std::fs::write(&idp, metadata_of_idp).unwrap();
        std::fs::write(&other, metadata(OTHER, &test_keys::other(Kind::Rsa2048), "", &["Redirect"])).unwrap();
        let mut settings = vec![settings("idp", &idp), settings("other", &other)];
        change(&mut settings[0]);
        let sign_in = SignIn::new(settings, once, web(), clock.clone(), Random::default()).unwrap();
        let host = HostName::parse("portal.example").unwrap();
        Self { sign_in, clock, origin: PublicOrigin::new(&host, 443), host, folder }
    }

    pub(super) fn at(&self) -> At<'_> {
        At { portal: &self.host, origin: &self.origin }
    }

    pub(super) fn browser(&self) -> Browser<'_> {
        Browser { world: self, key: None, client: None }
    }

    /// A new browser asks `idp`, which answers with `message`; gives the outcome in one word.
    pub(super) async fn outcome(&self, message: impl FnOnce(&str) -> String) -> String {
        told(&self.answered(message).await).0.to_owned()
    }

    pub(super) async fn answered(&self, message: impl FnOnce(&str) -> String) -> Callback {
        self.answered_from(None, message).await
    }

    pub(super) async fn answered_from(&self, client: Option<IpAddr>, message: impl FnOnce(&str) -> String) -> Callback {
        let mut browser = Browser { client, ..self.browser() };
        let asked = browser.ask("/a").await;
        browser.post(&message(&asked.id), Some(&asked.relay_state)).await
    }
}

/// A visitor's browser: keeps the cookie for posted answers.
#[derive(Clone)]
pub(super) struct Browser<'a> {
    world: &'a World,
    pub(super) key: Option<String>,
    pub(super) client: Option<IpAddr>,
}

/// What went to the provider.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) id: String,
    pub(super) relay_state: String,
    pub(super) request: ReceivedAuthnRequest,
}

impl Browser<'_> {
    pub(super) async fn ask(&mut self, path: &str) -> Sent {
        self.ask_at("idp", path).await
    }

    pub(super) async fn ask_at(&mut self, provider: &str, path: &str) -> Sent {
        let ties = Ties { posted: self.key.as_deref(), ..Ties::default() };
        let started = self.world.sign_in.start(self.world.at(), &name(provider), next(path), ties, None).await.unwrap();
        let Some(TieCookie::Posted(key)) = &started.cookie else { panic!("SAML has a cookie of its own") };
        self.key = Some(key.clone());
        sent_by_redirect(&location(started))
    }

    pub(super) async fn post(&self, message: &str, relay_state: Option<&str>) -> Callback {
        self.post_at("idp", message, relay_state).await
    }

    pub(super) async fn post_at(&self, provider: &str, message: &str, relay_state: Option<&str>) -> Callback {
        let (response, relay_state) = (STANDARD.encode(message), relay_state.map(str::to_owned));
        let posted = PostedResponse { response, relay_state, client: self.client };
        self.world.sign_in.consume(self.world.at(), &name(provider), posted, self.key.as_deref()).await
    }
}

pub(super) fn read_request(octets: &[u8]) -> ReceivedAuthnRequest {
    ReceivedAuthnRequest::read(&Xml::parse(octets, XmlLimits::MESSAGE).unwrap()).unwrap()
}

fn sent_by_redirect(location: &url::Url) -> Sent {
    let parameter = |name: &str| {
        let found = location.query_pairs().find(|(known, _)| known == name);
        found.map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let request = read_request(&inflate(&STANDARD.decode(parameter("SAMLRequest")).unwrap()).unwrap());
    Sent { id: request.head.id.clone(), relay_state: parameter("RelayState"), request }
}

fn sent_by_post(form: &PostForm) -> (Sent, String) {
    let text = String::from_utf8(STANDARD.decode(&form.message).unwrap()).unwrap();
    let request = read_request(text.as_bytes());
    let relay_state = form.relay_state.clone().unwrap();
    (Sent { id: request.head.id.clone(), relay_state, request }, text)
}

/// An honest message in answer to that request.
pub(super) fn answer(id: &str) -> Message {
    let message = Message::default();
    let to = |text: &str| text.replace(REQUEST, id);
    Message {
        assertion_id: format!("_of{id}"),
        response_attributes: to(&message.response_attributes),
        confirmation: to(&message.confirmation),
        ..message
    }
}

/// An honest message that nobody asked for.
pub(super) fn unasked() -> Message {
    let message = Message::default();
    let to = |text: &str| text.replace(&format!(r#" InResponseTo="{REQUEST}""#), "");
    Message {
        response_attributes: to(&message.response_attributes),
        confirmation: to(&message.confirmation),
        ..message
    }
}
