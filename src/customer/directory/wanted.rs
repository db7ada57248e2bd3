//! Which organizations a person belongs to by the rules. Pure.

use std::collections::{BTreeSet, HashSet};

use crate::portal::settings::{EachOf, OrganizationName, OrganizationRule, ValueSource};
use crate::sign_in::VerifiedIdentity;

/// Most organizations of one person: a provider that lists more is not believed to mean it.
const MOST: usize = 50;

/// The organizations of `who`.
///
/// An organization that a rule gives to a mail domain is that domain's: no claim brings in somebody from another one,
/// since a provider that may say anything about its people must not put them among another company's.
pub(super) fn wanted(rules: &[OrganizationRule], who: &VerifiedIdentity) -> BTreeSet<OrganizationName> {
    let of_others: HashSet<String> = rules
        .iter()
        .filter_map(|rule| match rule {
            OrganizationRule::OfDomain(domain, name) if !is_at(who, domain) => Some(folded(name)),
            _ => None,
        })
        .collect();
    let mut names = BTreeSet::new();
    for rule in rules {
        match rule {
            OrganizationRule::Everybody(name) => {
                names.insert(name.clone());
            }
            OrganizationRule::OfDomain(domain, name) => {
                if is_at(who, domain) {
                    names.insert(name.clone());
                }
            }
            OrganizationRule::EachOf(rule) => {
                let told = each_of(rule, who);
                names.extend(told.into_iter().filter(|name| !of_others.contains(&folded(name))));
            }
        }
    }
    if names.len() > MOST {
        tracing::warn!(
            count = names.len(),
            most = MOST,
            "claims give a person too many organizations: the rest is left out"
        );
    }
    names.into_iter().take(MOST).collect()
}

fn is_at(who: &VerifiedIdentity, domain: &crate::email::EmailDomain) -> bool {
    who.email_verified() && who.email().is_some_and(|email| domain.holds(email))
}

fn folded(name: &OrganizationName) -> String {
    name.as_str().to_lowercase()
}

fn each_of(rule: &EachOf, who: &VerifiedIdentity) -> Vec<OrganizationName> {
    if !rule.providers.is_empty() && !rule.providers.contains(who.provider()) {
        return Vec::new();
    }
    let values = match &rule.source {
        ValueSource::Groups => who.groups(),
        ValueSource::Claim(name) => who.claims().get(name).map_or(&[][..], Vec::as_slice),
    };
    let name = |value: &String| {
        let found = rule.matching.captures(value)?;
        let mut name = String::new();
        found.expand(&rule.organization, &mut name);
        // Half a name is another name: what cannot be one is left out.
        OrganizationName::parse(&name).ok()
    };
    values.iter().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;
    use crate::email::EmailDomain;
    use crate::ids::ProviderName;

    fn name(text: &str) -> OrganizationName {
        OrganizationName::parse(text).unwrap()
    }

    fn rules() -> Vec<OrganizationRule> {
        let each_of = |source, matching: &str, organization: &str, providers: &[&str]| {
            OrganizationRule::EachOf(EachOf {
                providers: providers.iter().map(|name| ProviderName::parse(name).unwrap()).collect(),
                source,
                matching: Regex::new(&format!("^(?:{matching})$")).unwrap(),
                organization: organization.to_owned(),
            })
        };
        vec![
            OrganizationRule::Everybody(name("All customers")),
            OrganizationRule::OfDomain(EmailDomain::parse("globex.com").unwrap(), name("Globex")),
            each_of(ValueSource::Groups, "org-(.+)", "$1", &[]),
            each_of(ValueSource::Claim("department".into()), "(?<team>[a-z]+)", "Team ${team}", &["okta"]),
        ]
    }

    fn who(provider: &str, email: &str, groups: &[&str], department: &[&str]) -> VerifiedIdentity {
        let who = VerifiedIdentity::for_test(provider, "1", email);
        let mut json = serde_json::to_value(&who).unwrap();
        json["groups"] = groups.into();
        json["claims"] = serde_json::json!({ "department": department });
        serde_json::from_value(json).unwrap()
    }

    fn names(who: &VerifiedIdentity) -> Vec<String> {
        wanted(&rules(), who).into_iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn people_belong_by_domain_group_and_claim() {
        for (who, expected) in [
            (who("okta", "ana@acme.com", &[], &[]), &["All customers"][..]),
            (who("okta", "ana@globex.com", &[], &[]), &["All customers", "Globex"]),
            (who("okta", "ana@eu.globex.com", &[], &[]), &["All customers"]),
            (who("okta", "ana@acme.com", &["org-Acme", "staff", "x-org-Evil"], &[]), &["Acme", "All customers"]),
            (who("okta", "ana@acme.com", &[], &["support", "R&D"]), &["All customers", "Team support"]),
            (who("github", "ana@acme.com", &[], &["support"]), &["All customers"]),
        ] {
            assert_eq!(names(&who), expected);
        }
    }

    #[test]
    fn no_claim_leads_into_the_organization_of_another_company() {
        for group in ["org-Globex", "org-globex", "org- Globex ", "org-GLOBEX"] {
            assert_eq!(names(&who("evil", "mallory@evil.test", &[group], &[])), ["All customers"], "{group:?}");
        }
        assert_eq!(names(&who("okta", "ana@globex.com", &["org-Globex"], &[])), ["All customers", "Globex"]);
    }

    #[test]
    fn an_unverified_address_belongs_nowhere() {
        let mut json = serde_json::to_value(who("okta", "ana@globex.com", &[], &[])).unwrap();
        json["email_verified"] = false.into();
        assert_eq!(names(&serde_json::from_value(json).unwrap()), ["All customers"]);
    }

    #[test]
    fn names_that_cannot_be_are_left_out_and_there_is_an_end_to_them() {
        let long = format!("org-{}", "x".repeat(201));
        assert_eq!(names(&who("okta", "ana@acme.com", &["org-a\nb", &long, "org-\t"], &[])), ["All customers"]);
        let many: Vec<String> = (0..500).map(|n| format!("org-{n:03}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(names(&who("okta", "ana@acme.com", &many, &[])).len(), MOST);
    }
}
