//! What a token says (RFC 7519). Pure.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{Context, SHA256};
use serde::Serialize;

use crate::clock::Timestamp;
use crate::customer::directory::shown;
use crate::email::EmailAddress;
use crate::random::{NoRandomness, Random};
use crate::sign_in::VerifiedIdentity;

/// `nbf` lies so far before `iat`: the upstream's clock may be behind ours.
const SKEW: Duration = Duration::from_secs(60);
/// Groups that a token names at most...
const GROUPS: usize = 100;
/// ... with so many octets in all: servers take a head of 8 KiB, and a browser's own cookies are in it, too.
const GROUP_OCTETS: usize = 2048;

/// What a token says of a visitor.
#[derive(Serialize)]
pub(super) struct Claims<'a> {
    iss: &'a str,
    /// A list, as Cloudflare Access writes it; verifiers take both.
    aud: [&'a str; 1],
    sub: String,
    email: &'a str,
    email_verified: bool,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<&'a [String]>,
    /// Which identity provider has spoken.
    provider: &'a str,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: String,
}

/// For whom and for how long a token is.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    pub issuer: &'a str,
    pub audience: &'a str,
    pub issued: Timestamp,
    pub expires: Timestamp,
}

impl<'a> Claims<'a> {
    /// What is told of `who`.
    pub fn about(
        who: &'a VerifiedIdentity,
        email: &'a EmailAddress,
        terms: Terms<'a>,
        random: &Random,
    ) -> Result<Self, NoRandomness> {
        let groups = whole(who.groups());
        if groups.is_none() {
            tracing::warn!(provider = %who.provider(), count = who.groups().len(), "a token has no groups: they are too many");
        }
        Ok(Self {
            iss: terms.issuer,
            aud: [terms.audience],
            sub: subject(who),
            email: email.as_str(),
            email_verified: who.email_verified(),
            name: shown(who.display_name()),
            groups,
            provider: who.provider().as_str(),
            iat: terms.issued.seconds(),
            nbf: terms.issued.before(SKEW).seconds(),
            exp: terms.expires.seconds(),
            jti: URL_SAFE_NO_PAD.encode(random.bytes::<16>()?),
        })
    }
}

/// All of the groups or none: an upstream that denies something to members of a group must not find one missing.
fn whole(groups: &[String]) -> Option<&[String]> {
    let octets = groups.iter().fold(0_usize, |sum, group| sum.saturating_add(group.len()).saturating_add(3));
    (groups.len() <= GROUPS && octets <= GROUP_OCTETS).then_some(groups)
}

/// The person's name towards the upstream: one and the same for an issuer and subject, and no other's. Two providers may well
/// have the same subject, so that the subject alone would make one person of two.
fn subject(who: &VerifiedIdentity) -> String {
    let mut hashed = Context::new(&SHA256);
    for part in [who.issuer(), who.subject()] {
        hashed.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hashed.update(part.as_bytes());
    }
    URL_SAFE_NO_PAD.encode(hashed.finish())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn claims(who: &VerifiedIdentity) -> Value {
        let terms = Terms {
            issuer: "https://support.acme.com",
            audience: "jira",
            issued: NOW,
            expires: NOW.after(Duration::from_secs(300)),
        };
        serde_json::to_value(Claims::about(who, who.email().unwrap(), terms, &Random::default()).unwrap()).unwrap()
    }

    fn with_groups(count: usize, length: usize) -> VerifiedIdentity {
        let mut value = serde_json::to_value(VerifiedIdentity::for_test("okta", "1", "ana@acme.com")).unwrap();
        let groups: Vec<String> = (0..count).map(|n| format!("{n:0length$}")).collect();
        value["groups"] = serde_json::to_value(groups).unwrap();
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_token_says_who_for_whom_and_for_how_long() {
        let told = claims(&VerifiedIdentity::for_test("okta", "Ana Lima", "ana@acme.com"));
        assert_eq!(told["iss"], "https://support.acme.com");
        assert_eq!(told["aud"], serde_json::json!(["jira"]));
        assert_eq!((&told["email"], &told["email_verified"]), (&"ana@acme.com".into(), &true.into()));
        assert_eq!((&told["name"], &told["provider"]), (&"Ana Lima".into(), &"okta".into()));
        assert_eq!((&told["iat"], &told["exp"]), (&1_700_000_000.into(), &1_700_000_300.into()));
        assert_eq!(told["nbf"], 1_699_999_940);
        assert_eq!(told["groups"], serde_json::json!([]));
    }

    #[test]
    fn a58_two_providers_never_make_one_person_upstream() {
        let sub = |provider: &str, subject: &str| {
            claims(&VerifiedIdentity::for_test(provider, subject, "ana@acme.com"))["sub"].clone()
        };
        assert_eq!(sub("okta", "1"), sub("okta", "1"));
        let others = [sub("okta", "1"), sub("adfs", "1"), sub("okta", "11"), sub("okt", "a1")];
        let distinct: std::collections::BTreeSet<String> = others.iter().map(Value::to_string).collect();
        assert_eq!(distinct.len(), others.len());
    }

    #[test]
    fn no_two_tokens_have_one_name() {
        let who = VerifiedIdentity::for_test("okta", "1", "ana@acme.com");
        assert_ne!(claims(&who)["jti"], claims(&who)["jti"]);
    }

    #[test]
    fn groups_are_told_whole_or_not_at_all() {
        for (count, length, told) in [(0, 1, true), (100, 10, true), (101, 1, false), (20, 99, true), (21, 99, false)] {
            assert_eq!(claims(&with_groups(count, length)).get("groups").is_some(), told, "{count} of {length}");
        }
    }
}
