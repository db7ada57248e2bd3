//! How messages travel through a browser (SAML Bindings 2.0): HTTP-Redirect and HTTP-POST.

pub mod post;
pub mod redirect;

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
