//! How messages travel (SAML Bindings 2.0): through a browser by HTTP-Redirect and HTTP-POST, or directly by SOAP.
//!
//! What arrives is an [`Arrived`], and proves nothing. [`Arrived::verify`] makes of it what the sender vouches for.

mod arrived;
mod outgoing;
pub mod post;
pub mod redirect;
pub mod soap;
#[cfg(test)]
mod tests;

pub use self::arrived::{Arrived, Proven};
pub use self::outgoing::Outgoing;

/// The longest RelayState that is given back, in octets. The standard allows 80 and providers send more.
const LONGEST_RELAY_STATE: usize = 2048;

/// What a message is for. It names the parameter that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// A request: `SAMLRequest`.
    Request,
    /// A response: `SAMLResponse`.
    Response,
}

impl Direction {
    /// The name of its parameter.
    pub const fn parameter(self) -> &'static str {
        match self {
            Self::Request => "SAMLRequest",
            Self::Response => "SAMLResponse",
        }
    }
}
