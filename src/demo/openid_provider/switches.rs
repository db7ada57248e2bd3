//! What tests turn on and count: outages, held requests, requests by endpoint.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::watch;

/// An endpoint of the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `/.well-known/openid-configuration`.
    Discovery,
    /// `/jwks`.
    Jwks,
    /// `/authorize`.
    Authorization,
    /// `/decide`: the form of the sign-in page.
    Decision,
    /// `/token`.
    Token,
    /// `/userinfo`.
    UserInfo,
    /// `/end-session` and its form.
    EndSession,
    /// `/elsewhere`: where hostile answers point to. Nobody should ever come.
    Elsewhere,
}

impl Endpoint {
    /// The endpoint at a path below the issuer.
    pub(super) fn at(path: &str) -> Option<Self> {
        Some(match path {
            ".well-known/openid-configuration" => Self::Discovery,
            "jwks" => Self::Jwks,
            "authorize" => Self::Authorization,
            "decide" => Self::Decision,
            "token" => Self::Token,
            "userinfo" => Self::UserInfo,
            "end-session" | "end-session/confirm" => Self::EndSession,
            "elsewhere" => Self::Elsewhere,
            _ => return None,
        })
    }
}

/// The switches.
pub(super) struct Switches {
    down: AtomicBool,
    held: watch::Sender<Vec<Endpoint>>,
    counts: [AtomicU64; 8],
}

impl Default for Switches {
    fn default() -> Self {
        Self { down: AtomicBool::new(false), held: watch::Sender::new(Vec::new()), counts: Default::default() }
    }
}

impl Switches {
    pub(super) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    pub(super) fn hold(&self, endpoint: Endpoint) {
        self.held.send_modify(|held| held.push(endpoint));
    }

    pub(super) fn release(&self, endpoint: Endpoint) {
        self.held.send_modify(|held| held.retain(|one| *one != endpoint));
    }

    pub(super) fn requests(&self, endpoint: Endpoint) -> u64 {
        self.counts.get(endpoint as usize).map_or(0, |count| count.load(Ordering::SeqCst))
    }

    /// Counts a request and lets it pass when the endpoint is not held. False when the provider is down.
    pub(super) async fn pass(&self, endpoint: Endpoint) -> bool {
        if let Some(count) = self.counts.get(endpoint as usize) {
            count.fetch_add(1, Ordering::SeqCst);
        }
        let mut held = self.held.subscribe();
        // The sender lives as long as the provider, so that waiting ends only by a release.
        let _ = held.wait_for(|held| !held.contains(&endpoint)).await;
        !self.down.load(Ordering::SeqCst)
    }
}
