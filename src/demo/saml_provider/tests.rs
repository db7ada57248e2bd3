//! The provider over real sockets, with service providers that verify everything by the product's own verifier.

mod logout;
mod sign_on;

use std::sync::LazyLock;
use std::time::Duration;

use regex::Regex;

use super::*;
use crate::saml::authn_request::{Acs, AuthnRequest, Comparison};
use crate::saml::binding::{Direction, Outgoing};
use crate::saml::keys::{DecryptionKey, VerificationKeys};
use crate::saml::metadata::{self, Binding, Endpoint, IdentityProvider, IndexedEndpoint, Reading, Validity};
use crate::saml::rejected::SamlRejected;
use crate::saml::response::{self, Expected, InResponseTo, VerifiedResponse};
use crate::saml::test_keys::{self, Kind};
use crate::secret::Secret;

pub(super) const SP: &str = "https://portal.test/saml";
pub(super) const OTHER_SP: &str = "https://other.test/saml";
pub(super) const ACS: &str = "https://portal.test/acs";
pub(super) const SLO: &str = "https://portal.test/slo";

/// A service provider with the key that the tests have for it.
pub(super) fn service_provider(entity_id: &str, signs_requests: bool) -> ServiceProvider {
    let origin = entity_id.trim_end_matches("/saml");
    let certificate = test_keys::other(Kind::Rsa2048).certificate;
    let endpoint =
        |binding, path: &str| Endpoint { binding, location: format!("{origin}{path}"), response_location: None };
    let consumer =
        |index, path| IndexedEndpoint { index, is_default: index == 0, endpoint: endpoint(Binding::Post, path) };
    ServiceProvider {
        entity_id: entity_id.to_owned(),
        signing_certificates: vec![certificate.clone()],
        encryption_certificates: vec![certificate],
        consumers: vec![consumer(0, "/acs"), consumer(7, "/acs/seven")],
        logout: vec![endpoint(Binding::Redirect, "/slo"), endpoint(Binding::Post, "/slo")],
        signs_requests,
        wants_signed_assertions: false,
        name_id_formats: Vec::new(),
        validity: Validity::default(),
    }
}

/// A provider on a port of its own, and a browser.
pub(super) struct World {
    pub(super) provider: SamlProvider,
    pub(super) http: reqwest::Client,
    pub(super) description: IdentityProvider,
    pub(super) clock: Clock,
}

static KEY: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

impl World {
    pub(super) async fn start(settings: Settings) -> Self {
        let clock = Clock::manual(Timestamp::from_seconds(1_790_000_000));
        let key = ProviderKey::load_or_generate(KEY.path(), "provider").unwrap();
        let provider = SamlProvider::new(settings, key, clock.clone(), Random::default());
        provider.register(service_provider(SP, true));
        provider.register(service_provider(OTHER_SP, true));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        provider.set_address(&format!("http://{}", listener.local_addr().unwrap()));
        let router = provider.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(20))
            .no_proxy()
            .cookie_store(true)
            .build()
            .unwrap();
        let published = http.get(provider.entity_id()).send().await.unwrap().bytes().await.unwrap();
        let reading = Reading { entity_id: None, now: clock.now() };
        let description = metadata::identity_provider(&published, &reading).unwrap();
        assert_eq!(description, provider.description());
        Self { provider, http, description, clock }
    }

    pub(super) fn keys(&self) -> VerificationKeys {
        VerificationKeys::from_certificates(&self.description.signing_certificates).unwrap()
    }

    /// An AuthnRequest as a right service provider sends it, with a change made.
    pub(super) fn request(&self, id: &str, binding: Binding, change: impl FnOnce(&mut AuthnRequest<'_>)) -> Outgoing {
        let location = &self.description.sign_on_by(binding).unwrap().location;
        let mut request = AuthnRequest {
            id,
            issue_instant: self.clock.now(),
            destination: location,
            issuer: SP,
            acs: Acs::Url(ACS),
            force_authn: false,
            is_passive: false,
            name_id_policy: None,
            authn_contexts: &[],
            comparison: Comparison::Exact,
        };
        change(&mut request);
        let key = test_keys::other(Kind::Rsa2048).signing_key();
        Outgoing::sign(binding, location, Direction::Request, request.to_element(), Some("state"), &key).unwrap()
    }

    /// The browser takes a message where it belongs.
    pub(super) async fn take(&self, outgoing: Outgoing) -> Answer {
        let request = match outgoing {
            Outgoing::Redirect(address) => self.http.get(address),
            Outgoing::Post(form) => self.http.post(&form.action).form(&form.fields().collect::<Vec<_>>()),
        };
        Answer::read(request.send().await.unwrap()).await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        Answer::read(self.http.get(self.provider.location(path)).send().await.unwrap()).await
    }

    pub(super) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        Answer::read(self.http.post(self.provider.location(path)).form(form).send().await.unwrap()).await
    }

    /// What the service provider makes of an answer.
    pub(super) fn verify(&self, answer: &Answer, asked: InResponseTo<'_>) -> Result<VerifiedResponse, SamlRejected> {
        let keys = self.keys();
        let pem = Secret::generated(test_keys::other(Kind::Rsa2048).key_pem);
        let decryption_keys = [DecryptionKey::from_pem(&pem).unwrap()];
        let expected = Expected {
            decryption_keys: &decryption_keys,
            ..Expected::new(&self.description.entity_id, &keys, SP, ACS, asked, self.clock.now())
        };
        response::verify(answer.field("SAMLResponse").as_bytes(), &expected)
    }

    /// Signs somebody in at the service provider.
    pub(super) async fn signed_in(&self, id: &str) -> VerifiedResponse {
        let answer = self.take(self.request(id, Binding::Redirect, |_| {})).await;
        self.verify(&answer, InResponseTo::Request(id)).unwrap()
    }
}

/// A page or a redirect of the provider.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) location: Option<String>,
    pub(super) text: String,
}

impl Answer {
    async fn read(response: reqwest::Response) -> Self {
        let status = response.status().as_u16();
        let location = response.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
        Self { status, location, text: response.text().await.unwrap() }
    }

    /// The value of a hidden field.
    #[track_caller]
    pub(super) fn field(&self, name: &str) -> String {
        let pattern = format!(r#"name="{name}" value="([^"]*)""#);
        let found = Regex::new(&pattern).unwrap().captures(&self.text).unwrap_or_else(|| panic!("{self:?}"));
        found[1].replace("&#43;", "+").replace("&#61;", "=").replace("&#38;", "&").replace("&amp;", "&")
    }

    /// Where the form goes.
    pub(super) fn action(&self) -> String {
        Regex::new(r#"action="([^"]*)""#).unwrap().captures(&self.text).unwrap()[1].to_owned()
    }

    /// Whether it is a page of refusal that sends nothing anywhere.
    #[track_caller]
    pub(super) fn is_refused(&self, because: &str) {
        assert_eq!((self.status, &self.location), (400, &None), "{self:?}");
        assert!(self.text.contains(because) && !self.text.contains("SAMLResponse"), "{}", self.text);
    }
}
