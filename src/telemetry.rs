//! What operators see: logs, metrics, and one record for each exchange.

pub mod settings;
