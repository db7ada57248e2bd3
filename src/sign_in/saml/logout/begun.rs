//! Somebody signs out here: the provider is asked to end its session, and to tell everybody else.

use std::time::Duration;

use super::{Believed, LogoutRejected, departure};
use crate::saml::binding::{Direction, Outgoing};
use crate::saml::logout::{ExpectedLogout, LogoutRequest, ReceivedLogoutResponse};
use crate::saml::message::MessageRefused;
use crate::saml::names::{LOGOUT_BY_USER, STATUS_PARTIAL_LOGOUT};
use crate::saml::xml::Xml;
use crate::sign_in::hint::SamlSession;
use crate::sign_in::outcome::{At, Departure};
use crate::sign_in::saml::{SamlStartFailed, ServiceProvider};

/// How long the provider may take to carry a request out.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// How the provider says that a logout ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtProvider {
    /// There and everywhere else.
    Ended,
    /// There, but not everywhere else.
    Partly,
    /// It did not.
    Failed,
}

impl ServiceProvider {
    /// The way to the provider with our LogoutRequest; `None` when the operator does not want that, or the provider offers
    /// no single logout, or there is no key to sign with.
    pub(in crate::sign_in) async fn depart_to_log_out(
        &self,
        at: At<'_>,
        session: &SamlSession,
        id: &str,
    ) -> Result<Option<Departure>, SamlStartFailed> {
        let Some(key) = self.settings.keys.signing().filter(|_| self.settings.sign_out_at_provider) else {
            return Ok(None);
        };
        let known = self.metadata.current().await?;
        let Some(endpoint) = self.logout_endpoint(&known.description) else { return Ok(None) };
        let (issuer, now) = (self.entity_id(at), self.clock.now());
        let request = LogoutRequest {
            id,
            issue_instant: now,
            destination: &endpoint.location,
            issuer: &issuer,
            name_id: &session.name_id,
            session_indexes: &session.session_indexes,
            not_on_or_after: Some(now.after(PATIENCE)),
            reason: Some(LOGOUT_BY_USER),
        };
        let (binding, location, message) = (endpoint.binding, &endpoint.location, request.to_element());
        Ok(departure(Outgoing::sign(binding, location, Direction::Request, message, None, key)?))
    }
}

/// Reads an answer. Which request of ours it answers, the caller knows.
pub(super) fn read(xml: &Xml<'_>, expected: &ExpectedLogout<'_>) -> Result<Believed, LogoutRejected> {
    let request = xml.root().attribute("InResponseTo").ok_or(MessageRefused::InResponseTo)?.to_owned();
    let response = ReceivedLogoutResponse::read(xml, &request, expected)?;
    let ended = if response.status.is_success() {
        AtProvider::Ended
    } else if response.status.says(STATUS_PARTIAL_LOGOUT) {
        AtProvider::Partly
    } else {
        AtProvider::Failed
    };
    Ok(Believed::Response { request, ended })
}
