//! The visitor's session with Vestibule: one opaque cookie in the browser, a sealed record in the store.
//!
//! Owns the cookies ([`cookie`]), the session in memory ([`LiveSession`]), what is written of it (`record`, `sealed`) and
//! where ([`store`]); and what known browsers have sent while they had none (`kept`). Trusts nothing but the 256 random bits of the cookie and the configured keys: the store is told a
//! hash of the id, and both together are needed to open a record. Refuses a session id that it did not make, a record
//! that any other key or place has sealed, and whatever is over.

pub mod cookie;
pub mod customer_session;
mod entry;
pub mod envelope;
mod family;
mod keys;
mod live;
mod once;
mod recent_logouts;
mod record;
mod registry;
mod sealed;
mod sessions;
pub mod settings;
pub mod store;

#[cfg(test)]
mod kill_tests;

pub use cookie::{KNOWN_BROWSER_COOKIE, POSTED_SIGN_IN_COOKIE, SESSION_COOKIE, SIGN_IN_COOKIE};
pub use customer_session::{CustomerSession, UpstreamCookie};
pub use entry::{Listing, Selector, SessionEntry};
pub use family::Family;
pub use keys::InvalidKeys;
pub use live::LiveSession;
pub use recent_logouts::{LogoutScope, ToldLogout};
pub use sessions::{
    CarriedOver, Change, Ended, EndedSession, FormHandle, Found, Kept, KeptForm, KnownBrowser, Lookup, NotHanded,
    NotKept, OpenError, PartlyEnded, PersonMark, RecordError, RecordName, Records, Seen, SentBy, SessionNews, Sessions,
    TakenForm, ToldBy, Unchanged, Walked,
};
pub use store::StoreError;
