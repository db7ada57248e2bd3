//! Journeys and attacks against the whole gateway, over real sockets and TLS, and what the documents say of it. One
//! binary, because each links Pingora.
#![allow(missing_docs, clippy::missing_panics_doc, reason = "tests")]

mod child;
#[path = "../contract/mod.rs"]
mod contract;
mod frames;
mod harness;
mod node;
mod recorder;

mod acme;
mod addresses;
mod admission;
mod back_channel_logout;
mod browser;
mod certificates;
mod certified_provider;
mod client_certificates;
mod cloud_password;
mod cloud_saml;
mod cloud_walks;
mod companies;
mod crash_injection;
mod crowd;
mod customers_command;
mod documents;
mod drain;
mod edge;
mod floods;
mod handing_over;
mod healing;
mod hsts;
mod kept_forms;
mod http2;
mod http2_peers;
mod kill;
mod large_bodies;
mod one_sign_in;
mod portals;
mod process;
mod proxy_protocol;
mod public_clients;
mod relay;
mod reload;
mod rewriting;
mod saml_logout;
mod saml_peers;
mod saml_sign_in;
mod saml_verify;
mod secrecy;
mod smuggling;
mod streams;
mod thousand;
mod trusted_jwt;
mod upgrade;
mod upstream;
mod websocket;
mod websocket_peers;
