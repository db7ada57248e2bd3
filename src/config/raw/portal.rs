//! Portals, as they are written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    DurationText, RateText, RawAdmission, RawCustomerSession, RawDirectory, RawRewrite, RawRule, RawUpstream, SizeText,
};

/// One portal.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawPortal {
    /// The public name, without scheme and port.
    #[schemars(example = "support.acme.com")]
    pub host: String,
    /// More names of the portal. Each leads to `host`, and nobody is served there.
    #[schemars(extend("default" = []), example = serde_json::json!(["help.acme.com"]))]
    pub aliases: Option<Vec<String>>,
    /// A name that portals share whose visitors sign in once for all of them, at the first one in the file. Without it, each portal
    /// has sessions of its own.
    #[schemars(example = &"acme")]
    pub session_group: Option<String>,
    /// The site behind it: its URL, or a mapping where it has several addresses.
    #[schemars(example = "https://jira.acme.internal")]
    pub upstream: RawUpstream,
    /// File with the authorities (PEM) to verify the upstream by, in place of the system's.
    pub upstream_ca: Option<String>,
    /// Who may sign in.
    pub sign_in: RawSignIn,
    /// Which of the people who signed in are let in.
    pub admission: Option<RawAdmission>,
    /// How the upstream comes to know the visitor. Exactly one kind.
    #[schemars(example = &"datacenter")]
    pub customer_session: RawCustomerSession,
    /// Customers at the upstream. Every kind of `customer_session` but `none` needs it; `trusted_jwt` and `redirect` can do without.
    pub directory: Option<RawDirectory>,
    /// What paths need: the first rule that matches counts. Where none does, the visitor has to be signed in.
    #[schemars(extend("default" = []))]
    pub rules: Option<Vec<RawRule>>,
    /// Which addresses and texts are replaced on the way, besides the portal's own address.
    pub rewrite: Option<RawRewrite>,
    /// How the gateway's own pages look at this portal.
    pub look: Option<RawLook>,
    /// Sizes and times of this portal.
    pub limits: Option<RawPortalLimits>,
}

/// How the gateway's own pages look.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawLook {
    /// What the portal is called. Without it, its host.
    #[schemars(example = &"Acme Support")]
    pub name: Option<String>,
    /// File with a picture that stands before the name: SVG, PNG, JPEG or WebP, at most 256 KiB.
    #[schemars(example = &"look/acme.svg")]
    pub logo: Option<String>,
    /// The colour of buttons and links on light ground. It has to be dark enough to be read there.
    #[schemars(example = &"#1d5a8c")]
    pub accent: Option<String>,
    /// The same on dark ground. Without it, `accent`, made as light as is needed.
    #[schemars(example = &"#8fc1ec")]
    pub accent_dark: Option<String>,
    /// What people read above the ways to sign in: plain text.
    #[schemars(example = &"Welcome to the support desk of Acme.")]
    pub welcome: Option<String>,
    /// Whom people may ask: stands below every page.
    pub support: Option<RawSupport>,
}

/// Whom people may ask.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawSupport {
    /// An address to write to.
    #[schemars(example = &"help@acme.com")]
    pub email: Option<String>,
    /// A number to call.
    #[schemars(example = &"+1 555 0100")]
    pub phone: Option<String>,
    /// The https address of a page.
    #[schemars(example = &"https://www.acme.com/help")]
    pub page: Option<String>,
}

/// Who may sign in.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawSignIn {
    /// Names from `identity_providers`, in the order in which a list shows them.
    #[schemars(example = serde_json::json!(["acme-okta"]))]
    pub providers: Vec<String>,
    /// How the visitor comes to a provider. Without it, `single` for one provider and `list` for several.
    pub choose: Option<RawChoose>,
    /// Whether the portal's own pages get a script by which visitors whose session has ended sign in again in a small window,
    /// without losing the page.
    #[schemars(extend("default" = false))]
    pub in_page: Option<bool>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum RawChoose {
    /// By the domain of their e-mail address. Every provider then needs `email_domains`.
    ByEmail,
    /// From a list.
    List,
    /// Straight to the only one.
    Single,
}

/// Sizes and times of one portal.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawPortalLimits {
    /// The most bytes of a request's body.
    #[schemars(extend("default" = "64MiB"))]
    pub body: Option<SizeText>,
    /// To reach the upstream: TCP and TLS each.
    #[schemars(extend("default" = "5s"))]
    pub upstream_connect: Option<DurationText>,
    /// From the request to the head of the answer, and between two reads of its body. Of a WebSocket's handshake: until it is answered, whatever comes before.
    #[schemars(extend("default" = "1m"))]
    pub upstream_response: Option<DurationText>,
    /// How long an idle connection to the upstream is kept.
    #[schemars(extend("default" = "1m"))]
    pub upstream_idle: Option<DurationText>,
    /// A form or call that is sent while the session is over is kept, sealed, until its sender has signed in again. A size alone
    /// is that of `size`: `kept_form: 0B` keeps none.
    #[schemars(extend("default" = "1MiB"))]
    pub kept_form: Option<RawKeptForm>,
    /// How long a WebSocket stays open with nothing going through it either way.
    #[schemars(extend("default" = "5m"))]
    pub websocket_idle: Option<DurationText>,
    /// How many requests one customer may make in any 24 hours. Without it, any number.
    #[schemars(example = 50)]
    pub requests_per_customer_per_day: Option<u32>,
    /// How many requests one customer may make in any 60 seconds. Without it, any number.
    #[schemars(example = 5)]
    pub requests_per_customer_per_minute: Option<u32>,
    /// How often one address may begin a sign-in, such as `20/min`. Without it, any number. A whole /64 of IPv6 is one address.
    #[schemars(example = "20/min")]
    pub sign_in_attempts_per_address: Option<RateText>,
}

/// What is kept of those whose session is over. A size alone is that of `size`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("type" = ["object", "string"], "x-short" = "size"))]
pub(in crate::config) struct RawKeptForm {
    /// The most bytes of one body. `0B` keeps none.
    #[schemars(extend("default" = "1MiB"))]
    pub size: Option<SizeText>,
    /// How long it is kept.
    #[schemars(extend("default" = "30m"))]
    pub kept_for: Option<DurationText>,
    /// How many forms of one browser are kept at once.
    #[schemars(extend("default" = 16))]
    pub forms_of_one_browser: Option<u64>,
    /// How many calls of scripts in one browser are kept at once. `0` keeps none.
    #[schemars(extend("default" = 4))]
    pub calls_of_one_browser: Option<u64>,
    /// The most bytes of one person, in all their browsers. Keep it well below `from_one_address`: nobody is to take the room of
    /// those beside them. At least two of the largest forms, where nothing is said.
    #[schemars(extend("default" = "8MiB"))]
    pub of_one_person: Option<SizeText>,
    /// The most bytes from one address, behind which many people may sit. A whole /64 of IPv6 is one address.
    #[schemars(extend("default" = "32MiB"))]
    pub from_one_address: Option<SizeText>,
    /// The most bytes of this portal. All portals together keep 256 MiB at most.
    #[schemars(extend("default" = "128MiB"))]
    pub of_one_portal: Option<SizeText>,
}
