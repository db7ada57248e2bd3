//! Settings of rewriting: which addresses and texts are replaced, and where.

use url::Url;

use crate::portal::media_type::MediaPattern;

/// The fields of queries, forms and JSON in which portals send addresses of their own to the server.
pub const REQUEST_FIELDS: [&str; 4] = ["clientBasePath", "continue", "destination", "os_destination"];

/// What is replaced in answers and requests.
#[derive(Clone, Debug, PartialEq)]
pub struct RewriteSettings {
    /// More origins besides the portal's own.
    pub origins: Vec<OriginPair>,
    /// Which bodies are rewritten.
    pub content_types: Vec<MediaPattern>,
    /// Texts that are replaced as they stand.
    pub texts: Vec<TextRule>,
    /// Names of the fields of requests whose values become the upstream's.
    pub request_fields: Vec<String>,
    /// Longer bodies pass as they are, where their length is told beforehand; in bytes.
    pub largest_body: u64,
}

/// An origin behind the gateway, and how browsers know it.
#[derive(Clone, Debug, PartialEq)]
pub struct OriginPair {
    /// What the upstream calls it: scheme, host and port alone.
    pub upstream: Url,
    /// What browsers call it; `None` for the portal itself.
    pub public: Option<Url>,
}

/// A text that is replaced by another.
#[derive(Clone, Debug, PartialEq)]
pub struct TextRule {
    /// As it stands in the body, to the letter.
    pub from: String,
    /// What takes its place.
    pub to: String,
    /// In which bodies; empty means all that are rewritten.
    pub content_types: Vec<MediaPattern>,
}

impl Default for RewriteSettings {
    fn default() -> Self {
        Self {
            origins: Vec::new(),
            content_types: MediaPattern::usual(),
            texts: Vec::new(),
            request_fields: REQUEST_FIELDS.map(str::to_owned).into(),
            largest_body: 64 * 1024 * 1024,
        }
    }
}
