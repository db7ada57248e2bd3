//! Journeys and attacks against the whole gateway, over real sockets and TLS. One binary, because each links Pingora.
#![allow(missing_docs, clippy::missing_panics_doc, reason = "tests")]

mod frames;
mod harness;
mod recorder;

mod drain;
mod edge;
mod floods;
mod http2;
mod secrecy;
mod smuggling;
mod upstream;
