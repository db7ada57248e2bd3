//! The subject and how it is confirmed (SAML Core 2.4, SAML Profiles 4.1.4.2).
//!
//! `Address` is not compared: people stand behind proxies and move between networks during one sign-in.

use super::expected::{Expected, InResponseTo};
use crate::clock::Timestamp;
use crate::saml::encryption::{Decryptor, Opened};
use crate::saml::instant;
use crate::saml::name_id::NameId;
use crate::saml::names::{BEARER, SAML};
use crate::saml::rejected::{ConfirmationRefused, Quoted, SamlRejected};
use crate::saml::xml::Node;

/// Who, and until when that may be claimed.
pub(super) struct Subject {
    pub name_id: NameId,
    /// The latest end of a confirmation that holds, without skew.
    pub ends: Timestamp,
}

/// Reads the subject; at least one bearer confirmation holds for us, wholly.
pub(super) fn check(
    subject: Node<'_, '_>,
    decryptor: &Decryptor<'_>,
    expected: &Expected<'_>,
) -> Result<Subject, SamlRejected> {
    let mut ends = None;
    let mut refused = None;
    for confirmation in subject.all(SAML, "SubjectConfirmation") {
        if confirmation.attribute("Method") != Some(BEARER) {
            continue;
        }
        match confirm(confirmation, expected) {
            Ok(end) => ends = ends.max(Some(end)),
            Err(why) => refused = refused.or(Some(why)),
        }
    }
    let Some(ends) = ends else {
        return Err(SamlRejected::Confirmation(refused.unwrap_or(ConfirmationRefused::NoBearer)));
    };
    Ok(Subject { name_id: name_id(subject, decryptor)?, ends })
}

/// The NameID, in the clear or encrypted; exactly one of both.
fn name_id(subject: Node<'_, '_>, decryptor: &Decryptor<'_>) -> Result<NameId, SamlRejected> {
    match (subject.maybe(SAML, "NameID")?, subject.maybe(SAML, "EncryptedID")?) {
        (Some(clear), None) => NameId::read(clear),
        (None, Some(encrypted)) => {
            let opened = decryptor.open(encrypted)?;
            let xml = opened.xml()?;
            NameId::read(Opened::element(&xml, SAML, "NameID")?)
        }
        _ => Err(SamlRejected::NoNameId),
    }
}

/// One bearer confirmation: to us, not over, for what we asked. Gives its end.
fn confirm(confirmation: Node<'_, '_>, expected: &Expected<'_>) -> Result<Timestamp, ConfirmationRefused> {
    let data = confirmation.maybe(SAML, "SubjectConfirmationData").ok().flatten().ok_or(ConfirmationRefused::NoData)?;
    let recipient = data.attribute("Recipient").ok_or(ConfirmationRefused::NoRecipient)?;
    if recipient != expected.acs {
        let (found, expected) = (Quoted::new(recipient), Quoted::new(expected.acs));
        return Err(ConfirmationRefused::Recipient { found, expected });
    }
    if data.attribute("NotBefore").is_some() {
        return Err(ConfirmationRefused::NotBefore);
    }
    let end = data.attribute("NotOnOrAfter").and_then(instant::parse).ok_or(ConfirmationRefused::NoEnd)?;
    if expected.has_ended(end) {
        return Err(ConfirmationRefused::Expired(end));
    }
    match (expected.in_response_to, data.attribute("InResponseTo")) {
        (InResponseTo::Request(asked), Some(found)) if asked == found => Ok(end),
        (InResponseTo::Unsolicited, None) => Ok(end),
        (InResponseTo::Request(_), None) => Err(ConfirmationRefused::NoInResponseTo),
        (_, Some(found)) => Err(ConfirmationRefused::InResponseTo(Quoted::new(found))),
    }
}
