//! The Assertion in it (SAML Core 2.3.3).

use std::time::Duration;

use super::{Authn, Issue};
use crate::saml::instant;
use crate::saml::names::{BEARER, SAML};
use crate::saml::response::Attribute;
use crate::saml::write::Element;

/// NotBefore is dated back by this much, for receivers whose clock is behind and who allow for nothing.
const DATED_BACK: Duration = Duration::from_secs(60);

impl Issue<'_> {
    /// The assertion, unsigned. It can stand by itself.
    pub(super) fn assertion(&self) -> Element {
        let now = self.envelope.issue_instant;
        Element::new("saml:Assertion")
            .attribute("xmlns:saml", SAML)
            .attribute("ID", self.assertion_id)
            .attribute("Version", "2.0")
            .attribute("IssueInstant", instant::write(now))
            .child(Element::new("saml:Issuer").text(self.envelope.issuer))
            .child(self.subject())
            .child(self.conditions())
            .child(self.authn.to_element())
            .children(statement(self.attributes))
    }

    /// Whoever brings it to that address, in time and in answer to that request, is the person (SAML Profiles 4.1.4.2).
    fn subject(&self) -> Element {
        let end = self.envelope.issue_instant.after(self.lifetime);
        let data = Element::new("saml:SubjectConfirmationData")
            .maybe("InResponseTo", self.envelope.in_response_to)
            .attribute("NotOnOrAfter", instant::write(end))
            .attribute("Recipient", self.envelope.acs);
        let confirmation = Element::new("saml:SubjectConfirmation").attribute("Method", BEARER).child(data);
        Element::new("saml:Subject").child(self.name_id.to_element()).child(confirmation)
    }

    fn conditions(&self) -> Element {
        let now = self.envelope.issue_instant;
        let audience = Element::new("saml:Audience").text(self.audience);
        Element::new("saml:Conditions")
            .attribute("NotBefore", instant::write(now.before(DATED_BACK)))
            .attribute("NotOnOrAfter", instant::write(now.after(self.lifetime)))
            .child(Element::new("saml:AudienceRestriction").child(audience))
    }
}

impl Authn<'_> {
    fn to_element(self) -> Element {
        let class = Element::new("saml:AuthnContextClassRef").text(self.context);
        Element::new("saml:AuthnStatement")
            .attribute("AuthnInstant", instant::write(self.instant))
            .maybe("SessionIndex", self.session_index)
            .maybe("SessionNotOnOrAfter", self.session_not_on_or_after.map(instant::write))
            .child(Element::new("saml:AuthnContext").child(class))
    }
}

/// The attributes; a statement without any would be against the schema.
fn statement(attributes: &[Attribute]) -> Option<Element> {
    let one = |attribute: &Attribute| {
        let values = attribute.values.iter().map(|value| Element::new("saml:AttributeValue").text(value));
        Element::new("saml:Attribute")
            .attribute("Name", attribute.name.as_str())
            .maybe("NameFormat", attribute.name_format.as_deref())
            .maybe("FriendlyName", attribute.friendly_name.as_deref())
            .children(values)
    };
    (!attributes.is_empty()).then(|| Element::new("saml:AttributeStatement").children(attributes.iter().map(one)))
}
