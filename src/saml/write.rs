//! XML that we write: elements whose text and attributes are escaped, so that nothing is ever put together by hand.

use super::xml::escape;

/// An element with its attributes and content. Names are ours; values may be anybody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    content: Vec<Content>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    Text(String),
    Element(Element),
}

impl Element {
    /// An empty element. `name` carries its prefix.
    pub fn new(name: &'static str) -> Self {
        Self { name, attributes: Vec::new(), content: Vec::new() }
    }

    /// With an attribute more, or another value for one that is there.
    pub fn attribute(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.attributes.retain(|(known, _)| *known != name);
        self.attributes.push((name, value.into()));
        self
    }

    /// With an attribute more, when there is a value for it.
    pub fn maybe(self, name: &'static str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.attribute(name, value),
            None => self,
        }
    }

    /// With text after what it holds.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.content.push(Content::Text(text.into()));
        self
    }

    /// With an element after what it holds.
    pub fn child(mut self, child: Self) -> Self {
        self.content.push(Content::Element(child));
        self
    }

    /// With elements after what it holds.
    pub fn children(self, children: impl IntoIterator<Item = Self>) -> Self {
        children.into_iter().fold(self, Self::child)
    }

    /// The value of an attribute.
    pub fn attribute_value(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// With `signature` where the schemas of SAML want it: after the Issuer, or else before everything.
    pub(super) fn with_signature(mut self, signature: Self) -> Self {
        let issuer = |content: &Content| matches!(content, Content::Element(child) if child.name == "saml:Issuer");
        let at = self.content.iter().position(issuer).map_or(0, |at| at.saturating_add(1));
        self.content.insert(at, Content::Element(signature));
        self
    }

    /// The element as XML, without a declaration.
    pub fn to_xml(&self) -> String {
        let mut xml = String::new();
        self.write(&mut xml);
        xml
    }

    fn write(&self, xml: &mut String) {
        xml.push('<');
        xml.push_str(self.name);
        for (name, value) in &self.attributes {
            xml.push(' ');
            xml.push_str(name);
            xml.push_str("=\"");
            xml.push_str(&escape(value));
            xml.push('"');
        }
        if self.content.is_empty() {
            xml.push_str("/>");
            return;
        }
        xml.push('>');
        for content in &self.content {
            match content {
                Content::Text(text) => xml.push_str(&escape(text)),
                Content::Element(child) => child.write(xml),
            }
        }
        xml.push_str("</");
        xml.push_str(self.name);
        xml.push('>');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::saml::xml::{Xml, XmlLimits};

    #[test]
    fn whatever_is_written_is_read_as_it_was() {
        let evil = "\"><saml:NameID>admin</saml:NameID><!-- & ' \n";
        let element =
            Element::new("a").attribute("b", evil).child(Element::new("c").text(evil)).child(Element::new("d"));
        let text = element.to_xml();
        let xml = Xml::parse(text.as_bytes(), XmlLimits::MESSAGE).unwrap();
        assert_eq!(xml.elements().count(), 3);
        assert_eq!(xml.root().attribute("b"), Some(evil));
        assert_eq!(xml.root().children().next().unwrap().simple_text("c").unwrap(), evil);
    }

    #[test]
    fn the_signature_stands_after_the_issuer() {
        let with_issuer = Element::new("a").child(Element::new("saml:Issuer")).child(Element::new("b"));
        assert_eq!(with_issuer.with_signature(Element::new("s")).to_xml(), "<a><saml:Issuer/><s/><b/></a>");
        let without = Element::new("a").child(Element::new("b"));
        assert_eq!(without.with_signature(Element::new("s")).to_xml(), "<a><s/><b/></a>");
    }
}
