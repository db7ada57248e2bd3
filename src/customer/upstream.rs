//! Calls to one site: on whose behalf, how many at once, how often again, until when, and when not at all.

pub(super) mod answers;
mod breaker;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use url::Url;
use zeroize::Zeroizing;

use self::breaker::Breaker;
use super::UpstreamFailed;
use crate::clock::deadline as in_time;
use crate::http_client::{Answer, Call, CallFailed, HttpClient};
use crate::nodes::{Choice, NoAddress, Node, Nodes};
use crate::portal::settings::ServiceCredentials;
use crate::random::Random;
use crate::secret::Secret;

/// Without it, Jira refuses what looks like a form of another site.
pub(in crate::customer) const XSRF_CHECK: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-atlassian-token"), HeaderValue::from_static("no-check"));
/// Calls that the Service Management documentation calls experimental want to be asked for.
const EXPERIMENTAL: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-experimentalapi"), HeaderValue::from_static("opt-in"));
/// Bytes of an answer.
const ANSWER: usize = 1024 * 1024;
/// Items of one page of a list.
const PAGE: usize = 50;
/// How often one call is made at most.
const TRIES: u32 = 4;
/// The first wait before another try; doubles.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// The longest wait that an upstream can ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// One site, and on whose behalf its accounts are managed.
pub(in crate::customer) struct Upstream {
    calls: Calls,
    base: Url,
    authorization: Secret,
}

/// Calls on nobody's behalf.
pub(in crate::customer) struct Calls {
    reach: Reach,
    call_timeout: Duration,
    places: Semaphore,
    random: Random,
    /// Until when the upstream wants no calls (429): nobody calls before.
    rest: Mutex<Option<Instant>>,
    breaker: Breaker,
}

/// Where calls go.
#[derive(Clone)]
pub(in crate::customer) enum Reach {
    /// Where the site's name leads.
    ByName(HttpClient),
    /// To one of its nodes.
    Nodes(Arc<Nodes>),
}

/// How the reading of a list ended.
#[derive(Debug)]
pub(in crate::customer) enum Listed<T> {
    /// On the page where there was enough.
    Enough(Vec<T>),
    /// At its end.
    End,
    /// Before its end.
    More,
    /// There is no such list.
    Absent,
}

/// How a site may be called.
#[derive(Clone, Copy, Debug)]
pub(in crate::customer) struct CallLimits {
    /// Calls at once.
    pub concurrency: usize,
    /// Time for one call.
    pub call_timeout: Duration,
}

impl Upstream {
    pub fn new(reach: Reach, base: Url, credentials: &ServiceCredentials, limits: CallLimits, random: Random) -> Self {
        let authorization = match credentials {
            ServiceCredentials::Bearer(token) => format!("Bearer {}", token.reveal()),
            ServiceCredentials::Basic { user, token } => {
                let both = Zeroizing::new(format!("{user}:{}", token.reveal()));
                format!("Basic {}", STANDARD.encode(both.as_bytes()))
            }
        };
        Self { calls: Calls::new(reach, limits, random), base, authorization: Secret::generated(authorization) }
    }

    pub fn base(&self) -> &Url {
        &self.base
    }

    pub fn random(&self) -> &Random {
        &self.calls.random
    }

    /// The address of `segments` below the site's context path; each is encoded.
    pub fn url(&self, segments: &[&str]) -> Url {
        below(&self.base, segments)
    }

    /// A call on behalf of the service user. An answer is 2xx or one of 400, 404 and 409, for the caller to interpret.
    pub async fn service(
        &self,
        method: Method,
        url: Url,
        body: Option<Bytes>,
        deadline: Instant,
    ) -> Result<Answer, UpstreamFailed> {
        self.service_at(None, method, url, body, deadline).await
    }

    /// The same, at that node.
    pub async fn service_at(
        &self,
        node: Option<&Arc<Node>>,
        method: Method,
        url: Url,
        body: Option<Bytes>,
        deadline: Instant,
    ) -> Result<Answer, UpstreamFailed> {
        let mut call = Call::new(method, url).accepting("application/json").authorized(self.authorization.reveal());
        if let Some(body) = body {
            call = call.with_body("application/json", body);
        }
        let call = call.with_header(XSRF_CHECK.0, XSRF_CHECK.1).with_header(EXPERIMENTAL.0, EXPERIMENTAL.1);
        let answer = self.send_to(node, call, deadline).await?;
        match answer.status {
            StatusCode::UNAUTHORIZED if answers::wants_captcha(&answer) => Err(UpstreamFailed::CredentialsCaptcha),
            StatusCode::UNAUTHORIZED => Err(UpstreamFailed::CredentialsRefused),
            StatusCode::FORBIDDEN if answers::wants_captcha(&answer) => Err(UpstreamFailed::CredentialsCaptcha),
            StatusCode::FORBIDDEN if answers::says_basic_auth_is_off(&answer) => Err(UpstreamFailed::BasicAuthOff),
            StatusCode::FORBIDDEN => Err(UpstreamFailed::CredentialsLackPermission),
            status if status.is_redirection() || answer.media_type() == "text/html" => {
                Err(UpstreamFailed::HtmlInsteadOfJson)
            }
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::CONFLICT => Ok(answer),
            status if status.is_success() => Ok(answer),
            _ => Err(UpstreamFailed::Unexpected("a call by the service user")),
        }
    }

    /// A call on nobody's behalf, at that node: see [`Calls::send_to`].
    pub async fn send_to(
        &self,
        node: Option<&Arc<Node>>,
        call: Call,
        deadline: Instant,
    ) -> Result<Answer, UpstreamFailed> {
        self.calls.send_to(node, call, deadline).await
    }

    /// Waits a little, and longer the next time.
    pub async fn wait(&self, wait: &mut Duration, deadline: Instant) -> Result<(), UpstreamFailed> {
        let until = in_time(self.calls.jittered(*wait));
        if until >= deadline {
            return Err(UpstreamFailed::TimedOut);
        }
        tokio::time::sleep_until(until).await;
        *wait = wait.saturating_mul(2);
        Ok(())
    }

    /// Every item of a list of the Service Management API, page by page until the one that says that it is the last, or
    /// until `enough` holds. `None` when there are more than `pages`.
    pub async fn pages<T: serde::de::DeserializeOwned>(
        &self,
        url: &Url,
        asked: &'static str,
        pages: usize,
        deadline: Instant,
        mut enough: impl FnMut(&[T]) -> bool + Send,
    ) -> Result<Listed<T>, UpstreamFailed> {
        let mut start = 0_usize;
        for _ in 0..pages {
            let mut url = url.clone();
            url.query_pairs_mut().append_pair("start", &start.to_string()).append_pair("limit", &PAGE.to_string());
            let answer = self.service(Method::GET, url, None, deadline).await?;
            if answers::is_absent(&answer) {
                return Ok(Listed::Absent);
            }
            let page: answers::Page<T> = answers::understood(&answer, asked)?;
            if enough(&page.values) {
                return Ok(Listed::Enough(page.values));
            }
            if page.is_last_page || page.values.is_empty() {
                return Ok(Listed::End);
            }
            start = start.saturating_add(page.values.len());
        }
        Ok(Listed::More)
    }
}

impl Calls {
    pub fn new(reach: Reach, limits: CallLimits, random: Random) -> Self {
        Self {
            reach,
            call_timeout: limits.call_timeout,
            places: Semaphore::new(limits.concurrency.clamp(1, Semaphore::MAX_PERMITS)),
            random,
            rest: Mutex::default(),
            breaker: Breaker::default(),
        }
    }

    /// Makes a call: within the number of places, again where the upstream asks for it or was not reached at all, and
    /// never past the deadline. Every call that we make may be made twice. An answer is neither 429 nor 5xx.
    pub async fn send(&self, call: Call, deadline: Instant) -> Result<Answer, UpstreamFailed> {
        self.send_to(None, call, deadline).await
    }

    /// The same at `node`, and at no other one: whoever calls knows whether another would do.
    pub async fn send_to(
        &self,
        node: Option<&Arc<Node>>,
        call: Call,
        deadline: Instant,
    ) -> Result<Answer, UpstreamFailed> {
        let call = call.within(self.call_timeout, ANSWER);
        let mut wait = FIRST_WAIT;
        let mut tries = TRIES;
        let mut tried = Vec::new();
        loop {
            let at = match node {
                Some(node) => Some(Arc::clone(node)),
                None => self.any_node(&tried).await?,
            };
            if let Some(rest) = self.resting().filter(|rest| *rest >= deadline) {
                return Err(UpstreamFailed::RateLimited(rest.saturating_duration_since(in_time(Duration::ZERO))));
            }
            let leave = self.breaker.admit(in_time(Duration::ZERO)).map_err(UpstreamFailed::Resting)?;
            let outcome = tokio::time::timeout_at(deadline, self.once(call.clone(), at.as_deref())).await;
            let failed = match outcome.map_err(|_| UpstreamFailed::TimedOut)? {
                Ok(answer) => match fewer_calls(&answer) {
                    Some(rest) => {
                        leave.answered();
                        self.rest_for(rest);
                        UpstreamFailed::RateLimited(rest)
                    }
                    None if answer.status.is_server_error() => {
                        leave.failed(in_time(Duration::ZERO));
                        return Err(UpstreamFailed::Failing(answer.status.as_u16()));
                    }
                    None => {
                        leave.answered();
                        return Ok(answer);
                    }
                },
                Err(failed) => {
                    let again = failed.never_sent();
                    let failed = named(failed);
                    match &at {
                        // One node of several says nothing of the site.
                        Some(at) if self.has_others(at.address(), &tried) => {
                            tried.push(at.address());
                            if node.is_none() && again {
                                continue;
                            }
                            return Err(failed);
                        }
                        _ => leave.failed(in_time(Duration::ZERO)),
                    }
                    if !again {
                        return Err(failed);
                    }
                    tried.clear();
                    failed
                }
            };
            tries = tries.saturating_sub(1);
            let asked = if let UpstreamFailed::RateLimited(rest) = failed { rest } else { Duration::ZERO };
            let again = in_time(asked.saturating_add(self.jittered(wait)));
            if tries == 0 || again >= deadline {
                return Err(failed);
            }
            tokio::time::sleep_until(again).await;
            wait = wait.saturating_mul(2);
        }
    }

    /// The node for what is nobody's session.
    async fn any_node(&self, tried: &[SocketAddr]) -> Result<Option<Arc<Node>>, UpstreamFailed> {
        let Reach::Nodes(nodes) = &self.reach else { return Ok(None) };
        if !nodes.are_told_apart() {
            return Ok(None);
        }
        let gone = |error: NoAddress| UpstreamFailed::Unreachable(error.to_string());
        nodes.make_ready().await.map_err(gone)?;
        nodes.pick(Choice::TheSite, tried).map(Some).ok_or(NoAddress).map_err(gone)
    }

    fn has_others(&self, node: SocketAddr, tried: &[SocketAddr]) -> bool {
        let Reach::Nodes(nodes) = &self.reach else { return false };
        let mut tried = tried.to_vec();
        tried.push(node);
        nodes.has_others(&tried)
    }

    async fn once(&self, call: Call, node: Option<&Node>) -> Result<Answer, CallFailed> {
        if let Some(rest) = self.resting() {
            tokio::time::sleep_until(rest).await;
        }
        // Closed never: the semaphore lives as long as this.
        let _place = self.places.acquire().await.ok();
        match &self.reach {
            Reach::ByName(client) => client.send(call).await,
            Reach::Nodes(nodes) => nodes.send(call, node).await,
        }
    }

    fn resting(&self) -> Option<Instant> {
        *self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rest_for(&self, rest: Duration) {
        let until = in_time(rest);
        let mut held = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Some(held.map_or(until, |before| before.max(until)));
    }

    /// Between half of `wait` and all of it, so that many who wait do not come back at once.
    pub fn jittered(&self, wait: Duration) -> Duration {
        let half = wait.checked_div(2).unwrap_or_default();
        let [random] = self.random.bytes::<1>().unwrap_or([u8::MAX]);
        half.saturating_add(half.saturating_mul(u32::from(random)).checked_div(255).unwrap_or_default())
    }
}

/// The address of `segments` below `base`; each is encoded.
pub(in crate::customer) fn below(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// How long the upstream wants fewer calls: 429, or 503 when it says how long.
fn fewer_calls(answer: &Answer) -> Option<Duration> {
    let told = answer.headers.get(RETRY_AFTER).map(|value| {
        // A date is rare and needs a clock that agrees with ours: a few seconds do as well.
        let seconds = value.to_str().ok().and_then(|text| text.trim().parse().ok()).unwrap_or(5);
        Duration::from_secs(seconds)
    });
    let wait = match answer.status {
        StatusCode::TOO_MANY_REQUESTS => told.unwrap_or(Duration::from_secs(1)),
        StatusCode::SERVICE_UNAVAILABLE => told?,
        _ => return None,
    };
    Some(wait.min(LONGEST_WAIT))
}

/// A failed call, as everybody here names it.
pub(in crate::customer) fn named(failed: CallFailed) -> UpstreamFailed {
    match failed {
        CallFailed::Tls(what) => UpstreamFailed::Tls(what),
        CallFailed::TimedOut(_) => UpstreamFailed::TimedOut,
        CallFailed::TooLarge(_) | CallFailed::Compressed => UpstreamFailed::Unexpected("any call"),
        failed @ (CallFailed::NotAllowed | CallFailed::Unreachable(_) | CallFailed::Broken(_)) => {
            UpstreamFailed::Unreachable(failed.to_string())
        }
    }
}

/// A body that may hold a secret: its memory is wiped with its last reference.
pub(in crate::customer) fn json_body(value: &impl Serialize) -> Bytes {
    // Room enough that writing does not move it and leave a copy behind.
    let mut body = Zeroizing::new(Vec::with_capacity(1024));
    // Names and texts always are JSON.
    let _ = serde_json::to_writer(&mut *body, value);
    Bytes::from_owner(Wiped(body))
}

/// The same for text that stands already.
pub(in crate::customer) fn text_body(text: String) -> Bytes {
    Bytes::from_owner(Wiped(Zeroizing::new(text.into_bytes())))
}

struct Wiped(Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
