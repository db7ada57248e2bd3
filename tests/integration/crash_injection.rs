//! `kill -9` of the real binary after every single call of the directory in a first sign-in: the call has done its work, and
//! its answer never arrives. The next sign-in ends in the same state, with no duplicate.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use http::header::AUTHORIZATION;
use reqwest::Client;
use tokio::sync::Notify;
use vestibule::clock::{Clock, Stopwatch};
use vestibule::demo::jsm_cloud::{self, JsmCloud};
use vestibule::demo::jsm_datacenter::JsmDataCenter;
use vestibule::demo::openid_provider::{self, ClientAuthentication, OpenIdProvider, Person, Settings};
use vestibule::demo::server::Server;
use vestibule::random::Random;
use vestibule::secret::Secret;
use vestibule::sign_in::settings::SigningAlgorithm;

use crate::child::{CLIENT_SECRET, Gateway, certificate, free_addresses};
use crate::harness::{KEY, location};

/// People at hand; a first sign-in makes fewer calls than that.
const PEOPLE: usize = 32;
const START: &str = "/servicedesk/customer/portals";

fn email(person: usize) -> String {
    format!("pat@team{person}.example")
}

/// Holds the answer to one call of the service account, counted from when it was set.
#[derive(Debug, Default)]
struct Trap {
    calls: AtomicUsize,
    /// At which call, from 1; 0 for none.
    at: AtomicUsize,
    sprung: Notify,
}

impl Trap {
    fn set(&self, at: usize) {
        self.calls.store(0, Ordering::SeqCst);
        self.at.store(at, Ordering::SeqCst);
    }
}

async fn trap(State(trap): State<Arc<Trap>>, request: Request, next: Next) -> Response {
    // Only the directory has the credentials of the service account.
    if !request.headers().contains_key(AUTHORIZATION) {
        return next.run(request).await;
    }
    let number = trap.calls.fetch_add(1, Ordering::SeqCst) + 1;
    let answer = next.run(request).await;
    if number == trap.at.load(Ordering::SeqCst) {
        trap.sprung.notify_one();
        return std::future::pending().await;
    }
    answer
}

/// The look-alike of one product.
enum Site {
    DataCenter(JsmDataCenter),
    Cloud(JsmCloud),
}

impl Site {
    fn router(&self) -> Router {
        match self {
            Self::DataCenter(jsm) => jsm.router(),
            Self::Cloud(jsm) => jsm.router(),
        }
    }

    fn is_at(&self, url: &str) {
        match self {
            Self::DataCenter(jsm) => jsm.set_base_url(url),
            Self::Cloud(jsm) => jsm.set_base_url(url),
        }
    }

    /// The portal's `customer_session`, and the account of its `directory`.
    fn lines(&self) -> (&'static str, String) {
        match self {
            Self::DataCenter(jsm) => {
                let token = jsm.service_token().reveal().to_owned();
                ("{ datacenter: { managed_group: vestibule-managed } }", format!("{{ token: \"{token}\" }}"))
            }
            Self::Cloud(jsm) => {
                let (user, token) = (jsm_cloud::SERVICE_ACCOUNT, jsm.service_token().unwrap());
                ("{ redirect: { product: cloud } }", format!("{{ user: \"{user}\", token: \"{}\" }}", token.reveal()))
            }
        }
    }

    /// What the site has of a person, in words that are the same for everybody in the same state.
    fn state(&self, person: usize) -> String {
        let email = email(person);
        let told = match self {
            Self::DataCenter(jsm) => {
                let accounts: Vec<_> = jsm.users().into_iter().filter(|user| user.email == email).collect();
                let accounts: Vec<_> =
                    accounts.into_iter().map(|user| (user.username, user.display_name, user.groups)).collect();
                let (made, desk) = (jsm.customers_created(&email), jsm.is_member("10", &email));
                format!("{accounts:?} made {made} desk {desk} {:?}", jsm.organizations_of(&email))
            }
            Self::Cloud(jsm) => {
                let accounts = jsm.accounts().into_iter().filter(|account| account.email == email);
                let accounts: Vec<_> = accounts.map(|account| account.display_name).collect();
                let id = jsm.customer(&email).unwrap().account_id;
                let (made, desk) = (jsm.customers_created(&email), jsm.is_member("10", &id));
                format!("{accounts:?} made {made} desk {desk} {:?}", jsm.organizations_of(&id))
            }
        };
        told.replace(&format!("team{person}."), "team.").replace(&format!("Team {person}\""), "Team\"")
    }

    /// Every organization of the site, by name.
    async fn organizations(&self, base: &str) -> Vec<String> {
        match self {
            Self::Cloud(jsm) => jsm.organizations(),
            Self::DataCenter(jsm) => {
                let url = format!("{base}/rest/servicedeskapi/organization?limit=100");
                let call = Client::new().get(url).bearer_auth(jsm.service_token().reveal());
                let call = call.header("x-experimentalapi", "opt-in");
                let page: serde_json::Value = call.send().await.unwrap().json().await.unwrap();
                let named = page["values"].as_array().unwrap().iter();
                named.map(|one| one["name"].as_str().unwrap().to_owned()).collect()
            }
        }
    }
}

struct World {
    site: Site,
    base: String,
    trap: Arc<Trap>,
    provider: OpenIdProvider,
    folder: tempfile::TempDir,
    ca: reqwest::Certificate,
    https: SocketAddr,
    _servers: [Server; 2],
}

impl World {
    async fn start(site: Site) -> Self {
        let people = (0..PEOPLE).map(|n| Person::new(&format!("sub-{n}"), "Pat", &email(n))).collect();
        let settings = Settings { people, algorithm: SigningAlgorithm::Es256, ..Settings::default() };
        let provider = OpenIdProvider::new(settings.approve_by_login_hint(), Clock::System, Random::default());
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let idp = Server::start(provider.router(), any, None, None).await.unwrap();
        provider.set_issuer(&format!("http://localhost:{}", idp.addr().port()));
        let trapped = Arc::<Trap>::default();
        let router = site.router().layer(from_fn_with_state(Arc::clone(&trapped), trap));
        let server = Server::start(router, any, None, None).await.unwrap();
        let base = format!("http://{}", server.addr());
        site.is_at(&base);
        let folder = tempfile::tempdir().unwrap();
        let (cert, _) = certificate(folder.path(), "site");
        let ca = reqwest::Certificate::from_pem(&std::fs::read(cert).unwrap()).unwrap();
        let [https] = free_addresses();
        Self { site, base, trap: trapped, provider, folder, ca, https, _servers: [idp, server] }
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("gateway.yaml")
    }

    fn origin(&self) -> String {
        format!("https://localhost:{}", self.https.port())
    }

    /// Starts the gateway, on another port when somebody took its own meanwhile, and waits until it has looked at the
    /// service account.
    async fn run(&mut self) -> Gateway {
        let (customer_session, account) = self.site.lines();
        let teams: String = (0..PEOPLE)
            .map(|n| format!("        - {{ email_domain: team{n}.example, organization: \"Team {n}\" }}\n"))
            .collect();
        for _ in 0..10 {
            let text = format!(
                "version: 1\nlisten: {{ https: \"{https}\" }}\n\
                 tls: {{ certificates: [ {{ cert: site.pem, key: site.key }} ] }}\nkeys: [ {KEY} ]\n\
                 session: {{ store: {{ embedded: {{ path: sessions.redb }} }} }}\n\
                 identity_providers:\n  acme:\n    label: Acme\n    \
                 oidc: {{ issuer: \"{issuer}\", client_id: vestibule, client_secret: {CLIENT_SECRET} }}\n\
                 portals:\n  - host: localhost\n    upstream: \"{base}\"\n    sign_in: {{ providers: [acme] }}\n    \
                 customer_session: {customer_session}\n    \
                 directory:\n      site_token: {account}\n      service_desks: [\"10\"]\n      \
                 organizations:\n        - {{ organization: Everybody }}\n{teams}",
                https = self.https,
                issuer = self.provider.issuer(),
                base = self.base,
            );
            std::fs::write(self.config(), text).unwrap();
            self.provider.register(openid_provider::Client {
                id: "vestibule".into(),
                authentication: ClientAuthentication::Secret(Secret::generated(CLIENT_SECRET)),
                redirect_uris: vec![format!("{}/.vestibule/oidc/acme/callback", self.origin())],
                post_logout_redirect_uris: vec![],
            });
            match Gateway::start(&self.config(), 1).await {
                Ok(gateway) => {
                    gateway.wait_for_log("the service user can do its work").await;
                    return gateway;
                }
                Err(said) => assert!(said.contains("cannot listen"), "{said}"),
            }
            [self.https] = free_addresses();
        }
        panic!("no port stays free");
    }

    /// Signs somebody in with a new browser, up to the first page; `None` when the gateway was gone before.
    async fn sign_in(&self, person: usize) -> Option<u16> {
        let browser = Client::builder()
            .no_proxy()
            .cookie_store(true)
            .redirect(reqwest::redirect::Policy::none())
            .tls_built_in_root_certs(false)
            .add_root_certificate(self.ca.clone())
            .build()
            .unwrap();
        let navigate = |url: String| {
            let request = browser.get(url).header("accept", "text/html");
            request.header("sec-fetch-mode", "navigate").header("sec-fetch-dest", "document").send()
        };
        let stopped = navigate(format!("{}{START}", self.origin())).await.ok()?;
        let hint = format!("{}&login_hint={}", location(&stopped), email(person));
        let approved = browser.get(hint).send().await.ok()?;
        let returned = navigate(location(&approved)).await.ok()?;
        assert_eq!((returned.status().as_u16(), location(&returned).as_str()), (303, START));
        Some(navigate(format!("{}{START}", self.origin())).await.ok()?.status().as_u16())
    }
}

async fn crash_after_every_call(site: Site) {
    let watch = Stopwatch::start();
    let mut world = World::start(site).await;
    // The first of all makes what is everybody's; the second is the measure.
    let mut gateway = world.run().await;
    assert_eq!(world.sign_in(0).await, Some(200));
    gateway.kill_9().await;
    gateway = world.run().await;
    world.trap.set(0);
    assert_eq!(world.sign_in(1).await, Some(200));
    let (calls, expected) = (world.trap.calls.load(Ordering::SeqCst), world.site.state(1));
    assert!((7..PEOPLE - 1).contains(&calls), "{calls} calls");
    assert!(expected.contains("made 1 desk true") && expected.contains("Everybody"), "{expected}");
    for at in 1..=calls {
        // A new process each time: nothing is remembered, so that all calls are made.
        gateway.kill_9().await;
        gateway = world.run().await;
        let person = at + 1;
        world.trap.set(at);
        tokio::select! {
            outcome = world.sign_in(person) => panic!("call {at} of {calls} never came: {outcome:?}"),
            () = world.trap.sprung.notified() => {}
        }
        gateway.kill_9().await;
        world.trap.set(0);
        gateway = world.run().await;
        assert_eq!(world.sign_in(person).await, Some(200), "after call {at} of {calls}");
        assert_eq!(world.site.state(person), expected, "after call {at} of {calls}");
    }
    let mut named = world.site.organizations(&world.base).await;
    named.sort();
    let all = named.len();
    named.dedup();
    assert_eq!((all, named.len()), (calls + 3, calls + 3), "one for everybody, and one for each: {named:?}");
    println!("{calls} calls, {} processes killed, {} ms: {expected}", 2 * calls, watch.elapsed().as_millis());
    gateway.kill_9().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_after_any_call_of_a_first_sign_in_leaves_no_duplicate_at_data_center() {
    crash_after_every_call(Site::DataCenter(JsmDataCenter::new(Clock::System, Random::default()).unwrap())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_after_any_call_of_a_first_sign_in_leaves_no_duplicate_at_cloud() {
    crash_after_every_call(Site::Cloud(JsmCloud::new(Clock::System, Random::default()).unwrap())).await;
}
