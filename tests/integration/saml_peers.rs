//! Sign-ins with SAML identity providers that we did not write, and what others make of what we sign. Each runs as a process
//! on loopback that the test starts and stops.

pub mod gateway;
pub mod keys;
pub mod simplesamlphp;
pub mod visitor;

mod node_provider;
mod pysaml2;
mod sign_in_by_simplesamlphp;
mod signatures_of_ours;
