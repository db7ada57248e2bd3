//! Portals.

use std::collections::BTreeMap;

use super::provider::Claimed;
use super::{Check, all};
use crate::config::raw::{RawChoose, RawPortal, RawSignIn};
use crate::config::tree::{Place, quote};
use crate::ids::ProviderName;
use crate::listener::settings::ListenSettings;
use crate::portal::settings::{Choose, PortalSettings, SessionGroup, SignInSettings};
use crate::portal::{HostName, PublicOrigin};

mod admission;
mod cloud;
mod cloud_password;
mod customer;
mod directory;
mod limits;
mod look;
mod rewrite;
mod rules;
mod upstream;

impl Check<'_> {
    /// `port` is what browsers use; the listening sockets tell which upstream would be this gateway again.
    pub(super) fn portals(
        &mut self,
        place: &Place<'_>,
        raw: &[RawPortal],
        claimed: &Claimed,
        listen: Option<&ListenSettings>,
        port: u16,
    ) -> Option<Vec<PortalSettings>> {
        if raw.is_empty() {
            self.fault(place, "is empty", "name at least one portal");
        }
        let hosts: Vec<_> =
            raw.iter().enumerate().map(|(index, raw)| self.host(&place.index(index).key("host"), &raw.host)).collect();
        let mut first: BTreeMap<&HostName, usize> = BTreeMap::new();
        for (index, host) in hosts.iter().enumerate() {
            let Some(host) = host else { continue };
            if let Some(earlier) = first.get(host) {
                let what = format!("{host} is the host of portals[{earlier}] already");
                self.fault(&place.index(index).key("host"), what, "a host has one portal");
            } else {
                first.insert(host, index);
            }
        }
        let aliases = self.aliases(place, raw, &first);
        let all_raw = raw;
        let portals = raw.iter().zip(&hosts).zip(&aliases).enumerate().map(|(index, ((raw, host), aliases))| {
            let place = place.index(index);
            let upstream = self.upstream(&place, raw, &hosts, listen);
            let sign_in = self.sign_in(&place.key("sign_in"), &raw.sign_in, claimed);
            let admission = self.admission(&place.key("admission"), raw, claimed);
            let customer_session = self.customer_session(&place, raw);
            let rules = self.rules(&place.key("rules"), raw.rules.as_deref().unwrap_or_default());
            let rewrite = self.rewrite(&place.key("rewrite"), raw, host.as_ref(), port);
            let limits = self.portal_limits(&place.key("limits"), raw);
            let look = self.look(&place.key("look"), raw.look.as_ref());
            let session_group = self.session_group(&place.key("session_group"), raw, all_raw);
            let host = host.clone()?;
            Some(PortalSettings {
                public_origin: PublicOrigin::new(&host, port),
                host,
                aliases: aliases.clone()?,
                session_group: session_group?,
                upstream: upstream?,
                sign_in: sign_in?,
                admission: admission?,
                customer_session: customer_session?,
                rules: rules?,
                rewrite: rewrite?,
                look: look?,
                limits: limits?,
            })
        });
        all(portals.collect())
    }

    /// The group whose sign-ins a portal shares. Alone in it, it shares with nobody.
    fn session_group(&mut self, place: &Place<'_>, raw: &RawPortal, all: &[RawPortal]) -> Option<Option<SessionGroup>> {
        let Some(text) = &raw.session_group else { return Some(None) };
        let group = match SessionGroup::parse(text) {
            Ok(group) => group,
            Err(error) => {
                self.fault(place, format!("{}: {error}", quote(text)), "such as acme");
                return None;
            }
        };
        if all.iter().filter(|one| one.session_group.as_ref() == Some(text)).count() < 2 {
            self.fault(
                place,
                format!("no other portal is in the group {text}"),
                "name it at another portal, or remove it",
            );
            return None;
        }
        Some(Some(group))
    }

    /// The other names of each portal. `hosts` are those that portals have already.
    fn aliases(
        &mut self,
        place: &Place<'_>,
        raw: &[RawPortal],
        hosts: &BTreeMap<&HostName, usize>,
    ) -> Vec<Option<Vec<HostName>>> {
        let mut known: BTreeMap<HostName, usize> = BTreeMap::new();
        let of_portal = raw.iter().enumerate().map(|(index, raw)| {
            let place = place.index(index).key("aliases");
            let each = raw.aliases.iter().flatten().enumerate().map(|(number, text)| {
                let place = place.index(number);
                let alias = self.host(&place, text)?;
                let other = hosts.get(&alias).map(|portal| ("host", portal));
                if let Some((what, portal)) = other.or(known.get(&alias).map(|portal| ("alias", portal))) {
                    let what = format!("{alias} is the {what} of portals[{portal}] already");
                    self.fault(&place, what, "a name belongs to one portal");
                    return None;
                }
                known.insert(alias.clone(), index);
                Some(alias)
            });
            all(each.collect())
        });
        of_portal.collect()
    }

    pub(super) fn host(&mut self, place: &Place<'_>, text: &str) -> Option<HostName> {
        match HostName::parse(text) {
            Ok(host) => Some(host),
            Err(error) => {
                let without_scheme = text.split_once("://").map_or(text, |(_, rest)| rest);
                let bare = without_scheme.split(['/', ':']).next().unwrap_or_default().trim_end_matches('.');
                let ascii = idna::domain_to_ascii_strict(bare).ok().filter(|ascii| HostName::parse(ascii).is_ok());
                let cure = ascii.map(|host| format!("write \"{host}\"")).unwrap_or_default();
                self.fault(place, error.to_string(), cure);
                None
            }
        }
    }

    fn sign_in(&mut self, place: &Place<'_>, raw: &RawSignIn, claimed: &Claimed) -> Option<SignInSettings> {
        let list = place.key("providers");
        if raw.providers.is_empty() {
            self.fault(&list, "is empty: nobody could sign in", "name at least one identity provider");
        }
        let known: Vec<&str> = claimed.keys().map(String::as_str).collect();
        let mut providers = Vec::new();
        for (index, name) in raw.providers.iter().enumerate() {
            let found = claimed.contains_key(name).then(|| ProviderName::parse(name).ok());
            if found.is_none() {
                let cure = format!("known: {}", if known.is_empty() { "none".to_owned() } else { known.join(", ") });
                self.fault(&list.index(index), format!("no provider is named {}", quote(name)), cure);
            }
            providers.push(found.flatten());
        }
        self.distinct(&list, &providers);
        let choose_place = place.key("choose");
        let choose = match raw.choose {
            Some(RawChoose::Single) if raw.providers.len() > 1 => {
                let what = format!("single is for one provider, and there are {}", raw.providers.len());
                self.fault(&choose_place, what, "choose list or by_email");
                Choose::List
            }
            Some(RawChoose::ByEmail) => {
                let homeless = |name: &&String| matches!(claimed.get(*name), Some(Some(domains)) if domains.is_empty());
                for name in raw.providers.iter().filter(homeless) {
                    let what = format!("by_email never leads to \"{name}\", which lists no email_domains");
                    let cure = format!("add identity_providers.{name}.email_domains, or choose list");
                    self.fault(&choose_place, what, cure);
                }
                Choose::ByEmail
            }
            Some(RawChoose::List) => Choose::List,
            Some(RawChoose::Single) => Choose::Single,
            None if raw.providers.len() > 1 => Choose::List,
            None => Choose::Single,
        };
        Some(SignInSettings { providers: all(providers)?, choose, in_page: raw.in_page.unwrap_or(false) })
    }
}
