//! Conditions (SAML Core 2.5): when, and for whom. One that nobody here understands refuses the assertion.

use super::envelope::time;
use super::expected::Expected;
use crate::clock::Timestamp;
use crate::saml::names::SAML;
use crate::saml::rejected::{Quoted, SamlRejected};
use crate::saml::xml::{Node, ShapeRefused};

/// What is kept of them.
pub(super) struct Conditions {
    /// The end of validity, without skew.
    pub ends: Option<Timestamp>,
    pub one_time_use: bool,
    pub proxy_restricted: bool,
    pub proxy_count: Option<u32>,
}

/// Holds the conditions against what is expected: there are some, now is within them, and we are in every audience.
pub(super) fn check(assertion: Node<'_, '_>, expected: &Expected<'_>) -> Result<Conditions, SamlRejected> {
    let node = assertion.maybe(SAML, "Conditions")?.ok_or(SamlRejected::NoAudience)?;
    if let Some(from) = time(node, "NotBefore")?.filter(|&from| expected.is_future(from)) {
        return Err(SamlRejected::NotYetValid(from));
    }
    let ends = time(node, "NotOnOrAfter")?;
    if let Some(end) = ends.filter(|&end| expected.has_ended(end)) {
        return Err(SamlRejected::Expired(end));
    }
    let mut conditions = Conditions { ends, one_time_use: false, proxy_restricted: false, proxy_count: None };
    let mut audiences = 0_usize;
    for condition in node.children() {
        if condition.is(SAML, "AudienceRestriction") {
            audiences = audiences.saturating_add(1);
            check_audience(condition, expected)?;
        } else if condition.is(SAML, "OneTimeUse") {
            once(&mut conditions.one_time_use, "OneTimeUse")?;
        } else if condition.is(SAML, "ProxyRestriction") {
            once(&mut conditions.proxy_restricted, "ProxyRestriction")?;
            let count = condition.attribute("Count").map(str::parse).transpose();
            conditions.proxy_count = count.map_err(|_| SamlRejected::UnknownCondition(Quoted::new("Count")))?;
        } else {
            return Err(SamlRejected::UnknownCondition(Quoted::new(condition.local_name())));
        }
    }
    if audiences == 0 { Err(SamlRejected::NoAudience) } else { Ok(conditions) }
}

/// One of the audiences is us, letter by letter; every restriction has to hold (SAML Core 2.5.1.4).
fn check_audience(restriction: Node<'_, '_>, expected: &Expected<'_>) -> Result<(), SamlRejected> {
    let mut first = None;
    for audience in restriction.all(SAML, "Audience") {
        let audience = audience.simple_text("Audience")?;
        if audience == expected.service_provider && !audience.is_empty() {
            return Ok(());
        }
        first.get_or_insert(audience);
    }
    let found = Quoted::new(&first.unwrap_or_default());
    Err(SamlRejected::Audience { found, expected: Quoted::new(expected.service_provider) })
}

/// Some conditions may stand only once (SAML Core 2.5.1.5, 2.5.1.6).
fn once(seen: &mut bool, what: &'static str) -> Result<(), SamlRejected> {
    if std::mem::replace(seen, true) { Err(ShapeRefused::Repeated(what).into()) } else { Ok(()) }
}
