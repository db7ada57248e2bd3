//! Certificates that a certificate authority issues to us by ACME (RFC 8555): ordered, kept, renewed.
//!
//! Owns the account at the authority, the orders ([`Keeper`]) and the answers to challenges that are out ([`Answers`]). All
//! that has to last, and all that gateways have to agree on, is in records of the session store: one gateway orders, under
//! a lease that a crash lets run out, and every gateway serves. Trusts the directory of the configuration and nobody else:
//! what it issues is served only when it is for the host, in time, and for our key. Never gives up a certificate that
//! still works. Knows neither sockets nor Pingora: who serves is told through [`Served`].

mod account;
mod answers;
mod directory;
mod issued;
mod keeper;
mod lease;
mod order;
mod plan;
mod problem;
mod records;
pub mod settings;

pub use self::answers::{ACME_TLS, Answers, http_01_token};
pub use self::issued::{Issued, WantedCertificate};
pub use self::keeper::{AcmeEvent, AcmeObserver, Hosts, Keeper, KeeperUnusable, Served, Waits};
pub use self::problem::OrderFailed;
