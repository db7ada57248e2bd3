//! The provider asks for a logout: whose sessions it names, and what it is answered.

use super::{LogoutRejected, departure};
use crate::clock::Timestamp;
use crate::portal::HostName;
use crate::random::Random;
use crate::saml::binding::{Direction, Outgoing, soap};
use crate::saml::logout::{ExpectedLogout, LogoutResponse, ReceivedLogoutRequest};
use crate::saml::message::MessageRefused;
use crate::saml::message_id;
use crate::saml::metadata::Binding;
use crate::saml::name_id::NameId;
use crate::saml::names::{
    NAMEID_PERSISTENT, NAMEID_TRANSIENT, STATUS_REQUEST_DENIED, STATUS_REQUESTER, STATUS_RESPONDER,
};
use crate::saml::sign::sign;
use crate::saml::status::Status;
use crate::saml::xml::Xml;
use crate::sign_in::outcome::{At, Departure};
use crate::sign_in::saml::ServiceProvider;
use crate::sign_in::settings::SamlSettings;

/// A logout that the provider asks for. Made by [`ServiceProvider`] alone, of what the provider signed.
#[derive(Debug)]
pub struct TheirLogout {
    named: Result<Named, LogoutRejected>,
    id: String,
    relay_state: Option<String>,
    binding: Binding,
    believed_until: Timestamp,
}

/// Whose sessions are to end, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The provider's entity id.
    pub issuer: String,
    /// The NameID, as one text ([`NameId::account_key`]), in each of its equal spellings.
    pub name_ids: Vec<String>,
    /// Which sessions of the provider; all of them when there are none.
    pub session_indexes: Vec<String>,
    /// At which portal; `None` is at all of them.
    pub portal: Option<HostName>,
}

/// How the provider gets its answer.
pub enum LogoutAnswer {
    /// The browser carries it.
    Through(Departure),
    /// It is the answer to this very request: an envelope of SOAP.
    Envelope(String),
    /// The provider takes none.
    Nowhere,
}

impl TheirLogout {
    /// Whose sessions are to end, or why none may.
    ///
    /// # Errors
    /// When the provider did send this to us, but it is old, was used before, or names nobody: nothing ends then, and the
    /// provider is told so.
    pub fn named(&self) -> Result<&Named, &LogoutRejected> {
        self.named.as_ref()
    }

    /// What names it among all requests, and until when it would be believed again.
    pub(super) fn used(&self) -> Option<([&str; 3], Timestamp)> {
        let named = self.named.as_ref().ok()?;
        Some((["saml logout", &named.issuer, &self.id], self.believed_until))
    }

    /// It was used before.
    pub(super) fn refuse_replay(&mut self) {
        self.named = Err(LogoutRejected::Replayed);
    }
}

/// What a request is read with.
pub(super) struct Reading<'a> {
    pub(super) entity_id: &'a str,
    pub(super) portal: Option<HostName>,
    pub(super) relay_state: Option<String>,
    pub(super) settings: &'a SamlSettings,
    pub(super) expected: &'a ExpectedLogout<'a>,
}

impl Reading<'_> {
    pub(super) fn read(self, xml: &Xml<'_>) -> Result<TheirLogout, LogoutRejected> {
        let expected = self.expected;
        let request = match ReceivedLogoutRequest::read(xml, self.settings.keys.decryption(), expected) {
            Ok(request) => request,
            Err(refused) => return self.refused(xml, refused),
        };
        let believed_until = request.head.believed_until(expected.skew);
        let named = Named {
            issuer: expected.issuer.to_owned(),
            name_ids: spellings(&request.name_id, expected.issuer, self.entity_id),
            session_indexes: request.session_indexes,
            portal: self.portal,
        };
        let (id, binding) = (request.head.id, expected.binding);
        Ok(TheirLogout { named: Ok(named), id, relay_state: self.relay_state, binding, believed_until })
    }

    /// A request that the provider sent to us just here is answered though it is refused. One for somebody else is not.
    fn refused(self, xml: &Xml<'_>, refused: MessageRefused) -> Result<TheirLogout, LogoutRejected> {
        let Some(id) = ReceivedLogoutRequest::id_if_sent_to_us(xml, self.expected) else { return Err(refused.into()) };
        Ok(TheirLogout {
            named: Err(refused.into()),
            id,
            relay_state: self.relay_state,
            binding: self.expected.binding,
            believed_until: self.expected.now,
        })
    }
}

/// The NameIDs that are the same as this one. For persistent and transient ones, a qualifier that is left out is that of
/// the provider, or of us (SAML Core 8.3.7, 8.3.8), and not every provider writes it in both messages.
fn spellings(name_id: &NameId, provider: &str, ours: &str) -> Vec<String> {
    let qualified = matches!(name_id.format.as_deref(), Some(NAMEID_PERSISTENT | NAMEID_TRANSIENT));
    let variants = |given: &Option<String>, default: &str| -> Vec<Option<String>> {
        match given.as_deref() {
            None if qualified => vec![None, Some(default.to_owned())],
            Some(said) if qualified && said == default => vec![None, Some(default.to_owned())],
            _ => vec![given.clone()],
        }
    };
    let of_us = variants(&name_id.sp_name_qualifier, ours);
    let mut spellings = Vec::new();
    for name_qualifier in variants(&name_id.name_qualifier, provider) {
        for sp_name_qualifier in &of_us {
            let (name_qualifier, sp_name_qualifier) = (name_qualifier.clone(), sp_name_qualifier.clone());
            spellings.push(NameId { name_qualifier, sp_name_qualifier, ..name_id.clone() }.account_key());
        }
    }
    spellings
}

impl ServiceProvider {
    /// Answers a logout that was asked for: `ended` tells whether all that was named has ended. One that was refused is
    /// answered as refused.
    ///
    /// # Errors
    /// When there is no key to sign with, or the provider's metadata cannot be had.
    pub(in crate::sign_in) async fn answer_logout(
        &self,
        at: At<'_>,
        request: &TheirLogout,
        ended: bool,
        random: &Random,
    ) -> Result<LogoutAnswer, LogoutRejected> {
        let key = self.settings.keys.signing().ok_or(LogoutRejected::NoKey)?;
        let known = self.metadata.current().await?;
        let (id, issuer) = (message_id::generate(random).map_err(|_| LogoutRejected::Broken)?, self.entity_id(at));
        let endpoint = self.logout_endpoint(&known.description);
        let by_soap = request.binding == Binding::Soap;
        let response = LogoutResponse {
            id: &id,
            issue_instant: self.clock.now(),
            destination: endpoint.filter(|_| !by_soap).map(|endpoint| endpoint.for_responses()),
            issuer: &issuer,
            in_response_to: &request.id,
            status: match (&request.named, ended) {
                (Err(_), _) => Status::of(STATUS_REQUESTER, Some(STATUS_REQUEST_DENIED)),
                (Ok(_), true) => Status::SUCCESS,
                (Ok(_), false) => Status::of(STATUS_RESPONDER, None),
            },
        }
        .to_element();
        if by_soap {
            let signed = sign(response, key).map_err(|_| LogoutRejected::Broken)?;
            return Ok(LogoutAnswer::Envelope(soap::envelope(signed)));
        }
        let Some(endpoint) = endpoint else { return Ok(LogoutAnswer::Nowhere) };
        let (binding, location) = (endpoint.binding, endpoint.for_responses());
        let relay_state = request.relay_state.as_deref();
        let outgoing = Outgoing::sign(binding, location, Direction::Response, response, relay_state, key);
        let departure = departure(outgoing.map_err(|_| LogoutRejected::Broken)?).ok_or(LogoutRejected::Broken)?;
        Ok(LogoutAnswer::Through(departure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a69_left_out_qualifiers_mean_what_they_would_say() {
        let bare = NameId {
            value: "ana".into(),
            format: Some(NAMEID_PERSISTENT.into()),
            name_qualifier: None,
            sp_name_qualifier: None,
        };
        let full = NameId { name_qualifier: Some("idp".into()), sp_name_qualifier: Some("sp".into()), ..bare.clone() };
        let sorted = |name_id: &NameId| {
            let mut spellings = spellings(name_id, "idp", "sp");
            spellings.sort();
            spellings
        };
        assert_eq!(sorted(&bare).len(), 4);
        assert_eq!(sorted(&bare), sorted(&full));
        let of_others = NameId { sp_name_qualifier: Some("other".into()), ..full.clone() };
        assert_eq!(sorted(&of_others).len(), 2);
        assert!(sorted(&of_others).iter().all(|spelling| !sorted(&full).contains(spelling)));
        let email = NameId { format: Some(crate::saml::names::NAMEID_EMAIL.into()), ..bare };
        assert_eq!(sorted(&email), [email.account_key()]);
    }
}
