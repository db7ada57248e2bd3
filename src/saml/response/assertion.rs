//! The Assertion (SAML Core 2.3.3). The node given here is one that a signature covers.

use super::envelope::{self, Envelope};
use super::{Attributes, Expected, InResponseTo, Signed, VerifiedResponse, conditions, statement, subject};
use crate::saml::encryption::Decryptor;
use crate::saml::names::SAML;
use crate::saml::rejected::{Part, SamlRejected};
use crate::saml::xml::Node;

/// Holds the Assertion against what is expected, and takes from it what is believed.
pub(super) fn check(
    assertion: Node<'_, '_>,
    envelope: Envelope,
    signed: Signed,
    encrypted: bool,
    decryptor: &Decryptor<'_>,
    expected: &Expected<'_>,
) -> Result<VerifiedResponse, SamlRejected> {
    let assertion_id = envelope::head(assertion, Part::Assertion, expected)?;
    envelope::check_issuer(assertion.one(SAML, "Issuer")?, Part::Assertion, expected)?;
    let conditions = conditions::check(assertion, expected)?;
    let subject = subject::check(assertion.one(SAML, "Subject")?, decryptor, expected)?;
    let statement = statement::check(assertion, expected)?;
    let attributes = Attributes::read(assertion)?;
    let end = conditions.ends.map_or(subject.ends, |ends| ends.min(subject.ends));
    let in_response_to = match expected.in_response_to {
        InResponseTo::Request(id) => Some(id.to_owned()),
        InResponseTo::Unsolicited => None,
    };
    Ok(VerifiedResponse {
        issuer: expected.identity_provider.to_owned(),
        response_id: envelope.response_id,
        assertion_id,
        in_response_to,
        name_id: subject.name_id,
        session_indexes: statement.session_indexes,
        authn_instant: statement.authn_instant,
        authn_context: statement.authn_context,
        session_not_on_or_after: statement.session_not_on_or_after,
        not_on_or_after: end.after(expected.skew),
        attributes,
        one_time_use: conditions.one_time_use,
        proxy_count: conditions.proxy_count,
        proxy_restricted: conditions.proxy_restricted,
        signed,
        encrypted,
    })
}
