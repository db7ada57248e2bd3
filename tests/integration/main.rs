//! Journeys and attacks against the whole gateway, over real sockets and TLS, and what the documents say of it. One
//! binary, because each links Pingora.
#![allow(missing_docs, clippy::missing_panics_doc, reason = "tests")]

mod child;
mod harness;
mod node;
mod recorder;

mod documents;
mod browser;
mod certified_provider;
mod edge;
mod healing;
mod crowd;
mod edge;
mod kill;
mod process;
mod smuggling;
