//! Which portal a request is for, and which rule of it. Pure: no I/O, no clock.

pub mod head;
pub mod host;
pub mod jsm_paths;
pub mod media_type;
pub mod pattern;
pub mod request;
pub mod settings;

pub use host::{HostName, PublicOrigin};
pub use jsm_paths::{JsmPath, JsmPaths, NativePage};
pub use pattern::PathPattern;
pub use request::{CanonicalRequest, Malformed};
