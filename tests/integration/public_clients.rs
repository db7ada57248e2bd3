//! Public JSM clients that we did not write, against both look-alikes: npm's `jira.js` and PyPI's `atlassian-python-api`.
//! What they do not stumble over, our own directory has no excuse for; and the contract watches every call of theirs.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::process::Command;
use tokio::time::timeout;
use vestibule::clock::Clock;
use vestibule::demo::jsm_cloud::{self, JsmCloud, MANAGE_CUSTOMERS, READ_REQUESTS, WRITE_REQUESTS};
use vestibule::demo::jsm_datacenter::{self, JsmDataCenter};
use vestibule::demo::server::Server;
use vestibule::random::Random;
use vestibule::secret::Secret;

use crate::contract::{Contract, Product};

const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy)]
enum Client {
    JiraJs,
    AtlassianPythonApi,
}

impl Client {
    /// Runs the client to its end.
    async fn run(self, product: &str, url: &str, user: &str, token: &Secret) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
        let (program, script) = match self {
            Self::JiraJs => {
                assert!(folder.join("node_modules/jira.js").is_dir(), "jira.js is missing: run scripts/jsm-clients");
                (PathBuf::from("node"), "jira.mjs")
            }
            Self::AtlassianPythonApi => (python(), "service_desk.py"),
        };
        let mut command = Command::new(program);
        command.arg(folder.join(script)).args([product, url, user, token.reveal()]).kill_on_drop(true);
        for proxy in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
            command.env_remove(proxy);
        }
        let ended = timeout(PATIENCE, command.output()).await.expect("the client ends").expect("the client starts");
        let Output { status, stdout, stderr } = ended;
        let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert!(status.success(), "{script} against {product}: {out}\n{err}");
    }
}

/// The Python of the virtual environment: below cargo's target folder, as `scripts/jsm-clients` makes it.
fn python() -> PathBuf {
    let binary = std::env::current_exe().unwrap(); // TARGET/debug/deps/integration-..
    let python = binary.ancestors().nth(3).unwrap().join("jsm-clients/bin/python");
    assert!(python.is_file(), "{} is missing: run scripts/jsm-clients", python.display());
    python
}

async fn serve(router: Router, contract: Option<&Arc<Contract>>) -> (Server, String) {
    let router = contract.map_or(router.clone(), |contract| contract.hold(router));
    let server = Server::start(router, SocketAddr::from(([127, 0, 0, 1], 0)), None, None).await.unwrap();
    let url = format!("http://{}", server.addr());
    (server, url)
}

fn kept(contract: Option<&Arc<Contract>>, at_least: usize) {
    let Some(contract) = contract else { return };
    assert_eq!(contract.faults(), Vec::<String>::new());
    let walked = contract.walked();
    assert!(walked.len() >= at_least && walked.is_subset(&contract.documented()), "{walked:#?}");
}

async fn against_cloud(client: Client, at_least: usize) -> JsmCloud {
    let contract = Contract::load(Product::Cloud);
    let jsm = JsmCloud::new(Clock::System, Random::default()).unwrap();
    let (_site, url) = serve(jsm.router(), contract.as_ref()).await;
    jsm.set_base_url(&url);
    let token = jsm.service_token().unwrap();
    client.run("cloud", &url, jsm_cloud::SERVICE_ACCOUNT, &token).await;
    kept(contract.as_ref(), at_least);
    jsm
}

async fn against_datacenter(client: Client, at_least: usize) -> JsmDataCenter {
    let contract = Contract::load(Product::DataCenter);
    let jsm = JsmDataCenter::new(Clock::System, Random::default()).unwrap();
    let (_site, url) = serve(jsm.router(), contract.as_ref()).await;
    jsm.set_base_url(&url);
    let token = match client {
        Client::JiraJs => jsm.service_password(), // it knows Basic only
        Client::AtlassianPythonApi => jsm.service_token(),
    };
    client.run("datacenter", &url, jsm_datacenter::SERVICE_ACCOUNT, token).await;
    kept(contract.as_ref(), at_least);
    jsm
}

#[tokio::test(flavor = "multi_thread")]
async fn jira_js_works_the_cloud_look_alike() {
    let jsm = against_cloud(Client::JiraJs, 25).await;
    let ada = jsm.customer("ada@clients.example").unwrap();
    assert_eq!(jsm.organizations_of(&ada.account_id), ["Clients A"]);
    assert_eq!((jsm.is_member("10", &ada.account_id), jsm.requests_of("ada@clients.example").len()), (true, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn jira_js_works_the_cloud_look_alike_by_a_scoped_token_on_the_api_host() {
    let contract = Contract::load(Product::Cloud);
    let jsm = JsmCloud::new(Clock::System, Random::default()).unwrap();
    let (_site, url) = serve(jsm.router(), contract.as_ref()).await;
    let (_beside, beside) = serve(jsm.beside_router(), contract.as_ref()).await;
    jsm.set_base_url(&url);
    jsm.set_atlassian_url(&beside);
    let scopes = [MANAGE_CUSTOMERS, READ_REQUESTS, WRITE_REQUESTS];
    let token = jsm.make_scoped_token(&jsm.service_account(), &scopes).unwrap();
    let api = jsm.api_url().unwrap();
    Client::JiraJs.run("cloud", &api, jsm_cloud::SERVICE_ACCOUNT, &token).await;
    kept(contract.as_ref(), 25);
}

#[tokio::test(flavor = "multi_thread")]
async fn jira_js_works_the_data_center_look_alike() {
    let jsm = against_datacenter(Client::JiraJs, 12).await;
    assert!(jsm.is_member("10", "carla@example.com") && !jsm.is_member("10", "cleo@example.com"));
    assert_eq!(jsm.requests_of(jsm_datacenter::SERVICE_ACCOUNT).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn atlassian_python_api_works_the_cloud_look_alike() {
    let jsm = against_cloud(Client::AtlassianPythonApi, 20).await;
    let dan = jsm.customer("dan@clients.example").unwrap();
    assert!(jsm.is_member("10", &dan.account_id) && jsm.organizations().is_empty());
    assert_eq!(jsm.requests_of("dan@clients.example")[0].attachments.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn atlassian_python_api_works_the_data_center_look_alike() {
    let jsm = against_datacenter(Client::AtlassianPythonApi, 15).await;
    assert!(jsm.is_member("10", "dan@clients.example") && jsm.organizations_of("dan@clients.example").is_empty());
}
