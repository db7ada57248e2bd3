//! Which of the people who signed in are let in.

use std::collections::BTreeMap;

use crate::config::check::provider::{Claimed, speaks_for};
use crate::config::check::{Check, all};
use crate::config::raw::{RawAccount, RawAdmission, RawPortal, RawSignIn};
use crate::config::tree::{Place, quote};
use crate::email::{EmailAddress, SpeaksFor};
use crate::ids::ProviderName;
use crate::portal::settings::AdmissionSettings;

/// Characters of a provider's name for an account.
const LONGEST_SUBJECT: usize = 255;

impl Check<'_> {
    pub(super) fn admission(
        &mut self,
        place: &Place<'_>,
        portal: &RawPortal,
        claimed: &Claimed,
    ) -> Option<AdmissionSettings> {
        // Where a provider has a fault, that is told elsewhere, and nothing of this is used.
        let providers = providers(&portal.sign_in, claimed).unwrap_or_default();
        let nothing = RawAdmission::default();
        let raw = portal.admission.as_ref().unwrap_or(&nothing);
        let domains = place.key("email_domains");
        let (allow_place, deny_place) = (domains.key("allow"), domains.key("deny"));
        let lists = raw.email_domains.as_ref();
        let allow = self.domains(&allow_place, lists.and_then(|lists| lists.allow.as_deref()));
        let deny = self.domains(&deny_place, lists.and_then(|lists| lists.deny.as_deref()));
        for (index, domain) in deny.iter().flatten().enumerate() {
            if allow.iter().flatten().any(|allowed| allowed == domain) {
                let what = format!("{domain} is in email_domains.allow too");
                self.fault(&deny_place.index(index), what, "keep it in one of the lists");
            }
        }
        for (index, domain) in allow.iter().flatten().enumerate() {
            if !providers.is_empty() && !providers.values().any(|speaks_for| speaks_for.reaches(domain)) {
                let what = format!("no provider of this portal may speak for {domain}");
                let cure = "add it to a provider's email_domains, or remove it here";
                self.fault(&allow_place.index(index), what, cure);
            }
        }
        let people = place.key("blocked_people");
        let blocked = raw.blocked_people.as_deref().unwrap_or_default().iter().enumerate();
        let blocked: Vec<_> = blocked.map(|(index, text)| self.email(&people.index(index), text)).collect();
        self.distinct(&people, &blocked);
        let blocked_accounts =
            self.blocked_accounts(&place.key("blocked_accounts"), raw.blocked_accounts.as_deref(), &portal.sign_in);
        let require = self.condition(&place.key("require"), raw.require.as_ref());
        let contact = match &raw.contact {
            Some(text) => Some(self.text(&place.key("contact"), text, 500)?),
            None => None,
        };
        Some(AdmissionSettings {
            allow: allow?,
            deny: deny?,
            blocked: all(blocked)?,
            blocked_accounts: blocked_accounts?,
            require: require?,
            providers,
            issuers: BTreeMap::new(),
            contact,
        })
    }

    fn blocked_accounts(
        &mut self,
        place: &Place<'_>,
        raw: Option<&[RawAccount]>,
        sign_in: &RawSignIn,
    ) -> Option<Vec<(ProviderName, String)>> {
        let mut accounts = Vec::new();
        for (index, raw) in raw.unwrap_or_default().iter().enumerate() {
            let place = place.index(index);
            let subject = self.text(&place.key("subject"), &raw.subject, LONGEST_SUBJECT);
            let known = sign_in.providers.contains(&raw.provider);
            if !known {
                let what = format!("{} is no provider of this portal", quote(&raw.provider));
                let cure = format!("known: {}", sign_in.providers.join(", "));
                self.fault(&place.key("provider"), what, cure);
            }
            let provider = ProviderName::parse(&raw.provider).ok().filter(|_| known);
            accounts.push(provider.zip(subject));
        }
        self.distinct(place, &accounts);
        all(accounts)
    }

    fn email(&mut self, place: &Place<'_>, text: &str) -> Option<EmailAddress> {
        match EmailAddress::parse(text) {
            Ok(email) => Some(email),
            Err(error) => {
                self.fault(place, error.to_string(), "");
                None
            }
        }
    }
}

/// The portal's providers, each with the domains that it may speak for; `None` when one of them has a fault.
fn providers(sign_in: &RawSignIn, claimed: &Claimed) -> Option<BTreeMap<ProviderName, SpeaksFor>> {
    let provider = |name: &String| Some((ProviderName::parse(name).ok()?, speaks_for(claimed, name)?));
    sign_in.providers.iter().map(provider).collect()
}
