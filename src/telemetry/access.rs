//! The access record as a line of the log. Every request costs one, so that it is put together without the log's own
//! machinery: a field costs its octets, and a line no allocation. It looks as the other lines do.

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::sync::OnceLock;

use super::log::Sink;
use super::settings::LogFormat;
use crate::clock::Timestamp;

/// Where the lines go, once the log was started at a level that has them.
static OUT: OnceLock<(Sink, LogFormat)> = OnceLock::new();

thread_local! {
    static LINE: RefCell<Line> = const { RefCell::new(Line::new(LogFormat::Json)) };
}

/// Lines go there from now on, if they went nowhere before.
pub(super) fn start(sink: Sink, format: LogFormat) {
    let _ = OUT.set((sink, format));
}

/// Writes a line, as of `now`. Where this process has started no log, it goes to whoever listens to `tracing`.
pub(super) fn write(now: Timestamp, fields: impl Fn(&mut Line)) {
    let Some((sink, format)) = OUT.get() else {
        if tracing::enabled!(target: "access", tracing::Level::INFO) {
            let mut line = Line::new(LogFormat::Json);
            fields(&mut line);
            tracing::info!(target: "access", record = line.fields());
        }
        return;
    };
    // Neither fails while a request ends; a line would only be late.
    let _ = LINE.try_with(|line| {
        let Ok(mut line) = line.try_borrow_mut() else { return };
        line.begin(*format, now);
        fields(&mut line);
        line.end();
        sink.take(line.out.as_bytes());
    });
}

/// A line that is being written. Fields without a value are left out.
pub(super) struct Line {
    out: String,
    format: LogFormat,
    /// The second of the last line, as it was written: those of one second share it.
    second: (i64, String),
}

impl Line {
    const fn new(format: LogFormat) -> Self {
        Self { out: String::new(), format, second: (i64::MIN, String::new()) }
    }

    fn begin(&mut self, format: LogFormat, now: Timestamp) {
        self.format = format;
        self.out.clear();
        if self.second.0 != now.seconds() {
            self.second.0 = now.seconds();
            self.second.1.clear();
            let _ = write!(self.second.1, "{}", Timestamp::from_seconds(now.seconds()));
            self.second.1.truncate("2026-11-26T12:00:00".len());
        }
        let json = format == LogFormat::Json;
        self.out.push_str(if json { "{\"timestamp\":\"" } else { "" });
        self.out.push_str(&self.second.1);
        self.thousandths(now.millis().rem_euclid(1000).unsigned_abs());
        self.out.push('Z');
        self.out.push_str(if json { "\",\"level\":\"INFO\"" } else { "  INFO" });
    }

    fn end(&mut self) {
        self.out.push_str(if self.format == LogFormat::Json { ",\"target\":\"access\"}\n" } else { "\n" });
    }

    /// The fields alone.
    fn fields(&self) -> &str {
        self.out.trim_start_matches(',')
    }

    fn name(&mut self, name: &'static str) {
        let (before, after) = if self.format == LogFormat::Json { (",\"", "\":") } else { (" ", "=") };
        self.out.push_str(before);
        self.out.push_str(name);
        self.out.push_str(after);
    }

    /// Text that somebody else may have made: quoted and escaped as JSON does it, in either format.
    pub fn text(&mut self, name: &'static str, value: Option<&str>) {
        let Some(value) = value else { return };
        self.name(name);
        let plain = value.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\' && byte != 0x7f);
        if plain {
            self.out.push('"');
            self.out.push_str(value);
            self.out.push('"');
        } else {
            let escaped = serde_json::Value::from(value).to_string();
            self.out.push_str(&escaped);
        }
    }

    /// What shows itself without a quote, a backslash or a control character.
    pub fn shown(&mut self, name: &'static str, value: Option<impl fmt::Display>) {
        let Some(value) = value else { return };
        self.name(name);
        let quote = if self.format == LogFormat::Json { "\"" } else { "" };
        self.out.push_str(quote);
        let _ = write!(self.out, "{value}");
        self.out.push_str(quote);
    }

    /// A whole number.
    pub fn number(&mut self, name: &'static str, value: Option<u64>) {
        let Some(value) = value else { return };
        self.name(name);
        self.out.push_str(itoa::Buffer::new().format(value));
    }

    /// Milliseconds, to the microsecond.
    pub fn time(&mut self, name: &'static str, value: Option<f64>) {
        let Some(value) = value else { return };
        self.name(name);
        let micros = (value * 1000.0).round().clamp(0.0, 1e15) as u64;
        self.out.push_str(itoa::Buffer::new().format(micros / 1000));
        self.thousandths(micros % 1000);
    }

    /// A point and three digits.
    fn thousandths(&mut self, count: u64) {
        self.out.push_str(match count {
            0..10 => ".00",
            10..100 => ".0",
            _ => ".",
        });
        self.out.push_str(itoa::Buffer::new().format(count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(format: LogFormat, fields: impl Fn(&mut Line)) -> String {
        let mut line = Line::new(format);
        line.begin(format, Timestamp::from_millis(1_790_000_000_007));
        fields(&mut line);
        line.end();
        line.out
    }

    fn some(line: &mut Line) {
        line.shown("request_id", Some("0af7"));
        line.text("path", Some("/a \"b\"\n\u{7f}\u{e4}"));
        line.text("reason", None);
        line.number("status", Some(200));
        line.time("ms", Some(12.3456));
    }

    #[test]
    fn a_line_of_json_can_be_read_whatever_a_stranger_asked_for() {
        let written = line(LogFormat::Json, some);
        assert!(written.ends_with("}\n") && written.lines().count() == 1, "{written}");
        let read: serde_json::Value = serde_json::from_str(&written).unwrap();
        let expected = serde_json::json!({
            "timestamp": "2026-09-21T14:13:20.007Z", "level": "INFO", "request_id": "0af7",
            "path": "/a \"b\"\n\u{7f}\u{e4}", "status": 200, "ms": 12.346, "target": "access",
        });
        assert_eq!(read, expected);
    }

    #[test]
    fn a_line_of_text_stays_one_line() {
        let written = line(LogFormat::Text, some);
        let rest = written.strip_prefix("2026-09-21T14:13:20.007Z  INFO request_id=0af7 path=\"/a ").unwrap();
        assert!(rest.ends_with(" status=200 ms=12.346\n") && written.lines().count() == 1, "{written}");
    }

    #[test]
    fn the_second_is_written_anew_when_it_changes() {
        let mut line = Line::new(LogFormat::Text);
        let mut at = |millis| {
            line.begin(LogFormat::Text, Timestamp::from_millis(millis));
            line.out.clone()
        };
        assert_eq!(at(1_999), "1970-01-01T00:00:01.999Z  INFO");
        assert_eq!(at(1_001), "1970-01-01T00:00:01.001Z  INFO");
        assert_eq!(at(2_000), "1970-01-01T00:00:02.000Z  INFO");
    }
}
