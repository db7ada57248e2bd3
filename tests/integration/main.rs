//! Journeys and attacks against the whole gateway, over real sockets and TLS, and what the documents say of it. One
//! binary, because each links Pingora.
#![allow(missing_docs, clippy::missing_panics_doc, reason = "tests")]

mod child;
mod harness;
mod node;
mod process;
mod recorder;

mod browser;
mod certified_provider;
mod crowd;
mod documents;
mod edge;
mod healing;
mod kill;
mod smuggling;
