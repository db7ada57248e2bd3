//! Vestibule: an authenticating edge reverse proxy for Jira Service Management customer portals.
//!
//! The modules stand in the order in which a request meets them; `docs/architecture.md` tells the same story.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,            // a panic drops a visitor's request
        clippy::expect_used,            // the same, with a message
        clippy::panic,                  // the same, on purpose
        clippy::indexing_slicing,       // an index from outside is a panic from outside
        clippy::arithmetic_side_effects // a length or time from outside overflows
    )
)]

pub mod app;
pub mod cli;
pub mod config;
pub mod handover;

pub mod listener;
pub mod proxy;

pub mod portal;
pub mod session;
pub mod policy;
pub mod limits;
pub mod acme;
pub mod sign_in;
pub mod customer;
pub mod nodes;

pub mod pages;
pub mod refusal;
pub mod telemetry;

pub mod admin;
pub mod operator;
pub mod demo;

pub mod saml;

pub mod client_certificate;
pub mod clock;
pub mod condition;
pub mod email;
pub mod http_client;
pub mod ids;
pub mod random;
pub mod reply;
pub mod secret;
