//! Content codings (RFC 9110, section 8.4): which are known, which the visitor takes, and a body's way out of one and
//! into another.

mod accepted;
mod decoder;
mod encoder;

pub use accepted::Accepted;
pub use decoder::{Decoder, Undecodable};
pub use encoder::Encoder;

/// A coding that is decoded and encoded here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
    /// RFC 1950 around RFC 1951; the latter alone is read, too.
    Deflate,
}

impl Coding {
    /// All of them, in the order in which they are offered.
    pub const ALL: [Self; 4] = [Self::Gzip, Self::Brotli, Self::Zstd, Self::Deflate];

    /// The coding of that name.
    pub fn named(name: &str) -> Option<Self> {
        let is = |known: &str| name.trim().eq_ignore_ascii_case(known);
        if is("x-gzip") {
            return Some(Self::Gzip); // the same, says RFC 9110, section 8.4.1.3
        }
        Self::ALL.into_iter().find(|coding| is(coding.name()))
    }

    /// Its name in `Content-Encoding`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Deflate => "deflate",
        }
    }
}

#[cfg(test)]
mod tests;
