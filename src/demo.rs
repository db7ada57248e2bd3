//! The outside world in one process: identity providers and JSM look-alikes, for `vestibule demo` and for the tests.

pub mod certificates;
pub mod cloud_site;
mod expiring;
pub mod journey;
mod jsm;
pub mod jsm_cloud;
pub mod jsm_datacenter;
pub mod openid_provider;
mod parameters;
mod provider_pages;
pub mod recorder;
pub mod saml_provider;
pub mod server;
pub mod world;

#[cfg(test)]
#[path = "../tests/contract/mod.rs"]
pub(crate) mod contract;
