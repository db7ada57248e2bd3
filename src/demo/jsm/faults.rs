//! Bad days on order: slow, failing, limiting, challenging, talking HTML, hanging up, or holding its breath.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::response::{Html, IntoResponse as _, Response};
use http::{StatusCode, header};
use tokio::sync::watch;

use crate::demo::server::DropConnection;

/// Something that goes wrong with calls whose path begins in a certain way.
#[derive(Clone, Debug)]
pub struct Fault {
    /// How the path begins; empty for every path.
    pub path: String,
    /// Strikes every n-th of those calls; 1 is every call.
    pub every: u32,
    /// How many strikes are left; `None` for no end.
    pub strikes: Option<u32>,
    /// What goes wrong.
    pub kind: FaultKind,
    seen: u32,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The call is answered late.
    Delay(Duration),
    /// The call is answered by this status, with `Retry-After` in seconds if given.
    Status(u16, Option<u32>),
    /// The call is answered 200 with a page of HTML, whatever was asked for.
    HtmlInPlaceOfJson,
    /// The site's firewall blocks the call: 403 with a page that is not the site's.
    FirewallBlock,
    /// The site's firewall wants a script to run first: 202, no body to speak of, and a header that says so.
    FirewallChallenge,
    /// The connection is closed without an answer.
    DropConnection,
}

impl Fault {
    /// Strikes every call whose path begins with `path`.
    pub fn always(path: &str, kind: FaultKind) -> Self {
        Self { path: path.to_owned(), every: 1, strikes: None, kind, seen: 0 }
    }

    /// Strikes every `every`-th call.
    pub fn every(path: &str, every: u32, kind: FaultKind) -> Self {
        Self { every: every.max(1), ..Self::always(path, kind) }
    }

    /// Strikes the next `strikes` calls.
    pub fn times(path: &str, strikes: u32, kind: FaultKind) -> Self {
        Self { strikes: Some(strikes), ..Self::always(path, kind) }
    }

    /// Counts a call; whether it is struck.
    fn strikes(&mut self, path: &str) -> bool {
        if !path.starts_with(&self.path) || self.strikes == Some(0) {
            return false;
        }
        self.seen = self.seen.saturating_add(1);
        if self.seen < self.every {
            return false;
        }
        self.seen = 0;
        self.strikes = self.strikes.map(|left| left.saturating_sub(1));
        true
    }
}

/// The faults and gates of one site, and a bell that rings whenever an exchange begins or ends. Clones share one.
#[derive(Clone, Debug)]
pub struct BadDays(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    faults: Mutex<Vec<Fault>>,
    gates: watch::Sender<Gates>,
    changed: watch::Sender<u64>,
}

/// Paths at which calls are held, and how many calls are being held.
#[derive(Debug, Default)]
struct Gates {
    closed: Vec<(u64, String)>,
    last: u64,
    held: usize,
}

impl Gates {
    fn shut(&self, path: &str) -> bool {
        self.closed.iter().any(|(_, prefix)| path.starts_with(prefix))
    }
}

/// Holds calls until it is opened or dropped.
#[derive(Debug)]
pub struct Gate {
    days: BadDays,
    number: u64,
}

impl Gate {
    /// Lets the held calls go on.
    pub fn open(self) {
        drop(self);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.days.0.gates.send_modify(|gates| gates.closed.retain(|(number, _)| *number != self.number));
    }
}

/// One held call; tells when it goes on, or when its caller has gone.
struct Held<'a>(&'a BadDays);

impl<'a> Held<'a> {
    fn new(days: &'a BadDays) -> Self {
        days.0.gates.send_modify(|gates| gates.held = gates.held.saturating_add(1));
        days.tell();
        Self(days)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.0.gates.send_modify(|gates| gates.held = gates.held.saturating_sub(1));
        self.0.tell();
    }
}

impl Default for BadDays {
    fn default() -> Self {
        let (gates, changed) = (watch::channel(Gates::default()).0, watch::channel(0).0);
        Self(Arc::new(Inner { faults: Mutex::default(), gates, changed }))
    }
}

impl BadDays {
    /// Replaces the faults; none of them is how the site behaves well.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        *self.0.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// Holds every call whose path begins with `path`, before it has any effect.
    pub fn hold(&self, path: &str) -> Gate {
        let mut number = 0;
        self.0.gates.send_modify(|gates| {
            gates.last = gates.last.saturating_add(1);
            number = gates.last;
            gates.closed.push((number, path.to_owned()));
        });
        Gate { days: self.clone(), number }
    }

    /// How many calls are being held now.
    pub fn held(&self) -> usize {
        self.0.gates.borrow().held
    }

    /// Rings the bell.
    pub fn tell(&self) {
        self.0.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Waits until `found` gives something; asks again whenever the bell rings.
    pub async fn wait_for<T>(&self, mut found: impl FnMut() -> Option<T>) -> T {
        let mut changes = self.0.changed.subscribe();
        loop {
            changes.borrow_and_update();
            if let Some(thing) = found() {
                return thing;
            }
            let _ = changes.changed().await; // the sender lives as long as `self`
        }
    }

    /// Waits at the gates, then suffers the faults; the answer of a fault, if one gives one.
    pub async fn suffer(&self, path: &str) -> Option<Response> {
        if self.0.gates.borrow().shut(path) {
            let _held = Held::new(self);
            let mut gates = self.0.gates.subscribe();
            while gates.borrow_and_update().shut(path) {
                let _ = gates.changed().await; // the sender lives as long as `self`
            }
        }
        let kinds: Vec<FaultKind> = {
            let mut faults = self.0.faults.lock().unwrap_or_else(PoisonError::into_inner);
            faults.iter_mut().filter_map(|fault| fault.strikes(path).then(|| fault.kind.clone())).collect()
        };
        for kind in kinds {
            match kind {
                FaultKind::Delay(long) => tokio::time::sleep(long).await,
                FaultKind::Status(status, retry) => return Some(failure(status, retry)),
                FaultKind::HtmlInPlaceOfJson => {
                    return Some(Html("<!DOCTYPE html><title>Please wait</title><p>Please wait.</p>").into_response());
                }
                FaultKind::FirewallBlock => return Some(firewall_block()),
                FaultKind::FirewallChallenge => return Some(firewall_challenge()),
                FaultKind::DropConnection => return Some(Extension(DropConnection).into_response()),
            }
        }
        None
    }
}

fn failure(status: u16, retry: Option<u32>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let page = Html(format!("<!DOCTYPE html><title>{status}</title><h1>{status}</h1>"));
    match retry {
        Some(seconds) => (status, [(header::RETRY_AFTER, seconds.to_string())], page).into_response(),
        None => (status, page).into_response(),
    }
}

/// What an edge network answers in the site's place.
pub fn firewall_block() -> Response {
    let headers = [("server", "CloudFront"), ("x-cache", "Error from cloudfront")];
    let page = "<!DOCTYPE html><title>ERROR: The request could not be satisfied</title><h1>403 ERROR</h1>\
                <h2>The request could not be satisfied.</h2><p>Request blocked.</p>";
    (StatusCode::FORBIDDEN, headers, Html(page)).into_response()
}

/// What an edge network answers to who may be a robot.
pub fn firewall_challenge() -> Response {
    let headers = [("server", "CloudFront"), ("x-amzn-waf-action", "challenge"), ("cache-control", "no-store")];
    let page = "<!DOCTYPE html><title></title><noscript>Enable JavaScript and then reload the page.</noscript>";
    (StatusCode::ACCEPTED, headers, Html(page)).into_response()
}
