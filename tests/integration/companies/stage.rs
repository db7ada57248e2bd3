//! Several companies with a provider of their own each, on one portal, in front of either product.

use std::path::Path;

use reqwest::{Client, Response};
use tokio::net::TcpListener;
use vestibule::app::App;
use vestibule::clock::Clock;
use vestibule::config;
use vestibule::demo::openid_provider::{self, ClientAuthentication, OpenIdProvider, Person, Settings};
use vestibule::random::Random;
use vestibule::secret::Secret;

use crate::harness::{AbortOnDrop, KEY, location, navigate, write_certificate};

const REQUESTS: &str = "/rest/servicedeskapi/request?requestOwnership=ALL_REQUESTS";

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

/// The site behind the portal, as the configuration and its requests name it.
pub struct Site {
    /// Its address.
    pub upstream: String,
    /// `customer_session` and what `directory` begins with, indented as a portal's lines are; `{folder}` stands for a folder
    /// with a key of the gateway's.
    pub lines: String,
    /// A service desk and a kind of request there.
    pub desk: (&'static str, &'static str),
}

/// A gateway with Acme and Globex, which list their domains, and two providers that may speak for whomever nobody lists.
pub struct Stage {
    pub app: App,
    _folder: tempfile::TempDir,
    site: Site,
    companies: Vec<Company>,
    ca: rustls_pki_types::CertificateDer<'static>,
}

impl Stage {
    /// `directory_lines` go below `directory`.
    pub async fn start(site: Site, directory_lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = write_certificate(folder.path().to_path_buf());
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
        let text = configuration(&site, &companies, directory_lines, folder.path());
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
        Self { app, _folder: folder, site, companies, ca }
    }

    pub fn origin(&self) -> String {
        format!("https://localhost:{}", self.app.https_address().port())
    }

    pub fn portal(&self) -> String {
        format!("/servicedesk/customer/portal/{}", self.site.desk.0)
    }

    pub fn browser(&self) -> Client {
        Client::builder()
            .no_proxy()
            .cookie_store(true)
            .redirect(reqwest::redirect::Policy::none())
            .add_root_certificate(reqwest::Certificate::from_der(&self.ca).unwrap())
            .build()
            .unwrap()
    }

    pub async fn open(&self, browser: &Client, path: &str) -> Response {
        navigate(browser, &format!("{}{path}", self.origin())).await
    }

    /// Has a company's provider say this of the next person whom it signs in.
    pub fn says(&self, company: &str, claim: &'static str, value: serde_json::Value) {
        let provider = &self.companies.iter().find(|known| known.name == company).unwrap().provider;
        provider.alter_next_id_token(move |parts| {
            parts.claims.insert(claim.to_owned(), value);
        });
    }

    /// Signs somebody in at a company's provider, up to the answer of the gateway's callback.
    pub async fn come(&self, company: &str, person: &str) -> (Client, Response) {
        assert!(self.companies.iter().any(|known| known.name == company));
        let browser = self.browser();
        let list = self.open(&browser, &self.portal()).await.text().await.unwrap();
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

    pub async fn sign_in(&self, company: &str, person: &str) -> Client {
        let (browser, returned) = self.come(company, person).await;
        assert_eq!(returned.status(), 303, "{}", returned.text().await.unwrap());
        browser
    }

    pub async fn raise(&self, browser: &Client, summary: &str) -> String {
        let (desk, kind) = self.site.desk;
        let body = serde_json::json!({
            "serviceDeskId": desk, "requestTypeId": kind,
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

    /// The summaries of all requests that somebody may see, sorted; or why they see none.
    pub async fn tries_to_see(&self, browser: &Client) -> Result<Vec<String>, String> {
        let listed = browser.get(format!("{}{REQUESTS}", self.origin())).send().await.unwrap();
        let status = listed.status();
        let listed: serde_json::Value = serde_json::from_str(&listed.text().await.unwrap()).unwrap();
        if !status.is_success() {
            return Err(listed["error"].as_str().unwrap().to_owned());
        }
        let summary =
            |request: &serde_json::Value| request["requestFieldValues"][0]["value"].as_str().unwrap().to_owned();
        let mut summaries: Vec<String> = listed["values"].as_array().unwrap().iter().map(summary).collect();
        summaries.sort();
        Ok(summaries)
    }

    pub async fn sees(&self, browser: &Client) -> Vec<String> {
        self.tries_to_see(browser).await.unwrap()
    }

    /// Whether the metrics say so.
    pub fn counts(&self, line: &str) -> bool {
        String::from_utf8(self.app.metrics().encode().unwrap()).unwrap().contains(line)
    }
}

fn configuration(site: &Site, companies: &[Company], directory_lines: &str, folder: &Path) -> String {
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
    format!(
        "version: 1\nlisten: {{ https: \"127.0.0.1:0\", admin: \"127.0.0.1:0\" }}\n\
         tls: {{ certificates: [ {{ cert: cert.pem, key: key.pem }} ] }}\nkeys: [ {KEY} ]\n\
         session: {{ store: {{ embedded: {{ path: sessions.redb }} }} }}\nidentity_providers:\n{providers}\
         portals:\n  - host: localhost\n    upstream: \"{upstream}\"\n    \
         sign_in: {{ providers: [acme, globex, partner, freelance], choose: list }}\n{lines}{directory_lines}      organizations:\n        \
         - {{ email_domain: acme.com, organization: Acme }}\n        \
         - {{ email_domain: globex.com, organization: Globex }}\n        \
         - {{ each_of: groups, matching: \"org-(.+)\", organization: \"$1\" }}\n",
        upstream = site.upstream,
        lines = site.lines.replace("{folder}", folder.to_str().unwrap()),
    )
}
