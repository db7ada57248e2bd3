//! The outside world in one process: identity providers and JSM look-alikes, for `vestibule demo` and for the tests.

pub mod certificates;
pub mod cloud_site;
pub mod journey;
mod jsm;
pub mod jsm_cloud;
pub mod jsm_datacenter;
pub mod openid_provider;
pub mod recorder;
pub mod server;
pub mod world;

#[cfg(test)]
#[path = "../tests/contract/mod.rs"]
pub(crate) mod contract;
