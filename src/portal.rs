//! Which portal a request is for, and which rule of it. Pure: no I/O, no clock.

pub mod host;
pub mod pattern;
pub mod settings;

pub use host::{HostName, PublicOrigin};
pub use pattern::PathPattern;
