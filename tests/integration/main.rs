//! Journeys and attacks against the whole gateway, over real sockets and TLS. One binary, because each links Pingora.
#![allow(missing_docs, clippy::missing_panics_doc, reason = "tests")]

mod child;
mod harness;
mod recorder;

mod crowd;
mod edge;
mod kill;
mod process;
mod smuggling;
