//! The visitor's session with Vestibule: one opaque cookie in the browser, a sealed record in the store.

pub mod settings;
