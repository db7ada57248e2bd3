//! Which mail domains an identity provider may speak for.

use std::collections::HashSet;

use super::{EmailAddress, EmailDomain};

/// Mail domains, to be looked up: those by name at once, and those with `*.` one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EmailDomains {
    exact: HashSet<String>,
    below: Vec<EmailDomain>,
}

impl EmailDomains {
    /// These domains.
    pub fn new<'a>(domains: impl IntoIterator<Item = &'a EmailDomain>) -> Self {
        let (below, exact): (Vec<_>, Vec<_>) =
            domains.into_iter().cloned().partition(|domain| domain.as_str().starts_with('*'));
        Self { exact: exact.iter().map(|domain| domain.as_str().to_owned()).collect(), below }
    }

    /// Whether `email` is at one of them.
    pub fn hold(&self, email: &EmailAddress) -> bool {
        self.exact.contains(email.domain()) || self.below.iter().any(|domain| domain.holds(email))
    }

    /// Whether they hold everything that `domain` holds, as far as one of them alone does.
    fn cover(&self, domain: &EmailDomain) -> bool {
        self.exact.contains(domain.as_str()) || self.below.iter().any(|wide| wide.covers(domain))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.below.is_empty()
    }
}

/// The mail domains that one provider may speak for: those that it lists. One that lists none speaks for every domain that
/// no other provider lists: else whoever runs it could be the first to come with an address of another company, and that
/// company's customer would be theirs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpeaksFor {
    listed: Vec<EmailDomain>,
    own: EmailDomains,
    of_others: EmailDomains,
}

impl SpeaksFor {
    /// Of a provider that lists `listed`, where all the others list `of_others`.
    pub fn new<'a>(listed: &[EmailDomain], of_others: impl IntoIterator<Item = &'a EmailDomain>) -> Self {
        Self {
            listed: listed.to_vec(),
            own: EmailDomains::new(listed),
            of_others: if listed.is_empty() { EmailDomains::new(of_others) } else { EmailDomains::default() },
        }
    }

    /// The domains that the provider lists.
    pub fn listed(&self) -> &[EmailDomain] {
        &self.listed
    }

    /// Whether the provider lists none.
    pub fn is_open(&self) -> bool {
        self.listed.is_empty()
    }

    /// Whether the provider lists a domain of `email`.
    pub fn lists(&self, email: &EmailAddress) -> bool {
        self.own.hold(email)
    }

    /// Whether the provider may speak for somebody at `domain`.
    pub fn reaches(&self, domain: &EmailDomain) -> bool {
        if self.is_open() {
            !self.of_others.cover(domain)
        } else {
            self.listed.iter().any(|listed| listed.overlaps(domain))
        }
    }

    /// Whether the provider may speak for `email`.
    pub fn includes(&self, email: &EmailAddress) -> bool {
        if self.is_open() { !self.of_others.hold(email) } else { self.own.hold(email) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domains(names: &[&str]) -> Vec<EmailDomain> {
        names.iter().map(|name| EmailDomain::parse(name).unwrap()).collect()
    }

    #[test]
    fn a58_a_listed_domain_is_its_providers_alone() {
        let of_others = domains(&["acme.com", "*.globex.com"]);
        for (listed, email, expected) in [
            (&[][..], "ana@acme.com", false),
            (&[], "ana@ACME.com", false),
            (&[], "ana@eu.acme.com", true),
            (&[], "ana@globex.com", true),
            (&[], "ana@eu.globex.com", false),
            (&[], "ana@any.example", true),
            (&["initech.com"], "ana@initech.com", true),
            (&["initech.com"], "ana@acme.com", false),
            (&["initech.com"], "ana@any.example", false),
        ] {
            let speaks_for = SpeaksFor::new(&domains(listed), &of_others);
            assert_eq!(speaks_for.includes(&EmailAddress::parse(email).unwrap()), expected, "{listed:?} {email}");
        }
    }

    #[test]
    fn what_is_out_of_reach_can_be_told_beforehand() {
        let of_others = domains(&["acme.com", "*.globex.com"]);
        for (listed, domain, expected) in [
            (&[][..], "acme.com", false),
            (&[], "*.acme.com", true),
            (&[], "eu.globex.com", false),
            (&[], "*.eu.globex.com", false),
            (&[], "any.example", true),
            (&["*.initech.com"], "eu.initech.com", true),
            (&["eu.initech.com"], "*.initech.com", true),
            (&["initech.com"], "any.example", false),
        ] {
            let speaks_for = SpeaksFor::new(&domains(listed), &of_others);
            assert_eq!(speaks_for.reaches(&EmailDomain::parse(domain).unwrap()), expected, "{listed:?} {domain}");
        }
    }
}
