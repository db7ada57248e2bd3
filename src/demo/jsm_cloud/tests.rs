mod contract;
mod directory;
mod login;
mod portal;
mod single_sign_on;

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, StatusCode};
use reqwest::header::{COOKIE, SET_COOKIE};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};

use super::*;
use crate::demo::certificates::DemoAuthority;
use crate::demo::contract::{Contract, Product};
use crate::demo::server::Server;

const CARLA: &str = "carla@example.com";
const CHEN: &str = "chen@example.com";
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64)";
const V1: &str = "/jsd-login/v1/authentication/authenticate";
const API: &str = "/rest/servicedeskapi";

/// A site and the host beside it, on real sockets with TLS and held to the contract, and a client that follows nothing and
/// keeps nothing.
struct Site {
    contract: Option<Arc<Contract>>,
    jsm: JsmCloud,
    clock: Clock,
    client: Client,
    base: String,
    beside: String,
    token: Secret,
    _servers: [Server; 2],
}

/// The cookies of a session, as one `Cookie` line, and what is in them.
struct Cookies {
    line: String,
    xsrf: String,
    token: String,
}

impl Site {
    async fn start() -> Self {
        Self::start_at(Timestamp::from_seconds(1_800_000_000)).await
    }

    async fn start_at(now: Timestamp) -> Self {
        let authority = DemoAuthority::generate(Clock::System.now()).unwrap();
        let names = ["acme.jsm.internal", "api.jsm.internal"];
        let tls = authority.issue(&names).unwrap().server_config().unwrap();
        let clock = Clock::manual(now);
        let jsm = JsmCloud::new(clock.clone(), Random::default()).unwrap();
        let bind = SocketAddr::from(([127, 0, 0, 1], 0));
        let contract = Contract::load(Product::Cloud);
        let hold = |router: &Router| {
            contract.as_ref().map_or_else(|| router.clone(), |contract| contract.hold(router.clone()))
        };
        let server = Server::start(hold(&jsm.router()), bind, Some(tls.clone()), None).await.unwrap();
        let beside_server = Server::start(hold(&jsm.beside_router()), bind, Some(tls), None).await.unwrap();
        let [base, beside] = [(names[0], &server), (names[1], &beside_server)]
            .map(|(name, server)| format!("https://{name}:{}", server.addr().port()));
        jsm.set_base_url(&base);
        jsm.set_atlassian_url(&beside);
        let client = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .tls_built_in_root_certs(false)
            .add_root_certificate(reqwest::Certificate::from_pem(authority.certificate_pem().as_bytes()).unwrap())
            .resolve(names[0], server.addr())
            .resolve(names[1], beside_server.addr())
            .build()
            .unwrap();
        let token = jsm.service_token().unwrap();
        Self { contract, jsm, clock, client, base, beside, token, _servers: [server, beside_server] }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.url(path))
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(self.url(path))
    }

    /// A call of the service account below `/rest/servicedeskapi`.
    fn admin(&self, method: Method, path: &str) -> RequestBuilder {
        let call = self.client.request(method, self.url(&format!("{API}{path}")));
        call.basic_auth(SERVICE_ACCOUNT, Some(self.token.reveal())).header("x-experimentalapi", "opt-in")
    }

    async fn log_in(&self, email: &str, password: &str) -> Response {
        self.post(V1).json(&json!({"email": email, "password": password})).send().await.unwrap()
    }

    async fn session(&self, email: &str) -> Cookies {
        let answer = self.log_in(email, SEED_PASSWORD).await;
        assert_eq!(answer.status(), StatusCode::OK);
        cookies_of(&answer)
    }

    async fn opens(&self, cookies: &Cookies) -> bool {
        let body = json!({"models": ["user"], "context": {"clientBasePath": self.url("/servicedesk/customer")}});
        let call = self.post("/rest/servicedesk/1/customer/models").header(COOKIE, &cookies.line).json(&body);
        call.send().await.unwrap().status() == StatusCode::OK
    }

    fn id_of(&self, email: &str) -> String {
        self.jsm.customer(email).unwrap().account_id
    }
}

fn set_cookies(answer: &Response) -> Vec<String> {
    answer.headers().get_all(SET_COOKIE).into_iter().map(|line| line.to_str().unwrap().to_owned()).collect()
}

fn cookies_of(answer: &Response) -> Cookies {
    let set = set_cookies(answer);
    let pairs: Vec<&str> = set.iter().map(|line| line.split(';').next().unwrap()).collect();
    let value = |name: &str| pairs.iter().find_map(|pair| pair.strip_prefix(name)).unwrap_or_default().to_owned();
    let (xsrf, token) = (value("atlassian.xsrf.token="), value("customer.account.session.token="));
    Cookies { line: pairs.join("; "), xsrf, token }
}

fn claims_of(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

async fn json_of(answer: Response) -> Value {
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

async fn status_of(call: RequestBuilder) -> u16 {
    call.send().await.unwrap().status().as_u16()
}
