//! What is replaced on the way, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::SizeText;

/// Which addresses and texts are replaced on the way. The portal's own address takes the place of the upstream's without any
/// setting.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawRewrite {
    /// More origins that answers name, and how browsers know them: a base URL that is not `upstream`, or sites beside it.
    #[schemars(extend("default" = []))]
    pub origins: Option<Vec<RawOrigin>>,
    /// Which bodies are rewritten: `type/subtype`, or `+suffix` for all types with that suffix. Without it, HTML, JSON,
    /// JavaScript, CSS and XML.
    #[schemars(example = serde_json::json!(["text/html", "application/json", "+json"]))]
    pub content_types: Option<Vec<String>>,
    /// Texts that are replaced in bodies, exactly as they stand there.
    #[schemars(extend("default" = []))]
    pub texts: Option<Vec<RawTextRule>>,
    /// Names of the fields in queries, forms and JSON of requests in which the public address becomes the upstream's. An
    /// empty list leaves requests alone.
    #[schemars(extend("default" = ["clientBasePath", "continue", "destination", "os_destination"]))]
    pub request_fields: Option<Vec<String>>,
    /// Longer bodies pass as they are, where their length is told beforehand.
    #[schemars(extend("default" = "64MiB"))]
    pub largest_body: Option<SizeText>,
}

/// An origin that answers name.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawOrigin {
    /// What the upstream calls it: scheme, host and perhaps port.
    #[schemars(example = "https://jira.acme.com")]
    pub upstream: String,
    /// What browsers call it. Without it, the portal itself.
    #[schemars(example = "https://wiki.acme.com")]
    pub public: Option<String>,
}

/// A text that is replaced.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawTextRule {
    /// What is searched for, to the letter: 4 to 1024 bytes.
    #[schemars(example = "Powered by Jira", extend("x-lines" = true))]
    pub from: String,
    /// What takes its place.
    #[schemars(example = "Acme Support", extend("x-lines" = true))]
    pub to: String,
    /// In which bodies; each has to be among `rewrite.content_types`. Without it, in all that are rewritten.
    #[schemars(example = serde_json::json!(["text/html"]))]
    pub content_types: Option<Vec<String>>,
}
