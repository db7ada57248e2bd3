//! From verified claims to a person: which claims mean what, and which e-mail address is believed.
//!
//! The account is (issuer, `sub`). An e-mail address is an attribute that decides which customer somebody becomes, so
//! it counts only when the provider says that it is verified and may speak for its domain (else anybody with a tenant
//! of their own could claim anybody's address).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::super::claims::Claims;
use super::super::identity::Established;
use super::super::settings::{ClaimNames, EmailTrust};
use super::id_token::VerifiedClaims;
use super::rejected::OidcRejected;
use crate::clock::Timestamp;
use crate::email::{EmailAddress, EmailDomain, SpeaksFor};
use crate::ids::ProviderName;

/// Groups that are kept of one person.
const MOST_GROUPS: usize = 1000;

/// Bytes of a group's name; those of directories are long.
const LONGEST_GROUP: usize = 1024;

/// Characters that are kept of a name and the like.
const LONGEST_TEXT: usize = 256;

/// How a provider's claims are read.
pub(super) struct Reading<'a> {
    pub(super) provider: &'a ProviderName,
    pub(super) issuer: &'a str,
    pub(super) names: &'a ClaimNames,
    pub(super) email_trust: EmailTrust,
    pub(super) speaks_for: &'a SpeaksFor,
}

impl Reading<'_> {
    /// Whether the claims have an e-mail address, whatever it is worth.
    pub(super) fn has_email(&self, claims: &Map<String, Value>) -> bool {
        self.email_claim(claims).is_some()
    }

    /// Who `claims` are about. What the ID token lacks is taken from `more` (UserInfo).
    pub(super) fn establish(
        &self,
        claims: VerifiedClaims,
        more: Option<&Map<String, Value>>,
        now: Timestamp,
    ) -> Result<Established, OidcRejected> {
        let VerifiedClaims { subject, authenticated_at, all } = claims;
        // Address and `email_verified` from the same place: they belong together.
        let email = match more {
            Some(more) if !self.has_email(&all) => self.email(more)?,
            _ => self.email(&all)?,
        };
        let claim = |name: &str| all.get(name).or_else(|| more.and_then(|more| more.get(name)));
        Ok(Established {
            provider: self.provider.clone(),
            issuer: self.issuer.to_owned(),
            subject,
            email_verified: email.is_some(),
            email,
            display_name: claim(&self.names.display_name).and_then(plain),
            groups: groups(claim(&self.names.groups)),
            claims: said(&all, more),
            authenticated_at: authenticated_at.map_or(now, |at| at.min(now)),
            acr: all.get("acr").and_then(plain),
            provider_session: all.get("sid").and_then(exact),
            not_after: None,
        })
    }

    fn email_claim<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        let given = |value: &&Value| !value.is_null() && value.as_str() != Some("");
        claims.get(&self.names.email).filter(given)
    }

    fn email(&self, claims: &Map<String, Value>) -> Result<Option<EmailAddress>, OidcRejected> {
        let Some(claimed) = self.email_claim(claims) else {
            return if self.speaks_for.is_open() { Ok(None) } else { Err(OidcRejected::EmailMissing) };
        };
        let email = claimed.as_str().and_then(|claimed| EmailAddress::parse(claimed).ok());
        let email = email.ok_or(OidcRejected::EmailMalformed)?;
        // The JSON value true; "true" is what providers send who pass on what somebody typed.
        let verified = claims.get("email_verified") == Some(&Value::Bool(true));
        if !verified && self.email_trust != EmailTrust::DangerouslyAlways {
            return Err(OidcRejected::EmailNotVerified);
        }
        if !self.speaks_for.includes(&email) {
            let domain = EmailDomain::parse(email.domain()).map_err(|_| OidcRejected::EmailMalformed)?;
            return Err(OidcRejected::EmailOutsideDomains(domain));
        }
        Ok(Some(email))
    }
}

/// Text for people and policies: without controls, not empty, not endless.
fn plain(value: &Value) -> Option<String> {
    let text: String = value.as_str()?.chars().filter(|c| !c.is_control()).take(LONGEST_TEXT).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Text that is compared later, so it is taken whole or not at all.
fn exact(value: &Value) -> Option<String> {
    value.as_str().filter(|text| (1..=LONGEST_TEXT).contains(&text.len())).map(str::to_owned)
}

/// What the protocol needs of an ID token, and nobody else.
const OF_THE_PROTOCOL: [&str; 11] =
    ["iss", "aud", "azp", "exp", "iat", "nbf", "jti", "nonce", "at_hash", "c_hash", "s_hash"];

/// What the provider says of the person: texts, numbers and truth values, alone or in a list. A claim of the ID token
/// counts before the same one of UserInfo. Deeper structures are left out.
fn said(all: &Map<String, Value>, more: Option<&Map<String, Value>>) -> BTreeMap<String, Vec<String>> {
    let mut claims = Claims::default();
    let second = more.into_iter().flatten().filter(|(name, _)| !all.contains_key(*name));
    for (name, value) in all.iter().chain(second) {
        let values = match value {
            Value::Array(values) => values.iter().map(scalar).collect(),
            one => scalar(one).map(|one| vec![one]),
        };
        if let Some(values) = values.filter(|_| !OF_THE_PROTOCOL.contains(&name.as_str())) {
            claims.add(name, values);
        }
    }
    claims.into_map()
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Group names: an array of strings, or one string. None at all where one could not be kept: conditions may ask who is *not*
/// in a group.
fn groups(claim: Option<&Value>) -> Vec<String> {
    let named = match claim {
        Some(Value::Array(groups)) => groups.iter().map(scalar).collect(),
        Some(one) => scalar(one).map(|one| vec![one]),
        None => None,
    };
    let fits =
        |groups: &Vec<String>| groups.len() <= MOST_GROUPS && groups.iter().all(|name| name.len() <= LONGEST_GROUP);
    let mut groups = named.filter(fits).unwrap_or_default();
    groups.retain(|name| !name.is_empty());
    groups
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn establish(
        claims: Value,
        more: Option<Value>,
        trust: EmailTrust,
        domains: &[&str],
    ) -> Result<Established, OidcRejected> {
        let provider = ProviderName::parse("acme").unwrap();
        let domains: Vec<_> = domains.iter().map(|domain| EmailDomain::parse(domain).unwrap()).collect();
        let of_others = [EmailDomain::parse("globex.com").unwrap()];
        let names = ClaimNames::default();
        let reading = Reading {
            provider: &provider,
            issuer: "https://idp.example",
            names: &names,
            email_trust: trust,
            speaks_for: &SpeaksFor::new(&domains, &of_others),
        };
        let all = claims.as_object().unwrap().clone();
        let claims = VerifiedClaims { subject: "ana".into(), authenticated_at: None, all };
        let more = more.map(|more| more.as_object().unwrap().clone());
        reading.establish(claims, more.as_ref(), Timestamp::from_seconds(1000))
    }

    fn outcome(claims: Value, more: Option<Value>, trust: EmailTrust, domains: &[&str]) -> String {
        match establish(claims, more, trust, domains) {
            Ok(established) => established.email.map_or("none".to_owned(), |email| email.to_string()),
            Err(rejected) => rejected.reason().to_owned(),
        }
    }

    #[test]
    fn b21_an_address_counts_when_it_is_verified_and_in_a_domain_of_the_provider() {
        use EmailTrust::{AsClaimed, DangerouslyAlways};
        let acme = ["acme.com"];
        for (claims, trust, expected) in [
            (json!({"email": "Ana@ACME.com", "email_verified": true}), AsClaimed, "ana@acme.com"),
            (json!({"email": "ana@acme.com", "email_verified": "true"}), AsClaimed, "email_not_verified"),
            (json!({"email": "ana@acme.com", "email_verified": "false"}), AsClaimed, "email_not_verified"),
            (json!({"email": "ana@acme.com", "email_verified": false}), AsClaimed, "email_not_verified"),
            (json!({"email": "ana@acme.com", "email_verified": 1}), AsClaimed, "email_not_verified"),
            (json!({"email": "ana@acme.com"}), AsClaimed, "email_not_verified"),
            (json!({"email": "ana@acme.com"}), DangerouslyAlways, "ana@acme.com"),
            (json!({"email": "ana@globex.com", "email_verified": true}), AsClaimed, "email_outside_domains"),
            (json!({"email": "ana@globex.com"}), DangerouslyAlways, "email_outside_domains"),
            (json!({"email": "ana@eu.acme.com", "email_verified": true}), AsClaimed, "email_outside_domains"),
            (json!({"email": "a@acme.com@evil.test", "email_verified": true}), AsClaimed, "email_malformed"),
            (json!({"email": "evil@evil.test@acme.com", "email_verified": true}), AsClaimed, "email_malformed"),
            (json!({"email": ["ana@acme.com"], "email_verified": true}), AsClaimed, "email_malformed"),
            (json!({"email": "", "email_verified": true}), AsClaimed, "email_missing"),
            (json!({"email": null}), AsClaimed, "email_missing"),
            (json!({}), DangerouslyAlways, "email_missing"),
        ] {
            assert_eq!(outcome(claims.clone(), None, trust, &acme), expected, "{claims}");
        }
        assert_eq!(outcome(json!({}), None, AsClaimed, &[]), "none");
        assert_eq!(outcome(json!({"email": "a@b.c", "email_verified": true}), None, AsClaimed, &[]), "a@b.c");
    }

    #[test]
    fn a58_without_domains_of_its_own_a_provider_does_not_speak_for_those_of_others() {
        for trust in [EmailTrust::AsClaimed, EmailTrust::DangerouslyAlways] {
            let of_others = json!({"email": "ana@globex.com", "email_verified": true});
            assert_eq!(outcome(of_others.clone(), None, trust, &[]), "email_outside_domains");
            assert_eq!(outcome(json!({}), Some(of_others), trust, &[]), "email_outside_domains");
        }
    }

    #[test]
    fn b21_address_and_its_verification_come_from_the_same_place() {
        let trust = EmailTrust::AsClaimed;
        let verified = json!({"email": "ana@acme.com", "email_verified": true});
        let unverified = json!({"email": "ana@acme.com"});
        assert_eq!(outcome(json!({}), Some(verified.clone()), trust, &[]), "ana@acme.com");
        assert_eq!(outcome(json!({"email_verified": true}), Some(unverified), trust, &[]), "email_not_verified");
        assert_eq!(outcome(json!({"email": "bob@acme.com"}), Some(verified), trust, &[]), "email_not_verified");
    }

    #[test]
    fn the_rest_is_tidied() {
        let claims = json!({
            "name": " Ana\r\nLima\u{0} ", "groups": ["a", 1, "", "b"], "sid": "s1", "acr": "mfa",
        });
        let who = establish(claims, None, EmailTrust::AsClaimed, &[]).unwrap();
        assert_eq!(who.display_name.as_deref(), Some("AnaLima"));
        assert_eq!(who.groups, ["a", "1", "b"]);
        assert_eq!((who.provider_session.as_deref(), who.acr.as_deref()), (Some("s1"), Some("mfa")));
        assert_eq!(who.authenticated_at, Timestamp::from_seconds(1000));
        let one = establish(json!({"groups": "staff"}), None, EmailTrust::AsClaimed, &[]).unwrap();
        assert_eq!(one.groups, ["staff"]);
        let many: Vec<String> = (0..1001).map(|n| n.to_string()).collect();
        for groups in [json!(many), json!(["a", "x".repeat(1025)]), json!(["a", {"b": 1}]), json!(["a", null])] {
            let who = establish(json!({"groups": groups}), None, EmailTrust::AsClaimed, &[]).unwrap();
            assert!(who.groups.is_empty(), "all or none: a condition may ask for one that was left out");
        }
    }
    #[test]
    fn claims_are_kept_whole_or_not_at_all() {
        let claims = json!({
            "sub": "ana", "iss": "https://idp.example", "nonce": "n", "exp": 1, "at_hash": "h",
            "department": "support", "roles": ["a", "b"], "level": 3, "staff": true, "empty": [],
            "nothing": null, "address": {"country": "DE"}, "mixed": ["a", {"b": 1}], "nested": [["a"]],
            "long": "x".repeat(2000), "one_long": ["a", "x".repeat(2000)],
        });
        let more = json!({"department": "sales", "team": "blue", "aud": "x"});
        let who = establish(claims, Some(more), EmailTrust::AsClaimed, &[]).unwrap();
        let kept: Vec<_> = who.claims.iter().map(|(name, values)| (name.as_str(), values.join(","))).collect();
        let expected = [
            ("department", "support"),
            ("empty", ""),
            ("level", "3"),
            ("roles", "a,b"),
            ("staff", "true"),
            ("sub", "ana"),
            ("team", "blue"),
        ];
        assert_eq!(kept, expected.map(|(name, values)| (name, values.to_owned())));
        assert!(who.claims["empty"].is_empty());
    }
}
