//! The file as it is written: one type for each mapping. The comments here are what `vestibule schema` and
//! `docs/configuration.md` tell operators; which values make sense together is for `check` to say. Nothing here has
//! `Debug`: a secret may be among the values.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

mod admission;
mod cloud;
mod cloud_password;
mod customer_session;
mod directory;
mod portal;
mod provider;
mod rewrite;
mod saml;
mod tls;
mod trusted_jwt;
mod upstream;

pub(super) use admission::*;
pub(super) use cloud::*;
pub(super) use cloud_password::*;
pub(super) use customer_session::*;
pub(super) use directory::*;
pub(super) use portal::*;
pub(super) use provider::*;
pub(super) use rewrite::*;
pub(super) use saml::*;
pub(super) use tls::*;
pub(super) use trusted_jwt::*;
pub(super) use upstream::*;

/// Settings of a Vestibule gateway.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    /// The form of this file. Always `1`.
    #[schemars(example = 1)]
    pub version: u64,
    /// Where the gateway listens.
    pub listen: RawListen,
    /// Certificates and protocol versions of the public side.
    pub tls: RawTls,
    /// Keys that seal cookies and records: the first seals, all open. To rotate, put a new one first and remove the old
    /// one when `session.absolute_timeout` has passed; nobody is signed out. `vestibule keys new` makes one.
    #[schemars(example = serde_json::json!([{ "env": "VESTIBULE_KEY" }]))]
    pub keys: Vec<RawSecret>,
    /// The visitors' sessions with the gateway.
    pub session: RawSession,
    /// Where people prove who they are, by a name of lower-case letters, digits, `-` and `_`. The name is part of the
    /// redirect address that the identity provider knows, so it stays when the rest changes.
    pub identity_providers: BTreeMap<String, RawProvider>,
    /// The public names, each with the site behind it.
    pub portals: Vec<RawPortal>,
    /// What operators see.
    pub telemetry: Option<RawTelemetry>,
}

/// Where the gateway listens.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawListen {
    /// Address and port of the public side.
    #[schemars(example = "[::]:443")]
    pub https: String,
    /// Address and port that only redirect to https. Without it there is no such listener.
    #[schemars(example = "[::]:80")]
    pub http: Option<String>,
    /// Address and port of the public side without TLS, for load balancers that end TLS themselves. Only peers in
    /// `trusted_proxies` are served there. Without it there is no such listener.
    #[schemars(example = "10.0.0.5:8080")]
    pub behind_tls_proxy: Option<String>,
    /// Address and port of `/metrics`, `/healthz`, `/readyz` and `/test-sign-in`, which never answer on the public side.
    /// Without it there is no such listener.
    #[schemars(example = "127.0.0.1:9090")]
    pub admin: Option<String>,
    /// Networks of the load balancers whose `X-Forwarded-For` is believed, as CIDRs.
    #[schemars(extend("default" = []), example = serde_json::json!(["10.0.0.0/8"]))]
    pub trusted_proxies: Option<Vec<String>>,
    /// Whether each connection from `trusted_proxies` begins with a header of the PROXY protocol, version 1 or 2, that says whose it
    /// is. One without is closed then. Connections from elsewhere are taken as they are.
    #[schemars(extend("default" = false))]
    pub proxy_protocol: Option<bool>,
    /// The port in the browser's address bar, when something in front maps ports. Without it, the port of `https`.
    #[schemars(range(min = 1))]
    pub public_port: Option<u16>,
    /// Sizes and times of the public side.
    pub limits: Option<RawEdgeLimits>,
}

/// Sizes and times of the public side.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEdgeLimits {
    /// The most bytes of a request's head: request line and header fields.
    #[schemars(extend("default" = "32KiB"))]
    pub header_bytes: Option<SizeText>,
    /// The most header fields of a request.
    #[schemars(extend("default" = 100))]
    pub header_count: Option<u32>,
    /// From the first byte of a request to the end of its head; also for the TLS handshake.
    #[schemars(extend("default" = "10s"))]
    pub header_time: Option<DurationText>,
    /// Between two reads of a request's body, between two requests of one connection, and while a visitor reads nothing of an
    /// answer. Over HTTP/2, a body on its way to the upstream has the portal's `limits.upstream_response` instead.
    #[schemars(extend("default" = "1m"))]
    pub idle_time: Option<DurationText>,
    /// Open connections at once. Further ones wait.
    #[schemars(extend("default" = 10000))]
    pub connections: Option<u32>,
    /// How long requests in flight may take after the gateway was told to stop.
    #[schemars(extend("default" = "30s"))]
    pub drain: Option<DurationText>,
}

/// The visitors' sessions with the gateway.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSession {
    /// A session that nobody uses for this long ends.
    #[schemars(extend("default" = "30m"))]
    pub idle_timeout: Option<DurationText>,
    /// A session ends this long after sign-in, used or not.
    #[schemars(extend("default" = "12h"))]
    pub absolute_timeout: Option<DurationText>,
    /// How many sessions are held in memory at most. The others are read from the store when they are needed.
    #[schemars(extend("default" = 100_000))]
    pub cache_entries: Option<u64>,
    /// Where sessions are kept.
    pub store: RawStore,
}

/// Where sessions are kept. Exactly one kind.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-choice" = true, "minProperties" = 1, "maxProperties" = 1))]
pub(super) struct RawStore {
    /// A file of this machine: a restart signs nobody out.
    #[schemars(example = serde_json::json!({ "path": "/var/lib/vestibule/sessions.redb" }))]
    pub embedded: Option<RawEmbedded>,
}

/// A file of this machine.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEmbedded {
    /// The file. It is made when it is not there; its folder has to exist.
    #[schemars(example = "/var/lib/vestibule/sessions.redb")]
    pub path: String,
}

/// What operators see.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTelemetry {
    /// The log, on standard output.
    pub log: Option<RawLog>,
}

/// The log.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLog {
    /// How a line looks.
    #[schemars(extend("default" = "json"))]
    pub format: Option<RawLogFormat>,
    /// The least severe level that is written.
    #[schemars(extend("default" = "info"))]
    pub level: Option<RawLogLevel>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawLogFormat {
    /// One JSON object a line.
    Json,
    /// Text, for a person at a terminal.
    Text,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawLogLevel {
    /// What an operator has to act on.
    Error,
    /// What an operator should look at.
    Warn,
    /// One line for each exchange.
    Info,
    /// Steps within an exchange.
    Debug,
    /// Everything.
    Trace,
}

/// A secret, by value or by where to find it. `structure` brings all spellings to this one.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum RawSecret {
    Value(String),
    Env(String),
    File(String),
}

impl JsonSchema for RawSecret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "object"],
            "properties": {
                "env": { "type": "string", "description": "The environment variable that holds it." },
                "file": { "type": "string", "description": "The file that holds it; a line end at its end is left out." },
            },
            "additionalProperties": false,
            "minProperties": 1,
            "maxProperties": 1,
            "x-secret": true,
        })
    }
}

/// A duration such as `1h30m`.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct DurationText(pub(super) String);

impl JsonSchema for DurationText {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^([0-9]+(d|h|m|s|ms))+$", "x-quantity": "duration" })
    }
}

/// A size such as `64MiB`.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct SizeText(pub(super) String);

impl JsonSchema for SizeText {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB)$", "x-quantity": "size" })
    }
}

/// A rate such as `20/min`.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct RateText(pub(super) String);

impl JsonSchema for RateText {
    fn schema_name() -> Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+/(s|min|h)$", "x-quantity": "rate" })
    }
}
