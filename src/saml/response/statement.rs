//! That somebody signed in, when and how (SAML Core 2.7.2).

use super::envelope::time;
use super::expected::Expected;
use crate::clock::Timestamp;
use crate::saml::names::SAML;
use crate::saml::rejected::{Quoted, SamlRejected};
use crate::saml::xml::Node;

/// What is kept of it.
pub(super) struct Statement {
    pub session_indexes: Vec<String>,
    pub authn_instant: Timestamp,
    pub authn_context: Option<String>,
    pub session_not_on_or_after: Option<Timestamp>,
}

/// Holds every AuthnStatement against what was asked for; there is at least one. The first is kept, with the sessions and the
/// earliest end of all.
pub(super) fn check(assertion: Node<'_, '_>, expected: &Expected<'_>) -> Result<Statement, SamlRejected> {
    let mut kept: Option<Statement> = None;
    for node in assertion.all(SAML, "AuthnStatement") {
        let statement = read(node, expected)?;
        kept = Some(match kept {
            None => statement,
            Some(mut first) => {
                let ends = [first.session_not_on_or_after, statement.session_not_on_or_after];
                first.session_indexes.extend(statement.session_indexes);
                Statement { session_not_on_or_after: ends.into_iter().flatten().min(), ..first }
            }
        });
    }
    kept.ok_or(SamlRejected::NoAuthnStatement)
}

fn read(node: Node<'_, '_>, expected: &Expected<'_>) -> Result<Statement, SamlRejected> {
    let authn_instant = time(node, "AuthnInstant")?.ok_or(SamlRejected::Time("AuthnInstant"))?;
    if expected.is_written_in_future(authn_instant) {
        return Err(SamlRejected::NotYetValid(authn_instant));
    }
    let requested = &expected.requested;
    // A clock that is behind ours dates the sign-in before our request: the skew is the provider's.
    let forced = requested.force_authn_after.is_some_and(|after| authn_instant.after(expected.skew) < after);
    let old = |max_age| expected.now > authn_instant.after(max_age).after(expected.skew);
    if forced || requested.max_age.is_some_and(old) {
        return Err(SamlRejected::StaleAuthentication(authn_instant));
    }
    let session_not_on_or_after = time(node, "SessionNotOnOrAfter")?;
    if let Some(end) = session_not_on_or_after.filter(|&end| expected.has_ended(end)) {
        return Err(SamlRejected::SessionOver(end));
    }
    let authn_context = match node.maybe(SAML, "AuthnContext")? {
        Some(context) => context.maybe(SAML, "AuthnContextClassRef")?,
        None => None,
    };
    let authn_context = authn_context.map(|class| class.simple_text("AuthnContextClassRef")).transpose()?;
    let wanted = &requested.authn_contexts;
    if !wanted.is_empty() && !authn_context.as_ref().is_some_and(|class| wanted.contains(class)) {
        return Err(SamlRejected::AuthnContext(Quoted::new(authn_context.as_deref().unwrap_or_default())));
    }
    let session_indexes = node.attribute("SessionIndex").map(str::to_owned).into_iter().collect();
    Ok(Statement { session_indexes, authn_instant, authn_context, session_not_on_or_after })
}
