//! What came out of decryption, as a document of its own.

use crate::saml::encryption::EncryptionRefused;
use crate::saml::xml::{Node, Xml, XmlLimits, escape};

/// Decrypted text inside an element of ours that repeats the namespaces in scope, for a fragment may lean on prefixes that
/// were declared around it. It has been parsed once, so it is strict XML.
#[derive(Debug)]
pub struct Opened(String);

impl Opened {
    /// Takes `plaintext`, which stands in `parent` in place of its EncryptedData (XML Encryption 1.1, 4.4). What the
    /// EncryptedData itself declared goes with it: some libraries give prefixes of the message another meaning there.
    pub(super) fn parse(parent: Node<'_, '_>, plaintext: Vec<u8>) -> Option<Self> {
        let text = String::from_utf8(plaintext).ok()?;
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text).trim();
        let fragment = match text.strip_prefix("<?xml ") {
            Some(declared) => declared.split_once("?>")?.1,
            None => text,
        };
        let mut wrapped = String::with_capacity(fragment.len().saturating_add(512));
        wrapped.push_str("<opened");
        for (prefix, uri) in parent.namespaces_in_scope() {
            match prefix {
                "xml" => {}
                "" => wrapped.push_str(&format!(" xmlns=\"{}\"", escape(uri))),
                _ => wrapped.push_str(&format!(" xmlns:{prefix}=\"{}\"", escape(uri))),
            }
        }
        wrapped.push('>');
        wrapped.push_str(fragment);
        wrapped.push_str("</opened>");
        Xml::parse(wrapped.as_bytes(), XmlLimits::MESSAGE).ok()?;
        Some(Self(wrapped))
    }

    /// The document around the decrypted element.
    ///
    /// # Errors
    /// Never in practice: it was parsed before.
    pub fn xml(&self) -> Result<Xml<'_>, EncryptionRefused> {
        Xml::parse(self.0.as_bytes(), XmlLimits::MESSAGE).map_err(|_| EncryptionRefused::Failed)
    }

    /// The one element in `xml`, when it is `local` of `namespace` and nothing else was encrypted.
    ///
    /// # Errors
    /// When it is something else.
    pub fn element<'x, 'a>(
        xml: &'x Xml<'a>,
        namespace: &'static str,
        local: &'static str,
    ) -> Result<Node<'x, 'a>, EncryptionRefused> {
        let mut children = xml.root().children();
        match (children.next(), children.next()) {
            (Some(only), None) if only.is(namespace, local) && !xml.root().has_stray_content() => Ok(only),
            _ => Err(EncryptionRefused::Failed),
        }
    }
}
