//! The request that a service provider sends to have somebody signed in (SAML Core 3.4.1, SAML Profiles 4.1.4.1).

mod received;

pub use self::received::{ReceivedAuthnRequest, RequestedAcs};

use super::message::Head;
use super::names::HTTP_POST;
use super::write::Element;
use crate::clock::Timestamp;

/// An AuthnRequest as we send it.
#[derive(Clone, Debug)]
pub struct AuthnRequest<'a> {
    /// Its id, from [`message_id::generate`](crate::saml::message_id::generate).
    pub id: &'a str,
    /// Now.
    pub issue_instant: Timestamp,
    /// The location of the identity provider that it is sent to.
    pub destination: &'a str,
    /// The entity id of the service provider.
    pub issuer: &'a str,
    /// Where the response has to go.
    pub acs: Acs<'a>,
    /// Whether the person has to prove anew who they are.
    pub force_authn: bool,
    /// Whether nobody may be shown a page.
    pub is_passive: bool,
    /// Which kind of NameID is asked for.
    pub name_id_policy: Option<NameIdPolicy<'a>>,
    /// Which ways to sign in are good enough; any one of them.
    pub authn_contexts: &'a [String],
    /// How they are compared.
    pub comparison: Comparison,
}

/// Where a response has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acs<'a> {
    /// To this address, by HTTP-POST.
    Url(&'a str),
    /// To the assertion consumer service of that index in our metadata.
    Index(u16),
}

/// Which kind of NameID is asked for (SAML Core 3.4.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameIdPolicy<'a> {
    /// Its format; none leaves the choice to the provider.
    pub format: Option<&'a str>,
    /// Whether the provider may make a new identifier.
    pub allow_create: bool,
}

/// How a way to sign in is held against those that were asked for (SAML Core 3.3.2.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words of the standard")]
pub enum Comparison {
    #[default]
    Exact,
    Minimum,
    Maximum,
    Better,
}

impl Comparison {
    /// The value of the attribute.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Minimum => "minimum",
            Self::Maximum => "maximum",
            Self::Better => "better",
        }
    }
}

impl AuthnRequest<'_> {
    /// The message, to be sent by a binding: signed first for HTTP-POST, by the binding for HTTP-Redirect.
    pub fn to_element(&self) -> Element {
        let mut request = Head {
            id: self.id,
            issue_instant: self.issue_instant,
            destination: Some(self.destination),
            issuer: self.issuer,
            in_response_to: None,
        }
        .to_element("samlp:AuthnRequest");
        // An index stands alone: it says address and binding already (SAML Core 3.4.1).
        request = match self.acs {
            Acs::Url(url) => {
                request.attribute("AssertionConsumerServiceURL", url).attribute("ProtocolBinding", HTTP_POST)
            }
            Acs::Index(index) => request.attribute("AssertionConsumerServiceIndex", index.to_string()),
        };
        request
            .maybe("ForceAuthn", self.force_authn.then_some("true"))
            .maybe("IsPassive", self.is_passive.then_some("true"))
            .children(self.name_id_policy.map(|policy| {
                let create = if policy.allow_create { "true" } else { "false" };
                Element::new("samlp:NameIDPolicy").maybe("Format", policy.format).attribute("AllowCreate", create)
            }))
            .children(self.requested_authn_context())
    }

    fn requested_authn_context(&self) -> Option<Element> {
        let one = |uri: &String| Element::new("saml:AuthnContextClassRef").text(uri);
        (!self.authn_contexts.is_empty()).then(|| {
            Element::new("samlp:RequestedAuthnContext")
                .attribute("Comparison", self.comparison.name())
                .children(self.authn_contexts.iter().map(one))
        })
    }
}

#[cfg(test)]
mod tests;
