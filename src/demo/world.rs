//! The gateway and the world around it, in this process: what `vestibule demo` shows and what the journeys test.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

mod cloud;
mod saml;

pub use self::saml::SAML_PROVIDER;

use self::cloud::CloudPortal;
use self::saml::SamlSide;
use super::certificates::{CertificateError, DemoAuthority};
use super::cloud_site::{CloudSite, NoCloudSite};
use super::jsm_datacenter::JsmDataCenter;
use super::openid_provider::{Client, ClientAuthentication, OpenIdProvider, Settings};
use super::recorder::Recorder;
use super::saml_provider::{self, SamlProvider};
use super::server::Server;
use crate::app::{App, StartFailed};
use crate::clock::Clock;
use crate::config::{self, Faults, ProcessEnvironment};
use crate::random::{NoRandomness, Random};
use crate::secret::Secret;

/// The client id of the gateway at the built-in provider.
pub const CLIENT_ID: &str = "vestibule-demo";

/// The name of the identity provider in the demo's configuration.
pub const PROVIDER: &str = "acme";

/// The host of the portal in front of JSM Cloud. Browsers know that such names are this machine.
pub const CLOUD_HOST: &str = "cloud.localhost";

/// Both providers of the demo, as a portal lists them.
const BOTH: &str = "acme, globex";

/// What the world is made of.
#[derive(Debug)]
pub struct WorldSettings {
    /// Port of the gateway; 0 takes any.
    pub port: u16,
    /// Port of the admin listener; 0 takes any.
    pub admin_port: u16,
    /// Where certificates are kept.
    pub certificates: PathBuf,
    /// Where the session store is.
    pub state: PathBuf,
    /// The built-in provider, or one that runs elsewhere.
    pub provider: ProviderChoice,
    /// The built-in SAML provider beside it, when there is one.
    pub saml: Option<Box<saml_provider::Settings>>,
    /// More lines for the portal in `gateway.yaml`, indented by four blanks.
    pub portal_lines: String,
    /// More lines for `customer_session.datacenter`, indented by eight blanks.
    pub datacenter_lines: String,
    /// More lines for `customer_session.cloud_saml`, indented by eight blanks.
    pub cloud_lines: String,
    /// Bytes that the look-alike's recorder keeps; 0 records nothing.
    pub recorded: usize,
    /// Where `now` comes from.
    pub clock: Clock,
}

/// Who signs people in.
#[derive(Debug)]
pub enum ProviderChoice {
    /// The built-in provider.
    BuiltIn(Box<Settings>),
    /// Another one on this machine.
    External {
        /// Its issuer.
        issuer: String,
        /// How we prove there that we are [`CLIENT_ID`], and more of the sort: lines below `oidc`, indented by six blanks.
        oidc_lines: String,
    },
}

/// The world could not be started.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each says itself what it is")]
pub enum WorldFailed {
    #[error(transparent)]
    Certificates(#[from] CertificateError),
    #[error("a demo server cannot listen: {0}")]
    Listen(#[from] io::Error),
    #[error(transparent)]
    Cloud(#[from] NoCloudSite),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    #[error("the demo's own configuration is wrong:\n{0}")]
    Config(#[from] Faults),
    #[error(transparent)]
    Gateway(#[from] StartFailed),
}

/// A gateway with an identity provider and look-alikes of JSM.
pub struct World {
    /// The gateway.
    pub app: App,
    /// The built-in provider, when it is used.
    pub provider: Option<OpenIdProvider>,
    /// The built-in SAML provider, when it is used.
    pub saml: Option<SamlProvider>,
    /// The look-alike of JSM Data Center.
    pub jsm: JsmDataCenter,
    /// The look-alike of JSM Cloud, furnished for the demo; it lets customers in by the gateway alone.
    pub cloud: CloudSite,
    /// What the look-alike of Data Center received, byte for byte.
    pub recorder: Option<Recorder>,
    /// The authority that vouches for every certificate here (PEM).
    pub authority_pem: String,
    /// The gateway's configuration, secrets included.
    pub config: String,
    servers: Vec<Server>,
}

impl World {
    /// Starts everything.
    ///
    /// # Errors
    /// When a port is taken, or something cannot be written.
    pub async fn start(settings: WorldSettings, random: Random) -> Result<Self, WorldFailed> {
        let clock = settings.clock.clone();
        let authority = DemoAuthority::load_or_generate(&settings.certificates, clock.now())?;
        authority.load_or_issue(&settings.certificates, "localhost", &["localhost", "127.0.0.1"])?;
        let jsm_certificate = authority.load_or_issue(&settings.certificates, "jsm", &["localhost", "127.0.0.1"])?;
        authority.load_or_issue(&settings.certificates, CLOUD_HOST, &[CLOUD_HOST])?;
        let mut servers = Vec::new();

        let jsm = JsmDataCenter::new(clock.clone(), random.clone())?;
        let recorder = (settings.recorded > 0).then(|| Recorder::keeping(settings.recorded));
        let tls = jsm_certificate.server_config()?;
        let cloud = CloudSite::start(Some(tls.clone()), None, clock.clone(), random.clone()).await?;
        cloud.furnish()?;
        let server = Server::start(jsm.router(), any_port(), Some(tls), recorder.clone()).await?;
        let jsm_url = format!("https://{}", server.addr());
        jsm.set_base_url(&jsm_url);
        servers.push(server);

        let (provider, issuer, oidc_lines) = match settings.provider {
            ProviderChoice::BuiltIn(people) => {
                let provider = OpenIdProvider::new(*people, clock.clone(), random.clone());
                let server = Server::start(provider.router(), any_port(), None, None).await?;
                let issuer = format!("http://localhost:{}", server.addr().port());
                provider.set_issuer(&issuer);
                servers.push(server);
                let client_secret = Secret::generated(random.token()?);
                let oidc_lines = format!("      client_secret: \"{}\"\n", client_secret.reveal());
                (Some((provider, client_secret)), issuer, oidc_lines)
            }
            ProviderChoice::External { issuer, oidc_lines } => (None, issuer, oidc_lines),
        };

        let saml = match settings.saml {
            Some(of_saml) => {
                Some(SamlSide::start(*of_saml, &settings.certificates, clock.clone(), random.clone()).await?)
            }
            None => None,
        };
        let saml_lines = saml.as_ref().map(|side| side.configuration(&settings.certificates)).transpose()?;
        let providers = if saml.is_some() { BOTH } else { PROVIDER };
        let domains = if saml.is_some() { "acme.example, globex.com" } else { "acme.example" };
        let certificates = settings.certificates.as_path();
        let lines = settings.cloud_lines.as_str();
        let at_cloud = CloudPortal { site: &cloud, certificates, providers, domains, lines }.configuration()?;
        let config = configuration(&Configuration {
            port: settings.port,
            admin_port: settings.admin_port,
            certificates: &absolute(&settings.certificates)?,
            state: &absolute(&settings.state)?,
            key: &format!("vk1_{}", random.token()?),
            issuer: &issuer,
            oidc_lines: &oidc_lines,
            saml_lines: saml_lines.as_deref().unwrap_or_default(),
            providers,
            domains,
            jsm_url: &jsm_url,
            jsm_token: jsm.service_token().reveal(),
            portal_lines: &settings.portal_lines,
            datacenter_lines: &settings.datacenter_lines,
            at_cloud: &at_cloud,
        });
        let checked = config::parse(&config, &settings.state, &ProcessEnvironment)?;
        let identity_provider = cloud::identity_provider(&checked);
        let app = App::start(checked, clock, random.clone()).await?;
        if let Some(settings) = &identity_provider {
            cloud::introduce(&cloud, settings, &app, random)?;
        }
        let origins = ["localhost", CLOUD_HOST].map(|host| format!("https://{host}:{}", app.https_address().port()));
        let provider = provider.map(|(provider, client_secret)| {
            let at_each = |path: &str| origins.iter().map(|origin| format!("{origin}{path}")).collect();
            provider.register(Client {
                id: CLIENT_ID.into(),
                authentication: ClientAuthentication::Secret(client_secret),
                redirect_uris: at_each(&format!("/.vestibule/oidc/{PROVIDER}/callback")),
                post_logout_redirect_uris: at_each("/.vestibule/signed-out"),
            });
            provider
        });
        let saml = saml.map(|side| {
            origins.iter().for_each(|origin| side.introduce(origin));
            servers.push(side.server);
            side.provider
        });
        let authority_pem = authority.certificate_pem().to_owned();
        Ok(Self { app, provider, saml, jsm, cloud, recorder, authority_pem, config, servers })
    }

    /// `https://localhost:PORT`.
    pub fn origin(&self) -> String {
        format!("https://localhost:{}", self.app.https_address().port())
    }

    /// `https://cloud.localhost:PORT`, where the portal in front of JSM Cloud is.
    pub fn cloud_origin(&self) -> String {
        format!("https://{CLOUD_HOST}:{}", self.app.https_address().port())
    }

    /// Lets requests in flight finish, then stops everything.
    pub async fn stop(self) {
        self.app.drain().await;
        self.cloud.stop().await;
        for server in self.servers {
            server.stop().await;
        }
    }
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn absolute(path: &Path) -> io::Result<String> {
    std::fs::create_dir_all(path)?;
    Ok(path.canonicalize()?.display().to_string())
}

struct Configuration<'a> {
    port: u16,
    admin_port: u16,
    certificates: &'a str,
    state: &'a str,
    key: &'a str,
    issuer: &'a str,
    oidc_lines: &'a str,
    saml_lines: &'a str,
    providers: &'a str,
    domains: &'a str,
    jsm_url: &'a str,
    jsm_token: &'a str,
    portal_lines: &'a str,
    datacenter_lines: &'a str,
    at_cloud: &'a str,
}

/// The demo's `gateway.yaml`: the real one, with everything on loopback.
fn configuration(with: &Configuration<'_>) -> String {
    let Configuration { port, admin_port, certificates, state, key, issuer, oidc_lines, saml_lines, .. } = with;
    let Configuration { providers, domains, jsm_url, jsm_token, portal_lines, datacenter_lines, at_cloud, .. } = with;
    format!(
        r#"version: 1
listen:
  https: "127.0.0.1:{port}"
  admin: "127.0.0.1:{admin_port}"
tls:
  certificates:
    - {{ cert: "{certificates}/localhost.pem", key: "{certificates}/localhost.key" }}
    - {{ cert: "{certificates}/{CLOUD_HOST}.pem", key: "{certificates}/{CLOUD_HOST}.key" }}
keys: ["{key}"]
session:
  store: {{ embedded: {{ path: "{state}/sessions.redb" }} }}
identity_providers:
  {PROVIDER}:
    oidc:
      issuer: "{issuer}"
      client_id: {CLIENT_ID}
{oidc_lines}      scopes: [openid, email, profile]
      sign_out_at_provider: true
    label: "Acme"
{saml_lines}portals:
  - host: localhost
    upstream: "{jsm_url}"
    upstream_ca: "{certificates}/demo-ca.pem"
    sign_in: {{ providers: [{providers}] }}
    admission:
      email_domains: {{ allow: [{domains}] }}
      blocked_people: [bob@acme.example]
      contact: "Ask the service desk: +1 555 0100"
    customer_session:
      datacenter:
        max_age: 1h
{datacenter_lines}    directory:
      site_token: {{ token: "{jsm_token}" }}
      create_customers: true
    rules:
      - {{ path: "/servicedesk/customer/kb/**", access: public }}
      - {{ path: "/s/**", access: public }}
      - {{ path: "/rest/servicedesk/1/customer/viewport-resources/**", access: public }}
      - {{ path: "/rest/api/**", access: deny }}
      - {{ path: "/secure/admin/**", access: deny }}
{portal_lines}{at_cloud}"#
    )
}
