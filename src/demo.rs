//! The outside world in one process: identity providers and JSM look-alikes, for `vestibule demo` and for the tests.

pub mod openid_provider;
