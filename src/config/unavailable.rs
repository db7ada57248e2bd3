//! What is designed but not in this version. It is refused by its name, so that nobody takes it for a typing mistake,
//! and nobody relies on a protection that is not there.

use super::tree::Place;

/// A setting of the design that this version does not have.
pub(super) struct Unavailable {
    within: &'static str,
    key: &'static str,
    /// What to do today; may be empty.
    pub(super) cure: &'static str,
    /// The setting beside it that it stands in for, and that is therefore not missing; empty for the whole mapping.
    pub(super) in_place_of: Option<&'static str>,
}

impl Unavailable {
    pub(super) fn what(&self) -> String {
        format!("{} is not available in this version", self.key)
    }
}

const fn entry(
    within: &'static str,
    key: &'static str,
    in_place_of: Option<&'static str>,
    cure: &'static str,
) -> Unavailable {
    Unavailable { within, key, cure, in_place_of }
}

const LATER: &str = "remove it";

/// All of them. `*` stands for a name of the operator's choice.
pub(super) const UNAVAILABLE: [Unavailable; 5] = [
    entry("session.store", "redis", Some(""), "use embedded"),
    entry("identity_providers.*", "oauth2", Some("oidc"), "use oidc or saml"),
    entry("portals[]", "second_factor", None, "ask the identity provider for it with oidc.acr_values"),
    entry("telemetry", "audit", None, LATER),
    entry("telemetry", "traces", None, LATER),
];

/// Looks a place up.
pub(super) fn find(place: &Place<'_>) -> Option<&'static Unavailable> {
    let pattern = pattern(place.path());
    UNAVAILABLE.iter().find(|entry| {
        let key = pattern.strip_prefix(entry.within).map(|rest| rest.strip_prefix('.').unwrap_or(rest));
        key == Some(entry.key)
    })
}

/// The path without indices and without names of the operator's choice.
fn pattern(path: &str) -> String {
    let mut pattern = String::new();
    let mut within = false;
    for c in path.chars() {
        match c {
            '[' => within = true,
            ']' => within = false,
            _ if within => continue,
            _ => {}
        }
        pattern.push(c);
    }
    match pattern.strip_prefix("identity_providers.").and_then(|rest| rest.rsplit_once('.')) {
        Some((name, key)) if !name.is_empty() && !key.is_empty() => format!("identity_providers.*.{key}"),
        _ => pattern,
    }
}
