//! How much one customer may make, and one address may try: against spam, and against guessing.
//!
//! Owns the counts of requests made ([`Creations`]), which outlive a restart, and of sign-ins tried ([`Attempts`]), which do
//! not. Trusts the customer's account and the visitor's address as the edge tells them. Both are bounded in memory.

pub mod attempts;
pub mod creations;
pub mod log;
mod window;

pub use attempts::{Attempts, TooManyAttempts};
pub use creations::{Counted, CreationLog, Creations, Limit, NotCounted};
pub use log::StoredCreations;
