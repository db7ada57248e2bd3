//! XML as strict as SAML needs it: parsed once, read by namespace and local name, attributes without a namespace only.
//!
//! The only place that parses XML. Refuses whatever two parsers could read in two ways.

use std::collections::BTreeMap;
use std::fmt;

use uppsala::{Document, NodeId, NodeKind, Parser};

/// How deep elements may lie in each other.
const DEPTH: u32 = 64;
/// Equal signs between two `<`. No well-formed tag holds a `<`, so this bounds the attributes of one tag, whose number the
/// parser and the canonicaliser pay for in its square.
const EQUAL_SIGNS_IN_A_TAG: usize = 256;

/// How much XML is read.
#[derive(Clone, Copy, Debug)]
pub struct XmlLimits {
    /// Octets of the document.
    pub octets: usize,
    /// Elements in it.
    pub elements: usize,
}

impl XmlLimits {
    /// For a protocol message: 256 KiB.
    pub const MESSAGE: Self = Self { octets: 256 * 1024, elements: 10_000 };
    /// For the metadata of one provider, or of a federation: 64 MiB. Only what an operator named is read with it.
    pub const METADATA: Self = Self { octets: 64 * 1024 * 1024, elements: 2_000_000 };
}

/// Octets that are not the strict XML that is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each says itself what it is")]
pub enum XmlRefused {
    #[error("the XML is larger than is read")]
    TooLarge,
    #[error("an element has more attributes than are read")]
    TooManyAttributes,
    #[error("the XML has more elements than are read")]
    TooManyElements,
    #[error("the XML is not UTF-8")]
    NotUtf8,
    #[error("the XML declaration names another version than 1.0 or another encoding than UTF-8")]
    Declaration,
    #[error("the XML has a document type declaration")]
    DocumentType,
    #[error("the XML is not well-formed, or its elements lie too deep")]
    NotWellFormed,
}

/// An element that is not what it has to be: one that is missing, twice there, or has markup where text belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each says itself what it is")]
pub enum ShapeRefused {
    #[error("there is no {0}")]
    Missing(&'static str),
    #[error("there is more than one {0}")]
    Repeated(&'static str),
    #[error("there is markup inside {0}")]
    MarkupInText(&'static str),
}

/// A strictly parsed document. It borrows the text that it was parsed from.
pub struct Xml<'a> {
    document: Document<'a>,
    text: &'a str,
    root: NodeId,
}

impl<'a> Xml<'a> {
    /// Reads a document.
    ///
    /// # Errors
    /// When it is larger than `limits`, not UTF-8, has a DTD, or is not well-formed.
    pub fn parse(octets: &'a [u8], limits: XmlLimits) -> Result<Self, XmlRefused> {
        if octets.len() > limits.octets {
            return Err(XmlRefused::TooLarge);
        }
        vet_tags(octets, limits)?;
        let text = std::str::from_utf8(octets).map_err(|_| XmlRefused::NotUtf8)?;
        if declares_another_xml(text) {
            return Err(XmlRefused::Declaration);
        }
        // Not even in a comment or a CDATA section: no message needs it, and a second parser may read it otherwise.
        if text.contains("<!DOCTYPE") || text.contains("<!ENTITY") {
            return Err(XmlRefused::DocumentType);
        }
        let parser = Parser::new().with_forbid_dtd(true).with_forbid_entities(true).with_max_depth(DEPTH);
        let document = parser.parse(text).map_err(|_| XmlRefused::NotWellFormed)?;
        let root = document.document_element().ok_or(XmlRefused::NotWellFormed)?;
        let xml = Self { document, text, root };
        if xml.elements().any(Node::abuses_prefixes) { Err(XmlRefused::NotWellFormed) } else { Ok(xml) }
    }

    /// The document element.
    pub fn root(&self) -> Node<'_, 'a> {
        self.node(self.root)
    }

    /// The tree, for canonicalisation and signatures.
    pub fn document(&self) -> &Document<'a> {
        &self.document
    }

    /// The text that was parsed.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The element with that id.
    pub fn node(&self, id: NodeId) -> Node<'_, 'a> {
        Node { xml: self, id }
    }

    /// Whether no two attributes that any library could take for an ID have one value: `ID`, `Id`, `id`, `xml:id` and SAML
    /// 1's `AssertionID` in whatever namespace.
    pub fn ids_are_unique(&self) -> bool {
        let mut seen = std::collections::HashSet::new();
        let ids = self.elements().flat_map(Node::attributes);
        let mut ids = ids.filter(|(_, name, _)| name.eq_ignore_ascii_case("id") || *name == "AssertionID");
        ids.all(|(_, _, value)| seen.insert(value))
    }

    /// All elements of the tree, in document order.
    pub fn elements(&self) -> impl Iterator<Item = Node<'_, 'a>> {
        let below = self.document.descendants(self.root);
        let root_is_listed = below.first() == Some(&self.root);
        let first = (!root_is_listed).then_some(self.root);
        first.into_iter().chain(below).filter(|&id| self.document.element(id).is_some()).map(|id| self.node(id))
    }
}

impl fmt::Debug for Xml<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Xml({} octets)", self.text.len())
    }
}

/// One element of a strictly parsed document.
#[derive(Clone, Copy)]
pub struct Node<'x, 'a> {
    xml: &'x Xml<'a>,
    id: NodeId,
}

impl<'x, 'a> Node<'x, 'a> {
    /// Its id in the tree.
    pub fn id(self) -> NodeId {
        self.id
    }

    /// The document that it is in.
    pub fn xml(self) -> &'x Xml<'a> {
        self.xml
    }

    /// Whether it is the element `local` of `namespace`.
    pub fn is(self, namespace: &str, local: &str) -> bool {
        self.xml.document.element(self.id).is_some_and(|element| element.matches_name_ns(namespace, local))
    }

    /// Its local name.
    pub fn local_name(self) -> &'x str {
        self.xml.document.element(self.id).map_or("", |element| &*element.name.local_name)
    }

    /// Its namespace.
    pub fn namespace(self) -> Option<&'x str> {
        self.xml.document.element(self.id)?.name.namespace_uri.as_deref()
    }

    /// The attribute of that name and no namespace.
    pub fn attribute(self, name: &str) -> Option<&'x str> {
        let element = self.xml.document.element(self.id)?;
        let plain = |name_of: &uppsala::QName<'_>| name_of.namespace_uri.is_none() && name_of.prefix.is_none();
        element.attributes.iter().find(|a| plain(&a.name) && *a.name.local_name == *name).map(|a| &*a.value)
    }

    /// All its attributes as (namespace, local name, value). Namespace declarations are none of them.
    pub fn attributes(self) -> impl Iterator<Item = (Option<&'x str>, &'x str, &'x str)> {
        let attributes = self.xml.document.element(self.id).map_or(&[][..], |element| &element.attributes);
        attributes.iter().map(|a| {
            // `xml:` is bound by definition, and some parsers do not say to what.
            let namespace = a.name.namespace_uri.as_deref().or(a.name.prefix.as_deref());
            (namespace, &*a.name.local_name, &*a.value)
        })
    }

    /// The namespace declarations in scope: prefix (empty for the default namespace) to URI.
    pub fn namespaces_in_scope(self) -> BTreeMap<&'x str, &'x str> {
        let mut in_scope = BTreeMap::new();
        let outwards = std::iter::once(self.id).chain(self.xml.document.ancestors(self.id));
        for element in outwards.filter_map(|id| self.xml.document.element(id)) {
            for (prefix, uri) in &element.namespace_declarations {
                in_scope.entry(&**prefix).or_insert(&**uri);
            }
        }
        in_scope
    }

    /// Whether anything but elements and white space lies directly in it.
    pub fn has_stray_content(self) -> bool {
        let white = |text: &str| text.chars().all(|c| matches!(c, ' ' | '\t' | '\r' | '\n'));
        self.xml.document.children(self.id).into_iter().any(|child| match self.xml.document.node_kind(child) {
            Some(NodeKind::Element(_)) => false,
            Some(NodeKind::Text(text)) => !white(text),
            _ => true,
        })
    }

    /// Whether it binds a prefix that has its meaning for ever, or unbinds one (Namespaces in XML 1.0, 3 and 5).
    fn abuses_prefixes(self) -> bool {
        const XML: &str = "http://www.w3.org/XML/1998/namespace";
        const XMLNS: &str = "http://www.w3.org/2000/xmlns/";
        let declarations =
            self.xml.document.element(self.id).map_or(&[][..], |element| &element.namespace_declarations);
        declarations.iter().any(|(prefix, uri)| match (&**prefix, &**uri) {
            ("xmlns", _) | (_, XMLNS) => true,
            ("xml", uri) => uri != XML,
            (prefix, uri) => uri == XML || (uri.is_empty() && !prefix.is_empty()),
        })
    }

    /// The element that it lies in.
    pub fn parent(self) -> Option<Self> {
        let parent = self.xml.document.parent(self.id)?;
        self.xml.document.element(parent).map(|_| self.xml.node(parent))
    }

    /// The elements that lie directly in it.
    pub fn children(self) -> impl Iterator<Item = Self> {
        let children = self.xml.document.children(self.id).into_iter();
        children.filter(move |&id| self.xml.document.element(id).is_some()).map(move |id| self.xml.node(id))
    }

    /// Those of its children that are `local` of `namespace`.
    pub fn all(self, namespace: &'static str, local: &'static str) -> impl Iterator<Item = Self> {
        self.children().filter(move |child| child.is(namespace, local))
    }

    /// Its one child of that name, when there is any.
    ///
    /// # Errors
    /// When there are several.
    pub fn maybe(self, namespace: &'static str, local: &'static str) -> Result<Option<Self>, ShapeRefused> {
        let mut all = self.all(namespace, local);
        match (all.next(), all.next()) {
            (_, Some(_)) => Err(ShapeRefused::Repeated(local)),
            (child, None) => Ok(child),
        }
    }

    /// Its one child of that name.
    ///
    /// # Errors
    /// When there is none, or several.
    pub fn one(self, namespace: &'static str, local: &'static str) -> Result<Self, ShapeRefused> {
        self.maybe(namespace, local)?.ok_or(ShapeRefused::Missing(local))
    }

    /// The text of an element that holds nothing but text. White space is kept. A comment, a processing instruction or an
    /// element inside is refused: a reader that takes the first text node would read another value (VU#475445). `what`
    /// names the element in the error.
    ///
    /// # Errors
    /// When there is anything but text.
    pub fn simple_text(self, what: &'static str) -> Result<String, ShapeRefused> {
        let mut value = String::new();
        for child in self.xml.document.children(self.id) {
            match self.xml.document.node_kind(child) {
                Some(NodeKind::Text(text) | NodeKind::CData(text)) => value.push_str(text),
                _ => return Err(ShapeRefused::MarkupInText(what)),
            }
        }
        Ok(value)
    }
}

impl fmt::Debug for Node<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.local_name())
    }
}

/// Escapes text for an element's content or a quoted attribute value. Characters that XML 1.0 cannot carry are left out,
/// and line ends survive a parser's normalisation.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' => escaped.push_str("&#9;"),
            '\n' => escaped.push_str("&#10;"),
            '\r' => escaped.push_str("&#13;"),
            '\u{0}'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}' => {}
            other => escaped.push(other),
        }
    }
    escaped
}

/// Bounds the tags and their attributes before any parser sees them.
fn vet_tags(octets: &[u8], limits: XmlLimits) -> Result<(), XmlRefused> {
    let (mut tags, mut equal_signs) = (0_usize, 0_usize);
    for &octet in octets {
        match octet {
            b'<' => {
                (tags, equal_signs) = (tags.saturating_add(1), 0);
                if tags > limits.elements.saturating_mul(2) {
                    return Err(XmlRefused::TooManyElements);
                }
            }
            b'=' => {
                equal_signs = equal_signs.saturating_add(1);
                if equal_signs > EQUAL_SIGNS_IN_A_TAG {
                    return Err(XmlRefused::TooManyAttributes);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether an XML declaration is there and says anything but XML 1.0 in UTF-8.
fn declares_another_xml(text: &str) -> bool {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let Some((declaration, _)) = text.strip_prefix("<?xml").and_then(|rest| rest.split_once("?>")) else {
        return false;
    };
    let says = |name: &str| {
        let (_, value) = declaration.split_once(name)?;
        let value = value.trim_start().strip_prefix('=')?.trim_start().trim_start_matches(['"', '\'']);
        value.split(['"', '\'']).next()
    };
    let utf_8 = |name: &str| ["utf-8", "utf8", "us-ascii"].iter().any(|known| name.eq_ignore_ascii_case(known));
    says("version") != Some("1.0") || says("encoding").is_some_and(|name| !utf_8(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Xml<'_>, XmlRefused> {
        Xml::parse(text.as_bytes(), XmlLimits::MESSAGE)
    }

    #[test]
    fn elements_and_attributes_are_read_by_their_namespace() {
        let xml =
            parse(r#"<a:x xmlns:a="urn:a" xmlns:b="urn:b" b:ID="evil" ID="good"><b:y/><a:y>1</a:y></a:x>"#).unwrap();
        let root = xml.root();
        assert!(root.is("urn:a", "x") && !root.is("urn:b", "x"));
        assert_eq!(root.attribute("ID"), Some("good"));
        assert_eq!(root.one("urn:a", "y").unwrap().simple_text("y").unwrap(), "1");
        assert_eq!(root.one("urn:c", "y").unwrap_err(), ShapeRefused::Missing("y"));
        assert_eq!(xml.elements().map(Node::local_name).collect::<Vec<_>>(), ["x", "y", "y"]);
        assert_eq!(root.children().next().unwrap().parent().unwrap().id(), root.id());
        assert!(root.parent().is_none());
    }

    #[test]
    fn a20_an_attribute_of_a_foreign_namespace_is_not_taken() {
        let xml = parse(r#"<x xmlns:e="urn:e" e:ID="evil"/>"#).unwrap();
        assert_eq!(xml.root().attribute("ID"), None);
    }

    #[test]
    fn a20_prefixes_keep_their_meaning() {
        for declaration in [
            "xmlns:xml='urn:x'",
            "xmlns:xmlns='urn:x'",
            "xmlns:xmlns='http://www.w3.org/2000/xmlns/'",
            "xmlns:y=''",
            "xmlns:y='http://www.w3.org/XML/1998/namespace'",
            "xmlns='http://www.w3.org/2000/xmlns/'",
        ] {
            let text = format!("<a><b {declaration}/></a>");
            assert_eq!(parse(&text).err(), Some(XmlRefused::NotWellFormed), "{declaration}");
        }
        for declaration in ["xmlns:xml='http://www.w3.org/XML/1998/namespace'", "xmlns=''", "xmlns:y='urn:y'"] {
            assert!(parse(&format!("<a><b {declaration}/></a>")).is_ok(), "{declaration}");
        }
    }

    #[test]
    fn a23_markup_in_a_simple_value_is_refused() {
        for inside in ["a<!--x-->b", "a<?x?>b", "a<b/>c"] {
            let text = format!("<x>{inside}</x>");
            let xml = parse(&text).unwrap();
            assert_eq!(xml.root().simple_text("x"), Err(ShapeRefused::MarkupInText("x")), "{inside}");
        }
        assert_eq!(parse("<x>a&amp;<![CDATA[b]]></x>").unwrap().root().simple_text("x").unwrap(), "a&b");
    }

    #[test]
    fn l8_a17_a28_what_parsers_disagree_on_is_refused() {
        for text in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a/>text",
            "<a x='1' x='2'/>",
            "<p:a/>",
            "<a>&undeclared;</a>",
            "<a>\u{0}</a>",
            "<a>&#0;</a>",
            "<a>]]></a>",
            "<a b=c/>",
            "<a>< b/></a>",
        ] {
            assert_eq!(parse(text).err(), Some(XmlRefused::NotWellFormed), "{text}");
        }
        for encoding in ["UTF-16", "UTF-7", "ISO-8859-1"] {
            let text = format!("<?xml version=\"1.0\" encoding=\"{encoding}\"?><a/>");
            assert_eq!(parse(&text).err(), Some(XmlRefused::Declaration), "{encoding}");
        }
        assert_eq!(parse("<?xml version='1.1'?><a/>").err(), Some(XmlRefused::Declaration));
        assert_eq!(Xml::parse(b"<a>\xff</a>", XmlLimits::MESSAGE).err(), Some(XmlRefused::NotUtf8));
        assert!(parse("\u{FEFF}<?xml version=\"1.0\" encoding=\"utf-8\" standalone=\"yes\"?><a/>").is_ok());
    }

    #[test]
    fn l9_l10_l11_a36_a_document_type_is_refused() {
        for text in [
            "<!DOCTYPE a><a/>",
            "<!DOCTYPE a SYSTEM \"http://127.0.0.1/x\"><a/>",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
            "<!DOCTYPE a [<!ATTLIST a foo ID #IMPLIED>]><a foo=\"x\"/>",
        ] {
            assert_eq!(parse(text).err(), Some(XmlRefused::DocumentType), "{text}");
        }
        assert!(parse("<!doctype a><a/>").is_err());
    }

    #[test]
    fn a35_huge_documents_are_refused_before_they_cost_anything() {
        let many_attributes = format!("<a {}/>", (0..300).map(|number| format!("a{number}='1' ")).collect::<String>());
        assert_eq!(parse(&many_attributes).err(), Some(XmlRefused::TooManyAttributes));
        let deep = "<a>".repeat(5_000) + &"</a>".repeat(5_000);
        assert_eq!(parse(&deep).err(), Some(XmlRefused::NotWellFormed));
        assert_eq!(parse(&format!("<a>{}</a>", "<b/>".repeat(30_000))).err(), Some(XmlRefused::TooManyElements));
        assert_eq!(parse(&"x".repeat(300_000)).err(), Some(XmlRefused::TooLarge));
    }

    #[test]
    fn what_is_escaped_is_read_as_it_was() {
        let odd = "a<b>&\"'\r\n\t]]>é\u{1F600}";
        let text = format!("<x a=\"{}\">{}</x>", escape(odd), escape(odd));
        let xml = parse(&text).unwrap();
        assert_eq!(xml.root().attribute("a"), Some(odd));
        assert_eq!(xml.root().simple_text("x").unwrap(), odd);
    }
}
