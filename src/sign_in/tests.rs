//! Whole sign-ins, against the demo's OpenID provider over real sockets.

mod attacks;
mod journeys;
mod modes;
mod outages;
mod saml;

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::once::OnceOnly;
use super::settings::{
    ClaimNames, ClientAuthentication, EmailTrust, OidcSettings, Protocol, ProviderSettings, SigningAlgorithm,
};
use super::*;
use crate::clock::Timestamp;
use crate::demo::openid_provider as op;
use crate::demo::openid_provider::{Endpoint, Mode, OpenIdProvider};
use crate::email::SpeaksFor;
use crate::http_client::{Call, HttpClientSettings, Roots};
use crate::portal::PublicOrigin;
use crate::secret::Secret;
use crate::session::Sessions;
use crate::session::settings::{SessionSettings, StoreSettings};
use crate::session::store::memory::MemoryStore;

/// A secret that shows whether it is form-encoded before Basic.
const SECRET: &str = "p:a%2 ss+é";

/// A gateway, and a provider on a port of its own. Both have the same clock.
struct World {
    op: OpenIdProvider,
    sign_in: Arc<SignIn>,
    clock: Clock,
    web: HttpClient,
    host: HostName,
    origin: PublicOrigin,
}

fn name(text: &str) -> ProviderName {
    ProviderName::parse(text).unwrap()
}

fn next(path: &str) -> NextUrl {
    NextUrl::parse(path).unwrap()
}

fn web() -> HttpClient {
    HttpClient::new(HttpClientSettings { roots: Roots::Only(Vec::new()), ..Default::default() }).unwrap()
}

fn op_settings() -> op::Settings {
    op::Settings { algorithm: SigningAlgorithm::Es256, ..op::Settings::default() }.approve_automatically("ana")
}

/// Remembers what was used, as the gateway does, for as long as the test lasts.
fn once(clock: &Clock) -> Arc<dyn OnceOnly> {
    let settings = SessionSettings {
        idle_timeout: Duration::from_secs(1800),
        absolute_timeout: Duration::from_secs(3600),
        cache_entries: 100,
        store: StoreSettings::Embedded { path: "unused".into() },
        keys: vec![Secret::generated("k".repeat(43))],
    };
    let store = Arc::new(MemoryStore::default());
    Arc::new(Sessions::with_store(&settings, store, clock.clone(), Random::default()).unwrap())
}

/// Where the browser is sent.
fn location(started: Started) -> Url {
    match started.departure {
        Departure::Redirect(location) => location,
        Departure::Post(form) => panic!("a form to {}", form.action),
    }
}

/// Settings of a provider with that issuer, as an operator would write them.
fn provider(provider: &str, issuer: &str) -> ProviderSettings {
    let oidc = OidcSettings {
        issuer: issuer.parse().unwrap(),
        issuer_text: issuer.to_owned(),
        client_id: "portal".into(),
        client_authentication: ClientAuthentication::SecretBasic(Secret::generated(SECRET)),
        scopes: ["openid", "email", "profile", "groups"].map(str::to_owned).to_vec(),
        algorithms: vec![SigningAlgorithm::Es256],
        claims: ClaimNames::default(),
        email_trust: EmailTrust::AsClaimed,
        max_age: None,
        acr_values: Vec::new(),
        clock_skew: Duration::from_secs(60),
        sign_out_at_provider: true,
    };
    ProviderSettings {
        name: name(provider),
        label: provider.to_owned(),
        speaks_for: SpeaksFor::default(),
        protocol: Protocol::Oidc(oidc),
    }
}

fn oidc(settings: &mut ProviderSettings) -> &mut OidcSettings {
    let Protocol::Oidc(oidc) = &mut settings.protocol else { panic!("it speaks OpenID Connect") };
    oidc
}

impl World {
    /// One provider, `acme`.
    async fn start() -> Self {
        Self::with(op_settings(), |_| {}).await
    }

    async fn with(settings: op::Settings, change: impl FnOnce(&mut Vec<ProviderSettings>)) -> Self {
        let clock = Clock::manual(Timestamp::from_seconds(1_800_000_000));
        let op = OpenIdProvider::new(settings, clock.clone(), Random::default());
        op.register(op::Client {
            id: "portal".into(),
            authentication: op::ClientAuthentication::Secret(Secret::generated(SECRET)),
            redirect_uris: ["acme", "globex"]
                .map(|name| format!("https://our.test/.vestibule/oidc/{name}/callback"))
                .to_vec(),
            post_logout_redirect_uris: vec!["https://our.test/".into()],
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        op.set_issuer(&format!("http://{}", listener.local_addr().unwrap()));
        let router = op.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let mut providers = vec![provider("acme", &op.issuer())];
        change(&mut providers);
        let sign_in = Self::gateway(providers, &clock);
        let host = HostName::parse("our.test").unwrap();
        Self { op, sign_in, clock, web: web(), origin: PublicOrigin::new(&host, 443), host }
    }

    fn gateway(providers: Vec<ProviderSettings>, clock: &Clock) -> Arc<SignIn> {
        Arc::new(SignIn::new(providers, once(clock), web(), clock.clone(), Random::default()).unwrap())
    }

    fn at(&self) -> At<'_> {
        At { portal: &self.host, origin: &self.origin }
    }

    fn browser(&self) -> Browser<'_> {
        Browser { world: self, key: None }
    }

    fn requests(&self, endpoint: Endpoint) -> u64 {
        self.op.requests(endpoint)
    }
}

/// A visitor's browser: keeps the sign-in cookie.
struct Browser<'a> {
    world: &'a World,
    key: Option<String>,
}

impl Browser<'_> {
    async fn start(&mut self, path: &str) -> Url {
        self.start_at("acme", path).await
    }

    async fn start_at(&mut self, provider: &str, path: &str) -> Url {
        let (sign_in, at) = (&self.world.sign_in, self.world.at());
        let ties = Ties { sign_in: self.key.as_deref(), ..Ties::default() };
        let started = sign_in.start(at, &name(provider), next(path), ties, None).await.unwrap();
        if let Some(TieCookie::SignIn(key)) = &started.cookie {
            assert!(self.key.replace(key.clone()).is_none(), "a key is set once");
        }
        location(started)
    }

    /// Goes to the provider; gives the query of the callback.
    async fn visit(&self, location: Url) -> String {
        let answer = self.world.web.send(Call::get(location)).await.unwrap();
        let back = answer.headers.get("location").and_then(|location| location.to_str().ok());
        back.and_then(|back| Url::parse(back).unwrap().query().map(str::to_owned)).unwrap_or_default()
    }

    async fn callback(&self, query: &str) -> Callback {
        self.callback_at("acme", query).await
    }

    async fn callback_at(&self, provider: &str, query: &str) -> Callback {
        self.world.sign_in.callback(self.world.at(), &name(provider), query, self.key.as_deref()).await
    }

    async fn sign_in(&mut self, path: &str) -> Callback {
        let location = self.start(path).await;
        let query = self.visit(location).await;
        self.callback(&query).await
    }
}

/// A callback's outcome in one word, and where it leads.
fn told(callback: &Callback) -> (&'static str, &str) {
    match callback {
        Callback::SignedIn { next, .. } => ("signed_in", next.as_str()),
        Callback::Stale { next, .. } => ("stale", next.as_str()),
        Callback::Tried { .. } => ("tried", ""),
        Callback::TooOld { next } => ("too_old", next.as_str()),
        Callback::LoopBroken => ("loop_broken", ""),
        Callback::NoCookie => ("no_cookie", ""),
        Callback::Refused { rejected, next } => (rejected.reason(), next.as_str()),
    }
}

/// The query with one parameter replaced.
fn replaced(query: &str, name: &str, value: Option<&str>) -> String {
    let pairs = url::form_urlencoded::parse(query.as_bytes()).filter_map(|(known, old)| match value {
        Some(value) if known == name => Some((known, value.to_owned().into())),
        None if known == name => None,
        _ => Some((known, old)),
    });
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn parameter(query: &str, name: &str) -> String {
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(known, _)| known == name).map(|(_, value)| value.into_owned()).unwrap()
}
