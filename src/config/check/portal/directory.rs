//! The directory: the service account, service desks, and who belongs to which organization.

use regex::{Regex, RegexBuilder};
use url::Url;

use crate::config::check::{Check, all};
use crate::config::raw::{RawDirectory, RawOnEmailChange, RawOnLeave, RawOrganizationRule, RawSiteToken};
use crate::config::tree::{Place, quote};
use crate::email::EmailDomain;
use crate::ids::ProviderName;
use crate::portal::settings::{
    DirectorySettings, EachOf, OnEmailChange, OnLeave, OrganizationName, OrganizationRule, Product, ServiceCredentials,
    ValueSource,
};

/// Bytes that a compiled pattern may take.
const PATTERN: usize = 1024 * 1024;

/// The host that scoped API tokens are good at (CLOUD-12617).
const API_HOST: &str = "https://api.atlassian.com";

impl Check<'_> {
    /// `providers` are those of the portal. `None` without an account, which is for the caller to miss.
    pub(super) fn directory(
        &mut self,
        place: &Place<'_>,
        raw: &RawDirectory,
        providers: &[String],
        product: Option<Product>,
    ) -> Option<DirectorySettings> {
        let api_url = self.api_url(place, raw, product);
        let credentials = raw.site_token.as_ref().and_then(|token| self.credentials(&place.key("site_token"), token));
        let desks_place = place.key("service_desks");
        let desks: Vec<_> = raw
            .service_desks
            .as_deref()
            .unwrap_or_default()
            .iter()
            .enumerate()
            .map(|(index, desk)| self.service_desk(&desks_place.index(index), desk))
            .collect();
        self.distinct(&desks_place, &desks);
        let rules_place = place.key("organizations");
        let rules: Vec<_> = raw
            .organizations
            .as_deref()
            .unwrap_or_default()
            .iter()
            .enumerate()
            .map(|(index, rule)| self.organization_rule(&rules_place.index(index), rule, providers))
            .collect();
        Some(DirectorySettings {
            api_url: api_url?,
            create_customers: raw.create_customers.unwrap_or(true),
            update_display_name: raw.update_display_name.unwrap_or(true),
            service_desks: all(desks)?,
            organizations: all(rules)?,
            on_leave: match raw.on_leave {
                None | Some(RawOnLeave::Keep) => OnLeave::Keep,
                Some(RawOnLeave::RemoveAddedOrganizations) => OnLeave::RemoveAddedOrganizations,
                Some(RawOnLeave::RevokePortalAccess) => OnLeave::RevokePortalAccess,
            },
            on_email_change: match raw.on_email_change {
                None | Some(RawOnEmailChange::Keep) => OnEmailChange::Keep,
                Some(RawOnEmailChange::Follow) => OnEmailChange::Follow,
                Some(RawOnEmailChange::Refuse) => OnEmailChange::Refuse,
            },
            credentials: credentials?,
        })
    }

    /// Where the REST of Cloud is, when it is not at the site.
    fn api_url(&mut self, place: &Place<'_>, raw: &RawDirectory, product: Option<Product>) -> Option<Option<Url>> {
        let (id_place, url_place) = (place.key("cloud_id"), place.key("api_url"));
        if product == Some(Product::DataCenter) {
            for (given, place) in [(raw.cloud_id.is_some(), &id_place), (raw.api_url.is_some(), &url_place)] {
                if given {
                    self.fault(place, "is of Cloud: Data Center is called at upstream", "remove it");
                }
            }
            return Some(None);
        }
        match (&raw.cloud_id, &raw.api_url) {
            (Some(_), Some(_)) => {
                self.fault(&url_place, "stands beside cloud_id, which makes the same", "remove one of them");
                None
            }
            (Some(id), None) => {
                let plain = id.len() == 36 && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
                let url = Url::parse(&format!("{API_HOST}/ex/jira/{id}")).ok().filter(|_| plain);
                if url.is_none() {
                    let cure = "the cloudId that https://SITE/_edge/tenant_info shows";
                    self.fault(&id_place, "is not the id of a site", cure);
                }
                url.map(Some)
            }
            (None, Some(url)) => self.site(&url_place, url).map(Some),
            (None, None) => {
                let bearer = raw.site_token.as_ref().is_some_and(|token| token.user.is_none());
                if product == Some(Product::Cloud) && bearer {
                    let what = "is missing: at the site, an API token goes with the e-mail address of its account";
                    self.fault(&place.key("site_token").key("user"), what, "add it");
                    return None;
                }
                Some(None)
            }
        }
    }

    fn organization_rule(
        &mut self,
        place: &Place<'_>,
        raw: &RawOrganizationRule,
        providers: &[String],
    ) -> Option<OrganizationRule> {
        let name_place = place.key("organization");
        let Some(source) = &raw.each_of else {
            for (given, key) in [(raw.matching.is_some(), "matching"), (raw.providers.is_some(), "providers")] {
                if given {
                    self.fault(&place.key(key), "means nothing without each_of", "remove it, or add each_of: groups");
                }
            }
            let name = self.organization_name(&name_place, &raw.organization);
            return match &raw.email_domain {
                None => Some(OrganizationRule::Everybody(name?)),
                Some(domain) => {
                    let domain = self.email_domain(&place.key("email_domain"), domain);
                    Some(OrganizationRule::OfDomain(domain?, name?))
                }
            };
        };
        if raw.email_domain.is_some() {
            self.fault(&place.key("email_domain"), "stands beside each_of", "write two rules");
        }
        let source = self.value_source(&place.key("each_of"), source);
        let matching = self.pattern(&place.key("matching"), raw.matching.as_deref().unwrap_or(".+"));
        let listed = place.key("providers");
        let named: Vec<_> = raw
            .providers
            .iter()
            .flatten()
            .enumerate()
            .map(|(index, name)| {
                let found = providers.contains(name).then(|| ProviderName::parse(name).ok()).flatten();
                if found.is_none() {
                    let what = format!("{} is no provider of this portal", quote(name));
                    self.fault(&listed.index(index), what, "name one of sign_in.providers");
                }
                found
            })
            .collect();
        self.distinct(&listed, &named);
        let matching = matching?;
        let organization = self.template(&name_place, &raw.organization, &matching)?;
        Some(OrganizationRule::EachOf(EachOf { providers: all(named)?, source: source?, matching, organization }))
    }

    fn organization_name(&mut self, place: &Place<'_>, text: &str) -> Option<OrganizationName> {
        match OrganizationName::parse(text) {
            Ok(name) => Some(name),
            Err(error) => {
                self.fault(place, error.to_string(), "");
                None
            }
        }
    }

    fn email_domain(&mut self, place: &Place<'_>, text: &str) -> Option<EmailDomain> {
        match EmailDomain::parse(text) {
            Ok(domain) => Some(domain),
            Err(error) => {
                self.fault(place, error.to_string(), "");
                None
            }
        }
    }

    fn value_source(&mut self, place: &Place<'_>, text: &str) -> Option<ValueSource> {
        match text.split_once('.') {
            None if text == "groups" => Some(ValueSource::Groups),
            Some(("claims", name)) if !name.is_empty() => Some(ValueSource::Claim(name.to_owned())),
            _ => {
                self.fault(place, format!("{} is not known here", quote(text)), "write groups, or claims.NAME");
                None
            }
        }
    }

    /// A pattern for whole values.
    fn pattern(&mut self, place: &Place<'_>, text: &str) -> Option<Regex> {
        // By itself first: what does not stand alone must not become sound by what is put around it.
        let compiled =
            Regex::new(text).and_then(|_| RegexBuilder::new(&format!("^(?:{text})$")).size_limit(PATTERN).build());
        match compiled {
            Ok(pattern) => Some(pattern),
            Err(regex::Error::CompiledTooBig(_)) => {
                self.fault(place, "is too large a pattern", "use fewer or smaller repetitions");
                None
            }
            Err(_) => {
                self.fault(place, "is not a regular expression", "such as org-(.+)");
                None
            }
        }
    }

    /// A name with `$1` in it, and nothing that the pattern does not have.
    fn template(&mut self, place: &Place<'_>, text: &str, matching: &Regex) -> Option<String> {
        if !text.contains('$') {
            return self.organization_name(place, text).map(|name| name.as_str().to_owned());
        }
        let text = self.text(place, text, 200)?;
        for reference in references(&text) {
            let known = match reference.parse::<usize>() {
                Ok(number) => number < matching.captures_len(),
                Err(_) => matching.capture_names().flatten().any(|name| name == reference),
            };
            if !known {
                let what = format!("{} is no group of the pattern", quote(&format!("${reference}")));
                self.fault(place, what, "put what it means into parentheses in matching; write \"$$\" for a \"$\"");
                return None;
            }
        }
        Some(text)
    }

    fn credentials(&mut self, place: &Place<'_>, raw: &RawSiteToken) -> Option<ServiceCredentials> {
        let user = match &raw.user {
            None => Some(None),
            Some(user) => self.user(&place.key("user"), user).map(Some),
        };
        // A Bearer token is a word (RFC 6750, section 2.1); a password may be anything on one line.
        let allowed = if raw.user.is_some() { |_| true } else { |c: char| c.is_ascii_graphic() };
        let token = self.secret(&place.key("token"), &raw.token, allowed)?;
        Some(match user? {
            Some(user) => ServiceCredentials::Basic { user, token },
            None => ServiceCredentials::Bearer(token),
        })
    }

    fn user(&mut self, place: &Place<'_>, user: &str) -> Option<String> {
        let user = self.text(place, user, 255)?;
        if user.contains(':') {
            // RFC 7617, section 2: the first colon ends the user name.
            self.fault(place, "holds a \":\", which Basic authentication cannot carry", "use a personal access token");
            return None;
        }
        Some(user)
    }

    fn service_desk(&mut self, place: &Place<'_>, desk: &str) -> Option<String> {
        let number = (1..=18).contains(&desk.len()) && desk.bytes().all(|b| b.is_ascii_digit());
        if !number {
            let cure = "the number in /rest/servicedeskapi/servicedesk, such as \"10\"";
            self.fault(place, "is not the number of a service desk", cure);
        }
        number.then(|| desk.to_owned())
    }
}

/// The groups that a template names, as the regular expressions' `expand` reads it.
fn references(template: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = template;
    while let Some((_, after)) = rest.split_once('$') {
        if let Some(literal) = after.strip_prefix('$') {
            rest = literal;
            continue;
        }
        if let Some((name, after)) = after.strip_prefix('{').and_then(|after| after.split_once('}')) {
            found.push(name.to_owned());
            rest = after;
            continue;
        }
        let name: String = after.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        rest = after.get(name.len()..).unwrap_or_default();
        found.push(name);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_they_are_expanded() {
        for (template, expected) in [
            ("$1", &["1"][..]),
            ("Team ${team} of $1x", &["team", "1x"]),
            ("$$1 and $0", &["0"]),
            ("100 $", &[""]),
            ("plain", &[]),
        ] {
            assert_eq!(references(template), expected, "{template}");
        }
    }
}
