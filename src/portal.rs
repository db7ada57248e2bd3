//! Which portal a request is for, and which rule of it. Pure: no I/O, no clock.

pub mod head;
pub mod host;
pub mod pattern;
pub mod request;
pub mod settings;

pub use host::{HostName, PublicOrigin};
pub use pattern::PathPattern;
pub use request::{CanonicalRequest, Malformed};
