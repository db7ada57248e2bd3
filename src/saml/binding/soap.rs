//! The SOAP binding (SAML Bindings 3.2): from server to server, in an envelope of SOAP 1.1.

use super::arrived::Proof;
use super::{Arrived, Direction};
use crate::saml::message::MessageRefused;
use crate::saml::names::SOAP_ENVELOPE;
use crate::saml::write::Element;
use crate::saml::xml::{Node, Xml, XmlLimits};

/// The media type of an envelope.
pub const CONTENT_TYPE: &str = "text/xml; charset=utf-8";

/// Reads an envelope with one request in its body.
///
/// # Errors
/// When it is something else, or has a header that has to be understood.
pub fn read(envelope: Vec<u8>) -> Result<Arrived, MessageRefused> {
    body(&Xml::parse(&envelope, XmlLimits::MESSAGE)?)?;
    Ok(Arrived::new(Direction::Request, envelope, None, Proof::InSoap))
}

/// An envelope around `message`, which is signed already.
pub fn envelope(message: Element) -> String {
    let body = Element::new("soap:Body").child(message);
    Element::new("soap:Envelope").attribute("xmlns:soap", SOAP_ENVELOPE).child(body).to_xml()
}

/// The one element in the body.
pub(super) fn body<'x, 'a>(xml: &'x Xml<'a>) -> Result<Node<'x, 'a>, MessageRefused> {
    let root = xml.root();
    let soap = |_| MessageRefused::Soap;
    if !root.is(SOAP_ENVELOPE, "Envelope") {
        return Err(MessageRefused::Soap);
    }
    if let Some(header) = root.maybe(SOAP_ENVELOPE, "Header").map_err(soap)? {
        let must = |(namespace, name, value): (Option<&str>, &str, &str)| {
            namespace == Some(SOAP_ENVELOPE) && name == "mustUnderstand" && value != "0"
        };
        if header.children().any(|entry| entry.attributes().any(must)) {
            return Err(MessageRefused::Soap);
        }
    }
    let body = root.one(SOAP_ENVELOPE, "Body").map_err(soap)?;
    let mut inside = body.children();
    match (inside.next(), inside.next()) {
        (Some(only), None) if !body.has_stray_content() => Ok(only),
        _ => Err(MessageRefused::Soap),
    }
}
