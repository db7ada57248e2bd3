//! How many REST calls are answered: bursts, not quotas, for that is what API tokens meet.

use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::json;

use super::state::State;
use crate::clock::Timestamp;

/// How many calls are answered in how much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// How many.
    pub calls: u32,
    /// In how much time.
    pub per: Duration,
}

/// The span of time that is being counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    began: Option<Timestamp>,
    used: u32,
}

/// What the headers of an answer tell about the limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    limit: u32,
    remaining: u32,
    reset: Timestamp,
    over: Option<Duration>,
}

impl State {
    /// Counts one call; none without a limit.
    pub(super) fn count_call(&mut self, now: Timestamp) -> Option<Standing> {
        let RateLimit { calls, per } = self.switches.rate_limit?;
        let running = self.window.began.filter(|began| began.after(per) > now);
        let began = running.unwrap_or_else(|| {
            self.window = Window { began: Some(now), used: 0 };
            now
        });
        let reset = began.after(per);
        let over = (self.window.used >= calls).then(|| reset.since(now));
        if over.is_none() {
            self.window.used = self.window.used.saturating_add(1);
        }
        Some(Standing { limit: calls, remaining: calls.saturating_sub(self.window.used), reset, over })
    }
}

impl Standing {
    /// The answer to a call too many.
    pub(super) fn refusal(&self) -> Option<Response> {
        let wait = self.over?;
        let seconds = wait.as_millis().div_ceil(1000).max(1);
        let body = json!({"errorMessages": ["Rate limit exceeded."], "errors": {}});
        let mut response = (StatusCode::TOO_MANY_REQUESTS, axum::Json(body)).into_response();
        let mut tell = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        };
        tell("retry-after", &seconds.to_string());
        tell("ratelimit-reason", "jira-burst-based");
        self.write(response.headers_mut());
        Some(response)
    }

    pub(super) fn write(&self, headers: &mut HeaderMap) {
        let reset = self.reset.to_chrono().map(|at| at.format("%Y-%m-%dT%H:%MZ").to_string()).unwrap_or_default();
        let told = [
            ("x-ratelimit-limit", self.limit.to_string()),
            ("x-ratelimit-remaining", self.remaining.to_string()),
            ("x-ratelimit-reset", reset),
        ];
        for (name, value) in told {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
}
