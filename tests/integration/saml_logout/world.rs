//! A gateway whose portal signs in by the demo's SAML provider, and browsers that carry messages between them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, Response};
use vestibule::clock::Clock;
use vestibule::demo::saml_provider::{ProviderKey, SamlProvider, Settings};
use vestibule::random::Random;
use vestibule::saml::binding::{Direction, Outgoing, redirect, soap};
use vestibule::saml::logout::LogoutRequest;
use vestibule::saml::message_id;
use vestibule::saml::metadata::{Binding, Endpoint, IndexedEndpoint, ServiceProvider, Validity};
use vestibule::saml::name_id::NameId;
use vestibule::saml::names::NAMEID_PERSISTENT;
use vestibule::saml::sign::sign;
use vestibule::saml::signing_key::SigningKey;
use vestibule::saml::write::Element;
use vestibule::secret::Secret;

use crate::harness::{AbortOnDrop, Options, TestGateway, location, navigate, set_cookies};
use crate::recorder::{Answer, Recorder, http};

/// How many steps a browser goes by itself.
const STEPS: usize = 12;
const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";

pub struct World {
    pub gateway: TestGateway,
    pub provider: SamlProvider,
    key: ProviderKey,
    _keys: tempfile::TempDir,
    _recorder: Recorder,
    _task: AbortOnDrop,
}

/// Where a browser ended up.
#[derive(Debug)]
pub struct Page {
    pub status: u16,
    /// The address, without its query.
    pub url: String,
    /// The whole address.
    pub with_query: String,
    pub text: String,
}

/// A message on its way through a browser.
#[derive(Clone, Debug)]
pub enum Carried {
    To(String),
    Form { action: String, fields: Vec<(String, String)> },
}

impl World {
    pub async fn start(more: &str) -> Self {
        Self::start_as(more, false).await
    }

    /// `by_post` has the provider send its messages by HTTP-POST.
    pub async fn start_as(more: &str, by_post: bool) -> Self {
        Self::start_with(&format!("      sign_out_at_provider: true\n{more}"), by_post).await
    }

    pub async fn start_with(more: &str, by_post: bool) -> Self {
        let keys = tempfile::tempdir().unwrap();
        let pair = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&pair).unwrap();
        let file = |name: &str| keys.path().join(name);
        std::fs::write(file("sp.key"), pair.serialize_pem()).unwrap();
        std::fs::write(file("sp.pem"), certificate.pem()).unwrap();

        let kept = || ProviderKey::load_or_generate(keys.path(), "provider").unwrap();
        let settings = Settings {
            logout_by: if by_post { Binding::Post } else { Binding::Redirect },
            ..Settings::default().approve_automatically("gina")
        };
        let provider = SamlProvider::new(settings, kept(), Clock::System, Random::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        provider.set_address(&format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port()));
        let router = provider.router();
        let task = AbortOnDrop::of(tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        }));

        let recorder = Recorder::start(Answer::new(|request, n| {
            if request.target().ends_with("/socket") {
                return SWITCH.to_vec();
            }
            http(200, "Content-Type: text/plain\r\n", format!("{n} {}", request.target()).as_bytes())
        }))
        .await;
        let more_providers = format!(
            "  globex:\n    label: Globex\n    email_domains: [globex.com]\n    saml:\n      metadata: {}\n      signing_key: {{ file: {} }}\n      certificate: {{ file: {} }}\n{more}",
            provider.entity_id(),
            file("sp.key").display(),
            file("sp.pem").display(),
        );
        let plain = Options::plain(recorder.address);
        let options = Options { providers: "globex, acme", admitted: "acme.com, globex.com", more_providers, ..plain };
        let gateway = TestGateway::start(options).await;
        let slo = |binding| Endpoint {
            binding,
            location: format!("{}/.vestibule/saml/globex/slo", gateway.origin()),
            response_location: None,
        };
        let acs = format!("{}/.vestibule/saml/globex/acs", gateway.origin());
        provider.register(ServiceProvider {
            entity_id: format!("{}/.vestibule/saml/globex/metadata", gateway.origin()),
            signing_certificates: vec![certificate.der().to_vec()],
            encryption_certificates: Vec::new(),
            consumers: vec![IndexedEndpoint {
                index: 0,
                is_default: true,
                endpoint: Endpoint { binding: Binding::Post, location: acs, response_location: None },
            }],
            logout: vec![slo(Binding::Redirect), slo(Binding::Post)],
            signs_requests: true,
            wants_signed_assertions: false,
            name_id_formats: Vec::new(),
            validity: Validity::default(),
        });
        let key = kept();
        Self { gateway, provider, key, _keys: keys, _recorder: recorder, _task: task }
    }

    pub fn slo(&self) -> String {
        format!("{}/.vestibule/saml/globex/slo", self.gateway.origin())
    }

    pub fn entity_id(&self) -> String {
        format!("{}/.vestibule/saml/globex/metadata", self.gateway.origin())
    }

    /// Gina at her provider, which has signed her in and gives her what it says of her, for the gateway.
    pub async fn answer_for(&self, client: &Client) -> Carried {
        let on_the_way = self.choose(client, "globex").await;
        let asked = match refresh(&on_the_way) {
            Some(at_provider) => client.get(at_provider).send().await.unwrap(),
            None => self.post(client, &form(&on_the_way).expect("our form")).await,
        };
        form(&asked.text().await.unwrap()).expect("the provider's form")
    }

    /// Signs Gina in. Gives the session cookie, name and value.
    pub async fn sign_in(&self, client: &Client) -> String {
        let answer = self.answer_for(client).await;
        let returned = self.post(client, &answer).await;
        assert_eq!((returned.status().as_u16(), location(&returned).as_str()), (303, "/private"));
        let cookies = set_cookies(&returned);
        let session = cookies.iter().find(|cookie| cookie.starts_with("__Host-vestibule=")).expect("a session cookie");
        session.split(';').next().unwrap().to_owned()
    }

    /// Signs somebody in by the other provider, which speaks OpenID Connect.
    pub async fn sign_in_ana(&self, client: &Client) {
        let on_the_way = self.choose(client, "acme").await;
        let at_provider = format!("{}&login_hint=ana", refresh(&on_the_way).expect("a page on the way"));
        let approved = client.get(at_provider).send().await.unwrap();
        assert_eq!(navigate(client, &location(&approved)).await.status(), 303);
        assert!(self.is_signed_in(client).await);
    }

    /// Chooses a provider on the sign-in page; gives the page that leads there.
    async fn choose(&self, client: &Client, provider: &str) -> String {
        let list = navigate(client, &format!("{}/private", self.gateway.origin())).await.text().await.unwrap();
        let fields = [("transaction", field(&list, "transaction")), ("provider", provider.to_owned())];
        let chosen = client
            .post(format!("{}/.vestibule/sign-in", self.gateway.origin()))
            .header("origin", self.gateway.origin())
            .header("accept", "text/html")
            .form(&fields)
            .send()
            .await
            .unwrap();
        chosen.text().await.unwrap()
    }

    pub async fn is_signed_in(&self, client: &Client) -> bool {
        let answer = navigate(client, &format!("{}/private/x", self.gateway.origin())).await;
        let (status, page) = (answer.status().as_u16(), answer.text().await.unwrap());
        // The sign-in page names where the visitor goes on, too.
        let asked_to_sign_in = matches!(status, 303 | 401) || page.contains("data-next");
        assert!(asked_to_sign_in || status == 200 && page.contains("/private/x"), "{status}: {page}");
        !asked_to_sign_in
    }

    /// Signs out here, and goes wherever that leads.
    pub async fn sign_out(&self, client: &Client) -> Page {
        let left = self.leave(client).await;
        self.follow(client, left.0, left.1).await
    }

    /// The same, but stops before the provider's answer is delivered: gives its address.
    pub async fn sign_out_until_the_answer(&self, client: &Client) -> String {
        let (response, url) = self.leave(client).await;
        let next = refresh(&response.text().await.unwrap()).expect("a page on the way");
        assert!(next.starts_with(&self.provider.address()), "{url}");
        location(&client.get(next).send().await.unwrap())
    }

    async fn leave(&self, client: &Client) -> (Response, String) {
        let url = format!("{}/.vestibule/sign-out", self.gateway.origin());
        let posted = client.post(&url).header("origin", self.gateway.origin()).header("accept", "text/html");
        (posted.send().await.unwrap(), url)
    }

    /// Asks for the logout on the provider's own page; gives the message for the gateway.
    pub async fn logout_at_the_provider(&self, client: &Client) -> Carried {
        let page =
            client.get(format!("{}/logout", self.provider.address())).send().await.unwrap().text().await.unwrap();
        let confirmed = client
            .post(format!("{}/logout/confirm", self.provider.address()))
            .form(&[("handle", field(&page, "handle"))])
            .send()
            .await
            .unwrap();
        match confirmed.headers().get("location") {
            Some(_) => Carried::To(location(&confirmed)),
            None => form(&confirmed.text().await.unwrap()).expect("a form for the gateway"),
        }
    }

    /// Takes a message where it belongs, and goes wherever that leads.
    pub async fn carry(&self, client: &Client, message: Carried) -> Page {
        match &message {
            Carried::To(url) => self.follow(client, navigate(client, url).await, url.clone()).await,
            Carried::Form { action, .. } => {
                let answer = self.post(client, &message).await;
                self.follow(client, answer, action.clone()).await
            }
        }
    }

    /// Posts a form of another site.
    pub async fn post(&self, client: &Client, message: &Carried) -> Response {
        let Carried::Form { action, fields } = message else { panic!("{message:?}") };
        let posted = client
            .post(action)
            .header("origin", self.provider.address())
            .header("accept", "text/html")
            .header("sec-fetch-site", "cross-site")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document");
        posted.form(fields).send().await.unwrap()
    }

    async fn follow(&self, client: &Client, mut response: Response, mut url: String) -> Page {
        for _ in 0..STEPS {
            let status = response.status().as_u16();
            if (300..400).contains(&status) {
                url = reqwest::Url::parse(&url).unwrap().join(&location(&response)).unwrap().to_string();
                response = navigate(client, &url).await;
                continue;
            }
            let text = response.text().await.unwrap();
            if let Some(next) = refresh(&text) {
                url = next;
                response = navigate(client, &url).await;
            } else if let Some(message) = form(&text) {
                response = self.post(client, &message).await;
                let Carried::Form { action, .. } = message else { unreachable!() };
                url = action;
            } else {
                let bare = url.split('?').next().unwrap_or_default().to_owned();
                return Page { status, url: bare, with_query: url, text };
            }
        }
        panic!("a browser goes round and round, lastly to {url}");
    }

    /// Whether single logouts of that kind were counted.
    pub fn counted(&self, begun: &str, result: &str) -> bool {
        let line = format!(r#"vestibule_single_logouts_total{{begun="{begun}",provider="globex",result="{result}"}}"#);
        self.gateway.metrics().contains(&line)
    }

    // Messages that the provider could send, and what an attacker makes of them.

    pub fn key(&self) -> &SigningKey {
        self.key.signing()
    }

    pub fn gina(&self) -> NameId {
        NameId {
            value: "gina".into(),
            format: Some(NAMEID_PERSISTENT.into()),
            name_qualifier: Some(self.provider.entity_id()),
            sp_name_qualifier: Some(self.entity_id()),
        }
    }

    /// A LogoutRequest about Gina.
    pub fn request(&self, indexes: &[String]) -> Element {
        self.request_about(&self.gina(), indexes, &self.provider.entity_id())
    }

    pub fn request_about(&self, name_id: &NameId, indexes: &[String], issuer: &str) -> Element {
        let now = Clock::System.now();
        let request = LogoutRequest {
            id: &message_id::generate(&Random::default()).unwrap(),
            issue_instant: now,
            destination: &self.slo(),
            issuer,
            name_id,
            session_indexes: indexes,
            not_on_or_after: Some(now.after(Duration::from_secs(60))),
            reason: None,
        };
        request.to_element()
    }

    /// The address that carries a message, signed.
    pub fn address_of(&self, message: &Element, key: &SigningKey) -> String {
        let outgoing =
            Outgoing::sign(Binding::Redirect, &self.slo(), Direction::Request, message.clone(), Some("state"), key);
        let Outgoing::Redirect(address) = outgoing.unwrap() else { panic!("a redirect") };
        address
    }

    /// The address that carries a message that nobody signed.
    pub fn unsigned(&self, message: &Element) -> String {
        redirect::url(&self.slo(), Direction::Request, message, None, None).unwrap()
    }

    /// Sends a message of the provider by redirect.
    pub async fn send(&self, client: &Client, message: &Element) -> Response {
        navigate(client, &self.address_of(message, self.key())).await
    }

    /// Whether an answer goes to the provider, and says that all went well.
    pub fn answered_with_success(&self, answer: &Response) -> bool {
        self.answer_of(answer).is_some_and(|xml| xml.contains("status:Success"))
    }

    /// The LogoutResponse that a redirect carries to the provider.
    pub fn answer_of(&self, answer: &Response) -> Option<String> {
        let to = answer.headers().get("location")?.to_str().unwrap().to_owned();
        assert!(to.starts_with(&format!("{}/slo?", self.provider.address())), "{to}");
        let url = reqwest::Url::parse(&to).unwrap();
        let value = url.query_pairs().find(|(name, _)| name == "SAMLResponse")?.1.into_owned();
        Some(String::from_utf8(redirect::inflate(&STANDARD.decode(value).unwrap()).unwrap()).unwrap())
    }

    pub fn envelope(&self, issuer: &str) -> String {
        soap::envelope(sign(self.request_about(&self.gina(), &[], issuer), self.key()).unwrap())
    }

    pub async fn post_soap(&self, body: String) -> (u16, String) {
        let client = self.gateway.client();
        let posted =
            client.post(self.slo()).header("content-type", soap::CONTENT_TYPE).body(body).send().await.unwrap();
        (posted.status().as_u16(), posted.text().await.unwrap())
    }
}

/// Somebody else's key.
pub fn foreign_key() -> SigningKey {
    let pair = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&pair).unwrap();
    SigningKey::from_pem(&Secret::generated(pair.serialize_pem()), certificate.pem().as_bytes()).unwrap()
}

/// The value of a hidden field.
fn field(page: &str, name: &str) -> String {
    let value = page.split(&format!(r#"name="{name}" value=""#)).nth(1).unwrap_or_else(|| panic!("no {name}: {page}"));
    plain(value.split('"').next().unwrap())
}

/// The form of a page that posts itself.
pub fn form(page: &str) -> Option<Carried> {
    let name = ["SAMLRequest", "SAMLResponse"].into_iter().find(|name| page.contains(&format!(r#"name="{name}""#)))?;
    let action = plain(page.split(r#"action=""#).nth(1)?.split('"').next()?);
    let mut fields = vec![(name.to_owned(), field(page, name))];
    if page.contains(r#"name="RelayState""#) {
        fields.push(("RelayState".into(), field(page, "RelayState")));
    }
    Some(Carried::Form { action, fields })
}

/// Where a page sends the browser on.
fn refresh(page: &str) -> Option<String> {
    Some(plain(page.split(r#"content="0;url="#).nth(1)?.split('"').next()?))
}

fn plain(escaped: &str) -> String {
    ["&#38;", "&#43;", "&#61;", "&#47;"]
        .iter()
        .zip(["&", "+", "=", "/"])
        .fold(escaped.replace("&amp;", "&"), |text, (from, to)| text.replace(from, to))
}
