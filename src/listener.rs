//! Sockets, TLS and certificates: from a connection to a stream of requests.

pub mod settings;
