//! Sockets, TLS and certificates: from a connection to a stream of requests.
//!
//! Owns the accept loop, because it owns the deadlines that Pingora leaves open: the TLS handshake, the whole head of
//! a request, and the number of connections. Trusts nothing of a peer but its address.

pub mod certificates;
mod client_certificates;
mod handshake;
pub mod head_guard;
mod inherited;
mod patience;
mod proxy_protocol;
pub mod redirect;
pub mod rules;
pub mod serve;
pub mod settings;

pub use client_certificates::{ClientCertificates, OfConnection};
pub use handshake::TlsDoor;
pub use inherited::{Inherited, InvalidInherited};
pub use rules::{Peers, Rules, RulesInForce};
pub use serve::{Bound, ListenFailed, Listening};
