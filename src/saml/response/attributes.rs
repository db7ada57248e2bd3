//! What else a provider says about somebody (SAML Core 2.7.3). Attributes go by `Name`; a `FriendlyName` is for people and
//! decides nothing.

use crate::saml::names::{SAML, XSI};
use crate::saml::rejected::SamlRejected;
use crate::saml::xml::Node;

/// Attributes and values of one assertion, at most.
const MOST: usize = 5_000;

/// One attribute, with its values in the order in which they stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// What it is called: the only thing it is looked up by.
    pub name: String,
    /// What kind of name that is.
    pub name_format: Option<String>,
    /// What people call it.
    pub friendly_name: Option<String>,
    /// Its values. White space is kept.
    pub values: Vec<String>,
}

/// All attributes of an assertion, in the order in which they stood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes(Vec<Attribute>);

impl Attributes {
    /// Attributes from elsewhere than an assertion, as tests and tools need them.
    pub fn new(attributes: Vec<Attribute>) -> Self {
        Self(attributes)
    }

    /// Reads all attribute statements of an assertion that is believed.
    pub(super) fn read(assertion: Node<'_, '_>) -> Result<Self, SamlRejected> {
        let mut attributes = Vec::new();
        let mut count = 0_usize;
        for statement in assertion.all(SAML, "AttributeStatement") {
            if statement.all(SAML, "EncryptedAttribute").next().is_some() {
                return Err(SamlRejected::EncryptedAttribute);
            }
            for node in statement.all(SAML, "Attribute") {
                let values = node.all(SAML, "AttributeValue").filter_map(|value| value_of(value).transpose());
                let values = values.collect::<Result<Vec<_>, _>>()?;
                count = count.saturating_add(1).saturating_add(values.len());
                if count > MOST {
                    return Err(SamlRejected::TooManyAttributes(MOST));
                }
                let attribute = |name| node.attribute(name).map(str::to_owned);
                attributes.push(Attribute {
                    name: attribute("Name").unwrap_or_default(),
                    name_format: attribute("NameFormat"),
                    friendly_name: attribute("FriendlyName"),
                    values,
                });
            }
        }
        Ok(Self(attributes))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Attribute> {
        self.0.iter()
    }

    /// Whether any has that name.
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|attribute| attribute.name == name)
    }

    /// The values of all attributes of that name, as if they were one.
    pub fn values<'s>(&'s self, name: &str) -> impl Iterator<Item = &'s str> {
        let named = self.0.iter().filter(move |attribute| attribute.name == name);
        named.flat_map(|attribute| attribute.values.iter().map(String::as_str))
    }
}

/// The text of a value. One that holds a NameID (eduPersonTargetedID) is read as its text; one that is `xsi:nil` is none.
fn value_of(value: Node<'_, '_>) -> Result<Option<String>, SamlRejected> {
    let nil = |(namespace, name, value): (Option<&str>, &str, &str)| {
        namespace == Some(XSI) && name == "nil" && matches!(value, "true" | "1")
    };
    if value.attributes().any(nil) {
        return Ok(None);
    }
    if !value.has_stray_content()
        && let Some(name_id) = value.maybe(SAML, "NameID")?
        && value.children().count() == 1
    {
        return Ok(Some(name_id.simple_text("NameID")?));
    }
    Ok(Some(value.simple_text("AttributeValue")?))
}
