//! Bad days on order: slow, failing, talking HTML, hanging up, or holding its breath.

use std::time::Duration;

use axum::Extension;
use axum::response::{Html, IntoResponse as _, Response};
use http::{StatusCode, header};

use super::JsmDataCenter;
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

/// Paths at which calls are held, and how many calls are being held.
#[derive(Debug, Default)]
pub(super) struct Gates {
    closed: Vec<(u64, String)>,
    last: u64,
    held: usize,
}

/// Holds calls until it is opened or dropped.
#[derive(Debug)]
pub struct Gate {
    jsm: JsmDataCenter,
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
        self.jsm.shared.gates.send_modify(|gates| gates.closed.retain(|(number, _)| *number != self.number));
    }
}

/// One held call; tells when it goes on, or when its caller has gone.
struct Held<'a>(&'a JsmDataCenter);

impl<'a> Held<'a> {
    fn new(jsm: &'a JsmDataCenter) -> Self {
        jsm.shared.gates.send_modify(|gates| gates.held = gates.held.saturating_add(1));
        jsm.tell();
        Self(jsm)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.shared.gates.send_modify(|gates| gates.held = gates.held.saturating_sub(1));
        self.0.tell();
    }
}

impl JsmDataCenter {
    /// Replaces the faults; none of them is how it behaves well.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.state().faults = faults;
    }

    /// Holds every call whose path begins with `path`, before it has any effect.
    pub fn hold(&self, path: &str) -> Gate {
        let mut number = 0;
        self.shared.gates.send_modify(|gates| {
            gates.last = gates.last.saturating_add(1);
            number = gates.last;
            gates.closed.push((number, path.to_owned()));
        });
        Gate { jsm: self.clone(), number }
    }

    /// How many calls are being held now.
    pub fn held(&self) -> usize {
        self.shared.gates.borrow().held
    }

    /// Waits at the gates, then suffers the faults; the answer of a fault, if one gives one.
    pub(super) async fn suffer(&self, path: &str) -> Option<Response> {
        let shut = |gates: &Gates| gates.closed.iter().any(|(_, prefix)| path.starts_with(prefix));
        if shut(&self.shared.gates.borrow()) {
            let _held = Held::new(self);
            let mut gates = self.shared.gates.subscribe();
            while shut(&gates.borrow_and_update()) {
                let _ = gates.changed().await; // the sender lives as long as `self`
            }
        }
        let kinds: Vec<FaultKind> = {
            let mut state = self.state();
            state.faults.iter_mut().filter_map(|fault| fault.strikes(path).then(|| fault.kind.clone())).collect()
        };
        for kind in kinds {
            match kind {
                FaultKind::Delay(long) => tokio::time::sleep(long).await,
                FaultKind::Status(status, retry) => return Some(failure(status, retry)),
                FaultKind::HtmlInPlaceOfJson => {
                    return Some(Html("<!DOCTYPE html><title>Please wait</title><p>Please wait.</p>").into_response());
                }
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
