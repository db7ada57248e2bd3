//! Telemetry.

use crate::config::raw::{RawLogFormat, RawLogLevel, RawTelemetry};
use crate::telemetry::settings::{LogFormat, LogSettings};

/// Every word is sound: `structure` knows them all.
pub(super) fn log(raw: RawTelemetry) -> LogSettings {
    let log = raw.log.unwrap_or_default();
    let defaults = LogSettings::default();
    LogSettings {
        format: match log.format {
            Some(RawLogFormat::Json) => LogFormat::Json,
            Some(RawLogFormat::Text) => LogFormat::Text,
            None => defaults.format,
        },
        level: match log.level {
            Some(RawLogLevel::Error) => tracing::Level::ERROR,
            Some(RawLogLevel::Warn) => tracing::Level::WARN,
            Some(RawLogLevel::Info) => tracing::Level::INFO,
            Some(RawLogLevel::Debug) => tracing::Level::DEBUG,
            Some(RawLogLevel::Trace) => tracing::Level::TRACE,
            None => defaults.level,
        },
    }
}
