//! What operators see: logs, metrics, and one record for each exchange. No secret, no query of a callback, no label
//! that a stranger can choose.

mod access;
pub mod exchange;
pub mod log;
pub mod metrics;
pub mod settings;

pub use exchange::{Exchange, Outcome, Step};
pub use metrics::{LogoutBegun, Metrics};
