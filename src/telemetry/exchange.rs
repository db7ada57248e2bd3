//! One access record and one set of counts for each exchange, on every way out: both are written on drop.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};

use super::access::{self, Line};
use super::metrics::{ExchangesOf, Metrics};
use crate::clock::{Clock, Stopwatch, Timestamp};
use crate::ids::{ProviderName, RequestId, SessionHash};

/// What lasts longer has its end told by the clock, and not by its beginning and its length.
const LASTS: Duration = Duration::from_secs(1);

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The upstream answered.
    Forwarded,
    /// One of our own pages or endpoints answered.
    Answered,
    /// The visitor was sent to sign in.
    SentToSignIn,
    /// A "no".
    Refused,
    /// The connection ended before an answer was complete.
    Abandoned,
}

impl Outcome {
    pub(super) const ALL: [Self; 5] =
        [Self::Forwarded, Self::Answered, Self::SentToSignIn, Self::Refused, Self::Abandoned];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::Answered => "answered",
            Self::SentToSignIn => "sent_to_sign_in",
            Self::Refused => "refused",
            Self::Abandoned => "abandoned",
        }
    }
}

/// A part of an exchange whose time is told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Calls to the identity provider.
    SignIn,
    /// The session store.
    Store,
    /// Obtaining the customer session.
    CustomerSession,
    /// The upstream, from the request to the head of its answer.
    Upstream,
}

impl Step {
    pub(super) const ALL: [Self; 4] = [Self::SignIn, Self::Store, Self::CustomerSession, Self::Upstream];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::Store => "store",
            Self::CustomerSession => "customer_session",
            Self::Upstream => "upstream",
        }
    }
}

/// One request and its answer, from the end of its head to the last octet.
#[derive(Debug)]
pub struct Exchange {
    metrics: Metrics,
    clock: Clock,
    came: Timestamp,
    began: Stopwatch,
    request_id: RequestId,
    client: Option<(IpAddr, String)>,
    portal: Option<Arc<ExchangesOf>>,
    method: Option<Method>,
    path: Option<String>,
    session: Option<SessionHash>,
    provider: Option<ProviderName>,
    certificate: Option<[u8; 32]>,
    node: Option<SocketAddr>,
    outcome: Outcome,
    status: Option<StatusCode>,
    reason: Option<&'static str>,
    detail: Option<String>,
    steps: [Option<Duration>; Step::ALL.len()],
    received: u64,
    sent: u64,
}

impl Exchange {
    /// The exchange begins, now.
    pub fn begin(metrics: &Metrics, request_id: RequestId, clock: &Clock) -> Self {
        metrics.exchange_began();
        Self {
            metrics: metrics.clone(),
            clock: clock.clone(),
            came: clock.now(),
            began: Stopwatch::start(),
            request_id,
            client: None,
            portal: None,
            method: None,
            path: None,
            session: None,
            provider: None,
            certificate: None,
            node: None,
            outcome: Outcome::Abandoned,
            status: None,
            reason: None,
            detail: None,
            steps: [None; Step::ALL.len()],
            received: 0,
            sent: 0,
        }
    }

    /// When it began.
    pub fn came(&self) -> Timestamp {
        self.came
    }

    /// Its id.
    pub fn request_id(&self) -> RequestId {
        self.request_id
    }

    /// The visitor's address.
    pub fn from_client(&mut self, client: Option<IpAddr>) {
        self.client = client.map(|client| (client, text_of(client)));
    }

    /// The node of the upstream that it goes to, where there are several.
    pub fn at_node(&mut self, node: SocketAddr) {
        self.node = Some(node);
    }

    /// The fingerprint of the certificate that the visitor brought.
    pub fn by_certificate(&mut self, fingerprint: Option<[u8; 32]>) {
        self.certificate = fingerprint;
    }

    /// The visitor's address, when it is known.
    pub fn client(&self) -> Option<IpAddr> {
        self.client.as_ref().map(|(client, _)| *client)
    }

    /// The same as text.
    pub fn client_text(&self) -> Option<&str> {
        self.client.as_ref().map(|(_, text)| text.as_str())
    }

    /// What was asked for. `path` has no query: callbacks carry codes there.
    pub fn asks(&mut self, method: &Method, path: &str) {
        self.method = Some(method.clone());
        self.path = Some(path.to_owned());
    }

    /// Which portal it is for.
    pub fn at_portal(&mut self, portal: &Arc<ExchangesOf>) {
        self.portal = Some(Arc::clone(portal));
    }

    /// Whose session it carries.
    pub fn of_session(&mut self, session: SessionHash, provider: &ProviderName) {
        self.session = Some(session);
        self.provider = Some(provider.clone());
    }

    /// Adds the time of a step.
    pub fn took(&mut self, step: Step, time: Duration) {
        self.metrics.step_took(step, time);
        if let Some(sum) = self.steps.get_mut(step as usize) {
            *sum = Some(sum.unwrap_or_default().saturating_add(time));
        }
    }

    /// How it ends, as far as is known now; the last word counts.
    pub fn ends(&mut self, outcome: Outcome, status: StatusCode) {
        self.outcome = outcome;
        self.status = Some(status);
    }

    /// It was refused for `reason`; `detail` is for the log alone.
    pub fn refused(&mut self, status: StatusCode, reason: &'static str, detail: Option<String>) {
        self.ends(Outcome::Refused, status);
        self.reason = Some(reason);
        self.detail = detail;
    }

    /// Body bytes read from and written to the visitor.
    pub fn transferred(&mut self, received: u64, sent: u64) {
        self.received = received;
        self.sent = sent;
    }
}

/// As it shows itself. Each exchange needs one: that of the older protocol is put together by hand.
fn text_of(client: IpAddr) -> String {
    let IpAddr::V4(client) = client else { return client.to_string() };
    let mut text = String::with_capacity("255.255.255.255".len());
    for octet in client.octets() {
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(itoa::Buffer::new().format(octet));
    }
    text
}

fn hexadecimal(octets: [u8; 32]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        self.metrics.exchange_ended(self.portal.as_deref(), self.outcome, self.status, took);
        let portal = self.portal.as_ref().map_or("none", |portal| portal.portal().as_str());
        let outcome = self.outcome.label();
        if let Some(reason) = self.reason {
            self.metrics.refused(portal, reason);
        }
        // Over hours the clock may have been set, or have stood still with the machine.
        let over = if took < LASTS { self.came.after(took) } else { self.clock.now() };
        access::write(over, |line| self.record(line, portal, outcome, took));
    }
}

impl Exchange {
    fn record(&self, line: &mut Line, portal: &str, outcome: &str, took: Duration) {
        let millis = |time: Duration| time.as_secs_f64() * 1000.0;
        let step = |step: Step| self.steps.get(step as usize).copied().flatten().map(millis);
        line.shown("request_id", Some(self.request_id.as_str()));
        line.shown("client", self.client_text());
        line.text("portal", Some(portal));
        line.text("method", self.method.as_ref().map(Method::as_str));
        line.text("path", self.path.as_deref());
        line.number("status", self.status.map(|status| u64::from(status.as_u16())));
        line.text("outcome", Some(outcome));
        line.text("reason", self.reason);
        line.text("detail", self.detail.as_deref());
        line.shown("session", self.session);
        line.text("provider", self.provider.as_ref().map(ProviderName::as_str));
        line.shown("certificate", self.certificate.map(hexadecimal));
        line.shown("node", self.node);
        line.time("ms", Some(millis(took)));
        line.time("sign_in_ms", step(Step::SignIn));
        line.time("store_ms", step(Step::Store));
        line.time("customer_session_ms", step(Step::CustomerSession));
        line.time("upstream_ms", step(Step::Upstream));
        line.number("received", Some(self.received));
        line.number("sent", Some(self.sent));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portal::HostName;

    fn scrape(metrics: &Metrics) -> String {
        String::from_utf8(metrics.encode().unwrap()).unwrap()
    }

    #[test]
    fn addresses_are_written_as_they_show_themselves() {
        for text in ["0.0.0.0", "127.0.0.1", "255.255.255.255", "10.20.3.100", "::1", "2001:db8::7", "::ffff:1.2.3.4"] {
            assert_eq!(text_of(text.parse().unwrap()), text);
        }
    }

    #[test]
    fn every_exit_is_counted() {
        let metrics = Metrics::new().unwrap();
        let clock = Clock::manual(Timestamp::from_seconds(1));
        drop(Exchange::begin(&metrics, RequestId::none(), &clock));
        let mut refused = Exchange::begin(&metrics, RequestId::none(), &clock);
        refused.at_portal(&metrics.watch_exchanges(&HostName::parse("support.acme.com").unwrap()));
        refused.refused(StatusCode::BAD_REQUEST, "path_ambiguous", None);
        assert!(scrape(&metrics).contains("vestibule_exchanges_in_flight 1"));
        drop(refused);
        let text = scrape(&metrics);
        assert!(text.contains("exchanges_total{outcome=\"abandoned\",portal=\"none\",status=\"none\"} 1"), "{text}");
        assert!(text.contains("refusals_total{portal=\"support.acme.com\",reason=\"path_ambiguous\"} 1"), "{text}");
        assert!(text.contains("vestibule_exchanges_in_flight 0"));
    }

    #[test]
    fn each_step_is_counted_as_itself() {
        let metrics = Metrics::new().unwrap();
        let clock = Clock::manual(Timestamp::from_seconds(1));
        let mut exchange = Exchange::begin(&metrics, RequestId::none(), &clock);
        for (count, step) in (1..).zip([Step::SignIn, Step::Store, Step::CustomerSession, Step::Upstream]) {
            (0..count).for_each(|_| exchange.took(step, Duration::from_secs(1)));
        }
        let text = scrape(&metrics);
        for (count, step) in (1..).zip(["sign_in", "store", "customer_session", "upstream"]) {
            assert!(text.contains(&format!("step_seconds_count{{step=\"{step}\"}} {count}\n")), "{text}");
            assert_eq!(exchange.steps[count - 1], Some(Duration::from_secs(count as u64)));
        }
    }

    /// `docs/metrics.md` tells of every outcome, step and field of the access log.
    #[test]
    fn the_record_is_documented() {
        const DOCUMENT: &str = include_str!("../../docs/metrics.md");
        let code = include_str!("exchange.rs").split("#[cfg(test)]").next().unwrap();
        let labels = regex::Regex::new(r#"=> "([a-z_]+)","#).unwrap();
        let field = regex::Regex::new(r#"line\.[a-z]+\("([a-z_]+)","#).unwrap();
        let record = code.split("fn record").nth(1).unwrap();
        let fields: Vec<&str> = field.captures_iter(record).map(|found| found.extract::<1>().1[0]).collect();
        assert_eq!((fields.first(), fields.last(), fields.len()), (Some(&"request_id"), Some(&"sent"), 20));
        for word in labels.captures_iter(code).map(|found| found.extract::<1>().1[0]).chain(fields) {
            assert!(DOCUMENT.contains(&format!("`{word}`")), "docs/metrics.md lacks {word}");
        }
    }
}
