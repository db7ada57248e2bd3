//! How the exchanges of a portal are counted. Every request adds to a counter and a histogram: those to which most requests add
//! are looked up once.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::StatusCode;
use prometheus::{Histogram, IntCounter};

use super::Metrics;
use crate::portal::HostName;
use crate::telemetry::Outcome;

/// What most answers of upstreams say.
const USUAL: [StatusCode; 4] = [StatusCode::OK, StatusCode::NOT_MODIFIED, StatusCode::FOUND, StatusCode::NOT_FOUND];

/// The series of one portal's exchanges.
#[derive(Debug)]
pub struct ExchangesOf {
    portal: HostName,
    /// By outcome.
    seconds: [OnceLock<Histogram>; Outcome::ALL.len()],
    /// What was forwarded and came to a usual answer.
    usual: [OnceLock<IntCounter>; USUAL.len()],
}

impl ExchangesOf {
    /// The portal.
    pub fn portal(&self) -> &HostName {
        &self.portal
    }

    fn usual(&self, outcome: Outcome, status: Option<StatusCode>) -> Option<&OnceLock<IntCounter>> {
        let status = status.filter(|_| outcome == Outcome::Forwarded)?;
        self.usual.get(USUAL.iter().position(|usual| *usual == status)?)
    }
}

impl Metrics {
    /// The exchanges of `portal`, as they are counted here.
    pub fn watch_exchanges(&self, portal: &HostName) -> Arc<ExchangesOf> {
        Arc::new(ExchangesOf { portal: portal.clone(), seconds: Default::default(), usual: Default::default() })
    }

    /// An exchange ended; `of` the portal that it was for, if it was for one.
    pub(in crate::telemetry) fn exchange_ended(
        &self,
        of: Option<&ExchangesOf>,
        outcome: Outcome,
        status: Option<StatusCode>,
        took: Duration,
    ) {
        let (families, portal) = (&self.0, of.map_or("none", |of| of.portal.as_str()));
        families.in_flight.dec();
        let counter = || {
            let status = status.as_ref().map_or("none", StatusCode::as_str);
            families.exchanges.with_label_values(&[portal, outcome.label(), status])
        };
        match of.and_then(|of| of.usual(outcome, status)) {
            Some(usual) => usual.get_or_init(counter).inc(),
            None => counter().inc(),
        }
        let histogram = || families.exchange_seconds.with_label_values(&[portal, outcome.label()]);
        match of.and_then(|of| of.seconds.get(outcome as usize)) {
            Some(known) => known.get_or_init(histogram).observe(took.as_secs_f64()),
            None => histogram().observe(took.as_secs_f64()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_and_status_is_counted_where_it_belongs() {
        let metrics = Metrics::new().unwrap();
        let exchanges = metrics.watch_exchanges(&HostName::parse("support.acme.com").unwrap());
        for outcome in Outcome::ALL {
            for status in [None, Some(StatusCode::OK), Some(StatusCode::FOUND), Some(StatusCode::IM_A_TEAPOT)] {
                for _ in 0..3 {
                    metrics.exchange_ended(Some(&exchanges), outcome, status, Duration::from_millis(3));
                }
            }
        }
        // Of another configuration, the same portal adds to the same; what is for none adds to neither.
        let again = metrics.watch_exchanges(exchanges.portal());
        metrics.exchange_ended(Some(&again), Outcome::Forwarded, Some(StatusCode::NOT_FOUND), Duration::ZERO);
        metrics.exchange_ended(Some(&exchanges), Outcome::Forwarded, Some(StatusCode::NOT_FOUND), Duration::ZERO);
        metrics.exchange_ended(None, Outcome::Forwarded, Some(StatusCode::OK), Duration::ZERO);
        let text = String::from_utf8(metrics.encode().unwrap()).unwrap();
        for (portal, status, count) in [("support.acme.com", "404", 2), ("none", "200", 1)] {
            let line =
                format!("exchanges_total{{outcome=\"forwarded\",portal=\"{portal}\",status=\"{status}\"}} {count}\n");
            assert!(text.contains(&line), "{line}{text}");
        }
        assert!(!text.contains("status=\"304\""), "{text}");
        for outcome in Outcome::ALL.map(Outcome::label) {
            for status in ["none", "200", "302", "418"] {
                let line = format!(
                    "exchanges_total{{outcome=\"{outcome}\",portal=\"support.acme.com\",status=\"{status}\"}} 3\n"
                );
                assert!(text.contains(&line), "{line}{text}");
            }
            let count = if outcome == "forwarded" { 14 } else { 12 };
            let line = format!("exchange_seconds_count{{outcome=\"{outcome}\",portal=\"support.acme.com\"}} {count}\n");
            assert!(text.contains(&line), "{line}{text}");
        }
    }
}
