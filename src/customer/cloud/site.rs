//! A Cloud site as a customer's browser meets it: the session that a login has set, proven, watched over and ended.
//!
//! Trusts what the site says over its own connection, and only for one question: whose session a cookie is. Refuses a session
//! of anybody but the customer that was meant, and never keeps a cookie of an Atlassian account.

use std::time::Duration;

use http::header::COOKIE;
use http::{Method, StatusCode};
use tokio::time::Instant;
use url::Url;

use super::SESSION_COOKIE;
use super::firewall;
use super::token::Told;
use crate::clock::Timestamp;
use crate::customer::jar::Jar;
use crate::customer::upstream::{CallLimits, Calls, Reach, XSRF_CHECK, below};
use crate::customer::{BrokerFailed, DeathSign, UpstreamFailed};
use crate::http_client::{Answer, Call, HttpClient, HttpClientSettings, NoHttpClient, Roots};
use crate::portal::settings::{CloudSiteSettings, PortalLimits, UpstreamSettings};
use crate::random::Random;
use crate::session::CustomerSession;

/// By these the site knows people with an Atlassian account: agents, and customers of the other kind.
const ATLASSIAN_COOKIES: [&str; 2] = ["tenant.session.token", "cloud.session.token"];
/// Sessions of older sites, and of what stands before them.
const OTHER_SESSIONS: [&str; 2] = ["JSESSIONID", "seraph.rememberme.cookie"];

/// A Cloud site as customers meet it.
pub struct CloudSite {
    url: Url,
    calls: Calls,
    max_age: Duration,
}

impl CloudSite {
    /// The site at `upstream`.
    ///
    /// # Errors
    /// When a certificate authority cannot be used.
    pub fn new(
        upstream: &UpstreamSettings,
        limits: &PortalLimits,
        settings: &CloudSiteSettings,
        random: Random,
    ) -> Result<Self, NoHttpClient> {
        let calls =
            CallLimits { concurrency: settings.accounts.concurrency, call_timeout: settings.accounts.call_timeout };
        let client = client(upstream, limits, settings.accounts.concurrency)?;
        Ok(Self {
            url: upstream.url.clone(),
            calls: Calls::new(Reach::ByName(client), calls, random),
            max_age: settings.max_age,
        })
    }

    /// Where it is.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The address of `segments` at the site; each is encoded.
    pub fn at(&self, segments: &[&str]) -> Url {
        below(&self.url, segments)
    }

    /// A call on nobody's behalf: no cookie but those in `call`, no redirect followed.
    ///
    /// # Errors
    /// When there is no answer before the deadline, or one that says that the site is broken.
    pub async fn send(&self, call: Call, deadline: Instant) -> Result<Answer, UpstreamFailed> {
        self.calls.send(call, deadline).await
    }

    /// The session of what a login has set, once it is proven to be the account's and alive. One that is not is ended.
    ///
    /// # Errors
    /// When there is no session, it is not the account's, or the site does not know it.
    pub async fn proven(
        &self,
        jar: Jar,
        account: &str,
        generation: u64,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<CustomerSession, BrokerFailed> {
        if ATLASSIAN_COOKIES.iter().any(|name| jar.holds(name)) {
            return Err(BrokerFailed::AtlassianAccount(account.to_owned()));
        }
        let session = jar.into_session(generation, account, now, self.max_age);
        let outcome = match self.told(session.clone(), now) {
            Ok(told) => self.is_alive(&told, deadline).await.map(|alive| alive.then_some(told)).map_err(Into::into),
            Err(DeathSign::SomebodyElse) => {
                tracing::error!(account, "the upstream opened a session for somebody else: it is not used");
                Err(BrokerFailed::WrongCustomer(account.to_owned()))
            }
            Err(_) => Ok(None),
        };
        match outcome {
            Ok(Some(proven)) => Ok(proven),
            Ok(None) => Err(UpstreamFailed::Unexpected("log a customer in").into()),
            Err(failed) => {
                // Nobody will use it: it must not stay open. The reason to refuse it is the one to tell.
                if let Err(error) = self.end(&session, deadline).await {
                    tracing::debug!(%error, account, "a session that is of no use could not be ended");
                }
                Err(failed)
            }
        }
    }

    /// The session with the end that its token tells, which is never later than it would have been.
    ///
    /// # Errors
    /// When its token is gone or over, or somebody else's.
    pub fn told(&self, session: CustomerSession, now: Timestamp) -> Result<CustomerSession, DeathSign> {
        let token = session.cookies().iter().find(|cookie| cookie.name == SESSION_COOKIE);
        let token = token.ok_or(DeathSign::CookieTakenAway)?;
        // Whoever does not tell whose session it is may have anybody's.
        let told = Told::read(&token.value).ok_or(DeathSign::SomebodyElse)?;
        if told.account != session.customer() {
            return Err(DeathSign::SomebodyElse);
        }
        let most = session.opened().after(self.max_age);
        let end = session.expires().into_iter().chain(told.expires).fold(most, Timestamp::min);
        if end <= now {
            return Err(DeathSign::CookieTakenAway);
        }
        let (generation, customer, cookies) = (session.generation(), session.customer(), session.cookies().to_vec());
        Ok(CustomerSession::new(generation, customer, cookies, session.opened(), Some(end)))
    }

    /// Whether the site still knows the session, by a call that is nothing to strangers.
    ///
    /// # Errors
    /// When it does not tell.
    pub async fn is_alive(&self, session: &CustomerSession, deadline: Instant) -> Result<bool, UpstreamFailed> {
        let mut url = self.at(&["rest", "servicedeskapi", "servicedesk"]);
        url.query_pairs_mut().append_pair("limit", "1");
        let answer = self.send(as_customer(session, Method::GET, url), deadline).await?;
        match answer.status {
            status if firewall::has_answered(status, &answer.headers) => {
                Err(UpstreamFailed::Unexpected("is this session alive?"))
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Ok(false),
            status if status.is_redirection() => Ok(false),
            status if status.is_success() => Ok(answer.media_type() != "text/html"),
            _ => Err(UpstreamFailed::Unexpected("is this session alive?")),
        }
    }

    /// Ends the session as the portal's own log-out does.
    ///
    /// # Errors
    /// When the site still knows it afterwards, or does not tell.
    pub async fn end(&self, session: &CustomerSession, deadline: Instant) -> Result<(), UpstreamFailed> {
        let url = self.at(&["servicedesk", "customer", "user", "logout"]);
        self.send(as_customer(session, Method::GET, url), deadline).await?;
        // What it answers is documented by nobody: only what becomes of the session counts.
        match self.is_alive(session, deadline).await? {
            false => Ok(()),
            true => Err(UpstreamFailed::Unexpected("end this session")),
        }
    }
}

/// Whether a cookie of that name lets somebody in.
pub(super) fn is_authentication_cookie(name: &str) -> bool {
    let known = [SESSION_COOKIE].into_iter().chain(ATLASSIAN_COOKIES).chain(OTHER_SESSIONS);
    known.into_iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Calls to a site of Atlassian, whose certificate the system's authorities vouch for; those of `upstream_ca`, too.
pub(super) fn client(
    upstream: &UpstreamSettings,
    limits: &PortalLimits,
    concurrency: usize,
) -> Result<HttpClient, NoHttpClient> {
    let roots = match &upstream.ca {
        Some(given) => Roots::SystemAnd(given.certificates.clone()),
        None => Roots::System,
    };
    HttpClient::new(HttpClientSettings {
        roots,
        connect_timeout: limits.upstream_connect,
        idle_timeout: limits.upstream_idle,
        idle_per_host: concurrency,
        ..HttpClientSettings::default()
    })
}

/// A call with the customer's cookies, and nothing else.
fn as_customer(session: &CustomerSession, method: Method, url: Url) -> Call {
    let cookies = session.cookie_header(url.path());
    let call = Call::new(method, url).accepting("application/json").with_header(XSRF_CHECK.0, XSRF_CHECK.1);
    match cookies {
        Some(cookies) => call.with_header(COOKIE, cookies),
        None => call,
    }
}
