//! What stands around the subjects of `make bench-compare`: an OpenID provider, a SAML provider, a JSM Data Center
//! look-alike, and a store with as many sessions as asked for. Not measured itself.
//!
//! `bench_world STORE SESSIONS KEY BASE_URL FOLDER` fills the session store, prints one JSON object that says where they
//! are and how to speak to them, and serves until its standard input ends. `bench_world certificates FOLDER` makes the
//! certificates of the subjects, and the key with which they sign SAML requests.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::post;
use futures_util::StreamExt as _;
use http::StatusCode;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, stdin};
use vestibule::clock::Clock;
use vestibule::demo::certificates::DemoAuthority;
use vestibule::demo::jsm_datacenter::JsmDataCenter;
use vestibule::demo::openid_provider::{Client, ClientAuthentication, OpenIdProvider, Settings};
use vestibule::demo::saml_provider::{self, ProviderKey, SamlProvider};
use vestibule::demo::server::Server;
use vestibule::portal::HostName;
use vestibule::random::Random;
use vestibule::saml::metadata::{Binding, Endpoint, IndexedEndpoint, ServiceProvider, Validity};
use vestibule::secret::Secret;
use vestibule::session::Sessions;
use vestibule::session::settings::{SessionSettings, StoreSettings};
use vestibule::sign_in::{SignOutHint, VerifiedIdentity};

type Failed = Box<dyn std::error::Error>;

/// Under this name the key of all service providers is kept.
const SERVICE_PROVIDERS: &str = "saml-peers";

/// Sessions that are opened at the same time, so that the store's group commit has something to group.
const AT_ONCE: u64 = 1_000;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["certificates", folder] => certificates(Path::new(folder)),
        [store, sessions, key, base_url, folder] => {
            world(store.into(), sessions, key, base_url, Path::new(folder)).await
        }
        _ => Err("bench_world STORE SESSIONS KEY BASE_URL FOLDER | bench_world certificates FOLDER".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench_world: {error}");
            ExitCode::FAILURE
        }
    }
}

fn certificates(folder: &Path) -> Result<(), Failed> {
    let authority = DemoAuthority::load_or_generate(folder, Clock::System.now())?;
    authority.load_or_issue(folder, "localhost", &["localhost", "saml.localhost", "127.0.0.1"])?;
    ProviderKey::load_or_generate(folder, SERVICE_PROVIDERS)?;
    Ok(())
}

async fn world(store: PathBuf, sessions: &str, key: &str, base_url: &str, folder: &Path) -> Result<(), Failed> {
    fill(store, sessions.parse()?, key).await?;
    let provider = OpenIdProvider::new(Settings::default().approve_by_login_hint(), Clock::System, Random::default());
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let at_provider = Server::start(provider.router(), any, None, None).await?;
    let issuer = format!("http://localhost:{}", at_provider.addr().port());
    provider.set_issuer(&issuer);
    let (saml, at_saml) = saml_provider(folder).await?;
    let jsm = JsmDataCenter::new(Clock::System, Random::default())?;
    let at_jsm = Server::start(jsm.router(), any, None, None).await?;
    jsm.set_base_url(base_url);
    let at_upload = Server::start(Router::new().route("/upload", post(swallow)), any, None, None).await?;
    let told = json!({
        "issuer": issuer,
        "jsm": at_jsm.addr().to_string(),
        "jsm_token": jsm.service_token().reveal(),
        "upload": at_upload.addr().to_string(),
        "saml": saml.entity_id(),
    });
    println!("{told}");
    let service_providers = ProviderKey::load_or_generate(folder, SERVICE_PROVIDERS)?;
    // Each further line registers somebody: `oidc`, a client id and a redirect URI, or `saml`, an entity id and an
    // assertion consumer service.
    let mut lines = String::new();
    let mut input = stdin();
    let mut buffer = [0_u8; 4096];
    loop {
        let read = input.read(&mut buffer).await?;
        if read == 0 {
            drop(at_saml);
            return Ok(());
        }
        lines.push_str(std::str::from_utf8(buffer.get(..read).unwrap_or_default())?);
        while let Some((line, rest)) = lines.split_once('\n') {
            match line.split(' ').collect::<Vec<_>>().as_slice() {
                ["oidc", id, redirect_uri] => provider.register(Client {
                    id: (*id).into(),
                    authentication: ClientAuthentication::Secret(Secret::generated("secret")),
                    redirect_uris: vec![(*redirect_uri).into()],
                    post_logout_redirect_uris: vec![],
                }),
                ["saml", entity_id, acs] => saml.register(service_provider(entity_id, acs, &service_providers)),
                _ => return Err(format!("not known: {line}").into()),
            }
            println!("{{}}");
            lines = rest.to_owned();
        }
    }
}

/// Signs the one customer in whoever asks; Response and Assertion are signed.
async fn saml_provider(folder: &Path) -> Result<(SamlProvider, Server), Failed> {
    let settings = saml_provider::Settings::default().approve_automatically("gina");
    let key = ProviderKey::load_or_generate(folder, "saml-provider")?;
    let provider = SamlProvider::new(settings, key, Clock::System, Random::default());
    let server = Server::start(provider.router(), SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), None, None).await?;
    provider.set_address(&format!("http://localhost:{}", server.addr().port()));
    Ok((provider, server))
}

fn service_provider(entity_id: &str, acs: &str, key: &ProviderKey) -> ServiceProvider {
    let endpoint = Endpoint { binding: Binding::Post, location: acs.to_owned(), response_location: None };
    ServiceProvider {
        entity_id: entity_id.to_owned(),
        signing_certificates: vec![key.signing().certificate().to_vec()],
        encryption_certificates: vec![],
        consumers: vec![IndexedEndpoint { index: 0, is_default: true, endpoint }],
        logout: vec![],
        signs_requests: true,
        wants_signed_assertions: true,
        name_id_formats: vec![],
        validity: Validity::default(),
    }
}

/// Takes an upload in, and keeps nothing.
async fn swallow(body: Body) -> Result<&'static str, StatusCode> {
    let mut parts = body.into_data_stream();
    while let Some(part) = parts.next().await {
        part.map_err(|_| StatusCode::BAD_REQUEST)?;
    }
    Ok("taken")
}

/// Opens sessions of so many people, who then do nothing.
async fn fill(store: PathBuf, wanted: u64, key: &str) -> Result<(), Failed> {
    let settings = SessionSettings {
        idle_timeout: Duration::from_secs(24 * 3600),
        absolute_timeout: Duration::from_secs(24 * 3600),
        cache_entries: 1,
        store: StoreSettings::Embedded { path: store },
        keys: vec![Secret::generated(key)],
    };
    let sessions = Sessions::start(&settings, Clock::System, Random::default())?;
    let portal = HostName::parse("localhost")?;
    let mut opened = sessions.count().await?;
    while opened < wanted {
        let batch = AT_ONCE.min(wanted.saturating_sub(opened));
        let mut tasks = tokio::task::JoinSet::new();
        for number in opened..opened.saturating_add(batch) {
            let (sessions, portal, identity) = (sessions.clone(), portal.clone(), identity(number)?);
            tasks.spawn(async move {
                let token = SignOutHint::IdToken(Secret::generated("x".repeat(900))); // as long as an ID token usually is
                sessions.open(identity, Some(token), portal, IpAddr::V4(Ipv4Addr::LOCALHOST)).await.map(drop)
            });
        }
        while let Some(opened) = tasks.join_next().await {
            opened??;
        }
        opened = opened.saturating_add(batch);
    }
    sessions.close().await?;
    Ok(())
}

fn identity(number: u64) -> Result<VerifiedIdentity, serde_json::Error> {
    serde_json::from_value(json!({
        "provider": "acme",
        "issuer": "https://idp.example",
        "subject": format!("subject-{number}"),
        "email": format!("person-{number}@acme.example"),
        "email_verified": true,
        "display_name": format!("Person {number}"),
        "groups": ["customers", "vip"],
        "authenticated_at": Clock::System.now(),
        "acr": null,
        "provider_session": format!("sid-{number}"),
        "not_after": null,
    }))
}
