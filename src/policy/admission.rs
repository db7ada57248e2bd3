//! Whether a verified identity may be a customer of a portal.

use std::collections::HashSet;

use crate::email::{EmailAddress, EmailDomain};
use crate::portal::settings::AdmissionSettings;
use crate::sign_in::VerifiedIdentity;

/// The rules of one portal.
#[derive(Clone, Debug)]
pub struct Admission {
    allow: HashSet<String>,
    deny: HashSet<String>,
    blocked: HashSet<EmailAddress>,
    contact: Option<String>,
}

/// Why somebody may not be a customer here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// A customer is known by their e-mail address.
    #[error("the identity provider gave no e-mail address")]
    NoEmail,
    /// Anybody could have claimed it.
    #[error("the identity provider does not vouch for the e-mail address")]
    EmailUnverified,
    /// `admission.email_domains`.
    #[error("the domain of the e-mail address is not admitted")]
    Domain,
    /// `admission.blocked_people`.
    #[error("the person is blocked")]
    Blocked,
}

impl NotAdmitted {
    /// The label of this reason in logs and metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NoEmail => "not_admitted_no_email",
            Self::EmailUnverified => "not_admitted_email_unverified",
            Self::Domain => "not_admitted_domain",
            Self::Blocked => "not_admitted_blocked",
        }
    }
}

impl Admission {
    /// The rules that `settings` describe.
    pub fn new(settings: &AdmissionSettings) -> Self {
        let names = |domains: &[EmailDomain]| domains.iter().map(|domain| domain.as_str().to_owned()).collect();
        Self {
            allow: names(&settings.allow),
            deny: names(&settings.deny),
            blocked: settings.blocked.iter().cloned().collect(),
            contact: settings.contact.clone(),
        }
    }

    /// Whether `who` may be a customer.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&self, who: &VerifiedIdentity) -> Result<(), NotAdmitted> {
        let email = who.email().ok_or(NotAdmitted::NoEmail)?;
        if !who.email_verified() {
            return Err(NotAdmitted::EmailUnverified);
        }
        if self.blocked.contains(email) {
            return Err(NotAdmitted::Blocked);
        }
        let allowed = self.allow.is_empty() || self.allow.contains(email.domain());
        if !allowed || self.deny.contains(email.domain()) {
            return Err(NotAdmitted::Domain);
        }
        Ok(())
    }

    /// Whom a refused person may ask, in the operator's words.
    pub fn contact(&self) -> Option<&str> {
        self.contact.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(allow: &[&str], deny: &[&str], blocked: &[&str]) -> Admission {
        let domains = |names: &[&str]| names.iter().map(|name| EmailDomain::parse(name).unwrap()).collect();
        Admission::new(&AdmissionSettings {
            allow: domains(allow),
            deny: domains(deny),
            blocked: blocked.iter().map(|email| EmailAddress::parse(email).unwrap()).collect(),
            contact: None,
        })
    }

    #[test]
    fn people_are_admitted_by_exact_domain() {
        let rules = admission(&["acme.com", "globex.com"], &["globex.com"], &["mallory@acme.com"]);
        for (email, expected) in [
            ("ana@acme.com", Ok(())),
            ("ANA@ACME.COM", Ok(())),
            ("ana@eu.acme.com", Err(NotAdmitted::Domain)),
            ("ana@evilacme.com", Err(NotAdmitted::Domain)),
            ("ana@globex.com", Err(NotAdmitted::Domain)),
            ("Mallory@acme.com", Err(NotAdmitted::Blocked)),
            ("no address", Err(NotAdmitted::NoEmail)),
        ] {
            assert_eq!(rules.admit(&VerifiedIdentity::for_test("okta", "1", email)), expected, "{email}");
        }
    }

    #[test]
    fn without_a_list_every_domain_but_the_denied_is_admitted() {
        let rules = admission(&[], &["evil.test"], &[]);
        assert_eq!(rules.admit(&VerifiedIdentity::for_test("okta", "1", "ana@any.example")), Ok(()));
        assert_eq!(rules.admit(&VerifiedIdentity::for_test("okta", "1", "ana@evil.test")), Err(NotAdmitted::Domain));
    }
}
