//! Settings of telemetry.

/// Settings of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// JSON lines, or text for a person at a terminal.
    pub format: LogFormat,
    /// The least severe level that is written: `error`, `warn`, `info`, `debug` or `trace`.
    pub level: tracing::Level,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Text.
    Text,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: LogFormat::Json, level: tracing::Level::INFO }
    }
}
