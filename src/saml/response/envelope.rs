//! The Response around the Assertion: version, status, destination, issuer and what it answers (SAML Core 3.2.2).

use super::expected::{Expected, InResponseTo};
use crate::clock::Timestamp;
use crate::saml::instant;
use crate::saml::names::{NAMEID_ENTITY, SAML, SAMLP, STATUS_SUCCESS};
use crate::saml::rejected::{Part, Quoted, SamlRejected};
use crate::saml::xml::Node;

/// Whether a signature covers the Response. Without one it can refuse a sign-in and never allow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Signed,
    Unsigned,
}

/// What is kept of it.
pub(super) struct Envelope {
    pub response_id: String,
}

/// Holds the Response against what is expected.
pub(super) fn check(
    response: Node<'_, '_>,
    standing: Standing,
    expected: &Expected<'_>,
) -> Result<Envelope, SamlRejected> {
    let response_id = head(response, Part::Response, expected)?;
    check_status(response)?;
    match response.attribute("Destination") {
        // Bindings 3.5.5.2: a signed message says for whom it is, or it could be taken elsewhere.
        None if standing == Standing::Signed => return Err(SamlRejected::NoDestination),
        None => {}
        Some(found) if found == expected.acs => {}
        Some(found) => {
            let (found, expected) = (Quoted::new(found), Quoted::new(expected.acs));
            return Err(SamlRejected::Destination { found, expected });
        }
    }
    if let Some(issuer) = response.maybe(SAML, "Issuer")? {
        check_issuer(issuer, Part::Response, expected)?;
    }
    check_answer(response, expected)?;
    Ok(Envelope { response_id })
}

/// Version, ID and age, which Response and Assertion share. Gives the ID.
pub(super) fn head(node: Node<'_, '_>, part: Part, expected: &Expected<'_>) -> Result<String, SamlRejected> {
    if node.attribute("Version") != Some("2.0") {
        return Err(SamlRejected::Version(part));
    }
    let id = node.attribute("ID").filter(|id| !id.is_empty()).ok_or(SamlRejected::NoId(part))?;
    let at = time(node, "IssueInstant")?.ok_or(SamlRejected::Time("IssueInstant"))?;
    if expected.is_written_in_future(at) {
        return Err(SamlRejected::Early { part, at });
    }
    if expected.now > at.after(expected.oldest_message).after(expected.skew) {
        return Err(SamlRejected::Stale { part, at });
    }
    Ok(id.to_owned())
}

/// The issuer is the provider that was asked, letter by letter (SAML Core 2.2.5, 8.3.6).
pub(super) fn check_issuer(issuer: Node<'_, '_>, part: Part, expected: &Expected<'_>) -> Result<(), SamlRejected> {
    let found = issuer.simple_text("Issuer")?;
    let entity = issuer.attribute("Format").is_none_or(|format| format == NAMEID_ENTITY);
    if found == expected.identity_provider && entity {
        return Ok(());
    }
    Err(SamlRejected::Issuer { part, found: Quoted::new(&found), expected: Quoted::new(expected.identity_provider) })
}

/// A time in an attribute; none when it is not there.
pub(super) fn time(node: Node<'_, '_>, name: &'static str) -> Result<Option<Timestamp>, SamlRejected> {
    node.attribute(name).map(|text| instant::parse(text).ok_or(SamlRejected::Time(name))).transpose()
}

/// Success at the top level, and nothing else (SAML Core 3.2.2.2).
pub(super) fn check_status(response: Node<'_, '_>) -> Result<(), SamlRejected> {
    let status = response.one(SAMLP, "Status")?;
    let code = status.one(SAMLP, "StatusCode")?;
    if code.attribute("Value") == Some(STATUS_SUCCESS) {
        return Ok(());
    }
    // The inner code says more, such as AuthnFailed below Responder.
    let inner = code.maybe(SAMLP, "StatusCode")?.and_then(|inner| inner.attribute("Value"));
    let code = inner.or(code.attribute("Value")).unwrap_or_default();
    let message = status.maybe(SAMLP, "StatusMessage")?.and_then(|node| node.simple_text("StatusMessage").ok());
    Err(SamlRejected::Status { code: Quoted::new(code), message: message.map(|text| Quoted::new(&text)) })
}

fn check_answer(response: Node<'_, '_>, expected: &Expected<'_>) -> Result<(), SamlRejected> {
    let part = Part::Response;
    match (expected.in_response_to, response.attribute("InResponseTo")) {
        (InResponseTo::Request(asked), Some(found)) if found == asked => Ok(()),
        (InResponseTo::Request(_), Some(found)) => {
            let expected = "another request is waiting";
            Err(SamlRejected::InResponseTo { part, found: Quoted::new(found), expected })
        }
        (InResponseTo::Request(_), None) => Err(SamlRejected::NoInResponseTo(part)),
        (InResponseTo::Unsolicited, None) => Ok(()),
        (InResponseTo::Unsolicited, Some(found)) => {
            let expected = "no request is waiting";
            Err(SamlRejected::InResponseTo { part, found: Quoted::new(found), expected })
        }
    }
}
