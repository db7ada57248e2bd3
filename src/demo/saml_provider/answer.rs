//! Answers to the assertion consumer service.

use axum::response::Response;

use super::alter::ResponseParts;
use super::session::{Participant, ProviderSession};
use super::sign_on::Pending;
use super::{Fault, SamlProvider, pages};
use crate::demo::openid_provider::Person;
use crate::saml::base64;
use crate::saml::binding::Direction;
use crate::saml::binding::post::PostForm;
use crate::saml::issue::{Authn, Envelope, Issue, Protection};
use crate::saml::keys::EncryptionKey;
use crate::saml::message_id;
use crate::saml::name_id::NameId;
use crate::saml::names::{NAMEID_EMAIL, NAMEID_PERSISTENT, NAMEID_TRANSIENT};
use crate::saml::response::Attribute;
use crate::saml::status::Status;
use crate::saml::write::Element;

/// Names by object identifier (SAML Profiles 8.2).
const URI_NAMES: &str = "urn:oasis:names:tc:SAML:2.0:attrname-format:uri";
const BASIC_NAMES: &str = "urn:oasis:names:tc:SAML:2.0:attrname-format:basic";

impl SamlProvider {
    /// Says who somebody is, and remembers where it was said.
    pub(super) fn answer(
        &self,
        pending: &Pending,
        person: &Person,
        session: &ProviderSession,
    ) -> Result<Response, Fault> {
        let now = self.now();
        let mut parts = ResponseParts {
            response_id: message_id::generate(self.random())?,
            assertion_id: message_id::generate(self.random())?,
            issue_instant: now,
            issuer: self.entity_id(),
            audience: pending.entity_id.clone(),
            acs: pending.acs.clone(),
            in_response_to: pending.in_response_to.clone(),
            lifetime: self.settings().lifetime,
            name_id: self.name_id(pending, person)?,
            authn_instant: session.authn_instant,
            authn_context: self.settings().authn_context.clone(),
            session_index: Some(session.index.clone()),
            session_not_on_or_after: self.settings().session_lifetime.map(|lifetime| now.after(lifetime)),
            attributes: attributes(person),
            signed: self.settings().signed,
            encrypted: self.settings().encrypts,
        };
        self.remember(session, pending, &parts.name_id);
        let alter = self.state().alterations.parts.pop_front();
        if let Some(alter) = alter {
            alter(&mut parts);
        }
        let response = self.issue(&parts, &pending.entity_id)?;
        self.post(&pending.acs, Direction::Response, &response, pending.relay_state.as_deref())
    }

    /// Says that nobody was signed in, and why.
    pub(super) fn refuse(&self, pending: &Pending, status: Status<'_>) -> Result<Response, Fault> {
        let (id, issuer) = (message_id::generate(self.random())?, self.entity_id());
        let envelope = Envelope {
            id: &id,
            issue_instant: self.now(),
            issuer: &issuer,
            acs: &pending.acs,
            in_response_to: pending.in_response_to.as_deref(),
        };
        let response = envelope.refusal(status, self.key().signing())?;
        self.post(&pending.acs, Direction::Response, &response, pending.relay_state.as_deref())
    }

    /// The page that posts a message, after tests had their way with it.
    pub(super) fn post(
        &self,
        action: &str,
        direction: Direction,
        message: &Element,
        relay_state: Option<&str>,
    ) -> Result<Response, Fault> {
        let mut form = PostForm::new(action, direction, message, relay_state);
        let alter = self.state().alterations.text.pop_front();
        if let Some(alter) = alter {
            form.message = base64::encode(alter(message.to_xml()).as_bytes());
        }
        Ok(pages::post_message(&form, &self.random().token()?))
    }

    fn issue(&self, parts: &ResponseParts, entity_id: &str) -> Result<Element, Fault> {
        let issue = Issue {
            envelope: Envelope {
                id: &parts.response_id,
                issue_instant: parts.issue_instant,
                issuer: &parts.issuer,
                acs: &parts.acs,
                in_response_to: parts.in_response_to.as_deref(),
            },
            assertion_id: &parts.assertion_id,
            audience: &parts.audience,
            lifetime: parts.lifetime,
            name_id: &parts.name_id,
            authn: Authn {
                instant: parts.authn_instant,
                context: &parts.authn_context,
                session_index: parts.session_index.as_deref(),
                session_not_on_or_after: parts.session_not_on_or_after,
            },
            attributes: &parts.attributes,
        };
        let to = match self.service_provider(entity_id).filter(|_| parts.encrypted) {
            Some(known) => known.encryption_certificates.first().map(|key| EncryptionKey::from_certificate(key)),
            None => None,
        };
        let to = to.transpose()?;
        let how = Protection { key: self.key().signing(), signed: parts.signed, encrypted_to: to.as_ref() };
        Ok(issue.response(&how, self.random())?)
    }

    /// The name that this service provider knows the person by: for a persistent or transient one, and for it alone.
    fn name_id(&self, pending: &Pending, person: &Person) -> Result<NameId, Fault> {
        let format = pending.name_id_format.as_str();
        let value = match format {
            NAMEID_TRANSIENT => message_id::generate(self.random())?,
            NAMEID_EMAIL => person.email.clone().unwrap_or_else(|| person.subject.clone()),
            _ => person.subject.clone(),
        };
        let qualified = matches!(format, NAMEID_PERSISTENT | NAMEID_TRANSIENT);
        Ok(NameId {
            value,
            format: Some(format.to_owned()),
            name_qualifier: qualified.then(|| self.entity_id()),
            sp_name_qualifier: qualified.then(|| pending.entity_id.clone()),
        })
    }

    fn remember(&self, session: &ProviderSession, pending: &Pending, name_id: &NameId) {
        let participant = Participant {
            entity_id: pending.entity_id.clone(),
            name_id: name_id.clone(),
            index: session.index.clone(),
        };
        let now = self.now();
        let mut state = self.state();
        for known in state.sessions.live_mut(now).filter(|known| known.index == session.index) {
            if !known.participants.contains(&participant) {
                known.participants.push(participant.clone());
            }
        }
    }
}

/// What is told of a person, under the names that Shibboleth gives it.
fn attributes(person: &Person) -> Vec<Attribute> {
    let named = |name: &str, format: &str, friendly: &str, values: Vec<String>| Attribute {
        name: name.to_owned(),
        name_format: Some(format.to_owned()),
        friendly_name: (!friendly.is_empty()).then(|| friendly.to_owned()),
        values,
    };
    let mail = person.email.iter().cloned().collect();
    let mut all = vec![
        named("urn:oid:0.9.2342.19200300.100.1.3", URI_NAMES, "mail", mail),
        named("urn:oid:2.16.840.1.113730.3.1.241", URI_NAMES, "displayName", vec![person.name.clone()]),
        named("urn:oid:1.3.6.1.4.1.5923.1.5.1.1", URI_NAMES, "isMemberOf", person.groups.clone()),
    ];
    for (name, value) in &person.claims {
        let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let values = value.as_array().map_or_else(|| vec![text(value)], |values| values.iter().map(text).collect());
        all.push(named(name, BASIC_NAMES, "", values));
    }
    all.retain(|attribute| !attribute.values.is_empty());
    all
}
