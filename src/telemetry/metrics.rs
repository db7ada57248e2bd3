//! Prometheus metrics. Every label value comes from an enum, a provider's name or a portal's host in `gateway.yaml`, or is an
//! address that an upstream's name leads to.

mod customers;
mod exchanges;
mod metadata;
mod nodes;

use std::sync::Arc;
use std::time::Duration;

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::clock::Timestamp;
use crate::customer::CustomerObserver;
use crate::ids::ProviderName;
use crate::nodes::NodesObserver;
use crate::portal::HostName;
use crate::sign_in::saml::metadata_source::MetadataObserver;
use crate::telemetry::Step;

pub use exchanges::ExchangesOf;

/// The metrics could not be set up or written: a name was registered twice, or a value is not valid text.
#[derive(Debug, thiserror::Error)]
#[error("metrics: {0}")]
pub struct MetricsFailed(#[from] prometheus::Error);

/// All metrics of one gateway. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Families>);

#[derive(Debug)]
struct Families {
    registry: Registry,
    exchanges: IntCounterVec,
    exchange_seconds: HistogramVec,
    /// By step.
    step_seconds: [Histogram; Step::ALL.len()],
    refusals: IntCounterVec,
    sign_ins: IntCounterVec,
    logouts: IntCounterVec,
    customer_sessions: IntCounterVec,
    provisioning: IntCounterVec,
    session_changes: IntCounterVec,
    sessions_stored: IntGauge,
    session_store_up: IntGauge,
    in_flight: IntGauge,
    upstream_retries: IntCounterVec,
    kept_forms: IntCounterVec,
    provider_up: IntGaugeVec,
    certificate_looks: IntCounterVec,
    certificate_ends: IntGaugeVec,
    certificate_orders: IntCounterVec,
    certificates_missing: IntGauge,
    metadata_looks: IntCounterVec,
    metadata_confirmed: IntGaugeVec,
    metadata_ends: IntGaugeVec,
    upstream_up: IntGaugeVec,
    upstream_in_use: IntGaugeVec,
    upstream_failures: IntCounterVec,
    upstream_resent: IntCounterVec,
    upstream_checks: IntCounterVec,
    upstream_waits: IntCounterVec,
    upstream_look_ups: IntCounterVec,
    config_reloads: IntCounterVec,
    config_number: IntGauge,
    config_since: IntGauge,
    upgrades: IntCounterVec,
    panics: IntCounter,
    log_lines_dropped: IntCounter,
}

/// Seconds; from a cached page to a slow upload.
const BUCKETS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// Who began a SAML single logout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogoutBegun {
    /// A visitor who signed out here.
    Here,
    /// The provider.
    AtProvider,
    /// The message was not believed, so that nobody can tell.
    Unknown,
}

impl LogoutBegun {
    const fn label(self) -> &'static str {
        match self {
            Self::Here => "here",
            Self::AtProvider => "provider",
            Self::Unknown => "unknown",
        }
    }
}

impl Metrics {
    /// Fresh metrics, all zero.
    ///
    /// # Errors
    /// Only when a name is registered twice, which a test would show.
    pub fn new() -> Result<Self, MetricsFailed> {
        let registry = Registry::new_custom(Some("vestibule".into()), None)?;
        let counters = |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
            let family = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(family.clone()))?;
            Ok(family)
        };
        let histogram = |name: &str, help: &str, labels: &[&str]| -> Result<HistogramVec, prometheus::Error> {
            let family = HistogramVec::new(HistogramOpts::new(name, help).buckets(BUCKETS.to_vec()), labels)?;
            registry.register(Box::new(family.clone()))?;
            Ok(family)
        };
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let build = IntGaugeVec::new(Opts::new("build_info", "The version that runs; always 1"), &["version"])?;
        registry.register(Box::new(build.clone()))?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let provider_up = IntGaugeVec::new(
            Opts::new("identity_provider_up", "Whether the last call to an identity provider was answered"),
            &["provider"],
        )?;
        registry.register(Box::new(provider_up.clone()))?;
        let metadata_confirmed = IntGaugeVec::new(
            Opts::new("saml_metadata_confirmed_timestamp_seconds", "When a provider's metadata was last found good"),
            &["provider"],
        )?;
        registry.register(Box::new(metadata_confirmed.clone()))?;
        let metadata_ends = IntGaugeVec::new(
            Opts::new(
                "saml_metadata_valid_until_timestamp_seconds",
                "When the metadata in use ends; absent without an end",
            ),
            &["provider"],
        )?;
        registry.register(Box::new(metadata_ends.clone()))?;
        let certificate_ends = IntGaugeVec::new(
            Opts::new("certificate_valid_until_timestamp_seconds", "When a certificate that is served ends"),
            &["name"],
        )?;
        registry.register(Box::new(certificate_ends.clone()))?;
        let upstream_up = IntGaugeVec::new(
            Opts::new("upstream_up", "Whether an address of an upstream is used"),
            &["portal", "address"],
        )?;
        registry.register(Box::new(upstream_up.clone()))?;
        let upstream_in_use = IntGaugeVec::new(
            Opts::new("upstream_in_use", "Requests and tunnels under way at an address of an upstream"),
            &["portal", "address"],
        )?;
        registry.register(Box::new(upstream_in_use.clone()))?;
        let panics = IntCounter::new("panics_total", "Panics caught; each cost one request. Alert on any")?;
        registry.register(Box::new(panics.clone()))?;
        let log_lines_dropped =
            IntCounter::new("log_lines_dropped_total", "Log lines left out because nobody read them in time")?;
        registry.register(Box::new(log_lines_dropped.clone()))?;
        let step_seconds = histogram("step_seconds", "Duration of the steps of requests", &["step"])?;
        let families = Families {
            exchanges: counters("exchanges_total", "Requests by how they ended", &["portal", "outcome", "status"])?,
            exchange_seconds: histogram("exchange_seconds", "Duration of requests", &["portal", "outcome"])?,
            step_seconds: Step::ALL.map(|step| step_seconds.with_label_values(&[step.label()])),
            refusals: counters("refusals_total", "Requests refused, by reason", &["portal", "reason"])?,
            sign_ins: counters("sign_ins_total", "Sign-ins by provider and result", &["provider", "result"])?,
            logouts: counters(
                "single_logouts_total",
                "SAML single logouts by provider, by where they began, and result",
                &["provider", "begun", "result"],
            )?,
            customer_sessions: counters(
                "customer_sessions_total",
                "Attempts to open, reopen or end customer sessions, by result",
                &["portal", "result"],
            )?,
            provisioning: counters(
                "customer_provisioning_total",
                "What was done for customers' accounts, by result",
                &["portal", "result"],
            )?,
            session_changes: counters("session_changes_total", "Sessions opened and ended", &["change"])?,
            sessions_stored: gauge("sessions_stored", "Sessions in the store at the last sweep")?,
            session_store_up: gauge("session_store_up", "Whether the session store took the last write")?,
            in_flight: gauge("exchanges_in_flight", "Requests being served now")?,
            upstream_retries: counters(
                "upstream_repeats_total",
                "Requests sent again after the customer session was reopened, or refused to be, by result",
                &["portal", "result"],
            )?,
            kept_forms: counters(
                "kept_forms_total",
                "What was sent while the session was over, by what became of it",
                &["portal", "result"],
            )?,
            metadata_looks: counters(
                "saml_metadata_looks_total",
                "Looks at the metadata of SAML providers, by result",
                &["provider", "result"],
            )?,
            certificate_looks: counters(
                "certificate_looks_total",
                "Looks at the certificate files, by result",
                &["result"],
            )?,
            upstream_up,
            upstream_in_use,
            upstream_failures: counters(
                "upstream_failures_total",
                "Connections and answers of an address of an upstream that failed, by kind",
                &["portal", "address", "kind"],
            )?,
            upstream_resent: counters(
                "upstream_retries_total",
                "Requests sent again that had failed at an address of an upstream",
                &["portal", "address"],
            )?,
            upstream_checks: counters(
                "upstream_checks_total",
                "Checks of an address of an upstream, by result",
                &["portal", "address", "result"],
            )?,
            upstream_waits: counters(
                "upstream_waits_total",
                "Requests that waited for a place at an address of an upstream, by result",
                &["portal", "address", "result"],
            )?,
            upstream_look_ups: counters(
                "upstream_look_ups_total",
                "Look-ups of the names of an upstream, by result",
                &["portal", "result"],
            )?,
            config_reloads: counters(
                "config_reloads_total",
                "Times that the configuration was read again, by result",
                &["result"],
            )?,
            upgrades: counters("upgrades_total", "Handovers from one process to the next, by result", &["result"])?,
            config_number: gauge("config_number", "How many configurations have been in force, with the present one")?,
            config_since: gauge(
                "config_confirmed_timestamp_seconds",
                "When the configuration in force was last found to be that of the file",
            )?,
            certificate_ends,
            certificate_orders: counters(
                "certificate_orders_total",
                "Orders of certificates by this gateway, by result",
                &["result"],
            )?,
            certificates_missing: gauge(
                "certificates_missing",
                "Hosts without a certificate that is ordered for them",
            )?,
            provider_up,
            metadata_confirmed,
            metadata_ends,
            panics,
            log_lines_dropped,
            registry,
        };
        Ok(Self(Arc::new(families)))
    }

    /// All metrics in the Prometheus text format (version 0.0.4).
    ///
    /// # Errors
    /// When a family cannot be encoded.
    pub fn encode(&self) -> Result<Vec<u8>, MetricsFailed> {
        let mut out = Vec::new();
        TextEncoder::new().encode(&self.0.registry.gather(), &mut out)?;
        Ok(out)
    }

    pub(super) fn exchange_began(&self) {
        self.0.in_flight.inc();
    }

    pub(super) fn step_took(&self, step: Step, took: Duration) {
        if let Some(histogram) = self.0.step_seconds.get(step as usize) {
            histogram.observe(took.as_secs_f64());
        }
    }

    pub(super) fn refused(&self, portal: &str, reason: &str) {
        self.0.refusals.with_label_values(&[portal, reason]).inc();
    }

    /// A sign-in at `provider` ended with `result`: "signed_in" or the reason of a refusal.
    pub fn sign_in_ended(&self, provider: &str, result: &str) {
        self.0.sign_ins.with_label_values(&[provider, result]).inc();
    }

    /// A SAML single logout at `provider` came to `result`: what became of the sessions, or the reason of a refusal.
    pub fn logout_ended(&self, provider: &str, begun: LogoutBegun, result: &str) {
        self.0.logouts.with_label_values(&[provider, begun.label(), result]).inc();
    }

    /// A session was "opened", "ended" or "expired", `count` times.
    pub fn sessions_changed(&self, change: &str, count: u64) {
        self.0.session_changes.with_label_values(&[change]).inc_by(count);
    }

    /// How many sessions the store holds.
    pub fn sessions_stored(&self, count: u64) {
        self.0.sessions_stored.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Whether the store works.
    pub fn session_store_is_up(&self, up: bool) {
        self.0.session_store_up.set(i64::from(up));
    }

    /// Whether an identity provider answers.
    pub fn provider_is_up(&self, provider: &str, up: bool) {
        self.0.provider_up.with_label_values(&[provider]).set(i64::from(up));
    }

    /// What happens to the customer sessions of `portal`, counted.
    pub fn watch_customers(&self, portal: &HostName) -> Arc<dyn CustomerObserver> {
        Arc::new(customers::CustomersOf { portal: portal.clone(), metrics: self.clone() })
    }

    /// What happens at the nodes of `portal`, counted.
    pub fn watch_nodes(&self, portal: &HostName) -> Arc<dyn NodesObserver> {
        Arc::new(nodes::NodesOf { portal: portal.clone(), metrics: self.clone() })
    }

    /// What happens to the metadata of `provider`, counted.
    pub fn watch_metadata(&self, provider: &ProviderName) -> Arc<dyn MetadataObserver> {
        Arc::new(metadata::MetadataOf { provider: provider.clone(), metrics: self.clone() })
    }

    /// The certificate files were looked at: "changed", "unchanged" or "unusable".
    pub fn certificates_looked_at(&self, result: &str) {
        self.0.certificate_looks.with_label_values(&[result]).inc();
    }

    /// These certificates are served, each with the first name in it and its end. Of several for one name, the first to end
    /// counts.
    pub fn certificates_end(&self, ends: &[(String, Timestamp)]) {
        self.0.certificate_ends.reset();
        for (name, end) in ends {
            let gauge = self.0.certificate_ends.with_label_values(&[name.as_str()]);
            let other = gauge.get();
            gauge.set(if other == 0 { end.seconds() } else { other.min(end.seconds()) });
        }
    }

    /// An order of a certificate ended: "issued", or the label of the failure.
    pub fn certificate_ordered(&self, result: &str) {
        self.0.certificate_orders.with_label_values(&[result]).inc();
    }

    /// So many certificates that are ordered are not there, or are over.
    pub fn certificates_missing(&self, count: usize) {
        self.0.certificates_missing.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// The configuration was read again, with that result.
    pub fn config_read_again(&self, result: &str) {
        self.0.config_reloads.with_label_values(&[result]).inc();
    }

    /// This process has "taken_over" from another, or none has taken over from it, for that reason.
    pub fn upgraded(&self, result: &str) {
        self.0.upgrades.with_label_values(&[result]).inc();
    }

    /// The configuration of that number is in force, and is what the file said then.
    pub fn config_is_in_force(&self, number: u64, at: Timestamp) {
        self.0.config_number.set(i64::try_from(number).unwrap_or(i64::MAX));
        self.0.config_since.set(at.seconds());
    }

    /// These providers are configured no more: whether they answer is not told any more.
    pub fn providers_are_gone(&self, gone: &[ProviderName]) {
        for provider in gone {
            for family in [&self.0.provider_up, &self.0.metadata_confirmed, &self.0.metadata_ends] {
                let _ = family.remove_label_values(&[provider.as_str()]);
            }
        }
    }

    /// A request met a dead customer session: "repeated" or "not_sent".
    pub fn repeated(&self, portal: &str, result: &str) {
        self.0.upstream_retries.with_label_values(&[portal, result]).inc();
    }

    /// Something was sent while the session was over: "kept", "too_large", "no_room" or "failed"; later "sent", "dropped",
    /// "of_another" or "put_back".
    pub fn form_kept(&self, portal: &str, result: &str) {
        self.0.kept_forms.with_label_values(&[portal, result]).inc();
    }

    /// Counts log lines that were left out.
    pub(super) fn log_lines_dropped(&self) -> IntCounter {
        self.0.log_lines_dropped.clone()
    }

    /// A panic was caught.
    pub fn panicked(&self) {
        self.0.panics.inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::customer::{CustomerEvent, Provisioning};
    use crate::sign_in::saml::metadata_source::MetadataEvent;
    use crate::telemetry::Outcome;

    const END: Timestamp = Timestamp::from_seconds(1_790_000_000);

    #[test]
    fn metrics_are_written_with_their_labels() {
        let metrics = Metrics::new().unwrap();
        metrics.sign_in_ended("acme-okta", "signed_in");
        metrics.panicked();
        let text = String::from_utf8(metrics.encode().unwrap()).unwrap();
        assert!(text.contains("vestibule_sign_ins_total{provider=\"acme-okta\",result=\"signed_in\"} 1"), "{text}");
        assert!(text.contains("vestibule_panics_total 1"));
        assert!(text.contains("vestibule_build_info"));
    }

    /// `docs/metrics.md` has a row for every metric, with its type and labels, and for no other.
    #[test]
    fn every_metric_is_documented() {
        const DOCUMENT: &str = include_str!("../../docs/metrics.md");
        let family = r#"(counters|histogram|gauge|IntCounter::new|Opts::new)\(\s*"([a-z_]+)","#;
        let labels = regex::Regex::new(r#"&\[([^\]]*)\]"#).unwrap();
        let code = include_str!("metrics.rs").split("#[cfg(test)]").next().unwrap();
        let mut rows = Vec::new();
        for found in regex::Regex::new(family).unwrap().captures_iter(code) {
            let kind = match &found[1] {
                "counters" | "IntCounter::new" => "counter",
                "histogram" => "histogram",
                _ => "gauge",
            };
            let rest = &code[found.get(2).unwrap().start()..];
            let end = rest.find('?').unwrap();
            let named = labels.captures(&rest[..end]).map(|list| list[1].replace('"', "`"));
            rows.push(format!("| `vestibule_{}` | {kind} | {} | ", &found[2], named.unwrap_or("–".into())));
        }
        let written = Metrics::new().unwrap();
        written.exchange_began();
        let exchanges = written.watch_exchanges(&HostName::parse("acme.com").unwrap());
        written.exchange_ended(Some(&exchanges), Outcome::Refused, None, Duration::ZERO);
        written.step_took(Step::Store, Duration::ZERO);
        written.refused("none", "internal");
        written.sign_in_ended("acme", "signed_in");
        written.logout_ended("acme", LogoutBegun::Here, "ended");
        written.sessions_changed("opened", 1);
        written.provider_is_up("acme", true);
        written.repeated("none", "repeated");
        written.form_kept("none", "kept");
        written.certificates_looked_at("changed");
        written.certificate_ordered("issued");
        written.config_read_again("applied");
        written.upgraded("taken_over");
        written.certificates_end(&[("acme.com".to_owned(), END)]);
        written.watch_customers(&HostName::parse("acme.com").unwrap()).note(&CustomerEvent::Ended { confirmed: true });
        let good = MetadataEvent::Good { at: END, new: true, valid_until: Some(END) };
        written.watch_metadata(&ProviderName::parse("adfs").unwrap()).note(&good);
        let nodes = written.watch_nodes(&HostName::parse("acme.com").unwrap());
        nodes.looked_up(true);
        let node = nodes.node(([10, 0, 0, 1], 443).into());
        node.is_up(true);
        node.failed(crate::nodes::Failure::Connect);
        node.retried();
        node.checked(true);
        node.waited(true);
        let watch = written.watch_customers(&HostName::parse("acme.com").unwrap());
        watch.note(&CustomerEvent::Provisioned(Provisioning::Created));
        assert_eq!(rows.len(), written.0.registry.gather().len(), "{rows:#?}");
        for row in &rows {
            assert!(DOCUMENT.lines().any(|line| line.starts_with(row)), "docs/metrics.md lacks {row}");
        }
        let documented = DOCUMENT.lines().filter(|line| line.starts_with("| `vestibule_")).count();
        assert_eq!(documented, rows.len(), "docs/metrics.md tells of a metric that is not there");
    }

    #[test]
    fn every_result_is_documented() {
        const DOCUMENT: &str = include_str!("../../docs/metrics.md");
        let results = regex::Regex::new(r#"=> "([a-z_]+)","#).unwrap();
        let rooms =
            [include_str!("metrics.rs"), include_str!("metrics/customers.rs"), include_str!("metrics/metadata.rs")];
        for (code, at_least) in rooms.into_iter().zip([3, 16, 2]) {
            let code = code.split("#[cfg(test)]").next().unwrap();
            assert!(results.captures_iter(code).count() >= at_least, "{code}");
            for value in results.captures_iter(code) {
                assert!(DOCUMENT.contains(&format!("`{}`", &value[1])), "docs/metrics.md lacks {}", &value[1]);
            }
        }
    }
}
