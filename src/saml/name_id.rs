//! Who an identity provider says somebody is (SAML Core 2.2.3).

use serde::{Deserialize, Serialize};

use crate::saml::names::{NAMEID_TRANSIENT, NAMEID_UNSPECIFIED, SAML};
use crate::saml::rejected::SamlRejected;
use crate::saml::write::Element;
use crate::saml::xml::Node;

/// The longest value, in characters: four times what the standard allows for persistent ones.
const LONGEST: usize = 1024;

/// A NameID, exactly as it was signed: white space is kept, for an account key must not be trimmed into another's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NameId {
    /// The identifier.
    pub value: String,
    /// What kind of identifier it is.
    pub format: Option<String>,
    /// The domain that qualifies it: of the provider.
    pub name_qualifier: Option<String>,
    /// The domain that qualifies it: of the service provider.
    pub sp_name_qualifier: Option<String>,
}

impl NameId {
    /// Reads a NameID element.
    ///
    /// # Errors
    /// When it is empty or only white space, too long, or holds markup or control characters.
    pub fn read(node: Node<'_, '_>) -> Result<Self, SamlRejected> {
        let value = node.simple_text("NameID")?;
        let attribute = |name| node.attribute(name).map(str::to_owned);
        let name_id = Self {
            value,
            format: attribute("Format"),
            name_qualifier: attribute("NameQualifier"),
            sp_name_qualifier: attribute("SPNameQualifier"),
        };
        let unfit = |part: &String| part.chars().count() > LONGEST || part.chars().any(char::is_control);
        let Self { value, format, name_qualifier, sp_name_qualifier } = &name_id;
        let qualifiers = [format, name_qualifier, sp_name_qualifier];
        if unfit(value) || qualifiers.into_iter().flatten().any(unfit) || name_id.value.trim().is_empty() {
            return Err(SamlRejected::NameId);
        }
        Ok(name_id)
    }

    /// The element, which can stand by itself.
    pub fn to_element(&self) -> Element {
        Element::new("saml:NameID")
            .attribute("xmlns:saml", SAML)
            .maybe("NameQualifier", self.name_qualifier.as_deref())
            .maybe("SPNameQualifier", self.sp_name_qualifier.as_deref())
            .maybe("Format", self.format.as_deref())
            .text(&self.value)
    }

    /// The account that it names at its issuer: one text of format, qualifiers and value that no other four share. An
    /// absent format is `unspecified` (SAML Core 2.2.2).
    pub fn account_key(&self) -> String {
        let part = |text: &str| text.replace('%', "%25").replace('|', "%7C");
        let optional = |text: &Option<String>| text.as_deref().map(part).unwrap_or_default();
        let format = part(self.format.as_deref().unwrap_or(NAMEID_UNSPECIFIED));
        let (name, sp) = (optional(&self.name_qualifier), optional(&self.sp_name_qualifier));
        format!("{format}|{name}|{sp}|{}", part(&self.value))
    }

    /// Whether it holds for one session only, so that it names no account.
    pub fn is_transient(&self) -> bool {
        self.format.as_deref() == Some(NAMEID_TRANSIENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::saml::xml::{Xml, XmlLimits};

    fn read(text: &str) -> Result<NameId, SamlRejected> {
        let xml = Xml::parse(text.as_bytes(), XmlLimits::MESSAGE).unwrap();
        NameId::read(xml.root())
    }

    #[test]
    fn a58_accounts_are_keyed_by_all_four_parts() {
        let keys = [
            "<n>a</n>",
            "<n Format='urn:x'>a</n>",
            "<n NameQualifier='q'>a</n>",
            "<n SPNameQualifier='q'>a</n>",
            "<n NameQualifier='q|'>a</n>",
            "<n NameQualifier='q' SPNameQualifier='|'>a</n>",
            "<n NameQualifier='%7C'>a</n>",
            "<n NameQualifier='|'>a</n>",
            "<n> a</n>",
            "<n>A</n>",
        ];
        let keys: std::collections::BTreeSet<_> = keys.iter().map(|text| read(text).unwrap().account_key()).collect();
        assert_eq!(keys.len(), 10);
        let unspecified = format!("<n Format='{NAMEID_UNSPECIFIED}'>a</n>");
        assert_eq!(read(&unspecified).unwrap().account_key(), read("<n>a</n>").unwrap().account_key());
    }

    #[test]
    fn a60_what_names_nobody_is_refused() {
        for text in ["<n/>", "<n> \t</n>", "<n>a&#9;b</n>", "<n>a&#13;&#10;b</n>", "<n NameQualifier='a&#10;'>a</n>"] {
            assert!(matches!(read(text), Err(SamlRejected::NameId)), "{text}");
        }
        assert!(read(&format!("<n>{}</n>", "a".repeat(10_240))).is_err());
        assert!(read(&format!("<n Format='{NAMEID_TRANSIENT}'>x</n>")).unwrap().is_transient());
    }
}
