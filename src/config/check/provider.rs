//! Identity providers.

mod oidc;
mod saml;

use std::collections::BTreeMap;

use super::{Check, all};
use crate::config::raw::RawProvider;
use crate::config::tree::Place;
use crate::email::{EmailDomain, SpeaksFor};
use crate::ids::ProviderName;
use crate::sign_in::settings::{Protocol, ProviderSettings};

/// The domains that each provider may speak for, by its name as written; `None` when one of them has a fault.
pub(super) type Claimed = BTreeMap<String, Option<Vec<EmailDomain>>>;

/// What the provider of that name may speak for; `None` when one of its domains has a fault.
pub(super) fn speaks_for(claimed: &Claimed, name: &str) -> Option<SpeaksFor> {
    let listed = claimed.get(name)?.as_ref()?;
    let others = claimed.iter().filter(|(other, _)| *other != name);
    Some(SpeaksFor::new(listed, others.filter_map(|(_, domains)| domains.as_ref()).flatten()))
}

impl Check<'_> {
    pub(super) fn providers(
        &mut self,
        place: &Place<'_>,
        raw: &BTreeMap<String, RawProvider>,
    ) -> (Option<Vec<ProviderSettings>>, Claimed) {
        if raw.is_empty() {
            self.fault(place, "is empty", "name at least one identity provider");
        }
        let mut claimed = Claimed::new();
        let mut owners: Vec<(EmailDomain, String)> = Vec::new();
        for (name, raw) in raw {
            let place = place.key(name);
            let domains = self.domains(&place.key("email_domains"), raw.email_domains.as_deref());
            for (index, domain) in domains.iter().flatten().enumerate() {
                if let Some((of, owner)) = owners.iter().find(|(of, owner)| owner != name && of.overlaps(domain)) {
                    let what = format!("the provider \"{owner}\" speaks for {of} already");
                    self.fault(&place.key("email_domains").index(index), what, "a domain has one provider");
                }
                owners.push((domain.clone(), name.clone()));
            }
            claimed.insert(name.clone(), domains);
        }
        let providers = raw.iter().map(|(name, raw)| {
            let speaks_for = speaks_for(&claimed, name);
            self.provider(&place.key(name), name, raw, speaks_for)
        });
        (all(providers.collect()), claimed)
    }

    /// A list of mail domains, each at most once.
    pub(super) fn domains(&mut self, place: &Place<'_>, raw: Option<&[String]>) -> Option<Vec<EmailDomain>> {
        if self.report.is_broken(place) {
            return None;
        }
        let parse = |(index, text): (usize, &String)| match EmailDomain::parse(text) {
            Ok(domain) => Some(domain),
            Err(error) => {
                let cure = match text.rsplit_once('@') {
                    Some((_, domain)) if !domain.is_empty() => format!("write \"{domain}\""),
                    _ => String::new(),
                };
                self.fault(&place.index(index), error.to_string(), cure);
                None
            }
        };
        let domains: Vec<_> = raw.unwrap_or_default().iter().enumerate().map(parse).collect();
        self.distinct(place, &domains);
        all(domains)
    }

    fn provider(
        &mut self,
        place: &Place<'_>,
        name: &str,
        raw: &RawProvider,
        speaks_for: Option<SpeaksFor>,
    ) -> Option<ProviderSettings> {
        let name = match ProviderName::parse(name) {
            Ok(name) => Some(name),
            Err(error) => {
                self.fault(place, error.to_string(), "");
                None
            }
        };
        let label = match &raw.label {
            Some(label) => self.text(&place.key("label"), label, 64),
            None => name.as_ref().map(ToString::to_string),
        };
        let protocol = self.protocol(place, raw, speaks_for.as_ref());
        Some(ProviderSettings { name: name?, label: label?, speaks_for: speaks_for?, protocol: protocol? })
    }

    fn protocol(&mut self, place: &Place<'_>, raw: &RawProvider, speaks_for: Option<&SpeaksFor>) -> Option<Protocol> {
        let saml = place.key("saml");
        match (&raw.oidc, &raw.saml) {
            (Some(oidc), None) => self.oidc(&place.key("oidc"), oidc).map(Protocol::Oidc),
            (None, Some(raw)) => self.saml(&saml, raw, speaks_for).map(Protocol::Saml),
            (Some(_), Some(_)) => {
                self.fault(&saml, "oidc is given too", "keep one of them: two providers have two names");
                None
            }
            (None, None) => {
                // What `structure` has said of a misspelt or unknown protocol is enough.
                let said = ["oidc", "saml"].iter().any(|key| self.report.is_broken(&place.key(key)));
                if !said {
                    self.fault(place, "does not say how the provider is spoken to", "add oidc or saml");
                }
                None
            }
        }
    }
}
