//! The site behind a portal, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::DurationText;

/// The site behind a portal: its URL, or this mapping.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-short" = "url", "type" = ["object", "string"]))]
pub(in crate::config) struct RawUpstream {
    /// The site: scheme, host, port and, for Data Center, the context path. It gives `Host`, the name in certificates, and what is
    /// rewritten. Plain http is for loopback only.
    #[schemars(example = "https://jira.acme.internal")]
    pub url: String,
    /// Where to connect, `host:port` or `https://host:port` each. A name stands for all addresses that it has. Without it, the host
    /// and port of `url`.
    #[schemars(example = serde_json::json!(["10.0.0.11:8443", "10.0.0.12:8443"]))]
    pub addresses: Option<Vec<String>>,
    /// Which address a request goes to. Without it, `person` where `addresses` are listed, else `in_order`.
    #[schemars(example = &"person")]
    pub balance: Option<RawBalance>,
    /// How often names are looked up again.
    #[schemars(extend("default" = "30s"))]
    pub resolve_every: Option<DurationText>,
    /// At how many other addresses a request is tried when a connection fails. One of which something was sent is tried again only if
    /// it is GET, HEAD or OPTIONS without a body, and nothing of an answer came.
    #[schemars(extend("default" = 2))]
    pub retries: Option<u32>,
    /// After how many failures in a row an address is out: of connections, or of checks. Without `health_check` also of answers that
    /// break off or do not come in time.
    #[schemars(extend("default" = 3))]
    pub out_after: Option<u32>,
    /// How long an address that is out is left alone, where there is no `health_check`. Then it is back when it takes a connection.
    #[schemars(extend("default" = "10s"))]
    pub pause: Option<DurationText>,
    /// How addresses are checked. Without it, they are not.
    pub health_check: Option<RawHealthCheck>,
    /// How much one address is given at once.
    pub connections: Option<RawConnections>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum RawBalance {
    /// Each person's requests go to one address, as nodes of Data Center need it; those of nobody are spread.
    Person,
    /// Each goes to the next one; only those of a customer session stay where it was opened.
    Spread,
    /// All go to the first one that is not out; only those of a customer session stay where it was opened.
    InOrder,
}

/// How addresses are checked: by a GET request.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawHealthCheck {
    /// The path, with the context path.
    #[schemars(example = "/jira/status")]
    pub path: String,
    /// Which status it has to be answered with: one of these.
    #[schemars(extend("default" = [200]))]
    pub status: Option<Vec<u16>>,
    /// What the answer has to hold, to the letter.
    #[schemars(example = &"RUNNING")]
    pub text: Option<String>,
    /// From one check to the next, less up to a tenth.
    #[schemars(extend("default" = "5s"))]
    pub every: Option<DurationText>,
    /// The time limit of one check.
    #[schemars(extend("default" = "3s"))]
    pub timeout: Option<DurationText>,
    /// After how many checks passed in a row an address is back.
    #[schemars(extend("default" = 2))]
    pub back_after: Option<u32>,
}

/// How much one address is given at once.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawConnections {
    /// Requests and WebSockets under way there. With HTTP/1.1 each has a connection, with HTTP/2 a stream. Without it, any number.
    #[schemars(example = 200)]
    pub per_address: Option<u32>,
    /// How long a request waits for one of them to end; then it is refused with 503.
    #[schemars(extend("default" = "5s"))]
    pub wait: Option<DurationText>,
}
