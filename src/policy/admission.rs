//! Whether a verified identity may be a customer of a portal.

use std::collections::{BTreeMap, HashSet};

use super::Circumstances;
use crate::condition::Condition;
use crate::email::{EmailAddress, EmailDomains, SpeaksFor};
use crate::ids::ProviderName;
use crate::portal::settings::AdmissionSettings;
use crate::sign_in::VerifiedIdentity;

/// The rules of one portal.
#[derive(Clone, Debug)]
pub struct Admission {
    providers: BTreeMap<ProviderName, SpeaksFor>,
    issuers: BTreeMap<ProviderName, String>,
    allow: EmailDomains,
    deny: EmailDomains,
    blocked: HashSet<EmailAddress>,
    blocked_accounts: HashSet<(ProviderName, String)>,
    require: Option<Condition>,
    contact: Option<String>,
}

/// Why somebody may not be a customer here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// `sign_in.providers`, and what each may speak for: it was different when the person signed in.
    #[error("the identity provider does not speak for this person at this portal any more")]
    Provider,
    /// A customer is known by their e-mail address.
    #[error("the identity provider gave no e-mail address")]
    NoEmail,
    /// Anybody could have claimed it.
    #[error("the identity provider does not vouch for the e-mail address")]
    EmailUnverified,
    /// `admission.email_domains`.
    #[error("the domain of the e-mail address is not admitted")]
    Domain,
    /// `admission.blocked_people` and `admission.blocked_accounts`.
    #[error("the person is blocked")]
    Blocked,
    /// `admission.require`.
    #[error("what admission requires does not hold, or cannot be told, of this person")]
    Condition,
}

impl NotAdmitted {
    /// The label of this reason in logs and metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Provider => "not_admitted_provider",
            Self::NoEmail => "not_admitted_no_email",
            Self::EmailUnverified => "not_admitted_email_unverified",
            Self::Domain => "not_admitted_domain",
            Self::Blocked => "not_admitted_blocked",
            Self::Condition => "not_admitted_condition",
        }
    }
}

impl Admission {
    /// The rules that `settings` describe.
    pub fn new(settings: &AdmissionSettings) -> Self {
        Self {
            providers: settings.providers.clone(),
            issuers: settings.issuers.clone(),
            allow: EmailDomains::new(&settings.allow),
            deny: EmailDomains::new(&settings.deny),
            blocked: settings.blocked.iter().cloned().collect(),
            blocked_accounts: settings.blocked_accounts.iter().cloned().collect(),
            require: settings.require.clone(),
            contact: settings.contact.clone(),
        }
    }

    /// Whether `who` may be a customer.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&self, who: &VerifiedIdentity, circumstances: &Circumstances) -> Result<(), NotAdmitted> {
        let email = who.email().ok_or(NotAdmitted::NoEmail)?;
        if !who.email_verified() {
            return Err(NotAdmitted::EmailUnverified);
        }
        if self.blocked.contains(email) || self.is_blocked_account(who) {
            return Err(NotAdmitted::Blocked);
        }
        // Asked at the sign-in as well; but the file may have changed since.
        let speaks_for = self.providers.get(who.provider()).ok_or(NotAdmitted::Provider)?;
        // A provider can be given another address under the same name, while sessions of the one before live on.
        let is_another = self.issuers.get(who.provider()).is_some_and(|issuer| issuer != who.issuer());
        if is_another || !speaks_for.includes(email) {
            return Err(NotAdmitted::Provider);
        }
        if !(self.allow.is_empty() || self.allow.hold(email)) || self.deny.hold(email) {
            return Err(NotAdmitted::Domain);
        }
        // What cannot be told does not hold.
        if self.require.as_ref().is_some_and(|require| require.holds(&circumstances.facts(who)) != Ok(true)) {
            return Err(NotAdmitted::Condition);
        }
        Ok(())
    }

    /// Whether a refusal for that reason means that the person's admission has ended. A condition on where, when and by which
    /// connection somebody comes says nothing of that: tomorrow, from the office, or with another device, it holds again.
    pub fn has_ended(&self, reason: NotAdmitted) -> bool {
        let of_the_moment = |text: &str| text.contains("client_ip") || text.contains("time");
        let passing = |require: &Condition| of_the_moment(require.text()) || require.asks_for_certificate();
        reason != NotAdmitted::Condition || !self.require.as_ref().is_some_and(passing)
    }

    fn is_blocked_account(&self, who: &VerifiedIdentity) -> bool {
        // Copies names only where somebody is blocked in this way at all.
        !self.blocked_accounts.is_empty()
            && self.blocked_accounts.contains(&(who.provider().clone(), who.subject().to_owned()))
    }

    /// Whom a refused person may ask, in the operator's words.
    pub fn contact(&self) -> Option<&str> {
        self.contact.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::email::EmailDomain;

    fn domains(names: &[&str]) -> Vec<EmailDomain> {
        names.iter().map(|name| EmailDomain::parse(name).unwrap()).collect()
    }

    fn settings(allow: &[&str], deny: &[&str]) -> AdmissionSettings {
        AdmissionSettings {
            allow: domains(allow),
            deny: domains(deny),
            providers: [(ProviderName::parse("okta").unwrap(), SpeaksFor::default())].into(),
            ..AdmissionSettings::default()
        }
    }

    fn admit(settings: &AdmissionSettings, who: &VerifiedIdentity) -> Result<(), NotAdmitted> {
        let circumstances =
            Circumstances { client: Some([10, 1, 2, 3].into()), certificate: None, now: Timestamp::from_seconds(1000) };
        Admission::new(settings).admit(who, &circumstances)
    }

    fn person(email: &str) -> VerifiedIdentity {
        VerifiedIdentity::for_test("okta", "1", email)
    }

    #[test]
    fn a_condition_on_where_when_and_how_somebody_comes_ends_no_admission() {
        for (require, ends) in [
            ("email_domain == 'acme.com'", true),
            ("'staff' in groups", true),
            ("cidr('10.0.0.0/8').containsIP(client_ip)", false),
            ("time.getHours() > 8", false),
            ("client_certificate.organization == 'Acme'", false),
            ("client_certificate != null && email_domain == 'acme.com'", false),
        ] {
            let require = Some(Condition::parse(require).unwrap());
            let admission = Admission::new(&AdmissionSettings { require: require.clone(), ..settings(&[], &[]) });
            assert_eq!(admission.has_ended(NotAdmitted::Condition), ends, "{require:?}");
            assert!(admission.has_ended(NotAdmitted::Blocked) && admission.has_ended(NotAdmitted::Domain));
        }
    }

    #[test]
    fn people_are_admitted_by_exact_domain() {
        let blocked = vec![EmailAddress::parse("mallory@acme.com").unwrap()];
        let rules = AdmissionSettings { blocked, ..settings(&["acme.com", "globex.com"], &["globex.com"]) };
        for (email, expected) in [
            ("ana@acme.com", Ok(())),
            ("ANA@ACME.COM", Ok(())),
            ("ana@eu.acme.com", Err(NotAdmitted::Domain)),
            ("ana@evilacme.com", Err(NotAdmitted::Domain)),
            ("ana@globex.com", Err(NotAdmitted::Domain)),
            ("Mallory@acme.com", Err(NotAdmitted::Blocked)),
            ("no address", Err(NotAdmitted::NoEmail)),
        ] {
            assert_eq!(admit(&rules, &person(email)), expected, "{email}");
        }
    }

    #[test]
    fn subdomains_count_only_when_they_are_written() {
        let rules = settings(&["acme.com", "*.globex.com"], &["evil.globex.com", "*.evil.globex.com"]);
        for (email, expected) in [
            ("ana@globex.com", Err(NotAdmitted::Domain)),
            ("ana@eu.globex.com", Ok(())),
            ("ana@a.b.globex.com", Ok(())),
            ("ana@evil.globex.com", Err(NotAdmitted::Domain)),
            ("ana@a.evil.globex.com", Err(NotAdmitted::Domain)),
            ("ana@eu.acme.com", Err(NotAdmitted::Domain)),
        ] {
            assert_eq!(admit(&rules, &person(email)), expected, "{email}");
        }
    }

    #[test]
    fn without_a_list_every_domain_but_the_denied_is_admitted() {
        let rules = settings(&[], &["evil.test"]);
        assert_eq!(admit(&rules, &person("ana@any.example")), Ok(()));
        assert_eq!(admit(&rules, &person("ana@evil.test")), Err(NotAdmitted::Domain));
    }

    #[test]
    fn a58_a_provider_speaks_for_its_own_domains_even_when_they_changed_since_the_sign_in() {
        let provider = |name: &str| ProviderName::parse(name).unwrap();
        let all = domains(&["acme.com", "globex.com"]);
        let of = |name: &str, listed: &[&str]| (provider(name), SpeaksFor::new(&domains(listed), &all));
        let providers = [of("okta", &["acme.com"]), of("adfs", &["globex.com"]), of("anybody", &[])].into();
        let rules = AdmissionSettings { providers, ..settings(&[], &[]) };
        for (name, email, expected) in [
            ("okta", "ana@acme.com", Ok(())),
            ("adfs", "ana@globex.com", Ok(())),
            ("okta", "ana@globex.com", Err(NotAdmitted::Provider)),
            ("adfs", "ana@acme.com", Err(NotAdmitted::Provider)),
            ("gone", "ana@acme.com", Err(NotAdmitted::Provider)),
            ("anybody", "ana@any.example", Ok(())),
            ("anybody", "ana@acme.com", Err(NotAdmitted::Provider)),
        ] {
            assert_eq!(admit(&rules, &VerifiedIdentity::for_test(name, "1", email)), expected, "{name} {email}");
        }
    }

    #[test]
    fn a58_an_account_is_blocked_at_its_provider_whatever_its_address() {
        let okta = ProviderName::parse("okta").unwrap();
        let mut rules = AdmissionSettings { blocked_accounts: vec![(okta, "00u1".into())], ..settings(&[], &[]) };
        rules.providers.insert(ProviderName::parse("adfs").unwrap(), SpeaksFor::default());
        let who = |provider, subject| VerifiedIdentity::for_test(provider, subject, "new.name@acme.com");
        assert_eq!(admit(&rules, &who("okta", "00u1")), Err(NotAdmitted::Blocked));
        assert_eq!(admit(&rules, &who("okta", "00u2")), Ok(()));
        assert_eq!(admit(&rules, &who("adfs", "00u1")), Ok(()), "another person, by chance of the same name");
    }

    #[test]
    fn a_condition_has_to_hold_and_what_cannot_be_told_does_not() {
        for (text, expected) in [
            ("email_domain == 'acme.com'", Ok(())),
            ("cidr('10.0.0.0/8').containsIP(client_ip)", Ok(())),
            ("time < timestamp('1970-01-02T00:00:00Z')", Ok(())),
            ("'staff' in groups", Err(NotAdmitted::Condition)),
            ("'x' in claims.missing", Err(NotAdmitted::Condition)),
            ("!('x' in claims.missing)", Err(NotAdmitted::Condition)),
        ] {
            let require = Some(Condition::parse(text).unwrap());
            let rules = AdmissionSettings { require, ..settings(&[], &[]) };
            assert_eq!(admit(&rules, &person("ana@acme.com")), expected, "{text}");
        }
    }
}
