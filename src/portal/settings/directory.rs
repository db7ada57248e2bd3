//! Settings of the directory: who becomes which customer, and where they belong.

use std::fmt;

use regex::Regex;
use url::Url;

use super::ServiceCredentials;
use crate::email::EmailDomain;
use crate::ids::ProviderName;

/// Most characters of an organization's name.
const LONGEST_NAME: usize = 200;

/// Customers of one portal at its upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct DirectorySettings {
    /// On whose behalf accounts are found and made.
    pub credentials: ServiceCredentials,
    /// Where the REST calls of Cloud go in place of the site, below which scoped API tokens are good; no slash at the end.
    pub api_url: Option<Url>,
    /// Whether a customer who does not exist yet is created.
    pub create_customers: bool,
    /// Whether the name that the identity provider tells replaces the one at the upstream.
    pub update_display_name: bool,
    /// Service desks that every customer is added to.
    pub service_desks: Vec<String>,
    /// Who belongs to which organizations.
    pub organizations: Vec<OrganizationRule>,
    /// What becomes of a customer whose admission has ended.
    pub on_leave: OnLeave,
    /// What becomes of a customer whose identity comes with another e-mail address than before.
    pub on_email_change: OnEmailChange,
}

/// What becomes of a customer whose admission has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLeave {
    /// Nothing.
    #[default]
    Keep,
    /// They leave the organizations that the gateway has added them to.
    RemoveAddedOrganizations,
    /// They leave these and the service desks, and lose their access to the portal.
    RevokePortalAccess,
}

/// What becomes of a customer whose identity comes with another e-mail address than before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnEmailChange {
    /// They keep their account, with the address that it has.
    #[default]
    Keep,
    /// The account gets the new address; where the upstream cannot do that, they move to the new address's account.
    Follow,
    /// They are not let in.
    Refuse,
}

/// Who belongs to an organization.
#[derive(Clone, Debug, PartialEq)]
pub enum OrganizationRule {
    /// Every customer of the portal.
    Everybody(OrganizationName),
    /// Whose e-mail address is at exactly this domain.
    OfDomain(EmailDomain, OrganizationName),
    /// Whom a claim or a group says so of.
    EachOf(EachOf),
}

/// One organization for each value that matches.
#[derive(Clone, Debug)]
pub struct EachOf {
    /// Whose values count; empty for every provider of the portal.
    pub providers: Vec<ProviderName>,
    /// Which values.
    pub source: ValueSource,
    /// What a whole value has to look like.
    pub matching: Regex,
    /// The organization's name, with `$1` or `$name` for what a group of the pattern matched.
    pub organization: String,
}

/// A pattern is what it is written as.
impl PartialEq for EachOf {
    fn eq(&self, other: &Self) -> bool {
        let Self { providers, source, matching, organization } = self;
        *providers == other.providers
            && *source == other.source
            && matching.as_str() == other.matching.as_str()
            && *organization == other.organization
    }
}

/// Where values come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueSource {
    /// The person's groups.
    Groups,
    /// One claim.
    Claim(String),
}

/// An organization's name: 1 to 200 characters on one line.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrganizationName(String);

/// The text is no name for an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an organization's name has 1 to 200 characters on one line")]
pub struct InvalidOrganizationName;

impl OrganizationName {
    /// Reads a name; spaces around it do not count.
    ///
    /// # Errors
    /// When it is empty, too long, or holds control characters.
    pub fn parse(raw: &str) -> Result<Self, InvalidOrganizationName> {
        let name = raw.trim();
        let plain = !name.is_empty() && !name.chars().any(char::is_control);
        (plain && name.chars().count() <= LONGEST_NAME).then(|| Self(name.to_owned())).ok_or(InvalidOrganizationName)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OrganizationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for OrganizationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_on_one_line() {
        assert_eq!(OrganizationName::parse(" Globex Ltd ").unwrap().as_str(), "Globex Ltd");
        for wrong in ["", "  ", "a\nb", "a\0", &"a".repeat(201)] {
            assert!(OrganizationName::parse(wrong).is_err(), "{wrong:?}");
        }
        assert!(OrganizationName::parse(&"ä".repeat(200)).is_ok());
    }
}
