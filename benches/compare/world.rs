//! What stands around the subjects of `make bench-compare`: an OpenID provider, a JSM Data Center look-alike, and a
//! store with as many sessions as asked for. Not measured itself.
//!
//! `bench_world STORE SESSIONS KEY BASE_URL` fills the session store, prints one JSON object that says where the two are
//! and how to speak to them, and serves until its standard input ends. `bench_world certificates FOLDER` makes the
//! certificates of the subjects.

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
use vestibule::demo::server::Server;
use vestibule::portal::HostName;
use vestibule::random::Random;
use vestibule::secret::Secret;
use vestibule::session::Sessions;
use vestibule::session::settings::{SessionSettings, StoreSettings};
use vestibule::sign_in::{SignOutHint, VerifiedIdentity};

type Failed = Box<dyn std::error::Error>;

/// Sessions that are opened at the same time, so that the store's group commit has something to group.
const AT_ONCE: u64 = 1_000;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["certificates", folder] => certificates(Path::new(folder)),
        [store, sessions, key, base_url] => world(store.into(), sessions, key, base_url).await,
        _ => Err("bench_world STORE SESSIONS KEY BASE_URL | bench_world certificates FOLDER".into()),
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
    authority.load_or_issue(folder, "localhost", &["localhost", "127.0.0.1"])?;
    Ok(())
}

async fn world(store: PathBuf, sessions: &str, key: &str, base_url: &str) -> Result<(), Failed> {
    fill(store, sessions.parse()?, key).await?;
    let provider = OpenIdProvider::new(Settings::default().approve_by_login_hint(), Clock::System, Random::default());
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let at_provider = Server::start(provider.router(), any, None, None).await?;
    let issuer = format!("http://localhost:{}", at_provider.addr().port());
    provider.set_issuer(&issuer);
    let jsm = JsmDataCenter::new(Clock::System, Random::default())?;
    let at_jsm = Server::start(jsm.router(), any, None, None).await?;
    jsm.set_base_url(base_url);
    let at_upload = Server::start(Router::new().route("/upload", post(swallow)), any, None, None).await?;
    let told = json!({
        "issuer": issuer,
        "jsm": at_jsm.addr().to_string(),
        "jsm_token": jsm.service_token().reveal(),
        "upload": at_upload.addr().to_string(),
    });
    println!("{told}");
    // Each further line registers a relying party: its id and its redirect URI.
    let mut lines = String::new();
    let mut input = stdin();
    let mut buffer = [0_u8; 4096];
    loop {
        let read = input.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        lines.push_str(std::str::from_utf8(buffer.get(..read).unwrap_or_default())?);
        while let Some((line, rest)) = lines.split_once('\n') {
            if let Some((id, redirect_uri)) = line.split_once(' ') {
                provider.register(Client {
                    id: id.into(),
                    authentication: ClientAuthentication::Secret(Secret::generated("secret")),
                    redirect_uris: vec![redirect_uri.into()],
                    post_logout_redirect_uris: vec![],
                });
            }
            println!("{{}}");
            lines = rest.to_owned();
        }
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
