//! One node: whether it is used, and how much of it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::NodeObserver;
use crate::http_client::{CallFailed, HttpClient, NoHttpClient};
use crate::ids::Affinity;
use crate::portal::settings::NodesSettings;

/// An address of a site. Reading how it stands takes no lock.
pub struct Node {
    address: SocketAddr,
    tls: bool,
    /// Which of the configured addresses has led here.
    entry: AtomicUsize,
    place: Affinity,
    out: AtomicBool,
    /// Whether it is none of the site's any more: nobody counts it then.
    gone: AtomicBool,
    /// Failures of traffic since the last answer.
    failures: AtomicU32,
    /// Checks since the last one that passed.
    failed_checks: AtomicU32,
    /// Checks since the last one that failed.
    passed_checks: AtomicU32,
    in_use: AtomicUsize,
    /// Its places, where they are limited.
    room: Option<Arc<Semaphore>>,
    /// Tells those who wait for it that it went out.
    went_out: Notify,
    client: OnceLock<HttpClient>,
    rules: Rules,
    observer: Arc<dyn NodeObserver>,
}

/// When a node is out, and when it is back.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    portal: Arc<str>,
    out_after: u32,
    back_after: u32,
    /// Whether checks alone bring it back.
    is_checked: bool,
    room: Option<usize>,
}

impl Rules {
    pub(super) fn of(settings: &NodesSettings, portal: Arc<str>) -> Self {
        Self {
            portal,
            out_after: settings.out_after,
            back_after: settings.health_check.as_ref().map_or(1, |check| check.back_after),
            is_checked: settings.health_check.is_some(),
            room: settings.connections.per_address,
        }
    }
}

/// What went wrong at a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection, or none that is trustworthy.
    Connect,
    /// The connection broke before there was an answer.
    Broken,
    /// No answer in time.
    Timeout,
}

impl Failure {
    /// The label for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Broken => "broken",
            Self::Timeout => "timeout",
        }
    }

    /// What a call has shown of the node; `None` where that says nothing of it.
    pub(super) fn of_call(failed: &CallFailed) -> Option<Self> {
        match failed {
            CallFailed::Unreachable(_) | CallFailed::Tls(_) => Some(Self::Connect),
            CallFailed::Broken(_) => Some(Self::Broken),
            // A wave of logins after a node went out makes the next one slow, which is no reason to put that out, too.
            CallFailed::TimedOut(_) | CallFailed::NotAllowed | CallFailed::TooLarge(_) | CallFailed::Compressed => None,
        }
    }
}

impl Node {
    /// A node that nothing is known of: it is used.
    pub(super) fn new(
        address: SocketAddr,
        tls: bool,
        entry: usize,
        rules: Rules,
        observer: Arc<dyn NodeObserver>,
    ) -> Self {
        Self {
            address,
            tls,
            entry: AtomicUsize::new(entry),
            place: Affinity::of(&[&address.to_string()]),
            out: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            failures: AtomicU32::new(0),
            failed_checks: AtomicU32::new(0),
            passed_checks: AtomicU32::new(0),
            in_use: AtomicUsize::new(0),
            room: rules.room.map(|places| Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)))),
            went_out: Notify::new(),
            client: OnceLock::new(),
            rules,
            observer,
        }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether TLS is spoken there.
    pub fn speaks_tls(&self) -> bool {
        self.tls
    }

    /// Whether it is used.
    pub fn is_up(&self) -> bool {
        !self.out.load(Ordering::Relaxed)
    }

    /// Requests and tunnels under way there.
    pub fn in_use(&self) -> usize {
        self.in_use.load(Ordering::Relaxed)
    }

    /// Which of the configured addresses has led here.
    pub(super) fn entry(&self) -> usize {
        self.entry.load(Ordering::Relaxed)
    }

    /// Another one has led here.
    pub(super) fn is_of(&self, entry: usize) {
        self.entry.store(entry, Ordering::Relaxed);
    }

    /// Where it stands among the others, for everybody.
    pub(super) fn place(&self) -> Affinity {
        self.place
    }

    /// Whether somebody else can come now.
    pub(super) fn has_room(&self) -> bool {
        self.room.as_ref().is_none_or(|room| room.available_permits() > 0)
    }

    /// Something of a request was answered. Brings a node back that nobody checks.
    pub fn answered(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        if !self.is_up() && !self.rules.is_checked {
            self.is_back();
        }
    }

    /// Something of a request failed there, through no fault of the visitor. Where it is checked, only connections count that
    /// are not to be had: what a visitor asks for can make an answer late, or break it off.
    pub fn failed(&self, failure: Failure) {
        if self.gone.load(Ordering::Relaxed) {
            return;
        }
        self.observer.failed(failure);
        if self.rules.is_checked && failure != Failure::Connect {
            return;
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures >= self.rules.out_after {
            self.is_out(failure.label());
        }
    }

    /// A request that failed there is sent again elsewhere.
    pub fn retried(&self) {
        self.observer.retried();
    }

    /// A check is over: passed, or why not.
    pub(super) fn checked(&self, outcome: Result<(), String>) {
        self.observer.checked(outcome.is_ok());
        match outcome {
            Ok(()) => {
                self.failed_checks.store(0, Ordering::Relaxed);
                let passed = self.passed_checks.fetch_add(1, Ordering::Relaxed).saturating_add(1);
                if passed >= self.rules.back_after {
                    self.is_back();
                }
            }
            Err(why) => {
                self.passed_checks.store(0, Ordering::Relaxed);
                let failed = self.failed_checks.fetch_add(1, Ordering::Relaxed).saturating_add(1);
                if failed >= self.rules.out_after {
                    self.is_out(&why);
                }
            }
        }
    }

    fn is_out(&self, why: &str) {
        if !self.is_up() || self.gone.load(Ordering::Relaxed) {
            return;
        }
        // Checks that passed while it was in say nothing of its return.
        self.passed_checks.store(0, Ordering::Relaxed);
        if self.out.swap(true, Ordering::Relaxed) {
            return;
        }
        self.observer.is_up(false);
        self.went_out.notify_waiters();
        let (portal, address) = (&*self.rules.portal, self.address);
        tracing::warn!(portal, %address, why, "an address of the upstream is out: it is used no more while others are left");
    }

    /// It is none of the site's any more.
    pub(super) fn is_gone(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }

    fn is_back(&self) {
        if self.gone.load(Ordering::Relaxed) || !self.out.swap(false, Ordering::Relaxed) {
            return;
        }
        self.failures.store(0, Ordering::Relaxed);
        self.observer.is_up(true);
        tracing::info!(portal = &*self.rules.portal, address = %self.address, "an address of the upstream is back");
    }

    /// Waits until it is out.
    pub(super) async fn until_out(&self) {
        loop {
            let turned = self.went_out.notified();
            if !self.is_up() {
                return;
            }
            turned.await;
        }
    }

    /// Waits until it goes out once more.
    pub(super) async fn until_it_goes_out(&self) {
        if self.is_up() { self.until_out().await } else { std::future::pending().await }
    }

    /// A place, when there is one at once; else the node again.
    pub(super) fn enter(self: Arc<Self>) -> Result<InUse, Arc<Self>> {
        let place = match &self.room {
            None => None,
            Some(room) => match Arc::clone(room).try_acquire_owned() {
                Ok(place) => Some(place),
                Err(_) => return Err(self),
            },
        };
        Ok(InUse::begin(self, place))
    }

    /// A place, when there is one.
    pub(super) async fn enter_in_turn(self: &Arc<Self>) -> InUse {
        let place = match &self.room {
            None => None,
            // Closed never: the semaphore lives as long as this.
            Some(room) => Arc::clone(room).acquire_owned().await.ok(),
        };
        InUse::begin(Arc::clone(self), place)
    }

    /// Tells whoever counts how it stands.
    pub(super) fn announce(&self) {
        self.observer.is_up(self.is_up());
    }

    /// Somebody has waited for a place.
    pub(super) fn waited(&self, got_it: bool) {
        self.observer.waited(got_it);
    }

    /// The client that speaks to this node alone; made when it is first needed.
    pub(super) fn client(
        &self,
        make: impl FnOnce() -> Result<HttpClient, NoHttpClient>,
    ) -> Result<HttpClient, NoHttpClient> {
        match self.client.get() {
            Some(client) => Ok(client.clone()),
            None => {
                let made = make()?;
                Ok(self.client.get_or_init(|| made).clone())
            }
        }
    }

    /// Whether somebody accepts a connection there in time.
    pub(super) async fn accepts_connections(&self, patience: Duration) -> Result<(), String> {
        let connecting = tokio::net::TcpStream::connect(self.address);
        match tokio::time::timeout_at(crate::clock::deadline(patience), connecting).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no connection in time".to_owned()),
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let up = if self.is_up() { "up" } else { "out" };
        write!(f, "Node({}, {up}, {} in use)", self.address, self.in_use())
    }
}

/// One request or tunnel at a node; its place is free when this is dropped.
#[derive(Debug)]
pub struct InUse {
    node: Arc<Node>,
    _place: Option<OwnedSemaphorePermit>,
}

impl InUse {
    fn begin(node: Arc<Node>, place: Option<OwnedSemaphorePermit>) -> Self {
        node.in_use.fetch_add(1, Ordering::Relaxed);
        node.observer.begins();
        Self { node, _place: place }
    }

    /// The node.
    pub fn node(&self) -> &Node {
        &self.node
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.node.in_use.fetch_sub(1, Ordering::Relaxed);
        self.node.observer.ends();
    }
}
