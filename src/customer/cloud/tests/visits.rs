//! Visitors whose customer sessions are opened at the look-alike.

use http::header::COOKIE;

use super::*;
use crate::customer::{AnswerHead, CustomerFailed, CustomerSessions, Verdict};
use crate::http_client::{Answer, Call, HttpClient, HttpClientSettings, Roots};
use crate::portal::settings::{CloudSiteSettings, Elsewhere, OtherAccounts};
use crate::session::{CustomerSession, LiveSession};

pub(super) const CARLA: &str = "carla@example.com";
pub(super) const CHEN: &str = "chen@example.com";
pub(super) const HOUR: Duration = Duration::from_secs(3600);

pub(super) struct Visits {
    pub stage: Stage,
    pub customers: CustomerSessions,
    client: HttpClient,
}

pub(super) fn site_settings(directory: DirectorySettings) -> CloudSiteSettings {
    let call_timeout = Duration::from_secs(10);
    let accounts = CloudAccountsSettings { directory, concurrency: 4, call_timeout };
    let address = "https://acme.atlassian.net".parse().unwrap();
    let elsewhere = Elsewhere { address, other_accounts: OtherAccounts::default() };
    CloudSiteSettings { accounts, max_age: HOUR * 12, elsewhere }
}

impl Visits {
    pub fn new(stage: Stage, login: Arc<dyn CloudLogin>) -> Self {
        let directory = DirectorySettings { organizations: Vec::new(), ..stage.settings() };
        let upstream = UpstreamSettings::at(stage.jsm.base_url().parse().unwrap());
        let accounts = Arc::new(stage.accounts(&directory));
        let parts = CloudParts { accounts, login, people: Arc::default(), random: Random::default() };
        let settings = site_settings(directory.clone());
        let broker = CloudBroker::new(&upstream, &PortalLimits::default(), &settings, parts).unwrap();
        let customers = CustomerSessions::brokered(
            Arc::new(stage.directory(directory)),
            Arc::new(broker),
            stage.sessions.clone(),
            stage.clock.clone(),
            Arc::new(NobodyWatches),
        );
        let client = HttpClientSettings { roots: Roots::Only(Vec::new()), ..HttpClientSettings::default() };
        Self { stage, customers, client: HttpClient::new(client).unwrap() }
    }

    pub async fn visitor(&self, email: &str) -> Arc<LiveSession> {
        self.visitor_called(email, email).await
    }

    /// Somebody whom the provider knows by that name, with that address.
    pub async fn visitor_called(&self, name: &str, email: &str) -> Arc<LiveSession> {
        let portal = HostName::parse("support.acme.com").unwrap();
        self.stage.sessions.open(who("okta", name, email), None, portal, [192, 0, 2, 7].into()).await.unwrap().1
    }

    pub async fn ensure(&self, visitor: &Arc<LiveSession>) -> Result<Arc<CustomerSession>, CustomerFailed> {
        self.customers.ensure(visitor, self.stage.clock.now()).await.map(Option::unwrap)
    }

    pub async fn reason(&self, email: &str) -> &'static str {
        self.ensure(&self.visitor(email).await).await.unwrap_err().reason()
    }

    /// A request of the portal with that customer session.
    pub async fn get(&self, path: &str, session: &CustomerSession) -> Answer {
        let call = Call::get(format!("{}{path}", self.stage.jsm.base_url()).parse().unwrap());
        self.client.send(call.with_header(COOKIE, session.cookie_header(path).unwrap())).await.unwrap()
    }

    pub fn judge(&self, session: &CustomerSession, answer: &Answer, request_wanted_json: bool) -> Verdict {
        let head = AnswerHead { status: answer.status, headers: &answer.headers, request_wanted_json };
        self.customers.judge(session, &head, &self.stage.clock)
    }
}
