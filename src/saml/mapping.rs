//! From what a provider says to what Vestibule knows of a person: account, e-mail address, name, groups and claims.
//!
//! Attributes go by their `Name` alone. What the configuration does not map is looked for under the names that the usual
//! providers use ([`well_known`]). Values that could do harm in a header or a page (control characters, or too long) are
//! left out, never cut: half a value is another value.

pub mod well_known;

use std::collections::BTreeMap;

use crate::email::EmailAddress;
use crate::saml::names::NAMEID_EMAIL;
use crate::saml::response::{Attributes, VerifiedResponse};

/// The longest value that is taken, in octets.
const LONGEST: usize = 1024;
/// Values of one claim, and groups, at most.
const MOST_VALUES: usize = 1_000;

/// Which attribute means what. What is not set is looked for under its well-known names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// What names the account.
    pub subject: SubjectFrom,
    /// The attribute with the e-mail address.
    pub email: Option<String>,
    /// The attribute with the name to show.
    pub display_name: Option<String>,
    /// The attribute with the groups.
    pub groups: Option<String>,
    /// More claims: claim to attribute.
    pub claims: BTreeMap<String, String>,
}

/// What names the account of a person at its provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SubjectFrom {
    /// The NameID with its format and qualifiers.
    #[default]
    NameId,
    /// The one value of this attribute.
    Attribute(String),
}

/// What a response says about a person, in our terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// The account at its issuer.
    pub subject: String,
    /// The e-mail address, when there is a well-formed one.
    pub email: Option<EmailAddress>,
    /// The name to show.
    pub display_name: Option<String>,
    /// The groups.
    pub groups: Vec<String>,
    /// The configured claims that have a value.
    pub claims: BTreeMap<String, Vec<String>>,
}

/// A response that names no account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSubject {
    /// The NameID holds for one session only.
    #[error(
        "The NameID is transient: it names nobody for longer than a session. Let the identity provider send a persistent \
         NameID, or map the subject to an attribute."
    )]
    Transient,
    /// The attribute is not there.
    #[error("The attribute {0:?} that names the account is missing, or its value is not fit for that.")]
    Missing(String),
    /// The attribute has several values.
    #[error("The attribute {0:?} that names the account has more than one value.")]
    Ambiguous(String),
}

impl NoSubject {
    /// The label for logs and metrics, of a closed set.
    pub fn reason(&self) -> &'static str {
        "saml_subject"
    }
}

impl Mapping {
    /// Tells what `response` says about a person.
    ///
    /// # Errors
    /// When it names no account.
    pub fn apply(&self, response: &VerifiedResponse) -> Result<Mapped, NoSubject> {
        let attributes = &response.attributes;
        let claims = self.claims.iter().map(|(claim, name)| (claim.clone(), values(attributes, name)));
        Ok(Mapped {
            subject: self.subject(response)?,
            email: self.email(response),
            display_name: self.display_name(attributes),
            groups: self.groups(attributes),
            claims: claims.filter(|(_, values)| !values.is_empty()).collect(),
        })
    }

    /// The account key. One that comes from an attribute can never be one that comes from a NameID: no format begins so.
    fn subject(&self, response: &VerifiedResponse) -> Result<String, NoSubject> {
        let SubjectFrom::Attribute(name) = &self.subject else {
            let name_id = &response.name_id;
            return if name_id.is_transient() { Err(NoSubject::Transient) } else { Ok(name_id.account_key()) };
        };
        let mut found: Vec<&str> = response.attributes.values(name).collect();
        found.dedup();
        match found.as_slice() {
            [value] if is_fit(value) && !value.trim().is_empty() => {
                let part = |text: &str| text.replace('%', "%25").replace('|', "%7C");
                Ok(format!("attribute|{}|{}", part(name), part(value)))
            }
            [] | [_] => Err(NoSubject::Missing(name.clone())),
            _ => Err(NoSubject::Ambiguous(name.clone())),
        }
    }

    /// The first well-formed address: of the mapped attribute alone when one is mapped, else of the well-known ones, else
    /// the NameID when it says that it is one.
    pub fn email(&self, response: &VerifiedResponse) -> Option<EmailAddress> {
        let first =
            |name: &str| response.attributes.values(name).find_map(|value| EmailAddress::parse(value.trim()).ok());
        if let Some(name) = &self.email {
            return first(name);
        }
        let name_id = &response.name_id;
        let named = well_known::EMAIL.iter().find_map(|name| first(name));
        named.or_else(|| {
            let says_so = name_id.format.as_deref() == Some(NAMEID_EMAIL);
            says_so.then(|| EmailAddress::parse(&name_id.value).ok()).flatten()
        })
    }

    /// The groups: of the mapped attribute, else of the first well-known one that is there.
    pub fn groups(&self, attributes: &Attributes) -> Vec<String> {
        let well_known = || well_known::GROUPS.iter().copied().find(|name| attributes.contains(name));
        let name = self.groups.as_deref().or_else(well_known);
        name.map(|name| values(attributes, name)).unwrap_or_default()
    }

    /// The name to show: of the mapped attribute alone when one is mapped, else of the well-known ones, else made of given
    /// and family name.
    pub fn display_name(&self, attributes: &Attributes) -> Option<String> {
        let first = |name: &str| {
            let mut fit = attributes.values(name).map(str::trim).filter(|value| !value.is_empty() && is_fit(value));
            fit.next().map(str::to_owned)
        };
        if let Some(name) = &self.display_name {
            return first(name);
        }
        let any = |names: &[&str]| names.iter().find_map(|name| first(name));
        any(well_known::DISPLAY_NAME)
            .or_else(|| {
                let (given, family) = (any(well_known::GIVEN_NAME)?, any(well_known::FAMILY_NAME)?);
                Some(format!("{given} {family}"))
            })
            .or_else(|| any(well_known::COMMON_NAME))
    }
}

/// The values of one attribute that are fit to be passed on, each once.
fn values(attributes: &Attributes, name: &str) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    let fit = attributes.values(name).filter(|value| !value.is_empty() && is_fit(value));
    fit.filter(|value| seen.insert(*value)).take(MOST_VALUES).map(str::to_owned).collect()
}

/// Whether a value may go into a header, a page or a log: no control characters, and not too long.
fn is_fit(value: &str) -> bool {
    value.len() <= LONGEST && !value.chars().any(char::is_control)
}

#[cfg(test)]
mod tests;
