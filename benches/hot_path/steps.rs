//! The steps that Vestibule alone takes for an authenticated request, each on the head that a browser sends.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Version};
use tokio::runtime::Runtime;
use vestibule::clock::{Clock, Timestamp};
use vestibule::email::{EmailAddress, EmailDomain, SpeaksFor};
use vestibule::ids::{ProviderName, SessionId};
use vestibule::policy::{self, Admission, Circumstances, Decision, Rules};
use vestibule::portal::settings::{Access, AdmissionSettings, RuleSettings};
use vestibule::portal::{CanonicalRequest, HostName, JsmPaths, PathPattern, head, request};
use vestibule::proxy::header_hygiene::stays_behind;
use vestibule::random::Random;
use vestibule::secret::Secret;
use vestibule::session::cookie::{self, Forwardable, Presented, PresentedCookies};
use vestibule::session::settings::{SessionSettings, StoreSettings};
use vestibule::session::store::SessionStore;
use vestibule::session::store::memory::MemoryStore;
use vestibule::session::{LiveSession, Lookup, Sessions};
use vestibule::sign_in::{SignOutHint, VerifiedIdentity};

const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);
const TARGET: &str = "/servicedesk/customer/portal/7/HELP-1?sda_source=notification";
const FIELDS: [(&str, &str); 13] = [
    ("host", "support.acme.com"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    ),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("accept-language", "en-GB,en;q=0.9,de;q=0.8"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("sec-ch-ua", "\"Chromium\";v=\"142\", \"Not_A Brand\";v=\"99\""),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", "\"Linux\""),
    ("sec-fetch-site", "same-origin"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
    ("upgrade-insecure-requests", "1"),
    ("referer", "https://support.acme.com/servicedesk/customer/portals"),
];

/// One request of somebody who is signed in, and what the gateway has at hand for it.
pub struct Steps {
    sessions: Sessions,
    settings: SessionSettings,
    store: Arc<dyn SessionStore>,
    runtime: Runtime,
    id: SessionId,
    portal: HostName,
    rules: Rules,
    admission: Admission,
    raw: Vec<u8>,
    headers: HeaderMap,
}

impl Steps {
    /// With so many sessions in the cache.
    pub fn new(number: usize) -> Self {
        let portal = HostName::parse("support.acme.com").unwrap();
        let settings = SessionSettings {
            idle_timeout: Duration::from_secs(3600),
            absolute_timeout: Duration::from_secs(3600),
            cache_entries: u64::try_from(number).unwrap() + 10,
            store: StoreSettings::Embedded { path: "/unused".into() },
            keys: vec![Secret::generated("vk1_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")],
        };
        let store: Arc<dyn SessionStore> = Arc::new(MemoryStore::default());
        let sessions =
            Sessions::with_store(&settings, Arc::clone(&store), Clock::manual(NOW), Random::default()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let ids: Vec<SessionId> =
            (0..number).map(|person| runtime.block_on(open(&sessions, &portal, person))).collect();
        let id = ids.into_iter().nth(number / 2).unwrap();
        let cookie = cookie::set_session(&id);
        let cookie = cookie.to_str().unwrap().split(';').next().unwrap();
        let cookies = format!("_ga=GA1.2.1234567890.1700000000; {cookie}; selected-idp=acme");
        let mut raw = format!("GET {TARGET} HTTP/1.1\r\n");
        let mut headers = HeaderMap::new();
        for (name, value) in FIELDS.into_iter().chain([("cookie", cookies.as_str())]) {
            raw.push_str(&format!("{name}: {value}\r\n"));
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        raw.push_str("\r\n");
        let rule = |path: &str, access| RuleSettings { path: PathPattern::parse(path).unwrap(), access, require: None };
        let rules = [rule("/servicedesk/customer/kb/**", Access::Public), rule("/rest/api/**", Access::Deny)];
        let admission = AdmissionSettings {
            allow: vec![EmailDomain::parse("acme.com").unwrap()],
            deny: Vec::new(),
            blocked: vec![EmailAddress::parse("bob@acme.com").unwrap()],
            blocked_accounts: Vec::new(),
            require: None,
            providers: [(ProviderName::parse("acme").unwrap(), SpeaksFor::default())].into(),
            issuers: [].into(),
            contact: None,
        };
        Self {
            sessions,
            settings,
            store,
            runtime,
            id,
            portal,
            rules: Rules::new(&rules, Some(JsmPaths::new(""))),
            admission: Admission::new(&admission),
            raw: raw.into_bytes(),
            headers,
        }
    }

    /// The raw head is read a second time.
    pub fn head(&self) {
        head::inspect(&self.raw).unwrap();
    }

    /// Method, host and path, in one spelling.
    pub fn canonical_request(&self) -> CanonicalRequest {
        let (method, headers) = (&Method::GET, &self.headers);
        let target = TARGET.as_bytes();
        CanonicalRequest::read(request::Parts { method, version: Version::HTTP_11, target, authority: None, headers })
            .unwrap()
    }

    /// From the cookie to the session, in memory.
    pub fn session(&self) -> Arc<LiveSession> {
        let Presented::One(id) = PresentedCookies::read(&self.headers).session else { panic!("no cookie") };
        match self.sessions.cached(&id, &self.portal, NOW) {
            Lookup::Found(session) => session,
            other => panic!("{other:?}"),
        }
    }

    /// Path, session and admission: the permit.
    pub fn decision(&self, request: &CanonicalRequest, session: Arc<LiveSession>) -> Decision {
        let circumstances =
            Circumstances { client: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), certificate: None, now: NOW };
        let demand = self.rules.demand(request.decoded_path());
        policy::decide(request, demand, Some(session), &self.admission, &circumstances)
    }

    /// Which fields and cookies go on.
    pub fn hygiene(&self) -> (usize, Forwardable) {
        let kept = self.headers.keys().filter(|name| !stays_behind(name.as_str())).count();
        (kept, cookie::forwardable(&self.headers))
    }

    /// A session is opened: its record and its index part are sealed.
    pub fn seal(&self) -> SessionId {
        self.runtime.block_on(open(&self.sessions, &self.portal, 0))
    }

    /// A session that is not in the cache is opened again.
    pub fn unseal(&self) -> Option<Arc<LiveSession>> {
        let fresh =
            Sessions::with_store(&self.settings, Arc::clone(&self.store), Clock::manual(NOW), Random::default());
        self.runtime.block_on(fresh.unwrap().find(&self.id, &self.portal, NOW)).unwrap()
    }

    /// One after the other.
    pub fn all(&self) -> bool {
        self.head();
        let request = self.canonical_request();
        let decision = self.decision(&request, self.session());
        let (kept, _) = self.hygiene();
        kept > 0 && matches!(decision, Decision::Forward(_))
    }
}

async fn open(sessions: &Sessions, portal: &HostName, person: usize) -> SessionId {
    let identity: VerifiedIdentity = serde_json::from_value(serde_json::json!({
        "provider": "acme",
        "issuer": "https://idp.example",
        "subject": format!("subject-{person}"),
        "email": format!("person-{person}@acme.com"),
        "email_verified": true,
        "display_name": "A Person",
        "groups": ["customers", "vip"],
        "authenticated_at": NOW,
        "acr": null,
        "provider_session": null,
        "not_after": null,
    }))
    .unwrap();
    let hint = SignOutHint::IdToken(Secret::generated("x".repeat(900)));
    let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
    sessions.open(identity, Some(hint), portal.clone(), client).await.unwrap().0
}
