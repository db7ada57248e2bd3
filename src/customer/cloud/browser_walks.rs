//! The same exchange, walked by the visitor's browser through the gateway: for sites whose login needs a script.
//!
//! The browser sees pages of the way and runs their scripts; every step of it comes by the gateway, which keeps the cookies of
//! the way, answers what the site asks, and keeps the session's cookie in the end. Neither an assertion nor any cookie ever
//! reaches the browser. A way belongs to one session of one visitor, and the answer on it is about that visitor alone.

mod ahead;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderValue;
use moka::sync::Cache;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::{Origin, Url};

use self::ahead::Ahead;
use super::saml::walk::{Reached, Shown, Step, Walk, Way};
use super::{CloudBroker, CloudLogin, CloudSite, SingleSignOn};
use crate::clock::{Clock, Stopwatch, Timestamp, deadline};
use crate::customer::jar::Jar;
use crate::customer::{BrokerFailed, Customer, CustomerFailed, CustomerSessionBroker as _, CustomerSessions};
use crate::http_client::Answer;
use crate::ids::SessionHash;
use crate::saml::binding::Arrived;
use crate::saml::message::MessageRefused;
use crate::session::LiveSession;

/// How long a way may take, from one step to the next.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// Ways at once.
const WAYS: u64 = 10_000;
/// Requests of one way: pages, and what they load.
const REQUESTS: u32 = 200;
/// Ways that one visitor may begin in [`WHILE`].
const BEGINNINGS: u32 = 6;
/// In how much time.
const WHILE: Duration = Duration::from_secs(60);

/// Leaves the login to the visitor's browser.
#[derive(Clone, Copy, Debug)]
pub struct ByBrowser;

#[async_trait]
impl CloudLogin for ByBrowser {
    async fn log_in(
        &self,
        _site: &CloudSite,
        _customer: &Customer,
        _now: Timestamp,
        _deadline: Instant,
    ) -> Result<Jar, BrokerFailed> {
        Err(BrokerFailed::BrowserHasToWalk)
    }

    fn is_by_browser(&self) -> bool {
        true
    }
}

/// The ways that browsers are on, at one portal.
pub struct BrowserWalks {
    broker: Arc<CloudBroker>,
    customers: CustomerSessions,
    sign_on: SingleSignOn,
    clock: Clock,
    ways: Cache<SessionHash, Arc<Mutex<Begun>>>,
    beginnings: Cache<SessionHash, Arc<AtomicU32>>,
    ahead: Ahead,
}

/// A way that a browser is on.
struct Begun {
    next: String,
    customer: Customer,
    way: Way,
    left: u32,
    watch: Stopwatch,
}

/// What a step has come to.
#[derive(Debug)]
pub enum Walked {
    /// The customer session is there; the visitor wanted to go to this path.
    Arrived(String),
    /// This is for the browser: an answer of that host.
    Answer(usize, Box<Answer>),
}

/// What a browser brings.
#[derive(Debug)]
pub enum Brought {
    /// It asks for this path and query of that host, or posts a body of that media type there.
    Request(usize, String, Option<(HeaderValue, Bytes)>),
    /// It is sent to our sign-on address with this.
    Message(Result<Arrived, MessageRefused>),
}

impl BrowserWalks {
    /// Ways to the sessions of `broker`, which `customers` then hold.
    pub fn new(broker: Arc<CloudBroker>, customers: CustomerSessions, sign_on: SingleSignOn, clock: Clock) -> Self {
        let ways = Cache::builder().max_capacity(WAYS).time_to_idle(PATIENCE).build();
        let beginnings = Cache::builder().max_capacity(WAYS).time_to_live(WHILE).build();
        Self { broker, customers, sign_on, clock, ways, beginnings, ahead: Ahead::default() }
    }

    /// The hosts of a way: the site first.
    pub fn origins(&self) -> Vec<Origin> {
        let site = self.broker.site().url().origin();
        std::iter::once(site).chain(self.sign_on.hosts().iter().cloned()).collect()
    }

    /// Whether the visitor's browser goes the way once more although their customer session still serves, because 80 % of its
    /// life are over. Who is told so has to [begin](Self::begin): nobody is told again for a while.
    pub fn begins_ahead(&self, visitor: &LiveSession, now: Timestamp) -> bool {
        let old = self.customers.growing_old(visitor, now);
        old.is_some_and(|generation| self.ahead.begins(visitor.hash(), generation, now))
    }

    /// Begins a way that leads to `next`, in place of one that the visitor was on.
    ///
    /// # Errors
    /// When the visitor is no customer, begins too often, or the way cannot be gone. Whoever has a customer session that serves
    /// is led to `next` all the same.
    pub async fn begin(&self, visitor: &Arc<LiveSession>, next: &str) -> Result<Walked, CustomerFailed> {
        let watch = Stopwatch::start();
        let begun = self.begin_anew(visitor, next).await;
        begun.or_else(|failed| self.served_by_the_old_one(visitor, failed, next, &watch))
    }

    async fn begin_anew(&self, visitor: &Arc<LiveSession>, next: &str) -> Result<Walked, CustomerFailed> {
        let begun = self.beginnings.get_with(*visitor.hash(), Arc::default);
        if begun.fetch_add(1, Ordering::Relaxed) >= BEGINNINGS {
            return Err(CustomerFailed::KeepsDying);
        }
        let customer = self.customers.customer(visitor).await?;
        let start = self.sign_on.start(self.broker.site(), &customer).map_err(BrokerFailed::from)?;
        let watch = Stopwatch::start();
        let way = Way::default();
        let begun = Arc::new(Mutex::new(Begun { next: next.to_owned(), customer, way, left: REQUESTS, watch }));
        self.ways.insert(*visitor.hash(), Arc::clone(&begun));
        self.walk(visitor, &begun, |walk| walk.go_on(start)).await
    }

    /// Goes on with what the visitor's browser brings; `None` when they are on no way.
    ///
    /// # Errors
    /// When the way cannot be gone on, and there is no customer session that serves.
    pub async fn go_on(&self, visitor: &Arc<LiveSession>, brought: Brought) -> Result<Option<Walked>, CustomerFailed> {
        let Some(begun) = self.ways.get(visitor.hash()) else { return Ok(None) };
        let origins = self.origins();
        let walked = self.walk(visitor, &begun, |walk| match brought {
            Brought::Message(message) => walk.answer(message),
            Brought::Request(host, path, body) => {
                let origin = origins.get(host).map(Origin::ascii_serialization);
                let url = origin.and_then(|origin| Url::parse(&format!("{origin}{path}")).ok());
                let url = url.ok_or_else(|| BrokerFailed::LedElsewhere("nowhere".to_owned()))?;
                match body {
                    None => walk.go_on(url),
                    Some((media_type, body)) => walk.post_as_it_is(url, media_type, body),
                }
            }
        });
        match walked.await {
            Ok(walked) => Ok(Some(walked)),
            Err(failed) => {
                let begun = begun.lock().await;
                self.served_by_the_old_one(visitor, failed, &begun.next, &begun.watch).map(Some)
            }
        }
    }

    /// A way that leads nowhere costs nothing as long as the customer session before it serves.
    fn served_by_the_old_one(
        &self,
        visitor: &LiveSession,
        failed: CustomerFailed,
        next: &str,
        watch: &Stopwatch,
    ) -> Result<Walked, CustomerFailed> {
        if !self.customers.serves(visitor, self.clock.now()) {
            return Err(failed);
        }
        self.customers.not_renewed(visitor, failed, watch.elapsed());
        Ok(Walked::Arrived(next.to_owned()))
    }

    /// One step of a way, and all that the gateway can go by itself after it.
    async fn walk(
        &self,
        visitor: &Arc<LiveSession>,
        begun: &Mutex<Begun>,
        first: impl FnOnce(&mut Walk<'_>) -> Result<Step, BrokerFailed>,
    ) -> Result<Walked, CustomerFailed> {
        let mut begun = begun.lock().await;
        begun.left = begun.left.saturating_sub(1);
        if begun.left == 0 {
            self.ways.invalidate(visitor.hash());
            return Err(BrokerFailed::LedElsewhere("a circle".to_owned()).into());
        }
        let (now, until) = (self.clock.now(), deadline(self.broker.patience()));
        self.broker.admit(&begun.customer, now)?;
        let (way, customer) = (std::mem::take(&mut begun.way), begun.customer.clone());
        let mut walk = self.sign_on.walk(self.broker.site(), &customer, way, Shown::ToTheBrowser, now, until);
        let reached = match first(&mut walk) {
            Ok(step) => walk.run(step).await,
            Err(failed) => Err(failed),
        };
        self.broker.note(&customer, reached.as_ref().err(), now);
        begun.way = walk.into_way();
        match reached {
            Ok(Reached::Page(url, answer)) => {
                let host = self.origins().iter().position(|origin| *origin == url.origin());
                Ok(Walked::Answer(host.unwrap_or_default(), answer))
            }
            Ok(Reached::Session) => {
                self.ways.invalidate(visitor.hash());
                let jar = std::mem::take(&mut begun.way).into_jar_of(self.broker.site().url());
                let generation = visitor.next_generation();
                let opened = self.broker.prove(jar, &customer, generation, now, until).await?;
                self.customers.adopt(visitor, opened, begun.watch.elapsed()).await?;
                Ok(Walked::Arrived(begun.next.clone()))
            }
            Err(failed) => {
                self.ways.invalidate(visitor.hash());
                Err(failed.into())
            }
        }
    }
}

impl fmt::Debug for BrowserWalks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BrowserWalks({:?})", self.sign_on)
    }
}
