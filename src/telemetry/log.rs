//! Where log lines go, and how they look.

mod sink;

use std::sync::OnceLock;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use super::settings::{LogFormat, LogSettings};

/// Crates whose detailed messages can hold request heads, and so cookies and codes: never below `warn`.
const QUIET: [&str; 8] = ["pingora", "pingora_http", "h2", "hyper", "hyper_util", "reqwest", "rustls", "axum"];

/// Crates that write an error for each head that they cannot read: strangers could fill the log with those.
const SILENT: [&str; 2] = ["pingora_core", "pingora_proxy"];

pub use self::sink::Flushed;
pub(super) use self::sink::Sink;

/// The sink of this process, for the counters of [`report_to`].
static SINK: OnceLock<Sink> = OnceLock::new();

/// Starts to write log lines to standard output; what is left is written when the value is dropped. Later calls in one
/// process change nothing.
#[must_use = "dropped, it ends the log"]
pub fn start(settings: &LogSettings) -> Flushed {
    let (sink, flushed) = Sink::start(std::io::stdout());
    let _ = SINK.set(sink.clone());
    if settings.level >= tracing::Level::INFO {
        super::access::start(sink.clone(), settings.format);
    }
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match settings.format {
        LogFormat::Json => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_writer(sink)
            .boxed(),
        LogFormat::Text => tracing_subscriber::fmt::layer().with_target(false).with_writer(sink).boxed(),
    };
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter(settings.level))).try_init();
    flushed
}

/// What is written at `level`: ours at that level, the quiet crates only when something is wrong.
pub fn filter(level: tracing::Level) -> EnvFilter {
    let mut filter = EnvFilter::default().add_directive(LevelFilter::from_level(level).into());
    for name in QUIET {
        let quiet = level.min(tracing::Level::WARN);
        if let Ok(directive) = format!("{name}={quiet}").parse() {
            filter = filter.add_directive(directive);
        }
    }
    for name in SILENT {
        if let Ok(directive) = format!("{name}=off").parse() {
            filter = filter.add_directive(directive);
        }
    }
    filter
}

/// Counts log lines that are left out, and panics, and logs where these happened. Their message stays out: it may quote
/// what a visitor sent.
pub fn report_to(metrics: &super::Metrics) {
    if let Some(sink) = SINK.get() {
        sink.count_dropped(metrics.log_lines_dropped());
    }
    let metrics = metrics.clone();
    std::panic::set_hook(Box::new(move |panic| {
        metrics.panicked();
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a panic was caught; one request was lost");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Metrics;

    #[test]
    fn a_panic_is_counted() {
        let metrics = Metrics::new().unwrap();
        let before = std::panic::take_hook();
        report_to(&metrics);
        let caught = std::thread::spawn(|| panic!("on purpose")).join();
        std::panic::set_hook(before);
        assert!(caught.is_err());
        let text = String::from_utf8(metrics.encode().unwrap()).unwrap();
        assert!(text.contains("vestibule_panics_total 1"), "{text}");
    }
}
