//! Two companies with an identity provider each on one portal: each sees its own organization's requests, and nobody gets
//! at another's by what their provider says.

use std::net::SocketAddr;

use reqwest::{Client, Response};
use tokio::net::TcpListener;
use vestibule::app::App;
use vestibule::clock::Clock;
use vestibule::config;
use vestibule::demo::jsm_datacenter::JsmDataCenter;
use vestibule::demo::openid_provider::{self, ClientAuthentication, OpenIdProvider, Person, Settings};
use vestibule::demo::server::Server;
use vestibule::random::Random;
use vestibule::secret::Secret;

use crate::harness::{AbortOnDrop, KEY, location, navigate, write_certificate};

const REQUESTS: &str = "/rest/servicedeskapi/request?requestOwnership=ALL_REQUESTS";
const PORTAL: &str = "/servicedesk/customer/portal/10";

struct Company {
    name: &'static str,
    provider: OpenIdProvider,
    _task: AbortOnDrop,
}

async fn company(name: &'static str, people: Vec<Person>) -> Company {
    let settings = Settings { people, ..Settings::default() }.approve_by_login_hint();
    let provider = OpenIdProvider::new(settings, Clock::System, Random::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    provider.set_issuer(&format!("http://localhost:{}", listener.local_addr().unwrap().port()));
    let router = provider.router();
    let task = tokio::spawn(async move {
        let _ = axum::serve(listener, router).await;
    });
    Company { name, provider, _task: AbortOnDrop::of(task) }
}

struct Stage {
    app: App,
    jsm: JsmDataCenter,
    companies: Vec<Company>,
    ca: rustls_pki_types::CertificateDer<'static>,
    _folder: tempfile::TempDir,
    _server: Server,
}

impl Stage {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = write_certificate(folder.path().to_path_buf());
        let jsm = JsmDataCenter::new(Clock::System, Random::default()).unwrap();
        let server = Server::start(jsm.router(), SocketAddr::from(([127, 0, 0, 1], 0)), None, None).await.unwrap();
        let upstream = format!("http://{}", server.addr());
        jsm.set_base_url(&upstream);
        let in_groups = |mut person: Person, groups: &[&str]| {
            person.groups = groups.iter().map(|group| (*group).to_owned()).collect();
            person
        };
        let acme = vec![
            Person::new("ana", "Ana Lima", "ana@acme.com"),
            Person::new("ben", "Ben Bell", "ben@acme.com"),
            // Acme's provider also says this, by mistake or by malice.
            Person::new("spy", "Spy", "gil@globex.com"),
            in_groups(Person::new("cuckoo", "Cuckoo", "cuckoo@acme.com"), &["org-Globex"]),
        ];
        let globex =
            vec![Person::new("gil", "Gil Gold", "gil@globex.com"), Person::new("gwen", "Gwen", "gwen@globex.com")];
        // Providers that may speak for whomever no other lists, and people who say that they are others.
        let partner =
            vec![Person::new("mallory", "Mallory", "ana@acme.com"), Person::new("pia", "Pia", "pia@partner.test")];
        let freelance = vec![Person::new("otto", "Otto", "pia@partner.test")];
        let companies = vec![
            company("acme", acme).await,
            company("globex", globex).await,
            company("partner", partner).await,
            company("freelance", freelance).await,
        ];
        let domains = |name: &str| match name {
            "partner" | "freelance" => String::new(),
            name => format!("    email_domains: [{name}.com]\n"),
        };
        let providers: String = companies
            .iter()
            .map(|company| {
                format!(
                    "  {0}:\n    label: {0}\n{1}    oidc:\n      issuer: \"{2}\"\n      client_id: vestibule\n      \
                     client_secret: secret\n      scopes: [openid, email, profile, groups]\n",
                    company.name,
                    domains(company.name),
                    company.provider.issuer()
                )
            })
            .collect();
        let text = format!(
            "version: 1\nlisten: {{ https: \"127.0.0.1:0\", admin: \"127.0.0.1:0\" }}\n\
             tls: {{ certificates: [ {{ cert: cert.pem, key: key.pem }} ] }}\nkeys: [ {KEY} ]\n\
             session: {{ store: {{ embedded: {{ path: sessions.redb }} }} }}\nidentity_providers:\n{providers}\
             portals:\n  - host: localhost\n    upstream: \"{upstream}\"\n    \
             sign_in: {{ providers: [acme, globex, partner, freelance], choose: list }}\n    customer_session: datacenter\n    \
             directory:\n      site_token: {{ token: \"{token}\" }}\n      service_desks: [\"10\"]\n      organizations:\n        \
             - {{ email_domain: acme.com, organization: Acme }}\n        \
             - {{ email_domain: globex.com, organization: Globex }}\n        \
             - {{ each_of: groups, matching: \"org-(.+)\", organization: \"$1\" }}\n",
            token = jsm.service_token().reveal(),
        );
        let parsed = config::parse(&text, folder.path(), &config::ProcessEnvironment);
        let app = App::start(parsed.unwrap_or_else(|faults| panic!("{faults}")), Clock::System, Random::default());
        let app = app.await.unwrap();
        for company in &companies {
            company.provider.register(openid_provider::Client {
                id: "vestibule".into(),
                authentication: ClientAuthentication::Secret(Secret::generated("secret")),
                redirect_uris: vec![format!(
                    "https://localhost:{}/.vestibule/oidc/{}/callback",
                    app.https_address().port(),
                    company.name
                )],
                post_logout_redirect_uris: vec![],
            });
        }
        Self { app, jsm, companies, ca, _folder: folder, _server: server }
    }

    fn origin(&self) -> String {
        format!("https://localhost:{}", self.app.https_address().port())
    }

    /// Signs somebody in at a company's provider, up to the answer of the gateway's callback.
    async fn come(&self, company: &str, person: &str) -> (Client, Response) {
        assert!(self.companies.iter().any(|known| known.name == company));
        let browser = Client::builder()
            .no_proxy()
            .cookie_store(true)
            .redirect(reqwest::redirect::Policy::none())
            .add_root_certificate(reqwest::Certificate::from_der(&self.ca).unwrap())
            .build()
            .unwrap();
        let list = navigate(&browser, &format!("{}{PORTAL}", self.origin())).await.text().await.unwrap();
        let transaction = list.split("name=\"transaction\" value=\"").nth(1).unwrap().split('"').next().unwrap();
        let go_on = browser
            .post(format!("{}/.vestibule/sign-in", self.origin()))
            .header("origin", self.origin())
            .form(&[("transaction", transaction), ("provider", company)])
            .send()
            .await
            .unwrap();
        let page = go_on.text().await.unwrap();
        let provider = page.split("class=\"action main\" href=\"").nth(1).unwrap().split('"').next().unwrap();
        let provider = provider.replace("&#38;", "&").replace("&amp;", "&");
        let approved = browser.get(format!("{provider}&login_hint={person}")).send().await.unwrap();
        let returned = navigate(&browser, &location(&approved)).await;
        (browser, returned)
    }

    async fn sign_in(&self, company: &str, person: &str) -> Client {
        let (browser, returned) = self.come(company, person).await;
        assert_eq!(returned.status(), 303, "{}", returned.text().await.unwrap());
        browser
    }

    async fn raise(&self, browser: &Client, summary: &str) -> String {
        let body = serde_json::json!({
            "serviceDeskId": "10", "requestTypeId": "101",
            "requestFieldValues": { "summary": summary, "description": "x" },
        });
        let raised = browser
            .post(format!("{}/rest/servicedeskapi/request", self.origin()))
            .header("origin", self.origin())
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        let status = raised.status();
        let answer: serde_json::Value = serde_json::from_str(&raised.text().await.unwrap()).unwrap();
        assert!(status.is_success(), "{answer}");
        answer["issueKey"].as_str().unwrap().to_owned()
    }

    /// The summaries of all requests that somebody may see, sorted.
    async fn sees(&self, browser: &Client) -> Vec<String> {
        let listed = browser.get(format!("{}{REQUESTS}", self.origin())).send().await.unwrap().text().await.unwrap();
        let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
        let summary =
            |request: &serde_json::Value| request["requestFieldValues"][0]["value"].as_str().unwrap().to_owned();
        let mut summaries: Vec<String> = listed["values"].as_array().unwrap().iter().map(summary).collect();
        summaries.sort();
        summaries
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_company_sees_its_own_requests() {
    let stage = Stage::start().await;
    let (ana, ben) = (stage.sign_in("acme", "ana").await, stage.sign_in("acme", "ben").await);
    let (gil, gwen) = (stage.sign_in("globex", "gil").await, stage.sign_in("globex", "gwen").await);
    let of_ana = stage.raise(&ana, "acme's printer").await;
    stage.raise(&gil, "globex's laser").await;
    for (browser, expected) in
        [(&ana, "acme's printer"), (&ben, "acme's printer"), (&gil, "globex's laser"), (&gwen, "globex's laser")]
    {
        assert_eq!(stage.sees(browser).await, [expected]);
    }
    let page = |browser: &Client| navigate_owned(browser.clone(), format!("{}{PORTAL}/{of_ana}", stage.origin()));
    assert_eq!(page(&ben).await.status(), 200);
    assert_eq!(page(&gwen).await.status(), 404, "another company does not learn that it exists");
    assert_eq!(stage.jsm.organizations_of("ana@acme.com"), ["Acme"]);
    assert_eq!(stage.jsm.organizations_of("gwen@globex.com"), ["Globex"]);
}

async fn navigate_owned(browser: Client, url: String) -> Response {
    navigate(&browser, &url).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_provider_puts_anybody_in_the_place_of_anothers_customer() {
    let stage = Stage::start().await;
    let (ana, gil) = (stage.sign_in("acme", "ana").await, stage.sign_in("globex", "gil").await);
    stage.raise(&ana, "acme's printer").await;
    stage.raise(&gil, "globex's laser").await;
    // A provider that speaks for a domain which is not its own.
    let (_, refused) = stage.come("acme", "spy").await;
    assert_eq!(refused.status(), 403);
    // One that lists none does not speak for what others list.
    let (_, refused) = stage.come("partner", "mallory").await;
    assert_eq!(refused.status(), 403);
    // For what nobody lists, the first to come with an address has the account.
    let pia = stage.sign_in("partner", "pia").await;
    assert!(stage.sees(&pia).await.is_empty());
    let otto = stage.sign_in("freelance", "otto").await;
    let refused = navigate(&otto, &format!("{}{PORTAL}", stage.origin())).await;
    assert_eq!(refused.status(), 403);
    let page = refused.text().await.unwrap();
    assert!(page.contains("This customer account belongs to another sign-in"), "{page}");
    let list = otto.get(format!("{}{REQUESTS}", stage.origin())).send().await.unwrap();
    assert_eq!(list.status(), 403);
    assert!(list.text().await.unwrap().contains("account_bound_to_another"));
    // A provider that puts its people into another company's organization.
    let cuckoo = stage.sign_in("acme", "cuckoo").await;
    assert_eq!(stage.sees(&cuckoo).await, ["acme's printer"]);
    assert_eq!(stage.jsm.organizations_of("cuckoo@acme.com"), ["Acme"]);
    // The owners have noticed nothing.
    assert_eq!(stage.sees(&ana).await, ["acme's printer"]);
    assert_eq!(stage.sees(&gil).await, ["globex's laser"]);
    assert_eq!(stage.jsm.customers_created("ana@acme.com"), 1);
    assert_eq!(stage.jsm.customers_created("pia@partner.test"), 1);
    let metrics = String::from_utf8(stage.app.metrics().encode().unwrap()).unwrap();
    let counted = "vestibule_customer_provisioning_total{portal=\"localhost\",result=\"takeover_refused\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
}
